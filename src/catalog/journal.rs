//! The journal of imports: what is staged and judged and not yet in force. Its rows are the import's own; what is here is
//! what others must know of them: the blobs they name, and the documents that wait.

use std::collections::{BTreeSet, HashSet};

use bytes::Bytes;
use chiron_storage::{Digest, Key as _, Raw, Table, Tx, View};

use super::prepared::Prepared;
use super::record::DOCS;
use super::view::bad_key;
use super::{Catalog, CatalogError};

/// What the whole import is: by the digest of its bundle.
pub const fn imports<V>() -> Table<Digest, V> {
    Table::new("airgap-imports")
}

/// `airgap-staged`: bundle, project, filename, content. The content is a sealed blob.
pub type StagedKey = (Digest, String, String, Digest);

/// What is known of a file of a bundle whose bytes are staged: `gc` keeps them, by the key alone.
pub const fn staged<V>() -> Table<StagedKey, V> {
    Table::new("airgap-staged")
}

/// `airgap-judged`: their judgments, by the same keys. Apart from them: what is staged is read all together, and verdicts
/// are long.
pub const fn judged() -> Table<StagedKey, Prepared> {
    Table::new("airgap-judged")
}

/// Documents of judgments that are not in force, or of a switch just done: bundle, document.
const WAITING_DOCS: Table<(Digest, Digest), Raw> = Table::new("airgap-docs");

/// Bundles of which something came into force and whose documents are not where all others are; the value is the size of
/// the log then.
const UNSETTLED: Table<Digest, u64> = Table::new("airgap-unsettled");

/// Documents moved or removed in one transaction, which everybody who writes waits for.
const DOCUMENTS_AT_ONCE: usize = 256;

/// And their bytes. Threat: memory.
const BYTES_AT_ONCE: usize = 2 << 20;

impl Catalog {
    /// Writes to the journal: documents of a bundle's judgments, and, in the same transaction, rows of the caller's.
    pub async fn journal<T: Send + 'static>(
        &self,
        bundle: Digest,
        documents: Vec<Bytes>,
        rows: impl FnOnce(&mut Tx<'_>) -> Result<T, CatalogError> + Send + 'static,
    ) -> Result<T, CatalogError> {
        let documents: Vec<_> = documents
            .into_iter()
            .map(|bytes| (Digest::of(&bytes), bytes))
            .collect();
        self.db
            .transact(move |tx| {
                for (digest, bytes) in documents {
                    tx.put(&WAITING_DOCS, &(bundle, digest), &Raw(bytes))?;
                }
                rows(tx)
            })
            .await
    }

    /// Reads the journal. What is read passes once and takes no place from what is served.
    pub async fn journalled<T: Send + 'static>(
        &self,
        rows: impl FnOnce(&View<'_>) -> Result<T, CatalogError> + Send + 'static,
    ) -> Result<T, CatalogError> {
        self.db
            .read(move |view| {
                view.pass();
                rows(view)
            })
            .await
    }

    /// A document that waits with a bundle.
    pub async fn waiting_doc(&self, bundle: Digest, document: Digest) -> Result<Option<Bytes>, CatalogError> {
        self.journalled(move |view| {
            let found = view.get(&WAITING_DOCS, &(bundle, document))?;
            Ok(found.map(|Raw(bytes)| bytes))
        })
        .await
    }

    /// The contents that an import has staged, each once.
    pub async fn staged_by(&self, bundle: Digest) -> Result<Vec<Digest>, CatalogError> {
        self.db
            .read(move |view| {
                let mut blobs = BTreeSet::new();
                for row in view.scan(&staged::<Raw>(), bundle.as_bytes(), None)? {
                    let ((_, _, _, sha256), _) = row?;
                    blobs.insert(sha256);
                }
                Ok(blobs.into_iter().collect())
            })
            .await
    }

