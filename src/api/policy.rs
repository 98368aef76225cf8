//! The admin API's documents about the policy.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::JobView;

/// `GET /api/v1/policy`: the policy in force, completely.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct PolicyView {
    /// `strict`, `standard` or `audit`: the profile that the rules start from.
    pub profile: String,
    /// SHA-256 over rules and data; every verdict names it.
    pub digest: String,
    /// The site's own rules stand in the place of the profile's.
    pub replaces_profile: bool,
    /// `configuration`, or `api` when it was put in force while the daemon ran and the configuration is unchanged since.
    pub from: String,
    /// Rego by file name; the site's own begin with `site/`.
    pub files: BTreeMap<String, String>,
    /// What rules see as `data`: `settings` and `site`.
    #[schema(value_type = Object)]
    pub data: Value,
}

/// A policy: a profile, and a site's own rules over it. Settings and publishers are the configuration's.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PolicyText {
    /// `strict`, `standard` or `audit`; the configured one when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// Rego by file name, in the packages `chiron.site` and `chiron.profile`.
    #[serde(default)]
    pub files: BTreeMap<String, String>,
    /// What rules see as `data.site`.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub data: Map<String, Value>,
}

/// `PUT /api/v1/policy`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PolicyRequest {
    /// What is to be in force.
    pub policy: PolicyText,
    /// Kept in the log for ever; 1 to 1,000 characters.
    pub reason: String,
}

/// The answer to `PUT /api/v1/policy`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct PolicyChange {
    /// Digest of the policy before.
    pub before: String,
    /// Digest of the policy now, or in a dry run of the one that was asked about.
    pub after: String,
    /// Nothing was changed.
    pub dry_run: bool,
    /// What the linter says; nothing that keeps the policy from being used.
    #[schema(value_type = Vec<Object>)]
    pub warnings: Vec<Value>,
    /// The policy's own tests. One that fails keeps the policy from coming into force.
    #[schema(value_type = Vec<Object>)]
    pub tests: Vec<Value>,
    /// Dry run: what it would change among the first stored files; `next` goes on with `POST /api/v1/policy/replay`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub difference: Option<ReplayPage>,
    /// The job that judges everything stored again; absent when nothing changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<JobView>,
}

/// `POST /api/v1/policy/replay`: judge stored files again, and write nothing.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ReplayRequest {
    /// By which rules; those in force when absent.
    pub policy: Option<PolicyText>,
    /// `next` of the page before.
    pub after: Option<String>,
    /// Files judged for one answer, 1 to 1,000; 200 when not said.
    pub limit: Option<u32>,
}

/// Files judged again.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
pub struct ReplayPage {
    /// The profile that was used.
    pub profile: String,
    /// The rules that were used.
    pub digest: String,
    /// Files judged.
    pub judged: u64,
    /// Of these, admitted; the rest is quarantined, refused or failed.
    pub admitted: u64,
    /// Of these, judged otherwise than the stored verdict says.
    pub different: u64,
    /// The files that are not admitted, or are judged otherwise.
    pub files: Vec<ReplayedFile>,
    /// Goes into `after`; absent when everything was judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// One file judged again.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ReplayedFile {
    /// As published.
    pub filename: String,
    /// Normalised name (PEP 503).
    pub project: String,
    /// PEP 440.
    pub version: String,
    /// Its content.
    pub sha256: String,
    /// Its present state: `admitted`, `quarantined`, `refused` or `revoked`.
    pub state: String,
    /// What the stored verdict says: `admit`, `quarantine` or `refuse`.
    pub before: String,
    /// What the rules say now; `failed` when it could not be judged.
    pub now: String,
    /// Decision or reasons are not what the stored verdict says.
    pub differs: bool,
    /// Why it is not admitted now, each as `check/code: message`.
    pub reasons: Vec<String>,
    /// Reasons of the stored verdict, as `check/code`.
    pub reasons_before: Vec<String>,
}
