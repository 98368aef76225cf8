//! Everything of a bundle into the store, each part verified as it passes: documents, then files, which are judged while
//! the next ones are read.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use chiron_storage::StagedBlob;
use futures_util::{Stream, StreamExt, TryStreamExt, stream};
use tokio::sync::{RwLock, mpsc};

use super::journal::Staged;
use super::judge::Judging;
use super::wanted::Wanted;
use super::watch::Step;
use super::{ImportError, Work};
use crate::blocking;
use crate::bundle::{BundleError, Content, pack};
use crate::catalog::{FileRef, FileState};
use crate::package::ProjectName;

/// Files of one group, which are sealed with one sync of each folder and journalled together: when it has so many, it ends
/// with the project.
const GROUP_FILES: usize = 32;
/// The same in bytes.
const GROUP_BYTES: u64 = 16 << 20;
/// A project with so many times more is cut. Threat: open files.
const CUT: u32 = 8;
/// Packs of documents that are unpacked and not written down yet. Threat: memory, each has up to 8 MiB.
const PACKS: usize = 2;
/// Bytes of the largest document, which is alone in its pack. Threat: memory.
const MAX_PACKED: u64 = 64 << 20;

/// What there is to do with a file that the bundle brings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Doing {
    /// It comes in, and is judged.
    Judge,
    /// It is admitted or revoked here, and its bytes are gone: they come back.
    Mend,
    /// Nothing but to look whether the bytes are right.
    Verify,
}

impl Work<'_> {
    /// Keeps the documents of volumes whose documents were not kept before.
    pub(super) async fn documents(&self, but: &[u32]) -> Result<(), ImportError> {
        for (number, listing) in self
            .head
            .listings
            .iter()
            .filter(|(number, _)| !but.contains(number))
        {
            let (send, mut receive) = mpsc::channel(PACKS);
            let (source, number, listing) = (Arc::clone(&self.source), *number, listing.clone());
            let reading = blocking::run(move || {
                let Some(volume) = source.volume(number) else {
                    return Ok(());
                };
                for item in &listing.items {
                    let Content::Documents { count, unpacked } = item.content else {
                        continue;
                    };
                    let what = format!("the documents {} in volume {number}", item.digest);
                    let packed = volume.open(item)?.read_all(MAX_PACKED)?;
                    let mut documents: Vec<Bytes> = Vec::new();
                    pack::read_documents(&what, &packed, count, unpacked, |_, bytes| {
                        documents.push(bytes);
                        Ok(())
                    })?;
                    if send.blocking_send(documents).is_err() {
                        break;
                    }
                }
                Ok::<_, ImportError>(())
            });
            let writing = async move {
                while let Some(documents) = receive.recv().await {
                    self.journal.put_documents(documents).await?;
                }
                Ok::<_, ImportError>(())
            };
            let (read, written) = tokio::join!(reading, writing);
            written?;
            read??;
            self.watch.go_on()?;
        }
        Ok(())
    }

    /// What there is to do with each file that is not staged yet. Of volumes that are not `whole` the files came earlier.
    ///
    /// # Errors
    /// [`BundleError::MissingVolumes`]: what came earlier is not here any more, and has to come again.
    pub(super) async fn to_do(
        &self,
        wanted: Vec<Wanted>,
        staged: &BTreeMap<FileRef, Staged>,
        whole: &[u32],
    ) -> Result<Vec<(Wanted, Doing)>, ImportError> {
        let gate = self.importer.gate();
        let mut to_do = Vec::new();
        for wanted in wanted {
            if staged.contains_key(&wanted.file) && gate.blobs.exists(&wanted.file.sha256).await? {
                continue;
            }
            let settled = self.is_settled(&wanted.file).await?;
            let doing = match settled {
                _ if wanted.size > gate.max_file => Doing::Verify,
                true if gate.blobs.exists(&wanted.file.sha256).await? => Doing::Verify,
                true => Doing::Mend,
                false => Doing::Judge,
            };
            match doing {
                _ if whole.contains(&wanted.volume) => to_do.push((wanted, doing)),
                Doing::Verify => {}
                Doing::Judge | Doing::Mend => {
                    return Err(BundleError::MissingVolumes {
                        missing: vec![wanted.volume],
                        total: u32::try_from(self.head.manifest().volumes.len()).unwrap_or(u32::MAX),
                    }
                    .into());
                }
            }
        }
        Ok(to_do)
    }

    /// Whether a judgment of the very same file would change nothing.
    pub(super) async fn is_settled(&self, file: &FileRef) -> Result<bool, ImportError> {
        let row = self.importer.gate().catalog.file(file).await?;
        Ok(row.is_some_and(|row| matches!(row.state, FileState::Admitted | FileState::Revoked)))
    }

    /// Brings files in. `judging`: each is judged as soon as it is staged; else only staged.
    pub(super) async fn files(
        &self,
        to_do: Vec<(Wanted, Doing)>,
        judging: Option<&Judging<'_>>,
    ) -> Result<(), ImportError> {
        let bytes = to_do.iter().map(|(wanted, _)| wanted.item.size).sum();
        self.watch.tell(Step::Expect {
            files: to_do.len() as u64,
            bytes,
        });
        let staged = stream::iter(to_do)
            .map(|(wanted, doing)| self.one(wanted, doing))
            .buffered(self.importer.at_once().max(2));
        // A project that was cut is judged in its order: the second part waits for whatever is under way.
        let turn = RwLock::new(());
        let groups = std::pin::pin!(groups(staged));
        groups
            .map(|group| async {
                let Group { files, continues, .. } = group?;
                let _alone = if continues { Some(turn.write().await) } else { None };
                let _beside = if continues { None } else { Some(turn.read().await) };
                let (ready, keeping) = self.opened(files)?;
                // A wheel is held against its source, which is opened by its digest: that must be in its place by then.
                self.seal(keeping).await?;
                if let Some(judging) = judging {
                    let judged = judging.judge(ready).await?;
                    judging.keep(judged).await?;
                }
                Ok::<_, ImportError>(())
            })
            .buffered(self.importer.at_once() + 1)
            .try_collect::<()>()
            .await
    }

    /// A file in staging; `None`: nothing of it is kept.
    async fn one(&self, wanted: Wanted, doing: Doing) -> Result<Option<(Wanted, StagedBlob)>, ImportError> {
        let staged = match doing {
            Doing::Judge => Some(self.stage(&wanted).await?),
            Doing::Mend => {
                let staged = self.stage(&wanted).await?;
                self.importer.gate().blobs.seal(staged).await?;
                None
            }
            Doing::Verify => {
                self.only_verify(&wanted).await?;
                None
            }
        };
        self.watch.tell(Step::Done);
        Ok(staged.map(|staged| (wanted, staged)))
    }
}

