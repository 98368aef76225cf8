//! What can go wrong with the tables, and what follows.

use std::io;
use std::path::{Path, PathBuf};

use crate::space;
use crate::table::{CodecError, Table};

/// An error of the tables. `Clone`, because one failed commit answers many callers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DbError {
    /// Another process has the data folder open. Nothing was touched.
    #[error("{} is in use by another process", path.display())]
    Locked {
        /// The database's folder.
        path: PathBuf,
    },
    /// A newer Chiron wrote this folder. Nothing was touched.
    #[error("the data folder has format {found}, newer than format {known} that this program knows")]
    NewerFormat {
        /// Version found on disk.
        found: u32,
        /// Newest version that this build reads.
        known: u32,
    },
    /// The disk is full, or would eat into the reserve. Nothing of the transaction was written.
    #[error("not enough disk space for the tables: {free} bytes free, {needed} needed with the reserve")]
    NoSpace {
        /// Bytes that must be free, the reserve included; 0 when the disk itself refused.
        needed: u64,
        /// Bytes that are free.
        free: u64,
    },
    /// Stored bytes fail their checksum or break the engine's own rules.
    #[error("the tables are damaged: {detail}")]
    Corrupt {
        /// The engine's words.
        detail: String,
    },
    /// An earlier synced write failed, so what is on disk is uncertain: no more writes until a restart,
    /// which finds either all or nothing of that write. Reads go on.
    #[error("writing is stopped until a restart, because an earlier write failed: {cause}")]
    Poisoned {
        /// The first failure.
        cause: String,
    },
    /// The caller's closure panicked; nothing it did was kept.
    #[error("a storage transaction panicked; nothing of it was kept")]
    Panicked,
    /// The database is closing.
    #[error("the database is closing")]
    Closed,
    /// A table's family was not named when the database was opened.
    #[error("the database was opened without the family {family:?}")]
    UnknownFamily {
        /// The family that the table names.
        family: &'static str,
    },
    /// A key or value is not what its table's type says.
    #[error("in the table {family:?}: {source}")]
    Codec {
        /// The table's family.
        family: &'static str,
        /// What is wrong with the bytes.
        source: CodecError,
    },
    /// The disk or the engine refused.
    #[error("the database in {}: {detail}", path.display())]
    Io {
        /// The database's folder.
        path: PathBuf,
        /// The engine's words.
        detail: String,
    },
}

impl DbError {
    pub(crate) fn codec<K, V>(table: &Table<K, V>, source: CodecError) -> Self {
        Self::Codec {
            family: table.family(),
            source,
        }
    }

    pub(crate) fn from_io(path: &Path, error: &io::Error) -> Self {
        if space::is_no_space(error) {
            return Self::NoSpace {
                needed: 0,
                free: space::free_bytes(path).unwrap_or(0),
            };
        }
        Self::Io {
            path: path.to_owned(),
            detail: error.to_string(),
        }
    }
}
