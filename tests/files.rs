//! Promise: `/files/{sha256}/{filename}` and what lies beside it: immutable, in ranges, and nothing before its verdict.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::daemon::{Daemon, DaemonOptions};
use support::raw::Answer;
use support::upstream::{FakeFile, FakeUpstream, Fault, Ranges, Request, file_path, metadata_path};
use support::wheels::{lying_wheel, wheel};

const FOR_EVER: &str = "public, max-age=365000000, immutable";

/// Larger than what is fetched whole when only its metadata is asked for.
const LARGE: usize = 2 << 20;

fn served(file: &FakeFile) -> String {
    format!("/files/{}/{}", file.sha256, file.filename)
}

fn beside(file: &FakeFile, suffix: &str) -> String {
    format!("{}.{suffix}", served(file))
}

fn holding(file: &FakeFile) -> Daemon {
    let daemon = Daemon::start(DaemonOptions::alone());
    assert_eq!(
        daemon.put_file(&file.filename, &file.bytes)["outcome"],
        "admitted"
    );
    daemon
}

async fn on_demand(file: &FakeFile) -> (FakeUpstream, Daemon) {
    let upstream = FakeUpstream::start().await;
    upstream.add(file.clone());
    let daemon = Daemon::start(DaemonOptions::on_demand(&upstream.index_url()));
    (upstream, daemon)
}

/// The state of a file, once it has been judged.
fn state_when_judged(daemon: &Daemon, sha256: &str) -> Value {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let answer = daemon.admin("GET", &format!("/api/v1/files/{sha256}"), b"");
        if answer.status == 200 {
            return answer.json()["state"].clone();
        }
        assert!(Instant::now() < deadline, "the file was never judged: {answer}");
        std::thread::sleep(Duration::from_millis(10));
    }
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

#[test]
fn a_file_is_served_whole_with_what_clients_rely_on() {
    let file = wheel("demo", "1.0", &[]);
    let daemon = holding(&file);
    let get = daemon.get(&served(&file));
    assert_eq!((get.status, &get.body[..]), (200, &file.bytes[..]));
    for (name, value) in [
        ("etag", format!("\"{}\"", file.sha256)),
        ("content-length", file.bytes.len().to_string()),
        ("accept-ranges", "bytes".to_owned()),
        ("cache-control", FOR_EVER.to_owned()),
        ("x-content-type-options", "nosniff".to_owned()),
        ("content-encoding", String::new()),
    ] {
        assert_eq!(get.header(name), value, "{name}: {get}");
    }
    let head = daemon.request("HEAD", &served(&file), &[("Accept-Encoding", "gzip")]);
    assert_eq!((head.status, head.body.len()), (200, 0));
    for name in [
        "etag",
        "content-length",
        "accept-ranges",
        "cache-control",
        "content-type",
    ] {
        assert_eq!(head.header(name), get.header(name), "{name} of HEAD: {head}");
    }
    let post = daemon.request("POST", &served(&file), &[]);
    assert_problem(&post, 405);
}

#[test]
fn parts_are_served_as_the_rfc_says() {
    let file = wheel("demo", "1.0", &[]);
    let daemon = holding(&file);
    let (size, etag) = (file.bytes.len(), format!("\"{}\"", file.sha256));
    let ask = |range: &str, if_range: Option<&str>| {
        let mut headers = vec![("Range", range)];
        headers.extend(if_range.map(|tag| ("If-Range", tag)));
        daemon.request("GET", &served(&file), &headers)
    };
    for (range, part) in [
        ("bytes=0-9", 0..10),
        ("bytes=100-", 100..size),
        ("bytes=-22", size - 22..size),
        ("bytes=-999999999", 0..size),
        ("bytes=5-999999999", 5..size),
    ] {
        let answer = ask(range, None);
        assert_eq!(answer.status, 206, "{range}: {answer}");
        assert_eq!(
            answer.header("content-range"),
            format!("bytes {}-{}/{size}", part.start, part.end - 1)
        );
        assert_eq!(answer.body, file.bytes[part], "{range}");
        assert_eq!(
            (answer.header("etag"), answer.header("cache-control")),
            (etag.as_str(), FOR_EVER)
        );
    }
    let beyond = ask(&format!("bytes={size}-"), None);
    assert_eq!(
        (beyond.status, beyond.header("content-range")),
        (416, format!("bytes */{size}").as_str())
    );
    for whole in ["bytes=9-1", "bytes=0-1,5-6", "lines=0-1", "bytes=x-"] {
        assert_eq!(
            ask(whole, None).body.len(),
            size,
            "{whole}: what is not understood is answered whole"
        );
    }
    assert_eq!(ask("bytes=0-9", Some(&etag)).status, 206);
    for other in ["\"other\"", &format!("W/{etag}"), "Fri, 20 Nov 2026 00:00:00 GMT"] {
        let answer = ask("bytes=0-9", Some(other));
        assert_eq!(
            (answer.status, answer.body.len()),
            (200, size),
            "If-Range: {other}"
        );
    }
    let head = daemon.request("HEAD", &served(&file), &[("Range", "bytes=0-9")]);
    assert_eq!(
        (head.status, head.header("content-length")),
        (200, size.to_string().as_str())
    );
}

