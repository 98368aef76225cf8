//! `test_basic.py`: what a refresh asks for, keeps and refuses.

use std::time::Duration;

use serde_json::{Value, json};

use crate::tuf_clients::{Kind, chiron_state};
use crate::tuf_repo::{Author, Key, address, envelope, in_, sha256};
use crate::tuf_server::Reply;
use crate::{Case, refused, versions};

const DAY: Duration = Duration::from_hours(24);

/// Makes snapshot and timestamp state length and digest of what they name.
pub fn publish_with_hashes(case: &mut Case, roles: &[&str]) {
    for role in roles {
        case.author.publish(&[role]);
        if *role == "snapshot" {
            let targets = case.author.file("targets").to_vec();
            let pin = &mut case.author.edit("snapshot")["meta"]["targets.json"];
            pin["length"] = targets.len().into();
            pin["hashes"] = json!({ "sha256": sha256(&targets) });
            case.author.issue("snapshot");
        }
    }
}

#[test]
fn test_basic_refresh_requests() {
    let case = Case::new();
    case.refreshes();
    assert_eq!(
        case.asked(),
        [
            "2.root.json",
            "timestamp.json",
            "1.snapshot.json",
            "1.targets.json"
        ]
    );
}

#[test]
fn test_basic_refresh_trusted_data() {
    let case = Case::new();
    let kept = case.refreshes();
    assert_eq!(
        kept,
        versions(&[("root", 1), ("timestamp", 1), ("snapshot", 1), ("targets", 1)])
    );
    let state = chiron_state(&case.holder.state()).unwrap();
    for role in ["timestamp", "snapshot", "targets"] {
        let published = std::str::from_utf8(case.author.file(role)).unwrap();
        assert_eq!(state["metadata"][format!("{role}.json")], published);
    }
}

#[test]
fn test_implicit_refresh() {
    let case = Case::new();
    let run = case.download("nonexistent-artifact");
    refused(&run, Kind::Unlisted);
    assert_eq!(
        case.asked(),
        [
            "2.root.json",
            "timestamp.json",
            "1.snapshot.json",
            "1.targets.json"
        ]
    );
    assert_eq!(
        run.versions,
        versions(&[("root", 1), ("timestamp", 1), ("snapshot", 1), ("targets", 1)])
    );
}

/// Nothing is believed of a repository whose first root is none.
fn with_first_root(change: impl FnOnce(&mut Value), kind: Kind) {
    let author = Author::plain();
    let mut root: Value = serde_json::from_slice(author.file("root")).unwrap();
    change(&mut root);
    let case = Case::trusting(author, &serde_json::to_vec(&root).unwrap());
    assert_eq!(case.refuses(kind), versions(&[]));
    assert_eq!(case.asked(), [""; 0]);
}

#[test]
fn test_invalid_initial_root() {
    with_first_root(
        |root| {
            root["signed"].as_object_mut().unwrap().remove("version");
        },
        Kind::Malformed,
    );
}

#[test]
fn test_unsigned_initial_root() {
    with_first_root(
        |root| {
            let other = Key::ed25519().sign(&json!({ "of": "something else" }));
            root["signatures"][0]["sig"] = other.into();
        },
        Kind::Signature,
    );
}

#[test]
fn test_unsigned_metadata() {
    for (role, kept) in [
        ("root", versions(&[("root", 1)])),
        ("timestamp", versions(&[("root", 2)])),
        ("snapshot", versions(&[("root", 2), ("timestamp", 2)])),
        (
            "targets",
            versions(&[("root", 2), ("snapshot", 2), ("timestamp", 2)]),
        ),
    ] {
        let mut case = Case::new();
        case.author.signers.insert(role.to_owned(), vec![]);
        case.publish(&["root", "targets", "snapshot", "timestamp"]);
        assert_eq!(case.refuses(Kind::Signature), kept, "{role}");
    }
}

