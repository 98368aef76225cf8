//! Promise: a key may stay in Vault or AWS KMS, or in a secret store. It is found, pinned and used there; what is wrong is
//! said in words without a secret in them, within the time that was set; and a wrong signature is no signature. Against
//! stand-ins (`tests/support/key_services/`): docs/keys-services.md says what that proves.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "support/key_services/mod.rs"]
mod key_services;
mod support;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use key_services::machine::{Machine, pem};
use key_services::vault::{self, Vault};
use key_services::{Fault, Key, aws, azure};
use serde_json::{Value, json};

#[test]
fn keys_of_a_transit_engine_sign_and_keep_their_version() {
    for kind in ["ed25519", "ecdsa-p256"] {
        let vault = Vault::start();
        vault.add("online", kind);
        let machine = Machine::with_vault(&vault);
        let place = machine.imported("hashivault://transit/online");
        assert_eq!(place, "hashivault://transit/online?version=1", "{kind}");
        machine.check().expect(0);
        // Somebody rotates the key in Vault: the role still names the first version, so that is what signs.
        vault.rotate("online");
        vault.server.forget_requests();
        machine.check().expect(0);
        let requests = vault.server.requests();
        let signing = requests
            .iter()
            .find(|request| request.path().contains("/sign/"))
            .unwrap();
        assert_eq!(signing.json()["key_version"], 1);
        assert_eq!(
            signing.json()["prehashed"] == true,
            kind == "ecdsa-p256",
            "Ed25519 signs the message itself"
        );
        vault.set_minimum("online", 2);
        let output = machine.check().expect(1);
        assert!(
            output.stdout.contains("minimum encryption key version"),
            "{output}"
        );
    }
}

#[test]
fn a_key_is_made_in_a_transit_engine_and_none_is_taken_over() {
    let vault = Vault::start();
    let machine = Machine::with_vault(&vault);
    let generate = [
        "tuf",
        "keys",
        "generate",
        "online",
        "--in",
        "hashivault://transit/new",
        "--scheme",
    ];
    let made = machine
        .run(&[&generate[..], &["p256", "--format", "json"]].concat())
        .expect(0)
        .json();
    assert_eq!(made["keys"][0]["place"], "hashivault://transit/new?version=1");
    assert_eq!(made["keys"][0]["scheme"], "ecdsa-sha2-nistp256");
    let requests = vault.server.requests();
    let making = requests.iter().find(|request| request.method == "POST").unwrap();
    assert_eq!(
        making.json(),
        json!({"type": "ecdsa-p256", "exportable": false, "allow_plaintext_backup": false})
    );
    machine.check().expect(0);
    // Vault would answer as if it had made it.
    let again = machine.run(&[&generate[..], &["p256"]].concat());
    assert_ne!(again.status, 0);
    assert!(again.stderr.contains("is there already"), "{again}");
    assert_eq!(machine.keys(), 1);
}

#[test]
fn a_token_file_is_read_at_each_use_and_a_namespace_is_sent() {
    let vault = Vault::in_namespace("eu/mirrors");
    vault.add("online", "ed25519");
    let mut machine = Machine::with_vault(&vault);
    machine.refused(
        "hashivault://transit/online",
        &["permission denied", "policy lacks read on keys/NAME"],
    );
    machine.unset("VAULT_TOKEN");
    let file = machine.path().join("token");
    std::fs::write(&file, format!("{}\n", vault::TOKEN)).unwrap();
    machine.set("VAULT_TOKEN_FILE", file.to_str().unwrap());
    let place = machine.imported("hashivault://transit/online?namespace=eu/mirrors");
    assert_eq!(
        place,
        "hashivault://transit/online?namespace=eu%2Fmirrors&version=1"
    );
    machine.check().expect(0);
    vault.believe("hvs.another-token");
    machine.check().expect(1);
    std::fs::write(&file, "hvs.another-token").unwrap();
    machine.check().expect(0);
    std::fs::write(&file, "").unwrap();
    let output = machine.check().expect(1);
    assert!(output.stdout.contains("there is no token"), "{output}");
}

#[test]
fn what_is_wrong_with_vault_is_said_in_words() {
    let vault = Vault::start();
    vault.add("online", "ed25519");
    vault.add("symmetric", "aes256-gcm96");
    let machine = Machine::with_vault(&vault);
    machine.refused("hashivault://transit/nobody", &["has no key called nobody"]);
    machine.refused(
        "hashivault://secret/online",
        &["no transit engine there", "no handler for route"],
    );
    machine.refused(
        "hashivault://transit/symmetric",
        &["type aes256-gcm96", "are taken"],
    );
    machine.refused(
        "hashivault://transit/online?version=7",
        &["no version 7", "newest is 1"],
    );
    machine.refused(
        "hashivault://transit/online?address=http://vault.example:8200",
        &["in the clear"],
    );
    let with = |name: &str, value: Option<&str>| {
        let mut other = Machine::with_vault(&vault);
        other.unset(name);
        if let Some(value) = value {
            other.set(name, value);
        }
        other
    };
    let place = "hashivault://transit/online";
    with("VAULT_ADDR", None).refused(place, &["VAULT_ADDR is not set"]);
    with("VAULT_TOKEN", None).refused(place, &["there is no token"]);
    with("VAULT_TOKEN", Some("hvs.wrong-token-of-somebody")).refused(place, &["permission denied"]);
    with("VAULT_TOKEN", Some("hvs.two\nlines")).refused(place, &["characters that no header can"]);
    with("VAULT_SKIP_VERIFY", Some("1")).refused(place, &["VAULT_SKIP_VERIFY", "VAULT_CACERT"]);
    with("VAULT_CACERT", Some("/nowhere/ca.pem")).refused(place, &["/nowhere/ca.pem"]);
    with("VAULT_ADDR", Some("http://127.0.0.1:9")).refused(place, &["does not answer"]);
}

