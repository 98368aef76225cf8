//! A repository author that can also write what is wrong.
//!
//! It is independent of the daemon's own: documents are JSON that a test may change at will, and every step that an
//! honest author takes (new version, new expiry, snapshot and timestamp that fit) can be left out or done differently.
//! Only keys, signatures and the canonical form come from `chiron-tuf`. What it writes honestly has Chiron's shape:
//! root, targets with the delegations `trust` and `bins`, sixteen bins, snapshot, timestamp.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Value, json};

#[path = "tuf_key.rs"]
mod key;

#[allow(unused_imports, reason = "each test uses some of them")]
pub use key::{Key, ago, envelope, in_, sha256};

use crate::tuf_server::{Reply, Site};

/// How long what an honest author signs holds.
const VALID_FOR: Duration = Duration::from_hours(24 * 30);

/// Roles that the root names, in the order in which an author writes them.
const TOP_LEVEL: [&str; 4] = ["root", "targets", "snapshot", "timestamp"];

fn role_keys(keys: &[Key], threshold: u64) -> Value {
    json!({ "keyids": keys.iter().map(Key::id).collect::<Vec<_>>(), "threshold": threshold })
}

fn key_objects(keys: &[Key]) -> serde_json::Map<String, Value> {
    keys.iter().map(|key| (key.id(), key.object())).collect()
}

/// The signed part of a role before its first version.
fn document(kind: &str, more: &Value) -> Value {
    let mut document = json!({ "_type": kind, "spec_version": "1.0.31", "version": 0, "expires": "" });
    document
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    document
}

/// The bin that a target path belongs to.
pub fn bin_of(path: &str) -> String {
    format!("bin-0{}", &sha256(path.as_bytes())[..1])
}

/// The author.
pub struct Author {
    pub site: Site,
    /// Who signs a role's next version. Changing this alone does not change who may.
    pub signers: BTreeMap<String, Vec<Key>>,
    docs: BTreeMap<String, Value>,
    /// The newest bytes of each role.
    files: BTreeMap<String, Vec<u8>>,
    /// Roles that were changed and not yet published.
    changed: BTreeSet<String>,
    /// Roles that have a version out.
    out: BTreeSet<String>,
}

impl Author {
    /// An honest repository with one key for each of root, targets, trust, bins, online (snapshot and every bin) and
    /// timestamp, published, with no target.
    pub fn new() -> Self {
        let online = Key::ed25519();
        let mut signers = BTreeMap::new();
        for role in ["root", "targets", "trust", "bins", "timestamp"] {
            signers.insert(role.to_owned(), vec![Key::ed25519()]);
        }
        signers.insert("snapshot".to_owned(), vec![online.clone()]);
        let bins: Vec<String> = (0..16).map(|number| format!("bin-{number:02x}")).collect();
        for bin in &bins {
            signers.insert(bin.clone(), vec![online.clone()]);
        }
        let mut author = Self {
            site: Site::default(),
            signers,
            docs: BTreeMap::new(),
            files: BTreeMap::new(),
            changed: BTreeSet::new(),
            out: BTreeSet::new(),
        };
        author.write_first(&bins);
        let all: Vec<String> = author.docs.keys().cloned().collect();
        author.publish(&all.iter().map(String::as_str).collect::<Vec<_>>());
        author
    }

    /// An honest repository of the four top-level roles with a key each, published, with no target.
    pub fn plain() -> Self {
        let signers = TOP_LEVEL.map(|role| (role.to_owned(), vec![Key::ed25519()]));
        let mut author = Self {
            site: Site::default(),
            signers: signers.into(),
            docs: BTreeMap::new(),
            files: BTreeMap::new(),
            changed: BTreeSet::new(),
            out: BTreeSet::new(),
        };
        author.write_top_level();
        author.publish(&TOP_LEVEL);
        author
    }

    fn write_top_level(&mut self) {
        let mut roles = serde_json::Map::new();
        let mut keys = serde_json::Map::new();
        for role in TOP_LEVEL {
            roles.insert(role.to_owned(), role_keys(&self.signers[role], 1));
            keys.extend(key_objects(&self.signers[role]));
        }
        let root = json!({ "consistent_snapshot": true, "keys": keys, "roles": roles });
        self.docs.insert("root".to_owned(), document("root", &root));
        self.docs.insert(
            "targets".to_owned(),
            document("targets", &json!({ "targets": {} })),
        );
        for role in ["snapshot", "timestamp"] {
            self.docs
                .insert(role.to_owned(), document(role, &json!({ "meta": {} })));
        }
    }

