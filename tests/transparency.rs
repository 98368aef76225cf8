//! Promise: the log can be followed and checked by anyone, with RFC 6962, C2SP tlog-tiles and signed-note in hand.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod rfc6962;
mod support;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rfc6962::{Hash, Head, consistency_of, leaf, open, path_of, root_of};
use serde_json::Value;
use support::daemon::{Daemon, DaemonOptions, KEYS_MADE};
use support::wheels::wheel;

/// A daemon whose log has this many entries: its keys, one admission, then a yank taken back and forth.
fn log_of(entries: usize) -> Daemon {
    let daemon = Daemon::start(DaemonOptions::alone());
    assert_eq!(
        daemon.admin("GET", "/api/v1/status", b"").json()["log_size"],
        KEYS_MADE
    );
    let file = wheel("demo", "1.0", &[]);
    assert_eq!(
        daemon.put_file(&file.filename, &file.bytes)["outcome"],
        "admitted"
    );
    grow(&daemon, &file.sha256, 2, entries);
    daemon
}

fn grow(daemon: &Daemon, sha256: &str, from: usize, to: usize) {
    for n in from..to {
        let change = if n % 2 == 0 { "yank" } else { "unyank" };
        let path = format!("/api/v1/files/{sha256}/{change}");
        let answer = daemon.admin("POST", &path, format!("{{\"reason\":\"entry {n}\"}}").as_bytes());
        assert_eq!(answer.json()["event"], n, "{answer}");
    }
}

fn vkey(daemon: &Daemon) -> String {
    let said = daemon.cli(&["log", "key"]).expect(0);
    let line = said.stdout.lines().find(|line| line.matches('+').count() >= 2);
    line.expect("a verifier key").trim().to_owned()
}

fn head(daemon: &Daemon) -> Head {
    let note = daemon.get("/log/checkpoint");
    assert_eq!(note.status, 200, "{note}");
    open(&note.text(), &vkey(daemon)).unwrap_or_else(|| panic!("the checkpoint does not verify: {note}"))
}

/// The path of a tile or bundle with `width` of 256.
fn tile_path(kind: &str, index: usize, width: usize) -> String {
    let partial = if width < 256 {
        format!(".p/{width}")
    } else {
        String::new()
    };
    format!("/log/tile/{kind}/{index:03}{partial}")
}

fn bytes_of(daemon: &Daemon, path: &str) -> Vec<u8> {
    let answer = daemon.get(path);
    assert_eq!(answer.status, 200, "{path}: {answer}");
    assert_eq!(
        answer.header("cache-control"),
        "public, max-age=365000000, immutable",
        "{path}"
    );
    answer.body
}

/// All entries, read from the bundles.
fn entries(daemon: &Daemon, size: usize) -> Vec<Vec<u8>> {
    let mut entries = Vec::new();
    for index in 0..size.div_ceil(256) {
        let mut bundle = &bytes_of(
            daemon,
            &tile_path("entries", index, (size - index * 256).min(256)),
        )[..];
        while let Some((length, rest)) = bundle.split_first_chunk::<2>() {
            let (entry, rest) = rest.split_at(usize::from(u16::from_be_bytes(*length)));
            entries.push(entry.to_vec());
            bundle = rest;
        }
        assert!(bundle.is_empty(), "bundle {index} ends in the middle of an entry");
    }
    assert_eq!(entries.len(), size);
    entries
}

fn leaves(daemon: &Daemon, size: usize) -> Vec<Hash> {
    entries(daemon, size).iter().map(|entry| leaf(entry)).collect()
}

fn hashes(proof: &Value) -> Vec<Hash> {
    let hashes = proof["hashes"].as_array().unwrap().iter();
    hashes
        .map(|hash| {
            BASE64_STANDARD
                .decode(hash.as_str().unwrap())
                .unwrap()
                .try_into()
                .unwrap()
        })
        .collect()
}

