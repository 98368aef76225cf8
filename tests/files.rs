//! Promise: `/files/{sha256}/{filename}` and what lies beside it: immutable and in ranges.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use serde_json::json;
use support::daemon::{Daemon, DaemonOptions, KEYS_MADE};
use support::raw::Answer;
use support::upstream::FakeFile;
use support::wheels::wheel;

const FOR_EVER: &str = "public, max-age=365000000, immutable";

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
    let mut with_history = api.json();
    let history = with_history.as_object_mut().unwrap().remove("history").unwrap();
    assert_eq!(verdict.json(), with_history);
    assert_eq!(
        (history.as_array().unwrap().len(), &history[0]["decision"]),
        (1, &json!("admit"))
    );
    let verdict = verdict.json();
    assert_eq!(verdict["schema"], "chiron.verdict/v1");
    let named = json!({ "filename": file.filename, "project": "demo", "version": "1.0",
                        "sha256": file.sha256, "size": file.bytes.len() });
    assert_eq!(verdict["file"], named);
    assert_eq!(
        (&verdict["decision"], &verdict["reasons"], &verdict["event"]),
        (&json!("admit"), &json!([]), &json!(KEYS_MADE))
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
    for suffix in ["provenance", "statements.json"] {
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
