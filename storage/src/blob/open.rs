//! Verified blobs, kept open: the path of every download.

use std::collections::HashMap;
use std::fs::{self, File, Metadata};
use std::io;
use std::ops::Range;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use aws_lc_rs::digest::{Context, SHA256};
use bytes::Bytes;

use super::{BlobError, Inner, io_error, mapping};
use crate::blocking;
use crate::digest::Digest;
use crate::hashing::finish_sha256;

/// Blobs up to this size are held in memory instead of mapped: most metadata and verdicts.
const IN_MEMORY_BYTES: u64 = 16 << 10;
/// Bytes read at once while hashing.
const READ_BYTES: usize = 256 << 10;
/// Shards of the table of open files, so that downloads do not wait for each other.
const SHARDS: usize = 16;
/// Locks that let one of several callers verify a blob while the others wait for its answer.
const VERIFY_LOCKS: usize = 64;
/// Times that a file which is being changed is hashed before giving up.
const VERIFY_ATTEMPTS: u8 = 3;

/// What tells a file from any other, and from itself before a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Identity {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Identity {
    fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

/// A blob whose bytes have been verified.
struct Verified {
    digest: Digest,
    path: PathBuf,
    identity: Identity,
    /// The mapping, or the bytes themselves when they are few.
    bytes: Bytes,
    /// The file under the mapping, for reading with `pread`.
    mapped: Option<File>,
}

/// A blob whose bytes have been verified, ready to be sent. Cheap to clone.
#[derive(Clone)]
pub struct OpenBlob {
    verified: Arc<Verified>,
}

impl OpenBlob {
    /// The blob's name.
    pub fn digest(&self) -> Digest {
        self.verified.digest
    }

    /// Bytes in the blob.
    pub fn size(&self) -> u64 {
        self.verified.identity.size
    }

    /// A slice to hand to a socket, without a copy; `range` is cut to the blob.
    ///
    /// Do not look into it: it may be a mapping (see `mapping.rs`). [`OpenBlob::read`] is for that.
    pub fn bytes(&self, range: Range<u64>) -> Bytes {
        let Range { start, end } = self.clamp(range);
        self.verified.bytes.slice(start..end)
    }

    /// A copy of a range in memory, for parsing; `range` is cut to the blob.
    pub async fn read(&self, range: Range<u64>) -> Result<Bytes, BlobError> {
        if self.verified.mapped.is_none() {
            return Ok(self.bytes(range));
        }
        let verified = Arc::clone(&self.verified);
        let Range { start, end } = self.clamp(range);
        let copied = blocking::run(move || {
            let mut copy = vec![0; end - start];
            if let Some(file) = &verified.mapped {
                let read = file.read_exact_at(&mut copy, start as u64);
                read.map_err(|error| io_error(&verified.path, error))?;
            }
            Ok(copy.into())
        });
        copied.await?
    }

    fn clamp(&self, range: Range<u64>) -> Range<usize> {
        let length = self.verified.bytes.len();
        let end = usize::try_from(range.end).unwrap_or(length).min(length);
        let start = usize::try_from(range.start).unwrap_or(length).min(end);
        start..end
    }
}

/// Verified blobs, the least recently used dropped first.
pub(super) struct OpenFiles {
    shards: Vec<Mutex<Shard>>,
    per_shard: usize,
    verifying: Vec<tokio::sync::Mutex<()>>,
}

#[derive(Default)]
struct Shard {
    files: HashMap<Digest, (Arc<Verified>, u64)>,
    clock: u64,
}

impl OpenFiles {
    pub(super) fn new(open_files: usize) -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            per_shard: open_files.div_ceil(SHARDS).max(1),
            verifying: (0..VERIFY_LOCKS).map(|_| tokio::sync::Mutex::default()).collect(),
        }
    }

    fn shard(&self, digest: &Digest) -> std::sync::MutexGuard<'_, Shard> {
        let shard = &self.shards[usize::from(digest.as_bytes()[31]) % SHARDS];
        // A shard is whole between any two statements below, so a panic elsewhere does not spoil it.
        shard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn get(&self, digest: &Digest) -> Option<Arc<Verified>> {
        let mut shard = self.shard(digest);
        shard.clock += 1;
        let now = shard.clock;
        let (verified, used) = shard.files.get_mut(digest)?;
        *used = now;
        Some(Arc::clone(verified))
    }

    fn keep(&self, verified: Arc<Verified>) {
        let mut shard = self.shard(&verified.digest);
        shard.clock += 1;
        let now = shard.clock;
        shard.files.insert(verified.digest, (verified, now));
        if shard.files.len() > self.per_shard {
            let oldest = shard.files.iter().min_by_key(|(_, (_, used))| *used);
            if let Some(oldest) = oldest.map(|(digest, _)| *digest) {
                shard.files.remove(&oldest);
            }
        }
    }

    pub(super) fn forget(&self, digest: &Digest) {
        self.shard(digest).files.remove(digest);
    }

    fn verify_lock(&self, digest: &Digest) -> &tokio::sync::Mutex<()> {
        &self.verifying[usize::from(digest.as_bytes()[30]) % VERIFY_LOCKS]
    }
}

