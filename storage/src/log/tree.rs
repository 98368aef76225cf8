//! A tree that grows entry by entry, computed from nothing but the entries and, to begin with, its frontier: no database.

use super::{LogError, leaf_hash};
use crate::digest::Digest;

/// A Merkle tree (RFC 6962, 2.1) of which only the frontier is held: the roots of the full subtrees that cover its entries,
/// largest first, one for each bit of its size. At most 64 hashes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TreeBuilder {
    size: u64,
    frontier: Vec<Digest>,
}

impl TreeBuilder {
    /// The empty tree.
    pub fn new() -> Self {
        Self::default()
    }

    /// The tree of `size` entries with this frontier. That it is the right tree, its root must show: compare [`Self::root`].
    ///
    /// Errors: [`LogError::Proof`] when a tree of that size has another number of subtrees.
    pub fn from_frontier(size: u64, frontier: &[Digest]) -> Result<Self, LogError> {
        let subtrees = size.count_ones() as usize;
        if frontier.len() != subtrees {
            return Err(LogError::Proof {
                detail: format!(
                    "the frontier has {} hashes; a tree of {size} entries has {subtrees}",
                    frontier.len()
                ),
            });
        }
        Ok(Self {
            size,
            frontier: frontier.to_vec(),
        })
    }

    /// Adds an entry.
    pub fn push(&mut self, entry: &[u8]) {
        self.push_leaf(leaf_hash(entry));
    }

    /// Adds an entry of which only the leaf hash is known.
    pub fn push_leaf(&mut self, leaf: Digest) {
        let mut hash = leaf;
        // Each one bit at the end of the size is a full subtree as large as what is being added.
        for _ in 0..self.size.trailing_ones() {
            if let Some(left) = self.frontier.pop() {
                hash = node(left, hash);
            }
        }
        self.frontier.push(hash);
        // No log comes near; a hostile size must not overflow.
        self.size = self.size.saturating_add(1);
    }

    /// Entries so far.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The root hash; of the empty tree the hash of nothing.
    pub fn root(&self) -> Digest {
        let right_to_left = self.frontier.iter().rev().copied();
        right_to_left
            .reduce(|right, left| node(left, right))
            .unwrap_or_else(|| Digest::of(b""))
    }

    /// Roots of the full subtrees, largest first.
    pub fn frontier(&self) -> &[Digest] {
        &self.frontier
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
        let mut tree = TreeBuilder::new();
        tree.push(b"");
        let expected = "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d";
        assert_eq!(tree.root().to_string(), expected);
    }

    #[test]
    fn a_frontier_of_another_size_is_refused() {
        let hashes = [Digest::of(b"a"), Digest::of(b"b")];
        for size in [0, 1, 2, 4, 7, u64::MAX] {
            assert!(TreeBuilder::from_frontier(size, &hashes).is_err(), "{size}");
        }
        assert!(TreeBuilder::from_frontier(6, &hashes).is_ok());
    }

    proptest! {
        #[test]
        fn the_tree_is_that_of_the_rfc_wherever_it_is_begun(
            entries in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..4), 0..70),
            cut in any::<prop::sample::Index>(),
        ) {
            let cut = cut.index(entries.len() + 1);
            let mut tree = TreeBuilder::new();
            for entry in &entries[..cut] { tree.push(entry); }
            prop_assert_eq!(tree.root(), by_definition(&entries[..cut]));
            let mut again = TreeBuilder::from_frontier(tree.size(), tree.frontier()).unwrap();
            for entry in &entries[cut..] { again.push(entry); }
            prop_assert_eq!(again.root(), by_definition(&entries));
            prop_assert_eq!(again.size(), entries.len() as u64);
        }
    }
}
