//! The records of a ZIP archive (APPNOTE 6.3.10), read strictly and without input or output.
//!
//! One parser serves both the gate, which has the whole file, and [`super::wheel_tail`], which has a few ranges of it.
//! Where the format lets two readers see two different archives, the record is refused instead of interpreted:
//! an installer may read it another way than we do.

use thiserror::Error;

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
        Self { code, detail: detail.into() }
    }
}

/// Where the central directory is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directory {
    /// Offset of its first header in the file.
    pub offset: u64,
    /// Its length in bytes; it ends where the end records begin.
    pub size: u64,
    /// How many headers it has.
    pub entries: u64,
    /// Length of the archive's comment, bytes.
    pub comment_bytes: usize,
    /// Whether the archive has ZIP64 end records.
    pub zip64: bool,
}

/// What a look at the end of a file gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EndSearch {
    /// The directory.
    Found(Directory),
    /// The end records begin before the bytes at hand: look again with the file from this offset.
    NeedMore {
        /// Offset in the file.
        from: u64,
    },
}

/// Finds the central directory from the last bytes of a file that is `total` bytes long.
///
/// The *last* end record counts and must reach exactly to the end of the file: nothing may follow it, and its comment
/// may not hold another (readers differ in which of two they take).
pub fn find_directory(tail: &[u8], total: u64) -> Result<EndSearch, RecordError> {
    let start = total
        .checked_sub(tail.len() as u64)
        .ok_or_else(|| RecordError::new("no-end-record", "more bytes than the file is said to have"))?;
    let Some(at) = last_end_signature(tail) else {
        if start > 0 && tail.len() < END_SEARCH_BYTES {
            return Ok(EndSearch::NeedMore { from: total.saturating_sub(END_SEARCH_BYTES as u64) });
        }
        return Err(RecordError::new(
            "no-end-record",
            "no end-of-central-directory record: not a ZIP archive, or cut short",
        ));
    };
    let mut end = Fields::new(&tail[at..], "no-end-record");
    end.skip(4)?;
    let (disk, directory_disk) = (end.u16()?, end.u16()?);
    let (entries_here, entries) = (end.u16()?, end.u16()?);
    let (size, offset, comment_bytes) = (end.u32()?, end.u32()?, usize::from(end.u16()?));
    let after = end.rest().len();
    if after > comment_bytes {
        let extra = after - comment_bytes;
        return Err(RecordError::new("trailing-bytes", format!("{extra} bytes follow the end of the archive")));
    }
    if after < comment_bytes {
        return Err(RecordError::new("no-end-record", "the archive's comment is cut short"));
    }
    if disk != 0 || directory_disk != 0 || entries_here != entries {
        return Err(RecordError::new("multi-disk", "the archive claims to span several disks"));
    }

    let end_at = start + at as u64;
    // Readers look for a locator just before the end record, some of them even if no field asks for it.
    if start > 0 && at < LOCATOR_BYTES + END64_BYTES {
        return Ok(EndSearch::NeedMore { from: end_at.saturating_sub((LOCATOR_BYTES + END64_BYTES) as u64) });
    }
    let located = at >= LOCATOR_BYTES && tail[at - LOCATOR_BYTES..].starts_with(LOCATOR_SIGNATURE);
    let saturated = entries == u16::MAX || size == SATURATED || offset == SATURATED;
    let (directory, ends_at) = match (located, saturated) {
        (false, true) => {
            return Err(RecordError::new("zip64", "the end record points to a ZIP64 record that is not there"));
        }
        (false, false) => {
            let directory = Directory {
                offset: offset.into(),
                size: size.into(),
                entries: entries.into(),
                comment_bytes,
                zip64: false,
            };
            (directory, end_at)
        }
        (true, _) => {
            let record_at = at
                .checked_sub(LOCATOR_BYTES + END64_BYTES)
                .ok_or_else(|| RecordError::new("zip64", "no room for the ZIP64 end record"))?;
            let directory = read_end64(&tail[record_at..at], start + record_at as u64, comment_bytes)?;
            let agrees = (entries == u16::MAX || u64::from(entries) == directory.entries)
                && (size == SATURATED || u64::from(size) == directory.size)
                && (offset == SATURATED || u64::from(offset) == directory.offset);
            if !agrees {
                return Err(RecordError::new("zip64", "the ZIP64 end record contradicts the end record"));
            }
            (directory, start + record_at as u64)
        }
    };
    match directory.offset.checked_add(directory.size) {
        Some(end) if end == ends_at => Ok(EndSearch::Found(directory)),
        _ => Err(RecordError::new(
            "directory-misplaced",
            "the central directory does not end where the end record begins: bytes were put before the archive or \
             behind its directory",
        )),
    }
}

