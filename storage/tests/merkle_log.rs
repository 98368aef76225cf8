//! The log against a naive reading of RFC 6962 and of C2SP tlog-tiles.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::Path;

use chiron_storage::log::{TreeBuilder, leaf_hash, open_checkpoint, verify_consistency, verify_inclusion};
use chiron_storage::{Db, DbError, DbOptions, Digest, Log, LogError, LogKey, Raw, Table};
use proptest::prelude::*;

fn open(path: &Path) -> Log {
    let options = DbOptions {
        cache_bytes: 8 << 20,
        readers: 4,
        min_free_bytes: 0,
        families: &[],
    };
    Log::new(
        Db::open(path, options).unwrap(),
        LogKey::generate("example.org/log").unwrap(),
    )
}

fn db(path: &Path) -> Db {
    let options = DbOptions {
        min_free_bytes: 0,
        ..DbOptions::default()
    };
    Db::open(path, options).unwrap()
}

fn entry(number: u64) -> Vec<u8> {
    format!("entry {number}").into_bytes()
}

async fn grow(db: &Db, log: &Log, count: u64) -> Result<Vec<u64>, LogError> {
    let log = log.clone();
    db.transact(move |tx| {
        let first = Log::size_in_tx(tx)?;
        (first..first + count)
            .map(|number| log.append(tx, &entry(number)))
            .collect()
    })
    .await
}

/// RFC 6962, section 2.1: the Merkle Tree Hash of the entries.
fn naive_root(leaves: &[Digest]) -> Digest {
    match leaves {
        [] => Digest::of(b""),
        [leaf] => *leaf,
        _ => {
            let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
            node(naive_root(left), naive_root(right))
        }
    }
}

fn node(left: Digest, right: Digest) -> Digest {
    Digest::of(&[&[1], left.as_bytes().as_slice(), right.as_bytes()].concat())
}

/// RFC 6962, section 2.1.1: PATH(m, D[n]).
fn naive_path(m: usize, leaves: &[Digest]) -> Vec<Digest> {
    if leaves.len() <= 1 {
        return Vec::new();
    }
    let k = leaves.len().next_power_of_two() / 2;
    let (left, right) = leaves.split_at(k);
    let (mut path, other) = if m < k {
        (naive_path(m, left), naive_root(right))
    } else {
        (naive_path(m - k, right), naive_root(left))
    };
    path.push(other);
    path
}

/// RFC 6962, section 2.1.2: SUBPROOF(m, D[n], b).
fn naive_subproof(m: usize, leaves: &[Digest], whole: bool) -> Vec<Digest> {
    if m == leaves.len() {
        return if whole {
            Vec::new()
        } else {
            vec![naive_root(leaves)]
        };
    }
    let k = leaves.len().next_power_of_two() / 2;
    let (left, right) = leaves.split_at(k);
    let (mut proof, other) = if m <= k {
        (naive_subproof(m, left, whole), naive_root(right))
    } else {
        (naive_subproof(m - k, right, false), naive_root(left))
    };
    proof.push(other);
    proof
}

fn leaves(count: u64) -> Vec<Digest> {
    (0..count)
        .map(|number| Digest::of(&[b"\0", entry(number).as_slice()].concat()))
        .collect()
}

#[tokio::test]
async fn every_proof_of_every_small_tree() {
    const SIZE: u64 = 70;
    let folder = tempfile::tempdir().unwrap();
    let db = db(folder.path());
    let log = Log::new(db.clone(), LogKey::generate("example.org/log").unwrap());
    assert_eq!(
        grow(&db, &log, SIZE).await.unwrap(),
        (0..SIZE).collect::<Vec<_>>()
    );
    let leaves = leaves(SIZE);
    assert_eq!(leaf_hash(&entry(3)), leaves[3]);
    for size in 0..=SIZE {
        let now = &leaves[..usize::try_from(size).unwrap()];
        let root = log.root(size).await.unwrap();
        assert_eq!(root, naive_root(now), "root of {size}");
        let frontier = log.frontier(size).await.unwrap();
        let begun = TreeBuilder::from_frontier(size, &frontier).unwrap();
        assert_eq!(begun.root(), root, "frontier of {size}");
        for (number, leaf) in (0..size).zip(now) {
            let proof = log.prove_inclusion(number, size).await.unwrap();
            assert_eq!(proof, naive_path(usize::try_from(number).unwrap(), now));
            verify_inclusion(&proof, number, *leaf, size, root).unwrap();
            assert!(verify_inclusion(&proof, number, leaf_hash(b"other"), size, root).is_err());
        }
        for from in 0..=size {
            let before = usize::try_from(from).unwrap();
            let proof = log.prove_consistency(from, size).await.unwrap();
            if from > 0 {
                assert_eq!(proof, naive_subproof(before, now, true), "{from} to {size}");
            }
            let from_root = naive_root(&leaves[..before]);
            verify_consistency(&proof, from, from_root, size, root).unwrap();
            let forged = leaf_hash(b"other");
            assert!(verify_consistency(&proof, from, forged, size, root).is_err());
            if from > 0 {
                assert!(verify_consistency(&proof, from, from_root, size, forged).is_err());
            }
        }
        let beyond = log.prove_inclusion(size, size).await;
        assert!(matches!(beyond, Err(LogError::OutOfRange { .. })));
    }
    assert!(matches!(
        log.root(SIZE + 1).await,
        Err(LogError::OutOfRange { asked: 71, size: 70 })
    ));
    assert!(matches!(
        log.prove_consistency(5, 4).await,
        Err(LogError::OutOfRange { .. })
    ));
}

