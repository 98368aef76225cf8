//! What the tables promise: one writer, all or nothing, consistent views, order.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use chiron_storage::{Db, DbError, DbOptions, Raw, Table};
use proptest::prelude::*;

const NUMBERS: Table<u64, u64> = Table::new("numbers");
const BLOBS: Table<String, Raw> = Table::new("raw");
const NEVER_OPENED: Table<u64, u64> = Table::new("never-opened");

fn options() -> DbOptions {
    DbOptions {
        cache_bytes: 8 << 20,
        readers: 4,
        min_free_bytes: 0,
        families: &["numbers", "files", "raw"],
    }
}

fn open(path: &Path) -> Db {
    Db::open(path, options()).unwrap()
}

async fn put(db: &Db, key: u64, value: u64) {
    db.transact(move |tx| tx.put(&NUMBERS, &key, &value))
        .await
        .unwrap();
}

#[tokio::test]
async fn what_was_acknowledged_is_there_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    for round in 0..3 {
        let db = open(folder.path());
        for earlier in 0..round {
            assert_eq!(db.get(&NUMBERS, &earlier).await.unwrap(), Some(earlier * 7));
        }
        put(&db, round, round * 7).await;
        assert_eq!(db.get(&NUMBERS, &(round + 1)).await.unwrap(), None);
    }
}

#[tokio::test]
async fn an_error_discards_only_its_own_transaction() {
    let folder = tempfile::tempdir().unwrap();
    let db = open(folder.path());
    let failed: Result<(), DbError> = db
        .transact(|tx| {
            tx.put(&NUMBERS, &1, &1)?;
            assert_eq!(tx.get(&NUMBERS, &1)?, Some(1));
            Err(DbError::Closed)
        })
        .await;
    assert_eq!(failed, Err(DbError::Closed));
    let panicked: Result<(), DbError> = db
        .transact(|tx| {
            tx.put(&NUMBERS, &2, &2)?;
            panic!("a mistake in a closure");
        })
        .await;
    assert_eq!(panicked, Err(DbError::Panicked));
    put(&db, 3, 3).await;
    let seen = [1, 2, 3].map(|key| async move { key });
    let mut values = Vec::new();
    for key in seen {
        values.push(db.get(&NUMBERS, &key.await).await.unwrap());
    }
    assert_eq!(values, [None, None, Some(3)]);
}

