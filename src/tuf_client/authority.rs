//! Whose signatures a role needs, as a verified root states it.

use std::collections::BTreeSet;
use std::fmt;

use bytes::Bytes;

use super::TufClient;
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

impl TufClient {
    /// The newest verified root, its file's bytes. Nothing is asked. `None` before the first refresh.
    pub async fn newest_root(&self) -> Option<Bytes> {
        let live = self.0.live.lock().await;
        let version = live.updater.as_ref()?.trusted().root().version;
        self.0.state.root(version).map(Bytes::from)
    }
}
