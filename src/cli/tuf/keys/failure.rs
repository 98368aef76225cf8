//! How a verb ends that could not have a key.

use crate::cli::exit::Failure;
use crate::keys::KeyError;

/// A key error as a verb ends with it.
pub fn failure(error: KeyError) -> Failure {
    match error {
        KeyError::File { doing, path, source } => Failure::file(doing, &path, &source),
        KeyError::Unknown { .. } | KeyError::Missing { .. } => Failure::not_admitted(error),
        KeyError::Ring { .. } | KeyError::OtherKey { .. } | KeyError::NotAKey { .. } => {
            Failure::integrity(error)
        }
        KeyError::Unavailable { .. } => Failure::upstream(error),
        KeyError::Remote(_) if error.may_pass() => Failure::upstream(error),
        KeyError::Remote(_)
        | KeyError::WrongSecret { .. }
        | KeyError::NoSecret { .. }
        | KeyError::Refused { .. }
        | KeyError::Exposed { .. }
        | KeyError::OpenFolder { .. }
        | KeyError::Foreign { .. } => Failure::denied(error),
        KeyError::Crypto(_) | KeyError::Stopping => Failure::internal(error),
        KeyError::Ambiguous { .. }
        | KeyError::Label { .. }
        | KeyError::Known { .. }
        | KeyError::Place(_)
        | KeyError::CannotHold { .. }
        | KeyError::Offline { .. } => Failure::usage(error),
    }
}
