//! Ceremonies in the log: who changed keys, and why.

use chiron_storage::Tx;
use jiff::Timestamp;

use super::commit::append;
use super::event::{Event, KeysChanged};
use super::{Catalog, CatalogError};

impl Catalog {
    /// Logs that a ceremony's metadata is in force; the event's number. `then` writes in the same transaction, so that
    /// a crash neither loses the entry nor makes a second one.
    pub async fn keys_changed(
        &self,
        changed: KeysChanged,
        then: impl FnOnce(&mut Tx<'_>) -> Result<(), CatalogError> + Send + 'static,
        now: Timestamp,
    ) -> Result<u64, CatalogError> {
        let log = self.log.clone();
        let event = self
            .db
            .transact(move |tx| {
                then(tx)?;
                append(tx, &log, Event::KeysChanged(changed), now)
            })
            .await?;
        self.grown(event.saturating_add(1));
        Ok(event)
    }
}
