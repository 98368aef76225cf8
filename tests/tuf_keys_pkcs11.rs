//! Promise: keys in tokens sign through PKCS #11, never leave the token, and a token that is missing, locked, hanging
//! or lying is said, in time, and publishes nothing. With a real module: SoftHSM 2.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "support/softhsm.rs"]
mod softhsm;
mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;
use softhsm::{PIN, SoftHsm};
use support::daemon::{Daemon, DaemonOptions, Output, command, run};

/// A ring and the token that its keys are in.
struct Site {
    hsm: SoftHsm,
    home: tempfile::TempDir,
}

impl Site {
    fn new() -> Option<Self> {
        let hsm = SoftHsm::new()?;
        Some(Self {
            hsm,
            home: tempfile::tempdir().unwrap(),
        })
    }

    fn path(&self, name: &str) -> String {
        self.home.path().join(name).to_str().unwrap().to_owned()
    }

    /// `chiron tuf keys …`, to be run with more of an environment.
    fn prepare(&self, args: &[&str]) -> Command {
        self.prepare_for("ring", args)
    }

    /// The same for another ring.
    fn prepare_for(&self, ring: &str, args: &[&str]) -> Command {
        let ring = self.path(ring);
        let all = ["--format", "json", "tuf", "keys"].iter().chain(args).copied();
        let mut command = command(all.chain(["--keys-dir", &ring]));
        command
            .current_dir(self.home.path())
            .env_remove("PKCS11_MODULE_PATH");
        self.hsm.env(&mut command);
        command
    }

    fn keys(&self, args: &[&str]) -> Output {
        run(self.prepare(args).env("CHIRON_TUF_PIN", PIN))
    }
}

/// What `list --check` says of the first key.
fn check(command: &mut Command) -> (i32, String) {
    let output = run(command);
    let said = output.json()["keys"][0]["check"].as_str().unwrap().to_owned();
    (output.status, said)
}

fn first(output: &Output) -> Value {
    output.json()["keys"][0].clone()
}

#[test]
fn both_schemes_are_made_in_the_token_and_sign() {
    let Some(site) = Site::new() else { return };
    let token = site.hsm.token("ci");
    for (scheme, named) in [("p256", "ecdsa-sha2-nistp256"), ("ed25519", "ed25519")] {
        let made = site
            .keys(&["generate", "online", "--scheme", scheme, "--in", &token])
            .expect(0);
        assert_eq!(first(&made)["scheme"], named);
        // What was left open is said now: which of two tokens of this name, which of two keys.
        let place = first(&made)["place"].as_str().unwrap().to_owned();
        assert!(place.contains("serial=") && place.contains("id=%"), "{place}");
        assert!(!place.contains(PIN), "{place}");
    }
    // Many signatures: of an ECDSA key some begin with a zero byte, which DER leaves out.
    for _ in 0..5 {
        let checked = site.keys(&["list", "--check"]).expect(0).json();
        let said: Vec<&Value> = checked["keys"]
            .as_array()
            .unwrap()
            .iter()
            .map(|key| &key["check"])
            .collect();
        assert_eq!(said, ["signs", "signs"]);
    }
    let ring = fs::read_dir(site.path("ring")).unwrap();
    let mut files: Vec<String> = ring
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect();
    files.sort();
    assert_eq!(files, ["ring.json", "ring.lock"]);
}

#[test]
fn a_key_that_openssl_made_is_taken_in_by_its_uri() {
    let Some(site) = Site::new() else { return };
    site.hsm.token("ci");
    for (label, id, algorithm) in [
        (
            "from-openssl",
            "a1",
            &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"][..],
        ),
        ("edwards", "a2", &["-algorithm", "ed25519"][..]),
    ] {
        let pem = site.home.path().join(format!("{label}.pem"));
        let made = Command::new("openssl")
            .arg("genpkey")
            .args(algorithm)
            .arg("-out")
            .arg(&pem)
            .output();
        assert!(made.unwrap().status.success());
        site.hsm.import("ci", &pem, label, id);
        let uri = format!(
            "pkcs11:token=ci;object={label};type=private?module-path={}",
            site.hsm.module.display()
        );
        let taken = site.keys(&["import", &uri, "--label", label]).expect(0);
        let public = Command::new("openssl")
            .args(["pkey", "-pubout", "-in"])
            .arg(&pem)
            .output()
            .unwrap();
        assert_eq!(
            first(&taken)["public"].as_str().unwrap().as_bytes(),
            public.stdout,
            "{label}"
        );
        let known = site.keys(&["import", &uri]).expect(2);
        assert!(
            known.stderr.contains(&format!("in the ring already, as {label}")),
            "{known}"
        );
    }
    site.keys(&["list", "--check"]).expect(0);
}

