//! Metadata documents (sections 4.3 to 4.6): what is signed.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::check::{self, Defect};
use crate::envelope::Document;
use crate::key_id::KeyId;
use crate::limits::{MAX_ROOT_BYTES, MAX_SNAPSHOT_BYTES, MAX_TARGETS_BYTES, MAX_TIMESTAMP_BYTES};
use crate::public_key::PublicKey;
use crate::role::RoleName;
use crate::threshold::RoleKeys;

/// The specification that metadata of ours follows.
pub const SPEC_VERSION: &str = "1.0.31";

/// Counted from 1, and never backwards.
pub type Version = u64;

macro_rules! document {
    ($name:ident, $kind:literal, $tag:ident, $bytes:expr, $check:path) => {
        /// The one value of `_type`.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
        pub enum $tag {
            /// Nothing else is read as this document.
            #[default]
            #[serde(rename = $kind)]
            Only,
        }

        impl Document for $name {
            const TYPE: &'static str = $kind;
            const MAX_BYTES: u64 = $bytes;
            fn version(&self) -> Version {
                self.version
            }
            fn expires(&self) -> Timestamp {
                self.expires
            }
            fn check(&self) -> Result<(), Defect> {
                $check(self)
            }
        }
    };
}

/// Root (section 4.3).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Root {
    /// `root`.
    #[serde(rename = "_type")]
    pub kind: RootType,
    /// [`SPEC_VERSION`].
    pub spec_version: String,
    /// Counted from 1, without gaps.
    pub version: Version,
    /// UTC, whole seconds.
    pub expires: Timestamp,
    /// Always true here: files are named by version or digest.
    pub consistent_snapshot: bool,
    /// Every key that a role below names.
    pub keys: BTreeMap<KeyId, PublicKey>,
    /// root, targets, snapshot, timestamp.
    pub roles: BTreeMap<RoleName, RoleKeys>,
}
document!(Root, "root", RootType, MAX_ROOT_BYTES, check::root);

/// Targets and delegated targets (section 4.5).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Targets {
    /// `targets`.
    #[serde(rename = "_type")]
    pub kind: TargetsType,
    /// [`SPEC_VERSION`].
    pub spec_version: String,
    /// Counted from 1.
    pub version: Version,
    /// UTC, whole seconds.
    pub expires: Timestamp,
    /// By path.
    pub targets: BTreeMap<String, TargetFile>,
    /// To whom other paths are entrusted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delegations: Option<Delegations>,
}
document!(Targets, "targets", TargetsType, MAX_TARGETS_BYTES, check::targets);

/// One target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetFile {
    /// In bytes.
    pub length: u64,
    /// `sha256`, hexadecimal.
    pub hashes: BTreeMap<String, String>,
    /// What the specification leaves open; `{"chiron": {…}}` in ours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub custom: Option<Value>,
}

impl TargetFile {
    /// A target of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self::new(bytes.len() as u64, &hex::encode(Sha256::digest(bytes)), None)
    }

    /// A target with this length and SHA-256 in lower-case hexadecimal.
    pub fn new(length: u64, sha256: &str, custom: Option<Value>) -> Self {
        Self {
            length,
            hashes: BTreeMap::from([("sha256".to_owned(), sha256.to_owned())]),
            custom,
        }
    }

    /// The SHA-256, as stated.
    pub fn sha256(&self) -> Option<&str> {
        self.hashes.get("sha256").map(String::as_str)
    }
}

/// Whose word counts for which paths (section 4.5, `DELEGATIONS`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delegations {
    /// Every key that a role below names.
    pub keys: BTreeMap<KeyId, PublicKey>,
    /// Asked in this order.
    pub roles: Vec<DelegatedRole>,
}

/// One delegation. Either `paths` or `path_hash_prefixes` is given, never both.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DelegatedRole {
    /// Whose metadata is asked.
    pub name: RoleName,
    /// Who signs it.
    #[serde(flatten)]
    pub keys: RoleKeys,
    /// Whether nobody after it is asked for a path that matches.
    pub terminating: bool,
    /// Shell patterns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paths: Option<Vec<String>>,
    /// Beginnings of the path's SHA-256 in hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path_hash_prefixes: Option<Vec<String>>,
}

/// Which versions belong together (section 4.4).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// `snapshot`.
    #[serde(rename = "_type")]
    pub kind: SnapshotType,
    /// [`SPEC_VERSION`].
    pub spec_version: String,
    /// Counted from 1.
    pub version: Version,
    /// UTC, whole seconds.
    pub expires: Timestamp,
    /// By file name: `targets.json`, `bins.json`, `bin-0f.json`, …
    pub meta: BTreeMap<String, MetaFile>,
}
document!(
    Snapshot,
    "snapshot",
    SnapshotType,
    MAX_SNAPSHOT_BYTES,
    check::snapshot
);

/// Which snapshot is the newest (section 4.6).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimestampMetadata {
    /// `timestamp`.
    #[serde(rename = "_type")]
    pub kind: TimestampType,
    /// [`SPEC_VERSION`].
    pub spec_version: String,
    /// Counted from 1.
    pub version: Version,
    /// UTC, whole seconds.
    pub expires: Timestamp,
    /// `snapshot.json` and nothing else.
    pub meta: BTreeMap<String, MetaFile>,
}
document!(
    TimestampMetadata,
    "timestamp",
    TimestampType,
    MAX_TIMESTAMP_BYTES,
    check::timestamp
);

/// A metadata file that another names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetaFile {
    /// The version that it must have.
    pub version: Version,
    /// In bytes; the timestamp states it of the snapshot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub length: Option<u64>,
    /// `sha256`; the timestamp states it of the snapshot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hashes: Option<BTreeMap<String, String>>,
}

impl MetaFile {
    /// By its version alone.
    pub fn version(version: Version) -> Self {
        Self {
            version,
            length: None,
            hashes: None,
        }
    }

    /// By version, length and SHA-256.
    pub fn pinned(version: Version, bytes: &[u8]) -> Self {
        Self {
            version,
            length: Some(bytes.len() as u64),
            hashes: Some(BTreeMap::from([(
                "sha256".to_owned(),
                hex::encode(Sha256::digest(bytes)),
            )])),
        }
    }
}
