//! Whether a bundle is to be believed: from a root of trust to every byte.
//!
//! | step | what it needs | what it shows |
//! |---|---|---|
//! | [`check_head`] | any volume, a root, what is remembered | TUF chain, signature of the manifest, checkpoint, that it fits |
//! | [`check_entries`] | all volumes with entries | every entry of the log, against the checkpoint |
//! | [`check_items`] | the volumes at hand | every byte of them |
//!
//! Nothing of a bundle may be acted on before the first two have ended well.

mod anchor;
mod entries;
mod items;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use chiron_storage::Digest;
use chiron_storage::log::{read_checkpoint, verify_consistency};
use jiff::Timestamp;

use super::dsse::{SignedManifest, UnverifiedManifest};
use super::layout::BundleSource;
use super::limits::MAX_TUF_BYTES;
use super::tuf::{Believed, Files, TufMemory, believe, lost_work, metadata_name};
use super::{BundleError, Content, Item, Listing, LogPart, Manifest, Seen, pack};
use crate::blocking;

pub use anchor::{Anchor, Floors};
pub use entries::{OpenPack, check_entries, check_entries_of};
pub use items::{Checked, check_items};

/// A bundle whose manifest is believed. What its volumes hold was not looked at yet.
#[derive(Debug, Clone)]
pub struct Head {
    /// The manifest, signed by the keys that the sender's newest root names for `snapshot`.
    pub signed: SignedManifest,
    /// What the volumes at hand hold, by their numbers.
    pub listings: BTreeMap<u32, Listing>,
    /// Volumes that are not at hand.
    pub missing: Vec<u32>,
    /// The newest verified root of the sender, its file.
    pub root: Bytes,
    /// What to remember of the sender from now on.
    pub memory: TufMemory,
    /// When the sender's timestamp ceases to be believed.
    pub expires: Option<Timestamp>,
    /// The sender's metadata files by their names, to be kept beside what comes of the bundle.
    pub chain: Vec<(String, Bytes)>,
    /// The sender's documents of trust, by their names below `trust/`.
    pub trust: Vec<(String, Bytes)>,
    /// The time that expiry was judged at.
    pub reference: Timestamp,
    /// It is the last bundle that was imported: nothing else was looked at.
    pub already: bool,
}

impl Head {
    /// What was signed.
    pub fn manifest(&self) -> &Manifest {
        &self.signed.manifest
    }

    /// The state of the sender's log after it.
    pub fn log(&self) -> Seen {
        log_of(self.manifest())
    }

    /// As an error, for who needs every volume.
    pub fn whole(&self) -> Result<(), BundleError> {
        if self.missing.is_empty() {
            return Ok(());
        }
        Err(BundleError::MissingVolumes {
            missing: self.missing.clone(),
            total: u32::try_from(self.manifest().volumes.len()).unwrap_or(u32::MAX),
        })
    }
}

/// Believes a bundle's manifest, or says why not. Needs any one of its volumes.
///
/// `reference` is the time to judge expiry at (see [`Floors::reference`]); `scratch` a folder in which one may be made that is
/// removed afterwards. Beside what [`BundleError`] says of each, a bundle that was imported last is believed at once.
pub async fn check_head(
    source: &Arc<BundleSource>,
    anchor: &Anchor,
    reference: Timestamp,
    scratch: &Path,
) -> Result<Head, BundleError> {
    let claimed = SignedManifest::parse_unverified(source.envelope())?;
    let reading = {
        let (source, manifest) = (Arc::clone(source), claimed.claimed().clone());
        blocking::run(move || read(&source, &manifest))
    };
    let (listings, files) = reading.await.map_err(lost_work)??;
    let missing = missing(claimed.claimed(), &listings);
    if anchor.floors.last == Some(claimed.digest()) {
        return Ok(Head {
            signed: claimed.known(),
            listings,
            missing,
            root: anchor.root.clone(),
            memory: anchor.memory.clone(),
            expires: None,
            chain: Vec::new(),
            trust: Vec::new(),
            reference,
            already: true,
        });
    }
    let folder = tempfile::tempdir_in(scratch).map_err(|source| BundleError::Write {
        path: scratch.to_owned(),
        source,
    })?;
    let chain = chain(&files);
    let believed = believe(files, anchor, reference, folder.path()).await;
    let believed = believed.map_err(|error| plainer(error, claimed.claimed(), &anchor.floors))?;
    let signed = verified(claimed, &believed)?;
    let manifest = &signed.manifest;
    log_is_signed(manifest, &believed)?;
    anchor.floors.fits(manifest)?;
    Ok(Head {
        listings,
        missing,
        root: believed.root,
        memory: believed.memory,
        expires: Some(believed.expires),
        chain,
        trust: believed.trust,
        reference,
        already: false,
        signed,
    })
}

/// Older metadata of an older bundle: that the bundle is older says more to whoever carries it. What it claims is unsigned
/// then, and it is refused either way.
fn plainer(error: BundleError, claimed: &Manifest, floors: &Floors) -> BundleError {
    let older = floors.seen.is_some_and(|seen| claimed.log.size < seen.size);
    match (&error, floors.fits(claimed)) {
        (BundleError::NotTrusted { .. }, Err(unfit @ BundleError::DoesNotFit { .. })) if older => unfit,
        _ => error,
    }
}

