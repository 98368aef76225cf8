//! Consecutive log entries, each behind its length in two bytes, big-endian (C2SP tlog-tiles, "log entries").

use super::frame::{damaged, pack, unpack};
use super::write::Packed;
use crate::bundle::BundleError;
use crate::bundle::limits::{MAX_PACK_BYTES, MAX_PACK_ENTRIES};

/// What messages call a run that is being made.
const WHAT: &str = "a pack of log entries";

/// Takes entries in their order.
#[derive(Debug, Default)]
pub struct EntriesWriter {
    bytes: Vec<u8>,
    count: u64,
}

impl EntriesWriter {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether nothing is in it yet.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Whether another entry of so many bytes would still go in.
    pub fn has_room(&self, entry_bytes: usize) -> bool {
        (self.bytes.len() + 2 + entry_bytes) as u64 <= MAX_PACK_BYTES && self.count < MAX_PACK_ENTRIES
    }

    /// Takes the next entry.
    ///
    /// Errors: [`BundleError::TooLarge`] over 65,535 bytes, and beyond what one pack holds.
    pub fn push(&mut self, entry: &[u8]) -> Result<(), BundleError> {
        let too_large = |found: u64, limit: u64| BundleError::TooLarge {
            what: WHAT.to_owned(),
            found,
            limit,
            unit: "bytes",
        };
        let length =
            u16::try_from(entry.len()).map_err(|_| too_large(entry.len() as u64, u64::from(u16::MAX)))?;
        if !self.has_room(entry.len()) {
            return Err(too_large(
                (self.bytes.len() + 2 + entry.len()) as u64,
                MAX_PACK_BYTES,
            ));
        }
        self.bytes.extend_from_slice(&length.to_be_bytes());
        self.bytes.extend_from_slice(entry);
        self.count += 1;
        Ok(())
    }

    /// Compresses them.
    ///
    /// Errors: [`BundleError::Damaged`] when the compressor fails.
    pub fn finish(self) -> Result<Packed, BundleError> {
        Ok(Packed {
            bytes: pack(WHAT, &self.bytes)?,
            unpacked: self.bytes.len() as u64,
            count: self.count,
        })
    }
}

/// The entries of a run, in their order. `packed` was held against its digest; `count` and `unpacked` are what the listing
/// says.
///
/// Errors: [`BundleError::TooLarge`], [`BundleError::Damaged`], and those of `each`.
pub fn read_entries(
    what: &str,
    packed: &[u8],
    count: u64,
    unpacked: u64,
    mut each: impl FnMut(&[u8]) -> Result<(), BundleError>,
) -> Result<(), BundleError> {
    BundleError::bounded(what, unpacked, MAX_PACK_BYTES)?;
    let bytes = unpack(what, packed, unpacked)?;
    let mut rest = &bytes[..];
    let mut found = 0_u64;
    while let Some((length, behind)) = rest.split_first_chunk::<2>() {
        let entry = behind
            .get(..usize::from(u16::from_be_bytes(*length)))
            .ok_or_else(|| damaged(what, "its last entry is cut off"))?;
        rest = &behind[entry.len()..];
        found += 1;
        if found > count {
            break;
        }
        each(entry)?;
    }
    if found != count || !rest.is_empty() {
        return Err(damaged(
            what,
            format!("it does not have the {count} entries that it should"),
        ));
    }
    Ok(())
}
