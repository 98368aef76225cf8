//! One attempt to rebuild a wheel, as a document: `chiron.rebuild-attempt/v1`.

use chiron_storage::Digest;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Level;

/// The value of `schema` in every attempt.
pub const ATTEMPT_SCHEMA: &str = "chiron.rebuild-attempt/v1";

/// A file that is named and pinned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PinnedFile {
    /// File name.
    pub filename: String,
    /// Its content.
    pub sha256: Digest,
}

/// Where the build backend's version came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum BackendFrom {
    /// The wheel's own `Generator` line.
    Generator,
    /// What the index had at the release's upload time.
    AsOf,
    /// A recipe of the operator.
    Recipe,
}

/// One attempt. Kept whether it came to something or not; log and difference are capped by who writes them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Attempt {
    /// Always [`ATTEMPT_SCHEMA`].
    pub schema: String,
    /// The published wheel.
    pub wheel: PinnedFile,
    /// The sdist it was built from.
    pub source: PinnedFile,
    /// What came of it.
    pub level: Level,
    /// Why it came to nothing (`failed`, `not-attempted`): a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// The backend and its version, `setuptools==75.1.0`; empty when none was found out.
    pub backend: String,
    /// Where that version came from.
    pub backend_from: BackendFrom,
    /// The operator's recipe, if one was used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipe: Option<PinnedFile>,
    /// `SOURCE_DATE_EPOCH`, seconds; absent when it was not set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<i64>,
    /// The time as of which the index was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub as_of: Option<Timestamp>,
    /// Every distribution of the build environment, in the order in which it was installed.
    pub environment: Vec<PinnedFile>,
    /// The interpreter, `CPython 3.11.9`.
    pub python: String,
    /// The sandbox, `bubblewrap 0.8.0`; empty when nothing ran.
    pub sandbox: String,
    /// When it began.
    #[schemars(with = "String")]
    pub started: Timestamp,
    /// When it ended.
    #[schemars(with = "String")]
    pub finished: Timestamp,
    /// SHA-256 of the wheel that came out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Digest>,
    /// What the build wrote, capped.
    pub log: String,
    /// Whether [`Self::log`] was cut.
    pub log_cut: bool,
    /// What differs, for people, capped; empty when nothing does.
    pub diff: String,
    /// Whether [`Self::diff`] was cut.
    pub diff_cut: bool,
}

impl Attempt {
    /// The document's bytes: what is stored, and what its digest is of.
    pub fn to_bytes(&self) -> Vec<u8> {
        // Cannot fail: no map with keys that are not text, no type of ours that refuses to be written.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// SHA-256 over [`Self::to_bytes`].
    pub fn digest(&self) -> Digest {
        Digest::of(&self.to_bytes())
    }
}

/// All attempts on one wheel, in the order in which they were made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rebuilt {
    /// The highest level that any of them reached; `not-attempted` when there are none.
    pub best: Level,
    /// Each of them.
    pub attempts: Vec<Attempt>,
}

impl Rebuilt {
    /// What a list of attempts comes to.
    pub fn new(attempts: Vec<Attempt>) -> Self {
        let best = attempts.iter().map(|attempt| attempt.level).max();
        Self {
            best: best.unwrap_or(Level::NotAttempted),
            attempts,
        }
    }

    /// The attempt that reached [`Self::best`], the first of them if there are several.
    pub fn best_attempt(&self) -> Option<&Attempt> {
        self.attempts.iter().find(|attempt| attempt.level == self.best)
    }
}
