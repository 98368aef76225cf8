//! Promise: `chiron verify` judges a file at hand by all six checks, offline, with what lies beside it or is named, and
//! its exit status says what would become of it.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::path::Path;

use serde_json::{Value, json};
use support::daemon::{Output, cli};
use support::release::{Release, cyclonedx};
use support::sigstore::{Instance, Signer, github, provenance};
use support::upstream::FakeFile;

const REPOSITORY: &str = "acme/demo";
const WORKFLOW: &str = "release.yml";

struct Hand {
    folder: tempfile::TempDir,
    instance: Instance,
    wheel: FakeFile,
}

impl Hand {
    /// A wheel on its own, and the trust root of its signer.
    fn new() -> Self {
        let hand = Self {
            folder: tempfile::tempdir().unwrap(),
            instance: Instance::new(),
            wheel: Release::new("demo", "1.0").wheel(),
        };
        hand.put(&hand.wheel.filename, &hand.wheel.bytes);
        hand.put("root.json", &hand.instance.trusted_root());
        hand
    }

    fn put(&self, name: &str, bytes: &[u8]) {
        std::fs::write(self.folder.path().join(name), bytes).unwrap();
    }

    fn provenance_by(&self, repository: &str) -> Vec<u8> {
        let signer = Signer::github(repository, WORKFLOW);
        let attestation = self
            .instance
            .attest(&signer, &self.wheel.filename, &self.wheel.bytes);
        provenance(&github(repository, WORKFLOW), &[attestation])
    }

    fn verify(&self, flags: &[&str]) -> Output {
        let args = [&["verify", &self.wheel.filename], flags].concat();
        cli(self.folder.path(), &args)
    }

    /// The outcome of one check, and its facts.
    #[track_caller]
    fn check(&self, name: &str, flags: &[&str]) -> (String, Value) {
        let args = [flags, &["--format", "json"]].concat();
        let document = self.verify(&args).json();
        let checks = document[0]["checks"].as_array().expect("a verdict").clone();
        let found = checks.into_iter().find(|check| check["check"] == name).unwrap();
        (
            found["outcome"].as_str().unwrap().to_owned(),
            found["facts"].clone(),
        )
    }
}

#[test]
fn a_row_for_each_check_and_a_decision() {
    let hand = Hand::new();
    let said = hand.verify(&[]).expect(0).stdout;
    for check in [
        "structure",
        "hashes",
        "signature",
        "sbom",
        "reproducibility",
        "advisories",
        "decision",
    ] {
        let rows = said.lines().filter(|line| line.trim_start().starts_with(check));
        assert_eq!(rows.count(), 1, "{check} in:\n{said}");
    }
    assert!(said.lines().count() <= 41, "{said}");
    assert!(said.lines().all(|line| line.chars().count() <= 100), "{said}");
}

#[test]
fn what_lies_beside_is_looked_at_and_what_is_named_instead_of_it() {
    let hand = Hand::new();
    assert_eq!(hand.check("sbom", &[]).0, "absent");
    let name = &hand.wheel.filename;
    hand.put(&format!("{name}.cdx.json"), &cyclonedx("demo", "1.0"));
    assert_eq!(hand.check("sbom", &[]).0, "pass");
    hand.put("other.json", &cyclonedx("other", "1.0"));
    let (outcome, facts) = hand.check("sbom", &["--sbom", "other.json"]);
    assert_eq!(outcome, "fail", "{facts}");
    hand.verify(&["--sbom", "other.json"]).expect(1);

    assert_eq!(hand.check("reproducibility", &[]).0, "absent");
    let release = Release::new("demo", "1.0");
    hand.put(&release.sdist().filename, &release.sdist().bytes);
    let (outcome, facts) = hand.check("reproducibility", &[]);
    assert_eq!(
        (outcome.as_str(), &facts["level"]),
        ("pass", &json!("traced")),
        "{facts}"
    );
    let poorer = Release {
        modules: Vec::new(),
        ..Release::new("demo", "1.0")
    };
    std::fs::create_dir(hand.folder.path().join("src")).unwrap();
    let path = format!("src/{}", poorer.sdist().filename);
    hand.put(&path, &poorer.sdist().bytes);
    let (outcome, facts) = hand.check("reproducibility", &["--source", &path]);
    assert_ne!(outcome, "pass", "{facts}");
}

