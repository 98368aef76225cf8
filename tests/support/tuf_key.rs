//! Keys, signatures and moments of an author for tests.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used)]

use std::sync::Arc;
use std::time::Duration;

use chiron_tuf::{LocalKey, Scheme, Signer as _, canonical};
use futures_util::FutureExt as _;
use pkcs8::der::SecretDocument;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// Lower-case hexadecimal SHA-256.
pub fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// A moment from now as metadata writes it; in the past with `ago`.
pub fn in_(from_now: Duration) -> String {
    stamp(jiff::Timestamp::now() + from_now)
}

/// A moment in the past as metadata writes it.
pub fn ago(before_now: Duration) -> String {
    stamp(jiff::Timestamp::now() - before_now)
}

fn stamp(at: jiff::Timestamp) -> String {
    jiff::Timestamp::from_second(at.as_second()).unwrap().to_string()
}

/// A key pair.
#[derive(Clone, Debug)]
pub struct Key(Arc<LocalKey>);

impl Key {
    pub fn ed25519() -> Self {
        Self(Arc::new(LocalKey::generate(Scheme::Ed25519).unwrap()))
    }

    pub fn p256() -> Self {
        Self(Arc::new(LocalKey::generate(Scheme::EcdsaP256).unwrap()))
    }

    /// A key as a daemon keeps it: encrypted PKCS#8.
    pub fn from_encrypted_pem(pem: &str, passphrase: &[u8]) -> Self {
        let (label, encrypted) = SecretDocument::from_pem(pem).unwrap();
        assert_eq!(label, "ENCRYPTED PRIVATE KEY");
        let info = pkcs8::EncryptedPrivateKeyInfoRef::try_from(encrypted.as_bytes()).unwrap();
        let key = info.decrypt(passphrase).unwrap();
        Self(Arc::new(LocalKey::from_pkcs8(key.as_bytes()).unwrap()))
    }

    pub fn id(&self) -> String {
        self.0.public().id().to_string()
    }

    /// The key object of metadata.
    pub fn object(&self) -> Value {
        serde_json::to_value(self.0.public()).unwrap()
    }

    /// Hexadecimal signature over the canonical form.
    pub fn sign(&self, signed: &Value) -> String {
        let message = canonical(signed).unwrap();
        let signature = self
            .0
            .sign(&message)
            .now_or_never()
            .expect("a key in memory signs at once");
        hex::encode(signature.unwrap())
    }

    /// An entry of `signatures`.
    pub fn signature(&self, signed: &Value) -> Value {
        json!({ "keyid": self.id(), "sig": self.sign(signed) })
    }
}

/// `{"signatures": […], "signed": …}`.
pub fn envelope(signed: &Value, keys: &[Key]) -> Value {
    let signatures: Vec<Value> = keys.iter().map(|key| key.signature(signed)).collect();
    json!({ "signatures": signatures, "signed": signed })
}
