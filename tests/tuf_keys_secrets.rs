//! Promise: passphrases come from where they were said to, and no secret of a key is shown, logged, or left in a core dump.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;
#[path = "support/tuf_ring.rs"]
mod tuf_ring;

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use support::daemon::{Daemon, DaemonOptions, cli, command, run};
use tuf_ring::{P256, PASSPHRASE, Ring, genpkey, openssl};

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_wrong_passphrase_is_said_with_where_it_came_from() {
    let ring = Ring::new();
    ring.keys(&["generate", "root"]).expect(0);
    let wrong = "correct-horse-wrong";
    let refused = run(ring
        .bare(&["list", "--check"])
        .env("CHIRON_TUF_PASSPHRASE", wrong))
    .expect(1);
    let said = refused.json()["keys"][0]["check"].as_str().unwrap().to_owned();
    assert!(
        said.contains("does not open with the passphrase from $CHIRON_TUF_PASSPHRASE"),
        "{said}"
    );
    assert!(!refused.to_string().contains(wrong), "{refused}");
    let none = run(&mut ring.bare(&["list", "--check"])).expect(1);
    let said = none.json()["keys"][0]["check"].as_str().unwrap().to_owned();
    assert!(
        said.contains("needs a passphrase") && said.contains("tuf.passphrase_file"),
        "{said}"
    );

    // A file, and a systemd credential, as good as the variable.
    let file = ring.secret("given", &format!("{PASSPHRASE}\n"));
    let mut by_flag = ring.bare(&["list", "--check", "--passphrase-file", file.to_str().unwrap()]);
    run(&mut by_flag).expect(0);
    let mut by_setting = ring.bare(&["list", "--check"]);
    run(by_setting.env("CHIRON_TUF__PASSPHRASE_FILE", &file)).expect(0);
    fs::create_dir(ring.path("credentials")).unwrap();
    fs::copy(&file, ring.path("credentials/chiron-tuf-passphrase")).unwrap();
    // As systemd shows a credential that a unit's user reads by an ACL.
    set_mode(&ring.path("credentials/chiron-tuf-passphrase"), 0o440);
    let mut by_credential = ring.bare(&["list", "--check"]);
    run(by_credential.env("CREDENTIALS_DIRECTORY", ring.path("credentials"))).expect(0);

    for (text, word) in [
        ("", "is empty"),
        ("one\ntwo\n", "several lines"),
        (&"x".repeat(5000), "is longer than"),
    ] {
        let file = ring.secret("odd", text);
        let mut odd = ring.bare(&["list", "--check", "--passphrase-file", file.to_str().unwrap()]);
        let refused = run(&mut odd).expect(1);
        assert!(refused.stdout.contains(word), "{refused}");
    }
    set_mode(&file, 0o640);
    let mut exposed = ring.bare(&["list", "--check", "--passphrase-file", file.to_str().unwrap()]);
    assert!(
        run(&mut exposed)
            .expect(1)
            .stdout
            .contains("can be read by others (mode 640)")
    );
}

#[test]
fn another_passphrase_takes_the_place_of_the_one_beside_the_keys() {
    let ring = Ring::new();
    run(&mut ring.bare(&["generate", "root", "timestamp"])).expect(0);
    let elsewhere = ring.path("elsewhere.pem");
    genpkey(P256, &elsewhere);
    let elsewhere_before = fs::read(&elsewhere).unwrap();
    let place = format!("file:{}", elsewhere.display());
    run(&mut ring.bare(&["import", &place])).expect(0);
    let beside = fs::read_to_string(ring.path("ring/passphrase")).unwrap();
    let kept = fs::read(ring.path("ring/root.pem")).unwrap();

    // Nobody gives a new one: nothing happens.
    run(&mut ring.bare(&["passphrase"])).expect(5);
    ring.keys(&["--dry-run", "passphrase"]).expect(0);
    assert_eq!(fs::read(ring.path("ring/root.pem")).unwrap(), kept);

    let done = ring.keys(&["passphrase"]).expect(0);
    assert_eq!(done.json()["keys"].as_array().unwrap().len(), 2, "{done}");
    assert!(
        !done.to_string().contains(&beside) && !done.to_string().contains(PASSPHRASE),
        "{done}"
    );
    assert!(!ring.path("ring/passphrase").exists());
    assert_eq!(fs::read(&elsewhere).unwrap(), elsewhere_before);
    ring.keys(&["list", "--check"]).expect(0);
    run(&mut ring.bare(&["list", "--check"])).expect(1);
    for name in ["root", "timestamp"] {
        let path = ring.path(&format!("ring/{name}.pem"));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        openssl(&[
            "pkey",
            "-noout",
            "-passin",
            &format!("pass:{PASSPHRASE}"),
            "-in",
            path.to_str().unwrap(),
        ]);
    }

    // Once more, from one that is given to one that is given; a wrong old one changes nothing.
    let new = ring.secret("new", "another-long-passphrase");
    let old = ring.secret("old", PASSPHRASE);
    let wrong = ring.secret("wrong", "none of the passphrases");
    let with = |old: &Path| {
        let (new, old) = (new.to_str().unwrap(), old.to_str().unwrap());
        run(&mut ring.bare(&[
            "passphrase",
            "--passphrase-file",
            new,
            "--old-passphrase-file",
            old,
        ]))
    };
    with(&wrong).expect(5);
    ring.keys(&["list", "--check"]).expect(0);
    with(&old).expect(0);
    ring.keys(&["list", "--check"]).expect(1);
    run(&mut ring.bare(&["list", "--check", "--passphrase-file", new.to_str().unwrap()])).expect(0);
}

