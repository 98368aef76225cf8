//! `[airgap]`: bundles that come from other sites.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::value::Period;

/// Bundles that leave this site and come from others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Airgap {
    /// What this site calls itself in bundles and receipts. Left out: `log.origin`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = ["plant-7"]))]
    pub site: Option<String>,
    /// The staleness budget of a site that imports: so long after the newest bundle was made, `/readyz` says that the site is
    /// stale, and its own timestamp is never signed to live longer. Threat: a site that is quietly fed nothing.
    pub max_age: Period,
    /// Whether an imported advisory database that is newer than the one here comes into force.
    pub adopt_advisories: bool,
    /// The only folders that bundles are written to and read from over the admin API; empty: any that the daemon may.
    pub folders: Vec<PathBuf>,
    /// Whose bundles are imported. A first import can name a root of trust on the command line instead.
    #[serde(rename = "sender")]
    pub senders: Vec<Sender>,
}

/// A site whose bundles are imported.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sender {
    /// A name for messages, origins and metrics: small letters, digits, `-`.
    #[schemars(extend("examples" = ["head-office"]))]
    pub name: String,
    /// Its TUF root (`DATA/tuf/root.json` there), of any version: later ones must follow from it.
    #[schemars(extend("examples" = ["/etc/chiron/head-office-root.json"]))]
    pub root: PathBuf,
    /// The origin of its log, when bundles of no other log shall count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = ["packages.example.org"]))]
    pub origin: Option<String>,
}

impl Default for Airgap {
    fn default() -> Self {
        Self {
            site: None,
            max_age: Period::days(30),
            adopt_advisories: true,
            folders: Vec::new(),
            senders: Vec::new(),
        }
    }
}
