//! A Sigstore instance of our own: a certificate authority and a transparency log, with keys made for one test.
//! What it signs is signed for real, at [`SIGNED_AT`], with certificates of ten minutes that expired long ago.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::der;

/// When everything is signed unless a test says otherwise: 2025-06-01T12:00:00Z.
pub const SIGNED_AT: i64 = 1_748_779_200;

/// `SubjectPublicKeyInfo` of a P-256 key up to the point.
const P256_PREFIX: &str = "3059301306072a8648ce3d020106082a8648ce3d030107034200";
const ECDSA_SHA256: &str = "1.2.840.10045.4.3.2";
const FULCIO: &str = "1.3.6.1.4.1.57264.1";
pub const PUBLISH: &str = chiron::verify::signature::PUBLISH_V1;
pub const SLSA: &str = "https://slsa.dev/provenance/v1";

/// A P-256 key.
pub struct Key(EcdsaKeyPair);

impl Key {
    pub fn generate() -> Self {
        Self(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap())
    }

    pub fn spki(&self) -> Vec<u8> {
        [&hex::decode(P256_PREFIX).unwrap(), self.0.public_key().as_ref()].concat()
    }

    pub fn pem(&self) -> String {
        der::pem("PUBLIC KEY", &self.spki())
    }

    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.0
            .sign(&SystemRandom::new(), message)
            .unwrap()
            .as_ref()
            .to_vec()
    }
}

/// Who signs: what Fulcio would write into the certificate.
#[derive(Clone)]
pub struct Signer {
    /// A URI, or an e-mail address.
    pub identity: String,
    /// Extensions by their number below Fulcio's arc.
    pub claims: Vec<(u32, String)>,
    /// Of the signature in the log, seconds since the epoch.
    pub signed_at: i64,
}

impl Signer {
    /// A workflow of GitHub Actions, building the tag `v1.0`.
    pub fn github(repository: &str, workflow: &str) -> Self {
        let url = format!("https://github.com/{repository}");
        let uri = format!("{url}/.github/workflows/{workflow}@refs/tags/v1.0");
        let claims = [
            (8, "https://token.actions.githubusercontent.com"),
            (9, &uri),
            (11, "github-hosted"),
            (12, &url),
            (13, "0123456789abcdef0123456789abcdef01234567"),
            (14, "refs/tags/v1.0"),
            (15, "772247423"),
            (17, "2314423"),
            (18, &uri),
            (20, "release"),
            (22, "public"),
        ];
        Self {
            claims: claims
                .iter()
                .map(|(number, text)| (*number, (*text).to_owned()))
                .collect(),
            identity: uri.clone(),
            signed_at: SIGNED_AT,
        }
    }

    #[must_use]
    pub fn claim(mut self, number: u32, text: &str) -> Self {
        self.claims.retain(|(other, _)| *other != number);
        self.claims.push((number, text.to_owned()));
        self
    }

    #[must_use]
    pub fn at(mut self, signed_at: i64) -> Self {
        self.signed_at = signed_at;
        self
    }
}

/// An authority and a log.
pub struct Instance {
    authority: Key,
    log: Key,
}

impl Instance {
    pub fn new() -> Self {
        Self {
            authority: Key::generate(),
            log: Key::generate(),
        }
    }

    /// An instance with the authority of one and the log of the other, and the trusted root of the latter.
    pub fn mixed(authority: Self, log: Self) -> (Self, Vec<u8>) {
        let root = log.trusted_root();
        let mixed = Self {
            authority: authority.authority,
            log: log.log,
        };
        (mixed, root)
    }

