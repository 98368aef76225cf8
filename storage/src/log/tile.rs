//! Tiles and entry bundles, and their addresses (C2SP tlog-tiles, "Merkle Tree" and "Log entries").

use std::fmt;
use std::str::FromStr;

use bytes::{BufMut as _, Bytes, BytesMut};

use super::{ENTRIES, Log, LogError, TILE_WIDTH, merkle};
use crate::db::View;
use crate::digest::DIGEST_BYTES;

/// Levels of the tree in one tile: 256 hashes are eight levels.
const TILE_HEIGHT: u8 = 8;
/// Tile levels that a tree of 2^64 entries can have.
const MAX_LEVEL: u8 = 63 / TILE_HEIGHT;
/// Each part of a tile's index in a path has three digits.
const INDEX_BASE: u64 = 1000;
/// Bytes of the longest address of a 64-bit index (threat: a path of a megabyte).
const MAX_PATH_BYTES: usize = 48;

/// What an address under `/tile/` names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TileKind {
    /// Hashes of one tile level.
    Hashes(u8),
    /// Entries.
    Entries,
}

/// The address of a tile or bundle: what follows `/tile/`, as in `0/x001/x234/067.p/5`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TilePath {
    /// Hashes or entries.
    pub kind: TileKind,
    /// The tile's number within its level.
    pub index: u64,
    /// Hashes or entries in it, 1 to 256; 256 is a full tile, which has no suffix.
    pub width: u16,
}

/// The text is not the one form of any tile's address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the address of a tile")]
pub struct TilePathError;

impl fmt::Display for TilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            TileKind::Hashes(level) => write!(f, "{level}")?,
            TileKind::Entries => f.write_str("entries")?,
        }
        let mut groups = vec![self.index % INDEX_BASE];
        let mut rest = self.index / INDEX_BASE;
        while rest > 0 {
            groups.push(rest % INDEX_BASE);
            rest /= INDEX_BASE;
        }
        for group in groups.iter().skip(1).rev() {
            write!(f, "/x{group:03}")?;
        }
        write!(f, "/{:03}", groups[0])?;
        if self.width < TILE_WIDTH {
            write!(f, ".p/{}", self.width)?;
        }
        Ok(())
    }
}

impl FromStr for TilePath {
    type Err = TilePathError;

    fn from_str(text: &str) -> Result<Self, TilePathError> {
        Self::parse(text)
    }
}

impl TilePath {
    /// Reads an address; only the one canonical spelling of each is accepted.
    pub fn parse(text: &str) -> Result<Self, TilePathError> {
        if text.len() > MAX_PATH_BYTES {
            return Err(TilePathError);
        }
        let (kind, rest) = text.split_once('/').ok_or(TilePathError)?;
        let kind = match kind {
            "entries" => TileKind::Entries,
            level => TileKind::Hashes(level.parse().map_err(|_| TilePathError)?),
        };
        let (index, width) = match rest.split_once(".p/") {
            Some((index, width)) => (index, width.parse().map_err(|_| TilePathError)?),
            None => (rest, TILE_WIDTH),
        };
        let index = index.split('/').try_fold(0u64, |index, group| {
            let group = group.strip_prefix('x').unwrap_or(group);
            let group: u64 = group.parse().map_err(|_| TilePathError)?;
            let shifted = index.checked_mul(INDEX_BASE).ok_or(TilePathError)?;
            shifted.checked_add(group).ok_or(TilePathError)
        })?;
        let path = Self { kind, index, width };
        // Whatever the lenient reading above let through (signs, zeros, bounds) spells differently.
        if (1..=TILE_WIDTH).contains(&width) && path.to_string() == text {
            return Ok(path);
        }
        Err(TilePathError)
    }
}

/// The first position of a tile, if the tile can exist and `below` positions reach its last one.
fn first_position(index: u64, width: u16, below: u64) -> Option<u64> {
    if !(1..=TILE_WIDTH).contains(&width) {
        return None;
    }
    let first = index.checked_mul(u64::from(TILE_WIDTH))?;
    let end = first.checked_add(u64::from(width))?;
    (end <= below).then_some(first)
}

pub(super) fn hashes(view: &View<'_>, level: u8, index: u64, width: u16) -> Result<Option<Bytes>, LogError> {
    if level > MAX_LEVEL {
        return Ok(None);
    }
    let tree_level = level * TILE_HEIGHT;
    // Only whole subtrees have a hash that will never change.
    let complete = Log::size_in_view(view)? >> tree_level;
    let Some(first) = first_position(index, width, complete) else {
        return Ok(None);
    };
    let mut tile = BytesMut::with_capacity(usize::from(width) * DIGEST_BYTES);
    for hash in merkle::row(view, tree_level, first, width)? {
        tile.extend_from_slice(&hash.0);
    }
    Ok(Some(tile.freeze()))
}

pub(super) fn entries(view: &View<'_>, index: u64, width: u16) -> Result<Option<Bytes>, LogError> {
    let Some(first) = first_position(index, width, Log::size_in_view(view)?) else {
        return Ok(None);
    };
    let mut bundle = BytesMut::new();
    let mut expected = first..first + u64::from(width);
    let stored = view.scan(&ENTRIES, b"", Some(&first.to_be_bytes()))?;
    for row in stored.take(usize::from(width)) {
        let (number, entry) = row?;
        let length = u16::try_from(entry.0.len());
        match (expected.next(), length) {
            (Some(next), Ok(length)) if next == number => bundle.put_u16(length),
            _ => return Err(missing(number)),
        }
        bundle.extend_from_slice(&entry.0);
    }
    match expected.next() {
        Some(number) => Err(missing(number)),
        None => Ok(Some(bundle.freeze())),
    }
}

fn missing(number: u64) -> LogError {
    LogError::Damaged {
        detail: format!("entry {number} is missing or too long"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn addresses_of_the_specification() {
        let path = TilePath {
            kind: TileKind::Hashes(0),
            index: 1_234_067,
            width: 256,
        };
        assert_eq!(path.to_string(), "0/x001/x234/067");
        let partial = TilePath {
            kind: TileKind::Entries,
            index: 5,
            width: 8,
        };
        assert_eq!(TilePath::parse("entries/005.p/8").unwrap(), partial);
    }

    #[test]
    fn only_the_canonical_spelling() {
        for text in [
            "",
            "0",
            "0/",
            "0/1",
            "0/0001",
            "00/001",
            "+0/001",
            "0/+01",
            "0/x000/001",
            "0/001.p/256",
            "0/001.p/0",
            "0/001.p/08",
            "0/001/002",
            "0/x001",
            "data/001",
            "256/001",
            "0/../001",
            "0/001.p/8/",
            "0/x018/x446/x744/x073/x709/x551/616",
        ] {
            assert_eq!(TilePath::parse(text), Err(TilePathError), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn address_round_trip(level in 0u8..64, index: u64, width in 1u16..=256, entries: bool) {
            let kind = if entries { TileKind::Entries } else { TileKind::Hashes(level) };
            let path = TilePath { kind, index, width };
            prop_assert_eq!(TilePath::parse(&path.to_string()).unwrap(), path);
        }

        #[test]
        fn parsing_never_panics(text in "[0-9x./pentris]{0,50}") {
            if let Ok(path) = TilePath::parse(&text) {
                prop_assert_eq!(path.to_string(), text);
            }
        }
    }
}
