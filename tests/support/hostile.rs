//! Archives that attack: one fixture per attack, made by writers that can lie anywhere.
//!
//! Shared by the inline tests of `verify::archive` and by the tests against the binary, so it uses nothing of Chiron.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used)]

use std::io::Write;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder};
use sha2::{Digest as _, Sha256};

/// Name of the wheel that most fixtures attack.
pub const WHEEL: &str = "demo-1.0-py3-none-any.whl";
/// Name of the sdist that the others attack.
pub const SDIST: &str = "demo-1.0.tar.gz";
const INFO: &str = "demo-1.0.dist-info";

/// One attack.
pub struct Fixture {
    /// What is attacked, in words fit for a test's name.
    pub name: &'static str,
    /// The file name under which it comes.
    pub filename: String,
    /// The file.
    pub bytes: Vec<u8>,
    /// The finding that must be among those the gate reports.
    pub expect_code: &'static str,
}

/// A sound pure wheel with these files (path, content).
pub fn good_wheel(name: &str, version: &str, files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut wheel = Wheel::new(name, version);
    for (path, content) in files {
        wheel.file(path, content);
    }
    wheel.build(|_| {})
}

/// A sound `.tar.gz` sdist with these files (path below the top folder, content).
pub fn good_sdist(name: &str, version: &str, files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut tar = Tar::default();
    tar.folder(&format!("{name}-{version}/"));
    tar.file(&format!("{name}-{version}/PKG-INFO"), &metadata(name, version));
    for (path, content) in files {
        tar.file(&format!("{name}-{version}/{path}"), content);
    }
    gzip(&tar.finish())
}

/// Core metadata 2.1 of a release.
pub fn metadata(name: &str, version: &str) -> Vec<u8> {
    format!("Metadata-Version: 2.1\nName: {name}\nVersion: {version}\nSummary: for tests\n\n").into_bytes()
}

