//! A wheel as an archive: its entries, unpacked no further than they declare.

use std::collections::BTreeMap;
use std::io::Read;
use std::ops::Range;

use flate2::read::DeflateDecoder;

use super::CompareLimits;
use crate::package::zip_records::{
    CENTRAL_BYTES, CentralHeader, DEFLATED, END_SEARCH_BYTES, EndSearch, LOCAL_BYTES, LocalHeader, STORED,
    find_directory,
};

/// Where time and date stand in a central header (APPNOTE 4.3.12), and in a local one (4.3.7).
const CENTRAL_TIME: Range<usize> = 12..16;
const LOCAL_TIME: Range<usize> = 10..14;
const MODE_KIND: u32 = 0o170_000;
const MODE_FILE: u32 = 0o100_000;
/// Bytes unpacked at once while two contents are held against each other.
const PIECE: usize = 64 * 1024;

/// The entries of an archive, by name.
pub(super) struct Container<'a> {
    pub(super) entries: BTreeMap<&'a str, Entry<'a>>,
    /// Where the time stamps are, in order.
    times: Vec<Range<usize>>,
}

pub(super) struct Entry<'a> {
    /// Unix mode; a plain file's kind may be left out, and counts as said.
    pub(super) mode: u32,
    pub(super) content: Content<'a>,
}

/// The content of an entry, packed.
pub(super) struct Content<'a> {
    packed: &'a [u8],
    method: u16,
    /// Bytes unpacked, as declared.
    pub(super) size: u64,
}

impl<'a> Container<'a> {
    /// Reads the directory and the headers; `Err` says what is wrong with the archive.
    pub(super) fn read(bytes: &'a [u8], limits: &CompareLimits) -> Result<Self, String> {
        let tail = &bytes[bytes.len().saturating_sub(END_SEARCH_BYTES)..];
        let directory = match find_directory(tail, bytes.len() as u64).map_err(|error| error.detail)? {
            EndSearch::Found(directory) => directory,
            EndSearch::NeedMore { .. } => return Err("no end record in reach".to_owned()),
        };
        if directory.entries > limits.entries {
            return Err(format!(
                "{} entries; {} are allowed",
                directory.entries, limits.entries
            ));
        }
        let mut at = position(directory.offset, bytes)?;
        let end = position(directory.offset + directory.size, bytes)?;
        let mut container = Self {
            entries: BTreeMap::new(),
            times: Vec::new(),
        };
        let mut unpacked: u64 = 0;
        while at < end {
            let (header, length) = CentralHeader::parse(&bytes[at..end]).map_err(|error| error.detail)?;
            container.times.push(within(at, &CENTRAL_TIME));
            at += length;
            unpacked = unpacked.saturating_add(header.size);
            if unpacked > limits.unpacked {
                return Err(format!(
                    "unpacks to more than the {} bytes that are allowed",
                    limits.unpacked
                ));
            }
            container.entry(bytes, &header)?;
        }
        if container.entries.len() as u64 != directory.entries {
            return Err("the directory does not have as many headers as the end record says".to_owned());
        }
        container.times.sort_by_key(|range| range.start);
        Ok(container)
    }

    fn entry(&mut self, bytes: &'a [u8], header: &CentralHeader<'a>) -> Result<(), String> {
        let name = std::str::from_utf8(header.name).map_err(|_| "a name that is not UTF-8".to_owned())?;
        let at = position(header.offset, bytes)?;
        let local = LocalHeader::parse(&bytes[at..]).map_err(|error| error.detail)?;
        if local.name != header.name {
            return Err(format!("{name:?} has another name in its local header"));
        }
        self.times.push(within(at, &LOCAL_TIME));
        let data = at + local.length;
        let packed = usize::try_from(header.compressed)
            .ok()
            .and_then(|length| bytes.get(data..data.checked_add(length)?))
            .ok_or_else(|| format!("{name:?} reaches beyond the archive"))?;
        if header.method != STORED && header.method != DEFLATED {
            return Err(format!("{name:?} is packed by method {}", header.method));
        }
        let mode = match header.mode() {
            mode if mode & MODE_KIND == 0 && !name.ends_with('/') => mode | MODE_FILE,
            mode => mode,
        };
        let content = Content {
            packed,
            method: header.method,
            size: header.size,
        };
        match self.entries.insert(name, Entry { mode, content }) {
            None => Ok(()),
            Some(_) => Err(format!("two entries are called {name:?}")),
        }
    }

    /// Whether two archives, of which this is one, have the same bytes but for the time stamps of its headers.
    pub(super) fn same_but_for_times(&self, own: &[u8], other: &[u8]) -> bool {
        if own.len() != other.len() {
            return false;
        }
        let mut at = 0;
        for range in &self.times {
            // Headers that overlap are no archive that a structure check lets pass.
            if range.start < at || own.get(at..range.start) != other.get(at..range.start) {
                return false;
            }
            at = range.end;
        }
        own.get(at..) == other.get(at..)
    }
}

/// Where the range of a header that starts at `at` is. The header was parsed: it is in bounds.
fn within(at: usize, range: &Range<usize>) -> Range<usize> {
    debug_assert!(range.end <= CENTRAL_BYTES.min(LOCAL_BYTES));
    at + range.start..at + range.end
}

fn position(offset: u64, bytes: &[u8]) -> Result<usize, String> {
    usize::try_from(offset)
        .ok()
        .filter(|at| *at <= bytes.len())
        .ok_or_else(|| "a record points beyond the archive".to_owned())
}

impl<'a> Content<'a> {
    /// Unpacks as it is read; never more than one byte beyond what was declared.
    fn reader(&self) -> Box<dyn Read + 'a> {
        if self.method == STORED {
            Box::new(self.packed)
        } else {
            Box::new(DeflateDecoder::new(self.packed).take(self.size.saturating_add(1)))
        }
    }

    /// Whether two contents are the same bytes; `Err` when one is not what it declares.
    pub(super) fn is_same(&self, other: &Self) -> Result<bool, String> {
        if self.size != other.size {
            return Ok(false);
        }
        if self.method == other.method && self.packed == other.packed {
            return Ok(true);
        }
        let (mut one, mut two) = (self.reader(), other.reader());
        let (mut left, mut right) = (vec![0; PIECE], vec![0; PIECE]);
        let mut read: u64 = 0;
        loop {
            let (first, second) = (fill(&mut *one, &mut left)?, fill(&mut *two, &mut right)?);
            if left[..first] != right[..second] {
                return Ok(false);
            }
            read += first as u64;
            if first == 0 {
                break;
            }
        }
        if read == self.size {
            Ok(true)
        } else {
            Err(format!("{} bytes are declared, and {read} come out", self.size))
        }
    }

    /// The bytes, if they are at most `limit` and what is declared.
    pub(super) fn bytes(&self, limit: usize) -> Option<Vec<u8>> {
        if self.size > limit as u64 {
            return None;
        }
        let mut bytes = Vec::new();
        self.reader()
            .take(limit as u64 + 1)
            .read_to_end(&mut bytes)
            .ok()?;
        (bytes.len() as u64 == self.size).then_some(bytes)
    }
}

/// Reads until the buffer is full or nothing is left.
fn fill(from: &mut dyn Read, buffer: &mut [u8]) -> Result<usize, String> {
    let mut filled = 0;
    while filled < buffer.len() {
        match from.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) => return Err(format!("its packed data is damaged: {error}")),
        }
    }
    Ok(filled)
}
