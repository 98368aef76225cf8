//! Promise: while upstream is down, what is here is served on: admitted files, and the pages as they last were. That
//! is said in the log and in `/readyz`, and it ends when upstream is back.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;
#[path = "support/traces.rs"]
mod traces;

use serde_json::Value;
use support::daemon::{Daemon, DaemonOptions};
use support::upstream::{FakeFile, FakeUpstream, Fault};
use traces::{
    assert_nothing_admitted, assert_problem, assert_sound, assert_upstream_failed, event_types, file_url,
    listed, status, wait_until,
};

fn options(upstream: &FakeUpstream) -> DaemonOptions {
    let url = upstream.index_url();
    DaemonOptions::default().config(&format!(
        "[[upstream]]\nname = \"fake\"\nmode = \"on-demand\"\nurl = \"{url}\"\nretries = 1\nread_timeout = \"400ms\"\n\
         [index]\nfresh = \"20ms\"\n"
    ))
}

fn url_of(file: &FakeFile) -> String {
    file_url(&file.sha256, &file.filename)
}

/// `/readyz`, which stays 200: what is here is served.
#[track_caller]
fn problems(daemon: &Daemon) -> String {
    let answer = daemon.get("/readyz");
    assert_eq!(answer.status, 200, "{answer}");
    let ready = answer.json();
    assert_eq!(ready["ready"], true, "{ready:#}");
    ready["problems"]
        .as_array()
        .unwrap()
        .iter()
        .map(|problem| problem.as_str().unwrap())
        .collect::<Vec<_>>()
        .join("\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn stale_pages_are_served_and_said() {
    let upstream = FakeUpstream::start().await;
    let (old, new) = (
        FakeFile::wheel("demo", "1.0", 1_000),
        FakeFile::wheel("demo", "2.0", 1_000),
    );
    upstream.add(old.clone());
    upstream.add(new.clone());
    let daemon = Daemon::start(options(&upstream));
    let before = daemon.page("demo");
    assert_eq!(daemon.get(&url_of(&old)).status, 200);
    assert_eq!(problems(&daemon), "");

    for fault in [Fault::Status(503), Fault::Hang] {
        upstream.fault("*", fault.clone());
        wait_until("the failure is noticed", || {
            assert_eq!(listed(&daemon, "demo").len(), 2, "{fault:?}");
            problems(&daemon).contains("upstream fake is down, pages may be stale")
        });
        assert_eq!(files_of(&daemon.page("demo")), files_of(&before), "{fault:?}");
        assert_eq!(status(&daemon)["upstreams"][0]["state"], "down", "{fault:?}");
        assert_eq!(
            daemon.get(&url_of(&old)).status,
            200,
            "an admitted file needs no upstream"
        );
        assert_upstream_failed(&daemon.get(&url_of(&new)));
        let unknown = daemon.get("/simple/unknown/");
        assert_problem(&unknown, 502, "upstream-failed");
        upstream.heal();
        wait_until("upstream is up again", || {
            listed(&daemon, "demo");
            problems(&daemon).is_empty()
        });
    }
    let log = daemon.stderr();
    assert!(log.contains("a stale page is served"), "{log}");
    let metrics = daemon.get("/metrics").text();
    let stale = metrics
        .lines()
        .find(|line| line.contains("stale") && !line.starts_with('#'))
        .unwrap_or_default();
    assert!(
        stale
            .rsplit(' ')
            .next()
            .is_some_and(|n| n.parse::<f64>().is_ok_and(|n| n > 0.0)),
        "{metrics}"
    );
    assert_eq!(daemon.get(&url_of(&new)).status, 200, "the other file comes now");
    assert_eq!(event_types(&daemon), ["admitted", "admitted"]);
    assert_sound(&daemon);
}

/// Names and digests of a page, which tells a candidate's row from an admitted one's by nothing else that matters here.
fn files_of(page: &Value) -> Vec<(Value, Value)> {
    let files = page["files"].as_array().unwrap();
    let mut files: Vec<_> = files
        .iter()
        .map(|file| (file["filename"].clone(), file["hashes"]["sha256"].clone()))
        .collect();
    files.sort_by_key(|(name, _)| name.to_string());
    files
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_while_upstream_is_gone_serves_what_was_kept() {
    let upstream = FakeUpstream::start().await;
    let (old, new) = (
        FakeFile::wheel("demo", "1.0", 1_000),
        FakeFile::wheel("demo", "2.0", 1_000),
    );
    upstream.add(old.clone());
    upstream.add(new.clone());
    let mut daemon = Daemon::start(options(&upstream));
    let before = daemon.page("demo");
    assert_eq!(daemon.get(&url_of(&old)).status, 200);
    let served = daemon.get(&format!("{}.metadata", url_of(&old)));

    // Nobody listens there any more; the process that had connections is replaced, by an orderly end and by kill -9.
    drop(upstream);
    for kill in [false, true] {
        if kill {
            daemon.kill9();
        }
        daemon.restart();
        assert_eq!(files_of(&daemon.page("demo")), files_of(&before), "kill {kill}");
        let answer = daemon.get(&url_of(&old));
        assert_eq!(
            (answer.status, &answer.body[..]),
            (200, &old.bytes[..]),
            "kill {kill}"
        );
        assert_eq!(
            daemon.get(&format!("{}.metadata", url_of(&old))).body,
            served.body
        );
        assert_upstream_failed(&daemon.get(&url_of(&new)));
        assert!(problems(&daemon).contains("upstream fake is down"), "kill {kill}");
        assert_eq!(event_types(&daemon), ["admitted"]);
        assert_eq!(traces::blobs(daemon.data_dir()).len(), 1);
        daemon.cli(&["ingest", "demo==2.0"]).expect(3);
        assert_sound(&daemon);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_is_too_old_is_no_longer_served() {
    let upstream = FakeUpstream::start().await;
    let file = FakeFile::wheel("demo", "1.0", 1_000);
    upstream.add(file.clone());
    let mut options = options(&upstream);
    options.config = options
        .config
        .replace("fresh = \"20ms\"", "fresh = \"20ms\"\nstale_max = \"300ms\"");
    let daemon = Daemon::start(options);
    assert_eq!(listed(&daemon, "demo").len(), 1);
    upstream.fault("*", Fault::Status(503));
    // After a failure upstream is left alone for some seconds, during which the page stands.
    wait_until("the page is too old", || {
        daemon.get("/simple/demo/").status == 502
    });
    assert_upstream_failed(&daemon.get("/simple/demo/"));
    assert_upstream_failed(&daemon.get(&url_of(&file)));
    assert_nothing_admitted(&daemon);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_was_never_there_is_said_and_stops_nothing_else() {
    let options = DaemonOptions::on_demand("http://127.0.0.1:9/simple/");
    let daemon = Daemon::start(options.config("[[owned]]\npattern = \"own\""));
    let file = FakeFile::wheel("own", "1.0", 1_000);
    daemon.put_file(&file.filename, &file.bytes);
    assert_problem(&daemon.get("/simple/demo/"), 502, "upstream-failed");
    assert!(problems(&daemon).contains("upstream fake is down"));
    assert_eq!(listed(&daemon, "own"), [file.filename.as_str()]);
    assert_eq!(daemon.get(&url_of(&file)).status, 200);
    daemon.cli(&["ingest", "demo"]).expect(3);
    assert_eq!(event_types(&daemon), ["admitted"]);
    assert_sound(&daemon);
}
