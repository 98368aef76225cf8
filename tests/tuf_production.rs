//! Promise: keys that people hold offline decide. Nothing is in force before every threshold is met, old and new, and then
//! all of a change is; clients follow each of them.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::time::Duration;

use serde_json::json;
use support::daemon::{Daemon, DaemonOptions, cli};
use support::people::{Client, Person, ids, keys_changed, merge, request_for, role, says, status};
use support::site::{Site, have};

const ROLES: [&str; 4] = ["root", "targets", "trust", "bins"];

#[test]
fn a_first_root_of_people_is_in_force_when_every_threshold_is_met() {
    let site = Site::asked_for();
    let daemon = &site.daemon;
    // The daemon runs, and makes no keys of its own in the meantime.
    assert_eq!(status(daemon)["state"], "waiting");
    assert_eq!(daemon.get("/tuf/metadata/1.root.json").status, 404);
    assert_eq!(daemon.get("/tuf/metadata/timestamp.json").status, 404);
    let ready = daemon.get("/readyz");
    assert!(
        ready.text().contains("the first root waits for signatures"),
        "{ready}"
    );
    let again = site.tuf(&["init"]).expect(0);
    assert_eq!(status(daemon)["state"], "waiting", "{again}");
    let second = site.tuf(&["init", "--production", "--root-key", &site.dora.public_file()]);
    says(
        &second.expect(2),
        &["waits for signatures", "chiron tuf requests cancel"],
    );
    site.merge_all("root", 1, &[&site.alice, &site.bob]);
    for role in ["targets", "trust"] {
        site.merge_all(role, 1, &[&site.dora, &site.emil]);
    }
    // All but one signature of one document: nothing of it is published.
    let nearly = site.merge_all("bins", 1, &[&site.dora]);
    assert!(nearly.get("published").is_none(), "{nearly:#}");
    assert_eq!(daemon.get("/tuf/metadata/1.root.json").status, 404);
    let last = site.merge_all("bins", 1, &[&site.emil]);
    assert_eq!(last["published"]["generation"], 1, "{last:#}");
    assert!(site.waiting().is_empty());
    let root = daemon.get("/tuf/metadata/1.root.json").json();
    assert_eq!(root["signed"]["roles"]["root"]["threshold"], 2);
    assert_eq!(
        root["signed"]["roles"]["root"]["keyids"]
            .as_array()
            .unwrap()
            .len(),
        3
    );
    assert_eq!(root["signatures"].as_array().unwrap().len(), 2);
    let status = status(daemon);
    for name in ROLES {
        assert_eq!(role(&status, name)["online"], false, "{name}");
        assert_eq!(role(&status, name)["threshold"], 2, "{name}");
    }
    assert_eq!(ids(&status, "trust"), ids(&status, "bins"));
    Client::of(daemon).refresh(daemon).expect(0);
    let events = daemon.admin("GET", "/api/v1/events", b"").json();
    let event = &events["items"][0]["event"];
    assert_eq!(event["type"], "keys-changed");
    assert_eq!(event["reason"], "the first root");
    assert_eq!(event["roles"]["root"]["threshold"], 2);
}

