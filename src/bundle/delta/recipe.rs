//! Finding the settings of zlib that an entry was packed with.

use std::fs::File;
use std::os::unix::fs::FileExt as _;

use super::DeltaError;
use super::archive::Entry;
use super::base::{Enough, Gone, Wheel};
use super::deflate::Deflater;
use super::format::Recipe;

/// Bytes compared at a time.
const CHUNK: usize = 64 << 10;

/// Settings by how often wheels are packed with them: Python's `zipfile` with its usual level, then with others, then
/// programs that give zlib more memory.
const COMMON: [(u8, u8); 13] = [
    (6, 8),
    (9, 8),
    (1, 8),
    (8, 8),
    (7, 8),
    (5, 8),
    (4, 8),
    (3, 8),
    (2, 8),
    (9, 9),
    (6, 9),
    (8, 9),
    (1, 9),
];

/// The recipes that were met so far; the one that fitted last is tried first.
#[derive(Default)]
pub(super) struct Recipes {
    pub known: Vec<Recipe>,
    last: usize,
}

impl Recipes {
    /// The position of the recipe that gives the entry's packed bytes again; `None` when none does, or the entry is not what
    /// the directory says. Stops at the first byte that differs.
    pub(super) fn find(&mut self, file: &File, entry: &Entry) -> Result<Option<usize>, DeltaError> {
        if !is_stream(file, entry)? {
            return Ok(None);
        }
        let first = self.known.get(self.last).copied();
        let common = COMMON.iter().map(|&(level, memory)| Recipe {
            level,
            memory,
            window: 15,
            strategy: 0,
        });
        for recipe in first
            .into_iter()
            .chain(common.filter(|recipe| Some(*recipe) != first))
        {
            if gives(file, entry, recipe)? {
                self.last = self
                    .known
                    .iter()
                    .position(|known| *known == recipe)
                    .unwrap_or_else(|| {
                        self.known.push(recipe);
                        self.known.len() - 1
                    });
                return Ok(Some(self.last));
            }
        }
        Ok(None)
    }
}

/// Why a comparison ended.
enum Stop {
    /// They differ.
    Differs,
    Failed(DeltaError),
}

impl From<Gone> for Stop {
    fn from(gone: Gone) -> Self {
        match gone {
            Gone::Io(why) => Self::Failed(DeltaError::Target(why)),
            Gone::Broken => Self::Differs,
        }
    }
}

/// Whether the entry is one deflate stream of exactly the bytes that the directory says, packed and unpacked.
fn is_stream(file: &File, entry: &Entry) -> Result<bool, DeltaError> {
    let mut unpacked = 0;
    let mut wheel = Wheel::new(file);
    let done = wheel.inflate(entry.at, entry.packed, |chunk| {
        unpacked += chunk.len() as u64;
        if unpacked > entry.size {
            return Err(Stop::Differs);
        }
        Ok(Enough::No)
    });
    match done {
        Ok((used, given, ended)) => Ok(ended && used == entry.packed && given == entry.size),
        Err(Stop::Differs) => Ok(false),
        Err(Stop::Failed(error)) => Err(error),
    }
}

fn gives(file: &File, entry: &Entry, recipe: Recipe) -> Result<bool, DeltaError> {
    let mut deflater = Deflater::new(recipe)?;
    let mut wheel = Wheel::new(file);
    let mut there = vec![0; CHUNK];
    let mut at = entry.at;
    let mut compare = |made: &[u8]| {
        let there = &mut there[..made.len()];
        if at + made.len() as u64 > entry.end() {
            return Err(Stop::Differs);
        }
        file.read_exact_at(there, at)
            .map_err(|why| Stop::Failed(DeltaError::Target(why)))?;
        at += made.len() as u64;
        if there == made { Ok(()) } else { Err(Stop::Differs) }
    };
    let done = wheel.inflate(entry.at, entry.packed, |chunk| {
        if !chunk.is_empty() {
            deflater.push(chunk, false, &mut compare)?;
        }
        Ok(Enough::No)
    });
    let done = done.and_then(|_| deflater.push(b"", true, &mut compare));
    match done {
        Ok(()) => Ok(at == entry.end()),
        Err(Stop::Differs) => Ok(false),
        Err(Stop::Failed(error)) => Err(error),
    }
}
