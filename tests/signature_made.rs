//! Promise: of what an instance of our own signs, the right thing verifies, and every wrong thing is refused for its
//! own reason. Certificates here live for ten minutes of 2025: all of them are expired now.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::fs::File;
use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chiron::package::DistributionFilename;
use chiron::verify::signature::{Signed, Trust, signature};
use chiron::verify::{Document, DocumentKind, DocumentOrigin, Outcome, Report};
use chiron_storage::Digest;
use serde_json::{Value, json};
use support::sigstore::{Instance, SIGNED_AT, SLSA, Signer, github, provenance, publish};
use support::vectors::codes;

const NAME: &str = "acme_app-1.0-py3-none-any.whl";
const BYTES: &[u8] = b"the bytes of a wheel";

fn judge(name: &str, bytes: &[u8], documents: &[Vec<u8>], trust: &Trust) -> Report {
    let mut file: File = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    let name = DistributionFilename::parse(name).unwrap();
    let documents: Vec<Document> = documents
        .iter()
        .map(|bytes| Document {
            kind: DocumentKind::sniff(bytes).unwrap_or(DocumentKind::Provenance),
            origin: DocumentOrigin::Upstream,
            bytes: bytes.clone().into(),
        })
        .collect();
    let signed = Signed {
        name: &name,
        sha256: Digest::of(bytes),
        file: &file,
        size: bytes.len() as u64,
    };
    signature(&signed, &documents, trust)
}

fn trust(instance: &Instance) -> Trust {
    Trust::builtin()
        .with_root("ours", &instance.trusted_root())
        .unwrap()
}

#[track_caller]
fn assert_refused(report: &Report, code: &str) {
    assert_eq!(report.outcome, Outcome::Fail, "{report:#?}");
    assert_eq!(codes(report), [code], "{report:#?}");
    assert_eq!(report.facts["attestations"], json!([]), "{report:#?}");
}

fn workflow() -> Signer {
    Signer::github("acme/app", "release.yml")
}

fn document(instance: &Instance) -> Vec<u8> {
    let attestation = instance.attest(&workflow(), NAME, BYTES);
    provenance(&github("acme/app", "release.yml"), &[attestation])
}

#[test]
fn a_provenance_object_passes_and_says_who_signed() {
    let instance = Instance::new();
    let report = judge(NAME, BYTES, &[document(&instance)], &trust(&instance));
    assert_eq!(report.outcome, Outcome::Pass, "{report:#?}");
    let fact = &report.facts["attestations"][0];
    for (name, value) in [
        ("kind", json!("pep740-publish")),
        ("verified", json!(true)),
        ("issuer", json!("https://token.actions.githubusercontent.com")),
        ("repository", json!("https://github.com/acme/app")),
        ("repository_id", json!("772247423")),
        ("owner_id", json!("2314423")),
        ("workflow", json!(".github/workflows/release.yml")),
        ("ref", json!("refs/tags/v1.0")),
        ("commit", json!("0123456789abcdef0123456789abcdef01234567")),
        ("signed_at", json!("2025-06-01T12:00:00Z")),
        ("logged", json!(true)),
        ("root", json!("ours")),
        ("origin", json!("upstream")),
    ] {
        assert_eq!(fact[name], value, "{name}");
    }
    assert_eq!(fact["publisher"]["repository"], "acme/app");
    let roots = report.facts["trust_roots"].as_array().unwrap();
    assert_eq!(
        roots
            .iter()
            .map(|root| root["name"].as_str().unwrap())
            .collect::<Vec<_>>(),
        ["public-good", "ours"]
    );
}

#[test]
fn a_bundle_passes_as_the_attestation_does() {
    let instance = Instance::new();
    let signature = instance.sign(&workflow(), &publish(NAME, BYTES));
    let documents = [
        signature.bundle().to_string().into_bytes(),
        signature.attestation().to_string().into_bytes(),
    ];
    let report = judge(NAME, BYTES, &documents, &trust(&instance));
    assert_eq!(report.outcome, Outcome::Pass, "{report:#?}");
    assert_eq!(report.facts["attestations"][0]["kind"], "bundle");
    assert_eq!(report.facts["attestations"][1]["kind"], "pep740-publish");
}

