//! Promise: work that was accepted is done, whatever happens to the process meanwhile.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::daemon::{Daemon, DaemonOptions};
use support::jobs::{ended, submit, view, wait_for};
use support::upstream::{FakeFile, FakeUpstream, Fault, file_path};
use support::wheels::wheel;

const FILES: usize = 40;

struct Site {
    upstream: FakeUpstream,
    daemon: Daemon,
    files: Vec<FakeFile>,
}

/// A curated mirror of an upstream whose every download takes a moment.
async fn slow_site() -> Site {
    let upstream = FakeUpstream::start().await;
    let files: Vec<_> = (0..FILES)
        .map(|n| wheel(&format!("demo{n}"), "1.0", &[]))
        .collect();
    for file in &files {
        upstream.add(file.clone());
        upstream.fault(
            &file_path(&file.filename),
            Fault::Delay(Duration::from_millis(100)),
        );
    }
    let daemon = Daemon::start(DaemonOptions::curated(&upstream.index_url()));
    Site {
        upstream,
        daemon,
        files,
    }
}

fn submit_all(daemon: &Daemon) -> String {
    let items: Vec<_> = (0..FILES)
        .map(|n| json!({ "project": format!("demo{n}") }))
        .collect();
    submit(daemon, "/api/v1/ingest", &json!({ "items": items }))
}

/// Files done so far.
fn done(daemon: &Daemon, job: &str) -> u64 {
    view(daemon, job)["progress"]["files_done"].as_u64().unwrap()
}

/// Events of each type.
fn event_counts(daemon: &Daemon) -> BTreeMap<String, usize> {
    let page = daemon.admin("GET", "/api/v1/events?limit=1000", b"").json();
    let mut counts = BTreeMap::new();
    for item in page["items"].as_array().unwrap() {
        if item["event"]["type"] == "keys-changed" {
            continue;
        }
        *counts
            .entry(item["event"]["type"].as_str().unwrap().to_owned())
            .or_default() += 1;
    }
    counts
}

/// The job ends by itself, and every file is admitted once and served.
fn assert_all_is_done(site: &Site, job: &str) -> Value {
    let daemon = &site.daemon;
    let view = ended(daemon, job);
    assert_eq!(view["state"], "done", "{view:#}");
    assert_eq!(view["progress"]["files_done"], FILES);
    let rows = view["files"].as_array().unwrap();
    assert_eq!(rows.len(), FILES);
    for row in rows {
        assert!(
            ["admitted", "present"].contains(&row["outcome"].as_str().unwrap()),
            "{row:#}"
        );
    }
    assert_eq!(
        event_counts(daemon),
        BTreeMap::from([("admitted".to_owned(), FILES)]),
        "each was admitted once"
    );
    for file in &site.files {
        let answer = daemon.get(&format!("/files/{}/{}", file.sha256, file.filename));
        assert_eq!(
            (answer.status, &answer.body[..]),
            (200, &file.bytes[..]),
            "{answer}"
        );
    }
    daemon.cli(&["log", "verify"]).expect(0);
    view
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ingest_goes_on_after_kill_9() {
    let mut site = slow_site().await;
    let job = submit_all(&site.daemon);
    wait_for("some files are done", || {
        (done(&site.daemon, &job) >= 5).then_some(())
    });
    site.daemon.kill9();
    site.upstream.forget_requests();
    site.daemon.restart();
    let before = event_counts(&site.daemon)["admitted"];
    assert!(
        (5..FILES).contains(&before),
        "{before} files were admitted before the end"
    );
    let view = assert_all_is_done(&site, &job);
    let present = view["files"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|row| row["outcome"] == "present")
        .count();
    assert!(present >= 5, "what was done is found, not done again: {present}");
    let fetched = site
        .files
        .iter()
        .filter(|file| site.upstream.count(&file_path(&file.filename)) > 0)
        .count();
    assert_eq!(fetched, FILES - present, "only what was missing is fetched");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ingest_goes_on_after_kill_9_again_and_again() {
    let mut site = slow_site().await;
    let job = submit_all(&site.daemon);
    for kills in 1..=4 {
        wait_for("it has come further", || {
            (done(&site.daemon, &job) >= kills * 7).then_some(())
        });
        site.daemon.kill9();
        site.daemon.restart();
    }
    assert_all_is_done(&site, &job);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ingest_goes_on_after_an_orderly_end() {
    let mut site = slow_site().await;
    for file in &site.files {
        site.upstream
            .fault(&file_path(&file.filename), Fault::Delay(Duration::from_secs(1)));
    }
    let job = submit_all(&site.daemon);
    wait_for("some files are done", || {
        (done(&site.daemon, &job) >= 1).then_some(())
    });
    let begun = Instant::now();
    assert_eq!(site.daemon.stop(), 0);
    assert!(
        begun.elapsed() < Duration::from_secs(30),
        "the end waited for {:?}",
        begun.elapsed()
    );
    site.upstream.heal();
    site.daemon.restart();
    assert_all_is_done(&site, &job);
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_jobs_and_ended_jobs_are_what_they_were() {
    let mut site = slow_site().await;
    let scrub = site
        .daemon
        .admin("POST", "/api/v1/scrub", b"{}")
        .header("location")
        .to_owned();
    let scrubbed = ended(&site.daemon, &scrub);
    // Two run at once; the third waits for its turn, and keeps it.
    let jobs = [
        submit_all(&site.daemon),
        submit_all(&site.daemon),
        submit_all(&site.daemon),
    ];
    assert_eq!(view(&site.daemon, &jobs[2])["state"], "queued");
    wait_for("they have begun", || {
        (done(&site.daemon, &jobs[0]) >= 1).then_some(())
    });
    site.daemon.kill9();
    site.daemon.restart();
    assert_eq!(
        view(&site.daemon, &scrub),
        scrubbed,
        "an ended job is not done again"
    );
    for job in &jobs {
        assert_all_is_done(&site, job);
    }
    let next = submit_all(&site.daemon);
    assert_eq!(next, "/api/v1/jobs/5", "numbers are not used twice");
    assert_all_is_done(&site, &next);
}
