//! The pack of TUF metadata and targets.

use bytes::Bytes;

use super::write::{PackWriter, Packed};
use super::{PackLimits, read_pack};
use crate::bundle::BundleError;
use crate::bundle::limits::{MAX_TUF_BYTES, MAX_TUF_FILES};

/// Packs these files under their names, in their order.
///
/// Errors: [`BundleError::TooLarge`] beyond [`MAX_TUF_BYTES`] or [`MAX_TUF_FILES`], [`BundleError::Damaged`].
pub fn write_tuf<N: AsRef<str>, B: AsRef<[u8]>>(files: &[(N, B)]) -> Result<Packed, BundleError> {
    if files.len() > MAX_TUF_FILES {
        return Err(BundleError::TooLarge {
            what: "the pack of TUF metadata".to_owned(),
            found: files.len() as u64,
            limit: MAX_TUF_FILES as u64,
            unit: "files",
        });
    }
    let mut pack = PackWriter::new(MAX_TUF_BYTES);
    for (name, bytes) in files {
        pack.add(name.as_ref(), bytes.as_ref())?;
    }
    pack.finish()
}

/// The files of such a pack. `packed` was held against its digest, `unpacked` is what the listing says.
///
/// Errors: [`BundleError::TooLarge`], [`BundleError::Damaged`].
pub fn read_tuf(what: &str, packed: &[u8], unpacked: u64) -> Result<Vec<(String, Bytes)>, BundleError> {
    BundleError::bounded(what, unpacked, MAX_TUF_BYTES)?;
    let limits = PackLimits {
        unpacked,
        members: MAX_TUF_FILES,
        member_bytes: MAX_TUF_BYTES,
    };
    read_pack(what, packed, limits)?.collect()
}
