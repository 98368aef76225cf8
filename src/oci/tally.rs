//! How far a push or a pull is; read by whoever shows it while the work goes on.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counters of one push or pull, bytes.
#[derive(Debug, Default)]
pub struct Tally {
    total: AtomicU64,
    had: AtomicU64,
    moved: AtomicU64,
    blobs_had: AtomicU64,
    blobs_moved: AtomicU64,
}

impl Tally {
    /// Bytes that are to be on the other side at the end, as far as is known.
    pub fn total(&self) -> u64 {
        self.total.load(Ordering::Relaxed)
    }

    /// Of them, those that were there already.
    pub fn had(&self) -> u64 {
        self.had.load(Ordering::Relaxed)
    }

    /// Of them, those that travelled; what was sent twice counts twice.
    pub fn moved(&self) -> u64 {
        self.moved.load(Ordering::Relaxed)
    }

    /// Blobs that were there already.
    pub fn blobs_had(&self) -> u64 {
        self.blobs_had.load(Ordering::Relaxed)
    }

    /// Blobs that travelled.
    pub fn blobs_moved(&self) -> u64 {
        self.blobs_moved.load(Ordering::Relaxed)
    }

    pub(super) fn expect(&self, bytes: u64) {
        self.total.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn skip(&self, blobs: u64, bytes: u64) {
        self.blobs_had.fetch_add(blobs, Ordering::Relaxed);
        self.had.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn bytes(&self, bytes: u64) {
        self.moved.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn blob(&self) {
        self.blobs_moved.fetch_add(1, Ordering::Relaxed);
    }
}
