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
    Unyanked(Decided),
    /// Not served any more.
    Revoked(Decided),
    /// A revocation or a damage taken back.
    Restored(Decided),
    /// PEP 792.
    ProjectStatus {
        project: ProjectName,
        status: Status,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
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
    pub project: ProjectName,
    pub filename: String,
    pub version: String,
    pub sha256: Digest,
    pub blake3: Blake3,
    /// Bytes.
    pub size: u64,
    pub origin: Origin,
    /// Core metadata's digest (PEP 658); wheels only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub core_metadata: Option<Digest>,
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
    pub evidence: Vec<Digest>,
}

/// Reasons an event repeats from its verdict: an entry must stay far below the log's 65,535 bytes.
pub const MAX_REASONS: usize = 8;

/// A decision on a file that was judged before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Decided {
    #[serde(flatten)]
    pub file: FileRef,
    pub reason: String,
    pub by: Actor,
}

/// Names one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FileRef {
    pub project: ProjectName,
    pub filename: String,
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
