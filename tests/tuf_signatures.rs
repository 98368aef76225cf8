//! Promise: a signature counts for one document and one key, once. What was signed for something else, by somebody else, or
//! unseen is refused in words and changes nothing.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::path::Path;

use serde_json::{Value, json};
use support::daemon::cli;
use support::people::{Person, merge, role, says, status};
use support::site::{Site, have};

#[test]
fn one_key_that_signs_often_is_one_signer() {
    let site = Site::live();
    site.tuf(&["renew", "root"]).expect(0);
    let request = site.request("root", 2);
    // ECDSA: two signatures of one key are different bytes.
    let (first, second) = (site.bob.sign(&request), site.bob.sign(&request));
    let read = |path: &Path| -> Value { serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap() };
    let (one, other) = (read(&first), read(&second));
    assert_ne!(one["signatures"][0]["sig"], other["signatures"][0]["sig"]);
    merge(&site.daemon, &first).expect(0);
    let again = merge(&site.daemon, &second).expect(0).json()[0].clone();
    assert_eq!(again["added"], json!([]), "{again:#}");
    assert_eq!(have(&again["request"], "root 1"), 1);
    // Both in one file.
    let mut both = one.clone();
    both["signatures"]
        .as_array_mut()
        .unwrap()
        .push(other["signatures"][0].clone());
    let file = site.bob.file("both.json");
    std::fs::write(&file, both.to_string()).unwrap();
    let answer = merge(&site.daemon, &file);
    assert_eq!(have(&site.waiting()[0]["requests"][0], "root 1"), 1, "{answer}");
    assert_eq!(site.root_version(), 1);
}

#[test]
fn a_request_for_an_older_version_is_refused_in_words() {
    let site = Site::live();
    site.tuf(&["rotate", "root", "--threshold", "1", "--reason", "never do this"])
        .expect(0);
    let old = site.alice.sign(&site.request("root", 2));
    let kept = site.alice.file("first.request.json");
    std::fs::rename(site.request("root", 2), kept).unwrap();
    site.tuf(&["renew", "root"]).expect(0);
    site.merge_all("root", 2, &[&site.alice, &site.bob]);
    assert_eq!(site.root_version(), 2);
    // What waited is stale now, and said to be.
    let waiting = site.waiting();
    assert_eq!(waiting.len(), 1);
    let why = waiting[0]["stale"].as_str().unwrap();
    assert!(why.contains("root 2 is published by now"), "{why}");
    let before = site.all();
    let refused = merge(&site.daemon, &old);
    says(
        &refused.expect(2),
        &["root 2 is published by now", "make it anew"],
    );
    assert_eq!(site.all(), before);
    let id = waiting[0]["id"].as_str().unwrap();
    site.tuf(&["requests", "cancel", id]).expect(0);
    assert!(site.waiting().is_empty());
    let refused = merge(&site.daemon, &old);
    assert_ne!(refused.status, 0);
    says(&refused, &["root 2 is in force already"]);
    assert_eq!(role(&status(&site.daemon), "root")["threshold"], 2);
}

#[test]
fn a_signature_for_another_change_is_worth_nothing() {
    let site = Site::live();
    site.tuf(&["renew", "root", "--reason", "one"]).expect(0);
    let good = site.request("root", 2);
    let harmless = site.alice.sign(&good);
    let id = site.waiting()[0]["id"].as_str().unwrap().to_owned();
    site.tuf(&["requests", "cancel", &id]).expect(0);
    std::fs::remove_file(&good).unwrap();
    // Somebody asks for something else as root 2, and replays what alice signed.
    site.tuf(&["rotate", "root", "--threshold", "1", "--reason", "two"])
        .expect(0);
    let before = site.all();
    let replayed = merge(&site.daemon, &harmless);
    assert_ne!(replayed.status, 0);
    says(&replayed, &["another document"]);
    assert_eq!(site.all(), before);
    // The same with its label changed to the request that waits.
    let request: Value = serde_json::from_slice(&std::fs::read(site.request("root", 2)).unwrap()).unwrap();
    let mine = site.bob.sign(&site.request("root", 2));
    let mine: Value = serde_json::from_slice(&std::fs::read(&mine).unwrap()).unwrap();
    let mut forged: Value = serde_json::from_slice(&std::fs::read(&harmless).unwrap()).unwrap();
    forged["request"] = request["id"].clone();
    forged["sha256"] = mine["sha256"].clone();
    let file = site.alice.file("forged.json");
    std::fs::write(&file, forged.to_string()).unwrap();
    let refused = merge(&site.daemon, &file);
    says(&refused.expect(1), &["does not verify"]);
    assert_eq!(site.all(), before);
}

