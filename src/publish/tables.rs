//! Families and rows. Everything that decides about the next publication is here and never in the served folder: who can
//! write there must not choose versions, targets or documents.

use chiron_storage::{Digest, Raw, Table};
use chiron_tuf::{LedgerRow, Role, RoleName, Version};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::generation::Versions;
use super::{Generation, PublishError};

/// Families of publication, in the order in which they are created.
pub const FAMILIES: &[&str] = &[
    "tuf-targets",
    "tuf-contents",
    "tuf-documents",
    "tuf-roles",
    "tuf-state",
    "tuf-superseded",
    "tuf-pending",
];

/// Targets of the bins: the SHA-256 of the path, and the [`chiron_tuf::TargetEntry`] as its bin lists it. A bin is a range.
pub(super) const TARGETS: Table<Digest, Raw> = Table::new("tuf-targets");

/// Bytes of targets that are no blobs, by the SHA-256 of the path and that of the bytes.
pub(super) const CONTENTS: Table<(Digest, Digest), Raw> = Table::new("tuf-contents");

/// Metadata files that cannot be made again without people, by role and version: every root there ever was, and the
/// targets, trust and bins in force. The timestamp of the newest generation is among them, since it is written last.
pub(super) const DOCUMENTS: Table<(String, Version), Raw> = Table::new("tuf-documents");

/// What was published last of every role that ever was.
pub(super) const ROLES: Table<String, RoleRow> = Table::new("tuf-roles");

/// The newest generation.
pub(super) const GENERATION: Table<String, GenerationRow> = Table::new("tuf-state");
pub(super) const NEWEST: &str = "generation";

/// Numbers that stand for themselves.
pub(super) const NUMBERS: Table<String, u64> = Table::new("tuf-state");
/// How many targets the bins list.
pub(super) const TARGET_COUNT: &str = "target-count";
/// With which version of [`super::targets::FORM`] all targets were made.
pub(super) const MADE_IN_FORM: &str = "form";

/// While everything is made anew: the last project that was.
pub(super) const ANEW: Table<String, String> = Table::new("tuf-state");
pub(super) const ANEW_AFTER: &str = "anew-after";

/// What may go, by the millisecond at which it was superseded and a number that tells equal ones apart.
pub(super) const SUPERSEDED: Table<(u64, u64), Superseded> = Table::new("tuf-superseded");

/// One role as it was published last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct RoleRow {
    /// Counted from 1, and never backwards.
    pub version: Version,
    /// Of the file.
    pub sha256: Digest,
    /// Of the file, in bytes.
    pub length: u64,
    /// As the document states it.
    pub expires: Timestamp,
    /// When.
    pub signed_at: Timestamp,
    /// Nobody delegates to it any more: a bin of another count. The snapshot goes on naming it, since clients refuse a
    /// snapshot that drops a name.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub retired: bool,
}

impl RoleRow {
    /// For the editor.
    pub(super) fn ledger(&self) -> LedgerRow {
        LedgerRow {
            version: self.version,
            length: self.length,
            sha256: *self.sha256.as_bytes(),
        }
    }
}

/// A [`Generation`] without its timestamp's bytes, which are in [`DOCUMENTS`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct GenerationRow {
    pub number: u64,
    pub log_size: u64,
    pub at: Timestamp,
    pub versions: Versions,
}

impl GenerationRow {
    pub(super) fn with(self, timestamp: bytes::Bytes) -> Generation {
        Generation {
            number: self.number,
            log_size: self.log_size,
            at: self.at,
            versions: self.versions,
            timestamp,
        }
    }
}

/// What nothing in force names any more, or may not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Superseded {
    /// A metadata file.
    File {
        /// Its name.
        name: String,
    },
    /// Bytes of a target: kept if the target has them when the time has come.
    Content {
        /// SHA-256 of the path.
        path: Digest,
        /// Of the bytes.
        sha256: Digest,
    },
}

/// A role by the name that a row has.
pub(super) fn role_of(name: &str) -> Result<Role, PublishError> {
    let damaged = |why: String| PublishError::Damaged(format!("a row of the role {name:?}: {why}"));
    let name: RoleName = name.parse().map_err(|error| damaged(format!("{error}")))?;
    Role::try_from(&name).map_err(|error| damaged(error.to_string()))
}
