//! Many small things in one layer: packs (ustar in zstd) and runs of log entries.
//!
//! A pack is made and read in memory, so its size is bounded; a reader gets what it was told that there is, no byte more or
//! less. The bytes follow from the contents: fixed headers, one zstd frame at one level.

mod documents;
mod entries;
mod frame;
mod proven;
mod read;
mod tuf;
mod write;

pub use documents::{DocumentsWriter, read_documents};
pub use entries::{EntriesWriter, read_entries};
pub use proven::{ProvenWriter, read_proven};
pub use read::{PackLimits, PackReader, read_pack};
pub use tuf::{read_tuf, write_tuf};
pub use write::{PackWriter, Packed};

/// Bytes that a pack of one member takes besides the member's, at most: header, padding, the end of the archive.
pub const FRAME_BYTES: u64 = 2_048;

#[cfg(test)]
mod tests;