#[test]
fn the_checkpoint_verifies_with_the_logs_key_and_with_no_other() {
    let daemon = log_of(3);
    let (note, key) = (daemon.get("/log/checkpoint").text(), vkey(&daemon));
    let head = open(&note, &key).expect("the checkpoint verifies");
    assert_eq!((head.origin.as_str(), head.size), ("localhost/chiron", 3));
    assert_eq!(daemon.cli(&["log", "checkpoint"]).expect(0).stdout, note);
    let status = daemon.admin("GET", "/api/v1/status", b"").json();
    assert_eq!(status["log_root"], BASE64_STANDARD.encode(head.root));
    assert_eq!(
        open(&note.replacen("\n3\n", "\n4\n", 1), &key),
        None,
        "a changed size is not signed"
    );
    let other = log_of(2);
    assert_eq!(
        open(&note, &vkey(&other)),
        None,
        "another log's key does not open it"
    );
    let foreign = daemon.cli(&["log", "verify", "--key", &vkey(&other)]).expect(4);
    assert!(foreign.stderr.contains("does not verify"), "{foreign}");
}

#[test]
fn the_entries_make_the_signed_root_and_are_the_events() {
    let daemon = log_of(300);
    let head = head(&daemon);
    assert_eq!(head.size, 300);
    let entries = entries(&daemon, 300);
    let leaves: Vec<Hash> = entries.iter().map(|entry| leaf(entry)).collect();
    assert_eq!(root_of(&leaves), head.root);

    let events = daemon.admin("GET", "/api/v1/events?limit=1000", b"").json();
    for (entry, event) in entries.iter().zip(events["items"].as_array().unwrap()) {
        assert_eq!(serde_json::from_slice::<Value>(entry).unwrap(), event["event"]);
    }
    // The shorter name of the bundles gives the same bytes.
    assert_eq!(
        bytes_of(&daemon, "/log/entries/001.p/44"),
        bytes_of(&daemon, "/log/tile/entries/001.p/44")
    );

    // Level 0 holds the leaves, level 1 the roots of 256 of them.
    let level0 = [
        bytes_of(&daemon, "/log/tile/0/000"),
        bytes_of(&daemon, "/log/tile/0/001.p/44"),
    ]
    .concat();
    assert_eq!(level0, leaves.concat());
    assert_eq!(bytes_of(&daemon, "/log/tile/1/000.p/1"), root_of(&leaves[..256]));
    // A part of a tile stays served when the tile has grown.
    assert_eq!(bytes_of(&daemon, "/log/tile/0/000.p/7"), leaves[..7].concat());
    for missing in [
        "/log/tile/0/001",
        "/log/tile/0/001.p/45",
        "/log/tile/0/002.p/1",
        "/log/tile/1/000.p/2",
        "/log/tile/2/000.p/1",
        "/log/tile/0/0",
        "/log/tile/0/000.p/256",
        "/log/tile/0/000.p/0",
        "/log/tile/9/../0/000",
        "/log/entries/001.p/45",
        "/log/tile/",
    ] {
        let answer = daemon.get(missing);
        assert_eq!(answer.status, 404, "{missing}: {answer}");
        assert_eq!(
            answer.header("cache-control"),
            "no-store",
            "{missing}: it may come to be"
        );
    }
}

#[test]
fn proofs_are_those_of_the_rfc() {
    let daemon = log_of(21);
    let (key, leaves) = (vkey(&daemon), leaves(&daemon, 21));
    for (n, size) in [(0, 1), (0, 21), (7, 21), (20, 21), (15, 16), (12, 13)] {
        let proof = daemon
            .admin("GET", &format!("/api/v1/log/inclusion?n={n}&size={size}"), b"")
            .json();
        assert_eq!(hashes(&proof), path_of(n, &leaves[..size]), "{n} in {size}");
        let head = open(proof["checkpoint"].as_str().unwrap(), &key).expect("its checkpoint verifies");
        assert_eq!((head.size, head.root), (size, root_of(&leaves[..size])));
    }
    for (from, to) in [(1, 21), (3, 7), (8, 21), (16, 20), (20, 21), (21, 21)] {
        let proof = daemon
            .admin(
                "GET",
                &format!("/api/v1/log/consistency?from={from}&to={to}"),
                b"",
            )
            .json();
        assert_eq!(
            hashes(&proof),
            consistency_of(from, &leaves[..to], true),
            "{from} to {to}"
        );
        assert_eq!(
            open(proof["checkpoint"].as_str().unwrap(), &key).unwrap().root,
            root_of(&leaves[..to])
        );
    }
    for (path, status) in [
        ("inclusion?n=21", 404),
        ("inclusion?n=0&size=22", 404),
        ("inclusion?n=x", 400),
        ("inclusion", 400),
        ("consistency?from=0", 400),
        ("consistency?from=5&to=4", 400),
        ("consistency?from=1&to=22", 404),
    ] {
        let answer = daemon.admin("GET", &format!("/api/v1/log/{path}"), b"");
        assert_eq!(answer.status, status, "{path}: {answer}");
        assert_eq!(answer.header("content-type"), "application/problem+json");
    }
}

