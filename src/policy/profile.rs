//! The built-in profiles, as data: which check must have which outcome.
//!
//! Signature, SBOM, reproducibility and advisories join here when those checks exist; a profile that
//! asks for a check whose evidence is missing does not admit.

use chiron_storage::Digest;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::verify::{CheckName, Outcome};

/// A built-in profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Profile {
    /// Structure and hashes must both pass; a file nobody published a digest for waits in quarantine.
    Strict,
    /// The default: structure and hashes must pass; the operator's own hand vouches for a local file.
    Standard,
    /// As `standard` for these two checks; later checks are only recorded.
    Audit,
}

impl Profile {
    /// The name in `chiron.toml` and in verdicts.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Strict => "strict",
            Self::Standard => "standard",
            Self::Audit => "audit",
        }
    }
}

/// What a profile asks of one check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Requirement {
    /// Only `pass` will do.
    Pass,
    /// `pass`, or `absent` when the operator handed the file in: there was no publisher to state a digest.
    PassOrHandedIn,
}

impl Requirement {
    pub(super) fn accepts(self, outcome: Outcome, handed_in: bool) -> bool {
        match self {
            Self::Pass => outcome == Outcome::Pass,
            Self::PassOrHandedIn => outcome == Outcome::Pass || (outcome == Outcome::Absent && handed_in),
        }
    }
}

/// A policy in force: its rules and the digest that names them in every verdict.
#[derive(Debug, Clone)]
pub struct Policy {
    profile: Profile,
    rules: Vec<(CheckName, Requirement)>,
    digest: Digest,
}

impl Policy {
    /// The rules of a built-in profile.
    pub fn builtin(profile: Profile) -> Self {
        let hashes = match profile {
            Profile::Strict => Requirement::Pass,
            Profile::Standard | Profile::Audit => Requirement::PassOrHandedIn,
        };
        let rules = vec![
            (CheckName::Structure, Requirement::Pass),
            (CheckName::Hashes, hashes),
        ];
        let text = serde_json::json!({ "schema": "chiron.policy/v1", "profile": profile, "rules": rules });
        Self {
            profile,
            rules,
            digest: Digest::of(text.to_string().as_bytes()),
        }
    }

    /// Which profile this is.
    pub const fn profile(&self) -> Profile {
        self.profile
    }

    /// SHA-256 over the rules.
    pub const fn digest(&self) -> Digest {
        self.digest
    }

    /// What is asked, check by check, in the order of the gate.
    pub fn rules(&self) -> &[(CheckName, Requirement)] {
        &self.rules
    }
}
