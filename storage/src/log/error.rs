//! What can go wrong with the log, and what follows.

use std::io;
use std::path::PathBuf;

use crate::db::DbError;

/// An error of the log.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// An entry is longer than a bundle can hold. Nothing was appended.
    #[error("a log entry has {bytes} bytes; at most 65535 fit")]
    EntryTooLarge {
        /// Bytes of the entry.
        bytes: usize,
    },
    /// The tree has no such entry or was never of that size.
    #[error("the log has {size} entries; {asked} is not among them")]
    OutOfRange {
        /// The entry number or tree size asked for.
        asked: u64,
        /// Entries that the log (or the tree named by the caller) has.
        size: u64,
    },
    /// A hash that the tree needs is not stored: the log is damaged.
    #[error("the log is damaged: {detail}")]
    Damaged {
        /// What is missing or does not fit.
        detail: String,
    },
    /// A proof does not prove what it should.
    #[error("the proof does not hold: {detail}")]
    Proof {
        /// What does not fit.
        detail: String,
    },
    /// A checkpoint is not well-formed or not signed by the expected key.
    #[error("the checkpoint is not valid: {detail}")]
    Checkpoint {
        /// What is wrong with it.
        detail: String,
    },
    /// A key or its name is not well-formed.
    #[error("the log's key is not valid: {detail}")]
    Key {
        /// What is wrong with it. Never the key itself.
        detail: String,
    },
    /// A key's file cannot be read or written.
    #[error("the log's key {}: {source}", path.display())]
    KeyFile {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The tables refused.
    #[error(transparent)]
    Db(#[from] DbError),
}