/// Hot path: one lookup and one `stat`, on the calling thread. Otherwise the file is hashed once, on
/// a blocking thread, however many callers ask.
pub(super) async fn open(store: &Arc<Inner>, digest: &Digest) -> Result<OpenBlob, BlobError> {
    if let Some(verified) = unchanged(store, digest)? {
        return Ok(OpenBlob { verified });
    }
    let _turn = store.open_files.verify_lock(digest).lock().await;
    if let Some(verified) = unchanged(store, digest)? {
        return Ok(OpenBlob { verified });
    }
    let (for_task, digest) = (Arc::clone(store), *digest);
    let verified = blocking::run(move || verify(&for_task, digest)).await??;
    Ok(OpenBlob { verified })
}

/// The verified blob, if the file of its name is still the one that was verified.
fn unchanged(store: &Inner, digest: &Digest) -> Result<Option<Arc<Verified>>, BlobError> {
    let Some(verified) = store.open_files.get(digest) else {
        return Ok(None);
    };
    match fs::metadata(&verified.path) {
        Ok(metadata) if Identity::of(&metadata) == verified.identity => Ok(Some(verified)),
        Ok(_) => {
            store.open_files.forget(digest);
            Ok(None)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            store.open_files.forget(digest);
            Err(BlobError::NotFound { digest: *digest })
        }
        Err(error) => Err(io_error(&verified.path, error)),
    }
}

/// Hashes the file; one that is changed meanwhile is hashed again, a few times.
fn verify(store: &Inner, digest: Digest) -> Result<Arc<Verified>, BlobError> {
    let path = store.layout.blob(&digest);
    for _ in 0..VERIFY_ATTEMPTS {
        if let Some(verified) = verify_once(store, digest, &path)? {
            let verified = Arc::new(verified);
            store.open_files.keep(Arc::clone(&verified));
            return Ok(verified);
        }
    }
    Err(io_error(
        &path,
        io::Error::other("the file changes while it is read"),
    ))
}

fn verify_once(store: &Inner, digest: Digest, path: &Path) -> Result<Option<Verified>, BlobError> {
    let failed = |error| io_error(path, error);
    let file = store.layout.open(&digest)?;
    let identity = Identity::of(&file.metadata().map_err(failed)?);
    let in_memory = identity.size <= IN_MEMORY_BYTES;
    let (bytes, found) = if in_memory {
        let mut bytes = Vec::new();
        for_each_part(&file, |part| bytes.extend_from_slice(part)).map_err(failed)?;
        let found = Digest::of(&bytes);
        (Bytes::from(bytes), found)
    } else {
        let found = hash_file(&file).map_err(failed)?;
        (mapping::map(&file).map_err(failed)?, found)
    };
    let after = Identity::of(&file.metadata().map_err(failed)?);
    if after != identity || bytes.len() as u64 != identity.size {
        return Ok(None);
    }
    if found != digest {
        tracing::error!(%digest, %found, "a stored blob is damaged");
        return Err(BlobError::Corrupt { digest });
    }
    Ok(Some(Verified {
        digest,
        path: path.to_owned(),
        identity,
        bytes,
        mapped: (!in_memory).then_some(file),
    }))
}

/// SHA-256 of everything in the file, read with `pread`.
pub(crate) fn hash_file(file: &File) -> io::Result<Digest> {
    let mut context = Context::new(&SHA256);
    for_each_part(file, |part| context.update(part))?;
    Ok(finish_sha256(context))
}

/// Reads the file from start to end in parts.
pub(crate) fn for_each_part(file: &File, mut take: impl FnMut(&[u8])) -> io::Result<u64> {
    let mut part = vec![0; READ_BYTES];
    let mut offset = 0;
    loop {
        match file.read_at(&mut part, offset) {
            Ok(0) => return Ok(offset),
            Ok(read) => {
                take(&part[..read]);
                offset += read as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
