//! Public keys as metadata states them (section 4.2), and what they verify.

use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, ED25519, ParsedPublicKey, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::canonical::canonical;
use crate::key_id::KeyId;

/// Bytes of a PEM text that are looked at (threat: the path of something else).
const MAX_PEM_BYTES: usize = 4096;

/// What stands before an Ed25519 key's 32 bytes in a `SubjectPublicKeyInfo` (RFC 8410, section 4).
const ED25519_PREFIX: &[u8] = b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00";

/// What stands before a P-256 point's 65 bytes: named curve (RFC 5480, section 2.1.1.1).
const P256_PREFIX: &[u8] =
    b"\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x03\x42\x00";

/// The y coordinates of the points of order 1, 2, 4 and 8 on edwards25519, little-endian.
const SMALL_ORDER: [[u8; 32]; 5] = {
    let (zero, mut one, mut minus_one) = ([0; 32], [0; 32], [0xff; 32]);
    one[0] = 1;
    minus_one[0] = 0xec;
    minus_one[31] = 0x7f;
    [
        zero,
        one,
        minus_one,
        *b"\x26\xe8\x95\x8f\xc2\xb2\x27\xb0\x45\xc3\xf4\x89\xf2\xef\x98\xf0\xd5\xdf\xac\x05\xd3\xc6\x33\x39\xb1\x38\x02\x88\x6d\x53\xfc\x05",
        *b"\xc7\x17\x6a\x70\x3d\x4d\xd8\x4f\xba\x3c\x0b\x76\x0d\x10\x67\x0f\x2a\x20\x53\xfa\x2c\x39\xcc\xc6\x4e\xc7\xfd\x77\x92\xac\x03\x7a",
    ]
};

/// Whether signatures by this Ed25519 key can be made without a private key, or the key has a second spelling.
fn is_weak(key: &[u8; 32]) -> bool {
    let mut y = *key;
    y[31] &= 0x7f;
    // 2^255 - 19 and above: y is written with more than its value.
    let spelled_twice = y[31] == 0x7f && y[1..31] == [0xff; 30] && y[0] >= 0xed;
    spelled_twice || SMALL_ORDER.contains(&y)
}

/// The signature schemes in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Scheme {
    /// Ed25519 (RFC 8032).
    #[serde(rename = "ed25519")]
    Ed25519,
    /// ECDSA on P-256 over SHA-256; signatures in DER.
    #[serde(rename = "ecdsa-sha2-nistp256")]
    EcdsaP256,
}

impl Scheme {
    /// As metadata writes it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ed25519 => "ed25519",
            Self::EcdsaP256 => "ecdsa-sha2-nistp256",
        }
    }
}

/// Why something is no key of ours.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PublicKeyError {
    /// No `PUBLIC KEY` block, several, or not base64.
    #[error(
        "not a public key in PEM (one block from \"-----BEGIN PUBLIC KEY-----\" to \"-----END PUBLIC KEY-----\")"
    )]
    Pem,
    /// RSA, another curve, a compressed point, a certificate, a point that is not on its curve.
    #[error("the key is of a kind that is not taken; Ed25519 and ECDSA on P-256 are")]
    Kind,
    /// Threat: a key of zeros, as a broken export gives, makes a role that anyone may sign for.
    #[error("the key is one of those with which anyone can sign; look at how it was exported")]
    Weak,
    /// Key type, scheme and value do not belong together.
    #[error("the key object says {keytype}/{scheme}, and its value is none of those")]
    Object {
        /// As stated.
        keytype: String,
        /// As stated.
        scheme: String,
    },
}

/// A public key. Equal keys are one signer: there is one spelling, hence one [`KeyId`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "KeyObject", into = "KeyObject")]
pub struct PublicKey {
    scheme: Scheme,
    /// 32 bytes of Ed25519, or 65 of an uncompressed point.
    bytes: Vec<u8>,
    id: KeyId,
}

/// The key object of metadata. No other fields: they would change the key's id in some clients.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyObject {
    keytype: String,
    keyval: KeyValue,
    scheme: String,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyValue {
    public: String,
}

