//! `test_keys.py`: thresholds, duplicates, kinds of keys.

use serde_json::{Value, json};

use crate::Case;
use crate::tuf_clients::Kind;
use crate::tuf_repo::Key;

#[test]
fn test_snapshot_does_not_meet_threshold() {
    let mut case = Case::new();
    let keys = [Key::ed25519(), Key::ed25519(), Key::p256()];
    case.author.entrust("snapshot", &keys, 3);
    case.publish(&["root", "targets", "snapshot", "timestamp"]);
    assert_eq!(case.refreshes()["snapshot"], 2);
    case.author
        .signers
        .insert("snapshot".to_owned(), keys[..2].to_vec());
    case.publish(&["targets", "snapshot", "timestamp"]);
    assert_eq!(case.refuses(Kind::Signature)["snapshot"], 2);
}

#[test]
fn test_snapshot_has_too_few_keys() {
    let mut case = Case::new();
    let keys: Vec<Key> = (0..5).map(|_| Key::ed25519()).collect();
    case.author.entrust("snapshot", &keys, 6);
    case.publish(&["root", "snapshot", "timestamp"]);
    let run = case.refresh();
    assert!(run.result.is_err());
    assert_eq!(run.versions.get("snapshot"), None);
}

#[test]
fn test_duplicate_keys() {
    let mut case = Case::new();
    let key = Key::ed25519();
    let mut keys = vec![key.clone(); 9];
    keys.extend(case.author.signers["snapshot"].clone());
    case.author.entrust("snapshot", &keys, 6);
    case.author.signers.insert("snapshot".to_owned(), vec![key]);
    case.publish(&["root", "snapshot", "timestamp"]);
    case.author.forge("snapshot", |file| {
        let signature = file["signatures"][0].clone();
        file["signatures"] = vec![signature; 9].into();
    });
    let run = case.refresh();
    assert!(run.result.is_err());
    assert_eq!(run.versions.get("snapshot"), None);
}

#[test]
fn test_duplicate_sig_keyids() {
    let mut case = Case::new();
    case.author.forge("snapshot", |file| {
        let signature = file["signatures"][0].clone();
        file["signatures"].as_array_mut().unwrap().push(signature);
    });
    assert_eq!(case.refuses(Kind::Signature).get("snapshot"), None);
}

/// RSA, Ed25519 and ECDSA on P-256 in the suite. Chiron's author signs with the last two; its client reads RSA keys too, of
/// other repositories, which no key of ours can show: that case is the library's (sigstore-tuf runs the suite itself).
#[test]
fn test_keytype_and_scheme() {
    for key in [Key::p256(), Key::ed25519()] {
        let mut case = Case::new();
        let keys = [case.author.signers["root"][0].clone(), key.clone()];
        case.author.entrust("root", &keys, 2);
        case.publish(&["root"]);
        assert_eq!(case.refreshes()["root"], 2);
        case.author.signers.insert("root".to_owned(), keys.to_vec());
        case.publish(&["root"]);
        case.author.forge("root", |file| {
            let wrong = key.sign(&json!({ "of": "something else" }));
            let signatures = file["signatures"].as_array_mut().unwrap();
            let ours = signatures
                .iter_mut()
                .find(|signature| signature["keyid"] == key.id())
                .unwrap();
            ours["sig"] = wrong.into();
        });
        assert_eq!(case.refuses(Kind::Signature)["root"], 2);
    }
}

#[test]
fn test_invalid_sig_in_valid_metadata() {
    let mut case = Case::new();
    let old = case.author.signers["timestamp"][0].clone();
    let keys = [old.clone(), Key::ed25519()];
    case.author.entrust("timestamp", &keys, 1);
    case.publish(&["root"]);
    let stale = old.signature(case.author.doc("timestamp"));
    for signature in [stale["sig"].clone(), Value::from("")] {
        case.publish(&["timestamp"]);
        case.author
            .forge("timestamp", |file| file["signatures"][0]["sig"] = signature);
        case.refreshes();
    }
}