/// Threat: a passphrase on the screen, in a shell's history or in a log of the terminal.
#[test]
fn a_person_is_asked_at_the_terminal_and_not_shown() {
    let ring = Ring::new();
    let folder = ring.path("ring");
    let typed = "tulip anchor seven";
    let (status, shown) = ring.at_terminal(&["generate", "alice"], &[typed, typed]);
    assert_eq!(status, 0, "{shown}");
    assert!(
        shown.contains("Passphrase for the new key") && shown.contains("The same again"),
        "{shown}"
    );
    assert!(!shown.contains(typed), "{shown}");
    assert!(!folder.join("passphrase").exists());
    // One mistake, then the right one; two keys of one passphrase ask once.
    ring.at_terminal(&["generate", "bob"], &[typed, typed]);
    let (status, shown) = ring.at_terminal(&["list", "--check"], &["a wrong one here", typed]);
    assert_eq!(status, 0, "{shown}");
    assert_eq!(shown.matches("Passphrase for file:").count(), 2, "{shown}");
    for (answers, word) in [
        (&["short"][..], "12 characters"),
        (&[typed, "tulip anchor eight"], "differ"),
    ] {
        let (status, shown) = ring.at_terminal(&["generate", "carol"], answers);
        assert!(status != 0 && shown.contains(word), "{shown}");
    }
    assert_eq!(
        fs::read_dir(&folder).unwrap().count(),
        4,
        "two keys, the ring and its lock"
    );
}

#[test]
fn no_secret_is_printed_logged_or_kept_beside() {
    let ring = Ring::new();
    let key = ring.path("key.pem");
    genpkey(P256, &key);
    let pem = fs::read_to_string(&key).unwrap();
    let file = ring.secret("given", &format!("{PASSPHRASE}\n"));
    let mut said = String::new();
    for args in [
        &["generate", "root"][..],
        &["import", key.to_str().unwrap(), "--label", "copy"],
        &["list"],
        &["list", "--check"],
        &["export-public", "copy"],
        &["export-public", "copy", "--tuf"],
        &["import", "env:CHIRON_TUF_PASSPHRASE"],
        &["import", file.to_str().unwrap()],
    ] {
        let mut command = ring.with_passphrase("ring", args);
        said += &run(command.env("CHIRON_LOG", "trace").env("RUST_BACKTRACE", "1")).to_string();
    }
    said += &fs::read_to_string(ring.path("ring/ring.json")).unwrap();
    assert!(!said.contains(PASSPHRASE), "{said}");
    for line in pem.lines().filter(|line| !line.starts_with("-----")) {
        assert!(!said.contains(line), "{said}");
    }
    // The private number itself, in hex as a debugger would print it.
    let text = openssl(&["pkey", "-text", "-noout", "-in", key.to_str().unwrap()]);
    let (_, number) = text.split_once("priv:").unwrap();
    let number: String = number
        .split("pub:")
        .next()
        .unwrap()
        .chars()
        .filter(char::is_ascii_hexdigit)
        .collect();
    assert!(!said.contains(&number[..40]), "{said}");
}

#[test]
fn the_configuration_shows_no_passphrase() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("given"), PASSPHRASE).unwrap();
    fs::write(
        folder.path().join("chiron.toml"),
        "[tuf]\npassphrase_file = \"given\"\n",
    )
    .unwrap();
    let mut said = cli(folder.path(), &["config", "show"]).expect(0).to_string();
    let mut show = command(["--format", "json", "config", "show"]);
    let shown = run(show
        .current_dir(folder.path())
        .env("CHIRON_TUF_PASSPHRASE", PASSPHRASE))
    .expect(0);
    said += &shown.to_string();
    assert!(said.contains("given") && !said.contains(PASSPHRASE), "{said}");
}

#[test]
fn a_daemon_logs_no_secret_and_leaves_no_core_dump() {
    let options = DaemonOptions::alone().env("CHIRON_TUF_PASSPHRASE", PASSPHRASE);
    let daemon = Daemon::start(options.env("CHIRON_LOG", "trace"));
    let process = format!("/proc/{}", daemon.pid());
    let limits = fs::read_to_string(format!("{process}/limits")).unwrap();
    let cores = limits
        .lines()
        .find(|line| line.starts_with("Max core file size"))
        .unwrap();
    assert_eq!(cores.split_whitespace().nth(4), Some("0"), "{cores}");
    // A process that may not be dumped or traced belongs to root under /proc, whoever runs it.
    assert_eq!(fs::metadata(format!("{process}/environ")).unwrap().uid(), 0);

    let ring = daemon.data_dir().join("keys/tuf");
    assert!(!ring.join("passphrase").exists());
    let said =
        daemon.stderr() + &daemon.stdout() + &daemon.get("/readyz").text() + &daemon.get("/metrics").text();
    assert!(!said.contains(PASSPHRASE), "{said}");
    let mut keys = 0;
    for file in fs::read_dir(ring).unwrap() {
        let text = fs::read_to_string(file.unwrap().path()).unwrap();
        if let Some(body) = text.lines().nth(1).filter(|_| text.starts_with("-----BEGIN")) {
            keys += 1;
            assert!(!said.contains(body), "{said}");
        }
    }
    assert!(keys >= 6, "{keys} keys");
}
