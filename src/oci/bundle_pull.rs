//! A bundle out of a registry, into a folder that is an OCI image layout.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use chiron_storage::Digest;
use chiron_storage::digest::prefixed;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde::{Deserialize, Serialize};

use super::auth::Scope;
use super::bundle_push::read_listing;
use super::download::Fetch;
use super::folder::{There, Work, file};
use super::{OciError, Registry, Resolved, Tally, Wanted};
use crate::blocking;
use crate::bundle::dsse::SignedManifest;
use crate::bundle::layout::{
    Blob, BundleSource, INDEX_JSON, LAYOUT_FILE, OCI_LAYOUT, image_index, image_manifest, index_json,
};
use crate::bundle::limits::{MAX_ENVELOPE_BYTES, MAX_LISTING_BYTES, MAX_VOLUMES};
use crate::bundle::{BundleError, Listing, Manifest, SnapshotId, VolumePart};

/// What a pull left in a folder.
#[derive(Debug, Clone, Serialize)]
pub struct Pulled {
    /// Where it came from.
    pub reference: String,
    /// The folder.
    pub out: PathBuf,
    /// The state that a site has after importing it, as the manifest claims.
    pub id: SnapshotId,
    /// The image index's digest.
    pub digest: Digest,
    /// Volumes of the bundle.
    pub volumes: u32,
    /// Bytes of all layers.
    pub bytes: u64,
    /// It was there before.
    pub already: bool,
}

/// As far as it is read before the manifest says what it must be.
#[derive(Deserialize)]
struct Documents {
    manifests: Vec<Described>,
}

#[derive(Deserialize)]
struct Image {
    config: Described,
}

#[derive(Deserialize)]
struct Described {
    #[serde(with = "prefixed")]
    digest: Digest,
}

/// Pulls the bundle that `resolved` is the index of into `out`, or into a folder of the snapshot's name in this one.
/// Everything is held against the bundle's own manifest while it comes; who signed that is asked by `airgap verify`.
///
/// What was pulled before, by a run that broke off, is gone on with. `out` appears when it is whole.
pub async fn pull_bundle(
    registry: &Registry,
    resolved: &Resolved,
    out: Option<&Path>,
    dry_run: bool,
    tally: &Tally,
) -> Result<Pulled, OciError> {
    let envelope = envelope(registry, resolved).await?;
    let signed = SignedManifest::parse_unverified(&envelope)?;
    let manifest = signed.claimed();
    let out = match out {
        Some(out) => out.to_owned(),
        None => PathBuf::from(manifest.id.to_string()),
    };
    let work = Work::beside(&out)?;
    let index = Blob::of(&resolved.bytes);
    let index_json = index_json(&index, &manifest.id)?;
    let already = match work.look(INDEX_JSON, &index_json)? {
        There::Nothing => false,
        There::Same => true,
    };
    let pulled = Pulled {
        reference: registry.place().to_string(),
        out,
        id: manifest.id,
        digest: index.digest,
        volumes: u32::try_from(manifest.volumes.len()).unwrap_or(u32::MAX),
        bytes: manifest.contents.bytes,
        already,
    };
    tally.expect(manifest.volumes.iter().map(|volume| volume.bytes).sum());
    if already {
        let (out, manifest) = (pulled.out.clone(), manifest.clone());
        blocking::run(move || is_whole(&out, &manifest)).await??;
    }
    if already || dry_run {
        return Ok(pulled);
    }
    let making = work.clone();
    blocking::run(move || making.make("blobs/sha256")).await??;
    documents(registry, resolved, envelope, manifest, &work).await?;
    for part in &manifest.volumes {
        items(registry, part, &work, tally).await?;
    }
    blocking::run(move || work.finish(&[(LAYOUT_FILE, OCI_LAYOUT), (INDEX_JSON, &index_json)])).await??;
    Ok(pulled)
}