#[tokio::test]
async fn tiles_and_bundles_of_every_width() {
    const SIZE: u64 = 256 * 256 + 300;
    let folder = tempfile::tempdir().unwrap();
    let db = db(folder.path());
    let log = Log::new(db.clone(), LogKey::generate("example.org/log").unwrap());
    grow(&db, &log, SIZE).await.unwrap();
    let leaves = leaves(SIZE);
    let join = |hashes: &[Digest]| {
        hashes
            .iter()
            .flat_map(|hash| *hash.as_bytes())
            .collect::<Vec<u8>>()
    };

    let last = 257;
    for width in 1..=256u16 {
        let at = last * 256;
        let whole = usize::from(width) <= leaves.len() - at;
        let tile = log.tile(0, last as u64, width).await.unwrap();
        assert_eq!(tile.is_some(), whole, "width {width}");
        if let Some(tile) = tile {
            assert_eq!(tile, join(&leaves[at..at + usize::from(width)]));
        }
        let bundle = log.entry_bundle(last as u64, width).await.unwrap();
        assert_eq!(bundle.is_some(), whole, "width {width}");
        if let Some(bundle) = bundle {
            let mut expected = Vec::new();
            for number in at..at + usize::from(width) {
                let entry = entry(number as u64);
                expected.extend(u16::try_from(entry.len()).unwrap().to_be_bytes());
                expected.extend(entry);
            }
            assert_eq!(bundle, expected);
        }
    }
    assert_eq!(
        log.tile(0, 3, 256).await.unwrap().unwrap(),
        join(&leaves[768..1024])
    );
    let level_one: Vec<Digest> = leaves.chunks_exact(256).map(naive_root).collect();
    assert_eq!(
        log.tile(1, 0, 256).await.unwrap().unwrap(),
        join(&level_one[..256])
    );
    assert_eq!(log.tile(1, 1, 1).await.unwrap().unwrap(), join(&level_one[256..]));
    assert_eq!(log.tile(1, 1, 2).await.unwrap(), None);
    let level_two = [naive_root(&leaves[..65_536])];
    assert_eq!(log.tile(2, 0, 1).await.unwrap().unwrap(), join(&level_two));
    for (level, index, width) in [
        (0, 0, 0),
        (0, 0, 257),
        (3, 0, 1),
        (8, 0, 1),
        (255, 0, 1),
        (0, u64::MAX, 1),
        (7, u64::MAX / 256, 256),
    ] {
        assert_eq!(
            log.tile(level, index, width).await.unwrap(),
            None,
            "{level}/{index}.p/{width}"
        );
    }
    assert_eq!(log.entry_bundle(u64::MAX, 1).await.unwrap(), None);
}

#[tokio::test]
async fn survives_a_restart_and_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let key_path = folder.path().join("log.key");
    LogKey::generate("example.org/log")
        .unwrap()
        .store(&key_path)
        .unwrap();
    let mut earlier: Vec<(u64, Digest)> = Vec::new();
    for round in 0..4u64 {
        let db = db(&folder.path().join("db"));
        let log = Log::new(db.clone(), LogKey::load(&key_path).unwrap());
        grow(&db, &log, round * 3 + 1).await.unwrap();
        let note = log.checkpoint().await.unwrap();
        let head = open_checkpoint(log.key().verifier(), &note).unwrap();
        assert_eq!(head.size, log.size().await.unwrap());
        assert_eq!(
            note,
            log.checkpoint_at(head.size).await.unwrap(),
            "the same bytes each time"
        );
        for (size, root) in &earlier {
            let proof = log.prove_consistency(*size, head.size).await.unwrap();
            verify_consistency(&proof, *size, *root, head.size, head.root).unwrap();
            let old = log.checkpoint_at(*size).await.unwrap();
            assert_eq!(open_checkpoint(log.key().verifier(), &old).unwrap().root, *root);
        }
        earlier.push((head.size, head.root));
    }
    assert_eq!(earlier.last().unwrap().0, 1 + 4 + 7 + 10);
}

#[tokio::test]
async fn a_failed_transaction_leaves_no_trace_in_the_tree() {
    let folder = tempfile::tempdir().unwrap();
    let db = db(folder.path());
    let log = Log::new(db.clone(), LogKey::generate("example.org/log").unwrap());
    grow(&db, &log, 5).await.unwrap();
    let appender = log.clone();
    let failed: Result<(), LogError> = db
        .transact(move |tx| {
            assert_eq!(appender.append(tx, b"never happened")?, 5);
            Err(DbError::Closed.into())
        })
        .await;
    assert!(matches!(failed, Err(LogError::Db(DbError::Closed))));
    grow(&db, &log, 2).await.unwrap();
    assert_eq!(log.root(7).await.unwrap(), naive_root(&leaves(7)));
    assert_eq!(log.entry(5).await.unwrap().unwrap(), entry(5));
    assert_eq!(log.entry(7).await.unwrap(), None);
    let tail = log.entries(5, 10).await.unwrap();
    assert_eq!(tail, [(5, entry(5).into()), (6, entry(6).into())]);
    assert_eq!(log.entries(0, 2).await.unwrap().len(), 2);
}

