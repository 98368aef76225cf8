//! `[advisories]`: the database of known vulnerabilities and malware.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::value::{ByteSize, Period};

/// The database of known vulnerabilities and malware; `chiron advisories load` loads one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Advisories {
    /// A database whose newest record is older than this says nothing any more: the check ends as `error`, which is
    /// never a pass. `0s`: it never ages.
    pub max_age: Period,
    /// CISA's list of known exploited vulnerabilities (JSON), read again at every load. Empty: none.
    pub kev: PathBuf,
    /// FIRST's EPSS scores (CSV, also under gzip), read again at every load. Empty: none.
    pub epss: PathBuf,
    /// VEX documents (`OpenVEX`, CSAF), or a folder of them, read again at every load. Empty: none.
    pub vex: PathBuf,
    /// Largest file handed to a load, in bytes. Threat: an upload that fills the disk.
    pub upload: ByteSize,
    /// All that one load unpacks to, in bytes. Threat: decompression bombs.
    pub total_size: ByteSize,
    /// Largest record or document, in bytes; a larger one is set aside. Threat: memory, since each is parsed whole.
    pub record_size: ByteSize,
    /// Largest CSV of scores, in bytes, unpacked. Threat: memory.
    pub list_size: ByteSize,
    /// Most records and documents of one load. Threat: an archive with millions of tiny entries.
    #[schemars(range(min = 1, max = 50_000_000))]
    pub entries: u32,
}

impl Default for Advisories {
    fn default() -> Self {
        Self {
            max_age: Period::days(30),
            kev: PathBuf::new(),
            epss: PathBuf::new(),
            vex: PathBuf::new(),
            upload: ByteSize::gib(2),
            total_size: ByteSize::gib(8),
            record_size: ByteSize::mib(16),
            list_size: ByteSize::mib(256),
            entries: 1_000_000,
        }
    }
}
