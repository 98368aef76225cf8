//! Promise: a database is put in force whole or not at all, under a digest of what it says, and what cannot be read of
//! it is known as unknown.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use support::advisories::{archive, days_ago, dump, file, record, record_of, with};
use support::daemon::{Daemon, DaemonOptions, Output};

fn daemon() -> Daemon {
    Daemon::start(DaemonOptions::alone())
}

fn load(daemon: &Daemon, path: &Path, more: &[&str]) -> Output {
    let mut args = vec!["advisories", "load", path.to_str().unwrap()];
    args.extend(more);
    daemon.cli(&args)
}

/// Loads, and gives what the load says.
#[track_caller]
fn loaded(daemon: &Daemon, path: &Path, more: &[&str]) -> Value {
    let mut args = vec!["--format", "json", "advisories", "load", path.to_str().unwrap()];
    args.extend(more);
    daemon.cli(&args).expect(0).json()
}

fn status(daemon: &Daemon) -> Value {
    daemon.admin("GET", "/api/v1/advisories", b"").json()
}

fn check(daemon: &Daemon, project: &str, version: &str) -> Value {
    daemon
        .admin(
            "GET",
            &format!("/api/v1/advisories/check?project={project}&version={version}"),
            b"",
        )
        .json()
}

fn outcome(daemon: &Daemon, project: &str, version: &str) -> String {
    check(daemon, project, version)["outcome"]
        .as_str()
        .unwrap()
        .to_owned()
}

#[test]
fn the_digest_is_of_what_is_said_and_not_of_how_it_is_packed() {
    let daemon = daemon();
    let dir = tempfile::tempdir().unwrap();
    let records = [record("PYSEC-1", "demo", "2.0"), record("GHSA-2", "other", "1.0")];
    let zipped = loaded(&daemon, &file(dir.path(), "all.zip", &dump(&records)), &[]);
    assert_eq!(
        (&zipped["unchanged"], &zipped["after"]["records"]),
        (&json!(false), &json!(2)),
        "{zipped}"
    );
    let digest = status(&daemon)["database"]["digest"].clone();

    // The same in a folder of folders, pretty-printed, with something that is no record.
    let folder = dir.path().join("folder");
    for (n, record) in records.iter().rev().enumerate() {
        let text = serde_json::to_string_pretty(record).unwrap();
        file(&folder, &format!("{n}/x.json"), text.as_bytes());
    }
    file(&folder, "README.md", b"not read");
    let lines = format!("{}\n\n{}\n", records[1], records[0]);
    let lines = file(dir.path(), "all.jsonl", lines.as_bytes());
    let list = file(dir.path(), "list.json", json!(records).to_string().as_bytes());
    for path in [&folder, &lines, &list] {
        let again = loaded(&daemon, path, &[]);
        assert_eq!(
            (&again["unchanged"], &again["after"]["digest"]),
            (&json!(true), &digest),
            "{again}"
        );
    }

    let changed = with(records[0].clone(), "summary", json!("something else"));
    let other = loaded(
        &daemon,
        &file(dir.path(), "b.zip", &dump(&[changed, records[1].clone()])),
        &[],
    );
    assert_eq!(
        (&other["changed"], &other["added"], &other["removed"]),
        (&json!(1), &json!(0), &json!(0)),
        "{other}"
    );
    assert_ne!(other["after"]["digest"], digest);
}

