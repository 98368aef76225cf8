//! A stand-in for HashiCorp Vault with a transit engine at `transit/`, in the root namespace or in another.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::{Fault, Key, Reply, Request, Server, Shared};

/// The token that may do everything here.
pub const TOKEN: &str = "hvs.CAESIJbl4SdHYbLWnQkdeVdeMnBF";

/// One named key.
struct Named {
    kind: &'static str,
    versions: Vec<Key>,
    /// The oldest version that may sign.
    minimum: usize,
}

/// The stand-in.
pub struct Vault {
    pub server: Server,
    keys: Arc<Mutex<BTreeMap<String, Named>>>,
    token: Arc<Mutex<String>>,
}

impl Vault {
    pub fn start() -> Self {
        Self::in_namespace("")
    }

    pub fn in_namespace(namespace: &'static str) -> Self {
        let keys = Arc::<Mutex<BTreeMap<String, Named>>>::default();
        let token = Arc::new(Mutex::new(TOKEN.to_owned()));
        let (mine, believed) = (Arc::clone(&keys), Arc::clone(&token));
        let server = Server::start(move |request, shared| {
            let believed = believed.lock().unwrap().clone();
            let mut keys = mine.lock().unwrap();
            answer(request, shared, namespace, &believed, &mut keys)
        });
        Self { server, keys, token }
    }

    /// Believes another token from now on.
    pub fn believe(&self, token: &str) {
        token.clone_into(&mut self.token.lock().unwrap());
    }

    /// Makes a key by hand, as an administrator would.
    pub fn add(&self, name: &str, kind: &'static str) {
        self.keys.lock().unwrap().insert(
            name.to_owned(),
            Named {
                kind,
                versions: vec![new(kind)],
                minimum: 1,
            },
        );
    }

    /// `vault write -f transit/keys/NAME/rotate`.
    pub fn rotate(&self, name: &str) {
        let mut keys = self.keys.lock().unwrap();
        let named = keys.get_mut(name).unwrap();
        let key = new(named.kind);
        named.versions.push(key);
    }

    /// Lets only versions from `minimum` on sign.
    pub fn set_minimum(&self, name: &str, minimum: usize) {
        self.keys.lock().unwrap().get_mut(name).unwrap().minimum = minimum;
    }
}

fn new(kind: &str) -> Key {
    if kind == "ecdsa-p256" {
        Key::p256()
    } else {
        Key::ed25519()
    }
}

fn errors(status: u16, words: &[&str]) -> Reply {
    Reply::json(status, &json!({"errors": words}))
}

fn answer(
    request: &Request,
    shared: &Shared,
    namespace: &str,
    token: &str,
    keys: &mut BTreeMap<String, Named>,
) -> Reply {
    if request.header("x-vault-request") != "true" {
        return errors(412, &["missing 'X-Vault-Request' header"]);
    }
    // Vault does not tell a wrong token from a wrong namespace.
    if request.header("x-vault-token") != token || request.header("x-vault-namespace") != namespace {
        return errors(403, &["permission denied"]);
    }
    let Some(rest) = request.path().strip_prefix("/v1/transit/") else {
        let path = request.path().trim_start_matches("/v1/");
        let words = format!("no handler for route \"{path}\". route entry not found.");
        return errors(404, &[&words]);
    };
    match (request.method.as_str(), rest.split_once('/')) {
        ("GET", Some(("keys", name))) => match keys.get(name) {
            Some(named) => described(name, named),
            None => errors(404, &[]),
        },
        ("POST" | "PUT", Some(("keys", name))) => {
            let body = request.json();
            let kind = match body["type"].as_str() {
                Some("ed25519") => "ed25519",
                Some("ecdsa-p256") => "ecdsa-p256",
                _ => return errors(400, &["unknown key type"]),
            };
            // As the real one: a name that is taken keeps its key, and nothing says so.
            keys.entry(name.to_owned()).or_insert_with(|| Named {
                kind,
                versions: vec![new(kind)],
                minimum: 1,
            });
            Reply::text(204, "")
        }
        ("POST" | "PUT", Some(("sign", name))) => match keys.get(name) {
            Some(named) => signed(named, &request.json(), shared.fault()),
            None => errors(400, &["signing key not found"]),
        },
        _ => errors(405, &["unsupported operation"]),
    }
}

fn described(name: &str, named: &Named) -> Reply {
    let mut versions = serde_json::Map::new();
    for (index, key) in named.versions.iter().enumerate() {
        let version = if named.kind == "aes256-gcm96" {
            json!(1_700_000_000)
        } else {
            let public = match key {
                Key::Ed25519(_) => STANDARD.encode(key.raw()),
                Key::P256(_) => pem(&key.spki()),
            };
            json!({"creation_time": "2026-01-02T03:04:05Z", "name": named.kind, "public_key": public})
        };
        versions.insert((index + 1).to_string(), version);
    }
    let data = json!({
        "allow_plaintext_backup": false, "deletion_allowed": false, "derived": false, "exportable": false,
        "keys": versions, "latest_version": named.versions.len(), "min_available_version": 0,
        "min_decryption_version": 1, "min_encryption_version": named.minimum, "name": name,
        "supports_decryption": false, "supports_derivation": named.kind == "ed25519",
        "supports_encryption": false, "supports_signing": true, "type": named.kind,
    });
    let answer = json!({
        "request_id": "1b2c", "lease_id": "", "renewable": false, "lease_duration": 0, "data": data,
        "wrap_info": null, "warnings": null, "auth": null, "mount_type": "transit",
    });
    Reply::json(200, &answer)
}

fn signed(named: &Named, body: &Value, fault: Fault) -> Reply {
    let version = match body["key_version"].as_u64() {
        None | Some(0) => named.versions.len(),
        Some(version) => usize::try_from(version).unwrap(),
    };
    let Some(key) = version.checked_sub(1).and_then(|index| named.versions.get(index)) else {
        return errors(
            400,
            &["requested version for signing is higher than the latest key version"],
        );
    };
    if version < named.minimum {
        return errors(
            400,
            &["requested version for signing is less than the minimum encryption key version"],
        );
    }
    let Some(input) = body["input"].as_str().and_then(|text| STANDARD.decode(text).ok()) else {
        return errors(400, &["unable to decode input as base64"]);
    };
    let prehashed = body["prehashed"] == true;
    if prehashed && body["hash_algorithm"] != "sha2-256" {
        return errors(400, &["unsupported hash algorithm"]);
    }
    if !matches!(body["marshaling_algorithm"].as_str(), None | Some("asn1" | "jws")) {
        return errors(400, &["unsupported marshaling algorithm"]);
    }
    match key.signature(&input, prehashed, fault) {
        None => errors(
            400,
            &["the input is no digest of this algorithm, or the key signs none"],
        ),
        Some(signature) => {
            let text = format!("vault:v{version}:{}", STANDARD.encode(signature));
            Reply::json(200, &json!({"data": {"signature": text, "key_version": version}}))
        }
    }
}

fn pem(spki: &[u8]) -> String {
    let encoded = STANDARD.encode(spki);
    let (first, rest) = encoded.split_at(64);
    format!("-----BEGIN PUBLIC KEY-----\n{first}\n{rest}\n-----END PUBLIC KEY-----\n")
}
