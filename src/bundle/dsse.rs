//! The signed manifest: a DSSE envelope (secure-systems-lab/dsse, `envelope.md`) whose signatures are by TUF keys.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use chiron_storage::Digest;
use chiron_tuf::{KeyId, PublicKey, RoleKeys, Signature};
use serde::{Deserialize, Serialize};

use super::limits::MAX_ENVELOPE_BYTES;
use super::{BundleError, Manifest, media};
use crate::statement::pae;

/// Signatures in one envelope that are tried. Threat: each costs a verification.
const MAX_SIGNATURES: usize = 32;
/// What messages call it.
const WHAT: &str = "the bundle's manifest";

/// A manifest that enough of the sender's keys signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedManifest {
    /// The envelope as it came.
    pub envelope: Bytes,
    /// SHA-256 of the envelope: what identifies the bundle.
    pub digest: Digest,
    /// What was signed.
    pub manifest: Manifest,
}

/// A manifest that is well formed, by nobody knows whom.
#[derive(Debug, Clone)]
pub struct UnverifiedManifest {
    envelope: Bytes,
    payload: Vec<u8>,
    signatures: Vec<Signature>,
    manifest: Manifest,
}

/// As on the wire, in this order.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    payload: String,
    #[serde(rename = "payloadType")]
    payload_type: String,
    signatures: Vec<WireSignature>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireSignature {
    keyid: KeyId,
    sig: String,
}

/// The payload that is signed, and the bytes that the signatures cover.
///
/// The payload type is part of what is signed, so that a signature over a manifest is none over TUF metadata, which the
/// same keys sign, nor the other way round.
///
/// Errors: [`BundleError::Damaged`], when the manifest is not one that a reader would take.
pub fn manifest_pae(manifest: &Manifest) -> Result<(Vec<u8>, Vec<u8>), BundleError> {
    manifest.check()?;
    let payload = serde_json::to_vec(manifest).map_err(damaged)?;
    let covered = pae(media::MANIFEST_PAYLOAD, &payload);
    Ok((payload, covered))
}

/// The envelope's bytes: the same payload and signatures give the same bytes.
pub fn envelope(payload: &[u8], signatures: &[Signature]) -> Result<Bytes, BundleError> {
    let wire = Wire {
        payload: STANDARD.encode(payload),
        payload_type: media::MANIFEST_PAYLOAD.to_owned(),
        signatures: signatures
            .iter()
            .map(|signature| WireSignature {
                keyid: signature.keyid,
                sig: STANDARD.encode(&signature.sig),
            })
            .collect(),
    };
    serde_json::to_vec(&wire).map(Bytes::from).map_err(damaged)
}

impl SignedManifest {
    /// Reads an envelope. What it says is not believed before [`UnverifiedManifest::verify`].
    ///
    /// Errors: [`BundleError::TooLarge`], [`BundleError::Damaged`].
    pub fn parse_unverified(bytes: &[u8]) -> Result<UnverifiedManifest, BundleError> {
        if bytes.len() as u64 > MAX_ENVELOPE_BYTES {
            return Err(BundleError::TooLarge {
                what: WHAT.to_owned(),
                found: bytes.len() as u64,
                limit: MAX_ENVELOPE_BYTES,
                unit: "bytes",
            });
        }
        let wire: Wire = serde_json::from_slice(bytes).map_err(damaged)?;
        if wire.payload_type != media::MANIFEST_PAYLOAD {
            return Err(damaged(format_args!(
                "its payload is of another type than {}",
                media::MANIFEST_PAYLOAD
            )));
        }
        if wire.signatures.is_empty() || wire.signatures.len() > MAX_SIGNATURES {
            return Err(damaged(format_args!(
                "it has {} signatures; 1 to {MAX_SIGNATURES} are read",
                wire.signatures.len()
            )));
        }
        let payload = STANDARD.decode(&wire.payload).map_err(damaged)?;
        let mut signatures = Vec::with_capacity(wire.signatures.len());
        for WireSignature { keyid, sig } in wire.signatures {
            let sig = STANDARD.decode(&sig).map_err(damaged)?;
            signatures.push(Signature::new(keyid, sig));
        }
        // One spelling: the bundle's digest is over these bytes, and a second envelope must not say the same.
        if envelope(&payload, &signatures)? != bytes {
            return Err(damaged("the envelope is not written as the format says"));
        }
        let manifest: Manifest = serde_json::from_slice(&payload).map_err(damaged)?;
        if serde_json::to_vec(&manifest).map_err(damaged)? != payload {
            return Err(damaged("the payload is not written as the format says"));
        }
        manifest.check()?;
        Ok(UnverifiedManifest {
            envelope: Bytes::copy_from_slice(bytes),
            payload,
            signatures,
            manifest,
        })
    }
}

impl UnverifiedManifest {
    /// What it claims: for messages and for finding the keys, never to act on.
    pub fn claimed(&self) -> &Manifest {
        &self.manifest
    }

    /// SHA-256 of the envelope, whoever signed it.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.envelope)
    }

    /// The keys that it claims to be signed with.
    pub fn claimed_keys(&self) -> impl Iterator<Item = KeyId> + '_ {
        self.signatures.iter().map(|signature| signature.keyid)
    }

    /// Believes it if enough keys of `role` signed it. `keys` and `role` are those of the newest root that was verified.
    ///
    /// Errors: [`BundleError::NotTrusted`].
    pub fn verify(
        self,
        keys: &BTreeMap<KeyId, PublicKey>,
        role: &RoleKeys,
    ) -> Result<SignedManifest, BundleError> {
        let covered = pae(media::MANIFEST_PAYLOAD, &self.payload);
        chiron_tuf::verify(keys, role, &covered, &self.signatures).map_err(|not_met| {
            BundleError::NotTrusted {
                what: WHAT.to_owned(),
                why: not_met.to_string(),
            }
        })?;
        Ok(SignedManifest {
            digest: self.digest(),
            envelope: self.envelope,
            manifest: self.manifest,
        })
    }
}

impl UnverifiedManifest {
    /// Believes it because a manifest with this very digest was believed before. The caller has compared the digests.
    pub(super) fn known(self) -> SignedManifest {
        SignedManifest {
            digest: self.digest(),
            envelope: self.envelope,
            manifest: self.manifest,
        }
    }
}

fn damaged(why: impl std::fmt::Display) -> BundleError {
    BundleError::damaged(WHAT, why)
}

#[cfg(test)]
mod tests;
