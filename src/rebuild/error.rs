//! Why there is no rebuild.

use std::path::PathBuf;

use chiron_storage::BlobError;

use crate::catalog::CatalogError;

/// Why nothing can be built on this machine. Wheels that need a rebuild stay in quarantine.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SandboxError {
    /// `reproducibility.enabled` is false.
    #[error("rebuilding is switched off (reproducibility.enabled)")]
    Off,
    /// No usable interpreter.
    #[error("{} cannot build: {why}; set reproducibility.python to a Python 3.8 or later", program.display())]
    Python {
        /// What was tried.
        program: PathBuf,
        /// What it said.
        why: String,
    },
    /// No bubblewrap.
    #[error(
        "there is no sandbox, and nothing is built without one: {} does not start ({why}); install bubblewrap 0.8 or later",
        program.display()
    )]
    NoBubblewrap {
        /// What was tried.
        program: PathBuf,
        /// What the system said.
        why: String,
    },
    /// bubblewrap is there and seals nothing, or not enough.
    #[error("the sandbox does not hold on this machine, so nothing is built: {why}")]
    Leaky {
        /// What the probe found.
        why: String,
    },
}

/// Why a rebuild came to no end. The wheel stays as it was.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    /// Nothing can be built on this machine.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// Over `reproducibility.max_sdist`.
    #[error("{filename} has {size} bytes; sources over {limit} (reproducibility.max_sdist) are not built")]
    SourceTooLarge {
        /// The source.
        filename: String,
        /// Bytes.
        size: u64,
        /// Bytes.
        limit: u64,
    },
    /// Only pure wheels are rebuilt: a compiled one depends on a compiler that nobody names.
    #[error("{filename} is not a pure wheel; only its trace is recorded")]
    NotPure {
        /// The wheel.
        filename: String,
    },
    /// The file at hand, or its source, could not be found, read or judged.
    #[error("{what}: {why}")]
    AtHand {
        /// Which file.
        what: String,
        /// What is wrong with it.
        why: String,
    },
    /// The job was cancelled or the process is ending; it is done again.
    #[error("the rebuild was cancelled")]
    Cancelled,
    /// The catalogue could not be read.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The store could not be read.
    #[error(transparent)]
    Blob(#[from] BlobError),
    /// A temporary file or a process could not be made.
    #[error("a build could not be started or read: {0}")]
    Io(#[from] std::io::Error),
    /// The thread that watched the sandbox was lost; the sandbox died with it.
    #[error("the rebuild broke off; it is done again")]
    Lost,
}
