//! The files of an export.

use std::cmp::Ordering;

use crate::catalog::{FileRef, FileRow};
use crate::package::{DistributionFilename, Version};

/// The files that are exported, as of one snapshot.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selected {
    /// The snapshot's size of the log.
    pub log_size: u64,
    /// Admitted at that size; by project, version, source distributions before wheels, filename. Each once.
    pub files: Vec<FileRef>,
}

/// One of them, with what the order needs.
#[derive(Debug, Clone)]
pub(super) struct Chosen {
    pub file: FileRef,
    /// Bytes.
    pub size: u64,
    /// `None`: the name does not parse, which the gate refuses; it goes last.
    version: Option<Version>,
    wheel: bool,
}

impl Chosen {
    /// From its row.
    pub fn of(row: &FileRow) -> Self {
        Self::named(row.file(), row.judged.size)
    }

    /// A file of `size` bytes.
    pub fn named(file: FileRef, size: u64) -> Self {
        let name = DistributionFilename::parse_for(&file.filename, &file.project).ok();
        Self {
            file,
            size,
            version: name.as_ref().map(|name| name.version().clone()),
            wheel: name.is_none_or(|name| name.wheel().is_some()),
        }
    }

    /// A release's source distributions before its wheels, which the receiver holds against them.
    fn order(&self, other: &Self) -> Ordering {
        let project = self.file.project.cmp(&other.file.project);
        let version = || match (&self.version, &other.version) {
            (Some(one), Some(two)) => one.cmp(two),
            (one, two) => two.is_some().cmp(&one.is_some()),
        };
        project
            .then_with(version)
            .then_with(|| self.wheel.cmp(&other.wheel))
            .then_with(|| self.file.filename.cmp(&other.file.filename))
            .then_with(|| self.file.sha256.cmp(&other.file.sha256))
    }
}

/// Puts files of a project in their order, each once.
pub(super) fn sort(files: &mut Vec<Chosen>) {
    files.sort_unstable_by(Chosen::order);
    files.dedup_by(|one, two| one.file == two.file);
}
