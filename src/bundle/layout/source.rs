//! All places of one bundle together.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::file::LAYOUT_FILE;
use super::head::Head;
use super::volume::{FoundVolume, Kind, LastOpen};
use super::{file, folder, tar};
use crate::bundle::BundleError;
use crate::bundle::dsse::SignedManifest;

/// A bundle as it lies there, perhaps not all of it.
#[derive(Debug)]
pub struct BundleSource {
    envelope: Bytes,
    /// By number.
    volumes: Vec<FoundVolume>,
}

impl BundleSource {
    /// Finds the volumes of one bundle: in folders that are OCI layouts, in tars, in folders that hold tars; in any mix
    /// and order. A volume that is there twice counts once. What ends in `.partial` is never read.
    ///
    /// Errors: [`BundleError::NotABundle`] for a place that is none, and for volumes of several bundles;
    /// [`BundleError::Damaged`], [`BundleError::TooLarge`], [`BundleError::Read`].
    pub fn open(places: &[PathBuf]) -> Result<Self, BundleError> {
        let mut gathering = Gathering::default();
        for place in places {
            gathering.take(place)?;
        }
        gathering.finish(places)
    }

    /// The signed manifest's envelope, the same in all volumes. Read it with [`SignedManifest::parse_unverified`].
    pub fn envelope(&self) -> &Bytes {
        &self.envelope
    }

    /// The volumes at hand, by number, each once.
    pub fn volumes(&self) -> &[FoundVolume] {
        &self.volumes
    }

    /// One of them.
    pub fn volume(&self, number: u32) -> Option<&FoundVolume> {
        let at = self.volumes.binary_search_by_key(&number, FoundVolume::number);
        at.ok().and_then(|at| self.volumes.get(at))
    }
}

#[derive(Default)]
struct Gathering {
    envelope: Option<(Bytes, PathBuf)>,
    volumes: BTreeMap<u32, FoundVolume>,
    last_open: LastOpen,
}

impl Gathering {
    fn take(&mut self, place: &Path) -> Result<(), BundleError> {
        if has_extension(place, "partial") {
            return Err(BundleError::NotABundle {
                path: place.to_owned(),
                why: "it was not written to the end".to_owned(),
            });
        }
        let about = std::fs::metadata(place).map_err(|source| BundleError::Read {
            path: place.to_owned(),
            source,
        })?;
        if !about.is_dir() {
            return self.take_tar(place);
        }
        if std::fs::symlink_metadata(place.join(LAYOUT_FILE)).is_ok() {
            for head in folder::open(place)? {
                self.add(place, head, Kind::Folder)?;
            }
            return Ok(());
        }
        let tars = tars_in(place)?;
        if tars.is_empty() {
            return Err(BundleError::NotABundle {
                path: place.to_owned(),
                why: format!("neither {LAYOUT_FILE} nor a tar is in it"),
            });
        }
        tars.iter().try_for_each(|tar| self.take_tar(tar))
    }

    fn take_tar(&mut self, path: &Path) -> Result<(), BundleError> {
        let (file, length) = file::open(path, true)?;
        let found = tar::open(path, &file, length)?;
        let kind = Kind::Tar {
            listing_at: found.listing_at,
            items: found.items,
        };
        self.add(path, found.head, kind)
    }

    fn add(&mut self, place: &Path, head: Head, kind: Kind) -> Result<(), BundleError> {
        match &self.envelope {
            None => self.envelope = Some((head.envelope, place.to_owned())),
            Some((first, _)) if *first == head.envelope => {}
            Some((first, first_place)) => {
                return Err(BundleError::NotABundle {
                    path: place.to_owned(),
                    why: format!(
                        "it belongs to the bundle {}, and {} to the bundle {}; name one bundle's",
                        claimed_id(&head.envelope),
                        first_place.display(),
                        claimed_id(first),
                    ),
                });
            }
        }
        // The same number under the same envelope is the same volume: listing and image manifest follow from it.
        self.volumes.entry(head.number).or_insert(FoundVolume {
            number: head.number,
            place: place.to_owned(),
            listing: head.listing,
            image_manifest: head.image_manifest,
            kind,
            last_open: self.last_open.clone(),
        });
        Ok(())
    }

    fn finish(self, places: &[PathBuf]) -> Result<BundleSource, BundleError> {
        let Some((envelope, _)) = self.envelope else {
            return Err(BundleError::NotABundle {
                path: places.first().cloned().unwrap_or_default(),
                why: "no place was named".to_owned(),
            });
        };
        Ok(BundleSource {
            envelope,
            volumes: self.volumes.into_values().collect(),
        })
    }
}

fn claimed_id(envelope: &[u8]) -> String {
    SignedManifest::parse_unverified(envelope)
        .map(|signed| format!("{} ({:.12})", signed.claimed().id, signed.digest()))
        .unwrap_or_default()
}

fn has_extension(path: &Path, wanted: &str) -> bool {
    path.extension()
        .is_some_and(|found| found.eq_ignore_ascii_case(OsStr::new(wanted)))
}

/// The tars of a folder, by name; not those of folders inside it.
fn tars_in(folder: &Path) -> Result<Vec<PathBuf>, BundleError> {
    let failed = |source| BundleError::Read {
        path: folder.to_owned(),
        source,
    };
    let mut tars = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        // Some systems leave a `._NAME.tar` of their own beside each file that they copy to a medium.
        let hidden = path
            .file_name()
            .is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if !hidden && has_extension(&path, "tar") {
            tars.push(path);
        }
    }
    tars.sort();
    Ok(tars)
}