#[test]
fn a_key_without_a_say_signs_nothing() {
    let site = Site::live();
    let mallory = Person::ed25519("mallory");
    site.tuf(&["renew", "root"]).expect(0);
    let request = site.request("root", 2);
    let refused = mallory.try_sign(&request, &["--yes"]);
    says(&refused.expect(1), &["none of those that this request needs"]);
    // Dora may sign targets, and not the root.
    let refused = site.dora.try_sign(&request, &["--yes"]);
    says(&refused.expect(1), &["none of those that this request needs"]);
    let good = site.alice.sign(&request);
    let good: Value = serde_json::from_slice(&std::fs::read(&good).unwrap()).unwrap();
    let before = site.all();
    let forge = |change: &dyn Fn(&mut Value)| {
        let mut forged = good.clone();
        change(&mut forged);
        let file = mallory.file("forged.json");
        std::fs::write(&file, forged.to_string()).unwrap();
        let refused = merge(&site.daemon, &file);
        assert_ne!(refused.status, 0, "{refused}");
        assert_eq!(site.all(), before);
        refused
    };
    let own = mallory.raw_signature(b"anything");
    let under_own_name = forge(&|file| {
        file["signatures"][0] = json!({"keyid": mallory.id.to_string(), "sig": own});
    });
    says(&under_own_name, &["none of those that this request needs"]);
    says(
        &forge(&|file| file["signatures"][0]["sig"] = json!(own)),
        &["does not verify"],
    );
    // A good one beside a bad one does not carry it in, nor comes in itself.
    let beside = forge(&|file| {
        let bad = json!({"keyid": site.bob.id.to_string(), "sig": own});
        file["signatures"].as_array_mut().unwrap().push(bad);
    });
    says(&beside, &["does not verify"]);
    says(&forge(&|file| file["signatures"] = json!([])), &["no signature"]);
    says(&forge(&|file| file["more"] = json!(1)), &["unknown field"]);
    says(&forge(&|file| file["version"] = json!(7)), &["root 7"]);
}

#[test]
fn who_signs_reads_what_the_documents_say_and_not_what_the_request_claims() {
    let site = Site::live();
    let mallory = Person::ed25519("mallory");
    site.tuf(&[
        "rotate",
        "root",
        "--add",
        &mallory.public_file(),
        "--reason",
        "hm",
    ])
    .expect(0);
    let path = site.request("root", 2);
    let shown = site.alice.try_sign(&path, &["--dry-run"]).expect(0);
    says(&shown, &[&mallory.id.to_string(), "root 2 replaces root 1"]);
    let request: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    let tamper = |change: &dyn Fn(&mut Value)| {
        let mut other = request.clone();
        change(&mut other);
        let file = site.alice.file("tampered.request.json");
        std::fs::write(&file, other.to_string()).unwrap();
        let out = site.alice.file("none.json");
        let refused = cli(
            site.alice.file("x").parent().unwrap(),
            &[
                "tuf",
                "sign",
                file.to_str().unwrap(),
                "--key",
                site.alice.private_file().to_str().unwrap(),
                "--yes",
                "--out",
                out.to_str().unwrap(),
            ],
        );
        assert_eq!(refused.status, 1, "{refused}");
        assert!(!out.exists());
        refused
    };
    let words = "contradicts itself";
    says(
        &tamper(&|r| r["changes"] = json!(["root 2 replaces root 1", "nothing else changes"])),
        &[words],
    );
    says(&tamper(&|r| r["version"] = json!(3)), &[words]);
    says(
        &tamper(&|r| r["needs"].as_array_mut().unwrap().truncate(1)),
        &[words],
    );
    says(
        &tamper(&|r| r["signed"]["expires"] = json!("2099-01-01T00:00:00Z")),
        &[words],
    );
    says(&tamper(&|r| r["id"] = json!("0000000000000000")), &[words]);
    // A request that was made up from another root than the one that alice keeps.
    let own_root = site.alice.file("root.json");
    std::fs::copy(site.daemon.data_dir().join("tuf/root.json"), &own_root).unwrap();
    let own = own_root.to_str().unwrap();
    site.alice
        .try_sign(&path, &["--dry-run", "--root", own])
        .expect(0);
    let other = Site::live();
    other.tuf(&["renew", "root"]).expect(0);
    let refused = site
        .alice
        .try_sign(&other.request("root", 2), &["--dry-run", "--root", own]);
    says(&refused.expect(1), &["does not rest on", "do not sign it"]);
}

#[test]
fn nobody_signs_unseen() {
    let site = Site::live();
    site.tuf(&["renew", "root"]).expect(0);
    let request = site.request("root", 2);
    let refused = site.alice.try_sign(&request, &[]);
    says(
        &refused.expect(2),
        &["no terminal", "root 2 replaces root 1", "--yes"],
    );
    let left: Vec<_> = std::fs::read_dir(site.alice.file("x").parent().unwrap())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with("root-2") && name.contains("signature"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
    // With --yes, the file is beside the request and is never written over.
    site.alice.try_sign(&request, &["--yes"]).expect(0);
    let again = site.alice.try_sign(&request, &["--yes"]);
    says(&again.expect(2), &["is there already"]);
}
