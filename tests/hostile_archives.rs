//! Promise: no hostile archive passes the gate, wherever it comes from, and each is answered with its reason.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;
#[path = "support/traces.rs"]
mod traces;

use std::collections::BTreeSet;
use std::sync::Mutex;

use chiron_storage::Digest;
use serde_json::{Value, json};
use support::daemon::{Daemon, DaemonOptions};
use support::hostile::{Fixture, fixtures, good_sdist, good_wheel};
use support::upstream::{FakeUpstream, Fault, page_path};
use traces::{assert_nothing_staged, assert_problem, assert_sound, blobs, events, file_url, listed};

/// Threads that attack at once.
const AT_ONCE: usize = 4;
/// The daemon's memory may peak at this under all attacks together. Bytes; bombs claim gigabytes.
const PEAK_MEMORY: u64 = 600 << 20;

struct Attack {
    fixture: Fixture,
    sha256: String,
    project: &'static str,
}

fn attacks() -> Vec<Attack> {
    let all = fixtures();
    assert!(all.len() > 100, "only {} fixtures", all.len());
    all.into_iter()
        .map(|fixture| Attack {
            sha256: Digest::of(&fixture.bytes).to_string(),
            project: if fixture.filename.starts_with("other-") {
                "other"
            } else {
                "demo"
            },
            fixture,
        })
        .collect()
}

/// Sound files of the same project: they must get in beside the bad ones.
fn good() -> Vec<(String, Vec<u8>)> {
    vec![
        (
            "demo-2.0-py3-none-any.whl".to_owned(),
            good_wheel("demo", "2.0", &[("demo/data.txt", b"hello")]),
        ),
        (
            "demo-2.0.tar.gz".to_owned(),
            good_sdist(
                "demo",
                "2.0",
                &[
                    ("setup.py", b""),
                    ("demo/__init__.py", b"VALUE = 1\n"),
                    ("demo/data.txt", b"hello"),
                ],
            ),
        ),
        (
            "demo-3.0-py3-none-any.whl".to_owned(),
            good_wheel("demo", "3.0", &[]),
        ),
    ]
}

/// Publishes one attack beside the good files. All attacks have the same few names and an index has one file of a
/// name, so each gets the page for itself, and an address of its own.
fn publish(upstream: &FakeUpstream, n: usize, attack: &Attack, good: &[(String, Vec<u8>)]) {
    upstream.heal();
    let address = address(n, &attack.fixture.filename);
    let mut pages = [("demo", Vec::new()), ("other", Vec::new())];
    let attacked = (
        attack.project,
        address,
        attack.fixture.filename.as_str(),
        attack.fixture.bytes.as_slice(),
    );
    let sound = good
        .iter()
        .map(|(name, bytes)| ("demo", format!("/good/{name}"), name.as_str(), bytes.as_slice()));
    for (project, path, filename, bytes) in sound.chain([attacked]) {
        let page = pages.iter_mut().find(|(name, _)| *name == project).unwrap();
        page.1.push(json!({
            "filename": filename, "url": format!("http://{}{path}", upstream.addr()), "size": bytes.len(),
            "hashes": { "sha256": Digest::of(bytes).to_string() },
        }));
        upstream.fault(
            &path,
            Fault::Body("application/octet-stream".to_owned(), bytes.to_vec().into()),
        );
    }
    for (project, files) in pages {
        let page = json!({ "meta": { "api-version": "1.0" }, "name": project, "files": files }).to_string();
        let content_type = "application/vnd.pypi.simple.v1+json".to_owned();
        upstream.fault(&page_path(project), Fault::Body(content_type, page.into()));
    }
}

fn address(n: usize, filename: &str) -> String {
    format!("/attack/{n}/{filename}")
}

/// Fails with all complaints at once.
#[track_caller]
fn assert_none(complaints: &[String], of: usize) {
    assert!(
        complaints.is_empty(),
        "{} of {of} attacks:\n{}",
        complaints.len(),
        complaints.join("\n")
    );
}

