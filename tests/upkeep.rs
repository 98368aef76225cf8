//! Promise: `gc` removes what nothing names and nothing else, `scrub` reads everything, and the catalogue can
//! always be made again from the log.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::fs::{self, File};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use chiron_storage::{BlobOptions, BlobStore, Db, DbOptions, Digest, Raw, Table};
use serde_json::{Value, json};
use support::daemon::{Daemon, DaemonOptions, KEYS_MADE};
use support::jobs::{ended, submit};
use support::raw::PIP_ACCEPT;
use support::release::Release;
use support::upstream::FakeFile;
use support::wheels::lying_wheel;

struct Site {
    daemon: Daemon,
    admitted: FakeFile,
    revoked: FakeFile,
    quarantined: FakeFile,
    refused: FakeFile,
}

fn licensed(project: &str, version: &str, licence: &str) -> FakeFile {
    let mut release = Release::new(project, version);
    release.license = Some(licence.to_owned());
    release.wheel()
}

/// A file in each state. One with a licence that the site does not take stays in quarantine.
fn site() -> Site {
    let options = DaemonOptions::alone().config("[policy]\nlicences_deny = [\"GPL-3.0-only\"]");
    let daemon = Daemon::start(options);
    let (admitted, revoked) = (licensed("demo", "1.0", "MIT"), licensed("demo", "2.0", "MIT"));
    let (quarantined, refused) = (
        licensed("other", "1.0", "GPL-3.0-only"),
        lying_wheel("bad", "1.0"),
    );
    for (file, claimed, outcome) in [
        (&admitted, true, "admitted"),
        (&revoked, true, "admitted"),
        (&quarantined, false, "quarantined"),
        (&refused, true, "refused"),
    ] {
        let claim = if claimed {
            format!("?sha256={}", file.sha256)
        } else {
            String::new()
        };
        let answer = daemon.admin(
            "PUT",
            &format!("/api/v1/ingest/{}{claim}", file.filename),
            &file.bytes,
        );
        assert_eq!(answer.json()["outcome"], outcome, "{answer}");
    }
    let reason = br#"{"reason":"for the test"}"#;
    daemon.admin(
        "POST",
        &format!("/api/v1/files/{}/revoke", revoked.sha256),
        reason,
    );
    daemon.admin("POST", &format!("/api/v1/files/{}/yank", admitted.sha256), reason);
    Site {
        daemon,
        admitted,
        revoked,
        quarantined,
        refused,
    }
}

/// Does `gc` or `scrub` and gives the report.
fn upkeep(daemon: &Daemon, work: &str, request: &Value) -> Value {
    let job = submit(daemon, &format!("/api/v1/{work}"), request);
    let view = ended(daemon, &job);
    assert_eq!(view["state"], "done", "{view:#}");
    view["report"].clone()
}

/// Where a blob's bytes lie.
fn blob_path(daemon: &Daemon, sha256: &str) -> PathBuf {
    daemon
        .data_dir()
        .join("blobs")
        .join(&sha256[..2])
        .join(&sha256[2..])
}

/// Stores bytes that nothing names, as a crash between seal and commit leaves them; their digest.
fn orphan(daemon: &mut Daemon, bytes: &'static [u8], age: Duration) -> String {
    daemon.stop();
    let options = BlobOptions {
        min_free_bytes: 0,
        open_files: 8,
    };
    let store = BlobStore::open_at(daemon.data_dir(), options).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(store.put(bytes)).unwrap();
    drop((store, runtime));
    let digest = Digest::of(bytes).to_string();
    let file = File::open(blob_path(daemon, &digest)).unwrap();
    file.set_modified(SystemTime::now() - age).unwrap();
    daemon.restart();
    digest
}

const DAY: Duration = Duration::from_hours(24);

#[test]
fn gc_removes_old_orphans_and_keeps_all_that_is_named() {
    let Site {
        mut daemon,
        admitted,
        revoked,
        quarantined,
        refused,
    } = site();
    let old = orphan(&mut daemon, b"nothing names these bytes", DAY);
    let young = orphan(&mut daemon, b"perhaps they are named in a moment", Duration::ZERO);
    // Age alone takes nothing away that is named.
    for file in [&admitted, &revoked, &quarantined] {
        let blob = File::open(blob_path(&daemon, &file.sha256)).unwrap();
        blob.set_modified(SystemTime::now() - DAY).unwrap();
    }
    let log = daemon.get("/log/checkpoint").body;
    let would = upkeep(&daemon, "gc", &json!({ "dry_run": true }));
    let counts = |report: &Value| {
        ["kept", "young", "removed", "removed_bytes"].map(|key| report[key].as_u64().unwrap())
    };
    assert_eq!(counts(&would), [3, 1, 1, 25], "{would:#}");
    assert!(blob_path(&daemon, &old).exists(), "a dry run removes nothing");

    let did = upkeep(&daemon, "gc", &json!({}));
    assert_eq!(counts(&did), [3, 1, 1, 25], "{did:#}");
    assert!(!blob_path(&daemon, &old).exists());
    assert!(
        blob_path(&daemon, &young).exists(),
        "younger than storage.gc_grace"
    );
    for file in [&admitted, &revoked, &quarantined] {
        assert_eq!(fs::read(blob_path(&daemon, &file.sha256)).unwrap(), file.bytes);
    }
    assert!(
        !blob_path(&daemon, &refused.sha256).exists(),
        "a refused file was never kept"
    );
    assert_eq!(
        counts(&upkeep(&daemon, "gc", &json!({}))),
        [3, 1, 0, 0],
        "there is no more to do"
    );
    assert_eq!(daemon.get("/log/checkpoint").body, log, "gc decides nothing");

    // Everything is as it was: what is served, what is known, and the documents.
    assert_eq!(
        daemon
            .get(&format!("/files/{}/{}", admitted.sha256, admitted.filename))
            .body,
        admitted.bytes
    );
    for file in [&admitted, &revoked, &quarantined, &refused] {
        let verdict = daemon
            .admin("GET", &format!("/api/v1/files/{}/verdict", file.sha256), b"")
            .json();
        for row in verdict["checks"].as_array().unwrap() {
            let evidence = format!("/api/v1/evidence/{}", row["evidence"].as_str().unwrap());
            assert_eq!(
                daemon.admin("GET", &evidence, b"").status,
                200,
                "{}",
                file.filename
            );
        }
    }
    let restored = daemon.admin(
        "POST",
        &format!("/api/v1/files/{}/restore", revoked.sha256),
        br#"{"reason":"sound"}"#,
    );
    assert_eq!(restored.status, 200, "{restored}");
    assert_eq!(
        daemon
            .get(&format!("/files/{}/{}", revoked.sha256, revoked.filename))
            .body,
        revoked.bytes
    );
}

