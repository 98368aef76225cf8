//! The signed manifest: what a bundle is, over which interval of whose log, and the digest of every volume's listing.

use chiron_storage::Digest;
use chiron_storage::digest::prefixed;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::SnapshotId;

/// The payload of the DSSE envelope. Signed with the keys that the sender's TUF root names for its `snapshot` role, as many
/// as that role needs. The same interval gives the same bytes: nothing in here is taken from a clock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Always [`Manifest::SCHEMA`].
    pub schema: String,
    /// The state that a site has after importing it.
    pub id: SnapshotId,
    /// When the TUF generation that it carries was signed.
    #[schemars(with = "String")]
    pub created_at: Timestamp,
    /// Whose it is.
    pub sender: Sender,
    /// The site it was made for, when it was made against that site's receipt; only that site imports it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipient: Option<String>,
    /// What of the sender's log it carries.
    pub scope: Scope,
    /// The state that the receiver must have already; absent: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<Base>,
    /// The log that everything is proven by.
    pub log: LogPart,
    /// Versions of the TUF metadata in the pack that every volume has.
    pub tuf: TufVersions,
    /// The sender's rules: for information, the receiver judges by its own. The document is the target `trust/policy.json`.
    pub policy: PolicyPart,
    /// The sender's advisory database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advisories: Option<AdvisoriesPart>,
    /// What is in all volumes together.
    pub contents: Totals,
    /// The volumes, numbered from 1 without gaps; at most [`super::limits::MAX_VOLUMES`].
    pub volumes: Vec<VolumePart>,
}

impl Manifest {
    /// The value of `schema`.
    pub const SCHEMA: &'static str = "chiron.bundle/v1";
}

/// Whose bundle it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sender {
    /// The origin of its log (C2SP checkpoint), which no other site shares.
    pub origin: String,
    /// What the site calls itself (`airgap.site`).
    pub site: String,
}

/// What of the sender's log a bundle carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// Every entry from the base to the end, and the files admitted by them.
    Interval,
    /// The files that some requirements need, with the entries about them, each proven alone; and, with a base, the
    /// entries after it about files that the receiver has.
    Selection,
    /// Named files that a receiver asked for again.
    Fill,
}

/// The state that the receiver has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Base {
    /// Entries of the sender's log.
    pub size: u64,
    /// Its root hash at that size.
    #[serde(with = "prefixed")]
    #[schemars(schema_with = "prefixed::schema")]
    pub root: Digest,
    /// The receipt that says so: SHA-256 of its statement.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receipt: Option<Digest>,
}

/// The sender's log as of the bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LogPart {
    /// Entries.
    pub size: u64,
    /// Root hash at that size.
    #[serde(with = "prefixed")]
    #[schemars(schema_with = "prefixed::schema")]
    pub root: Digest,
    /// The signed checkpoint at that size (C2SP checkpoint). The very bytes are the TUF target `log/checkpoint`.
    pub checkpoint: String,
    /// The roots of the full subtrees that cover the first `base.size` entries, largest first: with the entries that follow
    /// they give the tree. Empty without a base, and for a scope other than `interval`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub frontier: Vec<Digest>,
    /// RFC 6962, section 2.1.2: that the tree extends the base's. Empty without a base, and when both are the same.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub consistency: Vec<Digest>,
}

/// Versions of the metadata in the pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TufVersions {
    /// The newest root; the pack has all of them, from 1.
    pub root: u64,
    /// Of the timestamp.
    pub timestamp: u64,
    /// Of the snapshot.
    pub snapshot: u64,
    /// Of the top-level targets.
    pub targets: u64,
}

/// Which rules the sender judged by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PolicyPart {
    /// What they are based on.
    pub profile: String,
    /// Over the rules and their data.
    #[serde(with = "prefixed")]
    #[schemars(schema_with = "prefixed::schema")]
    pub digest: Digest,
}

/// The sender's advisory database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AdvisoriesPart {
    /// The newest change of any record in it.
    #[schemars(with = "String")]
    pub as_of: Timestamp,
    /// Over its content.
    #[serde(with = "prefixed")]
    #[schemars(schema_with = "prefixed::schema")]
    pub digest: Digest,
    /// How many it holds.
    pub records: u64,
    /// Whether it is in here; not, when it is the same as at the base.
    pub included: bool,
}

/// What is in a bundle.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Totals {
    /// Entries of the log.
    pub entries: u64,
    /// Wheels and source distributions, whole or as deltas.
    pub files: u64,
    /// Their bytes once they are there.
    pub file_bytes: u64,
    /// Of the files, those that travel as deltas.
    pub deltas: u64,
    /// Documents: evidence, verdicts, metadata, provenance, bills of materials.
    pub documents: u64,
    /// Bytes of all layers as they travel.
    pub bytes: u64,
}

/// One volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VolumePart {
    /// From 1.
    pub number: u32,
    /// SHA-256 of its [`super::Listing`].
    #[serde(with = "prefixed")]
    #[schemars(schema_with = "prefixed::schema")]
    pub listing: Digest,
    /// Bytes of the listing.
    pub listing_size: u64,
    /// Items that the listing names.
    pub items: u32,
    /// Bytes of these items.
    pub bytes: u64,
}
