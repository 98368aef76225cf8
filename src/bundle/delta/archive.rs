//! Where the entries of a wheel lie: as little of a ZIP reader as making a delta needs. It decides nothing: an archive that it
//! does not understand travels whole.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use crate::package::zip_records::{
    CentralHeader, DEFLATED, Directory, END_SEARCH_BYTES, EndSearch, LOCAL_BYTES, find_directory,
    local_length,
};

/// Bytes of a central directory that is looked at. Threat: memory.
const DIRECTORY_BYTES: u64 = 16 << 20;

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub name: String,
    pub deflated: bool,
    pub crc: u32,
    /// Where its data begins, behind the local header.
    pub at: u64,
    /// Bytes in the archive.
    pub packed: u64,
    /// Bytes unpacked, as the directory says.
    pub size: u64,
}

impl Entry {
    /// Where its data ends.
    pub(super) fn end(&self) -> u64 {
        self.at + self.packed
    }
}

/// The entries in the order in which they lie, one behind the other without overlap.
#[derive(Debug)]
pub(super) struct Archive {
    pub entries: Vec<Entry>,
    /// Where the central directory lies, and its bytes.
    pub directory: (u64, u64),
    /// Bytes of the file.
    pub bytes: u64,
}

impl Archive {
    /// `None` when it is no archive that this understands.
    pub(super) fn read(file: &File) -> io::Result<Option<Self>> {
        let bytes = file.metadata()?.len();
        let Some(directory) = directory(file, bytes)? else {
            return Ok(None);
        };
        if directory.size > DIRECTORY_BYTES {
            return Ok(None);
        }
        let mut raw = vec![0; usize::try_from(directory.size).unwrap_or(0)];
        file.read_exact_at(&mut raw, directory.offset)?;
        let mut entries = Vec::new();
        let mut rest = raw.as_slice();
        while !rest.is_empty() {
            let Ok((header, length)) = CentralHeader::parse(rest) else {
                return Ok(None);
            };
            rest = &rest[length..];
            let mut local = [0; LOCAL_BYTES];
            if header.offset.saturating_add(LOCAL_BYTES as u64) > directory.offset {
                return Ok(None);
            }
            file.read_exact_at(&mut local, header.offset)?;
            let Ok(length) = local_length(&local) else {
                return Ok(None);
            };
            entries.push(Entry {
                name: String::from_utf8_lossy(header.name).into_owned(),
                deflated: header.method == DEFLATED,
                crc: header.crc,
                at: header.offset + length as u64,
                packed: header.compressed,
                size: header.size,
            });
        }
        entries.sort_by_key(|entry| entry.at);
        let mut end = 0;
        for entry in &entries {
            match entry.at.checked_add(entry.packed) {
                Some(next) if entry.at >= end && next <= directory.offset => end = next,
                _ => return Ok(None),
            }
        }
        Ok(Some(Self {
            entries,
            directory: (directory.offset, directory.size),
            bytes,
        }))
    }
}

fn directory(file: &File, bytes: u64) -> io::Result<Option<Directory>> {
    let tail = usize::try_from(bytes)
        .unwrap_or(END_SEARCH_BYTES)
        .min(END_SEARCH_BYTES);
    let mut end = vec![0; tail];
    let start = bytes - tail as u64;
    file.read_exact_at(&mut end, start)?;
    Ok(match find_directory(&end, bytes) {
        Ok(EndSearch::Found(directory)) => Some(directory),
        Ok(EndSearch::NeedMore { .. }) | Err(_) => None,
    })
}
