//! Promise: plain public keys of every supported kind sign files and statements, each only for its own projects.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::fs::File;
use std::io::Write as _;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{
    ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256,
    RSA_PSS_SHA256, RsaEncoding,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chiron::package::DistributionFilename;
use chiron::verify::signature::{Signed, Trust, TrustError, signature};
use chiron::verify::{Document, DocumentKind, DocumentOrigin, Outcome, Report};
use chiron_storage::Digest;
use serde_json::json;
use support::der;
use support::sigstore::{Instance, Key, SLSA, envelope, pae, publish};

const NAME: &str = "acme_app-1.0-py3-none-any.whl";
const BYTES: &[u8] = b"the bytes of a wheel";

fn judge(bytes: &[u8], document: &[u8], trust: &Trust) -> Report {
    let mut file: File = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    let name = DistributionFilename::parse(NAME).unwrap();
    let document = Document {
        kind: match document.first() {
            Some(b'{') => DocumentKind::Bundle,
            _ => DocumentKind::Signature,
        },
        origin: DocumentOrigin::Beside,
        bytes: document.to_vec().into(),
    };
    let signed = Signed {
        name: &name,
        sha256: Digest::of(bytes),
        file: &file,
        size: bytes.len() as u64,
    };
    signature(&signed, &[document], trust)
}

fn code(report: &Report) -> &str {
    report.facts["findings"][0]["code"].as_str().unwrap_or_default()
}

/// PEM of a public key and a signature over `BYTES`, for each kind of key.
fn signatures() -> Vec<(&'static str, String, Vec<u8>)> {
    let random = SystemRandom::new();
    let p256 = Key::generate();
    let p384 = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_ASN1_SIGNING).unwrap();
    let p384_spki = [
        &hex::decode("3076301006072a8648ce3d020106052b81040022036200").unwrap(),
        p384.public_key().as_ref(),
    ]
    .concat();
    let ed25519 = Ed25519KeyPair::generate().unwrap();
    let ed25519_spki = [
        &hex::decode("302a300506032b6570032100").unwrap(),
        ed25519.public_key().as_ref(),
    ]
    .concat();
    let rsa = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    let algorithm = der::sequence(&[der::object_id("1.2.840.113549.1.1.1"), vec![0x05, 0x00]]);
    let rsa_spki = der::sequence(&[algorithm, der::bits(rsa.public_key().as_ref())]);
    let rsa_sign = |encoding: &'static dyn RsaEncoding| {
        let mut signature = vec![0; rsa.public_modulus_len()];
        rsa.sign(encoding, &random, BYTES, &mut signature).unwrap();
        signature
    };
    let pem = |spki: &[u8]| der::pem("PUBLIC KEY", spki);
    vec![
        ("P-256", p256.pem(), p256.sign(BYTES)),
        (
            "P-384",
            pem(&p384_spki),
            p384.sign(&random, BYTES).unwrap().as_ref().to_vec(),
        ),
        (
            "Ed25519",
            pem(&ed25519_spki),
            ed25519.sign(BYTES).as_ref().to_vec(),
        ),
        ("RSA PKCS#1", pem(&rsa_spki), rsa_sign(&RSA_PKCS1_SHA256)),
        ("RSA PSS", pem(&rsa_spki), rsa_sign(&RSA_PSS_SHA256)),
    ]
}

#[test]
fn every_kind_of_key_signs_a_file() {
    for (kind, pem, signature) in signatures() {
        let trust = Trust::builtin().with_key("release", pem.as_bytes()).unwrap();
        // As cosign writes it, and bare.
        for document in [
            format!("{}\n", STANDARD.encode(&signature)).into_bytes(),
            signature.clone(),
        ] {
            let report = judge(BYTES, &document, &trust);
            assert_eq!(report.outcome, Outcome::Pass, "{kind}: {report:#?}");
            assert_eq!(report.facts["attestations"][0]["kind"], "key");
            assert_eq!(report.facts["attestations"][0]["key"], "release");
            let report = judge(b"the bytes of a wheeL", &document, &trust);
            assert_eq!(
                (report.outcome, code(&report)),
                (Outcome::Fail, "bad-signature"),
                "{kind}"
            );
        }
    }
}

