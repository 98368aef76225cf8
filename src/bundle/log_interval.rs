//! Entries of the sender's log, held against its root hash as they come.

use chiron_storage::Digest;
use chiron_storage::log::{TreeBuilder, leaf_hash, verify_inclusion};

use super::{BundleError, Seen};

/// Consecutive entries from a frontier to the end. Whether they are the sender's is known at the end only.
#[derive(Debug)]
pub(super) struct Interval {
    tree: TreeBuilder,
    /// States on the way that are known from before, smallest first.
    known: Vec<Seen>,
    end: Seen,
}

impl Interval {
    /// From `tree` to `end`. States in `known` below the beginning show nothing, and are left out.
    pub(super) fn new(
        tree: TreeBuilder,
        known: impl IntoIterator<Item = Seen>,
        end: Seen,
    ) -> Result<Self, BundleError> {
        let begins = tree.size();
        let mut known: Vec<Seen> = known.into_iter().filter(|state| state.size >= begins).collect();
        known.sort_by_key(|state| state.size);
        let interval = Self { tree, known, end };
        interval.hold_against_known()?;
        Ok(interval)
    }

    /// The number of the entry that comes next.
    pub(super) const fn next(&self) -> u64 {
        self.tree.size()
    }

    /// Whether all of them were there.
    pub(super) const fn is_whole(&self) -> bool {
        self.tree.size() == self.end.size
    }

    /// The next entry.
    pub(super) fn push(&mut self, entry: &[u8]) -> Result<(), BundleError> {
        if self.tree.size() >= self.end.size {
            return Err(BundleError::Damaged {
                what: "the log's interval".to_owned(),
                why: format!("it goes on after the {} entries that its log has", self.end.size),
            });
        }
        self.tree.push(entry);
        self.hold_against_known()
    }

    /// The root at the end is the one that is signed.
    pub(super) fn finish(self) -> Result<(), BundleError> {
        let root = self.tree.root();
        if self.is_whole() && root == self.end.root {
            return Ok(());
        }
        Err(BundleError::NotTrusted {
            what: "the log's interval".to_owned(),
            why: format!(
                "its entries make a tree of {} with the root {root}, and {} with {} is signed",
                self.tree.size(),
                self.end.size,
                self.end.root
            ),
        })
    }

    fn hold_against_known(&self) -> Result<(), BundleError> {
        let size = self.tree.size();
        let here = self.known.iter().find(|state| state.size == size);
        let Some(known) = here else {
            return Ok(());
        };
        let root = self.tree.root();
        // All states of one size: the floors may name it twice.
        let same = self
            .known
            .iter()
            .filter(|state| state.size == size)
            .all(|state| state.root == root);
        if same {
            return Ok(());
        }
        Err(BundleError::Fork {
            why: format!(
                "its first {size} entries hash to {root}, and this site has seen {} at that size",
                known.root
            ),
        })
    }
}

/// Single entries, each with its proof, in ascending order.
#[derive(Debug)]
pub(super) struct Proven {
    log: Seen,
    /// Entries below this one have been.
    next: u64,
}

impl Proven {
    /// Of the log in this state.
    pub(super) const fn new(log: Seen) -> Self {
        Self { log, next: 0 }
    }

