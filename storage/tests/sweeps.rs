//! `gc` removes only what nothing names; `scrub` finds what is damaged or missing.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::{HashMap, HashSet};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chiron_storage::sweep::{gc, scrub};
use chiron_storage::{Blake3, Blob, BlobOptions, BlobStore, Digest, ScrubReport, SweepReport};

async fn store_with(root: &Path, count: usize) -> (BlobStore, Vec<Blob>) {
    let options = BlobOptions {
        min_free_bytes: 0,
        open_files: 16,
    };
    let store = BlobStore::open_at(root, options).unwrap();
    let documents = (0..count).map(|n| content(n).into()).collect();
    let blobs = store.put_all(documents).await.unwrap();
    (store, blobs)
}

fn content(n: usize) -> Vec<u8> {
    format!("{n:>1000}").into_bytes()
}

fn overwrite(root: &Path, digest: &Digest) {
    let name = digest.to_string();
    let path = root.join("blobs").join(&name[..2]).join(&name[2..]);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(&path, "something else").unwrap();
}

#[tokio::test]
async fn gc_keeps_the_living_and_the_young() {
    let root = tempfile::tempdir().unwrap();
    let (store, blobs) = store_with(root.path(), 10).await;
    let live: HashSet<Digest> = blobs[..4].iter().map(|blob| blob.digest).collect();
    let young = gc(&store, &live, Duration::from_hours(1), false).await.unwrap();
    let expected = SweepReport {
        kept: 4,
        kept_bytes: 4000,
        young: 6,
        ..SweepReport::default()
    };
    assert_eq!(young, expected);

    let old = SweepReport {
        young: 0,
        removed: 6,
        removed_bytes: 6000,
        ..expected
    };
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert_eq!(gc(&store, &live, Duration::ZERO, true).await.unwrap(), old);
    assert_eq!(store.list().count(), 10, "a dry run removes nothing");
    assert_eq!(gc(&store, &live, Duration::ZERO, false).await.unwrap(), old);
    assert_eq!(store.list().map(Result::unwrap).collect::<HashSet<_>>(), live);
    let again = gc(&store, &live, Duration::ZERO, false).await.unwrap();
    assert_eq!((again.kept, again.removed), (4, 0));
}

#[tokio::test]
async fn scrub_finds_damage_and_gaps() {
    let root = tempfile::tempdir().unwrap();
    let (store, blobs) = store_with(root.path(), 9).await;
    // With a BLAKE3 on record, with a wrong one, and with none.
    let mut expected: HashMap<Digest, Option<Blake3>> = HashMap::new();
    for (n, blob) in blobs.iter().enumerate() {
        let quick = [Some(Blake3::of(&content(n))), Some(Blake3::of(b"wrong")), None][n % 3];
        expected.insert(blob.digest, quick);
    }
    let clean = scrub(&store, &expected, &AtomicBool::new(false), |_| {})
        .await
        .unwrap();
    let all_sound = ScrubReport {
        checked: 9,
        bytes: 9000,
        ..ScrubReport::default()
    };
    assert_eq!(clean, all_sound);

    for blob in &blobs[..3] {
        overwrite(root.path(), &blob.digest);
    }
    store.delete(&blobs[8].digest).await.unwrap();
    let mut calls = Vec::new();
    let found = scrub(&store, &expected, &AtomicBool::new(false), |progress| {
        calls.push(*progress);
    })
    .await
    .unwrap();
    let mut damaged: Vec<_> = blobs[..3].iter().map(|blob| blob.digest).collect();
    damaged.sort();
    assert_eq!((found.corrupt, found.missing), (damaged, vec![blobs[8].digest]));
    assert_eq!((found.checked, calls.len()), (8, 8));
    assert_eq!(calls[7].corrupt, 3);
    assert!(
        store.exists(&blobs[0].digest).await.unwrap(),
        "the caller decides what follows"
    );
}

#[tokio::test]
async fn scrub_can_be_stopped() {
    let root = tempfile::tempdir().unwrap();
    let (store, _) = store_with(root.path(), 9).await;
    let cancel = AtomicBool::new(false);
    let stopped = scrub(&store, &HashMap::new(), &cancel, |progress| {
        cancel.store(progress.checked == 3, Ordering::Relaxed);
    })
    .await
    .unwrap();
    assert!(stopped.cancelled);
    assert_eq!(stopped.checked, 3);
}
