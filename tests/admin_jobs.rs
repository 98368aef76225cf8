//! Promise: long work can be followed from its acceptance to its end, and ended early.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::time::Duration;

use serde_json::{Value, json};
use support::daemon::{Daemon, DaemonOptions};
use support::jobs::{ended, submit, wait_for};
use support::raw::Answer;
use support::upstream::{FakeUpstream, Fault, file_path};
use support::wheels::{lying_wheel, wheel};

fn assert_problem(answer: &Answer, status: u16) {
    assert_eq!(answer.status, status, "{answer}");
    assert_eq!(
        answer.header("content-type"),
        "application/problem+json",
        "{answer}"
    );
}

/// The events of a server-sent stream: name and document.
fn stream(daemon: &Daemon, job: &str) -> Vec<(String, Value)> {
    let answer = daemon.admin("GET", &format!("{job}/events"), b"");
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (200, "text/event-stream"),
        "{answer}"
    );
    let blocks = answer.text();
    let blocks = blocks.split("\n\n").filter(|block| block.contains("event:"));
    let field = |block: &str, name: &str| {
        let lines = block
            .lines()
            .filter_map(|line| line.strip_prefix(name))
            .map(str::trim);
        lines.collect::<String>()
    };
    blocks
        .map(|b| {
            (
                field(b, "event:"),
                serde_json::from_str(&field(b, "data:")).unwrap(),
            )
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_followed_from_its_acceptance_to_its_end() {
    let upstream = FakeUpstream::start().await;
    let good: Vec<_> = (0..4).map(|n| wheel(&format!("demo{n}"), "1.0", &[])).collect();
    let bad = lying_wheel("bad", "1.0");
    for file in good.iter().chain([&bad]) {
        upstream.add(file.clone());
        upstream.fault(
            &file_path(&file.filename),
            Fault::Delay(Duration::from_millis(300)),
        );
    }
    let daemon = Daemon::start(DaemonOptions::curated(&upstream.index_url()));
    let projects = ["demo0", "demo1", "demo2", "demo3", "bad", "missing"];
    let items: Vec<_> = projects.iter().map(|name| json!({ "project": name })).collect();
    let job = submit(&daemon, "/api/v1/ingest", &json!({ "items": items }));
    let events = stream(&daemon, &job);

    let of = |name: &str| {
        events
            .iter()
            .filter(|(event, _)| event == name)
            .map(|(_, data)| data)
            .collect::<Vec<_>>()
    };
    let (files, progress, end) = (of("file"), of("progress"), of("end"));
    assert_eq!(files.len(), 6, "{events:#?}");
    assert!(progress.len() >= 2, "{events:#?}");
    let done: Vec<_> = progress
        .iter()
        .map(|p| p["files_done"].as_u64().unwrap())
        .collect();
    assert!(done.is_sorted() && done.last() == Some(&5), "{done:?}");
    assert_eq!((events.last().unwrap().0.as_str(), end.len()), ("end", 1));
    let view = daemon.admin("GET", &job, b"").json();
    assert_eq!(*end[0], view, "the end is the job as it is read");
    assert_eq!(
        (&view["state"], &view["kind"]),
        (&json!("done"), &json!("ingest"))
    );
    assert_eq!(
        (&view["progress"]["files_total"], &view["progress"]["files_done"]),
        (&json!(5), &json!(5))
    );
    let sizes: usize = good.iter().chain([&bad]).map(|file| file.bytes.len()).sum();
    assert_eq!(
        (&view["progress"]["bytes_done"], &view["progress"]["bytes_total"]),
        (&json!(sizes), &json!(sizes))
    );
    let outcome = |project: &str| {
        let rows = view["files"].as_array().unwrap();
        rows.iter().find(|row| row["project"] == project).unwrap()["outcome"].clone()
    };
    assert_eq!(
        (outcome("demo3"), outcome("bad"), outcome("missing")),
        ("admitted".into(), "refused".into(), "not-found".into())
    );
    // Who comes later hears the same files and the end.
    let late = stream(&daemon, &job);
    assert_eq!((late.len(), late.last().unwrap().0.as_str()), (7, "end"));
    let again = submit(&daemon, "/api/v1/ingest", &json!({ "items": items }));
    let again = ended(&daemon, &again);
    assert!(
        again["files"]
            .as_array()
            .unwrap()
            .iter()
            .any(|row| row["outcome"] == "present"),
        "{again:#}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_can_be_cancelled() {
    let upstream = FakeUpstream::start().await;
    for n in 0..40 {
        let file = wheel(&format!("demo{n}"), "1.0", &[]);
        upstream.fault(
            &file_path(&file.filename),
            Fault::Delay(Duration::from_millis(200)),
        );
        upstream.add(file);
    }
    let daemon = Daemon::start(DaemonOptions::curated(&upstream.index_url()));
    let items: Vec<_> = (0..40)
        .map(|n| json!({ "project": format!("demo{n}") }))
        .collect();
    let job = submit(&daemon, "/api/v1/ingest", &json!({ "items": items }));
    wait_for("one file is done", || {
        (daemon.admin("GET", &job, b"").json()["progress"]["files_done"].as_u64()? > 0).then_some(())
    });
    assert_eq!(daemon.admin("DELETE", &job, b"").status, 202);
    let view = ended(&daemon, &job);
    assert_eq!(view["state"], "cancelled", "{view:#}");
    let done = view["files"].as_array().unwrap().len();
    assert!(done < 40, "{done} files were done although the job was cancelled");
    let status = wait_for("it counts as running no more", || {
        let status = daemon.admin("GET", "/api/v1/status", b"").json();
        (status["jobs_running"] == 0).then_some(status)
    });
    // Files that were under way may still come in; what was done is kept.
    let admitted = usize::try_from(status["admitted"].as_u64().unwrap()).unwrap();
    assert!((done..40).contains(&admitted), "{done} done: {status:#}");
    assert_problem(&daemon.admin("DELETE", &job, b""), 409);
    assert_problem(&daemon.admin("DELETE", "/api/v1/jobs/999", b""), 404);
    assert_problem(&daemon.admin("GET", "/api/v1/jobs/999/events", b""), 404);
}
