//! Promise: a crash in the middle of judging everything again leaves every file judged one way or the other, and the next
//! start goes on: each file falls once, none twice, and none is forgotten.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::collections::BTreeMap;

use serde_json::{Value, json};
use support::daemon::{Daemon, DaemonOptions};
use support::jobs::{ended, submit, wait_for};
use support::release::Release;
use support::upstream::{FakeFile, FakeUpstream};

const FILES: usize = 100;

fn options(upstream: &FakeUpstream, profile: &str) -> DaemonOptions {
    DaemonOptions::curated(&upstream.index_url()).config(&format!(
        "[reproducibility]\nenabled = false\n[gate]\nparallel = 1\n[policy]\nprofile = \"{profile}\"\n"
    ))
}

/// Revocations by file.
fn revoked(daemon: &Daemon) -> BTreeMap<String, usize> {
    let page = daemon.admin("GET", "/api/v1/events?limit=1000", b"").json();
    let mut counts = BTreeMap::new();
    for item in page["items"].as_array().unwrap() {
        let event = &item["event"];
        if event["type"] == "revoked" {
            assert_eq!(event["by"], "chiron");
            *counts
                .entry(event["filename"].as_str().unwrap().to_owned())
                .or_default() += 1;
        }
    }
    counts
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_start_goes_on() {
    let upstream = FakeUpstream::start().await;
    let mut files: Vec<FakeFile> = Vec::new();
    for n in 0..FILES {
        let release =
            Release::new(&format!("fallen{n}"), "1.0").slipped_in(&format!("fallen{n}/more.py"), b"1\n");
        upstream.add(release.sdist());
        upstream.add(release.wheel());
        files.push(release.wheel());
    }
    let mut daemon = Daemon::start(options(&upstream, "audit"));
    let items: Vec<_> = (0..FILES)
        .map(|n| json!({ "project": format!("fallen{n}") }))
        .collect();
    let job = submit(&daemon, "/api/v1/ingest", &json!({ "items": items }));
    let done = ended(&daemon, &job);
    assert_eq!(done["state"], "done", "{done:#}");

    // Killed as soon as some have fallen, again and again.
    let with_standard = options(&upstream, "standard");
    daemon.restart_with(|options| *options = with_standard);
    let mut seen = 0;
    let mut in_the_middle = 0;
    for _ in 0..3 {
        let fallen = wait_for("some have fallen", || {
            let fallen = revoked(&daemon).len();
            (fallen > seen || fallen == FILES).then_some(fallen)
        });
        daemon.kill9();
        in_the_middle += usize::from(fallen < FILES);
        seen = fallen;
        daemon.restart();
        // What had fallen is still so: nothing that was written is lost.
        assert!(revoked(&daemon).len() >= seen);
    }
    assert!(
        in_the_middle > 0,
        "the pass was over before anybody could kill it"
    );
    wait_for("all have fallen", || {
        (revoked(&daemon).len() == FILES).then_some(())
    });
    let counts = revoked(&daemon);
    assert!(counts.values().all(|times| *times == 1), "{counts:?}");
    for file in &files {
        let view = daemon
            .admin("GET", &format!("/api/v1/files/{}", file.sha256), b"")
            .json();
        assert_eq!(view["state"], "revoked", "{view:#}");
        let verdict = daemon
            .admin("GET", &format!("/api/v1/files/{}/verdict", file.sha256), b"")
            .json();
        assert_eq!(
            verdict["policy"]["profile"], "standard",
            "half-judged: {verdict:#}"
        );
    }
    let jobs: Value = wait_for("the job has ended", || {
        let jobs = daemon.admin("GET", "/api/v1/jobs", b"").json();
        let rejudges: Vec<_> = jobs["items"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|j| j["kind"] == "rejudge")
            .cloned()
            .collect();
        rejudges
            .iter()
            .all(|job| job["state"] == "done")
            .then_some(Value::from(rejudges))
    });
    assert_eq!(
        jobs.as_array().unwrap().len(),
        1,
        "one job that went on, not one for each start: {jobs:#}"
    );
    // And it is over: another start finds nothing to do.
    let size = daemon.admin("GET", "/api/v1/status", b"").json()["log_size"].clone();
    daemon.restart();
    assert_eq!(
        daemon.admin("GET", "/api/v1/status", b"").json()["log_size"],
        size
    );
}
