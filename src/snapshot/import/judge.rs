//! This site's own judgment of every file that a bundle brings: the one path, with the sender's word as a claim and what
//! came along as attachments.

use std::collections::BTreeSet;
use std::fs::File;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use chiron_storage::{Digest, Measured};
use futures_util::{StreamExt, TryStreamExt, stream};

use super::follow::{Followed, Stand};
use super::journal::Staged;
use super::stage::Ready;
use super::watch::Step;
use super::{ImportError, Work};
use crate::api::{FileOutcome, FileResult};
use crate::catalog::{FileRef, FileState, LACKS_PROVENANCE, LACKS_SOURCE, Origin, Prepared};
use crate::ingest::{Attachments, Beside, Claims, IngestError, Source};
use crate::package::{DistKind, DistributionFilename, HashClaim, ProjectName, Yank};
use crate::policy::Verdict;
use crate::verify::{CheckName, Document, DocumentOrigin};

/// Judges files of one bundle.
pub(super) struct Judging<'a> {
    work: &'a Work<'a>,
    followed: &'a Followed,
    beside: Beside,
    /// Projects whose files are under judgment.
    under_way: Mutex<BTreeSet<ProjectName>>,
}

/// A file's judgment, with the documents that it names.
pub(super) type Judged = (FileRef, Prepared, Vec<Bytes>);

impl<'a> Judging<'a> {
    /// `beside` is what was judged of the bundle so far.
    pub fn new(work: &'a Work<'a>, followed: &'a Followed, beside: Beside) -> Self {
        Self {
            work,
            followed,
            beside,
            under_way: Mutex::default(),
        }
    }

    /// Takes into account what was judged before of the projects of these files: not more of a bundle is in memory.
    async fn enter(&self, ready: &[Ready], projects: &BTreeSet<ProjectName>) -> Result<(), ImportError> {
        let entered = {
            let mut under_way = self.under_way();
            under_way.extend(projects.iter().cloned());
            self.beside.enter(&under_way)
        };
        let anew: BTreeSet<_> = ready.iter().map(|ready| &ready.file).collect();
        for project in entered {
            for prepared in self.work.journal.judged_of(&project).await? {
                if !anew.contains(&prepared.file_ref()) {
                    self.beside.add(&prepared);
                }
            }
        }
        Ok(())
    }

    /// Judges files, those of one project in their order. Nobody else may judge files of these projects meanwhile.
    pub async fn judge(&self, ready: Vec<Ready>) -> Result<Vec<Judged>, ImportError> {
        let entered: BTreeSet<_> = ready.iter().map(|ready| ready.file.project.clone()).collect();
        self.enter(&ready, &entered).await?;
        let mut projects: Vec<Vec<Ready>> = Vec::new();
        for file in ready {
            match projects.last_mut() {
                Some(same) if same[0].file.project == file.file.project => same.push(file),
                _ => projects.push(vec![file]),
            }
        }
        let judged: Vec<Vec<Judged>> = stream::iter(projects)
            .map(|files| self.project(files))
            .buffer_unordered(self.work.importer.at_once())
            .try_collect()
            .await?;
        self.under_way().retain(|project| !entered.contains(project));
        Ok(judged.into_iter().flatten().collect())
    }

    /// Journals judgments of files that are staged.
    pub async fn keep(&self, judged: Vec<Judged>) -> Result<(), ImportError> {
        Ok(self.work.journal.put_judged(judged).await?)
    }

    fn under_way(&self) -> MutexGuard<'_, BTreeSet<ProjectName>> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Judges files that are staged already.
    pub async fn staged(&self, files: Vec<(FileRef, Staged)>) -> Result<(), ImportError> {
        for some in files.chunks(AT_ONCE) {
            self.work.watch.go_on()?;
            let mut ready = Vec::with_capacity(some.len());
            for (file, staged) in some {
                ready.push(Ready {
                    file: file.clone(),
                    handle: self.work.importer.gate().blobs.file(&file.sha256).await?,
                    staged: *staged,
                });
            }
            let judged = self.judge(ready).await?;
            self.keep(judged).await?;
        }
        Ok(())
    }

    async fn project(&self, files: Vec<Ready>) -> Result<Vec<Judged>, ImportError> {
        let mut judged = Vec::with_capacity(files.len());
        for file in files {
            self.work.watch.go_on()?;
            judged.push(self.one(file).await?);
        }
        Ok(judged)
    }

    async fn one(&self, ready: Ready) -> Result<Judged, ImportError> {
        let Ready { file, handle, staged } = ready;
        let name = DistributionFilename::parse_for(&file.filename, &file.project).map_err(|_| {
            IngestError::Checks {
                filename: file.filename.clone(),
            }
        })?;
        let stand = self.followed.files.get(&file);
        let attachments = self.attachments(&name, stand).await?;
        let claims = self.claims(&file, &staged, stand);
        let measured = Measured {
            size: staged.size,
            sha256: file.sha256,
            blake3: staged.blake3,
        };
        let (prepared, documents) = self
            .prepare(handle, measured, &name, &claims, attachments)
            .await?;
        let result = Step::Judged(Box::new(result_of(&prepared)));
        self.work.watch.tell(result);
        Ok((file, prepared, documents))
    }

