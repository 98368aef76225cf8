//! Promise: the ring remembers a repository's keys: two processes lose nothing, what was edited by hand is refused, and
//! a public half is all that leaves it.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;
#[path = "support/tuf_ring.rs"]
mod tuf_ring;

use std::collections::BTreeSet;
use std::fs;
use std::process::Stdio;

use serde_json::Value;
use support::daemon::{command, run};
use tuf_ring::{ED25519, Ring, genpkey};

#[test]
fn a_key_in_a_variable_signs() {
    let ring = Ring::new();
    let file = ring.path("key.pem");
    genpkey(ED25519, &file);
    let pem = fs::read_to_string(&file).unwrap();
    let missing = ring.keys(&["import", "env:ROOT_KEY"]).expect(1);
    assert!(missing.stderr.contains("not set in the environment"), "{missing}");
    let taken = run(ring
        .with_passphrase("ring", &["import", "env:ROOT_KEY", "--label", "root"])
        .env("ROOT_KEY", &pem));
    assert_eq!(taken.expect(0).json()["keys"][0]["place"], "env:ROOT_KEY");
    let checked = run(ring
        .with_passphrase("ring", &["list", "--check"])
        .env("ROOT_KEY", &pem))
    .expect(0)
    .json();
    assert_eq!(checked["keys"][0]["check"], "signs");
    // Another key in the same variable is not the key that the ring remembers.
    genpkey(ED25519, &file);
    let other = fs::read_to_string(&file).unwrap();
    let replaced = run(ring
        .with_passphrase("ring", &["list", "--check"])
        .env("ROOT_KEY", &other))
    .expect(1);
    assert!(
        replaced.json()["keys"][0]["check"]
            .as_str()
            .unwrap()
            .contains("it was replaced"),
        "{replaced}"
    );
    assert!(
        !replaced.to_string().contains(other.lines().nth(1).unwrap()),
        "{replaced}"
    );
}

#[test]
fn a_ring_that_was_edited_by_hand_is_refused_and_left_alone() {
    let ring = Ring::new();
    ring.keys(&["generate", "root", "timestamp"]).expect(0);
    let path = ring.path("ring/ring.json");
    let good = fs::read_to_string(&path).unwrap();
    let mut twice: Value = serde_json::from_str(&good).unwrap();
    twice["keys"][1] = twice["keys"][0].clone();
    let mut other: Value = serde_json::from_str(&good).unwrap();
    other["keys"][0]["id"] = other["keys"][1]["id"].clone();
    for text in [
        String::new(),
        "{}".to_owned(),
        good[..good.len() / 2].to_owned(),
        good.replace("chiron.keyring/v1", "chiron.keyring/v2"),
        good.replace("\"label\": \"root\"", "\"label\": \"../root\""),
        good.replace("\"label\": \"root\"", "\"label\": \"root\", \"pin\": \"1234\""),
        good.replace("file:root.pem", "https://keys.example/root.pem"),
        twice.to_string(),
        other.to_string(),
        format!("[{}]", "[".repeat(100_000)),
    ] {
        fs::write(&path, &text).unwrap();
        for args in [&["list"][..], &["generate", "more"], &["export-public", "root"]] {
            let refused = ring.keys(args).expect(4);
            assert!(refused.stderr.contains("is not a keyring"), "{text}: {refused}");
        }
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
    }
    // Two key files exchanged: each place holds another key than the ring says.
    fs::write(&path, &good).unwrap();
    fs::rename(ring.path("ring/root.pem"), ring.path("ring/x")).unwrap();
    fs::rename(ring.path("ring/timestamp.pem"), ring.path("ring/root.pem")).unwrap();
    fs::rename(ring.path("ring/x"), ring.path("ring/timestamp.pem")).unwrap();
    let checked = ring.keys(&["list", "--check"]).expect(1).json();
    for key in checked["keys"].as_array().unwrap() {
        assert!(
            key["check"].as_str().unwrap().contains("it was replaced"),
            "{key}"
        );
    }
}

#[test]
fn processes_that_change_the_ring_at_once_lose_nothing() {
    const PROCESSES: usize = 8;
    let ring = Ring::new();
    let spawn = |_| {
        let mut command = ring.bare(&["generate", "root", "root"]);
        command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    };
    // No passphrase is given: who comes first makes it, and all use the same.
    let children: Vec<_> = (0..PROCESSES).map(spawn).collect();
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    let listed = run(&mut ring.bare(&["list", "--check"])).expect(0).json();
    let keys = listed["keys"].as_array().unwrap();
    let texts = |field: &str| {
        keys.iter()
            .map(|key| key[field].to_string())
            .collect::<BTreeSet<_>>()
    };
    assert_eq!(keys.len(), 2 * PROCESSES);
    assert_eq!(texts("label").len(), 2 * PROCESSES);
    assert_eq!(texts("id").len(), 2 * PROCESSES);
    let wanted: BTreeSet<String> = (2..=2 * PROCESSES)
        .map(|n| format!("\"root-{n}\""))
        .chain(["\"root\"".to_owned()])
        .collect();
    assert_eq!(texts("label"), wanted);
}

