//! Somebody with private keys of a daemon's, and a mirror to which clients are led.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::support::daemon::Daemon;
use crate::tuf_mirror::{Published, copy};
use crate::tuf_repo::{Key, address, envelope, in_, sha256, target_addresses};
use crate::tuf_server::{Reply, TufServer};

/// The greatest version that every client reads.
const LAST: u64 = (1 << 53) - 1;

/// The thief, his keys, his repository.
pub struct Thief<'a> {
    daemon: &'a Daemon,
    keys: BTreeMap<String, Key>,
    server: TufServer,
    docs: BTreeMap<String, Value>,
    files: BTreeMap<String, Vec<u8>>,
    /// Keys that a role has in the thief's own delegations.
    own: BTreeMap<String, Key>,
    shows_new_roots: bool,
}

impl<'a> Thief<'a> {
    /// One who has the private keys with these labels.
    pub fn with(daemon: &'a Daemon, labels: &[&str]) -> Self {
        let folder = daemon.data_dir().join("keys/tuf");
        let passphrase =
            std::fs::read(folder.join("passphrase")).expect("a development setup keeps it beside the keys");
        let key = |label: &&str| {
            let pem = std::fs::read_to_string(folder.join(format!("{label}.pem"))).unwrap();
            (
                (*label).to_owned(),
                Key::from_encrypted_pem(&pem, passphrase.trim_ascii()),
            )
        };
        Self {
            daemon,
            keys: labels.iter().map(key).collect(),
            server: TufServer::start(crate::tuf_server::Site::default()),
            docs: BTreeMap::new(),
            files: BTreeMap::new(),
            own: BTreeMap::new(),
            shows_new_roots: false,
        }
    }

    pub fn base(&self) -> String {
        self.server.base()
    }

    pub fn key_id(&self, label: &str) -> String {
        self.keys[label].id()
    }

    /// Begins with what the daemon has published now, with the content of `targets`.
    pub fn copy(&mut self, targets: &[&str]) {
        let site = copy(self.daemon, targets);
        self.server.site.replay(&site.record());
        let published = Published::by(self.daemon);
        self.docs = published
            .files
            .keys()
            .map(|role| (role.clone(), published.doc(role)))
            .collect();
        self.files = published.files;
    }

    /// Which stolen key signs a role.
    fn signer(&self, role: &str) -> Key {
        if let Some(own) = self.own.get(role) {
            return own.clone();
        }
        let label = if role == "snapshot" || role.starts_with("bin-") {
            "online"
        } else {
            role
        };
        self.keys
            .get(label)
            .unwrap_or_else(|| panic!("the thief has no key for {role}"))
            .clone()
    }

    /// A role's next version, fitting what is below it.
    pub fn publish(&mut self, roles: &[&str]) {
        for role in roles {
            let next = self.docs[*role]["version"].as_u64().unwrap() + 1;
            self.issue(role, next);
        }
    }

    /// The role's version becomes the last that there is; what names it fits, where the thief can sign that.
    pub fn push(&mut self, role: &str) {
        self.issue(role, LAST);
        if role == "timestamp" || !self.keys.contains_key("timestamp") {
            return;
        }
        if role != "snapshot" && self.docs["snapshot"]["version"] != LAST {
            self.publish(&["snapshot"]);
        }
        if self.docs["timestamp"]["version"] != LAST {
            self.publish(&["timestamp"]);
        }
    }

    fn issue(&mut self, role: &str, version: u64) {
        match role {
            "snapshot" => {
                let versions: Vec<(String, Value)> = self
                    .docs
                    .iter()
                    .filter(|(_, document)| document["_type"] == "targets")
                    .map(|(role, document)| (format!("{role}.json"), document["version"].clone()))
                    .collect();
                for (name, version) in versions {
                    let bytes = &self.files[name.trim_end_matches(".json")];
                    let pin = &mut self.docs.get_mut("snapshot").unwrap()["meta"][&name];
                    pin["version"] = version;
                    if pin.get("length").is_some() {
                        pin["length"] = bytes.len().into();
                        pin["hashes"]["sha256"] = sha256(bytes).into();
                    }
                }
            }
            "timestamp" => {
                let snapshot = &self.files["snapshot"];
                let version = self.docs["snapshot"]["version"].clone();
                let pin = serde_json::json!({
                    "version": version, "length": snapshot.len(), "hashes": { "sha256": sha256(snapshot) },
                });
                self.docs.get_mut("timestamp").unwrap()["meta"]["snapshot.json"] = pin;
            }
            _ => {}
        }
        let key = self.signer(role);
        let document = self.docs.get_mut(role).unwrap();
        document["version"] = version.into();
        document["expires"] = in_(std::time::Duration::from_hours(20)).into();
        let bytes = serde_json::to_vec(&envelope(document, &[key])).unwrap();
        self.server
            .site
            .put(&address(role, version), Reply::bytes(&bytes));
        self.files.insert(role.to_owned(), bytes);
    }

    /// A target of the thief's in a role, which is not signed by that.
    pub fn add_target(&mut self, role: &str, path: &str, content: &[u8]) {
        let digest = sha256(content);
        self.docs.get_mut(role).unwrap()["targets"][path] =
            serde_json::json!({ "length": content.len(), "hashes": { "sha256": digest } });
        for at in target_addresses(path, &digest) {
            self.server.site.put(&at, Reply::bytes(content));
        }
    }

    /// Gives a bin to a key of the thief's own.
    pub fn delegate_bin(&mut self, bin: &str, own: &Key) {
        let delegations = &mut self.docs.get_mut("bins").unwrap()["delegations"];
        delegations["keys"][own.id()] = own.object();
        let roles = delegations["roles"].as_array_mut().unwrap();
        let entry = roles.iter_mut().find(|role| role["name"] == bin).unwrap();
        entry["keyids"] = serde_json::json!([own.id()]);
        self.own.insert(bin.to_owned(), own.clone());
    }

    /// A new root that gives a role to the thief's own key, signed with every root key that he has.
    pub fn take_over(&mut self, role: &str, own: &Key) {
        let document = self.docs.get_mut("root").unwrap();
        let next = document["version"].as_u64().unwrap() + 1;
        document["version"] = next.into();
        document["keys"][own.id()] = own.object();
        document["roles"][role]["keyids"] = serde_json::json!([own.id()]);
        let signers: Vec<Key> = self.keys.values().cloned().collect();
        let bytes = serde_json::to_vec(&envelope(document, &signers)).unwrap();
        self.server.site.put(&address("root", next), Reply::bytes(&bytes));
        self.own.insert(role.to_owned(), own.clone());
        self.issue(role, LAST);
        self.shows_new_roots = true;
    }

    /// The mirror hands on the daemon's roots of today: a client that keeps no roots learns of them here as well.
    pub fn show_new_roots(&mut self) {
        let newest = Published::by(self.daemon).version("root");
        for version in 1..=newest {
            let path = address("root", version);
            self.server
                .site
                .put(&path, Reply::bytes(self.daemon.get(&path).body));
        }
        self.shows_new_roots = true;
    }

    pub fn shows_the_new_root(&self) -> bool {
        self.shows_new_roots
    }
}
