//! Why a bundle was not taken.

use std::path::PathBuf;

use chiron_storage::{BlobError, DbError, Digest};

use crate::advisories::LoadError;
use crate::api::AirgapFailure;
use crate::blocking::Lost;
use crate::bundle::BundleError;
use crate::catalog::CatalogError;
use crate::ingest::IngestError;

/// Why a bundle was not taken. Whatever it is, nothing of it is in force.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// It cannot be read, is damaged, is not believed or does not fit. Nothing of it is kept.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// What was asked for makes no sense; nothing was begun.
    #[error("{0}")]
    Usage(String),
    /// No bundle of the sender was imported, or no root of trust of it is known.
    #[error("{0}")]
    Unknown(String),
    /// Under a filename this site serves another content than the sender does. Nothing of the bundle is kept.
    #[error(
        "the sender does not agree with this site on {filename}: here its sha256 is {here}, there {there}; one of them was not what was published"
    )]
    Disagrees {
        /// The name.
        filename: String,
        /// What is admitted here.
        here: Digest,
        /// What the bundle has.
        there: Digest,
    },
    /// A document of the bundle's is not what the advisory database can be made from.
    #[error("the advisory database in the bundle: {0}")]
    Advisories(#[from] LoadError),
    /// The store refused: no space, the disk failed. What is staged stays, and the import can go on.
    #[error(transparent)]
    Blob(#[from] BlobError),
    /// The tables refused. What is staged stays, and the import can go on.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The gate could not judge a file. What is staged stays, and the import can go on.
    #[error(transparent)]
    Ingest(#[from] IngestError),
    /// A folder to work in could not be made or cleared.
    #[error("{}: {source}", path.display())]
    Scratch {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Others changed what the judgments rest on, again and again. What is staged stays, and the import can go on.
    #[error(
        "what the judgments rest on was changed by others {0} times while the bundle was judged; import it again"
    )]
    Overtaken(u32),
    /// Somebody asked the job to end. What is staged stays, and the import can go on.
    #[error("the import was cancelled; it goes on when the bundle is imported again")]
    Cancelled,
    /// A defect of ours, or the process is stopping. What is staged stays, and the import can go on.
    #[error("the work on the bundle broke off; import it again")]
    BrokeOff,
}

impl ImportError {
    /// What it means for who asked.
    pub fn failure(&self) -> AirgapFailure {
        match self {
            Self::Bundle(error) => of_bundle(error),
            Self::Usage(_) => AirgapFailure::Usage,
            Self::Unknown(_) => AirgapFailure::NotAdmitted,
            Self::Disagrees { .. } | Self::Advisories(LoadError::Damaged { .. }) => AirgapFailure::Integrity,
            Self::Advisories(_)
            | Self::Blob(_)
            | Self::Catalog(_)
            | Self::Ingest(_)
            | Self::Scratch { .. }
            | Self::Overtaken(_)
            | Self::Cancelled
            | Self::BrokeOff => AirgapFailure::Internal,
        }
    }

    /// Whether the bundle itself is to blame, so that what this run has staged of it goes: the site is as it was.
    pub(super) fn is_refusal(&self) -> bool {
        match self {
            Self::Bundle(error) => !matches!(
                error,
                BundleError::Read { .. } | BundleError::Write { .. } | BundleError::MissingVolumes { .. }
            ),
            Self::Usage(_) | Self::Unknown(_) | Self::Disagrees { .. } => true,
            Self::Advisories(error) => matches!(error, LoadError::Damaged { .. } | LoadError::Future { .. }),
            Self::Blob(_)
            | Self::Catalog(_)
            | Self::Ingest(_)
            | Self::Scratch { .. }
            | Self::Overtaken(_)
            | Self::Cancelled
            | Self::BrokeOff => false,
        }
    }
}

/// What a bundle that is not taken means for who asked.
const fn of_bundle(error: &BundleError) -> AirgapFailure {
    match error {
        BundleError::Damaged { .. } | BundleError::Fork { .. } | BundleError::TooLarge { .. } => {
            AirgapFailure::Integrity
        }
        BundleError::NotTrusted { .. }
        | BundleError::DoesNotFit { .. }
        | BundleError::MissingVolumes { .. } => AirgapFailure::NotAdmitted,
        BundleError::NotABundle { .. } | BundleError::Read { .. } => AirgapFailure::Usage,
        BundleError::Write { .. } => AirgapFailure::Internal,
    }
}

impl From<Lost> for ImportError {
    fn from(Lost: Lost) -> Self {
        Self::BrokeOff
    }
}

impl From<DbError> for ImportError {
    fn from(error: DbError) -> Self {
        Self::Catalog(error.into())
    }
}
