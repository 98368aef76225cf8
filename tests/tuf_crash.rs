//! Promise: whatever a publication was doing when the process died, the old generation stays whole and served, and the next
//! start finishes what was begun. Nothing that was acknowledged is lost, and no version is ever used twice.
//!
//! A write is made to stop by a folder in its place, which a rename or a creation cannot replace: there the process is
//! killed. That gives each moment between two writes, one after the other, and not only those that chance hits.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use support::daemon::{Daemon, DaemonOptions};
use support::raw::PIP_ACCEPT;
use support::signed::{Whole, on_disk, served, target};
use support::upstream::FakeFile;
use support::wheels::wheel;

fn hand_in(daemon: &Daemon, version: &str) -> FakeFile {
    let file = wheel("demo", version, &[]);
    let answer = daemon.put_file(&file.filename, &file.bytes);
    assert_eq!(answer["outcome"], "admitted");
    file
}

/// A daemon with one file, and what it serves.
fn daemon() -> (Daemon, FakeFile, Whole) {
    let daemon = Daemon::start(DaemonOptions::alone());
    let file = hand_in(&daemon, "1.0");
    let whole = served(&daemon).unwrap();
    (daemon, file, whole)
}

/// Something that cannot be replaced by a file; it goes when this is dropped.
struct Obstacle(PathBuf);