/// Runs `work` for every attack, on some threads.
#[track_caller]
fn for_each(attacks: &[Attack], work: impl Fn(&Attack) -> Result<(), String> + Sync) {
    let complaints = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for part in attacks.chunks(attacks.len().div_ceil(AT_ONCE)) {
            let (work, complaints) = (&work, &complaints);
            scope.spawn(move || {
                for attack in part {
                    if let Err(why) = work(attack) {
                        complaints
                            .lock()
                            .unwrap()
                            .push(format!("{}: {why}", attack.fixture.name));
                    }
                }
            });
        }
    });
    let complaints = complaints.into_inner().unwrap();
    assert!(
        complaints.is_empty(),
        "{} of {} attacks:\n{}",
        complaints.len(),
        attacks.len(),
        complaints.join("\n")
    );
}

fn check(holds: bool, why: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(why()) }
}

/// The codes of the findings in a verdict document.
fn codes(verdict: &Value) -> BTreeSet<String> {
    let checks = verdict["checks"].as_array().into_iter().flatten();
    let findings = checks.flat_map(|row| row["facts"]["findings"].as_array().into_iter().flatten());
    findings
        .filter_map(|finding| finding["code"].as_str())
        .map(ToOwned::to_owned)
        .collect()
}

/// Exactly one `refused` event for each attack, with a code of the structure check, and nothing else but `admitted`
/// for the good ones; no blob but theirs.
#[track_caller]
fn assert_side_effects(daemon: &Daemon, attacks: &[Attack], good: &[(String, Vec<u8>)]) {
    let mut refused = BTreeSet::new();
    for event in events(daemon) {
        let key = (
            event["filename"].as_str().unwrap().to_owned(),
            event["sha256"].as_str().unwrap().to_owned(),
        );
        if event["type"] == "admitted" {
            assert!(
                good.iter()
                    .any(|(name, bytes)| key == (name.clone(), Digest::of(bytes).to_string())),
                "{event:#}"
            );
            continue;
        }
        assert_eq!(event["type"], "refused", "{event:#}");
        let reason = &event["reasons"][0];
        assert_eq!(reason["check"], "structure", "{event:#}");
        assert!(
            reason["code"]
                .as_str()
                .is_some_and(|code| !code.is_empty() && code != "failed"),
            "{event:#}"
        );
        assert!(refused.insert(key), "refused twice: {event:#}");
    }
    let expected: BTreeSet<_> = attacks
        .iter()
        .map(|attack| (attack.fixture.filename.clone(), attack.sha256.clone()))
        .collect();
    assert_eq!(refused, expected);
    let stored: Vec<String> = blobs(daemon.data_dir()).into_keys().collect();
    let mut wanted: Vec<String> = good
        .iter()
        .map(|(_, bytes)| Digest::of(bytes).to_string())
        .collect();
    wanted.sort();
    assert_eq!(stored, wanted, "only the sound files are stored");
    assert_nothing_staged(daemon.data_dir());
    assert_sound(daemon);
    let peak = peak_memory(daemon.pid());
    assert!(peak < PEAK_MEMORY, "the daemon's memory peaked at {peak} bytes");
}

/// `VmHWM` of a process, in bytes.
fn peak_memory(pid: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim()
        .strip_suffix("kB")
        .unwrap()
        .trim()
        .parse::<u64>()
        .unwrap()
        * 1024
}

