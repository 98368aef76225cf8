//! A bundle into a registry: volume after volume, the index over all of them last.

use std::collections::HashSet;
use std::io::Read;
use std::sync::Arc;

use bytes::Bytes;
use chiron_storage::Digest;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde::Serialize;

use super::auth::Scope;
use super::upload::Content;
use super::{OciError, Registry, Tally, Wanted};
use crate::blocking;
use crate::bundle::dsse::SignedManifest;
use crate::bundle::layout::{Blob, BundleSource, IMAGE_INDEX, IMAGE_MANIFEST, image_index, image_manifest};
use crate::bundle::limits::MAX_LISTING_BYTES;
use crate::bundle::{BundleError, Item, Listing, SnapshotId, VolumePart};

/// What a push left in the registry.
#[derive(Debug, Clone, Serialize)]
pub struct Pushed {
    /// Where.
    pub reference: String,
    /// The state that a site has after importing it, as the manifest claims.
    pub id: SnapshotId,
    /// The image index's digest: names this very bundle, for ever.
    pub digest: Digest,
    /// Volumes of the bundle.
    pub volumes: u32,
    /// Of them, those that the registry had.
    pub volumes_there: u32,
}

/// One push.
struct Push<'a> {
    registry: &'a Registry,
    source: &'a Arc<BundleSource>,
    tally: &'a Tally,
    dry_run: bool,
    /// Blobs that this push has seen to already: the TUF pack is in every volume.
    seen: HashSet<Digest>,
}

/// A blob to be pushed.
struct Part {
    blob: Blob,
    content: Content,
}

/// Pushes the volumes at hand, and, once the registry has all of them, the index under the place's tag, which is the
/// snapshot's name unless one was named. Nothing is believed of the bundle but that it agrees with itself: who pulls it
/// verifies it.
///
/// Errors: [`BundleError::MissingVolumes`] after everything at hand was pushed, and nothing was tagged.
pub async fn push_bundle(
    registry: &Registry,
    source: &Arc<BundleSource>,
    dry_run: bool,
    tally: &Tally,
) -> Result<Pushed, OciError> {
    let signed = SignedManifest::parse_unverified(source.envelope())?;
    let claimed = signed.claimed();
    let mut push = Push {
        registry,
        source,
        tally,
        dry_run,
        seen: HashSet::new(),
    };
    let (mut manifests, mut missing, mut volumes_there) = (Vec::new(), Vec::new(), 0);
    for part in &claimed.volumes {
        match push.volume(part).await? {
            Some((manifest, was_there)) => {
                manifests.push(manifest);
                volumes_there += u32::from(was_there);
            }
            None => missing.push(part.number),
        }
    }
    let total = u32::try_from(claimed.volumes.len()).unwrap_or(u32::MAX);
    if !missing.is_empty() {
        return Err(BundleError::MissingVolumes { missing, total }.into());
    }
    let index = image_index(&claimed.id, &manifests)?;
    let tag = match registry.place().tag() {
        Some(tag) => tag.to_owned(),
        None => claimed.id.to_string(),
    };
    if !dry_run {
        registry.tag(&tag, IMAGE_INDEX, &index).await?;
    }
    Ok(Pushed {
        reference: registry.place().with_tag(&tag).to_string(),
        id: claimed.id,
        digest: Digest::of(&index),
        volumes: total,
        volumes_there,
    })
}

impl Push<'_> {
    /// Sees to one volume: its image manifest, and whether the registry had it. `None`: it is neither here nor there.
    async fn volume(&mut self, part: &VolumePart) -> Result<Option<(Blob, bool)>, OciError> {
        let at_hand = self.source.volume(part.number).is_some();
        let listing = if at_hand {
            let (source, part) = (Arc::clone(self.source), part.clone());
            Some(blocking::run(move || listing_at_hand(&source, &part)).await??)
        } else {
            self.listing_there(part).await?
        };
        let Some((bytes, listing)) = listing else {
            return Ok(None);
        };
        let manifest = image_manifest(&Blob::of(self.source.envelope()), part, &listing)?;
        let blob = Blob::of(&manifest);
        let wanted = Wanted::Digest(blob.digest);
        let scope = if self.dry_run { Scope::Pull } else { Scope::Push };
        self.tally.expect(part.bytes + part.listing_size);
        if self.registry.find_manifest(&wanted, scope).await?.is_some() {
            // A registry stores no manifest whose blobs it lacks.
            self.tally
                .skip(u64::from(part.items) + 1, part.bytes + part.listing_size);
            return Ok(Some((blob, true)));
        }
        if !at_hand {
            return Ok(None);
        }
        let mut parts = vec![in_memory(self.source.envelope().clone()), in_memory(bytes)];
        parts.extend(listing.items.iter().map(|item| self.item(part.number, item)));
        parts.retain(|part| self.seen.insert(part.blob.digest));
        stream::iter(parts)
            .map(|part| self.blob(part))
            .buffer_unordered(self.registry.limits.jobs.max(1))
            .try_for_each(|()| async { Ok(()) })
            .await?;
        if !self.dry_run {
            self.registry
                .put_manifest(&wanted, IMAGE_MANIFEST, &manifest)
                .await?;
        }
        Ok(Some((blob, false)))
    }

    async fn blob(&self, part: Part) -> Result<(), OciError> {
        let Blob { digest, size } = part.blob;
        if !self.dry_run {
            self.registry
                .push_blob(&digest, size, &part.content, self.tally)
                .await?;
        } else if self.registry.has_blob(&digest, size, Scope::Pull).await? {
            self.tally.skip(1, size);
        } else {
            self.tally.bytes(size);
            self.tally.blob();
        }
        Ok(())
    }

    /// The listing of a volume that was pushed before, from the registry.
    async fn listing_there(&self, part: &VolumePart) -> Result<Option<(Bytes, Listing)>, OciError> {
        let scope = if self.dry_run { Scope::Pull } else { Scope::Push };
        match self
            .registry
            .small_blob(&part.listing, MAX_LISTING_BYTES, scope)
            .await
        {
            Ok(bytes) => {
                let listing = read_listing(&bytes, part)?;
                Ok(Some((bytes, listing)))
            }
            Err(OciError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn item(&self, volume: u32, item: &Item) -> Part {
        let (source, item) = (Arc::clone(self.source), item.clone());
        Part {
            blob: Blob {
                digest: item.digest,
                size: item.size,
            },
            content: Content::Opened(Arc::new(move || {
                let volume = source.volume(volume).ok_or(OciError::Stopped)?;
                Ok(Box::new(volume.open(&item)?) as Box<dyn Read>)
            })),
        }
    }
}

fn in_memory(bytes: Bytes) -> Part {
    Part {
        blob: Blob::of(&bytes),
        content: Content::Bytes(bytes),
    }
}

/// Reads a volume's listing, and holds it against the manifest.
fn listing_at_hand(source: &BundleSource, part: &VolumePart) -> Result<(Bytes, Listing), OciError> {
    let volume = source.volume(part.number).ok_or(OciError::Stopped)?;
    // The manifest says what the listing must be; the bytes are what the registry is to have.
    let listing = volume.listing(part)?;
    let (bytes, _) = volume.listing_unverified()?;
    Ok((bytes, listing))
}

/// Reads a listing whose digest is right.
pub(super) fn read_listing(bytes: &[u8], part: &VolumePart) -> Result<Listing, BundleError> {
    let listing: Listing = serde_json::from_slice(bytes).map_err(|error| BundleError::Damaged {
        what: format!("the listing of volume {}", part.number),
        why: error.to_string(),
    })?;
    listing.check(part)?;
    Ok(listing)
}