/// The listings of all volumes at hand, and the pack with TUF metadata that each of them begins with. Blocks.
fn read(source: &BundleSource, manifest: &Manifest) -> Result<(BTreeMap<u32, Listing>, Files), BundleError> {
    let mut listings = BTreeMap::new();
    let mut first: Option<(Item, Files)> = None;
    for volume in source.volumes() {
        let number = volume.number();
        let part = (number as usize)
            .checked_sub(1)
            .and_then(|at| manifest.volumes.get(at));
        let part = part.ok_or_else(|| BundleError::Damaged {
            what: format!("volume {number}"),
            why: format!("the bundle has {} volumes", manifest.volumes.len()),
        })?;
        let listing = volume.listing(part)?;
        let item = listing.items.first().ok_or_else(|| BundleError::Damaged {
            what: format!("the listing of volume {number}"),
            why: "it is empty".to_owned(),
        })?;
        match &first {
            None => {
                let Content::Tuf { unpacked } = item.content else {
                    return Err(BundleError::Damaged {
                        what: format!("the listing of volume {number}"),
                        why: "it does not begin with the pack of TUF metadata".to_owned(),
                    });
                };
                let packed = volume.open(item)?.read_all(MAX_TUF_BYTES)?;
                first = Some((
                    item.clone(),
                    pack::read_tuf(&entries::called(number, item), &packed, unpacked)?,
                ));
            }
            Some((same, _)) if same == item => {}
            Some(_) => {
                return Err(BundleError::Damaged {
                    what: format!("the listing of volume {number}"),
                    why: "it begins with another pack of TUF metadata than the volumes before".to_owned(),
                });
            }
        }
        listings.insert(number, listing);
    }
    let (_, files) = first.ok_or_else(|| BundleError::MissingVolumes {
        missing: manifest.volumes.iter().map(|part| part.number).collect(),
        total: u32::try_from(manifest.volumes.len()).unwrap_or(u32::MAX),
    })?;
    Ok((listings, files))
}

fn missing(manifest: &Manifest, listings: &BTreeMap<u32, Listing>) -> Vec<u32> {
    let all = manifest.volumes.iter().map(|part| part.number);
    all.filter(|number| !listings.contains_key(number)).collect()
}

fn chain(files: &[(String, Bytes)]) -> Files {
    let metadata = files
        .iter()
        .filter_map(|(path, bytes)| Some((metadata_name(path)?, bytes)));
    metadata
        .map(|(name, bytes)| (name.to_string(), bytes.clone()))
        .collect()
}

/// The manifest is signed by whom the verified root names for `snapshot`, and speaks of the metadata that was verified.
fn verified(claimed: UnverifiedManifest, believed: &Believed) -> Result<SignedManifest, BundleError> {
    let root = &believed.document;
    let role = root.roles.get(&chiron_tuf::Role::Snapshot.name());
    let role = role.ok_or_else(|| BundleError::NotTrusted {
        what: "the sender's newest root".to_owned(),
        why: "it names no keys for snapshot".to_owned(),
    })?;
    let signed = claimed.verify(&root.keys, role)?;
    if signed.manifest.tuf != believed.versions {
        return Err(BundleError::NotTrusted {
            what: "the bundle's manifest".to_owned(),
            why: format!(
                "it is about other versions of the TUF metadata ({:?}) than it carries ({:?})",
                signed.manifest.tuf, believed.versions
            ),
        });
    }
    Ok(signed)
}

/// The log that the manifest speaks of is the one whose checkpoint is a TUF target, and it extends the base.
fn log_is_signed(manifest: &Manifest, believed: &Believed) -> Result<(), BundleError> {
    let LogPart {
        size,
        root,
        checkpoint,
        consistency,
        ..
    } = &manifest.log;
    let not_trusted = |why: String| BundleError::NotTrusted {
        what: "the log's checkpoint".to_owned(),
        why,
    };
    if checkpoint.as_bytes() != believed.checkpoint.as_ref() {
        return Err(not_trusted(
            "the manifest has another one than the sender's TUF repository signs".to_owned(),
        ));
    }
    let read = read_checkpoint(checkpoint.as_bytes()).map_err(|error| not_trusted(error.to_string()))?;
    if (read.size, read.root) != (*size, *root) || read.origin != manifest.sender.origin {
        return Err(not_trusted(format!(
            "it is of {:?} with {} entries and the root {}; the manifest speaks of {:?} with {size} and {root}",
            read.origin, read.size, read.root, manifest.sender.origin
        )));
    }
    anchor::begins(manifest)?;
    let (from, from_root) = match &manifest.base {
        Some(base) => (base.size, base.root),
        None => (0, Digest::of(b"")),
    };
    // An interval's entries show it again, all of them; this shows it of a volume alone.
    verify_consistency(consistency, from, from_root, *size, *root).map_err(|error| BundleError::NotTrusted {
        what: "that the log extends the base".to_owned(),
        why: error.to_string(),
    })
}

fn log_of(manifest: &Manifest) -> Seen {
    Seen {
        size: manifest.log.size,
        root: manifest.log.root,
    }
}