#[test]
fn one_changed_byte_of_the_file_is_another_file() {
    let instance = Instance::new();
    let report = judge(
        NAME,
        b"the bytes of a wheeL",
        &[document(&instance)],
        &trust(&instance),
    );
    assert_refused(&report, "wrong-digest");
}

#[test]
fn an_attestation_of_another_project_is_refused() {
    let instance = Instance::new();
    let report = judge(
        "other_app-1.0-py3-none-any.whl",
        BYTES,
        &[document(&instance)],
        &trust(&instance),
    );
    assert_refused(&report, "wrong-filename");
}

#[test]
fn a_second_subject_is_refused() {
    let instance = Instance::new();
    let mut statement = publish(NAME, BYTES);
    let other = publish("other-1.0.tar.gz", b"other")["subject"][0].clone();
    statement["subject"].as_array_mut().unwrap().push(other);
    let attestation = instance.sign(&workflow(), &statement).attestation();
    let report = judge(
        NAME,
        BYTES,
        &[attestation.to_string().into_bytes()],
        &trust(&instance),
    );
    assert_refused(&report, "several-subjects");
}

#[test]
fn a_publisher_that_did_not_sign_is_refused() {
    let instance = Instance::new();
    let attestation = instance.attest(&workflow(), NAME, BYTES);
    for publisher in [
        github("evil/app", "release.yml"),
        github("acme/app", "other.yml"),
        json!({"kind": "GitLab", "repository": "acme/app", "workflow_filepath": "release.yml"}),
        json!({"kind": "Google", "email": "robot@example.com"}),
    ] {
        let document = provenance(&publisher, std::slice::from_ref(&attestation));
        assert_refused(
            &judge(NAME, BYTES, &[document], &trust(&instance)),
            "wrong-publisher",
        );
    }
    let unknown = provenance(&json!({"kind": "Newcomer"}), &[attestation]);
    let report = judge(NAME, BYTES, &[unknown], &trust(&instance));
    assert_eq!(report.outcome, Outcome::Error);
    assert_eq!(codes(&report), ["unknown-publisher"]);
}

#[test]
fn a_swapped_certificate_is_refused() {
    let instance = Instance::new();
    let mut attestation = instance.attest(&workflow(), NAME, BYTES);
    let other = instance.attest(&workflow(), NAME, BYTES);
    attestation["verification_material"]["certificate"] =
        other["verification_material"]["certificate"].clone();
    let report = judge(
        NAME,
        BYTES,
        &[attestation.to_string().into_bytes()],
        &trust(&instance),
    );
    assert_refused(&report, "bad-signature");
}

#[test]
fn a_certificate_that_was_expired_when_it_signed_is_refused() {
    let instance = Instance::new();
    for late in [SIGNED_AT + 541, SIGNED_AT - 61] {
        let attestation = instance.attest(&workflow().at(late), NAME, BYTES);
        let report = judge(
            NAME,
            BYTES,
            &[attestation.to_string().into_bytes()],
            &trust(&instance),
        );
        assert_refused(&report, "expired-certificate");
    }
}

#[test]
fn another_instance_proves_nothing() {
    let (ours, theirs) = (Instance::new(), Instance::new());
    let report = judge(NAME, BYTES, &[document(&theirs)], &trust(&ours));
    assert_eq!(report.outcome, Outcome::Error, "{report:#?}");
    assert_eq!(codes(&report), ["unknown-root"]);
    let report = judge(NAME, BYTES, &[document(&theirs)], &Trust::empty());
    assert_eq!(codes(&report), ["unknown-root"]);
    // A certificate of theirs, logged in ours: the log is known, the authority is not.
    let mixed = Instance::mixed(theirs, ours);
    let (document, ours) = (document(&mixed.0), mixed.1);
    let trusted = Trust::empty().with_root("ours", &ours).unwrap();
    assert_refused(
        &judge(NAME, BYTES, &[document], &trusted),
        "untrusted-certificate",
    );
}