#[test]
fn a_lost_key_is_replaced_under_the_old_and_the_new_threshold() {
    let site = Site::live();
    let client = Client::of(&site.daemon);
    client.refresh(&site.daemon).expect(0);
    let dave = Person::p256("dave");
    let asked = site
        .tuf(&[
            "rotate",
            "root",
            "--remove",
            "carol",
            "--add",
            &dave.public_file(),
            "--reason",
            "carol lost her key",
        ])
        .expect(0);
    says(&asked, &["carol", "dave", "root 1: 0 of 2", "root 2: 0 of 2"]);
    assert_eq!(site.root_version(), 1);
    // Dave counts for the new root only, and alice for both.
    let merged = site.merge_all("root", 2, &[&dave]);
    assert_eq!(
        (
            have(&merged["request"], "root 1"),
            have(&merged["request"], "root 2")
        ),
        (0, 1)
    );
    let merged = site.merge_all("root", 2, &[&site.alice]);
    assert_eq!(
        (
            have(&merged["request"], "root 1"),
            have(&merged["request"], "root 2")
        ),
        (1, 2)
    );
    assert!(merged.get("published").is_none());
    assert_eq!(site.root_version(), 1);
    assert_eq!(site.daemon.get("/tuf/metadata/2.root.json").status, 404);
    let merged = site.merge_all("root", 2, &[&site.bob]);
    assert!(merged["published"].is_object(), "{merged:#}");
    assert_eq!(site.root_version(), 2);
    let holders = ids(&status(&site.daemon), "root");
    assert!(holders.contains(&dave.id.to_string()) && !holders.contains(&site.carol.id.to_string()));
    client.refresh(&site.daemon).expect(0);
    // She found it again: it is worth nothing now.
    site.tuf(&["renew", "root"]).expect(0);
    let refused = site.carol.try_sign(&site.request("root", 3), &["--yes"]);
    says(&refused.expect(1), &["none of those that this request needs"]);
}

#[test]
fn a_higher_threshold_needs_as_many_signatures_from_the_root_that_brings_it() {
    let site = Site::live();
    let client = Client::of(&site.daemon);
    site.tuf(&["rotate", "root", "--threshold", "3", "--reason", "all three"])
        .expect(0);
    let two = site.merge_all("root", 2, &[&site.alice, &site.bob]);
    assert_eq!(
        (have(&two["request"], "root 1"), have(&two["request"], "root 2")),
        (2, 2)
    );
    assert!(two.get("published").is_none(), "{two:#}");
    assert_eq!(site.root_version(), 1);
    site.merge_all("root", 2, &[&site.carol]);
    assert_eq!(site.root_version(), 2);
    client.refresh(&site.daemon).expect(0);
    assert_eq!(role(&status(&site.daemon), "root")["threshold"], 3);
}

#[test]
fn all_documents_of_a_change_or_none() {
    let site = Site::live();
    let client = Client::of(&site.daemon);
    let fred = Person::ed25519("fred");
    // New keys of targets: the root names them, and targets must be signed by them.
    site.tuf(&[
        "rotate",
        "targets",
        "--key",
        &fred.public_file(),
        "--threshold",
        "1",
        "--reason",
        "fred does it",
    ])
    .expect(0);
    let waiting = site.waiting();
    assert_eq!(
        waiting[0]["requests"].as_array().unwrap().len(),
        2,
        "{waiting:#?}"
    );
    let root = site.merge_all("root", 2, &[&site.alice, &site.carol]);
    assert_eq!(root["request"]["complete"], true);
    assert!(root.get("published").is_none());
    assert_eq!(site.root_version(), 1);
    assert_eq!(site.daemon.get("/tuf/metadata/2.root.json").status, 404);
    client.refresh(&site.daemon).expect(0);
    site.merge_all("targets", 2, &[&fred]);
    assert_eq!(site.root_version(), 2);
    assert_eq!(ids(&status(&site.daemon), "targets"), [fred.id.to_string()]);
    client.refresh(&site.daemon).expect(0);
}

#[test]
fn what_the_daemon_signs_itself_is_made_again_when_people_took_their_time() {
    let site = Site::live();
    let client = Client::of(&site.daemon);
    // The snapshot's key is named by the root, the bins' by role bins: both are people's here.
    let asked = site
        .tuf(&["rotate", "online", "timestamp", "--reason", "yearly"])
        .expect(0);
    says(&asked, &["root 1: 0 of 2", "bins: 0 of 2"]);
    site.merge_all("root", 2, &[&site.alice, &site.bob]);
    // Meanwhile the world goes on: things are published with the old keys.
    site.tuf(&["publish", "--resign"]).expect(0);
    client.refresh(&site.daemon).expect(0);
    let before = status(&site.daemon);
    site.merge_all("bins", 2, &[&site.dora, &site.emil]);
    let after = status(&site.daemon);
    for name in ["bin", "snapshot", "timestamp"] {
        assert_ne!(ids(&before, name), ids(&after, name), "{name}");
        assert!(role(&after, name).get("problem").is_none(), "{name}: {after:#}");
    }
    client.refresh(&site.daemon).expect(0);
}

