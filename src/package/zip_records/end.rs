//! The end of a ZIP archive: the records that say where its directory is.

use super::fields::Fields;
use super::{
    END_BYTES, END_SEARCH_BYTES, END_SIGNATURE, END64_BYTES, END64_SIGNATURE, LOCATOR_BYTES,
    LOCATOR_SIGNATURE, RecordError, SATURATED,
};

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
            return Ok(EndSearch::NeedMore {
                from: total.saturating_sub(END_SEARCH_BYTES as u64),
            });
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
        return Err(RecordError::new(
            "trailing-bytes",
            format!("{extra} bytes follow the end of the archive"),
        ));
    }
    if after < comment_bytes {
        return Err(RecordError::new(
            "no-end-record",
            "the archive's comment is cut short",
        ));
    }
    if disk != 0 || directory_disk != 0 || entries_here != entries {
        return Err(RecordError::new(
            "multi-disk",
            "the archive claims to span several disks",
        ));
    }

    let end_at = start + at as u64;
    // Readers look for a locator just before the end record, some of them even if no field asks for it.
    if start > 0 && at < LOCATOR_BYTES + END64_BYTES {
        return Ok(EndSearch::NeedMore {
            from: end_at.saturating_sub((LOCATOR_BYTES + END64_BYTES) as u64),
        });
    }
    let located = at >= LOCATOR_BYTES && tail[at - LOCATOR_BYTES..].starts_with(LOCATOR_SIGNATURE);
    let saturated = entries == u16::MAX || size == SATURATED || offset == SATURATED;
    let (directory, ends_at) = match (located, saturated) {
        (false, true) => {
            return Err(RecordError::new(
                "zip64",
                "the end record points to a ZIP64 record that is not there",
            ));
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
                return Err(RecordError::new(
                    "zip64",
                    "the ZIP64 end record contradicts the end record",
                ));
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
    tail[window..]
        .windows(END_SIGNATURE.len())
        .rposition(|bytes| bytes == END_SIGNATURE)
        .map(|at| at + window)
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
    Ok(Directory {
        offset,
        size,
        entries,
        comment_bytes,
        zip64: true,
    })
}
