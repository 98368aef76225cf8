//! Promise: `/metrics` and the log say what happens, in forms that machines read, and nothing is sent anywhere.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;
use support::daemon::{Daemon, DaemonOptions};
use support::upstream::{FakeFile, FakeUpstream, Fault, page_path};
use support::wheels::{lying_wheel, wheel};

/// Samples by their name with labels, as written.
type Samples = BTreeMap<String, f64>;

/// Reads the OpenMetrics text form, strictly enough to find what a collector would refuse.
fn parse(text: &str) -> (BTreeMap<String, String>, Samples) {
    let (mut types, mut samples) = (BTreeMap::new(), Samples::new());
    let body = text.strip_suffix("# EOF\n").expect("the text ends with # EOF");
    for line in body.lines() {
        if let Some(about) = line.strip_prefix("# ") {
            let mut words = about.splitn(3, ' ');
            let (word, name, rest) = (
                words.next().unwrap(),
                words.next().unwrap(),
                words.next().unwrap_or_default(),
            );
            assert!(["HELP", "TYPE", "UNIT"].contains(&word), "{line}");
            if word == "TYPE" {
                assert!(
                    ["counter", "gauge", "histogram", "info"].contains(&rest),
                    "{line}"
                );
                assert!(
                    types.insert(name.to_owned(), rest.to_owned()).is_none(),
                    "{name} is declared twice"
                );
            }
            if word == "UNIT" {
                assert!(
                    name.ends_with(&format!("_{rest}")),
                    "{line}: the name ends with its unit"
                );
            }
            continue;
        }
        let (name, value) = line
            .rsplit_once(' ')
            .unwrap_or_else(|| panic!("{line:?} is no sample"));
        let plain = name.split('{').next().unwrap();
        assert!(!name.contains('{') || name.ends_with('}'), "{line}");
        assert!(
            plain.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'),
            "{line}"
        );
        let family = ["_total", "_bucket", "_sum", "_count", "_info", ""].into_iter();
        let family = family
            .filter_map(|suffix| plain.strip_suffix(suffix))
            .find(|f| types.contains_key(*f));
        assert!(family.is_some(), "{line}: no TYPE was said for it");
        let value: f64 = value.parse().unwrap_or_else(|_| panic!("{line}: no number"));
        assert!(
            samples.insert(name.to_owned(), value).is_none(),
            "{name} is there twice"
        );
    }
    (types, samples)
}

fn scrape(daemon: &Daemon) -> Samples {
    let answer = daemon.get("/metrics");
    assert_eq!(answer.status, 200, "{answer}");
    assert_eq!(
        answer.header("content-type"),
        "application/openmetrics-text; version=1.0.0; charset=utf-8"
    );
    parse(&answer.text()).1
}

fn served(file: &FakeFile) -> String {
    format!("/files/{}/{}", file.sha256, file.filename)
}

