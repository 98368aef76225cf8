//! Every metric of the daemon, as typed methods: no caller spells a metric's name or makes up a label.

use std::sync::Arc;
use std::time::{Duration, Instant};

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

use super::airgap::{AirgapMetrics, SenderGauges};
use super::histogram::{Histogram, WORK_BOUNDS};
use super::http::{HttpMetrics, Route};
use super::publication::PublicationMetrics;
use super::upstream::{UpstreamFamilies, UpstreamMetrics};

/// The `Content-Type` of [`Metrics::encode`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Work that waits for a free hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Queue {
    /// Downloads from upstream, waiting and under way.
    Fetch,
    /// Files in the gate, waiting and under way.
    Gate,
    /// Jobs accepted and not ended.
    Jobs,
    /// Requests that wait for a verdict.
    Verdict,
}

impl Queue {
    /// All queues, in the order of their numbers.
    pub const ALL: [Self; 4] = [Self::Fetch, Self::Gate, Self::Jobs, Self::Verdict];

    /// The value of the label `queue`.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Fetch => "fetch",
            Self::Gate => "gate",
            Self::Jobs => "jobs",
            Self::Verdict => "verdict",
        }
    }
}

/// One piece of work in a queue; dropping it takes it out again, also when its task is cancelled.
#[derive(Debug)]
#[must_use = "the queue's depth falls again as soon as this is dropped"]
pub struct Queued(Gauge);

