//! Why a bundle is not believed, or could not be read or written.

use std::path::PathBuf;

/// What is wrong with a bundle. Whatever it is, nothing of the bundle came into force.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// It cannot be read: the medium, its permissions.
    #[error("{}: {source}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// It cannot be written.
    #[error("{}: {source}", path.display())]
    Write {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// There is no bundle at the place.
    #[error("{}: {why}", path.display())]
    NotABundle {
        /// What was named.
        path: PathBuf,
        /// What is missing.
        why: String,
    },
    /// Bytes are not what their name says, or a part of the format is broken.
    #[error("{what} is damaged: {why}")]
    Damaged {
        /// Which part: a volume, an item by digest or name.
        what: String,
        /// What was expected and what is there.
        why: String,
    },
    /// Everything is whole so far, and something is not there.
    #[error("{} of {total} {} missing", numbers(missing), if missing.len() == 1 { "is" } else { "are" })]
    MissingVolumes {
        /// Their numbers.
        missing: Vec<u32>,
        /// How many the bundle has.
        total: u32,
    },
    /// The signature, the keys or the metadata do not lead back to the root of trust.
    #[error("{what} is not believed: {why}")]
    NotTrusted {
        /// Which part.
        what: String,
        /// Which check failed.
        why: String,
    },
    /// Believable, and not for this site or not now: older than what is there, made for another, begins too late.
    #[error("the bundle {id} does not fit: {why}")]
    DoesNotFit {
        /// Which bundle.
        id: String,
        /// Why, and what would.
        why: String,
    },
    /// The sender's log contradicts what this site has seen of it: two histories under one name.
    #[error("the sender's log is not the one this site knows: {why}")]
    Fork {
        /// Which states contradict each other.
        why: String,
    },
    /// Larger than what is looked at, or than a volume that is to hold it.
    #[error("{what} has {found} {unit}; the limit is {limit}")]
    TooLarge {
        /// Which part.
        what: String,
        /// How many it has, or says.
        found: u64,
        /// How many are allowed.
        limit: u64,
        /// Of what.
        unit: &'static str,
    },
}

impl BundleError {
    /// Damage that is told in words of the bundle itself, such as a field's name: they come from whoever wrote it, so what a
    /// terminal would act on is taken out, and they are cut short.
    pub(crate) fn damaged(what: &str, why: impl std::fmt::Display) -> Self {
        let plain = |c: char| {
            if c.is_control() {
                char::REPLACEMENT_CHARACTER
            } else {
                c
            }
        };
        Self::Damaged {
            what: what.to_owned(),
            why: why.to_string().chars().take(MAX_WORDS).map(plain).collect(),
        }
    }

    /// Errors: [`Self::TooLarge`], when `found` bytes are more than `limit`.
    pub(super) fn bounded(what: &str, found: u64, limit: u64) -> Result<(), Self> {
        if found <= limit {
            return Ok(());
        }
        Err(Self::TooLarge {
            what: what.to_owned(),
            found,
            limit,
            unit: "bytes",
        })
    }
}

/// Characters of a bundle's own words that are repeated.
const MAX_WORDS: usize = 400;

fn numbers(all: &[u32]) -> String {
    let listed = all.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let volumes = if all.len() == 1 { "volume" } else { "volumes" };
    format!("{volumes} {listed}")
}
