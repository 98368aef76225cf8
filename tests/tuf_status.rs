//! Promise: a daemon sets a sound repository up by itself and says how it stands; a dry run and a command that makes no
//! sense change nothing.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::collections::BTreeSet;

use support::daemon::{Daemon, DaemonOptions, command, run};
use support::people::{Client, Person, census, ids, keys_changed, role, says, settle, status};

fn daemon() -> Daemon {
    Daemon::start(DaemonOptions::alone())
}

#[test]
fn a_daemon_with_nothing_initialised_makes_a_sound_development_setup() {
    let daemon = daemon();
    let status = status(&daemon);
    assert_eq!(status["state"], "live", "{status:#}");
    assert!(status["generation"]["number"].as_u64().unwrap() >= 1);
    let names: Vec<&str> = status["roles"]
        .as_array()
        .unwrap()
        .iter()
        .map(|role| role["name"].as_str().unwrap())
        .collect();
    assert_eq!(
        names,
        ["root", "targets", "trust", "bins", "bin", "snapshot", "timestamp"]
    );
    for name in names {
        let role = role(&status, name);
        assert_eq!(role["threshold"], 1, "{role:#}");
        assert_eq!(role["expiry"], "fine", "{role:#}");
        assert_eq!(role["keys"][0]["signed"], true, "{role:#}");
        assert!(role.get("problem").is_none(), "{role:#}");
    }
    // Six keys: bins and snapshot share the one that is in use all day, and nothing else shares any.
    let all: BTreeSet<String> = ["root", "targets", "trust", "bins", "bin", "snapshot", "timestamp"]
        .iter()
        .flat_map(|name| ids(&status, name))
        .collect();
    assert_eq!(all.len(), 6);
    assert_eq!(ids(&status, "bin"), ids(&status, "snapshot"));
    // It is said that this is no production.
    let warnings = status["warnings"].to_string();
    assert!(
        warnings.contains("passphrase") && warnings.contains("--production"),
        "{warnings}"
    );
    // The root that clients are given is the one that is served, and what `tuf root` prints.
    let file = std::fs::read(daemon.data_dir().join("tuf/root.json")).unwrap();
    assert_eq!(daemon.get("/tuf/metadata/1.root.json").body, file);
    assert_eq!(daemon.cli(&["tuf", "root"]).expect(0).stdout.as_bytes(), file);
    assert_eq!(
        status["root"]["sha256"],
        chiron_storage::Digest::of(&file).to_string()
    );
    // Who starts it is told how to have everything verified.
    let said = daemon.stdout();
    let line = format!(
        "chiron proxy --root {}",
        daemon.data_dir().join("tuf/root.json").display()
    );
    assert!(
        said.contains(&line) && said.contains(&format!("--upstream {}", daemon.base())),
        "{said}"
    );
    assert_eq!(keys_changed(&daemon).len(), 1);
    Client::of(&daemon).refresh(&daemon).expect(0);
}

#[test]
fn a_dry_run_says_what_would_change_and_changes_nothing() {
    let daemon = daemon();
    let folders = || {
        (
            census(&daemon.data_dir().join("tuf")),
            census(&daemon.data_dir().join("keys")),
        )
    };
    settle(&daemon);
    let before = (folders(), status(&daemon), keys_changed(&daemon));
    let alice = Person::p256("alice");
    let alices = alice.public_file();
    for args in [
        vec!["tuf", "rotate", "timestamp", "--reason", "x"],
        vec!["tuf", "rotate", "online", "root", "--reason", "x"],
        vec!["tuf", "rotate", "root", "--key", &alices, "--reason", "x"],
        vec!["tuf", "rotate", "--recover", "--reason", "x"],
        vec!["tuf", "rotate", "--revoke", "timestamp", "--reason", "x"],
        vec!["tuf", "renew", "root", "targets", "trust", "bins"],
        vec!["tuf", "rebin", "1024"],
        vec!["tuf", "init", "--production", "--root-key", &alices],
        vec!["tuf", "publish", "--resign"],
    ] {
        let mut args = args;
        args.push("--dry-run");
        let said = daemon.cli(&args).expect(0);
        says(&said, &["nothing was changed"]);
        if args[1] != "publish" {
            says(&said, &["replaces"]);
        }
        assert_eq!(
            (folders(), status(&daemon), keys_changed(&daemon)),
            before,
            "{args:?}"
        );
    }
    assert!(!daemon.home().join("tuf-requests").exists());
}

