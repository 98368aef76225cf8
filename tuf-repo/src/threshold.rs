//! How many keys must agree (section 2.1.1).

use std::collections::BTreeSet;
use std::num::NonZeroU8;

use serde::{Deserialize, Serialize};

use crate::key_id::KeyId;

/// How many different keys must sign. Never zero: that would accept unsigned metadata.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Threshold(NonZeroU8);

/// Why keys and a threshold do not make a role.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ThresholdError {
    /// Zero, or more than 255.
    #[error("a threshold is 1 to 255, not {0}")]
    OutOfRange(u32),
    /// The role could never be signed.
    #[error("the threshold is {threshold}, but there are only {keys} keys: nothing could ever be signed")]
    Unreachable {
        /// Keys that must sign.
        threshold: u8,
        /// Keys that there are.
        keys: usize,
    },
    /// Threat: one key listed twice and counted as two (GHSA-5q2r-92f9-4m49).
    #[error("the key {0} is listed twice")]
    Duplicate(KeyId),
}

impl Threshold {
    /// One key is enough.
    pub const ONE: Self = Self(NonZeroU8::MIN);

    /// `keys` must sign.
    pub fn new(keys: u32) -> Result<Self, ThresholdError> {
        u8::try_from(keys)
            .ok()
            .and_then(NonZeroU8::new)
            .map(Self)
            .ok_or(ThresholdError::OutOfRange(keys))
    }

    /// The number of keys.
    pub fn get(self) -> u8 {
        self.0.get()
    }

    /// Whether these signers suffice. A set, so that a key counts once however often it signed.
    pub fn is_met_by(self, signers: &BTreeSet<KeyId>) -> bool {
        signers.len() >= usize::from(self.get())
    }
}

/// The keys of a role and how many of them must sign.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Listed")]
pub struct RoleKeys {
    keyids: BTreeSet<KeyId>,
    threshold: Threshold,
}

/// A role's keys as metadata lists them, before they are believed.
#[derive(Deserialize)]
struct Listed {
    keyids: Vec<KeyId>,
    threshold: u32,
}

impl TryFrom<Listed> for RoleKeys {
    type Error = ThresholdError;
    fn try_from(listed: Listed) -> Result<Self, ThresholdError> {
        Self::new(listed.keyids, Threshold::new(listed.threshold)?)
    }
}

impl RoleKeys {
    /// `threshold` of `keyids`; each key may be listed once.
    pub fn new(
        keyids: impl IntoIterator<Item = KeyId>,
        threshold: Threshold,
    ) -> Result<Self, ThresholdError> {
        let mut set = BTreeSet::new();
        for id in keyids {
            if !set.insert(id) {
                return Err(ThresholdError::Duplicate(id));
            }
        }
        if threshold.is_met_by(&set) {
            Ok(Self {
                keyids: set,
                threshold,
            })
        } else {
            Err(ThresholdError::Unreachable {
                threshold: threshold.get(),
                keys: set.len(),
            })
        }
    }

    /// The keys that may sign.
    pub fn keyids(&self) -> &BTreeSet<KeyId> {
        &self.keyids
    }

    /// How many of them must.
    pub fn threshold(&self) -> Threshold {
        self.threshold
    }

    /// Whether `signers` suffice; keys of other roles count for nothing.
    pub fn accept(&self, signers: &BTreeSet<KeyId>) -> bool {
        self.threshold
            .is_met_by(&self.keyids.intersection(signers).copied().collect())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    fn key(number: u8) -> KeyId {
        KeyId::from_bytes([number; 32])
    }

    fn two_of_three() -> RoleKeys {
        RoleKeys::new([key(1), key(2), key(3)], Threshold::new(2).unwrap()).unwrap()
    }

    #[test]
    fn a_threshold_is_never_zero() {
        assert_eq!(Threshold::new(0), Err(ThresholdError::OutOfRange(0)));
        assert_eq!(Threshold::new(256), Err(ThresholdError::OutOfRange(256)));
        assert_eq!(Threshold::new(1), Ok(Threshold::ONE));
    }

    #[test]
    fn a_threshold_can_be_reached() {
        let two = Threshold::new(2).unwrap();
        assert_eq!(
            RoleKeys::new([key(1)], two),
            Err(ThresholdError::Unreachable {
                threshold: 2,
                keys: 1
            })
        );
        assert_eq!(
            RoleKeys::new([], Threshold::ONE),
            Err(ThresholdError::Unreachable {
                threshold: 1,
                keys: 0
            })
        );
    }

    #[test]
    fn one_key_listed_twice_is_not_two_keys() {
        let two = Threshold::new(2).unwrap();
        assert_eq!(
            RoleKeys::new([key(1), key(1)], two),
            Err(ThresholdError::Duplicate(key(1)))
        );
    }

    #[test]
    fn enough_of_the_right_keys_are_accepted() {
        assert!(two_of_three().accept(&BTreeSet::from([key(1), key(3)])));
        assert!(two_of_three().accept(&BTreeSet::from([key(1), key(2), key(3), key(9)])));
    }

    #[test]
    fn too_few_or_foreign_keys_are_not() {
        for signers in [
            vec![],
            vec![key(1)],
            vec![key(8), key(9)],
            vec![key(1), key(8), key(9)],
        ] {
            assert!(!two_of_three().accept(&signers.into_iter().collect()));
        }
    }

    #[test]
    fn what_metadata_lists_is_checked_too() {
        let listed = Listed {
            keyids: vec![key(1), key(1)],
            threshold: 1,
        };
        assert_eq!(RoleKeys::try_from(listed), Err(ThresholdError::Duplicate(key(1))));
        let listed = Listed {
            keyids: vec![key(1)],
            threshold: 0,
        };
        assert_eq!(RoleKeys::try_from(listed), Err(ThresholdError::OutOfRange(0)));
    }
}
