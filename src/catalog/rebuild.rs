//! Making the catalogue again from the log.

use super::commit::LAST_AT;
use super::project::{APPLIED, apply};
use super::record::{COUNTS, PROJECTED};
use super::view::parse;
use super::{Catalog, CatalogError};

/// Entries applied in one synced batch: bounds memory, not correctness.
const BATCH: u64 = 2_000;

impl Catalog {
    /// Empties the projected families and applies every entry again; gives the number of entries.
    /// Documents and blobs are not touched. After a crash in between, [`Self::catch_up`] goes on.
    pub async fn rebuild(&self, progress: impl Fn(u64, u64)) -> Result<u64, CatalogError> {
        self.db.clear(PROJECTED).await?;
        self.catch_up(progress).await
    }

    /// Applies the entries that the rows do not reflect yet: none, unless a rebuild was cut short.
    pub async fn catch_up(&self, progress: impl Fn(u64, u64)) -> Result<u64, CatalogError> {
        let size = self.log.size().await?;
        let mut from = self.db.get(&COUNTS, &APPLIED.to_owned()).await?.unwrap_or(0);
        while from < size {
            let entries = self.entries(from, BATCH).await?;
            from += entries.len() as u64;
            self.db
                .transact(move |tx| {
                    for (n, bytes) in entries {
                        let entry = parse(n, &bytes)?;
                        apply(tx, n, &entry)?;
                        let millis = u64::try_from(entry.at.as_millisecond()).unwrap_or(0);
                        tx.put(&COUNTS, &LAST_AT.to_owned(), &millis)?;
                    }
                    Ok::<_, CatalogError>(())
                })
                .await?;
            progress(from, size);
        }
        Ok(size)
    }
}
