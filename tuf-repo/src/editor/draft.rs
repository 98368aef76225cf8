//! A document that is to be signed, as the bytes that signatures cover.

use std::fmt;

use jiff::Timestamp;

use super::entry::split;
use super::ledger::VersionsExhausted;
use crate::canonical::{CanonicalError, canonical};
use crate::check::Defect;
use crate::envelope::Document;
use crate::expiry::{ExpiryError, expires_at};
use crate::metadata::{SPEC_VERSION, Version};
use crate::role::{Bin, Role};

/// A document that nobody has signed yet.
#[derive(Clone, PartialEq, Eq)]
pub struct Draft {
    role: Role,
    version: Version,
    expires: Timestamp,
    payload: Vec<u8>,
}

/// Why there is no such document.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DraftError {
    /// The role has metadata of another kind.
    #[error("metadata of {role} is of the type {expected}, not {found}")]
    Type {
        /// Whose.
        role: Role,
        /// What it should be.
        expected: &'static str,
        /// What it is.
        found: &'static str,
    },
    /// Clients would refuse it.
    #[error("metadata of {role} is not well formed: {defect}")]
    Defect {
        /// Whose.
        role: Role,
        /// What is wrong.
        #[source]
        defect: Defect,
    },
    /// One path, two targets.
    #[error("{bin} would list {path:?} twice")]
    Twice {
        /// In which bin.
        bin: Bin,
        /// Which path.
        path: String,
    },
    /// A stored target is damaged.
    #[error("{bin} would list something that is no target; rebuild the signed repository's tables")]
    NoEntry {
        /// In which bin.
        bin: Bin,
    },
    /// No version left.
    #[error(transparent)]
    Versions(#[from] VersionsExhausted),
    /// No canonical form.
    #[error(transparent)]
    Canonical(#[from] CanonicalError),
    /// No expiry.
    #[error(transparent)]
    Expiry(#[from] ExpiryError),
}

impl Draft {
    /// Of a document that a ceremony made: a root, or targets, trust and bins with other keys.
    pub fn of<T: Document>(role: Role, document: &T) -> Result<Self, DraftError> {
        let expected = type_of(role);
        if T::TYPE != expected {
            return Err(DraftError::Type {
                role,
                expected,
                found: T::TYPE,
            });
        }
        document
            .check()
            .map_err(|defect| DraftError::Defect { role, defect })?;
        Ok(Self {
            role,
            version: document.version(),
            expires: document.expires(),
            payload: canonical(document)?,
        })
    }

    /// Of a bin that lists these targets, whose bytes are taken as they are.
    pub(super) fn of_bin<E: AsRef<[u8]>>(
        bin: Bin,
        version: Version,
        entries: &[E],
        now: Timestamp,
    ) -> Result<Self, DraftError> {
        let expires = expires_at(Role::Bin(bin), now)?;
        let lines = in_order(bin, entries)?;
        let head = format!(
            "{{\"_type\":\"targets\",\"expires\":\"{expires}\",\"spec_version\":\"{SPEC_VERSION}\",\"targets\":{{"
        );
        let tail = format!("}},\"version\":{version}}}");
        let length: usize = lines.iter().map(|line| line.len() + 1).sum();
        let mut payload = Vec::with_capacity(head.len() + length + tail.len());
        payload.extend_from_slice(head.as_bytes());
        for (index, line) in lines.into_iter().enumerate() {
            if index > 0 {
                payload.push(b',');
            }
            payload.extend_from_slice(line);
        }
        payload.extend_from_slice(tail.as_bytes());
        Ok(Self {
            role: Role::Bin(bin),
            version,
            expires,
            payload,
        })
    }

    /// Whose.
    pub fn role(&self) -> Role {
        self.role
    }

    /// Which version.
    pub fn version(&self) -> Version {
        self.version
    }

    /// Not to be believed from then on.
    pub fn expires(&self) -> Timestamp {
        self.expires
    }

    /// The canonical bytes, which signatures cover.
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }
}

/// Without the document: a bin has hundreds of kilobytes.
impl fmt::Debug for Draft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.payload.len();
        write!(
            f,
            "Draft({} {}, {bytes} bytes, until {})",
            self.role, self.version, self.expires
        )
    }
}

/// The entries in the order of their paths, each path once.
fn in_order<E: AsRef<[u8]>>(bin: Bin, entries: &[E]) -> Result<Vec<&[u8]>, DraftError> {
    let with_path = |entry| split(entry).map(|(path, _)| (path, entry));
    let mut lines = entries
        .iter()
        .map(|entry| with_path(entry.as_ref()).ok_or(DraftError::NoEntry { bin }))
        .collect::<Result<Vec<(&str, &[u8])>, _>>()?;
    // By path and not by whole entry: "!" sorts before the quotation mark that ends a path.
    lines.sort_unstable_by_key(|(path, _)| *path);
    let twice = lines.windows(2).find_map(|pair| match pair {
        [(one, _), (other, _)] if one == other => Some((*one).to_owned()),
        _ => None,
    });
    match twice {
        Some(path) => Err(DraftError::Twice { bin, path }),
        None => Ok(lines.into_iter().map(|(_, line)| line).collect()),
    }
}

/// The `_type` of a role's metadata.
pub(crate) const fn type_of(role: Role) -> &'static str {
    match role {
        Role::Root => "root",
        Role::Targets | Role::Trust | Role::Bins | Role::Bin(_) => "targets",
        Role::Snapshot => "snapshot",
        Role::Timestamp => "timestamp",
    }
}