    /// Its `trusted_root.json`.
    pub fn trusted_root(&self) -> Vec<u8> {
        let authority = self.certificate(&self.authority, None, (1_577_836_800, 2_208_988_800));
        let window = json!({"start": "2020-01-01T00:00:00Z"});
        let root = json!({
            "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
            "tlogs": [{
                "baseUrl": "https://log.invalid",
                "hashAlgorithm": "SHA2_256",
                "publicKey": {"rawBytes": STANDARD.encode(self.log.spki()),
                              "keyDetails": "PKIX_ECDSA_P256_SHA_256", "validFor": window},
                "logId": {"keyId": STANDARD.encode(Sha256::digest(self.log.spki()))},
            }],
            "certificateAuthorities": [{
                "subject": {"organization": "test", "commonName": "test authority"},
                "uri": "https://authority.invalid",
                "certChain": {"certificates": [{"rawBytes": STANDARD.encode(authority)}]},
                "validFor": window,
            }],
            "ctlogs": [],
            "timestampAuthorities": [],
        });
        root.to_string().into_bytes()
    }

    /// A certificate for `key`: the authority's own without a signer.
    fn certificate(&self, key: &Key, signer: Option<&Signer>, valid: (i64, i64)) -> Vec<u8> {
        let algorithm = der::sequence(&[der::object_id(ECDSA_SHA256)]);
        let mut extensions = Vec::new();
        let subject = if let Some(signer) = signer {
            let tag = if signer.identity.contains("://") {
                0x86
            } else {
                0x81
            };
            let names = der::sequence(&[der::element(tag, signer.identity.as_bytes())]);
            let usage = der::sequence(&[der::object_id("1.3.6.1.5.5.7.3.3")]);
            extensions.push(der::extension("2.5.29.15", true, &[0x03, 0x02, 0x07, 0x80]));
            extensions.push(der::extension("2.5.29.37", false, &usage));
            extensions.push(der::extension("2.5.29.17", true, &names));
            for (number, text) in &signer.claims {
                extensions.push(der::extension(
                    &format!("{FULCIO}.{number}"),
                    false,
                    &der::utf8(text),
                ));
            }
            der::sequence(&[])
        } else {
            let basic = der::sequence(&[vec![0x01, 0x01, 0xff]]);
            extensions.push(der::extension("2.5.29.19", true, &basic));
            extensions.push(der::extension("2.5.29.15", true, &[0x03, 0x02, 0x01, 0x06]));
            der::name("test authority")
        };
        let signed = der::sequence(&[
            der::element(0xa0, &der::integer(2)),
            der::integer(1 + u64::from(key.spki()[60]) * 256 + u64::from(key.spki()[61])),
            algorithm.clone(),
            der::name("test authority"),
            der::sequence(&[der::time(valid.0), der::time(valid.1)]),
            subject,
            key.spki(),
            der::element(0xa3, &der::sequence(&extensions)),
        ]);
        let signature = self.authority.sign(&signed);
        der::sequence(&[signed, algorithm, der::bits(&signature)])
    }

    /// Signs a statement, and logs it.
    pub fn sign(&self, signer: &Signer, statement: &Value) -> Signature {
        let key = Key::generate();
        let window = (SIGNED_AT - 60, SIGNED_AT + 540);
        let certificate = self.certificate(&key, Some(signer), window);
        let payload = statement.to_string().into_bytes();
        let signature = key.sign(&pae(&payload));
        let body = json!({
            "apiVersion": "0.0.1",
            "kind": "dsse",
            "spec": {
                "envelopeHash": {"algorithm": "sha256", "value": hex::encode(Sha256::digest(b"not checked"))},
                "payloadHash": {"algorithm": "sha256", "value": hex::encode(Sha256::digest(&payload))},
                "signatures": [{"signature": STANDARD.encode(&signature),
                                "verifier": STANDARD.encode(der::pem("CERTIFICATE", &certificate))}],
            },
        });
        Signature {
            entry: self.entry(&body, signer.signed_at),
            certificate,
            payload,
            signature,
        }
    }

