//! What can go wrong in the catalogue.

use chiron_storage::{DbError, Digest, LogError};

/// Nothing was written unless a variant says otherwise.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    #[error(transparent)]
    Db(#[from] DbError),
    #[error(transparent)]
    Log(#[from] LogError),
    /// The decision names a file that was never judged.
    #[error("no file with sha256 {sha256} is known here")]
    NoSuchFile { sha256: Digest },
    /// The decision does not follow from the file's present state.
    #[error("{filename} is {state}: it cannot be {wanted}")]
    WrongState {
        filename: String,
        state: &'static str,
        wanted: &'static str,
    },
    /// Between the judgment and the commit another content was admitted under the name: judge again.
    #[error("{filename} was admitted with another content meanwhile (sha256 {taken_by})")]
    NameTaken { filename: String, taken_by: Digest },
    /// An entry of the log does not parse: written by a newer version, or damaged.
    #[error("entry {n} of the log cannot be read: {why}")]
    BadEntry { n: u64, why: String },
    /// Rows contradict each other; `rebuild-catalog` makes them again from the log.
    #[error("the catalogue contradicts itself ({what}); run `chiron rebuild-catalog`")]
    Torn { what: &'static str },
    /// The log ends before the size asked for.
    #[error("the log has {size} entries; there is no view at {wanted}")]
    BeyondLog { wanted: u64, size: u64 },
}