#[tokio::test]
async fn an_audit_finds_what_was_changed_behind_the_log() {
    const ENTRIES: Table<u64, Raw> = Table::new("entries");
    let folder = tempfile::tempdir().unwrap();
    let db = db(folder.path());
    let log = Log::new(db.clone(), LogKey::generate("example.org/log").unwrap());
    for size in 0..=40 {
        assert_eq!(log.audit().await.unwrap(), (size, naive_root(&leaves(size))));
        grow(&db, &log, 1).await.unwrap();
    }
    let change = |number: u64, value: Option<Vec<u8>>| {
        let db = db.clone();
        async move {
            let set: Result<(), DbError> = db
                .transact(move |tx| match value {
                    Some(value) => tx.put(&ENTRIES, &number, &value.into()),
                    None => tx.delete(&ENTRIES, &number),
                })
                .await;
            set.unwrap();
        }
    };
    for (number, value) in [(17, Some(b"other".to_vec())), (17, None), (41, Some(entry(41)))] {
        change(number, value).await;
        assert!(
            matches!(log.audit().await, Err(LogError::Damaged { .. })),
            "{number}"
        );
        change(17, Some(entry(17))).await;
    }
    change(41, None).await;
    assert_eq!(log.audit().await.unwrap().0, 41);
}

#[tokio::test]
async fn an_entry_has_a_largest_size() {
    let folder = tempfile::tempdir().unwrap();
    let db = db(folder.path());
    let log = Log::new(db.clone(), LogKey::generate("example.org/log").unwrap());
    for (length, fits) in [(65_535, true), (65_536, false)] {
        let appender = log.clone();
        let appended: Result<u64, LogError> =
            db.transact(move |tx| appender.append(tx, &vec![7; length])).await;
        assert_eq!(appended.is_ok(), fits);
        if !fits {
            assert!(matches!(appended, Err(LogError::EntryTooLarge { bytes: 65_536 })));
        }
    }
    let bundle = log.entry_bundle(0, 1).await.unwrap().unwrap();
    assert_eq!((bundle.len(), &bundle[..2]), (65_537, &[255, 255][..]));
}

#[tokio::test]
async fn the_empty_tree() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path());
    let head = open_checkpoint(log.key().verifier(), &log.checkpoint().await.unwrap()).unwrap();
    assert_eq!((head.size, head.root), (0, Digest::of(b"")));
    assert_eq!(log.tile(0, 0, 1).await.unwrap(), None);
    assert_eq!(log.entry_bundle(0, 1).await.unwrap(), None);
    verify_consistency(&[], 0, head.root, 0, head.root).unwrap();
    assert!(verify_consistency(&[], 0, Digest::of(b"x"), 5, Digest::of(b"y")).is_err());
    assert!(verify_inclusion(&[], 0, Digest::of(b"x"), 0, head.root).is_err());
}

proptest! {
    /// A proof with anything changed in it proves nothing; no input makes the check panic.
    #[test]
    fn changed_proofs_fail(
        size in 1u64..200,
        number in 0u64..200,
        drop_at: prop::sample::Index,
        flip: (prop::sample::Index, usize, u8),
        noise in prop::collection::vec(any::<[u8; 32]>(), 0..80),
    ) {
        let number = number % size;
        let leaves = leaves(size);
        let at = usize::try_from(number).unwrap();
        let (root, leaf) = (naive_root(&leaves), leaves[at]);
        let proof = naive_path(at, &leaves);
        verify_inclusion(&proof, number, leaf, size, root).unwrap();
        if !proof.is_empty() {
            let mut shorter = proof.clone();
            shorter.remove(drop_at.index(proof.len()));
            prop_assert!(verify_inclusion(&shorter, number, leaf, size, root).is_err());
            let mut flipped = proof.clone();
            let place = flip.0.index(proof.len());
            let mut bytes = *flipped[place].as_bytes();
            bytes[flip.1 % 32] ^= 1 << (flip.2 % 8);
            flipped[place] = Digest::from_bytes(bytes);
            prop_assert!(verify_inclusion(&flipped, number, leaf, size, root).is_err());
        }
        let mut longer = proof.clone();
        longer.push(root);
        prop_assert!(verify_inclusion(&longer, number, leaf, size, root).is_err());
        let noise: Vec<Digest> = noise.into_iter().map(Digest::from_bytes).collect();
        prop_assert!(verify_inclusion(&noise, u64::MAX - 1, leaf, u64::MAX, root).is_err());
        prop_assert!(verify_consistency(&noise, number, leaf, u64::MAX, root).is_err());
    }
}