/// Asks for a published attack; what is wrong with the answers, if anything.
fn ask(daemon: &Daemon, attack: &Attack) -> Result<(), String> {
    let Fixture {
        filename,
        expect_code,
        ..
    } = &attack.fixture;
    let url = file_url(&attack.sha256, filename);
    let answer = daemon.get(&url);
    check(answer.status == 403, || format!("answered {answer}"))?;
    check(
        answer
            .reason
            .starts_with(&format!("{filename} was refused by this index: structure: ")),
        || format!("reason phrase {:?}", answer.reason),
    )?;
    check(
        answer.header("content-type") == "application/problem+json",
        || format!("{answer}"),
    )?;
    let problem = answer.json();
    check(
        problem["status"] == 403 && problem["type"] == "urn:chiron:problem:not-admitted",
        || problem.to_string(),
    )?;
    let detail = problem["detail"].as_str().unwrap_or_default();
    check(detail.contains("chiron explain"), || {
        format!("no next step: {detail}")
    })?;
    let beside = daemon.get(&format!("{url}.metadata"));
    check(beside.status == 403, || format!("its metadata: {beside}"))?;
    let verdict = daemon.get(&format!("{url}.verdict.json")).json();
    check(verdict["decision"] == "refuse", || verdict.to_string())?;
    let found = codes(&verdict);
    check(found.contains(*expect_code), || {
        format!("found {found:?}, not {expect_code}")
    })?;
    let page = listed(daemon, attack.project);
    check(!page.contains(filename), || "it is on the index".to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_upstream_offers_is_refused_with_its_reason() {
    let upstream = FakeUpstream::start().await;
    let (attacks, good) = (attacks(), good());
    // A page is asked for again each time.
    let mut daemon =
        Daemon::start(DaemonOptions::on_demand(&upstream.index_url()).config("[index]\nfresh = \"0ms\""));
    publish(&upstream, 0, &attacks[0], &good);
    let before = listed(&daemon, attacks[0].project);
    assert!(
        before.contains(&attacks[0].fixture.filename),
        "before the gate it is a candidate: {before:?}"
    );

    let mut complaints = Vec::new();
    for (n, attack) in attacks.iter().enumerate() {
        publish(&upstream, n, attack, &good);
        if let Err(why) = ask(&daemon, attack) {
            complaints.push(format!("{}: {why}", attack.fixture.name));
        }
    }
    assert_none(&complaints, attacks.len());
    for (filename, bytes) in &good {
        let answer = daemon.get(&file_url(&Digest::of(bytes).to_string(), filename));
        assert_eq!((answer.status, &answer.body), (200, bytes), "{filename}");
    }
    let mut names: Vec<_> = good.iter().map(|(filename, _)| filename.clone()).collect();
    names.sort();
    let mut page = listed(&daemon, "demo");
    page.sort();
    assert_eq!(page, names, "what was refused is absent from the index");
    assert!(listed(&daemon, "other").is_empty());
    assert_side_effects(&daemon, &attacks, &good);

    // A judgment is remembered: nothing is fetched again, even by another process.
    upstream.forget_requests();
    daemon.restart();
    for (n, attack) in attacks.iter().enumerate().step_by(20) {
        publish(&upstream, n, attack, &good);
        let Fixture { filename, .. } = &attack.fixture;
        assert_problem(
            &daemon.get(&file_url(&attack.sha256, filename)),
            403,
            "not-admitted",
        );
        assert_eq!(
            upstream.count(&address(n, filename)),
            0,
            "{filename} was fetched again"
        );
    }
    assert!(
        daemon.local_cli(&["log", "verify"]).status == 2,
        "the daemon holds the folder"
    );
    daemon.cli(&["log", "verify"]).expect(0);
}

#[test]
fn what_is_handed_in_is_refused_with_exit_status_1() {
    let (attacks, good) = (attacks(), good());
    let daemon = Daemon::start(DaemonOptions::alone());
    let hand_in = |folder: &str, filename: &str, bytes: &[u8]| {
        let folder = daemon.home().join("in").join(folder);
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join(filename);
        std::fs::write(&path, bytes).unwrap();
        daemon.cli(&["ingest", path.to_str().unwrap()])
    };
    for_each(&attacks, |attack| {
        let Fixture {
            name,
            filename,
            bytes,
            ..
        } = &attack.fixture;
        let output = hand_in(name, filename, bytes);
        check(output.status == 1, || output.to_string())?;
        let line = output.stdout.lines().next().unwrap_or_default();
        check(
            line.starts_with("refused") && line.contains(filename.as_str()),
            || output.to_string(),
        )?;
        check(line.contains("structure: "), || format!("no reason: {output}"))?;
        check(output.stderr.contains("chiron explain"), || {
            format!("no next step: {output}")
        })?;
        check(!output.stderr.contains("panicked"), || output.to_string())
    });
    for (filename, bytes) in &good {
        hand_in("good", filename, bytes).expect(0);
    }
    assert_side_effects(&daemon, &attacks, &good);

    // The same again changes nothing: no event, no blob.
    let before = traces::log_size(&daemon);
    for attack in attacks.iter().step_by(25) {
        hand_in(
            attack.fixture.name,
            &attack.fixture.filename,
            &attack.fixture.bytes,
        )
        .expect(1);
    }
    assert_eq!(traces::log_size(&daemon), before);
    assert_side_effects(&daemon, &attacks, &good);
}
