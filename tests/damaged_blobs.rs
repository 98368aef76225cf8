//! Promise: a damaged or missing blob is never served: it is taken out of service, reported, and brought back when asked.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;
#[path = "support/traces.rs"]
mod traces;

use std::io::{Seek, SeekFrom, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::Value;
use support::daemon::{Daemon, DaemonOptions, Output};
use support::raw::Answer;
use support::upstream::{FakeFile, FakeUpstream, Fault, file_path};
use support::wheels::wheel;
use traces::{
    assert_blobs_whole, assert_nothing_staged, assert_problem, assert_sound, blob_path, blobs, event_types,
    events_of, file_url, listed, log_size,
};

#[track_caller]
fn explains(output: &Output, status: i32, words: &[&str]) {
    assert_eq!(output.status, status, "{output}");
    for word in words {
        assert!(output.stderr.contains(word), "`{word}` is missing:\n{output}");
    }
    for trace in ["panicked", "RUST_BACKTRACE"] {
        assert!(!output.stderr.contains(trace), "{output}");
    }
}

/// Turns one bit in the middle of a stored blob, as a bad disk does.
fn flip(data: &Path, sha256: &str) {
    let path = blob_path(data, sha256);
    let bytes = std::fs::read(&path).unwrap();
    let at = bytes.len() / 2;
    let mode = std::fs::metadata(&path).unwrap().permissions();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    let mut file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.seek(SeekFrom::Start(at as u64)).unwrap();
    file.write_all(&[bytes[at] ^ 1]).unwrap();
    std::fs::set_permissions(&path, mode).unwrap();
}

/// 5xx with the reason, and nothing of the file.
#[track_caller]
fn assert_damaged(answer: &Answer, file: &FakeFile) {
    assert_problem(answer, 500, "damaged");
    assert!(answer.reason.contains("damaged"), "{answer}");
    assert!(answer.text().contains("scrub --repair"), "{answer}");
    assert!(
        !answer.body.windows(40).any(|part| part == &file.bytes[..40]),
        "bytes of the file left"
    );
}

/// Damages a blob that came from upstream and follows it until it is served again.
async fn damage_and_repair(padding: usize, served_before: bool, damage: impl Fn(&Path, &str)) {
    let upstream = FakeUpstream::start().await;
    let (file, beside) = (
        FakeFile::wheel("demo", "1.0", padding),
        FakeFile::wheel("demo", "2.0", 1_000),
    );
    upstream.add(file.clone());
    upstream.add(beside.clone());
    let mut daemon = Daemon::start(DaemonOptions::on_demand(&upstream.index_url()));
    let url = file_url(&file.sha256, &file.filename);
    let other = file_url(&beside.sha256, &beside.filename);
    assert_eq!((daemon.get(&url).status, daemon.get(&other).status), (200, 200));
    if served_before {
        assert!(daemon.get(&url).body == file.bytes);
    } else {
        daemon.restart();
    }
    damage(daemon.data_dir(), &file.sha256);

    assert_damaged(&daemon.get(&url), &file);
    assert_damaged(&daemon.request("GET", &url, &[("Range", "bytes=0-99")]), &file);
    assert_eq!(daemon.request("HEAD", &url, &[]).status, 500);
    let etag = format!("\"{}\"", file.sha256);
    assert_eq!(
        daemon.request("GET", &url, &[("If-None-Match", &etag)]).status,
        500,
        "not even \"unchanged\""
    );
    assert_eq!(
        listed(&daemon, "demo"),
        [beside.filename.as_str()],
        "absent from the index, as a candidate too"
    );
    let events = events_of(&daemon, "quarantined");
    assert_eq!(events.len(), 1, "{events:#?}");
    assert_eq!(events[0]["sha256"], file.sha256.as_str());
    assert_eq!(
        (
            &events[0]["reasons"][0]["check"],
            &events[0]["reasons"][0]["code"]
        ),
        (&Value::from("store"), &Value::from("damaged"))
    );
    assert_eq!(daemon.get(&other).status, 200, "its neighbour is served on");
    assert!(
        daemon
            .get("/metrics")
            .text()
            .lines()
            .any(|line| line.contains("corrupt") && line.ends_with(" 1"))
    );

    // A restart does not forget it, and nobody fetches it behind the operator's back.
    daemon.restart();
    assert_damaged(&daemon.get(&url), &file);
    assert_eq!(upstream.count(&file_path(&file.filename)), 1);
    let before = log_size(&daemon);

    explains(
        &daemon.cli(&["scrub"]),
        4,
        &["damaged or missing", "scrub --repair"],
    );
    explains(&daemon.cli(&["scrub"]), 4, &["damaged or missing"]);
    assert_eq!(log_size(&daemon), before, "one event for one damage");
    assert!(
        daemon
            .cli(&["explain", &file.filename])
            .expect(0)
            .stdout
            .contains("damaged")
    );

    // Other bytes of that name do not repair it, and a broken upstream does not either.
    upstream.fault(
        &file_path(&file.filename),
        Fault::Body("x/y".to_owned(), vec![0; file.bytes.len()].into()),
    );
    explains(&daemon.cli(&["scrub", "--repair"]), 4, &["damaged or missing"]);
    upstream.fault(&file_path(&file.filename), Fault::Status(500));
    explains(&daemon.cli(&["scrub", "--repair"]), 4, &["damaged or missing"]);
    assert_damaged(&daemon.get(&url), &file);
    upstream.heal();

    daemon.cli(&["scrub", "--repair", "--dry-run"]).expect(4);
    assert_damaged(&daemon.get(&url), &file);
    let repaired = daemon.cli(&["scrub", "--repair"]).expect(0);
    assert!(repaired.stdout.contains(&file.filename), "{repaired}");
    assert_eq!(events_of(&daemon, "restored").len(), 1);
    let answer = daemon.get(&url);
    assert!(answer.status == 200 && answer.body == file.bytes, "{answer}");
    assert_eq!(listed(&daemon, "demo").len(), 2);
    daemon.cli(&["scrub"]).expect(0);
    assert_blobs_whole(daemon.data_dir());
    assert_nothing_staged(daemon.data_dir());
    daemon.cli(&["log", "verify"]).expect(0);
    assert_eq!(daemon.stop(), 0);
    daemon.local_cli(&["rebuild-catalog"]).expect(0);
    daemon.restart();
    assert_eq!(
        daemon.get(&url).status,
        200,
        "the catalogue made again says the same"
    );
    assert_sound(&daemon);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flipped_bit_is_never_served() {
    damage_and_repair(1_000, false, flip).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flipped_bit_in_a_large_file_that_was_served_before_is_noticed() {
    damage_and_repair(8_000_000, true, flip).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_blob_is_no_404_and_comes_back() {
    damage_and_repair(100_000, true, |data, sha256| {
        std::fs::remove_file(blob_path(data, sha256)).unwrap();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blob_cut_short_is_noticed() {
    damage_and_repair(100_000, true, |data, sha256| {
        let path = blob_path(data, sha256);
        let bytes = std::fs::read(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    })
    .await;
}

#[test]
fn scrub_finds_damage_that_nobody_asked_for_and_a_handed_in_file_comes_back_by_hand() {
    let daemon = Daemon::start(DaemonOptions::alone());
    let file = wheel("demo", "1.0", &[]);
    daemon.put_file(&file.filename, &file.bytes);
    flip(daemon.data_dir(), &file.sha256);
    let found = daemon.cli_json(&["scrub"]);
    assert_eq!(found["corrupt"][0], file.sha256.as_str(), "{found:#}");
    assert_eq!(event_types(&daemon), ["admitted", "quarantined"]);
    assert!(listed(&daemon, "demo").is_empty());
    assert_damaged(&daemon.get(&file_url(&file.sha256, &file.filename)), &file);
    assert!(blobs(daemon.data_dir()).is_empty(), "set aside");
    assert_eq!(
        std::fs::read_dir(daemon.data_dir().join("corrupt"))
            .unwrap()
            .count(),
        1,
        "kept for a look"
    );
    explains(&daemon.cli(&["scrub", "--repair"]), 4, &["chiron ingest FILE"]);

    let again = daemon.put_file(&file.filename, &file.bytes);
    assert_eq!(again["outcome"], "admitted", "{again:#}");
    assert_eq!(
        daemon.get(&file_url(&file.sha256, &file.filename)).body,
        file.bytes
    );
    assert_eq!(listed(&daemon, "demo"), [file.filename.as_str()]);
    daemon.cli(&["scrub"]).expect(0);
    assert_blobs_whole(daemon.data_dir());
    assert_sound(&daemon);
}