#[test]
fn what_the_token_does_not_have_is_said_with_what_it_has() {
    let Some(site) = Site::new() else { return };
    let token = site.hsm.token("ci");
    site.keys(&["generate", "root", "--in", &token]).expect(0);
    let module = site.hsm.module.display().to_string();
    let rsa = site.home.path().join("rsa.pem");
    let made = Command::new("openssl")
        .args(["genpkey", "-algorithm", "RSA", "-out"])
        .arg(&rsa)
        .output();
    assert!(made.unwrap().status.success());
    site.hsm.import("ci", &rsa, "rsa", "b1");
    for (uri, word) in [
        (
            format!("pkcs11:token=prod;object=root?module-path={module}"),
            "other tokens: [\"ci\"]",
        ),
        (
            format!("pkcs11:token=ci;serial=0000;object=root?module-path={module}"),
            "other tokens",
        ),
        (
            format!("pkcs11:token=ci;object=timestamp?module-path={module}"),
            "no such private key",
        ),
        (
            format!("pkcs11:token=ci?module-path={module}"),
            "does not say which key",
        ),
        (
            format!("pkcs11:token=ci;object=rsa?module-path={module}"),
            "of a kind that is not taken",
        ),
        (
            "pkcs11:token=ci;object=root".to_owned(),
            "which module drives the token",
        ),
        (
            "pkcs11:token=ci;object=root?module-path=/nowhere/x.so".to_owned(),
            "cannot be loaded",
        ),
        (
            format!("pkcs11:token=ci;object=root?module-path={module}&pin-value={PIN}"),
            "pin-source=file:",
        ),
    ] {
        let refused = site.keys(&["import", &uri]);
        assert!(
            (1..=5).contains(&refused.status) && refused.stderr.contains(word),
            "{uri}: {refused}"
        );
        assert!(!refused.stderr.contains(PIN), "{refused}");
    }
    let listed = site.keys(&["list"]).expect(0).json();
    assert_eq!(listed["keys"].as_array().unwrap().len(), 1);
}

#[test]
fn two_keys_or_tokens_of_one_name_are_not_guessed_between() {
    let Some(site) = Site::new() else { return };
    let token = site.hsm.token("ci");
    for _ in 0..2 {
        site.keys(&["generate", "root", "--in", &token.replace('?', ";object=same?")])
            .expect(0);
    }
    let module = site.hsm.module.display();
    let either = format!("pkcs11:token=ci;object=same?module-path={module}");
    let refused = site.keys(&["import", &either]).expect(1);
    assert!(refused.stderr.contains("has 2 such private keys"), "{refused}");
    site.hsm.token("ci");
    let refused = site.keys(&["generate", "root", "--in", &token]).expect(1);
    assert!(refused.stderr.contains("2 such tokens; add serial="), "{refused}");
    // The keys of the ring are named by serial number and id: they still sign.
    site.keys(&["list", "--check"]).expect(0);
}

#[test]
fn a_pin_comes_from_a_file_that_nobody_else_reads_from_a_variable_or_not_at_all() {
    let Some(site) = Site::new() else { return };
    let token = site.hsm.token("ci");
    let pin = site.path("pin");
    fs::write(&pin, format!("{PIN}\n")).unwrap();
    fs::set_permissions(&pin, fs::Permissions::from_mode(0o600)).unwrap();
    let with_file = format!("{token}&pin-source=file:{pin}");
    let made = run(&mut site.prepare(&["generate", "by-file", "--in", &with_file])).expect(0);
    assert!(
        first(&made)["place"]
            .as_str()
            .unwrap()
            .ends_with(&format!("pin-source=file:{pin}"))
    );
    assert_eq!(
        check(&mut site.prepare(&["list", "--check"])),
        (0, "signs".to_owned())
    );

    let with_variable = format!("{token}&pin-source=env:HSM_PIN");
    run(site
        .prepare(&["generate", "by-variable", "--in", &with_variable])
        .env("HSM_PIN", PIN))
    .expect(0);
    let unset = run(&mut site.prepare(&["generate", "x", "--in", &with_variable])).expect(5);
    assert!(unset.stderr.contains("not set in the environment"), "{unset}");

    let none = run(&mut site.prepare(&["generate", "x", "--in", &token])).expect(5);
    assert!(
        none.stderr.contains("needs a PIN") && none.stderr.contains("pin-source=file:"),
        "{none}"
    );

    fs::set_permissions(&pin, fs::Permissions::from_mode(0o644)).unwrap();
    let (status, said) = check(&mut site.prepare(&["list", "--check"]));
    assert!(status == 1 && said.contains("can be read by others"), "{said}");
}

