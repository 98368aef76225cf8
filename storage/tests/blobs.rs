//! What the blob store promises: whole or not at all, never other bytes than the name says.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{FileExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use chiron_storage::{Blake3, BlobError, BlobOptions, BlobStore, Digest};

fn open(root: &Path) -> BlobStore {
    let options = BlobOptions {
        min_free_bytes: 0,
        open_files: 32,
    };
    BlobStore::open_at(root, options).unwrap()
}

fn path_of(root: &Path, digest: &Digest) -> PathBuf {
    let name = digest.to_string();
    root.join("blobs").join(&name[..2]).join(&name[2..])
}

fn files_in(folder: PathBuf) -> usize {
    fs::read_dir(folder).unwrap().count()
}

/// Bytes that do not repeat, so that a part in the wrong place shows.
fn sample(length: usize) -> Vec<u8> {
    (0u64..).flat_map(u64::to_le_bytes).take(length).collect()
}

/// Changes one bit in place, as a failing disk or a hand would.
fn flip(path: &Path, at: u64) {
    fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
    let file = fs::OpenOptions::new().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 4], at).unwrap();
}

#[tokio::test]
async fn streamed_in_pieces_and_served_whole() {
    let root = tempfile::tempdir().unwrap();
    let store = open(root.path());
    let content = sample(3 * (1 << 20) + 12_345);
    for piece in [1000, 65_536, 1 << 20, content.len()] {
        let mut stage = store.stage(content.len() as u64).await.unwrap();
        for part in content.chunks(piece) {
            stage.write(Bytes::copy_from_slice(part)).await.unwrap();
        }
        assert_eq!(stage.received(), content.len() as u64);
        let staged = stage.finish().await.unwrap();
        assert_eq!(staged.measured().sha256, Digest::of(&content));
        assert_eq!(staged.measured().blake3, Blake3::of(&content));
        let mut seen = Vec::new();
        staged.read_handle().unwrap().read_to_end(&mut seen).unwrap();
        assert_eq!(seen, content);
        let mut tail = [0; 45];
        staged
            .file()
            .read_exact_at(&mut tail, content.len() as u64 - 45)
            .unwrap();
        assert_eq!(tail, content[content.len() - 45..]);
        assert!(!store.exists(&Digest::of(&content)).await.unwrap() || piece > 1000);

        let blob = store.seal(staged).await.unwrap();
        assert_eq!(
            (blob.digest, blob.size),
            (Digest::of(&content), content.len() as u64)
        );
        let opened = store.open(&blob.digest).await.unwrap();
        assert_eq!(opened.bytes(0..u64::MAX), content);
        assert_eq!(opened.bytes(10..20), content[10..20]);
        assert_eq!(
            opened.read(1_000_000..1_000_010).await.unwrap(),
            content[1_000_000..1_000_010]
        );
        assert!(opened.bytes(u64::MAX - 1..u64::MAX).is_empty());
    }
    let mode = fs::metadata(path_of(root.path(), &Digest::of(&content)))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o444);
    assert_eq!(files_in(root.path().join("staging")), 0);
}

#[tokio::test]
async fn documents_of_any_size() {
    let root = tempfile::tempdir().unwrap();
    let store = open(root.path());
    let documents: Vec<Bytes> = [0, 1, 16 << 10, (16 << 10) + 1, 3 << 20]
        .map(|length| sample(length).into())
        .to_vec();
    let blobs = store.put_all(documents.clone()).await.unwrap();
    for (blob, document) in blobs.iter().zip(&documents) {
        assert_eq!(blob.digest, Digest::of(document));
        assert_eq!(store.read(&blob.digest, 3 << 20).await.unwrap(), document);
        assert_eq!(
            store.open(&blob.digest).await.unwrap().bytes(0..blob.size),
            document
        );
    }
    let over = store.read(&blobs[1].digest, 0).await;
    assert!(matches!(over, Err(BlobError::TooLarge { limit: 0 })));
    let mut listed: Vec<_> = store.list().map(Result::unwrap).collect();
    let sorted = listed.is_sorted();
    listed.sort();
    let mut expected: Vec<_> = blobs.iter().map(|blob| blob.digest).collect();
    expected.sort();
    assert_eq!((listed, sorted), (expected, true));
}

