//! Promise: every ceremony on a development setup is one command; a client that started before it keeps working after
//! it, and the log says what changed and why.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use serde_json::{Value, json};
use support::daemon::{Daemon, DaemonOptions, cli};
use support::people::{Client, census, ids, keys_changed, role, says, status};

fn daemon() -> Daemon {
    Daemon::start(DaemonOptions::alone())
}

fn metadata(daemon: &Daemon, name: &str) -> Value {
    let answer = daemon.get(&format!("/tuf/metadata/{name}"));
    assert_eq!(answer.status, 200, "{name}: {answer}");
    answer.json()
}

/// The newest root that a client would find.
fn newest_root(daemon: &Daemon) -> Value {
    let mut version = 1;
    while daemon
        .get(&format!("/tuf/metadata/{}.root.json", version + 1))
        .status
        == 200
    {
        version += 1;
    }
    metadata(daemon, &format!("{version}.root.json"))
}

#[test]
fn init_is_one_command_and_again_it_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("chiron-data");
    let dry = cli(folder.path(), &["tuf", "init", "--dry-run"]).expect(0);
    says(&dry, &["root 1 is the first", "nothing was changed"]);
    assert!(!data.exists());
    let first = cli(folder.path(), &["tuf", "init", "--format", "json"])
        .expect(0)
        .json();
    assert_eq!(first["published"]["generation"], 1, "{first:#}");
    let before = census(&data.join("tuf"));
    let keys = census(&data.join("keys"));
    let again = cli(folder.path(), &["tuf", "init"]).expect(0);
    says(&again, &["there is a repository already"]);
    // `chiron init` and `chiron serve` find it too.
    cli(folder.path(), &["init"]).expect(0);
    assert_eq!(census(&data.join("tuf")), before);
    assert_eq!(census(&data.join("keys")), keys);
    let mut daemon = Daemon::start(DaemonOptions::alone().data_dir(&data));
    assert_eq!(newest_root(&daemon)["signed"]["version"], 1);
    daemon.restart();
    assert_eq!(newest_root(&daemon)["signed"]["version"], 1);
    assert_eq!(keys_changed(&daemon).len(), 1);
}

