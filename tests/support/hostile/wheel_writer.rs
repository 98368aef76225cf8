//! A wheel writer whose `RECORD` is right, so that only the lie that follows is one.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

use super::metadata;
use super::zip_writer::{Zip, ZipEntry};

/// A wheel about to be built. `RECORD` is computed from the files, so that only the lie that follows is one.
pub struct Wheel {
    /// Folder of its metadata.
    pub info: String,
    /// Path, content, mode.
    pub files: Vec<(String, Vec<u8>, u32)>,
    /// Content of `METADATA`.
    pub metadata: Vec<u8>,
    /// Content of `WHEEL`.
    pub about: Vec<u8>,
    /// Changes `RECORD`'s text.
    pub record: fn(String) -> String,
    /// Leaves out these files of `.dist-info`.
    pub without: Vec<&'static str>,
    /// Mode of the files in `.dist-info`.
    pub info_mode: u32,
}

impl Wheel {
    pub fn new(name: &str, version: &str) -> Self {
        Self {
            info: format!("{name}-{version}.dist-info"),
            files: vec![(format!("{name}/__init__.py"), b"VALUE = 1\n".to_vec(), 0o100_644)],
            metadata: metadata(name, version),
            about: b"Wheel-Version: 1.0\nGenerator: hostile (1)\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
                .to_vec(),
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
        for (name, content) in [("METADATA", &self.metadata), ("WHEEL", &self.about)] {
            if !self.without.contains(&name) {
                files.push((format!("{}/{name}", self.info), content.clone(), self.info_mode));
            }
        }
        let mut record = String::new();
        for (path, content, _) in files.iter().filter(|(path, ..)| !path.ends_with('/')) {
            let hash = URL_SAFE_NO_PAD.encode(Sha256::digest(content));
            writeln!(record, "{path},sha256={hash},{}", content.len()).unwrap();
        }
        writeln!(record, "{}/RECORD,,", self.info).unwrap();
        if !self.without.contains(&"RECORD") {
            files.push((
                format!("{}/RECORD", self.info),
                (self.record)(record).into_bytes(),
                self.info_mode,
            ));
        }
        let entries = files
            .iter()
            .map(|(path, content, mode)| ZipEntry::new(path, content, *mode))
            .collect();
        let mut zip = Zip {
            entries,
            ..Zip::default()
        };
        change(&mut zip);
        zip.finish()
    }
}

/// Folder of its metadata.
pub const INFO: &str = "demo-1.0.dist-info";
/// The file that most lies are about.
pub const INIT: &str = "demo/__init__.py";

/// The plain wheel with a lie in its container.
pub fn zip_lie(change: impl FnOnce(&mut Zip)) -> Vec<u8> {
    Wheel::new("demo", "1.0").build(change)
}

/// The plain wheel with a lie about `demo/__init__.py`.
pub fn entry_lie(change: impl FnOnce(&mut ZipEntry)) -> Vec<u8> {
    zip_lie(|zip| change(zip.entry(INIT)))
}

/// A wheel with one more file (in `RECORD` like the others).
pub fn with_file(path: &str) -> Vec<u8> {
    Wheel::new("demo", "1.0").file(path, b"x = 2\n").build(|_| {})
}

pub fn with_files(paths: &[&str]) -> Vec<u8> {
    let mut wheel = Wheel::new("demo", "1.0");
    for path in paths {
        wheel.file(path, b"x = 2\n");
    }
    wheel.build(|_| {})
}

pub fn with_mode(path: &str, mode: u32) -> Vec<u8> {
    let mut wheel = Wheel::new("demo", "1.0");
    wheel.files.push((path.to_owned(), b"target".to_vec(), mode));
    wheel.build(|_| {})
}

/// A wheel whose `.dist-info` lies.
pub fn wheel_lie(change: impl FnOnce(&mut Wheel)) -> Vec<u8> {
    let mut wheel = Wheel::new("demo", "1.0");
    change(&mut wheel);
    wheel.build(|_| {})
}

pub fn record_lie(record: fn(String) -> String) -> Vec<u8> {
    wheel_lie(|wheel| wheel.record = record)
}

/// Headers and `RECORD` agree on a size, and the content has another.
pub fn size_lie(record: fn(String) -> String, size: u32) -> Vec<u8> {
    let mut wheel = Wheel::new("demo", "1.0");
    wheel.record = record;
    wheel.build(|zip| zip.entry(INIT).both(|header| header.size = size))
}
