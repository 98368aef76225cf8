//! Promise: the timestamp's key may be in Vault. When Vault hangs, signs wrongly or refuses, the generation that is there
//! stays served as it is, `/readyz` says why, and once Vault is well again publication goes on by itself.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "support/key_services/mod.rs"]
mod key_services;
mod support;

use std::time::{Duration, Instant};

use key_services::Fault;
use key_services::vault::{self, Vault};
use serde_json::Value;
use support::daemon::{Daemon, DaemonOptions, Output};
use support::wheels::wheel;

/// How long the daemon may take to say or do something by itself.
const PATIENCE: Duration = Duration::from_mins(1);

struct Mirror {
    daemon: Daemon,
    vault: Vault,
}

impl Mirror {
    /// A daemon whose timestamp key is in Vault.
    fn start(kind: &'static str) -> Self {
        let vault = Vault::start();
        vault.add("timestamp", kind);
        let options = DaemonOptions::alone()
            .config("[tuf]\nkey_timeout = \"1s\"")
            .env("VAULT_ADDR", &vault.server.url())
            .env("VAULT_TOKEN", vault::TOKEN);
        let daemon = Daemon::start(options);
        let import = [
            "tuf",
            "keys",
            "import",
            "hashivault://transit/timestamp",
            "--label",
            "vault",
        ];
        daemon.local_cli(&import).expect(0);
        daemon
            .cli(&[
                "tuf",
                "rotate",
                "timestamp",
                "--key",
                "vault",
                "--reason",
                "into Vault",
                "--yes",
            ])
            .expect(0);
        Self { daemon, vault }
    }

    fn timestamp(&self) -> Vec<u8> {
        let answer = self.daemon.get("/tuf/metadata/timestamp.json");
        assert_eq!(answer.status, 200);
        answer.body
    }

    fn version(&self) -> u64 {
        let timestamp: Value = serde_json::from_slice(&self.timestamp()).unwrap();
        timestamp["signed"]["version"].as_u64().unwrap()
    }

    fn publish(&self) -> Output {
        self.daemon.cli(&["tuf", "publish", "--resign"])
    }

    fn problems(&self) -> String {
        let answer = self.daemon.get("/readyz");
        assert_eq!(answer.status, 200, "it serves on, so it is ready");
        answer.json()["problems"].to_string()
    }

    /// Waits until `/readyz` says each of these.
    #[track_caller]
    fn complains(&self, words: &[&str]) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let problems = self.problems();
            if words.iter().all(|word| problems.contains(word)) {
                return;
            }
            assert!(
                Instant::now() < deadline,
                "no {words:?} in {problems}\n{}",
                self.daemon.stderr()
            );
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Waits until a newer timestamp is served, and nothing is wrong with publishing.
    #[track_caller]
    fn recovers(&self, from: u64) {
        let deadline = Instant::now() + PATIENCE;
        while self.version() <= from || self.problems().contains("nothing new is published") {
            assert!(
                Instant::now() < deadline,
                "{}\n{}",
                self.problems(),
                self.daemon.stderr()
            );
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

fn hand_in(mirror: &Mirror, version: &str) {
    let file = wheel("acme", version, &[]);
    mirror.daemon.put_file(&file.filename, &file.bytes);
}

/// Each of these stops a publication that is asked for, and nothing else.
fn fails_and_recovers(kind: &'static str, faults: &[(Fault, &str)]) {
    let mirror = Mirror::start(kind);
    hand_in(&mirror, "1.0");
    for (fault, words) in faults {
        let (before, version) = (mirror.timestamp(), mirror.version());
        mirror.vault.server.set(*fault);
        let failed = mirror.publish();
        assert_ne!(failed.status, 0, "{failed}");
        assert!(failed.stderr.contains(words), "no {words:?} in {failed}");
        mirror.complains(&[words]);
        assert_eq!(mirror.timestamp(), before, "{kind} {fault:?}");
        mirror.vault.server.set(Fault::None);
        mirror.publish().expect(0);
        mirror.recovers(version);
        let said = format!("{}{failed}", mirror.daemon.stderr());
        assert!(!said.contains(vault::TOKEN), "{said}");
    }
}

#[test]
fn a_service_that_hangs_or_lies_stops_nothing_that_is_served() {
    fails_and_recovers(
        "ecdsa-p256",
        &[
            (Fault::Hang, "no answer within 1s"),
            (Fault::WrongSignature, "does not verify"),
            (Fault::OtherKey, "does not verify"),
        ],
    );
}

#[test]
fn a_service_that_refuses_stops_nothing_that_is_served() {
    fails_and_recovers(
        "ed25519",
        &[
            (Fault::WrongSignature, "does not verify"),
            (Fault::Status(503), "is sealed"),
            (Fault::Redirect, "is not followed"),
            (Fault::Malformed, "not what its documentation says"),
        ],
    );
}

#[test]
fn a_change_is_published_by_itself_once_the_service_is_well() {
    let mirror = Mirror::start("ed25519");
    hand_in(&mirror, "1.0");
    let (before, version) = (mirror.timestamp(), mirror.version());
    mirror.vault.server.set(Fault::Hang);
    hand_in(&mirror, "2.0");
    mirror.complains(&["no answer within 1s"]);
    let doctor = mirror.daemon.local_cli(&["doctor"]);
    assert!(doctor.stdout.contains("vault does not sign"), "{doctor}");
    assert!(doctor.stdout.contains("is the first to expire"), "{doctor}");
    assert_eq!(mirror.timestamp(), before);
    mirror.vault.server.set(Fault::None);
    mirror.recovers(version);
}

#[test]
fn a_daemon_starts_and_serves_without_its_service() {
    let mut mirror = Mirror::start("ed25519");
    hand_in(&mirror, "1.0");
    let (before, version) = (mirror.timestamp(), mirror.version());
    mirror.vault.server.set(Fault::Hang);
    mirror.daemon.restart();
    assert_eq!(mirror.timestamp(), before);
    mirror.complains(&["no answer within 1s"]);
    mirror.vault.server.set(Fault::None);
    hand_in(&mirror, "2.0");
    mirror.recovers(version);
}
