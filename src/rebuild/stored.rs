//! Rebuilding what the catalogue holds.

use bytes::Bytes;
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::{RebuildError, Rebuilder, Sdist, Wheel};
use crate::catalog::{FileRow, FileState};
use crate::package::DistributionFilename;
use crate::verify::reproducibility::Rebuilt;
use crate::verify::{CheckName, Evidence};

impl Rebuilder {
    /// Rebuilds a file of the catalogue from the source that its own evidence names.
    pub async fn stored(&self, row: &FileRow, cancel: &CancellationToken) -> Result<Rebuilt, RebuildError> {
        let at_hand = |why: &str| RebuildError::AtHand {
            what: row.judged.filename.clone(),
            why: why.to_owned(),
        };
        let name = DistributionFilename::parse_for(&row.judged.filename, &row.judged.project)
            .map_err(|error| at_hand(&error.to_string()))?;
        let source = self.source_of(row).await?;
        let source = source.ok_or_else(|| at_hand("its source is not in the catalogue, or was refused"))?;
        let source_name = DistributionFilename::parse_for(&source.judged.filename, &source.judged.project)
            .map_err(|error| at_hand(&error.to_string()))?;
        let limits = &self.0.mirror.gate().setup.archive;
        let wheel = Wheel::read(name, self.blob(row).await?, limits).await?;
        let sdist = Sdist::read(source_name, self.blob(&source).await?, limits).await?;
        self.rebuild(&wheel, &sdist, upload_time(row), cancel).await
    }

    /// The source that the file's evidence names, unless it is bad.
    async fn source_of(&self, row: &FileRow) -> Result<Option<FileRow>, RebuildError> {
        let catalog = self.0.mirror.catalog();
        for digest in &row.judged.evidence {
            let Some(document) = catalog.doc(*digest).await? else {
                continue;
            };
            let Ok(evidence) = serde_json::from_slice::<Evidence>(&document) else {
                continue;
            };
            if evidence.check != CheckName::Reproducibility {
                continue;
            }
            let named = evidence
                .facts
                .get("source")
                .and_then(|source| source.get("sha256"));
            let Some(sha256) = named.and_then(|text| text.as_str()?.parse().ok()) else {
                return Ok(None);
            };
            let rows = catalog.by_digest(sha256).await?;
            return Ok(rows.into_iter().find(|source| {
                source.judged.project == row.judged.project
                    && matches!(source.state, FileState::Admitted | FileState::Quarantined)
                    && !source.is_damaged()
            }));
        }
        Ok(None)
    }

    pub(super) async fn blob(&self, row: &FileRow) -> Result<Bytes, RebuildError> {
        Ok(self
            .0
            .mirror
            .gate()
            .blobs
            .read(&row.judged.sha256, row.judged.size)
            .await?)
    }
}

/// When upstream says that the file was published.
pub(super) fn upload_time(row: &FileRow) -> Option<Timestamp> {
    row.judged.upload_time.as_deref()?.parse().ok()
}
