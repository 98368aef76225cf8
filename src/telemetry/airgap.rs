//! Metrics of a site that is fed with bundles.

use std::sync::Arc;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::metrics::saturate;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SenderLabels {
    sender: Arc<str>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct AirgapMetrics {
    created: Family<SenderLabels, Gauge>,
    imported: Family<SenderLabels, Gauge>,
    seen: Family<SenderLabels, Gauge>,
    complete: Family<SenderLabels, Gauge>,
    max_age: Gauge,
    stale: Gauge,
}

/// What a site knows of one sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SenderGauges<'a> {
    /// Its name here.
    pub name: &'a str,
    /// When its newest bundle was made, in seconds since 1970.
    pub created: i64,
    /// When its last bundle came into force, in seconds since 1970.
    pub imported: i64,
    /// Entries of the newest state of its log that was seen.
    pub seen: u64,
    /// Entries up to which every one was seen.
    pub complete: u64,
}

impl AirgapMetrics {
    pub(super) fn register(&self, registry: &mut Registry) {
        for (name, help, family) in [
            (
                "airgap_bundle_created_timestamp_seconds",
                "When the newest bundle of a sender was made",
                &self.created,
            ),
            (
                "airgap_imported_timestamp_seconds",
                "When the last bundle of a sender came into force",
                &self.imported,
            ),
            (
                "airgap_seen_entries",
                "Entries of the newest state of a sender's log that was seen",
                &self.seen,
            ),
            (
                "airgap_complete_entries",
                "Entries of a sender's log that were seen without a gap",
                &self.complete,
            ),
        ] {
            registry.register(name, help, family.clone());
        }
        registry.register(
            "airgap_max_age_seconds",
            "How old the newest bundle may become; 0: no budget",
            self.max_age.clone(),
        );
        registry.register(
            "airgap_stale",
            "1 when the newest imported bundle is older than that",
            self.stale.clone(),
        );
    }

    pub(super) fn set_sender(&self, gauges: &SenderGauges<'_>) {
        let labels = SenderLabels {
            sender: gauges.name.into(),
        };
        self.created.get_or_create(&labels).set(gauges.created);
        self.imported.get_or_create(&labels).set(gauges.imported);
        self.seen.get_or_create(&labels).set(saturate(gauges.seen));
        self.complete
            .get_or_create(&labels)
            .set(saturate(gauges.complete));
    }

    pub(super) fn set_stale(&self, max_age_seconds: i64, stale: bool) {
        self.max_age.set(max_age_seconds);
        self.stale.set(i64::from(stale));
    }
}
