//! Whose bundle it is, and what this site holds it against: the pinned root, what is remembered, the floors.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::import::ImportError;
use super::{KnownSender, Settings};
use crate::bundle::check::{Anchor, Floors, Head};
use crate::bundle::{BundleError, Manifest, TufMemory};
use crate::catalog::{Catalog, SenderRow};

/// Characters of a name that is made from what a sender calls itself.
const MAX_NAME: usize = 64;

/// What a sender's signatures are believed by, kept beside its floors.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Kept {
    /// The root that an operator gave, as it was given.
    pub pinned: String,
    /// The newest root that follows from it.
    pub root: String,
    /// What the TUF client remembers.
    pub memory: TufMemory,
}

/// The sender of a bundle.
#[derive(Debug)]
pub(super) struct Known {
    /// Its name here.
    pub name: String,
    /// How far this site knows its log; absent before the first import.
    pub row: Option<SenderRow>,
    /// The root that an operator gave.
    pub pinned: String,
    /// Another root than this site knows, which was given now.
    pub given: Option<String>,
    /// That one is followed from now on.
    pub anew: bool,
    /// What the bundle is held against.
    pub anchor: Anchor,
}

impl Known {
    /// Whether the root that was given is one of those that lead from the known one to the newest.
    pub fn leads_to_given(&self, head: &Head) -> bool {
        let given = |(name, bytes): &(String, Bytes)| {
            name.ends_with(".root.json") && self.given.as_ref().is_some_and(|root| root.as_bytes() == bytes)
        };
        head.already || self.given.is_none() || head.chain.iter().any(given)
    }

    /// Follows the root that was given from now on: a sender that lost its keys has begun anew. The floors stay.
    pub fn begin_anew(&mut self) {
        if let Some(root) = self.given.take() {
            self.anchor.root = Bytes::from(root.clone());
            self.anchor.memory = TufMemory::default();
            self.pinned = root;
            self.anew = true;
        }
    }

    /// Why the root that was given does not count.
    pub fn other_root(&self) -> BundleError {
        let name = &self.name;
        BundleError::NotTrusted {
            what: "the root of trust that was given".to_owned(),
            why: format!(
                "this site knows {name} by another one, from which it does not follow; to follow it from now on, give --sender {name} with it"
            ),
        }
    }
}

/// Who shall be the sender of what claims to be of `claimed`. Nothing that the bundle says of itself decides what is
/// believed: that is the root, which comes from the operator or from an earlier import.
///
/// # Errors
/// [`ImportError::Usage`]: no root is known, or several senders could be meant; [`BundleError::NotTrusted`]: another log than
/// this site knows under the name.
pub(super) async fn of(
    catalog: &Catalog,
    settings: &Settings,
    claimed: &Manifest,
    asked: Option<&str>,
    root: Option<&str>,
) -> Result<Known, ImportError> {
    let rows = catalog.senders().await?;
    let name = match asked {
        Some(name) => checked(name)?,
        None => name_of(&rows, &settings.senders, claimed, root.is_some())?,
    };
    let row = rows.into_iter().find(|row| row.name == name);
    let config = settings.sender(&name);
    let other_log = |origin: &str| {
        ImportError::from(BundleError::NotTrusted {
            what: format!("the bundle of {}", claimed.sender.origin),
            why: format!("the sender {name} is the log {origin} here"),
        })
    };
    if let Some(origin) = config.and_then(|sender| sender.origin.as_ref())
        && *origin != claimed.sender.origin
    {
        return Err(other_log(origin));
    }
    if let Some(row) = &row
        && row.origin != claimed.sender.origin
    {
        return Err(other_log(&row.origin));
    }
    let kept: Option<Kept> = match catalog.sender_trust(&name).await? {
        Some(bytes) => serde_json::from_slice(&bytes).ok(),
        None => None,
    };
    let floors = floors(row.as_ref(), &settings.site);
    if let Some(kept) = kept {
        let given = root.filter(|root| *root != kept.pinned && *root != kept.root);
        return Ok(Known {
            name,
            row,
            given: given.map(str::to_owned),
            pinned: kept.pinned,
            anew: false,
            anchor: Anchor {
                root: Bytes::from(kept.root),
                memory: kept.memory,
                floors,
            },
        });
    }
    let pinned = match (root, config) {
        (Some(root), _) => root.to_owned(),
        (None, Some(config)) => String::from_utf8_lossy(&config.root).into_owned(),
        (None, None) => {
            return Err(ImportError::Usage(format!(
                "no root of trust is known for {name} ({}): give its TUF root with --root FILE, or name it in [[airgap.sender]]",
                claimed.sender.origin
            )));
        }
    };
    Ok(Known {
        name,
        row,
        given: None,
        anew: false,
        anchor: Anchor {
            root: Bytes::from(pinned.clone()),
            memory: TufMemory::default(),
            floors,
        },
        pinned,
    })
}

