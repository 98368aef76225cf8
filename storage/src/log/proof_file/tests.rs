#![allow(clippy::unwrap_used, clippy::expect_used)]

use proptest::prelude::*;

use super::*;
use crate::log::LogKey;
use crate::log::checkpoint::sign;

fn node(left: Digest, right: Digest) -> Digest {
    Digest::of(&[&[1], &left.as_bytes()[..], &right.as_bytes()[..]].concat())
}

fn half(size: usize) -> usize {
    size.next_power_of_two() / 2
}

/// RFC 6962, section 2.1.
fn root(leaves: &[Digest]) -> Digest {
    match leaves {
        [] => Digest::of(b""),
        [one] => *one,
        many => {
            let (left, right) = many.split_at(half(many.len()));
            node(root(left), root(right))
        }
    }
}

/// RFC 6962, section 2.1.1.
fn path(number: usize, leaves: &[Digest]) -> Vec<Digest> {
    if leaves.len() <= 1 {
        return Vec::new();
    }
    let (left, right) = leaves.split_at(half(leaves.len()));
    let (mut below, sibling) = match number.checked_sub(left.len()) {
        None => (path(number, left), root(right)),
        Some(number) => (path(number, right), root(left)),
    };
    below.push(sibling);
    below
}

/// RFC 6962, section 2.1.2.
fn consistency(old: usize, leaves: &[Digest], whole: bool) -> Vec<Digest> {
    if old == leaves.len() {
        return if whole { Vec::new() } else { vec![root(leaves)] };
    }
    let (left, right) = leaves.split_at(half(leaves.len()));
    let (mut below, sibling) = match old.checked_sub(left.len()) {
        None | Some(0) => (consistency(old, left, whole), root(right)),
        Some(old) => (consistency(old, right, false), root(left)),
    };
    below.push(sibling);
    below
}

struct Example {
    key: LogKey,
    entries: Vec<Vec<u8>>,
    leaves: Vec<Digest>,
}

impl Example {
    fn of(size: usize) -> Self {
        let entries: Vec<Vec<u8>> = (0..size).map(|n| format!("entry {n}").into_bytes()).collect();
        Self {
            key: LogKey::generate("example.org/log").unwrap(),
            leaves: entries.iter().map(|entry| leaf_hash(entry)).collect(),
            entries,
        }
    }

    fn checkpoint(&self, size: usize) -> Vec<u8> {
        sign(&self.key, size as u64, root(&self.leaves[..size])).unwrap()
    }

    fn inclusion(&self, number: usize, size: usize) -> InclusionProof {
        InclusionProof {
            entry: Some(self.entries[number].clone()),
            number: number as u64,
            hashes: path(number, &self.leaves[..size]),
            checkpoint: self.checkpoint(size),
        }
    }

    fn consistency(&self, old: usize, size: usize) -> ConsistencyProof {
        ConsistencyProof {
            old: old as u64,
            hashes: consistency(old, &self.leaves[..size], true),
            checkpoint: self.checkpoint(size),
        }
    }
}

fn read_back(bytes: &[u8]) -> ProofFile {
    let proof = ProofFile::parse(bytes).unwrap();
    assert_eq!(proof.to_bytes(), bytes);
    proof
}

#[test]
fn every_entry_of_every_tree_is_proved() {
    let log = Example::of(20);
    for size in 1..=20 {
        for number in 0..size {
            let proof = log.inclusion(number, size);
            assert_eq!(read_back(&proof.to_bytes()), ProofFile::Inclusion(proof.clone()));
            let checkpoint = proof.verify(&log.entries[number], log.key.verifier()).unwrap();
            assert_eq!(checkpoint.size, size as u64);
            let other = &log.entries[(number + 1) % 20];
            let refused = proof.verify(other, log.key.verifier());
            assert!(matches!(refused, Err(LogError::Proof { .. })), "{refused:?}");
        }
    }
}

