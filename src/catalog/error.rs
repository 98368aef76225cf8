//! What can go wrong in the catalogue.

use chiron_storage::{DbError, Digest, LogError};

/// Nothing was written unless a variant says otherwise.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// The tables could not be read or written.
    #[error(transparent)]
    Db(#[from] DbError),
    /// The log could not be read or appended to.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The decision names a file that was never judged.
    #[error("no file with sha256 {sha256} is known here")]
    NoSuchFile {
        /// As it was asked for.
        sha256: Digest,
    },
    /// The decision does not follow from the file's present state.
    #[error("{filename} is {state}: it cannot be {wanted}")]
    WrongState {
        /// The file decided on.
        filename: String,
        /// Its present state.
        state: &'static str,
        /// What it was to become, as a participle (`yanked`).
        wanted: &'static str,
    },
    /// Between the judgment and the commit another content was admitted under the name: judge again.
    #[error("{filename} was admitted with another content meanwhile (sha256 {taken_by})")]
    NameTaken {
        /// The name both want.
        filename: String,
        /// The content that has it.
        taken_by: Digest,
    },
    /// Between the judgment and the commit other metadata was handed out for the file: the next judgment knows it.
    #[error("other metadata than its own was handed out for {filename} while it was judged; ask again")]
    OtherMetadata {
        /// The wheel under judgment.
        filename: String,
    },
    /// The row changed between the judgment and the commit: judge it again.
    #[error("{filename} was decided on by somebody else while it was judged again")]
    Overtaken {
        /// The file under judgment.
        filename: String,
    },
    /// An entry of the log does not parse: written by a newer version, or damaged.
    #[error("entry {n} of the log cannot be read: {why}")]
    BadEntry {
        /// Its number, from 0.
        n: u64,
        /// What the parser said.
        why: String,
    },
    /// Rows contradict each other; `rebuild-catalog` makes them again from the log.
    #[error("the catalogue contradicts itself ({what}); run `chiron rebuild-catalog`")]
    Torn {
        /// Which rows, and how.
        what: &'static str,
    },
    /// The log ends before the size asked for.
    #[error("the log has {size} entries; there is no view at {wanted}")]
    BeyondLog {
        /// The size asked for, in entries.
        wanted: u64,
        /// How many there are.
        size: u64,
    },
}
