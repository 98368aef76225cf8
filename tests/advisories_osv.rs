//! Promise: the OSV API answers as the public one does, from the database in force; what cannot be answered is an error
//! and never an empty answer.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use serde_json::{Value, json};
use support::advisories::{days_ago, dump, file, record, record_of, with};
use support::clients::{client, isolated};
use support::daemon::{Daemon, DaemonOptions, run};
use support::raw::{Answer, request};

fn ask(daemon: &Daemon, path: &str, question: &Value) -> Answer {
    request(daemon.addr(), "POST", path, &[], question.to_string().as_bytes())
}

fn of(name: &str, version: &str) -> Value {
    json!({ "package": { "name": name, "ecosystem": "PyPI" }, "version": version })
}

fn with_database(records: &[Value]) -> Daemon {
    let daemon = Daemon::start(DaemonOptions::alone());
    let dir = tempfile::tempdir().unwrap();
    let path = file(dir.path(), "all.zip", &dump(records));
    daemon
        .cli(&["advisories", "load", path.to_str().unwrap()])
        .expect(0);
    daemon
}

fn ids(answer: &Value) -> Vec<&str> {
    answer["vulns"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|v| v["id"].as_str().unwrap())
        .collect()
}

#[test]
fn questions_are_answered_with_whole_records() {
    let hole = with(record("GHSA-1", "demo", "2.0"), "aliases", json!(["CVE-1"]));
    let daemon = with_database(&[
        hole.clone(),
        record("PYSEC-2", "demo", "1.0"),
        record_of("PYSEC-3", "emptied", &json!([])),
        with(record("PYSEC-4", "unreadable", "1.0"), "modified", json!(1)),
    ]);
    let answer = ask(&daemon, "/v1/query", &of("Demo", "1.5"));
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (200, "application/json"),
        "{answer}"
    );
    assert_eq!(answer.json(), json!({ "vulns": [hole] }));
    assert_eq!(
        ids(&ask(&daemon, "/v1/query", &of("demo", "0.5")).json()),
        ["GHSA-1", "PYSEC-2"]
    );
    assert_eq!(
        ids(&ask(
            &daemon,
            "/v1/query",
            &json!({ "package": { "purl": "pkg:pypi/demo" } })
        )
        .json()),
        ["GHSA-1", "PYSEC-2"]
    );
    for nothing in [
        of("demo", "2.0"),
        of("never-heard-of", "1.0"),
        json!({ "package": { "purl": "pkg:pypi/demo@2.0%2Blocal" } }),
    ] {
        assert_eq!(ask(&daemon, "/v1/query", &nothing).json(), json!({}), "{nothing}");
    }
    // Nobody knows which versions these two are about, so they are answered for all.
    assert_eq!(
        ids(&ask(&daemon, "/v1/query", &of("emptied", "9")).json()),
        ["PYSEC-3"]
    );
    assert_eq!(
        ids(&ask(&daemon, "/v1/query", &of("unreadable", "9")).json()),
        ["CHIRON-UNREADABLE-unreadable"]
    );

    assert_eq!(daemon.get("/v1/vulns/GHSA-1").json(), hole);
    assert_eq!(
        daemon.get("/v1/vulns/CVE-1").status,
        404,
        "records only, as the public service"
    );
    assert_eq!(daemon.get("/v1/vulns/..%2Fx").status, 404);

    let batch = json!({ "queries": [of("demo", "1.5"), of("demo", "2.0"), of("demo", "0.1")] });
    let answer = ask(&daemon, "/v1/querybatch", &batch).json();
    let results = answer["results"].as_array().unwrap();
    assert_eq!(
        results.iter().map(ids).collect::<Vec<_>>(),
        [vec!["GHSA-1"], vec![], vec!["GHSA-1", "PYSEC-2"]]
    );
    assert_eq!(results[0]["vulns"][0]["modified"], days_ago(1));
    assert_eq!(results[1], json!({}));
}

#[test]
fn what_cannot_be_answered_is_an_error() {
    let daemon = with_database(&[record("GHSA-1", "demo", "2.0")]);
    let npm = json!({ "package": { "name": "demo", "ecosystem": "npm" }, "version": "1" });
    for (path, question) in [
        ("/v1/query", json!({})),
        ("/v1/query", json!([])),
        ("/v1/query", json!({ "version": "1.0" })),
        (
            "/v1/query",
            json!({ "commit": "6879efc2c1596d11a6a6ad296f80063b558d5e0f" }),
        ),
        ("/v1/query", npm.clone()),
        (
            "/v1/query",
            with(of("demo", "1.0"), "page_token", json!("made up")),
        ),
        ("/v1/querybatch", json!({})),
        ("/v1/querybatch", json!({ "queries": [of("demo", "1.0"), npm] })),
        (
            "/v1/querybatch",
            json!({ "queries": vec![of("demo", "1.0"); 1_001] }),
        ),
    ] {
        let answer = ask(&daemon, path, &question);
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (400, "application/problem+json"),
            "{path} {question}: {answer}"
        );
    }
    let deep = "[".repeat(60_000);
    assert_eq!(
        request(daemon.addr(), "POST", "/v1/query", &[], deep.as_bytes()).status,
        400
    );
    let large = "x".repeat(70_000);
    assert_eq!(
        request(daemon.addr(), "POST", "/v1/query", &[], large.as_bytes()).status,
        413
    );
    assert_eq!(daemon.get("/v1/query").status, 405);

    let empty = Daemon::start(DaemonOptions::alone());
    let answer = ask(&empty, "/v1/query", &of("demo", "1.0"));
    assert_eq!(answer.status, 503, "{answer}");
    assert!(
        answer.json()["detail"]
            .as_str()
            .unwrap()
            .contains("chiron advisories load"),
        "{answer}"
    );
}

