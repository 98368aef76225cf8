//! A histogram of durations without a lock.
//!
//! `prometheus_client`'s own takes a mutex for each observation, which two cores at 150,000 requests a second feel.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::{MetricType, TypedMetric};

/// Upper bounds, in nanoseconds, for what a client waits for: 50 µs to 30 s.
pub(super) const ANSWER_BOUNDS: &[u64] = &[
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    1_000_000_000,
    2_500_000_000,
    5_000_000_000,
    12_000_000_000,
    30_000_000_000,
];

/// Upper bounds, in nanoseconds, for work on one file: 100 µs to 10 min.
pub(super) const WORK_BOUNDS: &[u64] = &[
    100_000,
    500_000,
    1_000_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    1_000_000_000,
    2_500_000_000,
    5_000_000_000,
    15_000_000_000,
    60_000_000_000,
    600_000_000_000,
];

/// Durations in buckets; cloning shares the counts.
#[derive(Clone)]
pub struct Histogram(Arc<Inner>);

struct Inner {
    bounds: &'static [u64],
    /// One per bound and one for what is longer than all of them; not cumulative.
    counts: Box<[AtomicU64]>,
    /// Nanoseconds; wraps after 584 years of work.
    sum: AtomicU64,
}

impl Histogram {
    /// A histogram with these upper bounds, in nanoseconds, ascending.
    pub(super) fn new(bounds: &'static [u64]) -> Self {
        Self(Arc::new(Inner {
            bounds,
            counts: (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect(),
            sum: AtomicU64::new(0),
        }))
    }

    /// Counts one duration. Two relaxed additions; no lock, no allocation.
    pub fn observe(&self, elapsed: Duration) {
        let inner = &*self.0;
        let nanos = u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX);
        // Most durations fall in the first few buckets, so walking beats halving.
        let slot = inner
            .bounds
            .iter()
            .position(|&bound| nanos <= bound)
            .unwrap_or(inner.bounds.len());
        if let Some(count) = inner.counts.get(slot) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        inner.sum.fetch_add(nanos, Ordering::Relaxed);
    }

    /// How many durations were counted.
    pub fn count(&self) -> u64 {
        self.0
            .counts
            .iter()
            .map(|count| count.load(Ordering::Relaxed))
            .sum()
    }
}

impl fmt::Debug for Histogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Histogram")
            .field("count", &self.count())
            .finish_non_exhaustive()
    }
}

impl TypedMetric for Histogram {
    const TYPE: MetricType = MetricType::Histogram;
}

impl EncodeMetric for Histogram {
    #[allow(clippy::cast_precision_loss)] // a sum of seconds is read by people and graphs, to three digits
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), fmt::Error> {
        let inner = &*self.0;
        let buckets: Vec<(f64, u64)> = inner
            .bounds
            .iter()
            .map(|&bound| bound as f64 / 1e9)
            .chain([f64::INFINITY])
            .zip(inner.counts.iter().map(|count| count.load(Ordering::Relaxed)))
            .collect();
        // Counted from the same reading as the buckets, so that `+Inf` and `_count` cannot disagree.
        let count = buckets.iter().map(|(_, count)| count).sum();
        let sum = inner.sum.load(Ordering::Relaxed) as f64 / 1e9;
        encoder.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn counts(histogram: &Histogram) -> Vec<u64> {
        histogram
            .0
            .counts
            .iter()
            .map(|count| count.load(Ordering::Relaxed))
            .collect()
    }

    #[test]
    fn bounds_ascend() {
        assert!(ANSWER_BOUNDS.is_sorted() && WORK_BOUNDS.is_sorted());
    }

    #[test]
    fn a_bound_belongs_to_its_own_bucket() {
        let histogram = Histogram::new(&[10, 20]);
        for nanos in [0, 10, 11, 20, 21] {
            histogram.observe(Duration::from_nanos(nanos));
        }
        assert_eq!(counts(&histogram), [2, 2, 1]);
    }

    #[test]
    fn the_longest_time_is_counted_too() {
        let histogram = Histogram::new(WORK_BOUNDS);
        histogram.observe(Duration::MAX);
        assert_eq!(counts(&histogram).last(), Some(&1));
    }

    proptest! {
        #[test]
        fn nothing_is_lost(times in proptest::collection::vec(0_u64..100_000_000_000, 0..50)) {
            let histogram = Histogram::new(ANSWER_BOUNDS);
            for nanos in &times {
                histogram.observe(Duration::from_nanos(*nanos));
            }
            prop_assert_eq!(histogram.count(), times.len() as u64);
            prop_assert_eq!(histogram.0.sum.load(Ordering::Relaxed), times.iter().sum::<u64>());
        }
    }
}
