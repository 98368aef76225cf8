//! The one path: fetch → stage → verify → decide → seal → log and catalogue. An upload, a pull from an
//! upstream and (later) an import from a bundle all enter at *stage* and pass the same checks.

use std::sync::Arc;

use bytes::Bytes;
use chiron_storage::{BlobError, BlobStore, Digest, Measured, StagedBlob};
use jiff::Timestamp;
use tokio::sync::{RwLock, Semaphore};

use crate::blocking::{self, Lost};
use crate::catalog::{Catalog, CatalogError, FileRef, FileRow, Judgment, Origin};
use crate::package::simple::CoreMetadata;
use crate::package::{DistributionFilename, HashClaim, PageFile, Yank};
use crate::policy::{Case, Circumstances, Decision, JudgedFile, Policy, Verdict, decide};
use crate::telemetry::{Metrics, Queue};
use crate::upstream::{Upstream, UpstreamError};
use crate::verify::{Attached, CheckName, Checks, Evidence, Published, examine};

/// What its publisher, or the index, says of a file before anyone has looked at it.
#[derive(Debug, Clone)]
pub struct Claims {
    /// All are compared before anything parses the file; one that differs refuses it.
    pub hashes: Vec<HashClaim>,
    /// Bytes.
    pub size: Option<u64>,
    /// Digest of the core metadata as published beside the file.
    pub core_metadata: Option<Digest>,
    /// Relayed, not judged; the wheel's own stands in where the index says nothing.
    pub requires_python: Option<String>,
    /// RFC 3339, relayed unchanged.
    pub upload_time: Option<String>,
    /// PEP 592, at the time of the fetch.
    pub yanked: Option<Yank>,
    /// Decides whether a missing digest is forgiven: only the operator's own hand vouches for a file.
    pub origin: Origin,
}

impl Claims {
    /// What an index page says.
    pub fn of_page(file: &PageFile, upstream: &str) -> Self {
        Self {
            hashes: file.claims(),
            size: file.size,
            core_metadata: match file.core_metadata {
                CoreMetadata::Sha256(digest) => Some(digest),
                CoreMetadata::None | CoreMetadata::Available => None,
            },
            requires_python: file.requires_python.clone(),
            upload_time: file.upload_time.clone(),
            yanked: file.yanked.clone(),
            origin: Origin::Upstream(upstream.to_owned()),
        }
    }

    /// A file the operator handed in, with whatever digest came along.
    pub fn handed_in(hashes: Vec<HashClaim>) -> Self {
        Self {
            hashes,
            size: None,
            core_metadata: None,
            requires_python: None,
            upload_time: None,
            yanked: None,
            origin: Origin::File,
        }
    }
}

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
    /// The rules in force; fixed while the process runs.
    pub policy: Arc<Policy>,
    /// How the checks are set up.
    pub setup: Checks,
    /// Largest file taken in, bytes. Threat: filling the disk.
    pub max_file: u64,
    /// Checks at once: they are bound by the processor.
    pub checks: Arc<Semaphore>,
    /// Held for reading from seal to commit, for writing by `gc`, which must not sweep what is about to be named.
    pub sealing: Arc<RwLock<()>>,
    /// Counts and times each stage.
    pub metrics: Metrics,
}

impl Gate {
    /// Fetches a file from upstream and judges it.
    pub async fn pull(
        &self,
        upstream: &Upstream,
        name: &DistributionFilename,
        file: &PageFile,
    ) -> Result<FileRow, IngestError> {
        let staged = self.fetch(upstream, file).await?;
        self.judge(staged, name, &Claims::of_page(file, upstream.name()))
            .await
    }

