//! Promise: a file younger than the site wants is not listed, not served under its own address either, and comes by
//! itself when it is old enough.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use jiff::{SignedDuration, Timestamp};
use support::daemon::{Daemon, DaemonOptions};
use support::jobs::wait_for;
use support::release::Release;
use support::upstream::{FakeFile, FakeUpstream};

fn path_of(file: &FakeFile) -> String {
    format!("/files/{}/{}", file.sha256, file.filename)
}

fn listed(daemon: &Daemon) -> Vec<String> {
    let page = daemon.page("fresh");
    let files = page["files"].as_array().unwrap();
    files
        .iter()
        .map(|file| file["filename"].as_str().unwrap().to_owned())
        .collect()
}

/// Both files of a release, as old as said.
fn publish(upstream: &FakeUpstream, version: &str, age: SignedDuration) -> FakeFile {
    let release = Release::new("fresh", version);
    let uploaded = (Timestamp::now() - age).to_string();
    for mut file in [release.wheel(), release.sdist()] {
        file.upload_time.clone_from(&uploaded);
        upstream.add(file);
    }
    release.wheel()
}

#[tokio::test(flavor = "multi_thread")]
async fn it_comes_by_itself_when_it_is_old_enough() {
    let upstream = FakeUpstream::start().await;
    let old = publish(&upstream, "1.0", SignedDuration::from_hours(48));
    let young = publish(&upstream, "1.1", SignedDuration::from_secs(0));
    let daemon = Daemon::start(
        DaemonOptions::on_demand(&upstream.index_url())
            .config("[policy]\nminimum_age = \"12s\"\nminimum_age_clock = \"upload\"\n"),
    );
    let before = listed(&daemon);
    assert!(before.contains(&old.filename), "{before:?}");
    assert!(!before.contains(&young.filename), "{before:?}");
    assert_eq!(daemon.get(&path_of(&old)).status, 200);
    let denied = daemon.get(&path_of(&young));
    assert_eq!(denied.status, 403, "{denied}");
    assert!(denied.text().contains("old"), "says what it waits for: {denied}");

    // Nobody asks for the file meanwhile: the page and the verdict follow the clock.
    wait_for("the file is listed", || {
        listed(&daemon).contains(&young.filename).then_some(())
    });
    wait_for("the file is admitted", || {
        let view = daemon
            .admin("GET", &format!("/api/v1/files/{}", young.sha256), b"")
            .json();
        (view["state"] == "admitted").then_some(())
    });
    assert_eq!(daemon.get(&path_of(&young)).status, 200);
    assert_eq!(
        listed(&daemon)
            .iter()
            .filter(|name| **name == young.filename)
            .count(),
        1
    );
}