    fn write_first(&mut self, bins: &[String]) {
        self.write_top_level();
        for role in bins.iter().map(String::as_str).chain(["trust", "bins"]) {
            self.docs
                .insert(role.to_owned(), document("targets", &json!({ "targets": {} })));
        }
        self.delegate(
            "targets",
            "trust",
            &json!({ "terminating": true, "paths": ["trust/*"] }),
        );
        self.delegate(
            "targets",
            "bins",
            &json!({ "terminating": true, "paths": ["*", "*/*", "*/*/*", "*/*/*/*"] }),
        );
        for (number, bin) in bins.iter().enumerate() {
            self.delegate(
                "bins",
                bin,
                &json!({ "terminating": true, "path_hash_prefixes": [format!("{number:x}")] }),
            );
        }
    }

    /// Makes `delegator` hand what `what` says (`terminating`, and `paths` or `path_hash_prefixes`) to `role`.
    pub fn delegate(&mut self, delegator: &str, role: &str, what: &Value) {
        let keys = self.signers[role].clone();
        let mut entry = role_keys(&keys, 1);
        let fields = entry.as_object_mut().unwrap();
        fields.insert("name".to_owned(), role.into());
        fields.extend(what.as_object().unwrap().clone());
        let delegations = &mut self.edit(delegator)["delegations"];
        if delegations.is_null() {
            *delegations = json!({ "keys": {}, "roles": [] });
        }
        delegations["keys"]
            .as_object_mut()
            .unwrap()
            .extend(key_objects(&keys));
        delegations["roles"].as_array_mut().unwrap().push(entry);
    }

    /// A further targets role, delegated by `delegator`, with a key of its own. Neither is published.
    pub fn add_role(&mut self, delegator: &str, role: &str, what: &Value) {
        if !self.docs.contains_key(role) {
            self.signers.insert(role.to_owned(), vec![Key::ed25519()]);
            self.docs
                .insert(role.to_owned(), document("targets", &json!({ "targets": {} })));
            self.changed.insert(role.to_owned());
        }
        self.delegate(delegator, role, what);
    }

    /// The signed part of a role's newest version, as it is now.
    pub fn doc(&self, role: &str) -> &Value {
        &self.docs[role]
    }

    /// The signed part of a role's next version, to be changed.
    pub fn edit(&mut self, role: &str) -> &mut Value {
        self.changed.insert(role.to_owned());
        self.docs.get_mut(role).expect("the role exists")
    }

    /// The bytes of a role's newest version.
    pub fn file(&self, role: &str) -> &[u8] {
        &self.files[role]
    }

    pub fn version(&self, role: &str) -> u64 {
        self.docs[role]["version"].as_u64().unwrap()
    }

    /// Entrusts a role to other keys, which also sign it from now on. Its delegator (or the root) is changed, not
    /// published. The root itself stays signed by the old keys too, as TUF wants it.
    pub fn entrust(&mut self, role: &str, keys: &[Key], threshold: u64) {
        let new = role_keys(keys, threshold);
        if TOP_LEVEL.contains(&role) {
            let root = self.edit("root");
            root["keys"].as_object_mut().unwrap().extend(key_objects(keys));
            root["roles"][role] = new;
        } else {
            let delegator = if role.starts_with("bin-") {
                "bins"
            } else {
                "targets"
            };
            let delegations = &mut self.edit(delegator)["delegations"];
            delegations["keys"]
                .as_object_mut()
                .unwrap()
                .extend(key_objects(keys));
            let entries = delegations["roles"].as_array_mut().unwrap();
            let entry = entries
                .iter_mut()
                .find(|entry| entry["name"] == role)
                .expect("the role is delegated");
            entry
                .as_object_mut()
                .unwrap()
                .extend(new.as_object().unwrap().clone());
        }
        let mut signers = keys.to_vec();
        if role == "root" {
            let old = self.signers["root"]
                .iter()
                .filter(|old| keys.iter().all(|key| key.id() != old.id()));
            signers.extend(old.cloned());
        }
        self.signers.insert(role.to_owned(), signers);
    }

    /// Adds a target to the role that is responsible for it, with its content in both consistent shapes.
    pub fn add_target(&mut self, path: &str, bytes: &[u8]) {
        let role = if path.starts_with("trust/") {
            "trust".to_owned()
        } else {
            bin_of(path)
        };
        self.add_target_to(&role, path, bytes);
    }

