//! Promise: a bundle carries the sender's advisory database, whole: a site that adopts it knows what the sender knew, under the
//! same digest, judges with it at once, and keeps its own word beside it; an older one, or one that was not asked for, changes
//! nothing.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;
#[path = "support/traces.rs"]
mod traces;

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use support::advisories::{archive, days_ago, file, record, record_of, with};
use support::bundles::{Sender, closed_site};
use support::daemon::{Daemon, DaemonOptions, Output};
use support::wheels::wheel;
use traces::{events_of, listed, wait_until};

fn load(daemon: &Daemon, path: &Path) {
    daemon
        .cli(&["advisories", "load", path.to_str().unwrap()])
        .expect(0);
}

fn status(daemon: &Daemon) -> Value {
    daemon.admin("GET", "/api/v1/advisories", b"").json()
}

fn outcome(daemon: &Daemon, project: &str, version: &str) -> Value {
    let path = format!("/api/v1/advisories/check?project={project}&version={version}");
    daemon.admin("GET", &path, b"").json()["outcome"].clone()
}

fn import(site: &Daemon, sender: &Sender, bundle: &Path) -> Output {
    let (bundle, root) = (bundle.display().to_string(), sender.root().display().to_string());
    site.cli(&["airgap", "import", &bundle, "--root", &root])
        .expect(0)
}

fn vex(project: &str, vulnerability: &str) -> Value {
    json!({
        "@context": "https://openvex.dev/ns/v0.2.0", "@id": format!("urn:vex:{project}"), "author": "head office",
        "timestamp": days_ago(1), "version": 1,
        "statements": [{
            "vulnerability": { "name": vulnerability },
            "products": [{ "@id": format!("pkg:pypi/{project}@1.0") }],
            "status": "not_affected", "justification": "vulnerable_code_not_present",
        }],
    })
}

/// Records of every kind that a database has, lists and a VEX document.
fn database(folder: &Path, name: &str, more: &[Value]) -> PathBuf {
    let mut records = vec![
        record("PYSEC-1", "demo", "2.0"),
        with(record("GHSA-2", "demo", "3.0"), "aliases", json!(["CVE-1"])),
        // Set aside: no version in its ranges.
        record_of("PYSEC-3", "unknown", &json!([{ "introduced": "not a version" }])),
        json!({ "id": "PYSEC-4", "affected": [{ "package": { "ecosystem": "PyPI", "name": "torn" } }] }),
    ];
    records.extend(more.iter().cloned());
    let mut files: Vec<(String, Vec<u8>)> = records
        .iter()
        .map(|record| {
            (
                format!("{}.json", record["id"].as_str().unwrap()),
                record.to_string().into_bytes(),
            )
        })
        .collect();
    files.push(("kev.json".to_owned(), kev().to_string().into_bytes()));
    files.push((
        "epss.csv".to_owned(),
        b"cve,epss,percentile\nCVE-1,0.5,0.9\n".to_vec(),
    ));
    files.push(("broken.json".to_owned(), b"{".to_vec()));
    file(folder, name, &archive(&files))
}

