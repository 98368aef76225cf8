//! A release into a registry, file by file, the index last.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use chiron_storage::Digest;
use oci_client::manifest::{ImageIndexEntry, OCI_IMAGE_INDEX_MEDIA_TYPE, OCI_IMAGE_MEDIA_TYPE};
use serde::Serialize;

use super::Beside;
use super::words::{Annotations, EMPTY, FILE, annotation, entry, index, manifest, to_bytes};
use crate::bundle::media;
use crate::oci::auth::Scope;
use crate::oci::upload::Content;
use crate::oci::{OciError, Registry, Tally, Wanted, tag_of};
use crate::package::{DistKind, DistributionFilename, ProjectName};

/// A file of a release, and what is known of it.
#[derive(Debug, Clone)]
pub struct ReleaseFile {
    /// As published.
    pub filename: DistributionFilename,
    /// Its content.
    pub sha256: Digest,
    /// Bytes.
    pub size: u64,
    /// Of [`annotation`]: whether it is yanked, which Python it needs.
    pub annotations: Annotations,
    /// The documents beside it.
    pub documents: Vec<(Beside, Bytes)>,
}

/// What a push left in the registry.
#[derive(Debug, Clone, Serialize)]
pub struct PushedRelease {
    /// Where.
    pub reference: String,
    /// The image index's digest.
    pub digest: Digest,
    /// Files in it.
    pub files: u64,
    /// Documents in it.
    pub documents: u64,
    /// How others find the documents: the registry's own list (true), or the tag that stands in for it.
    pub listed_by_registry: bool,
}

/// One push of a release.
pub struct ReleasePush<'a> {
    registry: &'a Registry,
    tally: &'a Tally,
    project: ProjectName,
    version: String,
    entries: Vec<ImageIndexEntry>,
    files: u64,
    native: bool,
}

impl<'a> ReleasePush<'a> {
    /// Of `project` in `version`, whose files follow.
    pub fn new(registry: &'a Registry, project: ProjectName, version: &str, tally: &'a Tally) -> Self {
        Self {
            registry,
            tally,
            project,
            version: version.to_owned(),
            entries: Vec::new(),
            files: 0,
            native: false,
        }
    }

    /// Whether the registry has a file's bytes, so that they need not be fetched.
    pub async fn has(&self, sha256: &Digest, size: u64) -> Result<bool, OciError> {
        self.registry.has_blob(sha256, size, Scope::Push).await
    }

    /// Pushes one file and what stands beside it. `bytes`: where they are; absent when the registry has them.
    pub async fn file(&mut self, file: &ReleaseFile, bytes: Option<&Path>) -> Result<(), OciError> {
        self.tally.expect(file.size);
        match bytes {
            Some(path) => {
                let content = of_file(path.to_owned());
                self.registry
                    .push_blob(&file.sha256, file.size, &content, self.tally)
                    .await?;
            }
            None => self.tally.skip(1, file.size),
        }
        self.small(EMPTY.into()).await?;
        let name = file.filename.raw();
        let media_type = match file.filename.kind() {
            DistKind::Wheel => media::WHEEL,
            DistKind::Sdist => media::SDIST,
        };
        let mut said = self.said();
        said.extend(file.annotations.clone());
        said.insert(annotation::TITLE.to_owned(), name.to_owned());
        said.insert(annotation::SHA256.to_owned(), file.sha256.to_string());
        let layer = (media_type, file.sha256, file.size);
        let image = to_bytes(&manifest(FILE, layer, name, said.clone(), None))?;
        self.store(&image).await?;
        self.entries.push(entry(&image, FILE, said));
        self.files += 1;
        let subject = (Digest::of(&image), image.len() as u64);
        let mut beside = Vec::new();
        for (kind, document) in &file.documents {
            beside.push(self.document(name, subject, *kind, document).await?);
        }
        let listed = self.registry.referrers(&subject.0, Scope::Push).await?;
        self.native |= listed.native;
        if !listed.native && !beside.is_empty() {
            self.registry.add_under_tag(&subject.0, &beside).await?;
        }
        self.entries.extend(beside);
        Ok(())
    }

    /// Pushes the index over everything that was pushed, under the place's tag, or the version as one.
    pub async fn finish(self) -> Result<PushedRelease, OciError> {
        let mut said = self.said();
        said.insert(annotation::OCI_VERSION.to_owned(), self.version.clone());
        let documents = self.entries.len() as u64 - self.files;
        let bytes = to_bytes(&index(self.entries, said))?;
        let place = self.registry.place();
        let tag = place
            .tag()
            .map_or_else(|| tag_of(&self.version), ToOwned::to_owned);
        self.registry
            .tag(&tag, OCI_IMAGE_INDEX_MEDIA_TYPE, &bytes)
            .await?;
        Ok(PushedRelease {
            reference: place.with_tag(&tag).to_string(),
            digest: Digest::of(&bytes),
            files: self.files,
            documents,
            listed_by_registry: self.native,
        })
    }

    /// One document as a manifest that refers to the file's.
    async fn document(
        &self,
        filename: &str,
        subject: (Digest, u64),
        kind: Beside,
        document: &Bytes,
    ) -> Result<ImageIndexEntry, OciError> {
        self.small(document.clone()).await?;
        let artifact_type = kind.artifact_type(document);
        let title = format!("{filename}{}", kind.suffix());
        let said = Annotations::from([(annotation::TITLE.to_owned(), title.clone())]);
        let layer = (artifact_type, Digest::of(document), document.len() as u64);
        let image = to_bytes(&manifest(
            artifact_type,
            layer,
            &title,
            said.clone(),
            Some(subject),
        ))?;
        self.store(&image).await?;
        Ok(entry(&image, artifact_type, said))
    }

    async fn small(&self, bytes: Bytes) -> Result<(), OciError> {
        let (digest, size) = (Digest::of(&bytes), bytes.len() as u64);
        self.registry
            .push_blob(&digest, size, &Content::Bytes(bytes), self.tally)
            .await
            .map(drop)
    }

    async fn store(&self, image: &Bytes) -> Result<(), OciError> {
        let wanted = Wanted::Digest(Digest::of(image));
        if self.registry.find_manifest(&wanted, Scope::Push).await?.is_none() {
            self.registry
                .put_manifest(&wanted, OCI_IMAGE_MEDIA_TYPE, image)
                .await?;
        }
        Ok(())
    }

    fn said(&self) -> Annotations {
        Annotations::from([
            (annotation::PROJECT.to_owned(), self.project.to_string()),
            (annotation::VERSION.to_owned(), self.version.clone()),
        ])
    }
}

/// A file's bytes, read each time anew.
fn of_file(path: PathBuf) -> Content {
    Content::Opened(Arc::new(move || {
        let file = std::fs::File::open(&path).map_err(|source| OciError::File {
            doing: "read",
            path: path.clone(),
            source,
        })?;
        Ok(Box::new(file))
    }))
}
