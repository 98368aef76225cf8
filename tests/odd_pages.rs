//! Promise: pages with every oddity, pages of thousands of files and pages that lead astray list what is sound, and
//! nothing else.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;
#[path = "support/traces.rs"]
mod traces;

use std::time::{Duration, Instant};

use serde_json::json;
use support::daemon::{Daemon, DaemonOptions};
use support::upstream::{FakeFile, FakeUpstream, Fault, page_path};
use traces::{
    assert_nothing_admitted, assert_nothing_staged, assert_problem, assert_sound, assert_upstream_failed,
    event_types, file_url, listed, wait_until,
};

const JSON: &str = "application/vnd.pypi.simple.v1+json";

/// One upstream, little patience with it, and pages that are asked for again at once.
fn impatient(upstream: &FakeUpstream) -> Daemon {
    let url = upstream.index_url();
    Daemon::start(DaemonOptions::default().config(&format!(
        "[[upstream]]\nname = \"fake\"\nmode = \"on-demand\"\nurl = \"{url}\"\nretries = 1\nread_timeout = \"400ms\"\n\
         [index]\nfresh = \"20ms\"\n[limits]\npage = \"4MiB\"\n"
    )))
}

fn small() -> FakeFile {
    FakeFile::wheel("demo", "1.0", 1_000)
}

fn url_of(file: &FakeFile) -> String {
    file_url(&file.sha256, &file.filename)
}

/// What `demo`'s page lists after upstream was asked for it once more.
fn listed_anew(daemon: &Daemon, upstream: &FakeUpstream) -> Vec<String> {
    let asked = upstream.count(&page_path("demo"));
    let mut names = Vec::new();
    wait_until("upstream is asked again", || {
        names = listed(daemon, "demo");
        upstream.count(&page_path("demo")) > asked
    });
    names
}

/// The file comes, whole and once in the log, now that upstream is well again.
#[track_caller]
fn assert_comes(daemon: &Daemon, file: &FakeFile) {
    let mut last = daemon.get(&url_of(file));
    wait_until("the file is served", || {
        last = daemon.get(&url_of(file));
        last.status == 200
    });
    assert!(last.body == file.bytes, "other bytes came");
    assert_eq!(event_types(daemon), ["admitted"]);
    assert_nothing_staged(daemon.data_dir());
    assert_sound(daemon);
}

#[tokio::test(flavor = "multi_thread")]
async fn html_with_every_oddity_lists_what_is_sound() {
    let upstream = FakeUpstream::start().await;
    let file = small();
    upstream.add(file.clone());
    let daemon = impatient(&upstream);
    let sha256 = &file.sha256;
    let other = "a".repeat(64);
    let body = format!(
        "<!-- <a href='/files/comment-1.0.tar.gz#sha256={other}'>comment-1.0.tar.gz</a> -->\r\n<HTML><Head>\
         <BASE HREF=' /files/'><title>Links &amp; more</title><body bgcolor=white><h1>demo\n\
         <A Data-Requires-Python='&gt;=3.8' hRef=\"\n demo-1.0-py3-none-any.whl#sha256={sha256}\n\">\n demo-1.0-py3-none-any.whl </A>\n\
         <a href=/files/demo-1.1.tar.gz#sha256={other}>demo-1.1.tar.gz\
         <a href='Demo-1.2.zip#sha256={other}' data-yanked>Demo-1.2.zip</a>\
         <a href='demo-1.3.tar.gz#md5=d41d8cd98f00b204e9800998ecf8427e'>demo-1.3.tar.gz</a>\
         <a href='demo-1.4.tar.gz'>demo-1.4.tar.gz</a>\
         <a href='https://[broken/demo-1.5.tar.gz#sha256={other}'>demo-1.5.tar.gz</a>\
         <a href='file:///etc/demo-1.6.tar.gz#sha256={other}'>demo-1.6.tar.gz</a>\
         <a href='demo-1.7.exe#sha256={other}'>demo-1.7.exe</a>\
         <a href='other-1.8.tar.gz#sha256={other}'>other-1.8.tar.gz</a>\
         <a href='demo-1.9.tar.gz#sha256=zzz'>demo-1.9.tar.gz</a>\
         <a name=top>top</a><a href='?C=N;O=D'>Name</a><a href='/'>Parent Directory</a><a href='#'></a>\
         <script>if (1 < 2) document.write(\"<a href='x'>\")</script><p>&copy; \u{fffd}"
    );
    let mut body = body.into_bytes();
    body.extend(b"\xff\xfe</p>");
    upstream.shape(|shape| shape.json = false);
    for content_type in [
        "text/html",
        "text/html; charset=iso-8859-1",
        "application/octet-stream",
        JSON,
    ] {
        upstream.heal();
        upstream.fault(
            &page_path("demo"),
            Fault::Body(content_type.to_owned(), body.clone().into()),
        );
        let mut names = listed_anew(&daemon, &upstream);
        names.sort();
        assert_eq!(
            names,
            ["Demo-1.2.zip", "demo-1.0-py3-none-any.whl", "demo-1.1.tar.gz"],
            "{content_type}"
        );
    }
    let page = daemon.page("demo");
    let files = page["files"].as_array().unwrap();
    let named = |name: &str| files.iter().find(|file| file["filename"] == name).unwrap();
    assert_eq!(named("demo-1.0-py3-none-any.whl")["requires-python"], ">=3.8");
    assert_eq!(
        named("Demo-1.2.zip")["yanked"],
        true,
        "an empty reason would split installers"
    );
    assert!(
        !page.to_string().contains(&upstream.addr().to_string()),
        "an upstream address is never told: {page:#}"
    );
    assert_comes(&daemon, &file);
}

