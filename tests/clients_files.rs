//! What installers need of files, their metadata and their caching (`CLIENTS.md`), line by line, on the wire.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use chiron_storage::Digest;
use serde_json::Value;
use support::daemon::{Daemon, DaemonOptions};
use support::raw::{Answer, PIP_ACCEPT};
use support::upstream::{FakeFile, FakeUpstream};
use support::wheels::wheel;

const FOR_EVER: &str = "public, max-age=365000000, immutable";

/// A daemon that holds one admitted wheel, handed in; no upstream.
fn holding(file: &FakeFile) -> Daemon {
    let daemon = Daemon::start(DaemonOptions::alone());
    let result = daemon.put_file(&file.filename, &file.bytes);
    assert_eq!(result["outcome"], "admitted", "{result:#}");
    daemon
}

fn six() -> FakeFile {
    wheel("six", "1.0", &["flask>=1; extra == 'web'"])
}

/// A daemon in on-demand mode before a fake upstream.
async fn on_demand(files: &[FakeFile]) -> (FakeUpstream, Daemon) {
    let upstream = FakeUpstream::start().await;
    for file in files {
        upstream.add(file.clone());
    }
    let daemon = Daemon::start(DaemonOptions::on_demand(&upstream.index_url()));
    (upstream, daemon)
}

fn json_page(daemon: &Daemon, project: &str) -> Answer {
    daemon.request("GET", &format!("/simple/{project}/"), &[("Accept", PIP_ACCEPT)])
}

fn html_page(daemon: &Daemon, project: &str) -> Answer {
    daemon.request("GET", &format!("/simple/{project}/"), &[("Accept", "text/html")])
}

fn varies_by_accept(answer: &Answer) -> bool {
    answer
        .header("vary")
        .split(',')
        .any(|name| name.trim().eq_ignore_ascii_case("accept"))
}

/// The address of a page's first file, as a path of this server.
fn first_file(page: &Value, project: &str) -> String {
    let url = page["files"][0]["url"].as_str().unwrap();
    match url.strip_prefix("../../") {
        Some(rest) => format!("/{rest}"),
        None if url.starts_with('/') => url.to_owned(),
        None => panic!("{project}: {url} is neither relative to the page nor to the server"),
    }
}

// Metadata and files.

#[test]
fn metadata_is_the_wheels_own() {
    let six = six();
    let daemon = holding(&six);
    let page = json_page(&daemon, "six").json();
    let answer = daemon.get(&format!("{}.metadata", first_file(&page, "six")));
    assert_eq!(answer.status, 200, "{answer}");
    assert_eq!(answer.body, six.metadata.unwrap());
    assert_eq!(
        page["files"][0]["core-metadata"]["sha256"],
        Digest::of(&answer.body).to_string()
    );
    assert_eq!(answer.header("cache-control"), FOR_EVER);
}

/// An advertised `.metadata` that answers 404 or differs is a hard failure in pip and uv: it must hold
/// from the first page on, for an upstream that offers it and for one that does not.
#[tokio::test(flavor = "multi_thread")]
async fn metadata_that_is_announced_is_there_before_the_wheel_is() {
    for offered in [false, true] {
        let (upstream, daemon) = on_demand(&[six()]).await;
        upstream.shape(|shape| {
            shape.metadata = offered;
            shape.metadata_hashes = offered;
        });
        let page = json_page(&daemon, "six").json();
        let file = &page["files"][0];
        let announced = file
            .get("core-metadata")
            .is_some_and(|metadata| *metadata != false);
        let answer = daemon.get(&format!("{}.metadata", first_file(&page, "six")));
        assert_eq!(
            answer.status, 200,
            "offered upstream: {offered}, announced: {announced}: {answer}"
        );
        assert_eq!(
            answer.body,
            six().metadata.unwrap(),
            "offered upstream: {offered}"
        );
        if let Some(digest) = file["core-metadata"]["sha256"].as_str() {
            assert_eq!(digest, Digest::of(&answer.body).to_string());
        }
    }
}

#[test]
fn a_file_is_never_compressed_and_takes_ranges() {
    let six = six();
    let daemon = holding(&six);
    let path = format!("/files/{}/{}", six.sha256, six.filename);
    let size = six.bytes.len();
    let head = daemon.request("HEAD", &path, &[("Accept-Encoding", "gzip, br, zstd")]);
    assert_eq!((head.status, head.body.len()), (200, 0), "{head}");
    assert_eq!(head.header("accept-ranges"), "bytes");
    assert_eq!(head.header("content-length"), size.to_string());
    assert!(!head.has("content-encoding"), "{head}");

    for (range, from, to) in [
        ("bytes=0-9".to_owned(), 0, 9),
        (format!("bytes={}-", size - 5), size - 5, size - 1),
        ("bytes=-7".to_owned(), size - 7, size - 1),
        ("bytes=10-99999999".to_owned(), 10, size - 1),
    ] {
        let answer = daemon.request(
            "GET",
            &path,
            &[("Range", &range), ("Accept-Encoding", "identity")],
        );
        assert_eq!(answer.status, 206, "{range}: {answer}");
        assert_eq!(
            answer.header("content-range"),
            format!("bytes {from}-{to}/{size}"),
            "{range}"
        );
        assert_eq!(answer.body, six.bytes[from..=to], "{range}");
    }
    let beyond = daemon.request("GET", &path, &[("Range", &format!("bytes={size}-"))]);
    assert_eq!(beyond.status, 416, "{beyond}");
    assert_eq!(beyond.header("content-range"), format!("bytes */{size}"));
    let nonsense = daemon.request("GET", &path, &[("Range", "lines=1-2")]);
    assert_eq!(
        (nonsense.status, nonsense.body.len()),
        (200, size),
        "an unknown unit is ignored (RFC 9110, 14.2)"
    );
}

