//! A wheel's `METADATA` from a few ranges of it, so that an installer's question about a candidate does not cost a
//! download: the end of the file, the central directory, one entry.
//!
//! Pure steps; `upstream` makes the requests. What is read here is a *claim*: it is held against the wheel's own
//! metadata when the whole file comes in, and the gate judges that file by stricter rules than these.

use std::io::Read as _;

use flate2::read::DeflateDecoder;
use thiserror::Error;

use super::zip_records::{
    CentralHeader, DEFLATED, EndSearch, LOCAL_BYTES, LocalHeader, RecordError, STORED, find_directory,
};
use super::{DistributionFilename, Version};

/// Bytes to ask for first: enough for the directory of most wheels (up to about 800 files).
pub const FIRST_TAIL_BYTES: u64 = 64 * 1024;
/// Bytes of metadata, packed or unpacked; more is refused (threat: memory).
pub const MAX_METADATA_BYTES: u64 = 16 * 1024 * 1024;
/// Bytes of a central directory that are worth fetching; a larger one costs more than it saves.
pub const MAX_DIRECTORY_BYTES: u64 = 32 * 1024 * 1024;

/// Why the metadata cannot be had this way. The file itself can still be fetched and judged.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TailError {
    /// The records are damaged or ambiguous.
    #[error("the archive's records cannot be read: {0}")]
    Records(#[from] RecordError),
    /// The directory, or the metadata, is larger than allowed.
    #[error("{what} of {bytes} bytes; {limit} are allowed")]
    TooLarge {
        /// `a central directory` or `metadata`.
        what: &'static str,
        /// How large.
        bytes: u64,
        /// How large it may be.
        limit: u64,
    },
    /// No `.dist-info/METADATA` of this release.
    #[error("the archive has no METADATA of this release")]
    NotFound,
    /// More than one.
    #[error("the archive has two METADATA of this release")]
    Ambiguous,
    /// Encrypted, or packed in a way that a wheel may not be.
    #[error("METADATA is packed by method {0}, or encrypted")]
    Method(u16),
    /// The bytes do not give what the directory promises.
    #[error("METADATA does not unpack to what the directory says")]
    Content,
}

/// The next step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Locate {
    /// Fetch the file from this offset to its end, and look again. Asked at most twice.
    NeedMore {
        /// Offset in the file.
        from: u64,
    },
    /// Fetch [`Entry::header_offset`]`..`[`Entry::end`], and give it to [`WheelTail::read_entry`].
    Entry(Entry),
}

/// Where `METADATA` is in the file, and what it must unpack to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Offset of its local header.
    pub header_offset: u64,
    /// Offset of what follows it: the next entry, or the directory.
    pub end: u64,
    /// Bytes in the archive.
    pub compressed_size: u64,
    /// Bytes unpacked.
    pub size: u64,
    /// 0 stored, 8 deflate.
    pub method: u16,
    /// CRC-32 of the unpacked bytes.
    pub crc: u32,
}

/// The steps, in order.
#[derive(Debug)]
pub struct WheelTail;

impl WheelTail {
    /// Looks for the metadata of `name` in the last bytes (`tail`, from offset `tail_start`) of a file of `total` bytes.
    pub fn locate(
        tail: &[u8],
        tail_start: u64,
        total: u64,
        name: &DistributionFilename,
    ) -> Result<Locate, TailError> {
        if tail_start.checked_add(tail.len() as u64) != Some(total) {
            return Err(TailError::Content);
        }
        let directory = match find_directory(tail, total)? {
            EndSearch::NeedMore { from } => return Ok(Locate::NeedMore { from }),
            EndSearch::Found(directory) => directory,
        };
        if directory.size > MAX_DIRECTORY_BYTES {
            let (what, limit) = ("a central directory", MAX_DIRECTORY_BYTES);
            return Err(TailError::TooLarge {
                what,
                bytes: directory.size,
                limit,
            });
        }
        let Some(start) = directory.offset.checked_sub(tail_start) else {
            return Ok(Locate::NeedMore {
                from: directory.offset,
            });
        };
        let bytes = usize::try_from(start)
            .ok()
            .zip(usize::try_from(directory.size).ok())
            .and_then(|(start, size)| tail.get(start..start.checked_add(size)?))
            .ok_or(TailError::Content)?;
        find_metadata(bytes, directory.offset, name).map(Locate::Entry)
    }

