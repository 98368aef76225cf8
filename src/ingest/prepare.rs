//! Judging without effect: the same checks and the same policy as for every file, for files that come into force later and
//! together. The bytes are the caller's to keep until then, under the import's journal.

use std::fs::File;

use bytes::Bytes;
use chiron_storage::{Digest, Measured};
use jiff::Timestamp;

use super::{Attachments, Beside, Claims, Gate, IngestError, Source, file_of, judgment};
use crate::catalog::Prepared;
use crate::package::{DistKind, DistributionFilename};

impl Gate {
    /// Judges bytes that are staged or stored, and writes nothing: the judgment, and the documents that must be kept until
    /// it comes into force ([`crate::catalog::Catalog::journal`]). `file` holds the bytes that were measured.
    ///
    /// The source distribution of a wheel's release is the one here or in the bundle; `attachments.source` counts when
    /// there is none.
    #[tracing::instrument(skip_all, fields(filename = name.raw()))]
    pub async fn prepare(
        &self,
        file: File,
        measured: Measured,
        name: &DistributionFilename,
        claims: &Claims,
        mut attachments: Attachments,
        beside: &Beside,
    ) -> Result<(Prepared, Vec<Bytes>), IngestError> {
        let before = self.catalog.file(&file_of(name, &measured)).await?;
        if let Some(source) = self.source_beside(name, beside).await? {
            attachments.source = source;
        }
        let kept = match &before {
            Some(row) => self.kept_documents(row, false).await?,
            None => Vec::new(),
        };
        let known = beside.advisories(&self.advisories, name.project()).await;
        let looked = self
            .verify(file, measured, name, claims, &attachments, kept, known)
            .await?;
        let now = Timestamp::now();
        let decided = self
            .judged(
                &looked,
                &measured,
                name,
                claims,
                before.as_ref(),
                Some(beside),
                now,
            )
            .await?;
        let judgment = judgment(name, claims, &measured, decided, &looked);
        let (prepared, documents) = Prepared::of(judgment, before.map(|row| row.since))?;
        tracing::info!(sha256 = %measured.sha256, decision = prepared.decision.as_str(), "judged, not in force yet");
        beside.add(&prepared);
        Ok((prepared, documents))
    }

    /// Removes the bytes that an import staged and that nothing else names: after its switch those of refused files, after it
    /// was discarded all of them. To be called before the journal's rows go, so that a crash in between loses none; how many
    /// blobs went.
    pub async fn unstage(&self, bundle: Digest) -> Result<u64, IngestError> {
        let ours = self.catalog.staged_by(bundle).await?;
        self.unstage_these(bundle, &ours).await
    }

    /// The same with only some of the contents that the import staged.
    pub async fn unstage_these(&self, bundle: Digest, ours: &[Digest]) -> Result<u64, IngestError> {
        let mut removed = 0;
        for some in ours.chunks(UNSTAGED_AT_ONCE) {
            // From seal to commit a blob is named by nothing; nothing is sealed while this is held.
            let _alone = self.sealing.write().await;
            let others = self.catalog.staged_blobs(Some(bundle)).await?;
            for sha256 in some {
                let rows = self.catalog.by_digest(*sha256).await?;
                let named = rows.iter().any(|row| row.state.keeps_bytes());
                if !named && !others.contains(sha256) && self.blobs.delete(sha256).await? {
                    removed += 1;
                }
            }
        }
        Ok(removed)
    }

    /// The best source distribution of a wheel's release, here or prepared. `None`: there is none.
    async fn source_beside(
        &self,
        name: &DistributionFilename,
        beside: &Beside,
    ) -> Result<Option<Source>, IngestError> {
        if name.kind() != DistKind::Wheel {
            return Ok(Some(Source::NotPublished));
        }
        let here = self.source_here(name).await?;
        if let Some(Source::Judged(row)) = &here
            && row.is_stored()
        {
            return Ok(here);
        }
        Ok(beside.source(name).or(here))
    }
}

/// Blobs looked at while nothing can be sealed.
const UNSTAGED_AT_ONCE: usize = 256;
