//! Two walks over all blobs: `gc` removes what nothing names, `scrub` reads everything again.
//!
//! Both go folder by folder (1/256 of the store each), so memory stays small however many blobs
//! there are. Dropping the future stops the walk between two files.

use std::collections::{HashMap, HashSet};
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use crate::blob::{BlobError, BlobStore, FOLDERS, for_each_part, hash_file};
use crate::blocking;
use crate::digest::{Blake3, Digest};

/// What `gc` did, or would do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SweepReport {
    /// Blobs that something names.
    pub kept: u64,
    /// Bytes of those.
    pub kept_bytes: u64,
    /// Blobs that nothing names, but that are too young to judge.
    pub young: u64,
    /// Blobs removed.
    pub removed: u64,
    /// Bytes of those.
    pub removed_bytes: u64,
}

/// Removes blobs that are not `live` and were sealed more than `grace` ago.
///
/// Bytes land before the row that names them, so a blob may be newer than the caller's idea of what is
/// live: `grace` must be longer than any ingest takes from seal to commit. With `dry_run` nothing is
/// removed. After an error the walk can be started again; what was removed stays removed.
pub async fn gc<S: BuildHasher>(
    blobs: &BlobStore,
    live: &HashSet<Digest, S>,
    grace: Duration,
    dry_run: bool,
) -> Result<SweepReport, BlobError> {
    let mut report = SweepReport::default();
    // A clock that was set back makes files look young, which keeps them.
    let sealed_before = SystemTime::now().checked_sub(grace);
    for folder in FOLDERS {
        for entry in blobs.list_folder(folder).await? {
            if live.contains(&entry.digest) {
                report.kept += 1;
                report.kept_bytes += entry.size;
            } else if sealed_before.is_none_or(|before| entry.modified > before) {
                report.young += 1;
            } else if dry_run || blobs.delete(&entry.digest).await? {
                report.removed += 1;
                report.removed_bytes += entry.size;
            }
        }
    }
    Ok(report)
}

/// How far a scrub has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ScrubProgress {
    /// Blobs read.
    pub checked: u64,
    /// Bytes read.
    pub bytes: u64,
    /// Damaged ones among them.
    pub corrupt: u64,
    /// The part of the store that is behind, in 256ths.
    pub folders: u16,
}

/// What `scrub` found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ScrubReport {
    /// Blobs read.
    pub checked: u64,
    /// Bytes read.
    pub bytes: u64,
    /// Blobs whose bytes are not what their name says, or cannot be read. Still in place: the caller
    /// decides (see [`BlobStore::set_aside`]).
    pub corrupt: Vec<Digest>,
    /// Blobs that the caller expects and that are not stored.
    pub missing: Vec<Digest>,
    /// Whether the walk was stopped; what is listed is then not all, and `missing` is empty.
    pub cancelled: bool,
}

/// Reads every blob and checks it: by BLAKE3 where `expected` gives one, which is several times faster,
/// else by SHA-256. `progress` is called after every blob; setting `cancel` stops between two blobs.
pub async fn scrub<S: BuildHasher>(
    blobs: &BlobStore,
    expected: &HashMap<Digest, Option<Blake3>, S>,
    cancel: &AtomicBool,
    mut progress: impl FnMut(&ScrubProgress),
) -> Result<ScrubReport, BlobError> {
    let mut report = ScrubReport::default();
    let mut found = 0;
    for folder in FOLDERS {
        for entry in blobs.list_folder(folder).await? {
            if cancel.load(Ordering::Relaxed) {
                report.cancelled = true;
                return Ok(report);
            }
            let quick = expected.get(&entry.digest).copied();
            let (store, digest) = (blobs.clone(), entry.digest);
            let sound = blocking::run(move || is_sound(&store, digest, quick.flatten())).await?;
            let sound = match sound {
                // Removed since the folder was listed.
                Err(BlobError::NotFound { .. }) => continue,
                // A disk that cannot give the bytes back has lost them, whatever it says.
                Err(error) => {
                    tracing::error!(%digest, %error, "a stored blob cannot be read");
                    false
                }
                Ok(sound) => sound,
            };
            found += u64::from(quick.is_some());
            report.checked += 1;
            report.bytes += entry.size;
            if !sound {
                report.corrupt.push(entry.digest);
            }
            progress(&ScrubProgress {
                checked: report.checked,
                bytes: report.bytes,
                corrupt: report.corrupt.len() as u64,
                folders: u16::from(folder),
            });
        }
    }
    if found < expected.len() as u64 {
        report.missing = missing(blobs, expected).await?;
    }
    Ok(report)
}

/// Expected blobs that are not stored now, in order.
async fn missing<S: BuildHasher>(
    blobs: &BlobStore,
    expected: &HashMap<Digest, Option<Blake3>, S>,
) -> Result<Vec<Digest>, BlobError> {
    let mut missing = Vec::new();
    for digest in expected.keys() {
        if !blobs.exists(digest).await? {
            missing.push(*digest);
        }
    }
    missing.sort_unstable();
    Ok(missing)
}

fn is_sound(blobs: &BlobStore, digest: Digest, quick: Option<Blake3>) -> Result<bool, BlobError> {
    let file = blobs.open_unverified(&digest)?;
    let failed = |source| BlobError::Io {
        path: digest.to_string().into(),
        source,
    };
    if let Some(quick) = quick {
        let mut hasher = blake3::Hasher::new();
        for_each_part(&file, |part| {
            hasher.update(part);
        })
        .map_err(failed)?;
        if Blake3::from_bytes(*hasher.finalize().as_bytes()) == quick {
            return Ok(true);
        }
        // Perhaps the caller's record is wrong and not the blob: its name decides.
    }
    Ok(hash_file(&file).map_err(failed)? == digest)
}
