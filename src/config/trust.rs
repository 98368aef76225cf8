//! `[trust]`: whom signatures may lead back to.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::owned::{OwnedPattern, OwnedPatterns};

/// Whom signatures may lead back to. Everything is a file: nothing is fetched, ever.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Trust {
    /// Whether the embedded trusted root of Sigstore's public-good instance counts: the one that the attestations of
    /// the Python Package Index lead back to.
    pub public_good: bool,
    /// Trusted roots of further Sigstore instances. Read at start, where a bad file stops the daemon, and again when
    /// it changes, where a bad file leaves the last good one in force.
    pub roots: Vec<TrustedRoot>,
    /// Public keys of those who sign without Sigstore.
    pub keys: Vec<TrustedKey>,
}

/// The trusted root of a Sigstore instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TrustedRoot {
    /// A name for evidence and messages.
    #[schemars(extend("examples" = ["acme-sigstore"]))]
    pub name: String,
    /// A `trusted_root.json`.
    #[schemars(extend("examples" = ["/etc/chiron/trusted_root.json"]))]
    pub file: PathBuf,
}

/// A public key that may sign.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TrustedKey {
    /// A name for evidence and messages.
    #[schemars(extend("examples" = ["acme-release"]))]
    pub name: String,
    /// A PEM file with a `PUBLIC KEY`: ECDSA P-256 or P-384, Ed25519, or RSA of 2048 to 8192 bits.
    #[schemars(extend("examples" = ["/etc/chiron/acme.pub"]))]
    pub file: PathBuf,
    /// The projects that it may sign, with `*` for any run of characters. It says nothing about any other.
    #[schemars(extend("examples" = [["acme-*"]]))]
    pub projects: Vec<OwnedPattern>,
}

impl Default for Trust {
    fn default() -> Self {
        Self {
            public_good: true,
            roots: Vec::new(),
            keys: Vec::new(),
        }
    }
}

impl TrustedKey {
    /// The projects as one matcher.
    pub fn patterns(&self) -> OwnedPatterns {
        OwnedPatterns::new(self.projects.iter().cloned())
    }
}
