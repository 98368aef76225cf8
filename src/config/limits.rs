//! `[limits]`: bounds on everything that comes from outside.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::value::ByteSize;

/// Bounds on everything that comes from outside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Largest distribution file, in bytes. Threat: a download that fills the disk.
    pub file: ByteSize,
    /// Largest index page of an upstream, in bytes, after decompression. Threat: a page that fills the memory.
    pub page: ByteSize,
    /// Largest sum of an archive's unpacked entries, in bytes. Threat: decompression bombs.
    pub archive_total: ByteSize,
    /// Largest unpacked entry of an archive, in bytes. Threat: decompression bombs.
    pub archive_entry: ByteSize,
    /// Largest ratio of unpacked to packed bytes, of what unpacks to more than 32 MiB. Threat: decompression bombs.
    #[schemars(range(min = 2, max = 1_100))]
    pub archive_ratio: u32,
    /// Most entries of an archive. Threat: a small archive with millions of empty files.
    #[schemars(range(min = 1, max = 10_000_000))]
    pub archive_entries: u32,
    /// Longest archive comment, in bytes. Threat: a second archive hidden in the comment.
    pub archive_comment: ByteSize,
    /// Longest name of an archive's entry, in bytes. Threat: names that no file system can hold.
    pub archive_name: ByteSize,
    /// Largest `METADATA`, `WHEEL` or `PKG-INFO`, in bytes. Threat: memory, since these are parsed whole.
    pub metadata: ByteSize,
    /// Largest `RECORD`, in bytes. Threat: memory, since it is parsed whole.
    pub record: ByteSize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            file: ByteSize::gib(4),
            page: ByteSize::mib(64),
            archive_total: ByteSize::gib(16),
            archive_entry: ByteSize::gib(4),
            archive_ratio: 200,
            archive_entries: 200_000,
            archive_comment: ByteSize::bytes_of(1024),
            archive_name: ByteSize::bytes_of(1024),
            metadata: ByteSize::mib(16),
            record: ByteSize::mib(64),
        }
    }
}
