//! Facts: the checks on bytes at hand, with everything that came along with them.

use std::fs::File;

use bytes::Bytes;
use chiron_storage::{Digest, Measured};
use jiff::Timestamp;

use super::attachments::{Gathered, unavailable};
use super::{Attachments, Claims, Gate, IngestError};
use crate::advisories::reference_of;
use crate::blocking::{self, Lost};
use crate::package::DistributionFilename;
use crate::policy::AdvisoriesRef;
use crate::telemetry::Queue;
use crate::verify::{
    Attached, CheckName, Document, DocumentRef, Evidence, ProjectAdvisories, Published, examine,
};

/// What the checks found, and what must be kept of it.
pub(super) struct Looked {
    /// In the order of the gate, each with the digest of its document.
    pub evidence: Vec<(Digest, Evidence)>,
    /// The wheel's own.
    pub core_metadata: Option<Bytes>,
    /// Served beside the file.
    pub sbom: Option<Bytes>,
    /// The database that was asked.
    pub advisories: Option<AdvisoriesRef>,
    /// Kept with the file.
    pub documents: Vec<DocumentRef>,
    /// Their bytes, with whatever else the judgment names.
    pub bytes: Vec<Bytes>,
    /// What could not be had.
    pub unavailable: Vec<String>,
}

impl Gate {
    /// Runs the checks. Digests are compared before anything parses the archive. `known`: what the advisory database says of
    /// the project.
    #[allow(clippy::too_many_arguments)] // what the checks rest on, each once
    pub(super) async fn verify(
        &self,
        file: File,
        measured: Measured,
        name: &DistributionFilename,
        claims: &Claims,
        attachments: &Attachments,
        kept: Vec<Document>,
        known: Option<ProjectAdvisories>,
    ) -> Result<Looked, IngestError> {
        let lost = || IngestError::Checks {
            filename: name.raw().to_owned(),
        };
        let mut published = Published {
            hashes: claims.hashes.clone(),
            size: claims.size,
            core_metadata: claims.core_metadata.into_iter().collect(),
            by: claims.origin.to_string(),
        };
        published
            .core_metadata
            .extend(self.catalog.seen(measured.sha256).await?);
        let gathered = Gathered::new(attachments.documents.iter().cloned().chain(kept));
        let (source, source_lacks) = self.open_source(&attachments.source).await?;
        let reference = known.as_ref().and_then(reference_of);
        let (documents, mut bytes) = (gathered.references.clone(), Vec::new());
        bytes.extend(gathered.bytes());
        let undelivered = gathered.too_many().or_else(|| attachments.undelivered.clone());
        let attached = Attached {
            documents: gathered.documents,
            source,
            advisories: known,
            undelivered,
        };
        let (for_checks, setup, metrics) = (name.clone(), self.setup.clone(), self.metrics.clone());
        let _queued = self.metrics.enqueue(Queue::Gate);
        let _permit = self.checks.acquire().await.map_err(|_| lost())?;
        let found = blocking::run(move || {
            let timer = |check: CheckName| metrics.check_timer(check.as_str());
            let found = examine(
                &file,
                &measured,
                &for_checks,
                &published,
                &attached,
                &setup,
                Timestamp::now(),
                timer,
            );
            for e in &found.evidence {
                metrics.checked(e.check.as_str(), e.outcome.as_str());
            }
            found
        })
        .await
        .map_err(|Lost| lost())?;
        let evidence = found.evidence.into_iter().map(with_digest).collect();
        Ok(Looked {
            evidence,
            core_metadata: found.core_metadata.map(Bytes::from),
            sbom: found.sbom.map(Bytes::from),
            advisories: reference,
            documents,
            bytes,
            unavailable: unavailable(source_lacks, attachments.undelivered.is_some()),
        })
    }
}

/// Evidence with the digest of its document.
pub(super) fn with_digest(evidence: Evidence) -> (Digest, Evidence) {
    (Digest::of(&evidence.to_bytes()), evidence)
}
