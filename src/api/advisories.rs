//! The documents of `/api/v1/advisories…`.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::JobView;

/// Name and version of the document that [`AdvisoriesStatus`] is.
pub const ADVISORIES_STATUS_SCHEMA: &str = "chiron.advisories-status/v1";

/// `GET /api/v1/advisories`: the database in force and what an operator should know of it.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AdvisoriesStatus {
    /// Always `chiron.advisories-status/v1`.
    pub schema: String,
    /// Absent while no database was ever loaded: the check then ends as `absent`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<AdvisoryDatabase>,
    /// Why the database says nothing any more; absent when it does. The check then ends as `error`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stale: Option<String>,
    /// Seconds after which a database is stale (`advisories.max_age`); absent when it never is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_age_seconds: Option<u64>,
    /// Records that could not be used, or not whole: their packages are unknown.
    pub set_aside: Noted,
    /// Listed strings that are no versions (PEP 440). No file can be of such a version, so these records still count.
    pub odd_versions: Noted,
    /// VEX statements that cannot be used, or that match no record.
    pub unmatched_vex: Noted,
}

/// A database, in figures.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AdvisoryDatabase {
    /// The newest change of any record.
    #[schema(value_type = String, format = DateTime)]
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub as_of: Timestamp,
    /// SHA-256 over the content, `sha256:…`: the same records have the same digest, however they were packed.
    pub digest: String,
    /// When it was put in force.
    #[schema(value_type = String, format = DateTime)]
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub loaded_at: Timestamp,
    /// What it was loaded from.
    pub source: String,
    /// Records about packages of the index.
    pub records: u64,
    /// Packages that some record names.
    pub projects: u64,
    /// Packages of which it is not known which versions are concerned: their files end as `error`.
    pub unknown_projects: u64,
    /// Vulnerabilities that are malware.
    pub malware: u64,
    /// Records that could not be used, or not whole.
    pub set_aside: u64,
    /// Of those, the ones that name no package.
    pub unattributed: u64,
    /// Entries of the list of exploited vulnerabilities (KEV).
    pub kev: u64,
    /// Entries of the list of scores (EPSS).
    pub epss: u64,
    /// VEX documents that apply.
    pub vex: Vec<VexDocumentView>,
}

/// A VEX document that applies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VexDocumentView {
    /// As it calls itself.
    pub id: String,
    /// Its author.
    pub by: String,
    /// Statements about packages of the index.
    pub statements: u64,
    /// Statements that cannot be used, or that match no record.
    pub unmatched: u64,
}

/// Things of one kind: how many there are, and the first of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Noted {
    /// How many there are.
    pub total: u64,
    /// At most 100 of them.
    pub first: Vec<NotedRecord>,
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NotedRecord {
    /// The record or document, as it calls itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The file or entry that it came from.
    pub source: String,
    /// Packages concerned.
    #[serde(default)]
    pub projects: Vec<String>,
    /// What is wrong.
    pub reason: String,
}

/// `POST /api/v1/advisories`: what a load did, or would do.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct AdvisoriesLoad {
    /// Nothing was changed: this is what would be.
    pub dry_run: bool,
    /// The very same database is in force already.
    pub unchanged: bool,
    /// The one before; absent when this is the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<AdvisoryDatabase>,
    /// The new one.
    pub after: AdvisoryDatabase,
    /// Records that were not there before.
    pub added: u64,
    /// Records that are there no more.
    pub removed: u64,
    /// Records that say something else.
    pub changed: u64,
    /// The job that judges everything stored again; absent when there is nothing to judge.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<JobView>,
}

/// `GET /api/v1/advisories/records?name=…`: the records of one vulnerability.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct AdvisoryRecords {
    /// OSV records, as they were loaded; empty when none has this name.
    #[schema(value_type = Vec<Object>)]
    pub items: Vec<serde_json::Value>,
}

/// `GET /api/v1/advisories/check?project=…&version=…`: what the check would say of a release.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct AdvisoryCheck {
    /// Normalised.
    pub project: String,
    /// PEP 440.
    pub version: String,
    /// `pass`, `fail`, `absent` or `error`.
    pub outcome: String,
    /// One line.
    pub summary: String,
    /// As in the evidence (`schemas/evidence-advisories.schema.json`).
    #[schema(value_type = Object)]
    pub facts: serde_json::Value,
}
