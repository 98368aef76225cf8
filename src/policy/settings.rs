//! What a site sets without writing rules: `data.settings` of every policy.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::PolicyError;
use super::publisher::PublisherRule;
use crate::config::{Clock, Policy as PolicyConfig, Publisher, Rule, Severity};

/// Objections that no waiver covers, as `check/code`; `*` stands for any code.
pub const NEVER_WAIVED: [&str; 5] = [
    "structure/*",
    "hashes/*",
    "advisories/malware",
    "policy/filename-reuse",
    "policy/undecided",
];

/// The settings of `[policy]` and `[[publisher]]`, as rules see them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// How old a file must be, seconds.
    pub minimum_age_seconds: u64,
    /// By which clock.
    pub minimum_age_clock: Clock,
    /// Nothing is admitted while no advisory database is loaded.
    pub advisories_required: bool,
    /// The worst severity that is admitted.
    pub maximum_severity: Severity,
    /// What follows from a severity that nobody stated.
    pub unknown_severity: Rule,
    /// What follows from a yank.
    pub yanked: Rule,
    /// SPDX identifiers; empty: any licence, and none.
    pub licences_allow: Vec<String>,
    /// SPDX identifiers.
    pub licences_deny: Vec<String>,
    /// Who may sign what.
    pub publishers: Vec<PublisherRule>,
    /// Objections that no waiver covers.
    pub never_waived: Vec<String>,
    /// How many persons a waiver needs.
    pub waiver_persons: u32,
}

impl Settings {
    /// From the configuration.
    ///
    /// # Errors
    ///
    /// A publisher rule that would let anybody sign, or a licence that SPDX does not know.
    pub fn new(policy: &PolicyConfig, publishers: &[Publisher]) -> Result<Self, PolicyError> {
        for licence in policy.licences_allow.iter().chain(&policy.licences_deny) {
            super::licence::known(licence)?;
        }
        Ok(Self {
            minimum_age_seconds: policy.minimum_age.duration().as_secs(),
            minimum_age_clock: policy.minimum_age_clock,
            advisories_required: policy.advisories_required,
            maximum_severity: policy.maximum_severity,
            unknown_severity: policy.unknown_severity,
            yanked: policy.yanked,
            licences_allow: policy.licences_allow.clone(),
            licences_deny: policy.licences_deny.clone(),
            publishers: publishers
                .iter()
                .enumerate()
                .map(|(number, publisher)| PublisherRule::new(number, publisher))
                .collect::<Result<_, _>>()?,
            never_waived: NEVER_WAIVED.map(str::to_owned).to_vec(),
            waiver_persons: policy.waiver_persons,
        })
    }
}

impl Default for Settings {
    fn default() -> Self {
        let policy = PolicyConfig::default();
        Self {
            minimum_age_seconds: policy.minimum_age.duration().as_secs(),
            minimum_age_clock: policy.minimum_age_clock,
            advisories_required: policy.advisories_required,
            maximum_severity: policy.maximum_severity,
            unknown_severity: policy.unknown_severity,
            yanked: policy.yanked,
            licences_allow: Vec::new(),
            licences_deny: Vec::new(),
            publishers: Vec::new(),
            never_waived: NEVER_WAIVED.map(str::to_owned).to_vec(),
            waiver_persons: policy.waiver_persons,
        }
    }
}
