//! Promise: the index lists what was admitted and, on demand, what upstream offers; nothing else.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::io::Read as _;

use serde_json::{Value, json};
use support::daemon::{Daemon, DaemonOptions};
use support::jobs::{ended, submit};
use support::raw::{Answer, PIP_ACCEPT};
use support::upstream::{FakeFile, FakeUpstream, file_path, page_path};
use support::wheels::{lying_wheel, wheel};

async fn upstream_with(files: &[FakeFile]) -> FakeUpstream {
    let upstream = FakeUpstream::start().await;
    for file in files {
        upstream.add(file.clone());
    }
    upstream
}

/// Ingests by the admin API and waits; the job.
fn ingest(daemon: &Daemon, items: &Value) -> Value {
    let job = submit(daemon, "/api/v1/ingest", &json!({ "items": items }));
    ended(daemon, &job)
}

fn ask(daemon: &Daemon, project: &str) -> Answer {
    daemon.request("GET", &format!("/simple/{project}/"), &[("Accept", PIP_ACCEPT)])
}

fn filenames(page: &Value) -> Vec<&str> {
    page["files"]
        .as_array()
        .unwrap()
        .iter()
        .map(|file| file["filename"].as_str().unwrap())
        .collect()
}

fn served(file: &FakeFile) -> String {
    format!("/files/{}/{}", file.sha256, file.filename)
}

