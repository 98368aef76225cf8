//! What a daemon has published, read from outside; and a copy of it on a server that somebody else runs.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;

use serde_json::Value;

use crate::support::daemon::Daemon;
use crate::tuf_repo::{sha256, target_addresses};
use crate::tuf_server::{Reply, Site};

/// The newest metadata of a daemon, as a client finds it: by name, from the timestamp down. Nothing is verified here.
pub struct Published {
    /// By role, as served.
    pub files: BTreeMap<String, Vec<u8>>,
}

impl Published {
    #[track_caller]
    pub fn by(daemon: &Daemon) -> Self {
        let get = |name: &str| {
            let answer = daemon.get(&format!("/tuf/metadata/{name}"));
            assert_eq!(answer.status, 200, "{name}: {answer}");
            answer.body
        };
        let read = |bytes: &[u8]| -> Value { serde_json::from_slice(bytes).unwrap() };
        let mut files = BTreeMap::new();
        let timestamp = get("timestamp.json");
        let version = &read(&timestamp)["signed"]["meta"]["snapshot.json"]["version"];
        let snapshot = get(&format!("{version}.snapshot.json"));
        let meta = read(&snapshot)["signed"]["meta"].as_object().unwrap().clone();
        let listed: BTreeMap<String, Value> = meta.into_iter().collect();
        files.insert("timestamp".to_owned(), timestamp);
        files.insert("snapshot".to_owned(), snapshot);
        for (name, pin) in listed {
            let answer = daemon.get(&format!("/tuf/metadata/{}.{name}", pin["version"]));
            // Bins of an earlier number of bins stay listed, and nobody asks for them.
            if answer.status == 200 {
                files.insert(name.trim_end_matches(".json").to_owned(), answer.body);
            }
        }
        let mut root = 1;
        while let Some(bytes) =
            Some(daemon.get(&format!("/tuf/metadata/{root}.root.json"))).filter(|got| got.status == 200)
        {
            files.insert("root".to_owned(), bytes.body);
            root += 1;
        }
        Self { files }
    }

    /// The signed part of a role.
    #[track_caller]
    pub fn doc(&self, role: &str) -> Value {
        let bytes = self
            .files
            .get(role)
            .unwrap_or_else(|| panic!("{role} is not published"));
        serde_json::from_slice::<Value>(bytes).unwrap()["signed"].take()
    }

    pub fn version(&self, role: &str) -> u64 {
        self.doc(role)["version"].as_u64().unwrap()
    }

    /// The bins that hold targets, or could.
    pub fn bins(&self) -> Vec<String> {
        let delegated = self.doc("bins")["delegations"]["roles"]
            .as_array()
            .unwrap()
            .clone();
        delegated
            .iter()
            .map(|role| role["name"].as_str().unwrap().to_owned())
            .collect()
    }

    /// The bin that a path falls into.
    #[track_caller]
    pub fn bin_of(&self, path: &str) -> String {
        let hash = sha256(path.as_bytes());
        let delegated = self.doc("bins")["delegations"]["roles"]
            .as_array()
            .unwrap()
            .clone();
        let prefixes = |role: &Value| role["path_hash_prefixes"].as_array().unwrap().clone();
        let mut bins = delegated
            .iter()
            .filter(|role| {
                prefixes(role)
                    .iter()
                    .any(|prefix| hash.starts_with(prefix.as_str().unwrap()))
            })
            .map(|role| role["name"].as_str().unwrap().to_owned());
        let bin = bins
            .next()
            .unwrap_or_else(|| panic!("no bin is responsible for {path}"));
        assert_eq!(bins.next(), None, "two bins are responsible for {path}");
        bin
    }

    /// What is signed of a target: in the role that is responsible for it, and in no other.
    #[track_caller]
    pub fn target(&self, path: &str) -> Option<Value> {
        let responsible = if path.starts_with("trust/") {
            "trust".to_owned()
        } else {
            self.bin_of(path)
        };
        let mut found = None;
        let named = ["targets", "trust", "bins"].map(str::to_owned);
        for role in named.into_iter().chain(self.bins()) {
            if let Some(target) = self.doc(&role)["targets"].get(path) {
                assert_eq!(
                    role, responsible,
                    "{path} stands in a role that is not responsible for it"
                );
                found = Some(target.clone());
            }
        }
        found
    }
}

/// Puts everything that a daemon has published, with the content of `targets`, on a site: a mirror.
pub fn copy(daemon: &Daemon, targets: &[&str]) -> Site {
    let site = Site::default();
    let published = Published::by(daemon);
    for (role, bytes) in &published.files {
        let version = published.version(role);
        site.put(&crate::tuf_repo::address(role, version), Reply::bytes(bytes));
    }
    for version in 1..=published.version("root") {
        let path = format!("/tuf/metadata/{version}.root.json");
        site.put(&path, Reply::bytes(daemon.get(&path).body));
    }
    for path in targets {
        let target = published
            .target(path)
            .unwrap_or_else(|| panic!("{path} is not signed"));
        let digest = target["hashes"]["sha256"].as_str().unwrap();
        for at in target_addresses(path, digest) {
            let answer = daemon.get(&at);
            assert_eq!(answer.status, 200, "{at}: {answer}");
            assert_eq!(sha256(&answer.body), digest, "{at}");
            site.put(&at, Reply::bytes(&answer.body));
        }
    }
    site
}