#[test]
fn test_url_and_metadata_version_mismatch() {
    for (role, kept) in [
        ("root", versions(&[("root", 1)])),
        ("snapshot", versions(&[("root", 2), ("timestamp", 2)])),
        (
            "targets",
            versions(&[("root", 2), ("snapshot", 2), ("timestamp", 2)]),
        ),
    ] {
        let mut case = Case::new();
        case.publish(&["root", "targets", "snapshot"]);
        case.author.edit(role)["version"] = 3.into();
        case.author.issue(role);
        let third = case.author.file(role).to_vec();
        case.author.site.remove(&address(role, 3));
        case.author.site.put(&address(role, 2), Reply::bytes(&third));
        case.publish(&["timestamp"]);
        if role == "snapshot" {
            // The bytes are those that the timestamp pins; only their version is not.
            case.author.edit("timestamp")["meta"]["snapshot.json"]["version"] = 2.into();
            case.author.issue("timestamp");
        }
        assert_eq!(case.refuses(Kind::Version), kept, "{role}");
    }
}

#[test]
fn test_timestamp_content_changes() {
    let mut case = Case::new();
    case.refreshes();
    case.asked();
    case.author.edit("timestamp")["meta"]["snapshot.json"]["version"] = 100.into();
    case.author.issue("timestamp");
    case.refreshes();
    assert_eq!(case.asked().last().unwrap(), "timestamp.json");
    let state = chiron_state(&case.holder.state()).unwrap();
    let kept: Value = serde_json::from_str(state["metadata"]["timestamp.json"].as_str().unwrap()).unwrap();
    assert_eq!(kept["signed"]["meta"]["snapshot.json"]["version"], 1);
}

#[test]
fn test_basic_metadata_hash_support() {
    let mut case = Case::new();
    publish_with_hashes(&mut case, &["targets", "snapshot", "timestamp"]);
    case.refreshes();
}

#[test]
fn test_targets_hash_mismatch() {
    let mut case = Case::new();
    publish_with_hashes(&mut case, &["targets", "snapshot", "timestamp"]);
    case.refreshes();
    publish_with_hashes(&mut case, &["targets", "snapshot"]);
    case.author.edit("snapshot")["meta"]["targets.json"]["hashes"]["sha256"] = "0".repeat(64).into();
    case.author.issue("snapshot");
    case.publish(&["timestamp"]);
    let kept = case.refuses(Kind::Integrity);
    assert_eq!((kept["snapshot"], kept["targets"]), (3, 2));
}

#[test]
fn test_snapshot_hash_mismatch() {
    let mut case = Case::new();
    publish_with_hashes(&mut case, &["snapshot", "timestamp"]);
    case.refreshes();
    case.publish(&["snapshot", "timestamp"]);
    case.author.edit("timestamp")["meta"]["snapshot.json"]["hashes"]["sha256"] = "0".repeat(64).into();
    case.author.issue("timestamp");
    let kept = case.refuses(Kind::Integrity);
    assert_eq!((kept["snapshot"], kept["timestamp"]), (2, 3));
}

#[test]
fn test_metadata_bytes_match() {
    let case = Case::new();
    let odd = [case.author.file("timestamp"), b" "].concat();
    case.author
        .site
        .put("/tuf/metadata/timestamp.json", Reply::bytes(&odd));
    case.refreshes();
    let state = chiron_state(&case.holder.state()).unwrap();
    assert_eq!(
        state["metadata"]["timestamp.json"],
        std::str::from_utf8(&odd).unwrap()
    );
}

/// Entrusts a role to one more key, whose object has a field that the specification does not know.
fn with_odd_key(case: &mut Case, role: &str, field: (&str, Value), only: bool) {
    let key = Key::ed25519();
    let mut object = key.object();
    object[field.0] = field.1;
    let id = sha256(&chiron_tuf::canonical(&object).unwrap());
    let root = case.author.edit("root");
    root["keys"][&id] = object;
    let keyids = root["roles"][role]["keyids"].as_array_mut().unwrap();
    if only {
        keyids.clear();
    }
    keyids.push(id.clone().into());
    case.publish(&["root"]);
    let mut keys = case.author.signers[role].clone();
    if only {
        keys.clear();
    }
    let signed = |case: &Case, role: &str| {
        let document = case.author.doc(role);
        let mut file = envelope(document, &keys);
        file["signatures"]
            .as_array_mut()
            .unwrap()
            .push(json!({ "keyid": id, "sig": key.sign(document) }));
        file
    };
    if role == "root" {
        let file = signed(case, "root");
        case.author.put("root", &file);
        return;
    }
    case.publish(&[role]);
    let file = signed(case, role);
    case.author.put(role, &file);
}

