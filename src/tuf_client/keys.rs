//! One key, one vote. sigstore-tuf counts key ids, and takes whatever id the metadata files a key under; a key that is
//! filed under two ids would then meet a threshold of two alone (section 4.3: a key id stands for one key).
//!
//! Keys are compared by what they are, not by how they are spelled: hexadecimal in capitals, PEM with other line breaks and
//! a compressed point are the same key again. Documents and keys are read by the very parsers that verify them, so that
//! nothing is a key to one and none to the other.

use std::collections::BTreeMap;

use serde_json::Value;
use sigstore_tuf::Key;

use super::error::short;

/// Refuses metadata that gives one key two ids in one role. What is no metadata at all is for others to refuse.
pub(super) fn each_stands_once(bytes: &[u8]) -> Result<(), String> {
    // As a value, where the last of two fields of one name counts: that is how the document is read when it is verified.
    let Ok(document) = serde_json::from_slice::<Value>(bytes) else {
        return Ok(());
    };
    let Some(signed) = document.get("signed") else {
        return Ok(());
    };
    if let Some(roles) = signed.get("roles").and_then(Value::as_object) {
        for (name, role) in roles {
            once(name, role, signed.get("keys"))?;
        }
    }
    let delegations = signed.get("delegations");
    let roles = delegations.and_then(|delegations| delegations.get("roles")?.as_array());
    for role in roles.into_iter().flatten() {
        let name = role.get("name").and_then(Value::as_str).unwrap_or_default();
        once(
            name,
            role,
            delegations.and_then(|delegations| delegations.get("keys")),
        )?;
    }
    Ok(())
}

fn once(name: &str, role: &Value, keys: Option<&Value>) -> Result<(), String> {
    let mut seen: BTreeMap<Vec<u8>, &str> = BTreeMap::new();
    let ids = role.get("keyids").and_then(Value::as_array);
    for id in ids.into_iter().flatten().filter_map(Value::as_str) {
        // A key that cannot be read cannot verify anything, and has no vote to give twice.
        let Some(key) = keys.and_then(|keys| keys.get(id)).and_then(public_bytes) else {
            continue;
        };
        if let Some(other) = seen.insert(key, id)
            && other != id
        {
            let name: String = name.chars().take(40).collect();
            return Err(format!(
                "the role {name:?} lists one key under two ids ({} and {}): it would count twice",
                short(other),
                short(id)
            ));
        }
    }
    Ok(())
}

/// The key itself: of a point on a curve its x, which all encodings of it share.
fn public_bytes(key: &Value) -> Option<Vec<u8>> {
    let key: Key = serde_json::from_value(key.clone()).ok()?;
    let key = key.verification_key().ok()?;
    let bytes = key.as_bytes();
    Some(match bytes {
        // SEC 1, section 2.3.3: compressed, uncompressed, hybrid.
        [2 | 3, x @ ..] if x.len() == 32 || x.len() == 48 => x.to_vec(),
        [4 | 6 | 7, xy @ ..] if xy.len() == 64 || xy.len() == 96 => xy[..xy.len() / 2].to_vec(),
        other => other.to_vec(),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use chiron_tuf::{LocalKey, Scheme, Signer as _};
    use serde_json::json;

    use super::*;

    fn root(first: &Value, second: &Value, more: Option<Value>) -> Vec<u8> {
        let mut keys = json!({ "aaaaaaaaaa": first, "bbbbbbbbbb": second });
        if let Some(more) = more {
            keys["cccccccccc"] = more;
        }
        let role = json!({ "keyids": ["aaaaaaaaaa", "bbbbbbbbbb", "cccccccccc"], "threshold": 2 });
        serde_json::to_vec(&json!({ "signatures": [], "signed": { "_type": "root", "keys": keys, "roles": { "root": role } } })).unwrap()
    }

    fn key(scheme: Scheme) -> Value {
        serde_json::to_value(LocalKey::generate(scheme).unwrap().public()).unwrap()
    }

    fn spelled(key: &Value, how: impl Fn(&str) -> String) -> Value {
        let mut again = key.clone();
        again["keyval"]["public"] = Value::from(how(key["keyval"]["public"].as_str().unwrap()));
        again
    }

    #[test]
    fn one_key_under_two_ids_is_refused() {
        let ed25519 = key(Scheme::Ed25519);
        assert_eq!(
            each_stands_once(&root(&ed25519, &key(Scheme::Ed25519), None)),
            Ok(())
        );
        let why = each_stands_once(&root(&ed25519, &ed25519, None)).err().unwrap();
        assert!(
            why.contains("aaaaaaaa") && why.contains("bbbbbbbb") && why.contains("root"),
            "{why}"
        );
    }

    #[test]
    fn another_spelling_is_no_other_key() {
        let ed25519 = key(Scheme::Ed25519);
        let capitals = spelled(&ed25519, str::to_uppercase);
        assert!(each_stands_once(&root(&ed25519, &capitals, None)).is_err());
        let p256 = key(Scheme::EcdsaP256);
        for again in [
            spelled(&p256, |pem| format!("\n{pem}\n\n")),
            spelled(&p256, |pem| {
                let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
                let (front, back) = body.split_at(10);
                format!("-----BEGIN PUBLIC KEY-----\n{front}\n{back}\n-----END PUBLIC KEY-----\n")
            }),
        ] {
            // What the verifier cannot read has no vote either.
            if public_bytes(&again).is_some() {
                assert!(each_stands_once(&root(&p256, &again, None)).is_err(), "{again}");
            }
        }
        assert!(each_stands_once(&root(&p256, &spelled(&p256, |pem| format!("\n{pem}\n\n")), None)).is_err());
    }

    #[test]
    fn an_odd_key_beside_them_hides_nothing() {
        let ed25519 = key(Scheme::Ed25519);
        for odd in [
            json!({ "keytype": "new", "scheme": "new", "keyval": {} }),
            json!(5),
            json!(null),
        ] {
            assert!(each_stands_once(&root(&ed25519, &ed25519, Some(odd))).is_err());
        }
        let mut document: Value = serde_json::from_slice(&root(&ed25519, &ed25519, None)).unwrap();
        document["signed"]["roles"]["odd"] = json!({ "keyids": "none" });
        assert!(each_stands_once(document.to_string().as_bytes()).is_err());
        // Of two fields of one name the last counts, here as in the verifier.
        let text = document
            .to_string()
            .replacen("{\"signatures\"", "{\"signed\":{},\"signatures\"", 1);
        assert!(each_stands_once(text.as_bytes()).is_err());
    }

    #[test]
    fn in_delegations_too() {
        let ed25519 = key(Scheme::Ed25519);
        let text = json!({ "signed": { "keys": 5, "delegations": {
            "keys": { "a": ed25519, "b": ed25519 },
            "roles": [5, { "name": "other", "keyids": ["a"] }, { "name": "bins", "keyids": ["a", "b"] }],
        }}});
        assert!(each_stands_once(text.to_string().as_bytes()).is_err());
    }

    #[test]
    fn what_is_no_metadata_is_for_others() {
        for bytes in [&b""[..], b"[]", b"{\"signed\":3}", b"{}"] {
            assert_eq!(each_stands_once(bytes), Ok(()));
        }
    }
}
