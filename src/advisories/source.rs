//! Reading what is loaded: a zip dump, a folder, a JSON document, JSON lines, a CSV of scores; each also under gzip.
//! Everything is bounded by bytes that were really unpacked, whatever an archive declares.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Seek};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;
use serde_json::Value;

use super::{LoadError, Settings};

/// Folders inside folders. Threat: a tree without an end.
const MAX_DEPTH: usize = 32;

/// A piece of what is loaded.
pub(super) enum Piece {
    /// A JSON document.
    Json(Value),
    /// A CSV, whole.
    Csv(Vec<u8>),
    /// Bytes that should be JSON and are not; the first of them.
    Broken { sample: Vec<u8>, why: String },
}

/// Reads everything, within bounds.
pub(super) struct Reader<'a> {
    settings: &'a Settings,
    each: &'a mut dyn FnMut(&str, Piece) -> Result<(), LoadError>,
    unpacked: u64,
    /// Documents so far.
    pub entries: u64,
    /// Files that are none of those that are read.
    pub ignored: u64,
}

impl<'a> Reader<'a> {
    pub(super) fn new(
        settings: &'a Settings,
        each: &'a mut dyn FnMut(&str, Piece) -> Result<(), LoadError>,
    ) -> Self {
        Self {
            settings,
            each,
            unpacked: 0,
            entries: 0,
            ignored: 0,
        }
    }

    /// Reads a file or a folder.
    pub(super) fn path(&mut self, path: &Path) -> Result<(), LoadError> {
        self.walk(path, 0)
    }

    fn walk(&mut self, path: &Path, depth: usize) -> Result<(), LoadError> {
        let shown = path.display().to_string();
        let damaged = |why: std::io::Error| LoadError::Damaged {
            source_name: shown.clone(),
            why: why.to_string(),
        };
        // A link inside a folder may lead anywhere; the one that was named is followed.
        let about = if depth == 0 {
            fs::metadata(path)
        } else {
            fs::symlink_metadata(path)
        };
        let about = about.map_err(damaged)?;
        if about.is_file() {
            let file = File::open(path).map_err(damaged)?;
            return self.file(file, &shown, depth > 0);
        }
        if !about.is_dir() || depth >= MAX_DEPTH {
            self.ignored += 1;
            return Ok(());
        }
        let mut inside: Vec<PathBuf> = Vec::new();
        for entry in fs::read_dir(path).map_err(damaged)? {
            inside.push(entry.map_err(damaged)?.path());
            self.check_entries(inside.len() as u64, &shown)?;
        }
        inside.sort_unstable();
        inside.iter().try_for_each(|path| self.walk(path, depth + 1))
    }

    /// Reads an open file; `among_others`: one that is nothing known is passed over.
    pub(super) fn file(&mut self, mut file: File, name: &str, among_others: bool) -> Result<(), LoadError> {
        let mut magic = [0; 4];
        let damaged = |why: std::io::Error| damaged(name, &why);
        let got = read_full(&mut file, &mut magic).map_err(damaged)?;
        file.rewind().map_err(damaged)?;
        if magic[..got].starts_with(b"PK") {
            return self.zip(file, name);
        }
        if among_others && !is_wanted(name) {
            self.ignored += 1;
            return Ok(());
        }
        self.stream(BufReader::with_capacity(256 << 10, file), name)
    }

    fn zip(&mut self, file: File, name: &str) -> Result<(), LoadError> {
        let broken = |why: &dyn std::fmt::Display| LoadError::Damaged {
            source_name: name.to_owned(),
            why: why.to_string(),
        };
        let mut archive = zip::ZipArchive::new(BufReader::new(file)).map_err(|why| broken(&why))?;
        self.check_entries(archive.len() as u64, name)?;
        for at in 0..archive.len() {
            let entry = archive.by_index(at).map_err(|why| broken(&why))?;
            let inner = entry.name().map_err(|why| broken(&why))?.into_owned();
            if entry.is_dir() {
                continue;
            }
            if !is_wanted(&inner) {
                self.ignored += 1;
                continue;
            }
            self.stream(BufReader::new(entry), &inner)?;
        }
        Ok(())
    }

    fn check_entries(&self, more: u64, name: &str) -> Result<(), LoadError> {
        if self.entries.saturating_add(more) > self.settings.entries {
            return Err(LoadError::TooLarge {
                source_name: name.to_owned(),
                limit: "advisories.entries",
                bound: self.settings.entries,
            });
        }
        Ok(())
    }

    /// Reads one document, list or file of lines that is already open.
    pub(super) fn stream(&mut self, mut from: impl BufRead, name: &str) -> Result<(), LoadError> {
        let start = from.fill_buf().map_err(|why| damaged(name, &why))?;
        if start.starts_with(&[0x1f, 0x8b]) {
            let inner = name.strip_suffix(".gz").unwrap_or(name);
            return self.text(BufReader::new(MultiGzDecoder::new(from)), inner);
        }
        self.text(from, name)
    }