    /// An entry of a log with this one entry: promise (SET), proof and checkpoint.
    fn entry(&self, body: &Value, at: i64) -> Value {
        let body = body.to_string().into_bytes();
        let id = Sha256::digest(self.log.spki());
        let promised = format!(
            r#"{{"body":"{}","integratedTime":{at},"logID":"{}","logIndex":0}}"#,
            STANDARD.encode(&body),
            hex::encode(id)
        );
        let root = Sha256::digest([&[0][..], &body].concat());
        let note = format!("log.invalid\n1\n{}\n", STANDARD.encode(root));
        let signed = [&id[..4], &self.log.sign(note.as_bytes())].concat();
        json!({
            "logIndex": "0",
            "logId": {"keyId": STANDARD.encode(id)},
            "kindVersion": {"kind": "dsse", "version": "0.0.1"},
            "integratedTime": at.to_string(),
            "inclusionPromise": {"signedEntryTimestamp": STANDARD.encode(self.log.sign(promised.as_bytes()))},
            "inclusionProof": {
                "logIndex": "0",
                "rootHash": STANDARD.encode(root),
                "treeSize": "1",
                "hashes": [],
                "checkpoint": {"envelope": format!("{note}\n\u{2014} log.invalid {}\n", STANDARD.encode(signed))},
            },
            "canonicalizedBody": STANDARD.encode(&body),
        })
    }

    /// A PEP 740 publish attestation for a file.
    pub fn attest(&self, signer: &Signer, filename: &str, bytes: &[u8]) -> Value {
        self.sign(signer, &publish(filename, bytes)).attestation()
    }
}

/// Something that an instance signed.
#[derive(Clone)]
#[allow(clippy::struct_field_names)] // the standards call it so
pub struct Signature {
    pub certificate: Vec<u8>,
    pub entry: Value,
    pub payload: Vec<u8>,
    pub signature: Vec<u8>,
}

impl Signature {
    /// As a PEP 740 attestation.
    pub fn attestation(&self) -> Value {
        json!({
            "version": 1,
            "verification_material": {
                "certificate": STANDARD.encode(&self.certificate),
                "transparency_entries": [self.entry],
            },
            "envelope": {
                "statement": STANDARD.encode(&self.payload),
                "signature": STANDARD.encode(&self.signature),
            },
        })
    }

    /// As a Sigstore bundle v0.3.
    pub fn bundle(&self) -> Value {
        json!({
            "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
            "verificationMaterial": {
                "certificate": {"rawBytes": STANDARD.encode(&self.certificate)},
                "tlogEntries": [self.entry],
                "timestampVerificationData": {"rfc3161Timestamps": []},
            },
            "dsseEnvelope": envelope(&self.payload, &self.signature),
        })
    }
}

/// A DSSE envelope with one signature.
pub fn envelope(payload: &[u8], signature: &[u8]) -> Value {
    json!({
        "payload": STANDARD.encode(payload),
        "payloadType": "application/vnd.in-toto+json",
        "signatures": [{"sig": STANDARD.encode(signature)}],
    })
}

/// What a DSSE signature is over.
pub fn pae(payload: &[u8]) -> Vec<u8> {
    let kind = "application/vnd.in-toto+json";
    let head = format!("DSSEv1 {} {kind} {} ", kind.len(), payload.len());
    [head.as_bytes(), payload].concat()
}

/// The statement of a publish attestation.
pub fn publish(filename: &str, bytes: &[u8]) -> Value {
    json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": filename, "digest": {"sha256": hex::encode(Sha256::digest(bytes))}}],
        "predicateType": PUBLISH,
        "predicate": null,
    })
}

/// A provenance object as an index serves it.
pub fn provenance(publisher: &Value, attestations: &[Value]) -> Vec<u8> {
    let object = json!({
        "version": 1,
        "attestation_bundles": [{"publisher": publisher, "attestations": attestations}],
    });
    object.to_string().into_bytes()
}

/// A publisher of the kind GitHub.
pub fn github(repository: &str, workflow: &str) -> Value {
    json!({"kind": "GitHub", "repository": repository, "workflow": workflow, "environment": null})
}
