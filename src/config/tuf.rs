//! `[tuf]`: the signed repository.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::value::Period;

/// The signed repository under `/tuf/`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Tuf {
    /// Shortest time between two publications: what changes meanwhile is published together.
    pub interval: Period,
    /// How often the timestamp is signed again when nothing changes. It holds for a day.
    pub resign: Period,
    /// How long files that a newer publication replaced are kept, for clients that are in the middle of an update.
    pub keep_superseded: Period,
    /// How long a key (a token, a service) may take to sign. Threat: a device or service that hangs.
    pub key_timeout: Period,
    /// How long before a role expires it is warned of, when somebody has to sign it by hand.
    pub warn_before: Period,
    /// File with the passphrase of the key files. Not given: `CHIRON_TUF_PASSPHRASE`, the systemd credential
    /// `chiron-tuf-passphrase`, or a passphrase that `init` makes and keeps beside the keys, which protects nothing
    /// from who can read the data folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub passphrase_file: Option<PathBuf>,
}

impl Default for Tuf {
    fn default() -> Self {
        Self {
            interval: Period::secs(1),
            resign: Period::secs(6 * 3600),
            keep_superseded: Period::days(2),
            key_timeout: Period::secs(10),
            warn_before: Period::days(30),
            passphrase_file: None,
        }
    }
}
