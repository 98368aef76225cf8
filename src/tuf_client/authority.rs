//! Whose signatures a role needs, as a verified root states it.

use std::collections::BTreeSet;
use std::fmt;

use super::error::short;

/// Keys, and how many of them must sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleAuthority {
    /// How many must.
    pub threshold: u64,
    /// Their ids.
    pub keys: BTreeSet<String>,
}

impl RoleAuthority {
    pub(super) fn of(keys: &sigstore_tuf::RoleKeys) -> Self {
        Self {
            threshold: keys.threshold as u64,
            keys: keys.keyids.iter().cloned().collect(),
        }
    }
}

impl fmt::Display for RoleAuthority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys: Vec<String> = self.keys.iter().map(|key| short(key)).collect();
        write!(f, "{} of {}", self.threshold, keys.join(", "))
    }
}