#[test]
fn scrub_reads_everything_and_finds_nothing_wrong() {
    let Site {
        daemon,
        admitted,
        revoked,
        quarantined,
        ..
    } = site();
    let report = upkeep(&daemon, "scrub", &json!({}));
    let bytes: usize = [&admitted, &revoked, &quarantined]
        .iter()
        .map(|file| file.bytes.len())
        .sum();
    let expected =
        json!({ "checked": 3, "bytes": bytes, "corrupt": [], "missing": [], "repaired": 0, "unrepaired": 0 });
    assert_eq!(report, expected);
    daemon.cli(&["scrub"]).expect(0);
    daemon.cli(&["gc", "--dry-run"]).expect(0);
}

/// Everything that is served of the catalogue, in bytes.
fn everything(site: &Site) -> Vec<(String, Vec<u8>)> {
    let mut paths = vec!["/simple/".to_owned()];
    for size in 0..=6 + KEYS_MADE {
        paths.extend(["demo", "other", "bad"].map(|name| format!("/at/{size}/simple/{name}/")));
        paths.push(format!("/at/{size}/simple/"));
    }
    paths.extend(["demo", "other", "bad"].map(|name| format!("/simple/{name}/")));
    let mut shown = Vec::new();
    for path in paths {
        for accept in [PIP_ACCEPT, "text/html"] {
            let answer = site.daemon.request("GET", &path, &[("Accept", accept)]);
            shown.push((format!("{path} {}", answer.status), answer.body));
        }
    }
    for file in [&site.admitted, &site.revoked, &site.quarantined, &site.refused] {
        let path = format!("/api/v1/files/{}", file.sha256);
        shown.push((path.clone(), site.daemon.admin("GET", &path, b"").body));
    }
    let mut status = site.daemon.admin("GET", "/api/v1/status", b"").json();
    status["free_bytes"] = Value::Null;
    shown.push(("status".to_owned(), status.to_string().into_bytes()));
    shown.push(("checkpoint".to_owned(), site.daemon.get("/log/checkpoint").body));
    shown
}

fn assert_same(before: &[(String, Vec<u8>)], after: &[(String, Vec<u8>)]) {
    for ((what, old), (same, new)) in before.iter().zip(after) {
        assert_eq!(
            (what, String::from_utf8_lossy(old)),
            (same, String::from_utf8_lossy(new))
        );
    }
    assert_eq!(before.len(), after.len());
}

#[test]
fn a_rebuilt_catalogue_serves_the_same_bytes() {
    let mut site = site();
    let before = everything(&site);
    assert!(
        before.iter().any(|(what, _)| what.contains("200"))
            && before.iter().any(|(what, _)| what.contains("404"))
    );
    site.daemon.stop();
    let rebuilt = site
        .daemon
        .local_cli(&["rebuild-catalog", "--format", "json"])
        .expect(0)
        .json();
    assert_eq!(
        (&rebuilt["events"], &rebuilt["admitted"]),
        (&json!(6 + KEYS_MADE), &json!(1)),
        "{rebuilt:#}"
    );
    site.daemon.restart();
    assert_same(&before, &everything(&site));
    // And it is a catalogue to work on.
    let more = licensed("demo", "3.0", "MIT");
    let claimed = format!("/api/v1/ingest/{}?sha256={}", more.filename, more.sha256);
    assert_eq!(
        site.daemon.admin("PUT", &claimed, &more.bytes).json()["outcome"],
        "admitted"
    );
    assert_eq!(
        site.daemon.admin("GET", "/api/v1/status", b"").json()["log_size"],
        7 + KEYS_MADE
    );
}

#[test]
fn a_rebuild_that_was_cut_short_is_caught_up_at_the_next_start() {
    let mut site = site();
    let before = everything(&site);
    site.daemon.stop();
    let options = DbOptions {
        cache_bytes: 1 << 20,
        readers: 1,
        min_free_bytes: 0,
        families: chiron::catalog::FAMILIES,
    };
    let db = Db::open(&site.daemon.data_dir().join("db"), options).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        // The families that the rebuild empties first; the process ended before the first entry was applied.
        const FILES: Table<String, Raw> = Table::new("files");
        db.clear(&["files", "digests", "names", "projects", "counts"])
            .await
            .unwrap();
        let left = db
            .read(|view| Ok::<_, chiron_storage::DbError>(view.scan(&FILES, b"", None)?.count()))
            .await;
        assert_eq!(left.unwrap(), 0);
    });
    drop((db, runtime));
    site.daemon.restart();
    assert!(
        site.daemon.stderr().contains("behind the log"),
        "it says so: {}",
        site.daemon.stderr()
    );
    assert_same(&before, &everything(&site));
}
