//! The one path: fetch → stage → verify → decide → seal → log and catalogue. An upload, a pull from an
//! upstream and an import from a bundle all enter at *stage* and pass the same checks; what an import brings is written
//! down together, at the end ([`Gate::prepare`]).

mod again;
mod attachments;
mod beside;
mod claims;
mod decide;
mod look;
mod prepare;

use std::sync::Arc;

use bytes::Bytes;
use chiron_storage::{BlobError, BlobStore, Digest, Measured, StagedBlob};
use jiff::Timestamp;
use tokio::sync::{RwLock, Semaphore};

pub use again::{Again, Rejudged, Replacement};
pub use attachments::{Attachments, Source};
pub use beside::Beside;
pub use claims::Claims;

use crate::advisories::Advisories;
use crate::catalog::{Catalog, CatalogError, FileRef, FileRow, Found, Judgment, Origin};
use crate::config::OwnedPatterns;
use crate::package::{DistributionFilename, PageFile};
use crate::policy::{Decision, InForce, Policy, Verdict};
use crate::statement::StatementKey;
use crate::telemetry::{Metrics, Queue};
use crate::upstream::{Upstream, UpstreamError};
use crate::verify::Checks;

use decide::{Decided, Subject, bytes_of, found};
use look::Looked;

/// Why there is no judgment. Nothing was admitted and no bytes were kept.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// The bytes did not come, or are not what was announced.
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
    /// The bytes could not be staged or sealed: no space, too large, or the disk refused.
    #[error(transparent)]
    Blob(#[from] BlobError),
    /// The verdict could not be written down; a blob sealed for it is swept by `gc`.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// A document that a judgment rests on is missing or does not parse: the file cannot be judged again.
    #[error(
        "the stored document sha256:{digest} is missing or damaged; what rests on it stays as it was judged"
    )]
    Lost {
        /// Its digest.
        digest: Digest,
    },
    /// A check panicked or its thread was lost: a defect of ours, never an admission.
    #[error("the checks on {filename} broke off; nothing was admitted")]
    Checks {
        /// The file under judgment.
        filename: String,
    },
}

/// The gate: every file passes it once. Cheap to clone.
#[derive(Clone)]
pub struct Gate {
    /// Where bytes are staged, and sealed once they are not refused.
    pub blobs: BlobStore,
    /// Where the verdict becomes an event.
    pub catalog: Catalog,
    /// The rules in force.
    pub policy: InForce,
    /// What is known of vulnerabilities and malware.
    pub advisories: Advisories,
    /// Names that only this site supplies.
    pub owned: OwnedPatterns,
    /// Signs what this site states of files.
    pub statements: StatementKey,
    /// Who states it, as statements name it.
    pub builder: Arc<str>,
    /// How the checks are set up.
    pub setup: Checks,
    /// Largest file taken in, bytes. Threat: filling the disk.
    pub max_file: u64,
    /// Largest document taken in with a file, bytes. Threat: exhaustion of memory.
    pub max_document: u64,
    /// Checks at once: they are bound by the processor.
    pub checks: Arc<Semaphore>,
    /// Held for reading from seal to commit, for writing by `gc`, which must not sweep what is about to be named.
    pub sealing: Arc<RwLock<()>>,
    /// Counts and times each stage.
    pub metrics: Metrics,
}

impl Gate {
    /// The rules in force now.
    pub fn policy(&self) -> Arc<Policy> {
        self.policy.get()
    }

    /// Judges bytes that are staged: the part of the path that no source can go around.
    #[tracing::instrument(skip_all, fields(filename = name.raw()))]
    pub async fn judge(
        &self,
        staged: StagedBlob,
        name: &DistributionFilename,
        claims: &Claims,
        attachments: Attachments,
    ) -> Result<FileRow, IngestError> {
        let measured = *staged.measured();
        let before = self.catalog.file(&file_of(name, &measured)).await?;
        let looked = self
            .look_at(&staged, name, claims, &attachments, before.as_ref())
            .await?;
        let mut staged = Some(staged);
        loop {
            let now = Timestamp::now();
            let decided = self
                .judged(&looked, &measured, name, claims, before.as_ref(), None, now)
                .await?;
            let verdict = &decided.verdict;
            tracing::info!(
                sha256 = %verdict.file.sha256, size_bytes = verdict.file.size, decision = ?verdict.decision,
                reasons = verdict.reasons.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "), "judged",
            );
            let _sealing = self.sealing.read().await;
            if verdict.decision != Decision::Refuse
                && let Some(staged) = staged.take()
            {
                let _timer = self.metrics.seal_timer();
                self.blobs.seal(staged).await?;
            }
            let judgment = judgment(name, claims, &measured, decided, &looked);
            let timer = self.metrics.commit_timer();
            let committed = self.catalog.commit_judgment(judgment, now).await;
            drop(timer);
            match committed {
                // Another content took the name between the judgment and the commit: judge with that known.
                Err(CatalogError::NameTaken { .. }) => {}
                other => return Ok(other?),
            }
        }
    }

