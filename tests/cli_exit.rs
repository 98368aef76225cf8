//! Scripts rely on it: exit statuses, one JSON document on stdout, and messages that say what to do next.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::path::Path;

use serde_json::Value;
use support::daemon::{Daemon, DaemonOptions, Output, cli, command, run};
use support::upstream::{FakeUpstream, Fault};
use support::wheels::{lying_wheel, pin, wheel};

/// Every failure says what happened and what to do, and never shows a stack trace.
#[track_caller]
fn explains(output: &Output, status: i32, words: &[&str]) {
    assert_eq!(output.status, status, "{output}");
    for word in words {
        assert!(output.stderr.contains(word), "`{word}` is missing in:\n{output}");
    }
    for trace in ["panicked", "stack backtrace", "RUST_BACKTRACE"] {
        assert!(!output.stderr.contains(trace), "{output}");
    }
}

fn config_with(dir: &Path, text: &str) -> String {
    let path = dir.join("chiron.toml");
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

/// All verbs, found in the help itself, so that a new one cannot be forgotten.
fn verbs(dir: &Path, of: &[&str]) -> Vec<String> {
    let help = cli(dir, &[of, &["--help"]].concat()).expect(0).stdout;
    let Some((_, commands)) = help.split_once("Commands:\n") else {
        return Vec::new();
    };
    commands
        .lines()
        .take_while(|line| !line.trim().is_empty())
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|verb| *verb != "help")
        .map(ToOwned::to_owned)
        .collect()
}

#[test]
fn every_verb_has_an_example_in_its_help() {
    let dir = tempfile::tempdir().unwrap();
    let top = verbs(dir.path(), &[]);
    let promised = [
        "init",
        "serve",
        "ingest",
        "verify",
        "show",
        "explain",
        "yank",
        "unyank",
        "revoke",
        "restore",
        "waive",
        "attach",
        "advisories",
        "log",
        "jobs",
        "status",
        "doctor",
        "scrub",
        "gc",
        "rebuild-catalog",
        "config",
        "policy",
        "completions",
    ];
    for verb in promised {
        assert!(
            top.iter().any(|known| known == verb),
            "{verb} is missing in {top:?}"
        );
    }
    for verb in &top {
        let help = cli(dir.path(), &[verb, "--help"]).expect(0).stdout;
        assert!(
            help.contains(&format!("chiron {verb}")) && help.contains("Example"),
            "{verb}:\n{help}"
        );
        for below in verbs(dir.path(), &[verb]) {
            let help = cli(dir.path(), &[verb, &below, "--help"]).expect(0).stdout;
            assert!(
                help.contains("Example") && help.contains("chiron "),
                "{verb} {below}:\n{help}"
            );
        }
    }
}

#[test]
fn usage_errors_exit_2() {
    let dir = tempfile::tempdir().unwrap();
    let cases: &[&[&str]] = &[
        &[],
        &["frobnicate"],
        &["ingest"],
        &["verify"],
        &["serve", "--listen", "nonsense"],
        &["serve", "--listen", "127.0.0.1:99999"],
        &["yank", "flask==1"],
        &["show", "sha256:12"],
        &["ingest", "a b c"],
        &["ingest", "./no-such-1.0-py3-none-any.whl"],
        &["ingest", "flask", "--python", "three"],
        &["--server", "ftp://127.0.0.1/", "status"],
        &["--format", "yaml", "status"],
        &["completions", "tcsh"],
    ];
    for case in cases {
        let output = cli(dir.path(), case);
        assert_eq!(output.status, 2, "{case:?}\n{output}");
        assert!(!output.stderr.trim().is_empty(), "{case:?} says nothing");
    }
    assert!(
        !dir.path().join("chiron-data").exists(),
        "a usage error leaves nothing behind"
    );
}

/// Flags of later checks are unknown until the checks exist: ignoring one would be a false promise.
#[test]
fn flags_that_do_not_exist_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let file = wheel("six", "1.0", &[]);
    std::fs::write(dir.path().join(&file.filename), &file.bytes).unwrap();
    for flag in ["--skip-checks", "--provenance", "--force"] {
        let output = cli(dir.path(), &["verify", &file.filename, flag, "x"]);
        explains(&output, 2, &["unexpected argument", flag]);
    }
}

