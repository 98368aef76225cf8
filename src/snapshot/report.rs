//! The signed report of an import: what was checked, what was admitted and what was not.

use bytes::Bytes;
use chiron_storage::Digest;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::bundle::{Manifest, Scope, Seen, SnapshotId, TufVersions};
use crate::catalog::ImportCounts;
use crate::statement::{Statement, StatementKey, Subject};

/// Files that a report lists at most; the log has all of them. Threat: a document as large as the catalogue.
pub const LISTED: usize = 10_000;

/// The predicate of the statement that an import leaves. Its subject is the bundle's signed manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReportStatement {
    /// Always [`ReportStatement::SCHEMA`].
    pub schema: String,
    /// What the site that imported calls itself.
    pub site: String,
    /// The sender, by its name at that site.
    pub sender: String,
    /// The origin of the sender's log.
    pub origin: String,
    /// The bundle's name.
    pub id: SnapshotId,
    /// What of the sender's log it carries.
    pub scope: Scope,
    /// The state of the sender's log that it proves.
    pub log: Seen,
    /// Versions of the sender's TUF metadata that were verified.
    pub tuf: TufVersions,
    /// The time that expiry was judged at.
    #[schemars(with = "String")]
    pub reference_time: Timestamp,
    /// When the judgments were made.
    #[schemars(with = "String")]
    pub at: Timestamp,
    /// The rules that this site judged by.
    pub policy: Digest,
    /// What was verified before anything was judged.
    pub checked: Checked,
    /// What came of it.
    pub counts: ImportCounts,
    /// Files that came and were not admitted, at most [`LISTED`].
    pub not_admitted: Vec<NotAdmitted>,
    /// Files that the sender has admitted and that are neither in the bundle nor here, at most [`LISTED`].
    pub missing: Vec<String>,
    /// Files that the sender keeps back by its own judgment: for information.
    pub not_relayed: u64,
}

impl ReportStatement {
    /// The value of `schema`.
    pub const SCHEMA: &'static str = "chiron.airgap-report/v1";
    /// The statement's `predicateType`.
    pub const PREDICATE: &'static str = "urn:chiron:airgap-report:v1";

    /// Signs it; the envelope's bytes.
    pub(super) fn sign(&self, bundle: Digest, key: &StatementKey) -> Result<Bytes, serde_json::Error> {
        let subject = Subject::new(self.id.to_string(), bundle);
        let statement = Statement::new(subject, Self::PREDICATE, serde_json::to_value(self)?);
        Ok(Bytes::from(key.sign(&statement).to_bytes()))
    }
}

/// What was verified: each part against what names it, from the root of trust down.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Checked {
    /// Volumes whose listing the signed manifest names.
    pub volumes: u32,
    /// Items of these volumes, each with its digest.
    pub items: u64,
    /// Their bytes as they travelled.
    pub bytes: u64,
    /// Entries of the sender's log, held against its signed checkpoint.
    pub entries: u64,
}

impl Checked {
    /// What a manifest promises, once all of it was verified.
    pub(super) fn all_of(manifest: &Manifest, entries: u64) -> Self {
        Self {
            volumes: u32::try_from(manifest.volumes.len()).unwrap_or(u32::MAX),
            items: manifest
                .volumes
                .iter()
                .map(|volume| u64::from(volume.items))
                .sum(),
            bytes: manifest.volumes.iter().map(|volume| volume.bytes).sum(),
            entries,
        }
    }
}

/// A file that this site does not serve.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NotAdmitted {
    /// As published.
    pub filename: String,
    /// Its content.
    pub sha256: Digest,
    /// `quarantined` or `refused`.
    pub state: String,
    /// Why.
    pub reasons: Vec<String>,
}
