//! The verdict document, `chiron.verdict/v1`.

use chiron_storage::Digest;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::WaivedReason;
use crate::verify::{CheckName, Outcome};

/// The value of `schema` in every verdict.
pub const VERDICT_SCHEMA: &str = "chiron.verdict/v1";

/// What follows for a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Decision {
    /// Served.
    Admit,
    /// Kept, not served: something could not be checked, or waits for a person.
    Quarantine,
    /// Not kept, never served, remembered with its reason.
    Refuse,
}

impl Decision {
    /// The word in documents and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Admit => "admit",
            Self::Quarantine => "quarantine",
            Self::Refuse => "refuse",
        }
    }
}

/// One reason, for a machine (`code`) and for a person (`message`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Reason {
    /// Which check it comes from; `policy` for what the policy adds itself.
    pub check: String,
    /// Stable, kebab-case.
    pub code: String,
    /// A sentence.
    pub message: String,
}

impl Reason {
    /// It goes away by itself: a rebuild is on its way, or the file becomes old enough.
    pub fn is_temporary(&self) -> bool {
        matches!(
            (self.check.as_str(), self.code.as_str()),
            ("reproducibility", "rebuild-pending") | ("policy", "too-young")
        )
    }
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.check, self.message)
    }
}

/// The file a verdict speaks of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct JudgedFile {
    /// As published.
    pub filename: String,
    /// Normalised name (PEP 503).
    pub project: String,
    /// PEP 440, as the filename states it.
    pub version: String,
    /// The content that was looked at.
    pub sha256: Digest,
    /// Bytes.
    pub size: u64,
}

/// One check's row in a verdict.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CheckRow {
    /// Which check ran.
    pub check: CheckName,
    /// What it found; what follows from that is the policy's.
    pub outcome: Outcome,
    /// A sentence for people; no program should read it.
    pub summary: String,
    /// What the check measured, by name; each check has its own names.
    pub facts: Map<String, Value>,
    /// The evidence document, `sha256:…`.
    #[serde(with = "chiron_storage::digest::prefixed")]
    #[schemars(with = "String")]
    pub evidence: Digest,
}

/// Which rules were applied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PolicyRef {
    /// `strict`, `standard` or `audit`.
    pub profile: String,
    /// SHA-256 over the rules, `sha256:…`: the same profile may have had other rules once.
    #[serde(with = "chiron_storage::digest::prefixed")]
    #[schemars(with = "String")]
    pub digest: Digest,
}

/// Which advisory database was used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AdvisoriesRef {
    /// The newest change of any record in it.
    #[schemars(with = "String")]
    pub as_of: Timestamp,
    /// SHA-256 over its content, `sha256:…`.
    #[serde(with = "chiron_storage::digest::prefixed")]
    #[schemars(with = "String")]
    pub digest: Digest,
}

/// A judgment of one file, replayable: it names its evidence and its policy by digest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Verdict {
    /// Always `chiron.verdict/v1`.
    pub schema: String,
    /// What was judged.
    pub file: JudgedFile,
    /// The severest that any check or rule asks for.
    pub decision: Decision,
    /// In the order of the gate.
    pub checks: Vec<CheckRow>,
    /// Empty when admitted.
    pub reasons: Vec<Reason>,
    /// Objections that a person's waiver covers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waived: Vec<WaivedReason>,
    /// The rules that led from the checks to the decision.
    pub policy: PolicyRef,
    /// The document that the rules saw, `sha256:…`; absent when none could be made.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "optional_digest")]
    #[schemars(with = "Option<String>")]
    pub input: Option<Digest>,
    /// The advisory database that was used; absent while none was ever loaded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advisories: Option<AdvisoriesRef>,
    /// RFC 3339, UTC.
    #[schemars(with = "String")]
    pub decided_at: Timestamp,
    /// Number of the log's event that carries this verdict; absent while it is not logged (`chiron verify`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<u64>,
}

/// An optional digest as `sha256:…`.
mod optional_digest {
    use chiron_storage::Digest;
    use serde::{Deserialize, Deserializer, Serializer};

    #[derive(Deserialize)]
    struct Prefixed(#[serde(with = "chiron_storage::digest::prefixed")] Digest);

    #[allow(clippy::ref_option)] // serde's shape
    pub(super) fn serialize<S: Serializer>(
        digest: &Option<Digest>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match digest {
            Some(digest) => chiron_storage::digest::prefixed::serialize(digest, serializer),
            None => serializer.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Digest>, D::Error> {
        Option::<Prefixed>::deserialize(deserializer).map(|found| found.map(|Prefixed(digest)| digest))
    }
}
