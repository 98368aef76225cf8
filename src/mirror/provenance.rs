//! A file's provenance object (PEP 740), byte for byte as upstream publishes it.

use std::sync::Arc;

use bytes::Bytes;
use chiron_storage::Digest;

use super::{Asked, Delivery, Mirror, MirrorError, Wanted};
use crate::catalog::{FileRow, FileState};
use crate::package::ProjectName;
use crate::verify::DocumentKind;

impl Mirror {
    /// What was kept with a judged file, or else what upstream has for a candidate. The file itself is not fetched for
    /// it: who looks at a provenance may be deciding whether to download at all.
    pub async fn provenance(&self, wanted: &Wanted) -> Result<Delivery<Bytes>, Arc<MirrorError>> {
        if let Some(row) = self.settled(wanted).await? {
            return self.kept_provenance(row).await;
        }
        let Some((_, upstream, candidate)) = self.offer(wanted).await? else {
            return match self.unoffered(wanted).await? {
                Delivery::Ready(row) | Delivery::Denied(row) => self.kept_provenance(row).await,
                Delivery::Pending => Ok(Delivery::Pending),
                Delivery::Unknown => Ok(Delivery::Unknown),
            };
        };
        let Some(url) = &candidate.file.provenance else {
            return Ok(Delivery::Unknown);
        };
        let fetched = upstream
            .document(url, self.gate().max_document)
            .await
            .map_err(|error| Arc::new(MirrorError::from(error)))?;
        Ok(fetched.map_or(Delivery::Unknown, Delivery::Ready))
    }

    /// The content that upstream lists under a name, for who does not know the digest.
    pub async fn named(
        &self,
        project: &ProjectName,
        filename: &str,
    ) -> Result<Option<Digest>, Arc<MirrorError>> {
        if !self.may_ask(project) {
            return Ok(None);
        }
        match self.ask(project).await {
            Asked::Known(known) => Ok(known.candidates.named(filename).next().map(|c| c.sha256)),
            Asked::Nothing => Ok(None),
            Asked::Down(error) => Err(Arc::new(MirrorError::Down(error))),
            Asked::Lost => Err(Arc::new(MirrorError::lost(project.to_string()))),
        }
    }

    async fn kept_provenance(&self, row: Arc<FileRow>) -> Result<Delivery<Bytes>, Arc<MirrorError>> {
        if row.state != FileState::Admitted {
            return Ok(Delivery::Denied(row));
        }
        let Some(document) = row.judged.found.document(DocumentKind::Provenance) else {
            return Ok(Delivery::Unknown);
        };
        let bytes = self
            .catalog()
            .doc(document.digest)
            .await
            .map_err(|error| Arc::new(MirrorError::from(error)))?;
        Ok(bytes.map_or(Delivery::Unknown, Delivery::Ready))
    }
}