#[test]
fn what_makes_no_sense_is_refused_in_words_and_changes_nothing() {
    let daemon = daemon();
    settle(&daemon);
    let before = (census(&daemon.data_dir().join("tuf")), keys_changed(&daemon));
    let alice = Person::ed25519("alice");
    let alices = alice.public_file();
    for (args, words) in [
        (
            vec!["rotate", "mirror", "--reason", "x"],
            vec!["mirror", "snapshot"],
        ),
        (vec!["rotate", "root", "--reason", " "], vec!["a reason has 1 to"]),
        (
            vec!["rotate", "timestamp", "--key", &alices, "--reason", "x"],
            vec!["timestamp is signed by the daemon every day", "alice"],
        ),
        (
            vec!["rotate", "root", "--threshold", "2", "--reason", "x"],
            vec!["only 1 keys", "--add"],
        ),
        (
            vec!["rotate", "root", "--threshold", "0", "--reason", "x"],
            vec!["1 to 255"],
        ),
        (
            vec!["rotate", "root", "--remove", "root", "--reason", "x"],
            vec!["only 0 keys", "--add"],
        ),
        (
            vec!["rotate", "root", "--remove", "timestamp", "--reason", "x"],
            vec!["timestamp", "none of the roles root"],
        ),
        (
            vec!["rotate", "root", "--key", "nobody", "--reason", "x"],
            vec!["nobody", "chiron tuf keys list"],
        ),
        (
            vec![
                "rotate", "root", "--key", "root", "--key", "root", "--reason", "x",
            ],
            vec!["given twice"],
        ),
        (vec!["renew", "timestamp"], vec!["chiron tuf publish --resign"]),
        (vec!["rebin", "300"], vec!["300 bins are not possible"]),
        (vec!["rebin", "16"], vec!["too few", "256"]),
        (vec!["rebin", "70000"], vec!["70000 bins are not possible"]),
        (
            vec!["requests", "cancel", "0123456789abcdef"],
            vec!["no change that waits"],
        ),
        (vec!["rotate", "--reason", "x"], vec!["ROLE"]),
    ] {
        let mut line = vec!["tuf"];
        line.extend(&args);
        let refused = daemon.cli(&line);
        assert!(matches!(refused.status, 1 | 2), "{args:?}\n{refused}");
        says(&refused, &words);
        let after = (census(&daemon.data_dir().join("tuf")), keys_changed(&daemon));
        assert_eq!(after, before, "{args:?}");
    }
    // A private key never leaves the machine by mistake.
    let private = alice.private_file();
    let refused = daemon.cli(&[
        "tuf",
        "rotate",
        "root",
        "--key",
        private.to_str().unwrap(),
        "--reason",
        "x",
    ]);
    says(&refused.expect(2), &["private key", "must stay where it is"]);
}

#[test]
fn status_has_colours_on_a_terminal_only_and_where_they_are_wanted() {
    let daemon = daemon();
    let with = |name: &str, value: &str| {
        let mut command = daemon.command(&["tuf", "status", "--server", daemon.base()]);
        command.env_remove("NO_COLOR").env_remove("CLICOLOR_FORCE");
        if !name.is_empty() {
            command.env(name, value);
        }
        run(&mut command).expect(0).stdout
    };
    let plain = with("", "");
    assert!(!plain.contains('\u{1b}'), "{plain}");
    for word in [
        "timestamp",
        "1 of 1",
        "signed by the daemon",
        "(in 2",
        "warning: ",
    ] {
        assert!(plain.contains(word), "{word:?} is missing in\n{plain}");
    }
    assert!(
        with("CLICOLOR_FORCE", "1").contains("\u{1b}[3"),
        "no colours where they are forced"
    );
    let mut both = daemon.command(&["tuf", "status", "--server", daemon.base()]);
    both.env("NO_COLOR", "1").env_remove("CLICOLOR_FORCE");
    assert!(!run(&mut both).expect(0).stdout.contains('\u{1b}'));
    // The document is the same with and without a terminal.
    let document = daemon.cli_json(&["tuf", "status"]);
    assert_eq!(document["schema"], "chiron.tuf-status/v1");
    let offline = run(&mut command(["tuf", "status", "--data-dir", "/nowhere/x"]));
    says(&offline.expect(2), &["there is no data folder"]);
}
