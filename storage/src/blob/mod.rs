//! Immutable files named by their SHA-256: stage → seal → open → delete.
//!
//! ```text
//! DATA/staging/*          being written or judged; not yet trusted; emptied when the store is opened
//! DATA/blobs/ab/cdef…     sealed: synced, read-only, named by content (2 + 62 hexadecimal digits)
//! DATA/corrupt/abcdef…    set aside: no longer what their name says; kept for a look, never served
//! ```
//!
//! A blob appears by one rename of a file that is already on disk, so a half-written one is never
//! visible. A stored blob is hashed before it is first served and whenever its file is another than
//! the one that was hashed (device, inode, size, mtime, ctime), so a changed one is never served.

mod error;
mod layout;
mod mapping;
mod open;
mod seal;
mod stage;

use std::fs::File;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

pub use error::BlobError;
pub use open::OpenBlob;
pub use stage::{Stage, StagedBlob};

use crate::blocking;
use crate::digest::Digest;
use crate::space;
use layout::Layout;
pub(crate) use layout::{Entry, FOLDERS};
use open::OpenFiles;
pub(crate) use open::{for_each_part, hash_file};

/// How the store is opened.
#[derive(Debug, Clone)]
pub struct BlobOptions {
    /// Bytes that staging must leave free on the disk (threat: a download that fills it and stops the
    /// log).
    pub min_free_bytes: u64,
    /// Verified blobs kept at hand: one descriptor and one mapping each, or up to 16 KiB of memory.
    pub open_files: usize,
}

impl Default for BlobOptions {
    fn default() -> Self {
        Self {
            min_free_bytes: 512 << 20,
            open_files: 512,
        }
    }
}

/// A sealed blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Blob {
    /// Its name and content.
    pub digest: Digest,
    /// Bytes.
    pub size: u64,
}

/// The blobs of one data folder. Cheap to clone; one process at a time.
#[derive(Clone)]
pub struct BlobStore {
    inner: Arc<Inner>,
}

struct Inner {
    layout: Layout,
    min_free_bytes: u64,
    open_files: OpenFiles,
    /// Holds the lock on the data folder's staging area.
    _lock: File,
}

impl BlobStore {
    /// Opens the store in `root`, creates what is missing and removes what a crash left in staging.
    /// Blocks: call it while starting up.
    ///
    /// Errors: [`BlobError::Locked`] when another process has it open (nothing was touched),
    /// [`BlobError::NoSpace`], [`BlobError::Io`].
    #[allow(clippy::needless_pass_by_value)] // options are built in the call
    pub fn open_at(root: &Path, options: BlobOptions) -> Result<Self, BlobError> {
        let layout = Layout::new(root);
        let lock = layout.create_and_lock()?;
        layout.clear_staging()?;
        Ok(Self {
            inner: Arc::new(Inner {
                layout,
                min_free_bytes: options.min_free_bytes,
                open_files: OpenFiles::new(options.open_files),
                _lock: lock,
            }),
        })
    }

    /// Starts a blob of at most `limit` bytes.
    pub async fn stage(&self, limit: u64) -> Result<Stage, BlobError> {
        let store = self.clone();
        blocking::run(move || Stage::start(store, limit)).await?
    }

    /// Makes a staged blob permanent: when this returns, the disk has it under its name. Sealing
    /// content that is already stored replaces it with the same bytes. On an error the staged file is
    /// gone and must be staged again.
    pub async fn seal(&self, staged: StagedBlob) -> Result<Blob, BlobError> {
        let store = self.clone();
        let ready = staged.synced().await?;
        blocking::run(move || seal::seal(&store.inner.layout, ready)).await?
    }

    /// [`BlobStore::seal`] for many, in order, with one sync of each folder they land in. After an error
    /// some may be stored; sealing them again is harmless.
    pub async fn seal_all(&self, staged: Vec<StagedBlob>) -> Result<Vec<Blob>, BlobError> {
        let mut ready = Vec::with_capacity(staged.len());
        for one in staged {
            ready.push(one.synced().await?);
        }
        seal::seal_all(&self.inner, ready).await
    }

    /// Stages and seals a document that is already in memory.
    pub async fn put(&self, bytes: impl Into<Bytes>) -> Result<Blob, BlobError> {
        let (store, bytes) = (self.clone(), bytes.into());
        let sealed = blocking::run(move || {
            let ready = stage::stage_bytes(&store, &bytes)?;
            seal::seal(&store.inner.layout, ready)
        });
        sealed.await?
    }

    /// Stages and seals documents that are already in memory, in order.
    pub async fn put_all(&self, documents: Vec<Bytes>) -> Result<Vec<Blob>, BlobError> {
        let store = self.clone();
        let stage = move |document: Bytes| stage::stage_bytes(&store, &document);
        let ready = blocking::for_all(documents, stage).await?;
        seal::seal_all(&self.inner, ready).await
    }

