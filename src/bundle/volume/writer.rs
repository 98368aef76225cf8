//! Volume after volume onto a medium; broken off at any point, the same calls go on from there.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use chiron_storage::Digest;

use super::folder::Folder;
use super::plan::{ENVELOPE_RESERVE, PlannedVolume};
use super::tar::TarVolume;
use crate::bundle::dsse::SignedManifest;
use crate::bundle::layout::{
    Blob, BundleSource, INDEX_JSON, LAYOUT_FILE, OCI_LAYOUT, blob_name, image_index, image_manifest,
    index_json,
};
use crate::bundle::{BundleError, Item, Manifest};

/// A volume that is on the medium.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// The folder, or the tar.
    pub path: PathBuf,
    /// Whether it was there already, and right.
    pub already: bool,
}

/// Writes one bundle. Nothing under the name of a bundle or of a volume is ever unfinished.
#[derive(Debug)]
pub struct Writer {
    envelope: Bytes,
    manifest: Manifest,
    /// The image manifests so far, in order.
    volumes: Vec<Blob>,
    place: Place,
    buffer: Vec<u8>,
}

#[derive(Debug)]
enum Place {
    /// Written in `folder`, which becomes `out`.
    Folder {
        folder: Folder,
        out: PathBuf,
        tuf: Option<Digest>,
    },
    /// The folder is there already, with this envelope.
    Done { out: PathBuf, source: BundleSource },
    /// Volumes beside `out`, which is a name without `.tar`.
    Tars { out: PathBuf },
}

/// What a tar volume is called: `NAME.tar`, or `NAME-0002-of-0003.tar` when there are several.
pub fn tar_path(out: &Path, number: u32, total: usize) -> PathBuf {
    let mut name = out.as_os_str().to_owned();
    if total > 1 {
        name.push(format!("-{number:04}-of-{total:04}"));
    }
    name.push(".tar");
    name.into()
}

impl Writer {
    /// Writes the folder `out`. Until it is finished it lies in `work`/layout, on the same file system.
    ///
    /// Errors: [`BundleError::Write`] of the kind `AlreadyExists` when `out` is there and is not this bundle;
    /// [`BundleError::Damaged`] for an envelope that no reader would take.
    pub fn folder(out: &Path, work: &Path, envelope: Bytes) -> Result<Self, BundleError> {
        let place = if std::fs::symlink_metadata(out).is_ok() {
            let source = same_bundle(out, &envelope)?;
            Place::Done {
                out: out.to_owned(),
                source,
            }
        } else {
            Place::Folder {
                folder: Folder::create(&work.join("layout"))?,
                out: out.to_owned(),
                tuf: None,
            }
        };
        Self::new(envelope, place)
    }

    /// Writes tar volumes beside `out`, a path with or without `.tar` at its end; see [`tar_path`].
    ///
    /// Errors: [`BundleError::Damaged`] for an envelope that no reader would take.
    pub fn tars(out: &Path, envelope: Bytes) -> Result<Self, BundleError> {
        if envelope.len() as u64 > ENVELOPE_RESERVE {
            return Err(BundleError::TooLarge {
                what: "the bundle's manifest".to_owned(),
                found: envelope.len() as u64,
                limit: ENVELOPE_RESERVE,
                unit: "bytes",
            });
        }
        let out = if out.extension().is_some_and(|extension| extension == "tar") {
            out.with_extension("")
        } else {
            out.to_owned()
        };
        Self::new(envelope, Place::Tars { out })
    }

    fn new(envelope: Bytes, place: Place) -> Result<Self, BundleError> {
        let manifest = SignedManifest::parse_unverified(&envelope)?.claimed().clone();
        Ok(Self {
            envelope,
            manifest,
            volumes: Vec::new(),
            place,
            buffer: Vec::new(),
        })
    }

