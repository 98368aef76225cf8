//! A production site: people hold the keys of root, targets, trust and bins.

use std::path::PathBuf;

use serde_json::Value;

use super::daemon::{Daemon, DaemonOptions, Output, cli};
use super::people::{Person, census, merge, request_for, says, settle, status};

/// Three root holders, of whom two must sign, with keys of both kinds; two for everything else.
pub struct Site {
    pub daemon: Daemon,
    pub alice: Person,
    pub bob: Person,
    pub carol: Person,
    pub dora: Person,
    pub emil: Person,
    /// With the data folder; after the daemon, which ends first.
    _home: tempfile::TempDir,
}

impl Site {
    /// Asked for, and nothing signed yet.
    pub fn asked_for() -> Self {
        let home = tempfile::tempdir().unwrap();
        let (alice, bob, carol) = (
            Person::ed25519("alice"),
            Person::p256("bob"),
            Person::ed25519("carol"),
        );
        let (dora, emil) = (Person::ed25519("dora"), Person::p256("emil"));
        let data = home.path().join("data");
        let out = home.path().join("tuf-requests");
        let asked = cli(
            home.path(),
            &[
                "tuf",
                "init",
                "--production",
                "--data-dir",
                data.to_str().unwrap(),
                "--out",
                out.to_str().unwrap(),
                "--reason",
                "the first root",
                "--root-key",
                &alice.public_file(),
                "--root-key",
                &bob.public_file(),
                "--root-key",
                &carol.public_file(),
                "--root-threshold",
                "2",
                "--targets-key",
                &dora.public_file(),
                "--targets-key",
                &emil.public_file(),
                "--targets-threshold",
                "2",
            ],
        )
        .expect(0);
        says(
            &asked,
            &["2 signatures are needed of alice, bob, carol", "chiron tuf merge"],
        );
        let daemon = Daemon::start(DaemonOptions::alone().data_dir(&data));
        let site = Self {
            _home: home,
            daemon,
            alice,
            bob,
            carol,
            dora,
            emil,
        };
        std::fs::rename(out, site.requests()).unwrap();
        site
    }

    /// Live, with every first document signed.
    pub fn live() -> Self {
        let site = Self::asked_for();
        site.merge_all("root", 1, &[&site.alice, &site.bob]);
        for role in ["targets", "trust", "bins"] {
            site.merge_all(role, 1, &[&site.dora, &site.emil]);
        }
        assert_eq!(status(&site.daemon)["state"], "live");
        settle(&site.daemon);
        site
    }

    pub fn requests(&self) -> PathBuf {
        self.daemon.home().join("tuf-requests")
    }

    pub fn request(&self, role: &str, version: u64) -> PathBuf {
        request_for(&self.requests(), role, version)
    }

    /// Each of them signs, and it is merged; what the last merge said.
    #[track_caller]
    pub fn merge_all(&self, role: &str, version: u64, people: &[&Person]) -> Value {
        let mut last = Value::Null;
        for person in people {
            let signature = person.sign(&self.request(role, version));
            last = merge(&self.daemon, &signature).expect(0).json()[0].clone();
        }
        last
    }

    pub fn tuf(&self, args: &[&str]) -> Output {
        let mut line = vec!["tuf"];
        line.extend(args);
        self.daemon.cli(&line)
    }

    pub fn waiting(&self) -> Vec<Value> {
        let all = self.daemon.cli_json(&["tuf", "requests", "list"]);
        all["items"].as_array().unwrap().clone()
    }

    pub fn root_version(&self) -> u64 {
        status(&self.daemon)["root"]["version"].as_u64().unwrap()
    }

    /// What must stay as it is when something is refused.
    pub fn all(&self) -> (String, Vec<Value>, u64) {
        settle(&self.daemon);
        let size = self.daemon.admin("GET", "/api/v1/status", b"").json()["log_size"].clone();
        (
            census(&self.daemon.data_dir().join("tuf")),
            self.waiting(),
            size.as_u64().unwrap(),
        )
    }
}

/// How many of a need's keys signed.
pub fn have(request: &Value, whose: &str) -> usize {
    let needs = request["needs"].as_array().unwrap();
    let need = needs.iter().find(|need| need["whose"] == whose);
    need.unwrap_or_else(|| panic!("{request:#}"))["signed"]
        .as_array()
        .unwrap()
        .len()
}
