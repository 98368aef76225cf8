//! Reading: one file, one project, all projects; now, or as they were.

use std::collections::HashMap;

use bytes::Bytes;
use chiron_storage::{Blake3, CodecError, DbError, Digest, Key, Raw, View};
use jiff::Timestamp;

use super::event::Entry;
use super::journal::waiting_document;
use super::record::{COUNTS, CachedPage, DIGESTS, DOCS, FILES, NAMES, PAGES, PROJECTS, SEEN};
use super::{Catalog, CatalogError, FileRef, FileRow, FileState, ProjectRow};
use crate::package::{ProjectName, Status};

/// A project at one size of the log.
#[derive(Debug, Clone)]
pub struct ProjectSnapshot {
    /// Rows that hold in the view, in the order of their filenames.
    pub files: Vec<FileRow>,
    /// PEP 792; `active` unless an event said otherwise.
    pub status: Status,
    /// What was said when the status was set.
    pub status_reason: Option<String>,
    /// At least one file was admitted before this size.
    pub listed: bool,
}

/// Totals over the present catalogue.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Projects with at least one file ever admitted.
    pub projects: u64,
    /// Files that are served.
    pub admitted: u64,
    /// Files kept, not served.
    pub quarantined: u64,
    /// Files not kept, remembered with their reasons.
    pub refused: u64,
    /// Files taken out of service by a person.
    pub revoked: u64,
}

impl Catalog {
    /// The present row of one file.
    pub async fn file(&self, file: &FileRef) -> Result<Option<FileRow>, CatalogError> {
        let file = file.clone();
        self.db.read(move |view| row_of(view, &file)).await
    }

    /// The present rows of every file with this content.
    pub async fn by_digest(&self, sha256: Digest) -> Result<Vec<FileRow>, CatalogError> {
        self.db
            .read(move |view| {
                let mut rows = Vec::new();
                for item in view.scan(&DIGESTS, sha256.as_bytes(), None)? {
                    let ((_, project, filename), since) = item?;
                    let key = (project, filename, sha256, since);
                    rows.push(view.get(&FILES, &key)?.ok_or(TORN)?);
                }
                Ok(rows)
            })
            .await
    }

    /// The present rows of every content that was ever judged under this filename.
    pub async fn by_name(&self, project: &ProjectName, filename: &str) -> Result<Vec<FileRow>, CatalogError> {
        let key = (project.to_string(), filename.to_owned());
        self.db
            .read(move |view| {
                let mut rows = Vec::new();
                for item in view.scan(&FILES, &prefix(&key)?, None)? {
                    let (_, row) = item?;
                    if row.until.is_none() {
                        rows.push(row);
                    }
                }
                Ok(rows)
            })
            .await
    }

    /// Which content is admitted under a name.
    pub async fn name_taken_by(&self, file: &FileRef) -> Result<Option<Digest>, CatalogError> {
        Ok(self.db.get(&NAMES, &file.name_key()).await?)
    }

    /// A project at log size `at`, or now. `None`: nothing was ever judged under the name.
    pub async fn project(
        &self,
        project: &ProjectName,
        at: Option<u64>,
    ) -> Result<Option<ProjectSnapshot>, CatalogError> {
        let key = project.as_str().to_owned();
        self.db
            .read(move |view| {
                let Some(row) = view.get(&PROJECTS, &key)? else {
                    return Ok(None);
                };
                let size = at.unwrap_or(u64::MAX);
                let mut files = Vec::new();
                for item in view.scan(&FILES, &prefix(&key)?, None)? {
                    let (_, file) = item?;
                    if file.holds_at(size) {
                        files.push(file);
                    }
                }
                let (status, status_reason) = row.status_at(size);
                let listed = row.admitted_since.is_some_and(|since| since < size);
                Ok(Some(ProjectSnapshot {
                    files,
                    status,
                    status_reason,
                    listed,
                }))
            })
            .await
    }

    /// Names with at least one file admitted before size `at`, after `after`, at most `limit`, sorted.
    pub async fn projects(
        &self,
        at: Option<u64>,
        after: Option<String>,
        limit: usize,
    ) -> Result<Vec<(String, ProjectRow)>, CatalogError> {
        self.db
            .read(move |view| {
                let size = at.unwrap_or(u64::MAX);
                let mut names = Vec::new();
                let from = after
                    .map(|name| name.to_successor())
                    .transpose()
                    .map_err(bad_key)?;
                for item in view.scan(&PROJECTS, b"", from.as_deref())? {
                    let (name, row) = item?;
                    if row.admitted_since.is_some_and(|since| since < size) {
                        names.push((name, row));
                        if names.len() >= limit {
                            break;
                        }
                    }
                }
                Ok(names)
            })
            .await
    }

