//! Promise: an import that is killed at any point, with or without a daemon, has either changed nothing that anybody can
//! see or is done; the same command ends it, and the site is then as if nothing had happened.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;
#[path = "support/traces.rs"]
mod traces;

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value;
use support::bundles::{Sender, closed_site};
use support::daemon::{Daemon, DaemonOptions};
use support::upstream::FakeFile;
use traces::{assert_blobs_whole, blobs, event_types, events_of, listed, log_size};

/// Projects of the bundle, beside the three of every sender: enough that an import takes a while.
const PROJECTS: usize = 24;

async fn sender() -> Sender {
    let sender = Sender::new().await;
    let mut line = vec!["ingest".to_owned()];
    for n in 0..PROJECTS {
        sender
            .upstream
            .add(FakeFile::wheel(&format!("many-{n}"), "1.0", 400_000));
        line.push(format!("many-{n}==1.0"));
    }
    let line: Vec<&str> = line.iter().map(String::as_str).collect();
    sender.daemon.cli(&line).expect(0);
    sender
}

/// What anybody can see of a site that has imported: the same, however it came about.
fn outcome(site: &Daemon) -> (Vec<String>, usize, Value) {
    let mut kinds: Vec<String> = event_types(site)
        .into_iter()
        .filter(|kind| kind != "keys-changed")
        .collect();
    kinds.sort();
    let staged = site.admin("GET", "/api/v1/airgap", b"").json()["staged"].clone();
    (kinds, blobs(site.data_dir()).len(), staged)
}

fn line<'a>(bundle: &'a Path, root: &'a Path) -> [&'a str; 5] {
    [
        "airgap",
        "import",
        bundle.to_str().unwrap(),
        "--root",
        root.to_str().unwrap(),
    ]
}

/// How long an import takes that nobody disturbs, and what it leaves.
fn undisturbed(bundle: &Path, root: &Path) -> (Duration, (Vec<String>, usize, Value)) {
    let site = closed_site("plant-7");
    let began = Instant::now();
    site.cli(&line(bundle, root)).expect(0);
    (began.elapsed(), outcome(&site))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_verb_is_done_by_the_same_command() {
    let sender = sender().await;
    let (bundle, root) = (sender.folder("first"), sender.root());
    let (took, expected) = undisturbed(&bundle, &root);
    let mut cut = 0;
    for part in 1..=8_u32 {
        let mut site = closed_site("plant-7");
        let size = log_size(&site);
        site.stop();
        let mut child = site
            .command(&line(&bundle, &root))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(took * part / 8);
        child.kill().unwrap();
        cut += u32::from(!child.wait().unwrap().success());
        // All of it or nothing.
        site.restart_with(|options| options.env.push(("CHIRON_LOG".to_owned(), "info".to_owned())));
        let there = events_of(&site, "imported").len();
        if there == 0 && log_size(&site) != size {
            // The daemon goes on with the job that the verb left, and may be done by now.
            assert!(
                !events_of(&site, "imported").is_empty(),
                "something of it is in force without the rest"
            );
        }
        site.cli(&line(&bundle, &root)).expect(0);
        assert_eq!(outcome(&site), expected, "killed at {part}/8 of {took:?}");
        assert_blobs_whole(site.data_dir());
    }
    assert!(cut > 0, "no import was killed before its end");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_daemon_goes_on_by_itself() {
    let sender = sender().await;
    let (bundle, root) = (sender.folder("first"), sender.root());
    let (took, expected) = undisturbed(&bundle, &root);
    for part in [1, 3, 5, 7_u32] {
        let mut site = closed_site("plant-7");
        let request = serde_json::json!({
            "places": [bundle.to_str().unwrap()],
            "root": std::fs::read_to_string(&root).unwrap(),
        });
        let answer = site.admin("POST", "/api/v1/airgap/imports", request.to_string().as_bytes());
        assert_eq!(answer.status, 202, "{answer}");
        std::thread::sleep(took * part / 8);
        site.kill9();
        site.restart();
        traces::wait_until("the job that was cut off is done", || {
            !events_of(&site, "imported").is_empty() && outcome(&site) == expected
        });
        // The signed index follows a moment later.
        traces::wait_until("its pages are signed", || listed(&site, "many-7").len() == 1);
        // And it is not done twice.
        site.cli(&line(&bundle, &root)).expect(0);
        assert_eq!(events_of(&site, "imported").len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_see_nothing_of_it_before_all_of_it() {
    let sender = sender().await;
    let (bundle, root) = (sender.folder("first"), sender.root());
    let site = Daemon::start(DaemonOptions::alone().config("[airgap]\nsite = \"plant-7\"\n"));
    let names = |answer: &support::raw::Answer| answer.json()["projects"].as_array().map_or(0, Vec::len);
    let mut child = site
        .command(&line(&bundle, &root))
        .args(["--server", site.base()])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let all = PROJECTS + 3;
    loop {
        let answer = site.request("GET", "/simple/", &[("Accept", support::raw::PIP_ACCEPT)]);
        if answer.status == 200 {
            let seen = names(&answer);
            assert!(seen == 0 || seen == all, "{seen} of {all} projects are listed");
        }
        if let Some(status) = child.try_wait().unwrap() {
            assert!(status.success());
            break;
        }
    }
    let answer = site.request("GET", "/simple/", &[("Accept", support::raw::PIP_ACCEPT)]);
    assert_eq!(names(&answer), all);
}
