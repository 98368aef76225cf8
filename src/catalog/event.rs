//! The log's entries: what was decided, about what, when and by whom. Everything the catalogue holds
//! can be made again from these and the documents that they name by digest.

use chiron_storage::{Blake3, Digest};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::package::{ProjectName, Status};
use crate::policy::Reason;

/// One entry. Serialised as one JSON object; these very bytes are the leaf that the log hashes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Entry {
    /// Always `chiron.event/v1`.
    pub schema: String,
    /// Never earlier than the entry before it.
    #[schemars(with = "String")]
    pub at: Timestamp,
    /// What happened, with `type` saying which kind it is.
    #[serde(flatten)]
    pub event: Event,
}

impl Entry {
    /// The value of `schema`.
    pub const SCHEMA: &'static str = "chiron.event/v1";

    pub(super) fn new(at: Timestamp, event: Event) -> Self {
        Self {
            schema: Self::SCHEMA.to_owned(),
            at,
            event,
        }
    }
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum Event {
    /// Judged good; served from now on.
    Admitted(Judged),
    /// Kept, not served: judged so, or its stored bytes are no longer what their name says
    /// (a reason of check `store`).
    Quarantined(Judged),
    /// Judged bad; not kept.
    Refused(Judged),
    /// PEP 592: installers pass it over unless it is pinned.
    Yanked(Decided),
    /// A yank taken back.
    Unyanked(Decided),
    /// Not served any more.
    Revoked(Decided),
    /// A revocation or a damage taken back.
    Restored(Decided),
    /// PEP 792.
    ProjectStatus {
        /// Whose status it is.
        project: ProjectName,
        /// Stands until the next event of this kind about the project.
        status: Status,
        /// Shown to installers.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
        /// Who set it.
        by: Actor,
    },
}

impl Event {
    /// The project it is about.
    pub fn project(&self) -> &ProjectName {
        match self {
            Self::Admitted(j) | Self::Quarantined(j) | Self::Refused(j) => &j.project,
            Self::Yanked(d) | Self::Unyanked(d) | Self::Revoked(d) | Self::Restored(d) => &d.file.project,
            Self::ProjectStatus { project, .. } => project,
        }
    }
}

/// A file and the judgment of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Judged {
    /// That the filename belongs to.
    pub project: ProjectName,
    /// As published, with the suffix of a wheel or an sdist.
    pub filename: String,
    /// PEP 440, as the filename states it.
    pub version: String,
    /// The content that was judged; with the filename, the identity of the file.
    pub sha256: Digest,
    /// Of the same bytes; scrubs check with it, since it is faster.
    pub blake3: Blake3,
    /// Bytes.
    pub size: u64,
    /// Where the bytes came from.
    pub origin: Origin,
    /// Core metadata's digest (PEP 658); wheels only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub core_metadata: Option<Digest>,
    /// The index's word, or else the wheel's own; relayed, never judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requires_python: Option<String>,
    /// The publisher's, RFC 3339, unchanged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upload_time: Option<String>,
    /// Yanked upstream when it came in; the reason, maybe empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub yanked: Option<String>,
    /// The verdict document.
    pub verdict: Digest,
    /// Why it is not admitted; at most [`MAX_REASONS`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<Reason>,
    /// The evidence documents the verdict rests on, in the order of the gate.
    pub evidence: Vec<Digest>,
}

/// Reasons an event repeats from its verdict: an entry must stay far below the log's 65,535 bytes.
pub const MAX_REASONS: usize = 8;

/// A decision on a file that was judged before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Decided {
    /// What was decided on.
    #[serde(flatten)]
    pub file: FileRef,
    /// Shown to users and kept for ever; empty when an upstream gave none.
    pub reason: String,
    /// Who answers for it.
    pub by: Actor,
}

/// Names one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FileRef {
    /// That the filename belongs to.
    pub project: ProjectName,
    /// Several contents may have been judged under it; at most one was ever admitted.
    pub filename: String,
    /// Which of these contents is meant.
    pub sha256: Digest,
}

/// Where the bytes came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// An upstream, by its configured name.
    Upstream(String),
    /// A file the operator handed in.
    File,
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Upstream(name) => write!(f, "upstream:{name}"),
            Self::File => f.write_str("file"),
        }
    }
}

/// Who decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Actor {
    /// The holder of the admin token.
    Operator,
    /// Relayed from an upstream.
    Upstream(String),
    /// Chiron itself (a scrub, a damaged blob met while serving).
    Chiron,
}
