//! An append-only Merkle log (RFC 6962 hashing) in the layout of C2SP `tlog-tiles`, with signed
//! checkpoints (C2SP `tlog-checkpoint` in a `signed-note`).
//!
//! Entries are numbered from 0. The tree's inner hashes are stored once each, under their stored-hash
//! index (Crosby and Wallach, section 3.3), so that every tile, proof and earlier root is a few point
//! reads. An entry, its nodes and the new size are rows of the caller's own transaction: they and what
//! they describe become durable together.

mod checkpoint;
mod error;
mod key;
mod merkle;
mod proof;
mod proof_file;
mod tile;
mod tree;

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

pub use checkpoint::{Checkpoint, open_checkpoint, read_checkpoint};
pub use error::LogError;
pub use key::LogKey;
pub use proof::{leaf_hash, verify_consistency, verify_inclusion};
pub use proof_file::{ConsistencyProof, InclusionProof, MAX_PROOF_BYTES, ProofFile, ProofFileError};
pub use tile::{TileKind, TilePath, TilePathError};
pub use tree::TreeBuilder;

use crate::db::{Db, META, Tx, View};
use crate::digest::Digest;
use crate::table::{Raw, Table};

/// The entries, by number.
pub(crate) const ENTRIES: Table<u64, Raw> = Table::new("entries");
/// The tree's hashes, by stored-hash index.
pub(crate) const NODES: Table<u64, Raw> = Table::new("nodes");
const SIZE: Table<String, u64> = Table::new(META);
const SIZE_KEY: &str = "log.size";

/// Bytes of one entry: its length takes two bytes in an entry bundle (C2SP tlog-tiles, "Log entries").
pub const MAX_ENTRY_BYTES: usize = 65_535;
/// Hashes in a full tile, entries in a full bundle.
pub const TILE_WIDTH: u16 = 256;

/// A tree size and its signed checkpoint.
type Signed = (u64, Vec<u8>);

/// The log in a database. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Log {
    db: Db,
    key: Arc<LogKey>,
    /// The newest checkpoint signed, by its size.
    signed: Arc<Mutex<Option<Signed>>>,
}

impl Log {
    /// The log that `db` holds, signed with `key`.
    pub fn new(db: Db, key: LogKey) -> Self {
        Self {
            db,
            key: Arc::new(key),
            signed: Arc::default(),
        }
    }

    /// The key that signs the checkpoints.
    pub fn key(&self) -> &LogKey {
        &self.key
    }

    /// Adds an entry within the caller's transaction and returns its number.
    ///
    /// Errors: [`LogError::EntryTooLarge`] past [`MAX_ENTRY_BYTES`]; the caller's closure should pass
    /// errors on, so that nothing of its transaction is kept.
    pub fn append(&self, tx: &mut Tx<'_>, entry: &[u8]) -> Result<u64, LogError> {
        if entry.len() > MAX_ENTRY_BYTES {
            return Err(LogError::EntryTooLarge { bytes: entry.len() });
        }
        let number = Self::size_in_tx(tx)?;
        let hashes = merkle::new_hashes(tx, number, entry)?;
        let first = tlog_tiles::stored_hash_index(0, number);
        for (index, hash) in (first..).zip(hashes) {
            tx.put(&NODES, &index, &Raw(Bytes::copy_from_slice(&hash.0)))?;
        }
        tx.put(&ENTRIES, &number, &Raw(Bytes::copy_from_slice(entry)))?;
        tx.put(&SIZE, &SIZE_KEY.to_owned(), &(number + 1))?;
        Ok(number)
    }

    /// The number of entries that a transaction sees.
    pub fn size_in_tx(tx: &Tx<'_>) -> Result<u64, LogError> {
        Ok(tx.get(&SIZE, &SIZE_KEY.to_owned())?.unwrap_or(0))
    }

    /// The number of entries in a read view.
    pub fn size_in_view(view: &View<'_>) -> Result<u64, LogError> {
        Ok(view.get(&SIZE, &SIZE_KEY.to_owned())?.unwrap_or(0))
    }

    /// The number of entries.
    pub async fn size(&self) -> Result<u64, LogError> {
        self.db.read(Self::size_in_view).await
    }

