//! A release out of a registry: the files, and the documents beside them under the names that Chiron and others know.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use chiron_storage::Digest;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use oci_client::manifest::{ImageIndexEntry, OciDescriptor, OciImageIndex, OciImageManifest};
use serde::Serialize;

use super::Beside;
use super::words::{FILE, annotation, digest};
use crate::blocking;
use crate::bundle::media;
use crate::oci::auth::Scope;
use crate::oci::download::Fetch;
use crate::oci::folder::{There, Work, write_whole};
use crate::oci::limits::{MAX_DOCUMENT_BYTES, MAX_REFERRERS, MAX_RELEASE_FILES};
use crate::oci::{OciError, Registry, Resolved, Tally, Wanted};
use crate::package::{DistributionFilename, ProjectName, Version};

/// The registry's index of the release, kept beside what was pulled.
const INDEX: &str = "oci-index.json";

/// What a pull left in a folder.
#[derive(Debug, Clone, Serialize)]
pub struct PulledRelease {
    /// Where it came from.
    pub reference: String,
    /// The folder.
    pub out: PathBuf,
    /// The project, as the index calls it.
    pub project: ProjectName,
    /// The version, as the index calls it.
    pub version: String,
    /// The image index's digest.
    pub digest: Digest,
    /// The files, by name.
    pub files: Vec<PulledFile>,
    /// It was there before.
    pub already: bool,
}

/// One file.
#[derive(Debug, Clone, Serialize)]
pub struct PulledFile {
    /// As published.
    pub filename: String,
    /// Its content, verified.
    pub sha256: Digest,
    /// Bytes.
    pub size: u64,
    /// Why it is to be avoided (PEP 592), as the index says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub yanked: Option<String>,
    /// What came along.
    pub documents: Vec<PulledDocument>,
    /// What else refers to it and was left there: artifact types with digests.
    pub others: Vec<String>,
}

/// One document.
#[derive(Debug, Clone, Serialize)]
pub struct PulledDocument {
    /// What it is.
    pub kind: Beside,
    /// Its name in the folder.
    pub name: String,
    /// Its content.
    pub sha256: Digest,
    /// Whether the release's index names it, or only the registry's list of referrers.
    pub in_index: bool,
}

/// A file in the index.
struct Found {
    filename: DistributionFilename,
    manifest: Digest,
    sha256: Digest,
    size: u64,
    yanked: Option<String>,
    documents: BTreeMap<Beside, Refers>,
    others: Vec<String>,
}

/// A document about a file.
struct Refers {
    layer: Digest,
    size: u64,
    in_index: bool,
}

struct Pull<'a> {
    registry: &'a Registry,
    tally: &'a Tally,
    place: String,
}

/// Pulls the release that `resolved` is the index of into `out`, or into a folder `PROJECT-VERSION` in this one.
///
/// Digests and sizes are verified; who signed what is not asked here. `out` appears when it is whole.
pub async fn pull_release(
    registry: &Registry,
    resolved: &Resolved,
    out: Option<&Path>,
    dry_run: bool,
    tally: &Tally,
) -> Result<PulledRelease, OciError> {
    let pull = Pull {
        registry,
        tally,
        place: registry.place().to_string(),
    };
    let index: OciImageIndex =
        serde_json::from_slice(&resolved.bytes).map_err(|error| pull.not_ours(error.to_string()))?;
    let (project, version, parsed) = pull.called(&index)?;
    let out = out.map_or_else(|| PathBuf::from(format!("{project}-{version}")), Path::to_owned);
    let work = Work::beside(&out)?;
    let already = work.look(INDEX, &resolved.bytes)? == There::Same;
    let found = pull.find(&index, &project, &parsed).await?;
    tally.expect(found.iter().map(|file| file.size).sum());
    if !already && !dry_run {
        let making = work.clone();
        blocking::run(move || making.make("")).await??;
        pull.bring(&found, &work).await?;
        let index = resolved.bytes.clone();
        blocking::run(move || work.finish(&[(INDEX, &index)])).await??;
    }
    Ok(PulledRelease {
        reference: pull.place,
        out,
        project,
        version,
        digest: resolved.digest,
        files: found.into_iter().map(told).collect(),
        already,
    })
}

