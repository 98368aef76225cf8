//! What a check hands back before it becomes a dated document about one file.

use chiron_storage::Digest;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::{CheckName, Evidence, Outcome};

/// The result of one check: facts, never a judgment.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// How it ended.
    pub outcome: Outcome,
    /// One line for a person.
    pub summary: String,
    /// What was found, for policy; the keys are the check's own.
    pub facts: Map<String, Value>,
}

impl Report {
    /// A report without facts yet.
    pub fn new(outcome: Outcome, summary: impl Into<String>) -> Self {
        Self {
            outcome,
            summary: summary.into(),
            facts: Map::new(),
        }
    }

    /// With one more fact.
    #[must_use]
    pub fn fact(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.facts.insert(key.to_owned(), value.into());
        self
    }

    /// With a list of defects, each with a stable code: `findings`.
    #[must_use]
    pub fn findings<'a>(self, findings: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let list: Vec<Value> = findings
            .into_iter()
            .map(|(code, detail)| json!({ "code": code, "detail": detail }))
            .collect();
        self.fact("findings", list)
    }

    /// As the document of a check on one content.
    pub fn into_evidence(self, check: CheckName, subject: Digest, at: Timestamp) -> Evidence {
        Evidence::new(check, subject, self.outcome, self.summary, self.facts, at)
    }
}
