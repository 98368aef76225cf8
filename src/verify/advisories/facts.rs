//! The facts of the check `advisories`, as policy reads them.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::severity::Severity;
use super::vex::VexStatus;

/// What is known against one release.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AdvisoriesFacts {
    /// The newest change of any record in the database; null while there is none that can be read.
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub as_of: Option<Timestamp>,
    /// SHA-256 over the database's content, `sha256:…`; null while there is none that can be read.
    pub database: Option<String>,
    /// Records of the index's packages that the database holds.
    pub records: u64,
    /// Every vulnerability with a record that reaches this version, also those that a VEX statement takes out.
    /// It is listed whatever the outcome.
    pub matched: Vec<MatchedAdvisory>,
    /// Vulnerabilities that a record says are mended by exactly this version: a reason to let it in sooner.
    pub fixes: Vec<MendedAdvisory>,
    /// Why the outcome is `error`.
    pub findings: Vec<AdvisoryFinding>,
    /// Records of the whole database that could not be used, or not whole.
    pub set_aside: u64,
    /// Of those, the ones that name no package: whom they concern nobody knows.
    pub unattributed: u64,
}

/// One vulnerability, whatever it is called.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MatchedAdvisory {
    /// A record that reaches this version.
    pub id: String,
    /// Its other names, at most 50.
    pub aliases: Vec<String>,
    /// The worst that any record of it states; `unknown` when none does.
    pub severity: Severity,
    /// The highest CVSS base score of any record of it.
    pub cvss: Option<f64>,
    /// It is malware, not a hole: one of its names begins with `MAL-`.
    pub malware: bool,
    /// It is known to be exploited (KEV).
    pub kev: bool,
    /// How likely it is to be exploited in the next 30 days (EPSS), 0 to 1.
    pub epss: Option<f64>,
    /// Later versions that are not reached any more, oldest first, at most 20.
    pub fixed_in: Vec<String>,
    /// The record's first line.
    pub summary: String,
    /// What VEX statements come to.
    pub vex: Option<VexFact>,
}

/// A vulnerability that this version mends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MendedAdvisory {
    /// The record that says so.
    pub id: String,
    /// It is known to be exploited (KEV).
    pub kev: bool,
}

impl MatchedAdvisory {
    /// Whether it counts: not taken out by a VEX statement.
    pub fn counts(&self) -> bool {
        self.vex.as_ref().is_none_or(|vex| !vex.status.takes_out())
    }
}

/// What a VEX statement says of a match.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VexFact {
    /// `fixed` and `not_affected` take the match out.
    pub status: VexStatus,
    /// The author.
    pub by: String,
    /// The document, as it calls itself.
    pub document: String,
}

/// A reason why the database cannot vouch for the release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AdvisoryFinding {
    /// `stale`, `unreadable`, `unknown-package`.
    pub code: String,
    /// A sentence.
    pub detail: String,
}
