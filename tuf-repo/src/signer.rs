//! What signs: a key somewhere, asked for a signature over canonical bytes.

use std::future::Future;
use std::pin::Pin;

use crate::envelope::Signature;
use crate::key_id::KeyId;
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;
    use crate::example::{key, now};
    use crate::local::LocalKey;

    /// A back end that claims to hold one key and answers as it likes.
    struct Lying {
        claims: LocalKey,
        answer: Result<Vec<u8>, SignError>,
    }

    impl Signer for Lying {
        fn public(&self) -> &PublicKey {
            self.claims.public()
        }

        fn sign<'a>(&'a self, _: &'a [u8]) -> Signing<'a> {
            Box::pin(std::future::ready(self.answer.clone()))
        }
    }

    fn asked(answer: Result<Vec<u8>, SignError>) -> Result<Signature, SignError> {
        let claims = key(1);
        now(sign(&Lying { claims, answer }, b"message"))
    }

    #[test]
    fn a_right_signature_is_handed_on() {
        let key = key(1);
        let signature = now(sign(&key, b"message")).unwrap();
        assert_eq!(signature.keyid, key.public().id());
        assert!(key.public().verifies(b"message", &signature.sig));
        assert_eq!(asked(Ok(signature.sig.clone())), Ok(signature));
    }

    #[test]
    fn a_wrong_signature_never_leaves() {
        let by_another = now(key(2).sign(b"message")).unwrap();
        let of_another = now(key(1).sign(b"massage")).unwrap();
        let good = now(key(1).sign(b"message")).unwrap();
        for wrong in [
            by_another,
            of_another,
            vec![],
            vec![0; 64],
            good[..63].to_vec(),
            hex::encode(good).into_bytes(),
        ] {
            let id = key(1).public().id();
            assert_eq!(asked(Ok(wrong)), Err(SignError::Wrong { key: id }));
        }
    }

    #[test]
    fn a_back_end_that_cannot_says_why() {
        let error = SignError::Unavailable {
            key: key(1).public().id(),
            why: "no answer in 10 s".to_owned(),
        };
        assert_eq!(asked(Err(error.clone())), Err(error.clone()));
        assert!(error.to_string().ends_with("no answer in 10 s"), "{error}");
    }
}
