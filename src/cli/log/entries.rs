//! Entries of the log as C2SP tlog-tiles bundles, and the tree that they make.

use chiron_storage::Digest;
use chiron_storage::log::{TILE_WIDTH, TileKind, TilePath, leaf_hash};

use crate::cli::client::Client;
use crate::cli::exit::Failure;

/// The entries `from..size` of a log with `size` entries.
pub async fn fetch(
    client: &Client,
    from: u64,
    size: u64,
    mut each: impl FnMut(u64, &[u8]),
) -> Result<(), Failure> {
    let width = u64::from(TILE_WIDTH);
    let mut index = from / width;
    while index * width < size {
        let first = index * width;
        let held = u16::try_from((size - first).min(width)).unwrap_or(TILE_WIDTH);
        let path = TilePath {
            kind: TileKind::Entries,
            index,
            width: held,
        };
        let bundle = client.get_bytes(&format!("/log/tile/{path}")).await?;
        let entries = split(&bundle)
            .filter(|entries| entries.len() == usize::from(held))
            .ok_or_else(|| {
                Failure::integrity(format_args!(
                    "the bundle of the log's entries from {first} on is damaged"
                ))
                .next("`chiron doctor` checks the data folder")
            })?;
        for (n, entry) in (first..).zip(entries) {
            if n >= from {
                each(n, entry);
            }
        }
        index += 1;
    }
    Ok(())
}

/// A bundle's entries: each is preceded by its length in two bytes (tlog-tiles, "Log entries").
fn split(mut bundle: &[u8]) -> Option<Vec<&[u8]>> {
    let mut entries = Vec::new();
    while !bundle.is_empty() {
        let (length, rest) = bundle.split_first_chunk::<2>()?;
        let (entry, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
        entries.push(entry);
        bundle = rest;
    }
    Some(entries)
}

/// The root of a tree that grows entry by entry (RFC 6962, 2.1), computed here from nothing but the
/// entries: at most 64 hashes are held.
#[derive(Debug, Default)]
pub struct Tree {
    size: u64,
    /// Roots of the full subtrees, largest first; one for each bit of `size`.
    peaks: Vec<Digest>,
}

impl Tree {
    /// Adds an entry.
    pub fn push(&mut self, entry: &[u8]) {
        let mut hash = leaf_hash(entry);
        let mut size = self.size;
        while size & 1 == 1 {
            if let Some(left) = self.peaks.pop() {
                hash = node(left, hash);
            }
            size >>= 1;
        }
        self.peaks.push(hash);
        self.size += 1;
    }

    /// Entries so far.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The root; of the empty tree the hash of nothing.
    pub fn root(&self) -> Digest {
        let mut peaks = self.peaks.iter().rev().copied();
        let Some(mut root) = peaks.next() else {
            return Digest::of(b"");
        };
        for left in peaks {
            root = node(left, root);
        }
        root
    }
}

/// The hash of an inner node: SHA-256 of a one byte and both children.
fn node(left: Digest, right: Digest) -> Digest {
    Digest::of(&[&[1], &left.as_bytes()[..], &right.as_bytes()[..]].concat())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    /// RFC 6962, 2.1, word for word.
    fn by_definition(entries: &[Vec<u8>]) -> Digest {
        match entries {
            [] => Digest::of(b""),
            [one] => leaf_hash(one),
            many => {
                let half = many.len().next_power_of_two() / 2;
                node(by_definition(&many[..half]), by_definition(&many[half..]))
            }
        }
    }

    #[test]
    fn a_known_root() {
        // The tree of one empty entry (RFC 6962 test vectors).
        let mut tree = Tree::default();
        tree.push(b"");
        let expected = "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d";
        assert_eq!(tree.root().to_string(), expected);
    }

    #[test]
    fn a_cut_bundle_is_no_bundle() {
        assert_eq!(split(&[0, 1, b'a', 0, 0]), Some(vec![&b"a"[..], &b""[..]]));
        assert_eq!(split(&[0, 2, b'a']), None);
        assert_eq!(split(&[0]), None);
    }

    proptest! {
        #[test]
        fn the_tree_is_that_of_the_rfc(entries in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..4), 0..70)) {
            let mut tree = Tree::default();
            for entry in &entries { tree.push(entry); }
            prop_assert_eq!(tree.root(), by_definition(&entries));
            prop_assert_eq!(tree.size(), entries.len() as u64);
        }
    }
}
