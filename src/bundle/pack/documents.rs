//! Documents by digest: members `sha256/HEX`, sorted.

use bytes::Bytes;
use chiron_storage::Digest;

use super::frame::damaged;
use super::write::{PackWriter, Packed};
use super::{FRAME_BYTES, PackLimits, read_pack};
use crate::bundle::BundleError;
use crate::bundle::limits::{MAX_DOCUMENT_BYTES, MAX_PACK_BYTES};

/// Takes documents by ascending digest. One that is larger than a pack has a pack alone.
#[derive(Debug)]
pub struct DocumentsWriter {
    pack: PackWriter,
    last: Option<Digest>,
}

impl Default for DocumentsWriter {
    fn default() -> Self {
        Self::new()
    }
}

impl DocumentsWriter {
    /// None yet.
    pub fn new() -> Self {
        Self {
            pack: PackWriter::new(MAX_DOCUMENT_BYTES + FRAME_BYTES),
            last: None,
        }
    }

    /// Whether nothing is in it yet.
    pub fn is_empty(&self) -> bool {
        self.pack.is_empty()
    }

    /// Whether a document of so many bytes goes in: any into an empty pack.
    pub fn has_room(&self, bytes: usize) -> bool {
        self.is_empty() || self.pack.is_below(&[bytes as u64], MAX_PACK_BYTES)
    }

    /// Takes the next document.
    ///
    /// Errors: [`BundleError::TooLarge`] over [`MAX_DOCUMENT_BYTES`], or where [`Self::has_room`] says no;
    /// [`BundleError::Damaged`] out of order, and when the bytes are not those of the digest.
    pub fn push(&mut self, digest: Digest, bytes: &[u8]) -> Result<(), BundleError> {
        let what = || format!("the document {digest}");
        let limit = if self.has_room(bytes.len()) {
            MAX_DOCUMENT_BYTES
        } else {
            MAX_PACK_BYTES
        };
        if bytes.len() as u64 > MAX_DOCUMENT_BYTES || !self.has_room(bytes.len()) {
            return Err(BundleError::TooLarge {
                what: what(),
                found: bytes.len() as u64,
                limit,
                unit: "bytes",
            });
        }
        if self.last.is_some_and(|last| last >= digest) {
            return Err(damaged(&what(), "it is out of order"));
        }
        if Digest::of(bytes) != digest {
            return Err(damaged(&what(), "its bytes are others"));
        }
        self.last = Some(digest);
        self.pack.add(&format!("sha256/{digest}"), bytes)
    }

    /// Ends the archive and compresses it.
    ///
    /// Errors: [`BundleError::Damaged`] when the compressor fails.
    pub fn finish(self) -> Result<Packed, BundleError> {
        self.pack.finish()
    }
}

/// The documents of such a pack, each held against its digest. `packed` was held against its own; `count` and `unpacked`
/// are what the listing says.
///
/// Errors: [`BundleError::TooLarge`], [`BundleError::Damaged`], and those of `each`.
pub fn read_documents(
    what: &str,
    packed: &[u8],
    count: u64,
    unpacked: u64,
    mut each: impl FnMut(Digest, Bytes) -> Result<(), BundleError>,
) -> Result<(), BundleError> {
    let limit = if count == 1 {
        MAX_DOCUMENT_BYTES + FRAME_BYTES
    } else {
        MAX_PACK_BYTES
    };
    BundleError::bounded(what, unpacked, limit)?;
    let limits = PackLimits {
        unpacked,
        members: usize::try_from(count).unwrap_or(usize::MAX),
        member_bytes: MAX_DOCUMENT_BYTES,
    };
    let mut last = None;
    let mut found = 0_u64;
    for member in read_pack(what, packed, limits)? {
        let (name, bytes) = member?;
        let digest = Digest::of(&bytes);
        if name != format!("sha256/{digest}") {
            return Err(damaged(what, format!("the bytes of {name} give {digest}")));
        }
        if last.is_some_and(|last| last >= digest) {
            return Err(damaged(what, format!("{name} is out of order")));
        }
        last = Some(digest);
        found += 1;
        each(digest, bytes)?;
    }
    if found != count {
        return Err(damaged(
            what,
            format!("it has {found} documents instead of {count}"),
        ));
    }
    Ok(())
}
