//! The records of a ZIP archive (APPNOTE 6.3.10), read strictly and without input or output.
//!
//! One parser serves both the gate, which has the whole file, and [`super::wheel_tail`], which has a few ranges of it.
//! Where the format lets two readers see two different archives, the record is refused instead of interpreted:
//! an installer may read it another way than we do.

mod end;
mod fields;

use thiserror::Error;

pub use end::{Directory, EndSearch, find_directory};
use fields::Fields;

/// Bytes of an end-of-central-directory record without its comment (4.3.16).
pub const END_BYTES: usize = 22;
/// Bytes of a ZIP64 end record without extensible data, which is refused (4.3.14).
pub const END64_BYTES: usize = 56;
/// Bytes of a ZIP64 locator (4.3.15).
pub const LOCATOR_BYTES: usize = 20;
/// Bytes of a central directory header without its variable parts (4.3.12).
pub const CENTRAL_BYTES: usize = 46;
/// Bytes of a local header without its variable parts (4.3.7).
pub const LOCAL_BYTES: usize = 30;
/// An end record can be no further from the end of the file than this, for its comment's length has 16 bits.
pub const END_SEARCH_BYTES: usize = END_BYTES + 65_535 + LOCATOR_BYTES + END64_BYTES;
/// Method 0: stored.
pub const STORED: u16 = 0;
/// Method 8: deflate.
pub const DEFLATED: u16 = 8;
/// Flag bit 3: sizes and checksum follow the data.
pub const FLAG_DESCRIPTOR: u16 = 1 << 3;
/// Flag bit 11: the name is UTF-8.
pub const FLAG_UTF8: u16 = 1 << 11;

const CENTRAL_SIGNATURE: &[u8; 4] = b"PK\x01\x02";
const LOCAL_SIGNATURE: &[u8; 4] = b"PK\x03\x04";
const END_SIGNATURE: &[u8; 4] = b"PK\x05\x06";
const END64_SIGNATURE: &[u8; 4] = b"PK\x06\x06";
const LOCATOR_SIGNATURE: &[u8; 4] = b"PK\x06\x07";
const DESCRIPTOR_SIGNATURE: &[u8; 4] = b"PK\x07\x08";

const EXTRA_ZIP64: u16 = 0x0001;
const EXTRA_UNICODE_PATH: u16 = 0x7075;
/// PKWARE Unix and `ASi` Unix: both can carry a link's target, the second a mode too.
const EXTRA_WITH_LINKS: [u16; 2] = [0x000d, 0x756e];
const SATURATED: u32 = u32::MAX;

/// A record that is damaged, or that two readers could understand differently. The archive is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{detail}")]
pub struct RecordError {
    /// Stable name of the defect, for policy and tests.
    pub code: &'static str,
    /// What was found, for a person.
    pub detail: String,
}

impl RecordError {
    fn new(code: &'static str, detail: impl Into<String>) -> Self {
        Self {
            code,
            detail: detail.into(),
        }
    }
}

/// One header of the central directory.
#[derive(Debug, Clone, Copy)]
pub struct CentralHeader<'a> {
    /// Version needed to extract.
    pub needed: u16,
    /// General purpose flags.
    pub flags: u16,
    /// Compression method.
    pub method: u16,
    /// When the file was last changed: DOS date, DOS time (4.4.6). Local time of nobody knows where.
    pub modified: (u16, u16),
    /// CRC-32 of the unpacked bytes.
    pub crc: u32,
    /// Bytes in the archive.
    pub compressed: u64,
    /// Bytes unpacked.
    pub size: u64,
    /// External attributes; the upper half is the Unix mode.
    pub external: u32,
    /// Offset of the local header.
    pub offset: u64,
    /// Name as it stands there.
    pub name: &'a [u8],
    /// Extra fields.
    pub extra: &'a [u8],
    /// The entry's comment.
    pub comment: &'a [u8],
}

