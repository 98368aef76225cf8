#![allow(clippy::unwrap_used)]

use chiron_storage::Digest;
use serde_json::json;

use super::*;

fn proved(n: u64, event: Value) -> Proved {
    Proved {
        n,
        size: 10,
        says: serde_json::from_value(event.clone()).unwrap(),
        event,
    }
}

/// A file of these bytes, and an event about it.
fn file_and(folder: &Path, bytes: &[u8], kind: &str) -> (PathBuf, Value) {
    let path = folder.join("demo-1.0.zip");
    std::fs::write(&path, bytes).unwrap();
    let event = json!({
        "schema": "chiron.event/v1", "at": "2026-11-20T10:00:00Z", "type": kind,
        "filename": "demo-1.0.zip", "sha256": Digest::of(bytes).to_string(),
    });
    (path, event)
}

#[test]
fn a_file_at_hand_must_be_admitted_by_what_was_proved() {
    let folder = tempfile::tempdir().unwrap();
    let (path, admitted) = file_and(folder.path(), b"wheel", "admitted");
    let given = std::slice::from_ref(&path);
    let found = files(given, &[proved(3, admitted.clone())]).unwrap();
    assert_eq!(
        (found[0].event, found[0].sha256.as_str()),
        (3, admitted["sha256"].as_str().unwrap())
    );

    for kind in ["refused", "quarantined", "revoked", "waived", "something-new"] {
        let mut event = admitted.clone();
        event["type"] = kind.into();
        let failure = files(given, &[proved(3, event.clone())]).unwrap_err();
        assert_eq!(failure.status, ExitStatus::NotAdmitted, "{kind}");
        assert!(failure.what.contains(kind), "{failure}");
        // The newest word counts, however many are proved.
        assert!(files(given, &[proved(3, admitted.clone()), proved(4, event.clone())]).is_err());
        assert!(files(given, &[proved(4, admitted.clone()), proved(3, event)]).is_ok());
    }

    std::fs::write(&path, b"another wheel of the same name").unwrap();
    let failure = files(given, &[proved(3, admitted)]).unwrap_err();
    assert_eq!(failure.status, ExitStatus::NotAdmitted);
}

#[test]
fn an_event_is_told_in_a_line() {
    let event = json!({
        "at": "2026-11-20T10:00:00Z", "type": "revoked", "filename": "demo-1.0.zip", "sha256": "ab", "reason": "malware",
    });
    assert_eq!(
        proved(0, event).says.line(),
        "revoked at 2026-11-20T10:00:00Z: demo-1.0.zip, sha256:ab (malware)"
    );
    let event = json!({"at": "2026-11-20T10:00:00Z", "type": "policy-changed", "profile": "strict"});
    assert_eq!(
        proved(0, event).says.line(),
        "policy-changed at 2026-11-20T10:00:00Z"
    );
}
