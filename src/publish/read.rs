//! What is served: index pages, targets and metadata.

use std::collections::BTreeSet;

use bytes::Bytes;
use chiron_storage::{Digest, Raw};
use chiron_tuf::{MetadataName, Role, TargetPath};

use super::delta::digest_of;
use super::folder::Lies;
use super::tables::{CONTENTS, RoleRow, TARGETS};
use super::targets::{Files, of_project};
use super::{PublishError, Publisher, SignedPage, TargetContent};
use crate::package::ProjectName;

impl Publisher {
    /// The project's index page as it is signed; `None` if it has none.
    pub async fn page(&self, project: &ProjectName) -> Result<Option<SignedPage>, PublishError> {
        let Some(generation) = self.generation() else {
            return Ok(None);
        };
        let Ok(path) = TargetPath::index(project.as_str()) else {
            return Ok(None);
        };
        if self.inner.condition.is_unfinished() {
            return self.page_before(project, generation.log_size).await;
        }
        let hash = Digest::from_bytes(path.hash());
        self.db()
            .read(move |view| {
                let Some(Raw(entry)) = view.get(&TARGETS, &hash)? else {
                    return Ok(None);
                };
                let sha256 = digest_of(&entry)?;
                let Some(Raw(bytes)) = view.get(&CONTENTS, &(hash, sha256))? else {
                    return Err(PublishError::Damaged(format!("the bytes of {path} are not kept")));
                };
                Ok(Some(SignedPage {
                    bytes,
                    sha256,
                    log_size: generation.log_size,
                }))
            })
            .await
    }

    /// A page of the generation whose timestamp is on disk, while the rows are those of the next one: the disk refused its
    /// timestamp. Rendered again, it has the same bytes.
    async fn page_before(
        &self,
        project: &ProjectName,
        log_size: u64,
    ) -> Result<Option<SignedPage>, PublishError> {
        let known = self.inner.parts.catalog.project(project, Some(log_size)).await?;
        let page = of_project(project, known.as_ref(), Files::Named(&BTreeSet::new()))?;
        let content = page.into_iter().find_map(|wanted| wanted.content);
        Ok(content.map(|(sha256, bytes)| SignedPage {
            bytes,
            sha256,
            log_size,
        }))
    }

    /// A target's bytes: the current ones, or with their digest those superseded within the grace. A distribution file only
    /// while it is a target: what was taken out of service is gone at once.
    pub async fn target(
        &self,
        path: &TargetPath,
        sha256: Option<Digest>,
    ) -> Result<Option<TargetContent>, PublishError> {
        let hash = Digest::from_bytes(path.hash());
        if let Some((project, filename)) = file_of(path) {
            let current = self.current(path, hash).await?;
            return Ok(current
                .filter(|current| sha256.is_none_or(|wanted| wanted == *current))
                .map(|sha256| TargetContent::Blob {
                    sha256,
                    project,
                    filename,
                }));
        }
        let sha256 = match sha256 {
            Some(sha256) => Some(sha256),
            None => self.current(path, hash).await?,
        };
        let Some(sha256) = sha256 else {
            return Ok(None);
        };
        let stored = self.db().get(&CONTENTS, &(hash, sha256)).await?;
        Ok(stored.map(|Raw(bytes)| TargetContent::Stored(bytes)))
    }

    /// The digest that is signed for a path.
    async fn current(&self, path: &TargetPath, hash: Digest) -> Result<Option<Digest>, PublishError> {
        if path.is_trust() {
            let held = self.inner.held();
            let listed = held.trust.as_ref();
            let file = listed.and_then(|trust| trust.signed().targets.get(path.as_str()));
            return Ok(file.and_then(|file| file.sha256()?.parse().ok()));
        }
        self.db()
            .read(move |view| {
                let entry = view.get(&TARGETS, &hash)?;
                entry.map(|Raw(entry)| digest_of(&entry)).transpose()
            })
            .await
    }

    /// A metadata file as it lies on disk: if somebody changed it there, clients are the ones to see it.
    ///
    /// Of no version above the one in force, though a file may lie there: it is of a publication that is under way or was cut
    /// off, and its name may yet get other bytes, while caches would keep these for ever.
    pub async fn metadata(&self, name: &MetadataName) -> Result<Option<Bytes>, PublishError> {
        let name = *name;
        let held = self.inner.held();
        let Some(row) = held.roles.get(&name.role()) else {
            return Ok(None);
        };
        if name.version().is_some_and(|version| version > row.version) {
            return Ok(None);
        }
        let newest = self.generation();
        let found = self.inner.read(name).await?;
        let lies = match (&found, name.version()) {
            (None, _) => Lies::Missing,
            // A timestamp is replaced a moment after the batch that has the next one: either may lie there.
            (Some(bytes), None) => {
                let held = self.inner.held();
                let next = held.roles.get(&Role::Timestamp).is_some_and(|row| is(bytes, row));
                same_or_changed(next || newest.is_some_and(|generation| generation.timestamp == *bytes))
            }
            (Some(bytes), Some(_)) => same_or_changed(is(bytes, row)),
        };
        let in_force = name
            .version()
            .is_none_or(|version| version == row.version && !row.retired);
        if in_force {
            self.inner.noticed(name, lies);
        }
        Ok(found)
    }
}

/// Whether these are the bytes that were written.
fn is(bytes: &Bytes, row: &RoleRow) -> bool {
    bytes.len() as u64 == row.length && Digest::of(bytes) == row.sha256
}

const fn same_or_changed(same: bool) -> Lies {
    if same { Lies::Same } else { Lies::Changed }
}

/// Whose distribution file a path is.
fn file_of(path: &TargetPath) -> Option<(ProjectName, String)> {
    let (project, filename) = path.as_str().strip_prefix("files/")?.split_once('/')?;
    let project = ProjectName::parse(project).ok()?;
    Some((project, filename.to_owned()))
}