/// Position of the last end signature, wherever it stands: in a comment or inside another field it makes the archive
/// ambiguous, and is refused by what follows.
fn last_end_signature(tail: &[u8]) -> Option<usize> {
    let window = tail.len().saturating_sub(END_BYTES + 65_535);
    tail[window..].windows(END_SIGNATURE.len()).rposition(|bytes| bytes == END_SIGNATURE).map(|at| at + window)
}

/// Reads a ZIP64 end record followed by its locator (together `bytes`, at offset `at`).
fn read_end64(bytes: &[u8], at: u64, comment_bytes: usize) -> Result<Directory, RecordError> {
    let mut record = Fields::new(bytes, "zip64");
    let wrong = |detail: &str| Err(RecordError::new("zip64", detail));
    if record.take(4)? != END64_SIGNATURE {
        return wrong("the ZIP64 end record is not where its locator stands");
    }
    // 44 = the record without signature, this field and extensible data, which no Python tool writes.
    if record.u64()? != (END64_BYTES - 12) as u64 {
        return wrong("the ZIP64 end record has extensible data");
    }
    record.skip(4)?; // made by, needed
    let (disk, directory_disk) = (record.u32()?, record.u32()?);
    let (entries_here, entries) = (record.u64()?, record.u64()?);
    let (size, offset) = (record.u64()?, record.u64()?);
    record.skip(4)?; // locator signature: seen by the caller
    let (locator_disk, locator_offset, disks) = (record.u32()?, record.u64()?, record.u32()?);
    if disk != 0 || directory_disk != 0 || locator_disk != 0 || disks > 1 || entries_here != entries {
        return wrong("the archive claims to span several disks");
    }
    if locator_offset != at {
        return wrong("the ZIP64 locator points somewhere else");
    }
    Ok(Directory { offset, size, entries, comment_bytes, zip64: true })
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
            return Err(RecordError::new("central-directory", "no header where the central directory should have one"));
        }
        fields.skip(2)?; // made by: the mode is judged whatever system is said to have made it
        let (needed, flags, method) = (fields.u16()?, fields.u16()?, fields.u16()?);
        fields.skip(4)?; // time, date
        let (crc, compressed, size) = (fields.u32()?, fields.u32()?, fields.u32()?);
        let (name_bytes, extra_bytes, comment_bytes) = (fields.u16()?, fields.u16()?, fields.u16()?);
        let disk = fields.u16()?;
        fields.skip(2)?; // internal attributes
        let (external, offset) = (fields.u32()?, fields.u32()?);
        let name = fields.take(name_bytes.into())?;
        let extra = fields.take(extra_bytes.into())?;
        let comment = fields.take(comment_bytes.into())?;
        if disk != 0 {
            return Err(RecordError::new("multi-disk", "an entry claims to be on another disk"));
        }
        let mut header = Self {
            needed,
            flags,
            method,
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
        let mut wanted: Vec<&mut u64> = wanted.into_iter().filter(|field| **field == u64::from(SATURATED)).collect();
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
        return Err(RecordError::new("local-header", "no local header where the central directory points"));
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
            _ => return Err(RecordError::new("zip64", "the local header's ZIP64 field does not match its sizes")),
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
            _ => {}
        }
    }
    Ok(zip64)
}

/// Fills the saturated fields from a ZIP64 extra field, which must hold exactly those.
fn widen(extra: Option<&[u8]>, wanted: &mut [&mut u64]) -> Result<(), RecordError> {
    let mut fields = match extra {
        None if wanted.is_empty() => return Ok(()),
        None => return Err(RecordError::new("zip64", "a size is said to be in a ZIP64 field that is not there")),
        Some(body) if body.len() != wanted.len() * 8 => {
            return Err(RecordError::new("zip64", "the ZIP64 field does not hold exactly the sizes it is asked for"));
        }
        Some(body) => Fields::new(body, "zip64"),
    };
    for field in wanted {
        **field = fields.u64()?;
    }
    Ok(())
}

/// Little-endian fields, read in order and within bounds; running out is an error with the given code.
struct Fields<'a> {
    bytes: &'a [u8],
    code: &'static str,
}

impl<'a> Fields<'a> {
    fn new(bytes: &'a [u8], code: &'static str) -> Self {
        Self { bytes, code }
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], RecordError> {
        let Some((taken, rest)) = self.bytes.split_at_checked(count) else {
            return Err(RecordError::new(self.code, "a record is cut short"));
        };
        self.bytes = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], RecordError> {
        let Some((taken, rest)) = self.bytes.split_first_chunk::<N>() else {
            return Err(RecordError::new(self.code, "a record is cut short"));
        };
        self.bytes = rest;
        Ok(*taken)
    }

    fn skip(&mut self, count: usize) -> Result<(), RecordError> {
        self.take(count).map(drop)
    }

    fn u16(&mut self) -> Result<u16, RecordError> {
        self.array().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Result<u32, RecordError> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, RecordError> {
        self.array().map(u64::from_le_bytes)
    }

    fn rest(&self) -> &'a [u8] {
        self.bytes
    }
}