#[tokio::test]
async fn a_panicking_reader_frees_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let db = open(folder.path());
    for _ in 0..10 {
        let read: Result<(), DbError> = db.read(|_| panic!("a mistake in a closure")).await;
        assert_eq!(read, Err(DbError::Panicked));
    }
    assert_eq!(db.get(&NUMBERS, &1).await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn transactions_of_a_group_see_each_other_and_share_writes() {
    let folder = tempfile::tempdir().unwrap();
    let db = open(folder.path());
    // Hold the writer, so that the rest queues up behind and forms groups.
    let (release, held) = std::sync::mpsc::channel::<()>();
    let holder = tokio::spawn({
        let db = db.clone();
        async move {
            db.transact(move |_| held.recv().map_err(|_| DbError::Closed))
                .await
        }
    });
    let errors = Arc::new(AtomicU64::new(0));
    let tasks: Vec<_> = (0..500u64)
        .map(|n| {
            let (db, errors) = (db.clone(), Arc::clone(&errors));
            tokio::spawn(async move {
                let result = db
                    .transact(move |tx| {
                        let count = tx.get(&NUMBERS, &0)?.unwrap_or(0);
                        tx.put(&NUMBERS, &0, &(count + 1))?;
                        if n % 5 == 0 {
                            Err(DbError::Closed)
                        } else {
                            Ok(count)
                        }
                    })
                    .await;
                if result.is_err() {
                    errors.fetch_add(1, Ordering::Relaxed);
                }
                result.ok()
            })
        })
        .collect();
    while db.stats().unwrap().queued < 400 {
        tokio::task::yield_now().await;
    }
    release.send(()).unwrap();
    holder.await.unwrap().unwrap();
    let mut counts = Vec::new();
    for task in tasks {
        counts.extend(task.await.unwrap());
    }
    counts.sort_unstable();
    assert_eq!(counts, (0..400).collect::<Vec<_>>(), "each saw the one before it");
    assert_eq!(errors.load(Ordering::Relaxed), 100);
    assert_eq!(db.get(&NUMBERS, &0).await.unwrap(), Some(400));
    let stats = db.stats().unwrap();
    assert_eq!(stats.transactions, 501);
    assert!(
        stats.commits < 20,
        "{} synced writes for 500 transactions",
        stats.commits
    );
}

#[tokio::test]
async fn a_view_does_not_move() {
    let folder = tempfile::tempdir().unwrap();
    let db = open(folder.path());
    put(&db, 1, 1).await;
    let (read_once, go_on) = (std::sync::mpsc::channel(), std::sync::mpsc::channel());
    let reader = tokio::spawn({
        let db = db.clone();
        async move {
            db.read(move |view| {
                let before = view.get(&NUMBERS, &1)?;
                read_once.0.send(()).unwrap();
                go_on.1.recv().unwrap();
                Ok::<_, DbError>((before, view.get(&NUMBERS, &1)?))
            })
            .await
        }
    });
    #[expect(clippy::disallowed_methods, reason = "a test of the store from outside")]
    tokio::task::spawn_blocking(move || read_once.1.recv().unwrap())
        .await
        .unwrap();
    put(&db, 1, 2).await;
    go_on.0.send(()).unwrap();
    assert_eq!(reader.await.unwrap().unwrap(), (Some(1), Some(1)));
    assert_eq!(db.get(&NUMBERS, &1).await.unwrap(), Some(2));
}

#[tokio::test]
async fn a_transaction_scans_over_all_layers() {
    let folder = tempfile::tempdir().unwrap();
    let db = open(folder.path());
    db.transact(|tx| (0..4).try_for_each(|n| tx.put(&NUMBERS, &n, &0)))
        .await
        .unwrap();
    let rows = db
        .transact(|tx| {
            tx.delete(&NUMBERS, &1)?;
            tx.put(&NUMBERS, &2, &9)?;
            tx.put(&NUMBERS, &7, &7)?;
            assert!(!tx.contains(&NUMBERS, &1)? && tx.contains(&NUMBERS, &3)?);
            assert_eq!(tx.scan(&NUMBERS, b"", 2)?, [(0, 0), (2, 9)]);
            tx.scan(&NUMBERS, b"", usize::MAX)
        })
        .await;
    assert_eq!(rows.unwrap(), [(0, 0), (2, 9), (3, 0), (7, 7)]);
}

#[tokio::test]
async fn the_reserve_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let mut no_room = options();
    no_room.min_free_bytes = u64::MAX;
    let db = Db::open(folder.path(), no_room).unwrap();
    let refused = db.transact(|tx| tx.put(&NUMBERS, &1, &1)).await;
    assert!(matches!(refused, Err(DbError::NoSpace { free, .. }) if free > 0));
    assert_eq!(db.get(&NUMBERS, &1).await.unwrap(), None);
    assert_eq!(db.poisoned(), None, "writing goes on when there is room again");
    db.transact(|_| Ok::<_, DbError>(())).await.unwrap();
}

#[tokio::test]
async fn a_newer_format_is_refused_and_left_alone() {
    const FORMAT: Table<String, u32> = Table::new("meta");
    let folder = tempfile::tempdir().unwrap();
    let db = open(folder.path());
    put(&db, 1, 1).await;
    let key = "format".to_owned();
    let written = db.get(&FORMAT, &key).await.unwrap();
    assert_eq!(written, Some(chiron_storage::db::FORMAT_VERSION));
    db.transact(move |tx| tx.put(&FORMAT, &key, &999)).await.unwrap();
    drop(db);
    for _ in 0..2 {
        let newer = Db::open(folder.path(), options()).err();
        assert_eq!(newer, Some(DbError::NewerFormat { found: 999, known: 1 }));
    }
}