#[test]
fn what_is_empty_damaged_or_older_is_refused_and_the_old_one_stays() {
    let daemon = daemon();
    let dir = tempfile::tempdir().unwrap();
    let good = file(dir.path(), "good.zip", &dump(&[record("PYSEC-1", "demo", "2.0")]));
    let refused = |name: &str, bytes: &[u8], more: &[&str], exit: i32, says: &str| {
        let output = load(&daemon, &file(dir.path(), name, bytes), more).expect(exit);
        assert!(output.stderr.contains(says), "{name}: {output}");
    };
    // The first load of all may not be an empty one either.
    refused(
        "empty.zip",
        &dump(&[]),
        &[],
        2,
        "an empty database is not put in force",
    );
    assert!(status(&daemon).get("database").is_none());
    load(&daemon, &good, &[]).expect(0);
    let before = status(&daemon);

    let whole = dump(&[record("PYSEC-2", "demo", "2.0"), record("PYSEC-3", "demo", "2.0")]);
    refused(
        "cut.zip",
        &whole[..whole.len() / 2],
        &[],
        2,
        "cannot be read to its end",
    );
    let mut flipped = whole.clone();
    let at = flipped.windows(7).position(|bytes| bytes == b"PYSEC-2").unwrap() + 60;
    flipped[at] ^= 0xff;
    refused("flipped.zip", &flipped, &[], 2, "nothing was changed");
    refused("text.zip", b"no archive", &[], 2, "an empty database");
    refused(
        "npm.zip",
        &dump(&[
            json!({ "id": "GHSA-9", "modified": days_ago(0), "affected": [{ "package": { "ecosystem": "npm", "name": "x" } }] }),
        ]),
        &[],
        2,
        "holds no advisory",
    );
    let old = dump(&[with(
        record("PYSEC-1", "demo", "2.0"),
        "modified",
        json!(days_ago(9)),
    )]);
    refused("old.zip", &old, &[], 2, "--allow-older");
    refused(
        "future.zip",
        &dump(&[with(
            record("PYSEC-1", "demo", "3.0"),
            "modified",
            json!("2999-01-01T00:00:00Z"),
        )]),
        &[],
        2,
        "future",
    );
    assert_eq!(status(&daemon), before);

    let would = loaded(
        &daemon,
        &file(dir.path(), "old.zip", &old),
        &["--allow-older", "--dry-run"],
    );
    assert_eq!(
        (&would["dry_run"], &would["changed"]),
        (&json!(true), &json!(1)),
        "{would}"
    );
    assert_eq!(status(&daemon), before);
    loaded(&daemon, &file(dir.path(), "old.zip", &old), &["--allow-older"]);
    assert_ne!(
        status(&daemon)["database"]["digest"],
        before["database"]["digest"]
    );
}

