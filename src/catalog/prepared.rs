//! A judgment that waits: made, and not yet in force. An import judges all files of a bundle before any of them counts.

use bytes::Bytes;
use chiron_storage::{Blake3, Digest};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::commit::{Judgment, state_of, verdict_document};
use super::event::{Found, Judged};
use super::{CatalogError, FileRef, FileRow, FileState, MAX_REASONS, Origin};
use crate::package::ProjectName;
use crate::policy::{Decision, JudgedFile, Reason, Verdict};

/// Bytes of a row, or of an event, roughly.
const ROW_BYTES: usize = 2_048;

const NO_VERDICT: CatalogError = CatalogError::Torn {
    what: "a prepared verdict cannot be read or written as JSON",
};

/// A judgment with everything that is written when it comes into force, but for the bytes of its documents: those wait
/// under their digests. As JSON it is a row of an import's journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Prepared {
    /// Whose file it is; the verdict's own text names the same one.
    pub project: ProjectName,
    /// The file, as the verdict has it.
    pub file: JudgedFile,
    /// What follows for it.
    pub decision: Decision,
    /// Why it is not admitted; at most [`MAX_REASONS`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<Reason>,
    /// The verdict as JSON, without the number of its event. As text: a switch has many of them in memory, and the facts
    /// in them take several times as much when they are parsed.
    verdict: String,
    /// When it was judged.
    pub decided_at: Timestamp,
    /// For scrubs, which hash faster with it than with SHA-256.
    pub blake3: Blake3,
    /// Where the bytes came from.
    pub origin: Origin,
    /// The index's word, or else the wheel's own; relayed, never judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requires_python: Option<String>,
    /// The publisher's, RFC 3339, unchanged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upload_time: Option<String>,
    /// Yanked where it came from; the reason, maybe empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub yanked: Option<String>,
    /// The wheel's METADATA (PEP 658).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub core_metadata: Option<Digest>,
    /// The evidence documents that the verdict names.
    pub evidence: Vec<Digest>,
    /// What rests on them.
    pub found: Found,
    /// The event that made the file's row which was known to the judgment; absent: the file was not known. Another one
    /// meanwhile, and the judgment does not come into force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<u64>,
}

impl Prepared {
    /// Takes a judgment apart: what comes into force later, and the documents that must be kept until then. `since`: see
    /// [`Self::since`].
    ///
    /// # Errors
    /// [`CatalogError::Torn`] when the verdict cannot be written as JSON.
    pub fn of(judgment: Judgment, since: Option<u64>) -> Result<(Self, Vec<Bytes>), CatalogError> {
        let mut documents = judgment.documents;
        let verdict = Verdict {
            event: None,
            ..judgment.verdict
        };
        let text = String::from_utf8(verdict_document(&verdict)?.to_vec());
        let prepared = Self {
            project: judgment.project,
            verdict: text.map_err(|_| NO_VERDICT)?,
            file: verdict.file,
            decision: verdict.decision,
            reasons: verdict.reasons.into_iter().take(MAX_REASONS).collect(),
            decided_at: verdict.decided_at,
            blake3: judgment.blake3,
            origin: judgment.origin,
            requires_python: judgment.requires_python,
            upload_time: judgment.upload_time,
            yanked: judgment.yanked,
            core_metadata: judgment.core_metadata.as_ref().map(|bytes| Digest::of(bytes)),
            evidence: judgment.evidence.iter().map(|bytes| Digest::of(bytes)).collect(),
            found: judgment.found,
            since,
        };
        documents.extend(judgment.core_metadata);
        documents.extend(judgment.evidence);
        Ok((prepared, documents))
    }

    /// The verdict, as long as it has no event.
    ///
    /// # Errors
    /// [`CatalogError::Torn`] when the journal's row is damaged.
    pub fn verdict(&self) -> Result<Verdict, CatalogError> {
        serde_json::from_str(&self.verdict).map_err(|_| NO_VERDICT)
    }

    /// Bytes that it takes while a switch is under way, roughly.
    pub fn weight(&self) -> usize {
        // The event and the row repeat everything but the verdict, in some kilobytes.
        self.verdict.len() + 2 * ROW_BYTES
    }

    /// The file's identity.
    pub fn file_ref(&self) -> FileRef {
        FileRef {
            project: self.project.clone(),
            filename: self.file.filename.clone(),
            sha256: self.file.sha256,
        }
    }

    /// What the file becomes.
    pub const fn state(&self) -> FileState {
        state_of(self.decision)
    }

    /// As an event tells it. `document`: the verdict as it is stored.
    pub(super) fn judged(self, document: Digest) -> Judged {
        let file = self.file;
        Judged {
            project: self.project,
            filename: file.filename,
            version: file.version,
            sha256: file.sha256,
            blake3: self.blake3,
            size: file.size,
            origin: self.origin,
            core_metadata: self.core_metadata,
            requires_python: self.requires_python,
            upload_time: self.upload_time,
            yanked: self.yanked,
            verdict: document,
            reasons: self.reasons,
            evidence: self.evidence,
            found: self.found,
        }
    }

    /// The row that it would be, for those who look at a file before it counts. Its verdict document is not stored, and
    /// its number is none.
    pub fn row(&self) -> FileRow {
        FileRow {
            state: self.state(),
            note: None,
            yanked: None,
            revoked_by: None,
            first_seen: None,
            reconsider: false,
            at: self.decided_at,
            since: u64::MAX,
            until: None,
            judged: self.clone().judged(Digest::of(b"")),
        }
    }
}