#[tokio::test]
async fn past_the_limit_nothing_is_kept() {
    let root = tempfile::tempdir().unwrap();
    let store = open(root.path());
    let mut stage = store.stage(2 << 20).await.unwrap();
    stage.write(sample(2 << 20).into()).await.unwrap();
    let over = stage.write(Bytes::from_static(b"x")).await;
    assert!(matches!(over, Err(BlobError::TooLarge { limit }) if limit == 2 << 20));
    assert!(stage.finish().await.is_err());
    assert_eq!(files_in(root.path().join("staging")), 0);
}

#[tokio::test]
async fn what_is_dropped_is_removed() {
    let root = tempfile::tempdir().unwrap();
    let store = open(root.path());
    let mut stage = store.stage(100).await.unwrap();
    stage.write(Bytes::from_static(b"abc")).await.unwrap();
    assert_eq!(files_in(root.path().join("staging")), 1);
    drop(stage);
    assert_eq!(files_in(root.path().join("staging")), 0);
    let staged = store.stage(100).await.unwrap().finish().await.unwrap();
    assert_eq!(files_in(root.path().join("staging")), 1);
    drop(staged);
    assert_eq!(files_in(root.path().join("staging")), 0);
    assert!(!store.exists(&Digest::of(b"")).await.unwrap());
}

#[tokio::test]
async fn leftovers_of_a_crash_are_cleared_and_blobs_stay() {
    let root = tempfile::tempdir().unwrap();
    let digest = open(root.path()).put("kept").await.unwrap().digest;
    let mut left = fs::File::create(root.path().join("staging/.tmpABC")).unwrap();
    left.write_all(b"half of someth").unwrap();
    let store = open(root.path());
    assert_eq!(files_in(root.path().join("staging")), 0);
    assert_eq!(store.read(&digest, 100).await.unwrap(), "kept");
}

#[tokio::test]
async fn a_second_store_on_the_folder_is_locked_out() {
    let root = tempfile::tempdir().unwrap();
    let store = open(root.path());
    let mut stage = store.stage(100).await.unwrap();
    let second = BlobStore::open_at(root.path(), BlobOptions::default());
    assert!(matches!(second, Err(BlobError::Locked { .. })));
    stage.write(Bytes::from_static(b"still here")).await.unwrap();
    let blob = store.seal(stage.finish().await.unwrap()).await.unwrap();
    assert_eq!(store.read(&blob.digest, 100).await.unwrap(), "still here");
}

#[tokio::test]
async fn a_flipped_bit_is_never_served() {
    for length in [5, 100_000] {
        let root = tempfile::tempdir().unwrap();
        let store = open(root.path());
        let content = sample(length);
        let digest = store.put(content.clone()).await.unwrap().digest;
        let path = path_of(root.path(), &digest);
        assert!(store.open(&digest).await.is_ok());
        // After it was served once: the change shows in the file's times.
        flip(&path, 3);
        let opened = store.open(&digest).await;
        assert!(matches!(opened, Err(BlobError::Corrupt { digest: d }) if d == digest));
        // And after a restart, where nothing is remembered.
        drop(store);
        let store = open(root.path());
        assert!(matches!(
            store.open(&digest).await,
            Err(BlobError::Corrupt { .. })
        ));
        store.set_aside(&digest).await.unwrap();
        assert!(matches!(
            store.open(&digest).await,
            Err(BlobError::NotFound { .. })
        ));
        assert!(root.path().join("corrupt").join(digest.to_string()).exists());
        // Sealing the right bytes again repairs it.
        store.put(content.clone()).await.unwrap();
        assert_eq!(store.read(&digest, 1 << 20).await.unwrap(), content);
    }
}