#[test]
fn a_malformed_record_is_set_aside_and_its_package_is_unknown() {
    let daemon = daemon();
    let dir = tempfile::tempdir().unwrap();
    let listed = |id: &str, project: &str, versions: &Value| {
        let mut record = record_of(id, project, &json!([]));
        record["affected"][0]["versions"] = versions.clone();
        record["affected"][0].as_object_mut().unwrap().remove("ranges");
        record
    };
    let records = [
        record("PYSEC-1", "sound", "2.0"),
        record_of("PYSEC-2", "emptied", &json!([])),
        record_of(
            "PYSEC-3",
            "ordered",
            &json!([{ "introduced": "0" }, { "fixed": "0.9-eevee" }]),
        ),
        record_of("PYSEC-4", "dated", &json!([{ "introduced": "2004d" }])),
        listed("PYSEC-5", "legacy-only", &json!(["0.9-eevee", "2004d"])),
        listed("PYSEC-6", "mixed", &json!(["1.0", "0.9-eevee"])),
        with(
            record("PYSEC-7", "undated", "2.0"),
            "modified",
            json!("yesterday"),
        ),
        with(record("PYSEC-8", "gone", "2.0"), "withdrawn", json!(days_ago(1))),
        record_of(
            "PYSEC-9",
            "epochal",
            &json!([{ "introduced": "0" }, { "fixed": "1!1.0" }]),
        ),
        record("PYSEC-10", "torch-like", "1.0.1"),
    ];
    let mut files: Vec<(String, Vec<u8>)> = records
        .iter()
        .map(|record| (format!("{}.json", record["id"]), record.to_string().into_bytes()))
        .collect();
    files.push(("deep.json".to_owned(), "[".repeat(100_000).into_bytes()));
    files.push(("cut.json".to_owned(), br#"{"id":"PYSEC-11","#.to_vec()));
    let output = load(&daemon, &file(dir.path(), "all.zip", &archive(&files)), &[]).expect(0);
    assert!(output.stdout.contains("set aside"), "{output}");

    for (project, version, wanted) in [
        ("sound", "1.0", "fail"),
        ("sound", "2.0", "pass"),
        ("emptied", "1.0", "error"),
        ("ordered", "1.0", "error"),
        ("dated", "1.0", "error"),
        ("legacy-only", "1.0", "error"),
        ("undated", "1.0", "error"),
        // No file can be of the version "0.9-eevee", so what else is listed decides.
        ("mixed", "1.0", "fail"),
        ("mixed", "0.9", "pass"),
        ("gone", "1.0", "pass"),
        ("never-heard-of", "1.0", "pass"),
        ("epochal", "1!0.9", "fail"),
        ("epochal", "1!1.0", "pass"),
        ("epochal", "2026.1", "fail"),
        ("torch-like", "1.0%2Bcu121", "fail"),
        ("torch-like", "1.0.1%2Bcu121", "pass"),
    ] {
        assert_eq!(
            outcome(&daemon, project, version),
            wanted,
            "{project} {version}: {}",
            check(&daemon, project, version)
        );
    }
    let status = status(&daemon);
    assert_eq!(
        (
            &status["database"]["set_aside"],
            &status["database"]["unattributed"]
        ),
        (&json!(7), &json!(2)),
        "{status}"
    );
    assert_eq!(status["database"]["unknown_projects"], 5);
    assert_eq!(status["odd_versions"]["total"], 1);
    let text = daemon.cli(&["advisories", "status"]).expect(0).stdout;
    assert!(text.contains("PYSEC-3") && text.contains("0.9-eevee"), "{text}");
}

#[test]
fn a_load_is_bounded() {
    let config =
        "[advisories]\ntotal_size = \"4MiB\"\nrecord_size = \"64KiB\"\nentries = 50\nupload = \"1MiB\"";
    let daemon = Daemon::start(DaemonOptions::alone().config(config));
    let dir = tempfile::tempdir().unwrap();
    let sound = record("PYSEC-1", "demo", "2.0");
    let json = |value: &Value| value.to_string().into_bytes();
    // One record over its bound is set aside; the others count.
    let huge = with(
        record("PYSEC-2", "huge", "2.0"),
        "details",
        json!("x".repeat(100_000)),
    );
    let output = loaded(
        &daemon,
        &file(dir.path(), "a.zip", &dump(&[sound.clone(), huge])),
        &[],
    );
    assert_eq!(
        (&output["after"]["records"], &output["after"]["set_aside"]),
        (&json!(1), &json!(1)),
        "{output}"
    );
    let before = status(&daemon);
    for (name, bytes, says) in [
        (
            "bomb.zip",
            archive(&[
                ("a.json".to_owned(), json(&sound)),
                ("bomb.json".to_owned(), vec![b' '; 32 << 20]),
            ]),
            "advisories.total_size",
        ),
        (
            "many.zip",
            archive(
                &(0..60)
                    .map(|n| (format!("{n}.json"), json(&sound)))
                    .collect::<Vec<_>>(),
            ),
            "advisories.entries",
        ),
        ("big.jsonl", vec![b'\n'; 2 << 20], "at most"),
    ] {
        let output = load(&daemon, &file(dir.path(), name, &bytes), &[]);
        assert_ne!(output.status, 0, "{name}: {output}");
        assert!(
            name == "big.jsonl" || output.stderr.contains(says),
            "{name}: {output}"
        );
    }
    assert_eq!(status(&daemon), before);
}

#[test]
fn a_load_that_is_killed_leaves_the_old_one_in_force() {
    let mut daemon = daemon();
    let dir = tempfile::tempdir().unwrap();
    load(
        &daemon,
        &file(
            dir.path(),
            "first.zip",
            &dump(&[record("PYSEC-1", "demo", "2.0")]),
        ),
        &[],
    )
    .expect(0);
    let before = status(&daemon);
    let large = file(dir.path(), "large.zip", &support::advisories::large(6_000));
    for wait in [50, 150, 400, 900] {
        let mut command = daemon.command(&["advisories", "load", large.to_str().unwrap()]);
        let mut loading = command
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(wait));
        daemon.kill9();
        loading.wait().unwrap();
        daemon.restart();
        let after = status(&daemon);
        if after == before {
            assert_eq!(outcome(&daemon, "demo", "1.0"), "fail");
            assert_eq!(outcome(&daemon, "package-1", "0.1"), "pass");
        } else {
            // It was faster than the kill: then all of it is there.
            assert_eq!(after["database"]["records"], 6_000, "{after}");
            return;
        }
    }
    // What the killed loads left behind is in nobody's way.
    load(&daemon, &large, &[]).expect(0);
    assert_eq!(status(&daemon)["database"]["records"], 6_000);
    assert_eq!(outcome(&daemon, "package-1", "0.1"), "fail");
    assert_eq!(outcome(&daemon, "demo", "1.0"), "pass");
}

#[test]
fn lists_and_vex_are_added_to_the_database_in_force_and_stay() {
    let daemon = daemon();
    let dir = tempfile::tempdir().unwrap();
    let hole = with(record("GHSA-1", "demo", "2.0"), "aliases", json!(["CVE-2026-1"]));
    load(
        &daemon,
        &file(dir.path(), "all.zip", &dump(std::slice::from_ref(&hole))),
        &[],
    )
    .expect(0);
    let kev = json!({ "catalogVersion": "2026.11.20", "vulnerabilities": [{ "cveID": "CVE-2026-1" }] });
    load(
        &daemon,
        &file(dir.path(), "kev.json", kev.to_string().as_bytes()),
        &[],
    )
    .expect(0);
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    std::io::Write::write_all(
        &mut gz,
        b"#model_version:v1\ncve,epss,percentile\nCVE-2026-1,0.93,0.99\n",
    )
    .unwrap();
    load(
        &daemon,
        &file(dir.path(), "epss.csv.gz", &gz.finish().unwrap()),
        &[],
    )
    .expect(0);
    let matched = |version: &str| check(&daemon, "demo", version)["facts"]["matched"][0].clone();
    let found = matched("1.0");
    assert_eq!(
        (&found["kev"], &found["epss"], &found["fixed_in"]),
        (&json!(true), &json!(0.93), &json!(["2.0"])),
        "{found}"
    );

    // VEX takes one version out, with the name of who says so; what matches nothing is reported.
    let vex = json!({
        "@context": "https://openvex.dev/ns/v0.2.0", "@id": "urn:acme:1", "author": "Acme", "timestamp": days_ago(1), "version": 1,
        "statements": [
            { "vulnerability": { "name": "CVE-2026-1" }, "products": [{ "@id": "pkg:pypi/demo@1.0" }], "status": "not_affected", "justification": "vulnerable_code_not_in_execute_path" },
            { "vulnerability": { "name": "CVE-1999-1" }, "products": [{ "@id": "pkg:pypi/demo@1.0" }], "status": "fixed" },
            { "vulnerability": { "name": "CVE-2026-1" }, "products": [{ "@id": "pkg:pypi/demo@1.1" }], "status": "not_affected" },
        ],
    });
    load(
        &daemon,
        &file(dir.path(), "vex.json", vex.to_string().as_bytes()),
        &[],
    )
    .expect(0);
    assert_eq!(outcome(&daemon, "demo", "1.0"), "pass");
    assert_eq!(
        matched("1.0")["vex"],
        json!({ "status": "not_affected", "by": "Acme", "document": "urn:acme:1" })
    );
    assert_eq!(
        outcome(&daemon, "demo", "1.1"),
        "fail",
        "a statement without a justification takes nothing out"
    );
    assert_eq!(status(&daemon)["unmatched_vex"]["total"], 2);

    // A newer dump brings none of them, and they still count; a bad list refuses the whole.
    let newer = [hole, record("PYSEC-2", "other", "1.0")];
    load(&daemon, &file(dir.path(), "all.zip", &dump(&newer)), &[]).expect(0);
    assert_eq!(outcome(&daemon, "demo", "1.0"), "pass");
    assert_eq!(matched("1.1")["kev"], json!(true));
    let bad = load(
        &daemon,
        &file(dir.path(), "epss.csv", b"cve,epss\nCVE-2026-1,7\n"),
        &[],
    )
    .expect(2);
    assert!(bad.stderr.contains("entry 1"), "{bad}");
    load(
        &daemon,
        &file(dir.path(), "all.zip", &dump(&newer)),
        &["--drop-vex"],
    )
    .expect(0);
    assert_eq!(outcome(&daemon, "demo", "1.0"), "fail");
}

#[test]
fn records_of_one_vulnerability_are_one_finding_with_the_worst_severity() {
    let daemon = daemon();
    let dir = tempfile::tempdir().unwrap();
    let critical = json!([{ "type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H" }]);
    let records = [
        with(record("PYSEC-1", "demo", "2.0"), "aliases", json!(["CVE-1"])),
        with(
            with(record("GHSA-1", "demo", "1.5"), "aliases", json!(["CVE-1"])),
            "severity",
            critical,
        ),
        with(record("PYSEC-2", "demo", "2.0"), "aliases", json!(["CVE-2"])),
    ];
    load(&daemon, &file(dir.path(), "all.zip", &dump(&records)), &[]).expect(0);
    let found = check(&daemon, "Demo", "1.0");
    let matched = found["facts"]["matched"].as_array().unwrap();
    assert_eq!(matched.len(), 2, "{found}");
    assert_eq!(
        (&matched[0]["id"], &matched[0]["severity"], &matched[0]["cvss"]),
        (&json!("GHSA-1"), &json!("critical"), &json!(9.8))
    );
    assert_eq!(matched[0]["aliases"], json!(["CVE-1", "PYSEC-1"]));
    assert_eq!(
        matched[0]["fixed_in"],
        json!(["2.0"]),
        "1.5 is still reached by the other record"
    );
    assert_eq!(matched[1]["severity"], "unknown");
    let shown = daemon.cli(&["advisories", "show", "CVE-1"]).expect(0).stdout;
    assert!(
        shown.contains("PYSEC-1") && shown.contains("GHSA-1") && !shown.contains("PYSEC-2"),
        "{shown}"
    );
    daemon.cli(&["advisories", "show", "CVE-9"]).expect(1);
    let checked = daemon.cli(&["advisories", "check", "demo==1.0"]).expect(1).stdout;
    assert!(
        checked.contains("fail") && checked.contains("fixed in 2.0"),
        "{checked}"
    );
    daemon.cli(&["advisories", "check", "demo==3.0"]).expect(0);
    daemon.cli(&["advisories", "check", "demo"]).expect(2);
}
