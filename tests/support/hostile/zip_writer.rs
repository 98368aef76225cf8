//! A ZIP writer that can lie anywhere.

use std::io::Write;

use flate2::Compression;
use flate2::write::DeflateEncoder;

/// The fields that a local and a central header share; each can say something else.
#[derive(Clone, Default)]
pub struct Header {
    pub needed: u16,
    pub flags: u16,
    pub method: u16,
    pub crc: u32,
    pub compressed: u32,
    pub size: u32,
    pub name: Vec<u8>,
    /// Says another length of the name than the true one.
    pub name_length: Option<u16>,
    pub extra: Vec<u8>,
}

/// One entry: what lies in the file, what the directory says, and what follows the data.
#[derive(Clone, Default)]
pub struct ZipEntry {
    pub local: Header,
    pub central: Header,
    pub mode: u32,
    pub data: Vec<u8>,
    pub after: Vec<u8>,
    pub comment: Vec<u8>,
    /// Says another place in the directory than the true one.
    pub offset: Option<u32>,
    /// Left out of the directory.
    pub hidden: bool,
    /// Left out of the file: only the directory has it.
    pub phantom: bool,
}

impl ZipEntry {
    /// An honest entry.
    pub fn new(name: &str, content: &[u8], mode: u32) -> Self {
        let stored = content.is_empty();
        let data = if stored { Vec::new() } else { deflate(content) };
        let header = Header {
            needed: 20,
            flags: if name.is_ascii() { 0 } else { 1 << 11 },
            method: if stored { 0 } else { 8 },
            crc: libdeflater::crc32(content),
            compressed: u32::try_from(data.len()).unwrap(),
            size: u32::try_from(content.len()).unwrap(),
            name: name.as_bytes().to_vec(),
            ..Header::default()
        };
        Self {
            local: header.clone(),
            central: header,
            mode,
            data,
            ..Self::default()
        }
    }

    /// Changes both headers alike: a lie that is consistent.
    pub fn both(&mut self, change: impl Fn(&mut Header)) {
        change(&mut self.local);
        change(&mut self.central);
    }
}

/// A ZIP archive about to be written.
#[derive(Default)]
pub struct Zip {
    pub prefix: Vec<u8>,
    pub entries: Vec<ZipEntry>,
    /// Between the last entry and the directory.
    pub before_directory: Vec<u8>,
    /// Between the directory and the end record (ZIP64 records go here too).
    pub after_directory: Vec<u8>,
    pub comment: Vec<u8>,
    pub suffix: Vec<u8>,
    /// What the end record says instead of the number of entries.
    pub count: Option<u16>,
    pub disk: u16,
    /// Makes honest ZIP64 records, then lets this change their bytes (record 56, locator 20).
    pub zip64: Option<fn(&mut Vec<u8>)>,
    /// Offsets do not count the prefix, as when something is put before a finished archive.
    pub offsets_ignore_prefix: bool,
}

impl Zip {
    /// The entry of this name.
    pub fn entry(&mut self, name: &str) -> &mut ZipEntry {
        self.entries
            .iter_mut()
            .find(|entry| entry.central.name == name.as_bytes())
            .expect("entry")
    }

    /// Writes it all.
    pub fn finish(&self) -> Vec<u8> {
        let mut out = self.prefix.clone();
        let base = if self.offsets_ignore_prefix {
            self.prefix.len()
        } else {
            0
        };
        let mut directory = Vec::new();
        let mut count = 0_u16;
        for entry in &self.entries {
            let offset = entry
                .offset
                .unwrap_or_else(|| u32::try_from(out.len() - base).unwrap());
            if !entry.phantom {
                put_local(&mut out, &entry.local);
                out.extend(&entry.data);
                out.extend(&entry.after);
            }
            if !entry.hidden {
                put_central(&mut directory, entry, offset);
                count = count.wrapping_add(1);
            }
        }
        out.extend(&self.before_directory);
        let at = u32::try_from(out.len() - base).unwrap();
        out.extend(&directory);
        out.extend(&self.after_directory);
        let count = self.count.unwrap_or(count);
        let (mut end_size, mut end_at) = (u32::try_from(directory.len()).unwrap(), at);
        if let Some(change) = self.zip64 {
            let mut records = Vec::new();
            put_zip64(
                &mut records,
                u64::from(count),
                u64::from(end_size),
                u64::from(at),
                out.len() as u64,
            );
            change(&mut records);
            out.extend(records);
            (end_size, end_at) = (u32::MAX, u32::MAX);
        }
        out.extend(b"PK\x05\x06");
        for field in [self.disk, self.disk, count, count] {
            out.extend(field.to_le_bytes());
        }
        out.extend(end_size.to_le_bytes());
        out.extend(end_at.to_le_bytes());
        out.extend(u16::try_from(self.comment.len()).unwrap().to_le_bytes());
        out.extend(&self.comment);
        out.extend(&self.suffix);
        out
    }
}

fn put_local(out: &mut Vec<u8>, header: &Header) {
    out.extend(b"PK\x03\x04");
    put_common(out, header);
    out.extend(&header.name);
    out.extend(&header.extra);
}

fn put_central(out: &mut Vec<u8>, entry: &ZipEntry, offset: u32) {
    out.extend(b"PK\x01\x02");
    out.extend([20, 3]); // made by Unix
    put_common(out, &entry.central);
    out.extend(u16::try_from(entry.comment.len()).unwrap().to_le_bytes());
    out.extend([0; 4]); // disk, internal attributes
    out.extend((entry.mode << 16).to_le_bytes());
    out.extend(offset.to_le_bytes());
    out.extend(&entry.central.name);
    out.extend(&entry.central.extra);
    out.extend(&entry.comment);
}

fn put_common(out: &mut Vec<u8>, header: &Header) {
    for field in [header.needed, header.flags, header.method, 0, 0x21] {
        out.extend(field.to_le_bytes());
    }
    for field in [header.crc, header.compressed, header.size] {
        out.extend(field.to_le_bytes());
    }
    let name_length = header
        .name_length
        .unwrap_or_else(|| u16::try_from(header.name.len()).unwrap());
    out.extend(name_length.to_le_bytes());
    out.extend(u16::try_from(header.extra.len()).unwrap().to_le_bytes());
}

fn put_zip64(out: &mut Vec<u8>, count: u64, size: u64, at: u64, here: u64) {
    out.extend(b"PK\x06\x06");
    out.extend(44_u64.to_le_bytes());
    out.extend([45, 3, 45, 0]);
    out.extend([0; 8]); // disks
    for field in [count, count, size, at] {
        out.extend(field.to_le_bytes());
    }
    out.extend(b"PK\x06\x07");
    out.extend([0; 4]);
    out.extend(here.to_le_bytes());
    out.extend(1_u32.to_le_bytes());
}

/// A raw deflate stream.
pub fn deflate(content: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

/// One extra field.
pub fn extra(id: u16, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(body.len()).unwrap();
    [&id.to_le_bytes()[..], &length.to_le_bytes()[..], body].concat()
}

/// A ZIP archive of these files.
pub fn zip_files(files: &[(&str, &[u8])]) -> Vec<u8> {
    let entries = files
        .iter()
        .map(|(path, content)| ZipEntry::new(path, content, 0o100_644))
        .collect();
    Zip {
        entries,
        ..Zip::default()
    }
    .finish()
}