    /// Entry `number`, if there is one.
    pub async fn entry(&self, number: u64) -> Result<Option<Bytes>, LogError> {
        Ok(self.db.get(&ENTRIES, &number).await?.map(|Raw(bytes)| bytes))
    }

    /// At most `limit` entries from number `from` on.
    pub async fn entries(&self, from: u64, limit: usize) -> Result<Vec<(u64, Bytes)>, LogError> {
        self.db
            .read(move |view| Self::entries_in_view(view, from)?.take(limit).collect())
            .await
    }

    /// The entries from number `from` on, in a read view.
    pub fn entries_in_view<'v>(
        view: &'v View<'_>,
        from: u64,
    ) -> Result<impl Iterator<Item = Result<(u64, Bytes), LogError>> + use<'v>, LogError> {
        let rows = view.scan(&ENTRIES, b"", Some(&from.to_be_bytes()))?;
        Ok(rows.map(|row| {
            let (number, Raw(bytes)) = row?;
            Ok((number, bytes))
        }))
    }

    /// The root hash of the tree of the first `size` entries.
    pub async fn root(&self, size: u64) -> Result<Digest, LogError> {
        self.db.read(move |view| merkle::root(view, size)).await
    }

    /// The signed checkpoint of the newest tree; signed once for each size.
    pub async fn checkpoint(&self) -> Result<Vec<u8>, LogError> {
        let size = self.size().await?;
        if let Some((signed, note)) = &*self.signed.lock().unwrap_or_else(PoisonError::into_inner)
            && *signed == size
        {
            return Ok(note.clone());
        }
        let note = self.checkpoint_at(size).await?;
        let mut newest = self.signed.lock().unwrap_or_else(PoisonError::into_inner);
        if newest.as_ref().is_none_or(|(signed, _)| *signed < size) {
            *newest = Some((size, note.clone()));
        }
        Ok(note)
    }

    /// The signed checkpoint of the tree of the first `size` entries.
    pub async fn checkpoint_at(&self, size: u64) -> Result<Vec<u8>, LogError> {
        let root = self.root(size).await?;
        checkpoint::sign(&self.key, size, root)
    }

    /// A hash tile: `width` hashes (1 to 256), 32 bytes each, from `index * 256` on at tile level
    /// `level`. None when the tree does not have all of them.
    pub async fn tile(&self, level: u8, index: u64, width: u16) -> Result<Option<Bytes>, LogError> {
        self.db
            .read(move |view| tile::hashes(view, level, index, width))
            .await
    }

    /// An entry bundle: `width` entries (1 to 256) from `index * 256` on, each after its length in two
    /// big-endian bytes. None when the log does not have all of them.
    pub async fn entry_bundle(&self, index: u64, width: u16) -> Result<Option<Bytes>, LogError> {
        self.db.read(move |view| tile::entries(view, index, width)).await
    }

    /// Reads every entry and computes the tree again; its size and root when the stored hashes agree.
    ///
    /// Errors: [`LogError::Damaged`] when an entry is missing, changed or too many.
    pub async fn audit(&self) -> Result<(u64, Digest), LogError> {
        self.db.read(merkle::audit).await
    }

    /// The audit path (RFC 6962, 2.1.1) of entry `number` in the tree of the first `size` entries.
    pub async fn prove_inclusion(&self, number: u64, size: u64) -> Result<Vec<Digest>, LogError> {
        self.db
            .read(move |view| merkle::prove_inclusion(view, number, size))
            .await
    }

    /// The proof (RFC 6962, 2.1.2) that the tree of `to` entries begins with the tree of `from`. Empty
    /// when `from` is 0 or equal to `to`.
    pub async fn prove_consistency(&self, from: u64, to: u64) -> Result<Vec<Digest>, LogError> {
        self.db
            .read(move |view| merkle::prove_consistency(view, from, to))
            .await
    }

    /// The roots of the full subtrees that cover the first `size` entries, largest first: what a [`TreeBuilder`] begins from.
    /// At most 64 point reads, whatever the size.
    pub async fn frontier(&self, size: u64) -> Result<Vec<Digest>, LogError> {
        self.db.read(move |view| merkle::frontier(view, size)).await
    }
}
