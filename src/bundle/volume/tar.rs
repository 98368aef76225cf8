//! One tar volume being written.

use std::fs::File;
use std::io::{self, BufWriter, Read, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use super::behind::WriteBehind;
use super::copy::{CopyError, copy};
use crate::bundle::layout::blob_name;
use crate::bundle::ustar::{self, TRAILER, TRAILER_LEN, padding};
use crate::bundle::{BundleError, Item};

/// Bytes collected before they are written.
const BUFFER_BYTES: usize = 256 << 10;
/// Bytes after which the disk is asked to begin.
const BEHIND_BYTES: u64 = 32 << 20;

/// A volume under its name with `.partial` behind it. Dropped unfinished, the file is removed.
pub(super) struct TarVolume {
    out: BufWriter<File>,
    partial: PathBuf,
    path: PathBuf,
    /// Bytes since the disk was last asked to begin.
    fresh: u64,
    behind: Option<WriteBehind>,
    finished: bool,
}

/// What a file is called while it is written.
pub(super) fn partial(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".partial");
    name.into()
}

impl TarVolume {
    pub(super) fn create(path: &Path) -> Result<Self, BundleError> {
        let partial = partial(path);
        let flags = i32::try_from(OFlags::NOFOLLOW.bits()).unwrap_or_default();
        // What an earlier run left under this name was never finished.
        let file = File::options()
            .write(true)
            .create(true)
            .truncate(true)
            .custom_flags(flags)
            .open(&partial)
            .map_err(|source| BundleError::Write {
                path: partial.clone(),
                source,
            })?;
        Ok(Self {
            out: BufWriter::with_capacity(BUFFER_BYTES, file),
            partial,
            path: path.to_owned(),
            fresh: 0,
            behind: WriteBehind::start(),
            finished: false,
        })
    }

    fn failed(&self, source: io::Error) -> BundleError {
        BundleError::Write {
            path: self.partial.clone(),
            source,
        }
    }

    fn header(&mut self, name: &str, size: u64) -> Result<(), BundleError> {
        let header = ustar::header(name, size).map_err(|error| BundleError::Damaged {
            what: format!("the member {name}"),
            why: error.to_string(),
        })?;
        self.out.write_all(&header).map_err(|error| self.failed(error))
    }

    fn zeros(&mut self, count: u64) -> Result<(), BundleError> {
        let zeros = [0; TRAILER_LEN];
        let zeros = zeros
            .get(..usize::try_from(count).unwrap_or_default())
            .unwrap_or_default();
        self.out.write_all(zeros).map_err(|error| self.failed(error))
    }

    /// A small member.
    pub(super) fn member(&mut self, name: &str, bytes: &[u8]) -> Result<(), BundleError> {
        let size = bytes.len() as u64;
        self.header(name, size)?;
        self.out.write_all(bytes).map_err(|error| self.failed(error))?;
        self.zeros(padding(size))
    }

    /// An item.
    pub(super) fn item(
        &mut self,
        item: &Item,
        from: impl Read,
        buffer: &mut Vec<u8>,
    ) -> Result<(), BundleError> {
        self.header(&blob_name(&item.digest), item.size)?;
        copy(item, from, &mut self.out, buffer).map_err(|error| match error {
            CopyError::Write(error) => self.failed(error),
            CopyError::Source(error) => error,
        })?;
        self.zeros(padding(item.size))?;
        self.fresh = self.fresh.saturating_add(item.size);
        if self.fresh >= BEHIND_BYTES {
            self.fresh = 0;
            if let Some(behind) = &self.behind {
                behind.begin(self.out.get_ref());
            }
        }
        Ok(())
    }

    /// Ends the archive, waits for the disk, and gives it its name.
    pub(super) fn finish(mut self) -> Result<(), BundleError> {
        self.zeros(TRAILER)?;
        self.out.flush().map_err(|error| self.failed(error))?;
        let begun = self.behind.take().map_or(Ok(()), WriteBehind::end);
        begun.map_err(|error| self.failed(error))?;
        self.out
            .get_ref()
            .sync_all()
            .map_err(|error| self.failed(error))?;
        std::fs::rename(&self.partial, &self.path).map_err(|source| BundleError::Write {
            path: self.path.clone(),
            source,
        })?;
        self.finished = true;
        sync_folder_of(&self.path)
    }
}

impl Drop for TarVolume {
    fn drop(&mut self) {
        if !self.finished {
            // It is not read by anyone, and the next run writes it anew: what is left behind does no harm.
            drop(std::fs::remove_file(&self.partial));
        }
    }
}

/// Makes a rename last.
pub(super) fn sync_folder_of(path: &Path) -> Result<(), BundleError> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or_else(|| Path::new("."));
    let synced = File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(|source| BundleError::Write {
        path: folder.to_owned(),
        source,
    })
}
