//! One key, one vote. sigstore-tuf counts key ids, and takes whatever id the metadata files a key under; a key that is
//! filed under two ids would then meet a threshold of two alone (section 4.3: a key id stands for one key).

use std::collections::BTreeMap;

use serde::Deserialize;

use super::error::short;

#[derive(Deserialize)]
struct Document {
    signed: Signed,
}

#[derive(Deserialize)]
struct Signed {
    #[serde(default)]
    keys: BTreeMap<String, Key>,
    #[serde(default)]
    roles: BTreeMap<String, Role>,
    delegations: Option<Delegations>,
}

#[derive(Deserialize)]
struct Delegations {
    #[serde(default)]
    keys: BTreeMap<String, Key>,
    #[serde(default)]
    roles: Vec<Role>,
}

#[derive(Deserialize)]
struct Key {
    keyval: KeyValue,
}

#[derive(Deserialize)]
struct KeyValue {
    public: String,
}

#[derive(Deserialize)]
struct Role {
    #[serde(default)]
    name: String,
    #[serde(default)]
    keyids: Vec<String>,
}

/// Refuses metadata that gives one key two ids in one role. What is no metadata at all is for others to refuse.
pub(super) fn each_stands_once(bytes: &[u8]) -> Result<(), String> {
    let Ok(Document { signed }) = serde_json::from_slice(bytes) else {
        return Ok(());
    };
    for (name, role) in &signed.roles {
        once(name, role, &signed.keys)?;
    }
    if let Some(delegations) = &signed.delegations {
        for role in &delegations.roles {
            once(&role.name, role, &delegations.keys)?;
        }
    }
    Ok(())
}

fn once(name: &str, role: &Role, keys: &BTreeMap<String, Key>) -> Result<(), String> {
    let mut seen: BTreeMap<&str, &str> = BTreeMap::new();
    for id in &role.keyids {
        let Some(key) = keys.get(id) else { continue };
        let public = key.keyval.public.trim();
        if let Some(other) = seen.insert(public, id)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn root(second: &str) -> Vec<u8> {
        format!(
            r#"{{"signatures":[],"signed":{{"_type":"root","keys":{{"aaaaaaaaaa":{{"keyval":{{"public":"11"}}}},"bbbbbbbbbb":{{"keyval":{{"public":"{second}"}}}}}},
            "roles":{{"root":{{"keyids":["aaaaaaaaaa","bbbbbbbbbb"],"threshold":2}}}}}}}}"#
        )
        .into_bytes()
    }

    #[test]
    fn one_key_under_two_ids_is_refused() {
        assert_eq!(each_stands_once(&root("22")), Ok(()));
        let why = each_stands_once(&root("11")).err().unwrap_or_default();
        assert!(
            why.contains("aaaaaaaa") && why.contains("bbbbbbbb") && why.contains("root"),
            "{why}"
        );
        assert!(each_stands_once(&root(" 11\\n")).is_err());
    }

    #[test]
    fn in_delegations_too() {
        let text = br#"{"signed":{"delegations":{"keys":{"a":{"keyval":{"public":"1"}},"b":{"keyval":{"public":"1"}}},
            "roles":[{"name":"bins","keyids":["a","b"]}]}}}"#;
        assert!(each_stands_once(text).is_err());
    }

    #[test]
    fn what_is_no_metadata_is_for_others() {
        for bytes in [&b""[..], b"[]", b"{\"signed\":3}"] {
            assert_eq!(each_stands_once(bytes), Ok(()));
        }
    }
}