impl PublicKey {
    /// The key with these bytes: 32 of Ed25519, or the 65 of an uncompressed P-256 point.
    pub fn new(scheme: Scheme, bytes: &[u8]) -> Result<Self, PublicKeyError> {
        match scheme {
            Scheme::Ed25519 => {
                let bytes = bytes.try_into().map_err(|_| PublicKeyError::Kind)?;
                if is_weak(bytes) {
                    return Err(PublicKeyError::Weak);
                }
            }
            Scheme::EcdsaP256 => {
                let uncompressed = bytes.len() == 65 && bytes.first() == Some(&4);
                if !uncompressed || ParsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, bytes).is_err() {
                    return Err(PublicKeyError::Kind);
                }
            }
        }
        let mut key = Self {
            scheme,
            bytes: bytes.to_vec(),
            id: KeyId::from_bytes([0; 32]),
        };
        let object = canonical(&KeyObject::from(key.clone())).map_err(|_| PublicKeyError::Kind)?;
        key.id = KeyId::from_bytes(Sha256::digest(&object).into());
        Ok(key)
    }

    /// Reads a `SubjectPublicKeyInfo` in DER (RFC 5280, section 4.1).
    pub fn from_spki(der: &[u8]) -> Result<Self, PublicKeyError> {
        if let Some(key) = der.strip_prefix(ED25519_PREFIX) {
            Self::new(Scheme::Ed25519, key)
        } else if let Some(point) = der.strip_prefix(P256_PREFIX) {
            Self::new(Scheme::EcdsaP256, point)
        } else {
            Err(PublicKeyError::Kind)
        }
    }

    /// Reads `-----BEGIN PUBLIC KEY-----`, as `openssl pkey -pubout` writes it.
    pub fn from_pem(text: &str) -> Result<Self, PublicKeyError> {
        Self::from_spki(&pem_body(text).ok_or(PublicKeyError::Pem)?)
    }

    /// The `SubjectPublicKeyInfo` in DER.
    pub fn to_spki(&self) -> Vec<u8> {
        let prefix = match self.scheme {
            Scheme::Ed25519 => ED25519_PREFIX,
            Scheme::EcdsaP256 => P256_PREFIX,
        };
        [prefix, &self.bytes].concat()
    }

    /// The key in PEM (RFC 7468), with a line feed at the end.
    pub fn to_pem(&self) -> String {
        let encoded = STANDARD.encode(self.to_spki());
        let mut text = String::from("-----BEGIN PUBLIC KEY-----\n");
        let mut rest = encoded.as_str();
        while !rest.is_empty() {
            let (line, after) = rest.split_at(rest.len().min(64));
            text.push_str(line);
            text.push('\n');
            rest = after;
        }
        text + "-----END PUBLIC KEY-----\n"
    }

    /// What the key is called.
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// How it signs.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// Whether `signature` over `message` was made with this key.
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        let verified = match self.scheme {
            Scheme::Ed25519 => UnparsedPublicKey::new(&ED25519, &self.bytes).verify(message, signature),
            Scheme::EcdsaP256 => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, &self.bytes).verify(message, signature)
            }
        };
        verified.is_ok()
    }
}

impl From<PublicKey> for KeyObject {
    fn from(key: PublicKey) -> Self {
        let (keytype, public) = match key.scheme {
            Scheme::Ed25519 => ("ed25519", hex::encode(&key.bytes)),
            Scheme::EcdsaP256 => ("ecdsa", key.to_pem()),
        };
        Self {
            keytype: keytype.to_owned(),
            keyval: KeyValue { public },
            scheme: key.scheme.name().to_owned(),
        }
    }
}

impl TryFrom<KeyObject> for PublicKey {
    type Error = PublicKeyError;

    fn try_from(object: KeyObject) -> Result<Self, PublicKeyError> {
        let public = &object.keyval.public;
        let wrong = || PublicKeyError::Object {
            keytype: object.keytype.clone(),
            scheme: object.scheme.clone(),
        };
        let key = match (object.keytype.as_str(), object.scheme.as_str()) {
            ("ed25519", "ed25519") => {
                let bytes = hex::decode(public).map_err(|_| wrong())?;
                Self::new(Scheme::Ed25519, &bytes)?
            }
            ("ecdsa", "ecdsa-sha2-nistp256") => Self::from_pem(public)?,
            _ => return Err(wrong()),
        };
        // Threat: one key in two spellings, with two ids, counted as two signers.
        if KeyObject::from(key.clone()).keyval.public != *public {
            return Err(wrong());
        }
        Ok(key)
    }
}

fn pem_body(text: &str) -> Option<Vec<u8>> {
    if text.len() > MAX_PEM_BYTES {
        return None;
    }
    let (_, rest) = text.split_once("-----BEGIN PUBLIC KEY-----")?;
    let (body, after) = rest.split_once("-----END PUBLIC KEY-----")?;
    if after.contains("-----BEGIN") {
        return None;
    }
    let body: String = body.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    STANDARD.decode(body).ok()
}

#[cfg(test)]
mod tests;