#[tokio::test(flavor = "multi_thread")]
async fn five_thousand_files_are_one_page() {
    let upstream = FakeUpstream::start().await;
    upstream.add_many("demo", 5_000);
    let file = FakeFile::wheel("demo", "9.9", 1_000);
    upstream.add(file.clone());
    let daemon = impatient(&upstream);
    for json in [true, false] {
        upstream.shape(|shape| shape.json = json);
        let started = Instant::now();
        assert_eq!(listed_anew(&daemon, &upstream).len(), 5_001);
        assert!(
            started.elapsed() < Duration::from_secs(3),
            "JSON {json}: {:?}",
            started.elapsed()
        );
    }
    // One of the five thousand is no sdist at all; the others are not touched by that.
    let bad = daemon.page("demo")["files"][17].clone();
    let (sha256, name) = (
        bad["hashes"]["sha256"].as_str().unwrap(),
        bad["filename"].as_str().unwrap(),
    );
    assert_problem(&daemon.get(&file_url(sha256, name)), 403, "not-admitted");
    assert_eq!(daemon.get(&url_of(&file)).status, 200);
    assert_eq!(listed(&daemon, "demo").len(), 5_000);
    assert_eq!(event_types(&daemon), ["refused", "admitted"]);
    assert_sound(&daemon);
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_that_are_not_of_the_web_are_left_out() {
    let upstream = FakeUpstream::start().await;
    let secret = tempfile::tempdir().unwrap();
    let local = secret.path().join("demo-6.0-py3-none-any.whl");
    std::fs::write(&local, &small().bytes).unwrap();
    let daemon = impatient(&upstream);
    let (sha256, good) = (small().sha256, FakeFile::wheel("demo", "2.0", 0));
    let links = [
        (
            "demo-1.0-py3-none-any.whl",
            "ftp://127.0.0.1/demo-1.0-py3-none-any.whl".to_owned(),
        ),
        ("demo-3.0-py3-none-any.whl", "javascript:alert(1)".to_owned()),
        (
            "demo-4.0-py3-none-any.whl",
            "data:application/zip;base64,UEsFBg==".to_owned(),
        ),
        ("demo-5.0-py3-none-any.whl", "gopher://127.0.0.1:70/x".to_owned()),
        ("demo-6.0-py3-none-any.whl", format!("file://{}", local.display())),
        ("demo-7.0-py3-none-any.whl", "unix:/run/docker.sock".to_owned()),
    ];
    let mut files: Vec<_> = links
        .iter()
        .map(|(name, url)| json!({ "filename": name, "url": url, "hashes": { "sha256": sha256 } }))
        .collect();
    let cloud = "http://169.254.169.254/latest/demo-8.0-py3-none-any.whl";
    files.push(
        json!({ "filename": "demo-8.0-py3-none-any.whl", "url": cloud, "hashes": { "sha256": sha256 } }),
    );
    files.push(json!({ "filename": good.filename, "url": format!("http://{}/files/{}", upstream.addr(), good.filename), "hashes": { "sha256": good.sha256 } }));
    let page = json!({ "meta": { "api-version": "1.0" }, "name": "demo", "files": files }).to_string();
    upstream.add(good.clone());
    upstream.fault(&page_path("demo"), Fault::Body(JSON.to_owned(), page.into()));

    let names = listed(&daemon, "demo");
    for (name, url) in &links {
        assert!(!names.iter().any(|listed| listed == name), "{url} is listed");
        assert_problem(&daemon.get(&file_url(&sha256, name)), 404, "not-found");
    }
    assert_upstream_failed(&daemon.get(&file_url(&sha256, "demo-8.0-py3-none-any.whl")));
    assert_nothing_admitted(&daemon);
    assert_comes(&daemon, &good);
}