    /// Unpacks the metadata from the bytes that begin at its local header.
    pub fn read_entry(bytes: &[u8], entry: &Entry) -> Result<Vec<u8>, TailError> {
        let local = LocalHeader::parse(bytes)?;
        if local.method != entry.method || local.flags & 1 != 0 {
            return Err(TailError::Method(local.method));
        }
        let packed = usize::try_from(entry.compressed_size)
            .ok()
            .and_then(|length| bytes.get(local.length..local.length.checked_add(length)?))
            .ok_or(TailError::Content)?;
        let content = if entry.method == STORED {
            packed.to_vec()
        } else {
            inflate(packed, entry.size)?
        };
        if content.len() as u64 != entry.size || libdeflater::crc32(&content) != entry.crc {
            return Err(TailError::Content);
        }
        Ok(content)
    }
}

/// Unpacks at most one byte more than expected.
fn inflate(packed: &[u8], size: u64) -> Result<Vec<u8>, TailError> {
    let mut content = Vec::new();
    DeflateDecoder::new(packed)
        .take(size + 1)
        .read_to_end(&mut content)
        .map_err(|_| TailError::Content)?;
    Ok(content)
}

fn find_metadata(
    directory: &[u8],
    directory_at: u64,
    name: &DistributionFilename,
) -> Result<Entry, TailError> {
    let mut found: Option<Entry> = None;
    let mut offsets = Vec::new();
    let mut rest = directory;
    while !rest.is_empty() {
        let (header, length) = CentralHeader::parse(rest)?;
        rest = &rest[length..];
        offsets.push(header.offset);
        if !is_metadata(header.name, name) {
            continue;
        }
        if found.is_some() {
            return Err(TailError::Ambiguous);
        }
        if header.flags & 1 != 0 || !matches!(header.method, STORED | DEFLATED) {
            return Err(TailError::Method(header.method));
        }
        let bytes = header.size.max(header.compressed);
        if bytes > MAX_METADATA_BYTES {
            return Err(TailError::TooLarge {
                what: "metadata",
                bytes,
                limit: MAX_METADATA_BYTES,
            });
        }
        found = Some(Entry {
            header_offset: header.offset,
            end: 0,
            compressed_size: header.compressed,
            size: header.size,
            method: header.method,
            crc: header.crc,
        });
    }
    let mut entry = found.ok_or(TailError::NotFound)?;
    entry.end = offsets
        .into_iter()
        .filter(|offset| *offset > entry.header_offset)
        .min()
        .unwrap_or(directory_at);
    // The header's variable parts have 16-bit lengths: an honest range is no longer than this.
    let longest = entry.compressed_size + (LOCAL_BYTES + 2 * 65_535 + 24) as u64;
    if entry.end <= entry.header_offset
        || entry.end > directory_at
        || entry.end - entry.header_offset > longest
    {
        return Err(TailError::Content);
    }
    Ok(entry)
}

