//! Promise: every vector inside the crate sigstore-verify 0.15.1 is judged rightly: bundles v0.1 to v0.3, DSSE and
//! message signatures, Rekor v2, RFC 3161, managed keys, GitHub's own instance. They are found where cargo has them.
//!
//! Hardly any is of a distribution file. A statement about another kind of artifact that is otherwise good is refused
//! for its name alone: `wrong-filename` after a good signature is how a sound vector shows here.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::fs::File;
use std::io::Write as _;
use std::path::Path;

use chiron::package::DistributionFilename;
use chiron::verify::signature::{Signed, Trust, signature};
use chiron::verify::{Document, DocumentKind, DocumentOrigin, Outcome, Report};
use chiron_storage::Digest;
use serde_json::Value;
use sigstore_verify::trust_root::{SIGSTORE_GITHUB_TRUSTED_ROOT, SIGSTORE_STAGING_TRUSTED_ROOT};
use support::vectors::{codes, crate_vectors};

/// What a bundle is verified against.
enum Under {
    PublicGood,
    Staging,
    GitHub,
    /// A trusted root of the vectors.
    File(&'static str),
    /// A public key of the vectors, and the public-good root for its log.
    Key(&'static str),
}

/// The artifact: bytes of the vectors, or what the bundle itself names where they are not shipped.
enum Of {
    File(&'static str),
    Named,
}

use Of::{File as Bytes, Named};
use Under::{GitHub, Key, PublicGood, Staging};

/// Bundle, trust, artifact, codes of the findings.
type Vector = (&'static str, Under, Of, &'static [&'static str]);

fn vectors() -> Vec<Vector> {
    let conda = "bundles/signed-package-2.1.0-hb0f4dca_0.conda";
    vec![
        (
            "bundles/cosign-v3-blob.sigstore.json",
            PublicGood,
            Bytes("bundles/cosign-v3-blob.txt"),
            &[],
        ),
        ("bundles/bundle_v3_github.whl.sigstore", PublicGood, Named, &[]),
        (
            "bundles/conda-attestation.sigstore.json",
            PublicGood,
            Bytes(conda),
            &["wrong-filename", "wrong-predicate"],
        ),
        (
            "bundles/conda-attestation-rekor2.sigstore.json",
            Staging,
            Bytes(conda),
            &["wrong-filename", "wrong-predicate"],
        ),
        (
            "bundles/conda-attestation-rekor2.sigstore.json",
            PublicGood,
            Bytes(conda),
            &["untrusted-certificate"],
        ),
        (
            "upstream/sigstore-python/staging-rekor-v2.txt.sigstore.json",
            Staging,
            Bytes("upstream/sigstore-python/staging-rekor-v2.txt"),
            &[],
        ),
        (
            "upstream/sigstore-python/a.dsse.staging-rekor-v2.txt.sigstore.json",
            Staging,
            Named,
            &["wrong-filename", "wrong-provenance"],
        ),
        (
            "bundles/sigstore.js@2.0.0-provenance.sigstore.json",
            PublicGood,
            Named,
            &["wrong-filename", "wrong-digest"],
        ),
        (
            "bundles/github-private-attestation.sigstore.json",
            GitHub,
            Named,
            &["several-subjects", "wrong-predicate"],
        ),
        (
            "timestamps/github_sha384_bundle.json",
            GitHub,
            Named,
            &["several-subjects", "wrong-predicate"],
        ),
        (
            "timestamps/valid_bundle.json",
            Under::File("timestamps/valid_trusted_root.json"),
            Named,
            &[],
        ),
        (
            "sct-multi-intermediate/staging_bundle.sigstore.json",
            Staging,
            Named,
            &[],
        ),
        (
            "invalid-ct-key_fail/bundle.sigstore.json",
            Under::File("invalid-ct-key_fail/trusted_root.json"),
            Named,
            &["untrusted-certificate"],
        ),
        (
            "managed-key/bundle.sigstore.json",
            Key("managed-key/key.pub"),
            Bytes("managed-key/artifact.txt"),
            &[],
        ),
        (
            "managed-key/bundle.sigstore.json",
            PublicGood,
            Bytes("managed-key/artifact.txt"),
            &["unknown-key"],
        ),
        (
            "bundles/dsse.sigstore.json",
            PublicGood,
            Named,
            &["wrong-filename", "wrong-digest", "wrong-predicate"],
        ),
        (
            "bundles/othername.sigstore.json",
            Under::File("trusted_roots/scaffolding.json"),
            Named,
            &[],
        ),
        (
            "bundles/dsse-2sigs.sigstore.json",
            PublicGood,
            Named,
            &["malformed"],
        ),
        (
            "bundles/bundle_invalid_version.txt.sigstore",
            PublicGood,
            Named,
            &["malformed"],
        ),
        (
            "bundles/bundle_no_cert_v1.txt.sigstore",
            PublicGood,
            Named,
            &["malformed"],
        ),
        (
            "bundles/bundle_no_checkpoint.txt.sigstore",
            Staging,
            Named,
            &["malformed"],
        ),
        (
            "bundles/bundle_no_log_entry.txt.sigstore",
            PublicGood,
            Named,
            &["not-logged"],
        ),
        (
            "bundles/bundle_v3_no_signed_time.txt.sigstore.json",
            PublicGood,
            Named,
            &["no-signed-time"],
        ),
        (
            "bundles/bundle_cve_2022_36056.txt.sigstore",
            Staging,
            Named,
            &["bad-log-entry"],
        ),
    ]
}

fn trust(folder: &Path, under: &Under) -> Trust {
    let alone = |name: &str, bytes: &[u8]| Trust::empty().with_root(name, bytes).unwrap();
    match under {
        PublicGood => Trust::builtin(),
        Staging => alone("staging", SIGSTORE_STAGING_TRUSTED_ROOT.as_bytes()),
        GitHub => alone("github", SIGSTORE_GITHUB_TRUSTED_ROOT.as_bytes()),
        Under::File(path) => alone("file", &std::fs::read(folder.join(path)).unwrap()),
        Key(path) => {
            let pem = std::fs::read(folder.join(path)).unwrap();
            Trust::builtin().with_key("managed", &pem).unwrap()
        }
    }
}

/// The SHA-256 that a bundle says it is about.
fn named(bundle: &[u8]) -> Digest {
    use base64::Engine as _;
    let decode = |text: &str| base64::engine::general_purpose::STANDARD.decode(text).unwrap();
    let bundle: Value = serde_json::from_slice(bundle).unwrap();
    if let Some(digest) = bundle["messageSignature"]["messageDigest"]["digest"].as_str() {
        return Digest::from_bytes(decode(digest).try_into().unwrap());
    }
    let payload = bundle["dsseEnvelope"]["payload"]
        .as_str()
        .map(decode)
        .unwrap_or_default();
    let statement: Value = serde_json::from_slice(&payload).unwrap_or_default();
    let mut subjects = statement["subject"].as_array().into_iter().flatten();
    let sha256 = subjects.find_map(|subject| subject["digest"]["sha256"].as_str());
    sha256.map_or_else(|| Digest::of(b"unnamed"), |text| text.parse().unwrap())
}

/// The bundle with the certificate of another; `None` where it has none, or the same.
fn swapped(bundle: &[u8], other: &[u8]) -> Option<Vec<u8>> {
    let certificate = |bundle: &Value| {
        let material = "/verificationMaterial";
        [
            "certificate/rawBytes",
            "x509CertificateChain/certificates/0/rawBytes",
        ]
        .map(|place| format!("{material}/{place}"))
        .into_iter()
        .find(|place| bundle.pointer(place).is_some())
    };
    let mut bundle: Value = serde_json::from_slice(bundle).unwrap();
    let other: Value = serde_json::from_slice(other).unwrap();
    let theirs = other.pointer(&certificate(&other)?)?.clone();
    let place = certificate(&bundle)?;
    let ours = bundle.pointer_mut(&place)?;
    if *ours == theirs {
        return None;
    }
    *ours = theirs;
    Some(bundle.to_string().into_bytes())
}

fn judge(bundle: &[u8], bytes: &[u8], sha256: Digest, trust: &Trust) -> Report {
    let name = DistributionFilename::parse("acme_app-1.0-py3-none-any.whl").unwrap();
    let mut file: File = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    let signed = Signed {
        name: &name,
        sha256,
        file: &file,
        size: bytes.len() as u64,
    };
    let document = Document {
        kind: DocumentKind::Bundle,
        origin: DocumentOrigin::Beside,
        bytes: bundle.to_vec().into(),
    };
    signature(&signed, &[document], trust)
}

#[test]
fn every_vector_is_judged_for_the_right_reason() {
    let folder = crate_vectors();
    let stranger = std::fs::read(folder.join("timestamps/valid_bundle.json")).unwrap();
    let mut wrong = Vec::new();
    for (path, under, of, expected) in vectors() {
        let bundle = std::fs::read(folder.join(path)).unwrap();
        let trust = trust(&folder, &under);
        let (bytes, sha256) = match of {
            Of::File(path) => {
                let bytes = std::fs::read(folder.join(path)).unwrap();
                let sha256 = Digest::of(&bytes);
                (bytes, sha256)
            }
            Named => (Vec::new(), named(&bundle)),
        };
        let report = judge(&bundle, &bytes, sha256, &trust);
        if codes(&report) != expected {
            wrong.push(format!(
                "{path}: {:?}, expected {expected:?}: {}",
                codes(&report),
                report.summary
            ));
            continue;
        }
        // Another file: what was good is so no longer, and nothing else becomes good.
        let other = judge(&bundle, b"another file", Digest::of(b"another file"), &trust);
        // What no flaw of the signature itself precedes.
        let sound = expected
            .first()
            .is_none_or(|code| ["wrong-filename", "several-subjects"].contains(code));
        let now = codes(&other);
        if sound
            && !now
                .iter()
                .any(|code| code == "wrong-digest" || code == "bad-signature")
        {
            wrong.push(format!("{path}, another file: {now:?}"));
        }
        if let (true, Some(swapped)) = (sound, swapped(&bundle, &stranger)) {
            let now = codes(&judge(&swapped, &bytes, sha256, &trust));
            if now != ["bad-signature"] {
                wrong.push(format!("{path}, swapped certificate: {now:?}"));
            }
        }
        if other.outcome == Outcome::Pass {
            wrong.push(format!("{path}, another file: passes"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
