//! Promise: `kill -9` at any moment loses nothing that was acknowledged, shows nothing half-written, and leaves a log
//! that only ever grew.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;
#[path = "support/traces.rs"]
mod traces;

use std::collections::{BTreeMap, HashSet};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use chiron_storage::log::{open_checkpoint, verify_consistency};
use chiron_storage::{Checkpoint, Digest};
use serde_json::json;
use support::daemon::{Daemon, DaemonOptions};
use support::raw::{PIP_ACCEPT, request};
use support::upstream::{FakeFile, FakeUpstream};
use traces::{
    assert_blobs_whole, assert_nothing_staged, assert_sound, blobs, events, file_url, status, wait_until,
};

/// Kills.
const ROUNDS: u64 = 100;
/// No more rounds are begun after this, so that a slow machine ends too; at least half of them are made.
const TIME: Duration = Duration::from_secs(150);
/// Files a round: handed in by PUT, asked for on demand, and ingested by a job.
const PUTS: usize = 10;
const ASKED: usize = 6;
const JOBBED: usize = 6;

/// What clients were told: digest to file name.
type Acknowledged = Arc<Mutex<BTreeMap<String, String>>>;

/// A small generator, so that a failure can be run again with the same moments.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

/// A request to a daemon that may die at any moment: an answer only when all of it came.
fn attempt(addr: &str, method: &str, path: &str, token: &str, body: &[u8]) -> Option<(u16, Vec<u8>)> {
    let mut stream = TcpStream::connect(addr).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(20))).ok()?;
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: {addr}\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n\
         Connection: close\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).ok()?;
    stream.write_all(body).ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    let end = answer.windows(4).position(|part| part == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&answer[..end]).to_ascii_lowercase();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))?
        .trim()
        .parse::<usize>()
        .ok()?;
    let body = answer.split_off(end + 4);
    (body.len() == length).then_some((head.get(9..12)?.parse().ok()?, body))
}

/// What one round asks for.
struct Round {
    handed_in: Vec<FakeFile>,
    asked: Vec<FakeFile>,
    jobbed: Vec<FakeFile>,
}

impl Round {
    fn new(round: u64, random: &mut Random, upstream: &FakeUpstream) -> Self {
        let mut files = |kind: &str, count: usize| -> Vec<FakeFile> {
            let size = |random: &mut Random| usize::try_from(random.below(60_000)).unwrap();
            (0..count)
                .map(|n| FakeFile::wheel(&format!("{kind}{round}x{n}"), "1.0", size(random)))
                .collect()
        };
        let all = Self {
            handed_in: files("put", PUTS),
            asked: files("ask", ASKED),
            jobbed: files("job", JOBBED),
        };
        for file in all.asked.iter().chain(&all.jobbed) {
            upstream.add(file.clone());
        }
        all
    }
}