/// Threat: a daemon that tries a wrong PIN every second locks the token within three.
#[test]
fn a_wrong_pin_is_tried_once_per_process() {
    let Some(site) = Site::new() else { return };
    let module = site.hsm.lying_module();
    let token = site.hsm.token("ci");
    for label in ["a", "b", "c"] {
        site.keys(&["generate", label, "--in", &token]).expect(0);
    }
    let log = site.path("logins");
    let through = |uri: &Value| {
        uri.as_str()
            .unwrap()
            .replace(site.hsm.module.to_str().unwrap(), module.to_str().unwrap())
    };
    let listed = site.keys(&["list"]).expect(0).json();
    for key in listed["keys"].as_array().unwrap() {
        let mut import = site.prepare_for("other", &["import", &through(&key["place"])]);
        run(import.env("CHIRON_TUF_PIN", PIN)).expect(0);
    }
    let wrong = "31337-wrong";
    let mut list = site.prepare_for("other", &["list", "--check"]);
    list.env("CHIRON_TUF_PIN", wrong)
        .env("CHIRON_TEST_MODULE", "count-logins")
        .env("CHIRON_TEST_MODULE_LOG", &log);
    let refused = run(&mut list).expect(1);
    for key in refused.json()["keys"].as_array().unwrap() {
        assert!(
            key["check"].as_str().unwrap().contains("it is not tried again"),
            "{key}"
        );
    }
    assert_eq!(fs::read_to_string(&log).unwrap().lines().count(), 1, "{refused}");
    assert!(!refused.to_string().contains(wrong), "{refused}");
}

/// A site with one key in a token behind the module that misbehaves.
fn behind_the_lying_module(scheme: &str) -> Option<Site> {
    let mut site = Site::new()?;
    site.hsm.token("ci");
    site.hsm.module = site.hsm.lying_module();
    let token = site.hsm.uri("ci");
    site.keys(&["generate", "online", "--scheme", scheme, "--in", &token])
        .expect(0);
    Some(site)
}

#[test]
fn a_module_that_hangs_is_cut_off() {
    let Some(site) = behind_the_lying_module("p256") else {
        return;
    };
    for how in ["hang-sign", "hang-initialize"] {
        let started = Instant::now();
        let mut list = site.prepare(&["list", "--check"]);
        list.env("CHIRON_TUF_PIN", PIN)
            .env("CHIRON_TUF__KEY_TIMEOUT", "1s")
            .env("CHIRON_TEST_MODULE", how);
        let (status, said) = check(&mut list);
        assert!(
            status == 1 && said.contains("did not answer within 1s"),
            "{how}: {said}"
        );
        // The process ends although a thread of it hangs.
        assert!(
            started.elapsed() < Duration::from_secs(20),
            "{how}: {:?}",
            started.elapsed()
        );
    }
}

#[test]
fn a_wrong_signature_goes_no_further() {
    for scheme in ["p256", "ed25519"] {
        let Some(site) = behind_the_lying_module(scheme) else {
            return;
        };
        for (how, words) in [
            ("wrong-signature", "does not verify with its public key"),
            (
                "short-signature",
                if scheme == "p256" {
                    "no ECDSA signature"
                } else {
                    "does not verify with its public key"
                },
            ),
        ] {
            let mut list = site.prepare(&["list", "--check"]);
            let (status, said) = check(list.env("CHIRON_TUF_PIN", PIN).env("CHIRON_TEST_MODULE", how));
            assert!(status == 1 && said.contains(words), "{scheme} {how}: {said}");
        }
    }
}

#[test]
fn a_token_that_was_taken_out_and_put_back_is_opened_again() {
    let Some(site) = behind_the_lying_module("p256") else {
        return;
    };
    let mut list = site.prepare(&["list", "--check"]);
    let (status, said) = check(
        list.env("CHIRON_TUF_PIN", PIN)
            .env("CHIRON_TEST_MODULE", "removed"),
    );
    assert_eq!((status, said.as_str()), (0, "signs"));
}

