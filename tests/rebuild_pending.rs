//! Promise: a wheel whose policy needs a rebuild is waited for, answered with 503 and never with a denial while the
//! rebuild runs, and is then judged by itself, also after a restart.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::io::Read as _;

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde_json::Value;
use support::builds::Built;
use support::daemon::{Daemon, DaemonOptions};
use support::jobs::wait_for;
use support::upstream::{FakeFile, FakeUpstream, Fault, file_path, provenance_path};

/// A release whose backend writes the package's only module: nothing of the wheel is in the source, so that only a
/// rebuild can show that it follows from it. The wheel, then the sdist.
fn generated(built: &Built) -> (FakeFile, FakeFile) {
    let (wheel_name, wheel) = built.wheel();
    let (sdist_name, sdist) = built.sdist();
    let mut plain = Vec::new();
    GzDecoder::new(sdist.as_slice()).read_to_end(&mut plain).unwrap();
    let mut without = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::default()));
    let mut archive = tar::Archive::new(plain.as_slice());
    for entry in archive.entries().unwrap() {
        let entry = entry.unwrap();
        let path = entry.path().unwrap().to_path_buf();
        if !path.ends_with("__init__.py") {
            let mut header = entry.header().clone();
            without.append_data(&mut header, path, entry).unwrap();
        }
    }
    let sdist = without.into_inner().unwrap().finish().unwrap();
    (
        FakeFile::new(&wheel_name, wheel),
        FakeFile::new(&sdist_name, sdist),
    )
}

fn path_of(file: &FakeFile) -> String {
    format!("/files/{}/{}", file.sha256, file.filename)
}

fn row(daemon: &Daemon, file: &FakeFile) -> Value {
    daemon
        .admin("GET", &format!("/api/v1/files/{}", file.sha256), b"")
        .json()
}

fn offer(upstream: &FakeUpstream, built: &Built) -> (FakeFile, FakeFile) {
    let (wheel, sdist) = generated(built);
    upstream.add(wheel.clone());
    upstream.add(sdist.clone());
    (wheel, sdist)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_request_waits_for_the_rebuild() {
    let upstream = FakeUpstream::start().await;
    let (wheel, sdist) = offer(&upstream, &Built::new("quick", "1.0"));
    let daemon =
        Daemon::start(DaemonOptions::on_demand(&upstream.index_url()).server("verdict_wait = \"25s\""));
    let answer = daemon.get(&path_of(&wheel));
    assert_eq!(
        answer.status,
        200,
        "{answer}\n{:#}\n{}",
        row(&daemon, &wheel),
        daemon.stderr()
    );
    assert_eq!(answer.body, wheel.bytes);
    assert_eq!(upstream.count(&file_path(&wheel.filename)), 1);
    assert_eq!(upstream.count(&file_path(&sdist.filename)), 1);
    let verdict = daemon
        .admin("GET", &format!("/api/v1/files/{}/verdict", wheel.sha256), b"")
        .json();
    let checks = verdict["checks"].as_array().unwrap();
    let found = checks
        .iter()
        .find(|check| check["check"] == "reproducibility")
        .unwrap();
    assert_eq!(found["outcome"], "pass", "{found:#}");
    assert_eq!(found["facts"]["rebuild"], "done", "{found:#}");
    // The attempt and what it names can be read.
    let attempt = found["facts"]["attempts"][0]["digest"].as_str().unwrap();
    let attempt = attempt.strip_prefix("sha256:").unwrap_or(attempt);
    let document = daemon.admin("GET", &format!("/api/v1/evidence/{attempt}"), b"");
    assert_eq!(document.status, 200, "{document}");
    assert_eq!(document.json()["schema"], "chiron.rebuild-attempt/v1");
}

#[tokio::test(flavor = "multi_thread")]
async fn while_it_runs_the_answer_is_503_and_a_restart_goes_on() {
    let upstream = FakeUpstream::start().await;
    let slow = Built::new("slow", "1.0").hostile("time.sleep(4)");
    let (wheel, _) = offer(&upstream, &slow);
    let mut daemon =
        Daemon::start(DaemonOptions::on_demand(&upstream.index_url()).server("verdict_wait = \"1s\""));
    let pending = daemon.get(&path_of(&wheel));
    assert_eq!(pending.status, 503, "{pending}");
    assert!(!pending.header("retry-after").is_empty(), "{pending}");
    let waiting = wait_for("the wheel was judged once", || {
        let row = row(&daemon, &wheel);
        (row["state"] == "quarantined").then_some(row)
    });
    assert!(
        waiting["reasons"].to_string().contains("reproducibility"),
        "{waiting:#}"
    );
    // An installer still finds it, and may read its metadata.
    let page = daemon.page("slow");
    let listed = page["files"]
        .as_array()
        .unwrap()
        .iter()
        .any(|f| f["filename"] == wheel.filename.as_str());
    assert!(listed, "{page:#}");
    assert_eq!(daemon.get(&format!("{}.metadata", path_of(&wheel))).status, 200);
    assert_eq!(daemon.get(&path_of(&wheel)).status, 503);

    daemon.kill9();
    daemon.restart();
    let served = wait_for("the rebuild is done and the wheel is served", || {
        let answer = daemon.get(&path_of(&wheel));
        assert!([200, 503].contains(&answer.status), "never a denial: {answer}");
        (answer.status == 200).then_some(answer)
    });
    assert_eq!(served.body, wheel.bytes);
    assert_eq!(
        upstream.count(&file_path(&wheel.filename)),
        1,
        "the bytes were here"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_that_gives_another_wheel_is_a_denial() {
    let upstream = FakeUpstream::start().await;
    let other = Built::new("other", "1.0").hostile("globals()['VERSION'] = '1.0'; globals()['NAME'] = 'other'; globals()['entries'] = lambda old=entries: [(n, c + b'# changed\\n' if n.endswith('.py') else c) for n, c in old()]");
    let (wheel, _) = offer(&upstream, &other);
    let daemon =
        Daemon::start(DaemonOptions::on_demand(&upstream.index_url()).server("verdict_wait = \"25s\""));
    let answer = daemon.get(&path_of(&wheel));
    assert_eq!(answer.status, 403, "{answer}");
    assert!(
        row(&daemon, &wheel)["reasons"]
            .to_string()
            .contains("reproducibility")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_upstream_does_not_give_is_upstreams_failure_and_is_tried_again() {
    let upstream = FakeUpstream::start().await;
    let release = support::release::Release::new("lacking", "1.0");
    let mut wheel = release.wheel();
    wheel.provenance = Some("{}".into());
    upstream.add(wheel.clone());
    upstream.add(release.sdist());
    upstream.fault(&provenance_path(&wheel.filename), Fault::Status(500));
    let daemon =
        Daemon::start(DaemonOptions::on_demand(&upstream.index_url()).server("verdict_wait = \"1s\""));
    let pending = daemon.get(&path_of(&wheel));
    assert_eq!(pending.status, 503, "{pending}");
    wait_for("the wheel was judged without it", || {
        (row(&daemon, &wheel)["state"] == "quarantined").then_some(())
    });
    // The document is there now, and it is no sound one: that is a judgment.
    upstream.heal();
    let denied = wait_for("upstream was asked again", || {
        let answer = daemon.get(&path_of(&wheel));
        (answer.status == 403).then_some(answer)
    });
    assert!(denied.text().contains("signature"), "{denied}");
    assert_eq!(upstream.count(&file_path(&wheel.filename)), 1);
}
