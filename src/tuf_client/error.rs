//! Which check of TUF refused what, in words; and what was no check at all but the network or the disk.

use std::fmt;
use std::path::PathBuf;

use serde::Serialize;

use super::transport::FetchError;

/// A check of the client workflow (section 5). The names are what scripts see.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Check {
    /// Fewer good signatures than the role's threshold: changed bytes, or other keys (arbitrary software).
    Threshold,
    /// One key stands or signs twice, so that fewer people than the threshold says would do.
    OneKeyTwice,
    /// A version below one that was trusted before.
    Rollback,
    /// Too old: nothing newer was published, or somebody keeps it away (freeze).
    Expired,
    /// Length, digest or version are not what the signed document above says (mix-and-match, changed files).
    Integrity,
    /// More bytes than may come (endless data).
    TooLong,
    /// No metadata of the kind that was looked for.
    Malformed,
    /// Roots that do not follow one another, or more of them than are walked at once.
    RootChain,
    /// A file that signed metadata names and that the repository does not have.
    NotFound,
    /// No role lists the target.
    Unsigned,
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Threshold => "threshold",
            Self::OneKeyTwice => "one-key-twice",
            Self::Rollback => "rollback",
            Self::Expired => "expired",
            Self::Integrity => "integrity",
            Self::TooLong => "too-long",
            Self::Malformed => "malformed",
            Self::RootChain => "root-chain",
            Self::NotFound => "not-found",
            Self::Unsigned => "unsigned",
        })
    }
}

/// Why the client hands nothing out. Nothing that was fetched is believed, and what was trusted before stays trusted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TufClientError {
    /// A check failed.
    #[error("{file} is refused: {why}")]
    Refused {
        /// Which.
        check: Check,
        /// The file, as the repository names it.
        file: String,
        /// What is wrong, with versions.
        why: String,
    },
    /// The repository could not be asked: no judgment, and trying again may help.
    #[error("{file} could not be fetched: {why}")]
    Unreachable {
        /// The file.
        file: String,
        /// What the network said; without an address.
        why: String,
    },
    /// The state folder cannot be used. Without it a rollback would not be seen, so nothing goes on without it.
    #[error("the state folder {}: {why}", path.display())]
    State {
        /// The folder.
        path: PathBuf,
        /// What is wrong and what to do.
        why: String,
    },
    /// What the client was given to begin with does not serve: the root, the address.
    #[error("{0}")]
    Setup(String),
}

impl TufClientError {
    pub(super) fn refused(check: Check, file: impl Into<String>, why: impl Into<String>) -> Self {
        Self::Refused {
            check,
            file: file.into(),
            why: why.into(),
        }
    }

    /// The check that failed, if one did.
    pub fn check(&self) -> Option<Check> {
        match self {
            Self::Refused { check, .. } => Some(*check),
            _ => None,
        }
    }

    /// The file that it is about.
    pub fn file(&self) -> Option<&str> {
        match self {
            Self::Refused { file, .. } | Self::Unreachable { file, .. } => Some(file),
            _ => None,
        }
    }

