//! Promise: any number of clients that want the same unverified wheel cause one download and one verdict, and none
//! harms another: not by hanging up, not by being early.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;
#[path = "support/traces.rs"]
mod traces;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Barrier;
use std::time::{Duration, Instant};

use support::daemon::{Daemon, DaemonOptions};
use support::raw::{self, Answer};
use support::upstream::{FakeFile, FakeUpstream, Fault, file_path};
use traces::{assert_nothing_staged, assert_problem, assert_sound, blobs, event_types, file_url, wait_until};

const CLIENTS: usize = 50;

fn url_of(file: &FakeFile) -> String {
    file_url(&file.sha256, &file.filename)
}

/// One request from each of `CLIENTS` threads at the same moment; `path` is told which client asks.
fn all_at_once(daemon: &Daemon, path: impl Fn(usize) -> String + Sync) -> Vec<Answer> {
    let start = Barrier::new(CLIENTS);
    let addr = daemon.addr();
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|n| {
                let (start, path) = (&start, path(n));
                scope.spawn(move || {
                    start.wait();
                    raw::request(addr, "GET", &path, &[], b"")
                })
            })
            .collect();
        clients.into_iter().map(|client| client.join().unwrap()).collect()
    })
}

/// One event, one blob, nothing staged.
#[track_caller]
fn assert_admitted_once(daemon: &Daemon, file: &FakeFile) {
    assert_eq!(event_types(daemon), ["admitted"]);
    assert_eq!(
        blobs(daemon.data_dir()).into_keys().collect::<Vec<_>>(),
        std::slice::from_ref(&file.sha256)
    );
    assert_nothing_staged(daemon.data_dir());
    assert_sound(daemon);
}

