//! The journal of one bundle's import: what is staged, what is judged. Whoever imports the bundle again goes on from it.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use chiron_storage::{Blake3, Digest, Key as _, Table, Tx};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::ImportError;
use crate::bundle::SnapshotId;
use crate::catalog::{Catalog, CatalogError, FileRef, Prepared, StagedKey, imports, judged, staged};
use crate::package::ProjectName;

/// Judgments that are not in force.
const JUDGED: Table<StagedKey, Prepared> = judged();

/// Rows removed in one transaction, which everybody who writes waits for.
const AT_ONCE: usize = 1_000;

/// An import that has not come to its end.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct ImportRow {
    /// Whose bundle, by the name here.
    pub sender: String,
    /// The bundle's name.
    pub id: SnapshotId,
    /// When its first volume came.
    pub began_at: Timestamp,
    /// How many volumes it has.
    pub volumes: u32,
    /// Volumes of which everything is staged.
    pub taken: BTreeSet<u32>,
    /// Counts up with each time that the import was begun or gone on with.
    pub run: u64,
}

/// A file whose bytes are sealed under its digest. Its judgment is a row elsewhere: these are read all together.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Staged {
    /// For scrubs.
    pub blake3: Blake3,
    /// Bytes.
    pub size: u64,
    /// Which run staged it.
    pub run: u64,
    /// There is a judgment of it.
    pub judged: bool,
}

/// The journal of one bundle.
#[derive(Clone)]
pub(super) struct Journal {
    catalog: Catalog,
    /// SHA-256 of its signed manifest.
    pub bundle: Digest,
}

fn key(bundle: Digest, file: &FileRef) -> StagedKey {
    (
        bundle,
        file.project.to_string(),
        file.filename.clone(),
        file.sha256,
    )
}

fn prefix(bundle: Digest) -> Result<Vec<u8>, CatalogError> {
    bundle.to_prefix().map_err(|_| CatalogError::Torn {
        what: "a digest is no key",
    })
}

/// Every import that has not come to its end, by the bundle's digest.
pub(super) async fn all(catalog: &Catalog) -> Result<Vec<(Digest, ImportRow)>, CatalogError> {
    let rows = catalog.journalled(|view| {
        let rows = view.scan(&imports::<ImportRow>(), b"", None)?;
        Ok(rows.collect::<Result<Vec<_>, _>>()?)
    });
    rows.await
}

impl Journal {
    /// Of that bundle.
    pub fn new(catalog: Catalog, bundle: Digest) -> Self {
        Self { catalog, bundle }
    }

    /// What is known of the import as a whole.
    pub async fn row(&self) -> Result<Option<ImportRow>, CatalogError> {
        let bundle = self.bundle;
        let row = self
            .catalog
            .journalled(move |view| Ok(view.get(&imports::<ImportRow>(), &bundle)?));
        row.await
    }

    /// Writes that down.
    pub async fn put_row(&self, row: ImportRow) -> Result<(), CatalogError> {
        let bundle = self.bundle;
        self.catalog
            .journal(bundle, Vec::new(), move |tx| {
                Ok(tx.put(&imports::<ImportRow>(), &bundle, &row)?)
            })
            .await
    }

    /// What is staged.
    pub async fn staged(&self) -> Result<BTreeMap<FileRef, Staged>, ImportError> {
        let prefix = prefix(self.bundle)?;
        let rows = self.catalog.journalled(move |view| {
            let mut found = BTreeMap::new();
            for item in view.scan(&staged::<Staged>(), &prefix, None)? {
                let ((_, project, filename, sha256), it) = item?;
                found.insert(file_of(&project, filename, sha256)?, it);
            }
            Ok(found)
        });
        Ok(rows.await?)
    }