/// Runs the round's clients against the daemon until it is killed after `life`; remembers what they were told, and the
/// newest checkpoint that anybody saw.
fn live_and_die(
    daemon: &mut Daemon,
    round: &Round,
    life: Duration,
    told: &Acknowledged,
    seen: &Mutex<Vec<u8>>,
) {
    let (addr, token) = (daemon.addr().to_owned(), daemon.admin_token());
    let dead = AtomicBool::new(false);
    let acknowledge = |file: &FakeFile| {
        told.lock()
            .unwrap()
            .insert(file.sha256.clone(), file.filename.clone());
    };
    std::thread::scope(|scope| {
        let (addr, token, dead, acknowledge) = (addr.as_str(), token.as_str(), &dead, &acknowledge);
        for half in round.handed_in.chunks(PUTS / 2) {
            scope.spawn(move || {
                for file in half {
                    let path = format!("/api/v1/ingest/{}", file.filename);
                    if let Some((code, body)) = attempt(addr, "PUT", &path, token, &file.bytes) {
                        let result: serde_json::Value = serde_json::from_slice(&body).unwrap();
                        assert!(
                            code == 200 && result["outcome"] == "admitted",
                            "{code} {result:#}"
                        );
                        acknowledge(file);
                    }
                }
            });
        }
        scope.spawn(move || {
            for file in &round.asked {
                if let Some((code, body)) =
                    attempt(addr, "GET", &file_url(&file.sha256, &file.filename), token, b"")
                {
                    assert!(code == 200 && body == file.bytes, "{code}");
                    acknowledge(file);
                }
            }
        });
        scope.spawn(move || {
            let items: Vec<_> = round
                .jobbed
                .iter()
                .map(|file| json!({ "project": file.filename.split('-').next() }))
                .collect();
            let body = json!({ "items": items }).to_string();
            let Some((code, job)) = attempt(addr, "POST", "/api/v1/ingest", token, body.as_bytes()) else {
                return;
            };
            assert_eq!(code, 202);
            let id = serde_json::from_slice::<serde_json::Value>(&job).unwrap()["id"].clone();
            while !dead.load(Ordering::Relaxed) {
                let Some((_, view)) = attempt(addr, "GET", &format!("/api/v1/jobs/{id}"), token, b"") else {
                    return;
                };
                let view: serde_json::Value = serde_json::from_slice(&view).unwrap();
                for result in view["files"].as_array().unwrap() {
                    assert!(
                        ["admitted", "present"].contains(&result["outcome"].as_str().unwrap()),
                        "{result:#}"
                    );
                    acknowledge(
                        round
                            .jobbed
                            .iter()
                            .find(|file| result["sha256"] == file.sha256.as_str())
                            .unwrap(),
                    );
                }
                std::thread::sleep(Duration::from_millis(2));
            }
        });
        scope.spawn(move || {
            while !dead.load(Ordering::Relaxed) {
                match attempt(addr, "GET", "/log/checkpoint", token, b"") {
                    Some((200, note)) => *seen.lock().unwrap() = note,
                    Some((code, _)) => panic!("checkpoint: {code}"),
                    None => return,
                }
                std::thread::sleep(Duration::from_millis(3));
            }
        });
        std::thread::sleep(life);
        daemon.kill9();
        dead.store(true, Ordering::Relaxed);
    });
}

fn newest(daemon: &Daemon, key: &str) -> (Vec<u8>, Checkpoint) {
    let note = daemon.get("/log/checkpoint").body;
    let checkpoint = open_checkpoint(key, &note).unwrap();
    (note, checkpoint)
}

/// The log that is served now begins with the one of `before`: by a proof that is checked here.
fn assert_grew(daemon: &Daemon, key: &str, before: &[u8]) -> Vec<u8> {
    let (note, now) = newest(daemon, key);
    if before.is_empty() {
        return note;
    }
    let before = open_checkpoint(key, before).unwrap();
    assert!(
        now.size >= before.size,
        "the log shrank from {} to {}",
        before.size,
        now.size
    );
    if before.size > 0 {
        let path = format!("/api/v1/log/consistency?from={}&to={}", before.size, now.size);
        let answer = daemon.admin("GET", &path, b"");
        assert_eq!(answer.status, 200, "{answer}");
        let proof: Vec<Digest> = answer.json()["hashes"]
            .as_array()
            .unwrap()
            .iter()
            .map(|hash| {
                Digest::from_bytes(
                    BASE64_STANDARD
                        .decode(hash.as_str().unwrap())
                        .unwrap()
                        .try_into()
                        .unwrap(),
                )
            })
            .collect();
        verify_consistency(&proof, before.size, before.root, now.size, now.root).unwrap();
    }
    note
}

#[track_caller]
fn assert_served(daemon: &Daemon, sha256: &str, filename: &str) {
    let answer = daemon.get(&file_url(sha256, filename));
    assert_eq!(answer.status, 200, "{filename} was acknowledged: {answer}");
    assert_eq!(Digest::of(&answer.body).to_string(), sha256, "{filename}");
}