    /// Opens a blob whose content has been verified.
    ///
    /// Errors: [`BlobError::NotFound`]; [`BlobError::Corrupt`] when the stored bytes are not what the
    /// name says (nothing of them is handed out; see [`BlobStore::set_aside`]).
    pub async fn open(&self, digest: &Digest) -> Result<OpenBlob, BlobError> {
        open::open(&self.inner, digest).await
    }

    /// The file of a verified blob, for reading by position: for checks that read it once more.
    ///
    /// Errors as [`BlobStore::open`].
    pub async fn file(&self, digest: &Digest) -> Result<File, BlobError> {
        let _verified = self.open(digest).await?;
        let (store, digest) = (self.clone(), *digest);
        blocking::run(move || store.inner.layout.open(&digest)).await?
    }

    /// The whole of a verified blob, copied into memory: for documents that are parsed.
    ///
    /// Errors as [`BlobStore::open`], and [`BlobError::TooLarge`] past `limit` bytes.
    pub async fn read(&self, digest: &Digest, limit: u64) -> Result<Bytes, BlobError> {
        let blob = self.open(digest).await?;
        if blob.size() > limit {
            return Err(BlobError::TooLarge { limit });
        }
        let all: Range<u64> = 0..blob.size();
        blob.read(all).await
    }

    /// Removes a blob; whether it was there. After a crash it may be back: callers delete after the
    /// row that names it is gone.
    pub async fn delete(&self, digest: &Digest) -> Result<bool, BlobError> {
        let (store, digest) = (self.clone(), *digest);
        store.inner.open_files.forget(&digest);
        blocking::run(move || store.inner.layout.delete(&digest)).await?
    }

    /// Moves a blob to `corrupt/`, out of reach of [`BlobStore::open`].
    pub async fn set_aside(&self, digest: &Digest) -> Result<(), BlobError> {
        let (store, digest) = (self.clone(), *digest);
        store.inner.open_files.forget(&digest);
        blocking::run(move || store.inner.layout.set_aside(&digest)).await?
    }

    /// Whether a blob is stored (not whether its bytes are sound).
    pub async fn exists(&self, digest: &Digest) -> Result<bool, BlobError> {
        Ok(self.size(digest).await?.is_some())
    }

    /// The bytes of a stored blob, from its file.
    pub async fn size(&self, digest: &Digest) -> Result<Option<u64>, BlobError> {
        let (store, digest) = (self.clone(), *digest);
        blocking::run(move || store.inner.layout.size(&digest)).await?
    }

    /// The stored blobs in order, one folder of 256 at a time. Reads the disk: not for async threads.
    pub fn list(&self) -> impl Iterator<Item = Result<Digest, BlobError>> + use<> {
        let store = self.clone();
        FOLDERS.flat_map(move |folder| match store.inner.layout.list(folder) {
            Ok(entries) => entries.into_iter().map(|entry| Ok(entry.digest)).collect(),
            Err(error) => vec![Err(error)],
        })
    }

    /// Bytes that the disk has free, the reserve included.
    pub fn free_bytes(&self) -> Result<u64, BlobError> {
        self.inner.layout.free_bytes()
    }

    /// Refuses to take `bytes` more from the disk when that would touch the reserve.
    fn check_space(&self, bytes: u64) -> Result<(), BlobError> {
        let needed = self.inner.min_free_bytes.saturating_add(bytes);
        let free = self.free_bytes()?;
        if free < needed {
            return Err(BlobError::NoSpace { needed, free });
        }
        Ok(())
    }

    /// One folder's blobs, for the sweeps.
    pub(crate) async fn list_folder(&self, folder: u8) -> Result<Vec<Entry>, BlobError> {
        let store = self.clone();
        blocking::run(move || store.inner.layout.list(folder)).await?
    }

    /// The file of a blob as it is on disk: for the sweeps, and for who hashes what it reads and believes it only then, which
    /// is one pass instead of two. Reads the disk: not for async threads.
    ///
    /// Errors: [`BlobError::NotFound`], [`BlobError::Io`].
    pub fn open_unverified(&self, digest: &Digest) -> Result<File, BlobError> {
        self.inner.layout.open(digest)
    }
}

impl std::fmt::Debug for BlobStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("BlobStore")
            .field(&self.inner.layout.root())
            .finish()
    }
}

/// Whether an I/O error means a full disk; the error that callers see.
fn io_error(path: &Path, source: std::io::Error) -> BlobError {
    if space::is_no_space(&source) {
        return BlobError::NoSpace {
            needed: 0,
            free: space::free_bytes(path.parent().unwrap_or(path)).unwrap_or(0),
        };
    }
    BlobError::Io {
        path: path.to_owned(),
        source,
    }
}
