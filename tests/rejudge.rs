//! Promise: when the rules change, everything stored is judged again, by the same mechanism for every cause; what falls
//! is revoked by an event, what stands again is restored, and what a person decided stays.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use serde_json::{Value, json};
use support::daemon::{Daemon, DaemonOptions};
use support::jobs::wait_for;
use support::release::Release;
use support::upstream::{FakeFile, FakeUpstream};

/// Nothing is rebuilt here: a wheel that is not in its source stays so.
const NO_REBUILDS: &str = "[reproducibility]\nenabled = false\n";

fn profile(name: &str) -> String {
    format!("{NO_REBUILDS}[policy]\nprofile = \"{name}\"\n")
}

fn change_profile(daemon: &mut Daemon, upstream: &FakeUpstream, name: &str) {
    let config = profile(name);
    daemon.restart_with(|options| {
        *options = DaemonOptions::on_demand(&upstream.index_url()).config(&config);
    });
}

fn path_of(file: &FakeFile) -> String {
    format!("/files/{}/{}", file.sha256, file.filename)
}

fn state(daemon: &Daemon, file: &FakeFile) -> String {
    let answer = daemon.admin("GET", &format!("/api/v1/files/{}", file.sha256), b"");
    assert_eq!(answer.status, 200, "{answer}");
    answer.json()["state"].as_str().unwrap().to_owned()
}

