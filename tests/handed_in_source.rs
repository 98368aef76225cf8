//! Promise: a wheel that is handed in is held against its release's source: the one that is here, else upstream's; and for
//! a name that the site owns no upstream is ever asked.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use serde_json::Value;
use support::daemon::{Daemon, DaemonOptions};
use support::release::Release;
use support::upstream::{FakeFile, FakeUpstream, file_path};

fn source_of(daemon: &Daemon, file: &FakeFile) -> Value {
    let path = format!("/api/v1/files/{}/verdict", file.sha256);
    let verdict = daemon.admin("GET", &path, b"").json();
    let checks = verdict["checks"].as_array().unwrap();
    let check = checks
        .iter()
        .find(|check| check["check"] == "reproducibility")
        .unwrap();
    check.clone()
}

fn put(daemon: &Daemon, file: &FakeFile) -> String {
    let answer = daemon.put_file(&file.filename, &file.bytes);
    answer["outcome"].as_str().unwrap().to_owned()
}

const NO_REBUILDS: &str = "[reproducibility]\nenabled = false\n";

#[tokio::test(flavor = "multi_thread")]
async fn upstreams_source_for_a_name_that_is_not_owned() {
    let upstream = FakeUpstream::start().await;
    let release = Release::new("common", "1.0");
    upstream.add(release.sdist());
    let daemon = Daemon::start(DaemonOptions::on_demand(&upstream.index_url()).config(NO_REBUILDS));
    assert_eq!(put(&daemon, &release.wheel()), "admitted");
    let check = source_of(&daemon, &release.wheel());
    assert_eq!(check["outcome"], "pass", "{check:#}");
    assert_eq!(
        check["facts"]["source"]["sha256"]
            .as_str()
            .unwrap()
            .trim_start_matches("sha256:"),
        release.sdist().sha256
    );
    assert_eq!(upstream.count(&file_path(&release.sdist().filename)), 1);
    // Another wheel of the release, with something slipped in, is not in that source.
    let mut other = release.clone().slipped_in("common/more.py", b"1\n");
    other.tag = "py2.py3-none-any".to_owned();
    assert_eq!(put(&daemon, &other.wheel()), "quarantined");
    assert_eq!(
        upstream.count(&file_path(&release.sdist().filename)),
        1,
        "it is here"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_asked_for_an_owned_name() {
    let upstream = FakeUpstream::start().await;
    let release = Release::new("acme-tool", "1.0");
    // What somebody has put there under the site's name.
    let planted = Release::new("acme-tool", "1.0").module("acme_tool/planted.py", b"1\n");
    upstream.add(planted.sdist());
    let config = format!("{NO_REBUILDS}[[owned]]\npattern = \"acme-*\"\n");
    let daemon = Daemon::start(DaemonOptions::on_demand(&upstream.index_url()).config(&config));
    assert_eq!(put(&daemon, &release.sdist()), "admitted");
    assert_eq!(put(&daemon, &release.wheel()), "admitted");
    let check = source_of(&daemon, &release.wheel());
    assert_eq!(check["outcome"], "pass", "{check:#}");
    // The next release comes without its source: nothing to hold it against, and still nobody is asked.
    assert_eq!(
        put(&daemon, &Release::new("acme-tool", "1.1").wheel()),
        "admitted"
    );
    assert!(upstream.requests().is_empty(), "{:?}", upstream.requests());
}
