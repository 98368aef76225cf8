//! Promise: on bad days the signed repository stays whole: an edited folder is noticed and never signed from, a key that fails
//! leaves the old generation in service, the clock never takes a version back, one folder has one daemon, and ten thousand
//! changes in a second are a few publications.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use chiron::catalog::{Actor, Catalog};
use chiron::ceremony::Ceremonies;
use chiron::keys::{KeySettings, Keyring};
use chiron::package::{ProjectName, Status};
use chiron::publish::{How, Parts, Publisher, Settings};
use chiron::telemetry::Metrics;
use chiron_storage::{Db, DbOptions, Log, LogKey};
use chiron_tuf::Role;
use futures_util::{StreamExt as _, stream};
use jiff::{SignedDuration, Timestamp};
use support::daemon::{CHIRON, Daemon, DaemonOptions};
use support::signed::{Whole, on_disk, served};
use support::upstream::FakeFile;
use support::wheels::wheel;

const PASSPHRASE: &str = "CHIRON_TUF_PASSPHRASE";

fn hand_in(daemon: &Daemon, version: &str) -> FakeFile {
    let file = wheel("demo", version, &[]);
    let answer = daemon.put_file(&file.filename, &file.bytes);
    assert_eq!(answer["outcome"], "admitted");
    file
}

fn metadata(daemon: &Daemon, name: &str) -> PathBuf {
    daemon.data_dir().join("tuf/metadata").join(name)
}

/// Flips one bit in the middle of a file.
fn flip(path: &Path) {
    let mut bytes = std::fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(path, bytes).unwrap();
}

fn file_of(whole: &Whole, role: &str) -> String {
    format!("{}.{role}.json", whole.version(role))
}

fn problems(daemon: &Daemon) -> String {
    let ready = daemon.get("/readyz");
    assert_eq!(ready.status, 200, "{ready}");
    ready.json()["problems"].to_string()
}