    /// Writes the next volume, or finds it written. `supply` gives the bytes of the items that are not there yet, in the
    /// order of the listing; an error of its own ends the volume.
    ///
    /// Errors: [`BundleError::Write`], also of the kind `AlreadyExists` for something else under the volume's name;
    /// [`BundleError::Damaged`] when `supply` gave other bytes than the item's.
    pub fn volume<R: Read, E: From<BundleError>>(
        &mut self,
        volume: &PlannedVolume,
        mut supply: impl FnMut(&Item) -> Result<R, E>,
    ) -> Result<Written, E> {
        let expected = self.manifest.volumes.get(self.volumes.len());
        if expected != Some(&volume.part) {
            return Err(E::from(BundleError::Damaged {
                what: format!("volume {}", volume.part.number),
                why: "the manifest says something else of it, or it is not its turn".to_owned(),
            }));
        }
        let image = image_manifest(&Blob::of(&self.envelope), &volume.part, &volume.listing)?;
        self.volumes.push(Blob::of(&image));
        let id = self.manifest.id;
        match &mut self.place {
            Place::Done { out, source } => {
                check_written(out, source, volume)?;
                Ok(Written {
                    path: out.clone(),
                    already: true,
                })
            }
            Place::Folder { folder, out, tuf } => {
                for bytes in [&image, &self.envelope, &volume.bytes] {
                    folder.blob(bytes)?;
                }
                for item in &volume.listing.items {
                    // The same in every volume, and looked at once.
                    let first = volume.listing.items.first().map(|item| item.digest);
                    if *tuf == Some(item.digest) {
                        continue;
                    }
                    let blob = Blob {
                        digest: item.digest,
                        size: item.size,
                    };
                    if !folder.has(blob) {
                        folder.item(item, supply(item)?, &mut self.buffer)?;
                    }
                    *tuf = tuf.or(first);
                }
                Ok(Written {
                    path: out.clone(),
                    already: false,
                })
            }
            Place::Tars { out } => {
                let path = tar_path(out, volume.part.number, self.manifest.volumes.len());
                if std::fs::symlink_metadata(&path).is_ok() {
                    let source = same_bundle(&path, &self.envelope)?;
                    check_written(&path, &source, volume)?;
                    return Ok(Written { path, already: true });
                }
                let index = image_index(&id, &[Blob::of(&image)])?;
                let mut tar = TarVolume::create(&path)?;
                tar.member(LAYOUT_FILE, OCI_LAYOUT)?;
                tar.member(INDEX_JSON, &index_json(&Blob::of(&index), &id)?)?;
                for bytes in [&index, &image, &self.envelope, &volume.bytes] {
                    tar.member(&blob_name(&Digest::of(bytes)), bytes)?;
                }
                for item in &volume.listing.items {
                    tar.item(item, supply(item)?, &mut self.buffer)?;
                }
                tar.finish()?;
                Ok(Written { path, already: false })
            }
        }
    }

    /// Ends the bundle, once every volume was written.
    ///
    /// Errors: [`BundleError::MissingVolumes`], [`BundleError::Write`].
    pub fn finish(self) -> Result<(), BundleError> {
        let total = self.manifest.volumes.len();
        if self.volumes.len() != total {
            let missing = self.manifest.volumes.iter().skip(self.volumes.len());
            return Err(BundleError::MissingVolumes {
                missing: missing.map(|part| part.number).collect(),
                total: u32::try_from(total).unwrap_or(u32::MAX),
            });
        }
        match self.place {
            Place::Done { .. } | Place::Tars { .. } => Ok(()),
            Place::Folder { mut folder, out, .. } => {
                let index = image_index(&self.manifest.id, &self.volumes)?;
                let named = folder.blob(&index)?;
                folder.finish(&index_json(&named, &self.manifest.id)?, &out)
            }
        }
    }
}

/// What is there already must be this very bundle: nothing of somebody else's is written over.
fn same_bundle(path: &Path, envelope: &Bytes) -> Result<BundleSource, BundleError> {
    let taken = |why: String| BundleError::Write {
        path: path.to_owned(),
        source: io::Error::new(io::ErrorKind::AlreadyExists, why),
    };
    let source = BundleSource::open(&[path.to_owned()])
        .map_err(|error| taken(format!("something is there that is not this bundle ({error})")))?;
    if source.envelope() != envelope {
        return Err(taken("another bundle is there".to_owned()));
    }
    Ok(source)
}

fn check_written(path: &Path, source: &BundleSource, volume: &PlannedVolume) -> Result<(), BundleError> {
    let Some(found) = source.volume(volume.part.number) else {
        return Err(BundleError::Write {
            path: path.to_owned(),
            source: io::Error::new(
                io::ErrorKind::AlreadyExists,
                format!("it is there, and not volume {}", volume.part.number),
            ),
        });
    };
    found.listing(&volume.part)?;
    volume
        .listing
        .items
        .iter()
        .try_for_each(|item| found.open(item)?.verify(|_| {}))
}
