//! Reading what an interval of the log did: its entries, and the states of the files that they are about. Costs what the
//! interval costs, not what the catalogue does.

use bytes::Bytes;
use chiron_storage::{Digest, Key, Log, Raw, View};

use super::event::Entry;
use super::record::{DOCS, FILES, PROJECTS};
use super::view::{bad_key, parse};
use super::{Catalog, CatalogError, FileRef, FileRow};
use crate::package::ProjectName;

impl Catalog {
    /// The entries from `from` up to `to`, at most `limit`, parsed, each with its number.
    pub async fn events_between(
        &self,
        from: u64,
        to: u64,
        limit: u64,
    ) -> Result<Vec<(u64, Entry)>, CatalogError> {
        let count = to.saturating_sub(from).min(limit);
        let entries = self.entries_once(from, count).await?;
        entries
            .into_iter()
            .map(|(n, bytes)| Ok((n, parse(n, &bytes)?)))
            .collect()
    }

    /// As [`Self::entries`], for who reads many of them once: other reads keep their place in memory.
    pub async fn entries_once(&self, from: u64, limit: u64) -> Result<Vec<(u64, Bytes)>, CatalogError> {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        self.db
            .read(move |view| {
                view.pass();
                let entries = Log::entries_in_view(view, from)?;
                entries.take(limit).map(|entry| Ok(entry?)).collect()
            })
            .await
    }

    /// Every state that these files had in the log's first `size` entries, oldest first; an empty list for one that was
    /// not judged by then. All in one view.
    pub async fn states_of(&self, files: Vec<FileRef>, size: u64) -> Result<Vec<Vec<FileRow>>, CatalogError> {
        self.db
            .read(move |view| {
                view.pass();
                files.iter().map(|file| states(view, file, size)).collect()
            })
            .await
    }

    /// As [`Self::states_of`], of the files that follow `after` in the order of project, filename and content, at most `limit`.
    /// None: there are no more.
    pub async fn states_after(
        &self,
        after: Option<FileRef>,
        limit: usize,
        size: u64,
    ) -> Result<Vec<(FileRef, Vec<FileRow>)>, CatalogError> {
        self.db
            .read(move |view| {
                view.pass();
                let from = after
                    .map(|file| file.row_key(u64::MAX).to_successor())
                    .transpose()
                    .map_err(bad_key)?;
                let mut found: Vec<(FileRef, Vec<FileRow>)> = Vec::new();
                for item in view.scan(&FILES, b"", from.as_deref())? {
                    let (_, row) = item?;
                    let file = row.file();
                    let full = found.len() >= limit;
                    match found.last_mut() {
                        Some((known, rows)) if *known == file => rows.push(row),
                        _ if full => break,
                        _ => found.push((file, vec![row])),
                    }
                }
                for (_, rows) in &mut found {
                    rows.retain(|row| row.since < size);
                }
                Ok(found)
            })
            .await
    }

    /// As [`Self::doc`], several in one view.
    pub async fn docs(&self, digests: Vec<Digest>) -> Result<Vec<Option<Bytes>>, CatalogError> {
        let asked = digests.clone();
        let mut found: Vec<Option<Bytes>> = self
            .db
            .read(move |view| {
                view.pass();
                let rows = view.get_many(&DOCS, &asked)?;
                Ok::<_, CatalogError>(rows.into_iter().map(|row| row.map(|Raw(bytes)| bytes)).collect())
            })
            .await?;
        // One that an import has brought and that was not moved yet.
        for (digest, document) in digests.iter().zip(&mut found) {
            if document.is_none() {
                *document = self.doc(*digest).await?;
            }
        }
        Ok(found)
    }

    /// The events before `size` that set a project's status, oldest first.
    pub async fn status_events(&self, project: &ProjectName, size: u64) -> Result<Vec<u64>, CatalogError> {
        let row = self.db.get(&PROJECTS, &project.as_str().to_owned()).await?;
        let statuses = row.map(|row| row.statuses).unwrap_or_default();
        Ok(statuses
            .into_iter()
            .map(|(n, ..)| n)
            .filter(|n| *n < size)
            .collect())
    }
}

fn states(view: &View<'_>, file: &FileRef, size: u64) -> Result<Vec<FileRow>, CatalogError> {
    let key = (file.project.to_string(), file.filename.clone(), file.sha256);
    let prefix = key.to_prefix().map_err(bad_key)?;
    let mut rows = Vec::new();
    for item in view.scan(&FILES, &prefix, None)? {
        let (_, row) = item?;
        if row.since < size {
            rows.push(row);
        }
    }
    Ok(rows)
}
