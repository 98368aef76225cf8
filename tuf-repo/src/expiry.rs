//! How long a role's signature holds (section 4.1, `expires`).

use jiff::{SignedDuration, Timestamp};

use crate::role::Role;

const DAY: SignedDuration = SignedDuration::from_hours(24);

/// The timestamp is signed again this often, and at start-up: four chances before it expires.
pub const TIMESTAMP_RESIGN_EVERY: SignedDuration = SignedDuration::from_hours(6);

/// The metadata would expire after the last moment that can be written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("metadata of {role} signed at {now} would expire after the end of time")]
pub struct ExpiryError {
    role: Role,
    now: Timestamp,
}

/// How long a signature of `role` holds by default.
///
/// Keys that are used often are exposed more, so what they sign holds for less. The timestamp's day bounds how long an
/// attacker who cuts the line can keep a client on an old state.
pub const fn lifetime(role: Role) -> SignedDuration {
    match role {
        Role::Root | Role::Targets | Role::Trust | Role::Bins => SignedDuration::from_hours(365 * 24),
        Role::Bin(_) => SignedDuration::from_hours(30 * 24),
        Role::Snapshot => SignedDuration::from_hours(7 * 24),
        Role::Timestamp => DAY,
    }
}

/// When metadata of `role` signed at `now` expires, in whole seconds as the specification writes it.
pub fn expires_at(role: Role, now: Timestamp) -> Result<Timestamp, ExpiryError> {
    let refused = |_| ExpiryError { role, now };
    whole_seconds(now).checked_add(lifetime(role)).map_err(refused)
}

/// As the specification writes times: without a fraction, which is cut off.
pub(crate) fn whole_seconds(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;
    use crate::role::Bin;

    #[test]
    fn each_role_holds_for_its_time() {
        let bin = Role::Bin(Bin::new(7, Bin::DEFAULT_COUNT).unwrap());
        let days = |role| lifetime(role).as_hours() / 24;
        let table = [
            Role::Root,
            Role::Targets,
            Role::Trust,
            Role::Bins,
            bin,
            Role::Snapshot,
            Role::Timestamp,
        ];
        assert_eq!(table.map(days), [365, 365, 365, 365, 30, 7, 1]);
    }

    #[test]
    fn a_snapshot_outlives_the_timestamp_that_names_it() {
        assert!(lifetime(Role::Timestamp) < lifetime(Role::Snapshot));
        assert!(TIMESTAMP_RESIGN_EVERY * 4 <= lifetime(Role::Timestamp));
    }

    #[test]
    fn expiry_is_written_in_whole_seconds() {
        let now: Timestamp = "2026-11-20T10:00:00.987654321Z".parse().unwrap();
        assert_eq!(
            expires_at(Role::Timestamp, now).unwrap().to_string(),
            "2026-11-21T10:00:00Z"
        );
        assert_eq!(
            expires_at(Role::Root, now).unwrap().to_string(),
            "2027-11-20T10:00:00Z"
        );
    }

    #[test]
    fn the_end_of_time_is_an_error() {
        let error = expires_at(Role::Root, Timestamp::MAX).unwrap_err();
        assert!(error.to_string().contains("root"), "{error}");
    }
}
