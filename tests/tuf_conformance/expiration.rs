//! `test_expiration.py`: what is expired is refused, and what was expired on the way is not held against the rest.

use std::time::Duration;

use crate::tuf_clients::Kind;
use crate::tuf_repo::{ago, in_};
use crate::{Case, versions};

const DAY: Duration = Duration::from_hours(24);

/// The next version of a role, with this expiry.
fn issue_until(case: &mut Case, role: &str, expires: String) {
    if role == "snapshot" || role == "timestamp" {
        case.author.fit(role);
    }
    let next = case.author.version(role) + 1;
    let document = case.author.edit(role);
    document["version"] = next.into();
    document["expires"] = expires.into();
    case.author.issue(role);
}

#[test]
fn test_root_expired() {
    let mut case = Case::new();
    case.refreshes();
    case.publish(&["root"]);
    case.refreshes();
    issue_until(&mut case, "root", ago(DAY));
    case.publish(&["targets", "snapshot", "timestamp"]);
    let kept = case.refuses(Kind::Expired);
    assert_eq!(
        (
            kept["root"],
            kept.get("timestamp").unwrap_or(&1),
            kept.get("snapshot").unwrap_or(&1)
        ),
        (3, &1, &1)
    );
}

#[test]
fn test_timestamp_expired() {
    let mut case = Case::new();
    case.refreshes();
    issue_until(&mut case, "timestamp", ago(5 * DAY));
    let kept = case.refuses(Kind::Expired);
    assert_eq!(
        kept,
        versions(&[("root", 1), ("snapshot", 1), ("targets", 1), ("timestamp", 1)])
    );
}

#[test]
fn test_snapshot_expired() {
    let mut case = Case::new();
    case.refreshes();
    issue_until(&mut case, "snapshot", ago(5 * DAY));
    case.publish(&["timestamp"]);
    let kept = case.refuses(Kind::Expired);
    assert_eq!(
        kept,
        versions(&[("root", 1), ("snapshot", 1), ("targets", 1), ("timestamp", 2)])
    );
}

#[test]
fn test_targets_expired() {
    let mut case = Case::new();
    case.refreshes();
    issue_until(&mut case, "targets", ago(5 * DAY));
    case.publish(&["snapshot", "timestamp"]);
    let kept = case.refuses(Kind::Expired);
    assert_eq!(
        kept,
        versions(&[("root", 1), ("snapshot", 2), ("targets", 1), ("timestamp", 2)])
    );
}

#[test]
fn test_expired_local_root() {
    let mut case = Case::new();
    issue_until(&mut case, "root", in_(7 * DAY));
    case.refreshes();
    issue_until(&mut case, "root", in_(21 * DAY));
    case.holder.now_is(&in_(18 * DAY));
    assert_eq!(case.refreshes()["root"], 3);
}

#[test]
fn test_expired_local_timestamp() {
    let mut case = Case::new();
    issue_until(&mut case, "timestamp", in_(7 * DAY));
    case.refreshes();
    case.publish(&["targets", "snapshot"]);
    issue_until(&mut case, "timestamp", in_(21 * DAY));
    case.holder.now_is(&in_(18 * DAY));
    let kept = case.refreshes();
    assert_eq!(
        kept,
        versions(&[("root", 1), ("snapshot", 2), ("targets", 2), ("timestamp", 3)])
    );
}
