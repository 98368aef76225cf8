//! What can go wrong with a blob, and what follows.

use std::io;
use std::path::PathBuf;

use crate::blocking::Lost;
use crate::digest::Digest;

/// An error of the blob store.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    /// The disk is full, or would eat into the reserve. The staged file is gone; nothing was stored.
    #[error("not enough disk space for blobs: {free} bytes free, {needed} needed with the reserve")]
    NoSpace {
        /// Bytes that must be free, the reserve included; 0 when the disk itself refused.
        needed: u64,
        /// Bytes that are free.
        free: u64,
    },
    /// No blob of that name is stored.
    #[error("no blob {digest} is stored")]
    NotFound {
        /// The name asked for.
        digest: Digest,
    },
    /// The stored bytes are not what the name says. Nothing of them was handed out.
    #[error("the stored blob {digest} is damaged: its bytes hash to something else")]
    Corrupt {
        /// The name asked for.
        digest: Digest,
    },
    /// More bytes than the caller allows.
    #[error("more than the allowed {limit} bytes")]
    TooLarge {
        /// Bytes that were allowed.
        limit: u64,
    },
    /// Another process has the data folder open. Nothing was touched.
    #[error("{} is in use by another process", path.display())]
    Locked {
        /// The data folder.
        path: PathBuf,
    },
    /// The disk refused.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The work panicked or the process is stopping. What was staged is gone.
    #[error("the storage task did not finish: it panicked, or the process is stopping")]
    Lost,
}

impl From<Lost> for BlobError {
    fn from(_: Lost) -> Self {
        Self::Lost
    }
}
