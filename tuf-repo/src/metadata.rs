//! Metadata documents (section 4): what is signed, and the envelope around it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::canonical::{CanonicalError, canonical};
use crate::key_id::KeyId;
use crate::public_key::PublicKey;
use crate::role::RoleName;
use crate::threshold::RoleKeys;

/// The specification that metadata of ours follows.
pub const SPEC_VERSION: &str = "1.0.31";

/// Counted from 1, and never backwards.
pub type Version = u64;

/// One signature over the canonical form of `signed`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signature {
    /// Whose.
    pub keyid: KeyId,
    /// Hexadecimal in metadata.
    #[serde(with = "hex")]
    pub sig: Vec<u8>,
}

impl Signature {
    /// A signature by the key with this id.
    pub fn new(keyid: KeyId, sig: Vec<u8>) -> Self {
        Self { keyid, sig }
    }
}

/// A signed document. What is in `signed` is not believed before [`crate::verify`] says so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope<T> {
    /// In the order in which they were made.
    pub signatures: Vec<Signature>,
    /// The document.
    pub signed: T,
}

/// Why bytes are no metadata of the kind that was looked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MetadataError {
    /// Not JSON, fields missing, wrong types.
    #[error("not {role} metadata: {why}")]
    Malformed {
        /// What was looked for.
        role: &'static str,
        /// What is wrong.
        why: String,
    },
    /// No canonical form.
    #[error(transparent)]
    Canonical(#[from] CanonicalError),
}

/// A kind of document.
pub trait Document: Serialize + DeserializeOwned {
    /// Its `_type`.
    const TYPE: &'static str;
    /// Counted from 1.
    fn version(&self) -> Version;
    /// Not to be believed from then on.
    fn expires(&self) -> Timestamp;
}

impl<T: Document> Envelope<T> {
    /// Reads metadata. Signatures are not looked at.
    pub fn parse(bytes: &[u8]) -> Result<Self, MetadataError> {
        serde_json::from_slice(bytes).map_err(|error| MetadataError::Malformed {
            role: T::TYPE,
            why: error.to_string(),
        })
    }

    /// The bytes of the file: canonical, so that two writers write the same.
    pub fn to_bytes(&self) -> Result<Vec<u8>, MetadataError> {
        Ok(canonical(self)?)
    }

    /// The bytes that signatures cover.
    pub fn payload(&self) -> Result<Vec<u8>, MetadataError> {
        Ok(canonical(&self.signed)?)
    }
}

macro_rules! document {
    ($name:ident, $kind:literal, $tag:ident) => {
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
            fn version(&self) -> Version {
                self.version
            }
            fn expires(&self) -> Timestamp {
                self.expires
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
document!(Root, "root", RootType);

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
document!(Targets, "targets", TargetsType);

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
document!(Snapshot, "snapshot", SnapshotType);

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
document!(TimestampMetadata, "timestamp", TimestampType);

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
