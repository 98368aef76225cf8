//! `[policy]`: what the gate admits.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the gate admits.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Policy {
    /// The built-in profile. `strict`: structure and hashes must pass, and a file for which nobody published a digest
    /// waits in quarantine. `standard`: the same, but the operator's own hand vouches for a local file. `audit`: as
    /// `standard`; the checks that later versions add are only recorded.
    pub profile: Profile,
}

/// A built-in policy profile.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Profile {
    /// Structure and hashes must pass; a file for which nobody published a digest waits in quarantine.
    Strict,
    /// Structure and hashes must pass; the operator's own hand vouches for a local file.
    #[default]
    Standard,
    /// As `standard`; the checks that later versions add are only recorded.
    Audit,
}

impl Profile {
    /// The name as it is written in `chiron.toml` and in verdicts.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Strict => "strict",
            Self::Standard => "standard",
            Self::Audit => "audit",
        }
    }
}