/// Whether everything lies there in its size. Every byte is what `airgap verify` reads.
fn is_whole(out: &Path, manifest: &Manifest) -> Result<(), OciError> {
    let source = BundleSource::open(&[out.to_owned()])?;
    for part in &manifest.volumes {
        let volume = source
            .volume(part.number)
            .ok_or_else(|| BundleError::MissingVolumes {
                missing: vec![part.number],
                total: u32::try_from(manifest.volumes.len()).unwrap_or(u32::MAX),
            })?;
        for item in volume.listing(part)?.items {
            volume.open_unhashed(&item)?;
        }
    }
    Ok(())
}

/// The signed manifest, found through the first volume.
async fn envelope(registry: &Registry, resolved: &Resolved) -> Result<Bytes, OciError> {
    let not_ours = |why: String| OciError::NotOurs {
        place: registry.place().to_string(),
        why,
    };
    let index: Documents =
        serde_json::from_slice(&resolved.bytes).map_err(|error| not_ours(error.to_string()))?;
    if index.manifests.len() > MAX_VOLUMES {
        return Err(not_ours(format!("it has more than {MAX_VOLUMES} volumes")));
    }
    let first = index
        .manifests
        .first()
        .ok_or_else(|| not_ours("it has no volume".to_owned()))?;
    let (image, _) = registry
        .manifest(&Wanted::Digest(first.digest), Scope::Pull)
        .await?;
    let image: Image = serde_json::from_slice(&image).map_err(|error| not_ours(error.to_string()))?;
    registry
        .small_blob(&image.config.digest, MAX_ENVELOPE_BYTES, Scope::Pull)
        .await
}

/// Brings the listings, makes the OCI documents from them, and compares these with the index that the registry gave.
async fn documents(
    registry: &Registry,
    resolved: &Resolved,
    envelope: Bytes,
    manifest: &Manifest,
    work: &Work,
) -> Result<(), OciError> {
    let envelope_blob = Blob::of(&envelope);
    put(work, envelope).await?;
    let mut volumes = Vec::with_capacity(manifest.volumes.len());
    for part in &manifest.volumes {
        let bytes = registry
            .small_blob(&part.listing, MAX_LISTING_BYTES, Scope::Pull)
            .await?;
        let listing = read_listing(&bytes, part)?;
        let image = image_manifest(&envelope_blob, part, &listing)?;
        volumes.push(Blob::of(&image));
        put(work, bytes).await?;
        put(work, image).await?;
    }
    let expected = image_index(&manifest.id, &volumes)?;
    if expected != resolved.bytes {
        return Err(OciError::Lied {
            what: format!("the index {}", resolved.digest),
            why: "it is not the one that follows from the bundle's manifest and listings".to_owned(),
        });
    }
    put(work, expected).await
}

async fn put(work: &Work, bytes: Bytes) -> Result<(), OciError> {
    let work = work.clone();
    blocking::run(move || work.put(&bytes)).await?
}

/// Brings the items of one volume.
async fn items(registry: &Registry, part: &VolumePart, work: &Work, tally: &Tally) -> Result<(), OciError> {
    let (reading, expected) = (work.clone(), part.clone());
    let listing = blocking::run(move || listing_of(&reading, &expected)).await??;
    let mut seen = HashSet::new();
    let fetches: Vec<Fetch> = listing
        .items
        .iter()
        .filter(|item| seen.insert(item.digest))
        .map(|item| Fetch {
            digest: item.digest,
            size: item.size,
            partial: work.partial(&item.digest),
            path: work.blob(&item.digest),
        })
        .collect();
    stream::iter(&fetches)
        .map(|fetch| registry.pull_blob(fetch, tally))
        .buffer_unordered(registry.limits.jobs.max(1))
        .try_for_each(|_| async { Ok(()) })
        .await
}

/// Reads a listing again that was verified a moment ago: all of them at once could be gigabytes.
fn listing_of(work: &Work, part: &VolumePart) -> Result<Listing, OciError> {
    let path = work.blob(&part.listing);
    let bytes = std::fs::read(&path).map_err(|source| file("read", &path, source))?;
    Ok(read_listing(&bytes, part)?)
}