fn events(daemon: &Daemon) -> Vec<Value> {
    let page = daemon.admin("GET", "/api/v1/events?limit=1000", b"").json();
    page["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["event"].clone())
        // The first entry says which TUF keys were made.
        .filter(|event| event["type"] != "keys-changed")
        .collect()
}

fn of_type(daemon: &Daemon, kind: &str) -> Vec<Value> {
    events(daemon)
        .into_iter()
        .filter(|event| event["type"] == kind)
        .collect()
}

fn wait_for_passes(daemon: &Daemon, passes: usize) {
    wait_for("the stored files are judged again", || {
        let jobs = daemon.admin("GET", "/api/v1/jobs", b"").json();
        let jobs = jobs["items"].as_array().unwrap();
        let ended = |job: &&Value| job["kind"] == "rejudge" && job["state"] == "done";
        (jobs.iter().filter(ended).count() >= passes).then_some(())
    });
}

/// A sound release, and one whose wheel holds what its source does not.
fn releases(upstream: &FakeUpstream) -> (FakeFile, FakeFile) {
    let sound = Release::new("sound", "1.0");
    let slipped = Release::new("slipped", "1.0").slipped_in("slipped/extra.py", b"import os\n");
    for release in [&sound, &slipped] {
        upstream.add(release.wheel());
        upstream.add(release.sdist());
    }
    (sound.wheel(), slipped.wheel())
}

#[tokio::test(flavor = "multi_thread")]
async fn other_rules_revoke_what_falls_and_restore_what_stands_again() {
    let upstream = FakeUpstream::start().await;
    let (sound, slipped) = releases(&upstream);
    let mut daemon = Daemon::start(DaemonOptions::on_demand(&upstream.index_url()).config(&profile("audit")));
    for file in [&sound, &slipped] {
        assert_eq!(
            daemon.get(&path_of(file)).status,
            200,
            "audit admits {}",
            file.filename
        );
    }
    assert!(
        of_type(&daemon, "policy-changed").is_empty(),
        "the first rules need no event"
    );

    change_profile(&mut daemon, &upstream, "standard");
    wait_for_passes(&daemon, 1);
    assert_eq!(state(&daemon, &sound), "admitted");
    assert_eq!(state(&daemon, &slipped), "revoked");
    let changes = of_type(&daemon, "policy-changed");
    assert_eq!((changes.len(), &changes[0]["profile"]), (1, &json!("standard")));
    let revoked = of_type(&daemon, "revoked");
    assert_eq!(revoked.len(), 1, "{revoked:#?}");
    assert_eq!(revoked[0]["by"], "chiron");
    assert_eq!(revoked[0]["filename"], slipped.filename.as_str());
    assert_eq!(revoked[0]["judgment"]["reasons"][0]["check"], "reproducibility");
    let denied = daemon.get(&path_of(&slipped));
    assert_eq!(denied.status, 403, "{denied}");
    let listed = daemon.page("slipped");
    let names: Vec<_> = listed["files"]
        .as_array()
        .unwrap()
        .iter()
        .map(|f| f["filename"].clone())
        .collect();
    assert!(!names.contains(&json!(slipped.filename)), "{listed:#}");

    // Another start with the same rules judges nothing again.
    let before = events(&daemon).len();
    daemon.restart();
    assert_eq!(events(&daemon).len(), before);

    change_profile(&mut daemon, &upstream, "audit");
    wait_for_passes(&daemon, 2);
    assert_eq!(state(&daemon, &slipped), "admitted");
    let restored = of_type(&daemon, "restored");
    assert_eq!((restored.len(), &restored[0]["by"]), (1, &json!("chiron")));
    assert_eq!(daemon.get(&path_of(&slipped)).status, 200);

    // The rows are what the log says.
    let view = |daemon: &Daemon| {
        daemon
            .admin("GET", &format!("/api/v1/files/{}", slipped.sha256), b"")
            .json()
    };
    let before = view(&daemon);
    assert_eq!(daemon.stop(), 0);
    daemon.local_cli(&["rebuild-catalog"]).expect(0);
    daemon.restart();
    assert_eq!(view(&daemon), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_person_revoked_stays_revoked() {
    let upstream = FakeUpstream::start().await;
    let (sound, slipped) = releases(&upstream);
    let mut daemon = Daemon::start(DaemonOptions::on_demand(&upstream.index_url()).config(&profile("audit")));
    for file in [&sound, &slipped] {
        assert_eq!(daemon.get(&path_of(file)).status, 200);
        let reason = json!({ "reason": "looked at by a person" }).to_string();
        let path = format!("/api/v1/files/{}/revoke", file.sha256);
        assert_eq!(daemon.admin("POST", &path, reason.as_bytes()).status, 200);
    }
    change_profile(&mut daemon, &upstream, "standard");
    wait_for_passes(&daemon, 1);
    change_profile(&mut daemon, &upstream, "audit");
    wait_for_passes(&daemon, 2);
    for file in [&sound, &slipped] {
        assert_eq!(state(&daemon, file), "revoked", "{}", file.filename);
        assert_eq!(daemon.get(&path_of(file)).status, 403);
    }
    assert!(of_type(&daemon, "restored").is_empty());

    // A person takes it back: what the rules say by then is what follows.
    change_profile(&mut daemon, &upstream, "standard");
    wait_for_passes(&daemon, 3);
    let reason = json!({ "reason": "false alarm" }).to_string();
    for file in [&sound, &slipped] {
        let path = format!("/api/v1/files/{}/restore", file.sha256);
        assert_eq!(daemon.admin("POST", &path, reason.as_bytes()).status, 200);
    }
    assert_eq!(state(&daemon, &sound), "admitted");
    assert_eq!(state(&daemon, &slipped), "quarantined");
    assert_eq!(daemon.get(&path_of(&slipped)).status, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_file_is_left_alone() {
    let upstream = FakeUpstream::start().await;
    let (_, slipped) = releases(&upstream);
    let mut daemon = Daemon::start(DaemonOptions::on_demand(&upstream.index_url()).config(&profile("audit")));
    assert_eq!(daemon.get(&path_of(&slipped)).status, 200);
    let (folder, rest) = slipped.sha256.split_at(2);
    let blob = daemon.data_dir().join("blobs").join(folder).join(rest);
    let mut bytes = std::fs::read(&blob).unwrap();
    bytes[10] ^= 1;
    std::fs::write(&blob, bytes).unwrap();
    assert_eq!(daemon.get(&path_of(&slipped)).status, 500, "the damage is met");
    let before = events(&daemon).len();

    change_profile(&mut daemon, &upstream, "standard");
    wait_for_passes(&daemon, 1);
    let view = daemon
        .admin("GET", &format!("/api/v1/files/{}", slipped.sha256), b"")
        .json();
    assert_eq!(view["state"], "quarantined", "{view:#}");
    assert!(
        view["reasons"][0].as_str().unwrap().starts_with("store"),
        "{view:#}"
    );
    let since: Vec<_> = events(&daemon).into_iter().skip(before).collect();
    assert!(
        since.iter().all(|event| event["type"] == "policy-changed"),
        "{since:#?}"
    );
}
