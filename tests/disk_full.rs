//! Promise: a full disk is said (507, exit status 70), nothing half-done shows, nothing acknowledged is lost, reading
//! goes on, and once there is space everything works again.
//!
//! A small tmpfs stands for the disk where this user may mount one; elsewhere those tests say that they are left out.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "support/small_disk.rs"]
mod small_disk;
mod support;
#[path = "support/traces.rs"]
mod traces;

use std::io::{Seek, SeekFrom, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use small_disk::Disk;
use support::daemon::{Daemon, DaemonOptions};
use support::hostile::wheel_writer::Wheel;
use support::raw::Answer;
use support::upstream::{FakeFile, FakeUpstream};
use traces::{
    assert_blobs_whole, assert_nothing_staged, assert_problem, assert_sound, blobs, event_types, file_url,
    listed, log_size, wait_until,
};

/// More than any disk has.
const RESERVE: &str = "1000000TiB";
/// The reserve that the harness configures.
const MIN_FREE: u64 = 1 << 20;

fn url_of(file: &FakeFile) -> String {
    file_url(&file.sha256, &file.filename)
}

fn put(daemon: &Daemon, file: &FakeFile) -> Answer {
    daemon.admin("PUT", &format!("/api/v1/ingest/{}", file.filename), &file.bytes)
}

/// 507 with words that help.
#[track_caller]
fn assert_full(answer: &Answer) {
    assert_problem(answer, 507, "disk-full");
    assert!(
        answer.text().contains("chiron gc") && answer.reason.contains("disk is full"),
        "{answer}"
    );
}

fn on_disk(disk: &Disk, options: DaemonOptions) -> Daemon {
    Daemon::start(
        options
            .data_dir(&disk.path.join("data"))
            .storage("cache = \"1MiB\""),
    )
}

/// The one file that was acknowledged is there, and it alone.
#[track_caller]
fn assert_only(daemon: &Daemon, file: &FakeFile, blobs_on_disk: usize) {
    assert_eq!(event_types(daemon), ["admitted"]);
    let answer = daemon.get(&url_of(file));
    assert!(answer.status == 200 && answer.body == file.bytes, "{answer}");
    assert_eq!(listed(daemon, "old"), [file.filename.as_str()]);
    assert_eq!(blobs(daemon.data_dir()).len(), blobs_on_disk);
    assert_blobs_whole(daemon.data_dir());
    assert_nothing_staged(daemon.data_dir());
    assert_sound(daemon);
}

#[tokio::test(flavor = "multi_thread")]
async fn below_the_reserve_nothing_is_taken_in() {
    let upstream = FakeUpstream::start().await;
    let (old, new, other) = (
        FakeFile::wheel("old", "1.0", 1_000),
        FakeFile::wheel("new", "1.0", 1_000),
        FakeFile::wheel("other", "1.0", 1_000),
    );
    upstream.add(other.clone());
    let mut daemon = Daemon::start(DaemonOptions::on_demand(&upstream.index_url()));
    assert_eq!(put(&daemon, &old).status, 200);
    let path = daemon.home().join(&new.filename);
    std::fs::write(&path, &new.bytes).unwrap();

    daemon.restart_with(|options| {
        options
            .env
            .push(("CHIRON_STORAGE__MIN_FREE".to_owned(), RESERVE.to_owned()));
    });
    assert_full(&put(&daemon, &new));
    assert_full(&daemon.get(&url_of(&other)));
    let ingest = daemon.cli(&["ingest", path.to_str().unwrap()]).expect(70);
    assert!(ingest.stderr.contains("ree some space"), "{ingest}");
    daemon.cli(&["ingest", "other"]).expect(70);
    let yank = daemon
        .cli(&["yank", &old.filename, "--reason", "a test"])
        .expect(70);
    assert!(yank.stderr.contains("space"), "{yank}");
    assert_only(&daemon, &old, 1);
    let ready = daemon.get("/readyz");
    assert_eq!(ready.status, 200, "reading goes on: {ready}");
    assert!(ready.text().contains("disk almost full"), "{ready}");
    assert!(!daemon.page("old").to_string().contains("yanked"));

    assert_eq!(daemon.stop(), 0);
    let local = daemon.local_cli(&["ingest", path.to_str().unwrap()]).expect(70);
    assert!(local.stderr.contains("next:"), "{local}");
    daemon.local_cli(&["show", &old.filename]).expect(0);

    daemon.restart_with(|options| options.env.clear());
    assert_eq!(put(&daemon, &new).json()["outcome"], "admitted");
    assert_eq!(daemon.get(&url_of(&other)).status, 200);
    assert_eq!(event_types(&daemon), ["admitted"; 3]);
    daemon.cli(&["scrub"]).expect(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_fills_while_staging_keeps_what_is_there() {
    let Some(disk) = Disk::mount() else { return };
    let upstream = FakeUpstream::start().await;
    let (old, large) = (
        FakeFile::wheel("old", "1.0", 1_000),
        FakeFile::wheel("large", "1.0", 6_000_000),
    );
    upstream.add(large.clone());
    let daemon = on_disk(&disk, DaemonOptions::on_demand(&upstream.index_url()));
    assert_eq!(put(&daemon, &old).status, 200);
    // Room to begin with it, not to end.
    disk.leave(MIN_FREE + (3 << 20));
    assert_full(&put(&daemon, &large));
    assert_nothing_staged(daemon.data_dir());
    let answer = daemon.get(&url_of(&large));
    assert_full(&answer);
    daemon.cli(&["ingest", "large"]).expect(70);
    assert_only(&daemon, &old, 1);
    assert!(
        disk.free() > MIN_FREE + (2 << 20),
        "what was staged is given back: {}",
        disk.free()
    );

    disk.clear();
    let answer = daemon.get(&url_of(&large));
    assert!(answer.status == 200 && answer.body == large.bytes, "{answer}");
    assert_eq!(event_types(&daemon), ["admitted", "admitted"]);
    daemon.cli(&["log", "verify"]).expect(0);
}

#[test]
fn a_disk_that_fills_before_the_commit_admits_nothing() {
    let Some(disk) = Disk::mount() else { return };
    let mut daemon = on_disk(&disk, DaemonOptions::alone());
    let (old, new) = (
        FakeFile::wheel("old", "1.0", 1_000),
        FakeFile::wheel("new", "1.0", 900_000),
    );
    assert_eq!(put(&daemon, &old).status, 200);
    // Its bytes fit above the reserve, the event that admits it does not.
    disk.leave(MIN_FREE + new.size + (6 << 10));
    let answer = put(&daemon, &new);
    assert_full(&answer);
    assert!(
        !answer.text().contains("for blobs"),
        "it was staged, and the commit was refused: {answer}"
    );
    // Bytes land before the row: they may stay behind, named by nothing, until gc.
    assert_only(&daemon, &old, 2);
    assert!(listed(&daemon, "new").is_empty());
    assert_eq!(daemon.get(&url_of(&new)).status, 404);

    disk.clear();
    assert_eq!(put(&daemon, &new).json()["outcome"], "admitted");
    assert_eq!(event_types(&daemon), ["admitted", "admitted"]);
    daemon.kill9();
    daemon.restart();
    assert_eq!(daemon.get(&url_of(&new)).body, new.bytes);
    daemon.cli(&["log", "verify"]).expect(0);
    daemon.cli(&["scrub"]).expect(0);
}

/// A small wheel with a megabyte of metadata.
fn talkative(project: &str) -> FakeFile {
    let mut wheel = Wheel::new(project, "1.0");
    wheel.metadata.extend("A long story.\n".repeat(75_000).bytes());
    FakeFile::new(&format!("{project}-1.0-py3-none-any.whl"), wheel.build(|_| {}))
}

#[test]
fn without_a_reserve_the_disk_itself_refuses() {
    let Some(disk) = Disk::mount() else { return };
    let options = DaemonOptions::alone().env("CHIRON_STORAGE__MIN_FREE", "0B");
    let mut daemon = on_disk(&disk, options);
    let old = FakeFile::wheel("old", "1.0", 1_000);
    assert_eq!(put(&daemon, &old).status, 200);
    disk.leave(0);
    let large = FakeFile::wheel("large", "1.0", 3_000_000);
    assert_full(&put(&daemon, &large));
    assert_only(&daemon, &old, 1);

    // Small files with much metadata, which goes into the tables, until the disk refuses inside a commit. Whatever was
    // acknowledged must survive that.
    let mut acknowledged = vec![old];
    let mut refused = Vec::new();
    for n in 0..60_u64 {
        // Some with room enough, then page by page less: the commit is refused by its own look at the free space, or, a
        // page or two above that, by the disk in the middle of the write.
        disk.leave(if n < 5 {
            4 << 20
        } else {
            (1_130_000 - n * 4_096).max(256 << 10)
        });
        let file = talkative(&format!("small{n}"));
        let answer = put(&daemon, &file);
        if answer.status == 200 {
            assert_eq!(answer.json()["outcome"], "admitted", "{answer}");
            acknowledged.push(file);
            continue;
        }
        assert!([503, 507].contains(&answer.status), "{answer}");
        assert_eq!(
            answer.header("content-type"),
            "application/problem+json",
            "{answer}"
        );
        refused.push(answer.json()["type"].as_str().unwrap().to_owned());
        if refused.len() > 5 {
            break;
        }
    }
    assert!(
        acknowledged.len() > 5 && !refused.is_empty(),
        "{} acknowledged, then {refused:?}",
        acknowledged.len()
    );
    assert_eq!(daemon.get("/healthz").status, 200);
    for file in &acknowledged {
        let answer = daemon.get(&url_of(file));
        assert!(answer.status == 200 && answer.body == file.bytes, "{answer}");
    }
    assert_nothing_staged(daemon.data_dir());
    assert_blobs_whole(daemon.data_dir());

    disk.clear();
    daemon.kill9();
    daemon.restart();
    for file in &acknowledged {
        let answer = daemon.get(&url_of(file));
        assert!(
            answer.status == 200 && answer.body == file.bytes,
            "{}: {answer}",
            file.filename
        );
    }
    assert!(log_size(&daemon) >= acknowledged.len() as u64);
    let after = FakeFile::wheel("after", "1.0", 1_000);
    wait_until("it takes files in again", || put(&daemon, &after).status == 200);
    daemon.cli(&["log", "verify"]).expect(0);
    daemon.cli(&["scrub"]).expect(0);
    assert_sound(&daemon);
}

/// Fills the disk and gives some of it back, again and again, until it is told to stop.
fn hog(disk: &Disk, stop: &AtomicBool) {
    let mut file = std::fs::File::create(disk.ballast()).unwrap();
    let mut full = 0;
    while !stop.load(Ordering::Relaxed) {
        while file.write_all(&[1; 4_096]).is_ok() {}
        full = full.max(file.metadata().unwrap().len());
        let less = full.saturating_sub(2_500_000);
        file.set_len(less).unwrap();
        file.seek(SeekFrom::Start(less)).unwrap();
        std::thread::sleep(Duration::from_millis(2));
    }
    disk.clear();
}

/// Also when an assertion fails, or the other thread would go on for ever.
struct StopWhenDone<'a>(&'a AtomicBool);

impl Drop for StopWhenDone<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_disk_that_is_full_now_and_then_loses_nothing_acknowledged() {
    let Some(disk) = Disk::mount() else { return };
    let mut daemon = on_disk(
        &disk,
        DaemonOptions::alone().env("CHIRON_STORAGE__MIN_FREE", "0B"),
    );
    let (mut acknowledged, mut full, mut read_only) = (Vec::new(), 0, 0);
    for round in 0..6 {
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| hog(&disk, &stop));
            let _stop = StopWhenDone(&stop);
            for n in 0..10 {
                let file = talkative(&format!("some{round}x{n}"));
                let answer = put(&daemon, &file);
                match answer.status {
                    200 => acknowledged.push(file),
                    507 => full += 1,
                    // A synced write failed half-way: nothing more is written until a restart.
                    503 => {
                        assert_problem(&answer, 503, "read-only");
                        read_only += 1;
                    }
                    _ => panic!("{answer}"),
                }
            }
        });
        for file in &acknowledged {
            assert_eq!(daemon.get(&url_of(file)).status, 200, "reading goes on");
        }
        assert_nothing_staged(daemon.data_dir());
        daemon.kill9();
        daemon.restart();
        for file in &acknowledged {
            let answer = daemon.get(&url_of(file));
            assert!(
                answer.status == 200 && answer.body == file.bytes,
                "{}: {answer}",
                file.filename
            );
        }
    }
    eprintln!(
        "{} acknowledged, {full} times full, {read_only} times read-only",
        acknowledged.len()
    );
    assert!(full + read_only > 0, "the disk never was full");
    assert!(log_size(&daemon) >= acknowledged.len() as u64);
    assert_blobs_whole(daemon.data_dir());
    daemon.cli(&["log", "verify"]).expect(0);
    daemon.cli(&["scrub"]).expect(0);
    assert_sound(&daemon);
}

#[test]
fn a_folder_on_a_full_disk_is_refused_with_70() {
    let Some(disk) = Disk::mount() else { return };
    disk.leave(0);
    let output = Daemon::try_start(DaemonOptions::alone().data_dir(&disk.path.join("data")))
        .err()
        .expect("there is no room for it");
    assert!([2, 70].contains(&output.status), "{output}");
    assert!(
        output.stderr.contains("pace") && output.stderr.contains("next:"),
        "{output}"
    );
    assert!(!output.stderr.contains("panicked"), "{output}");
    disk.clear();
    let daemon = Daemon::start(DaemonOptions::alone().data_dir(&disk.path.join("data")));
    assert_eq!(daemon.get("/healthz").status, 200);
}
