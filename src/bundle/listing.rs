//! What one volume holds.

use chiron_storage::Digest;
use chiron_storage::digest::prefixed;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A volume's first layer. The signed manifest names it by digest, so that it is believed as soon as its bytes are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Listing {
    /// Always [`Listing::SCHEMA`].
    pub schema: String,
    /// From 1.
    pub number: u32,
    /// In the order in which they lie in the volume; at most [`super::limits::MAX_ITEMS`].
    pub items: Vec<Item>,
}

impl Listing {
    /// The value of `schema`.
    pub const SCHEMA: &'static str = "chiron.bundle-volume/v1";
}

/// One layer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Item {
    /// SHA-256 of its bytes as they travel.
    #[serde(with = "prefixed")]
    #[schemars(schema_with = "prefixed::schema")]
    pub digest: Digest,
    /// Of these bytes.
    pub size: u64,
    /// What it is.
    #[serde(flatten)]
    pub content: Content,
}

/// What a layer is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case", rename_all_fields = "kebab-case")]
pub enum Content {
    /// The sender's TUF metadata and the target `log/checkpoint`; the same in every volume.
    Tuf {
        /// Bytes once unpacked.
        unpacked: u64,
    },
    /// Consecutive entries of the log.
    Entries {
        /// The number of the first.
        first: u64,
        /// How many.
        count: u64,
        /// Bytes once unpacked.
        unpacked: u64,
    },
    /// Single entries of the log, each with its proof of inclusion.
    ProvenEntries {
        /// How many.
        count: u64,
        /// Bytes once unpacked.
        unpacked: u64,
    },
    /// Documents that entries name by digest.
    Documents {
        /// How many.
        count: u64,
        /// Bytes once unpacked.
        unpacked: u64,
    },
    /// The advisory database.
    Advisories {
        /// The newest change of any record in it.
        #[schemars(with = "String")]
        as_of: Timestamp,
        /// Bytes once unpacked.
        unpacked: u64,
    },
    /// A wheel or a source distribution; `digest` is its own.
    File {
        /// Normalised (PEP 503).
        project: String,
        /// As published.
        filename: String,
    },
    /// A wheel, as the difference from one that the receiver has.
    WheelDelta {
        /// Normalised (PEP 503).
        project: String,
        /// As published.
        filename: String,
        /// Of the wheel that comes of it.
        sha256: Digest,
        /// Of the wheel that comes of it, bytes.
        file_size: u64,
        /// The wheel that it is made from.
        base: Digest,
    },
}
