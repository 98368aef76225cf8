//! Why an export was not made.

use std::path::{Path, PathBuf};

use chiron_storage::{BlobError, Digest};

use crate::api::AirgapFailure;
use crate::bundle::BundleError;
use crate::catalog::CatalogError;
use crate::publish::PublishError;

/// What went wrong. What was written so far lies in `OUT.partial`, and the same command goes on from there.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The request contradicts itself or names nothing.
    #[error("{0}")]
    Asked(String),
    /// Something that was named is not admitted here.
    #[error("{} not admitted here: {}", count(missing.len()), some(missing))]
    Missing {
        /// Each as it was named.
        missing: Vec<String>,
    },
    /// A receipt or a snapshot's name is not of this site's log.
    #[error("{what} is not of this site's log: {why}")]
    Foreign {
        /// The receipt's file, or the name.
        what: String,
        /// What tells it.
        why: String,
    },
    /// A receipt, or a fill list, is not one.
    #[error("{}: {why}", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// Something else is where the bundle should go.
    #[error("{} is in the way: {why}", path.display())]
    InTheWay {
        /// What is there.
        path: PathBuf,
        /// Why it is not replaced.
        why: String,
    },
    /// A stored file or document is not there, or not what its name says.
    #[error("{what} cannot be exported: {why}")]
    Damaged {
        /// Which.
        what: String,
        /// What was found.
        why: String,
    },
    /// The disk refused.
    #[error("{}: {source}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// It was asked to end.
    #[error("the export was cancelled; the same command goes on where it stopped")]
    Cancelled,
    /// The process is stopping, or a thread was lost.
    #[error("the work broke off; the same command goes on where it stopped")]
    Lost,
    /// Writing the bundle.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// The signed repository, which a bundle carries.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// The catalogue.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The store.
    #[error(transparent)]
    Blob(#[from] BlobError),
    /// Another advisory database came into force meanwhile.
    #[error(
        "another advisory database came into force while the bundle was made; the same command begins anew"
    )]
    Overtaken,
    /// The advisory database could not be read.
    #[error(transparent)]
    Advisories(#[from] crate::advisories::LoadError),
    /// One of the other forms.
    #[error("{0}")]
    Plain(String, AirgapFailure),
}

impl ExportError {
    /// What it means for the exit status.
    pub fn failure(&self) -> AirgapFailure {
        match self {
            Self::Asked(_)
            | Self::Unreadable { .. }
            | Self::InTheWay { .. }
            | Self::Publish(PublishError::NotInitialised)
            | Self::Bundle(BundleError::TooLarge { .. }) => AirgapFailure::Usage,
            Self::Missing { .. } | Self::Foreign { .. } => AirgapFailure::NotAdmitted,
            Self::Damaged { .. }
            | Self::Blob(BlobError::Corrupt { .. } | BlobError::NotFound { .. })
            | Self::Bundle(BundleError::Damaged { .. }) => AirgapFailure::Integrity,
            Self::Plain(_, failure) => *failure,
            Self::File { .. }
            | Self::Cancelled
            | Self::Lost
            | Self::Overtaken
            | Self::Advisories(_)
            | Self::Bundle(_)
            | Self::Publish(_)
            | Self::Catalog(_)
            | Self::Blob(_) => AirgapFailure::Internal,
        }
    }

    /// Whether the same command would end so again: there is nothing to go on with.
    pub(super) fn is_final(&self) -> bool {
        matches!(
            self,
            Self::Asked(_)
                | Self::Missing { .. }
                | Self::Foreign { .. }
                | Self::Unreadable { .. }
                | Self::InTheWay { .. }
                | Self::Publish(PublishError::NotInitialised)
                | Self::Bundle(BundleError::TooLarge { .. })
        )
    }

    pub(super) fn file(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File { path, source }
    }

    pub(super) fn no_entry(n: u64) -> Self {
        Self::Damaged {
            what: format!("entry {n} of the log"),
            why: "it is not stored here".to_owned(),
        }
    }

    pub(super) fn no_document(digest: &Digest) -> Self {
        Self::Damaged {
            what: format!("the document {digest}"),
            why: "the log names it, and it is not kept here".to_owned(),
        }
    }
}

/// Names repeated in a message; the report has all of them.
const NAMED: usize = 10;

fn count(n: usize) -> String {
    if n == 1 {
        "1 thing that was named is".to_owned()
    } else {
        format!("{n} things that were named are")
    }
}

fn some(missing: &[String]) -> String {
    let mut text = missing.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
    if missing.len() > NAMED {
        text += ", …";
    }
    text
}