fn documented() -> BTreeSet<String> {
    let lines = include_str!("../docs/metrics.md").lines();
    lines
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next().map(str::to_owned))
        .collect()
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
async fn the_metrics_are_openmetrics_and_those_that_are_documented() {
    let (_upstream, daemon, good, _) = site(|options| options).await;
    assert_eq!(daemon.get(&served(&good)).status, 200);
    let (types, samples) = parse(&daemon.get("/metrics").text());
    let shown: BTreeSet<String> = types
        .iter()
        .map(|(name, kind)| match kind.as_str() {
            "counter" => format!("{name}_total"),
            "info" => format!("{name}_info"),
            _ => name.clone(),
        })
        .collect();
    let strange: Vec<_> = shown.difference(&documented()).cloned().collect();
    assert!(strange.is_empty(), "not in docs/metrics.md: {strange:?}");
    assert!(documented().len() > 20);
    for (name, kind) in types.iter().filter(|(_, kind)| *kind == "histogram") {
        let sum = |of: &str, with: &str| -> f64 {
            let start = format!("{name}{of}");
            samples
                .iter()
                .filter(|(s, _)| s.starts_with(&start) && s.contains(with))
                .map(|(_, value)| value)
                .sum()
        };
        let (infinite, count) = (sum("_bucket", "le=\"+Inf\""), sum("_count", ""));
        assert!(
            (infinite - count).abs() < f64::EPSILON,
            "{kind} {name}: the last bucket holds everything"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn counters_move_with_what_happens() {
    let (upstream, daemon, good, bad) = site(|options| options.config("[index]\nfresh = \"20ms\"")).await;
    let before = scrape(&daemon);
    daemon.page("demo");
    assert_eq!(daemon.get(&served(&good)).status, 200);
    assert_eq!(daemon.get(&served(&bad)).status, 403);
    assert_eq!(daemon.get("/simple/unknown/").status, 404);
    let after = scrape(&daemon);
    let moved =
        |name: &str| after.get(name).copied().unwrap_or(0.0) - before.get(name).copied().unwrap_or(0.0);
    let bytes = (good.bytes.len() + bad.bytes.len()) as f64;
    for (name, by) in [
        ("chiron_fetch_bytes_total", bytes),
        ("chiron_fetch_duration_seconds_count", 2.0),
        (
            "chiron_check_outcomes_total{check=\"structure\",outcome=\"pass\"}",
            1.0,
        ),
        (
            "chiron_check_outcomes_total{check=\"structure\",outcome=\"fail\"}",
            1.0,
        ),
        (
            "chiron_check_outcomes_total{check=\"hashes\",outcome=\"pass\"}",
            2.0,
        ),
        ("chiron_check_duration_seconds_count{check=\"structure\"}", 2.0),
        ("chiron_check_duration_seconds_count{check=\"hashes\"}", 2.0),
        ("chiron_decisions_total{decision=\"admit\"}", 1.0),
        ("chiron_decisions_total{decision=\"refuse\"}", 1.0),
        ("chiron_decide_duration_seconds_count", 2.0),
        ("chiron_seal_duration_seconds_count", 1.0),
        ("chiron_commit_duration_seconds_count", 2.0),
        ("chiron_log_size", 2.0),
        (
            "chiron_http_requests_total{route=\"simple-page\",status=\"200\"}",
            1.0,
        ),
        (
            "chiron_http_requests_total{route=\"simple-page\",status=\"404\"}",
            1.0,
        ),
        ("chiron_http_requests_total{route=\"file\",status=\"200\"}", 1.0),
        ("chiron_http_requests_total{route=\"file\",status=\"403\"}", 1.0),
        (
            "chiron_upstream_requests_total{upstream=\"fake\",kind=\"file\",outcome=\"ok\"}",
            2.0,
        ),
        (
            "chiron_upstream_requests_total{upstream=\"fake\",kind=\"page\",outcome=\"not_found\"}",
            1.0,
        ),
    ] {
        assert!(
            (moved(name) - by).abs() < f64::EPSILON,
            "{name} moved by {}, not {by}",
            moved(name)
        );
    }
    assert!(moved("chiron_http_response_bytes_total") >= good.bytes.len() as f64);
    assert!(moved("chiron_pages_rendered_total") >= 1.0);
    assert!(after["chiron_store_bytes_free"] > 0.0);
    for queue in ["fetch", "gate", "jobs", "verdict"] {
        let depth = after[&format!("chiron_queue_depth{{queue=\"{queue}\"}}")];
        assert!(
            depth.abs() < f64::EPSILON,
            "the queue {queue} is {depth} deep when all is done"
        );
    }

    upstream.fault("*", Fault::Status(500));
    let deadline = Instant::now() + Duration::from_secs(20);
    while scrape(&daemon)["chiron_stale_pages_total"] < 1.0 {
        assert_eq!(
            daemon
                .request("GET", "/simple/demo/", &[("Accept", "text/html")])
                .status,
            200
        );
        assert!(Instant::now() < deadline, "no stale page was counted");
    }
    let down = scrape(&daemon);
    assert!(down["chiron_upstream_up{upstream=\"fake\"}"].abs() < f64::EPSILON);
    assert!(down["chiron_upstream_retries_total{upstream=\"fake\"}"] >= 1.0);
    assert!(upstream.count(&page_path("demo")) >= 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_a_client_sends_becomes_a_label() {
    let (_upstream, daemon, ..) = site(|options| options).await;
    for n in 0..30 {
        daemon.get(&format!("/simple/evil-{n}/"));
        daemon.request("GET", &format!("/evil-{n}\"}} 1"), &[("User-Agent", "evil")]);
        daemon.request(if n % 2 == 0 { "EVIL" } else { "BREW" }, "/simple/", &[]);
    }
    let text = daemon.get("/metrics").text();
    assert!(
        !text.to_lowercase().contains("evil") && !text.contains("BREW"),
        "{text}"
    );
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