#[test]
fn the_public_half_leaves_the_machine_and_nothing_else() {
    let ring = Ring::new();
    let key = ring.keys(&["generate", "alice"]).expect(0).json()["keys"][0].clone();
    let id = key["id"].as_str().unwrap();
    let text = |args: &[&str]| {
        let all = ["tuf", "keys", "export-public"].iter().chain(args).copied();
        let folder = ring.path("ring");
        run(&mut command(all.chain(["--keys-dir", folder.to_str().unwrap()])))
            .expect(0)
            .stdout
    };
    for name in ["alice", id, &id[..8], &id[..40]] {
        assert_eq!(text(&[name]), key["public"].as_str().unwrap(), "{name}");
    }
    let object: Value = serde_json::from_str(&text(&["alice", "--tuf"])).unwrap();
    assert_eq!(
        (&object["keytype"], &object["scheme"]),
        (&"ed25519".into(), &"ed25519".into())
    );
    for unknown in ["bob", &id[..7], "0000000000", &id.to_uppercase()] {
        assert!(
            ring.keys(&["export-public", unknown])
                .expect(1)
                .stderr
                .contains("no key is called")
        );
    }
    let out = ring.path("alice.pub");
    ring.keys(&["export-public", "alice", "--out", out.to_str().unwrap()])
        .expect(0);
    assert_eq!(fs::read_to_string(&out).unwrap(), key["public"].as_str().unwrap());
    fs::write(&out, "something of mine").unwrap();
    ring.keys(&["export-public", "alice", "--out", out.to_str().unwrap()])
        .expect(2);
    assert_eq!(fs::read_to_string(&out).unwrap(), "something of mine");
}

#[test]
fn an_offline_key_is_known_by_its_public_half_until_it_comes() {
    let laptop = Ring::new();
    laptop.keys(&["generate", "alice"]).expect(0);
    let public = laptop.path("alice.pub");
    let object = laptop.path("alice.json");
    laptop
        .keys(&["export-public", "alice", "--out", public.to_str().unwrap()])
        .expect(0);
    laptop
        .keys(&[
            "export-public",
            "alice",
            "--tuf",
            "--out",
            object.to_str().unwrap(),
        ])
        .expect(0);
    let server = Ring::new();
    for from in [&public, &object, &public] {
        let taken = server.keys(&["import", from.to_str().unwrap()]).expect(0).json();
        assert_eq!(
            (&taken["keys"][0]["place"], &taken["keys"][0]["online"]),
            (&"offline:".into(), &false.into())
        );
    }
    let listed = server.keys(&["list", "--check"]).expect(0).json();
    assert_eq!(listed["keys"].as_array().unwrap().len(), 1);
    assert_eq!(listed["keys"][0]["check"], "offline");
    // The disk with the private key is brought: the same key, reachable from now on, under the same label.
    let private = format!("file:{}", laptop.path("ring/alice.pem").display());
    let here = server
        .keys(&["import", &private, "--label", "other"])
        .expect(0)
        .json();
    assert_eq!(
        (&here["keys"][0]["label"], &here["keys"][0]["online"]),
        (&"alice".into(), &true.into())
    );
    let listed = server.keys(&["list", "--check"]).expect(0).json();
    assert_eq!(listed["keys"].as_array().unwrap().len(), 1);
    assert_eq!(listed["keys"][0]["check"], "signs");
}

#[test]
fn a_dry_run_makes_nothing() {
    let ring = Ring::new();
    let key = ring.path("key.pem");
    genpkey(ED25519, &key);
    ring.keys(&["--dry-run", "generate", "root"]).expect(0);
    ring.keys(&["--dry-run", "import", key.to_str().unwrap()])
        .expect(0);
    assert!(!ring.path("ring").exists());
    let listed = ring.keys(&["list"]).expect(1);
    assert!(listed.stderr.contains("there is no keyring at"), "{listed}");
    ring.keys(&["generate", "root"]).expect(0);
    let out = ring.path("root.pub");
    ring.keys(&[
        "--dry-run",
        "export-public",
        "root",
        "--out",
        out.to_str().unwrap(),
    ])
    .expect(0);
    assert!(!out.exists());
}

#[test]
fn labels_that_would_be_paths_or_ids_are_refused() {
    let ring = Ring::new();
    for label in [
        "",
        "..",
        "a/b",
        "a b",
        "-x",
        "é",
        "deadbeef",
        &"a".repeat(65),
        "x\ny",
    ] {
        let refused = ring.keys(&["generate", "--", label]);
        assert_eq!(refused.status, 2, "{label:?}: {refused}");
    }
    assert!(fs::read_dir(ring.path("ring")).map_or(0, Iterator::count) == 0);
}
