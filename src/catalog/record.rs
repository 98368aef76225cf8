//! The catalogue's rows and keys. A row holds from the event that made it until the event that replaced
//! it, so that the index can be shown as it was at any size of the log.

use chiron_storage::{Digest, Raw, Table};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::event::{Actor, FileRef, Judged, MAX_REASONS, Waived};
use super::reached::Reached;
use crate::package::{ProjectPage, Status};
use crate::policy::Reason;
use crate::verify::{CheckName, Outcome};

/// Column families, in the order in which they are created.
pub const FAMILIES: &[&str] = &[
    "files",
    "digests",
    "names",
    "projects",
    "counts",
    "docs",
    "pages",
    "seen",
    "jobs",
    "counters",
    "waiting",
    "waivers",
    "marks",
    "airgap-imports",
    "airgap-staged",
    "airgap-judged",
    "airgap-docs",
    "airgap-senders",
    "airgap-trust",
    "airgap-unsettled",
];

/// Families that [`super::Catalog::rebuild`] empties and makes again from the log.
pub(super) const PROJECTED: &[&str] = &[
    "files",
    "digests",
    "names",
    "projects",
    "counts",
    "waiting",
    "waivers",
    "airgap-senders",
];

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

/// Files in quarantine for a reason that passes, by the reason's code.
pub(super) const WAITING: Table<WaitingKey, u64> = Table::new("waiting");
/// Waivers by content and the event that holds them.
pub(super) const WAIVERS: Table<(Digest, u64), Waived> = Table::new("waivers");
/// Digests of what the whole catalogue was last judged with.
pub(super) const MARKS: Table<String, Digest> = Table::new("marks");

/// `waiting`: the reason's code, project, filename, content; the value is the event that made the row.
pub(super) type WaitingKey = (String, String, String, Digest);

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

    pub(super) fn waiting_key(&self, code: &str) -> WaitingKey {
        (
            code.to_owned(),
            self.project.to_string(),
            self.filename.clone(),
            self.sha256,
        )
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
    /// Was good or in quarantine until a person took it out of service, or a judgment made again; kept.
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

/// The code of a reason of `reproducibility` that passes when the file has been rebuilt.
pub const REBUILD_PENDING: &str = "rebuild-pending";

/// The code of a reason of the policy that passes with time alone.
pub const TOO_YOUNG: &str = "too-young";

/// What a file in quarantine waits for, when nothing else stands against it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Waits {
    /// Its rebuild is under way, or will be.
    Rebuild,
    /// Upstream did not give what belongs to it; it is asked again with the next request.
    Upstream,
    /// It is younger than the policy wants.
    Age,
}

/// In [`super::Found::unavailable`]: the release's source distribution could not be had.
pub const LACKS_SOURCE: &str = "source";

/// In [`super::Found::unavailable`]: upstream names a provenance document and did not give it.
pub const LACKS_PROVENANCE: &str = "provenance";

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
    /// Who revoked it, while it is revoked: what Chiron revoked, Chiron may restore.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_by: Option<Actor>,
    /// When this site first judged the file; absent in rows that an earlier version wrote.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_seen: Option<Timestamp>,
    /// A waiver was made since the bytes were refused: whoever asks for the file has it judged anew.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub reconsider: bool,
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

    /// What it waits for, if it is in quarantine for nothing but reasons that pass by themselves.
    pub fn waits(&self) -> Option<Waits> {
        let reasons = &self.judged.reasons;
        // A full list may have left something out that does not pass.
        let kept = self.state == FileState::Quarantined || self.is_revoked_by_chiron();
        if !kept || reasons.is_empty() || reasons.len() >= MAX_REASONS {
            return None;
        }
        let mut longest = Waits::Rebuild;
        for reason in reasons {
            longest = longest.max(self.passes(reason)?);
        }
        Some(longest)
    }

    /// The codes under which it stands in `waiting`.
    pub(super) fn waiting_codes(&self) -> impl Iterator<Item = &'static str> {
        let kept = self.is_stored() && (self.state == FileState::Quarantined || self.is_revoked_by_chiron());
        let has = |code: &str| self.judged.reasons.iter().any(|reason| reason.code == code);
        let codes = [REBUILD_PENDING, TOO_YOUNG].map(|code| (kept && has(code)).then_some(code));
        codes.into_iter().flatten()
    }

    fn passes(&self, reason: &Reason) -> Option<Waits> {
        let lacks = |what: &str| {
            self.judged
                .found
                .unavailable
                .iter()
                .any(|lacking| lacking == what)
        };
        match (reason.check.as_str(), reason.code.as_str()) {
            ("reproducibility", REBUILD_PENDING) => Some(Waits::Rebuild),
            ("policy", TOO_YOUNG) => Some(Waits::Age),
            ("reproducibility", _) if lacks(LACKS_SOURCE) => Some(Waits::Upstream),
            ("signature", _) if lacks(LACKS_PROVENANCE) => Some(Waits::Upstream),
            _ => None,
        }
    }

    /// Taken out of service by a judgment made again, not by a person.
    pub fn is_revoked_by_chiron(&self) -> bool {
        self.state == FileState::Revoked && self.revoked_by == Some(Actor::Chiron)
    }

    /// Whether its bytes are here and sound as far as is known, so that it can be judged again.
    pub fn is_stored(&self) -> bool {
        self.state.keeps_bytes() && !self.is_damaged()
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
    /// What admitted files had: the measure of a downgrade.
    #[serde(default, skip_serializing_if = "Reached::is_empty")]
    pub reached: Reached,
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

#[cfg(test)]
mod tests;
