//! What signs: a key somewhere, asked for a signature over canonical bytes.

use std::future::Future;
use std::pin::Pin;

use crate::key_id::KeyId;
use crate::metadata::Signature;
use crate::public_key::PublicKey;

/// A signature being made.
pub type Signing<'a> = Pin<Box<dyn Future<Output = Result<Vec<u8>, SignError>> + Send + 'a>>;

/// A private key that can be used and not seen: a file, a token, a service.
pub trait Signer: Send + Sync {
    /// The public half.
    fn public(&self) -> &PublicKey;

    /// A signature over `message` in the form that metadata wants: 64 bytes of Ed25519, or DER of ECDSA.
    ///
    /// It ends, within a time that the back end bounds. What comes back is not trusted: use [`sign`].
    fn sign<'a>(&'a self, message: &'a [u8]) -> Signing<'a>;
}

/// Why there is no signature. Never holds a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    /// It cannot be reached now; later it may.
    #[error("the key {key} cannot be reached: {why}")]
    Unavailable {
        /// Which key.
        key: KeyId,
        /// What the back end said, secrets left out.
        why: String,
    },
    /// It was reached and would not sign: a wrong passphrase or PIN, no permission, a key that is gone or disabled.
    #[error("the key {key} does not sign: {why}")]
    Refused {
        /// Which key.
        key: KeyId,
        /// What the back end said, secrets left out.
        why: String,
    },
    /// It signed something that does not verify with the key it should be.
    #[error("the back end of the key {key} gave a signature that does not verify; nothing was published")]
    Wrong {
        /// Which key.
        key: KeyId,
    },
}

/// Asks for a signature and verifies it: a wrong one never leaves this function.
pub async fn sign(signer: &dyn Signer, message: &[u8]) -> Result<Signature, SignError> {
    let key = signer.public();
    let bytes = signer.sign(message).await?;
    if key.verifies(message, &bytes) {
        Ok(Signature::new(key.id(), bytes))
    } else {
        Err(SignError::Wrong { key: key.id() })
    }
}
