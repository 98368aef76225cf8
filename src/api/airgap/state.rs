//! How old what this site was fed is.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Of a site that has imported bundles; in `GET /api/v1/status`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AirgapState {
    /// The staleness budget (`airgap.max_age`), in seconds; absent: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_age_seconds: Option<u64>,
    /// When even the newest bundle is older than that, or when that was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub fresh_until: Option<Timestamp>,
    /// It is.
    pub stale: bool,
    /// Every sender whose bundles came into force, by name.
    pub senders: Vec<AirgapSenderState>,
}

/// What came of one sender. `GET /api/v1/airgap` says more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AirgapSenderState {
    /// Its name here.
    pub name: String,
    /// The snapshot of the last bundle that came into force.
    pub last: String,
    /// When its newest bundle was made.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// Seconds since then.
    pub age_seconds: u64,
    /// When the last one came into force.
    #[schema(value_type = String, format = DateTime)]
    pub imported_at: Timestamp,
    /// The newest state of its log that was seen.
    pub seen: String,
    /// Up to here every entry was seen; absent: only selections came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub complete: Option<String>,
    /// The time that expiry was last judged at.
    #[schema(value_type = String, format = DateTime)]
    pub reference_time: Timestamp,
    /// Its newest bundle is older than the budget.
    pub stale: bool,
}