impl<'a> CentralHeader<'a> {
    /// Reads the header at the front of `bytes`; also gives how long it is.
    pub fn parse(bytes: &'a [u8]) -> Result<(Self, usize), RecordError> {
        let mut fields = Fields::new(bytes, "central-directory");
        if fields.take(4)? != CENTRAL_SIGNATURE {
            return Err(RecordError::new(
                "central-directory",
                "no header where the central directory should have one",
            ));
        }
        fields.skip(2)?; // made by: the mode is judged whatever system is said to have made it
        let (needed, flags, method) = (fields.u16()?, fields.u16()?, fields.u16()?);
        let (time, date) = (fields.u16()?, fields.u16()?);
        let (crc, compressed, size) = (fields.u32()?, fields.u32()?, fields.u32()?);
        let (name_bytes, extra_bytes, comment_bytes) = (fields.u16()?, fields.u16()?, fields.u16()?);
        let disk = fields.u16()?;
        fields.skip(2)?; // internal attributes
        let (external, offset) = (fields.u32()?, fields.u32()?);
        let name = fields.take(name_bytes.into())?;
        let extra = fields.take(extra_bytes.into())?;
        let comment = fields.take(comment_bytes.into())?;
        if disk != 0 {
            return Err(RecordError::new(
                "multi-disk",
                "an entry claims to be on another disk",
            ));
        }
        let mut header = Self {
            needed,
            flags,
            method,
            modified: (date, time),
            crc,
            compressed: compressed.into(),
            size: size.into(),
            external,
            offset: offset.into(),
            name,
            extra,
            comment,
        };
        let wanted = [&mut header.size, &mut header.compressed, &mut header.offset];
        let mut wanted: Vec<&mut u64> = wanted
            .into_iter()
            .filter(|field| **field == u64::from(SATURATED))
            .collect();
        widen(read_extra(extra, name)?, &mut wanted)?;
        let length = bytes.len() - fields.rest().len();
        Ok((header, length))
    }

    /// The Unix mode, 0 when there is none.
    pub fn mode(&self) -> u32 {
        self.external >> 16
    }
}

/// A local header: what a reader sees that goes through the file from its front.
#[derive(Debug, Clone, Copy)]
pub struct LocalHeader<'a> {
    /// Version needed to extract.
    pub needed: u16,
    /// General purpose flags.
    pub flags: u16,
    /// Compression method.
    pub method: u16,
    /// CRC-32, 0 when a data descriptor follows.
    pub crc: u32,
    /// Bytes in the archive, 0 when a data descriptor follows.
    pub compressed: u64,
    /// Bytes unpacked, 0 when a data descriptor follows.
    pub size: u64,
    /// Name as it stands there.
    pub name: &'a [u8],
    /// Whether a ZIP64 extra field widens the sizes; then a data descriptor has wide sizes too.
    pub zip64: bool,
    /// Length of the header with name and extra fields.
    pub length: usize,
}

/// Length of the local header whose first [`LOCAL_BYTES`] bytes are given.
pub fn local_length(bytes: &[u8]) -> Result<usize, RecordError> {
    let mut fields = Fields::new(bytes, "local-header");
    if fields.take(4)? != LOCAL_SIGNATURE {
        return Err(RecordError::new(
            "local-header",
            "no local header where the central directory points",
        ));
    }
    fields.skip(22)?;
    Ok(LOCAL_BYTES + usize::from(fields.u16()?) + usize::from(fields.u16()?))
}

