//! `reproducibility`: whether a wheel follows from its source, by comparison alone; building is `rebuild`'s.
//!
//! `docs/reproducibility.md` explains the scale and the rules to those who live with them. Here: `trace` holds a wheel's
//! files against the sdist's, `compare` holds a rebuilt wheel against the published one, `foreign` reads what other
//! rebuilders state, and `check` makes one report of it.

mod after;
mod attempt;
mod check;
mod compare;
mod facts;
mod foreign;
mod level;
mod roots;
mod trace;

pub use after::after_rebuild;
pub use attempt::{ATTEMPT_SCHEMA, Attempt, BackendFrom, PinnedFile, Rebuilt};
pub use check::{Rebuilders, SourceArchive, Subject, reproducibility};
pub use compare::{CompareLimits, Comparison, compare};
pub use facts::{
    AttemptFacts, Axis, FindingFacts, Missing, MissingFile, RebuildState, ReproducibilityFacts, SourceCommit,
    SourceFacts, StatedBy, StatementFacts, TraceFacts,
};
pub use foreign::RebuilderKey;
pub use level::Level;