impl Drop for Queued {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// A running measurement; dropping it records the time since its start, also when its task is cancelled.
#[derive(Debug)]
#[must_use = "the time ends as soon as this is dropped"]
pub struct Timer {
    histogram: Histogram,
    start: Instant,
}

impl Timer {
    pub(super) fn start(histogram: &Histogram) -> Self {
        Self {
            histogram: histogram.clone(),
            start: Instant::now(),
        }
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        self.histogram.observe(self.start.elapsed());
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CheckLabels {
    check: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabels {
    check: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DecisionLabels {
    decision: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct QueueLabels {
    queue: &'static str,
}

/// The daemon's metrics. Cloning shares them.
#[derive(Clone, Debug)]
pub struct Metrics(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    registry: Registry,
    fetch_bytes: Counter,
    fetch_duration: Histogram,
    check_duration: Family<CheckLabels, Histogram, fn() -> Histogram>,
    check_outcomes: Family<OutcomeLabels, Counter>,
    decisions: Family<DecisionLabels, Counter>,
    decide_duration: Histogram,
    seal_duration: Histogram,
    commit_duration: Histogram,
    queues: [Gauge; Queue::ALL.len()],
    log_size: Gauge,
    store_bytes_free: Gauge,
    pages_rendered: Counter,
    stale_pages: Counter,
    corrupt_blobs: Counter,
    http: HttpMetrics,
    upstream: UpstreamFamilies,
    publication: PublicationMetrics,
    airgap: AirgapMetrics,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// All metrics at zero.
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("chiron");
        let build: Vec<(&str, &str)> = vec![("version", env!("CARGO_PKG_VERSION"))];
        registry.register("build", "The running build", Info::new(build));

        let queues = Family::<QueueLabels, Gauge>::default();
        let inner = Inner {
            fetch_bytes: Counter::default(),
            fetch_duration: Histogram::new(WORK_BOUNDS),
            check_duration: Family::new_with_constructor(work_histogram),
            check_outcomes: Family::default(),
            decisions: Family::default(),
            decide_duration: Histogram::new(WORK_BOUNDS),
            seal_duration: Histogram::new(WORK_BOUNDS),
            commit_duration: Histogram::new(WORK_BOUNDS),
            queues: Queue::ALL.map(|queue| queues.get_or_create_owned(&QueueLabels { queue: queue.label() })),
            log_size: Gauge::default(),
            store_bytes_free: Gauge::default(),
            pages_rendered: Counter::default(),
            stale_pages: Counter::default(),
            corrupt_blobs: Counter::default(),
            http: HttpMetrics::new(),
            upstream: UpstreamFamilies::default(),
            publication: PublicationMetrics::new(),
            airgap: AirgapMetrics::default(),
            registry: Registry::default(),
        };
        // `Counter` gets its `_total` from the encoder.
        for (name, help, counter) in [
            ("fetch_bytes", "Bytes received from upstream", &inner.fetch_bytes),
            (
                "pages_rendered",
                "Index pages rendered; a page served from memory is not",
                &inner.pages_rendered,
            ),
            (
                "stale_pages",
                "Index pages served past their age because upstream did not answer",
                &inner.stale_pages,
            ),
            (
                "corrupt_blobs",
                "Stored blobs whose bytes were not what their name says",
                &inner.corrupt_blobs,
            ),
        ] {
            registry.register(name, help, counter.clone());
        }
        for (name, help, histogram) in [
            (
                "fetch_duration_seconds",
                "One download, from request to last byte",
                &inner.fetch_duration,
            ),
            (
                "decide_duration_seconds",
                "The policy's decision on one file",
                &inner.decide_duration,
            ),
            (
                "seal_duration_seconds",
                "Making one blob durable: sync, rename, sync of the folder",
                &inner.seal_duration,
            ),
            (
                "commit_duration_seconds",
                "One commit, from the request to its synced acknowledgement",
                &inner.commit_duration,
            ),
        ] {
            registry.register(name, help, histogram.clone());
        }
        registry.register(
            "check_duration_seconds",
            "One check of one file",
            inner.check_duration.clone(),
        );
        registry.register(
            "check_outcomes",
            "Checks by outcome",
            inner.check_outcomes.clone(),
        );
        registry.register("decisions", "Files judged, by decision", inner.decisions.clone());
        registry.register("queue_depth", "Work waiting or under way", queues);
        registry.register(
            "log_size",
            "Entries of the append-only log",
            inner.log_size.clone(),
        );
        registry.register(
            "store_bytes_free",
            "Free bytes of the data folder's file system",
            inner.store_bytes_free.clone(),
        );
        inner.upstream.register(&mut registry);
        inner.publication.register(&mut registry);
        inner.airgap.register(&mut registry);
        registry.register_collector(Box::new(inner.http.clone()));
        Self(Arc::new(Inner { registry, ..inner }))
    }

    /// The OpenMetrics text of everything; see [`CONTENT_TYPE`].
    pub fn encode(&self) -> String {
        let mut text = String::with_capacity(16 * 1024);
        // Writing to a `String` cannot fail; a faulty encoder shows as text without its `# EOF`.
        let _ = text::encode(&mut text, &self.0.registry);
        text
    }

    /// So many bytes of a distribution file came in from upstream.
    pub fn fetched(&self, bytes: u64) {
        self.0.fetch_bytes.inc_by(bytes);
    }

    /// Times one download, well ended or not.
    pub fn fetch_timer(&self) -> Timer {
        Timer::start(&self.0.fetch_duration)
    }

    /// Times one check of one file. `check` is the name that evidence uses.
    pub fn check_timer(&self, check: &'static str) -> Timer {
        Timer::start(&self.0.check_duration.get_or_create(&CheckLabels { check }))
    }

    /// One check of one file ended. `check` and `outcome` are the names that evidence uses.
    pub fn checked(&self, check: &'static str, outcome: &'static str) {
        self.0
            .check_outcomes
            .get_or_create(&OutcomeLabels { check, outcome })
            .inc();
    }

    /// Times the policy's decision on one file.
    pub fn decide_timer(&self) -> Timer {
        Timer::start(&self.0.decide_duration)
    }

    /// The policy decided on one file: `admit`, `quarantine` or `refuse`.
    pub fn decided(&self, decision: &'static str) {
        self.0.decisions.get_or_create(&DecisionLabels { decision }).inc();
    }

    /// Times making one blob durable.
    pub fn seal_timer(&self) -> Timer {
        Timer::start(&self.0.seal_duration)
    }

    /// Times one commit, from the request to its acknowledgement.
    pub fn commit_timer(&self) -> Timer {
        Timer::start(&self.0.commit_duration)
    }

    /// A piece of work enters `queue` and leaves it when the returned value is dropped.
    pub fn enqueue(&self, queue: Queue) -> Queued {
        let gauge = self.0.queues[queue as usize].clone();
        gauge.inc();
        Queued(gauge)
    }

    /// The log has this many entries.
    pub fn set_log_size(&self, entries: u64) {
        self.0.log_size.set(saturate(entries));
    }

    /// The data folder's file system has this many bytes free.
    pub fn set_store_bytes_free(&self, bytes: u64) {
        self.0.store_bytes_free.set(saturate(bytes));
    }

    /// One index page was rendered.
    pub fn page_rendered(&self) {
        self.0.pages_rendered.inc();
    }

    /// One index page was served past its age because upstream did not answer.
    pub fn stale_page(&self) {
        self.0.stale_pages.inc();
    }

    /// One stored blob was found to be corrupt.
    pub fn corrupt_blob(&self) {
        self.0.corrupt_blobs.inc();
    }

    /// One HTTP request was answered. `bytes` is the length of the body as far as it is known when the head is
    /// sent. A few nanoseconds; safe on the hottest path.
    pub fn answered(&self, route: Route, status: u16, bytes: u64, elapsed: Duration) {
        self.0.http.answered(route, status, bytes, elapsed);
    }

    pub(super) fn publication(&self) -> &PublicationMetrics {
        &self.0.publication
    }

    /// What is known of a sender of bundles.
    pub fn set_sender(&self, gauges: &SenderGauges<'_>) {
        self.0.airgap.set_sender(gauges);
    }

    /// How old the newest imported bundle may become, in seconds (0: no budget), and whether it is older.
    pub fn set_stale(&self, max_age_seconds: i64, stale: bool) {
        self.0.airgap.set_stale(max_age_seconds, stale);
    }

    /// The metrics of one upstream.
    pub fn upstream(&self, name: &str) -> UpstreamMetrics {
        self.0.upstream.of(name)
    }
}

fn work_histogram() -> Histogram {
    Histogram::new(WORK_BOUNDS)
}

/// Gauges are signed; 8 EiB is far enough away.
pub(super) fn saturate(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
