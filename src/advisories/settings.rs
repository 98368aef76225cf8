//! What the operator sets about advisories, and bounds on what is loaded.

use std::path::PathBuf;

use jiff::SignedDuration;

/// Rules and bounds of the advisory database.
#[derive(Debug, Clone)]
pub struct Settings {
    /// A database whose newest record is older than this says nothing any more. `None`: it never ages.
    pub max_age: Option<SignedDuration>,
    /// A list of vulnerabilities known to be exploited, read at every load.
    pub kev: Option<PathBuf>,
    /// Scores of how likely a vulnerability is to be exploited, read at every load.
    pub epss: Option<PathBuf>,
    /// VEX documents, or folders of them, read at every load.
    pub vex: Vec<PathBuf>,
    /// One record, unpacked, bytes. Threat: memory, since each is parsed whole.
    pub record_bytes: u64,
    /// One CSV of scores, unpacked, bytes. Threat: memory.
    pub list_bytes: u64,
    /// Records and documents of one load. Threat: millions of tiny entries.
    pub entries: u64,
    /// All that one load unpacks to, bytes. Threat: decompression bombs.
    pub total_bytes: u64,
    /// The file handed in, bytes. Threat: filling the disk.
    pub upload_bytes: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_age: Some(SignedDuration::from_hours(30 * 24)),
            kev: None,
            epss: None,
            vex: Vec::new(),
            record_bytes: 16 << 20,
            list_bytes: 256 << 20,
            entries: 1_000_000,
            total_bytes: 8 << 30,
            upload_bytes: 2 << 30,
        }
    }
}
