//! The facts of the check, as policy and people read them.

use chiron_storage::Digest;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Level;
use crate::verify::{Outcome, Report};

/// What the wheel was held against.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum Axis {
    /// A commit that a verified attestation names.
    S0,
    /// A tag.
    S1,
    /// The sdist of the same release.
    S2,
    /// Nothing.
    S3,
}

/// The commit that a verified attestation names as the source of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SourceCommit {
    /// The repository, as the certificate names it.
    pub repository: String,
    /// The commit, hexadecimal.
    pub commit: String,
}

impl SourceCommit {
    /// The commit that a verified attestation names, out of the facts of the `signature` check on the same file.
    /// `None` when there is none, or when two verified attestations name different ones.
    pub fn from_signature_facts(facts: &Map<String, Value>) -> Option<Self> {
        let mut found: Option<Self> = None;
        for attestation in facts.get("attestations")?.as_array()? {
            let text = |key: &str| {
                attestation
                    .get(key)
                    .and_then(Value::as_str)
                    .filter(|text| !text.is_empty())
            };
            let (Some(repository), Some(commit)) = (text("repository"), text("commit")) else {
                continue;
            };
            if attestation.get("verified") != Some(&Value::Bool(true)) {
                continue;
            }
            let named = Self {
                repository: repository.to_owned(),
                commit: commit.to_owned(),
            };
            match &found {
                Some(other) if *other != named => return None,
                _ => found = Some(named),
            }
        }
        found
    }
}

/// The source and where it comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SourceFacts {
    /// How well the source itself is known.
    pub axis: Axis,
    /// The sdist.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filename: Option<String>,
    /// Its content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<Digest>,
    /// The commit that a verified attestation of the source names. It is recorded; the repository was not fetched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<SourceCommit>,
    /// Why there is a source and it could not be used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// What holding the wheel's files against the source's gave.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TraceFacts {
    /// Files of the wheel outside `.dist-info`.
    pub files: u64,
    /// Those of them that are in the source, byte for byte, where they belong.
    pub in_source: u64,
    /// The others: the first of them, each with why.
    pub missing: Vec<MissingFile>,
    /// The folder of the source that importable files were found under: empty for its top, or such as `src`.
    pub root: String,
    /// Modules beside traced ones in the source that the wheel does not have.
    pub left_out: u64,
}

impl TraceFacts {
    /// Whether every file is in the source.
    pub fn is_complete(&self) -> bool {
        self.in_source == self.files
    }
}

/// A file of the wheel that is not in the source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MissingFile {
    /// Path in the wheel.
    pub path: String,
    /// Why it does not count as in the source.
    pub why: Missing,
}

/// Why a file of a wheel is not in its source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Missing {
    /// No file of the source has this content under this name.
    Absent,
    /// The source has the name, with other content.
    Changed,
    /// The source has the content under this name, in a folder from which nothing is installed to this place.
    Misplaced,
    /// Empty, and nothing else of its package is in the source.
    Empty,
    /// Python runs it at start-up, and it is not in the source at exactly this place.
    StartUp,
    /// Compiled code, which no source archive holds.
    Native,
}

/// Whether a rebuild was made, by whom, or may still come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RebuildState {
    /// Nothing to rebuild from, nothing to gain, or compiled code.
    NotAsked,
    /// One would tell more, and this machine can make it.
    Wanted,
    /// It was made here.
    Done,
    /// One would tell more, and this machine cannot make it.
    Unavailable,
    /// Other rebuilders' statements were accepted.
    Foreign,
}

/// An attempt, by its document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AttemptFacts {
    /// The `chiron.rebuild-attempt/v1` document, `sha256:…`.
    #[serde(with = "chiron_storage::digest::prefixed")]
    #[schemars(schema_with = "chiron_storage::digest::prefixed::schema")]
    pub digest: Digest,
    /// What it reached.
    pub level: Level,
    /// Backend and version.
    pub backend: String,
    /// `SOURCE_DATE_EPOCH`; absent when it was not set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<i64>,
    /// Why it came to nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// Statements of other rebuilders.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StatementFacts {
    /// Distinct known keys that state of this file what is believed, or more; while nothing is believed, that it
    /// follows from its source at all.
    pub accepted: u64,
    /// How many are needed; 0: none are accepted here.
    pub needed: u64,
    /// Who stated what.
    pub by: Vec<StatedBy>,
}

/// One rebuilder's word.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StatedBy {
    /// The name its key has in the configuration.
    pub name: String,
    /// The key.
    pub key: String,
    /// The highest level that it states.
    pub level: Level,
}

/// Something that is wrong with what was handed in, or worth a look.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FindingFacts {
    /// Stable, kebab-case.
    pub code: String,
    /// A sentence.
    pub detail: String,
}

/// `facts` of the evidence of this check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReproducibilityFacts {
    /// What the wheel was held against.
    pub source: SourceFacts,
    /// The best that is known.
    pub level: Level,
    /// No compiled code inside.
    pub pure: bool,
    /// The comparison of files; absent when there was no source to read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<TraceFacts>,
    /// Whether a rebuild was made, or may come.
    pub rebuild: RebuildState,
    /// The rebuilds that were made here.
    pub attempts: Vec<AttemptFacts>,
    /// Other rebuilders.
    pub statements: StatementFacts,
    /// What is worth a look.
    pub findings: Vec<FindingFacts>,
}

impl ReproducibilityFacts {
    /// A level of which nothing more is known: the stricter kind of wheel, and nothing traced, rebuilt or stated.
    pub(super) fn bare(source: SourceFacts, level: Level) -> Self {
        Self {
            source,
            level,
            pure: true,
            trace: None,
            rebuild: RebuildState::NotAsked,
            attempts: Vec::new(),
            statements: StatementFacts::default(),
            findings: Vec::new(),
        }
    }

    /// As a report. Nothing is lost: [`Self::read`] gives it back.
    pub(super) fn into_report(self, outcome: Outcome, summary: impl Into<String>) -> Report {
        let facts = match serde_json::to_value(self) {
            Ok(Value::Object(map)) => map,
            _ => Map::new(),
        };
        Report {
            outcome,
            summary: summary.into(),
            facts,
        }
    }

    /// Out of evidence; `None` when it was written by another version that had other facts.
    pub fn read(facts: &Map<String, Value>) -> Option<Self> {
        serde_json::from_value(Value::Object(facts.clone())).ok()
    }
}
