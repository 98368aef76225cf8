//! Bundles and this site: what is exported, and what an import makes of it here.

pub mod export;
pub mod import;
pub mod plain;
mod receipt;
mod report;
mod sender;
mod settings;
mod staleness;

pub use report::{Checked, NotAdmitted, ReportStatement};
pub use settings::{KnownSender, Settings};
pub use staleness::{SenderAge, Staleness, span};
