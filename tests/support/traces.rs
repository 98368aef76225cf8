//! What is left behind: the log's events, the blobs on disk, the staging folder. Beside the replies, a test on bad
//! input looks at these.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use chiron_storage::Digest;
use serde_json::Value;

use crate::support::daemon::Daemon;
use crate::support::raw::Answer;

/// How long a condition may take to come true.
const PATIENCE: Duration = Duration::from_secs(20);

/// Looks again and again until `ready`; a condition that never comes true ends the test.
#[track_caller]
pub fn wait_until(what: &str, mut ready: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !ready() {
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Every event of the log, in order.
pub fn events(daemon: &Daemon) -> Vec<Value> {
    let mut all = Vec::new();
    let mut after = String::new();
    loop {
        let answer = daemon.admin("GET", &format!("/api/v1/events?limit=1000{after}"), b"");
        assert_eq!(answer.status, 200, "{answer}");
        let page = answer.json();
        for item in page["items"].as_array().unwrap() {
            assert_eq!(item["n"], all.len(), "events are numbered without a gap");
            all.push(item["event"].clone());
        }
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => break,
        }
    }
    all.retain(|event| event["type"] != "keys-changed");
    all
}

/// The events of one type.
pub fn events_of(daemon: &Daemon, kind: &str) -> Vec<Value> {
    events(daemon)
        .into_iter()
        .filter(|event| event["type"] == kind)
        .collect()
}

/// Types of all events, in order.
pub fn event_types(daemon: &Daemon) -> Vec<String> {
    events(daemon)
        .iter()
        .map(|event| event["type"].as_str().unwrap().to_owned())
        .collect()
}

/// `/api/v1/status`.
pub fn status(daemon: &Daemon) -> Value {
    let answer = daemon.admin("GET", "/api/v1/status", b"");
    assert_eq!(answer.status, 200, "{answer}");
    answer.json()
}

/// Entries of the log.
pub fn log_size(daemon: &Daemon) -> u64 {
    status(daemon)["log_size"].as_u64().unwrap()
}

/// `/files/{sha256}/{filename}`.
pub fn file_url(sha256: &str, filename: &str) -> String {
    format!("/files/{sha256}/{filename}")
}

/// The file names on a project's page; empty when there is no such page.
pub fn listed(daemon: &Daemon, project: &str) -> Vec<String> {
    let answer = daemon.request(
        "GET",
        &format!("/simple/{project}/"),
        &[("Accept", crate::support::raw::PIP_ACCEPT)],
    );
    if answer.status == 404 {
        return Vec::new();
    }
    assert_eq!(answer.status, 200, "{answer}");
    let page = answer.json();
    page["files"]
        .as_array()
        .unwrap()
        .iter()
        .map(|file| file["filename"].as_str().unwrap().to_owned())
        .collect()
}

/// Every file under `blobs/`, by the digest that its name says.
pub fn blobs(data: &Path) -> BTreeMap<String, PathBuf> {
    let mut all = BTreeMap::new();
    for folder in std::fs::read_dir(data.join("blobs")).unwrap() {
        let folder = folder.unwrap();
        let start = folder.file_name().into_string().unwrap();
        for file in std::fs::read_dir(folder.path()).unwrap() {
            let file = file.unwrap();
            let name = format!("{start}{}", file.file_name().into_string().unwrap());
            assert!(
                name.parse::<Digest>().is_ok(),
                "{} is no blob's name",
                file.path().display()
            );
            all.insert(name, file.path());
        }
    }
    all
}

/// The path of one blob, there or not.
pub fn blob_path(data: &Path, sha256: &str) -> PathBuf {
    data.join("blobs").join(&sha256[..2]).join(&sha256[2..])
}

/// Every blob hashes to its name: nothing half-written shows.
#[track_caller]
pub fn assert_blobs_whole(data: &Path) {
    for (name, path) in blobs(data) {
        let found = Digest::of(&std::fs::read(&path).unwrap()).to_string();
        assert_eq!(
            found,
            name,
            "{} holds something else than its name says",
            path.display()
        );
    }
}

/// What is in the staging folder.
pub fn staging(data: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(data.join("staging"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect()
}

/// Nothing is staged, or will not be in a moment: a request may be answered just before its staged file is dropped.
#[track_caller]
pub fn assert_nothing_staged(data: &Path) {
    wait_until("the staging folder is empty", || staging(data).is_empty());
}

/// Nothing was let in: no blob, no admitted file, nothing staged.
#[track_caller]
pub fn assert_nothing_admitted(daemon: &Daemon) {
    let status = status(daemon);
    assert_eq!(status["admitted"], 0, "{status:#}");
    assert_eq!(
        blobs(daemon.data_dir()).keys().collect::<Vec<_>>(),
        Vec::<&String>::new()
    );
    assert_nothing_staged(daemon.data_dir());
    assert_sound(daemon);
}

/// The daemon lives and nothing of it panicked.
#[track_caller]
pub fn assert_sound(daemon: &Daemon) {
    assert_eq!(daemon.get("/healthz").status, 200);
    let log = daemon.stderr();
    assert!(!log.contains("panicked"), "a panic in the log:\n{log}");
}

/// An RFC 9457 document of this status and type, with a reason phrase that says something.
#[track_caller]
pub fn assert_problem(answer: &Answer, status: u16, kind: &str) {
    assert_eq!(answer.status, status, "{answer}");
    assert_eq!(
        answer.header("content-type"),
        "application/problem+json",
        "{answer}"
    );
    let document = answer.json();
    assert_eq!(document["status"], status, "{answer}");
    assert_eq!(document["type"], format!("urn:chiron:problem:{kind}"), "{answer}");
    for field in ["title", "detail"] {
        assert!(
            !document[field].as_str().unwrap_or_default().is_empty(),
            "{field} is missing: {answer}"
        );
    }
    assert!(!answer.reason.is_empty(), "{answer}");
}

/// Upstream's fault, not a judgment: 502 or 503 with `Retry-After`, so that the client's own retry can succeed.
#[track_caller]
pub fn assert_upstream_failed(answer: &Answer) {
    assert_problem(answer, 502, "upstream-failed");
    let seconds: u64 = answer
        .header("retry-after")
        .parse()
        .unwrap_or_else(|_| panic!("Retry-After is missing: {answer}"));
    assert!((1..=60).contains(&seconds), "{answer}");
}
