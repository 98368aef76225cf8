//! What one publication changes among the targets: the entries that the log's new events lead to, compared with what is
//! signed. Bytes of targets are written down on the way, since they harm nobody before something names them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use chiron_storage::{Db, Digest, Raw};
use chiron_tuf::{TargetEntry, TargetPath};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use jiff::Timestamp;

use super::PublishError;
use super::changes::{ENTRIES_AT_ONCE, Touched, touched};
use super::held::Held;
use super::tables::{ANEW, ANEW_AFTER, CONTENTS, SUPERSEDED, Superseded, TARGETS};
use super::targets::{FORM, Files, Wanted, of_project};
use crate::catalog::Catalog;
use crate::package::ProjectName;

/// Projects that are rendered side by side, and compared and written together.
const PROJECTS_AT_ONCE: usize = 128;
const RENDERED_SIDE_BY_SIDE: usize = 4;

/// Projects that one publication makes anew, when everything is to be.
const ANEW_AT_ONCE: usize = 2_000;

/// New entries by path hash; `None` is a removal.
pub(super) type Entries = BTreeMap<Digest, Option<TargetEntry>>;

/// Changes of targets that are decided, and not yet signed.
#[derive(Debug, Default)]
pub(super) struct Delta {
    /// The size of the log that is to be signed.
    pub log_size: u64,
    /// What the bins list otherwise than before.
    pub entries: Arc<Entries>,
    /// Projects whose page becomes another.
    pub pages: BTreeSet<ProjectName>,
    /// Bytes that nothing names any more afterwards: path hash and digest.
    pub superseded: Vec<(Digest, Digest)>,
    /// Targets added, replaced or removed.
    pub changed: u64,
    /// Targets added less targets removed.
    pub added: i64,
    /// All targets, where they were counted.
    pub counted: Option<u64>,
    /// How far everything was made anew.
    pub anew: Anew,
    /// More entries of the log wait for the next publication.
    pub more: bool,
}

/// Making everything anew, a slice with each publication.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) enum Anew {
    /// Nothing is.
    #[default]
    No,
    /// Up to this project.
    After(String),
    /// The last slice.
    Done,
}

/// Where deltas are made.
pub(super) struct Planner<'a> {
    pub db: &'a Db,
    pub catalog: &'a Catalog,
    pub held: &'a Held,
    pub now: Timestamp,
}

impl Planner<'_> {
    /// What has changed since the newest generation, or the first part of it.
    pub(super) async fn delta(&self) -> Result<Delta, PublishError> {
        let size = self.catalog.log().size().await?;
        let from = self.held.log_size().min(size);
        let mut delta = Delta {
            log_size: size.min(from + ENTRIES_AT_ONCE),
            ..Delta::default()
        };
        let named = touched(self.catalog, from, delta.log_size).await?;
        let anew = self.slice(&mut delta).await?;
        self.projects(&mut delta, &named, &anew).await?;
        // Nobody sees anything before the first generation: what it signs may be written down slice by slice.
        while self.is_first() && delta.log_size < size {
            let next = delta.log_size;
            delta.log_size = size.min(next + ENTRIES_AT_ONCE);
            let named = touched(self.catalog, next, delta.log_size).await?;
            self.projects(&mut delta, &named, &BTreeSet::new()).await?;
        }
        delta.more |= delta.log_size < size;
        if delta.log_size != from || self.is_first() {
            let note = self.catalog.log().checkpoint_at(delta.log_size).await?;
            let checkpoint = Wanted::stored(TargetPath::checkpoint(), note.into())?;
            self.take(&mut delta, vec![checkpoint]).await?;
        }
        if self.is_first() {
            delta.counted = Some(self.count().await?);
        }
        Ok(delta)
    }

    fn is_first(&self) -> bool {
        self.held.generation.is_none()
    }

    /// Rows that an attempt before this one wrote down are among them.
    async fn count(&self) -> Result<u64, PublishError> {
        self.db
            .read(|view| {
                let mut count = 0;
                for item in view.scan(&TARGETS, b"", None)? {
                    item?;
                    count += 1;
                }
                Ok(count)
            })
            .await
    }

    /// The next projects that are to be made anew, when an earlier version of Chiron made the targets.
    async fn slice(&self, delta: &mut Delta) -> Result<BTreeSet<ProjectName>, PublishError> {
        if self.held.form == FORM || self.is_first() {
            return Ok(BTreeSet::new());
        }
        let to = delta.log_size;
        let after = self.db.get(&ANEW, &ANEW_AFTER.to_owned()).await?;
        let rows = self.catalog.projects(Some(to), after, ANEW_AT_ONCE).await?;
        delta.anew = match rows.last() {
            Some((last, _)) if rows.len() == ANEW_AT_ONCE => Anew::After(last.clone()),
            _ => Anew::Done,
        };
        delta.more |= delta.anew != Anew::Done;
        let names = rows.iter().filter_map(|(name, _)| ProjectName::parse(name).ok());
        Ok(names.collect())
    }

    async fn projects(
        &self,
        delta: &mut Delta,
        named: &Touched,
        anew: &BTreeSet<ProjectName>,
    ) -> Result<(), PublishError> {
        let all: BTreeSet<&ProjectName> = named.keys().chain(anew).collect();
        let all: Vec<(ProjectName, Option<BTreeSet<String>>)> = all
            .into_iter()
            .map(|project| {
                // Of a project that is made anew, all files are looked at.
                let files = named.get(project).filter(|_| !anew.contains(project));
                (project.clone(), files.cloned())
            })
            .collect();
        for some in all.chunks(PROJECTS_AT_ONCE) {
            let (catalog, at) = (self.catalog.clone(), delta.log_size);
            let rendered = stream::iter(some.to_vec())
                .map(move |(project, files)| of_project_at(catalog.clone(), project, at, files))
                .buffered(RENDERED_SIDE_BY_SIDE);
            let rendered: Vec<Vec<Wanted>> = rendered.try_collect().await?;
            self.take(delta, rendered.into_iter().flatten().collect()).await?;
        }
        Ok(())
    }

    /// Compares targets with what is signed; what differs goes into the delta, and its bytes into the database.
    async fn take(&self, delta: &mut Delta, wanted: Vec<Wanted>) -> Result<(), PublishError> {
        let hashes: Vec<Digest> = wanted.iter().map(Wanted::hash).collect();
        let stored = self.db.read(move |view| view.get_many(&TARGETS, &hashes)).await?;
        let (mut contents, mut rows) = (Vec::new(), Vec::new());
        for (wanted, before) in wanted.into_iter().zip(stored) {
            let before: Option<Bytes> = before.map(|Raw(bytes)| bytes);
            if before.as_deref() == wanted.entry.as_ref().map(TargetEntry::as_bytes) {
                continue;
            }
            let hash = wanted.hash();
            delta.added += i64::from(wanted.entry.is_some()) - i64::from(before.is_some());
            if let Some(before) = before
                && !wanted.path.as_str().starts_with("files/")
            {
                let old = digest_of(&before)?;
                if wanted.content.as_ref().is_none_or(|(new, _)| *new != old) {
                    delta.superseded.push((hash, old));
                }
            }
            if !self.is_first() {
                delta.pages.extend(project_of(&wanted.path));
            }
            if let Some((sha256, bytes)) = wanted.content {
                contents.push((hash, sha256, bytes));
            }
            delta.changed += 1;
            if self.is_first() {
                rows.push((hash, wanted.entry));
            } else {
                Arc::make_mut(&mut delta.entries).insert(hash, wanted.entry);
            }
        }
        keep_contents(self.db, contents, self.now).await?;
        keep_rows(self.db, rows).await
    }
}

