//! Promise: `/metrics` says what happens, in the form that collectors read.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use support::daemon::{Daemon, DaemonOptions};
use support::jobs::wait_for;
use support::upstream::{FakeFile, FakeUpstream, Fault, file_path, page_path};
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
    let float = |bytes: usize| f64::from(u32::try_from(bytes).unwrap());
    let bytes = float(good.bytes.len() + bad.bytes.len());
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
    assert!(moved("chiron_http_response_bytes_total") >= float(good.bytes.len()));
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
    wait_for("a stale page is counted", || {
        let page = daemon.request("GET", "/simple/demo/", &[("Accept", "text/html")]);
        assert_eq!(page.status, 200, "{page}");
        (scrape(&daemon)["chiron_stale_pages_total"] >= 1.0).then_some(())
    });
    let down = scrape(&daemon);
    assert!(down["chiron_upstream_up{upstream=\"fake\"}"].abs() < f64::EPSILON);
    assert!(down["chiron_upstream_retries_total{upstream=\"fake\"}"] >= 1.0);
    assert!(upstream.count(&page_path("demo")) >= 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_for_a_verdict_is_counted() {
    let (upstream, daemon, good, _) = site(|options| options).await;
    upstream.fault(
        &file_path(&good.filename),
        Fault::Delay(Duration::from_millis(700)),
    );
    let depth = |queue: &str| scrape(&daemon)[&format!("chiron_queue_depth{{queue=\"{queue}\"}}")];
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..3)
            .map(|_| scope.spawn(|| daemon.get(&served(&good)).status))
            .collect();
        wait_for("three wait for one download", || {
            (depth("verdict") > 2.5 && (0.5..1.5).contains(&depth("fetch"))).then_some(())
        });
        for client in clients {
            assert_eq!(client.join().unwrap(), 200);
        }
    });
    assert!(depth("verdict").abs() < f64::EPSILON);
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
