//! `test_rollback.py`: rollback, and recovery from fast-forward by new keys.

use serde_json::json;

use super::basic::publish_with_hashes;
use crate::Case;
use crate::tuf_clients::Kind;
use crate::tuf_repo::Key;

/// The role's next version is this one.
fn next_is(case: &mut Case, role: &str, version: u64) {
    case.author.edit(role)["version"] = (version - 1).into();
}

#[test]
fn test_new_timestamp_version_rollback() {
    let mut case = Case::new();
    case.publish(&["timestamp"]);
    assert_eq!(case.refreshes()["timestamp"], 2);
    case.asked();
    next_is(&mut case, "timestamp", 1);
    case.publish(&["timestamp"]);
    assert_eq!(case.refuses(Kind::Version)["timestamp"], 2);
    assert_eq!(case.asked().last().unwrap(), "timestamp.json");
}

#[test]
fn test_snapshot_rollback() {
    for hashes in [false, true] {
        let mut case = Case::new();
        let publish = |case: &mut Case| {
            case.publish(&["snapshot", "timestamp"]);
            if !hashes {
                let version = case.author.version("snapshot");
                case.author.edit("timestamp")["meta"]["snapshot.json"] = json!({ "version": version });
                case.author.issue("timestamp");
            }
        };
        publish(&mut case);
        case.refreshes();
        case.asked();
        next_is(&mut case, "snapshot", 1);
        publish(&mut case);
        let kept = case.refuses(Kind::Version);
        assert_eq!((kept["timestamp"], kept["snapshot"]), (2, 2));
        assert_eq!(case.asked().last().unwrap(), "timestamp.json");
    }
}

/// A delegated role, published.
fn with_delegated(case: &mut Case) {
    case.author.add_role(
        "targets",
        "delegated",
        &json!({ "terminating": false, "paths": ["delegatedpath/*"] }),
    );
    case.author.publish(&["delegated"]);
}

#[test]
fn test_targets_role_removal() {
    let mut case = Case::new();
    with_delegated(&mut case);
    case.publish(&["targets", "snapshot", "timestamp"]);
    case.refreshes();
    case.publish(&["snapshot"]);
    case.author.edit("snapshot")["meta"]
        .as_object_mut()
        .unwrap()
        .remove("delegated.json")
        .unwrap();
    case.author.issue("snapshot");
    case.publish(&["timestamp"]);
    let run = case.refresh();
    assert!(run.result.is_err());
    assert_eq!(run.versions["snapshot"], 2);
}

#[test]
fn test_targets_fast_forward_recovery() {
    let mut case = Case::new();
    with_delegated(&mut case);
    next_is(&mut case, "targets", 100);
    case.publish(&["targets", "snapshot", "timestamp"]);
    assert_eq!(case.refreshes()["targets"], 100);
    case.author.entrust("snapshot", &[Key::ed25519()], 1);
    next_is(&mut case, "targets", 1);
    case.publish(&["root", "targets", "snapshot"]);
    case.author.edit("snapshot")["meta"]
        .as_object_mut()
        .unwrap()
        .remove("delegated.json")
        .unwrap();
    case.author.issue("snapshot");
    case.publish(&["timestamp"]);
    assert_eq!(case.refreshes()["targets"], 1);
}

#[test]
fn test_new_snapshot_fast_forward_recovery() {
    let mut case = Case::new();
    next_is(&mut case, "snapshot", 100);
    case.publish(&["snapshot", "timestamp"]);
    assert_eq!(case.refreshes()["snapshot"], 100);
    case.author.entrust("snapshot", &[Key::ed25519()], 1);
    case.author.entrust("timestamp", &[Key::ed25519()], 1);
    next_is(&mut case, "snapshot", 1);
    case.publish(&["root", "targets", "snapshot", "timestamp"]);
    assert_eq!(case.refreshes()["snapshot"], 1);
}

#[test]
fn test_new_timestamp_fast_forward_recovery() {
    let mut case = Case::new();
    next_is(&mut case, "timestamp", 100);
    case.publish(&["timestamp"]);
    assert_eq!(case.refreshes()["timestamp"], 100);
    case.author.entrust("timestamp", &[Key::ed25519()], 1);
    next_is(&mut case, "timestamp", 1);
    case.publish(&["root", "timestamp"]);
    assert_eq!(case.refreshes()["timestamp"], 1);
}

#[test]
fn test_targets_rollback() {
    for hashes in [false, true] {
        let mut case = Case::new();
        let publish = |case: &mut Case| {
            let roles = ["targets", "snapshot", "timestamp"];
            if hashes {
                publish_with_hashes(case, &roles);
            } else {
                case.publish(&roles);
            }
        };
        publish(&mut case);
        case.refreshes();
        next_is(&mut case, "targets", 1);
        publish(&mut case);
        let kept = case.refuses(Kind::Version);
        assert_eq!((kept["snapshot"], kept["targets"]), (2, 2));
    }
}