    /// The next entry, with its audit path (RFC 6962, 2.1.1).
    pub(super) fn push(&mut self, number: u64, entry: &[u8], proof: &[Digest]) -> Result<(), BundleError> {
        let what = || format!("entry {number} of the sender's log");
        if number < self.next {
            return Err(BundleError::Damaged {
                what: what(),
                why: "it stands out of order".to_owned(),
            });
        }
        verify_inclusion(proof, number, leaf_hash(entry), self.log.size, self.log.root).map_err(|error| {
            BundleError::NotTrusted {
                what: what(),
                why: error.to_string(),
            }
        })?;
        self.next = number.saturating_add(1);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    fn entry(number: u64) -> Vec<u8> {
        format!("entry {number}").into_bytes()
    }

    fn tree(size: u64) -> TreeBuilder {
        let mut tree = TreeBuilder::new();
        (0..size).for_each(|number| tree.push(&entry(number)));
        tree
    }

    fn state(size: u64) -> Seen {
        Seen {
            size,
            root: tree(size).root(),
        }
    }

    fn walk(interval: Result<Interval, BundleError>, to: u64) -> Result<(), BundleError> {
        let mut interval = interval?;
        for number in interval.next()..to {
            interval.push(&entry(number))?;
        }
        interval.finish()
    }

    #[test]
    fn an_interval_leads_from_its_base_to_its_end() {
        for (from, to) in [(0, 0), (0, 1), (0, 9), (5, 9), (8, 9), (9, 9)] {
            walk(Interval::new(tree(from), [], state(to)), to).unwrap();
            walk(Interval::new(tree(from), [state(from), state(to)], state(to)), to).unwrap();
        }
    }

    #[test]
    fn a_changed_missing_or_further_entry_is_noticed() {
        let mut interval = Interval::new(tree(2), [], state(4)).unwrap();
        interval.push(&entry(2)).unwrap();
        interval.push(b"another").unwrap();
        assert!(matches!(interval.finish(), Err(BundleError::NotTrusted { .. })));
        let short = walk(Interval::new(tree(2), [], state(4)), 3);
        assert!(matches!(short, Err(BundleError::NotTrusted { .. })));
        let long = walk(Interval::new(tree(2), [], state(4)), 5);
        assert!(matches!(long, Err(BundleError::Damaged { .. })));
    }

    #[test]
    fn a_state_on_the_way_that_was_otherwise_is_a_fork() {
        let other = Seen {
            size: 3,
            root: Digest::of(b"another history"),
        };
        for from in [0, 2, 3] {
            let forked = walk(Interval::new(tree(from), [other], state(6)), 6);
            assert!(matches!(forked, Err(BundleError::Fork { .. })), "{from}");
        }
        let twice = walk(Interval::new(tree(0), [state(3), other], state(6)), 6);
        assert!(matches!(twice, Err(BundleError::Fork { .. })));
        // Before the beginning nothing is seen of it: `Floors::fits` does not let such a bundle in.
        walk(Interval::new(tree(4), [other], state(6)), 6).unwrap();
    }

    /// RFC 6962, 2.1.1, word for word.
    fn path(m: u64, from: u64, to: u64) -> Vec<Digest> {
        let of = |from: u64, to: u64| {
            let mut tree = TreeBuilder::new();
            (from..to).for_each(|number| tree.push(&entry(number)));
            tree.root()
        };
        if to - from <= 1 {
            return Vec::new();
        }
        let k = (to - from).next_power_of_two() / 2;
        let (mut path, other) = if m < k {
            (path(m, from, from + k), of(from + k, to))
        } else {
            (path(m - k, from + k, to), of(from, from + k))
        };
        path.push(other);
        path
    }

    #[test]
    fn single_entries_are_proven_in_order() {
        let mut proven = Proven::new(state(9));
        for number in [0, 3, 8] {
            proven.push(number, &entry(number), &path(number, 0, 9)).unwrap();
        }
        let again = proven.push(3, &entry(3), &path(3, 0, 9));
        assert!(matches!(again, Err(BundleError::Damaged { .. })));
        let beyond = Proven::new(state(9)).push(9, &entry(9), &path(8, 0, 9));
        assert!(matches!(beyond, Err(BundleError::NotTrusted { .. })));
    }

    proptest! {
        #[test]
        fn a_changed_entry_or_proof_is_not_believed(
            number in 0_u64..9, at in any::<prop::sample::Index>(), bit in 0_u8..8, of_proof: bool,
        ) {
            let (mut bytes, mut proof) = (entry(number), path(number, 0, 9));
            if of_proof {
                let at = at.index(proof.len());
                let mut hash = *proof[at].as_bytes();
                hash[usize::from(bit)] ^= 1 << bit;
                proof[at] = Digest::from_bytes(hash);
            } else {
                let at = at.index(bytes.len());
                bytes[at] ^= 1 << bit;
            }
            let found = Proven::new(state(9)).push(number, &bytes, &proof);
            prop_assert!(matches!(found, Err(BundleError::NotTrusted { .. })), "{:?}", found);
        }
    }
}