#[test]
fn faulty_services_are_refused_in_time_and_in_words() {
    let vault = Vault::start();
    vault.add("online", "ed25519");
    let amazon = aws::Aws::start();
    amazon.add("1234", Key::p256());
    let azure = azure::Azure::start();
    azure.put("root", &pem("ed25519"));
    let machines = [
        (
            Machine::with_vault(&vault),
            &vault.server,
            "hashivault://transit/online".to_owned(),
        ),
        (
            Machine::with_aws(),
            &amazon.server,
            amazon.place("awskms", "1234"),
        ),
        (Machine::with_azure(&azure), &azure.server, azure.place("root")),
    ];
    for (machine, server, place) in &machines {
        for (fault, words) in [
            (Fault::Hang, "no answer within 1s"),
            (Fault::Status(503), ""),
            (
                Fault::Redirect,
                "redirects to elsewhere.example, which is not followed",
            ),
            (Fault::Oversized, ""),
            (Fault::Malformed, ""),
            (Fault::Echo, ""),
        ] {
            server.set(fault);
            let started = Instant::now();
            machine.refused(place, &[words]);
            let took = started.elapsed();
            assert!(took < Duration::from_secs(20), "{place} {fault:?} took {took:?}");
        }
        // What passes by itself is tried again.
        server.set(Fault::Passing(1));
        machine.imported(place);
    }
    vault.server.set(Fault::Status(503));
    let output = machines[0].0.check().expect(1);
    assert!(
        output.stdout.contains("is sealed; somebody has to unseal it"),
        "{output}"
    );
}

#[test]
fn a_wrong_signature_is_no_signature() {
    let vault = Vault::start();
    vault.add("ed", "ed25519");
    vault.add("p256", "ecdsa-p256");
    let amazon = aws::Aws::start();
    amazon.add("ed", Key::ed25519());
    amazon.add("p256", Key::p256());
    let places = [
        ("hashivault://transit/ed".to_owned(), &vault.server),
        ("hashivault://transit/p256".to_owned(), &vault.server),
        (amazon.place("awskms", "ed"), &amazon.server),
        (amazon.place("awskms", "p256"), &amazon.server),
    ];
    for (place, server) in &places {
        let mut machine = Machine::with_vault(&vault);
        machine.env.extend(Machine::with_aws().env);
        machine.imported(place);
        machine.check().expect(0);
        for fault in [Fault::WrongSignature, Fault::OtherKey] {
            server.set(fault);
            let output = machine.check().expect(1);
            assert!(
                output.stdout.contains("does not verify"),
                "{place} {fault:?}: {output}"
            );
        }
        server.set(Fault::None);
        machine.check().expect(0);
    }
}

#[test]
fn a_request_is_signed_with_keys_that_stay_where_they_are() {
    let vault = Vault::start();
    vault.add("alice", "ed25519");
    let amazon = aws::Aws::start();
    amazon.add("bob", Key::p256());
    let mut machine = Machine::with_vault(&vault);
    machine.env.extend(Machine::with_aws().env);
    let places = [
        "hashivault://transit/alice".to_owned(),
        amazon.place("awskms", "bob"),
    ];
    let publics: Vec<PathBuf> = (places.iter().zip(["alice", "bob"]))
        .map(|(place, label)| {
            machine
                .run(&["tuf", "keys", "import", place, "--label", label])
                .expect(0);
            let file = machine.path().join(format!("{label}.pub.pem"));
            let out = file.to_str().unwrap();
            machine
                .run(&["tuf", "keys", "export-public", label, "--out", out])
                .expect(0);
            file
        })
        .collect();
    let [alice, bob] = publics.as_slice() else {
        panic!()
    };
    let (alice, bob) = (alice.to_str().unwrap(), bob.to_str().unwrap());
    let init = [
        "tuf",
        "init",
        "--production",
        "--root-key",
        alice,
        "--root-key",
        bob,
        "--root-threshold",
        "2",
        "--reason",
        "first root",
        "--yes",
        "--data-dir",
        "data",
        "--out",
        "requests",
    ];
    machine.run(&init).expect(0);
    let requests: Vec<PathBuf> = std::fs::read_dir(machine.path().join("requests"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    assert!(!requests.is_empty());
    for request in &requests {
        let request = request.to_str().unwrap();
        for (n, place) in places.iter().enumerate() {
            let out = format!("{request}.{n}.signature.json");
            let sign = ["tuf", "sign", request, "--key", place, "--yes", "--out", &out];
            // A service that signs wrongly makes no signature file.
            vault.server.set(Fault::WrongSignature);
            amazon.server.set(Fault::WrongSignature);
            let output = machine.run(&sign);
            assert_ne!(output.status, 0, "{output}");
            assert!(output.stderr.contains("does not verify"), "{output}");
            assert!(!Path::new(&out).exists());
            vault.server.set(Fault::None);
            amazon.server.set(Fault::None);
            machine.run(&sign).expect(0);
            let signature: Value = serde_json::from_slice(&std::fs::read(&out).unwrap()).unwrap();
            assert_eq!(signature["signatures"].as_array().map(Vec::len), Some(1));
        }
    }
}
