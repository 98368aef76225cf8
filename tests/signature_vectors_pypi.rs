//! Promise: the real attestations that pypi-attestations tests itself with are judged rightly, and as that package
//! judges them: each as it is, and with one thing wrong.
//! Needs pip's index once, and the client `pypi-attestations`.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write as _;
use std::process::{Command, Stdio};

use chiron::package::DistributionFilename;
use chiron::verify::signature::{Signed, Trust, signature};
use chiron::verify::{Document, DocumentKind, DocumentOrigin, Outcome, Report};
use chiron_storage::Digest;
use serde_json::{Value, json};
use support::clients::client;
use support::sigstore::{github, provenance};
use support::vectors::{codes, pypi_assets};

/// A real attestation: its document, the file it is of, and whom it is by.
struct Vector {
    document: &'static str,
    filename: &'static str,
    publisher: Value,
    staging: bool,
}

fn vectors() -> Vec<Vector> {
    let pass = |document, filename, publisher| Vector {
        document,
        filename,
        publisher,
        staging: false,
    };
    let ours = github("trailofbits/pypi-attestations", "release.yml");
    let models = github("trailofbits/pypi-attestation-models", "release.yml");
    let circleci = "circleci_sign_publish_example-0.0.1.dev137-py3-none-any.whl";
    let pipeline = json!({
        "kind": "CircleCI",
        "project_id": "fdd9283f-e619-46af-8f9c-851f7d3e8b2b",
        "pipeline_definition_id": "8e4f8ab2-8d7c-4827-9f15-de076d6d647f",
        "vcs_origin": "github.com/CircleCI-Public/sign-and-publish-examples",
        "vcs_ref": "refs/heads/pypi",
    });
    let robot = json!({"kind": "Google", "email": "919436158236-compute@developer.gserviceaccount.com"});
    let gitlab = json!({"kind": "GitLab", "repository": "facutuesca/gitlab-oidc-project",
                        "workflow_filepath": ".gitlab-ci.yml"});
    let stage = |document| Vector {
        staging: true,
        ..pass(document, "rfc8785-0.1.2-py3-none-any.whl", Value::Null)
    };
    vec![
        pass(
            "circleci_sign_publish_example-0.0.1.dev137-py3-none-any.whl.provenance",
            circleci,
            pipeline.clone(),
        ),
        pass(
            "circleci_sign_publish_example-0.0.1.dev137-py3-none-any.whl.publish.attestation",
            circleci,
            pipeline,
        ),
        pass(
            "gcb_attestation_test-0.0.0.tar.gz.provenance",
            "gcb_attestation_test-0.0.0.tar.gz",
            robot,
        ),
        pass(
            "gitlab_oidc_project-0.0.3.tar.gz.publish.attestation",
            "gitlab_oidc_project-0.0.3.tar.gz",
            gitlab,
        ),
        pass(
            "pypi_attestation_models-0.0.4a2.tar.gz.attestation",
            "pypi_attestation_models-0.0.4a2.tar.gz",
            models,
        ),
        pass(
            "pypi_attestations-0.0.19.tar.gz.provenance",
            "pypi_attestations-0.0.19.tar.gz",
            ours.clone(),
        ),
        pass(
            "pypi_attestations-0.0.19.tar.gz.publish.attestation",
            "pypi_attestations-0.0.19.tar.gz",
            ours.clone(),
        ),
        pass(
            "pypi_attestations-0.0.19.tar.gz.slsa.attestation",
            "pypi_attestations-0.0.19.tar.gz",
            ours,
        ),
        // The tags in another order than the statement's: the same set.
        Vector {
            filename: "spt3g-1.0-cp310-cp310-manylinux2014_x86_64.manylinux_2_17_x86_64.whl",
            ..stage(
                "spt3g-1.0-cp310-cp310-manylinux_2_17_x86_64.manylinux2014_x86_64.whl.publish.attestation",
            )
        },
        stage("rfc8785-0.1.2-py3-none-any.whl.attestation"),
        stage("rfc8785-0.1.2-py3-none-any.whl.publish.attestation"),
    ]
}

