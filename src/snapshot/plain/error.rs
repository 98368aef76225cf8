//! Why a plain way out was not written.

use std::path::PathBuf;

use chiron_storage::{BlobError, Digest, LogError};

use crate::blocking::Lost;
use crate::catalog::CatalogError;

/// Nothing is at the place that was asked for; what was begun lies beside it, as `….partial`.
#[derive(Debug, thiserror::Error)]
pub enum PlainError {
    /// Something is there, and nothing is written over.
    #[error("{} is there already; name another place, or remove it", path.display())]
    There {
        /// Where.
        path: PathBuf,
    },
    /// What lies where the work is to be done is not of an earlier run.
    #[error("{} is not of a run that was broken off, and is in the way; remove it, or name another place", path.display())]
    InTheWay {
        /// Where.
        path: PathBuf,
    },
    /// The disk refused: no space, no permission.
    #[error("{}: {source}", path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file's bytes cannot be had, or are not what they should be.
    #[error("{filename}: {source}")]
    Blob {
        /// Whose.
        filename: String,
        /// What the store said.
        source: BlobError,
    },
    /// A document that belongs to a file is not here.
    #[error("{filename}: the {what} sha256:{digest} is not in the store; `chiron scrub` says more")]
    Lost {
        /// Whose.
        filename: String,
        /// Which document.
        what: &'static str,
        /// Its digest.
        digest: Digest,
    },
    /// The catalogue cannot be read.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The log cannot be read.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The work panicked or the process is stopping.
    #[error("the work did not finish; run it again")]
    Stopped,
}

impl PlainError {
    /// Whether bytes here are not what they should be: exit status 4.
    pub fn is_integrity(&self) -> bool {
        matches!(
            self,
            Self::Lost { .. }
                | Self::Blob {
                    source: BlobError::Corrupt { .. } | BlobError::NotFound { .. },
                    ..
                }
        )
    }
}

impl From<Lost> for PlainError {
    fn from(Lost: Lost) -> Self {
        Self::Stopped
    }
}