/// Sends a request and leaves the answer to whoever reads the connection.
fn ask(daemon: &Daemon, path: &str) -> TcpStream {
    let mut stream = TcpStream::connect(daemon.addr()).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", daemon.addr()).unwrap();
    stream
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_clients_cause_one_download() {
    let upstream = FakeUpstream::start().await;
    let file = FakeFile::wheel("demo", "1.0", 2_000_000);
    upstream.add(file.clone());
    // Slow enough that all fifty are there before it ends.
    upstream.fault(
        &file_path(&file.filename),
        Fault::Drip(200_000, Duration::from_millis(60)),
    );
    let daemon = Daemon::start(DaemonOptions::on_demand(&upstream.index_url()));
    let answers = all_at_once(&daemon, |_| url_of(&file));
    for answer in &answers {
        assert_eq!(answer.status, 200, "{answer}");
        assert!(answer.body == file.bytes, "other bytes came");
        assert_eq!(answer.header("etag"), answers[0].header("etag"));
        assert_eq!(answer.header("content-type"), answers[0].header("content-type"));
    }
    assert_eq!(upstream.count(&file_path(&file.filename)), 1, "one download");
    assert_eq!(upstream.count("/simple/demo/"), 1, "one look at the page");
    assert_admitted_once(&daemon, &file);
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata_and_file_share_the_download() {
    let upstream = FakeUpstream::start().await;
    // Small: the metadata comes by way of the whole wheel.
    let file = FakeFile::wheel("demo", "1.0", 300_000);
    upstream.add(file.clone());
    upstream.fault(
        &file_path(&file.filename),
        Fault::Drip(50_000, Duration::from_millis(60)),
    );
    let daemon = Daemon::start(DaemonOptions::on_demand(&upstream.index_url()));
    let answers = all_at_once(&daemon, |n| {
        if n % 2 == 0 {
            url_of(&file)
        } else {
            format!("{}.metadata", url_of(&file))
        }
    });
    for (n, answer) in answers.iter().enumerate() {
        assert_eq!(answer.status, 200, "{answer}");
        let wanted = if n % 2 == 0 {
            &file.bytes
        } else {
            file.metadata.as_ref().unwrap()
        };
        assert!(answer.body == *wanted, "client {n} got other bytes");
    }
    assert_eq!(upstream.count(&file_path(&file.filename)), 1);
    assert_admitted_once(&daemon, &file);
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_clients_of_a_bad_wheel_get_one_judgment() {
    let upstream = FakeUpstream::start().await;
    let file = FakeFile::new("demo-1.0-py3-none-any.whl", vec![b'x'; 300_000]);
    upstream.add(file.clone());
    upstream.fault(
        &file_path(&file.filename),
        Fault::Drip(50_000, Duration::from_millis(60)),
    );
    let daemon = Daemon::start(DaemonOptions::on_demand(&upstream.index_url()));
    let answers = all_at_once(&daemon, |_| url_of(&file));
    for answer in &answers {
        assert_problem(answer, 403, "not-admitted");
        assert_eq!(
            (&answer.reason, &answer.body),
            (&answers[0].reason, &answers[0].body)
        );
    }
    assert_eq!(upstream.count(&file_path(&file.filename)), 1);
    assert_eq!(event_types(&daemon), ["refused"]);
    assert!(blobs(daemon.data_dir()).is_empty());
    assert_nothing_staged(daemon.data_dir());
    assert_sound(&daemon);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_client_may_leave_before_the_verdict() {
    let upstream = FakeUpstream::start().await;
    let file = FakeFile::wheel("demo", "1.0", 1_000_000);
    upstream.add(file.clone());
    upstream.fault(
        &file_path(&file.filename),
        Fault::Drip(100_000, Duration::from_millis(60)),
    );
    let daemon = Daemon::start(DaemonOptions::on_demand(&upstream.index_url()));
    let first = ask(&daemon, &url_of(&file));
    wait_until("the download has begun", || {
        upstream.count(&file_path(&file.filename)) == 1
    });
    drop(first);
    let answers = all_at_once(&daemon, |_| url_of(&file));
    assert!(
        answers
            .iter()
            .all(|answer| answer.status == 200 && answer.body == file.bytes)
    );
    assert_eq!(
        upstream.count(&file_path(&file.filename)),
        1,
        "the download outlives who began it"
    );
    assert_admitted_once(&daemon, &file);
}

#[tokio::test(flavor = "multi_thread")]
async fn all_clients_may_leave_and_the_work_is_not_lost() {
    let upstream = FakeUpstream::start().await;
    let file = FakeFile::wheel("demo", "1.0", 500_000);
    upstream.add(file.clone());
    upstream.fault(
        &file_path(&file.filename),
        Fault::Drip(100_000, Duration::from_millis(60)),
    );
    let daemon = Daemon::start(DaemonOptions::on_demand(&upstream.index_url()));
    let clients: Vec<_> = (0..5).map(|_| ask(&daemon, &url_of(&file))).collect();
    wait_until("the download has begun", || {
        upstream.count(&file_path(&file.filename)) == 1
    });
    drop(clients);
    wait_until("the file is admitted all the same", || {
        event_types(&daemon) == ["admitted"]
    });
    assert_eq!(daemon.get(&url_of(&file)).body, file.bytes);
    assert_eq!(upstream.count(&file_path(&file.filename)), 1);
    assert_admitted_once(&daemon, &file);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_hangs_up_in_the_middle_of_the_body_harms_nobody() {
    let upstream = FakeUpstream::start().await;
    let file = FakeFile::wheel("demo", "1.0", 20_000_000);
    upstream.add(file.clone());
    let daemon = Daemon::start(DaemonOptions::on_demand(&upstream.index_url()));
    for _ in 0..5 {
        let mut client = ask(&daemon, &url_of(&file));
        let mut some = vec![0; 1 << 20];
        client.read_exact(&mut some).unwrap();
        assert!(some.starts_with(b"HTTP/1.1 200 OK\r\n"));
    }
    let whole = daemon.get(&url_of(&file));
    assert!(whole.status == 200 && whole.body == file.bytes);
    assert_eq!(upstream.count(&file_path(&file.filename)), 1);
    assert_admitted_once(&daemon, &file);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_verdict_is_503_and_the_retry_succeeds() {
    let upstream = FakeUpstream::start().await;
    let file = FakeFile::wheel("demo", "1.0", 1_000_000);
    upstream.add(file.clone());
    upstream.fault(
        &file_path(&file.filename),
        Fault::Drip(100_000, Duration::from_millis(150)),
    );
    let options = DaemonOptions::on_demand(&upstream.index_url()).server("verdict_wait = \"200ms\"");
    let daemon = Daemon::start(options);
    let started = Instant::now();
    let answers = all_at_once(&daemon, |_| url_of(&file));
    assert!(
        started.elapsed() < Duration::from_millis(1_400),
        "{:?}: nobody waits for the whole of it",
        started.elapsed()
    );
    for answer in &answers {
        assert_problem(answer, 503, "verdict-pending");
        let seconds: u64 = answer
            .header("retry-after")
            .parse()
            .expect("Retry-After in seconds");
        assert!((1..=10).contains(&seconds), "{answer}");
        assert!(
            !answer.has("etag") && answer.header("cache-control") == "no-store",
            "{answer}"
        );
    }
    assert!(
        blobs(daemon.data_dir()).is_empty(),
        "nothing is stored before the verdict"
    );
    assert_eq!(event_types(&daemon), Vec::<String>::new());
    wait_until("the work that went on is done", || {
        let answer = daemon.get(&url_of(&file));
        assert!(answer.status == 200 || answer.status == 503, "{answer}");
        answer.status == 200 && answer.body == file.bytes
    });
    assert_eq!(
        upstream.count(&file_path(&file.filename)),
        1,
        "still one download"
    );
    assert_admitted_once(&daemon, &file);
}

#[tokio::test(flavor = "multi_thread")]
async fn different_names_of_a_project_do_not_wait_for_each_other() {
    let upstream = FakeUpstream::start().await;
    let (slow, quick) = (
        FakeFile::wheel("demo", "1.0", 500_000),
        FakeFile::wheel("demo", "2.0", 1_000),
    );
    upstream.add(slow.clone());
    upstream.add(quick.clone());
    upstream.fault(&file_path(&slow.filename), Fault::Hang);
    let options = DaemonOptions::on_demand(&upstream.index_url()).server("verdict_wait = \"10s\"");
    let daemon = Daemon::start(options);
    let waiting = ask(&daemon, &url_of(&slow));
    wait_until("the slow download has begun", || {
        upstream.count(&file_path(&slow.filename)) == 1
    });
    let started = Instant::now();
    assert_eq!(daemon.get(&url_of(&quick)).status, 200);
    assert!(
        started.elapsed() < Duration::from_secs(2),
        "{:?}",
        started.elapsed()
    );
    drop(waiting);
    assert_eq!(event_types(&daemon), ["admitted"]);
    assert_sound(&daemon);
}
