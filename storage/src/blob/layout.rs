//! Where blobs are on disk, and the plain operations on their files. Everything here blocks.

use std::fs::{self, File};
use std::io;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rustix::fs::FlockOperation;
use rustix::io::Errno;

use super::{BlobError, io_error};
use crate::digest::Digest;
use crate::space;

/// The first byte of a digest names its folder.
pub(crate) const FOLDERS: RangeInclusive<u8> = 0..=u8::MAX;

const STAGING: &str = "staging";
const BLOBS: &str = "blobs";
const CORRUPT: &str = "corrupt";

/// A stored file, from its folder's listing.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry {
    pub(crate) digest: Digest,
    pub(crate) size: u64,
    pub(crate) modified: SystemTime,
}

/// The three folders of a data folder.
pub(super) struct Layout {
    root: PathBuf,
    staging: PathBuf,
    blobs: PathBuf,
    corrupt: PathBuf,
}

impl Layout {
    pub(super) fn new(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
            staging: root.join(STAGING),
            blobs: root.join(BLOBS),
            corrupt: root.join(CORRUPT),
        }
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    pub(super) fn staging(&self) -> &Path {
        &self.staging
    }

    /// Creates and syncs the folders; the lock lasts as long as the returned file is open.
    pub(super) fn create_and_lock(&self) -> Result<File, BlobError> {
        create_folder(&self.staging)?;
        let lock = File::open(&self.staging).map_err(|error| io_error(&self.staging, error))?;
        match rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => {
                return Err(BlobError::Locked {
                    path: self.root.clone(),
                });
            }
            Err(errno) => return Err(io_error(&self.staging, errno.into())),
        }
        create_folder(&self.corrupt)?;
        create_folder(&self.blobs)?;
        let mut created = false;
        for folder in FOLDERS {
            created |= create_folder(&self.folder(folder))?;
        }
        if created {
            sync_folder(&self.blobs)?;
        }
        sync_folder(&self.root)?;
        Ok(lock)
    }

    /// Removes what a crash left: nothing in staging was ever acknowledged.
    pub(super) fn clear_staging(&self) -> Result<(), BlobError> {
        let failed = |error| io_error(&self.staging, error);
        for entry in fs::read_dir(&self.staging).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            tracing::info!(path = %path.display(), "removing what an earlier run left in staging");
            fs::remove_file(&path).map_err(|error| io_error(&path, error))?;
        }
        Ok(())
    }

    pub(super) fn folder(&self, folder: u8) -> PathBuf {
        self.blobs.join(format!("{folder:02x}"))
    }

    pub(super) fn blob(&self, digest: &Digest) -> PathBuf {
        let name = digest.to_string();
        let (folder, rest) = name.split_at(2);
        self.blobs.join(folder).join(rest)
    }

    pub(super) fn open(&self, digest: &Digest) -> Result<File, BlobError> {
        let path = self.blob(digest);
        File::open(&path).map_err(|error| missing_or(error, digest, &path))
    }

    pub(super) fn size(&self, digest: &Digest) -> Result<Option<u64>, BlobError> {
        let path = self.blob(digest);
        match fs::metadata(&path) {
            Ok(metadata) => Ok(Some(metadata.len())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(io_error(&path, error)),
        }
    }

    pub(super) fn delete(&self, digest: &Digest) -> Result<bool, BlobError> {
        let path = self.blob(digest);
        match fs::remove_file(&path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(io_error(&path, error)),
        }
    }

    pub(super) fn set_aside(&self, digest: &Digest) -> Result<(), BlobError> {
        let path = self.blob(digest);
        fs::rename(&path, self.corrupt.join(digest.to_string()))
            .map_err(|error| missing_or(error, digest, &path))?;
        sync_folder(&self.corrupt)?;
        sync_folder(&self.folder(digest.as_bytes()[0]))
    }

    /// The blobs of one folder in order; files with other names are left alone.
    pub(super) fn list(&self, folder: u8) -> Result<Vec<Entry>, BlobError> {
        let path = self.folder(folder);
        let failed = |error| io_error(&path, error);
        let mut entries = Vec::new();
        for file in fs::read_dir(&path).map_err(failed)? {
            let file = file.map_err(failed)?;
            let name = file.file_name();
            let digest = name
                .to_str()
                .and_then(|rest| format!("{folder:02x}{rest}").parse::<Digest>().ok());
            let Some(digest) = digest else {
                tracing::warn!(path = %file.path().display(), "not a blob's name; left alone");
                continue;
            };
            let metadata = match file.metadata() {
                Ok(metadata) => metadata,
                // Deleted since the folder was read.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(failed(error)),
            };
            entries.push(Entry {
                digest,
                size: metadata.len(),
                modified: metadata.modified().map_err(failed)?,
            });
        }
        entries.sort_unstable_by_key(|entry| entry.digest);
        Ok(entries)
    }

    pub(super) fn free_bytes(&self) -> Result<u64, BlobError> {
        space::free_bytes(&self.root).map_err(|error| io_error(&self.root, error))
    }
}

/// Creates a folder and its parents; whether it was missing.
fn create_folder(path: &Path) -> Result<bool, BlobError> {
    if path.is_dir() {
        return Ok(false);
    }
    fs::create_dir_all(path).map_err(|error| io_error(path, error))?;
    Ok(true)
}

/// Makes renames, creations and removals in a folder survive a crash.
pub(super) fn sync_folder(path: &Path) -> Result<(), BlobError> {
    File::open(path)
        .and_then(|folder| folder.sync_all())
        .map_err(|error| io_error(path, error))
}

fn missing_or(error: io::Error, digest: &Digest, path: &Path) -> BlobError {
    if error.kind() == io::ErrorKind::NotFound {
        return BlobError::NotFound { digest: *digest };
    }
    io_error(path, error)
}
