//! Sigstore bundles, and PEP 740 attestations as bundles.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sigstore_types::bundle::VerificationMaterialContent;
use sigstore_types::{Bundle as Inner, DsseEnvelope, SignatureContent};

use super::super::bounds::MAX_PROOFS;
use super::super::finding::{Code, Flaw, shown};
use super::super::statement::IN_TOTO;

/// Media type of the bundles that PEP 740 attestations are turned into.
const BUNDLE_V03: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";

/// A bundle that was read, and not verified.
#[derive(Debug, Clone)]
pub struct Bundle(pub(super) Inner);

/// A DSSE envelope that came without a bundle around it.
#[derive(Debug, Clone)]
pub struct Envelope(pub(super) DsseEnvelope);

impl Bundle {
    /// Reads a bundle of the versions 0.1 to 0.3.
    pub fn read(text: &str) -> Result<Self, Flaw> {
        let inner = Inner::from_json(text).map_err(|error| malformed("no Sigstore bundle", &error))?;
        Self::bounded(inner)
    }

    /// A PEP 740 attestation's members as the bundle they were made from. `timestamps` is the draft's list of
    /// RFC 3161 tokens.
    pub fn from_pep740(
        certificate: &str,
        entries: &[Value],
        timestamps: &[String],
        statement: &str,
        signature: &str,
    ) -> Result<Self, Flaw> {
        let tokens: Vec<Value> = timestamps
            .iter()
            .map(|token| json!({ "signedTimestamp": token }))
            .collect();
        let bundle = json!({
            "mediaType": BUNDLE_V03,
            "verificationMaterial": {
                "certificate": { "rawBytes": certificate },
                "tlogEntries": entries,
                "timestampVerificationData": { "rfc3161Timestamps": tokens },
            },
            "dsseEnvelope": {
                "payload": statement,
                "payloadType": IN_TOTO,
                "signatures": [{ "sig": signature }],
            },
        });
        let inner = serde_json::from_value(bundle).map_err(|error| malformed("no attestation", &error))?;
        Self::bounded(inner)
    }

    fn bounded(inner: Inner) -> Result<Self, Flaw> {
        let material = &inner.verification_material;
        let entries = material.tlog_entries.len();
        let timestamps = material.timestamp_verification_data.rfc3161_timestamps.len();
        let chain = match &material.content {
            VerificationMaterialContent::X509CertificateChain { certificates } => certificates.len(),
            _ => 1,
        };
        if entries.max(timestamps) > MAX_PROOFS || chain > 2 * MAX_PROOFS {
            let detail = format!(
                "{entries} log entries, {timestamps} timestamps and {chain} certificates; at most {MAX_PROOFS} of \
                 each of the first two are looked at, and {} certificates",
                2 * MAX_PROOFS
            );
            return Err(Flaw::new(Code::TooMany, detail));
        }
        Ok(Self(inner))
    }

    /// The statement's bytes and their type; `None` for a signature over the file itself.
    pub fn payload(&self) -> Option<(&str, &[u8])> {
        match &self.0.content {
            SignatureContent::DsseEnvelope(envelope) => {
                Some((&envelope.payload_type, envelope.payload.as_bytes()))
            }
            _ => None,
        }
    }

    /// Whether it is signed with a plain key instead of a certificate.
    pub fn has_plain_key(&self) -> bool {
        matches!(
            self.0.verification_material.content,
            VerificationMaterialContent::PublicKey(_)
        )
    }
}

impl Envelope {
    /// Reads a DSSE envelope with one signature.
    pub fn read(text: &str) -> Result<Self, Flaw> {
        let inner = serde_json::from_str(text).map_err(|error| malformed("no DSSE envelope", &error))?;
        Ok(Self(inner))
    }

    /// The statement's bytes and their type.
    pub fn payload(&self) -> (&str, &[u8]) {
        (&self.0.payload_type, self.0.payload.as_bytes())
    }
}

/// A detached signature: base64 as cosign writes it, or the bare bytes.
pub fn detached(bytes: &[u8]) -> Vec<u8> {
    std::str::from_utf8(bytes)
        .ok()
        .and_then(|text| STANDARD.decode(text.trim()).ok())
        .unwrap_or_else(|| bytes.to_vec())
}

fn malformed(what: &str, error: &impl ToString) -> Flaw {
    Flaw::new(Code::Malformed, format!("{what}: {}", shown(&error.to_string())))
}
