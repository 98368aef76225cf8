//! Promise: the log says what happens in a form that machines read when asked for, and nothing is sent anywhere.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::Value;
use support::daemon::{Daemon, DaemonOptions};
use support::upstream::{FakeFile, FakeUpstream};
use support::wheels::{lying_wheel, wheel};

fn served(file: &FakeFile) -> String {
    format!("/files/{}/{}", file.sha256, file.filename)
}

async fn site(
    options: impl FnOnce(DaemonOptions) -> DaemonOptions,
) -> (FakeUpstream, Daemon, FakeFile, FakeFile) {
    let upstream = FakeUpstream::start().await;
    let (good, bad) = (wheel("demo", "1.0", &[]), lying_wheel("bad", "1.0"));
    upstream.add(good.clone());
    upstream.add(bad.clone());
    let daemon = Daemon::start(options(DaemonOptions::on_demand(&upstream.index_url())));
    (upstream, daemon, good, bad)
}

#[tokio::test(flavor = "multi_thread")]
async fn log_lines_are_json_when_asked_for() {
    let json =
        |options: DaemonOptions| options.config("[telemetry]\nlog_format = \"json\"\nlog_filter = \"debug\"");
    let (_upstream, mut daemon, good, bad) = site(json).await;
    assert_eq!(
        (
            daemon.get(&served(&good)).status,
            daemon.get(&served(&bad)).status
        ),
        (200, 403)
    );
    let token = daemon.admin_token();
    daemon.admin("GET", "/api/v1/status", b"");
    assert_eq!(daemon.stop(), 0);
    let log = daemon.stderr();
    let lines: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("no JSON ({e}): {line}")))
        .collect();
    assert!(lines.len() > 3, "{log}");
    for line in &lines {
        assert!(
            line["timestamp"]
                .as_str()
                .is_some_and(|at| at.parse::<jiff::Timestamp>().is_ok()),
            "{line}"
        );
        assert!(
            ["ERROR", "WARN", "INFO", "DEBUG"].contains(&line["level"].as_str().unwrap()),
            "{line}"
        );
        assert!(
            line["target"].is_string() && line["message"].is_string(),
            "{line}"
        );
    }
    let judged: Vec<_> = lines.iter().filter(|line| line["message"] == "judged").collect();
    assert_eq!(judged.len(), 2, "{log}");
    assert_eq!(
        (&judged[0]["sha256"], &judged[0]["size_bytes"]),
        (&good.sha256.clone().into(), &good.bytes.len().into())
    );
    assert_eq!(
        judged[0]["span"]["filename"], *good.filename,
        "spans lie along the path: {}",
        judged[0]
    );
    assert!(
        !judged[1]["reasons"].as_str().unwrap().is_empty(),
        "a refusal says why: {}",
        judged[1]
    );
    assert!(!log.contains(&token), "the token is in no log line");
}

#[tokio::test(flavor = "multi_thread")]
async fn log_lines_are_for_people_otherwise() {
    let (_upstream, mut daemon, good, _) = site(|options| options).await;
    assert_eq!(daemon.get(&served(&good)).status, 200);
    daemon.stop();
    let log = daemon.stderr();
    let line = log
        .lines()
        .find(|line| line.contains("judged"))
        .expect("a line for the judgment");
    assert!(
        line.contains(&good.sha256) && line.contains(" INFO ") && !line.contains('\u{1b}'),
        "{line}"
    );
}

/// The far ends of a process's TCP connections, and of its UDP sockets that have one.
fn far_ends(pid: u32) -> BTreeSet<String> {
    let sockets: BTreeSet<String> = fs::read_dir(format!("/proc/{pid}/fd"))
        .unwrap()
        .filter_map(|fd| {
            fs::read_link(fd.ok()?.path())
                .ok()?
                .to_str()?
                .strip_prefix("socket:[")?
                .strip_suffix(']')
                .map(str::to_owned)
        })
        .collect();
    let mut ends = BTreeSet::new();
    for table in ["tcp", "tcp6", "udp", "udp6"] {
        let text = fs::read_to_string(format!("/proc/{pid}/net/{table}")).unwrap_or_default();
        for fields in text
            .lines()
            .skip(1)
            .map(|line| line.split_whitespace().collect::<Vec<_>>())
        {
            if sockets.contains(fields[9]) && !fields[2].ends_with(":0000") {
                ends.insert(fields[2].to_owned());
            }
        }
    }
    ends
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_sent_to_anybody_but_the_upstream() {
    let (upstream, daemon, good, bad) = site(|options| options).await;
    let port = |addr: std::net::SocketAddr| format!("0100007F:{:04X}", addr.port());
    let allowed = [port(upstream.addr()), port(upstream.elsewhere())];
    let stop = Arc::new(AtomicBool::new(false));
    // Looks at the sockets all the time while the daemon works; the tests' own clients are the other near ends.
    let watcher = std::thread::spawn({
        let (pid, stop) = (daemon.pid(), Arc::clone(&stop));
        move || {
            let mut seen = BTreeSet::new();
            while !stop.load(Ordering::Relaxed) {
                seen.extend(far_ends(pid));
                std::thread::sleep(Duration::from_millis(1));
            }
            seen
        }
    });
    daemon.page("demo");
    for file in [&good, &bad] {
        daemon.get(&served(file));
    }
    daemon.cli(&["status"]).expect(0);
    daemon.get("/metrics");
    std::thread::sleep(Duration::from_millis(300));
    stop.store(true, Ordering::Relaxed);
    let seen = watcher.join().unwrap();
    assert!(
        seen.iter().any(|end| allowed.contains(end)),
        "the watcher sees connections: {seen:?}"
    );
    let strange: Vec<_> = seen.iter().filter(|end| !end.starts_with("0100007F:")).collect();
    assert!(strange.is_empty(), "connections to elsewhere: {strange:?}");
    let paths: BTreeSet<_> = upstream
        .requests()
        .into_iter()
        .map(|request| request.path)
        .collect();
    assert!(
        paths.iter().all(|path| path.starts_with("/simple/")
            || path.starts_with("/files/")
            || path.starts_with("/pypi/")),
        "{paths:?}"
    );
}
