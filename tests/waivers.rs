//! Promise: a waiver lets one content pass for one check, for as long as it says and with as many persons as the site
//! asks for; when it ends, the file falls by itself.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use support::daemon::{Daemon, DaemonOptions};
use support::jobs::wait_for;
use support::release::Release;
use support::upstream::{FakeFile, FakeUpstream};

fn path_of(file: &FakeFile) -> String {
    format!("/files/{}/{}", file.sha256, file.filename)
}

fn waive(daemon: &Daemon, file: &FakeFile, check: &str, person: &str, seconds: i64) -> Value {
    let until = Timestamp::now() + SignedDuration::from_secs(seconds);
    let body = json!({ "check": check, "reason": "looked at", "until": until.to_string(), "person": person });
    let path = format!("/api/v1/files/{}/waive", file.sha256);
    let answer = daemon.admin("POST", &path, body.to_string().as_bytes());
    assert_eq!(answer.status, 200, "{answer}");
    answer.json()
}

async fn site(policy: &str) -> (FakeUpstream, Daemon, FakeFile) {
    let upstream = FakeUpstream::start().await;
    let release = Release::new("waived", "1.0").slipped_in("waived/more.py", b"1\n");
    upstream.add(release.sdist());
    upstream.add(release.wheel());
    let daemon = Daemon::start(DaemonOptions::on_demand(&upstream.index_url()).config(&format!(
        "[reproducibility]\nenabled = false\n[policy]\n{policy}\n"
    )));
    let file = release.wheel();
    assert_eq!(daemon.get(&path_of(&file)).status, 403);
    (upstream, daemon, file)
}

#[tokio::test(flavor = "multi_thread")]
async fn it_holds_until_it_ends() {
    let (_upstream, daemon, file) = site("").await;
    // For another check it changes nothing.
    assert_eq!(
        waive(&daemon, &file, "sbom", "ann", 3_600)["state"],
        "quarantined"
    );
    let waived = waive(&daemon, &file, "reproducibility", "ann", 6);
    assert_eq!(waived["state"], "admitted", "{waived:#}");
    assert_eq!(daemon.get(&path_of(&file)).status, 200);
    wait_for("the waiver ends", || {
        (daemon.get(&path_of(&file)).status == 403).then_some(())
    });
    let view = daemon
        .admin("GET", &format!("/api/v1/files/{}", file.sha256), b"")
        .json();
    assert_eq!(view["state"], "revoked", "{view:#}");
    // A new one brings it back.
    assert_eq!(
        waive(&daemon, &file, "reproducibility", "ann", 3_600)["state"],
        "admitted"
    );
    assert_eq!(daemon.get(&path_of(&file)).status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_ends_while_nobody_is_there() {
    let (_upstream, mut daemon, file) = site("").await;
    assert_eq!(
        waive(&daemon, &file, "reproducibility", "ann", 4)["state"],
        "admitted"
    );
    daemon.kill9();
    std::thread::sleep(std::time::Duration::from_secs(5));
    daemon.restart();
    wait_for("the start follows it", || {
        (daemon.get(&path_of(&file)).status == 403).then_some(())
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn two_persons_where_the_site_asks_for_two() {
    let (_upstream, daemon, file) = site("waiver_persons = 2").await;
    let same = |person| waive(&daemon, &file, "reproducibility", person, 3_600)["state"].clone();
    assert_eq!(same("ann"), "quarantined");
    assert_eq!(same("ann"), "quarantined", "one person twice is one person");
    assert_eq!(daemon.get(&path_of(&file)).status, 403);
    assert_eq!(same("bob"), "admitted");
    assert_eq!(daemon.get(&path_of(&file)).status, 200);
}
