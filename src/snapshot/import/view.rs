//! What is imported, and what waits, for whoever asks.

use super::{ImportError, Importer, journal};
use crate::api::{AirgapSenderView, AirgapStaged, AirgapView};

impl Importer {
    /// Senders and imports under way.
    pub async fn view(&self) -> Result<AirgapView, ImportError> {
        let catalog = &self.gate().catalog;
        let senders = catalog.senders().await?.into_iter().map(|row| AirgapSenderView {
            name: row.name,
            origin: row.origin,
            seen: row.seen.id().to_string(),
            complete: row
                .complete
                .map_or_else(String::new, |complete| complete.id().to_string()),
            last: row.id.to_string(),
            bundle: row.bundle.to_string(),
            created_at: row.created_at,
            imported_at: row.imported_at,
            reference_time: row.reference_time,
        });
        let mut staged = Vec::new();
        for (bundle, row) in journal::all(catalog).await? {
            let files = journal::Journal::new(catalog.clone(), bundle).staged().await?;
            staged.push(AirgapStaged {
                sender: row.sender,
                id: row.id.to_string(),
                bundle: bundle.to_string(),
                began_at: row.began_at,
                missing_volumes: (1..=row.volumes)
                    .filter(|number| !row.taken.contains(number))
                    .collect(),
                items: files.len() as u64,
                bytes: files.values().map(|it| it.size).sum(),
            });
        }
        Ok(AirgapView {
            site: self.site().to_owned(),
            senders: senders.collect(),
            staged,
        })
    }
}
