//! Making a pack.

use bytes::Bytes;

use super::frame::{damaged, pack};
use crate::bundle::BundleError;
use crate::bundle::ustar::{self, TRAILER, member_bytes, padding};

/// What messages call a pack that is being made.
const WHAT: &str = "a pack";

/// A layer, ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packed {
    /// As they travel.
    pub bytes: Bytes,
    /// Bytes once unpacked.
    pub unpacked: u64,
    /// Members, or entries.
    pub count: u64,
}

/// Takes members in their order.
#[derive(Debug)]
pub struct PackWriter {
    tar: Vec<u8>,
    limit: u64,
    count: u64,
}

impl PackWriter {
    /// A pack of at most `limit` bytes before compression.
    pub fn new(limit: u64) -> Self {
        Self {
            tar: Vec::new(),
            limit,
            count: 0,
        }
    }

    /// Whether nothing is in it yet.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Whether members of these sizes would still go in.
    pub fn has_room(&self, sizes: &[u64]) -> bool {
        self.is_below(sizes, self.limit)
    }

    /// Whether the pack would have at most `limit` bytes with them.
    pub(super) fn is_below(&self, sizes: &[u64], limit: u64) -> bool {
        let members = sizes.iter().map(|size| member_bytes(*size));
        members.fold(self.unpacked(), u64::saturating_add) <= limit
    }

    fn unpacked(&self) -> u64 {
        self.tar.len() as u64 + TRAILER
    }

    /// Takes a member.
    ///
    /// Errors: [`BundleError::TooLarge`] beyond the limit, [`BundleError::Damaged`] for a name that no member may have.
    pub fn add(&mut self, name: &str, bytes: &[u8]) -> Result<(), BundleError> {
        let size = bytes.len() as u64;
        if !self.has_room(&[size]) {
            return Err(BundleError::TooLarge {
                what: format!("the pack with {name}"),
                found: self.unpacked().saturating_add(member_bytes(size)),
                limit: self.limit,
                unit: "bytes",
            });
        }
        let header = ustar::header(name, size).map_err(|error| damaged(WHAT, error))?;
        self.tar.extend_from_slice(&header);
        self.tar.extend_from_slice(bytes);
        self.zeros(padding(size));
        self.count += 1;
        Ok(())
    }

    fn zeros(&mut self, count: u64) {
        let end = self.tar.len() + usize::try_from(count).unwrap_or_default();
        self.tar.resize(end, 0);
    }

    /// Ends the archive and compresses it.
    ///
    /// Errors: [`BundleError::Damaged`] when the compressor fails.
    pub fn finish(mut self) -> Result<Packed, BundleError> {
        self.zeros(TRAILER);
        Ok(Packed {
            bytes: pack(WHAT, &self.tar)?,
            unpacked: self.tar.len() as u64,
            count: self.count,
        })
    }
}