    async fn prepare(
        &self,
        handle: File,
        measured: Measured,
        name: &DistributionFilename,
        claims: &Claims,
        attachments: Attachments,
    ) -> Result<(Prepared, Vec<Bytes>), ImportError> {
        let gate = self.work.importer.gate();
        let prepared = gate.prepare(handle, measured, name, claims, attachments, &self.beside);
        Ok(prepared.await?)
    }

    fn claims(&self, file: &FileRef, staged: &Staged, stand: Option<&Stand>) -> Claims {
        let judged = stand.and_then(|stand| stand.judged.as_deref());
        Claims {
            hashes: HashClaim::parse(&format!("sha256:{}", file.sha256))
                .into_iter()
                .collect(),
            size: Some(judged.map_or(staged.size, |judged| judged.size)),
            core_metadata: judged.and_then(|judged| judged.core_metadata),
            requires_python: judged.and_then(|judged| judged.requires_python.clone()),
            upload_time: judged.and_then(|judged| judged.upload_time.clone()),
            yanked: stand.and_then(Stand::yanked).map(|reason| Yank {
                reason: Some(reason).filter(|reason| !reason.is_empty()),
            }),
            origin: Origin::Bundle(self.work.known.name.clone()),
        }
    }

    /// What came along with the file at the sender, as documents of nobody here.
    async fn attachments(
        &self,
        name: &DistributionFilename,
        stand: Option<&Stand>,
    ) -> Result<Attachments, ImportError> {
        let mut attachments = Attachments::default();
        let Some(judged) = stand.and_then(|stand| stand.judged.as_deref()) else {
            attachments.undelivered = Some("what belongs to it is not in the bundle".to_owned());
            if name.kind() == DistKind::Wheel {
                attachments.source =
                    Source::Unavailable("its source distribution is not in the bundle".to_owned());
            }
            return Ok(attachments);
        };
        let lacks = |what: &str| judged.found.unavailable.iter().any(|lacking| lacking == what);
        if lacks(LACKS_PROVENANCE) {
            attachments.undelivered = Some("the sender could not get the provenance document".to_owned());
        }
        for document in &judged.found.documents {
            let origin = match document.origin {
                DocumentOrigin::Upstream => DocumentOrigin::Upstream,
                // The sender's people, and its own rebuilds, are nobody's here: what they signed is verified as anybody's.
                DocumentOrigin::Beside | DocumentOrigin::Operator | DocumentOrigin::Chiron => {
                    DocumentOrigin::Beside
                }
            };
            match self.document(document.digest).await? {
                Some(bytes) => attachments.documents.push(Document {
                    kind: document.kind,
                    origin,
                    bytes,
                }),
                None => {
                    attachments.undelivered = Some(format!(
                        "the document sha256:{} is not in the bundle",
                        document.digest
                    ));
                }
            }
        }
        // One that is here, or in the bundle, is found by the gate.
        if name.kind() == DistKind::Wheel && (lacks(LACKS_SOURCE) || !self.none_published(judged).await?) {
            let why = "its source distribution is neither in the bundle nor here";
            attachments.source = Source::Unavailable(why.to_owned());
        }
        Ok(attachments)
    }

    /// Whether the sender found that the release has no source distribution: its word, in a document that its log names.
    async fn none_published(&self, judged: &crate::catalog::Judged) -> Result<bool, ImportError> {
        let verdict = match self.document(judged.verdict).await? {
            Some(bytes) => serde_json::from_slice::<Verdict>(&bytes).ok(),
            None => None,
        };
        let row = verdict.and_then(|verdict| {
            let mut rows = verdict.checks.into_iter();
            rows.find(|row| row.check == CheckName::Reproducibility)
        });
        let axis = row.and_then(|row| row.facts.get("source")?.get("axis").cloned());
        Ok(axis.is_some_and(|axis| axis == "S3") || judged.origin == Origin::File)
    }

    /// A document of the bundle, or one that is here.
    async fn document(&self, digest: Digest) -> Result<Option<Bytes>, ImportError> {
        let catalog = &self.work.importer.gate().catalog;
        if let Some(bytes) = catalog.waiting_doc(self.work.journal.bundle, digest).await? {
            return Ok(Some(bytes));
        }
        Ok(catalog.doc(digest).await?)
    }
}

/// Files that are opened together before they are judged.
const AT_ONCE: usize = 64;

/// A judgment as a row of the job.
pub(super) fn result_of(prepared: &Prepared) -> FileResult {
    let file = &prepared.file;
    FileResult {
        filename: file.filename.clone(),
        project: prepared.project.to_string(),
        version: Some(file.version.clone()),
        sha256: Some(file.sha256.to_string()),
        size: Some(file.size),
        outcome: match prepared.state() {
            FileState::Admitted => FileOutcome::Admitted,
            FileState::Quarantined => FileOutcome::Quarantined,
            FileState::Refused | FileState::Revoked => FileOutcome::Refused,
        },
        reasons: prepared.reasons.iter().map(ToString::to_string).collect(),
    }
}
