//! The one threshold check (section 5, steps "check signatures"; section 2.1.1).

use std::collections::{BTreeMap, BTreeSet};

use crate::envelope::Signature;
use crate::key_id::KeyId;
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use proptest::prelude::*;

    use super::*;
    use crate::example::{key, role_keys, signature};
    use crate::local::LocalKey;
    use crate::signer::Signer as _;

    const PAYLOAD: &[u8] = b"a document";

    fn keys(keys: &[&LocalKey]) -> BTreeMap<KeyId, PublicKey> {
        let entry = |key: &&LocalKey| (key.public().id(), key.public().clone());
        keys.iter().map(entry).collect()
    }

    #[test]
    fn enough_keys_are_enough() {
        let (a, b, c) = (key(1), key(2), key(3));
        let role = role_keys(&[&a, &b, &c], 2);
        let signatures = [signature(&c, PAYLOAD), signature(&a, PAYLOAD)];
        let signed = verify(&keys(&[&a, &b, &c]), &role, PAYLOAD, &signatures).unwrap();
        assert_eq!(signed, BTreeSet::from([a.public().id(), c.public().id()]));
    }

    #[test]
    fn the_threshold_not_met_says_who_is_missing() {
        let (a, b, c) = (key(1), key(2), key(3));
        let role = role_keys(&[&a, &b, &c], 2);
        let error = verify(&keys(&[&a, &b, &c]), &role, PAYLOAD, &[signature(&a, PAYLOAD)]).unwrap_err();
        assert_eq!(error.threshold, 2);
        assert_eq!(error.signed, BTreeSet::from([a.public().id()]));
        assert_eq!(error.lacking, BTreeSet::from([b.public().id(), c.public().id()]));
        for id in &error.lacking {
            let short = id.to_string()[..8].to_owned();
            assert!(error.to_string().contains(&short), "{error}");
        }
    }

    /// GHSA-5q2r-92f9-4m49: a key that signed twice is one signer.
    #[test]
    fn one_key_that_signed_twice_is_one_signer() {
        let (a, b) = (key(1), key(2));
        let role = role_keys(&[&a, &b], 2);
        let twice = [signature(&a, PAYLOAD), signature(&a, PAYLOAD)];
        assert!(verify(&keys(&[&a, &b]), &role, PAYLOAD, &twice).is_err());

        // ECDSA gives another signature each time.
        let p256 = LocalKey::generate(crate::Scheme::EcdsaP256).unwrap();
        let role = role_keys(&[&p256, &b], 2);
        let twice = [signature(&p256, PAYLOAD), signature(&p256, PAYLOAD)];
        assert_ne!(twice[0].sig, twice[1].sig);
        assert!(verify(&keys(&[&p256, &b]), &role, PAYLOAD, &twice).is_err());
    }

    #[test]
    fn one_key_under_two_names_is_one_signer() {
        let (a, b) = (key(1), key(2));
        let role = role_keys(&[&a, &b], 2);
        let mut misfiled = keys(&[&a]);
        misfiled.insert(b.public().id(), a.public().clone());
        let mut again = signature(&a, PAYLOAD);
        again.keyid = b.public().id();
        let signatures = [signature(&a, PAYLOAD), again];
        let error = verify(&misfiled, &role, PAYLOAD, &signatures).unwrap_err();
        assert_eq!(error.signed, BTreeSet::from([a.public().id()]));
    }

    #[test]
    fn what_is_signed_by_others_counts_for_nothing() {
        let (a, b, foreign) = (key(1), key(2), key(9));
        let role = role_keys(&[&a, &b], 1);
        let known = keys(&[&a, &b, &foreign]);
        let mut claimed = signature(&foreign, PAYLOAD);
        claimed.keyid = a.public().id();
        let mut cut = signature(&a, PAYLOAD);
        cut.sig.pop();
        for (what, signatures) in [
            ("nobody", vec![]),
            ("a key of another role", vec![signature(&foreign, PAYLOAD)]),
            ("a foreign key under a role's name", vec![claimed]),
            (
                "a role's key over something else",
                vec![signature(&a, b"another document")],
            ),
            ("a signature cut short", vec![cut]),
        ] {
            assert!(verify(&known, &role, PAYLOAD, &signatures).is_err(), "{what}");
        }
        // A key that the role has and the document does not state.
        let nothing_known = keys(&[&foreign]);
        assert!(verify(&nothing_known, &role, PAYLOAD, &[signature(&a, PAYLOAD)]).is_err());
    }

    #[test]
    fn a_wrong_signature_does_not_spoil_the_right_ones() {
        let (a, b) = (key(1), key(2));
        let role = role_keys(&[&a, &b], 1);
        let mut wrong = signature(&a, b"another document");
        for signatures in [
            [wrong.clone(), signature(&a, PAYLOAD)],
            [wrong.clone(), signature(&b, PAYLOAD)],
            [signature(&a, PAYLOAD), wrong.clone()],
        ] {
            assert!(verify(&keys(&[&a, &b]), &role, PAYLOAD, &signatures).is_ok());
        }
        wrong.sig.clear();
        assert!(verify(&keys(&[&a, &b]), &role, PAYLOAD, &[wrong, signature(&b, PAYLOAD)]).is_ok());
    }

    proptest! {
        /// However signatures are repeated, mixed and spoilt: as many signers as keys of the role that signed.
        #[test]
        fn signers_are_the_keys_that_signed(
            made in prop::collection::vec((1_u8..8, any::<bool>()), 0..12),
            threshold in 1_u32..=4,
        ) {
            let all: Vec<LocalKey> = (1..8).map(key).collect();
            let role: Vec<&LocalKey> = all[..4].iter().collect();
            let known = keys(&all.iter().collect::<Vec<_>>());
            let signatures: Vec<Signature> = made
                .iter()
                .map(|(seed, good)| signature(&key(*seed), if *good { PAYLOAD } else { b"another" }))
                .collect();
            let expected: BTreeSet<KeyId> = made
                .iter()
                .filter(|(seed, good)| *good && *seed < 5)
                .map(|(seed, _)| key(*seed).public().id())
                .collect();
            let keys_of_role = role_keys(&role, threshold);
            prop_assert_eq!(&signers(&known, &keys_of_role, PAYLOAD, &signatures), &expected);
            let enough = expected.len() >= threshold as usize;
            prop_assert_eq!(verify(&known, &keys_of_role, PAYLOAD, &signatures).is_ok(), enough);
        }
    }
}