/// Whether this is the release's own `name-version.dist-info/METADATA`, at the top of the archive.
fn is_metadata(path: &[u8], name: &DistributionFilename) -> bool {
    std::str::from_utf8(path)
        .ok()
        .and_then(|path| path.strip_suffix(".dist-info/METADATA"))
        .and_then(|stem| stem.split_once('-'))
        .is_some_and(|(project, version)| {
            name.project().is_spelled(project)
                && version
                    .parse::<Version>()
                    .is_ok_and(|version| version == *name.version())
        })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use std::io::{Cursor, Write as _};

    use proptest::prelude::*;
    use zip::write::SimpleFileOptions;

    use super::*;

    const METADATA: &[u8] = b"Metadata-Version: 2.1\nName: demo\nVersion: 1.0\n";

    fn name() -> DistributionFilename {
        DistributionFilename::parse("demo-1.0-py3-none-any.whl").unwrap()
    }

    fn wheel(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
        for (path, content) in files {
            zip.start_file(*path, SimpleFileOptions::default()).unwrap();
            zip.write_all(content).unwrap();
        }
        zip.finish().unwrap().into_inner()
    }

    /// Does what `upstream` does, and counts the requests.
    fn fetch(bytes: &[u8], first: usize) -> Result<(Vec<u8>, u32), TailError> {
        let mut from = bytes.len().saturating_sub(first);
        for requests in 1..10 {
            match WheelTail::locate(&bytes[from..], from as u64, bytes.len() as u64, &name())? {
                Locate::NeedMore { from: earlier } => {
                    assert!(
                        usize::try_from(earlier).unwrap() < from,
                        "each look must see more"
                    );
                    from = usize::try_from(earlier).unwrap();
                }
                Locate::Entry(entry) => {
                    let range =
                        usize::try_from(entry.header_offset).unwrap()..usize::try_from(entry.end).unwrap();
                    return WheelTail::read_entry(&bytes[range], &entry)
                        .map(|content| (content, requests + 1));
                }
            }
        }
        panic!("does not end");
    }

    #[test]
    fn metadata_is_found_however_little_is_fetched_first() {
        let many: Vec<(String, Vec<u8>)> = (0..500)
            .map(|n| (format!("demo/{n}.py"), vec![b'x'; n]))
            .collect();
        let mut files: Vec<(&str, &[u8])> = many
            .iter()
            .map(|(path, content)| (path.as_str(), content.as_slice()))
            .collect();
        files.push(("demo-1.0.dist-info/METADATA", METADATA));
        files.push(("demo-1.0.dist-info/RECORD", b""));
        let bytes = wheel(&files);
        assert_eq!(fetch(&bytes, 64 * 1024).unwrap(), (METADATA.to_vec(), 2));
        assert_eq!(fetch(&bytes, 1_000).unwrap(), (METADATA.to_vec(), 3));
        for first in [0, 1, 21, 22, 23, 100] {
            assert_eq!(fetch(&bytes, first).unwrap().0, METADATA, "{first}");
        }
    }

    #[test]
    fn only_the_releases_own_metadata_counts() {
        for path in [
            "other-1.0.dist-info/METADATA",
            "demo-2.0.dist-info/METADATA",
            "demo/_vendor/demo-1.0.dist-info/METADATA",
            "demo-1.0.dist-info/METADATA.txt",
        ] {
            assert_eq!(
                fetch(&wheel(&[(path, METADATA)]), 64),
                Err(TailError::NotFound),
                "{path}"
            );
        }
        assert_eq!(
            fetch(&wheel(&[("Demo-1.0.0.dist-info/METADATA", METADATA)]), 64)
                .unwrap()
                .0,
            METADATA
        );
        let two = wheel(&[
            ("demo-1.0.dist-info/METADATA", METADATA),
            ("demo-1.0.0.dist-info/METADATA", b"x"),
        ]);
        assert_eq!(fetch(&two, 64), Err(TailError::Ambiguous));
    }

    proptest! {
        #[test]
        fn damage_is_an_error_or_harmless(edits in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4)) {
            let mut bytes = wheel(&[("demo/a.py", b"x"), ("demo-1.0.dist-info/METADATA", METADATA)]);
            for (at, byte) in edits {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            for first in [0, 64, 10_000] {
                if let Ok((content, _)) = fetch(&bytes, first) {
                    prop_assert_eq!(&content, METADATA);
                }
            }
        }
    }
}