/// Files of whole projects, unless one has too many.
#[derive(Default)]
struct Group {
    files: Vec<(Wanted, StagedBlob)>,
    bytes: u64,
    /// It begins with the rest of a project that the group before was cut in.
    continues: bool,
}

impl Group {
    fn is_full(&self, times: u32) -> bool {
        self.files.len() >= GROUP_FILES * times as usize || self.bytes >= GROUP_BYTES * u64::from(times)
    }

    fn ends_with(&self, project: &ProjectName) -> bool {
        self.files
            .last()
            .is_some_and(|(last, _)| last.file.project == *project)
    }

    fn push(&mut self, wanted: Wanted, staged: StagedBlob) {
        self.bytes += wanted.size;
        self.files.push((wanted, staged));
    }
}

/// Puts files together, in their order.
fn groups(
    files: impl Stream<Item = Result<Option<(Wanted, StagedBlob)>, ImportError>>,
) -> impl Stream<Item = Result<Group, ImportError>> {
    let begun = (Box::pin(files.fuse()), Group::default());
    stream::unfold(begun, |(mut files, mut group)| async {
        while let Some(file) = files.next().await {
            let (wanted, staged) = match file {
                Err(error) => return Some((Err(error), (files, Group::default()))),
                Ok(None) => continue,
                Ok(Some(file)) => file,
            };
            let same = group.ends_with(&wanted.file.project);
            if group.is_full(1) && (!same || group.is_full(CUT)) {
                let mut next = Group {
                    continues: same,
                    ..Group::default()
                };
                next.push(wanted, staged);
                return Some((Ok(group), (files, next)));
            }
            group.push(wanted, staged);
        }
        (!group.files.is_empty()).then(|| (Ok(group), (files, Group::default())))
    })
}
