//! A folder layout being written.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Read, Write as _};
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{Context, SHA256};
use chiron_storage::Digest;

use super::behind::{WORTH_BYTES, WriteBehind};
use super::copy::{CopyError, copy};
use super::tar::{partial, sync_folder_of};
use crate::bundle::layout::{Blob, INDEX_JSON, LAYOUT_FILE, OCI_LAYOUT, blob_path};
use crate::bundle::{BundleError, Item};

/// Bytes read at a time where a blob of an earlier run is looked at.
const BUFFER_BYTES: usize = 1 << 20;

/// A layout without `index.json`, which nobody takes for a bundle.
#[derive(Debug)]
pub(super) struct Folder {
    root: PathBuf,
    behind: Option<WriteBehind>,
    /// The blobs that belong to the bundle, where an earlier run may have left others: of another state, that was given up.
    ours: Option<HashSet<Digest>>,
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> BundleError {
    let path = path.to_owned();
    move |source| BundleError::Write { path, source }
}

impl Folder {
    /// Begins, or goes on where an earlier run stopped.
    pub(super) fn create(root: &Path) -> Result<Self, BundleError> {
        let blobs = root.join("blobs").join("sha256");
        let ours = blobs.exists().then(HashSet::new);
        std::fs::create_dir_all(&blobs).map_err(failed(&blobs))?;
        let layout = root.join(LAYOUT_FILE);
        std::fs::write(&layout, OCI_LAYOUT).map_err(failed(&layout))?;
        Ok(Self {
            root: root.to_owned(),
            behind: WriteBehind::start(),
            ours,
        })
    }

    /// Whether a blob of the bundle is there, to the bit: what a power failure left may have its name and size, and not its
    /// bytes.
    pub(super) fn has(&mut self, blob: Blob) -> bool {
        if let Some(ours) = &mut self.ours {
            ours.insert(blob.digest);
        }
        is_there(&blob_path(&self.root, &blob.digest), blob).unwrap_or(false)
    }

    /// A small blob.
    pub(super) fn blob(&mut self, bytes: &[u8]) -> Result<Blob, BundleError> {
        let blob = Blob::of(bytes);
        if self.has(blob) {
            return Ok(blob);
        }
        let path = blob_path(&self.root, &blob.digest);
        let aside = partial(&path);
        std::fs::write(&aside, bytes).map_err(failed(&aside))?;
        std::fs::rename(&aside, &path).map_err(failed(&path))?;
        Ok(blob)
    }

    /// An item that is not there.
    pub(super) fn item(&self, item: &Item, from: impl Read, buffer: &mut Vec<u8>) -> Result<(), BundleError> {
        let path = blob_path(&self.root, &item.digest);
        let aside = partial(&path);
        let mut file = File::create(&aside).map_err(failed(&aside))?;
        let copied = copy(item, from, &mut file, buffer)
            .and_then(|()| file.flush().map_err(CopyError::Write))
            .map_err(|error| match error {
                CopyError::Write(error) => failed(&aside)(error),
                CopyError::Source(error) => error,
            });
        if let Err(error) = copied {
            // The next run writes it anew.
            drop(std::fs::remove_file(&aside));
            return Err(error);
        }
        if let Some(behind) = self.behind.as_ref().filter(|_| item.size >= WORTH_BYTES) {
            behind.begin(&file);
        }
        std::fs::rename(&aside, &path).map_err(failed(&path))
    }

    /// Waits for the disk, then makes it a bundle, and gives it its place.
    ///
    /// One wait for the whole file system instead of one for every blob: a bundle may have hundreds of thousands.
    pub(super) fn finish(self, index: &[u8], out: &Path) -> Result<(), BundleError> {
        let begun = self.behind.map_or(Ok(()), WriteBehind::end);
        begun.map_err(failed(&self.root))?;
        if let Some(ours) = &self.ours {
            remove_others(&self.root.join("blobs").join("sha256"), ours)?;
        }
        let at = self.root.join(INDEX_JSON);
        std::fs::write(&at, index).map_err(failed(&at))?;
        let synced =
            File::open(&self.root).and_then(|folder| rustix::fs::syncfs(&folder).map_err(io::Error::from));
        synced.map_err(failed(&self.root))?;
        std::fs::rename(&self.root, out).map_err(failed(out))?;
        sync_folder_of(out)
    }
}

/// Removes what is not of this bundle, so that its folder is the same however often it was begun.
fn remove_others(blobs: &Path, ours: &HashSet<Digest>) -> Result<(), BundleError> {
    for entry in std::fs::read_dir(blobs).map_err(failed(blobs))? {
        let path = entry.map_err(failed(blobs))?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        let digest = name.and_then(|name| name.parse::<Digest>().ok());
        if !digest.is_some_and(|digest| ours.contains(&digest)) {
            std::fs::remove_file(&path).map_err(failed(&path))?;
        }
    }
    Ok(())
}

fn is_there(path: &Path, blob: Blob) -> io::Result<bool> {
    let about = std::fs::symlink_metadata(path)?;
    if !about.is_file() || about.len() != blob.size {
        return Ok(false);
    }
    let mut file = File::open(path)?;
    let mut context = Context::new(&SHA256);
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok(context.finish().as_ref() == blob.digest.as_bytes());
        }
        context.update(&buffer[..read]);
    }
}