#[tokio::test]
async fn a_damaged_file_is_replaced_by_sealing_again() {
    let root = tempfile::tempdir().unwrap();
    let store = open(root.path());
    let content = sample(50_000);
    let digest = store.put(content.clone()).await.unwrap().digest;
    let before = store.open(&digest).await.unwrap();
    fs::remove_file(path_of(root.path(), &digest)).unwrap();
    fs::write(path_of(root.path(), &digest), b"truncated").unwrap();
    assert!(matches!(
        store.open(&digest).await,
        Err(BlobError::Corrupt { .. })
    ));
    store.put(content.clone()).await.unwrap();
    assert_eq!(store.open(&digest).await.unwrap().bytes(0..50_000), content);
    assert_eq!(
        before.bytes(0..50_000),
        content,
        "a download that runs is not harmed"
    );
}

#[tokio::test]
async fn deleting() {
    let root = tempfile::tempdir().unwrap();
    let store = open(root.path());
    let digest = store.put("gone soon").await.unwrap().digest;
    let running = store.open(&digest).await.unwrap();
    assert!(store.delete(&digest).await.unwrap());
    assert!(!store.delete(&digest).await.unwrap());
    assert!(matches!(store.open(&digest).await, Err(BlobError::NotFound { digest: d }) if d == digest));
    assert!(matches!(
        store.set_aside(&digest).await,
        Err(BlobError::NotFound { .. })
    ));
    assert_eq!(running.bytes(0..4), "gone");
}

#[tokio::test]
async fn the_reserve_is_left_alone() {
    let root = tempfile::tempdir().unwrap();
    let options = BlobOptions {
        min_free_bytes: u64::MAX,
        open_files: 1,
    };
    let store = BlobStore::open_at(root.path(), options).unwrap();
    let staged = store.stage(10).await;
    assert!(matches!(staged, Err(BlobError::NoSpace { needed: u64::MAX, free }) if free > 0));
    assert!(matches!(store.put("x").await, Err(BlobError::NoSpace { .. })));
    assert_eq!(files_in(root.path().join("staging")), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_at_once() {
    let root = tempfile::tempdir().unwrap();
    let store = open(root.path());
    let tasks: Vec<_> = (0u32..100)
        .map(|n| {
            let store = store.clone();
            tokio::spawn(async move {
                // Ten different contents, each sealed and opened by ten tasks at once.
                let content = Bytes::from(sample(40_000 + n as usize % 10));
                let mut stage = store.stage(1 << 20).await.unwrap();
                stage.write(content.clone()).await.unwrap();
                let blob = store.seal(stage.finish().await.unwrap()).await.unwrap();
                assert_eq!(
                    store.open(&blob.digest).await.unwrap().bytes(0..u64::MAX),
                    content
                );
                blob.digest
            })
        })
        .collect();
    let mut digests = Vec::new();
    for task in tasks {
        digests.push(task.await.unwrap());
    }
    digests.sort();
    digests.dedup();
    assert_eq!(digests, store.list().map(Result::unwrap).collect::<Vec<_>>());
    assert_eq!(digests.len(), 10);
}

#[tokio::test]
async fn more_blobs_than_open_files() {
    let root = tempfile::tempdir().unwrap();
    let options = BlobOptions {
        min_free_bytes: 0,
        open_files: 1,
    };
    let store = BlobStore::open_at(root.path(), options).unwrap();
    let documents: Vec<Bytes> = (0..100).map(|n| sample(20_000 + n).into()).collect();
    let blobs = store.put_all(documents.clone()).await.unwrap();
    for _ in 0..2 {
        for (blob, document) in blobs.iter().zip(&documents) {
            assert_eq!(
                store.open(&blob.digest).await.unwrap().bytes(0..blob.size),
                document
            );
        }
    }
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let folder = root.path().join("blobs");
    let mapped = maps
        .lines()
        .filter(|line| line.contains(folder.to_str().unwrap()))
        .count();
    assert!(
        mapped <= 16,
        "{mapped} mappings for a limit of one in each of 16 shards"
    );
}
