//! Promise: when the database changes, everything stored is judged again, what falls is revoked by an event that says
//! why, and a database that says nothing any more is never taken for a clean one.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::path::Path;

use serde_json::{Value, json};
use support::advisories::{days_ago, dump, file, record, record_of, with};
use support::daemon::{Daemon, DaemonOptions};
use support::upstream::FakeFile;
use support::wheels::wheel;

fn load(daemon: &Daemon, path: &Path) -> Value {
    daemon
        .cli(&["--format", "json", "advisories", "load", path.to_str().unwrap()])
        .expect(0)
        .json()
}

fn row(daemon: &Daemon, file: &FakeFile) -> Value {
    daemon
        .admin("GET", &format!("/api/v1/files/{}", file.sha256), b"")
        .json()
}

fn advisories_of(daemon: &Daemon, file: &FakeFile) -> Value {
    let verdict = daemon
        .admin("GET", &format!("/api/v1/files/{}/verdict", file.sha256), b"")
        .json();
    let checks = verdict["checks"].as_array().unwrap();
    checks
        .iter()
        .find(|check| check["check"] == "advisories")
        .unwrap()
        .clone()
}

fn served(daemon: &Daemon, file: &FakeFile) -> u16 {
    daemon
        .get(&format!("/files/{}/{}", file.sha256, file.filename))
        .status
}

fn malware(project: &str) -> Value {
    with(
        record_of("MAL-2026-1", project, &json!([{ "introduced": "0" }])),
        "summary",
        json!("steals tokens"),
    )
}

#[test]
fn malware_that_becomes_known_is_revoked() {
    let daemon = Daemon::start(DaemonOptions::alone());
    let dir = tempfile::tempdir().unwrap();
    let (bad, good) = (
        wheel("chirontest-bad", "1.0", &[]),
        wheel("chirontest-good", "1.0", &[]),
    );
    for file in [&bad, &good] {
        assert_eq!(
            daemon.put_file(&file.filename, &file.bytes)["outcome"],
            "admitted"
        );
    }
    assert_eq!(
        advisories_of(&daemon, &bad)["outcome"],
        "absent",
        "no database was loaded"
    );

    let database = file(dir.path(), "all.zip", &dump(&[malware("chirontest-bad")]));
    let output = daemon
        .cli(&["advisories", "load", database.to_str().unwrap()])
        .expect(0);
    assert!(
        output.stdout.contains(&bad.filename) && output.stdout.contains("MAL-2026-1"),
        "{output}"
    );
    assert!(!output.stdout.contains(&good.filename), "{output}");

    assert_eq!(row(&daemon, &bad)["state"], "revoked");
    assert_eq!((served(&daemon, &bad), served(&daemon, &good)), (403, 200));
    let found = advisories_of(&daemon, &bad);
    assert_eq!(
        (&found["outcome"], &found["facts"]["matched"][0]["malware"]),
        (&json!("fail"), &json!(true)),
        "{found}"
    );
    assert_eq!(advisories_of(&daemon, &good)["outcome"], "pass");
    let verdict = daemon
        .admin("GET", &format!("/api/v1/files/{}/verdict", bad.sha256), b"")
        .json();
    let status = daemon.admin("GET", "/api/v1/advisories", b"").json();
    assert_eq!(
        verdict["advisories"]["digest"], status["database"]["digest"],
        "{verdict}"
    );
    let events = daemon.admin("GET", "/api/v1/events?limit=1000", b"").json();
    let kinds: Vec<&str> = events["items"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|event| event["event"]["type"].as_str().or(event["type"].as_str()))
        .collect();
    assert!(
        events.to_string().contains("advisories-loaded"),
        "{kinds:?} {events}"
    );

    // A file of that project that comes now is not admitted either; a database without the record restores.
    let newer = wheel("chirontest-bad", "2.0", &[]);
    assert_ne!(
        daemon.put_file(&newer.filename, &newer.bytes)["outcome"],
        "admitted"
    );
    load(
        &daemon,
        &file(
            dir.path(),
            "all.zip",
            &dump(&[record("PYSEC-1", "chirontest-other", "1.0")]),
        ),
    );
    assert_eq!(row(&daemon, &bad)["state"], "admitted");
    assert_eq!(served(&daemon, &bad), 200);
}

#[test]
fn a_stale_database_is_an_error_and_never_clean() {
    let daemon = Daemon::start(DaemonOptions::alone());
    let dir = tempfile::tempdir().unwrap();
    let old = with(
        record("PYSEC-1", "chirontest-other", "1.0"),
        "modified",
        json!(days_ago(90)),
    );
    load(&daemon, &file(dir.path(), "all.zip", &dump(&[old])));
    let status = daemon.cli(&["advisories", "status"]).expect(0).stdout;
    assert!(status.contains("STALE"), "{status}");
    let demo = wheel("chirontest-demo", "1.0", &[]);
    assert_eq!(
        daemon.put_file(&demo.filename, &demo.bytes)["outcome"],
        "quarantined"
    );
    let found = advisories_of(&daemon, &demo);
    assert_eq!(
        (&found["outcome"], &found["facts"]["findings"][0]["code"]),
        (&json!("error"), &json!("stale")),
        "{found}"
    );
    assert_eq!(served(&daemon, &demo), 403);
    // So it is for tools that ask, which would read an empty answer as clean.
    let question = json!({ "package": { "name": "chirontest-demo", "ecosystem": "PyPI" }, "version": "1.0" });
    assert_eq!(
        support::raw::request(
            daemon.addr(),
            "POST",
            "/v1/query",
            &[],
            question.to_string().as_bytes()
        )
        .status,
        503
    );

    load(
        &daemon,
        &file(
            dir.path(),
            "new.zip",
            &dump(&[record("PYSEC-1", "chirontest-other", "1.0")]),
        ),
    );
    assert_eq!(row(&daemon, &demo)["state"], "admitted");
}

#[test]
fn a_database_older_than_the_limit_that_is_set_is_stale() {
    let fresh = Daemon::start(DaemonOptions::alone().config("[advisories]\nmax_age = \"0s\""));
    let strict = Daemon::start(DaemonOptions::alone().config("[advisories]\nmax_age = \"1h\""));
    let dir = tempfile::tempdir().unwrap();
    let dated = file(
        dir.path(),
        "all.zip",
        &dump(&[with(
            record("PYSEC-1", "x", "1.0"),
            "modified",
            json!(days_ago(400)),
        )]),
    );
    let status = |daemon: &Daemon| daemon.admin("GET", "/api/v1/advisories", b"").json();
    load(&fresh, &dated);
    assert!(status(&fresh).get("stale").is_none(), "0s: it never ages");
    load(&strict, &dated);
    assert!(status(&strict)["stale"].as_str().unwrap().contains("max_age"));
}
