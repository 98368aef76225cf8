//! How long the timestamp may live at a site that is fed with bundles.
//!
//! Such a site signs its repository anew day after day, whether anything reaches it or not. Threat: somebody keeps bundles
//! away, and clients believe that nothing is new. So the timestamp never outlives the newest bundle by more than the
//! site's own budget; when that is used up, TUF clients refuse the repository until a newer bundle is imported.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::PublishError;
use super::publisher::Inner;
use super::tables::RoleRow;

impl Inner {
    /// The latest time that a timestamp may expire at; `None` where nothing was imported, or no budget is set.
    pub(super) async fn ceiling(&self) -> Result<Option<Timestamp>, PublishError> {
        let Some(budget) = self.parts.settings.max_bundle_age else {
            return Ok(None);
        };
        let senders = self.parts.catalog.senders().await?;
        let newest = senders.into_iter().map(|sender| sender.created_at).max();
        Ok(newest.map(|created| after(created, budget)))
    }
}

fn after(created: Timestamp, budget: Duration) -> Timestamp {
    SignedDuration::try_from(budget)
        .ok()
        .and_then(|budget| created.checked_add(budget).ok())
        .unwrap_or(Timestamp::MAX)
}

/// Whether the timestamp that is published lives as long as one may: signed anew, it would not live longer.
pub(super) fn is_at(row: &RoleRow, ceiling: Option<Timestamp>) -> bool {
    // Written in whole seconds.
    ceiling.is_some_and(|ceiling| row.expires.as_second() >= ceiling.as_second())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use chiron_storage::Digest;

    use super::*;

    #[test]
    fn a_budget_ends_after_the_newest_bundle() {
        let created: Timestamp = "2026-11-20T12:00:00.5Z".parse().unwrap();
        let ceiling = after(created, Duration::from_hours(48));
        assert_eq!(ceiling.to_string(), "2026-11-22T12:00:00.5Z");
        assert_eq!(after(created, Duration::MAX), Timestamp::MAX);
        let row = |expires: &str| RoleRow {
            version: 1,
            sha256: Digest::of(b""),
            length: 0,
            expires: expires.parse().unwrap(),
            signed_at: created,
            retired: false,
        };
        assert!(is_at(&row("2026-11-22T12:00:00Z"), Some(ceiling)));
        assert!(!is_at(&row("2026-11-21T12:00:00Z"), Some(ceiling)));
        assert!(!is_at(&row("2026-11-22T12:00:00Z"), None));
    }
}