#[tokio::test]
async fn a_second_open_is_locked_out() {
    let folder = tempfile::tempdir().unwrap();
    let db = open(folder.path());
    let second = Db::open(folder.path(), options()).err();
    assert_eq!(
        second,
        Some(DbError::Locked {
            path: folder.path().to_owned()
        })
    );
    put(&db, 1, 1).await;
}

#[tokio::test]
async fn families_of_other_builds_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    put(&open(folder.path()), 1, 1).await;
    let mut fewer = options();
    fewer.families = &["raw"];
    let db = Db::open(folder.path(), fewer).unwrap();
    drop(db);
    let db = open(folder.path());
    assert_eq!(db.get(&NUMBERS, &1).await.unwrap(), Some(1));
    let unknown = db.get(&NEVER_OPENED, &1).await;
    assert_eq!(
        unknown,
        Err(DbError::UnknownFamily {
            family: "never-opened"
        })
    );
}

#[tokio::test]
async fn clearing_empties_only_the_named() {
    let folder = tempfile::tempdir().unwrap();
    let db = open(folder.path());
    db.transact(|tx| (0..1000).try_for_each(|n| tx.put(&NUMBERS, &n, &n)))
        .await
        .unwrap();
    let raw = Raw::from(vec![0, 1, 255]);
    let value = raw.clone();
    db.transact(move |tx| tx.put(&BLOBS, &"k".to_owned(), &value))
        .await
        .unwrap();
    db.clear(&["numbers", "files"]).await.unwrap();
    put(&db, 5, 5).await;
    let left = db
        .read(|view| view.scan(&NUMBERS, b"", None)?.collect::<Result<Vec<_>, _>>())
        .await;
    assert_eq!(left.unwrap(), [(5, 5)]);
    assert_eq!(db.get(&BLOBS, &"k".to_owned()).await.unwrap(), Some(raw));
    assert_eq!(
        db.clear(&["nowhere"]).await,
        Err(DbError::UnknownFamily { family: "nowhere" })
    );
}

#[tokio::test]
async fn a_copy_is_a_database_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let db = open(&folder.path().join("db"));
    put(&db, 1, 1).await;
    db.copy_to(&folder.path().join("copy")).await.unwrap();
    put(&db, 1, 2).await;
    let copy = open(&folder.path().join("copy"));
    assert_eq!(copy.get(&NUMBERS, &1).await.unwrap(), Some(1));
}

/// After a power cut the end of the write-ahead log may be missing: whole transactions are then
/// missing from the end, and none is there in part.
#[tokio::test]
async fn a_torn_end_leaves_whole_transactions() {
    let folder = tempfile::tempdir().unwrap();
    let origin = folder.path().join("origin");
    let db = open(&origin);
    for n in 0..20u64 {
        db.transact(move |tx| {
            tx.put(&NUMBERS, &n, &n)?;
            tx.put(&BLOBS, &n.to_string(), &vec![7; 100].into())
        })
        .await
        .unwrap();
    }
    drop(db);
    let mut seen = std::collections::BTreeSet::new();
    for cut in (0..2000).step_by(97) {
        let torn = folder.path().join(format!("torn-{cut}"));
        std::fs::create_dir(&torn).unwrap();
        for file in std::fs::read_dir(&origin).unwrap() {
            let file = file.unwrap();
            let copy = torn.join(file.file_name());
            std::fs::copy(file.path(), &copy).unwrap();
            if copy.extension().is_some_and(|kind| kind == "log") {
                let log = std::fs::OpenOptions::new().write(true).open(&copy).unwrap();
                let length = log.metadata().unwrap().len();
                log.set_len(length.saturating_sub(cut)).unwrap();
            }
        }
        let db = open(&torn);
        let (numbers, texts) = db
            .read(|view| {
                let numbers = view.scan(&NUMBERS, b"", None)?.collect::<Result<Vec<_>, _>>()?;
                Ok::<_, DbError>((numbers, view.scan(&BLOBS, b"", None)?.count()))
            })
            .await
            .unwrap();
        assert!(numbers.iter().map(|(key, _)| *key).eq(0..numbers.len() as u64));
        assert_eq!(numbers.len(), texts, "cut by {cut} bytes");
        put(&db, 99, 99).await;
        seen.insert(texts);
    }
    assert!(seen.contains(&20) && seen.len() > 3, "{seen:?}");
}