#[test]
fn test_custom_fields() {
    let mut case = Case::new();
    case.refreshes();
    let root = case.author.edit("root");
    root["custom-field"] = "value".into();
    root["roles"]["root"]["another-field"] = "value".into();
    with_odd_key(
        &mut case,
        "root",
        ("extra-field", json!({ "a": 1, "b": 2 })),
        false,
    );
    assert_eq!(case.refreshes()["root"], 2);
}

#[test]
fn test_deprecated_keyid_hash_algorithms() {
    let mut case = Case::new();
    with_odd_key(
        &mut case,
        "snapshot",
        ("keyid_hash_algorithms", json!("md5")),
        true,
    );
    case.publish(&["timestamp"]);
    let kept = case.refreshes();
    assert_eq!((kept["root"], kept["snapshot"]), (2, 2));
}

#[test]
fn test_snapshot_404() {
    let mut case = Case::new();
    case.refreshes();
    case.publish(&["timestamp"]);
    case.author.edit("timestamp")["meta"]["snapshot.json"] = json!({ "version": 2 });
    case.author.issue("timestamp");
    case.asked();
    let kept = case.refuses(Kind::Absent);
    assert_eq!(case.asked().last().unwrap(), "2.snapshot.json");
    assert_eq!(
        kept,
        versions(&[("root", 1), ("snapshot", 1), ("targets", 1), ("timestamp", 2)])
    );
}

#[test]
fn test_targets_404() {
    let mut case = Case::new();
    case.refreshes();
    case.publish(&["snapshot"]);
    case.author.edit("snapshot")["meta"]["targets.json"]["version"] = 2.into();
    case.author.issue("snapshot");
    case.publish(&["timestamp"]);
    case.asked();
    let kept = case.refuses(Kind::Absent);
    assert_eq!(case.asked().last().unwrap(), "2.targets.json");
    assert_eq!(
        kept,
        versions(&[("root", 1), ("snapshot", 2), ("targets", 1), ("timestamp", 2)])
    );
}

#[test]
fn test_timestamp_404() {
    let case = Case::new();
    case.refreshes();
    case.asked();
    case.author.site.remove("/tuf/metadata/timestamp.json");
    case.refuses(Kind::Absent);
    assert!(
        case.asked()
            .iter()
            .all(|name| name == "timestamp.json" || name == "2.root.json")
    );
}

#[test]
fn test_incorrect_metadata_type() {
    let mut case = Case::new();
    let shared = case.author.signers["timestamp"][0].clone();
    case.author.entrust("snapshot", &[shared], 1);
    case.publish(&["root"]);
    // In all but its type it is a timestamp.
    case.author.edit("snapshot")["version"] = 2.into();
    case.author.edit("snapshot")["meta"] = json!({ "snapshot.json": { "version": 1 } });
    case.author.issue("snapshot");
    let twin = case.author.file("snapshot").to_vec();
    case.author
        .site
        .put("/tuf/metadata/timestamp.json", Reply::bytes(&twin));
    let run = case.refresh();
    refused(&run, Kind::Malformed);
    assert_eq!(run.versions, versions(&[("root", 2)]));
}

/// The time is Chiron's `--at`, where the suite wraps a client in libfaketime.
#[test]
fn test_faketime() {
    let mut case = Case::new();
    case.author.edit("root")["version"] = 2.into();
    case.author.edit("root")["expires"] = in_(7 * DAY).into();
    case.author.issue("root");
    case.refreshes();
    case.holder.now_is(&in_(8 * DAY));
    case.refuses(Kind::Expired);
}