    /// What sigstore-tuf said, about `last`, the file that was fetched last.
    pub(super) fn from_library(error: sigstore_tuf::Error, last: &str) -> Self {
        use sigstore_tuf::Error as E;
        let refused = |check, why: String| Self::refused(check, last, why);
        match error {
            E::Json(error) => refused(
                Check::Malformed,
                format!("it is not JSON ({error}); it was changed or damaged"),
            ),
            E::Malformed(why) => refused(
                Check::Malformed,
                format!("it is no metadata that can be used ({why}); it was changed or damaged"),
            ),
            E::NonIntegerNumber => refused(Check::Malformed, "it has a number that is no integer".to_owned()),
            E::UnusableKey { reason, .. } => {
                refused(Check::Malformed, format!("a key cannot be used: {reason}"))
            }
            E::UnsupportedScheme { scheme, .. } => refused(
                Check::Malformed,
                format!("the signature scheme {scheme:?} is not known"),
            ),
            E::UnknownRole(role) => refused(
                Check::Malformed,
                format!("nothing says who signs the role {role}"),
            ),
            E::DuplicateSignature { role, key_id } => refused(
                Check::OneKeyTwice,
                format!("the key {} signs the role {role} twice", short(&key_id)),
            ),
            E::ThresholdNotMet {
                role,
                found,
                threshold,
            } => refused(
                Check::Threshold,
                format!(
                    "{found} of the {threshold} signatures that the role {role} needs are good; it was changed after it was signed, or signed with other keys"
                ),
            ),
            E::Rollback { role, trusted, new } => refused(
                Check::Rollback,
                format!(
                    "{role} is at version {new}, and version {trusted} was trusted before: this is a rollback"
                ),
            ),
            E::EqualVersion { role, version } => {
                refused(Check::Rollback, format!("{role} is again at version {version}"))
            }
            E::BadRootVersion { trusted, new } => refused(
                Check::RootChain,
                format!(
                    "it says that it is version {new}, and after version {trusted} comes {}",
                    trusted.saturating_add(1)
                ),
            ),
            E::Expired { role, expires } => Self::refused(
                Check::Expired,
                file_of(&role, last),
                format!("it expired at {expires}; nothing newer was published, or somebody keeps it away"),
            ),
            E::IntegrityMismatch(why) => refused(Check::Integrity, why),
            E::Crypto(_) => refused(Check::Threshold, "a signature cannot be read".to_owned()),
            E::NotRefreshed => Self::Unreachable {
                file: "timestamp.json".to_owned(),
                why: "no refresh has ended well yet".to_owned(),
            },
            E::TargetNotFound(path) => {
                Self::refused(Check::Unsigned, path, "no role of the signed repository lists it")
            }
            E::Transport { message, source } => {
                match source.and_then(|source| source.downcast::<FetchError>().ok()) {
                    Some(fetch) => fetch.about(last),
                    None if message.starts_with("exceeded ") => refused(
                        Check::RootChain,
                        "there are more roots after it than are walked at once; the next refresh goes on from here"
                            .to_owned(),
                    ),
                    None => refused(
                        Check::NotFound,
                        "signed metadata names it, and the repository does not have it".to_owned(),
                    ),
                }
            }
            // `E::Io`, and what a later version may add: not a file's fault as far as is known, and no success.
            other => refused(Check::Malformed, other.to_string()),
        }
    }
}

/// Expiry is checked after everything has come: the file is the role's, not the last that came.
fn file_of(role: &str, last: &str) -> String {
    let of_role = format!("{role}.json");
    if last.ends_with(&of_role) {
        last.to_owned()
    } else {
        of_role
    }
}

/// The first eight digits of a key's id, and none of its hostile length.
pub(super) fn short(id: &str) -> String {
    id.chars().filter(char::is_ascii_alphanumeric).take(8).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(error: sigstore_tuf::Error, last: &str) -> (Option<Check>, String) {
        let error = TufClientError::from_library(error, last);
        (error.check(), error.to_string())
    }

    #[test]
    fn a_refusal_names_check_file_and_versions() {
        let (check, text) = said(
            sigstore_tuf::Error::Rollback {
                role: "timestamp".to_owned(),
                trusted: 7,
                new: 6,
            },
            "timestamp.json",
        );
        assert_eq!(check, Some(Check::Rollback));
        assert_eq!(
            text,
            "timestamp.json is refused: timestamp is at version 6, and version 7 was trusted before: this is a rollback"
        );
        let (check, text) = said(
            sigstore_tuf::Error::Expired {
                role: "snapshot".to_owned(),
                expires: jiff::Timestamp::UNIX_EPOCH,
            },
            "timestamp.json",
        );
        assert_eq!(check, Some(Check::Expired));
        assert!(
            text.starts_with("snapshot.json is refused: it expired at 1970-01-01T00:00:00Z"),
            "{text}"
        );
    }

    #[test]
    fn what_the_network_did_is_no_judgment() {
        let error = sigstore_tuf::Error::transport_with_source("x", FetchError::Failed("refused".to_owned()));
        assert_eq!(said(error, "timestamp.json").0, None);
        let error = sigstore_tuf::Error::transport_with_source("x", FetchError::TooLong { limit: 5 });
        assert_eq!(said(error, "timestamp.json").0, Some(Check::TooLong));
        let error = sigstore_tuf::Error::transport("3.snapshot.json not found");
        assert_eq!(said(error, "3.snapshot.json").0, Some(Check::NotFound));
    }
}