impl<'a> LocalHeader<'a> {
    /// Reads the header at the front of `bytes`.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, RecordError> {
        let length = local_length(bytes)?;
        let mut fields = Fields::new(bytes, "local-header");
        fields.skip(4)?;
        let (needed, flags, method) = (fields.u16()?, fields.u16()?, fields.u16()?);
        fields.skip(4)?; // time, date
        let (crc, compressed, size) = (fields.u32()?, fields.u32()?, fields.u32()?);
        let (name_bytes, extra_bytes) = (fields.u16()?, fields.u16()?);
        let name = fields.take(name_bytes.into())?;
        let extra = read_extra(fields.take(extra_bytes.into())?, name)?;
        let zip64 = extra.is_some();
        let mut header = Self {
            needed,
            flags,
            method,
            crc,
            compressed: compressed.into(),
            size: size.into(),
            name,
            zip64,
            length,
        };
        // In a local header both sizes are widened or neither is (4.5.3). Python's `zipfile` (`force_zip64`, as Bazel's
        // wheels are made) writes the field beside sizes that need none: then it must repeat them.
        let (mut wide_size, mut wide_compressed) = (header.size, header.compressed);
        if zip64 {
            widen(extra, &mut [&mut wide_size, &mut wide_compressed])?;
        }
        match (compressed == SATURATED, size == SATURATED) {
            (false, false) if (wide_size, wide_compressed) == (header.size, header.compressed) => {}
            (true, true) if zip64 => (header.size, header.compressed) = (wide_size, wide_compressed),
            _ => {
                return Err(RecordError::new(
                    "zip64",
                    "the local header's ZIP64 field does not match its sizes",
                ));
            }
        }
        Ok(header)
    }
}

/// Reads the data descriptor that `bytes` (all that lies between an entry's data and what follows) must be.
/// Returns (crc, compressed, size); `None` when the bytes are not one descriptor of the right width.
pub fn parse_descriptor(bytes: &[u8], wide: bool) -> Option<(u32, u64, u64)> {
    let plain = if wide { 20 } else { 12 };
    let bytes = match bytes.len().checked_sub(plain)? {
        0 => bytes,
        4 => bytes.strip_prefix(DESCRIPTOR_SIGNATURE)?,
        _ => return None,
    };
    let mut fields = Fields::new(bytes, "data-descriptor");
    let crc = fields.u32().ok()?;
    if wide {
        Some((crc, fields.u64().ok()?, fields.u64().ok()?))
    } else {
        Some((crc, fields.u32().ok()?.into(), fields.u32().ok()?.into()))
    }
}

/// Walks extra fields: gives the ZIP64 one, refuses torn ones and an Info-ZIP Unicode path (4.6.9) that says anything
/// but the header's own name (readers differ in which name they take).
fn read_extra<'a>(extra: &'a [u8], name: &[u8]) -> Result<Option<&'a [u8]>, RecordError> {
    let mut zip64 = None;
    let mut fields = Fields::new(extra, "extra-field");
    while !fields.rest().is_empty() {
        let (id, length) = (fields.u16()?, fields.u16()?);
        let body = fields.take(length.into())?;
        match id {
            EXTRA_ZIP64 if zip64.replace(body).is_some() => {
                return Err(RecordError::new("zip64", "two ZIP64 fields in one header"));
            }
            // version (1 byte), CRC-32 of the header's name (4), the name
            EXTRA_UNICODE_PATH if body.first() != Some(&1) || body.get(5..) != Some(name) => {
                return Err(RecordError::new(
                    "unicode-path",
                    "a Unicode-path field gives the entry another name than its header",
                ));
            }
            id if EXTRA_WITH_LINKS.contains(&id) => {
                return Err(RecordError::new(
                    "extra-field",
                    "an extra field with a mode or link of its own",
                ));
            }
            _ => {}
        }
    }
    Ok(zip64)
}

/// Fills the saturated fields from a ZIP64 extra field, which must hold exactly those.
fn widen(extra: Option<&[u8]>, wanted: &mut [&mut u64]) -> Result<(), RecordError> {
    let mut fields = match extra {
        None if wanted.is_empty() => return Ok(()),
        None => {
            return Err(RecordError::new(
                "zip64",
                "a size is said to be in a ZIP64 field that is not there",
            ));
        }
        Some(body) if body.len() != wanted.len() * 8 => {
            return Err(RecordError::new(
                "zip64",
                "the ZIP64 field does not hold exactly the sizes it is asked for",
            ));
        }
        Some(body) => Fields::new(body, "zip64"),
    };
    for field in wanted {
        **field = fields.u64()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
