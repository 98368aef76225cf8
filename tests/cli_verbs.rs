//! The verbs on a real data folder: decisions, the log, init, serve, rebuild-catalog, doctor.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use serde_json::Value;
use support::daemon::{Daemon, DaemonOptions, Output, cli};
use support::upstream::{FakeUpstream, Fault};
use support::wheels::wheel;

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

#[test]
fn decisions_show_on_the_index_and_in_the_log() {
    let daemon = Daemon::start(DaemonOptions::alone());
    let file = wheel("six", "1.0", &[]);
    daemon.put_file(&file.filename, &file.bytes);
    let path = format!("/files/{}/{}", file.sha256, file.filename);
    assert_eq!(daemon.get(&path).status, 200);

    daemon
        .cli(&[
            "revoke",
            &file.filename,
            "--reason",
            "a hole was found",
            "--dry-run",
        ])
        .expect(0);
    assert_eq!(daemon.get(&path).status, 200, "a dry run changes nothing");
    daemon
        .cli(&["revoke", &file.filename, "--reason", "a hole was found"])
        .expect(0);
    assert_eq!(daemon.get(&path).status, 403);
    let why = daemon.cli(&["explain", &file.filename]).expect(0);
    assert!(
        why.stdout.contains("not served") && why.stdout.contains("a hole was found"),
        "{why}"
    );
    daemon
        .cli(&[
            "restore",
            &format!("sha256:{}", file.sha256),
            "--reason",
            "withdrawn",
        ])
        .expect(0);
    assert_eq!(daemon.get(&path).status, 200);

    daemon.cli(&["yank", "six==1.0", "--reason", "use 1.1"]).expect(0);
    assert_eq!(daemon.page("six")["files"][0]["yanked"], "use 1.1");
    for wrong in ["", " "] {
        daemon.cli(&["yank", "six==1.0", "--reason", wrong]).expect(2);
    }
    explains(
        &daemon.cli(&["yank", "six", "--reason", "which?"]),
        2,
        &["six==VERSION"],
    );
    let verified = daemon.cli_json(&["log", "verify"]);
    assert_eq!(verified["size"], verified["checked"], "{verified:#}");
    assert!(verified["size"].as_u64().unwrap() >= 4, "{verified:#}");
}

#[test]
fn the_log_is_proved_to_continue_a_checkpoint_kept_earlier() {
    let daemon = Daemon::start(DaemonOptions::alone());
    let first = wheel("six", "1.0", &[]);
    daemon.put_file(&first.filename, &first.bytes);
    let kept = daemon.home().join("checkpoint.txt");
    std::fs::write(&kept, daemon.cli(&["log", "checkpoint"]).expect(0).stdout).unwrap();
    let key = daemon.cli(&["log", "key"]).expect(0).stdout;
    let second = wheel("six", "2.0", &[]);
    daemon.put_file(&second.filename, &second.bytes);
    let since = [
        "log",
        "verify",
        "--since",
        kept.to_str().unwrap(),
        "--key",
        key.trim(),
    ];
    let output = daemon.cli(&since).expect(0);
    assert!(output.stdout.contains("continues"), "{output}");

    // Another mirror's log does not continue this one, and its key is not this key.
    let other = Daemon::start(DaemonOptions::alone());
    other.put_file(&second.filename, &second.bytes);
    explains(&other.cli(&since), 4, &["key"]);
    explains(&other.cli(&since[..4]), 4, &["key"]);
}