#[tokio::test]
async fn many_keys_are_read_together() {
    let folder = tempfile::tempdir().unwrap();
    let db = open(folder.path());
    db.transact(|tx| (0..10).try_for_each(|n| tx.put(&NUMBERS, &n, &(n * n))))
        .await
        .unwrap();
    let read = db
        .read(|view| {
            assert!(view.contains(&NUMBERS, &9)? && !view.contains(&NUMBERS, &10)?);
            view.get_many(&NUMBERS, &[3, 11, 0])
        })
        .await;
    assert_eq!(read.unwrap(), [Some(9), None, Some(0)]);
}

#[tokio::test]
async fn a_value_of_another_type_is_an_error() {
    const AS_TEXT: Table<u64, String> = Table::new("numbers");
    let folder = tempfile::tempdir().unwrap();
    let db = open(folder.path());
    put(&db, 1, 1).await;
    let read = db.get(&AS_TEXT, &1).await;
    assert!(
        matches!(
            read,
            Err(DbError::Codec {
                family: "numbers",
                ..
            })
        ),
        "{read:?}"
    );
    let scanned = db
        .read(|view| Ok::<_, DbError>(view.scan(&AS_TEXT, b"", None)?.collect::<Vec<_>>()))
        .await;
    assert!(matches!(scanned.unwrap()[..], [Err(DbError::Codec { .. })]));
}

#[derive(Debug, Clone)]
enum Step {
    Put(u64, u64),
    Delete(u64),
    Fail(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let key = 0u64..8;
    prop_oneof![
        (key.clone(), any::<u64>()).prop_map(|(key, value)| Step::Put(key, value)),
        key.clone().prop_map(Step::Delete),
        key.prop_map(Step::Fail),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    /// Concurrent transactions leave what a map holds after the same steps in turn.
    #[test]
    fn the_tables_are_a_map(steps in prop::collection::vec(step(), 0..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let folder = tempfile::tempdir().unwrap();
            let db = open(folder.path());
            let mut expected = std::collections::BTreeMap::new();
            let mut waiting = Vec::new();
            for step in steps.clone() {
                match step {
                    Step::Put(key, value) => { expected.insert(key, value); }
                    Step::Delete(key) => { expected.remove(&key); }
                    Step::Fail(_) => {}
                }
                let db = db.clone();
                waiting.push(tokio::spawn(async move {
                    db.transact(move |tx| match step {
                        Step::Put(key, value) => tx.put(&NUMBERS, &key, &value),
                        Step::Delete(key) => tx.delete(&NUMBERS, &key),
                        Step::Fail(key) => {
                            tx.delete(&NUMBERS, &key)?;
                            Err(DbError::Closed)
                        }
                    }).await
                }));
            }
            for task in waiting { let _ = task.await.unwrap(); }
            drop(db);
            let db = open(folder.path());
            let rows = db.read(|view| view.scan(&NUMBERS, b"", None)?.collect::<Result<Vec<_>, _>>()).await;
            assert_eq!(rows.unwrap(), expected.into_iter().collect::<Vec<_>>());
        });
    }
}