fn events(daemon: &Daemon) -> Vec<Value> {
    let page = daemon.admin("GET", "/api/v1/events?limit=1000", b"").json();
    page["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["event"].clone())
        // The first entry says which TUF keys were made.
        .filter(|event| event["type"] != "keys-changed")
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn curated_mode_lists_what_was_ingested_and_asks_nobody() {
    let (one, two) = (wheel("demo", "1.0", &[]), wheel("demo", "2.0", &[]));
    let upstream = upstream_with(&[one.clone(), two.clone()]).await;
    let daemon = Daemon::start(DaemonOptions::curated(&upstream.index_url()));
    assert_eq!(ask(&daemon, "demo").status, 404);
    assert_eq!(
        daemon.get(&served(&one)).status,
        404,
        "a download brings nothing in"
    );
    assert_eq!(daemon.get(&format!("{}.metadata", served(&one))).status, 404);
    assert_eq!(upstream.requests().len(), 0, "{:?}", upstream.requests());

    let job = ingest(&daemon, &json!([{ "project": "Demo", "specifier": "==1.0" }]));
    assert_eq!(job["files"][0]["outcome"], "admitted", "{job:#}");
    upstream.forget_requests();
    assert_eq!(filenames(&daemon.page("demo")), [one.filename.as_str()]);
    assert_eq!(daemon.get(&served(&one)).body, one.bytes);
    assert_eq!(daemon.get(&served(&two)).status, 404);
    assert_eq!(
        upstream.requests().len(),
        0,
        "installers never reach a curated upstream"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owned_name_is_never_asked_upstream() {
    let theirs = wheel("acme-tools", "9.9", &[]);
    let upstream = upstream_with(&[theirs.clone(), wheel("other", "1.0", &[])]).await;
    let options = DaemonOptions::on_demand(&upstream.index_url()).config("[[owned]]\npattern = \"acme-*\"");
    let daemon = Daemon::start(options);
    assert_eq!(ask(&daemon, "acme-tools").status, 404);
    assert_eq!(daemon.get(&served(&theirs)).status, 404);
    assert_eq!(daemon.get(&format!("{}.metadata", served(&theirs))).status, 404);
    assert_eq!(daemon.get(&format!("/explain/{}", theirs.filename)).status, 200);
    let job = ingest(&daemon, &json!([{ "project": "Acme_Tools" }]));
    assert_eq!(job["files"][0]["outcome"], "not-found", "{job:#}");
    assert!(
        job["files"][0]["reasons"].to_string().contains("owned"),
        "{job:#}"
    );

    let ours = wheel("acme-tools", "1.0", &[]);
    assert_eq!(
        daemon.put_file(&ours.filename, &ours.bytes)["outcome"],
        "admitted"
    );
    assert_eq!(filenames(&daemon.page("acme-tools")), [ours.filename.as_str()]);
    assert_eq!(
        daemon.admin("GET", "/api/v1/projects/acme-tools", b"").json()["owned"],
        true
    );
    daemon.page("other");
    let asked: Vec<_> = upstream.requests().into_iter().map(|r| r.path).collect();
    assert!(
        asked.iter().all(|path| !path.to_lowercase().contains("acme")),
        "{asked:?}"
    );
    assert!(
        asked.contains(&page_path("other")),
        "other names are asked: {asked:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn on_demand_lists_candidates_until_they_are_judged() {
    let (good, bad) = (wheel("demo", "1.0", &[]), lying_wheel("demo", "2.0"));
    let upstream = upstream_with(&[good.clone(), bad.clone()]).await;
    let daemon = Daemon::start(DaemonOptions::on_demand(&upstream.index_url()));
    let page = daemon.page("demo");
    assert_eq!(filenames(&page), [good.filename.as_str(), bad.filename.as_str()]);
    assert_eq!(
        upstream.count(&file_path(&good.filename)),
        0,
        "a list downloads nothing"
    );
    assert!(events(&daemon).is_empty(), "and decides nothing");

    assert_eq!(daemon.get(&served(&good)).body, good.bytes);
    assert_eq!(daemon.get(&served(&bad)).status, 403);
    let page = daemon.page("demo");
    assert_eq!(
        filenames(&page),
        [good.filename.as_str()],
        "what was refused is listed no more"
    );
    assert_eq!(page["versions"], json!(["1.0"]));
    let events = events(&daemon);
    let types: Vec<_> = events.iter().map(|e| (&e["type"], &e["sha256"])).collect();
    assert_eq!(
        types,
        [
            (&json!("admitted"), &json!(good.sha256)),
            (&json!("refused"), &json!(bad.sha256))
        ]
    );

    // Judged once: another download asks upstream for nothing.
    upstream.forget_requests();
    assert_eq!(
        (
            daemon.get(&served(&good)).status,
            daemon.get(&served(&bad)).status
        ),
        (200, 403)
    );
    assert_eq!(
        upstream.count(&file_path(&good.filename)) + upstream.count(&file_path(&bad.filename)),
        0
    );
}

/// `(file name, digest, requires-python, yanked, metadata digest)` of each file.
type Row = (String, String, Option<String>, Option<String>, Option<String>);

fn rows_of_json(page: &Value) -> Vec<Row> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let files = page["files"].as_array().unwrap().iter();
    files
        .map(|file| {
            let yanked = match &file["yanked"] {
                Value::Bool(true) => Some(String::new()),
                other => text(other),
            };
            let sha256 = text(&file["hashes"]["sha256"]).unwrap();
            let metadata = text(&file["core-metadata"]["sha256"]);
            (
                text(&file["filename"]).unwrap(),
                sha256,
                text(&file["requires-python"]),
                yanked,
                metadata,
            )
        })
        .collect()
}

fn rows_of_html(html: &str) -> Vec<Row> {
    let unescape = |text: &str| {
        text.replace("&lt;", "<")
            .replace("&gt;", ">")
            .replace("&quot;", "\"")
            .replace("&amp;", "&")
    };
    let anchors = html.split("<a ").skip(1);
    anchors
        .map(|anchor| {
            let (tag, text) = anchor.split_once("\">").unwrap();
            let attribute = |name: &str| {
                let rest = &tag[tag.find(&format!("{name}=\""))? + name.len() + 2..];
                Some(unescape(rest.split('"').next().unwrap()))
            };
            let sha256 = attribute("href")
                .unwrap()
                .split_once("#sha256=")
                .unwrap()
                .1
                .to_owned();
            let metadata = attribute("data-core-metadata");
            assert_eq!(metadata, attribute("data-dist-info-metadata"), "{tag}");
            (
                text.split('<').next().map(unescape).unwrap(),
                sha256,
                attribute("data-requires-python"),
                attribute("data-yanked"),
                metadata.and_then(|m| m.strip_prefix("sha256=").map(str::to_owned)),
            )
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_says_what_the_standards_ask_and_both_forms_agree() {
    let mut files: Vec<_> = ["1.9", "1.10", "1.10.0rc1", "2.0.dev1"]
        .map(|v| wheel("demo", v, &[]))
        .into();
    files[0].requires_python = Some(">=3.8,<4".to_owned());
    files[1].yanked = Some("bad \"<build>\" & co".to_owned());
    for (n, file) in files.iter_mut().enumerate() {
        file.upload_time = format!("2024-01-0{}T03:04:05.678901+00:00", n + 1);
    }
    let upstream = upstream_with(&files).await;
    let daemon = Daemon::start(DaemonOptions::on_demand(&upstream.index_url()));
    daemon.page("demo");
    for file in &files {
        assert_eq!(daemon.get(&served(file)).status, 200);
    }
    let page = daemon.page("demo");
    assert_eq!(
        (&page["meta"]["api-version"], &page["name"]),
        (&json!("1.4"), &json!("demo"))
    );
    assert_eq!(
        page["versions"],
        json!(["1.9", "1.10.0rc1", "1.10", "2.0.dev1"]),
        "sorted as PEP 440 says"
    );
    for file in &files {
        let entry = page["files"]
            .as_array()
            .unwrap()
            .iter()
            .find(|e| e["filename"] == *file.filename)
            .unwrap();
        assert_eq!(entry["size"], file.bytes.len());
        assert_eq!(entry["upload-time"], *file.upload_time, "upstream's, unchanged");
        assert_eq!(entry["hashes"], json!({ "sha256": file.sha256 }));
        assert_eq!(entry["url"], format!("../..{}", served(file)));
    }
    let rows = rows_of_json(&page);
    let html = daemon
        .request("GET", "/simple/demo/", &[("Accept", "text/html")])
        .text();
    assert_eq!(rows_of_html(&html), rows);
    assert!(
        rows.iter().all(|row| row.4.is_some()),
        "admitted wheels have metadata: {rows:?}"
    );
    assert!(
        rows.iter()
            .any(|row| row.3.as_deref() == Some("bad \"<build>\" & co")),
        "{rows:?}"
    );
    assert!(
        rows.iter().any(|row| row.2.as_deref() == Some(">=3.8,<4")),
        "{rows:?}"
    );
}

#[test]
fn unknown_is_404_and_other_spellings_are_redirected() {
    let daemon = Daemon::start(DaemonOptions::alone());
    for path in [
        "/simple/unknown/",
        "/simple/-/",
        "/simple/a%2Fb/",
        "/simple/%C3%A9/",
    ] {
        let answer = daemon.request("GET", path, &[("Accept", PIP_ACCEPT)]);
        assert_eq!(answer.status, 404, "{path}: {answer}");
        assert_eq!(answer.json()["status"], 404);
    }
    let redirects = [
        ("/simple", "/simple/"),
        ("/simple/a", "/simple/a/"),
        ("/simple/A__b/", "/simple/a-b/"),
    ];
    for (path, to) in redirects {
        let answer = daemon.get(path);
        assert_eq!(
            (answer.status, answer.header("location")),
            (301, to),
            "{path}: {answer}"
        );
    }
    let empty = daemon
        .request("GET", "/simple/", &[("Accept", PIP_ACCEPT)])
        .json();
    assert_eq!(empty["projects"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn both_codings_are_revalidated_by_tags_of_their_own() {
    let upstream = FakeUpstream::start().await;
    upstream.add_many("demo", 40);
    let daemon = Daemon::start(DaemonOptions::on_demand(&upstream.index_url()));
    for accept in [PIP_ACCEPT, "text/html"] {
        let ask = |coding: &str, tag: &str| {
            let headers = [
                ("Accept", accept),
                ("Accept-Encoding", coding),
                ("If-None-Match", tag),
            ];
            daemon.request("GET", "/simple/demo/", &headers)
        };
        let (plain, gzip) = (ask("identity", "\"x\""), ask("gzip, deflate", "\"x\""));
        assert_eq!((plain.status, gzip.status), (200, 200));
        assert_eq!(
            (plain.header("content-encoding"), gzip.header("content-encoding")),
            ("", "gzip")
        );
        let mut unpacked = Vec::new();
        flate2::read::GzDecoder::new(&gzip.body[..])
            .read_to_end(&mut unpacked)
            .unwrap();
        assert_eq!(unpacked, plain.body);
        let (plain_tag, gzip_tag) = (plain.header("etag"), gzip.header("etag"));
        assert!(plain_tag.starts_with('"') && gzip_tag.starts_with('"') && plain_tag != gzip_tag);
        for (coding, tag, status) in [
            ("identity", plain_tag, 304),
            ("gzip", gzip_tag, 304),
            ("identity", gzip_tag, 200),
            ("gzip", plain_tag, 200),
            ("identity", "W/\"x\", \"y\"", 200),
            ("identity", "*", 304),
        ] {
            let answer = ask(coding, tag);
            assert_eq!(answer.status, status, "{coding} {tag}: {answer}");
            assert_eq!(answer.body.is_empty(), status == 304);
            assert!(
                answer.has("etag") && answer.header("vary").contains("Accept-Encoding"),
                "{answer}"
            );
        }
    }
}
