//! Scans against a plain sorted list: every prefix, every start, both directions.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use chiron_storage::{Db, DbError, DbOptions, Key as _, Table};
use serde::{Deserialize, Serialize};

const FILES: Table<(String, u64), Row> = Table::new("files");

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Row {
    name: String,
    size: u64,
}

fn row(name: &str, size: u64) -> Row {
    Row {
        name: name.to_owned(),
        size,
    }
}

/// Names chosen so that some are prefixes of others, and sizes whose bytes hold NUL and 0xff.
async fn fill(db: &Db) -> Vec<((String, u64), Row)> {
    let mut rows = Vec::new();
    for name in ["a", "numpy", "numpy-stl", "numpyro", "z", "\u{10ffff}"] {
        for size in [0, 1, 255, 256, 65_535, u64::MAX] {
            rows.push(((name.to_owned(), size), row(name, size)));
        }
    }
    rows.sort_by(|a, b| a.0.cmp(&b.0));
    let to_put = rows.clone();
    db.transact(move |tx| {
        to_put
            .iter()
            .try_for_each(|(key, value)| tx.put(&FILES, key, value))
    })
    .await
    .unwrap();
    rows
}

#[tokio::test]
async fn scans_within_and_across_prefixes() {
    let folder = tempfile::tempdir().unwrap();
    let options = DbOptions {
        min_free_bytes: 0,
        families: &["files"],
        ..DbOptions::default()
    };
    let db = Db::open(folder.path(), options).unwrap();
    let rows = fill(&db).await;
    // In memory, in table files, and in both after a restart.
    for round in 0..3 {
        if round == 1 {
            db.flush().await.unwrap();
        }
        if round == 2 {
            fill(&db).await;
        }
        let expected = rows.clone();
        db.read(move |view| {
            let up = |prefix: &[u8], from: Option<&[u8]>| {
                view.scan(&FILES, prefix, from)?.collect::<Result<Vec<_>, _>>()
            };
            let down = |prefix: &[u8], from: Option<&[u8]>| {
                let mut rows = view
                    .scan_rev(&FILES, prefix, from)?
                    .collect::<Result<Vec<_>, _>>()?;
                rows.reverse();
                Ok::<_, DbError>(rows)
            };
            let mut bounds = vec![
                Vec::new(),
                b"n".to_vec(),
                b"numpy".to_vec(),
                vec![0xff],
                b"zz".to_vec(),
            ];
            for (key, _) in &expected {
                let failed = |_| DbError::Closed;
                bounds.push(key.0.to_prefix().map_err(failed)?);
                bounds.push(key.to_bytes().map_err(failed)?);
                bounds.push(key.to_successor().map_err(failed)?);
            }
            for prefix in &bounds {
                for from in bounds.iter().map(Some).chain([None]) {
                    let wanted = |keep: &dyn Fn(&[u8]) -> bool| -> Vec<_> {
                        let in_range = |key: &(String, u64)| {
                            let key = key.to_bytes().unwrap();
                            key.starts_with(prefix) && keep(&key)
                        };
                        expected
                            .iter()
                            .filter(|(key, _)| in_range(key))
                            .cloned()
                            .collect()
                    };
                    let from = from.map(Vec::as_slice);
                    let above = wanted(&|key| from.is_none_or(|from| key >= from));
                    assert_eq!(up(prefix, from)?, above, "{prefix:?} up from {from:?}");
                    let below = wanted(&|key| from.is_none_or(|from| key <= from));
                    assert_eq!(down(prefix, from)?, below, "{prefix:?} down from {from:?}");
                }
            }
            Ok::<_, DbError>(())
        })
        .await
        .unwrap();
    }
}
