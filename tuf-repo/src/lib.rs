//! TUF for Chiron: roles and their keys, metadata, what signs it and what verifies it. Pure: metadata in, signed
//! metadata out; no database, no network.
//!
//! Section numbers mean The Update Framework's specification, version 1.0.

mod bins;
mod canonical;
mod check;
mod diff;
mod editor;
mod envelope;
#[cfg(test)]
mod example;
mod expiry;
mod key_id;
mod layout;
pub mod limits;
mod local;
mod metadata;
mod public_key;
mod request;
mod role;
mod signer;
mod target_path;
mod threshold;
mod verify;

pub use bins::{BinCount, BinCountError, BinsError, PathHash, top_delegations};
pub use canonical::{CanonicalError, canonical};
pub use check::Defect;
pub use diff::{KeyLabels, describe_root, describe_targets};
pub use editor::{
    Authority, Draft, DraftError, Edition, EditionError, EntryError, Finished, Ledger, LedgerRow,
    SignDocumentError, SignedDocument, SnapshotStage, TargetEntry, TimestampStage, VersionsExhausted,
    sign_document,
};
pub use envelope::{Document, Envelope, MetadataError, Signature};
pub use expiry::{ExpiryError, TIMESTAMP_RESIGN_EVERY, expires_at, lifetime};
pub use key_id::{KeyId, KeyIdError};
pub use layout::{MetadataName, MetadataNameError};
pub use local::{LocalKey, LocalKeyError};
pub use metadata::{
    DelegatedRole, Delegations, MetaFile, Root, RootType, SPEC_VERSION, Snapshot, SnapshotType, TargetFile,
    Targets, TargetsType, TimestampMetadata, TimestampType, Version,
};
pub use public_key::{PublicKey, PublicKeyError, Scheme};
pub use request::{
    DetachedSignature, Need, NeedProgress, Progress, Replaced, RequestError, RequestId, SigningRequest,
};
pub use role::{Bin, Role, RoleName, RoleNameError};
pub use signer::{SignError, Signer, Signing, sign};
pub use target_path::{ConsistentTarget, TargetPath, TargetPathError};
pub use threshold::{RoleKeys, Threshold, ThresholdError};
pub use verify::{ThresholdNotMet, signers, verify};
