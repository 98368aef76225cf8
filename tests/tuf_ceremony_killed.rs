//! Promise: a daemon that is killed in the middle of a ceremony comes back with all of the change or none of it, its
//! clients follow, and the log has one entry for each change that is in force.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;
use support::daemon::{Daemon, DaemonOptions};
use support::people::{Client, role, status};

/// How long after the request the daemon is killed: from before it is read to after it is answered.
const DELAYS_MS: [u64; 10] = [0, 2, 4, 7, 10, 14, 19, 26, 40, 80];

/// For each version of a role's metadata, how many entries of the log put it in force.
fn logged(daemon: &Daemon) -> BTreeMap<(String, u64), usize> {
    let page = daemon.admin("GET", "/api/v1/events?limit=1000", b"").json();
    let mut counts = BTreeMap::new();
    for item in page["items"].as_array().unwrap() {
        if item["event"]["type"] == "keys-changed" {
            for (role, version) in item["event"]["versions"].as_object().unwrap() {
                *counts
                    .entry((role.clone(), version.as_u64().unwrap()))
                    .or_default() += 1;
            }
        }
    }
    counts
}

fn version(status: &Value, name: &str) -> u64 {
    role(status, name)["version"].as_u64().unwrap()
}

#[test]
fn heavy_a_ceremony_that_is_killed_is_done_or_not_and_logged_once() {
    let mut daemon = Daemon::start(DaemonOptions::alone());
    let client = Client::of(&daemon);
    client.refresh(&daemon).expect(0);
    for (round, delay) in DELAYS_MS.into_iter().enumerate() {
        // Root and bins change together: documents of two roles, and every bin is signed again.
        let mut asked = daemon
            .command(&[
                "tuf",
                "rotate",
                "online",
                "timestamp",
                "--reason",
                "round",
                "--server",
                daemon.base(),
            ])
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(40 + delay));
        daemon.kill9();
        asked.wait().unwrap();
        daemon.restart();
        let now = status(&daemon);
        for name in ["root", "targets", "trust", "bins", "bin", "snapshot", "timestamp"] {
            let role = role(&now, name);
            assert!(role.get("problem").is_none(), "round {round}: {role:#}");
            assert!(
                role["keys"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .all(|key| key["signed"] == true),
                "round {round}: {role:#}"
            );
        }
        // Both or none: they went in step from 1.
        assert_eq!(version(&now, "root"), version(&now, "bins"), "round {round}");
        assert_eq!(now["waiting"], serde_json::json!([]), "round {round}");
        let logged = logged(&daemon);
        for name in ["root", "bins"] {
            for at in 1..=version(&now, name) {
                let times = logged.get(&(name.to_owned(), at)).copied().unwrap_or(0);
                assert_eq!(times, 1, "round {round}: {name} {at}: {logged:?}");
            }
        }
        assert_eq!(
            logged.keys().filter(|(name, _)| name == "root").count() as u64,
            version(&now, "root"),
            "round {round}: an entry for a root that is not in force: {logged:?}"
        );
        client.refresh(&daemon).expect(0);
    }
}
