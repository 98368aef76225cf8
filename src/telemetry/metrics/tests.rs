#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeSet;

use super::*;

/// Metrics in which everything happened once.
fn used() -> Metrics {
    let metrics = Metrics::new();
    metrics.fetched(1_000);
    drop(metrics.fetch_timer());
    drop(metrics.check_timer("structure"));
    metrics.checked("structure", "pass");
    metrics.decided("admit");
    drop(metrics.decide_timer());
    drop(metrics.seal_timer());
    drop(metrics.commit_timer());
    metrics.set_log_size(7);
    metrics.set_store_bytes_free(u64::MAX);
    metrics.page_rendered();
    metrics.stale_page();
    metrics.corrupt_blob();
    metrics.answered(Route::ProjectPage, 200, 4_096, Duration::from_micros(70));
    drop(metrics.publication_timer());
    metrics.published(3, 4_000);
    metrics.publication_failed();
    metrics.set_generation(5, 6);
    metrics.set_role_expiry("timestamp", 1_795_000_000);
    metrics.set_sender(&SenderGauges {
        name: "office",
        created: 1_795_000_001,
        imported: 1_795_000_002,
        seen: 12,
        complete: 11,
    });
    metrics.set_stale(2_592_000, true);
    let upstream = metrics.upstream("pip");
    upstream.set_requests("page", "not_modified", 1);
    upstream.set_retries(2);
    upstream.set_received_bytes(3);
    upstream.set_up(true);
    metrics
}

#[test]
fn everything_shows_under_its_documented_name() {
    let text = used().encode();
    for line in [
        "chiron_fetch_bytes_total 1000",
        "chiron_fetch_duration_seconds_count 1",
        "chiron_check_duration_seconds_count{check=\"structure\"} 1",
        "chiron_check_outcomes_total{check=\"structure\",outcome=\"pass\"} 1",
        "chiron_decisions_total{decision=\"admit\"} 1",
        "chiron_decide_duration_seconds_count 1",
        "chiron_seal_duration_seconds_count 1",
        "chiron_commit_duration_seconds_count 1",
        "chiron_http_requests_total{route=\"simple-page\",status=\"200\"} 1",
        "chiron_http_request_duration_seconds_bucket{le=\"0.0001\",route=\"simple-page\"} 1",
        "chiron_http_request_duration_seconds_sum{route=\"simple-page\"} 0.00007",
        "chiron_http_response_bytes_total 4096",
        "chiron_queue_depth{queue=\"gate\"} 0",
        "chiron_log_size 7",
        "chiron_store_bytes_free 9223372036854775807",
        "chiron_upstream_requests_total{upstream=\"pip\",kind=\"page\",outcome=\"not_modified\"} 1",
        "chiron_upstream_retries_total{upstream=\"pip\"} 2",
        "chiron_upstream_received_bytes_total{upstream=\"pip\"} 3",
        "chiron_upstream_up{upstream=\"pip\"} 1",
        "chiron_tuf_publications_total 1",
        "chiron_tuf_publication_failures_total 1",
        "chiron_tuf_publication_duration_seconds_count 1",
        "chiron_tuf_bins_signed_total 3",
        "chiron_tuf_written_bytes_total 4000",
        "chiron_tuf_generation 5",
        "chiron_tuf_signed_log_size 6",
        "chiron_tuf_role_expiry_timestamp_seconds{role=\"timestamp\"} 1795000000",
        "chiron_airgap_bundle_created_timestamp_seconds{sender=\"office\"} 1795000001",
        "chiron_airgap_imported_timestamp_seconds{sender=\"office\"} 1795000002",
        "chiron_airgap_seen_entries{sender=\"office\"} 12",
        "chiron_airgap_complete_entries{sender=\"office\"} 11",
        "chiron_airgap_max_age_seconds 2592000",
        "chiron_airgap_stale 1",
        "chiron_pages_rendered_total 1",
        "chiron_stale_pages_total 1",
        "chiron_corrupt_blobs_total 1",
        concat!("chiron_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"} 1"),
    ] {
        assert!(
            text.lines().any(|shown| shown == line),
            "{line} is not in\n{text}"
        );
    }
    assert!(text.ends_with("# EOF\n"));
}

#[test]
fn the_documentation_lists_exactly_these_metrics() {
    let text = used().encode();
    let typed = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    let shown: BTreeSet<String> = typed
        .map(|(name, kind)| match kind {
            "counter" => format!("{name}_total"),
            "info" => format!("{name}_info"),
            _ => name.to_owned(),
        })
        .collect();
    let documented: BTreeSet<String> = include_str!("../../../docs/metrics.md")
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next().map(str::to_owned))
        .collect();
    assert_eq!(shown, documented);
}

#[test]
fn a_queue_is_as_deep_as_what_is_in_it() {
    let metrics = Metrics::new();
    let depth = |metrics: &Metrics| {
        let text = metrics.encode();
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("chiron_queue_depth{queue=\"fetch\"} "));
        line.expect("a depth").to_owned()
    };
    let first = metrics.enqueue(Queue::Fetch);
    let second = metrics.enqueue(Queue::Fetch);
    assert_eq!(depth(&metrics), "2");
    drop(first);
    assert_eq!(depth(&metrics), "1");
    drop(second);
    assert_eq!(depth(&metrics), "0");
}

#[test]
fn queues_are_numbered_in_their_order() {
    for (number, queue) in Queue::ALL.into_iter().enumerate() {
        assert_eq!(queue as usize, number);
    }
}
