//! What a site says it has: the predicate of the statement that `chiron airgap receipt` writes and
//! `chiron airgap export --against` reads.

use chiron_storage::Digest;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::SnapshotId;

/// The predicate. The statement's subject is the manifest of the last bundle that was imported; the site's statement key
/// signs it. The file is `{"statement": DSSE envelope, "held": [digest, …]}`, the digests sorted, and the statement says what
/// the list must be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReceiptStatement {
    /// Always [`ReceiptStatement::SCHEMA`].
    pub schema: String,
    /// What the site calls itself (`airgap.site`).
    pub site: String,
    /// The origin of the log whose bundles it imported.
    pub sender: String,
    /// The newest state of that log that the site has seen.
    pub seen: Seen,
    /// Up to here it has seen every entry, without a gap.
    pub complete: Seen,
    /// The time that expiry was last judged at.
    #[schemars(with = "String")]
    pub reference_time: Timestamp,
    /// When this was written.
    #[schemars(with = "String")]
    pub at: Timestamp,
    /// Every wheel and source distribution whose bytes are there, from wherever they came.
    pub held: Held,
}

impl ReceiptStatement {
    /// The value of `schema`.
    pub const SCHEMA: &'static str = "chiron.airgap-receipt/v1";
    /// The statement's `predicateType`.
    pub const PREDICATE: &'static str = "urn:chiron:airgap-receipt:v1";
}

/// A state of the sender's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Seen {
    /// Entries.
    pub size: u64,
    /// Root hash at that size.
    pub root: Digest,
}

impl Seen {
    /// As people name it.
    pub fn id(&self) -> SnapshotId {
        SnapshotId::new(self.size, &self.root)
    }
}

/// The list of digests beside the statement, in short.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Held {
    /// How many.
    pub count: u64,
    /// Bytes of the files together.
    pub bytes: u64,
    /// SHA-256 over the sorted digests, 32 bytes each, one after the other.
    pub digest: Digest,
}
