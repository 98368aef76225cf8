//! Signatures with plain public keys, for organisations that use no Sigstore.

use sigstore_verify::crypto::{KeyAlgorithm, SigningScheme, verify_signature, verify_signature_prehashed};
use sigstore_verify::types::{DerPublicKey, SignatureBytes, SignatureContent};

use super::super::finding::{Code, Flaw};
use super::super::signed::Signed;
use super::bundle::{Bundle, Envelope};

/// A public key that may sign.
pub struct Key {
    pub(super) der: DerPublicKey,
    schemes: &'static [SigningScheme],
}

impl Key {
    /// Reads a PEM `PUBLIC KEY`: ECDSA P-256 or P-384, Ed25519, RSA. The error says what it is instead.
    pub fn read(pem: &[u8]) -> Result<Self, String> {
        use SigningScheme as S;
        let text = std::str::from_utf8(pem).map_err(|_| "not a text, so no PEM file".to_owned())?;
        let der = DerPublicKey::from_pem(text).map_err(|error| error.to_string())?;
        let algorithm = KeyAlgorithm::from_spki(&der).map_err(|error| error.to_string())?;
        // What signs with such a key: first what cosign does today, then what it did, then what others do.
        let schemes: &[S] = match algorithm {
            KeyAlgorithm::EcdsaP256 => &[S::EcdsaP256Sha256, S::EcdsaP256Sha384],
            KeyAlgorithm::EcdsaP384 => &[S::EcdsaP384Sha384, S::EcdsaP384Sha256],
            KeyAlgorithm::Ed25519 => &[S::Ed25519],
            KeyAlgorithm::Rsa => &[
                S::RsaPkcs1Sha256,
                S::RsaPssSha256,
                S::RsaPkcs1Sha384,
                S::RsaPkcs1Sha512,
                S::RsaPssSha384,
                S::RsaPssSha512,
            ],
            other => return Err(format!("keys of the kind {other:?} are not supported")),
        };
        Ok(Self { der, schemes })
    }

    /// Whether this key made a detached signature over the file.
    pub fn signed_file(&self, signature: &[u8], signed: &Signed<'_>) -> Result<bool, Flaw> {
        let signature = SignatureBytes::from_bytes(signature);
        let mut whole: Option<Vec<u8>> = None;
        for scheme in self.schemes {
            let verified = match scheme {
                SigningScheme::EcdsaP256Sha384
                | SigningScheme::EcdsaP384Sha384
                | SigningScheme::RsaPkcs1Sha384
                | SigningScheme::RsaPssSha384 => {
                    verify_signature_prehashed(&self.der, &signed.sha384()?, &signature, *scheme)
                }
                SigningScheme::RsaPkcs1Sha512 | SigningScheme::RsaPssSha512 => {
                    verify_signature_prehashed(&self.der, &signed.sha512()?, &signature, *scheme)
                }
                SigningScheme::Ed25519 => {
                    if whole.is_none() {
                        whole = Some(signed.bytes()?);
                    }
                    verify_signature(
                        &self.der,
                        whole.as_deref().unwrap_or_default(),
                        &signature,
                        *scheme,
                    )
                }
                _ => verify_signature_prehashed(&self.der, signed.sha256.as_bytes(), &signature, *scheme),
            };
            if verified.is_ok() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether this key signed the envelope (DSSE's pre-authentication encoding).
    pub fn signed_envelope(&self, envelope: &Envelope) -> bool {
        let message = envelope.0.pae();
        self.schemes
            .iter()
            .any(|scheme| verify_signature(&self.der, &message, &envelope.0.signature.sig, *scheme).is_ok())
    }

    /// Whether this key signed what the bundle holds; what its log says is another question.
    pub fn signed_bundle(&self, bundle: &Bundle, signed: &Signed<'_>) -> Result<bool, Flaw> {
        match &bundle.0.content {
            SignatureContent::DsseEnvelope(envelope) => Ok(self.signed_envelope(&Envelope(envelope.clone()))),
            SignatureContent::MessageSignature(message) => {
                self.signed_file(message.signature.as_bytes(), signed)
            }
            _ => Err(Flaw::new(
                Code::Malformed,
                "a bundle without a signature that is known",
            )),
        }
    }
}
