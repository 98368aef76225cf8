//! When what is signed is signed again, though nothing changed: early enough to survive days of trouble, and not all of it
//! on one day.

use std::time::Duration;

use chiron_tuf::{BinCount, Role};
use jiff::{SignedDuration, Timestamp};

use super::tables::RoleRow;

/// The timestamp holds for a day; it is signed again at least this often, whatever is configured.
const TIMESTAMP_AT_LEAST: SignedDuration = SignedDuration::from_hours(12);

/// The snapshot holds for 7 days.
const SNAPSHOT_AFTER: SignedDuration = SignedDuration::from_hours(3 * 24);

/// A bin holds for 30 days. The first are signed again after 10 of them, the last after 20: a few each day.
const BINS_FROM: SignedDuration = SignedDuration::from_hours(10 * 24);
const BINS_WITHIN: SignedDuration = SignedDuration::from_hours(10 * 24);

/// What is signed for a year is renewed this long before it expires, where its keys are online.
const RENEW_BEFORE: SignedDuration = SignedDuration::from_hours(60 * 24);

/// Whether an online role is due. A role signed in the future, by a clock that was wrong, is due at once: else its
/// signature would hold for too long.
pub(super) fn is_due(role: Role, row: &RoleRow, resign: Duration, count: BinCount, now: Timestamp) -> bool {
    let age = now.duration_since(row.signed_at);
    if age < SignedDuration::ZERO {
        return age < -SKEW;
    }
    let after = match role {
        Role::Timestamp => SignedDuration::try_from(resign)
            .unwrap_or(TIMESTAMP_AT_LEAST)
            .min(TIMESTAMP_AT_LEAST),
        Role::Snapshot => SNAPSHOT_AFTER,
        Role::Bin(bin) => BINS_FROM + BINS_WITHIN * i32::from(bin.number()) / i32::from(count.get()),
        Role::Root | Role::Targets | Role::Trust | Role::Bins => return is_old(row, now),
    };
    age >= after
}

/// Clocks that are set by the network are set back by less.
const SKEW: SignedDuration = SignedDuration::from_mins(5);

/// Whether a document that is signed for a year wants to be renewed.
fn is_old(row: &RoleRow, now: Timestamp) -> bool {
    row.expires.duration_since(now) < RENEW_BEFORE
}

/// Whether the clock went back since something was signed, by more than clocks are corrected by.
pub(super) fn went_back(signed_at: Timestamp, now: Timestamp) -> bool {
    now.duration_since(signed_at) < -SKEW
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use chiron_storage::Digest;
    use chiron_tuf::{expires_at, lifetime};

    use super::*;

    fn row(role: Role, signed_at: Timestamp) -> RoleRow {
        RoleRow {
            version: 1,
            sha256: Digest::of(b""),
            length: 0,
            expires: expires_at(role, signed_at).unwrap(),
            signed_at,
            retired: false,
        }
    }

    fn due_after(role: Role) -> SignedDuration {
        let start: Timestamp = "2026-11-20T12:00:00Z".parse().unwrap();
        let row = row(role, start);
        let hours = (0..=366 * 24).find(|hours| {
            let now = start + SignedDuration::from_hours(*hours);
            is_due(role, &row, Duration::from_hours(6), BinCount::DEFAULT, now)
        });
        SignedDuration::from_hours(hours.unwrap())
    }

    #[test]
    fn everything_is_signed_again_long_before_it_expires() {
        let bins = BinCount::DEFAULT.bins().map(Role::Bin);
        let others = [
            Role::Root,
            Role::Targets,
            Role::Trust,
            Role::Bins,
            Role::Snapshot,
            Role::Timestamp,
        ];
        for role in bins.chain(others) {
            let (due, holds) = (due_after(role), lifetime(role));
            assert!(
                due >= holds / 5 && due <= holds * 6 / 7,
                "{role}: {due:?} of {holds:?}"
            );
        }
        assert_eq!(due_after(Role::Timestamp), SignedDuration::from_hours(6));
    }

    #[test]
    fn bins_signed_on_one_day_are_not_signed_again_on_one_day() {
        let mut days = [0; 31];
        for bin in BinCount::DEFAULT.bins() {
            days[usize::try_from(due_after(Role::Bin(bin)).as_hours() / 24).unwrap()] += 1;
        }
        assert!(days.iter().all(|bins| *bins <= 30), "{days:?}");
    }

    #[test]
    fn a_longer_time_that_is_configured_does_not_let_the_timestamp_expire() {
        let start: Timestamp = "2026-11-20T12:00:00Z".parse().unwrap();
        let row = row(Role::Timestamp, start);
        let now = start + SignedDuration::from_hours(12);
        assert!(is_due(
            Role::Timestamp,
            &row,
            Duration::MAX,
            BinCount::DEFAULT,
            now
        ));
    }

    #[test]
    fn what_was_signed_in_the_future_is_signed_again() {
        let now: Timestamp = "2026-11-20T12:00:00Z".parse().unwrap();
        let row = row(Role::Snapshot, now + SignedDuration::from_hours(24 * 365));
        assert!(is_due(
            Role::Snapshot,
            &row,
            Duration::MAX,
            BinCount::DEFAULT,
            now
        ));
        assert!(went_back(row.signed_at, now));
        assert!(!went_back(now + SignedDuration::from_secs(10), now));
    }
}
