//! Why a request or a signature is not taken.

use super::file::RequestId;
use crate::editor::DraftError;
use crate::key_id::KeyId;
use crate::limits::MAX_REQUEST_BYTES;
use crate::metadata::Version;
use crate::role::{Role, RoleName};
use crate::signer::SignError;

/// Why a request or a signature is not taken. Nothing has changed then.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// Not read at all.
    #[error(
        "the file has {bytes} bytes; a signing request has at most {MAX_REQUEST_BYTES}, signatures have fewer"
    )]
    TooLong {
        /// That there are.
        bytes: usize,
    },
    /// Not JSON, fields missing or unknown, wrong types.
    #[error("not a {what}: {why}")]
    Malformed {
        /// What was looked for.
        what: &'static str,
        /// What is wrong.
        why: String,
    },
    /// Not 16 lower-case hex digits.
    #[error("{0:?} is not the id of a signing request: 16 lower-case hex digits")]
    Id(String),
    /// What a key or a document is called.
    #[error("the request calls a key or a document {0:?}: a name has 1 to 128 printable characters of ASCII")]
    Name(String),
    /// An online role, or none at all.
    #[error("metadata of {0} is not signed on request; that of root, targets, trust and bins is")]
    Role(RoleName),
    /// Threat: a request whose words say one thing and whose document another.
    #[error("the request contradicts itself about {what}: do not sign it, and ask where it comes from")]
    Untrue {
        /// About what.
        what: &'static str,
    },
    /// The document cannot be signed.
    #[error(transparent)]
    Draft(#[from] DraftError),
    /// Threat: an old request that undoes what was published since.
    #[error(
        "{role} {version} was to replace {}, and {} is published by now: make the request anew, and sign that",
        named(*role, *replaces), named(*role, *published)
    )]
    Outdated {
        /// Whose.
        role: Role,
        /// The request's.
        version: Version,
        /// What the request replaces.
        replaces: Option<Version>,
        /// What is published.
        published: Option<Version>,
    },
    /// The signature is over something else.
    #[error("{signed} was signed, and what waits is {wanted}: sign the request that waits")]
    OtherVersion {
        /// What was signed.
        signed: String,
        /// What waits.
        wanted: String,
    },
    /// The same version of another change.
    #[error(
        "the request {signed} was signed, and what waits as {role} {version} is the request {wanted}, another \
         document: sign that one"
    )]
    OtherDocument {
        /// Whose.
        role: Role,
        /// Which version.
        version: Version,
        /// Which request was signed.
        signed: RequestId,
        /// Which request waits.
        wanted: RequestId,
    },
    /// The key has no say.
    #[error("the key {key} is none of those that this request needs")]
    NotNeeded {
        /// Which key.
        key: KeyId,
    },
    /// Damaged on its way, or made up.
    #[error("the signature by the key {key} does not verify; nothing was taken from this file")]
    Invalid {
        /// Which key.
        key: KeyId,
    },
    /// Nothing to merge.
    #[error("there is no signature in it")]
    NoSignature,
    /// A key did not sign.
    #[error(transparent)]
    Sign(#[from] SignError),
}

fn named(role: Role, version: Option<Version>) -> String {
    match version {
        Some(version) => format!("{role} {version}"),
        None => format!("no {role}"),
    }
}
