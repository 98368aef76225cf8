//! `advisories`: known vulnerabilities and malware, matched against records that are at hand. Pure; the database
//! itself is the module `advisories`.

use jiff::Timestamp;

use super::{Outcome, Report};
use crate::package::DistributionFilename;

/// What the database in force says of one project.
#[derive(Debug, Clone, Default)]
pub struct ProjectAdvisories {}

/// Holds a file's release against the records. `known`: `None` when no database was ever loaded.
pub fn advisories(
    _name: &DistributionFilename,
    _known: Option<&ProjectAdvisories>,
    _now: Timestamp,
) -> Report {
    Report::new(Outcome::Absent, "no advisory database is loaded: nothing is known")
}