#[test]
fn an_emergency_at_a_site_of_people_is_one_command_and_their_signatures() {
    let site = Site::live();
    let client = Client::of(&site.daemon);
    let stolen = ids(&status(&site.daemon), "timestamp").remove(0);
    site.tuf(&["rotate", "--revoke", "timestamp", "--reason", "stolen"])
        .expect(0);
    // Until they sign, the old key is all there is, and the repository is served on.
    client.refresh(&site.daemon).expect(0);
    site.merge_all("root", 2, &[&site.carol, &site.bob]);
    assert!(!ids(&status(&site.daemon), "timestamp").contains(&stolen));
    client.refresh(&site.daemon).expect(0);
}

#[test]
fn a_development_setup_moves_to_people_and_its_clients_follow() {
    let daemon = Daemon::start(DaemonOptions::alone());
    let client = Client::of(&daemon);
    client.refresh(&daemon).expect(0);
    let (alice, bob, carol) = (
        Person::ed25519("alice"),
        Person::p256("bob"),
        Person::ed25519("carol"),
    );
    let files = [&alice, &bob, &carol].map(Person::public_file);
    daemon
        .cli(&[
            "tuf",
            "init",
            "--production",
            "--root-key",
            &files[0],
            "--root-key",
            &files[1],
            "--root-key",
            &files[2],
            "--reason",
            "production",
        ])
        .expect(0);
    assert_eq!(status(&daemon)["root"]["version"], 1);
    let requests = daemon.home().join("tuf-requests");
    // More than half of three, for all four.
    for name in ROLES {
        for person in [&alice, &carol] {
            let signature = person.sign(&request_for(&requests, name, 2));
            merge(&daemon, &signature).expect(0);
        }
    }
    let after = status(&daemon);
    assert_eq!(after["root"]["version"], 2);
    for name in ROLES {
        assert_eq!(ids(&after, name).len(), 3, "{name}");
        assert_eq!(role(&after, name)["threshold"], 2, "{name}");
        assert_eq!(role(&after, name)["online"], false, "{name}");
    }
    assert!(
        !after["warnings"].to_string().contains("can sign a new root"),
        "{after:#}"
    );
    client.refresh(&daemon).expect(0);
    // The old root key has no say any more.
    let refused = daemon.cli(&["tuf", "rotate", "root", "--remove", "root", "--reason", "x"]);
    says(&refused.expect(2), &["none of the roles root"]);
}

#[test]
fn what_waits_survives_a_restart_and_a_kill() {
    let mut site = Site::asked_for();
    site.merge_all("root", 1, &[&site.alice, &site.bob]);
    site.daemon.kill9();
    site.daemon.restart();
    assert_eq!(status(&site.daemon)["state"], "waiting");
    for name in ["targets", "trust", "bins"] {
        site.merge_all(name, 1, &[&site.dora, &site.emil]);
    }
    assert_eq!(status(&site.daemon)["state"], "live");
    site.daemon.restart();
    Client::of(&site.daemon).refresh(&site.daemon).expect(0);
}

