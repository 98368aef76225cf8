//! A private key in this process's memory: what files, variables and secret stores are once they are opened.

use std::fmt;

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _};
use zeroize::Zeroizing;

use crate::public_key::{PublicKey, Scheme};
use crate::signer::{SignError, Signer, Signing};

/// Why there is no private key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LocalKeyError {
    /// The machine gave no randomness, or the library refused what it made itself.
    #[error("a new key cannot be made")]
    Generate,
    /// Not PKCS#8, or a key of another kind.
    #[error("not a private key in PKCS#8 of a kind that is taken (Ed25519, ECDSA on P-256)")]
    NotAKey,
}

/// A private key. Its secret is wiped from memory when it is dropped (the library does so), and never shown.
pub struct LocalKey {
    pair: Pair,
    public: PublicKey,
}

enum Pair {
    Ed25519(Ed25519KeyPair),
    P256(EcdsaKeyPair),
}

impl LocalKey {
    /// Makes a new key.
    pub fn generate(scheme: Scheme) -> Result<Self, LocalKeyError> {
        let pair = match scheme {
            Scheme::Ed25519 => {
                Pair::Ed25519(Ed25519KeyPair::generate().map_err(|_| LocalKeyError::Generate)?)
            }
            Scheme::EcdsaP256 => Pair::P256(
                EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING)
                    .map_err(|_| LocalKeyError::Generate)?,
            ),
        };
        Self::from_pair(pair)
    }

    /// Reads PKCS#8 in DER, version 1 or 2 (RFC 5208, RFC 5958), not encrypted.
    pub fn from_pkcs8(der: &[u8]) -> Result<Self, LocalKeyError> {
        let pair = if let Ok(pair) = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der) {
            Pair::Ed25519(pair)
        } else {
            EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, der)
                .map(Pair::P256)
                .map_err(|_| LocalKeyError::NotAKey)?
        };
        Self::from_pair(pair)
    }

    fn from_pair(pair: Pair) -> Result<Self, LocalKeyError> {
        let public = match &pair {
            Pair::Ed25519(pair) => PublicKey::new(Scheme::Ed25519, pair.public_key().as_ref()),
            Pair::P256(pair) => PublicKey::new(Scheme::EcdsaP256, pair.public_key().as_ref()),
        };
        Ok(Self {
            public: public.map_err(|_| LocalKeyError::NotAKey)?,
            pair,
        })
    }

    /// The private key as PKCS#8 in DER, to be encrypted and kept. Wiped when dropped.
    pub fn to_pkcs8(&self) -> Result<Zeroizing<Vec<u8>>, LocalKeyError> {
        let der = match &self.pair {
            Pair::Ed25519(pair) => {
                let der: Result<Pkcs8V1Der<'_>, _> = pair.as_der();
                der.map(|der| der.as_ref().to_vec())
            }
            Pair::P256(pair) => pair.to_pkcs8v1().map(|der| der.as_ref().to_vec()),
        };
        der.map(Zeroizing::new).map_err(|_| LocalKeyError::Generate)
    }
}

impl Signer for LocalKey {
    fn public(&self) -> &PublicKey {
        &self.public
    }

    fn sign<'a>(&'a self, message: &'a [u8]) -> Signing<'a> {
        let signed = match &self.pair {
            Pair::Ed25519(pair) => Ok(pair.sign(message)),
            Pair::P256(pair) => pair.sign(&SystemRandom::new(), message),
        };
        let signed = signed
            .map(|signature| signature.as_ref().to_vec())
            .map_err(|_| SignError::Refused {
                key: self.public.id(),
                why: "the library could not sign".to_owned(),
            });
        Box::pin(std::future::ready(signed))
    }
}

impl fmt::Debug for LocalKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LocalKey").field(&self.public.id()).finish()
    }
}