    /// Totals.
    pub async fn counts(&self) -> Result<Counts, CatalogError> {
        self.db
            .read(|view| {
                let get = |name: &str| -> Result<u64, CatalogError> {
                    Ok(view.get(&COUNTS, &name.to_owned())?.unwrap_or(0))
                };
                Ok(Counts {
                    projects: get("projects")?,
                    admitted: get(FileState::Admitted.as_str())?,
                    quarantined: get(FileState::Quarantined.as_str())?,
                    refused: get(FileState::Refused.as_str())?,
                    revoked: get(FileState::Revoked.as_str())?,
                })
            })
            .await
    }

    /// A document by its digest: core metadata, evidence, a verdict.
    pub async fn doc(&self, digest: Digest) -> Result<Option<Bytes>, CatalogError> {
        self.db
            .read(move |view| match view.get(&DOCS, &digest)? {
                Some(Raw(bytes)) => Ok(Some(bytes)),
                // Of a bundle that has just come into force.
                None => waiting_document(view, &digest),
            })
            .await
    }

    /// The metadata handed out for a file before it was judged.
    pub async fn seen(&self, file: Digest) -> Result<Option<Digest>, CatalogError> {
        Ok(self.db.get(&SEEN, &file).await?)
    }

    /// What upstream last said of a project.
    pub async fn cached_page(
        &self,
        upstream: &str,
        project: &ProjectName,
    ) -> Result<Option<CachedPage>, CatalogError> {
        Ok(self
            .db
            .get(&PAGES, &(upstream.to_owned(), project.to_string()))
            .await?)
    }

    /// Keeps what upstream said, for restarts and for the time when upstream is down.
    pub async fn cache_page(
        &self,
        upstream: &str,
        project: &ProjectName,
        page: CachedPage,
    ) -> Result<(), CatalogError> {
        let key = (upstream.to_owned(), project.to_string());
        self.db
            .transact(move |tx| Ok::<_, CatalogError>(tx.put(&PAGES, &key, &page)?))
            .await
    }

    /// Entries from `from`, at most `limit`, with their numbers.
    pub async fn entries(&self, from: u64, limit: u64) -> Result<Vec<(u64, Bytes)>, CatalogError> {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        Ok(self.log.entries(from, limit).await?)
    }

    /// How many entries the log had at a time: those not later than it.
    pub async fn size_at(&self, time: Timestamp) -> Result<u64, CatalogError> {
        let (mut low, mut high) = (0, self.log.size().await?);
        while low < high {
            let middle = low + (high - low) / 2;
            if self.entry(middle).await?.at <= time {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(low)
    }

    /// Entry `n` of the log.
    pub(super) async fn entry(&self, n: u64) -> Result<Entry, CatalogError> {
        let bytes = self.log.entry(n).await?;
        parse(
            n,
            &bytes.ok_or(CatalogError::Torn {
                what: "the log is shorter than its size",
            })?,
        )
    }

    /// Every content that the store must hold, in whatever state its files are or ever were, with its
    /// BLAKE3: for `gc` and `scrub`.
    pub async fn kept_blobs(&self) -> Result<HashMap<Digest, Option<Blake3>>, CatalogError> {
        self.db
            .read(|view| {
                let mut kept = HashMap::new();
                for item in view.scan(&FILES, b"", None)? {
                    let (_, row) = item?;
                    if row.state.keeps_bytes() {
                        kept.insert(row.judged.sha256, Some(row.judged.blake3));
                    }
                }
                Ok(kept)
            })
            .await
    }
}

pub(super) const TORN: CatalogError = CatalogError::Torn {
    what: "a file's digest row names a row that is not there",
};

pub(super) fn row_of(view: &View<'_>, file: &FileRef) -> Result<Option<FileRow>, CatalogError> {
    let Some(since) = view.get(&DIGESTS, &file.digest_key())? else {
        return Ok(None);
    };
    Ok(Some(view.get(&FILES, &file.row_key(since))?.ok_or(TORN)?))
}

/// Parses an entry of the log.
pub(super) fn parse(n: u64, bytes: &[u8]) -> Result<Entry, CatalogError> {
    serde_json::from_slice(bytes).map_err(|e| CatalogError::BadEntry {
        n,
        why: e.to_string(),
    })
}

/// The beginning of every key that starts with these fields.
fn prefix(fields: &impl Key) -> Result<Vec<u8>, CatalogError> {
    fields.to_prefix().map_err(bad_key)
}

/// Names and filenames are parsed at the door and hold no NUL; should one ever, nothing is found under it.
pub(super) fn bad_key(source: CodecError) -> CatalogError {
    CatalogError::Db(DbError::Codec {
        family: "files",
        source,
    })
}
