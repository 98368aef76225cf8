//! TUF for Chiron: roles and their keys, metadata, what signs it and what verifies it. Pure: metadata in, signed
//! metadata out; no database, no network.
//!
//! Section numbers mean The Update Framework's specification, version 1.0.

mod canonical;
mod expiry;
mod key_id;
mod local;
mod metadata;
mod public_key;
mod role;
mod signer;
mod threshold;
mod verify;

pub use canonical::{CanonicalError, canonical};
pub use expiry::{ExpiryError, TIMESTAMP_RESIGN_EVERY, expires_at, lifetime};
pub use key_id::{KeyId, KeyIdError};
pub use local::{LocalKey, LocalKeyError};
pub use metadata::{
    DelegatedRole, Delegations, Document, Envelope, MetaFile, MetadataError, Root, RootType, SPEC_VERSION,
    Signature, Snapshot, SnapshotType, TargetFile, Targets, TargetsType, TimestampMetadata, TimestampType,
    Version,
};
pub use public_key::{PublicKey, PublicKeyError, Scheme};
pub use role::{Bin, Role, RoleName, RoleNameError};
pub use signer::{SignError, Signer, Signing, sign};
pub use threshold::{RoleKeys, Threshold, ThresholdError};
pub use verify::{ThresholdNotMet, signers, verify};