    /// Writes down that these are sealed.
    pub async fn put_staged(&self, files: Vec<(FileRef, Staged)>) -> Result<(), CatalogError> {
        let bundle = self.bundle;
        self.catalog
            .journal(bundle, Vec::new(), move |tx| {
                for (file, it) in files {
                    let (key, it) = (key(bundle, &file), Staged { judged: false, ..it });
                    tx.delete(&JUDGED, &key)?;
                    tx.put(&staged::<Staged>(), &key, &it)?;
                }
                Ok(())
            })
            .await
    }

    /// Keeps documents that wait for the judgments that name them.
    pub async fn put_documents(&self, documents: Vec<Bytes>) -> Result<(), CatalogError> {
        self.catalog.journal(self.bundle, documents, |_| Ok(())).await
    }

    /// Writes down judgments, with the documents that they name.
    pub async fn put_judged(&self, judged: Vec<(FileRef, Prepared, Vec<Bytes>)>) -> Result<(), CatalogError> {
        let bundle = self.bundle;
        let (mut rows, mut documents) = (Vec::with_capacity(judged.len()), Vec::new());
        for (file, prepared, named) in judged {
            documents.extend(named);
            rows.push((key(bundle, &file), prepared));
        }
        self.catalog
            .journal(bundle, documents, move |tx| {
                for (key, prepared) in rows {
                    let it = tx.get(&staged::<Staged>(), &key)?.ok_or(CatalogError::Torn {
                        what: "a file of an import is judged and not staged",
                    })?;
                    tx.put(&staged::<Staged>(), &key, &Staged { judged: true, ..it })?;
                    tx.put(&JUDGED, &key, &prepared)?;
                }
                Ok(())
            })
            .await
    }

    /// The judgments of these files, in their order, as far as they were made.
    pub async fn judged(&self, files: &[FileRef]) -> Result<Vec<Option<Prepared>>, CatalogError> {
        let keys: Vec<_> = files.iter().map(|file| key(self.bundle, file)).collect();
        let rows = self.catalog.journalled(move |view| {
            let rows = keys.iter().map(|key| view.get(&JUDGED, key));
            Ok(rows.collect::<Result<Vec<_>, _>>()?)
        });
        rows.await
    }

    /// The judgments of a project's files, as far as they were made.
    pub async fn judged_of(&self, project: &ProjectName) -> Result<Vec<Prepared>, CatalogError> {
        let fields = (self.bundle, project.to_string());
        let prefix = fields.to_prefix().map_err(|_| CatalogError::Torn {
            what: "a project's name is no key",
        })?;
        let rows = self.catalog.journalled(move |view| {
            let rows = view.scan(&JUDGED, &prefix, None)?;
            Ok(rows
                .map(|row| row.map(|(_, prepared)| prepared))
                .collect::<Result<Vec<_>, _>>()?)
        });
        rows.await
    }

    /// Forgets files; their blobs are the caller's to remove.
    pub async fn forget(&self, files: Vec<FileRef>) -> Result<(), CatalogError> {
        let bundle = self.bundle;
        for some in files.chunks(AT_ONCE) {
            let some = some.to_vec();
            self.catalog
                .journal(bundle, Vec::new(), move |tx| {
                    for file in some {
                        let key = key(bundle, &file);
                        tx.delete(&JUDGED, &key)?;
                        tx.delete(&staged::<Staged>(), &key)?;
                    }
                    Ok(())
                })
                .await?;
        }
        Ok(())
    }

    /// Forgets the import as a whole, once nothing of it is left.
    pub async fn end(&self) -> Result<(), CatalogError> {
        let bundle = self.bundle;
        self.catalog
            .journal(bundle, Vec::new(), move |tx: &mut Tx<'_>| {
                Ok(tx.delete(&imports::<ImportRow>(), &bundle)?)
            })
            .await
    }
}

fn file_of(project: &str, filename: String, sha256: Digest) -> Result<FileRef, CatalogError> {
    let project = project.parse().map_err(|_| CatalogError::Torn {
        what: "the journal of an import names a project that is none",
    })?;
    Ok(FileRef {
        project,
        filename,
        sha256,
    })
}
