//! AWS KMS: asymmetric keys for signing, `ECC_NIST_P256` and `ECC_NIST_EDWARDS25519`. The private key never leaves it.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chiron_tuf::{PublicKey, Scheme, Signer, Signing};
use serde::Deserialize;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::aws::{Aws, Service};
use super::error::Fault;
use super::said::said;
use super::uri::{AwsKey, RemotePlace, arn_region};
use super::{Opened, Surroundings, sign_error};

static KMS: Service = Service {
    name: "kms",
    target: "TrentService",
    endpoint: "AWS_ENDPOINT_URL_KMS",
    permissions: "kms:GetPublicKey and kms:Sign",
};

/// Bytes of a message that KMS takes. For ECDSA a digest may stand in; Ed25519 signs the message itself, and so no more.
const MAX_MESSAGE_BYTES: usize = 4096;

struct KmsSigner {
    aws: Aws,
    place: AwsKey,
    public: PublicKey,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Described {
    key_id: String,
    public_key: String,
    key_usage: String,
    #[serde(default)]
    key_spec: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Signed {
    signature: String,
}

/// Asks for the key's public half (`GetPublicKey`).
pub(super) async fn open(place: &AwsKey, around: &Surroundings) -> Result<Opened, Fault> {
    let region = place.region.as_deref();
    let aws = Aws::connect(&KMS, place.endpoint.as_ref(), region, &place.key, around).await?;
    let answer = aws.call("GetPublicKey", &json!({"KeyId": place.key})).await?;
    let described: Described = answer.json()?;
    if described.key_usage != "SIGN_VERIFY" {
        return Err(Fault::NotAKey(format!(
            "holds a key for {}; one for SIGN_VERIFY is needed",
            said(&described.key_usage, &[])
        )));
    }
    let der = STANDARD
        .decode(&described.public_key)
        .map_err(|_| Fault::Refused("its public key is no base64".to_owned()))?;
    let public = PublicKey::from_spki(&der).map_err(|_| {
        Fault::NotAKey(format!(
            "holds a key of the kind {}; ECC_NIST_P256 and ECC_NIST_EDWARDS25519 are taken",
            said(&described.key_spec, &[])
        ))
    })?;
    let pinned = pinned(place, &described.key_id, aws.region())?;
    Ok(Opened {
        place: RemotePlace::AwsKms(pinned.clone()),
        signer: Arc::new(KmsSigner {
            aws,
            place: pinned,
            public,
        }),
    })
}

/// The place without what may move: an alias can be pointed at another key, and the usual region be set otherwise.
fn pinned(place: &AwsKey, key_id: &str, region: &str) -> Result<AwsKey, Fault> {
    let is_alias = place.key.starts_with("alias/") || place.key.contains(":alias/");
    let key = if is_alias { key_id } else { &place.key };
    let region = match arn_region(key) {
        Some(_) => None,
        None => Some(region.to_owned()),
    };
    let pinned = AwsKey {
        endpoint: place.endpoint.clone(),
        key: key.to_owned(),
        region,
    };
    // Written and read again: what the service named may be anything.
    match pinned.to_string().parse() {
        Ok(read) if pinned == read => Ok(pinned),
        _ => Err(Fault::Refused(
            "it names its key in a way that no key has".to_owned(),
        )),
    }
}

impl KmsSigner {
    async fn signature(&self, message: &[u8]) -> Result<Vec<u8>, Fault> {
        let (algorithm, kind, message) = match self.public.scheme() {
            Scheme::EcdsaP256 if message.len() > MAX_MESSAGE_BYTES => {
                let digest = STANDARD.encode(Sha256::digest(message));
                ("ECDSA_SHA_256", "DIGEST", digest)
            }
            Scheme::EcdsaP256 => ("ECDSA_SHA_256", "RAW", STANDARD.encode(message)),
            Scheme::Ed25519 if message.len() > MAX_MESSAGE_BYTES => {
                return Err(Fault::Refused(format!(
                    "KMS signs {MAX_MESSAGE_BYTES} bytes at most with Ed25519, and this document has {}; use a key of ECC_NIST_P256 for this role",
                    message.len()
                )));
            }
            Scheme::Ed25519 => ("ED25519_SHA_512", "RAW", STANDARD.encode(message)),
        };
        let body = json!({
            "KeyId": self.place.key,
            "Message": message,
            "MessageType": kind,
            "SigningAlgorithm": algorithm,
        });
        let signed: Signed = self.aws.call("Sign", &body).await?.json()?;
        STANDARD
            .decode(&signed.signature)
            .map_err(|_| Fault::Refused("its signature is no base64; nothing was published".to_owned()))
    }
}

impl Signer for KmsSigner {
    fn public(&self) -> &PublicKey {
        &self.public
    }

    fn sign<'a>(&'a self, message: &'a [u8]) -> Signing<'a> {
        Box::pin(async move {
            let signed = self.aws.around.within(self.signature(message)).await;
            let place = || RemotePlace::AwsKms(self.place.clone());
            signed.map_err(|fault| sign_error(fault, &place(), self.public.id()))
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    #[test]
    fn what_may_move_is_pinned() {
        let arn = "arn:aws:kms:eu-west-1:111122223333:key/1234";
        let pin = |text: &str, id: &str| {
            let place: RemotePlace = text.parse().unwrap();
            let RemotePlace::AwsKms(place) = place else {
                panic!("{text}")
            };
            pinned(&place, id, "eu-west-1").map(|place| place.to_string())
        };
        let whole = Ok(format!("awskms:///{arn}"));
        assert_eq!(pin("awskms:///alias/chiron", arn), whole);
        assert_eq!(
            pin("awskms:///arn:aws:kms:eu-west-1:111122223333:alias/chiron", arn),
            whole
        );
        assert_eq!(pin(&format!("awskms:///{arn}"), "1234"), whole);
        let named = Ok("awskms:///1234?region=eu-west-1".to_owned());
        assert_eq!(pin("awskms:///1234", arn), named);
        assert_eq!(pin("awskms:///alias/chiron", "1234"), named);
        assert!(pin("awskms:///alias/chiron", "a b#c").is_err());
    }
}
