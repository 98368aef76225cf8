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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use proptest::prelude::*;

    use super::*;
    use crate::example::{key, now};

    /// RFC 8410, section 10.3: version 1; version 2 with an attribute and the public key; and the public key.
    const V1: &str = "MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC";
    const V2: &str = "MHICAQEwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhCoB8wHQYKKoZIhvcNAQkJFDEP\
                      DA1DdXJkbGUgQ2hhaXJzgSEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=";
    const PUBLIC: &str = "19bf44096984cdfe8541bac167dc3b96c85086aa30b6b6cb0c5c38ad703166e1";

    fn der(text: &str) -> Vec<u8> {
        STANDARD.decode(text).unwrap()
    }

    fn signs(key: &LocalKey) -> bool {
        let signature = now(key.sign(b"message")).unwrap();
        key.public().verifies(b"message", &signature) && !key.public().verifies(b"massage", &signature)
    }

    #[test]
    fn new_keys_sign_and_are_read_back() {
        for scheme in [Scheme::Ed25519, Scheme::EcdsaP256] {
            let key = LocalKey::generate(scheme).unwrap();
            assert_eq!(key.public().scheme(), scheme);
            assert!(signs(&key));
            let read = LocalKey::from_pkcs8(&key.to_pkcs8().unwrap()).unwrap();
            assert_eq!(read.public(), key.public());
            assert!(signs(&read));
            assert_ne!(LocalKey::generate(scheme).unwrap().public(), key.public());
        }
    }

    #[test]
    fn the_keys_of_the_standard_are_read() {
        for text in [V1, V2] {
            let key = LocalKey::from_pkcs8(&der(text)).unwrap();
            let public = PublicKey::new(Scheme::Ed25519, &hex::decode(PUBLIC).unwrap()).unwrap();
            assert_eq!(key.public(), &public);
            assert!(signs(&key));
        }
    }

    /// Threat: signing with one key under the public half of another gives the private key away.
    #[test]
    fn a_public_half_of_another_key_is_refused() {
        let mut wrong = der(V2);
        let last = wrong.len() - 1;
        wrong[last] ^= 1;
        assert_eq!(refusal(&wrong), LocalKeyError::NotAKey);

        let pair = LocalKey::generate(Scheme::EcdsaP256).unwrap();
        let other = LocalKey::generate(Scheme::EcdsaP256).unwrap();
        let (pair, other) = (pair.to_pkcs8().unwrap(), other.to_pkcs8().unwrap());
        let point = pair.len() - 65;
        assert_eq!(pair[point], 4, "the point comes last (RFC 5915)");
        let mixed = [&pair[..point], &other[point..]].concat();
        assert_eq!(refusal(&mixed), LocalKeyError::NotAKey);
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let good = der(V1);
        let mut x25519 = good.clone();
        x25519[11] = 0x6e;
        for bytes in [
            vec![],
            good[..good.len() - 1].to_vec(),
            good[good.len() - 32..].to_vec(),
            x25519,
            STANDARD.encode(&good).into_bytes(),
            key(1).public().to_spki(),
            b"-----BEGIN PRIVATE KEY-----".to_vec(),
            vec![0x30; 4096],
        ] {
            assert_eq!(refusal(&bytes), LocalKeyError::NotAKey, "{bytes:02x?}");
        }
    }

    fn refusal(bytes: &[u8]) -> LocalKeyError {
        LocalKey::from_pkcs8(bytes).unwrap_err()
    }

    #[test]
    fn a_key_does_not_show_itself() {
        let key = LocalKey::from_pkcs8(&der(V1)).unwrap();
        let shown = format!("{key:?}");
        let secret = hex::encode(&der(V1)[16..]);
        assert_eq!(shown, format!("LocalKey({})", key.public().id()));
        assert!(!shown.contains(&secret));
        assert!(!LocalKeyError::NotAKey.to_string().contains(&secret));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = LocalKey::from_pkcs8(&bytes);
        }

        /// What is read after damage is the same key or another whole one, never a half.
        #[test]
        fn a_damaged_key_is_refused_or_whole(at in 0_usize..48, bit in 0_u8..8) {
            let mut bytes = der(V1);
            bytes[at] ^= 1 << bit;
            if let Ok(key) = LocalKey::from_pkcs8(&bytes) {
                prop_assert!(signs(&key));
            }
        }
    }
}