#[test]
fn an_unknown_configuration_key_is_refused_with_the_nearest_known() {
    let dir = tempfile::tempdir().unwrap();
    let config = config_with(dir.path(), "[server]\nlistn = \"127.0.0.1:0\"\n");
    for verb in [
        &["config", "check"][..],
        &["serve"],
        &["show", "flask"],
        &["verify", "x.whl"],
    ] {
        let output = cli(dir.path(), &[verb, &["--config", &config]].concat());
        explains(&output, 2, &["listn", "listen", "chiron.toml:2"]);
    }
    assert!(!dir.path().join("chiron-data").exists());
}

#[test]
fn an_unknown_override_in_the_environment_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let output = run(command(["config", "check"])
        .current_dir(dir.path())
        .env("CHIRON_SERVER__LISTN", "x"));
    explains(&output, 2, &["CHIRON_SERVER__LISTN"]);
}

#[test]
fn a_configuration_that_was_asked_for_must_be_there() {
    let dir = tempfile::tempdir().unwrap();
    explains(
        &cli(dir.path(), &["config", "check", "--config", "none.toml"]),
        2,
        &["none.toml"],
    );
}

#[test]
fn a_bad_listen_address_is_a_usage_error_and_leaves_no_folder() {
    let dir = tempfile::tempdir().unwrap();
    // TEST-NET-1 (RFC 5737): no machine has it.
    explains(
        &cli(dir.path(), &["serve", "--listen", "192.0.2.1:8080"]),
        2,
        &["192.0.2.1:8080", "next:"],
    );
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    explains(
        &cli(dir.path(), &["serve", "--listen", &address]),
        2,
        &[&address, "--listen"],
    );
    assert!(!dir.path().join("chiron-data").exists());
}

#[test]
fn a_missing_data_folder_is_not_made_by_a_question() {
    let dir = tempfile::tempdir().unwrap();
    for case in [
        &["status"][..],
        &["show", "flask"],
        &["scrub"],
        &["rebuild-catalog"],
        &["log", "verify"],
    ] {
        explains(&cli(dir.path(), case), 2, &["chiron-data", "next:"]);
    }
    assert!(!dir.path().join("chiron-data").exists());
}

#[test]
fn a_second_process_on_the_same_folder_is_told_whom_to_ask() {
    let daemon = Daemon::start(DaemonOptions::alone());
    for case in [
        &["status"][..],
        &["ingest", "flask"],
        &["gc"],
        &["rebuild-catalog"],
    ] {
        explains(&daemon.local_cli(case), 2, &["--server", daemon.base()]);
    }
    let second = daemon.local_cli(&["serve", "--listen", "127.0.0.1:0"]);
    explains(&second, 2, &[daemon.base()]);
    assert_eq!(daemon.get("/healthz").status, 200, "the first one goes on");
    daemon.cli(&["status"]).expect(0);
}

#[test]
fn no_daemon_is_a_network_failure_and_a_wrong_token_is_denied() {
    let dir = tempfile::tempdir().unwrap();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = format!("http://{}", free.local_addr().unwrap());
    drop(free);
    explains(
        &cli(dir.path(), &["status", "--server", &nobody]),
        3,
        &[&nobody, "next:"],
    );

    let daemon = Daemon::start(DaemonOptions::alone());
    let wrong = cli(
        dir.path(),
        &["status", "--server", daemon.base(), "--token", "not-the-token"],
    );
    explains(&wrong, 5, &["token", "next:"]);
    assert!(
        !wrong.stderr.contains("not-the-token"),
        "a secret is not repeated: {wrong}"
    );
    explains(
        &cli(dir.path(), &["status", "--server", daemon.base()]),
        5,
        &["admin.token"],
    );
    cli(
        dir.path(),
        &[
            "status",
            "--server",
            daemon.base(),
            "--token",
            &daemon.admin_token(),
        ],
    )
    .expect(0);
}

