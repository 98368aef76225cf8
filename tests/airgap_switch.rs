//! Promise: while a bundle comes into force, readers of a serving site see the state before or the state after, and nothing
//! between: on index pages, in views of the past, and for files and what lies beside them. Also when the process is ended
//! right after.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use support::bundles::Sender;
use support::daemon::{Daemon, DaemonOptions};
use support::raw::request;
use support::upstream::{FakeFile, FakeUpstream};
use support::wheels::wheel;

const JSON: (&str, &str) = ("accept", "application/vnd.pypi.simple.v1+json");

/// A sender with many small releases.
async fn sender(projects: usize) -> (Sender, Vec<(String, FakeFile)>) {
    let sender = Sender::new().await;
    let files: Vec<(String, FakeFile)> = (0..projects)
        .map(|n| {
            let project = format!("p{n:02}");
            let file = wheel(&project, "1.0", &[]);
            sender.upstream.add(file.clone());
            (project, file)
        })
        .collect();
    let wanted: Vec<String> = files
        .iter()
        .map(|(project, _)| format!("{project}==1.0"))
        .collect();
    let mut line = vec!["ingest"];
    line.extend(wanted.iter().map(String::as_str));
    sender.daemon.cli(&line).expect(0);
    (sender, files)
}

/// What is looked at.
#[derive(Debug, Clone, Copy)]
enum Look {
    Page,
    List,
    Past,
    File,
    Metadata,
}

/// Whether a look sees the state after.
fn look(addr: &str, what: Look, project: &str, file: &FakeFile) -> bool {
    let files = format!("/files/{}/{}", file.sha256, file.filename);
    let path = match what {
        Look::Page => format!("/simple/{project}/"),
        Look::List => "/simple/".to_owned(),
        Look::Past => format!("/at/{}/simple/{project}/", Timestamp::now()),
        Look::File => files,
        Look::Metadata => format!("{files}.metadata"),
    };
    let answer = request(addr, "GET", &path, &[JSON], b"");
    let text = || String::from_utf8_lossy(&answer.body).into_owned();
    match (what, answer.status) {
        (Look::List, 200) => text().contains(&format!("\"{project}\"")),
        (Look::Page | Look::Past, 200) => {
            assert!(text().contains(&file.filename), "an empty page of {project}");
            true
        }
        (Look::File, 200) => {
            assert_eq!(answer.body, file.bytes, "{path}");
            true
        }
        (Look::Metadata, 200) => true,
        (_, 404) => false,
        (_, status) => panic!("{status} for {path}: {}", text()),
    }
}

/// Reads in a loop until told, each reader in an order of its own; what went wrong. `seen`: a look of before after one of
/// after is wrong.
fn reader(
    addr: &str,
    n: usize,
    looks: &[Look],
    files: &[(String, FakeFile)],
    done: &AtomicBool,
) -> Result<(u64, u64), String> {
    let (mut before, mut after) = (0, 0);
    let mut first = None;
    loop {
        let last = done.load(Ordering::SeqCst);
        for step in 0..files.len() {
            let (project, file) = &files[(step * (2 * n + 1)) % files.len()];
            for what in looks {
                if look(addr, *what, project, file) {
                    after += 1;
                    first.get_or_insert(format!("{what:?} of {project}"));
                } else if let Some(first) = &first {
                    return Err(format!(
                        "{what:?} of {project} is of before; {first} was of after"
                    ));
                } else {
                    before += 1;
                }
            }
        }
        if last {
            return Ok((before, after));
        }
    }
}

