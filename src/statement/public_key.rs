//! Public keys that statements are verified with: Ed25519, ECDSA on P-256 and P-384.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P384_SHA384_ASN1, ED25519, UnparsedPublicKey, VerificationAlgorithm,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chiron_storage::Digest;
use thiserror::Error;

/// Bytes of a key in PEM that are read (threat: the path of something else).
const MAX_PEM_BYTES: usize = 4096;

/// Why a text is no key that can be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PublicKeyError {
    /// No `PUBLIC KEY` block, several, or not base64.
    #[error(
        "not a public key in PEM (one block from \"-----BEGIN PUBLIC KEY-----\" to \"-----END PUBLIC KEY-----\")"
    )]
    Pem,
    /// RSA, another curve, a certificate.
    #[error("the public key is of a kind that is not taken; Ed25519 and ECDSA on P-256 or P-384 are")]
    Kind,
}

/// A public key and the scheme it is used with. Equal keys are one signer, whatever they are called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey {
    scheme: Scheme,
    /// `SubjectPublicKeyInfo` in DER (RFC 5280, 4.1).
    spki: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scheme {
    Ed25519,
    EcdsaP256,
    EcdsaP384,
}

/// What stands before the key's own bytes: each scheme has one DER encoding only, so that comparing is parsing.
/// RFC 8410 section 4; RFC 5480 section 2.1.1.1, named curve, uncompressed point (0x04).
const SCHEMES: [(Scheme, &[u8], usize); 3] = [
    (Scheme::Ed25519, b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00", 32),
    (
        Scheme::EcdsaP256,
        b"\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x03\x42\x00",
        65,
    ),
    (
        Scheme::EcdsaP384,
        b"\x30\x76\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x22\x03\x62\x00",
        97,
    ),
];

impl Scheme {
    fn prefix(self) -> usize {
        SCHEMES
            .iter()
            .find(|(scheme, ..)| *scheme == self)
            .map_or(0, |(_, prefix, _)| prefix.len())
    }

    fn algorithm(self) -> &'static dyn VerificationAlgorithm {
        match self {
            Self::Ed25519 => &ED25519,
            Self::EcdsaP256 => &ECDSA_P256_SHA256_ASN1,
            Self::EcdsaP384 => &ECDSA_P384_SHA384_ASN1,
        }
    }
}

impl PublicKey {
    /// Reads `-----BEGIN PUBLIC KEY-----`, as `openssl pkey -pubout` and `cosign public-key` write it.
    pub fn from_pem(text: &str) -> Result<Self, PublicKeyError> {
        Self::from_spki(&pem_body(text, "PUBLIC KEY").ok_or(PublicKeyError::Pem)?)
    }

    /// Reads a `SubjectPublicKeyInfo` in DER.
    pub fn from_spki(der: &[u8]) -> Result<Self, PublicKeyError> {
        let found = SCHEMES.iter().find(|(_, prefix, length)| {
            der.strip_prefix(*prefix)
                .is_some_and(|key| key.len() == *length && (*length == 32 || key[0] == 4))
        });
        let (scheme, ..) = found.ok_or(PublicKeyError::Kind)?;
        Ok(Self {
            scheme: *scheme,
            spki: der.to_vec(),
        })
    }

    /// From the 32 bytes of an Ed25519 key.
    pub(super) fn ed25519(key: &[u8]) -> Result<Self, PublicKeyError> {
        Self::from_spki(&[SCHEMES[0].1, key].concat())
    }

    /// SHA-256 over the key's DER, hexadecimal: names the key, whoever wrote it down.
    pub fn key_id(&self) -> String {
        Digest::of(&self.spki).to_string()
    }

    /// The key in PEM.
    pub fn to_pem(&self) -> String {
        to_pem("PUBLIC KEY", &self.spki)
    }

    /// Whether `signature` over `message` was made with this key. ECDSA signatures are DER, over SHA-256 (P-256) or
    /// SHA-384 (P-384).
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        let key = &self.spki[self.scheme.prefix()..];
        UnparsedPublicKey::new(self.scheme.algorithm(), key)
            .verify(message, signature)
            .is_ok()
    }
}

/// The bytes of the one PEM block in `text` that has this label (RFC 7468).
pub(super) fn pem_body(text: &str, label: &str) -> Option<Vec<u8>> {
    if text.len() > MAX_PEM_BYTES {
        return None;
    }
    let (begin, end) = (
        format!("-----BEGIN {label}-----"),
        format!("-----END {label}-----"),
    );
    let (_, rest) = text.split_once(&begin)?;
    let (body, after) = rest.split_once(&end)?;
    if after.contains("-----BEGIN") {
        return None;
    }
    let body: String = body.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    STANDARD.decode(body).ok()
}

/// DER as PEM, 64 characters a line (RFC 7468).
pub(super) fn to_pem(label: &str, der: &[u8]) -> String {
    let encoded = STANDARD.encode(der);
    let mut text = format!("-----BEGIN {label}-----\n");
    let mut rest = encoded.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(64));
        text.push_str(line);
        text.push('\n');
        rest = after;
    }
    text + &format!("-----END {label}-----\n")
}
