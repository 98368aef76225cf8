//! Volumes that came before the others: what is small of them (documents, listings, entries, metadata) lies in a folder of
//! the same layout, so that it is opened together with what comes later. Their files are in the store already.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use chiron_storage::Digest;

use super::ImportError;
use crate::bundle::dsse::SignedManifest;
use crate::bundle::layout::{
    Blob, BundleSource, FoundVolume, OCI_LAYOUT, blob_path, image_index, image_manifest, index_json,
};
use crate::bundle::{BundleError, Content, Item, Listing};

/// Bytes of one item that is kept aside. The advisory database is the largest. Threat: the disk.
const MAX_BYTES: u64 = 2 << 30;

/// The folder of one bundle.
#[derive(Debug, Clone)]
pub(super) struct Aside(PathBuf);

impl Aside {
    /// Below the importer's own folder.
    pub fn new(folder: &Path, bundle: &Digest) -> Self {
        Self(folder.join("volumes").join(bundle.to_string()))
    }

    /// Where it is, if anything is kept.
    pub fn place(&self) -> Option<&Path> {
        self.0.join("index.json").exists().then_some(self.0.as_path())
    }

    /// Whether an item is kept here: all that is not in the store afterwards.
    fn keeps(item: &Item) -> bool {
        matches!(
            item.content,
            Content::Tuf { .. }
                | Content::Entries { .. }
                | Content::ProvenEntries { .. }
                | Content::Advisories { .. }
        )
    }

    /// Keeps what is small of these volumes, with what is kept already. Blocks.
    pub fn keep(
        &self,
        source: &BundleSource,
        signed: &SignedManifest,
        listings: &BTreeMap<u32, Listing>,
    ) -> Result<(), ImportError> {
        fs::create_dir_all(self.0.join("blobs/sha256")).map_err(|error| self.failed(&self.0, error))?;
        let envelope = self.put(&signed.envelope)?;
        let mut images = Vec::new();
        for part in &signed.manifest.volumes {
            let listing = listings.get(&part.number);
            images.push(match (listing, source.volume(part.number)) {
                (Some(listing), Some(found)) => {
                    let (bytes, _) = found.listing_unverified()?;
                    self.put(&bytes)?;
                    for item in listing.items.iter().filter(|item| Self::keeps(item)) {
                        self.copy(found, item)?;
                    }
                    self.put(&image_manifest(&envelope, part, listing)?)?
                }
                // Named, and not there: what reads the folder passes it over.
                _ => Blob::of(format!("volume {} has not come", part.number).as_bytes()),
            });
        }
        let index = self.put(&image_index(&signed.manifest.id, &images)?)?;
        self.write(&self.0.join("oci-layout"), OCI_LAYOUT)?;
        // Last: without it there is no bundle here.
        self.write(
            &self.0.join("index.json"),
            &index_json(&index, &signed.manifest.id)?,
        )
    }

    /// Removes all of it. Blocks.
    pub fn remove(&self) -> Result<(), ImportError> {
        match fs::remove_dir_all(&self.0) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(self.failed(&self.0, error)),
            _ => Ok(()),
        }
    }

    fn put(&self, bytes: &Bytes) -> Result<Blob, ImportError> {
        let digest = Digest::of(bytes);
        let path = blob_path(&self.0, &digest);
        if !path.exists() {
            self.write(&path, bytes)?;
        }
        Ok(Blob::of(bytes))
    }

    fn copy(&self, from: &FoundVolume, item: &Item) -> Result<(), ImportError> {
        let path = blob_path(&self.0, &item.digest);
        if path.exists() {
            return Ok(());
        }
        if item.size > MAX_BYTES {
            return Err(BundleError::TooLarge {
                what: format!("the item {}", item.digest),
                found: item.size,
                limit: MAX_BYTES,
                unit: "bytes",
            }
            .into());
        }
        let mut reader = from.open(item)?;
        self.write_with(&path, |file| io::copy(&mut reader, file).map(drop))
            .map_err(|error| match error {
                ImportError::Scratch { path, source } => match source.downcast::<BundleError>() {
                    Ok(ours) => ours.into(),
                    Err(source) => ImportError::Scratch { path, source },
                },
                other => other,
            })
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> Result<(), ImportError> {
        self.write_with(path, |file| file.write_all(bytes))
    }

    /// Whole or not at all, also after a crash.
    fn write_with(
        &self,
        path: &Path,
        fill: impl FnOnce(&mut File) -> io::Result<()>,
    ) -> Result<(), ImportError> {
        let write = || {
            let mut file = tempfile::NamedTempFile::new_in(&self.0)?;
            fill(file.as_file_mut())?;
            file.as_file().sync_all()?;
            file.persist(path).map_err(|failed| failed.error)?;
            match path.parent() {
                Some(folder) => File::open(folder)?.sync_all(),
                None => Ok(()),
            }
        };
        write().map_err(|error| self.failed(path, error))
    }

    #[allow(clippy::unused_self)] // reads like the others
    fn failed(&self, path: &Path, source: io::Error) -> ImportError {
        ImportError::Scratch {
            path: path.to_owned(),
            source,
        }
    }
}