    fn text(&mut self, mut from: impl BufRead, name: &str) -> Result<(), LoadError> {
        if ends(name, &["csv"]) {
            let bytes = self.take(&mut from, name, self.settings.list_bytes)?;
            let bytes = bytes.ok_or_else(|| LoadError::TooLarge {
                source_name: name.to_owned(),
                limit: "advisories.list_size",
                bound: self.settings.list_bytes,
            })?;
            return self.give(name, Piece::Csv(bytes));
        }
        if ends(name, &["jsonl", "ndjson"]) {
            return self.lines(from, Vec::new(), name);
        }
        let most = self.settings.record_bytes;
        let mut bytes = Vec::new();
        let read = from.by_ref().take(most.saturating_add(1)).read_to_end(&mut bytes);
        read.map_err(|why| damaged(name, &why))?;
        let whole = bytes.len() as u64 <= most;
        let why = match serde_json::from_slice::<Value>(&bytes) {
            Ok(value) if whole => {
                self.count(bytes.len(), name)?;
                return self.json(name, value);
            }
            _ if first_line_is_json(&bytes) => return self.lines(from, bytes, name),
            Err(error) if whole => format!("it is no JSON: {error}"),
            Ok(_) | Err(_) => format!("it is larger than {most} bytes (advisories.record_size)"),
        };
        self.count(bytes.len(), name)?;
        // The rest is unpacked to find an archive that does not read to its end, and thrown away.
        self.skip(&mut from, name)?;
        let sample = sample(&bytes);
        self.give(name, Piece::Broken { sample, why })
    }

    /// A list of documents is taken apart.
    fn json(&mut self, name: &str, value: Value) -> Result<(), LoadError> {
        match value {
            Value::Array(list) => list
                .into_iter()
                .try_for_each(|one| self.give(name, Piece::Json(one))),
            one => self.give(name, Piece::Json(one)),
        }
    }

    /// A document a line; `start` was read already.
    fn lines(&mut self, from: impl BufRead, start: Vec<u8>, name: &str) -> Result<(), LoadError> {
        let mut all = BufReader::new(std::io::Cursor::new(start).chain(from));
        let most = self.settings.record_bytes;
        let mut number = 0_u64;
        loop {
            let mut line = Vec::new();
            let got = all
                .by_ref()
                .take(most.saturating_add(1))
                .read_until(b'\n', &mut line);
            if got.map_err(|why| damaged(name, &why))? == 0 {
                return Ok(());
            }
            number += 1;
            self.count(line.len(), name)?;
            let place = format!("{name}:{number}");
            if line.len() as u64 > most && line.last() != Some(&b'\n') {
                let why = format!("it is larger than {most} bytes (advisories.record_size)");
                while line.last() != Some(&b'\n') {
                    line.clear();
                    let got = all.by_ref().take(most).read_until(b'\n', &mut line);
                    if got.map_err(|why| damaged(name, &why))? == 0 {
                        break;
                    }
                    self.count(line.len(), name)?;
                }
                self.give(
                    &place,
                    Piece::Broken {
                        sample: sample(&line),
                        why,
                    },
                )?;
                continue;
            }
            if line.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            match serde_json::from_slice(&line) {
                Ok(value) => self.json(&place, value)?,
                Err(error) => {
                    let why = format!("it is no JSON: {error}");
                    self.give(
                        &place,
                        Piece::Broken {
                            sample: sample(&line),
                            why,
                        },
                    )?;
                }
            }
        }
    }

    fn take(&mut self, from: &mut impl BufRead, name: &str, most: u64) -> Result<Option<Vec<u8>>, LoadError> {
        let mut bytes = Vec::new();
        let read = from.take(most.saturating_add(1)).read_to_end(&mut bytes);
        read.map_err(|why| damaged(name, &why))?;
        self.count(bytes.len(), name)?;
        Ok((bytes.len() as u64 <= most).then_some(bytes))
    }

    fn skip(&mut self, from: &mut impl BufRead, name: &str) -> Result<(), LoadError> {
        loop {
            let got = from.fill_buf().map_err(|why| damaged(name, &why))?.len();
            if got == 0 {
                return Ok(());
            }
            from.consume(got);
            self.count(got, name)?;
        }
    }

    fn count(&mut self, bytes: usize, name: &str) -> Result<(), LoadError> {
        self.unpacked = self.unpacked.saturating_add(bytes as u64);
        if self.unpacked > self.settings.total_bytes {
            return Err(LoadError::TooLarge {
                source_name: name.to_owned(),
                limit: "advisories.total_size",
                bound: self.settings.total_bytes,
            });
        }
        Ok(())
    }

    fn give(&mut self, name: &str, piece: Piece) -> Result<(), LoadError> {
        self.check_entries(1, name)?;
        self.entries += 1;
        (self.each)(name, piece)
    }
}

fn damaged(name: &str, why: &std::io::Error) -> LoadError {
    LoadError::Damaged {
        source_name: name.to_owned(),
        why: why.to_string(),
    }
}

/// Whether the first line is a JSON document of its own, and not the last one.
fn first_line_is_json(bytes: &[u8]) -> bool {
    let Some(end) = bytes.iter().position(|byte| *byte == b'\n') else {
        return false;
    };
    let more = bytes[end..].iter().any(|byte| !byte.is_ascii_whitespace());
    more && serde_json::from_slice::<Value>(&bytes[..end]).is_ok_and(|value| value.is_object())
}

/// The names of what is read; anything else in an archive or folder is passed over and counted.
fn is_wanted(name: &str) -> bool {
    let name = name.rsplit('/').next().unwrap_or(name);
    let plain = name.strip_suffix(".gz").unwrap_or(name);
    !name.starts_with('.') && ends(plain, &["json", "jsonl", "ndjson", "csv"])
}

fn ends(name: &str, extensions: &[&str]) -> bool {
    let found = Path::new(name).extension().and_then(|found| found.to_str());
    found.is_some_and(|found| extensions.iter().any(|wanted| found.eq_ignore_ascii_case(wanted)))
}

fn sample(bytes: &[u8]) -> Vec<u8> {
    bytes[..bytes.len().min(4096)].to_vec()
}

fn read_full(from: &mut impl Read, into: &mut [u8]) -> std::io::Result<usize> {
    let mut got = 0;
    while got < into.len() {
        match from.read(&mut into[got..])? {
            0 => break,
            n => got += n,
        }
    }
    Ok(got)
}