#[test]
fn every_tree_continues_every_smaller_one() {
    let log = Example::of(20);
    for size in 1..=20 {
        for old in 1..=size {
            let proof = log.consistency(old, size);
            assert_eq!(
                read_back(&proof.to_bytes()),
                ProofFile::Consistency(proof.clone())
            );
            let old_root = root(&log.leaves[..old]);
            let checkpoint = proof.verify(old_root, log.key.verifier()).unwrap();
            assert_eq!(checkpoint.size, size as u64);
            let refused = proof.verify(Digest::of(b"another root"), log.key.verifier());
            assert!(matches!(refused, Err(LogError::Proof { .. })), "{refused:?}");
        }
    }
}

#[test]
fn the_file_is_that_of_the_specification() {
    let log = Example::of(3);
    let text = String::from_utf8(log.inclusion(1, 3).to_bytes()).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let encoded = |digest: Digest| BASE64_STANDARD.encode(digest.as_bytes());
    assert_eq!(
        lines[..6],
        [
            "c2sp.org/tlog-proof@v1",
            "extra ZW50cnkgMQ==",
            "index 1",
            &encoded(log.leaves[0]),
            &encoded(log.leaves[2]),
            "",
        ]
    );
    assert_eq!(lines[6..8], ["example.org/log", "3"]);
    assert!(text.ends_with(&String::from_utf8(log.checkpoint(3)).unwrap()));

    let text = String::from_utf8(log.consistency(2, 3).to_bytes()).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(
        lines[..4],
        ["old 2", &encoded(log.leaves[2]), "", "example.org/log"]
    );
}

#[test]
fn an_entry_may_be_left_out() {
    let log = Example::of(2);
    let proof = InclusionProof {
        entry: None,
        ..log.inclusion(0, 2)
    };
    let text = String::from_utf8(proof.to_bytes()).unwrap();
    assert_eq!(text.lines().nth(1), Some("index 0"));
    assert_eq!(read_back(text.as_bytes()), ProofFile::Inclusion(proof.clone()));
    assert!(proof.verify(&log.entries[0], log.key.verifier()).is_ok());
}

#[test]
fn another_logs_key_does_not_verify() {
    let (log, other) = (Example::of(5), Example::of(5));
    let refused = log.inclusion(2, 5).verify(&log.entries[2], other.key.verifier());
    assert!(matches!(refused, Err(LogError::Checkpoint { .. })));
    let old = root(&log.leaves[..2]);
    let refused = log.consistency(2, 5).verify(old, other.key.verifier());
    assert!(matches!(refused, Err(LogError::Checkpoint { .. })));
    assert!(matches!(
        log.inclusion(2, 5).verify(&log.entries[2], "nonsense"),
        Err(LogError::Key { .. })
    ));
}

#[test]
fn a_number_or_a_size_that_does_not_fit_is_refused() {
    let log = Example::of(5);
    for number in [0, 1, 3, 5, u64::MAX] {
        let proof = InclusionProof {
            number,
            ..log.inclusion(2, 5)
        };
        assert!(
            proof.verify(&log.entries[2], log.key.verifier()).is_err(),
            "{number}"
        );
    }
    for old in [1, 2, 4, 5, 6, u64::MAX] {
        let proof = ConsistencyProof {
            old,
            ..log.consistency(3, 5)
        };
        let old_root = root(&log.leaves[..3]);
        assert!(proof.verify(old_root, log.key.verifier()).is_err(), "{old}");
    }
    // The empty tree has one root and needs no proof.
    let proof = ConsistencyProof {
        old: 0,
        hashes: Vec::new(),
        checkpoint: log.checkpoint(5),
    };
    assert!(proof.verify(root(&[]), log.key.verifier()).is_ok());
    assert!(proof.verify(Digest::of(b"x"), log.key.verifier()).is_err());
}

type Fits<'a> = &'a dyn Fn(&ProofFileError) -> bool;

