//! Items cut into volumes, and volumes written.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use chiron_storage::BlobStore;

use super::ExportError;
use super::run::{Step, Watch};
use super::work::Work;
use crate::api::ExportVolume;
use crate::bundle::dsse::SignedManifest;
use crate::bundle::layout::BundleSource;
use crate::bundle::volume::{PlannedVolume, Planner, Shape, Writer, tar_path};
use crate::bundle::{BundleError, Content, Item, Listing, Manifest, Totals, VolumePart};

/// Volumes as they fill: their listings go to disk, so that memory does not grow with the items.
#[derive(Debug)]
pub(super) struct Cutting {
    planner: Planner,
    work: Arc<Work>,
    parts: Vec<VolumePart>,
}

impl Cutting {
    pub fn new(shape: Shape, tuf: Item, work: &Arc<Work>) -> Result<Self, ExportError> {
        Ok(Self {
            planner: Planner::new(shape, tuf)?,
            work: Arc::clone(work),
            parts: Vec::new(),
        })
    }

    /// Takes the next item. Blocks when it fills a volume.
    pub fn push(&mut self, item: Item) -> Result<(), ExportError> {
        match self.planner.push(item)? {
            Some(full) => self.keep(full),
            None => Ok(()),
        }
    }

    fn keep(&mut self, volume: PlannedVolume) -> Result<(), ExportError> {
        self.work.put_layer(&volume.bytes)?;
        self.parts.push(volume.part);
        Ok(())
    }

    /// The volumes, and what is in them. Blocks.
    pub fn finish(mut self) -> Result<(Vec<VolumePart>, Totals), ExportError> {
        let totals = self.planner.totals();
        let last = self.planner.finish()?;
        self.work.put_layer(&last.bytes)?;
        self.parts.push(last.part);
        Ok((self.parts, totals))
    }
}

/// The envelope of this very manifest, if a bundle with it is there already: signatures of some keys differ each time they
/// are made. Blocks.
pub(super) fn envelope_there((shape, place): (Shape, PathBuf), manifest: &Manifest) -> Option<Bytes> {
    let place = match shape {
        Shape::Folder => place,
        Shape::Tar { .. } => tar_path(&place, 1, manifest.volumes.len()),
    };
    if !place.exists() {
        return None;
    }
    let source = BundleSource::open(&[place]).ok()?;
    let there = SignedManifest::parse_unverified(source.envelope()).ok()?;
    (there.claimed() == manifest).then(|| source.envelope().clone())
}

/// Where volumes come from and go to.
pub(super) struct Writing {
    pub work: Arc<Work>,
    pub blobs: BlobStore,
    pub shape: Shape,
    pub place: PathBuf,
    pub envelope: Bytes,
    pub parts: Vec<VolumePart>,
    pub watch: Watch,
}

impl Writing {
    /// Writes all volumes, or finds them written. Blocks.
    pub fn run(self) -> Result<Vec<ExportVolume>, ExportError> {
        let written = self.volumes();
        written.map_err(|error| match error {
            ExportError::Bundle(BundleError::Write { path, source })
                if source.kind() == std::io::ErrorKind::AlreadyExists =>
            {
                ExportError::InTheWay {
                    path,
                    why: source.to_string(),
                }
            }
            other => other,
        })
    }

    fn volumes(&self) -> Result<Vec<ExportVolume>, ExportError> {
        let envelope = self.envelope.clone();
        let mut writer = match self.shape {
            Shape::Folder => Writer::folder(&self.place, &self.work.path(""), envelope)?,
            Shape::Tar { .. } => {
                self.no_other_volumes()?;
                Writer::tars(&self.place, envelope)?
            }
        };
        let mut volumes = Vec::with_capacity(self.parts.len());
        for part in &self.parts {
            let volume = self.planned(part)?;
            let mut given = (0, 0);
            let written = writer.volume(&volume, |item| {
                let told = told(item);
                given = (given.0 + told.0, given.1 + told.1);
                self.watch.step(Step::Wrote(told.0, told.1))?;
                self.open(item)
            })?;
            // What was written before is done as well.
            let all = volume.listing.items.iter().map(told);
            let all = all.fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
            self.watch.step(Step::Wrote(all.0 - given.0, all.1 - given.1))?;
            volumes.push(ExportVolume {
                number: part.number,
                path: written.path.display().to_string(),
                items: part.items,
                bytes: part.bytes,
            });
        }
        writer.finish()?;
        Ok(volumes)
    }

    /// Volumes of another bundle of the same name, of which there were more or fewer, would be taken for ones of this.
    fn no_other_volumes(&self) -> Result<(), ExportError> {
        let total = self.parts.len();
        let ours: BTreeSet<PathBuf> = (self.parts.iter())
            .map(|part| tar_path(&self.place, part.number, total))
            .collect();
        let (Some(folder), Some(name)) = (self.place.parent(), self.place.file_name()) else {
            return Ok(());
        };
        let name = name.to_string_lossy();
        for entry in std::fs::read_dir(folder).map_err(ExportError::file(folder))? {
            let path = entry.map_err(ExportError::file(folder))?.path();
            let found = path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            let rest = found
                .strip_prefix(&*name)
                .and_then(|rest| rest.strip_suffix(".tar"));
            if rest.is_some_and(is_volume) && !ours.contains(&path) {
                return Err(ExportError::InTheWay {
                    path,
                    why: format!("it looks like a volume of this bundle, which has {total}"),
                });
            }
        }
        Ok(())
    }

    fn planned(&self, part: &VolumePart) -> Result<PlannedVolume, ExportError> {
        let path = self.work.layer(&part.listing);
        let bytes = std::fs::read(&path).map_err(ExportError::file(&path))?;
        let listing: Listing =
            serde_json::from_slice(&bytes).map_err(|error| ExportError::file(&path)(error.into()))?;
        Ok(PlannedVolume {
            listing,
            bytes: bytes.into(),
            part: part.clone(),
        })
    }

    fn open(&self, item: &Item) -> Result<File, ExportError> {
        let path = match &item.content {
            Content::File { .. } => return Ok(self.blobs.open_unverified(&item.digest)?),
            Content::WheelDelta { sha256, base, .. } => self.work.delta(sha256, base),
            Content::Advisories { .. } => self.work.path("advisories"),
            _ => self.work.layer(&item.digest),
        };
        File::open(&path).map_err(ExportError::file(&path))
    }
}

/// Whether what stands between a bundle's name and `.tar` is that of a volume: nothing, or `-0001-of-0003`.
fn is_volume(rest: &str) -> bool {
    let digits = |text: &str| text.len() >= 4 && text.bytes().all(|c| c.is_ascii_digit());
    let numbered = rest.strip_prefix('-').and_then(|rest| rest.split_once("-of-"));
    rest.is_empty() || numbered.is_some_and(|(number, total)| digits(number) && digits(total))
}

/// Files and bytes that an item counts for, as they were planned.
fn told(item: &Item) -> (u64, u64) {
    match item.content {
        Content::File { .. } => (1, item.size),
        Content::WheelDelta { file_size, .. } => (1, file_size),
        _ => (0, 0),
    }
}
