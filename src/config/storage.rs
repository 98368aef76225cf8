//! `[storage]`: the data folder.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::value::{ByteSize, Period};

/// The data folder: blobs, tables, log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Storage {
    /// The data folder; made when it is missing. A relative path starts at the daemon's working directory.
    /// One process at a time may hold it.
    #[schemars(length(min = 1))]
    pub path: PathBuf,
    /// Free space, in bytes, below which nothing more is written; reading and serving go on. Threat: a full disk
    /// in the middle of a write.
    pub min_free: ByteSize,
    /// Memory for the tables' block cache, in bytes.
    pub cache: ByteSize,
    /// How many blobs are kept open (one file descriptor and one mapping each) and need no second verification.
    #[schemars(range(min = 16, max = 1_000_000))]
    pub open_files: u32,
    /// How many table reads run at once; each holds a thread. Threat: a burst of requests that starves the rest.
    #[schemars(range(min = 1, max = 512))]
    pub readers: u32,
    /// `gc` leaves blobs alone that are younger than this: they may belong to work that is not committed yet.
    pub gc_grace: Period,
}

impl Default for Storage {
    fn default() -> Self {
        Self {
            path: PathBuf::from("chiron-data"),
            min_free: ByteSize::mib(256),
            cache: ByteSize::mib(128),
            open_files: 1024,
            readers: 16,
            gc_grace: Period::secs(60 * 60),
        }
    }
}