#[test]
fn what_is_no_proof_is_refused_and_says_where() {
    let log = Example::of(3);
    let good = String::from_utf8(log.inclusion(1, 3).to_bytes()).unwrap();
    let second = BASE64_STANDARD.encode(log.leaves[2].as_bytes());
    let at = |line| move |error: &ProofFileError| matches!(error, ProofFileError::Line { line: l, .. } if *l == line);
    let kind = |error: &ProofFileError| *error == ProofFileError::Kind;
    let cases: [(String, Fits<'_>); 18] = [
        (String::new(), &kind),
        ("\n".to_owned(), &kind),
        ("example.org/log\n3\n".to_owned(), &kind),
        (good.replace("@v1", "@v2"), &kind),
        (good.replace('\n', "\r\n"), &kind),
        (format!(" {good}"), &kind),
        (good.replace("extra ZW", "extra  ZW"), &at(2)),
        (good.replace("MQ==", "MQ"), &at(2)),
        (good.replace("MQ==", "MR=="), &at(2)),
        (good.replace("index 1", "index 01"), &at(3)),
        (good.replace("index 1", "index +1"), &at(3)),
        (good.replace("index 1", "index -1"), &at(3)),
        (good.replace("index 1", "index 18446744073709551616"), &at(3)),
        (good.replace("index 1\n", ""), &at(3)),
        (good.replace(&second, &second[4..]), &at(5)),
        (good.replace(&second, &format!("{second} ")), &at(5)),
        (good.split_inclusive('\n').take(4).collect(), &at(4)),
        ("old 00\n\n".to_owned(), &at(1)),
    ];
    for (text, fits) in cases {
        let error = ProofFile::parse(text.as_bytes()).unwrap_err();
        assert!(fits(&error), "{error}: {text}");
    }
}

#[test]
fn endless_proofs_are_not_read() {
    let hash = BASE64_STANDARD.encode([7; 32]);
    let lines = |count: usize| format!("old 1\n{}\n", format!("{hash}\n").repeat(count));
    assert!(ProofFile::parse(lines(64).as_bytes()).is_ok());
    assert_eq!(
        ProofFile::parse(lines(65).as_bytes()),
        Err(ProofFileError::Hashes)
    );
    let long = vec![b'a'; MAX_PROOF_BYTES + 1];
    assert_eq!(ProofFile::parse(&long), Err(ProofFileError::TooLong(long.len())));
    let entry = |bytes: usize| {
        let proof = InclusionProof {
            entry: Some(vec![0; bytes]),
            number: 0,
            hashes: Vec::new(),
            checkpoint: Vec::new(),
        };
        ProofFile::parse(&proof.to_bytes()).is_ok()
    };
    assert!(entry(MAX_ENTRY_BYTES));
    assert!(!entry(MAX_ENTRY_BYTES + 1));
}

proptest! {
    /// Whatever is read is written the same: a proof has one spelling.
    #[test]
    fn any_bytes_are_refused_or_read_back(text in "(c2sp.org/tlog-proof@v1\n|old [0-9]{1,2}\n)?(extra [a-zA-Z0-9=]{0,8}\n)?(index [0-9]{1,2}\n)?[a-z\n]{0,4}") {
        if let Ok(proof) = ProofFile::parse(text.as_bytes()) {
            prop_assert_eq!(proof.to_bytes(), text.as_bytes());
        }
    }

    /// No byte of a proof can be changed.
    #[test]
    fn a_changed_proof_is_not_believed(at in any::<prop::sample::Index>(), flip in 1_u8..=255) {
        let log = Example::of(7);
        let mut bytes = log.inclusion(4, 7).to_bytes();
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        if let Ok(ProofFile::Inclusion(proof)) = ProofFile::parse(&bytes) {
            let entry = proof.entry.clone().unwrap_or_default();
            prop_assert!(proof.verify(&entry, log.key.verifier()).is_err());
        }
    }
}
