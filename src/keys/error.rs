//! Why a key cannot be had.

use std::io;
use std::path::{Path, PathBuf};

use chiron_tuf::KeyId;

use super::place::{KeyPlace, PlaceError};
use super::remote::RemoteError;

/// Why a key cannot be had, kept or found. No variant ever holds a secret: not a passphrase, a PIN, a token, nor
/// bytes of what should have been a key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// A file or folder of keys cannot be read or written.
    #[error("cannot {doing} {path}: {source}")]
    File {
        /// Such as "read".
        doing: &'static str,
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Others than its owner can read it. Threat: the key was copied, and nobody noticed.
    #[error(
        "{path} can be read by others (mode {mode:03o}) and is therefore not used; `chmod 600 {path}` if nobody did, else make a new key and rotate"
    )]
    Exposed {
        /// Which file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Others than its owner can enter it. Threat: a key is put in the place of another.
    #[error(
        "the folder of keys {path} is open to others (mode {mode:03o}) and is therefore not used; look at what is in it, then `chmod 700 {path}`"
    )]
    OpenFolder {
        /// Which folder.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It belongs to another user, who could replace it.
    #[error(
        "{path} belongs to user {owner} and not to the one that Chiron runs as; it is therefore not used. Run the command as that user, or `chown` the file"
    )]
    Foreign {
        /// Which file.
        path: PathBuf,
        /// User number of its owner.
        owner: u32,
    },
    /// `ring.json` is not what was written.
    #[error(
        "{path} is not a keyring: {why}; restore it from a backup, the key files beside it are not touched"
    )]
    Ring {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// Nobody is called so.
    #[error("no key is called {what:?} in {folder}; `chiron tuf keys list` shows them")]
    Unknown {
        /// What was looked for.
        what: String,
        /// Where.
        folder: PathBuf,
    },
    /// The beginning of several ids.
    #[error("{what:?} begins several key ids; give more digits")]
    Ambiguous {
        /// What was looked for.
        what: String,
    },
    /// Not usable as the name of a key.
    #[error(
        "{label:?} cannot be a key's label: 1 to 64 of a-z, A-Z, 0-9, '.', '_' and '-', the first a letter or digit, and not the form of a key id"
    )]
    Label {
        /// As given.
        label: String,
    },
    /// The ring has this key already.
    #[error("this key is in the ring already, as {label}")]
    Known {
        /// What it is called there.
        label: String,
    },
    /// No place of a key.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// A service behind a network.
    #[error(transparent)]
    Remote(#[from] RemoteError),
    /// A new key cannot be made there, or a key cannot be brought there.
    #[error("{place} {why}")]
    CannotHold {
        /// Where.
        place: String,
        /// Why not, as a clause: "cannot make keys".
        why: String,
    },
    /// There is something, and it is no private key of ours.
    #[error("{place} {why}")]
    NotAKey {
        /// Where.
        place: String,
        /// As a clause: "holds no private key in PEM".
        why: String,
    },
    /// There is nothing.
    #[error("there is no key at {place}: {why}")]
    Missing {
        /// Where.
        place: String,
        /// What was looked for.
        why: String,
    },
    /// A passphrase or PIN was tried and is wrong.
    #[error("{place} does not open with the {secret} from {giver}: {hint}")]
    WrongSecret {
        /// Where the key is.
        place: String,
        /// "passphrase" or "PIN".
        secret: &'static str,
        /// Where the secret came from; never the secret.
        giver: String,
        /// What may be the matter.
        hint: &'static str,
    },
    /// None was given.
    #[error("{place} needs a {secret}, and none was given: {how}")]
    NoSecret {
        /// Where the key is.
        place: String,
        /// "passphrase" or "PIN".
        secret: &'static str,
        /// How to give one.
        how: &'static str,
    },
    /// The device or service does not answer now; later it may.
    #[error("{place} cannot be reached: {why}")]
    Unavailable {
        /// Where.
        place: String,
        /// What was seen.
        why: String,
    },
    /// The device or service answered, and will not.
    #[error("{place} refuses: {why}")]
    Refused {
        /// Where.
        place: String,
        /// In its words, secrets left out.
        why: String,
    },
    /// The place holds a key, and not the one that the ring remembers.
    #[error(
        "{place} holds the key {found}, and the ring says {expected}: it was replaced; nothing is signed with it. `chiron tuf rotate` takes a new key into use"
    )]
    OtherKey {
        /// Where.
        place: String,
        /// By the ring.
        expected: KeyId,
        /// What is there.
        found: KeyId,
    },
    /// The key is not reachable from this machine, on purpose.
    #[error("the key {label} is offline: its holder signs the request with `chiron tuf sign`")]
    Offline {
        /// What the ring calls it.
        label: String,
    },
    /// A key cannot be made or encrypted.
    #[error("{0}")]
    Crypto(&'static str),
    /// The process is stopping.
    #[error("the work with the key did not finish: the process is stopping")]
    Stopping,
}

impl KeyError {
    /// A file or folder cannot be read or written.
    pub fn file(doing: &'static str, path: &Path, source: io::Error) -> Self {
        Self::File {
            doing,
            path: path.to_owned(),
            source,
        }
    }

    /// There is something, and it is no private key of ours.
    pub fn not_a_key(place: &KeyPlace, why: impl Into<String>) -> Self {
        Self::NotAKey {
            place: place.to_string(),
            why: why.into(),
        }
    }

    /// The device or service does not answer now.
    pub fn unavailable(place: &KeyPlace, why: impl Into<String>) -> Self {
        Self::Unavailable {
            place: place.to_string(),
            why: why.into(),
        }
    }

    /// The device or service will not.
    pub fn refused(place: &KeyPlace, why: impl Into<String>) -> Self {
        Self::Refused {
            place: place.to_string(),
            why: why.into(),
        }
    }

    /// True when trying again later may help without anybody doing anything.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Unavailable { .. } | Self::Stopping => true,
            Self::Remote(error) => error.is_passing(),
            _ => false,
        }
    }
}