impl Pull<'_> {
    fn not_ours(&self, why: impl Into<String>) -> OciError {
        OciError::NotOurs {
            place: self.place.clone(),
            why: why.into(),
        }
    }

    /// Project and version, out of the annotations: a tag could not say them.
    fn called(&self, index: &OciImageIndex) -> Result<(ProjectName, String, Version), OciError> {
        let said = |name: &str| index.annotations.as_ref().and_then(|said| said.get(name));
        let project = said(annotation::PROJECT)
            .and_then(|name| ProjectName::parse(name).ok())
            .ok_or_else(|| self.not_ours("its annotations name no project"))?;
        // What names a folder must be nothing but a version.
        let version = said(annotation::VERSION)
            .and_then(|text| text.parse::<Version>().ok())
            .ok_or_else(|| self.not_ours("its annotations name no version"))?;
        Ok((project, version.to_string(), version))
    }

    /// The files and their documents, from the index, and what else refers to the files.
    async fn find(
        &self,
        index: &OciImageIndex,
        project: &ProjectName,
        version: &Version,
    ) -> Result<Vec<Found>, OciError> {
        let (files, documents): (Vec<_>, Vec<_>) = index
            .manifests
            .iter()
            .partition(|entry| entry.artifact_type.as_deref() == Some(FILE));
        if files.is_empty() || files.len() > MAX_RELEASE_FILES || documents.len() > MAX_RELEASE_FILES * 10 {
            return Err(self.not_ours(format!("it has {} files", files.len())));
        }
        let mut found: Vec<Found> = Vec::with_capacity(files.len());
        for entry in files {
            let file = self.file(entry, project, version).await?;
            if found
                .iter()
                .any(|other| other.filename.raw() == file.filename.raw())
            {
                return Err(self.not_ours(format!("it names {} twice", file.filename.raw())));
            }
            found.push(file);
        }
        for entry in documents {
            self.document(entry, &mut found, true).await?;
        }
        for at in 0..found.len() {
            let Some(subject) = found.get(at).map(|file| file.manifest) else {
                continue;
            };
            let listed = self.registry.referrers(&subject, Scope::Pull).await?;
            for entry in listed.entries.iter().take(MAX_REFERRERS) {
                self.document(entry, &mut found, false).await?;
            }
        }
        found.sort_by(|a, b| a.filename.raw().cmp(b.filename.raw()));
        Ok(found)
    }

    /// A file's manifest, which must be of this release.
    async fn file(
        &self,
        entry: &ImageIndexEntry,
        project: &ProjectName,
        version: &Version,
    ) -> Result<Found, OciError> {
        let (manifest, image) = self.image(entry).await?;
        let [layer] = image.layers.as_slice() else {
            return Err(self.not_ours("the manifest of a file has other than one layer"));
        };
        if ![media::WHEEL, media::SDIST].contains(&layer.media_type.as_str()) {
            return Err(self.not_ours(format!("a file is {:?}", layer.media_type)));
        }
        let title = said(layer, annotation::TITLE).unwrap_or_default();
        let filename = DistributionFilename::parse_for(title, project)
            .map_err(|error| self.not_ours(error.to_string()))?;
        if filename.version() != version {
            return Err(self.not_ours(format!("{title} is of another version than {version}")));
        }
        let (sha256, size) = self.layer(layer)?;
        let yanked = image
            .annotations
            .as_ref()
            .and_then(|said| said.get(annotation::YANKED))
            .cloned();
        Ok(Found {
            filename,
            manifest,
            sha256,
            size,
            yanked,
            documents: BTreeMap::new(),
            others: Vec::new(),
        })
    }

    /// A manifest that says it is about one of the files. The first of a kind counts, and the index goes first.
    async fn document(
        &self,
        entry: &ImageIndexEntry,
        found: &mut [Found],
        in_index: bool,
    ) -> Result<(), OciError> {
        let artifact_type = entry.artifact_type.as_deref().unwrap_or_default();
        let Some(kind) = Beside::of_artifact_type(artifact_type) else {
            return self.other(entry, found, artifact_type).await;
        };
        let (_, image) = match self.image(entry).await {
            Ok(image) => image,
            // A list of referrers is a hint, and may name what is gone.
            Err(OciError::NotFound { .. }) if !in_index => return Ok(()),
            Err(error) => return Err(error),
        };
        let subject = image.subject.as_ref().and_then(|subject| digest(&subject.digest));
        let about = found.iter_mut().find(|file| Some(file.manifest) == subject);
        let ([layer], Some(file)) = (image.layers.as_slice(), about) else {
            if in_index {
                return Err(self.not_ours("a document in the index is about no file of it"));
            }
            return Ok(());
        };
        let (layer, size) = self.layer(layer)?;
        if size > MAX_DOCUMENT_BYTES {
            return Err(self.not_ours(format!("a document has {size} bytes")));
        }
        file.documents.entry(kind).or_insert(Refers {
            layer,
            size,
            in_index,
        });
        Ok(())
    }

    /// Something else that refers to a file: named, not fetched.
    async fn other(
        &self,
        entry: &ImageIndexEntry,
        found: &mut [Found],
        artifact_type: &str,
    ) -> Result<(), OciError> {
        let Ok((_, image)) = self.image(entry).await else {
            return Ok(());
        };
        let subject = image.subject.as_ref().and_then(|subject| digest(&subject.digest));
        if let Some(file) = found.iter_mut().find(|file| Some(file.manifest) == subject) {
            let name: String = artifact_type.chars().take(200).collect();
            file.others.push(format!("{name} {}", entry.digest));
        }
        Ok(())
    }

    async fn image(&self, entry: &ImageIndexEntry) -> Result<(Digest, OciImageManifest), OciError> {
        let wanted = digest(&entry.digest)
            .ok_or_else(|| self.not_ours(format!("{:?} is no SHA-256", entry.digest)))?;
        let (bytes, digest) = self
            .registry
            .manifest(&Wanted::Digest(wanted), Scope::Pull)
            .await?;
        let image = serde_json::from_slice(&bytes).map_err(|error| self.not_ours(error.to_string()))?;
        Ok((digest, image))
    }

    fn layer(&self, layer: &OciDescriptor) -> Result<(Digest, u64), OciError> {
        let wrong = || self.not_ours(format!("{:?} of {} bytes is no layer", layer.digest, layer.size));
        Ok((
            digest(&layer.digest).ok_or_else(wrong)?,
            u64::try_from(layer.size).map_err(|_| wrong())?,
        ))
    }

    /// Brings files and documents.
    async fn bring(&self, found: &[Found], work: &Work) -> Result<(), OciError> {
        let fetches = found.iter().map(|file| Fetch {
            digest: file.sha256,
            size: file.size,
            // By name: two names may have one content.
            partial: work.partial_of(file.filename.raw()),
            path: work.path(file.filename.raw()),
        });
        let fetches: Vec<Fetch> = fetches.collect();
        stream::iter(&fetches)
            .map(|fetch| self.registry.pull_blob(fetch, self.tally))
            .buffer_unordered(self.registry.limits.jobs.max(1))
            .try_for_each(|_| async { Ok(()) })
            .await?;
        for file in found {
            for (kind, refers) in &file.documents {
                let bytes: Bytes = self
                    .registry
                    .small_blob(&refers.layer, refers.size, Scope::Pull)
                    .await?;
                let path = work.path(&document_name(file, *kind));
                blocking::run(move || write_whole(&path, &bytes)).await??;
            }
        }
        Ok(())
    }
}

fn document_name(file: &Found, kind: Beside) -> String {
    format!("{}{}", file.filename.raw(), kind.suffix())
}

fn said<'a>(layer: &'a OciDescriptor, name: &str) -> Option<&'a str> {
    layer.annotations.as_ref()?.get(name).map(String::as_str)
}

fn told(file: Found) -> PulledFile {
    let documents = file.documents.iter().map(|(kind, refers)| PulledDocument {
        kind: *kind,
        name: document_name(&file, *kind),
        sha256: refers.layer,
        in_index: refers.in_index,
    });
    PulledFile {
        documents: documents.collect(),
        filename: file.filename.raw().to_owned(),
        sha256: file.sha256,
        size: file.size,
        yanked: file.yanked,
        others: file.others,
    }
}