#[test]
fn who_has_the_bytes_is_told_so() {
    let file = wheel("demo", "1.0", &[]);
    let daemon = holding(&file);
    let etag = format!("\"{}\"", file.sha256);
    for tag in [etag.as_str(), &format!("\"x\", W/{etag}"), "*"] {
        for method in ["GET", "HEAD"] {
            let headers = [("If-None-Match", tag), ("Range", "bytes=0-9")];
            let answer = daemon.request(method, &served(&file), &headers);
            assert_eq!(
                (answer.status, answer.body.len()),
                (304, 0),
                "{method} {tag}: {answer}"
            );
            assert_eq!(
                (answer.header("etag"), answer.header("cache-control")),
                (etag.as_str(), FOR_EVER)
            );
        }
    }
    assert_eq!(
        daemon
            .request("GET", &served(&file), &[("If-None-Match", "\"x\"")])
            .status,
        200
    );
}

#[test]
fn what_lies_beside_a_file_agrees_with_the_admin_api() {
    let file = wheel("demo", "1.0", &["six>=1"]);
    let daemon = holding(&file);
    let metadata = daemon.get(&beside(&file, "metadata"));
    assert_eq!(
        (metadata.status, &metadata.body[..]),
        (200, &file.metadata.as_ref().unwrap()[..])
    );
    assert_eq!(metadata.header("cache-control"), FOR_EVER);
    let tag = metadata.header("etag").to_owned();
    assert_eq!(
        daemon
            .request("GET", &beside(&file, "metadata"), &[("If-None-Match", &tag)])
            .status,
        304
    );

    let verdict = daemon.get(&beside(&file, "verdict.json"));
    assert_eq!(
        (verdict.status, verdict.header("content-type")),
        (200, "application/json")
    );
    assert_eq!(
        verdict.header("cache-control"),
        "no-cache",
        "a later judgment may replace it"
    );
    let api = daemon.admin("GET", &format!("/api/v1/files/{}/verdict", file.sha256), b"");
    assert_eq!(verdict.body, api.body);
    let verdict = verdict.json();
    assert_eq!(verdict["schema"], "chiron.verdict/v1");
    let named = json!({ "filename": file.filename, "project": "demo", "version": "1.0",
                        "sha256": file.sha256, "size": file.bytes.len() });
    assert_eq!(verdict["file"], named);
    assert_eq!(
        (&verdict["decision"], &verdict["reasons"], &verdict["event"]),
        (&json!("admit"), &json!([]), &json!(0))
    );
    assert_eq!(verdict["policy"]["profile"], "standard");
    assert!(verdict["decided_at"].as_str().unwrap().ends_with('Z'));
    let checks = verdict["checks"].as_array().unwrap();
    for wanted in ["structure", "hashes"] {
        let row = checks
            .iter()
            .find(|row| row["check"] == wanted)
            .unwrap_or_else(|| panic!("no {wanted}"));
        assert!(row["summary"].is_string() && row["facts"].is_object(), "{row:#}");
        let digest = row["evidence"].as_str().unwrap().strip_prefix("sha256:").unwrap();
        let evidence = daemon.admin("GET", &format!("/api/v1/evidence/{digest}"), b"");
        assert_eq!(
            evidence.header("etag"),
            format!("\"{digest}\""),
            "evidence is named by its digest"
        );
        let evidence = evidence.json();
        assert_eq!(
            (&evidence["check"], &evidence["outcome"]),
            (&row["check"], &row["outcome"])
        );
        assert_eq!(evidence["subject"], file.sha256);
    }
}

#[test]
fn what_is_not_there_is_404_each_in_its_form() {
    let file = wheel("demo", "1.0", &[]);
    let daemon = holding(&file);
    for suffix in ["provenance", "sbom.json"] {
        let answer = daemon.get(&beside(&file, suffix));
        assert_problem(&answer, 404);
        assert!(
            answer.json()["detail"].as_str().unwrap().contains(&file.filename),
            "{answer}"
        );
    }
    let integrity = daemon.get(&format!("/integrity/demo/1.0/{}/provenance", file.filename));
    assert_eq!(
        (integrity.status, integrity.header("content-type")),
        (404, "application/json")
    );
    assert_eq!(
        integrity.json(),
        json!({ "message": format!("No provenance available for {}", file.filename) })
    );
    let zeros = "0".repeat(64);
    for path in [
        format!("/files/{}/other-1.0-py3-none-any.whl", file.sha256),
        format!("/files/{zeros}/{}", file.filename),
        format!("/files/{}/{}", &file.sha256[1..], file.filename),
        format!("/files/{}/../../../etc/passwd", file.sha256),
        format!("/files/{}/..%2F..%2Fadmin.token", file.sha256),
        format!("/files/{zeros}/{}.metadata", file.filename),
        format!("/files/{zeros}/{}.verdict.json", file.filename),
        format!("/files/{}", file.sha256),
    ] {
        assert_problem(&daemon.get(&path), 404);
    }
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
    assert_eq!(log_size(&daemon), 0, "the answer waited for no verdict");
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
    assert_eq!(log_size(&daemon), 1, "the verdict was there before the answer");
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
        (&json!("refuse"), &json!(0))
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
