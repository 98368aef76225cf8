//! What a publication makes, and what others see of it.

use bytes::Bytes;
use chiron_storage::Digest;
use chiron_tuf::{KeyId, Role, Threshold, Version};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::package::ProjectName;

/// One signed version of the repository over a view of the catalogue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Generation {
    /// Counted from 1, without gaps.
    pub number: u64,
    /// The size of the log whose view is signed.
    pub log_size: u64,
    /// When it was signed.
    pub at: Timestamp,
    /// Of the roles that there is one of.
    pub versions: Versions,
    /// The bytes of its `timestamp.json`.
    pub timestamp: Bytes,
}

/// Versions in one generation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Versions {
    /// Of the root.
    pub root: Version,
    /// Of the top-level targets.
    pub targets: Version,
    /// Of `trust`.
    pub trust: Version,
    /// Of `bins`.
    pub bins: Version,
    /// Of the snapshot.
    pub snapshot: Version,
    /// Of the timestamp.
    pub timestamp: Version,
}

/// What a publication that somebody asks for should do beside what is due anyway.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct How {
    /// Sign a new timestamp even if nothing changed.
    pub resign: bool,
    /// Sign again, with new versions, what somebody changed in the folder, and put back what is signed by hand.
    pub repair: bool,
    /// No online role gets a version below this: after a restored backup, above everything clients have seen.
    pub versions_from: Option<Version>,
}

/// What a publication did. `generation` is the one before if there was nothing to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Published {
    /// Its number.
    pub generation: u64,
    /// The size of the log whose view is signed.
    pub log_size: u64,
    /// Targets that were added, replaced or removed.
    pub targets_changed: u64,
    /// Bins that were signed.
    pub bins_signed: u64,
    /// Of metadata files.
    pub bytes_written: u64,
    /// Metadata files.
    pub files_written: u64,
    /// Milliseconds of work.
    pub took_ms: u64,
}

/// A signed document that people (or `init`) made, to be verified and installed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedRole {
    /// Root, targets, trust or bins.
    pub role: Role,
    /// As the document says; checked.
    pub version: Version,
    /// The file.
    pub bytes: Bytes,
}

/// An index page as the newest timestamp signs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedPage {
    /// PEP 691 JSON.
    pub bytes: Bytes,
    /// Of the bytes.
    pub sha256: Digest,
    /// The size of the log whose view is signed.
    pub log_size: u64,
}

/// Where a target's bytes are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TargetContent {
    /// Here.
    Stored(Bytes),
    /// In the blob store; served only while the catalogue has the file admitted.
    Blob {
        /// Its content.
        sha256: Digest,
        /// Whose file it is.
        project: ProjectName,
        /// As published.
        filename: String,
    },
}

/// How one role stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleHealth {
    /// Its name; `bin-xx` stands for all bins together, with the lowest version and the first expiry.
    pub role: String,
    /// Of the document in force; 0 if there is none.
    pub version: Version,
    /// Of the document in force.
    pub expires: Option<Timestamp>,
    /// How many keys must sign.
    pub threshold: Option<Threshold>,
    /// Keys of the role that signed the document in force.
    pub signed: Vec<KeyId>,
    /// Keys of the role that did not.
    pub missing: Vec<KeyId>,
    /// Enough of its keys are where the daemon can use them.
    pub online: bool,
    /// A sentence for an operator.
    pub problem: Option<String>,
}
