//! Why something is not published. What was published before stays whole and served.

use std::path::PathBuf;

use chiron_storage::{DbError, LogError};
use chiron_tuf::{MetadataError, Role, Version};

use crate::blocking::Lost;
use crate::catalog::CatalogError;
use crate::keys::KeyError;

/// Why something is not published. Nothing of it was: the generation before is whole and served on.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// There is no root yet.
    #[error("this data folder has no signed repository yet: `chiron tuf init` makes one")]
    NotInitialised,
    /// The tables.
    #[error(transparent)]
    Db(#[from] DbError),
    /// The catalogue.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// A file of the metadata folder.
    #[error("cannot {doing} {}: {source}", path.display())]
    Folder {
        /// Such as "write".
        doing: &'static str,
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A key that is needed cannot be had.
    #[error("{role} cannot be signed: {source}")]
    Key {
        /// What was to be signed.
        role: Role,
        /// Why the key is not there.
        source: KeyError,
    },
    /// Enough keys could be had, and their signatures do not suffice.
    #[error("{role} cannot be signed: {why}")]
    Sign {
        /// What was to be signed.
        role: Role,
        /// What happened.
        why: String,
    },
    /// A document that was handed in is not accepted; nothing of what came with it is.
    #[error("{role} {version} is not accepted: {why}")]
    NotAccepted {
        /// Whose.
        role: Role,
        /// The version that it states.
        version: Version,
        /// What is wrong with it.
        why: String,
    },
    /// A stored document does not read; a defect or a damaged database.
    #[error("stored metadata is damaged: {0}")]
    Damaged(String),
    /// The process is stopping.
    #[error("the publication did not finish: it panicked, or the process is stopping")]
    Stopping,
}

impl PublishError {
    /// Whether it stands against publishing at all, and not only against what was asked for.
    pub(super) fn is_trouble(&self) -> bool {
        !matches!(self, Self::NotInitialised | Self::NotAccepted { .. })
    }

    /// Something cannot be signed.
    pub(super) fn sign(role: Role, why: &impl ToString) -> Self {
        Self::Sign {
            role,
            why: why.to_string(),
        }
    }
}

impl From<LogError> for PublishError {
    fn from(error: LogError) -> Self {
        Self::Catalog(error.into())
    }
}

impl From<Lost> for PublishError {
    fn from(Lost: Lost) -> Self {
        Self::Stopping
    }
}

impl From<MetadataError> for PublishError {
    fn from(error: MetadataError) -> Self {
        Self::Damaged(error.to_string())
    }
}
