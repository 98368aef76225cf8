//! What a check found out: the one document that every check writes and that policy reads.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use chiron_storage::digest::Digest;

/// Name and version of the document that [`Evidence`] is written as.
pub const EVIDENCE_SCHEMA: &str = "chiron.evidence/v1";

/// The checks of the gate, in the order in which they run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CheckName {
    /// The archive is what its name says and nothing else.
    Structure,
    /// The bytes have the digests that their origin claims.
    Hashes,
    /// A signature or attestation verifies.
    Signature,
    /// A bill of materials is there and sound.
    Sbom,
    /// The file follows from its source.
    Reproducibility,
    /// Known vulnerabilities and malware.
    Advisories,
}

impl CheckName {
    /// Every check, in the order in which the gate runs them.
    pub const ALL: [Self; 6] = [
        Self::Structure,
        Self::Hashes,
        Self::Signature,
        Self::Sbom,
        Self::Reproducibility,
        Self::Advisories,
    ];

    /// The name as documents and tables spell it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Structure => "structure",
            Self::Hashes => "hashes",
            Self::Signature => "signature",
            Self::Sbom => "sbom",
            Self::Reproducibility => "reproducibility",
            Self::Advisories => "advisories",
        }
    }
}

impl std::fmt::Display for CheckName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How a check ended. Only `pass` is a pass: `absent` and `error` never count as one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Checked, and sound.
    Pass,
    /// Checked, and the file is bad. The same bytes fail again.
    Fail,
    /// Nothing was published that could be checked.
    Absent,
    /// Could not be checked (input/output); says nothing about the file, and may be tried again.
    Error,
    /// Policy does not ask for it.
    Skipped,
}

impl Outcome {
    /// The outcome as documents and tables spell it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Absent => "absent",
            Self::Error => "error",
            Self::Skipped => "skipped",
        }
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The program that made a piece of evidence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tool {
    /// `chiron`, or the outside tool that was asked.
    pub name: String,
    /// Its version.
    pub version: String,
}

impl Tool {
    /// This build of Chiron.
    pub fn chiron() -> Self {
        Self {
            name: "chiron".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }
}

/// What one check found out about one file. Facts only: what follows from them is policy's to say.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// Always [`EVIDENCE_SCHEMA`] when this build wrote it.
    pub schema: String,
    /// Which check.
    pub check: CheckName,
    /// SHA-256 of the file that was checked.
    #[schemars(with = "String", regex(pattern = "^[0-9a-f]{64}$"))]
    pub subject: Digest,
    /// How it ended.
    pub outcome: Outcome,
    /// One line for a person: what was found, and in what.
    pub summary: String,
    /// What was found, for policy; the keys are the check's own.
    pub facts: Map<String, Value>,
    /// What made this.
    pub tool: Tool,
    /// When the check ended.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub at: Timestamp,
}

impl Evidence {
    /// Evidence by this build of Chiron. `at` is given, so that the same inputs make the same bytes.
    pub fn new(
        check: CheckName,
        subject: Digest,
        outcome: Outcome,
        summary: impl Into<String>,
        facts: Map<String, Value>,
        at: Timestamp,
    ) -> Self {
        Self {
            schema: EVIDENCE_SCHEMA.to_owned(),
            check,
            subject,
            outcome,
            summary: summary.into(),
            facts,
            tool: Tool::chiron(),
            at,
        }
    }

    /// The document's bytes: JSON without blanks, keys sorted at every level, so that equal evidence has one digest
    /// whatever order its facts were gathered in.
    pub fn to_bytes(&self) -> Vec<u8> {
        let document = serde_json::json!({
            "schema": self.schema,
            "check": self.check.as_str(),
            "subject": self.subject.to_string(),
            "outcome": self.outcome.as_str(),
            "summary": self.summary,
            "facts": self.facts,
            "tool": { "name": self.tool.name, "version": self.tool.version },
            "at": self.at.to_string(),
        });
        sorted(document).to_string().into_bytes()
    }
}

/// Sorts the keys of every object. `serde_json` keeps insertion order when any crate of the build asks it to, so the
/// order must not be left to it. Facts are written by our own checks and nest a few levels only.
fn sorted(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut pairs: Vec<(String, Value)> =
                map.into_iter().map(|(key, value)| (key, sorted(value))).collect();
            pairs.sort_by(|a, b| a.0.cmp(&b.0));
            Value::Object(pairs.into_iter().collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(sorted).collect()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    fn sample(facts: Map<String, Value>) -> Evidence {
        let at: Timestamp = "2026-11-20T10:00:00Z".parse().unwrap();
        Evidence::new(
            CheckName::Structure,
            Digest::of(b"wheel"),
            Outcome::Pass,
            "sound",
            facts,
            at,
        )
    }

    #[test]
    fn bytes_do_not_depend_on_the_order_of_facts() {
        let mut one = Map::new();
        one.insert("b".into(), serde_json::json!({"y": 1, "x": [ {"q": 1, "p": 2} ]}));
        one.insert("a".into(), 1.into());
        let mut two = Map::new();
        two.insert("a".into(), 1.into());
        two.insert("b".into(), serde_json::json!({"x": [ {"p": 2, "q": 1} ], "y": 1}));
        assert_eq!(sample(one).to_bytes(), sample(two).to_bytes());
    }

    #[test]
    fn bytes_read_back_as_the_same_evidence() {
        let mut facts = Map::new();
        facts.insert("entries".into(), 3.into());
        let evidence = sample(facts);
        let bytes = evidence.to_bytes();
        assert!(
            bytes.starts_with(br#"{"at":"2026-11-20T10:00:00Z","check":"structure","facts":{"entries":3},"#)
        );
        assert_eq!(serde_json::from_slice::<Evidence>(&bytes).unwrap(), evidence);
    }

    #[test]
    fn names_are_spelled_as_serde_spells_them() {
        for check in CheckName::ALL {
            assert_eq!(serde_json::to_value(check).unwrap(), check.as_str());
        }
        for outcome in [
            Outcome::Pass,
            Outcome::Fail,
            Outcome::Absent,
            Outcome::Error,
            Outcome::Skipped,
        ] {
            assert_eq!(serde_json::to_value(outcome).unwrap(), outcome.as_str());
        }
    }
}
