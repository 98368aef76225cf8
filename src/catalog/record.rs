//! The catalogue's rows and keys. A row holds from the event that made it until the event that replaced
//! it, so that the index can be shown as it was at any size of the log.

use chiron_storage::{Digest, Raw, Table};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::event::{Actor, FileRef, Judged};
use crate::package::{ProjectPage, Status};
use crate::verify::{CheckName, Outcome};

/// Column families, in the order in which they are created.
pub const FAMILIES: &[&str] = &[
    "files", "digests", "names", "projects", "counts", "docs", "pages", "seen", "jobs", "counters",
];

/// Families that [`super::Catalog::rebuild`] empties and makes again from the log.
pub(super) const PROJECTED: &[&str] = &["files", "digests", "names", "projects", "counts"];

pub(super) const FILES: Table<FileKey, FileRow> = Table::new("files");
/// The event that made a file's present state, so that one lookup leads to its row.
pub(super) const DIGESTS: Table<DigestKey, u64> = Table::new("digests");
/// Which content is admitted under a project's filename: a published filename never changes its content.
pub(super) const NAMES: Table<NameKey, Digest> = Table::new("names");
pub(super) const PROJECTS: Table<String, ProjectRow> = Table::new("projects");
/// Small immutable documents by SHA-256: core metadata, evidence, verdicts.
pub(super) const DOCS: Table<Digest, Raw> = Table::new("docs");
pub(super) const COUNTS: Table<String, u64> = Table::new("counts");
/// What upstream last said, by upstream and project.
pub(super) const PAGES: Table<(String, String), CachedPage> = Table::new("pages");
/// Core metadata handed out for a file that was not yet judged.
pub(super) const SEEN: Table<Digest, Digest> = Table::new("seen");

/// `files`: one row a state of a file; the last field is the event that made it.
pub(super) type FileKey = (String, String, Digest, u64);

/// `digests`: content, project, filename.
pub(super) type DigestKey = (Digest, String, String);

/// `names`: project, filename.
pub(super) type NameKey = (String, String);

/// The keys of a file.
impl FileRef {
    pub(super) fn row_key(&self, since: u64) -> FileKey {
        (
            self.project.to_string(),
            self.filename.clone(),
            self.sha256,
            since,
        )
    }

    pub(super) fn digest_key(&self) -> DigestKey {
        (self.sha256, self.project.to_string(), self.filename.clone())
    }

    pub(super) fn name_key(&self) -> NameKey {
        (self.project.to_string(), self.filename.clone())
    }
}

/// Whether and why a file is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FileState {
    /// Judged good; served.
    Admitted,
    /// Kept, not served: something could not be checked, or the stored bytes are damaged.
    Quarantined,
    /// Judged bad: not kept, never served.
    Refused,
    /// Was good or in quarantine until a person took it out of service; kept.
    Revoked,
}

impl FileState {
    /// The word in the admin API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Admitted => "admitted",
            Self::Quarantined => "quarantined",
            Self::Refused => "refused",
            Self::Revoked => "revoked",
        }
    }

    /// Whether the store keeps the bytes in this state.
    pub const fn keeps_bytes(self) -> bool {
        !matches!(self, Self::Refused)
    }
}

/// The `check` of a reason that the store itself gives.
pub const STORE_CHECK: &str = "store";

/// A yank and who made it: an upstream's unyank does not undo an operator's yank.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct YankMark {
    /// May be empty.
    pub reason: String,
    /// Only the same upstream, or an operator, takes it back.
    pub by: Actor,
}

/// One state of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRow {
    /// The judgment in force, with the reasons of a damage in place of its own while there is one.
    pub judged: Judged,
    /// While the row holds.
    pub state: FileState,
    /// Of the last decision by a person or by Chiron, when there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// PEP 592; leaves the state as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub yanked: Option<YankMark>,
    /// When this state began: the time of the event `since`.
    pub at: Timestamp,
    /// The event that made this state.
    pub since: u64,
    /// The event that ended it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<u64>,
}

impl FileRow {
    /// Whether the row holds in the view of the log's first `size` entries.
    pub fn holds_at(&self, size: u64) -> bool {
        self.since < size && self.until.is_none_or(|until| size <= until)
    }

    /// Quarantined because the stored bytes are damaged, not because of a judgment.
    pub fn is_damaged(&self) -> bool {
        self.state == FileState::Quarantined && self.judged.reasons.iter().any(|r| r.check == STORE_CHECK)
    }

    /// Refused only because somebody promised other bytes under the name: nothing was found against these
    /// bytes themselves, so a sound promise of them is judged anew. (The other checks were skipped then.)
    pub fn is_only_misnamed(&self) -> bool {
        self.state == FileState::Refused
            && self.judged.reasons.iter().all(|reason| {
                reason.check == CheckName::Hashes.as_str() || reason.code == Outcome::Skipped.as_str()
            })
    }

    /// The file's identity.
    pub fn file(&self) -> FileRef {
        FileRef {
            project: self.judged.project.clone(),
            filename: self.judged.filename.clone(),
            sha256: self.judged.sha256,
        }
    }
}

/// `projects`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProjectRow {
    /// The first event that admitted a file: the project exists in views of a larger size.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub admitted_since: Option<u64>,
    /// The last event that touched it.
    pub changed: u64,
    /// PEP 792 markers with the event that set each, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub statuses: Vec<(u64, Status, Option<String>)>,
}

impl ProjectRow {
    /// The marker in force in the view of the log's first `size` entries.
    pub fn status_at(&self, size: u64) -> (Status, Option<String>) {
        self.statuses
            .iter()
            .rev()
            .find(|(since, ..)| *since < size)
            .map_or((Status::default(), None), |(_, status, reason)| {
                (*status, reason.clone())
            })
    }
}

/// What an upstream said of a project, and when.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CachedPage {
    /// With the entries that were left out, for `explain`.
    pub page: ProjectPage,
    /// For `If-None-Match` when upstream is asked again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// For `If-Modified-Since`, unchanged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_modified: Option<String>,
    /// When upstream last confirmed it.
    pub fetched_at: Timestamp,
}