#[test]
fn if_range_resumes_only_the_same_bytes() {
    let six = six();
    let daemon = holding(&six);
    let path = format!("/files/{}/{}", six.sha256, six.filename);
    let etag = daemon.get(&path).header("etag").to_owned();
    assert!(
        etag.starts_with('"') && etag.ends_with('"') && etag.len() > 2,
        "a strong ETag, not {etag}"
    );
    let same = daemon.request("GET", &path, &[("Range", "bytes=5-"), ("If-Range", &etag)]);
    assert_eq!(
        (same.status, same.body.as_slice()),
        (206, &six.bytes[5..]),
        "{same}"
    );
    for other in ["\"other\"", &format!("W/{etag}"), "Thu, 01 Jan 1970 00:00:00 GMT"] {
        let answer = daemon.request("GET", &path, &[("Range", "bytes=5-"), ("If-Range", other)]);
        assert_eq!(
            (answer.status, answer.body.len()),
            (200, six.bytes.len()),
            "{other}: {answer}"
        );
    }
}

// Caching.

#[test]
fn pages_are_revalidated_and_files_kept_for_ever() {
    let six = six();
    let daemon = holding(&six);
    let mut tags = Vec::new();
    for page in [json_page(&daemon, "six"), html_page(&daemon, "six")] {
        assert_eq!(page.header("cache-control"), "no-cache", "{page}");
        let etag = page.header("etag");
        assert!(etag.starts_with('"'), "{page}");
        tags.push(etag.to_owned());
    }
    assert_ne!(tags[0], tags[1], "two forms, two tags");
    let file = daemon.get(&format!("/files/{}/{}", six.sha256, six.filename));
    assert_eq!(file.header("cache-control"), FOR_EVER, "{file}");

    let tag = tags[0].as_str();
    for condition in [tag, "*", &format!("\"x\", {tag}"), &format!("W/{tag}")] {
        let answer = daemon.request(
            "GET",
            "/simple/six/",
            &[("Accept", PIP_ACCEPT), ("If-None-Match", condition)],
        );
        assert_eq!(
            (answer.status, answer.body.len()),
            (304, 0),
            "{condition}: {answer}"
        );
        assert_eq!(answer.header("etag"), tag);
        assert_eq!(answer.header("cache-control"), "no-cache");
        assert!(varies_by_accept(&answer), "{answer}");
    }
    let other = daemon.request(
        "GET",
        "/simple/six/",
        &[("Accept", PIP_ACCEPT), ("If-None-Match", "\"x\"")],
    );
    assert_eq!(other.status, 200);
}

#[test]
fn a_decision_changes_the_pages_tag_at_once() {
    let six = six();
    let daemon = holding(&six);
    let tag = json_page(&daemon, "six").header("etag").to_owned();
    daemon
        .cli(&["revoke", &six.filename, "--reason", "a hole"])
        .expect(0);
    let answer = daemon.request(
        "GET",
        "/simple/six/",
        &[("Accept", PIP_ACCEPT), ("If-None-Match", &tag)],
    );
    assert_ne!(
        answer.status, 304,
        "a revoked file must not live on in caches: {answer}"
    );
}

// Names and companions.

#[test]
fn a_file_under_another_name_or_digest_is_404() {
    let six = six();
    let daemon = holding(&six);
    let zero = "0".repeat(64);
    for path in [
        format!("/files/{zero}/{}", six.filename),
        format!("/files/{}/other-1.0-py3-none-any.whl", six.sha256),
        format!("/files/{}/..%2f{}", six.sha256, six.filename),
        format!("/files/{}x/{}", six.sha256, six.filename),
        format!("/files/{}/", six.sha256),
    ] {
        let answer = daemon.get(&path);
        assert!(matches!(answer.status, 400 | 404), "{path}: {answer}");
        assert!(
            !answer.has("etag") || answer.header("cache-control") != FOR_EVER,
            "{answer}"
        );
    }
}

#[test]
fn provenance_that_is_not_there_is_404() {
    let six = six();
    let daemon = holding(&six);
    let page = json_page(&daemon, "six").json();
    assert!(
        page["files"][0].get("provenance").is_none(),
        "nothing is promised that is not there"
    );
    for path in [
        format!("/files/{}/{}.provenance", six.sha256, six.filename),
        format!("/integrity/six/1.0/{}/provenance", six.filename),
    ] {
        assert_eq!(daemon.get(&path).status, 404, "{path}");
    }
}

#[test]
fn the_verdict_lies_beside_its_file() {
    let six = six();
    let daemon = holding(&six);
    let verdict = daemon.get(&format!("/files/{}/{}.verdict.json", six.sha256, six.filename));
    assert_eq!(verdict.status, 200, "{verdict}");
    assert_eq!(verdict.json()["schema"], "chiron.verdict/v1");
    assert_eq!(verdict.json()["decision"], "admit");
}