#[test]
fn each_role_gets_a_new_key_with_one_command_and_an_old_client_follows() {
    let daemon = daemon();
    let client = Client::of(&daemon);
    client.refresh(&daemon).expect(0);
    let mut events = keys_changed(&daemon).len();
    for (name, touched) in [
        ("root", vec!["root"]),
        ("targets", vec!["targets"]),
        ("trust", vec!["trust"]),
        ("bins", vec!["bins"]),
        ("bin", vec!["bin"]),
        ("snapshot", vec!["snapshot"]),
        ("timestamp", vec!["timestamp"]),
        ("online", vec!["bin", "snapshot"]),
    ] {
        let before = status(&daemon);
        let reason = format!("yearly: {name}");
        let done = daemon.cli_json(&["tuf", "rotate", name, "--reason", &reason]);
        assert!(done["published"].is_object(), "{name}: {done:#}");
        assert!(done.get("waiting").is_none(), "{name}: {done:#}");
        let after = status(&daemon);
        for other in ["root", "targets", "trust", "bins", "bin", "snapshot", "timestamp"] {
            let (old, new) = (ids(&before, other), ids(&after, other));
            if touched.contains(&other) {
                assert!(
                    old.iter().all(|id| !new.contains(id)),
                    "{name}: {other} kept a key"
                );
                assert_eq!(old.len(), new.len(), "{name}: {other}");
            } else {
                assert_eq!(old, new, "{name}: {other} changed");
            }
            let role = role(&after, other);
            assert!(
                role["keys"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .all(|key| key["signed"] == true),
                "{name}: {role:#}"
            );
            assert!(role.get("problem").is_none(), "{name}: {role:#}");
        }
        let logged = keys_changed(&daemon);
        events += 1;
        assert_eq!(logged.len(), events, "{name}");
        let event = logged.last().unwrap();
        assert_eq!(event["reason"], reason);
        assert_eq!(event["by"], "operator");
        assert_eq!(
            event["roles"][touched[0]]["keys"],
            json!(ids(&after, touched[0])),
            "{event:#}"
        );
        assert!(
            event["versions"]
                .as_object()
                .is_some_and(|versions| !versions.is_empty())
        );
        client.refresh(&daemon).expect(0);
    }
    // The chain from the first root has no gap, and each link is there for ever.
    let newest = newest_root(&daemon)["signed"]["version"].as_u64().unwrap();
    assert_eq!(
        newest,
        1 + 5,
        "root, targets, snapshot, timestamp and online each made a root"
    );
    // A client that comes only now, with the first root, follows as well.
    let late = tempfile::tempdir().unwrap();
    let first = daemon.get("/tuf/metadata/1.root.json").body;
    std::fs::write(late.path().join("root.json"), first).unwrap();
    cli(
        late.path(),
        &["tuf", "verify", daemon.base(), "--root", "root.json"],
    )
    .expect(0);
}

#[test]
fn a_key_in_the_wrong_hands_is_out_of_every_role_with_one_command() {
    let daemon = daemon();
    let client = Client::of(&daemon);
    client.refresh(&daemon).expect(0);
    let before = status(&daemon);
    let stolen = ids(&before, "snapshot").remove(0);
    let generation = before["generation"]["number"].as_u64().unwrap();
    let done = daemon.cli_json(&[
        "tuf",
        "rotate",
        "--revoke",
        "online",
        "--reason",
        "the server was broken into",
    ]);
    assert!(
        done["published"]["generation"].as_u64().unwrap() > generation,
        "{done:#}"
    );
    let after = status(&daemon);
    for name in ["root", "targets", "trust", "bins", "bin", "snapshot", "timestamp"] {
        assert!(!ids(&after, name).contains(&stolen), "{name}");
        assert!(role(&after, name).get("problem").is_none());
    }
    // Nothing that is served rests on it any more.
    let timestamp = metadata(&daemon, "timestamp.json");
    let version = &timestamp["signed"]["meta"]["snapshot.json"]["version"];
    let snapshot = metadata(&daemon, &format!("{version}.snapshot.json"));
    assert!(!snapshot["signatures"].to_string().contains(&stolen));
    for (file, meta) in snapshot["signed"]["meta"].as_object().unwrap() {
        if let Some(bin) = file.strip_suffix(".json").filter(|name| name.starts_with("bin-")) {
            let text = metadata(&daemon, &format!("{}.{bin}.json", meta["version"]));
            assert!(!text["signatures"].to_string().contains(&stolen), "{bin}");
        }
    }
    assert!(!newest_root(&daemon)["signed"].to_string().contains(&stolen));
    client.refresh(&daemon).expect(0);
    // A slip in the label must not look as if the key were out.
    let slip = daemon.cli(&["tuf", "rotate", "--revoke", "onlin", "--reason", "x"]);
    says(&slip.expect(2), &["onlin"]);
    let again = daemon
        .cli(&["tuf", "rotate", "--revoke", "online", "--reason", "x"])
        .expect(2);
    says(&again, &["online", "a key of none of the roles"]);
}

#[test]
fn recovery_from_driven_up_versions_changes_every_online_key_at_once() {
    let daemon = daemon();
    let client = Client::of(&daemon);
    client.refresh(&daemon).expect(0);
    let before = status(&daemon);
    daemon
        .cli(&[
            "tuf",
            "rotate",
            "--recover",
            "--reason",
            "versions were driven up",
        ])
        .expect(0);
    let after = status(&daemon);
    for name in ["bin", "snapshot", "timestamp"] {
        assert_ne!(ids(&before, name), ids(&after, name), "{name}");
    }
    for name in ["root", "targets", "trust", "bins"] {
        assert_eq!(ids(&before, name), ids(&after, name), "{name}");
    }
    client.refresh(&daemon).expect(0);
    let event = keys_changed(&daemon).pop().unwrap();
    let roles: Vec<&String> = event["roles"].as_object().unwrap().keys().collect();
    assert_eq!(roles, ["bin", "snapshot", "timestamp"]);
}

#[test]
fn two_keys_of_the_daemon_can_be_asked_for_every_timestamp() {
    let daemon = daemon();
    let client = Client::of(&daemon);
    daemon.local_cli(&["tuf", "keys", "generate", "second"]).expect(0);
    daemon
        .cli(&[
            "tuf",
            "rotate",
            "timestamp",
            "--add",
            "second",
            "--threshold",
            "2",
            "--reason",
            "two of two",
        ])
        .expect(0);
    let status = status(&daemon);
    assert_eq!(role(&status, "timestamp")["threshold"], 2);
    assert_eq!(
        metadata(&daemon, "timestamp.json")["signatures"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
    client.refresh(&daemon).expect(0);
    // Back to one, by taking the other away.
    daemon
        .cli(&[
            "tuf",
            "rotate",
            "timestamp",
            "--remove",
            "second",
            "--threshold",
            "1",
            "--reason",
            "one again",
        ])
        .expect(0);
    assert_eq!(ids(&self::status(&daemon), "timestamp").len(), 1);
    client.refresh(&daemon).expect(0);
}

#[test]
fn renewing_signs_the_same_keys_for_longer() {
    let daemon = daemon();
    let client = Client::of(&daemon);
    client.refresh(&daemon).expect(0);
    let before = status(&daemon);
    daemon
        .cli(&[
            "tuf", "renew", "root", "targets", "trust", "bins", "--reason", "yearly",
        ])
        .expect(0);
    let after = status(&daemon);
    for name in ["root", "targets", "trust", "bins"] {
        assert_eq!(ids(&before, name), ids(&after, name), "{name}");
        let (old, new) = (role(&before, name), role(&after, name));
        assert_eq!(
            new["version"].as_u64(),
            old["version"].as_u64().map(|n| n + 1),
            "{name}"
        );
        assert!(new["expires"].as_str() >= old["expires"].as_str(), "{name}");
    }
    let event = keys_changed(&daemon).pop().unwrap();
    assert_eq!(event["roles"], json!({}));
    assert_eq!(
        event["versions"],
        json!({"root": 2, "targets": 2, "trust": 2, "bins": 2})
    );
    client.refresh(&daemon).expect(0);
}

#[test]
fn another_number_of_bins_and_back() {
    let daemon = daemon();
    let client = Client::of(&daemon);
    client.refresh(&daemon).expect(0);
    for bins in ["512", "1024", "256"] {
        daemon
            .cli(&["tuf", "rebin", bins, "--reason", "a test"])
            .expect(0);
        assert_eq!(status(&daemon)["bins"].to_string(), bins);
        client.refresh(&daemon).expect(0);
        says(&daemon.cli(&["tuf", "rebin", bins]).expect(0), &["is so already"]);
    }
}

#[test]
fn a_ceremony_works_on_the_folder_itself_when_no_daemon_runs() {
    let folder = tempfile::tempdir().unwrap();
    cli(folder.path(), &["tuf", "init"]).expect(0);
    cli(
        folder.path(),
        &["tuf", "rotate", "timestamp", "--reason", "no daemon"],
    )
    .expect(0);
    let status = cli(folder.path(), &["tuf", "status", "--format", "json"])
        .expect(0)
        .json();
    assert_eq!(status["root"]["version"], 2);
    let daemon = Daemon::start(DaemonOptions::alone().data_dir(&folder.path().join("chiron-data")));
    Client::of(&daemon).refresh(&daemon).expect(0);
}
