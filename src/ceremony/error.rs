//! Why a ceremony changes nothing.

use chiron_tuf::{KeyId, RequestError, Role, SignDocumentError, SignError, ThresholdError, Version};

use super::edit::EditError;
use crate::catalog::CatalogError;
use crate::keys::KeyError;
use crate::publish::{Duty, DutyError, PublishError};

/// Why a ceremony changes nothing. What was in force before is in force.
#[derive(Debug, thiserror::Error)]
pub enum CeremonyError {
    /// There is no root to begin from.
    #[error("this data folder has no signed repository yet: `chiron tuf init` makes one")]
    NotInitialised,
    /// The first root is already on its way.
    #[error(
        "the first root waits for signatures (change {id}): merge them, or take it away with `chiron tuf requests cancel {id}`"
    )]
    FirstWaits {
        /// The change.
        id: String,
    },
    /// What was asked for makes no sense.
    #[error("{0}")]
    Asked(String),
    /// No role of that name.
    #[error(transparent)]
    Duty(#[from] DutyError),
    /// A role would have keys that cannot sign it.
    #[error("{duty}: {source}{}", advice(source))]
    Keys {
        /// Whose.
        duty: Duty,
        /// Why.
        source: ThresholdError,
    },
    /// The daemon could not publish any more.
    #[error(
        "{duty} is signed by the daemon every day, and only {have} of its {threshold} keys could be used by it: {lacking} is not in its key ring with a place that it can reach (`chiron tuf keys import`)"
    )]
    OutOfReach {
        /// Whose.
        duty: Duty,
        /// Keys that it can use.
        have: usize,
        /// How many must sign.
        threshold: u8,
        /// A key that it cannot.
        lacking: String,
    },
    /// The key's place cannot make another.
    #[error(
        "a new key in the place of {label} cannot be made by itself: {why}. Make one, `chiron tuf keys import` it, and give it with --key"
    )]
    NoSuccessor {
        /// The old key.
        label: String,
        /// Why, as a clause.
        why: &'static str,
    },
    /// The key belongs to none of the roles.
    #[error("{what:?} is a key of none of the roles {roles}; `chiron tuf status` shows whose keys are whose")]
    NotOfRole {
        /// As given.
        what: String,
        /// Which roles were looked at.
        roles: String,
    },
    /// A key that should sign by itself did not.
    #[error("{role} {version} cannot be signed: {why}; nothing was changed")]
    Unsigned {
        /// Whose.
        role: Role,
        /// Which version.
        version: Version,
        /// What the keys said.
        why: String,
    },
    /// A new key cannot be used.
    #[error("the new key {key} was tried out and does not sign: {source}; nothing was changed")]
    Untried {
        /// Which.
        key: KeyId,
        /// What its back end said.
        source: SignError,
    },
    /// Nothing waits under that name.
    #[error(
        "nothing that waits is called {0}: it is in force already, was cancelled, or was asked for elsewhere"
    )]
    NoSuchRequest(String),
    /// What waits was overtaken.
    #[error("{0}; the change cannot be put in force any more: cancel it, make it anew, and sign that")]
    Stale(RequestError),
    /// A request or a signature is not taken.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// The documents cannot be made.
    #[error(transparent)]
    Edit(#[from] EditError),
    /// Too few signatures, or too many bytes.
    #[error(transparent)]
    Document(#[from] SignDocumentError),
    /// The key ring.
    #[error(transparent)]
    Ring(#[from] KeyError),
    /// The repository.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// The log.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
}

fn advice(error: &ThresholdError) -> &'static str {
    match error {
        ThresholdError::Unreachable { .. } => {
            ". Add a key with --add, or say with --threshold how many must sign from now on"
        }
        ThresholdError::OutOfRange(_) | ThresholdError::Duplicate(_) => "",
    }
}