/// Each attestation of a document.
fn attestations(document: &[u8]) -> Vec<Value> {
    let value: Value = serde_json::from_slice(document).unwrap();
    match value["attestation_bundles"].as_array() {
        Some(bundles) => bundles
            .iter()
            .flat_map(|bundle| bundle["attestations"].as_array().unwrap().clone())
            .collect(),
        None => vec![value],
    }
}

/// The digest that the statement names: the file itself is not among the assets of each.
fn subject(attestation: &Value) -> Digest {
    use base64::Engine as _;
    let statement = attestation["envelope"]["statement"].as_str().unwrap();
    let statement = base64::engine::general_purpose::STANDARD
        .decode(statement)
        .unwrap();
    let statement: Value = serde_json::from_slice(&statement).unwrap();
    statement["subject"][0]["digest"]["sha256"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap()
}

fn judge(document: &[u8], filename: &str, sha256: Digest, trust: &Trust) -> Report {
    let name = DistributionFilename::parse(filename).unwrap();
    let mut file: File = tempfile::tempfile().unwrap();
    file.write_all(b"not read").unwrap();
    let signed = Signed {
        name: &name,
        sha256,
        file: &file,
        size: 8,
    };
    let document = Document {
        kind: DocumentKind::sniff(document).unwrap(),
        origin: DocumentOrigin::Upstream,
        bytes: document.to_vec().into(),
    };
    signature(&signed, &[document], trust)
}

fn staging() -> Trust {
    let root = sigstore_verify::trust_root::SIGSTORE_STAGING_TRUSTED_ROOT;
    Trust::empty().with_root("staging", root.as_bytes()).unwrap()
}

/// One attestation, one change, and what must come of it.
struct Case {
    label: String,
    attestation: Value,
    publisher: Value,
    filename: String,
    sha256: Digest,
    staging: bool,
    codes: Vec<&'static str>,
}

/// Every vector as it is and with one thing wrong. Another subject cannot be signed anew without the signer's key:
/// `signature_made.rs` has that one.
fn cases(assets: &BTreeMap<String, Vec<u8>>) -> Vec<Case> {
    let mut cases = Vec::new();
    let stranger = attestations(&assets["gitlab_oidc_project-0.0.3.tar.gz.publish.attestation"]).remove(0);
    let other = attestations(&assets["pypi_attestations-0.0.19.tar.gz.publish.attestation"]).remove(0);
    for vector in vectors() {
        for attestation in attestations(&assets[vector.document]) {
            let sha256 = subject(&attestation);
            let mut add = |what: &str, change: &dyn Fn(&mut Case), codes: &[&'static str]| {
                let mut case = Case {
                    label: format!("{}: {what}", vector.document),
                    attestation: attestation.clone(),
                    publisher: vector.publisher.clone(),
                    filename: vector.filename.to_owned(),
                    sha256,
                    staging: vector.staging,
                    codes: codes.to_vec(),
                };
                change(&mut case);
                cases.push(case);
            };
            add("as it is", &|_| (), &[]);
            add(
                "tampered file",
                &|case| case.sha256 = Digest::of(b"tampered"),
                &["wrong-digest"],
            );
            let evil = github("evil/project", "release.yml");
            add(
                "wrong publisher",
                &|case| case.publisher = evil.clone(),
                &["wrong-publisher"],
            );
            if vector.staging {
                add(
                    "under production",
                    &|case| case.staging = false,
                    &["untrusted-certificate"],
                );
            }
            add(
                "wrong filename",
                &|case| "other-1.0.tar.gz".clone_into(&mut case.filename),
                &["wrong-filename"],
            );
            add(
                "swapped certificate",
                &|case| {
                    let theirs = if case.attestation == stranger {
                        &other
                    } else {
                        &stranger
                    };
                    let place = "/verification_material/certificate";
                    *case.attestation.pointer_mut(place).unwrap() = theirs.pointer(place).unwrap().clone();
                },
                &["bad-signature"],
            );
            add(
                "another version",
                &|case| case.attestation["version"] = json!(2),
                &["unsupported-version"],
            );
        }
    }
    cases
}

#[tokio::test]
async fn every_real_attestation_is_judged_for_the_right_reason_and_as_pypi_attestations_does() {
    let Some(assets) = pypi_assets().await else { return };
    let cases = cases(&assets);
    assert!(cases.len() >= 66, "{}", cases.len());
    let (production, staging) = (Trust::builtin(), staging());
    let mut verdicts = Vec::new();
    for case in &cases {
        let document = if case.publisher.is_null() {
            case.attestation.to_string().into_bytes()
        } else {
            provenance(&case.publisher, std::slice::from_ref(&case.attestation))
        };
        let trust = if case.staging { &staging } else { &production };
        let report = judge(&document, &case.filename, case.sha256, trust);
        assert_eq!(codes(&report), case.codes, "{}: {report:#?}", case.label);
        let expected = if case.codes.is_empty() {
            Outcome::Pass
        } else {
            Outcome::Fail
        };
        assert_eq!(report.outcome, expected, "{}", case.label);
        verdicts.push(report.outcome == Outcome::Pass);
    }
    agrees_with_pypi_attestations(&cases, &verdicts);
}

/// The other verifier's verdict on every case, where it is installed.
fn agrees_with_pypi_attestations(cases: &[Case], verdicts: &[bool]) {
    let Some(python) = client("pypi-attestations", "python") else {
        return;
    };
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/attested.py");
    let mut child = Command::new(python)
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    for case in cases {
        let line = json!({
            "attestation": case.attestation, "publisher": case.publisher, "filename": case.filename,
            "sha256": case.sha256.to_string(), "staging": case.staging,
        });
        writeln!(input, "{line}").unwrap();
    }
    drop(input);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    let theirs: Vec<Value> = String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(theirs.len(), cases.len());
    for ((case, ours), theirs) in cases.iter().zip(verdicts).zip(theirs) {
        assert_eq!(theirs["ok"], *ours, "{}: they say {theirs}", case.label);
    }
}

#[tokio::test]
async fn what_staging_signed_counts_under_stagings_root_only() {
    let Some(assets) = pypi_assets().await else { return };
    let name = "rfc8785-0.1.2-py3-none-any.whl";
    let wheel = Digest::of(&assets[name]);
    for document in [".attestation", ".publish.attestation"] {
        let document = &assets[&format!("{name}{document}")];
        let report = judge(document, name, wheel, &Trust::builtin());
        assert_eq!(report.outcome, Outcome::Fail, "{report:#?}");
        assert_eq!(codes(&report), ["untrusted-certificate"]);
        assert!(report.summary.contains("staging"), "{}", report.summary);
        let report = judge(document, name, wheel, &staging());
        assert_eq!(report.outcome, Outcome::Pass, "{report:#?}");
        assert_eq!(report.facts["attestations"][0]["root"], "staging");
    }
}

#[tokio::test]
async fn facts_name_the_signer_of_each_kind() {
    let Some(assets) = pypi_assets().await else { return };
    for (document, filename, repository, identity) in [
        (
            "pypi_attestations-0.0.19.tar.gz.slsa.attestation",
            "pypi_attestations-0.0.19.tar.gz",
            json!("https://github.com/trailofbits/pypi-attestations"),
            "https://github.com/trailofbits/pypi-attestations/.github/workflows/release.yml@refs/tags/v0.0.19",
        ),
        (
            "gcb_attestation_test-0.0.0.tar.gz.provenance",
            "gcb_attestation_test-0.0.0.tar.gz",
            Value::Null,
            "919436158236-compute@developer.gserviceaccount.com",
        ),
    ] {
        let bytes = &assets[document];
        let sha256 = subject(&attestations(bytes)[0]);
        let report = judge(bytes, filename, sha256, &Trust::builtin());
        let fact = &report.facts["attestations"][0];
        assert_eq!(fact["repository"], repository);
        assert_eq!(fact["identity"], identity);
        assert_eq!(fact["root"], "public-good");
        assert_eq!(fact["logged"], true);
    }
}