#[test]
fn init_writes_what_serve_reads_and_keeps_what_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let dry = cli(dir.path(), &["init", "--dry-run"]).expect(0);
    assert!(dry.stdout.contains("nothing was changed"), "{dry}");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);

    cli(dir.path(), &["init"]).expect(0);
    for made in ["chiron.toml", "chiron-data/admin.token"] {
        assert!(dir.path().join(made).exists(), "{made}");
    }
    let token = std::fs::read(dir.path().join("chiron-data/admin.token")).unwrap();
    cli(dir.path(), &["config", "check"]).expect(0);
    let again = cli(dir.path(), &["init"]).expect(0);
    assert!(again.stdout.contains("kept"), "{again}");
    assert_eq!(
        std::fs::read(dir.path().join("chiron-data/admin.token")).unwrap(),
        token
    );
    explains(&cli(dir.path(), &["init", "--wizard"]), 2, &["chiron.toml"]);

    let fresh = tempfile::tempdir().unwrap();
    explains(&cli(fresh.path(), &["init", "--wizard"]), 2, &["terminal"]);
    assert_eq!(std::fs::read_dir(fresh.path()).unwrap().count(), 0);
}

#[test]
fn the_admin_token_is_the_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let daemon = Daemon::start(DaemonOptions::alone());
    let mode = std::fs::metadata(daemon.data_dir().join("admin.token"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(
        !daemon.stdout().contains(&daemon.admin_token()) && !daemon.stderr().contains(&daemon.admin_token())
    );
}

#[test]
fn serve_prints_what_to_copy_and_ends_in_an_orderly_way() {
    let mut daemon = Daemon::start(DaemonOptions::alone());
    let index = daemon.index_url();
    // The lines after `listening on` come from the same write loop; give the pipe a moment.
    for _ in 0..100 {
        if daemon.stdout().contains("admin.token") {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let said = daemon.stdout();
    assert!(
        said.starts_with(&format!("listening on {}\n", daemon.base())),
        "{said}"
    );
    assert!(
        said.contains(&format!("pip install --index-url {index}")),
        "{said}"
    );
    assert!(
        said.contains(&format!("uv pip install --default-index {index}")),
        "{said}"
    );
    let note = daemon.data_dir().join("daemon.json");
    let noted: Value = serde_json::from_slice(&std::fs::read(&note).unwrap()).unwrap();
    assert_eq!(noted["address"], daemon.base());
    assert_eq!(noted["pid"], daemon.pid());
    assert_eq!(daemon.stop(), 0);
    assert!(!note.exists());
    daemon.local_cli(&["status"]).expect(0);
}

#[test]
fn after_a_kill_the_folder_opens_and_the_catalogue_can_be_made_again() {
    let mut daemon = Daemon::start(DaemonOptions::alone());
    let file = wheel("six", "1.0", &[]);
    daemon.put_file(&file.filename, &file.bytes);
    daemon.kill9();
    let dry = daemon.local_cli(&["rebuild-catalog", "--dry-run"]).expect(0);
    assert!(dry.stdout.contains("2 events would be read again"), "{dry}");
    let output = daemon.local_cli(&["rebuild-catalog"]).expect(0);
    assert!(
        output.stdout.contains("rebuilt") && output.stdout.contains("admitted 1"),
        "{output}"
    );
    daemon.local_cli(&["show", &file.filename]).expect(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_finds_an_upstream_that_does_not_answer() {
    let upstream = FakeUpstream::start().await;
    upstream.add(wheel("pip", "1.0", &[]));
    // A page that is fresh is not asked for again; here every look asks.
    let daemon =
        Daemon::start(DaemonOptions::on_demand(&upstream.index_url()).config("[index]\nfresh = \"1ms\""));
    let well = daemon.cli_json(&["doctor"]);
    assert_eq!(well["exit"], 0, "{well:#}");
    let clients = daemon.cli(&["doctor", "--clients"]).expect(0);
    assert!(
        clients
            .stdout
            .contains(&format!("pip config set global.index-url {}", daemon.index_url())),
        "{clients}"
    );
    upstream.fault("*", Fault::Status(500));
    explains(&daemon.cli(&["doctor"]), 3, &[]);
    // Without --server it finds the daemon that holds the folder.
    explains(&daemon.local_cli(&["doctor"]), 3, &[]);
}