// ---------------------------------------------------------------------------------------------- ZIP

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
        Self { local: header.clone(), central: header, mode, data, ..Self::default() }
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
        self.entries.iter_mut().find(|entry| entry.central.name == name.as_bytes()).expect("entry")
    }

    /// Writes it all.
    pub fn finish(&self) -> Vec<u8> {
        let mut out = self.prefix.clone();
        let base = if self.offsets_ignore_prefix { self.prefix.len() } else { 0 };
        let mut directory = Vec::new();
        let mut count = 0_u16;
        for entry in &self.entries {
            let offset = entry.offset.unwrap_or_else(|| u32::try_from(out.len() - base).unwrap());
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
            put_zip64(&mut records, u64::from(count), u64::from(end_size), u64::from(at), out.len() as u64);
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
    let name_length = header.name_length.unwrap_or_else(|| u16::try_from(header.name.len()).unwrap());
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

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

fn extra(id: u16, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(body.len()).unwrap();
    [&id.to_le_bytes()[..], &length.to_le_bytes()[..], body].concat()
}

// ---------------------------------------------------------------------------------------------- wheels

/// A wheel about to be built. `RECORD` is computed from the files, so that only the lie that follows is one.
pub struct Wheel {
    pub info: String,
    pub files: Vec<(String, Vec<u8>, u32)>,
    pub metadata: Vec<u8>,
    pub wheel: Vec<u8>,
    /// Changes `RECORD`'s text.
    pub record: fn(String) -> String,
    /// Leaves out these files of `.dist-info`.
    pub without: Vec<&'static str>,
    pub info_mode: u32,
}

impl Wheel {
    pub fn new(name: &str, version: &str) -> Self {
        Self {
            info: format!("{name}-{version}.dist-info"),
            files: vec![(format!("{name}/__init__.py"), b"VALUE = 1\n".to_vec(), 0o100_644)],
            metadata: metadata(name, version),
            wheel: b"Wheel-Version: 1.0\nGenerator: hostile (1)\nRoot-Is-Purelib: true\nTag: py3-none-any\n".to_vec(),
            record: |record| record,
            without: Vec::new(),
            info_mode: 0o100_644,
        }
    }

    pub fn file(&mut self, path: &str, content: &[u8]) -> &mut Self {
        self.files.push((path.to_owned(), content.to_vec(), 0o100_644));
        self
    }

    pub fn build(&self, change: impl FnOnce(&mut Zip)) -> Vec<u8> {
        let mut files = self.files.clone();
        for (name, content) in [("METADATA", &self.metadata), ("WHEEL", &self.wheel)] {
            if !self.without.contains(&name) {
                files.push((format!("{}/{name}", self.info), content.clone(), self.info_mode));
            }
        }
        let mut record = String::new();
        for (path, content, _) in files.iter().filter(|(path, ..)| !path.ends_with('/')) {
            let hash = URL_SAFE_NO_PAD.encode(Sha256::digest(content));
            record.push_str(&format!("{path},sha256={hash},{}\n", content.len()));
        }
        record.push_str(&format!("{}/RECORD,,\n", self.info));
        if !self.without.contains(&"RECORD") {
            files.push((format!("{}/RECORD", self.info), (self.record)(record).into_bytes(), self.info_mode));
        }
        let entries = files.iter().map(|(path, content, mode)| ZipEntry::new(path, content, *mode)).collect();
        let mut zip = Zip { entries, ..Zip::default() };
        change(&mut zip);
        zip.finish()
    }
}

const INIT: &str = "demo/__init__.py";

/// The plain wheel with a lie in its container.
fn zip_lie(change: impl FnOnce(&mut Zip)) -> Vec<u8> {
    Wheel::new("demo", "1.0").build(change)
}

/// The plain wheel with a lie about `demo/__init__.py`.
fn entry_lie(change: impl FnOnce(&mut ZipEntry)) -> Vec<u8> {
    zip_lie(|zip| change(zip.entry(INIT)))
}

/// A wheel with one more file (in `RECORD` like the others).
fn with_file(path: &str) -> Vec<u8> {
    Wheel::new("demo", "1.0").file(path, b"x = 2\n").build(|_| {})
}

fn with_files(paths: &[&str]) -> Vec<u8> {
    let mut wheel = Wheel::new("demo", "1.0");
    for path in paths {
        wheel.file(path, b"x = 2\n");
    }
    wheel.build(|_| {})
}

fn with_mode(path: &str, mode: u32) -> Vec<u8> {
    let mut wheel = Wheel::new("demo", "1.0");
    wheel.files.push((path.to_owned(), b"target".to_vec(), mode));
    wheel.build(|_| {})
}

/// A wheel whose `.dist-info` lies.
fn wheel_lie(change: impl FnOnce(&mut Wheel)) -> Vec<u8> {
    let mut wheel = Wheel::new("demo", "1.0");
    change(&mut wheel);
    wheel.build(|_| {})
}

fn record_lie(record: fn(String) -> String) -> Vec<u8> {
    wheel_lie(|wheel| wheel.record = record)
}

/// Headers and `RECORD` agree on a size, and the content has another.
fn size_lie(record: fn(String) -> String, size: u32) -> Vec<u8> {
    let mut wheel = Wheel::new("demo", "1.0");
    wheel.record = record;
    wheel.build(|zip| zip.entry(INIT).both(|header| header.size = size))
}

/// Every attack on a wheel or sdist that the gate must refuse.
pub fn fixtures() -> Vec<Fixture> {
    let mut all = Vec::new();
    let mut wheel = |name, expect_code, bytes| all.push(Fixture { name, filename: WHEEL.to_owned(), bytes, expect_code });
    container_attacks(&mut wheel);
    entry_attacks(&mut wheel);
    name_attacks(&mut wheel);
    mode_attacks(&mut wheel);
    bombs(&mut wheel);
    content_attacks(&mut wheel);
    let renamed = good_wheel("demo", "1.0", &[]);
    for (name, filename, expect_code) in [
        ("renamed-to-another-project", "other-1.0-py3-none-any.whl", "dist-info-name"),
        ("renamed-to-another-version", "demo-1.1-py3-none-any.whl", "dist-info-name"),
        ("renamed-to-other-tags", "demo-1.0-cp311-cp311-manylinux1_x86_64.whl", "wheel-tags"),
    ] {
        all.push(Fixture { name, filename: filename.to_owned(), bytes: renamed.clone(), expect_code });
    }
    let mut sdist = |name, expect_code, bytes| all.push(Fixture { name, filename: SDIST.to_owned(), bytes, expect_code });
    sdist_attacks(&mut sdist);
    let mut zip_sdist =
        |name, expect_code, bytes| all.push(Fixture { name, filename: "demo-1.0.zip".to_owned(), bytes, expect_code });
    zip_sdist("zip-sdist-two-top-folders", "top-folder", zip_files(&[("demo-1.0/PKG-INFO", b""), ("evil/setup.py", b"")]));
    zip_sdist("zip-sdist-file-beside-top-folder", "top-folder", zip_files(&[("demo-1.0/PKG-INFO", b""), ("setup.py", b"")]));
    zip_sdist("zip-sdist-parent-path", "parent-path", zip_files(&[("demo-1.0/../setup.py", b"")]));
    zip_sdist("zip-sdist-without-pkg-info", "required-file-missing", zip_files(&[("demo-1.0/setup.py", b"")]));
    all
}

fn zip_files(files: &[(&str, &[u8])]) -> Vec<u8> {
    let entries = files.iter().map(|(path, content)| ZipEntry::new(path, content, 0o100_644)).collect();
    Zip { entries, ..Zip::default() }.finish()
}

type Put<'a> = dyn FnMut(&'static str, &'static str, Vec<u8>) + 'a;

fn container_attacks(put: &mut Put<'_>) {
    let good = good_wheel("demo", "1.0", &[]);
    put("empty-file", "no-end-record", Vec::new());
    put("not-a-zip", "no-end-record", b"<html>404</html>".repeat(10));
    put("truncated-wheel", "no-end-record", good[..good.len() * 2 / 3].to_vec());
    put("end-record-cut", "no-end-record", good[..good.len() - 3].to_vec());
    put("trailing-bytes", "trailing-bytes", [good.as_slice(), b"#!/bin/sh\n"].concat());
    put("no-entries", "empty-archive", Zip::default().finish());
    put("prefix-bytes", "prefix-bytes", zip_lie(|zip| zip.prefix = b"#!/bin/sh\n".to_vec()));
    put("prefix-without-offsets", "directory-misplaced", zip_lie(|zip| {
        zip.prefix = b"#!/bin/sh\n".to_vec();
        zip.offsets_ignore_prefix = true;
    }));
    put("bytes-between-entries", "hidden-bytes", entry_lie(|entry| entry.after = b"payload".to_vec()));
    put("bytes-before-directory", "hidden-bytes", zip_lie(|zip| zip.before_directory = b"payload".to_vec()));
    put("bytes-behind-directory", "directory-misplaced", zip_lie(|zip| zip.after_directory = b"payload".to_vec()));
    put("entry-not-in-directory", "hidden-entry", zip_lie(|zip| {
        let mut hidden = ZipEntry::new("evil.py", b"import os\n", 0o100_644);
        hidden.hidden = true;
        zip.entries.insert(1, hidden);
    }));
    put("entry-only-in-directory", "overlapping-entries", zip_lie(|zip| {
        let mut phantom = zip.entry(INIT).clone();
        phantom.phantom = true;
        phantom.central.name = b"demo/evil.py".to_vec();
        phantom.offset = Some(0);
        zip.entries.push(phantom);
    }));
    put("two-archives-in-one", "prefix-bytes", {
        let mut second = Wheel::new("demo", "1.0");
        second.file("evil.py", b"import os\n");
        [good.clone(), second.build(|zip| zip.prefix = vec![0; good.len()])[good.len()..].to_vec()].concat()
    });
    put("end-record-in-comment", "directory-misplaced", zip_lie(|zip| {
        zip.comment = [&b"PK\x05\x06"[..], &[0; 18]].concat();
    }));
    put("comment-size", "comment-size", zip_lie(|zip| zip.comment = vec![b'x'; 60_000]));
    put("entry-comment-size", "comment-size", entry_lie(|entry| entry.comment = vec![b'x'; 60_000]));
    put("several-disks", "multi-disk", zip_lie(|zip| zip.disk = 1));
    put("fewer-entries-than-said", "entry-count-mismatch", zip_lie(|zip| zip.count = Some(9)));
    put("more-entries-than-said", "entry-count-mismatch", zip_lie(|zip| zip.count = Some(2)));
    put("zip64-locator-elsewhere", "zip64", zip_lie(|zip| zip.zip64 = Some(|records| records[64] ^= 1)));
    put("zip64-record-contradicts", "zip64", zip_lie(|zip| zip.zip64 = Some(|records| records[32] ^= 1)));
    put("zip64-directory-elsewhere", "directory-misplaced", zip_lie(|zip| zip.zip64 = Some(|records| records[48] ^= 1)));
    put("zip64-record-missing", "zip64", zip_lie(|zip| zip.zip64 = Some(Vec::clear)));
    put("entry-count", "entry-count", {
        // Only the count is absurd; a reader that believes it reserves memory for 2^40 entries.
        let mut bytes = zip_lie(|zip| {
            zip.count = Some(u16::MAX);
            zip.zip64 = Some(|records| {
                records[24..32].copy_from_slice(&(1_u64 << 40).to_le_bytes());
                records[32..40].copy_from_slice(&(1_u64 << 40).to_le_bytes());
            });
        });
        bytes.shrink_to_fit();
        bytes
    });
}

fn entry_attacks(put: &mut Put<'_>) {
    put("local-name-differs", "local-header-mismatch", entry_lie(|entry| entry.local.name = b"demo/__evil__.py".to_vec()));
    put("local-method-differs", "local-header-mismatch", entry_lie(|entry| entry.local.method = 0));
    put("local-flags-differ", "local-header-mismatch", entry_lie(|entry| entry.local.flags = 1 << 11));
    put("local-size-differs", "local-header-mismatch", entry_lie(|entry| entry.local.size += 1));
    put("local-packed-size-differs", "local-header-mismatch", entry_lie(|entry| entry.local.compressed -= 1));
    put("local-checksum-differs", "local-header-mismatch", entry_lie(|entry| entry.local.crc ^= 1));
    put("local-version-differs", "local-header-mismatch", entry_lie(|entry| entry.local.needed = 45));
    put("local-zip64-differs", "zip64", entry_lie(|entry| entry.local.extra = extra(1, &[7; 16])));
    put("central-zip64-unasked", "zip64", entry_lie(|entry| entry.central.extra = extra(1, &[7; 8])));
    put("central-zip64-missing", "zip64", entry_lie(|entry| entry.central.size = u32::MAX));
    put("extra-field-torn", "extra-field", entry_lie(|entry| entry.central.extra = vec![1, 2, 3]));
    put("unicode-path-differs", "unicode-path", entry_lie(|entry| {
        let body = [&[1][..], &libdeflater::crc32(INIT.as_bytes()).to_le_bytes(), b"demo/__evil__.py"].concat();
        entry.both(|header| header.extra = extra(0x7075, &body));
    }));
    put("encrypted", "encrypted", entry_lie(|entry| entry.both(|header| header.flags |= 1)));
    put("strong-encryption", "encrypted", entry_lie(|entry| entry.both(|header| header.flags |= 1 << 6)));
    put("masked-headers", "encrypted", entry_lie(|entry| entry.both(|header| header.flags |= 1 << 13)));
    put("patched-data", "unknown-flags", entry_lie(|entry| entry.both(|header| header.flags |= 1 << 5)));
    for (name, method) in [("method-bzip2", 12), ("method-lzma", 14), ("method-zstd", 93), ("method-deflate64", 9)] {
        put(name, "unknown-method", entry_lie(|entry| entry.both(|header| header.method = method)));
    }
    put("future-version", "unknown-version", entry_lie(|entry| entry.both(|header| header.needed = 90)));
    put("claims-less-than-it-holds", "size-mismatch", size_lie(|record| record.replacen(",10\n", ",9\n", 1), 9));
    put("claims-more-than-it-holds", "size-mismatch", size_lie(|record| record.replacen(",10\n", ",11\n", 1), 11));
    put("stored-with-two-sizes", "size-mismatch", entry_lie(|entry| entry.both(|header| header.method = 0)));
    put("wrong-checksum", "crc-mismatch", entry_lie(|entry| entry.both(|header| header.crc ^= 1)));
    put("not-a-deflate-stream", "corrupt-data", entry_lie(|entry| entry.data.fill(0xff)));
    put("bytes-behind-deflate-stream", "hidden-bytes", entry_lie(|entry| {
        entry.data.extend(b"payload");
        entry.both(|header| header.compressed += 7);
    }));
    put("descriptor-lies", "descriptor-mismatch", entry_lie(|entry| {
        entry.both(|header| header.flags |= 1 << 3);
        entry.after = [&b"PK\x07\x08"[..], &[7; 12]].concat();
    }));
    put("descriptor-missing", "descriptor-mismatch", entry_lie(|entry| entry.both(|header| header.flags |= 1 << 3)));
    put("stored-without-a-size", "stored-descriptor", entry_lie(|entry| {
        entry.data = b"VALUE = 1\n".to_vec();
        entry.both(|header| {
            header.flags |= 1 << 3;
            header.method = 0;
            header.compressed = header.size;
        });
        let sizes = [entry.local.crc, entry.local.compressed, entry.local.size].map(u32::to_le_bytes).concat();
        (entry.local.crc, entry.local.compressed, entry.local.size) = (0, 0, 0);
        entry.after = sizes;
    }));
    put("overlapping-entries", "overlapping-entries", zip_lie(|zip| {
        let mut second = zip.entry(INIT).clone();
        second.both(|header| header.name = b"demo/__copy__.py".to_vec());
        second.offset = Some(0);
        zip.entries.insert(1, second);
    }));
    put("offset-past-the-end", "overlapping-entries", zip_lie(|zip| {
        zip.entries.last_mut().unwrap().offset = Some(u32::MAX - 1);
    }));
    put("local-header-past-the-end", "local-header-mismatch", zip_lie(|zip| {
        zip.entries.last_mut().unwrap().local.name_length = Some(60_000);
    }));
}

fn name_attacks(put: &mut Put<'_>) {
    put("duplicate-name", "duplicate-name", with_files(&["demo/a.py", "demo/a.py"]));
    put("duplicate-metadata", "duplicate-name", with_file(&format!("{INFO}/METADATA")));
    put("names-differ-by-case", "case-collision", with_files(&["demo/a.py", "demo/A.py"]));
    put("names-differ-by-unicode-form", "unicode-collision", with_files(&["demo/\u{e9}.py", "demo/e\u{301}.py"]));
    put("names-differ-by-ligature", "unicode-collision", with_files(&["demo/\u{fb01}le.py", "demo/file.py"]));
    put("file-is-also-a-folder", "path-conflict", with_files(&["demo/a", "demo/a/b.py"]));
    put("installed-twice", "install-collision", with_file("demo-1.0.data/purelib/demo/__init__.py"));
    put("trailing-dot", "install-collision", with_file("demo/__init__.py."));
    put("absolute-path", "absolute-path", with_file("/etc/cron.d/evil"));
    put("parent-path", "parent-path", with_file("demo/../../evil.py"));
    put("parent-path-in-front", "parent-path", with_file("../evil.py"));
    put("backslash", "backslash", with_file("demo\\..\\evil.py"));
    put("drive-letter", "drive-letter", with_file("C:/Windows/evil.dll"));
    put("alternate-stream", "colon", with_file("demo/a.py:evil"));
    put("empty-component", "unclean-path", with_file("demo//evil.py"));
    put("dot-component", "unclean-path", with_file("./evil.py"));
    put("empty-name", "empty-name", with_file(""));
    put("nul-in-name", "control-character", with_file("demo/a.py\0.txt"));
    put("newline-in-name", "control-character", with_file("demo/a\nb.py"));
    put("bidi-override-in-name", "control-character", with_file("demo/\u{202e}yp.exe"));
    put("name-length", "name-length", with_file(&"a".repeat(5_000)));
    put("path-depth", "path-depth", with_file(&format!("{}x", "d/".repeat(200))));
    put("name-not-utf8", "name-encoding", entry_lie(|entry| {
        entry.both(|header| {
            header.name = b"demo/\xff.py".to_vec();
            header.flags |= 1 << 11;
        });
    }));
    put("name-in-cp437", "name-encoding", entry_lie(|entry| {
        entry.both(|header| header.name = "demo/\u{e9}.py".as_bytes().to_vec());
    }));
}

fn mode_attacks(put: &mut Put<'_>) {
    put("symlink", "symlink", with_mode("demo/link", 0o120_777));
    put("fifo", "special-file", with_mode("demo/fifo", 0o010_644));
    put("device", "special-file", with_mode("demo/device", 0o060_644));
    put("set-uid", "special-mode", with_mode("demo/tool", 0o104_755));
    put("set-gid", "special-mode", with_mode("demo/tool", 0o102_755));
    put("sticky", "special-mode", with_mode("demo/tool", 0o101_644));
    put("folder-by-mode-only", "folder-mismatch", with_mode("demo/x", 0o040_755));
    put("folder-by-name-only", "folder-mismatch", with_mode("demo/x/", 0o100_644));
    put("folder-with-content", "folder-data", with_mode("demo/x/", 0o040_755));
    put("executable-metadata", "unexpected-executable", wheel_lie(|wheel| wheel.info_mode = 0o100_755));
    put("executable-pth", "unexpected-executable", with_mode("evil.pth", 0o100_755));
    put("executable-header", "unexpected-executable", with_mode("demo-1.0.data/headers/demo.h", 0o100_755));
}

fn bombs(put: &mut Put<'_>) {
    put("overlapping-bomb", "overlapping-entries", zip_lie(|zip| {
        // 250 names for one kernel of 20 MB: a few kB that claim 5 GB.
        let kernel = ZipEntry::new("demo/kernel", &vec![0; 20_000_000], 0o100_644);
        let offset = zip.entries.iter().map(|e| u32::try_from(30 + e.local.name.len() + e.data.len()).unwrap()).sum();
        zip.entries.push(kernel.clone());
        for n in 0..250 {
            let mut copy = kernel.clone();
            copy.central.name = format!("demo/{n}").into_bytes();
            copy.phantom = true;
            copy.offset = Some(offset);
            zip.entries.push(copy);
        }
    }));
    put("high-ratio-entry", "ratio", {
        let mut wheel = Wheel::new("demo", "1.0");
        wheel.file("demo/zeros", &vec![0; 48 << 20]);
        wheel.build(|_| {})
    });
    put("nested-bomb", "ratio", {
        // A wheel of archives of zeros: harmless to us, who open none of them, and refused for what it packs.
        let inner = zip_files(&[("zeros", &vec![0; 1 << 20])]);
        let many: Vec<u8> = inner.iter().copied().cycle().take(48 << 20).collect();
        let mut wheel = Wheel::new("demo", "1.0");
        wheel.file("demo/nested.zip", &many);
        wheel.build(|_| {})
    });
    put("high-ratio-archive", "ratio", {
        let mut wheel = Wheel::new("demo", "1.0");
        for n in 0..12 {
            wheel.file(&format!("demo/zeros{n}"), &vec![0; 4 << 20]);
        }
        wheel.build(|_| {})
    });
    put("entry-claims-too-much", "entry-too-large", entry_lie(|entry| {
        entry.both(|header| header.size = u32::MAX);
        let size = 5_u64 << 30;
        entry.central.extra = extra(1, &size.to_le_bytes());
    }));
    put("archive-claims-too-much", "archive-too-large", zip_lie(|zip| {
        for n in 0..5 {
            let mut entry = ZipEntry::new(&format!("demo/{n}"), b"x", 0o100_644);
            entry.both(|header| header.size = u32::MAX - 1);
            zip.entries.push(entry);
        }
    }));
    put("claims-little-holds-much", "size-mismatch", {
        let mut wheel = Wheel::new("demo", "1.0");
        wheel.file("demo/zeros", &vec![0; 48 << 20]);
        wheel.record = |record| record.replace(",50331648\n", ",10\n");
        wheel.build(|zip| zip.entry("demo/zeros").both(|header| header.size = 10))
    });
}

fn content_attacks(put: &mut Put<'_>) {
    put("no-dist-info", "dist-info-missing", zip_files(&[("demo/__init__.py", b"x = 1\n")]));
    put("two-dist-infos", "dist-info-count", with_file("other-1.0.dist-info/METADATA"));
    put("dist-info-through-purelib", "dist-info-count", with_file("demo-1.0.data/purelib/other-1.0.dist-info/METADATA"));
    put("dist-info-in-capitals", "dist-info-name", wheel_lie(|wheel| wheel.info = "demo-1.0.DIST-INFO".to_owned()));
    put("dist-info-of-another-project", "dist-info-name", wheel_lie(|wheel| wheel.info = "other-1.0.dist-info".to_owned()));
    put("metadata-of-another-project", "metadata-name", wheel_lie(|wheel| wheel.metadata = metadata("other", "1.0")));
    put("metadata-of-another-version", "metadata-version", wheel_lie(|wheel| wheel.metadata = metadata("demo", "2.0")));
    put("metadata-unreadable", "metadata", wheel_lie(|wheel| wheel.metadata = b"\xff\xfe nothing".to_vec()));
    put("no-metadata", "required-file-missing", wheel_lie(|wheel| wheel.without = vec!["METADATA"]));
    put("no-wheel-file", "required-file-missing", wheel_lie(|wheel| wheel.without = vec!["WHEEL"]));
    put("no-record", "required-file-missing", wheel_lie(|wheel| wheel.without = vec!["RECORD"]));
    put("wheel-version-2", "wheel-file", wheel_lie(|wheel| {
        wheel.wheel = b"Wheel-Version: 2.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n".to_vec();
    }));
    put("tags-of-another-platform", "wheel-tags", wheel_lie(|wheel| {
        wheel.wheel = b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: cp311-cp311-linux_x86_64\n".to_vec();
    }));
    put("build-of-another-wheel", "wheel-build", wheel_lie(|wheel| {
        wheel.wheel = b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\nBuild: 7\n".to_vec();
    }));
    put("data-folder-of-another-name", "data-folder", with_file("other-1.0.data/scripts/x"));
    put("unknown-data-scheme", "data-scheme", with_file("demo-1.0.data/etc/x"));
    put("file-not-in-record", "record-missing-entry", record_lie(|record| {
        record.lines().filter(|line| !line.starts_with(INIT)).fold(String::new(), |all, line| all + line + "\n")
    }));
    put("record-names-a-missing-file", "record-unknown-entry", record_lie(|record| record + "demo/gone.py,sha256=x,1\n"));
    put("record-leads-out", "record-unknown-entry", record_lie(|record| record + "../../bin/python,sha256=x,1\n"));
    put("record-names-a-file-twice", "record-duplicate", record_lie(|record| {
        let first = record.lines().next().unwrap().to_owned();
        record + &first + "\n"
    }));
    put("record-without-hash", "record-no-hash", record_lie(|record| {
        record.replacen(record.lines().next().unwrap(), &format!("{INIT},,"), 1)
    }));
    put("record-with-md5", "record-weak-hash", record_lie(|record| record.replacen("sha256=", "md5=", 1)));
    put("record-with-another-size", "record-size", record_lie(|record| record.replacen(",10\n", ",11\n", 1)));
    put("record-with-another-hash", "record-hash", record_lie(|record| {
        let other = URL_SAFE_NO_PAD.encode(Sha256::digest(b"something else"));
        record.replacen(record.lines().next().unwrap(), &format!("{INIT},sha256={other},10"), 1)
    }));
    put("record-torn", "record-syntax", record_lie(|record| record + "\"demo/a.py,sha256=x\n"));
    put("content-exchanged", "record-hash", zip_lie(|zip| {
        *zip.entry(INIT) = ZipEntry::new(INIT, b"EVIL = 1!\n", 0o100_644);
    }));
}

// ---------------------------------------------------------------------------------------------- sdists

/// A tar archive about to be written.
#[derive(Default)]
pub struct Tar {
    pub bytes: Vec<u8>,
}

impl Tar {
    pub fn file(&mut self, name: &str, content: &[u8]) -> &mut Self {
        self.entry(name, b'0', content, "", 0o644)
    }

    pub fn folder(&mut self, name: &str) -> &mut Self {
        self.entry(name, b'5', b"", "", 0o755)
    }

    pub fn link(&mut self, name: &str, kind: u8, target: &str) -> &mut Self {
        self.entry(name, kind, b"", target, 0o777)
    }

    /// One entry of any type (POSIX ustar header).
    pub fn entry(&mut self, name: &str, kind: u8, content: &[u8], link: &str, mode: u32) -> &mut Self {
        let mut header = [0_u8; 512];
        header[..name.len()].copy_from_slice(name.as_bytes());
        header[100..108].copy_from_slice(format!("{mode:07o}\0").as_bytes());
        header[108..116].copy_from_slice(b"0000000\0");
        header[116..124].copy_from_slice(b"0000000\0");
        header[124..136].copy_from_slice(format!("{:011o}\0", content.len()).as_bytes());
        header[136..148].copy_from_slice(b"00000000000\0");
        header[148..156].fill(b' ');
        header[156] = kind;
        header[157..157 + link.len()].copy_from_slice(link.as_bytes());
        header[257..265].copy_from_slice(b"ustar\x0000");
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        self.bytes.extend(header);
        self.bytes.extend(content);
        self.bytes.resize(self.bytes.len().next_multiple_of(512), 0);
        self
    }

    /// A PAX header with one record for the entry that follows.
    pub fn pax(&mut self, key: &str, value: &str) -> &mut Self {
        let body = format!(" {key}={value}\n");
        let mut length = body.len() + 1;
        while length.to_string().len() + body.len() != length {
            length += 1;
        }
        self.entry("pax", b'x', format!("{length}{body}").as_bytes(), "", 0o644)
    }

    pub fn finish(&self) -> Vec<u8> {
        [self.bytes.as_slice(), &[0; 1024]].concat()
    }
}

/// The plain sdist with something added to it.
fn sdist_with(change: impl FnOnce(&mut Tar)) -> Vec<u8> {
    let mut tar = Tar::default();
    tar.folder("demo-1.0/").file("demo-1.0/PKG-INFO", &metadata("demo", "1.0")).file("demo-1.0/setup.py", b"x");
    change(&mut tar);
    gzip(&tar.finish())
}

fn add(change: impl FnOnce(&mut Tar) -> &mut Tar) -> Vec<u8> {
    sdist_with(|tar| {
        change(tar);
    })
}

fn sdist_attacks(put: &mut Put<'_>) {
    let good = good_sdist("demo", "1.0", &[]);
    put("sdist-not-gzip", "corrupt-data", b"<html>404</html>".to_vec());
    put("sdist-truncated", "corrupt-data", good[..good.len() / 2].to_vec());
    put("sdist-trailing-bytes", "trailing-bytes", [good.as_slice(), b"payload"].concat());
    put("sdist-second-gzip-member", "gzip-members", [good.clone(), good_sdist("demo", "1.0", &[("x", b"y")])].concat());
    put("sdist-bytes-behind-end", "hidden-bytes", {
        let mut tar = Tar::default();
        tar.folder("demo-1.0/").file("demo-1.0/PKG-INFO", &metadata("demo", "1.0"));
        let mut bytes = tar.finish();
        bytes.extend(Tar::default().file("demo-1.0/evil.py", b"x").finish());
        gzip(&bytes)
    });
    put("sdist-two-top-folders", "top-folder", add(|tar| tar.file("evil/setup.py", b"x")));
    put("sdist-file-beside-top-folder", "top-folder", add(|tar| tar.file("setup.py", b"x")));
    put("sdist-of-another-release", "top-folder", good_sdist("demo", "2.0", &[]));
    put("sdist-absolute-path", "absolute-path", add(|tar| tar.file("/etc/passwd", b"x")));
    put("sdist-parent-path", "parent-path", add(|tar| tar.file("demo-1.0/../../evil", b"x")));
    put("sdist-pax-parent-path", "parent-path", add(|tar| tar.pax("path", "demo-1.0/../../evil").file("demo-1.0/a", b"x")));
    put("sdist-duplicate-name", "duplicate-name", add(|tar| tar.file("demo-1.0/setup.py", b"y")));
    put("sdist-names-differ-by-case", "case-collision", add(|tar| tar.file("demo-1.0/Setup.py", b"y")));
    put("sdist-symlink-out", "link-escape", add(|tar| tar.link("demo-1.0/a", b'2', "../../../etc")));
    put("sdist-symlink-absolute", "link-escape", add(|tar| tar.link("demo-1.0/a", b'2', "/etc/passwd")));
    put("sdist-symlink-to-above", "link-escape", add(|tar| tar.link("demo-1.0/a", b'2', "..")));
    put("sdist-file-through-symlink", "link-escape", add(|tar| {
        tar.folder("demo-1.0/d/").link("demo-1.0/a", b'2', "d").file("demo-1.0/a/x", b"y")
    }));
    put("sdist-symlinks-that-add-up", "link-escape", add(|tar| {
        // Each link looks harmless; the second goes up from where the first leads to.
        tar.file("demo-1.0/d/e/x", b"y").link("demo-1.0/d/e/up", b'2', "../..").link("demo-1.0/a", b'2', "d/e/up/..")
    }));
    put("sdist-hard-link-out", "link-escape", add(|tar| tar.link("demo-1.0/a", b'1', "../../../etc/passwd")));
    put("sdist-device", "special-file", add(|tar| tar.entry("demo-1.0/a", b'3', b"", "", 0o644)));
    put("sdist-block-device", "special-file", add(|tar| tar.entry("demo-1.0/a", b'4', b"", "", 0o644)));
    put("sdist-fifo", "special-file", add(|tar| tar.entry("demo-1.0/a", b'6', b"", "", 0o644)));
    put("sdist-sparse", "special-file", add(|tar| tar.entry("demo-1.0/a", b'S', b"", "", 0o644)));
    put("sdist-set-uid", "special-mode", add(|tar| tar.entry("demo-1.0/a", b'0', b"x", "", 0o4_755)));
    put("sdist-pax-size", "tar-size", add(|tar| tar.pax("size", "1024").file("demo-1.0/a", b"x")));
    put("sdist-pax-sparse", "tar-header", add(|tar| tar.pax("GNU.sparse.major", "1").file("demo-1.0/a", b"x")));
    put("sdist-two-extended-headers", "tar-header", add(|tar| {
        tar.pax("path", "demo-1.0/a").pax("path", "demo-1.0/b").file("demo-1.0/c", b"x")
    }));
    put("sdist-extended-header-alone", "tar-header", add(|tar| tar.pax("path", "demo-1.0/a")));
    put("sdist-wrong-checksum", "tar-header", sdist_with(|tar| tar.bytes[0] ^= 1));
    put("sdist-without-end", "corrupt-data", {
        let mut tar = Tar::default();
        tar.folder("demo-1.0/").file("demo-1.0/PKG-INFO", &metadata("demo", "1.0"));
        gzip(&tar.bytes)
    });
    put("sdist-without-pkg-info", "required-file-missing", {
        let mut tar = Tar::default();
        gzip(&tar.folder("demo-1.0/").file("demo-1.0/setup.py", b"x").finish())
    });
    put("sdist-pkg-info-of-another-project", "metadata-name", {
        let mut tar = Tar::default();
        gzip(&tar.file("demo-1.0/PKG-INFO", &metadata("other", "1.0")).finish())
    });
    put("sdist-pkg-info-of-another-version", "metadata-version", {
        let mut tar = Tar::default();
        gzip(&tar.file("demo-1.0/PKG-INFO", &metadata("demo", "2.0")).finish())
    });
    put("sdist-bomb", "archive-too-large", add(|tar| tar.file("demo-1.0/zeros", &vec![0; 48 << 20])));
    put("sdist-endless-zeros", "archive-too-large", gzip(&[Tar::default().folder("demo-1.0/").finish(), vec![0; 48 << 20]].concat()));
}