#[test]
fn log_entries_must_prove_what_they_are_there_for() {
    let instance = Instance::new();
    let good = instance.attest(&workflow(), NAME, BYTES);
    let entry = "/verification_material/transparency_entries/0";
    let with = |pointer: &str, value: Value| {
        let mut other = good.clone();
        *other.pointer_mut(&format!("{entry}{pointer}")).unwrap() = value;
        other.to_string().into_bytes()
    };
    let refused = |document: Vec<u8>, code: &str| {
        assert_refused(&judge(NAME, BYTES, &[document], &trust(&instance)), code);
    };
    let promise = "/inclusionPromise/signedEntryTimestamp";
    refused(with(promise, json!(STANDARD.encode(b"forged"))), "bad-log-entry");
    refused(
        with("/integratedTime", json!((SIGNED_AT + 1).to_string())),
        "bad-log-entry",
    );
    refused(with("/inclusionPromise", json!(null)), "no-signed-time");
    refused(with("/inclusionProof", json!(null)), "not-logged");
    let foreign = instance.attest(&workflow(), "other-1.0.tar.gz", b"other");
    refused(with("", foreign.pointer(entry).unwrap().clone()), "bad-log-entry");
    let mut none = good.clone();
    none["verification_material"]["transparency_entries"] = json!([]);
    refused(none.to_string().into_bytes(), "not-logged");
    let mut many = good.clone();
    many["verification_material"]["transparency_entries"] = json!(vec![good.pointer(entry).unwrap(); 5]);
    refused(many.to_string().into_bytes(), "too-many");
}

#[test]
fn slsa_provenance_speaks_for_its_own_builder_only() {
    let instance = Instance::new();
    let signer = workflow();
    let mut statement = publish(NAME, BYTES);
    statement["predicateType"] = json!(SLSA);
    statement["predicate"] = json!({
        "buildDefinition": {
            "buildType": "https://actions.github.io/buildtypes/workflow/v1",
            "externalParameters": {"workflow": {"ref": "refs/tags/v1.0", "repository": "https://github.com/acme/app",
                                                "path": ".github/workflows/release.yml"}},
            "resolvedDependencies": [{"digest": {"gitCommit": "0123456789abcdef0123456789abcdef01234567"}}],
        },
        "runDetails": {"builder": {"id": signer.identity}},
    });
    let check = |statement: &Value| {
        let attestation = instance.sign(&signer, statement).attestation();
        judge(
            NAME,
            BYTES,
            &[attestation.to_string().into_bytes()],
            &trust(&instance),
        )
    };
    let report = check(&statement);
    assert_eq!(report.outcome, Outcome::Pass, "{report:#?}");
    assert_eq!(report.facts["attestations"][0]["kind"], "pep740-slsa");
    *statement.pointer_mut("/predicate/runDetails/builder/id").unwrap() =
        json!("https://github.com/evil/builder");
    assert_refused(&check(&statement), "wrong-provenance");
}

#[test]
fn one_bad_attestation_spoils_the_good_one_beside_it() {
    let instance = Instance::new();
    let good = instance.attest(&workflow(), NAME, BYTES);
    let mut second = good.clone();
    second["version"] = json!(2);
    let document = provenance(&github("acme/app", "release.yml"), &[good, second]);
    let report = judge(NAME, BYTES, &[document], &trust(&instance));
    assert_eq!(report.outcome, Outcome::Fail);
    assert_eq!(codes(&report), ["unsupported-version"]);
    assert_eq!(report.facts["attestations"].as_array().unwrap().len(), 1);
}

#[test]
fn nothing_is_absent() {
    let report = judge(NAME, BYTES, &[], &Trust::builtin());
    assert_eq!(report.outcome, Outcome::Absent);
    assert_eq!(report.facts["findings"], json!([]));
}

#[test]
fn monstrous_documents_are_refused_quickly() {
    let began = std::time::Instant::now();
    let deep = format!("{{\"attestation_bundles\":{}", "[".repeat(900_000)).into_bytes();
    let large = [&b"{\"attestation_bundles\":["[..], &vec![b' '; 50 << 20]].concat();
    for (document, code) in [(deep, "malformed"), (large, "too-large")] {
        assert_refused(&judge(NAME, BYTES, &[document], &Trust::builtin()), code);
    }
    assert!(began.elapsed().as_secs() < 5, "{:?}", began.elapsed());
    let several: Vec<Vec<u8>> = (0..40).map(|n| format!("{{\"n\":{n}}}").into_bytes()).collect();
    let report = judge(NAME, BYTES, &several, &Trust::builtin());
    assert_eq!(
        codes(&report).len(),
        33,
        "32 documents, and one finding for the rest"
    );
    assert_eq!(codes(&report)[32], "too-many");
}