#[test]
fn long_answers_come_in_pages() {
    let records: Vec<Value> = (0..1_200)
        .map(|n| record(&format!("PYSEC-{n:04}"), "crowded", "9"))
        .collect();
    let daemon = with_database(&records);
    for (path, batch) in [("/v1/query", false), ("/v1/querybatch", true)] {
        let (mut seen, mut token, mut pages) = (Vec::new(), None::<String>, 0);
        loop {
            let mut question = of("crowded", "1.0");
            if let Some(token) = &token {
                question["page_token"] = json!(token);
            }
            let question = if batch {
                json!({ "queries": [question] })
            } else {
                question
            };
            let answer = ask(&daemon, path, &question).json();
            let answer = if batch {
                answer["results"][0].clone()
            } else {
                answer
            };
            seen.extend(ids(&answer).into_iter().map(ToOwned::to_owned));
            pages += 1;
            token = answer["next_page_token"].as_str().map(ToOwned::to_owned);
            if token.is_none() {
                break;
            }
        }
        assert!(pages > 1, "{path}");
        let wanted: Vec<String> = (0..1_200).map(|n| format!("PYSEC-{n:04}")).collect();
        assert_eq!(seen, wanted, "{path}");
    }
}

#[test]
fn pip_audit_asks_chiron() {
    let Some(pip_audit) = client("pip-audit", "pip-audit") else {
        return;
    };
    let daemon = with_database(&[with(
        record("PYSEC-2026-1", "chirontest-demo", "2.0"),
        "aliases",
        json!(["CVE-2026-1"]),
    )]);
    let home = tempfile::tempdir().unwrap();
    let audit = |version: &str| {
        let requirements = file(
            home.path(),
            "requirements.txt",
            format!("chirontest-demo=={version}\n").as_bytes(),
        );
        let mut command = isolated(&pip_audit, home.path());
        command.arg("-r").arg(requirements);
        command.args(["-s", "osv", "--osv-url", &format!("{}/v1/query", daemon.base())]);
        run(command.args([
            "--no-deps",
            "--disable-pip",
            "--progress-spinner",
            "off",
            "--format",
            "json",
        ]))
    };
    let found = audit("1.0").expect(1);
    let dependency = &found.json()["dependencies"][0];
    assert_eq!(dependency["vulns"][0]["id"], "PYSEC-2026-1", "{found}");
    assert_eq!(dependency["vulns"][0]["fix_versions"], json!(["2.0"]), "{found}");
    let clean = audit("2.0").expect(0);
    assert_eq!(clean.json()["dependencies"][0]["vulns"], json!([]), "{clean}");
}

#[test]
fn uv_audit_asks_chiron() {
    let Some(uv) = client("uv", "uv") else { return };
    let daemon = with_database(&[with(
        record("PYSEC-2026-1", "chirontest-demo", "2.0"),
        "aliases",
        json!(["CVE-2026-1"]),
    )]);
    let audit = |version: &str| {
        let home = tempfile::tempdir().unwrap();
        file(home.path(), "pyproject.toml", b"[project]\nname = \"app\"\nversion = \"1.0\"\nrequires-python = \">=3.9\"\ndependencies = [\"chirontest-demo\"]\n");
        let lock = format!(
            "version = 1\nrevision = 3\nrequires-python = \">=3.9\"\n\n[[package]]\nname = \"app\"\nversion = \"1.0\"\nsource = {{ virtual = \".\" }}\ndependencies = [{{ name = \"chirontest-demo\" }}]\n\n[package.metadata]\nrequires-dist = [{{ name = \"chirontest-demo\" }}]\n\n[[package]]\nname = \"chirontest-demo\"\nversion = \"{version}\"\nsource = {{ registry = \"https://index.invalid/simple\" }}\nwheels = [{{ url = \"https://index.invalid/chirontest_demo-{version}-py3-none-any.whl\", hash = \"sha256:{}\" }}]\n",
            "0".repeat(64)
        );
        file(home.path(), "uv.lock", lock.as_bytes());
        let mut command = isolated(&uv, home.path());
        command.current_dir(home.path());
        command.args([
            "audit",
            "--frozen",
            "--preview",
            "--service-url",
            &format!("{}/", daemon.base()),
        ]);
        run(&mut command)
    };
    let found = audit("1.0");
    assert_ne!(found.status, 0, "{found}");
    let said = format!("{}{}", found.stdout, found.stderr);
    assert!(
        said.contains("PYSEC-2026-1") || said.contains("CVE-2026-1"),
        "{found}"
    );
    let clean = audit("2.0").expect(0);
    assert!(!clean.stdout.contains("PYSEC-2026-1"), "{clean}");
}
