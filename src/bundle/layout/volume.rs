//! One volume at hand.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

use super::documents::Blob;
use super::file::{self, Section, blob_name, blob_path, read_exact_at};
use super::head::{self, damaged};
use super::item::{ItemReader, RawItem};
use super::tar::{self, Place};
use crate::bundle::limits::MAX_LISTING_BYTES;
use crate::bundle::ustar::{self, BLOCK, BLOCK_LEN};
use crate::bundle::{BundleError, Item, Listing, VolumePart};

/// The tar that was last read from, open: items lie behind each other, and a bundle may have more volumes than a process
/// may have open files.
pub(super) type LastOpen = Arc<Mutex<Option<(PathBuf, Arc<File>)>>>;

/// A volume whose documents agree with each other. Its items are read when they are asked for.
#[derive(Debug)]
pub struct FoundVolume {
    pub(super) number: u32,
    pub(super) place: PathBuf,
    pub(super) listing: Blob,
    pub(super) image_manifest: Blob,
    pub(super) kind: Kind,
    pub(super) last_open: LastOpen,
}

#[derive(Debug)]
pub(super) enum Kind {
    Folder,
    Tar { listing_at: u64, items: Box<[Place]> },
}

impl FoundVolume {
    /// From 1.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// The folder, or the tar.
    pub fn place(&self) -> &Path {
        &self.place
    }

    /// Its image manifest.
    pub fn image_manifest(&self) -> Blob {
        self.image_manifest
    }

    /// What it holds, as the signed manifest says that it must.
    ///
    /// Errors: [`BundleError::Damaged`] when the bytes are not those that `expect` names; [`BundleError::Read`].
    pub fn listing(&self, expect: &VolumePart) -> Result<Listing, BundleError> {
        let (bytes, listing) = self.listing_unverified()?;
        let expected = Blob {
            digest: expect.listing,
            size: expect.listing_size,
        };
        head::check_blob(&self.what_listing(), expected, &bytes)?;
        listing.check(expect)?;
        Ok(listing)
    }

    /// What it says it holds, with the listing's bytes: to look at, never to act on.
    ///
    /// Errors: [`BundleError::Damaged`], [`BundleError::Read`].
    pub fn listing_unverified(&self) -> Result<(Bytes, Listing), BundleError> {
        let section = match &self.kind {
            Kind::Folder => self.blob_file(self.listing)?,
            Kind::Tar { listing_at, .. } => Section {
                file: self.tar()?,
                offset: *listing_at,
                size: self.listing.size,
            },
        };
        let raw = RawItem::new(section, self.place.clone(), self.listing);
        let bytes = ItemReader::new(raw).read_all(MAX_LISTING_BYTES)?;
        let listing = head::parse_listing(&self.what_listing(), &bytes)?;
        Ok((bytes, listing))
    }

    fn what_listing(&self) -> String {
        format!(
            "the listing of volume {} in {}",
            self.number,
            self.place.display()
        )
    }

    /// An item's bytes, hashed as they pass.
    ///
    /// Errors: [`BundleError::Damaged`] when it is not there or has another size; [`BundleError::Read`].
    pub fn open(&self, item: &Item) -> Result<ItemReader, BundleError> {
        self.open_unhashed(item).map(ItemReader::new)
    }

    /// An item's bytes for a caller that hashes them anyway, and compares the digest with [`RawItem::expected`].
    ///
    /// Errors: as [`Self::open`].
    pub fn open_unhashed(&self, item: &Item) -> Result<RawItem, BundleError> {
        let blob = Blob {
            digest: item.digest,
            size: item.size,
        };
        let section = match &self.kind {
            Kind::Folder => self.blob_file(blob)?,
            Kind::Tar { items, .. } => self.member(items, item)?,
        };
        Ok(RawItem::new(section, self.place.clone(), blob))
    }

    fn blob_file(&self, blob: Blob) -> Result<Section, BundleError> {
        let what = || format!("{} in {}", blob.digest, self.place.display());
        let (file, size) = match file::open(&blob_path(&self.place, &blob.digest), false) {
            Err(BundleError::Read { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
                return Err(damaged(&what(), "it is not there"));
            }
            other => other?,
        };
        if size != blob.size {
            return Err(damaged(
                &what(),
                format!("it has {size} bytes instead of {}", blob.size),
            ));
        }
        Ok(Section {
            file: Arc::new(file),
            offset: 0,
            size,
        })
    }

    fn member(&self, places: &[Place], item: &Item) -> Result<Section, BundleError> {
        let key = tar::key(item);
        let what = || format!("{} in {}", item.digest, self.place.display());
        let header =
            ustar::header(&blob_name(&item.digest), item.size).map_err(|error| damaged(&what(), error))?;
        let file = self.tar()?;
        let first = places.partition_point(|(other, _)| *other < key);
        let alike = places[first..].iter().take_while(|(other, _)| *other == key);
        for (_, begins) in alike {
            let mut found = [0; BLOCK_LEN];
            read_exact_at(&file, &mut found, begins - BLOCK).map_err(|source| BundleError::Read {
                path: self.place.clone(),
                source,
            })?;
            if found == header {
                return Ok(Section {
                    file,
                    offset: *begins,
                    size: item.size,
                });
            }
        }
        Err(damaged(
            &what(),
            format!("there is no such item of {} bytes", item.size),
        ))
    }

    fn tar(&self) -> Result<Arc<File>, BundleError> {
        let mut last = self.last_open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((path, file)) = &*last
            && *path == self.place
        {
            return Ok(file.clone());
        }
        let (file, _) = file::open(&self.place, true)?;
        let file = Arc::new(file);
        *last = Some((self.place.clone(), file.clone()));
        Ok(file)
    }
}