#[test]
fn verify_says_1_for_what_would_not_be_admitted() {
    let dir = tempfile::tempdir().unwrap();
    let good = wheel("six", "1.0", &[]);
    let bad = lying_wheel("liar", "1.0");
    for file in [&good, &bad] {
        std::fs::write(dir.path().join(&file.filename), &file.bytes).unwrap();
    }
    let output = cli(dir.path(), &["verify", &good.filename]).expect(0);
    for word in ["structure", "hashes", "decision", "admit"] {
        assert!(output.stdout.contains(word), "{output}");
    }
    cli(dir.path(), &["verify", &good.filename, "--sha256", &good.sha256]).expect(0);
    cli(dir.path(), &["verify", &good.filename, "--sha256", &bad.sha256]).expect(1);
    let output = cli(
        dir.path(),
        &["verify", &good.filename, &bad.filename, "--jobs", "2"],
    )
    .expect(1);
    assert!(output.stdout.contains("refuse"), "{output}");
    cli(dir.path(), &["verify", "nothing.whl"]).expect(2);

    let json = cli(
        dir.path(),
        &["verify", "--format", "json", &good.filename, &bad.filename],
    )
    .expect(1)
    .json();
    assert_eq!(json[0]["schema"], "chiron.verdict/v1");
    assert_eq!(json[0]["decision"], "admit");
    assert_eq!(json[0]["file"]["sha256"], good.sha256.as_str());
    assert_eq!(json[1]["decision"], "refuse");
    assert!(!json[1]["reasons"].as_array().unwrap().is_empty());
    assert!(!dir.path().join("chiron-data").exists(), "verify stores nothing");
}

#[test]
fn ingest_of_files_says_each_verdict_and_the_gravest_status() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("wheels")).unwrap();
    // Nobody is asked for the source: the index of this machine's pip has releases of that name.
    let alone = "[[upstream]]\nname = \"none\"\nmode = \"curated\"\nurl = \"http://127.0.0.1:9/simple/\"\n";
    std::fs::write(dir.path().join("chiron.toml"), alone).unwrap();
    let good = wheel("six", "1.0", &[]);
    std::fs::write(dir.path().join("wheels").join(&good.filename), &good.bytes).unwrap();

    let dry = cli(dir.path(), &["ingest", "./wheels", "--dry-run"]).expect(0);
    assert!(dry.stdout.contains("nothing was changed"), "{dry}");
    assert!(
        !dir.path().join("chiron-data").exists(),
        "a dry run makes no data folder"
    );

    let first = cli(dir.path(), &["ingest", "./wheels"]).expect(0);
    assert!(
        first.stdout.contains("admitted") && first.stdout.contains(&good.filename),
        "{first}"
    );
    let again = cli(dir.path(), &["ingest", "./wheels"]).expect(0);
    assert!(again.stdout.contains("present"), "{again}");

    let bad = lying_wheel("liar", "1.0");
    std::fs::write(dir.path().join("wheels").join(&bad.filename), &bad.bytes).unwrap();
    let mixed = cli(dir.path(), &["ingest", "./wheels", "--format", "json"])
        .expect(1)
        .json();
    let outcome = |name: &str| {
        let files = mixed["files"].as_array().unwrap();
        files
            .iter()
            .find(|file| file["filename"] == name)
            .map(|file| file["outcome"].clone())
    };
    assert_eq!(outcome(&good.filename), Some("present".into()));
    assert_eq!(outcome(&bad.filename), Some("refused".into()));
    let why = cli(dir.path(), &["explain", &bad.filename]).expect(0);
    assert!(
        why.stdout.contains("not served") && why.stdout.contains("structure"),
        "{why}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn ingest_from_upstream_tells_not_found_from_not_reachable() {
    let upstream = FakeUpstream::start().await;
    let six = wheel("six", "1.0", &[]);
    upstream.add(six.clone());
    upstream.add(lying_wheel("liar", "1.0"));
    let daemon = Daemon::start(DaemonOptions::curated(&upstream.index_url()));

    let dry = daemon.cli_json(&["ingest", "six", "--dry-run"]);
    assert_eq!(dry["files"][0]["outcome"], "would-fetch", "{dry:#}");
    assert_eq!(dry["bytes"], six.size);
    assert_eq!(
        daemon.request("GET", "/simple/six/", &[]).status,
        404,
        "a dry run changes nothing"
    );

    daemon.cli(&["ingest", "six"]).expect(0);
    assert_eq!(daemon.page("six")["files"][0]["filename"], six.filename.as_str());
    explains(&daemon.cli(&["ingest", "liar"]), 1, &["explain"]);
    daemon.cli(&["ingest", "no-such-project"]).expect(1);
    daemon.cli(&["ingest", "six==9"]).expect(1);
    upstream.fault("*", Fault::Status(500));
    daemon.cli(&["ingest", "flask"]).expect(3);
}

