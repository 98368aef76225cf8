//! Metrics of the signed repository.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::histogram::{Histogram, WORK_BOUNDS};
use super::metrics::{Metrics, Timer};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RoleLabels {
    role: &'static str,
}

#[derive(Clone, Debug)]
pub(super) struct PublicationMetrics {
    publications: Counter,
    failures: Counter,
    duration: Histogram,
    bins: Counter,
    written: Counter,
    generation: Gauge,
    log_size: Gauge,
    expiry: Family<RoleLabels, Gauge>,
}

impl PublicationMetrics {
    pub(super) fn new() -> Self {
        Self {
            publications: Counter::default(),
            failures: Counter::default(),
            duration: Histogram::new(WORK_BOUNDS),
            bins: Counter::default(),
            written: Counter::default(),
            generation: Gauge::default(),
            log_size: Gauge::default(),
            expiry: Family::default(),
        }
    }

    pub(super) fn register(&self, registry: &mut Registry) {
        for (name, help, counter) in [
            (
                "tuf_publications",
                "Publications that wrote something",
                &self.publications,
            ),
            (
                "tuf_publication_failures",
                "Publications that failed",
                &self.failures,
            ),
            ("tuf_bins_signed", "Hash bins signed", &self.bins),
            ("tuf_written_bytes", "Bytes of metadata written", &self.written),
        ] {
            registry.register(name, help, counter.clone());
        }
        registry.register(
            "tuf_publication_duration_seconds",
            "One publication, from the change to the timestamp",
            self.duration.clone(),
        );
        registry.register("tuf_generation", "The newest generation", self.generation.clone());
        registry.register(
            "tuf_signed_log_size",
            "Entries of the log that the newest generation signs",
            self.log_size.clone(),
        );
        registry.register(
            "tuf_role_expiry_timestamp_seconds",
            "When what is signed expires, seconds since 1970",
            self.expiry.clone(),
        );
    }
}

impl Metrics {
    /// Times one publication, well ended or not.
    pub fn publication_timer(&self) -> Timer {
        Timer::start(&self.publication().duration)
    }

    /// A publication wrote so many bins and bytes of metadata.
    pub fn published(&self, bins: u64, bytes: u64) {
        let metrics = self.publication();
        metrics.publications.inc();
        metrics.bins.inc_by(bins);
        metrics.written.inc_by(bytes);
    }

    /// A publication failed.
    pub fn publication_failed(&self) {
        self.publication().failures.inc();
    }

    /// The newest generation and the size of the log that it signs.
    pub fn set_generation(&self, number: u64, log_size: u64) {
        let metrics = self.publication();
        metrics.generation.set(super::metrics::saturate(number));
        metrics.log_size.set(super::metrics::saturate(log_size));
    }

    /// What is signed by `role` expires then, in seconds since 1970. All bins together are `bin`, with the first to expire.
    pub fn set_role_expiry(&self, role: &'static str, seconds: i64) {
        self.publication()
            .expiry
            .get_or_create(&RoleLabels { role })
            .set(seconds);
    }
}
