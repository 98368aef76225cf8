//! Limit, count and both digests in one pass: no second read that might differ.

use aws_lc_rs::digest::{Context, SHA256};

use crate::digest::{Blake3, DIGEST_BYTES, Digest};

/// What one pass over a stream of bytes found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Measured {
    /// Bytes counted.
    pub size: u64,
    /// What Python's tools pin.
    pub sha256: Digest,
    /// What `scrub` checks, several times faster than SHA-256.
    pub blake3: Blake3,
}

/// More bytes came than the caller allows. Nothing after the limit was hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("more than the allowed {limit} bytes")]
pub struct LimitExceeded {
    /// Bytes that were allowed.
    pub limit: u64,
}

/// Counts and hashes a stream, and refuses to go past a limit (threat: an upstream that never stops).
#[derive(Clone)]
pub struct Measure {
    limit: u64,
    size: u64,
    sha256: Context,
    blake3: blake3::Hasher,
}

impl Measure {
    /// Starts a pass that may see at most `limit_bytes` bytes.
    pub fn new(limit_bytes: u64) -> Self {
        Self {
            limit: limit_bytes,
            size: 0,
            sha256: Context::new(&SHA256),
            blake3: blake3::Hasher::new(),
        }
    }

    /// Takes the next bytes; after an error the pass is unchanged and may be dropped.
    pub fn update(&mut self, bytes: &[u8]) -> Result<(), LimitExceeded> {
        let size = self.size.saturating_add(bytes.len() as u64);
        if size > self.limit {
            return Err(LimitExceeded { limit: self.limit });
        }
        self.size = size;
        self.sha256.update(bytes);
        self.blake3.update(bytes);
        Ok(())
    }

    /// Ends the pass.
    pub fn finish(self) -> Measured {
        Measured {
            size: self.size,
            sha256: finish_sha256(self.sha256),
            blake3: Blake3::from_bytes(*self.blake3.finalize().as_bytes()),
        }
    }
}

/// SHA-256 of a context that has seen everything.
pub(crate) fn finish_sha256(context: Context) -> Digest {
    let mut out = [0; DIGEST_BYTES];
    out.copy_from_slice(context.finish().as_ref());
    Digest::from_bytes(out)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn limit_is_inclusive() {
        let mut measure = Measure::new(4);
        measure.update(b"abcd").unwrap();
        assert_eq!(measure.update(b"e"), Err(LimitExceeded { limit: 4 }));
        measure.update(b"").unwrap();
        assert_eq!(measure.finish().sha256, Digest::of(b"abcd"));
    }

    proptest! {
        #[test]
        fn pieces_do_not_matter(bytes: Vec<u8>, piece in 1usize..64) {
            let mut measure = Measure::new(u64::MAX);
            for part in bytes.chunks(piece) { measure.update(part).unwrap(); }
            let expected = Measured {
                size: bytes.len() as u64,
                sha256: Digest::of(&bytes),
                blake3: Blake3::of(&bytes),
            };
            prop_assert_eq!(measure.finish(), expected);
        }
    }
}
