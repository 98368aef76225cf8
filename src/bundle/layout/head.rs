//! What comes before a volume's items, held against itself.

use bytes::Bytes;

use super::documents::{Blob, ImageManifest, Index, image_manifest, index_json};
use crate::bundle::dsse::{SignedManifest, UnverifiedManifest};
use crate::bundle::limits::{MAX_ENVELOPE_BYTES, MAX_LISTING_BYTES, MAX_OCI_DOCUMENT_BYTES};
use crate::bundle::{BundleError, Item, Listing, Manifest, VolumePart};

/// One volume's documents.
pub(super) struct Head {
    pub(super) number: u32,
    /// The image manifest.
    pub(super) image_manifest: Blob,
    pub(super) envelope: Bytes,
    pub(super) listing: Blob,
    pub(super) items: Vec<Item>,
}

/// Where small blobs come from; what is damaged is said by this name.
pub(super) trait Small {
    /// A blob's bytes, verified. `None` when it is not there.
    fn blob(&mut self, what: &str, blob: Blob) -> Result<Option<Bytes>, BundleError>;
}

/// Bytes under their digest.
pub(super) fn check_blob(what: &str, blob: Blob, bytes: &[u8]) -> Result<(), BundleError> {
    let found = Blob::of(bytes);
    if found == blob {
        return Ok(());
    }
    Err(damaged(
        what,
        format!(
            "{} bytes that give {} instead of {} that give {}",
            found.size, found.digest, blob.size, blob.digest
        ),
    ))
}

/// The image index that `index.json` names.
pub(super) fn named_by_index_json(place: &str, bytes: &[u8]) -> Result<Blob, BundleError> {
    let what = format!("index.json of {place}");
    let index = Index::read(&what, bytes)?;
    let [one] = &index.manifests[..] else {
        return Err(damaged(
            &what,
            format!("it names {} manifests instead of one", index.manifests.len()),
        ));
    };
    BundleError::bounded(&what, one.blob().size, MAX_OCI_DOCUMENT_BYTES)?;
    Ok(one.blob())
}

/// The image manifests that an image index names.
pub(super) fn named_by_image_index(place: &str, bytes: &[u8]) -> Result<Vec<Blob>, BundleError> {
    let what = format!("the image index of {place}");
    let index = Index::read(&what, bytes)?;
    index
        .manifests
        .iter()
        .map(|manifest| {
            BundleError::bounded(&what, manifest.blob().size, MAX_OCI_DOCUMENT_BYTES)?;
            Ok(manifest.blob())
        })
        .collect()
}

/// Reads what an image manifest names, and compares all of it. `None` when the volume is not there.
pub(super) fn read(place: &str, manifest: Blob, from: &mut impl Small) -> Result<Option<Head>, BundleError> {
    let what = format!("an image manifest of {place}");
    let Some(bytes) = from.blob(&what, manifest)? else {
        return Ok(None);
    };
    let image = ImageManifest::read(&what, &bytes)?;
    let envelope_at = image.config.blob();
    let what = format!("the manifest of {place}");
    BundleError::bounded(&what, envelope_at.size, MAX_ENVELOPE_BYTES)?;
    let Some(envelope) = from.blob(&what, envelope_at)? else {
        return Ok(None);
    };
    let signed = SignedManifest::parse_unverified(&envelope)?;
    let Some(first) = image.layers.first() else {
        return Err(damaged(&what, "it has no layers"));
    };
    let listing_at = first.blob();
    let what = format!("a listing of {place}");
    BundleError::bounded(&what, listing_at.size, MAX_LISTING_BYTES)?;
    let Some(listing) = from.blob(&what, listing_at)? else {
        return Ok(None);
    };
    let listing = parse_listing(&what, &listing)?;
    let part = part_of(signed.claimed(), &what, listing.number)?;
    if (part.listing, part.listing_size) != (listing_at.digest, listing_at.size) {
        return Err(damaged(
            &what,
            format!("the manifest names another for volume {}", part.number),
        ));
    }
    listing.check(part)?;
    if image_manifest(&envelope_at, part, &listing)? != bytes {
        return Err(damaged(
            &format!("the image manifest of volume {} in {place}", part.number),
            "it does not say what the listing says",
        ));
    }
    Ok(Some(Head {
        number: listing.number,
        image_manifest: manifest,
        envelope,
        listing: listing_at,
        items: listing.items,
    }))
}

/// A listing, in the one spelling that it has.
pub(super) fn parse_listing(what: &str, bytes: &[u8]) -> Result<Listing, BundleError> {
    let listing: Listing = serde_json::from_slice(bytes).map_err(|error| damaged(what, error))?;
    if serde_json::to_vec(&listing).map_err(|error| damaged(what, error))? != bytes {
        return Err(damaged(what, "it is not written as the format says"));
    }
    Ok(listing)
}

fn part_of<'a>(manifest: &'a Manifest, what: &str, number: u32) -> Result<&'a VolumePart, BundleError> {
    let at = usize::try_from(number).unwrap_or(usize::MAX).wrapping_sub(1);
    manifest
        .volumes
        .get(at)
        .ok_or_else(|| damaged(what, format!("the bundle has no volume {number}")))
}

/// Whether `index.json` and the image index are those of these volumes.
pub(super) fn check_indexes(
    place: &str,
    manifest: &UnverifiedManifest,
    volumes: &[Blob],
    image_index: &[u8],
    index: &[u8],
) -> Result<(), BundleError> {
    let id = &manifest.claimed().id;
    if super::documents::image_index(id, volumes)? != image_index {
        return Err(damaged(
            &format!("the image index of {place}"),
            "it does not say what the manifest says",
        ));
    }
    if index_json(&Blob::of(image_index), id)? != index {
        return Err(damaged(
            &format!("index.json of {place}"),
            "it does not say what the manifest says",
        ));
    }
    Ok(())
}

pub(super) fn damaged(what: &str, why: impl std::fmt::Display) -> BundleError {
    BundleError::damaged(what, why)
}