    /// The contents that imports have staged. `but`: not those of this bundle, whose rows are not even read.
    pub async fn staged_blobs(&self, but: Option<Digest>) -> Result<HashSet<Digest>, CatalogError> {
        self.db
            .read(move |view| {
                let mut blobs = HashSet::new();
                let mut from = None;
                loop {
                    let mut skip = None;
                    for row in view.scan(&staged::<Raw>(), b"", from.as_deref())? {
                        let ((bundle, _, _, sha256), _) = row?;
                        if Some(bundle) == but {
                            skip = after(&bundle);
                            break;
                        }
                        blobs.insert(sha256);
                    }
                    let Some(next) = skip else { return Ok(blobs) };
                    from = Some(next);
                }
            })
            .await
    }

    /// Puts a bundle's documents where all others are, once it is in force as a whole. Until then they are found all the
    /// same. A crash in between leaves some where they were: to be done again.
    pub async fn settle_documents(&self, bundle: Digest) -> Result<(), CatalogError> {
        self.empty(bundle, true).await?;
        self.db
            .transact(move |tx| Ok::<_, CatalogError>(tx.delete(&UNSETTLED, &bundle)?))
            .await
    }

    /// The bundles of which something is in force and whose documents are not settled: after a crash.
    pub async fn unsettled(&self) -> Result<Vec<Digest>, CatalogError> {
        self.db.read(unsettled).await
    }

    /// Removes a bundle's documents that never came into force.
    pub async fn drop_documents(&self, bundle: Digest) -> Result<(), CatalogError> {
        self.empty(bundle, false).await
    }

    async fn empty(&self, bundle: Digest, keep: bool) -> Result<(), CatalogError> {
        let mut after: Option<Vec<u8>> = None;
        loop {
            let from = after.take();
            let found = self
                .db
                .read(move |view| {
                    view.pass();
                    let (mut found, mut bytes) = (Vec::new(), 0);
                    for row in view.scan(&WAITING_DOCS, bundle.as_bytes(), from.as_deref())? {
                        let ((_, digest), document) = row?;
                        bytes += document.0.len();
                        found.push((digest, document));
                        if found.len() >= DOCUMENTS_AT_ONCE || bytes >= BYTES_AT_ONCE {
                            break;
                        }
                    }
                    Ok::<_, CatalogError>(found)
                })
                .await?;
            let Some((last, _)) = found.last() else {
                return Ok(());
            };
            after = Some((bundle, *last).to_successor().map_err(bad_key)?);
            self.db
                .transact(move |tx| {
                    for (digest, document) in found {
                        if keep && !tx.contains(&DOCS, &digest)? {
                            tx.put(&DOCS, &digest, &document)?;
                        }
                        tx.delete(&WAITING_DOCS, &(bundle, digest))?;
                    }
                    Ok::<_, CatalogError>(())
                })
                .await?;
        }
    }
}

/// The beginning of the keys after all those of a bundle.
fn after(bundle: &Digest) -> Option<Vec<u8>> {
    let bytes = bundle.as_bytes();
    let last = bytes.iter().rposition(|byte| *byte != u8::MAX)?;
    let mut next = bytes[..=last].to_vec();
    next[last] = next[last].wrapping_add(1);
    Some(next)
}

fn unsettled(view: &View<'_>) -> Result<Vec<Digest>, CatalogError> {
    let rows = view.scan(&UNSETTLED, b"", None)?;
    Ok(rows
        .map(|row| row.map(|(bundle, _)| bundle))
        .collect::<Result<_, _>>()?)
}

/// From now on a bundle's documents count.
pub(super) fn unsettle(tx: &mut Tx<'_>, bundle: &Digest, size: u64) -> Result<(), CatalogError> {
    Ok(tx.put(&UNSETTLED, bundle, &size)?)
}

/// A document of a bundle that came into force and is not settled yet.
pub(super) fn waiting_document(view: &View<'_>, digest: &Digest) -> Result<Option<Bytes>, CatalogError> {
    for bundle in unsettled(view)? {
        if let Some(Raw(bytes)) = view.get(&WAITING_DOCS, &(bundle, *digest))? {
            return Ok(Some(bytes));
        }
    }
    Ok(None)
}
