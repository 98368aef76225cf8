//! Signatures of Vault's transit engine (`POST sign/NAME`).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chiron_tuf::{PublicKey, Scheme, Signer, Signing};
use serde::Deserialize;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::error::Fault;
use super::sign_error;
use super::uri::{RemotePlace, VaultKey};
use super::vault::{Attempts, Vault, Wrapped};

/// One version of one key.
pub(super) struct TransitSigner {
    pub(super) vault: Vault,
    pub(super) place: VaultKey,
    pub(super) version: u32,
    pub(super) public: PublicKey,
}

/// `POST sign/NAME`: `data`.
#[derive(Deserialize)]
struct Signed {
    signature: String,
}

impl TransitSigner {
    async fn signature(&self, message: &[u8]) -> Result<Vec<u8>, Fault> {
        let body = match self.public.scheme() {
            // Ed25519 signs the message itself, so all of it travels.
            Scheme::Ed25519 => json!({
                "input": STANDARD.encode(message),
                "key_version": self.version,
            }),
            Scheme::EcdsaP256 => json!({
                "input": STANDARD.encode(Sha256::digest(message)),
                "prehashed": true,
                "hash_algorithm": "sha2-256",
                "marshaling_algorithm": "asn1",
                "key_version": self.version,
            }),
        };
        let answer = self
            .vault
            .post(&self.place, "sign", &body, Attempts::Several)
            .await?;
        let signed: Wrapped<Signed> = answer.json()?;
        let start = format!("vault:v{}:", self.version);
        let Some(encoded) = signed.data.signature.strip_prefix(&start) else {
            return Err(Fault::Refused(format!(
                "it was asked to sign with version {} and signed with another; nothing was published",
                self.version
            )));
        };
        STANDARD
            .decode(encoded)
            .map_err(|_| Fault::Refused("its signature is no base64; nothing was published".to_owned()))
    }
}

impl Signer for TransitSigner {
    fn public(&self) -> &PublicKey {
        &self.public
    }

    fn sign<'a>(&'a self, message: &'a [u8]) -> Signing<'a> {
        Box::pin(async move {
            let signed = self.vault.around.within(self.signature(message)).await;
            let place = || RemotePlace::Vault(self.place.clone());
            signed.map_err(|fault| sign_error(fault, &place(), self.public.id()))
        })
    }
}