async fn of_project_at(
    catalog: Catalog,
    project: ProjectName,
    at: u64,
    files: Option<BTreeSet<String>>,
) -> Result<Vec<Wanted>, PublishError> {
    let known = catalog.project(&project, Some(at)).await?;
    of_project(
        &project,
        known.as_ref(),
        files.as_ref().map_or(Files::All, Files::Named),
    )
}

/// Whose page a path is.
fn project_of(path: &TargetPath) -> Option<ProjectName> {
    let name = path
        .as_str()
        .strip_prefix("simple/")?
        .strip_suffix("/index.json")?;
    ProjectName::parse(name).ok()
}

/// The digest that an entry states.
pub(super) fn digest_of(entry: &[u8]) -> Result<Digest, PublishError> {
    let damaged = || PublishError::Damaged("a target's row states no digest".to_owned());
    let (_, file) = TargetEntry::read(entry).map_err(|error| PublishError::Damaged(error.to_string()))?;
    file.sha256()
        .and_then(|text| text.parse().ok())
        .ok_or_else(damaged)
}

/// Writes entries down, before anything is signed.
async fn keep_rows(db: &Db, rows: Vec<(Digest, Option<TargetEntry>)>) -> Result<(), PublishError> {
    if rows.is_empty() {
        return Ok(());
    }
    db.transact(move |tx| {
        for (hash, entry) in &rows {
            match entry {
                Some(entry) => tx.put(&TARGETS, hash, &Raw(Bytes::copy_from_slice(entry.as_bytes())))?,
                None => tx.delete(&TARGETS, hash)?,
            }
        }
        Ok(())
    })
    .await
}

/// Writes bytes of targets down. They are looked at again after the grace, should the publication that they are for never
/// come: then nothing names them.
pub(super) async fn keep_contents(
    db: &Db,
    contents: Vec<(Digest, Digest, Bytes)>,
    now: Timestamp,
) -> Result<(), PublishError> {
    if contents.is_empty() {
        return Ok(());
    }
    let millis = millis(now);
    db.transact(move |tx| {
        for (path, sha256, bytes) in contents {
            if tx.contains(&CONTENTS, &(path, sha256))? {
                continue;
            }
            tx.put(&CONTENTS, &(path, sha256), &Raw(bytes))?;
            let tick = u64::from_be_bytes(first_eight(&sha256));
            tx.put(
                &SUPERSEDED,
                &(millis, tick),
                &Superseded::Content { path, sha256 },
            )?;
        }
        Ok(())
    })
    .await
}

fn first_eight(digest: &Digest) -> [u8; 8] {
    let mut eight = [0; 8];
    eight.copy_from_slice(&digest.as_bytes()[..8]);
    eight
}

/// A time as rows are sorted by it.
pub(super) fn millis(now: Timestamp) -> u64 {
    u64::try_from(now.as_millisecond()).unwrap_or(0)
}