/// What was edited is served as it lies there, so that clients refuse it; it is noticed when it is asked for; nothing is
/// signed from it; and a repair gives new versions.
#[test]
fn an_edited_bin_is_seen_by_clients_and_mended_by_a_repair() {
    let daemon = Daemon::start(DaemonOptions::alone());
    hand_in(&daemon, "1.0");
    let before = served(&daemon).unwrap();
    let name = file_of(&before, "bin-7a");
    flip(&metadata(&daemon, &name));
    let edited = std::fs::read(metadata(&daemon, &name)).unwrap();
    let error = served(&daemon).unwrap_err();
    assert!(error.contains("bin-7a"), "{error}");
    assert!(
        problems(&daemon).contains("changed by somebody else"),
        "{}",
        problems(&daemon)
    );
    assert!(daemon.stderr().contains(&name));
    // Publications go on around it, and do not hide it.
    hand_in(&daemon, "2.0");
    assert_eq!(std::fs::read(metadata(&daemon, &name)).unwrap(), edited);
    let answer = daemon.admin("POST", "/api/v1/tuf/publish", br#"{"repair":true}"#);
    assert_eq!(answer.status, 200, "{answer}");
    let after = served(&daemon).unwrap();
    assert!(after.version("bin-7a") > before.version("bin-7a"));
    assert!(after.targets.contains_key("files/demo/demo-2.0-py3-none-any.whl"));
    assert_eq!(problems(&daemon), "[]");
}

/// Documents of people cannot be signed again here: they come back as they were signed.
#[test]
fn an_edited_root_is_put_back_by_a_repair() {
    let daemon = Daemon::start(DaemonOptions::alone());
    let before = served(&daemon).unwrap();
    for name in ["1.root.json", "1.targets.json", "1.bins.json"] {
        let path = metadata(&daemon, name);
        let good = std::fs::read(&path).unwrap();
        flip(&path);
        assert!(served(&daemon).is_err(), "{name}");
        assert!(problems(&daemon).contains(name), "{}", problems(&daemon));
        let answer = daemon.admin("POST", "/api/v1/tuf/publish", br#"{"repair":true}"#);
        assert_eq!(answer.status, 200, "{answer}");
        assert_eq!(std::fs::read(&path).unwrap(), good, "{name}");
    }
    let after = served(&daemon).unwrap();
    assert_eq!(after.version("root"), before.version("root"));
    assert_eq!(problems(&daemon), "[]");
}

/// A timestamp of yesterday in the folder: the next publication, or the next start, replaces it.
#[test]
fn an_edited_timestamp_does_not_last() {
    let mut daemon = Daemon::start(DaemonOptions::alone());
    let old = served(&daemon).unwrap();
    hand_in(&daemon, "1.0");
    let newest = served(&daemon).unwrap();
    let path = metadata(&daemon, "timestamp.json");
    std::fs::write(&path, &old.timestamp).unwrap();
    assert_eq!(problems(&daemon), "[]", "nobody asked for it yet");
    assert_eq!(daemon.get("/tuf/metadata/timestamp.json").body, old.timestamp);
    assert!(
        problems(&daemon).contains("timestamp.json"),
        "{}",
        problems(&daemon)
    );
    hand_in(&daemon, "2.0");
    let after = served(&daemon).unwrap();
    assert_eq!(problems(&daemon), "[]", "replaced, and served as it was signed");
    assert_eq!(after.version("timestamp"), newest.version("timestamp") + 1);
    assert_eq!(daemon.stop(), 0);
    std::fs::write(&path, "{}").unwrap();
    daemon.restart();
    assert!(served(&daemon).unwrap().version("timestamp") > after.version("timestamp"));
    assert!(
        daemon
            .stderr()
            .contains("timestamp.json was changed by somebody else")
    );
}

/// Documents planted in the folder are not believed: roots come from the database.
#[test]
fn a_planted_root_is_neither_served_nor_followed() {
    let mut daemon = Daemon::start(DaemonOptions::alone());
    std::fs::copy(metadata(&daemon, "1.root.json"), metadata(&daemon, "2.root.json")).unwrap();
    daemon.restart();
    assert_eq!(daemon.get("/tuf/metadata/2.root.json").status, 404);
    hand_in(&daemon, "1.0");
    assert_eq!(served(&daemon).unwrap().version("root"), 1);
}

#[test]
fn a_wrong_passphrase_leaves_the_old_generation_in_service() {
    let options = DaemonOptions::alone().env(PASSPHRASE, "the right one");
    let mut daemon = Daemon::start(options);
    let file = hand_in(&daemon, "1.0");
    let before = served(&daemon).unwrap();
    daemon.restart_with(|options| options.env = vec![(PASSPHRASE.to_owned(), "a wrong one".to_owned())]);
    assert_eq!(
        served(&daemon).unwrap(),
        before,
        "whole, and not even a new timestamp"
    );
    assert!(
        problems(&daemon).contains("nothing new is published"),
        "{}",
        problems(&daemon)
    );
    let path = format!("/api/v1/files/{}/revoke", file.sha256);
    let begun = Instant::now();
    let answer = daemon.admin("POST", &path, br#"{"reason":"for the test"}"#);
    assert_eq!(answer.status, 200, "{answer}");
    assert!(answer.header("chiron-note").contains("not yet"), "{answer}");
    assert!(begun.elapsed() < Duration::from_secs(10));
    assert_eq!(served(&daemon).unwrap(), before);
    let file_url = format!("/files/{}/{}", file.sha256, file.filename);
    assert_eq!(
        daemon.get(&file_url).status,
        403,
        "a revocation does not wait for a key"
    );
    for said in [daemon.stderr(), daemon.get("/readyz").text()] {
        assert!(
            !said.contains("a wrong one") && !said.contains("the right one"),
            "{said}"
        );
    }
    daemon.restart_with(|options| options.env = vec![(PASSPHRASE.to_owned(), "the right one".to_owned())]);
    let after = served(&daemon).unwrap();
    assert!(!after.targets.contains_key("files/demo/demo-1.0-py3-none-any.whl"));
    assert_eq!(problems(&daemon), "[]");
}

/// A key file that is gone, and one that others can read.
#[test]
fn a_key_that_cannot_be_used_says_so_and_comes_back_without_a_restart() {
    let daemon = Daemon::start(DaemonOptions::alone());
    hand_in(&daemon, "1.0");
    let key = daemon.data_dir().join("keys/tuf/timestamp.pem");
    let elsewhere = daemon.home().join("timestamp.pem");
    std::fs::rename(&key, &elsewhere).unwrap();
    // The daemon has it open already: a start does not.
    let mut daemon = daemon;
    daemon.restart();
    let before = served(&daemon).unwrap();
    assert!(
        problems(&daemon).contains("timestamp cannot be signed"),
        "{}",
        problems(&daemon)
    );
    // Readable by others before it is there: the daemon tries again by itself, and must not find it sound.
    std::fs::set_permissions(&elsewhere, std::fs::Permissions::from_mode(0o644)).unwrap();
    std::fs::rename(&elsewhere, &key).unwrap();
    let answer = daemon.admin("POST", "/api/v1/tuf/publish", br#"{"resign":true}"#);
    assert_eq!(answer.status, 503, "{answer}");
    assert_eq!(served(&daemon).unwrap(), before);
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    let answer = daemon.admin("POST", "/api/v1/tuf/publish", br#"{"resign":true}"#);
    assert_eq!(answer.status, 200, "{answer}");
    assert!(served(&daemon).unwrap().version("timestamp") > before.version("timestamp"));
    assert_eq!(problems(&daemon), "[]");
}

/// One folder, one writer: the second daemon is refused, and so is a verb that would write beside the first.
#[test]
fn two_daemons_do_not_publish_one_folder() {
    let daemon = Daemon::start(DaemonOptions::alone());
    let before = served(&daemon).unwrap();
    let second = Daemon::try_start(DaemonOptions::alone().data_dir(daemon.data_dir()));
    let Err(refused) = second else {
        panic!("a second daemon started on the same folder");
    };
    assert_ne!(refused.status, 0);
    assert!(
        refused.stderr.contains("another process holds the data folder"),
        "{refused}"
    );
    assert_eq!(served(&daemon).unwrap(), before);
    assert!(Path::new(CHIRON).exists());
}

/// A repository of its own, without HTTP, so that the time can be given.
struct Bench {
    publisher: Publisher,
    catalog: Catalog,
    data: tempfile::TempDir,
}

impl Bench {
    async fn new(now: Timestamp) -> Self {
        let data = tempfile::tempdir().unwrap();
        let options = DbOptions {
            cache_bytes: 8 << 20,
            readers: 4,
            min_free_bytes: 1 << 20,
            families: Box::leak(
                [chiron::catalog::FAMILIES, chiron::publish::FAMILIES]
                    .concat()
                    .into_boxed_slice(),
            ),
        };
        let db = Db::open(&data.path().join("db"), options).unwrap();
        let log = Log::new(db.clone(), LogKey::generate("test").unwrap());
        let catalog = Catalog::new(db.clone(), log);
        let settings = KeySettings::here(Duration::from_secs(5), None, false);
        let keyring = Keyring::open(&data.path().join("keys"), settings).unwrap();
        let publisher = Publisher::open(Parts {
            db,
            catalog: catalog.clone(),
            folder: data.path().join("tuf"),
            keyring: keyring.clone(),
            settings: Settings::default(),
            trust_documents: Arc::new(|| vec![("policy.json".to_owned(), Bytes::from_static(b"{}"))]),
            metrics: Metrics::new(),
        })
        .await
        .unwrap();
        let ceremonies = Ceremonies::new(publisher.clone(), keyring, catalog.clone());
        ceremonies.init_development(now).await.unwrap();
        Self {
            publisher,
            catalog,
            data,
        }
    }

    /// An event about a project; it changes no page, and the checkpoint.
    async fn event(&self, project: &str, now: Timestamp) {
        let project = ProjectName::parse(project).unwrap();
        let status = self
            .catalog
            .set_status(project, Status::Archived, None, Actor::Operator, now)
            .await
            .unwrap();
        assert!(status.is_some());
    }

    async fn publish(&self, now: Timestamp) -> Whole {
        self.publisher.publish(How::default(), now).await.unwrap();
        on_disk(self.data.path()).unwrap()
    }
}

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

#[tokio::test]
async fn a_clock_that_jumps_takes_no_version_back() {
    let start = time("2026-11-20T12:00:00Z");
    let bench = Bench::new(start).await;
    let mut last = on_disk(bench.data.path()).unwrap();
    let jumps = [
        time("2026-11-20T12:00:01Z"),
        time("2024-01-01T00:00:00Z"),
        time("2031-01-01T00:00:00Z"),
        time("2026-11-20T12:00:05Z"),
        time("1970-01-02T00:00:00Z"),
        time("2026-11-21T12:00:00Z"),
    ];
    for (n, now) in jumps.into_iter().enumerate() {
        bench.event(&format!("p{n}"), now).await;
        let next = bench.publish(now).await;
        assert_eq!(next.version("timestamp"), last.version("timestamp") + 1, "{now}");
        assert!(
            last.versions
                .iter()
                .all(|(role, version)| next.version(role) >= *version),
            "{now}"
        );
        assert_eq!(
            next.expires,
            now + SignedDuration::from_hours(24),
            "by this clock"
        );
        last = next;
    }
}

/// What was signed far in the future, by a clock that was wrong, would hold for too long: it is signed again.
#[tokio::test]
async fn signatures_of_the_future_do_not_stay() {
    let (future, now) = (time("2036-01-01T00:00:00Z"), time("2026-11-20T12:00:00Z"));
    let bench = Bench::new(future).await;
    let before = on_disk(bench.data.path()).unwrap();
    let after = bench.publish(now).await;
    assert_eq!(after.expires, now + SignedDuration::from_hours(24));
    let bins = |whole: &Whole| -> BTreeSet<u64> {
        let bins = whole.versions.iter().filter(|(role, _)| role.starts_with("bin-"));
        bins.map(|(_, version)| *version).collect()
    };
    assert!(bins(&before).is_disjoint(&bins(&after)), "every bin too");
}

/// Nothing changes, and nothing expires: the timestamp every six hours, the snapshot and the bins in time, a few a day.
#[tokio::test]
async fn what_is_due_is_signed_again() {
    let start = time("2026-11-20T12:00:00Z");
    let bench = Bench::new(start).await;
    let first = bench.publish(start).await;
    let soon = bench.publish(start + SignedDuration::from_hours(5)).await;
    assert_eq!(soon, first, "nothing to do");
    let mut last = first.clone();
    let mut most = 0;
    for quarter in 1..=4 * 45 {
        let now = start + SignedDuration::from_hours(6 * quarter);
        let published = bench.publisher.publish(How::default(), now).await.unwrap();
        assert!(published.files_written > 0, "{now}");
        most = most.max(published.bins_signed);
        if quarter % 20 == 0 {
            let next = on_disk(bench.data.path()).unwrap();
            assert_eq!(next.version("timestamp"), last.version("timestamp") + 20);
            last = next;
        }
        let health = bench.publisher.health(now).await.unwrap();
        let problems: Vec<_> = health.iter().filter_map(|role| role.problem.as_ref()).collect();
        assert!(problems.is_empty(), "{now}: {problems:?}");
        assert!(
            health
                .iter()
                .all(|role| role.expires.is_some_and(|expires| expires > now))
        );
    }
    assert!(most < 30, "bins are spread over days: {most} at once");
    assert_eq!(last.targets, first.targets);
}

/// The year's documents are renewed by themselves where their keys are here: root, targets, trust and bins.
#[tokio::test]
async fn what_holds_for_a_year_is_renewed_with_keys_that_are_here() {
    let start = time("2026-11-20T12:00:00Z");
    let bench = Bench::new(start).await;
    let now = start + SignedDuration::from_hours(24 * 320);
    let after = bench.publish(now).await;
    assert_eq!(
        ["root", "targets", "trust", "bins"].map(|role| after.version(role)),
        [2, 2, 2, 2]
    );
    assert_eq!(bench.publisher.version(Role::Root), 2);
    let copy = std::fs::read(bench.data.path().join("tuf/root.json")).unwrap();
    let newest = std::fs::read(bench.data.path().join("tuf/metadata/2.root.json")).unwrap();
    assert_eq!(copy, newest);
    assert!(
        bench.data.path().join("tuf/metadata/1.root.json").exists(),
        "roots stay for ever"
    );
}

/// After a restored backup, clients may have seen versions that the database does not know of.
#[tokio::test]
async fn versions_can_begin_above_what_clients_have_seen() {
    let now = time("2026-11-20T12:00:00Z");
    let bench = Bench::new(now).await;
    let how = How {
        versions_from: Some(1_000_000),
        ..How::default()
    };
    bench.publisher.publish(how, now).await.unwrap();
    let after = on_disk(bench.data.path()).unwrap();
    let low: Vec<_> = after
        .versions
        .iter()
        .filter(|(role, version)| *role != "root" && **version < 1_000_000)
        .collect();
    assert!(low.is_empty(), "{low:?}");
    assert_eq!(after.version("root"), 1);
}

/// Ten thousand events in a second: a few publications, and after the last everything is signed.
#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_changes_in_one_second() {
    const CHANGES: u64 = 10_000;
    let bench = Bench::new(Timestamp::now()).await;
    let following = bench.publisher.start();
    let generation = bench.publisher.generation().unwrap().number;
    let begun = Instant::now();
    stream::iter(0..CHANGES)
        .for_each_concurrent(1_000, |n| {
            let bench = &bench;
            async move { bench.event(&format!("p{n}"), Timestamp::now()).await }
        })
        .await;
    let size = bench.catalog.log().size().await.unwrap();
    assert!(size >= CHANGES);
    assert!(bench.publisher.published(size, Duration::from_mins(1)).await);
    let took = begun.elapsed();
    let publications = bench.publisher.generation().unwrap().number - generation;
    bench.publisher.stop(&following, Duration::from_secs(5)).await;
    // Five at a stretch, and then at most one a second.
    assert!(publications <= 7 + took.as_secs(), "{publications} in {took:?}");
    let whole = on_disk(bench.data.path()).unwrap();
    assert!(whole.targets.contains_key("log/checkpoint"));
}
