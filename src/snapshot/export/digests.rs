//! Many digests, sorted, each once: in memory while they are few, in sorted runs on disk when they are many.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{BufReader, BufWriter, ErrorKind, Read, Write as _};
use std::path::{Path, PathBuf};

use chiron_storage::Digest;

use super::ExportError;

/// Digests held in memory: 32 MB. A catalogue of a million files names some ten million documents.
const IN_MEMORY: usize = 1 << 20;

/// Collects digests. Blocks when it writes a run.
#[derive(Debug)]
pub(super) struct Digests {
    folder: PathBuf,
    runs: u32,
    held: Vec<Digest>,
    in_memory: usize,
}

impl Digests {
    /// Runs are written into `folder`, which must be there and hold none.
    pub fn new(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
            runs: 0,
            held: Vec::new(),
            in_memory: IN_MEMORY,
        }
    }

    /// Takes more.
    pub fn extend(&mut self, more: impl IntoIterator<Item = Digest>) -> Result<(), ExportError> {
        for digest in more {
            self.held.push(digest);
            if self.held.len() >= self.in_memory {
                self.tidy();
                // Mostly repetitions: there is room again.
                if self.held.len() > self.in_memory / 2 {
                    self.spill()?;
                }
            }
        }
        Ok(())
    }

    fn tidy(&mut self) {
        self.held.sort_unstable();
        self.held.dedup();
    }

    fn spill(&mut self) -> Result<(), ExportError> {
        let path = self.run(self.runs);
        let write = || {
            let mut file = BufWriter::new(File::create(&path)?);
            for digest in &self.held {
                file.write_all(digest.as_bytes())?;
            }
            file.flush()
        };
        write().map_err(ExportError::file(&path))?;
        self.runs += 1;
        self.held.clear();
        Ok(())
    }

    fn run(&self, number: u32) -> PathBuf {
        self.folder.join(format!("digests-{number}"))
    }

    /// All of them, sorted, each once.
    pub fn sorted(mut self) -> Result<Sorted, ExportError> {
        self.tidy();
        let mut runs = vec![Run::Held(std::mem::take(&mut self.held).into_iter())];
        for number in 0..self.runs {
            let path = self.run(number);
            let file = File::open(&path).map_err(ExportError::file(&path))?;
            runs.push(Run::Stored(path, BufReader::new(file)));
        }
        let mut heads = BinaryHeap::new();
        for (number, run) in runs.iter_mut().enumerate() {
            heads.extend(run.next()?.map(|digest| Reverse((digest, number))));
        }
        Ok(Sorted {
            runs,
            heads,
            last: None,
        })
    }
}

#[derive(Debug)]
enum Run {
    Held(std::vec::IntoIter<Digest>),
    Stored(PathBuf, BufReader<File>),
}

impl Run {
    fn next(&mut self) -> Result<Option<Digest>, ExportError> {
        match self {
            Self::Held(digests) => Ok(digests.next()),
            Self::Stored(path, file) => {
                let mut bytes = [0; 32];
                match file.read_exact(&mut bytes) {
                    Ok(()) => Ok(Some(Digest::from_bytes(bytes))),
                    Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(None),
                    Err(error) => Err(ExportError::file(path)(error)),
                }
            }
        }
    }
}

/// Digests in order. Blocks while it reads runs.
#[derive(Debug)]
pub(super) struct Sorted {
    runs: Vec<Run>,
    heads: BinaryHeap<Reverse<(Digest, usize)>>,
    last: Option<Digest>,
}

impl Sorted {
    /// The next ones, at most `limit`; none: that was all.
    pub fn take(&mut self, limit: usize) -> Result<Vec<Digest>, ExportError> {
        let mut taken = Vec::new();
        while taken.len() < limit
            && let Some(Reverse((digest, number))) = self.heads.pop()
        {
            if let Some(run) = self.runs.get_mut(number) {
                let next = run.next()?;
                self.heads.extend(next.map(|digest| Reverse((digest, number))));
            }
            if self.last != Some(digest) {
                self.last = Some(digest);
                taken.push(digest);
            }
        }
        Ok(taken)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn runs_and_memory_come_out_as_one_sorted_list() {
        let folder = tempfile::tempdir().unwrap();
        let mut digests = Digests::new(folder.path());
        digests.in_memory = 16;
        let some: Vec<Digest> = (0..200_u32)
            .map(|n| Digest::of(&(n % 90).to_be_bytes()))
            .collect();
        digests.extend(some.iter().copied()).unwrap();
        assert!(digests.runs > 2, "{}", digests.runs);
        let mut sorted = digests.sorted().unwrap();
        let mut all = Vec::new();
        loop {
            let part = sorted.take(7).unwrap();
            if part.is_empty() {
                break;
            }
            all.extend(part);
        }
        let mut expected = some;
        expected.sort_unstable();
        expected.dedup();
        assert_eq!(all, expected);
    }
}
