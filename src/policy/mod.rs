//! *What follows*: from evidence to a verdict. Pure: the same inputs give the same verdict, years later.

mod decide;
mod profile;
mod verdict;

pub use decide::{Case, decide};
pub use profile::{Policy, Profile, Requirement};
pub use verdict::{CheckRow, Decision, JudgedFile, PolicyRef, Reason, VERDICT_SCHEMA, Verdict};