#[tokio::test(flavor = "multi_thread")]
async fn hash_pinned_requirements_take_only_what_they_name() {
    let upstream = FakeUpstream::start().await;
    let (one, two) = (wheel("six", "1.0", &[]), wheel("six", "2.0", &[]));
    upstream.add(one.clone());
    upstream.add(two);
    let daemon = Daemon::start(DaemonOptions::curated(&upstream.index_url()));
    let list = daemon.home().join("requirements.txt");
    std::fs::write(&list, format!("{}\n", pin(&one))).unwrap();
    let done = daemon.cli_json(&["ingest", "-r", list.to_str().unwrap()]);
    assert_eq!(done["exit"], 0, "{done:#}");
    let page = daemon.page("six");
    let names: Vec<_> = page["files"]
        .as_array()
        .unwrap()
        .iter()
        .map(|file| file["filename"].clone())
        .collect();
    assert_eq!(names, [Value::from(one.filename.as_str())]);

    std::fs::write(&list, format!("six==1.0 --hash=sha256:{}\n", "0".repeat(64))).unwrap();
    daemon.cli(&["ingest", "-r", list.to_str().unwrap()]).expect(1);
    std::fs::write(&list, "six==1.0 --hash=sha256:short\n").unwrap();
    explains(
        &daemon.cli(&["ingest", "-r", list.to_str().unwrap()]),
        2,
        &["requirements.txt", "line 1"],
    );
}

#[test]
fn with_deps_without_uv_says_how_to_get_it() {
    let dir = tempfile::tempdir().unwrap();
    let output = run(command(["ingest", "flask", "--with-deps"])
        .current_dir(dir.path())
        .env("PATH", dir.path())
        .env_remove("UV")
        .env("CHIRON_UPSTREAM__0__URL", "http://127.0.0.1:9/simple/"));
    explains(&output, 2, &["uv", "pip install uv", "--lock"]);
    assert!(!dir.path().join("chiron-data").exists());
}

#[test]
fn json_is_one_document_for_every_answer() {
    let daemon = Daemon::start(DaemonOptions::alone());
    let file = wheel("six", "1.0", &[]);
    daemon.put_file(&file.filename, &file.bytes);
    let cases: &[(&[&str], i32)] = &[
        (&["status"], 0),
        (&["show", "six"], 0),
        (&["show", "six==1.0"], 0),
        (&["show", "six-1.0-py3-none-any.whl"], 0),
        (&["show", "nothing"], 1),
        (&["explain", "six-1.0-py3-none-any.whl"], 0),
        (&["yank", "six==1.0", "--reason", "a test", "--dry-run"], 0),
        (&["yank", "six==1.0", "--reason", "a test"], 0),
        (&["unyank", "six==1.0", "--reason", "a test"], 0),
        (&["revoke", "six==1.0", "--reason", "a test"], 0),
        (&["restore", "six==1.0", "--reason", "a test"], 0),
        (&["log", "checkpoint"], 0),
        (&["log", "verify"], 0),
        (&["log", "prove", "0"], 0),
        (&["log", "key"], 0),
        (&["jobs", "list"], 0),
        (&["jobs", "show", "123456"], 1),
        (&["scrub"], 0),
        (&["gc", "--dry-run"], 0),
        (&["config", "show"], 0),
        (&["config", "check"], 0),
        (&["config", "schema"], 0),
        (&["policy", "show"], 0),
        (&["completions", "bash"], 0),
    ];
    for (case, status) in cases {
        let output = run(daemon
            .command(case)
            .args(["--server", daemon.base(), "--format", "json"]));
        assert_eq!(output.status, *status, "{case:?}\n{output}");
        let document = output.json();
        assert!(!document.is_null(), "{case:?}");
        if *status != 0 {
            assert_eq!(document["error"]["exit"], *status, "{case:?}\n{output}");
        }
    }
}
