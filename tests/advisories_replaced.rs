//! Promise: a database that is replaced while it is read shows whole before and whole after, and nothing in between;
//! a lookup stays fast whatever its size.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::advisories::{dump, file, large, record};
use support::daemon::{Daemon, DaemonOptions};
use support::raw::request;

fn load(daemon: &Daemon, path: &Path) {
    daemon
        .cli(&["advisories", "load", path.to_str().unwrap()])
        .expect(0);
}

fn ask(addr: &str, project: &str) -> Value {
    let question = json!({ "package": { "name": project, "ecosystem": "PyPI" }, "version": "0.1" });
    let answer = request(addr, "POST", "/v1/query", &[], question.to_string().as_bytes());
    assert_eq!(answer.status, 200, "{answer}");
    answer.json()
}

fn ids(answer: &Value) -> BTreeSet<String> {
    let list = answer["vulns"].as_array().into_iter().flatten();
    list.map(|record| record["id"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn readers_see_one_database_or_the_other() {
    let daemon = Daemon::start(DaemonOptions::alone());
    let dir = tempfile::tempdir().unwrap();
    let of = |name: &str, count: usize| {
        let named = |n: usize| record(&format!("PYSEC-{name}-{n}"), "demo", "9");
        let records: Vec<Value> = (0..count).map(named).collect();
        let ids: BTreeSet<String> = records
            .iter()
            .map(|record| record["id"].as_str().unwrap().to_owned())
            .collect();
        (file(dir.path(), &format!("{name}.zip"), &dump(&records)), ids)
    };
    let (one, ids_of_one) = of("one", 40);
    let (two, ids_of_two) = of("two", 60);
    load(&daemon, &one);
    let stop = Arc::new(AtomicBool::new(false));
    let seen: Arc<Mutex<Vec<BTreeSet<String>>>> = Arc::default();
    let readers: Vec<_> = (0..2)
        .map(|_| {
            let (addr, stop, seen) = (daemon.addr().to_owned(), Arc::clone(&stop), Arc::clone(&seen));
            std::thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let found = ids(&ask(&addr, "demo"));
                    seen.lock().unwrap().push(found);
                }
            })
        })
        .collect();
    for path in [&two, &one, &two, &one, &two] {
        load(&daemon, path);
    }
    stop.store(true, Ordering::Relaxed);
    for reader in readers {
        reader.join().expect("every question was answered");
    }
    let seen = seen.lock().unwrap();
    assert!(
        seen.len() > 10,
        "only {} questions were asked meanwhile",
        seen.len()
    );
    for found in seen.iter() {
        assert!(*found == ids_of_one || *found == ids_of_two, "{found:?}");
    }
    assert!(seen.contains(&ids_of_one) && seen.contains(&ids_of_two));
    assert_eq!(ids(&ask(daemon.addr(), "demo")), ids_of_two);
}

/// Records, as many as the real database has.
const RECORDS: usize = 30_000;

#[test]
fn heavy_a_database_of_the_real_size() {
    let daemon = Daemon::start(DaemonOptions::alone());
    let dir = tempfile::tempdir().unwrap();
    let path = file(dir.path(), "all.zip", &large(RECORDS));
    let start = Instant::now();
    load(&daemon, &path);
    let loading = start.elapsed();
    let status = daemon.admin("GET", "/api/v1/advisories", b"").json();
    assert_eq!(status["database"]["records"], RECORDS, "{status}");

    // Of many projects, each asked for the first time, and then once more.
    let mut first = Vec::new();
    let mut again = Vec::new();
    for n in 0..200 {
        let path = format!(
            "/api/v1/advisories/check?project=package-{}&version=0.1",
            n * 3 + 1
        );
        for times in [&mut first, &mut again] {
            let start = Instant::now();
            let answer = daemon.admin("GET", &path, b"");
            times.push(start.elapsed());
            assert_eq!(answer.json()["facts"]["records"], RECORDS);
        }
    }
    first.sort_unstable();
    again.sort_unstable();
    let resident = std::fs::read_to_string(format!("/proc/{}/status", daemon.pid())).unwrap();
    let peak = resident
        .lines()
        .find(|line| line.starts_with("VmHWM"))
        .unwrap_or_default();
    println!(
        "{RECORDS} records loaded in {loading:?}; a check over HTTP: first {:?}, again {:?} (median); {peak}",
        first[100], again[100]
    );
    // Far above what is measured, so that a busy machine passes and a scan of everything does not.
    assert!(loading < Duration::from_mins(2), "{loading:?}");
    assert!(first[100] < Duration::from_millis(50), "{:?}", first[100]);
}
