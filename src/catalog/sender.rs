//! Sites whose bundles came into force here: how far this site knows their logs. Projected from the events alone, so that
//! a floor can neither be lost nor go back.

use bytes::Bytes;
use chiron_storage::{Digest, Raw, Table, Tx};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::imported::Imported;
use super::{Catalog, CatalogError};
use crate::bundle::{Seen, SnapshotId};

/// By the name that the sender has here. Projected from [`super::Event::Imported`].
pub(super) const SENDERS: Table<String, SenderRow> = Table::new("airgap-senders");

/// What a sender's signatures are believed by: its newest root and what a TUF client remembers. Not projected: without it
/// the pinned root is asked again, and the floors hold.
pub(super) const TRUST: Table<String, Raw> = Table::new("airgap-trust");

/// How far this site knows a sender's log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SenderRow {
    /// The name that it has here.
    pub name: String,
    /// The origin of its log (C2SP checkpoint).
    pub origin: String,
    /// The newest state of its log that was seen.
    pub seen: Seen,
    /// Up to here every entry was seen, without a gap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub complete: Option<Seen>,
    /// The latest time that expiry was judged at.
    pub reference_time: Timestamp,
    /// The last bundle: SHA-256 of its signed manifest.
    pub bundle: Digest,
    /// The last bundle's name.
    pub id: SnapshotId,
    /// When the newest bundle that ever came into force was made, as it says itself.
    pub created_at: Timestamp,
    /// When the last one came into force.
    pub imported_at: Timestamp,
    /// The event of the last one.
    pub since: u64,
}

/// Follows entry `n`.
pub(super) fn follow(
    tx: &mut Tx<'_>,
    n: u64,
    at: Timestamp,
    imported: &Imported,
) -> Result<(), CatalogError> {
    let before = tx.get(&SENDERS, &imported.sender)?;
    let row = after(before, n, at, imported);
    Ok(tx.put(&SENDERS, &imported.sender, &row)?)
}

/// Floors never go back, whatever an event says.
fn after(before: Option<SenderRow>, n: u64, at: Timestamp, imported: &Imported) -> SenderRow {
    let new = SenderRow {
        name: imported.sender.clone(),
        origin: imported.origin.clone(),
        seen: imported.log,
        complete: imported.complete,
        reference_time: imported.reference_time,
        bundle: imported.bundle,
        id: imported.id,
        created_at: imported.created_at,
        imported_at: at,
        since: n,
    };
    let Some(before) = before else { return new };
    let further = |a: Seen, b: Seen| if b.size > a.size { b } else { a };
    SenderRow {
        seen: further(before.seen, new.seen),
        complete: match (before.complete, new.complete) {
            (Some(before), Some(new)) => Some(further(before, new)),
            (before, new) => new.or(before),
        },
        reference_time: before.reference_time.max(new.reference_time),
        created_at: before.created_at.max(new.created_at),
        ..new
    }
}

impl Catalog {
    /// Every sender whose bundles came into force here, by name.
    pub async fn senders(&self) -> Result<Vec<SenderRow>, CatalogError> {
        self.db
            .read(|view| {
                let rows = view.scan(&SENDERS, b"", None)?;
                Ok(rows
                    .map(|row| row.map(|(_, row)| row))
                    .collect::<Result<_, _>>()?)
            })
            .await
    }

    /// One of them.
    pub async fn sender(&self, name: &str) -> Result<Option<SenderRow>, CatalogError> {
        Ok(self.db.get(&SENDERS, &name.to_owned()).await?)
    }

    /// What a sender's signatures were last believed by, as the last switch was given it.
    pub async fn sender_trust(&self, name: &str) -> Result<Option<Bytes>, CatalogError> {
        let stored = self.db.get(&TRUST, &name.to_owned()).await?;
        Ok(stored.map(|Raw(bytes)| bytes))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::imported::ImportCounts;
    use super::*;

    fn imported(size: u64, complete: Option<u64>, time: &str) -> Imported {
        let seen = |size: u64| serde_json::json!({ "size": size, "root": Digest::of(&size.to_be_bytes()) });
        serde_json::from_value(serde_json::json!({
            "sender": "office", "origin": "office.example", "id": SnapshotId::new(size, &Digest::of(b"")),
            "bundle": Digest::of(b"bundle"), "scope": "interval", "log": seen(size), "complete": complete.map(seen),
            "created_at": time, "reference_time": time,
            "tuf": { "root": 1, "timestamp": 1, "snapshot": 1, "targets": 1 },
            "counts": ImportCounts::default(), "by": "operator",
        }))
        .unwrap()
    }

    #[test]
    fn floors_only_rise() {
        let at = Timestamp::UNIX_EPOCH;
        let first = after(None, 3, at, &imported(10, Some(10), "2026-03-01T00:00:00Z"));
        assert_eq!(first.complete.unwrap().size, 10);
        let fill = after(
            Some(first.clone()),
            5,
            at,
            &imported(9, None, "2026-02-01T00:00:00Z"),
        );
        assert_eq!((fill.seen, fill.complete), (first.seen, first.complete));
        assert_eq!(fill.reference_time, first.reference_time);
        assert_eq!(fill.created_at, first.created_at);
        assert_eq!(fill.since, 5, "and it is known which bundle was last");
        let next = after(Some(fill), 6, at, &imported(20, Some(20), "2026-04-01T00:00:00Z"));
        assert_eq!((next.seen.size, next.complete.unwrap().size), (20, 20));
    }
}