/// What must not go back.
pub(super) fn floors(row: Option<&SenderRow>, site: &str) -> Floors {
    Floors {
        site: Some(site.to_owned()),
        seen: row.map(|row| row.seen),
        complete: row.and_then(|row| row.complete),
        reference_time: row.map(|row| row.reference_time),
        last: row.map(|row| row.bundle),
    }
}

/// The one that the origin leads to: known by it, configured with it, configured without any.
fn name_of(
    rows: &[SenderRow],
    configured: &[KnownSender],
    claimed: &Manifest,
    has_root: bool,
) -> Result<String, ImportError> {
    let origin = &claimed.sender.origin;
    if let Some(row) = rows.iter().find(|row| row.origin == *origin) {
        return Ok(row.name.clone());
    }
    let with = configured
        .iter()
        .filter(|sender| sender.origin.as_ref() == Some(origin));
    let with: Vec<&str> = with.map(|sender| sender.name.as_str()).collect();
    let free =
        |sender: &&KnownSender| sender.origin.is_none() && !rows.iter().any(|row| row.name == sender.name);
    let without: Vec<&str> = configured
        .iter()
        .filter(free)
        .map(|sender| sender.name.as_str())
        .collect();
    match (with.as_slice(), without.as_slice()) {
        ([one], _) => Ok((*one).to_owned()),
        ([], [one]) if !has_root => Ok((*one).to_owned()),
        ([], _) if has_root => Ok(made_name(&claimed.sender.site)),
        ([], []) => Err(ImportError::Usage(format!(
            "no sender is known for the log {origin}: give its TUF root with --root FILE, or name it in [[airgap.sender]]"
        ))),
        (many, others) => Err(ImportError::Usage(format!(
            "the bundle of {origin} could be of {}: say which with --sender NAME",
            [many, others].concat().join(", ")
        ))),
    }
}

/// What a sender calls itself, as a name here.
fn made_name(site: &str) -> String {
    let plain = |c: char| {
        if c.is_ascii_alphanumeric() {
            c.to_ascii_lowercase()
        } else {
            '-'
        }
    };
    let name: String = site.chars().map(plain).take(MAX_NAME).collect();
    match name.trim_matches('-') {
        "" => "sender".to_owned(),
        name => name.to_owned(),
    }
}

/// A name as `[[airgap.sender]]` takes it.
fn checked(name: &str) -> Result<String, ImportError> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if name.is_empty() || name.len() > MAX_NAME || !name.chars().all(plain) {
        return Err(ImportError::Usage(format!(
            "{name:?} is no sender's name, which has small letters, digits and `-`"
        )));
    }
    Ok(name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_made_of_what_a_site_calls_itself() {
        assert_eq!(made_name("Head Office.example"), "head-office-example");
        assert_eq!(made_name("…"), "sender");
        assert!(checked("head-office").is_ok());
        for wrong in ["", "Head", "a/b", "a b"] {
            assert!(checked(wrong).is_err(), "{wrong}");
        }
    }
}
