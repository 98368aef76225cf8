//! DSSE v1: signatures over a typed payload (secure-systems-lab/dsse, `envelope.md` and `protocol.md`).

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{PublicKey, Statement, StatementError};

/// Bytes of an envelope that are read at all (threat: a document that fills memory). A statement about one file is
/// a few kilobytes; the largest real one, with a full build environment, stays under 200.
pub const MAX_ENVELOPE_BYTES: usize = 4 * 1024 * 1024;
/// Signatures in one envelope that are tried (threat: each costs a verification per key).
const MAX_SIGNATURES: usize = 32;

/// What is wrong with an envelope, or with who signed it.
#[derive(Debug, Error)]
pub enum EnvelopeError {
    /// Over [`MAX_ENVELOPE_BYTES`]; nothing of it was read.
    #[error("the envelope has {0} bytes; {MAX_ENVELOPE_BYTES} are read at most")]
    TooLarge(usize),
    /// Not JSON, or not this shape.
    #[error("not a DSSE envelope: {0}")]
    Malformed(#[from] serde_json::Error),
    /// Payload or signature.
    #[error("the envelope's {0} is not base64")]
    Base64(&'static str),
    /// None, or more than are tried.
    #[error("the envelope has {0} signatures; between 1 and {MAX_SIGNATURES} are read")]
    Signatures(usize),
    /// No signature verifies under any of the given keys: nothing in it may be believed.
    #[error("no signature verifies under a known key (the envelope names {})", names(.keyids))]
    Untrusted {
        /// The key ids that the envelope claims; unverified.
        keyids: Vec<String>,
    },
    /// Signed by a known key, and no statement.
    #[error(transparent)]
    Statement(#[from] StatementError),
}

fn names(keyids: &[String]) -> String {
    if keyids.is_empty() {
        "none".to_owned()
    } else {
        keyids.join(", ")
    }
}

/// A DSSE envelope as it came: nothing in it is verified. The payload is only given out by [`open`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    payload_type: String,
    payload: Vec<u8>,
    signatures: Vec<(String, Vec<u8>)>,
}

/// As on the wire. Fields that are not known are ignored, as the specification asks.
#[derive(Serialize, Deserialize)]
struct Wire {
    payload: String,
    #[serde(rename = "payloadType")]
    payload_type: String,
    signatures: Vec<WireSignature>,
}

#[derive(Serialize, Deserialize)]
struct WireSignature {
    /// A hint, unsigned. May be absent, and some writers put null.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    keyid: Option<String>,
    sig: String,
}

impl Envelope {
    /// Reads an envelope's JSON.
    pub fn parse(bytes: &[u8]) -> Result<Self, EnvelopeError> {
        if bytes.len() > MAX_ENVELOPE_BYTES {
            return Err(EnvelopeError::TooLarge(bytes.len()));
        }
        let wire: Wire = serde_json::from_slice(bytes)?;
        if wire.signatures.is_empty() || wire.signatures.len() > MAX_SIGNATURES {
            return Err(EnvelopeError::Signatures(wire.signatures.len()));
        }
        let mut signatures = Vec::with_capacity(wire.signatures.len());
        for signature in wire.signatures {
            let sig = decode(&signature.sig).ok_or(EnvelopeError::Base64("signature"))?;
            signatures.push((signature.keyid.unwrap_or_default(), sig));
        }
        Ok(Self {
            payload: decode(&wire.payload).ok_or(EnvelopeError::Base64("payload"))?,
            payload_type: wire.payload_type,
            signatures,
        })
    }

    pub(super) fn new(payload_type: &str, payload: Vec<u8>, keyid: &str, sig: Vec<u8>) -> Self {
        Self {
            payload_type: payload_type.to_owned(),
            payload,
            signatures: vec![(keyid.to_owned(), sig)],
        }
    }

    /// The envelope's JSON, without blanks.
    pub fn to_bytes(&self) -> Vec<u8> {
        let signatures: Vec<_> = self
            .signatures
            .iter()
            .map(|(keyid, sig)| serde_json::json!({ "keyid": keyid, "sig": STANDARD.encode(sig) }))
            .collect();
        serde_json::json!({
            "payload": STANDARD.encode(&self.payload),
            "payloadType": self.payload_type,
            "signatures": signatures,
        })
        .to_string()
        .into_bytes()
    }

    /// The key ids that it claims, shortened: a hint for people, never a proof.
    pub fn claimed_keys(&self) -> Vec<String> {
        let short = |id: &String| id.chars().filter(|c| !c.is_control()).take(80).collect();
        self.signatures
            .iter()
            .map(|(id, _)| short(id))
            .filter(|id: &String| !id.is_empty())
            .collect()
    }
}

/// Both alphabets are allowed by the specification; the padding is required by both.
fn decode(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).or_else(|_| URL_SAFE.decode(text)).ok()
}

/// The bytes that a DSSE signature covers: `"DSSEv1" SP LEN(type) SP type SP LEN(body) SP body`, with lengths in
/// bytes as ASCII decimals (`protocol.md`, "Signature Definition").
pub fn pae(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let head = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len());
    [head.as_bytes(), payload].concat()
}

/// A statement whose signatures were verified.
#[derive(Debug, Clone, PartialEq)]
pub struct Opened {
    /// What is said.
    pub statement: Statement,
    /// Positions in the list of keys that was given, each once, in order: those that signed. Never empty.
    pub signed_by: Vec<usize>,
}

/// Verifies an envelope and reads its statement. A key counts once however often it signed; the `keyid` in the
/// envelope is not signed and decides nothing: each signature is tried under each key.
pub fn open(envelope: &Envelope, keys: &[PublicKey]) -> Result<Opened, EnvelopeError> {
    let message = pae(&envelope.payload_type, &envelope.payload);
    let signed = |key: &PublicKey| {
        envelope
            .signatures
            .iter()
            .any(|(_, sig)| key.verifies(&message, sig))
    };
    let mut signed_by: Vec<usize> = Vec::new();
    for (at, key) in keys.iter().enumerate() {
        if !keys[..at].contains(key) && signed(key) {
            signed_by.push(at);
        }
    }
    if signed_by.is_empty() {
        return Err(EnvelopeError::Untrusted {
            keyids: envelope.claimed_keys(),
        });
    }
    Ok(Opened {
        statement: Statement::parse(&envelope.payload_type, &envelope.payload)?,
        signed_by,
    })
}
