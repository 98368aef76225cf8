//! *What follows*: from evidence to a verdict. Pure: the same inputs give the same verdict, years later.

mod decide;
mod profile;
mod verdict;

pub use decide::{Case, Circumstances, History, Waiver, decide};
pub use profile::{Policy, Profile, Requirement};
pub use verdict::{AdvisoriesRef, CheckRow, Decision, JudgedFile, PolicyRef, Reason, VERDICT_SCHEMA, Verdict};
