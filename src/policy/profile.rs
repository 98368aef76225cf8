//! The built-in profiles and the rules they share, as texts that are read by people too.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A built-in profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Profile {
    /// Signature, published SBOM, hashes and a rebuild of level `generator` or better, all required.
    Strict,
    /// The default: what was published must verify, and a pure wheel must follow from its source.
    Standard,
    /// Structure and hashes; the rest is recorded.
    Audit,
}

/// What every profile may use: file name and text.
pub(super) const SHARED: [(&str, &str); 6] = [
    ("chiron/advisories.rego", include_str!("rego/advisories.rego")),
    ("chiron/checks.rego", include_str!("rego/checks.rego")),
    (
        "chiron/circumstances.rego",
        include_str!("rego/circumstances.rego"),
    ),
    ("chiron/history.rego", include_str!("rego/history.rego")),
    ("chiron/publishers.rego", include_str!("rego/publishers.rego")),
    (
        "chiron/reproducibility.rego",
        include_str!("rego/reproducibility.rego"),
    ),
];

impl Profile {
    /// All of them, the strictest first.
    pub const ALL: [Self; 3] = [Self::Strict, Self::Standard, Self::Audit];

    /// The name in `chiron.toml` and in verdicts.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Strict => "strict",
            Self::Standard => "standard",
            Self::Audit => "audit",
        }
    }

    /// The profile of a name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|profile| profile.as_str() == name)
    }

    /// Its rules: file name and text.
    pub(super) const fn rules(self) -> (&'static str, &'static str) {
        match self {
            Self::Strict => ("chiron/strict.rego", include_str!("rego/strict.rego")),
            Self::Standard => ("chiron/standard.rego", include_str!("rego/standard.rego")),
            Self::Audit => ("chiron/audit.rego", include_str!("rego/audit.rego")),
        }
    }
}