#[test]
fn a_signature_counts_under_the_root_that_is_named_and_of_the_signer_that_is_named() {
    let hand = Hand::new();
    hand.put("by-acme.json", &hand.provenance_by(REPOSITORY));
    let named = ["--attestation", "by-acme.json", "--trusted-root", "root.json"];
    let (outcome, facts) = hand.check("signature", &named);
    assert_eq!(outcome, "pass", "{facts}");
    hand.verify(&named).expect(0);
    // Its signer states the digest, so nobody else has to.
    assert_eq!(hand.check("hashes", &[]).0, "absent");
    let (outcome, facts) = hand.check("hashes", &named);
    assert_eq!(
        (outcome.as_str(), &facts["agreed"][0]),
        ("pass", &json!("sha256"))
    );

    let by = |identity: &'static str| {
        let mut flags = named.to_vec();
        flags.extend(["--identity", identity]);
        hand.check("signature", &flags)
    };
    assert_eq!(by("https://github.com/acme/demo").0, "pass");
    let (outcome, facts) = by("https://github.com/evil/demo");
    assert_eq!(outcome, "fail");
    assert_eq!(facts["findings"][0]["code"], "wrong-publisher", "{facts}");

    // The same document under the root that is built in: nobody vouches for it.
    assert_ne!(
        hand.check("signature", &["--attestation", "by-acme.json"]).0,
        "pass"
    );
    // Nobody signed it, and somebody was asked for.
    let (outcome, _) = hand.check("signature", &["--identity", "https://github.com/acme/demo"]);
    assert_eq!(outcome, "fail");
    hand.verify(&["--identity", "https://github.com/acme/demo"])
        .expect(1);
}

#[test]
fn malware_in_the_records_that_are_named_is_refused() {
    let hand = Hand::new();
    let record = json!({
        "schema_version": "1.6.0", "id": "MAL-2026-1", "modified": "2026-11-20T10:00:00Z", "summary": "steals tokens",
        "affected": [{ "package": { "ecosystem": "PyPI", "name": "demo" }, "versions": ["1.0"] }],
    });
    std::fs::create_dir(hand.folder.path().join("osv")).unwrap();
    hand.put("osv/MAL-2026-1.json", record.to_string().as_bytes());
    let said = hand.verify(&["--advisories", "osv"]).expect(1);
    assert!(said.stdout.contains("MAL-2026-1 MALWARE"), "{said}");
    assert!(said.stdout.contains("decision        refuse"), "{said}");
}

#[test]
fn strict_asks_for_everything_and_says_what_would_change_it() {
    let hand = Hand::new();
    let said = hand
        .verify(&["--policy", "strict", "--sha256", &hand.wheel.sha256])
        .expect(1);
    for word in ["signature/absent", "sbom/absent", "--attestation", "--sbom"] {
        assert!(said.stdout.contains(word), "`{word}` in:\n{said}");
    }
}

#[test]
fn what_cannot_be_used_is_said_before_anything_is_judged() {
    let hand = Hand::new();
    let other = Release::new("demo", "2.0").wheel();
    hand.put(&other.filename, &other.bytes);
    hand.put("bad.json", b"{");
    let both = cli(
        hand.folder.path(),
        &[
            "verify",
            &hand.wheel.filename,
            &other.filename,
            "--sbom",
            "bad.json",
        ],
    );
    assert!(both.expect(2).stderr.contains("--sbom speaks of one file"));
    for flags in [
        &["--attestation", "missing.json"][..],
        &["--trusted-root", "bad.json"],
        &["--key", "bad.json"],
        &["--identity", "somebody"],
        &["--policy", "no-such-policy"],
        &["--advisories", "no-such-folder"],
        &["--source", &other.filename],
    ] {
        let output = hand.verify(flags);
        assert_eq!(output.status, 2, "{flags:?}: {output}");
        assert!(!output.stderr.contains("panicked"), "{flags:?}: {output}");
    }
    assert!(
        !Path::new(&hand.folder.path().join("chiron-data")).exists(),
        "nothing is stored"
    );
}
