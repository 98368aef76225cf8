//! The files of an export on disk, in their order: a catalogue has more of them than memory should.

use std::fs::File;
use std::io::{BufRead as _, BufReader, BufWriter, Lines, Write as _};
use std::iter::Peekable;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::ExportError;
use super::selected::{self, Chosen};
use crate::catalog::FileRef;

/// A file that goes out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Sent {
    /// Which.
    pub file: FileRef,
    /// Bytes.
    pub size: u64,
}

/// Takes files project by project. Blocks.
#[derive(Debug)]
pub(super) struct Spool {
    path: PathBuf,
    out: BufWriter<File>,
    /// Of the project that is not complete yet.
    project: Vec<Chosen>,
    count: u64,
    bytes: u64,
}

impl Spool {
    /// In `folder`, which has none.
    pub fn new(folder: &Path) -> Result<Self, ExportError> {
        let path = folder.join("files");
        let file = File::create(&path).map_err(ExportError::file(&path))?;
        Ok(Self {
            path,
            out: BufWriter::new(file),
            project: Vec::new(),
            count: 0,
            bytes: 0,
        })
    }

    /// Takes more: all of one project before the next.
    pub fn extend(&mut self, files: impl IntoIterator<Item = Chosen>) -> Result<(), ExportError> {
        for chosen in files {
            let another = |last: &Chosen| last.file.project != chosen.file.project;
            if self.project.last().is_some_and(another) {
                self.end_project()?;
            }
            self.project.push(chosen);
        }
        Ok(())
    }

    fn end_project(&mut self) -> Result<(), ExportError> {
        let mut files = std::mem::take(&mut self.project);
        selected::sort(&mut files);
        for Chosen { file, size, .. } in files {
            let mut line = serde_json::to_vec(&Sent { file, size })
                .map_err(|error| ExportError::file(&self.path)(error.into()))?;
            line.push(b'\n');
            self.out.write_all(&line).map_err(ExportError::file(&self.path))?;
            self.count += 1;
            self.bytes += size;
        }
        Ok(())
    }

    /// That was all.
    pub fn finish(mut self) -> Result<Spooled, ExportError> {
        self.end_project()?;
        self.out.flush().map_err(ExportError::file(&self.path))?;
        Ok(Spooled {
            path: self.path,
            count: self.count,
            bytes: self.bytes,
        })
    }
}

/// All of them.
#[derive(Debug, Clone)]
pub(super) struct Spooled {
    path: PathBuf,
    /// How many.
    pub count: u64,
    /// Of all of them together.
    pub bytes: u64,
}

impl Spooled {
    /// Reads them again. Blocks.
    pub fn read(&self) -> Result<Reading, ExportError> {
        let file = File::open(&self.path).map_err(ExportError::file(&self.path))?;
        let files = Files {
            path: self.path.clone(),
            lines: BufReader::new(file).lines(),
        };
        Ok(Reading(files.peekable()))
    }
}

#[derive(Debug)]
struct Files {
    path: PathBuf,
    lines: Lines<BufReader<File>>,
}

impl Iterator for Files {
    type Item = Result<Sent, ExportError>;

    fn next(&mut self) -> Option<Self::Item> {
        let line = self.lines.next()?;
        let sent = line.and_then(|line| Ok(serde_json::from_str(&line)?));
        Some(sent.map_err(ExportError::file(&self.path)))
    }
}

/// Files in their order. Blocks.
#[derive(Debug)]
pub(super) struct Reading(Peekable<Files>);

impl Iterator for Reading {
    type Item = Result<Sent, ExportError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next()
    }
}

impl Reading {
    /// All files of the next project; none: that was the last.
    pub fn project(&mut self) -> Result<Vec<Sent>, ExportError> {
        let mut files: Vec<Sent> = Vec::new();
        loop {
            let same = |next: &Result<Sent, ExportError>| match (next, files.first()) {
                (Ok(next), Some(first)) => next.file.project == first.file.project,
                (_, None) | (Err(_), _) => true,
            };
            match self.0.next_if(same) {
                Some(next) => files.push(next?),
                None => return Ok(files),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use chiron_storage::Digest;

    use super::*;
    use crate::package::ProjectName;

    fn chosen(project: &str, filename: &str) -> Chosen {
        let file = FileRef {
            project: ProjectName::parse(project).unwrap(),
            filename: filename.to_owned(),
            sha256: Digest::of(filename.as_bytes()),
        };
        Chosen::named(file, 7)
    }

    #[test]
    fn files_come_out_project_by_project_sources_first_and_versions_in_their_order() {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = Spool::new(folder.path()).unwrap();
        spool
            .extend([
                chosen("a", "a-1.10-py3-none-any.whl"),
                chosen("a", "a-1.10.tar.gz"),
                chosen("a", "a-1.9-py3-none-any.whl"),
            ])
            .unwrap();
        spool
            .extend([chosen("a", "a-1.9-py3-none-any.whl"), chosen("b", "b-1.0.tar.gz")])
            .unwrap();
        let spooled = spool.finish().unwrap();
        assert_eq!((spooled.count, spooled.bytes), (4, 28));
        let mut reading = spooled.read().unwrap();
        let names = |files: Vec<Sent>| {
            files
                .into_iter()
                .map(|sent| sent.file.filename)
                .collect::<Vec<_>>()
        };
        assert_eq!(
            names(reading.project().unwrap()),
            [
                "a-1.9-py3-none-any.whl",
                "a-1.10.tar.gz",
                "a-1.10-py3-none-any.whl"
            ]
        );
        assert_eq!(names(reading.project().unwrap()), ["b-1.0.tar.gz"]);
        assert!(reading.project().unwrap().is_empty());
        assert_eq!(spooled.read().unwrap().count(), 4);
    }
}
