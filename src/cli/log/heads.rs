//! Signed checkpoints of one log, from wherever they come: no two contradict each other, and proofs connect them.

use std::collections::BTreeMap;
use std::path::Path;

use chiron_storage::Digest;
use chiron_storage::log::{Checkpoint, ConsistencyProof, open_checkpoint};

use super::prove;
use crate::cli::exit::Failure;

/// A signed checkpoint and where it comes from.
#[derive(Debug, Clone)]
pub struct Head {
    whence: String,
    size: u64,
    root: Digest,
}

/// Which signed trees are known, and which of them were proved to be one log.
#[derive(Debug, Default)]
pub struct Heads {
    /// By size: two roots for one size are two logs.
    heads: BTreeMap<u64, Head>,
    /// Proved steps from a size to a larger one.
    steps: Vec<(u64, u64)>,
}

/// Verifies the signature of a checkpoint that came in a file.
pub fn signed(whence: &str, note: &[u8], key: &str) -> Result<Checkpoint, Failure> {
    open_checkpoint(key, note).map_err(|error| {
        Failure::integrity(format_args!(
            "the checkpoint in {whence} does not verify with the key {key}: {error}"
        ))
        .next("is it this log's key, and this log's checkpoint? What another key signed says nothing of this log")
    })
}

impl Heads {
    /// Takes a signed checkpoint in. Threat: a log that shows different people different histories.
    pub fn add(&mut self, whence: &str, checkpoint: &Checkpoint) -> Result<Head, Failure> {
        let head = Head {
            whence: whence.to_owned(),
            size: checkpoint.size,
            root: checkpoint.root,
        };
        let known = self.heads.entry(head.size).or_insert_with(|| head.clone());
        if known.root == head.root {
            return Ok(head);
        }
        Err(Failure::integrity(format_args!(
            "the key signed two different logs of {} events: {} in {}, {} in {}",
            head.size, known.root, known.whence, head.root, head.whence
        ))
        .next("keep both: together they prove that the log shows different histories to different people"))
    }

    /// Proves that one log continues another.
    pub fn step(&mut self, path: &Path, proof: &ConsistencyProof, key: &str) -> Result<(), Failure> {
        let known = self.heads.get(&proof.old).map(|head| head.root);
        let old_root = match known {
            Some(root) => root,
            // Every log continues the empty one.
            None if proof.old == 0 => Digest::of(b""),
            None => {
                return Err(Failure::usage(format_args!(
                    "{} begins at the log of {}, and no checkpoint of that size is given",
                    path.display(),
                    proof.old
                ))
                .next("give the checkpoint that you kept: --since FILE"));
            }
        };
        let checkpoint = proof
            .verify(old_root, key)
            .map_err(|error| prove::wrong(&format_args!("{}: {error}", path.display())))?;
        self.steps.push((proof.old, checkpoint.size));
        Ok(())
    }

    /// Whether all of these are of one log. What is not connected may be of two histories.
    pub fn are_one_log(&self, wanted: &[Head]) -> Result<(), Failure> {
        let Some(first) = wanted.first() else {
            return Ok(());
        };
        let mut reached = vec![first.size];
        let mut at = 0;
        while let Some(&size) = reached.get(at) {
            for &(from, to) in &self.steps {
                for (here, there) in [(from, to), (to, from)] {
                    if here == size && !reached.contains(&there) {
                        reached.push(there);
                    }
                }
            }
            at += 1;
        }
        match wanted.iter().find(|head| !reached.contains(&head.size)) {
            None => Ok(()),
            Some(head) => {
                let (small, large) = (first.size.min(head.size), first.size.max(head.size));
                Err(Failure::not_admitted(format_args!(
                    "nothing shows that the log of {} in {} and the log of {} in {} are one",
                    first.size, first.whence, head.size, head.whence
                ))
                .next(format_args!(
                    "make the proof and give it too: chiron log prove --from {small} --to {large} --out FILE, then --proof FILE"
                )))
            }
        }
    }

    /// Proved steps from a size to a larger one.
    pub fn steps(&self) -> impl Iterator<Item = (u64, u64)> {
        self.steps.iter().copied()
    }

    /// Entries of the largest of them.
    pub fn newest(&self) -> u64 {
        self.heads.keys().next_back().copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::cli::exit::ExitStatus;

    fn checkpoint(size: u64, root: &str) -> Checkpoint {
        Checkpoint {
            origin: "example.org/log".to_owned(),
            size,
            root: Digest::of(root.as_bytes()),
        }
    }

    #[test]
    fn two_roots_of_one_size_are_two_logs() {
        let mut heads = Heads::default();
        heads.add("a.txt", &checkpoint(5, "one")).unwrap();
        heads.add("b.txt", &checkpoint(5, "one")).unwrap();
        heads.add("c.txt", &checkpoint(6, "more")).unwrap();
        let failure = heads.add("d.txt", &checkpoint(5, "other")).unwrap_err();
        assert_eq!(failure.status, ExitStatus::Integrity);
        assert!(
            failure.what.contains("a.txt") && failure.what.contains("d.txt"),
            "{failure}"
        );
    }

    #[test]
    fn logs_are_one_when_steps_connect_them() {
        let mut heads = Heads::default();
        let wanted: Vec<Head> = [5, 9, 20]
            .map(|size| {
                heads
                    .add(&format!("{size}.txt"), &checkpoint(size, "root"))
                    .unwrap()
            })
            .into();
        assert!(heads.are_one_log(&[]).is_ok());
        assert!(heads.are_one_log(&wanted[..1]).is_ok());
        let failure = heads.are_one_log(&wanted).unwrap_err();
        assert_eq!(failure.status, ExitStatus::NotAdmitted);
        assert!(failure.next.unwrap().contains("--from 5 --to 9 "));
        heads.steps.push((5, 20));
        let failure = heads.are_one_log(&wanted).unwrap_err();
        assert!(failure.what.contains("9.txt"), "{}", failure.what);
        heads.steps.push((9, 20));
        assert!(heads.are_one_log(&wanted).is_ok(), "by way of the log of 20");
    }
}