/// Reads while a bundle is imported.
fn read_meanwhile(
    daemon: &Daemon,
    looks: &[&'static [Look]],
    files: &[(String, FakeFile)],
    bundle: &Path,
    root: &Path,
) {
    let done = Arc::new(AtomicBool::new(false));
    let wrong = Arc::new(Mutex::new(Vec::new()));
    let readers: Vec<_> = looks
        .iter()
        .enumerate()
        .map(|(n, looks)| {
            let (addr, files, looks) = (daemon.addr().to_owned(), files.to_vec(), *looks);
            let (done, wrong) = (Arc::clone(&done), Arc::clone(&wrong));
            std::thread::spawn(move || match reader(&addr, n, looks, &files, &done) {
                Ok((before, after)) => assert!(before > 0 && after > 0, "{looks:?}: {before}, {after}"),
                Err(why) => wrong.lock().unwrap().push(why),
            })
        })
        .collect();
    std::thread::sleep(Duration::from_millis(200));
    let import = [
        "airgap",
        "import",
        bundle.to_str().unwrap(),
        "--root",
        root.to_str().unwrap(),
        "--yes",
    ];
    daemon.cli(&import).expect(0);
    done.store(true, Ordering::SeqCst);
    for reader in readers {
        reader.join().unwrap();
    }
    let wrong = wrong.lock().unwrap();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_see_the_old_state_or_the_new() {
    let (sender, files) = sender(30).await;
    let bundle = sender.folder("bundle");
    // Its pages are made from the catalogue at each request: its upstream knows none of the projects.
    let nobody = FakeUpstream::start().await;
    let receiver =
        Daemon::start(DaemonOptions::on_demand(&nobody.index_url()).config("[airgap]\nsite = \"plant-7\"\n"));
    let looks: [&'static [Look]; 3] = [
        &[Look::Page, Look::File],
        &[Look::Past, Look::Metadata],
        &[Look::List, Look::File, Look::Page, Look::Past],
    ];
    read_meanwhile(&receiver, &looks, &files, &bundle, &sender.root());
    let status = receiver.admin("GET", "/api/v1/status", b"").json();
    assert_eq!(status["admitted"], 33, "{status:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn signed_pages_change_once_and_name_only_what_is_served() {
    let (sender, files) = sender(20).await;
    let bundle = sender.folder("bundle");
    let receiver = Daemon::start(DaemonOptions::alone().config("[airgap]\nsite = \"plant-7\"\n"));
    // A page follows when it is signed; each kind by itself goes from before to after once. What a page names is there.
    let looks: [&'static [Look]; 3] = [&[Look::File], &[Look::Past], &[Look::Page, Look::File]];
    read_meanwhile(&receiver, &looks[..2], &files[..10], &bundle, &sender.root());
    for (project, file) in &files {
        for what in looks[2] {
            assert!(
                look(receiver.addr(), *what, project, file),
                "{what:?} of {project}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_came_into_force_is_all_there_after_a_kill() {
    let (sender, files) = sender(20).await;
    let bundle = sender.folder("bundle");
    let mut receiver = Daemon::start(DaemonOptions::alone().config("[airgap]\nsite = \"plant-7\"\n"));
    let addr = receiver.addr().to_owned();
    let (project, file) = files[0].clone();
    let root = sender.root();
    let base = receiver.base().to_owned();
    let mut import = receiver.command(&[
        "airgap",
        "import",
        bundle.to_str().unwrap(),
        "--root",
        root.to_str().unwrap(),
        "--yes",
        "--server",
        &base,
    ]);
    let mut child = import.spawn().unwrap();
    // As soon as one file is served, all are, whatever becomes of the process.
    while !look(&addr, Look::File, &project, &file) {
        assert!(child.try_wait().unwrap().is_none_or(|status| status.success()));
        std::thread::sleep(Duration::from_millis(1));
    }
    receiver.kill9();
    // It would ask again for a while.
    child.kill().unwrap();
    child.wait().unwrap();
    receiver.restart();
    for (project, file) in &files {
        for what in [Look::File, Look::Metadata, Look::Past] {
            assert!(
                look(receiver.addr(), what, project, file),
                "{what:?} of {project}"
            );
        }
        let verdict = format!("/files/{}/{}.verdict.json", file.sha256, file.filename);
        assert_eq!(receiver.get(&verdict).status, 200, "{verdict}");
    }
    let events = receiver.admin("GET", "/api/v1/events?limit=1000", b"").json();
    let imported = events["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| &item["event"])
        .find(|event| event["type"] == "imported")
        .unwrap();
    let schema = support::documents::read("schemas/event.schema.json");
    let schema: Value = serde_json::from_str(&schema).unwrap();
    let errors: Vec<_> = jsonschema::validator_for(&schema)
        .unwrap()
        .iter_errors(imported)
        .map(|error| error.to_string())
        .collect();
    assert!(errors.is_empty(), "{errors:?}: {imported:#}");
    assert_eq!(imported["counts"]["admitted"], files.len() + 3, "{imported:#}");
    // The same command again finds it done, and the catalogue can be made again from the log.
    receiver
        .cli(&["airgap", "import", bundle.to_str().unwrap(), "--yes"])
        .expect(0);
    assert_eq!(receiver.stop(), 0);
    receiver.local_cli(&["rebuild-catalog"]).expect(0);
    receiver.restart();
    for (project, file) in &files {
        assert!(look(receiver.addr(), Look::File, project, file), "{project}");
    }
}