    /// Judges bytes that are staged: the part of the path that no source can go around.
    #[tracing::instrument(skip_all, fields(filename = name.raw()))]
    pub async fn judge(
        &self,
        staged: StagedBlob,
        name: &DistributionFilename,
        claims: &Claims,
    ) -> Result<FileRow, IngestError> {
        let (evidence, core_metadata) = self.verify(&staged, name, claims).await?;
        let measured = *staged.measured();
        let mut staged = Some(staged);
        loop {
            let verdict = self.decide(&measured, name, claims, &evidence).await?;
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
            let judgment = judgment(name, claims, &measured, verdict, &evidence, core_metadata.clone());
            let timer = self.metrics.commit_timer();
            let committed = self.catalog.commit_judgment(judgment, Timestamp::now()).await;
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
    ) -> Result<Verdict, IngestError> {
        let (evidence, _) = self.verify(staged, name, claims).await?;
        self.decide(staged.measured(), name, claims, &evidence).await
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

    /// Facts only. Digests are compared before anything parses the archive.
    async fn verify(
        &self,
        staged: &StagedBlob,
        name: &DistributionFilename,
        claims: &Claims,
    ) -> Result<(Vec<(Digest, Evidence)>, Option<Bytes>), IngestError> {
        let lost = || IngestError::Checks {
            filename: name.raw().to_owned(),
        };
        let measured = *staged.measured();
        let mut published = Published {
            hashes: claims.hashes.clone(),
            size: claims.size,
            core_metadata: claims.core_metadata.into_iter().collect(),
            by: claims.origin.to_string(),
        };
        published
            .core_metadata
            .extend(self.catalog.seen(measured.sha256).await?);
        let file = staged.read_handle()?;
        let (name, setup, metrics) = (name.clone(), self.setup.clone(), self.metrics.clone());
        let _queued = self.metrics.enqueue(Queue::Gate);
        let _permit = self.checks.acquire().await.map_err(|_| lost())?;
        blocking::run(move || {
            let timer = |check: CheckName| metrics.check_timer(check.as_str());
            let found = examine(
                &file,
                &measured,
                &name,
                &published,
                &Attached::default(),
                &setup,
                Timestamp::now(),
                timer,
            );
            let evidence = found
                .evidence
                .into_iter()
                .map(|e| {
                    metrics.checked(e.check.as_str(), e.outcome.as_str());
                    (Digest::of(&e.to_bytes()), e)
                })
                .collect();
            (evidence, found.core_metadata.map(Bytes::from))
        })
        .await
        .map_err(|Lost| lost())
    }

    async fn decide(
        &self,
        measured: &Measured,
        name: &DistributionFilename,
        claims: &Claims,
        evidence: &[(Digest, Evidence)],
    ) -> Result<Verdict, IngestError> {
        let file = FileRef {
            project: name.project().clone(),
            filename: name.raw().to_owned(),
            sha256: measured.sha256,
        };
        let case = Case {
            file: JudgedFile {
                filename: file.filename.clone(),
                project: file.project.to_string(),
                version: name.version().to_string(),
                sha256: measured.sha256,
                size: measured.size,
            },
            evidence,
            handed_in: claims.origin == Origin::File,
            name_taken_by: self.catalog.name_taken_by(&file).await?,
            circumstances: Circumstances::default(),
            now: Timestamp::now(),
        };
        let timer = self.metrics.decide_timer();
        let verdict = decide(&self.policy, &case);
        drop(timer);
        self.metrics.decided(verdict.decision.as_str());
        Ok(verdict)
    }
}

fn judgment(
    name: &DistributionFilename,
    claims: &Claims,
    measured: &Measured,
    verdict: Verdict,
    evidence: &[(Digest, Evidence)],
    core_metadata: Option<Bytes>,
) -> Judgment {
    let from_wheel = || {
        let bytes = core_metadata.as_deref()?;
        crate::package::metadata::CoreMetadata::parse(bytes)
            .ok()?
            .requires_python
    };
    Judgment {
        project: name.project().clone(),
        verdict,
        blake3: measured.blake3,
        origin: claims.origin.clone(),
        requires_python: claims.requires_python.clone().or_else(from_wheel),
        upload_time: claims.upload_time.clone(),
        yanked: claims
            .yanked
            .as_ref()
            .map(|y| y.reason.clone().unwrap_or_default()),
        core_metadata,
        evidence: evidence.iter().map(|(_, e)| Bytes::from(e.to_bytes())).collect(),
    }
}
