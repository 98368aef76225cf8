//! Promise: what an installer asks for first comes through the gate then; nothing of a file leaves before its verdict.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::daemon::{Daemon, DaemonOptions, KEYS_MADE};
use support::jobs::wait_for;
use support::raw::Answer;
use support::upstream::{FakeFile, FakeUpstream, Fault, Ranges, Request, file_path, metadata_path};
use support::wheels::{lying_wheel, wheel};

/// Larger than what is fetched whole when only its metadata is asked for.
const LARGE: usize = 2 << 20;

fn served(file: &FakeFile) -> String {
    format!("/files/{}/{}", file.sha256, file.filename)
}

fn beside(file: &FakeFile, suffix: &str) -> String {
    format!("{}.{suffix}", served(file))
}

async fn on_demand(file: &FakeFile) -> (FakeUpstream, Daemon) {
    let upstream = FakeUpstream::start().await;
    upstream.add(file.clone());
    let daemon = Daemon::start(DaemonOptions::on_demand(&upstream.index_url()));
    (upstream, daemon)
}

/// The state of a file, once it has been judged.
fn state_when_judged(daemon: &Daemon, sha256: &str) -> Value {
    wait_for("the file is judged", || {
        let answer = daemon.admin("GET", &format!("/api/v1/files/{sha256}"), b"");
        (answer.status == 200).then(|| answer.json()["state"].clone())
    })
}

fn log_size(daemon: &Daemon) -> u64 {
    daemon.admin("GET", "/api/v1/status", b"").json()["log_size"]
        .as_u64()
        .unwrap()
}

/// Downloads of the whole file among what upstream was asked.
fn whole_downloads(upstream: &FakeUpstream, file: &FakeFile) -> Vec<Request> {
    let asked = upstream.requests_of(&file_path(&file.filename)).into_iter();
    asked
        .filter(|request| request.method == "GET" && request.header("range").is_empty())
        .collect()
}

