//! Promise: one process at a time holds a data folder, and a folder that cannot be used is said and left alone.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;
#[path = "support/traces.rs"]
mod traces;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use chiron_storage::{Db, DbOptions, Table};
use support::daemon::{Daemon, DaemonOptions, Output, command, run};
use support::wheels::wheel;
use traces::{assert_blobs_whole, assert_nothing_staged, assert_sound, blobs, event_types, file_url};

#[track_caller]
fn explains(output: &Output, status: i32, words: &[&str]) {
    assert_eq!(output.status, status, "{output}");
    for word in words {
        assert!(output.stderr.contains(word), "`{word}` is missing:\n{output}");
    }
    for trace in ["panicked", "RUST_BACKTRACE"] {
        assert!(!output.stderr.contains(trace), "{output}");
    }
}

/// Starts a daemon on the folder as it is, which must fail.
#[track_caller]
fn serve_fails(daemon: &Daemon) -> Output {
    daemon.local_cli(&["serve", "--listen", "127.0.0.1:0"])
}

#[test]
fn a_second_process_is_told_whom_to_ask_and_harms_nothing() {
    let daemon = Daemon::start(DaemonOptions::alone());
    let (here, more) = (wheel("demo", "1.0", &[]), wheel("demo", "2.0", &[]));
    daemon.put_file(&here.filename, &here.bytes);
    let path = daemon.home().join(&more.filename);
    std::fs::write(&path, &more.bytes).unwrap();
    let server = format!("--server {}", daemon.base());
    for case in [
        &["ingest", path.to_str().unwrap()][..],
        &["scrub"],
        &["gc"],
        &["rebuild-catalog"],
        &["show", "demo"],
    ] {
        explains(
            &daemon.local_cli(case),
            2,
            &["another process holds the data folder", &server],
        );
    }
    explains(
        &serve_fails(&daemon),
        2,
        &["another process holds the data folder", &server],
    );
    assert_eq!(daemon.get(&file_url(&here.sha256, &here.filename)).status, 200);
    assert_eq!(event_types(&daemon), ["admitted"]);
    assert_sound(&daemon);
    // With the line that was printed it works.
    daemon.cli(&["ingest", path.to_str().unwrap()]).expect(0);
    assert_eq!(event_types(&daemon), ["admitted", "admitted"]);
    assert_eq!(blobs(daemon.data_dir()).len(), 2);
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

async fn write_format(data: &Path, format: u32) {
    let db = Db::open(
        &data.join("db"),
        DbOptions {
            families: chiron::catalog::FAMILIES,
            ..DbOptions::default()
        },
    )
    .unwrap();
    let meta: Table<String, u32> = Table::new("meta");
    db.transact(move |tx| tx.put(&meta, &"format".to_owned(), &format))
        .await
        .unwrap();
    db.flush().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_format_is_refused_and_nothing_is_changed() {
    let mut daemon = Daemon::start(DaemonOptions::alone());
    let file = wheel("demo", "1.0", &[]);
    daemon.put_file(&file.filename, &file.bytes);
    assert_eq!(daemon.stop(), 0);
    let (db, kept) = (daemon.data_dir().join("db"), daemon.home().join("db-before"));
    copy(&db, &kept);
    write_format(daemon.data_dir(), 999).await;
    std::fs::write(daemon.data_dir().join("staging/left"), b"by another version").unwrap();
    explains(&serve_fails(&daemon), 2, &["999", "newer"]);
    for case in [
        &["status"][..],
        &["scrub"],
        &["gc"],
        &["rebuild-catalog"],
        &["ingest", "demo"],
    ] {
        explains(&daemon.local_cli(case), 2, &["999", "nothing was changed"]);
    }
    assert!(
        daemon.data_dir().join("staging/left").exists(),
        "nothing was touched"
    );
    assert_blobs_whole(daemon.data_dir());
    std::fs::remove_dir_all(&db).unwrap();
    std::fs::rename(&kept, &db).unwrap();
    daemon.restart();
    assert_eq!(daemon.get(&file_url(&file.sha256, &file.filename)).status, 200);
    assert_nothing_staged(daemon.data_dir());
}

#[test]
fn a_folder_that_cannot_be_used_is_named() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("file");
    std::fs::write(&file, b"not a folder").unwrap();
    let serve = |data: &Path| {
        run(command(["serve", "--listen", "127.0.0.1:0"])
            .current_dir(home.path())
            .arg("--data-dir")
            .arg(data))
    };
    for data in [
        file.clone(),
        file.join("below"),
        "/proc/chiron".into(),
        "/dev/null".into(),
    ] {
        explains(&serve(&data), 2, &[data.to_str().unwrap()]);
    }
    assert_eq!(std::fs::read(&file).unwrap(), b"not a folder");

    // A folder of something else is not taken over silently where its names are in the way.
    let taken = home.path().join("taken");
    std::fs::create_dir(&taken).unwrap();
    std::fs::write(taken.join("blobs"), b"a file of mine").unwrap();
    let output = serve(&taken);
    assert_ne!(output.status, 0, "{output}");
    explains(&output, output.status, &["blobs"]);
    assert_eq!(std::fs::read(taken.join("blobs")).unwrap(), b"a file of mine");

    // Without the right to it. Root has every right.
    let closed = home.path().join("closed");
    std::fs::create_dir(&closed).unwrap();
    std::fs::set_permissions(&closed, std::fs::Permissions::from_mode(0o000)).unwrap();
    if std::fs::read_dir(&closed).is_err() {
        explains(&serve(&closed), 2, &[closed.to_str().unwrap()]);
    } else {
        eprintln!("LEFT OUT: this user may read what nobody may (root), so a closed folder cannot be tried");
    }
}

#[test]
fn garbage_in_the_folder_is_an_error_and_is_kept() {
    let garbage = b"\0garbage\xff".repeat(50);
    let cases: [(&str, &[i32]); 5] = [
        ("db/CURRENT", &[4, 70]),
        ("db/MANIFEST", &[4]),
        ("keys/log.key", &[2]),
        ("admin.token", &[2]),
        ("db/sst", &[4]),
    ];
    for (what, statuses) in cases {
        let mut daemon = Daemon::start(DaemonOptions::alone());
        let file = wheel("demo", "1.0", &[]);
        daemon.put_file(&file.filename, &file.bytes);
        assert_eq!(daemon.stop(), 0);
        let db = || {
            std::fs::read_dir(daemon.data_dir().join("db"))
                .unwrap()
                .map(|entry| entry.unwrap().path())
        };
        let paths: Vec<_> = match what {
            "db/MANIFEST" => db()
                .filter(|path| path.to_str().unwrap().contains("MANIFEST-"))
                .collect(),
            "db/sst" => db()
                .filter(|path| path.extension().is_some_and(|ext| ext == "sst"))
                .collect(),
            other => vec![daemon.data_dir().join(other)],
        };
        assert!(!paths.is_empty(), "{what}");
        let kept: Vec<_> = paths.iter().map(|path| std::fs::read(path).unwrap()).collect();
        for path in &paths {
            std::fs::write(
                path,
                if what == "admin.token" {
                    b"\n"
                } else {
                    &garbage[..]
                },
            )
            .unwrap();
        }
        let output = serve_fails(&daemon);
        assert!(statuses.contains(&output.status), "{what}: {output}");
        explains(&output, output.status, &["next:"]);
        assert_blobs_whole(daemon.data_dir());
        // From a backup it works again: nothing else was spoilt by the attempt.
        for (path, bytes) in paths.iter().zip(kept) {
            std::fs::write(path, bytes).unwrap();
        }
        daemon.restart();
        assert_eq!(
            daemon.get(&file_url(&file.sha256, &file.filename)).status,
            200,
            "{what}"
        );
        assert_eq!(event_types(&daemon), ["admitted"], "{what}");
    }
}