/// Every page in both forms.
fn pages(daemon: &Daemon, projects: &[String]) -> Vec<(String, Vec<u8>)> {
    let mut all = Vec::new();
    for project in projects {
        for accept in [PIP_ACCEPT, "text/html"] {
            let answer = request(
                daemon.addr(),
                "GET",
                &format!("/simple/{project}/"),
                &[("Accept", accept)],
                b"",
            );
            assert_eq!(answer.status, 200, "{project}: {answer}");
            all.push((format!("{project} {accept}"), answer.body));
        }
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn heavy_a_hundred_kills_lose_nothing() {
    let upstream = FakeUpstream::start().await;
    let mut daemon = Daemon::start(DaemonOptions::on_demand(&upstream.index_url()));
    let key = status(&daemon)["log_key"].as_str().unwrap().to_owned();
    let told = Acknowledged::default();
    let seen = Mutex::new(Vec::new());
    let mut random = Random(0x5eed_c417);
    let mut checked: HashSet<String> = HashSet::new();
    let began = Instant::now();
    let mut rounds = 0;
    while rounds < ROUNDS && (began.elapsed() < TIME || rounds < ROUNDS / 2) {
        rounds += 1;
        let round = Round::new(rounds, &mut random, &upstream);
        let life = Duration::from_millis(1 + random.below(if rounds % 4 == 0 { 40 } else { 350 }));
        let before: HashSet<String> = told.lock().unwrap().keys().cloned().collect();
        live_and_die(&mut daemon, &round, life, &told, &seen);

        // A rename is the only thing that makes a blob: also before any restart none is half there.
        for (name, path) in blobs(daemon.data_dir()) {
            if checked.insert(name.clone()) {
                assert_eq!(
                    Digest::of(&std::fs::read(&path).unwrap()).to_string(),
                    name,
                    "half-written"
                );
            }
        }
        daemon.restart();
        if rounds % 5 == 0 {
            // Dead again before it has done what was left to do.
            daemon.kill9();
            daemon.restart();
        }
        let last = seen.lock().unwrap().clone();
        *seen.lock().unwrap() = assert_grew(&daemon, &key, &last);
        let now = told.lock().unwrap().clone();
        let fresh = now.iter().filter(|(sha256, _)| !before.contains(*sha256));
        let sample = now
            .iter()
            .skip(usize::try_from(random.below(20)).unwrap())
            .step_by(20);
        for (sha256, filename) in fresh.chain(sample) {
            assert_served(&daemon, sha256, filename);
        }
        wait_until("jobs that were cut off are done", || {
            status(&daemon)["jobs_running"] == 0
        });
        assert_nothing_staged(daemon.data_dir());
    }
    let told = told.lock().unwrap().clone();
    eprintln!(
        "{rounds} kills in {:?}, {} files acknowledged, {} blobs",
        began.elapsed(),
        told.len(),
        blobs(daemon.data_dir()).len()
    );
    assert!(
        told.len() > usize::try_from(rounds).unwrap(),
        "only {} files were acknowledged: the kills came too early",
        told.len()
    );

    for (sha256, filename) in &told {
        assert_served(&daemon, sha256, filename);
    }
    let mut admitted = HashSet::new();
    for event in events(&daemon) {
        assert_eq!(event["type"], "admitted", "{event:#}");
        assert!(
            admitted.insert(event["sha256"].as_str().unwrap().to_owned()),
            "admitted twice: {event:#}"
        );
    }
    assert!(told.keys().all(|sha256| admitted.contains(sha256)));
    assert_blobs_whole(daemon.data_dir());
    assert_sound(&daemon);

    // Only what the catalogue itself says: candidates come from upstream.
    daemon.restart_with(|options| options.config = DaemonOptions::alone().config);
    let list = daemon
        .request("GET", "/simple/", &[("Accept", PIP_ACCEPT)])
        .json();
    let projects: Vec<String> = list["projects"]
        .as_array()
        .unwrap()
        .iter()
        .map(|project| project["name"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(projects.len(), admitted.len(), "a project for each file");
    let before = pages(&daemon, &projects);
    assert_eq!(daemon.stop(), 0);
    daemon.local_cli(&["scrub"]).expect(0);
    daemon.local_cli(&["log", "verify"]).expect(0);
    daemon.local_cli(&["rebuild-catalog"]).expect(0);
    daemon.restart();
    let after = pages(&daemon, &projects);
    for (before, after) in before.iter().zip(&after) {
        assert!(before == after, "{} is another page after the rebuild", before.0);
    }
    assert_grew(&daemon, &key, &seen.into_inner().unwrap());
    daemon.cli(&["scrub"]).expect(0);
}
