//! Hashes of the tree, read from and added to the `nodes` family.

use std::cell::RefCell;

use tlog_tiles::{Error, Hash, HashReader};

use super::{LogError, NODES};
use crate::db::{DbError, Tx, View};
use crate::digest::{DIGEST_BYTES, Digest};
use crate::log::Log;
use crate::table::Raw;

/// Reads stored hashes by index, all in one go.
type Read<'a> = Box<dyn Fn(&[u64]) -> Result<Vec<Option<Raw>>, DbError> + 'a>;

/// Gives stored hashes to the tree's arithmetic, and keeps the error that it cannot carry.
struct Stored<'a> {
    read: Read<'a>,
    failed: RefCell<Option<LogError>>,
}

impl<'a> Stored<'a> {
    fn in_view(view: &'a View<'_>) -> Self {
        Self {
            read: Box::new(|indexes| view.get_many(&NODES, indexes)),
            failed: RefCell::default(),
        }
    }

    fn in_tx(tx: &'a Tx<'_>) -> Self {
        Self {
            read: Box::new(|indexes| indexes.iter().map(|index| tx.get(&NODES, index)).collect()),
            failed: RefCell::default(),
        }
    }

    /// Runs `work` over the stored hashes.
    fn with<T>(self, work: impl FnOnce(&Self) -> Result<T, Error>) -> Result<T, LogError> {
        let result = work(&self);
        result.map_err(|error| {
            self.failed.into_inner().unwrap_or(LogError::Damaged {
                detail: error.to_string(),
            })
        })
    }

    fn hashes(&self, indexes: &[u64]) -> Result<Vec<Hash>, LogError> {
        let stored = (self.read)(indexes)?;
        let rows = indexes.iter().zip(stored);
        rows.map(|(index, row)| to_hash(*index, row)).collect()
    }
}

impl HashReader for Stored<'_> {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<Hash>, Error> {
        self.hashes(indexes).map_err(|error| {
            self.failed.replace(Some(error));
            Error::IndexesNotInTree
        })
    }
}

fn to_hash(index: u64, row: Option<Raw>) -> Result<Hash, LogError> {
    let bytes = row.and_then(|Raw(bytes)| <[u8; DIGEST_BYTES]>::try_from(bytes.as_ref()).ok());
    bytes.map(Hash).ok_or_else(|| LogError::Damaged {
        detail: format!("hash {index} of the tree is not stored"),
    })
}

/// The hashes that entry `number` completes, from its leaf upwards.
pub(super) fn new_hashes(tx: &Tx<'_>, number: u64, entry: &[u8]) -> Result<Vec<Hash>, LogError> {
    Stored::in_tx(tx).with(|stored| tlog_tiles::stored_hashes(number, entry, stored))
}

/// The hashes at `level` (counted in single levels) from position `first` on.
pub(super) fn row(view: &View<'_>, level: u8, first: u64, count: u16) -> Result<Vec<Hash>, LogError> {
    let indexes: Vec<u64> = (first..first + u64::from(count))
        .map(|position| tlog_tiles::stored_hash_index(level, position))
        .collect();
    Stored::in_view(view).hashes(&indexes)
}

pub(super) fn root(view: &View<'_>, size: u64) -> Result<Digest, LogError> {
    check_size(view, size)?;
    let hash = Stored::in_view(view).with(|stored| tlog_tiles::tree_hash(size, stored))?;
    Ok(Digest::from_bytes(hash.0))
}

pub(super) fn prove_inclusion(view: &View<'_>, number: u64, size: u64) -> Result<Vec<Digest>, LogError> {
    check_size(view, size)?;
    if number >= size {
        return Err(LogError::OutOfRange { asked: number, size });
    }
    let proof = Stored::in_view(view).with(|stored| tlog_tiles::prove_record(size, number, stored))?;
    Ok(to_digests(&proof))
}

pub(super) fn prove_consistency(view: &View<'_>, from: u64, to: u64) -> Result<Vec<Digest>, LogError> {
    check_size(view, to)?;
    if from > to {
        return Err(LogError::OutOfRange {
            asked: from,
            size: to,
        });
    }
    if from == 0 {
        return Ok(Vec::new());
    }
    let proof = Stored::in_view(view).with(|stored| tlog_tiles::prove_tree(to, from, stored))?;
    Ok(to_digests(&proof))
}

/// Roots of the full subtrees over the first `size` entries, largest first.
pub(super) fn frontier(view: &View<'_>, size: u64) -> Result<Vec<Digest>, LogError> {
    check_size(view, size)?;
    let mut indexes = Vec::new();
    let mut before: u64 = 0;
    for level in (0..64u8).rev().filter(|level| size >> level & 1 == 1) {
        indexes.push(tlog_tiles::stored_hash_index(level, before >> level));
        before += 1 << level;
    }
    Ok(to_digests(&Stored::in_view(view).hashes(&indexes)?))
}

/// Computes the tree again from its entries and holds it against the stored hashes.
pub(super) fn audit(view: &View<'_>) -> Result<(u64, Digest), LogError> {
    let size = Log::size_in_view(view)?;
    // Roots of the complete subtrees so far, the widest first.
    let mut peaks: Vec<Hash> = Vec::new();
    let mut seen: u64 = 0;
    for row in Log::entries_in_view(view, 0)? {
        let (number, entry) = row?;
        if number != seen {
            return Err(LogError::Damaged {
                detail: format!("entry {seen} is not stored"),
            });
        }
        seen += 1;
        let mut hash = tlog_tiles::record_hash(&entry);
        for _ in 0..seen.trailing_zeros() {
            let left = peaks.pop().unwrap_or_default();
            hash = tlog_tiles::node_hash(left, hash);
        }
        peaks.push(hash);
    }
    let peaks = peaks.into_iter().rev();
    let computed = peaks.reduce(|right, left| tlog_tiles::node_hash(left, right));
    let computed = Digest::from_bytes(computed.unwrap_or(tlog_tiles::EMPTY_HASH).0);
    let stored = root(view, size)?;
    if seen != size || computed != stored {
        return Err(LogError::Damaged {
            detail: format!("{seen} entries hash to {computed}; the tree of {size} has {stored}"),
        });
    }
    Ok((size, stored))
}

fn check_size(view: &View<'_>, asked: u64) -> Result<(), LogError> {
    let size = Log::size_in_view(view)?;
    if asked > size {
        return Err(LogError::OutOfRange { asked, size });
    }
    Ok(())
}

fn to_digests(proof: &[Hash]) -> Vec<Digest> {
    proof.iter().map(|hash| Digest::from_bytes(hash.0)).collect()
}