fn assert_problem(answer: &Answer, status: u16) {
    assert_eq!(answer.status, status, "{answer}");
    assert_eq!(
        answer.header("content-type"),
        "application/problem+json",
        "{answer}"
    );
    assert_eq!(answer.json()["status"], status, "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata_of_a_large_wheel_is_read_by_ranges_and_the_gate_begins_by_itself() {
    let file = FakeFile::wheel("demo", "1.0", LARGE);
    let (upstream, daemon) = on_demand(&file).await;
    // The whole file takes seconds, a part of it a moment.
    upstream.fault(
        &file_path(&file.filename),
        Fault::Drip(64 << 10, Duration::from_millis(50)),
    );
    let answer = daemon.get(&beside(&file, "metadata"));
    assert_eq!(
        (answer.status, &answer.body[..]),
        (200, &file.metadata.as_ref().unwrap()[..]),
        "{answer}"
    );
    assert_eq!(log_size(&daemon), KEYS_MADE, "the answer waited for no verdict");
    let parts = upstream.requests_of(&file_path(&file.filename));
    assert!(
        parts
            .iter()
            .any(|request| request.header("range").starts_with("bytes=")),
        "{parts:?}"
    );

    assert_eq!(
        state_when_judged(&daemon, &file.sha256),
        "admitted",
        "nobody asked for the file"
    );
    assert_eq!(whole_downloads(&upstream, &file).len(), 1);
    assert_eq!(daemon.get(&served(&file)).body, file.bytes);
    assert_eq!(
        daemon.get(&beside(&file, "metadata")).body,
        answer.body,
        "and its own metadata is the same"
    );
    assert_eq!(
        whole_downloads(&upstream, &file).len(),
        1,
        "one download for all of it"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_small_wheel_is_fetched_whole_for_its_metadata() {
    let file = wheel("demo", "1.0", &[]);
    let (upstream, daemon) = on_demand(&file).await;
    let answer = daemon.get(&beside(&file, "metadata"));
    assert_eq!(
        (answer.status, &answer.body[..]),
        (200, &file.metadata.as_ref().unwrap()[..]),
        "{answer}"
    );
    assert_eq!(
        log_size(&daemon),
        KEYS_MADE + 1,
        "the verdict was there before the answer"
    );
    let asked = upstream.requests_of(&file_path(&file.filename));
    assert_eq!(
        (asked.len(), asked[0].header("range")),
        (1, ""),
        "one request, of the whole file"
    );
    assert_eq!(daemon.get(&served(&file)).status, 200);
    assert_eq!(upstream.count(&file_path(&file.filename)), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_without_ranges_costs_one_download_more_at_most() {
    for ranges in [Ranges::Ignored, Ranges::NoSuffix, Ranges::SuffixAsPrefix] {
        for sizes in [true, false] {
            let file = FakeFile::wheel("demo", "1.0", LARGE);
            let (upstream, daemon) = on_demand(&file).await;
            upstream.shape(|shape| (shape.ranges, shape.sizes) = (ranges, sizes));
            let answer = daemon.get(&beside(&file, "metadata"));
            assert_eq!(
                (answer.status, &answer.body[..]),
                (200, &file.metadata.as_ref().unwrap()[..]),
                "{ranges:?}"
            );
            assert_eq!(state_when_judged(&daemon, &file.sha256), "admitted", "{ranges:?}");
            assert_eq!(
                whole_downloads(&upstream, &file).len(),
                1,
                "{ranges:?}, sizes {sizes}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata_that_upstream_offers_is_taken_and_held_against_the_wheel() {
    let good = FakeFile::wheel("demo", "1.0", LARGE);
    let mut lying = FakeFile::wheel("liar", "1.0", LARGE);
    lying.metadata = Some("Metadata-Version: 2.1\nName: liar\nVersion: 1.0\nRequires-Dist: evil\n".into());
    let (upstream, daemon) = on_demand(&good).await;
    upstream.add(lying.clone());
    upstream.shape(|shape| (shape.metadata, shape.metadata_hashes) = (true, true));
    let answer = daemon.get(&beside(&good, "metadata"));
    assert_eq!(
        (answer.status, &answer.body[..]),
        (200, &good.metadata.as_ref().unwrap()[..]),
        "{answer}"
    );
    assert_eq!(upstream.count(&metadata_path(&good.filename)), 1);
    assert_eq!(state_when_judged(&daemon, &good.sha256), "admitted");

    // Another metadata beside the wheel than in it: the wheel that comes in is refused.
    daemon.get(&beside(&lying, "metadata"));
    let answer = daemon.get(&served(&lying));
    assert_problem(&answer, 403);
    assert_eq!(state_when_judged(&daemon, &lying.sha256), "refused");
    assert_eq!(
        daemon.get(&beside(&lying, "metadata")).status,
        403,
        "nor is its metadata served any more"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata_with_another_hash_than_announced_is_not_passed_on() {
    let file = FakeFile::wheel("demo", "1.0", LARGE);
    let (upstream, daemon) = on_demand(&file).await;
    upstream.shape(|shape| (shape.metadata, shape.metadata_hashes) = (true, true));
    let evil = Fault::Body(
        "text/plain".to_owned(),
        "Metadata-Version: 2.1\nName: demo\nVersion: 6\n".into(),
    );
    upstream.fault(&metadata_path(&file.filename), evil);
    let answer = daemon.get(&beside(&file, "metadata"));
    assert!(
        answer.status == 502 || answer.body == file.metadata.as_ref().unwrap()[..],
        "{answer}"
    );
    // The wheel itself is sound, and says what its metadata is.
    assert_eq!(daemon.get(&served(&file)).status, 200);
    assert_eq!(
        daemon.get(&beside(&file, "metadata")).body,
        file.metadata.as_ref().unwrap()[..]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_a_refused_file_is_served() {
    let file = lying_wheel("demo", "1.0");
    let (upstream, daemon) = on_demand(&file).await;
    for path in [served(&file), beside(&file, "metadata")] {
        let answer = daemon.get(&path);
        assert_problem(&answer, 403);
        assert!(
            answer.reason.contains("refused"),
            "pip prints the reason phrase: {answer}"
        );
    }
    assert_eq!(daemon.request("HEAD", &served(&file), &[]).status, 403);
    assert_eq!(
        daemon
            .request("GET", &served(&file), &[("Range", "bytes=0-9")])
            .status,
        403
    );
    let verdict = daemon.get(&beside(&file, "verdict.json")).json();
    assert_eq!(
        (&verdict["decision"], &verdict["event"]),
        (&json!("refuse"), &json!(KEYS_MADE))
    );
    assert!(
        !verdict["reasons"].as_array().unwrap().is_empty(),
        "the verdict says why: {verdict:#}"
    );
    assert_eq!(whole_downloads(&upstream, &file).len(), 1, "it was judged once");
    let blobs = std::fs::read_dir(daemon.data_dir().join("blobs")).unwrap();
    let kept: usize = blobs
        .map(|folder| std::fs::read_dir(folder.unwrap().path()).unwrap().count())
        .sum();
    assert_eq!(kept, 0, "and its bytes were not kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lie_about_a_hash_takes_no_admitted_file_out_of_service() {
    let file = wheel("demo", "1.0", &[]);
    let upstream = FakeUpstream::start().await;
    upstream.add(file.clone());
    let options = DaemonOptions::on_demand(&upstream.index_url()).config("[index]\nfresh = \"20ms\"\n");
    let daemon = Daemon::start(options);
    daemon.page("demo");
    assert_eq!(daemon.get(&served(&file)).status, 200);
    // Upstream now claims another digest for the same bytes, and somebody asks for it.
    let claimed = "1".repeat(64);
    upstream.change(&file.filename, |entry| entry.sha256.clone_from(&claimed));
    let deadline = Instant::now() + Duration::from_secs(20);
    let answer = loop {
        let answer = daemon.get(&format!("/files/{claimed}/{}", file.filename));
        if answer.status != 404 || Instant::now() > deadline {
            break answer;
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    assert_problem(&answer, 403);
    let before = daemon.get(&served(&file));
    assert_eq!(
        before.status, 200,
        "the admitted file is served as before: {before}"
    );
    assert_eq!(daemon.page("demo")["files"][0]["hashes"]["sha256"], *file.sha256);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lie_about_a_hash_does_not_condemn_the_bytes() {
    let file = wheel("demo", "1.0", &[]);
    let upstream = FakeUpstream::start().await;
    let claimed = "1".repeat(64);
    upstream.add(FakeFile {
        sha256: claimed.clone(),
        ..file.clone()
    });
    let options = DaemonOptions::on_demand(&upstream.index_url()).config("[index]\nfresh = \"20ms\"\n");
    let daemon = Daemon::start(options);
    let answer = daemon.get(&format!("/files/{claimed}/{}", file.filename));
    assert_problem(&answer, 403);
    // Upstream mends its page: the file is what the page now says, so the lie must not stick to it.
    upstream.add(file.clone());
    let deadline = Instant::now() + Duration::from_secs(3);
    loop {
        let answer = daemon.get(&served(&file));
        if answer.status == 200 {
            assert_eq!(answer.body, file.bytes);
            break;
        }
        assert!(
            Instant::now() < deadline,
            "its true digest is published and fits: {answer}"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}
