//! Bundles that leave this site and come from others.

mod export;
mod import;
mod state;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use export::{ExportForm, ExportReport, ExportRequest, ExportVolume};
pub use import::{
    AirgapSenderView, AirgapStaged, AirgapView, ImportCounts, ImportOutcome, ImportReport, ImportRequest,
};
pub use state::{AirgapSenderState, AirgapState};

/// Why a job with a bundle failed, in the terms of the command line's exit statuses: `failure` in a job's `report`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AirgapFailure {
    /// What was asked for makes no sense, or a file that was named cannot be read.
    Usage,
    /// It was looked at and is not believed, does not fit, or is not here.
    NotAdmitted,
    /// Bytes are not what they should be.
    Integrity,
    /// A service that is needed did not answer.
    Upstream,
    /// Chiron failed: a full disk, a bug.
    Internal,
}
