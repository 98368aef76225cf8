//! Promise: key files are encrypted, readable by their owner only, and the same to `openssl`; what is wrong with one is
//! said, and it is not used.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;
#[path = "support/tuf_ring.rs"]
mod tuf_ring;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use support::daemon::run;
use tuf_ring::{ED25519, P256, PASSPHRASE, Ring, genpkey, openssl, openssl_fails};

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().permissions().mode() & 0o7777
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_new_key_is_an_encrypted_file_that_openssl_opens_and_nobody_else_reads() {
    let ring = Ring::new();
    for (scheme, named) in [("ed25519", "ed25519"), ("p256", "ecdsa-sha2-nistp256")] {
        let made = ring
            .keys(&["generate", scheme, "--scheme", scheme])
            .expect(0)
            .json();
        let key = &made["keys"][0];
        assert_eq!(key["place"], format!("file:{scheme}.pem"));
        assert_eq!(key["scheme"], named);
        let file = ring.path(&format!("ring/{scheme}.pem"));
        let text = fs::read_to_string(&file).unwrap();
        assert!(
            text.starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----\n"),
            "{text}"
        );
        let public = openssl(&[
            "pkey",
            "-pubout",
            "-passin",
            &format!("pass:{PASSPHRASE}"),
            "-in",
            file.to_str().unwrap(),
        ]);
        assert_eq!(key["public"].as_str().unwrap(), public);
        assert!(openssl_fails(&[
            "pkey",
            "-passin",
            "pass:another one",
            "-in",
            file.to_str().unwrap()
        ]));
        let parameters = openssl(&["asn1parse", "-in", file.to_str().unwrap()]);
        assert!(
            parameters.contains("scrypt") && parameters.contains("aes-256-cbc"),
            "{parameters}"
        );
    }
    assert_eq!(mode(&ring.path("ring")), 0o700);
    for file in fs::read_dir(ring.path("ring")).unwrap() {
        let path = file.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
    let checked = ring.keys(&["list", "--check"]).expect(0).json();
    assert_eq!(checked["keys"][0]["check"], "signs");
    assert_eq!(checked["keys"][1]["check"], "signs");
    assert!(!ring.path("ring/passphrase").exists());
}

#[test]
fn without_a_passphrase_one_is_made_beside_the_keys_and_that_is_said() {
    let ring = Ring::new();
    let made = run(&mut ring.bare(&["generate", "root"])).expect(0);
    assert!(
        made.stderr.contains("whoever can read that folder has the keys"),
        "{made}"
    );
    let passphrase = ring.path("ring/passphrase");
    assert_eq!(mode(&passphrase), 0o600);
    let text = fs::read_to_string(&passphrase).unwrap();
    assert_eq!(text.len(), 64, "256 random bits");
    assert!(!made.to_string().contains(text.trim()), "{made}");
    // The same one for the next key, and openssl opens both.
    run(&mut ring.bare(&["generate", "timestamp"])).expect(0);
    assert_eq!(fs::read_to_string(&passphrase).unwrap(), text);
    for name in ["root", "timestamp"] {
        let file = ring.path(&format!("ring/{name}.pem"));
        openssl(&[
            "pkey",
            "-noout",
            "-passin",
            &format!("file:{}", passphrase.display()),
            "-in",
            file.to_str().unwrap(),
        ]);
    }
    let listed = run(&mut ring.bare(&["list", "--check"])).expect(0).json();
    assert_eq!(listed["keys"].as_array().unwrap().len(), 2);
}

#[test]
fn keys_that_openssl_made_are_taken_in() {
    let ring = Ring::new();
    let pass = format!("pass:{PASSPHRASE}");
    for (name, algorithm) in [("ed", ED25519), ("ec", P256)] {
        let plain = ring.path(&format!("{name}-plain.pem"));
        genpkey(algorithm, &plain);
        let public = openssl(&["pkey", "-pubout", "-in", plain.to_str().unwrap()]);
        for (how, flags) in [
            ("scrypt", &["-scrypt"][..]),
            ("pbkdf2", &["-v2", "aes-256-cbc"]),
            ("aes128", &["-v2", "aes-128-cbc", "-iter", "100000"]),
            (
                "hard",
                &[
                    "-scrypt",
                    "-scrypt_N",
                    "16384",
                    "-scrypt_r",
                    "8",
                    "-scrypt_p",
                    "4",
                ],
            ),
            ("plain", &["-nocrypt"]),
        ] {
            let file = ring.path(&format!("{name}-{how}.key"));
            let mut all = vec![
                "pkcs8",
                "-topk8",
                "-in",
                plain.to_str().unwrap(),
                "-out",
                file.to_str().unwrap(),
            ];
            all.extend(flags);
            all.extend(["-passout", &pass]);
            openssl(&all);
            set_mode(&file, 0o600);
            // Where it is, and as a copy in the ring; each in a ring of its own, since a ring has a key once.
            let stays = run(&mut ring.with_passphrase(
                &format!("stays-{name}-{how}"),
                &["import", &format!("file:{}", file.display())],
            ));
            let copied = run(&mut ring.with_passphrase(
                &format!("copied-{name}-{how}"),
                &["import", file.to_str().unwrap()],
            ));
            for output in [stays.expect(0), copied.expect(0)] {
                assert_eq!(
                    output.json()["keys"][0]["public"].as_str().unwrap(),
                    public,
                    "{how}"
                );
            }
            let copy = ring.path(&format!("copied-{name}-{how}/{name}-{how}.pem"));
            assert!(
                fs::read_to_string(copy)
                    .unwrap()
                    .contains("ENCRYPTED PRIVATE KEY")
            );
        }
    }
}

#[test]
fn what_is_no_key_is_told_apart_and_changes_nothing() {
    let ring = Ring::new();
    let key = ring.path("good.pem");
    genpkey(P256, &key);
    let good = fs::read_to_string(&key).unwrap();
    let sealed = ring.path("sealed.pem");
    openssl(&[
        "pkcs8",
        "-topk8",
        "-scrypt",
        "-in",
        key.to_str().unwrap(),
        "-out",
        sealed.to_str().unwrap(),
        "-passout",
        &format!("pass:{PASSPHRASE}"),
    ]);
    let sealed = fs::read_to_string(&sealed).unwrap();
    let half = |text: &str| text[..text.len() / 2].to_owned();
    let made = |args: &[&str]| {
        let path = ring.path("made");
        let path = path.to_str().unwrap();
        openssl(&[args, &["-out", path]].concat());
        fs::read_to_string(path).unwrap()
    };
    let sec1 = openssl(&["ec", "-in", key.to_str().unwrap()]);
    let cases = [
        (String::new(), "holds no private key in PEM"),
        (
            "\u{0}\u{1}\u{2} not text".to_owned(),
            "holds no private key in PEM",
        ),
        (half(&good), "it was cut off"),
        (half(&sealed), "it was cut off"),
        // Whole lines are missing from the middle.
        (without_line(&sealed, 2), "damaged"),
        (without_line(&good, 1), "not a private key"),
        (good.replacen('M', "*", 1), "base64 is damaged"),
        (format!("{good}{good}"), "several blocks"),
        (
            good.replace("END PRIVATE KEY", "END ENCRYPTED PRIVATE KEY"),
            "do not agree",
        ),
        (
            made(&["genpkey", "-algorithm", "RSA"]),
            "not a private key in PKCS#8 of a kind that is taken",
        ),
        (
            made(&[
                "genpkey",
                "-algorithm",
                "EC",
                "-pkeyopt",
                "ec_paramgen_curve:P-384",
            ]),
            "of a kind that is taken",
        ),
        (
            made(&["genpkey", "-algorithm", "x25519"]),
            "of a kind that is taken",
        ),
        (sec1, "openssl pkcs8 -topk8"),
        (
            "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n".to_owned(),
            "OpenSSH",
        ),
        (
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".to_owned(),
            "certificate",
        ),
        ("a".repeat(40_000), "is longer than"),
    ];
    for (text, word) in cases {
        let file = ring.secret("odd.pem", &text);
        for from in [
            file.to_str().unwrap().to_owned(),
            format!("file:{}", file.display()),
        ] {
            let refused = ring.keys(&["import", &from]).expect(4);
            assert!(refused.stderr.contains(word), "{word}: {refused}");
            assert!(!refused.to_string().contains(body(&good)), "{refused}");
        }
    }
    for (from, status) in [
        ("nowhere.pem", 2),
        ("file:nowhere.pem", 2),
        ("/", 2),
        ("http://keys.example/", 2),
    ] {
        ring.keys(&["import", from]).expect(status);
    }
    // Old ways of encrypting are not taken, with the command that mends them.
    for flags in [
        &["-v1", "PBE-SHA1-3DES"][..],
        &["-v2", "des3"],
        &["-v2", "aes-256-cbc", "-v2prf", "hmacWithSHA1"],
    ] {
        let file = ring.path("old.pem");
        let pass = format!("pass:{PASSPHRASE}");
        let path = file.to_str().unwrap();
        openssl(
            &[
                &[
                    "pkcs8",
                    "-topk8",
                    "-in",
                    key.to_str().unwrap(),
                    "-out",
                    path,
                    "-passout",
                    &pass,
                ],
                flags,
            ]
            .concat(),
        );
        set_mode(&file, 0o600);
        let refused = ring.keys(&["import", path]).expect(4);
        assert!(
            refused.stderr.contains("openssl pkcs8 -topk8 -scrypt"),
            "{flags:?}: {refused}"
        );
    }
    assert!(!ring.path("ring/ring.json").exists());
}

#[test]
fn what_others_can_read_or_enter_is_not_used() {
    let ring = Ring::new();
    ring.keys(&["generate", "root"]).expect(0);
    let file = ring.path("ring/root.pem");
    for wide in [0o644, 0o640, 0o604, 0o620] {
        set_mode(&file, wide);
        let refused = ring.keys(&["list", "--check"]).expect(1);
        assert!(
            refused.stdout.contains(&format!("(mode {wide:03o})")) && refused.stdout.contains("chmod 600"),
            "{refused}"
        );
    }
    set_mode(&file, 0o400);
    ring.keys(&["list", "--check"]).expect(0);
    set_mode(&ring.path("ring/ring.json"), 0o664);
    assert!(
        ring.keys(&["list"])
            .expect(5)
            .stderr
            .contains("ring.json can be read by others")
    );
    set_mode(&ring.path("ring/ring.json"), 0o600);
    set_mode(&ring.path("ring"), 0o755);
    let refused = ring.keys(&["list"]).expect(5);
    assert!(
        refused.stderr.contains("open to others (mode 755)") && refused.stderr.contains("chmod 700"),
        "{refused}"
    );
}

/// The first line of a PEM text's base64.
fn body(pem: &str) -> &str {
    pem.lines().nth(1).unwrap()
}

/// The text without its line `n`, counted from 0.
fn without_line(text: &str, n: usize) -> String {
    let lines = text.split_inclusive('\n').enumerate();
    lines.filter(|(at, _)| *at != n).map(|(_, line)| line).collect()
}
