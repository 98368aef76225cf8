//! The one threshold check (section 5, steps "check signatures"; section 2.1.1).

use std::collections::{BTreeMap, BTreeSet};

use crate::key_id::KeyId;
use crate::metadata::Signature;
use crate::public_key::PublicKey;
use crate::threshold::RoleKeys;

/// Not enough of the right keys signed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} of the {threshold} signatures that are needed: {}", signed.len(), missing(lacking))]
pub struct ThresholdNotMet {
    /// How many keys must sign.
    pub threshold: u8,
    /// Keys of the role whose signature verified.
    pub signed: BTreeSet<KeyId>,
    /// Keys of the role that did not sign, or wrongly.
    pub lacking: BTreeSet<KeyId>,
}

fn missing(lacking: &BTreeSet<KeyId>) -> String {
    let ids: Vec<String> = lacking.iter().map(|id| id.to_string()[..8].to_owned()).collect();
    format!("none (or none that verifies) by {}", ids.join(", "))
}

/// The keys of `role` whose signature over `payload` verifies. Each counts once, whatever it signed how often.
pub fn signers(
    keys: &BTreeMap<KeyId, PublicKey>,
    role: &RoleKeys,
    payload: &[u8],
    signatures: &[Signature],
) -> BTreeSet<KeyId> {
    signatures
        .iter()
        .filter(|signature| role.keyids().contains(&signature.keyid))
        .filter(|signature| {
            // The key's own id, not the name it is filed under: one key under two names is one signer.
            keys.get(&signature.keyid)
                .is_some_and(|key| key.id() == signature.keyid && key.verifies(payload, &signature.sig))
        })
        .map(|signature| signature.keyid)
        .collect()
}

/// Whether enough keys of `role` signed `payload`.
pub fn verify(
    keys: &BTreeMap<KeyId, PublicKey>,
    role: &RoleKeys,
    payload: &[u8],
    signatures: &[Signature],
) -> Result<BTreeSet<KeyId>, ThresholdNotMet> {
    let signed = signers(keys, role, payload, signatures);
    if role.accept(&signed) {
        return Ok(signed);
    }
    Err(ThresholdNotMet {
        threshold: role.threshold().get(),
        lacking: role.keyids().difference(&signed).copied().collect(),
        signed,
    })
}