    /// Adds a target to a role, whether or not it is responsible for it.
    pub fn add_target_to(&mut self, role: &str, path: &str, bytes: &[u8]) {
        let digest = sha256(bytes);
        self.edit(role)["targets"][path] = json!({ "length": bytes.len(), "hashes": { "sha256": digest } });
        self.put_target(path, &digest, &Reply::bytes(bytes));
    }

    /// Says something where the target with this path and digest is looked for.
    pub fn put_target(&self, path: &str, digest: &str, reply: &Reply) {
        for at in target_addresses(path, digest) {
            self.site.put(&at, reply.clone());
        }
    }

    /// Publishes what has changed, then a snapshot and a timestamp that fit.
    pub fn release(&mut self) {
        let mut roles: Vec<String> = self.changed.iter().cloned().collect();
        roles.extend(["snapshot".to_owned(), "timestamp".to_owned()]);
        self.publish(&roles.iter().map(String::as_str).collect::<Vec<_>>());
    }

    /// Publishes new versions of these roles, and of no others: a snapshot that fits is one of them or does not come.
    pub fn publish(&mut self, roles: &[&str]) {
        let rank = |role: &str| match role {
            "root" => 0,
            "targets" => 1,
            "snapshot" => 3,
            "timestamp" => 4,
            _ => 2,
        };
        let mut roles = roles.to_vec();
        roles.sort_by_key(|role| rank(role));
        roles.dedup();
        for role in roles {
            if role == "snapshot" || role == "timestamp" {
                self.fit(role);
            }
            let next = self.version(role) + 1;
            let document = self.edit(role);
            document["version"] = next.into();
            document["expires"] = in_(VALID_FOR).into();
            self.issue(role);
        }
    }

    /// Makes the snapshot name the newest version of each targets role, or the timestamp the newest snapshot.
    pub fn fit(&mut self, role: &str) {
        let meta: serde_json::Map<String, Value> = if role == "snapshot" {
            let targets = self
                .docs
                .iter()
                .filter(|(_, document)| document["_type"] == "targets");
            targets
                .filter(|(role, _)| self.out.contains(*role))
                .map(|(role, document)| (format!("{role}.json"), json!({ "version": document["version"] })))
                .collect()
        } else {
            let bytes = self.file("snapshot");
            let pin = json!({ "version": self.version("snapshot"), "length": bytes.len(), "hashes": { "sha256": sha256(bytes) } });
            [("snapshot.json".to_owned(), pin)].into_iter().collect()
        };
        self.edit(role)["meta"] = meta.into();
    }

    /// Signs a role's document as it stands and puts it where its version belongs.
    pub fn issue(&mut self, role: &str) {
        let envelope = envelope(&self.docs[role], &self.signers[role]);
        self.put(role, &envelope);
    }

    /// Puts metadata where the version that it states belongs.
    pub fn put(&mut self, role: &str, envelope: &Value) {
        // Not the canonical form: its strings keep line feeds, which JSON does not allow.
        let bytes = serde_json::to_vec(envelope).unwrap();
        self.site.put(
            &address(role, envelope["signed"]["version"].as_u64().unwrap()),
            Reply::bytes(&bytes),
        );
        self.files.insert(role.to_owned(), bytes);
        self.changed.remove(role);
        self.out.insert(role.to_owned());
    }

    /// Changes a role's published file, and makes what pins its bytes fit again when the timestamp's key is at hand:
    /// what is left to refuse is what was changed.
    pub fn forge(&mut self, role: &str, change: impl FnOnce(&mut Value)) {
        let mut envelope: Value = serde_json::from_slice(self.file(role)).unwrap();
        change(&mut envelope);
        self.put(role, &envelope);
        if role == "snapshot" {
            self.publish(&["timestamp"]);
        }
    }
}

/// Where a role's version is, as asked for.
pub fn address(role: &str, version: u64) -> String {
    let role: String = role
        .bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        })
        .collect();
    if role == "timestamp" {
        "/tuf/metadata/timestamp.json".to_owned()
    } else {
        format!("/tuf/metadata/{version}.{role}.json")
    }
}

/// Both addresses of a target under consistent snapshots: `dir/DIGEST.name` and `DIGEST.dir/name`.
pub fn target_addresses(path: &str, digest: &str) -> [String; 2] {
    let file = match path.rsplit_once('/') {
        Some((folder, name)) => format!("{folder}/{digest}.{name}"),
        None => format!("{digest}.{path}"),
    };
    [
        format!("/tuf/targets/{file}"),
        format!("/tuf/targets/{digest}.{path}"),
    ]
}
