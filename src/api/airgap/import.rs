//! Imports.

use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::AirgapFailure;

/// `POST /api/v1/airgap/imports`: take a bundle in. Paths are of the machine that the daemon runs on.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ImportRequest {
    /// Folders and tars, in any order; those that came before need not be named again. May only be empty to discard.
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    pub places: Vec<PathBuf>,
    /// The sender's TUF root, the document itself: for a sender that the configuration does not name, the first time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root: Option<String>,
    /// Whose bundle it is, by the name here; when absent, by the origin of its log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sender: Option<String>,
    /// The time that expiry is judged at; now when absent. Never earlier than the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub reference_time: Option<Timestamp>,
    /// Verify and judge everything, and keep nothing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
    /// Throw away what an import that did not come to its end has staged: this bundle's, or with no places everything.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub discard: bool,
}

/// How an import ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ImportOutcome {
    /// It is in force.
    Imported,
    /// It was in force already; nothing was changed.
    Already,
    /// Volumes are missing: what came is staged, nothing is in force.
    Waiting,
    /// A dry run that came to its end.
    WouldImport,
    /// What was staged is gone.
    Discarded,
    /// It was not taken; the site is as it was.
    #[default]
    NotTaken,
}

/// What an import did: the `report` of the job.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ImportReport {
    /// Always [`ImportReport::SCHEMA`].
    pub schema: String,
    /// How it ended.
    pub outcome: ImportOutcome,
    /// Whose bundle, by the name here; empty when it failed before that was known.
    pub sender: String,
    /// The snapshot; empty when it failed before that was known.
    pub id: String,
    /// SHA-256 of the bundle's signed manifest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bundle: Option<String>,
    /// `interval`, `selection` or `fill`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// The snapshot that it builds on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<String>,
    /// The time that expiry was judged at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub reference_time: Option<Timestamp>,
    /// Volumes of the bundle.
    pub volumes: u32,
    /// Those that have not come yet, by number.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing_volumes: Vec<u32>,
    /// What became of everything.
    pub counts: ImportCounts,
    /// Files that the sender has admitted and that are neither in the bundle nor here: the lines of a fill list. At most
    /// [`ImportReport::LISTED`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing_files: Vec<String>,
    /// What to know beside that.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// The bundle's advisory database came into force, and everything stored is judged again with it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub adopted_advisories: bool,
    /// SHA-256 of the signed report, a document of `GET /api/v1/evidence/{digest}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<String>,
    /// The event that put it in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<u64>,
    /// What kind of failure ended the job; the job's `error` says which.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<AirgapFailure>,
}

impl ImportReport {
    /// The value of `schema`.
    pub const SCHEMA: &'static str = "chiron.airgap-import/v1";
    /// Missing files that are listed at most. Threat: a job as large as the catalogue.
    pub const LISTED: usize = 10_000;
}

/// What became of everything in a bundle.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ImportCounts {
    /// Entries of the sender's log.
    pub entries: u64,
    /// Files that were judged here and admitted.
    pub admitted: u64,
    /// Files that were admitted here before.
    pub present: u64,
    /// Files that were judged here and are kept, not served.
    pub quarantined: u64,
    /// Files that were judged here and refused.
    pub refused: u64,
    /// Files that the sender has admitted and that are neither in the bundle nor here.
    pub missing: u64,
    /// Yanked, following the sender.
    pub yanked: u64,
    /// Yanks of the sender taken back.
    pub unyanked: u64,
    /// Revoked, following the sender.
    pub revoked: u64,
    /// Revocations of the sender taken back.
    pub restored: u64,
    /// Markers of projects (PEP 792) that follow the sender.
    pub statuses: u64,
    /// Files that the sender does not serve by its own judgment: for information, this site judges by its own rules.
    pub not_relayed: u64,
    /// Bytes of files that came in.
    pub bytes: u64,
}

/// `GET /api/v1/airgap`: what was imported, and what waits.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
pub struct AirgapView {
    /// What this site calls itself in bundles and receipts.
    pub site: String,
    /// Whose bundles were imported.
    pub senders: Vec<AirgapSenderView>,
    /// Imports that have not come to their end.
    pub staged: Vec<AirgapStaged>,
}

/// A sender, as far as this site has followed it.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct AirgapSenderView {
    /// Its name here.
    pub name: String,
    /// The origin of its log.
    pub origin: String,
    /// The newest state of its log that was seen.
    pub seen: String,
    /// Up to here every entry was seen.
    pub complete: String,
    /// The last bundle: the snapshot, and SHA-256 of its signed manifest.
    pub last: String,
    /// SHA-256 of that bundle's signed manifest.
    pub bundle: String,
    /// When that bundle was made.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When it was imported.
    #[schema(value_type = String, format = DateTime)]
    pub imported_at: Timestamp,
    /// The time that expiry was last judged at.
    #[schema(value_type = String, format = DateTime)]
    pub reference_time: Timestamp,
}

/// An import that has not come to its end.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct AirgapStaged {
    /// Whose bundle.
    pub sender: String,
    /// The snapshot.
    pub id: String,
    /// SHA-256 of its signed manifest.
    pub bundle: String,
    /// When its first volume came.
    #[schema(value_type = String, format = DateTime)]
    pub began_at: Timestamp,
    /// Volumes that are not whole here, by number.
    pub missing_volumes: Vec<u32>,
    /// Items that are staged.
    pub items: u64,
    /// Their bytes.
    pub bytes: u64,
}
