//! Metrics of the upstreams. `upstream` counts for itself, since it knows nothing of telemetry; its totals are copied
//! here when somebody asks for the metrics.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    upstream: Arc<str>,
    kind: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct NameLabels {
    upstream: Arc<str>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct UpstreamFamilies {
    requests: Family<RequestLabels, Counter>,
    retries: Family<NameLabels, Counter>,
    received: Family<NameLabels, Counter>,
    up: Family<NameLabels, Gauge>,
}

/// The metrics of one upstream. Cloning shares them.
#[derive(Clone, Debug)]
pub struct UpstreamMetrics {
    families: UpstreamFamilies,
    name: Arc<str>,
}

impl UpstreamFamilies {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "upstream_requests",
            "Requests to upstreams, every attempt counted",
            self.requests.clone(),
        );
        registry.register(
            "upstream_retries",
            "Attempts that were repetitions",
            self.retries.clone(),
        );
        registry.register(
            "upstream_received_bytes",
            "Bytes of all bodies received, after decompression",
            self.received.clone(),
        );
        registry.register(
            "upstream_up",
            "1 unless the upstream's last answer did not come",
            self.up.clone(),
        );
    }

    pub(super) fn of(&self, name: &str) -> UpstreamMetrics {
        UpstreamMetrics {
            families: self.clone(),
            name: name.into(),
        }
    }
}

impl UpstreamMetrics {
    /// So many requests of this kind have ended this way since the start. `kind` and `outcome` are the names that
    /// `upstream` gives them.
    pub fn set_requests(&self, kind: &'static str, outcome: &'static str, total: u64) {
        let labels = RequestLabels {
            upstream: Arc::clone(&self.name),
            kind,
            outcome,
        };
        set(&self.families.requests.get_or_create(&labels), total);
    }

    /// So many attempts were repetitions since the start.
    pub fn set_retries(&self, total: u64) {
        set(&self.families.retries.get_or_create(&self.labels()), total);
    }

    /// So many bytes came in since the start.
    pub fn set_received_bytes(&self, total: u64) {
        set(&self.families.received.get_or_create(&self.labels()), total);
    }

    /// Whether the upstream is not known to be down.
    pub fn set_up(&self, up: bool) {
        self.families.up.get_or_create(&self.labels()).set(i64::from(up));
    }

    fn labels(&self) -> NameLabels {
        NameLabels {
            upstream: Arc::clone(&self.name),
        }
    }
}

/// Two scrapes at once may arrive in either order; a counter never falls.
fn set(counter: &Counter, total: u64) {
    counter.inner().fetch_max(total, Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_are_copied_and_never_fall() {
        let families = UpstreamFamilies::default();
        let pip = families.of("pip");
        for (total, shown) in [(3, 3), (2, 3), (5, 5)] {
            pip.set_requests("file", "ok", total);
            let labels = RequestLabels {
                upstream: "pip".into(),
                kind: "file",
                outcome: "ok",
            };
            assert_eq!(families.requests.get_or_create(&labels).get(), shown);
        }
    }

    #[test]
    fn upstreams_are_counted_apart() {
        let families = UpstreamFamilies::default();
        families.of("pip").set_retries(1);
        families.of("corp").set_retries(7);
        let retries = |name: &str| {
            families
                .retries
                .get_or_create(&NameLabels {
                    upstream: name.into(),
                })
                .get()
        };
        assert_eq!((retries("pip"), retries("corp")), (1, 7));
    }
}