#[test]
fn a_key_signs_its_own_projects_only() {
    let key = Key::generate();
    let document = STANDARD.encode(key.sign(BYTES)).into_bytes();
    let pem = key.pem();
    let others = Trust::builtin()
        .with_key_for("other", pem.as_bytes(), |project| project.as_str() == "other")
        .unwrap();
    let report = judge(BYTES, &document, &others);
    assert_eq!((report.outcome, code(&report)), (Outcome::Error, "unknown-key"));
    let both = others
        .with_key_for("ours", pem.as_bytes(), |project| project.as_str() == "acme-app")
        .unwrap();
    assert_eq!(
        judge(BYTES, &document, &both).facts["attestations"][0]["key"],
        "ours"
    );
    let stranger = Trust::builtin()
        .with_key("stranger", Key::generate().pem().as_bytes())
        .unwrap();
    let report = judge(BYTES, &document, &stranger);
    assert_eq!((report.outcome, code(&report)), (Outcome::Fail, "bad-signature"));
    assert_eq!(code(&judge(BYTES, &document, &Trust::builtin())), "unknown-key");
}

#[test]
fn an_envelope_needs_no_log() {
    let key = Key::generate();
    let trust = Trust::builtin()
        .with_key("release", key.pem().as_bytes())
        .unwrap();
    let statement = publish(NAME, BYTES).to_string().into_bytes();
    let sealed = envelope(&statement, &key.sign(&pae(&statement)));
    let bundle = json!({
        "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
        "verificationMaterial": {"publicKey": {"hint": "whatever"}, "tlogEntries": []},
        "dsseEnvelope": sealed,
    });
    for document in [&sealed, &bundle] {
        let report = judge(BYTES, document.to_string().as_bytes(), &trust);
        assert_eq!(report.outcome, Outcome::Pass, "{report:#?}");
        assert_eq!(report.facts["attestations"][0]["logged"], false);
        assert_eq!(report.facts["attestations"][0].get("signed_at"), None);
        // The statement is good and about another file.
        let report = judge(b"other", document.to_string().as_bytes(), &trust);
        assert_eq!((report.outcome, code(&report)), (Outcome::Fail, "wrong-digest"));
    }
    let mut forged = sealed.clone();
    forged["payload"] = json!(STANDARD.encode(publish(NAME, b"other").to_string()));
    let report = judge(b"other", forged.to_string().as_bytes(), &trust);
    assert_eq!((report.outcome, code(&report)), (Outcome::Fail, "bad-signature"));
    // One signature, or none can say which one counts.
    let mut two = sealed.clone();
    two["signatures"] = json!([sealed["signatures"][0], sealed["signatures"][0]]);
    assert_eq!(
        code(&judge(BYTES, two.to_string().as_bytes(), &trust)),
        "malformed"
    );
}

#[test]
fn provenance_under_a_key_names_a_builder() {
    let key = Key::generate();
    let trust = Trust::builtin()
        .with_key("release", key.pem().as_bytes())
        .unwrap();
    let mut statement = publish(NAME, BYTES);
    statement["predicateType"] = json!(SLSA);
    statement["predicate"] = json!({
        "buildDefinition": {"buildType": "https://actions.github.io/buildtypes/workflow/v1"},
        "runDetails": {"builder": {"id": "https://ci.acme.example"}},
    });
    let check = |statement: &serde_json::Value| {
        let payload = statement.to_string().into_bytes();
        let sealed = envelope(&payload, &key.sign(&pae(&payload)));
        judge(BYTES, sealed.to_string().as_bytes(), &trust)
    };
    assert_eq!(check(&statement).outcome, Outcome::Pass);
    statement["predicate"]["runDetails"] = json!({});
    assert_eq!(code(&check(&statement)), "wrong-provenance");
}

#[test]
fn what_is_no_key_is_refused_by_name() {
    let private = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    for pem in [
        "",
        "no key",
        private,
        "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
    ] {
        let refused = Trust::builtin().with_key("release", pem.as_bytes()).unwrap_err();
        assert!(
            matches!(&refused, TrustError::Key { name, .. } if name == "release"),
            "{refused}"
        );
    }
    // A root is no key, and a key is no root.
    let root = Instance::new().trusted_root();
    assert!(Trust::builtin().with_key("release", &root).is_err());
    assert!(
        Trust::builtin()
            .with_root("release", Key::generate().pem().as_bytes())
            .is_err()
    );
}
