//! Why a key in a service cannot be had or used, in words for whoever is on call.

use chiron_tuf::KeyId;

use super::uri::RemotePlace;

/// Why a key in a service cannot be had. Never holds a secret: what a service said has been searched for them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RemoteError {
    /// The service does not answer now; later it may. Nothing was signed.
    #[error("{place} cannot be used now: {why}")]
    Unavailable {
        /// Which key.
        place: String,
        /// What was seen.
        why: String,
    },
    /// Somebody has to change something: a setting, a permission, a state of the key.
    #[error("{place} cannot be used: {why}")]
    Refused {
        /// Which key.
        place: String,
        /// What the service said, and what to do.
        why: String,
    },
    /// The service knows no such key.
    #[error("there is no key at {place}: {why}")]
    Missing {
        /// Which key.
        place: String,
        /// What was looked for.
        why: String,
    },
    /// There is something, and it is no key of ours.
    #[error("{place} {why}")]
    NotAKey {
        /// Which key.
        place: String,
        /// As a clause: "holds …".
        why: String,
    },
    /// There is a key, and it is not the one that the roles name.
    #[error(
        "{place} holds the key {found}, and {expected} is expected: it was replaced; nothing is signed with it. `chiron tuf rotate` takes a new key into use"
    )]
    OtherKey {
        /// Which key.
        place: String,
        /// The one that is wanted.
        expected: KeyId,
        /// The one that is there.
        found: KeyId,
    },
}

impl RemoteError {
    /// True when trying again later may help without anybody doing anything.
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }
}

/// A [`RemoteError`] before it is said of which place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    Unavailable(String),
    Refused(String),
    Missing(String),
    NotAKey(String),
    OtherKey { expected: KeyId, found: KeyId },
}

impl Fault {
    pub(super) fn is_passing(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }

    /// The fault as a signer says it, who says first which key it is.
    pub(super) fn of_signer(self, place: &RemotePlace) -> String {
        match self {
            Self::Unavailable(why) | Self::Refused(why) | Self::Missing(why) | Self::NotAKey(why) => {
                format!("{place}: {why}")
            }
            Self::OtherKey { .. } => self.at(place).to_string(),
        }
    }

    pub(super) fn at(self, place: &RemotePlace) -> RemoteError {
        let place = place.to_string();
        match self {
            Self::Unavailable(why) => RemoteError::Unavailable { place, why },
            Self::Refused(why) => RemoteError::Refused { place, why },
            Self::Missing(why) => RemoteError::Missing { place, why },
            Self::NotAKey(why) => RemoteError::NotAKey { place, why },
            Self::OtherKey { expected, found } => RemoteError::OtherKey {
                place,
                expected,
                found,
            },
        }
    }
}