    /// What the gate would say, without keeping or writing anything.
    pub async fn look(
        &self,
        staged: &StagedBlob,
        name: &DistributionFilename,
        claims: &Claims,
        attachments: Attachments,
    ) -> Result<Verdict, IngestError> {
        let measured = *staged.measured();
        let before = self.catalog.file(&file_of(name, &measured)).await?;
        let looked = self
            .look_at(staged, name, claims, &attachments, before.as_ref())
            .await?;
        let judged = self.judged(
            &looked,
            &measured,
            name,
            claims,
            before.as_ref(),
            None,
            Timestamp::now(),
        );
        Ok(judged.await?.verdict)
    }

    /// Fetches a file into a staged blob, nothing more.
    pub async fn fetch(&self, upstream: &Upstream, file: &PageFile) -> Result<StagedBlob, IngestError> {
        let _queued = self.metrics.enqueue(Queue::Fetch);
        let _timer = self.metrics.fetch_timer();
        let mut stage = self.blobs.stage(self.max_file).await?;
        let mut download = upstream.download(file, self.max_file);
        while let Some(part) = download.next().await? {
            stage.write(part).await?;
        }
        let staged = stage.finish().await?;
        self.metrics.fetched(staged.measured().size);
        Ok(staged)
    }

    /// Facts, from the bytes and from what came along now or, by the operator's hand, before.
    async fn look_at(
        &self,
        staged: &StagedBlob,
        name: &DistributionFilename,
        claims: &Claims,
        attachments: &Attachments,
        before: Option<&FileRow>,
    ) -> Result<Looked, IngestError> {
        let kept = match before {
            Some(row) => self.kept_documents(row, false).await?,
            None => Vec::new(),
        };
        let file = staged.read_handle()?;
        let known = self.advisories.project(name.project()).await;
        self.verify(file, *staged.measured(), name, claims, attachments, kept, known)
            .await
    }

    #[allow(clippy::too_many_arguments)] // what a judgment rests on, each once
    async fn judged(
        &self,
        looked: &Looked,
        measured: &Measured,
        name: &DistributionFilename,
        claims: &Claims,
        before: Option<&FileRow>,
        beside: Option<&Beside>,
        now: Timestamp,
    ) -> Result<Decided, IngestError> {
        let subject = Subject {
            file: file_of(name, measured),
            version: name.version().to_string(),
            size: measured.size,
            handed_in: claims.origin == Origin::File,
            upload_time: claims.upload_time.clone(),
            first_seen: before.map(|row| row.first_seen.unwrap_or(row.at)),
            yanked: match before {
                Some(row) => row.yanked.as_ref().map(|mark| mark.reason.clone()),
                None => claims
                    .yanked
                    .as_ref()
                    .map(|yank| yank.reason.clone().unwrap_or_default()),
            },
            advisories: looked.advisories.clone(),
        };
        let decided = self
            .decide(&self.policy(), &subject, &looked.evidence, beside, now)
            .await?;
        self.metrics.decided(decided.verdict.decision.as_str());
        Ok(decided)
    }
}

fn file_of(name: &DistributionFilename, measured: &Measured) -> FileRef {
    FileRef {
        project: name.project().clone(),
        filename: name.raw().to_owned(),
        sha256: measured.sha256,
    }
}

fn judgment(
    name: &DistributionFilename,
    claims: &Claims,
    measured: &Measured,
    decided: Decided,
    looked: &Looked,
) -> Judgment {
    let from_wheel = || {
        let bytes = looked.core_metadata.as_deref()?;
        crate::package::metadata::CoreMetadata::parse(bytes)
            .ok()?
            .requires_python
    };
    let rest = Found {
        documents: looked.documents.clone(),
        unavailable: looked.unavailable.clone(),
        sbom: looked.sbom.as_ref().map(|bytes| Digest::of(bytes)),
        ..Found::default()
    };
    let found = found(&decided, &looked.evidence, rest);
    let named = looked.sbom.iter().chain(decided.input.iter()).cloned();
    let documents: Vec<Bytes> = looked.bytes.iter().cloned().chain(named).collect();
    Judgment {
        project: name.project().clone(),
        verdict: decided.verdict,
        blake3: measured.blake3,
        origin: claims.origin.clone(),
        requires_python: claims.requires_python.clone().or_else(from_wheel),
        upload_time: claims.upload_time.clone(),
        yanked: claims
            .yanked
            .as_ref()
            .map(|y| y.reason.clone().unwrap_or_default()),
        core_metadata: looked.core_metadata.clone(),
        evidence: bytes_of(&looked.evidence),
        found,
        documents,
    }
}