fn kev() -> Value {
    json!({
        "title": "known", "catalogVersion": "1", "dateReleased": days_ago(1), "count": 1,
        "vulnerabilities": [{ "cveID": "CVE-1", "dateAdded": "2026-01-01" }],
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_sender_knows_comes_with_the_bundle() {
    let (sender, site) = (Sender::new().await, closed_site("plant-7"));
    // This site has a file of its own that the sender's database knows as malware.
    let own = wheel("own-bad", "1.0", &[]);
    site.put_file(&own.filename, &own.bytes);
    assert_eq!(listed(&site, "own-bad").len(), 1);
    let malware = record_of("MAL-2026-1", "own-bad", &json!([{ "introduced": "0" }]));
    load(
        &sender.daemon,
        &database(sender.disk.path(), "all.zip", &[malware]),
    );
    let bundle = sender.folder("bundle");
    import(&site, &sender, &bundle);

    let (theirs, here) = (status(&sender.daemon), status(&site));
    assert!(
        theirs["database"]["set_aside"].as_u64().unwrap() >= 3,
        "{theirs:#}"
    );
    for key in [
        "as_of",
        "digest",
        "records",
        "projects",
        "unknown_projects",
        "malware",
        "set_aside",
        "kev",
        "epss",
    ] {
        assert_eq!(here["database"][key], theirs["database"][key], "{key}");
    }
    assert_eq!(here["set_aside"]["total"], theirs["set_aside"]["total"]);
    for (project, version) in [
        ("demo", "1.0"),
        ("demo", "2.5"),
        ("demo", "3.0"),
        ("unknown", "1.0"),
        ("torn", "1.0"),
    ] {
        let (known, wanted) = (
            outcome(&site, project, version),
            outcome(&sender.daemon, project, version),
        );
        assert_eq!(known, wanted, "{project} {version}");
    }
    assert_eq!(outcome(&site, "demo", "1.0"), "fail");

    let [loaded] = events_of(&site, "advisories-loaded").try_into().unwrap();
    let digest = theirs["database"]["digest"].as_str().unwrap();
    let digest = digest.strip_prefix("sha256:").unwrap_or(digest);
    assert!(loaded["digest"].as_str().unwrap().ends_with(digest), "{loaded}");
    // What came was judged with it; what was here is judged again.
    wait_until("the site's own malware is served no more", || {
        listed(&site, "own-bad").is_empty()
    });

    // The same again, and one that says the same, change nothing.
    import(&site, &sender, &bundle);
    sender.release("delta", "1.0");
    import(&site, &sender, &sender.folder("more"));
    assert_eq!(events_of(&site, "advisories-loaded").len(), 1);
    assert_eq!(status(&site)["database"], here["database"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_site_comes_back_with_the_database() {
    let (sender, mut site) = (Sender::new().await, closed_site("plant-7"));
    load(&sender.daemon, &database(sender.disk.path(), "all.zip", &[]));
    import(&site, &sender, &sender.folder("bundle"));
    let before = status(&site);
    site.kill9();
    site.restart();
    assert_eq!(status(&site)["database"], before["database"]);
    assert_eq!(outcome(&site, "demo", "1.0"), "fail");
    // And a later load finds its way.
    let newer = with(record("PYSEC-9", "demo", "9.0"), "modified", json!(days_ago(0)));
    load(
        &site,
        &file(sender.disk.path(), "newer.jsonl", newer.to_string().as_bytes()),
    );
    assert_eq!(status(&site)["database"]["records"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_site_keeps_its_own_word_beside_it() {
    let (sender, site) = (Sender::new().await, closed_site("plant-7"));
    let old = with(record("PYSEC-1", "demo", "2.0"), "modified", json!(days_ago(9)));
    load(
        &site,
        &file(sender.disk.path(), "old.jsonl", old.to_string().as_bytes()),
    );
    load(
        &site,
        &file(
            sender.disk.path(),
            "vex.json",
            vex("demo", "PYSEC-1").to_string().as_bytes(),
        ),
    );
    let newer = record("PYSEC-1", "demo", "2.0");
    load(
        &sender.daemon,
        &file(sender.disk.path(), "new.jsonl", newer.to_string().as_bytes()),
    );
    import(&site, &sender, &sender.folder("bundle"));
    let (theirs, here) = (status(&sender.daemon), status(&site));
    assert_eq!(here["database"]["as_of"], theirs["database"]["as_of"]);
    assert_eq!(
        here["database"]["vex"].as_array().map(Vec::len),
        Some(1),
        "{here:#}"
    );
    // The document is part of what verdicts are made with, so the name is another.
    assert_ne!(here["database"]["digest"], theirs["database"]["digest"]);
    assert_eq!(outcome(&site, "demo", "1.0"), "pass");
    assert_eq!(outcome(&sender.daemon, "demo", "1.0"), "fail");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_sender_takes_back_goes_here_too() {
    let (sender, site) = (Sender::new().await, closed_site("plant-7"));
    let at = |days: i64| {
        with(
            record("PYSEC-1", "demo", "2.0"),
            "modified",
            json!(days_ago(days)),
        )
    };
    let load_at = |days: i64, more: &[&str]| {
        let path = file(
            sender.disk.path(),
            &format!("{days}.jsonl"),
            at(days).to_string().as_bytes(),
        );
        let mut line = vec!["advisories", "load", path.to_str().unwrap()];
        line.extend(more);
        sender.daemon.cli(&line).expect(0);
    };
    load_at(9, &[]);
    load(
        &sender.daemon,
        &file(
            sender.disk.path(),
            "vex.json",
            vex("demo", "PYSEC-1").to_string().as_bytes(),
        ),
    );
    import(&site, &sender, &sender.folder("first"));
    assert_eq!(outcome(&site, "demo", "1.0"), "pass");
    load_at(1, &["--drop-vex"]);
    sender.release("delta", "1.0");
    import(&site, &sender, &sender.folder("second"));
    assert_eq!(outcome(&site, "demo", "1.0"), "fail");
    assert_eq!(
        status(&site)["database"]["digest"],
        status(&sender.daemon)["database"]["digest"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_one_and_an_unwanted_one_change_nothing() {
    let sender = Sender::new().await;
    load(&sender.daemon, &database(sender.disk.path(), "all.zip", &[]));
    let bundle = sender.folder("bundle");

    let site = closed_site("plant-7");
    let newer = with(record("PYSEC-9", "other", "9.0"), "modified", json!(days_ago(0)));
    load(
        &site,
        &file(sender.disk.path(), "newer.jsonl", newer.to_string().as_bytes()),
    );
    let before = status(&site);
    import(&site, &sender, &bundle);
    assert_eq!(status(&site)["database"], before["database"]);
    assert_eq!(events_of(&site, "advisories-loaded").len(), 1);

    let config = "[airgap]\nsite = \"plant-8\"\nadopt_advisories = false\n";
    let site = Daemon::start(DaemonOptions::alone().config(config));
    import(&site, &sender, &bundle);
    assert_eq!(status(&site)["database"], Value::Null);
    assert_eq!(events_of(&site, "advisories-loaded").len(), 0);
}