#[test]
fn a_key_that_was_replaced_in_the_token_does_not_sign() {
    let Some(site) = Site::new() else { return };
    let token = site.hsm.token("ci").replace('?', ";object=root;id=%01?");
    let pem = site.home.path().join("key.pem");
    for round in 0..2 {
        let made = Command::new("openssl")
            .args(["genpkey", "-algorithm", "ed25519", "-out"])
            .arg(&pem)
            .output();
        assert!(made.unwrap().status.success());
        if round == 0 {
            site.hsm.import("ci", &pem, "root", "01");
            site.keys(&["import", &token]).expect(0);
            // The token itself stays, with its serial number; its key is exchanged.
            let token = fs::read_dir(site.hsm.tokens())
                .unwrap()
                .next()
                .unwrap()
                .unwrap()
                .path();
            for object in fs::read_dir(token).unwrap().map(|file| file.unwrap()) {
                let name = object.file_name().into_string().unwrap();
                if name.ends_with(".object") && name != "token.object" {
                    fs::remove_file(object.path()).unwrap();
                }
            }
        } else {
            site.hsm.import("ci", &pem, "root", "01");
        }
    }
    let (status, said) = check(site.prepare(&["list", "--check"]).env("CHIRON_TUF_PIN", PIN));
    assert!(
        status == 1 && said.contains("and the ring says") && said.contains("it was replaced"),
        "{said}"
    );
}

/// The number and the signers of the timestamp that a data folder publishes.
fn timestamp(data: &Path) -> (u64, Vec<String>) {
    let text = fs::read(data.join("tuf/metadata/timestamp.json")).unwrap();
    let document: Value = serde_json::from_slice(&text).unwrap();
    let signatures = document["signatures"].as_array().unwrap();
    let signers = signatures
        .iter()
        .map(|one| one["keyid"].as_str().unwrap().to_owned());
    (document["signed"]["version"].as_u64().unwrap(), signers.collect())
}

#[test]
fn a_daemon_signs_its_timestamp_with_a_token_and_serves_on_when_it_hangs() {
    let Some(mut site) = Site::new() else { return };
    site.hsm.token("ci");
    site.hsm.module = site.hsm.lying_module();
    let mut conf = Command::new("true");
    site.hsm.env(&mut conf);
    let options = |how: &str| {
        let mut options = DaemonOptions::alone()
            .data_dir(&site.home.path().join("data"))
            .config("[tuf]\nkey_timeout = \"1s\"\ninterval = \"20ms\"\n")
            .env("CHIRON_TUF_PIN", PIN)
            .env("CHIRON_TEST_MODULE", how);
        for (name, value) in conf.get_envs() {
            options = options.env(name.to_str().unwrap(), value.unwrap().to_str().unwrap());
        }
        options
    };
    let mut daemon = Daemon::start(options(""));
    let data = daemon.data_dir().to_owned();
    // The ring of a daemon that runs gets a key from another process.
    let token = site.hsm.uri("ci");
    let ring = data.join("keys/tuf");
    let args = [
        "--format", "json", "tuf", "keys", "generate", "hsm", "--scheme", "p256", "--in", &token,
    ];
    let mut generate = command(args.into_iter().chain(["--keys-dir", ring.to_str().unwrap()]));
    site.hsm.env(&mut generate);
    let key = first(&run(generate.env("CHIRON_TUF_PIN", PIN)).expect(0));
    let mut rotate = daemon.command(&["--server", daemon.base(), "tuf", "rotate", "timestamp"]);
    run(rotate.args(["--key", "hsm", "--reason", "to the token", "--yes"])).expect(0);
    let (before, signers) = timestamp(&data);
    assert_eq!(signers, [key["id"].as_str().unwrap()]);
    assert_eq!(daemon.stop(), 0);

    // It signs again at every start, without anybody at a terminal.
    let mut daemon = Daemon::start(options(""));
    let (after, signers) = timestamp(&data);
    assert!(after > before, "{after} after {before}");
    assert_eq!(signers, [key["id"].as_str().unwrap()]);
    assert_eq!(daemon.stop(), 0);

    // A token that hangs or lies: what was published is served, and nothing else is.
    for how in ["hang-sign", "wrong-signature"] {
        let mut daemon = Daemon::start(options(how));
        assert_eq!(timestamp(&data).0, after, "{how}");
        let served = daemon.get("/tuf/metadata/timestamp.json");
        assert_eq!(served.status, 200, "{served}");
        let log = daemon.stderr();
        assert!(
            log.contains("pkcs11:token=ci") && !log.contains(PIN),
            "{how}: {log}"
        );
        assert_eq!(daemon.stop(), 0, "{how}");
    }
}
