//! *What follows*: from evidence to a verdict. Pure: the same inputs give the same verdict, years later.
//!
//! The rules are Rego (`rego/*.rego`, and a site's own); Rust builds what they see ([`PolicyInput`]), runs them within
//! bounds, and believes an answer only when it is one. Whatever goes wrong on the way does not admit.

mod age;
mod compile;
mod decide;
mod decision;
mod evaluate;
mod guard;
mod history;
mod input;
mod kept;
mod licence;
mod lint;
mod loaded;
mod profile;
mod publisher;
mod settings;
mod site;
mod syntax;
mod testing;
mod verdict;
mod waiver;

#[cfg(test)]
mod tests;

pub use age::MinimumAge;
pub use compile::PolicyError;
pub use decide::{Case, Circumstances, Decided, decide, decide_with_input};
pub use decision::{Objection, ObjectionDecision, RegoDecision, decision_schema};
pub use evaluate::EvaluateError;
pub use history::{History, HistoryStanding};
pub use input::{INPUT_SCHEMA, PolicyInput, input_schema};
pub use kept::Kept;
pub use lint::{Warning, lint};
pub use loaded::{InForce, Policy};
pub use profile::Profile;
pub use publisher::{PublisherRule, PublisherStanding};
pub use settings::{NEVER_WAIVED, Settings};
pub use site::SiteRules;
pub use testing::{TestResult, test};
pub use verdict::{
    AdvisoriesRef, CheckRow, Decision, JudgedFile, PolicyRef, Reason, VERDICT_SCHEMA, Verdict,
};
pub use waiver::{WaivedReason, Waiver, is_never_waived};
