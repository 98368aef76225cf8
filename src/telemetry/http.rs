//! Metrics of the HTTP side. The index page served from memory passes here 150,000 times a second, so every counter
//! is found by index: no label is hashed or compared when a request is counted.

use std::array;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;

use super::histogram::{ANSWER_BOUNDS, Histogram};

macro_rules! routes {
    ($($(#[$doc:meta])* $route:ident = $label:literal,)*) => {
        /// The routes that are counted apart; the label is a fixed name, never a path that a client chose.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Route { $($(#[$doc])* $route,)* }

        impl Route {
            /// All routes, in the order of their numbers.
            pub const ALL: &'static [Self] = &[$(Self::$route,)*];

            /// The value of the label `route`.
            pub const fn label(self) -> &'static str {
                match self { $(Self::$route => $label,)* }
            }
        }
    };
}

routes! {
    /// `/simple/`
    ProjectList = "simple-list",
    /// `/simple/{project}/`
    ProjectPage = "simple-page",
    /// `/files/{sha256}/{filename}`
    File = "file",
    /// `….metadata`
    FileMetadata = "file-metadata",
    /// `….provenance`, `….sbom.json`, `….verdict.json`, `/integrity/…`
    FileSidecar = "file-sidecar",
    /// `/at/{when}/simple/…`
    At = "at",
    /// `/log/…`
    Log = "log",
    /// `/tuf/…`
    Tuf = "tuf",
    /// `/explain/{filename}`
    Explain = "explain",
    /// `/v1/query`, `/v1/querybatch`, `/v1/vulns/…`
    Osv = "osv",
    /// `/api/v1/…`, `/openapi.json`
    Admin = "admin",
    /// `/healthz`, `/readyz`, `/metrics`
    Health = "health",
    /// Everything that no route answers.
    Other = "other",
}

/// The status codes that are counted one by one; any other is counted as `other`.
const STATUSES: [u16; 27] = [
    200, 201, 202, 204, 206, 301, 302, 304, 400, 401, 403, 404, 405, 406, 408, 409, 410, 412, 413, 416, 421,
    429, 500, 502, 503, 504, 507,
];

/// Where a status is counted. A constant table, so that the hot path costs one load.
#[allow(clippy::cast_possible_truncation)] // 27 statuses fit in a byte
static SLOT_OF_STATUS: [u8; 512] = {
    let mut slots = [STATUSES.len() as u8; 512];
    let mut slot = 0;
    while slot < STATUSES.len() {
        slots[STATUSES[slot] as usize] = slot as u8;
        slot += 1;
    }
    slots
};

/// One route's counters, alone on its cache lines.
#[derive(Debug)]
#[repr(align(128))]
struct RouteMetrics {
    requests: [AtomicU64; STATUSES.len() + 1],
    duration: Histogram,
}

/// The counters of all routes. Cloning shares them.
#[derive(Clone, Debug)]
pub(super) struct HttpMetrics(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    routes: [RouteMetrics; Route::ALL.len()],
    response_bytes: AtomicU64,
}

impl HttpMetrics {
    pub(super) fn new() -> Self {
        Self(Arc::new(Inner {
            routes: array::from_fn(|_| RouteMetrics {
                requests: array::from_fn(|_| AtomicU64::new(0)),
                duration: Histogram::new(ANSWER_BOUNDS),
            }),
            response_bytes: AtomicU64::new(0),
        }))
    }

    #[inline]
    pub(super) fn answered(&self, route: Route, status: u16, bytes: u64, elapsed: Duration) {
        let slot = SLOT_OF_STATUS
            .get(usize::from(status))
            .copied()
            .map_or(STATUSES.len(), usize::from);
        let counters = &self.0.routes[route as usize];
        counters.requests[slot].fetch_add(1, Ordering::Relaxed);
        counters.duration.observe(elapsed);
        self.0.response_bytes.fetch_add(bytes, Ordering::Relaxed);
    }
}

impl Collector for HttpMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let mut requests = encoder.encode_descriptor(
            "http_requests",
            "HTTP requests answered",
            None,
            MetricType::Counter,
        )?;
        for (route, metrics) in Route::ALL.iter().zip(&self.0.routes) {
            for (slot, count) in metrics.requests.iter().enumerate() {
                let count = count.load(Ordering::Relaxed);
                if count == 0 {
                    continue; // 11 routes by 28 statuses, of which a daemon sees a handful
                }
                let status = STATUSES
                    .get(slot)
                    .map_or_else(|| "other".to_owned(), u16::to_string);
                let labels = [("route", route.label()), ("status", &status)];
                ConstCounter::new(count).encode(requests.encode_family(&labels)?)?;
            }
        }
        let mut durations = encoder.encode_descriptor(
            "http_request_duration_seconds",
            "From the head of a request to the head of its answer",
            None,
            MetricType::Histogram,
        )?;
        for (route, metrics) in Route::ALL.iter().zip(&self.0.routes) {
            if metrics.duration.count() > 0 {
                metrics
                    .duration
                    .encode(durations.encode_family(&[("route", route.label())])?)?;
            }
        }
        let bytes = encoder.encode_descriptor(
            "http_response_bytes",
            "Bytes of bodies promised in the heads of answers",
            None,
            MetricType::Counter,
        )?;
        ConstCounter::new(self.0.response_bytes.load(Ordering::Relaxed)).encode(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(metrics: &HttpMetrics, route: Route, slot: usize) -> u64 {
        metrics.0.routes[route as usize].requests[slot].load(Ordering::Relaxed)
    }

    #[test]
    fn every_status_has_its_own_slot_and_the_rest_share_one() {
        let metrics = HttpMetrics::new();
        for status in 0..=u16::MAX {
            metrics.answered(Route::File, status, 1, Duration::ZERO);
        }
        for (slot, status) in STATUSES.iter().enumerate() {
            assert_eq!(count(&metrics, Route::File, slot), 1, "{status}");
        }
        let rest = u64::from(u16::MAX) + 1 - STATUSES.len() as u64;
        assert_eq!(count(&metrics, Route::File, STATUSES.len()), rest);
        assert_eq!(
            metrics.0.response_bytes.load(Ordering::Relaxed),
            u64::from(u16::MAX) + 1
        );
    }

    #[test]
    fn routes_are_numbered_in_their_order_and_labelled_apart() {
        for (number, route) in Route::ALL.iter().enumerate() {
            assert_eq!(*route as usize, number);
            assert_eq!(
                Route::ALL
                    .iter()
                    .filter(|other| other.label() == route.label())
                    .count(),
                1
            );
        }
    }

    #[test]
    fn a_request_counts_for_its_route_alone() {
        let metrics = HttpMetrics::new();
        metrics.answered(Route::ProjectPage, 200, 10, Duration::from_micros(5));
        assert_eq!(count(&metrics, Route::ProjectPage, 0), 1);
        assert_eq!(count(&metrics, Route::ProjectList, 0), 0);
        assert_eq!(metrics.0.routes[Route::ProjectPage as usize].duration.count(), 1);
    }
}
