//! Exports.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::AirgapFailure;
use crate::api::IngestItem;

/// `POST /api/v1/airgap/exports`: write a bundle. Paths are of the machine that the daemon runs on.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ExportRequest {
    /// Where to: a folder, or with the ending `.tar` or a volume size the first part of the volumes' names.
    #[schema(value_type = String)]
    pub out: PathBuf,
    /// What the receiver has already: a snapshot's id, a size of the log, or a time (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// What the receiver has already: its receipt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub against: Option<PathBuf>,
    /// A list of digests or filenames, one a line, that a receiver asks for again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub fill: Option<PathBuf>,
    /// Only these releases, as they are admitted here; empty: everything.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub items: Vec<IngestItem>,
    /// With `items`: only wheels that run on one of these Pythons (`3.12`); empty: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pythons: Vec<String>,
    /// With `items`: only wheels for one of these platform tags; empty: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub platforms: Vec<String>,
    /// Leave out what is named and not admitted here; else the export is refused.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub leave_out_missing: bool,
    /// Bytes of a tar volume at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume_size: Option<u64>,
    /// Send wheels as differences from what the receipt proves is there, where that is smaller.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub delta: bool,
    /// Something plainer than a bundle.
    #[serde(default, rename = "as", skip_serializing_if = "Option::is_none")]
    pub form: Option<ExportForm>,
    /// Say what would be written, with counts and bytes, and write nothing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
}

/// Outputs for machines where no Chiron runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ExportForm {
    /// A folder of wheels with hash-pinned requirements.
    Wheelhouse,
    /// A tree that any web server can serve (PEP 503).
    Static,
}

/// What was exported, or would be: the `report` of the job.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ExportReport {
    /// Always [`ExportReport::SCHEMA`].
    pub schema: String,
    /// The snapshot that a receiver has afterwards; empty when the export failed before that was known.
    pub id: String,
    /// SHA-256 of the signed manifest; absent in a dry run and for other forms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// `interval`, `selection` or `fill`.
    pub scope: String,
    /// The snapshot that the receiver must have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<String>,
    /// The only site that it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipient: Option<String>,
    /// Entries of the log.
    pub entries: u64,
    /// Wheels and source distributions.
    pub files: u64,
    /// Their bytes once they are there.
    pub file_bytes: u64,
    /// Of the files, those that travel as differences.
    pub deltas: u64,
    /// Documents: evidence, verdicts, metadata, provenance, bills of materials.
    pub documents: u64,
    /// Files that the receipt shows are there and that stay out.
    pub already_there: u64,
    /// Bytes of all layers; in a dry run what they come to at most, documents and entries not compressed.
    pub bytes: u64,
    /// In order; in a dry run how many there would be at most.
    pub volumes: Vec<ExportVolume>,
    /// What was named and is not admitted here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
    /// What to know beside that.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// Nothing was written.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
    /// What kind of failure ended the job; the job's `error` says which.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<AirgapFailure>,
}

impl ExportReport {
    /// The value of `schema`.
    pub const SCHEMA: &'static str = "chiron.airgap-export/v1";
}

/// One volume that was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ExportVolume {
    /// From 1.
    pub number: u32,
    /// The tar, or the folder that all volumes share.
    pub path: String,
    /// Layers beside the listing.
    pub items: u32,
    /// Bytes of these.
    pub bytes: u64,
}