#[test]
fn requests_are_written_out_again_and_listed_for_people() {
    let site = Site::live();
    site.tuf(&["rotate", "root", "--threshold", "3", "--reason", "all three"])
        .expect(0);
    let listed = site.tuf(&["requests", "list"]).expect(0);
    says(
        &listed,
        &["rotate root", "all three", "root 2: 0 of 3", "alice, bob, carol"],
    );
    let id = site.waiting()[0]["id"].as_str().unwrap().to_owned();
    let out = site.daemon.home().join("usb");
    site.tuf(&["requests", "export", &id[..6], "--out", out.to_str().unwrap()])
        .expect(0);
    let first = std::fs::read(site.request("root", 2)).unwrap();
    assert_eq!(std::fs::read(request_for(&out, "root", 2)).unwrap(), first);
    let shown = site.tuf(&["requests", "show", &id]).expect(0);
    says(&shown, &["3 of 3 keys must sign; before, 2 of 3 keys must sign"]);
    let dry = site.tuf(&["requests", "cancel", &id, "--dry-run"]).expect(0);
    says(&dry, &["nothing was changed"]);
    assert_eq!(site.waiting().len(), 1);
    // `merge --dry-run` verifies, and keeps nothing.
    let signature = site.alice.sign(&request_for(&out, "root", 2));
    let dry = site
        .tuf(&["merge", signature.to_str().unwrap(), "--dry-run"])
        .expect(0);
    says(&dry, &["good for root 2, signed by alice", "nothing was changed"]);
    assert_eq!(have(&site.waiting()[0]["requests"][0], "root 1"), 0);
    site.tuf(&["requests", "cancel", &id]).expect(0);
    assert!(site.waiting().is_empty());
    let gone = merge(&site.daemon, &signature);
    says(&gone.expect(1), &["nothing that waits"]);
}

#[test]
fn a_changed_policy_asks_the_holders_of_trust_by_itself() {
    let site = Site::live();
    let client = Client::of(&site.daemon);
    let signed = |site: &Site| {
        let out = site.daemon.home().join("trust");
        let _ = std::fs::remove_dir_all(&out);
        cli(
            site.daemon.home(),
            &[
                "tuf",
                "verify",
                site.daemon.base(),
                "--root",
                site.daemon.data_dir().join("tuf/root.json").to_str().unwrap(),
                "--target",
                "trust/policy.json",
                "--download",
                out.to_str().unwrap(),
            ],
        )
        .expect(0);
        std::fs::read_to_string(out.join("trust/policy.json")).unwrap()
    };
    let use_policy = |profile: &str| {
        let change = json!({ "policy": { "profile": profile }, "reason": "a test" });
        let answer = site
            .daemon
            .admin("PUT", "/api/v1/policy", change.to_string().as_bytes());
        assert_eq!(answer.status, 200, "{answer}");
    };
    let asked = |not: &str| {
        for _ in 0..300 {
            let waiting = site.waiting();
            let id = waiting
                .first()
                .map(|waiting| waiting["id"].as_str().unwrap().to_owned());
            if let Some(id) = id.filter(|id| id != not) {
                assert_eq!(waiting.len(), 1, "{waiting:#?}");
                assert_eq!(waiting[0]["requests"][0]["role"], "trust");
                return id;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        panic!("nothing was asked for:\n{}", site.daemon.stderr());
    };
    use_policy("strict");
    let first = asked("");
    // Nothing that people have not signed reaches a client.
    assert!(signed(&site).contains("\"profile\":\"standard\""));
    // Another change before they sign: nobody should sign a policy that is not in force any more.
    use_policy("audit");
    let second = asked(&first);
    let ready = site.daemon.get("/readyz");
    assert!(ready.text().contains(&second), "{ready}");
    let out = site.daemon.home().join("tuf-requests");
    site.tuf(&["requests", "export", "--out", out.to_str().unwrap()])
        .expect(0);
    site.merge_all("trust", 2, &[&site.dora, &site.emil]);
    assert!(site.waiting().is_empty());
    assert!(signed(&site).contains("\"profile\":\"audit\""));
    client.refresh(&site.daemon).expect(0);
    let event = keys_changed(&site.daemon).pop().unwrap();
    assert_eq!(event["by"], "chiron");
    assert_eq!(event["versions"], json!({"trust": 2}));
}