#[test]
fn the_command_line_proves_and_verifies() {
    let daemon = log_of(9);
    let proof = daemon.cli_json(&["log", "prove", "4"]);
    assert_eq!(proof["verified"], true, "{proof:#}");
    let leaves = leaves(&daemon, 9);
    assert_eq!(proof["leaf_hash"], BASE64_STANDARD.encode(leaves[4]));
    assert_eq!(hashes(&proof["proof"]), path_of(4, &leaves));
    let proof = daemon.cli_json(&["log", "prove", "--from", "3", "--to", "8"]);
    assert_eq!(hashes(&proof["proof"]), consistency_of(3, &leaves[..8], true));
    let report = daemon.cli_json(&["log", "verify", "--key", &vkey(&daemon)]);
    assert_eq!(
        (&report["checked"], &report["size"]),
        (&Value::from(9), &Value::from(9)),
        "{report:#}"
    );
    daemon.cli(&["log", "prove", "9"]).expect(2);
}

#[test]
fn an_entry_that_was_changed_in_the_store_is_found() {
    use chiron_storage::{Db, DbOptions, Raw, Table};
    let mut daemon = log_of(5);
    let kept = daemon.get("/log/checkpoint").text();
    assert_eq!(daemon.stop(), 0);
    let families = chiron::catalog::FAMILIES;
    let options = DbOptions {
        cache_bytes: 1 << 20,
        readers: 1,
        min_free_bytes: 0,
        families,
    };
    let db = Db::open(&daemon.data_dir().join("db"), options).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        const ENTRIES: Table<u64, Raw> = Table::new("entries");
        let entry = db.get(&ENTRIES, &2).await.unwrap().unwrap();
        let changed = String::from_utf8(entry.0.to_vec())
            .unwrap()
            .replace("entry 2", "entry x");
        assert_ne!(changed.as_bytes(), &entry.0[..]);
        db.transact(move |tx| tx.put(&ENTRIES, &2, &Raw(changed.clone().into())))
            .await
            .unwrap();
        db.flush().await.unwrap();
    });
    drop(db);
    drop(runtime);
    daemon.restart();
    assert_eq!(
        daemon.get("/log/checkpoint").text(),
        kept,
        "the signed tree is as it was"
    );
    assert_ne!(
        root_of(&leaves(&daemon, 5)),
        head(&daemon).root,
        "and the entries no longer make it"
    );
    let verified = daemon.cli(&["log", "verify"]).expect(4);
    assert!(verified.stderr.contains("an entry was changed"), "{verified}");
    daemon.cli(&["log", "prove", "2"]).expect(4);
    daemon.cli(&["log", "prove", "1"]).expect(0);
}

#[test]
fn the_log_survives_restarts_and_only_grows() {
    let mut daemon = log_of(4);
    let (note, key, before) = (
        daemon.get("/log/checkpoint").text(),
        vkey(&daemon),
        entries(&daemon, 4),
    );
    daemon.kill9();
    daemon.restart();
    assert_eq!(vkey(&daemon), key);
    assert_eq!(
        daemon.get("/log/checkpoint").text(),
        note,
        "the same tree is signed in the same words"
    );
    let sha256 = serde_json::from_slice::<Value>(&before[1]).unwrap()["sha256"]
        .as_str()
        .unwrap()
        .to_owned();
    grow(&daemon, &sha256, 4, 7);
    daemon.restart();
    let head = head(&daemon);
    assert_eq!(head.size, 7);
    assert_eq!(entries(&daemon, 7)[..4], before[..]);
    let proof = daemon
        .admin("GET", "/api/v1/log/consistency?from=4&to=7", b"")
        .json();
    assert_eq!(hashes(&proof), consistency_of(4, &leaves(&daemon, 7), true));
    let file = daemon.home().join("kept.txt");
    std::fs::write(&file, note).unwrap();
    let report = daemon.cli_json(&["log", "verify", "--since", file.to_str().unwrap()]);
    assert_eq!(report["continues"], 4, "{report:#}");
}