impl Obstacle {
    fn at(daemon: &Daemon, name: &str) -> Self {
        let path = daemon.data_dir().join("tuf/metadata").join(name);
        std::fs::create_dir(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        std::fs::write(path.join("full"), "").unwrap();
        Self(path)
    }
}

impl Drop for Obstacle {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

/// Revokes the file; it is acknowledged, with a note that it is not published.
fn revoke(daemon: &Daemon, file: &FakeFile) {
    let path = format!("/api/v1/files/{}/revoke", file.sha256);
    let answer = daemon.admin("POST", &path, br#"{"reason":"for the test"}"#);
    assert_eq!(answer.status, 200, "{answer}");
    assert!(answer.header("chiron-note").contains("not yet"), "{answer}");
}

fn page(daemon: &Daemon) -> Vec<u8> {
    let answer = daemon.request("GET", "/simple/demo/", &[("Accept", PIP_ACCEPT)]);
    assert_eq!(answer.status, 200, "{answer}");
    answer.body
}

/// The old generation is served as if nothing had happened, but for the bytes that were revoked.
fn is_the_old_one(daemon: &Daemon, before: &Whole, file: &FakeFile) {
    assert_eq!(&served(daemon).unwrap(), before);
    assert_eq!(page(daemon), target(daemon, before, "simple/demo/index.json"));
    assert_eq!(
        daemon
            .get(&format!("/files/{}/{}", file.sha256, file.filename))
            .status,
        403,
        "file routes refuse at once"
    );
    let ready = daemon.get("/readyz");
    assert_eq!(ready.status, 200, "{ready}");
    assert!(ready.text().contains("nothing new is published"), "{ready}");
}

/// The revocation is published, every version is higher than before where something changed, and all of it is whole.
fn is_the_new_one(daemon: &Daemon, before: &Whole) -> Whole {
    let after = served(daemon).unwrap();
    assert!(!after.targets.contains_key("files/demo/demo-1.0-py3-none-any.whl"));
    assert_eq!(page(daemon), target(daemon, &after, "simple/demo/index.json"));
    assert!(after.version("timestamp") > before.version("timestamp"));
    assert!(after.version("snapshot") > before.version("snapshot"));
    assert!(
        after
            .versions
            .iter()
            .all(|(role, version)| *version >= before.version(role))
    );
    assert_eq!(on_disk(daemon.data_dir()).unwrap(), after);
    after
}

fn interrupted_at(obstacle: impl FnOnce(&Whole) -> String) {
    let (mut daemon, file, before) = daemon();
    let obstacle = Obstacle::at(&daemon, &obstacle(&before));
    revoke(&daemon, &file);
    is_the_old_one(&daemon, &before, &file);
    daemon.kill9();
    assert_eq!(on_disk(daemon.data_dir()).unwrap(), before, "whole on disk too");
    drop(obstacle);
    daemon.restart();
    is_the_new_one(&daemon, &before);
}

/// The bin of a path: its versions are a multiple of 16,384 and its number.
fn next_version_of_bin(before: &Whole, role: &str) -> u64 {
    let bins = before
        .versions
        .iter()
        .filter(|(role, _)| role.starts_with("bin-"));
    let highest = bins.map(|(_, version)| *version).max().unwrap();
    let number = u64::from_str_radix(&role["bin-".len()..], 16).unwrap();
    (highest / 16_384 + 1) * 16_384 + number
}

fn bin_of_page() -> String {
    let path: chiron_tuf::TargetPath = "simple/demo/index.json".parse().unwrap();
    chiron_tuf::BinCount::DEFAULT.of(&path.hash()).to_string()
}

#[test]
fn before_the_first_bin_is_written() {
    interrupted_at(|before| {
        let role = bin_of_page();
        format!("{}.{role}.json.new", next_version_of_bin(before, &role))
    });
}

#[test]
fn between_the_bins_and_the_snapshot() {
    interrupted_at(|before| format!("{}.snapshot.json.new", before.version("snapshot") + 1));
}

#[test]
fn in_the_middle_of_putting_files_in_place() {
    interrupted_at(|before| format!("{}.snapshot.json", before.version("snapshot") + 1));
}

/// After the batch the database is ahead of the folder: pages and metadata are still those of the timestamp that is served.
#[test]
fn between_the_batch_and_the_timestamp() {
    interrupted_at(|_| "timestamp.json.new".to_owned());
}

/// The same without a death: as soon as the disk takes the timestamp again, it is there.
#[test]
fn a_disk_that_refuses_for_a_while_needs_no_restart() {
    for name in ["timestamp.json.new", "snapshot"] {
        let (daemon, file, before) = daemon();
        let name = match name {
            "snapshot" => format!("{}.snapshot.json.new", before.version("snapshot") + 1),
            other => other.to_owned(),
        };
        let obstacle = Obstacle::at(&daemon, &name);
        revoke(&daemon, &file);
        is_the_old_one(&daemon, &before, &file);
        drop(obstacle);
        let deadline = Instant::now() + Duration::from_mins(1);
        while daemon.get("/readyz").json()["problems"] != serde_json::json!([]) {
            assert!(Instant::now() < deadline, "it was not tried again");
            std::thread::sleep(Duration::from_millis(200));
        }
        is_the_new_one(&daemon, &before);
    }
}

/// What a crash leaves of a publication that did not get to its batch is written over, whatever it is.
#[test]
fn leftovers_are_written_over() {
    let (mut daemon, file, before) = daemon();
    daemon.kill9();
    let folder = daemon.data_dir().join("tuf/metadata");
    let role = bin_of_page();
    for name in [
        format!("{}.snapshot.json", before.version("snapshot") + 1),
        format!("{}.{role}.json", next_version_of_bin(&before, &role)),
        "timestamp.json.new".to_owned(),
        "9.snapshot.json.new".to_owned(),
    ] {
        std::fs::write(folder.join(name), "half a fi").unwrap();
    }
    daemon.restart();
    let path = format!("/api/v1/files/{}/revoke", file.sha256);
    assert_eq!(daemon.admin("POST", &path, br#"{"reason":"x"}"#).status, 200);
    is_the_new_one(&daemon, &before);
    let left = std::fs::read_dir(folder).unwrap();
    let mut names = left.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
    assert!(!names.any(|name| name.contains(".new")));
}

/// An older timestamp in the folder is what a crash before the last step leaves: it is finished, with the same versions.
#[test]
fn an_older_timestamp_is_replaced_at_start() {
    let (mut daemon, _, before) = daemon();
    hand_in(&daemon, "2.0");
    let newest = served(&daemon).unwrap();
    daemon.kill9();
    let timestamp = daemon.data_dir().join("tuf/metadata/timestamp.json");
    std::fs::write(&timestamp, &before.timestamp).unwrap();
    daemon.restart();
    let after = served(&daemon).unwrap();
    assert_eq!(after.targets, newest.targets);
    assert_eq!(
        after.version("timestamp"),
        newest.version("timestamp") + 1,
        "signed again at start"
    );
    assert_eq!(after.version("snapshot"), newest.version("snapshot"));
}

/// The whole folder lost: people's documents come back as they were signed, the rest is signed again with new versions.
#[test]
fn a_lost_folder_is_made_again() {
    let (mut daemon, _, before) = daemon();
    let root = daemon.get("/tuf/metadata/1.root.json").body;
    daemon.kill9();
    std::fs::remove_dir_all(daemon.data_dir().join("tuf")).unwrap();
    daemon.restart();
    let after = served(&daemon).unwrap();
    assert_eq!(after.targets, before.targets);
    assert_eq!(daemon.get("/tuf/metadata/1.root.json").body, root);
    assert_eq!(after.version("targets"), before.version("targets"));
    let bins = |whole: &Whole| -> BTreeMap<String, u64> {
        let bins = whole.versions.iter().filter(|(role, _)| role.starts_with("bin-"));
        bins.map(|(role, version)| (role.clone(), *version)).collect()
    };
    let (old, new) = (bins(&before), bins(&after));
    assert!(old.iter().all(|(role, version)| new[role] > *version));
    assert!(after.version("snapshot") > before.version("snapshot"));
    assert!(daemon.data_dir().join("tuf/root.json").exists());
}

/// Deaths by chance, again and again while changes come in: each time the folder is whole, and nothing acknowledged is lost.
#[test]
fn any_moment_will_do() {
    let (mut daemon, first, mut last) = daemon();
    let mut admitted = vec![first];
    for round in 0..12_u64 {
        let addr = daemon.addr().to_owned();
        let token = daemon.admin_token();
        let next = admitted.len();
        let handing_in = std::thread::spawn(move || {
            let mut done = Vec::new();
            for n in 0..50 {
                let file = wheel("demo", &format!("{next}.{n}"), &[]);
                let path = format!("/api/v1/ingest/{}", file.filename);
                let bearer = format!("Bearer {token}");
                let headers = [("Authorization", bearer.as_str())];
                let answer = std::panic::catch_unwind(|| {
                    support::raw::request(&addr, "PUT", &path, &headers, &file.bytes)
                });
                match answer {
                    Ok(answer) if answer.status == 200 => done.push(file),
                    _ => break,
                }
            }
            done
        });
        // 7 ms apart, over more than what a publication takes.
        std::thread::sleep(Duration::from_millis(20 + round * 7));
        daemon.kill9();
        let acknowledged = handing_in.join().unwrap();
        let left = on_disk(daemon.data_dir()).unwrap_or_else(|error| panic!("round {round}: {error}"));
        assert!(
            left.versions
                .iter()
                .all(|(role, version)| *version >= last.version(role))
        );
        admitted.extend(acknowledged);
        daemon.restart();
        let after = served(&daemon).unwrap_or_else(|error| panic!("round {round}: {error}"));
        assert!(
            after
                .versions
                .iter()
                .all(|(role, version)| *version >= left.version(role))
        );
        for file in &admitted {
            let path = format!("files/demo/{}", file.filename);
            assert_eq!(after.sha256(&path), file.sha256, "round {round}: {path}");
        }
        last = after;
    }
}
