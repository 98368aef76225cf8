//! Buffers that outlive one check. A fresh buffer of megabytes costs a page fault for every 4 KiB of it,
//! which was the largest single cost of the gate when each check made its own.

use std::sync::{Mutex, PoisonError};

/// A larger buffer is given back to the system after its check. Bytes.
const KEPT_BYTES: usize = 16 << 20;

/// Buffers kept; two for each check that runs. Threat: memory.
const KEPT: usize = 4;

static IDLE: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());

/// Bytes to work in. What they hold from before is of no meaning.
pub(super) struct Buffer(Vec<u8>);

impl Buffer {
    pub(super) fn new() -> Self {
        Self(idle().pop().unwrap_or_default())
    }

    /// At least `wanted` bytes; what was there before is lost when it must grow.
    pub(super) fn at_least(&mut self, wanted: usize) -> &mut [u8] {
        if self.0.len() < wanted {
            // Not `resize`: nothing old is worth copying, and fresh zeroed pages cost nothing until touched.
            self.0 = Vec::new();
            self.0 = vec![0; wanted.checked_next_power_of_two().unwrap_or(wanted)];
        }
        &mut self.0
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let mut idle = idle();
        if self.0.len() <= KEPT_BYTES && idle.len() < KEPT {
            idle.push(std::mem::take(&mut self.0));
        }
    }
}

fn idle() -> std::sync::MutexGuard<'static, Vec<Vec<u8>>> {
    // A list of spare buffers cannot be left half changed.
    IDLE.lock().unwrap_or_else(PoisonError::into_inner)
}
