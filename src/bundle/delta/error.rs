//! Why a delta could not be made or used.

use std::io;

use chiron_storage::Digest;

/// What went wrong. Whatever was handed out so far is to be thrown away.
#[derive(Debug, thiserror::Error)]
pub enum DeltaError {
    /// The wheel that is there already cannot be read.
    #[error("the base of a delta cannot be read: {0}")]
    Base(io::Error),
    /// The wheel that a delta is made for cannot be read.
    #[error("the wheel that a delta is made for cannot be read: {0}")]
    Target(io::Error),
    /// The delta cannot be read.
    #[error("a delta cannot be read: {0}")]
    Read(io::Error),
    /// What comes of it cannot be written.
    #[error("what a delta makes cannot be written: {0}")]
    Write(io::Error),
    /// It does not follow the format, or contradicts itself or its base.
    #[error("a delta is damaged: {0}")]
    Damaged(String),
    /// Over a bound of [`super::DeltaLimits`].
    #[error("a delta's {what} are {found}, and {limit} are allowed")]
    TooLarge {
        /// What there is too much of.
        what: &'static str,
        /// How much it says.
        found: u64,
        /// How much is allowed.
        limit: u64,
    },
    /// Everything could be read, and something else than the announced wheel came of it: another base, or a delta that lies.
    #[error("a delta makes {found} instead of {expected}")]
    OtherFile {
        /// The SHA-256 that the listing names.
        expected: Digest,
        /// Of what came of it.
        found: Digest,
    },
    /// The compressor could not be set up: no memory.
    #[error("no memory for {0}")]
    Memory(&'static str),
}

impl DeltaError {
    pub(super) fn damaged(why: impl Into<String>) -> Self {
        Self::Damaged(why.into())
    }
}
