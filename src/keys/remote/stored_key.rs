//! A private key as it is kept in a secret store: one PKCS#8 PEM that is not encrypted, since the store encrypts it.

use std::collections::BTreeMap;
use std::sync::Arc;

use chiron_tuf::{LocalKey, Signer};
use zeroize::Zeroizing;

use super::super::pem::{self, Block};
use super::error::Fault;
use super::secret_text::SecretText;

/// Reads the key.
pub(super) fn read(bytes: &[u8]) -> Result<Arc<dyn Signer>, Fault> {
    let not = |why: &str| Fault::NotAKey(why.to_owned());
    if bytes.len() > pem::MAX_BYTES {
        return Err(not("holds more than a key"));
    }
    let key = match pem::read(bytes).map_err(not)? {
        Block::Plain(der) => LocalKey::from_pkcs8(&der).map_err(|_| {
            not("holds a private key of a kind that is not taken; Ed25519 and ECDSA on P-256 are")
        })?,
        Block::Encrypted(_) => {
            return Err(not(
                "holds a key that is encrypted with a passphrase; a secret store keeps it plain (`openssl pkcs8 -topk8 -nocrypt`), and guards it itself",
            ));
        }
        Block::Public => return Err(not("holds a public key, and the private one is needed to sign")),
    };
    Ok(Arc::new(key))
}

/// The text in one field of a JSON object, as consoles keep secrets of several values.
pub(super) fn field(bytes: &[u8], name: &str) -> Result<Zeroizing<Vec<u8>>, Fault> {
    let not = |why: String| Fault::NotAKey(why);
    // Nothing of the content may stand in the error, so the library's words are left out.
    let mut fields: BTreeMap<String, SecretText> =
        serde_json::from_slice(bytes).map_err(|_| not("holds no JSON object of texts".to_owned()))?;
    match fields.remove(name) {
        Some(text) => Ok(Zeroizing::new(text.as_bytes().to_vec())),
        None => Err(not(format!("holds no field {name:?}"))),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use chiron_tuf::Scheme;

    use super::*;

    #[test]
    fn a_key_is_read_from_a_text_and_from_a_field() {
        for scheme in [Scheme::Ed25519, Scheme::EcdsaP256] {
            let key = LocalKey::generate(scheme).unwrap();
            let text = pem::write("PRIVATE KEY", &key.to_pkcs8().unwrap());
            assert_eq!(read(text.as_bytes()).unwrap().public().id(), key.public().id());
            let object = serde_json::json!({"user": "x", "key": text.as_str()}).to_string();
            let inner = field(object.as_bytes(), "key").unwrap();
            assert_eq!(read(&inner).unwrap().public().id(), key.public().id());
        }
    }

    #[test]
    fn what_is_no_key_is_told_apart_and_never_repeated() {
        for (text, why) in [
            ("hunter2", "no private key"),
            ("{\"key\": 7, \"x\": \"hunter2\"}", "no private key"),
            (
                "-----BEGIN ENCRYPTED PRIVATE KEY-----\naHVudGVyMg==\n-----END ENCRYPTED PRIVATE KEY-----",
                "passphrase",
            ),
            (
                "-----BEGIN PRIVATE KEY-----\naHVudGVyMg==\n-----END PRIVATE KEY-----",
                "a kind that is not taken",
            ),
        ] {
            let Err(fault) = read(text.as_bytes()) else {
                panic!("{text} is no key")
            };
            let shown = format!("{fault:?}");
            assert!(
                shown.contains(why) && !shown.contains("hunter2") && !shown.contains("aHVud"),
                "{shown}"
            );
        }
        for (text, why) in [
            ("hunter2", "no JSON object"),
            ("{\"key\": 7}", "no JSON object"),
            ("{\"a\": \"hunter2\"}", "no field"),
        ] {
            let shown = format!("{:?}", field(text.as_bytes(), "key").unwrap_err());
            assert!(shown.contains(why) && !shown.contains("hunter2"), "{shown}");
        }
    }
}
