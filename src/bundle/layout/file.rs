//! Names inside a layout, and files that are opened without trusting the medium.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use chiron_storage::Digest;
use rustix::fs::OFlags;

use crate::bundle::BundleError;

/// The file that says which version of the layout it is.
pub(crate) const LAYOUT_FILE: &str = "oci-layout";
/// The file that names the image index.
pub(crate) const INDEX_JSON: &str = "index.json";

/// A blob's name inside a layout.
pub(crate) fn blob_name(digest: &Digest) -> String {
    format!("blobs/sha256/{digest}")
}

/// Where a blob lies in the layout at `root`.
pub fn blob_path(root: &Path, digest: &Digest) -> PathBuf {
    root.join("blobs").join("sha256").join(digest.to_string())
}

/// Opens a regular file for reading, and says how many bytes it has.
///
/// Threat: a pipe or a device on the medium, which never ends or does something when it is opened. `follow`: whether the
/// name itself may be a symbolic link, as for what an operator names; inside a layout it may not.
pub(super) fn open(path: &Path, follow: bool) -> Result<(File, u64), BundleError> {
    let failed = |source| BundleError::Read {
        path: path.to_owned(),
        source,
    };
    let mut flags = OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    if !follow {
        flags |= OFlags::NOFOLLOW;
    }
    let flags = i32::try_from(flags.bits()).unwrap_or_default();
    let file = File::options().read(true).custom_flags(flags).open(path);
    let file = match file {
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => {
            return Err(not_a_file(path, "it is a symbolic link"));
        }
        other => other.map_err(failed)?,
    };
    let about = file.metadata().map_err(failed)?;
    if !about.is_file() {
        return Err(not_a_file(path, "it is no regular file"));
    }
    Ok((file, about.len()))
}

fn not_a_file(path: &Path, why: &str) -> BundleError {
    BundleError::Damaged {
        what: path.display().to_string(),
        why: why.to_owned(),
    }
}

/// A whole small file.
pub(super) fn read_small(path: &Path, limit: u64) -> Result<Bytes, BundleError> {
    let (file, size) = open(path, false)?;
    BundleError::bounded(&path.display().to_string(), size, limit)?;
    let mut bytes = Vec::new();
    // It may grow while it is read: one byte more than is allowed shows that.
    let read = file.take(limit + 1).read_to_end(&mut bytes);
    read.map_err(|source| BundleError::Read {
        path: path.to_owned(),
        source,
    })?;
    BundleError::bounded(&path.display().to_string(), bytes.len() as u64, limit)?;
    Ok(bytes.into())
}

/// Exactly these bytes of a file; that it ends before them is said as an error of the kind `UnexpectedEof`.
pub(super) fn read_exact_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<()> {
    file.read_exact_at(buffer, offset)
}

/// Bytes of a file, from where to where.
#[derive(Debug)]
pub(super) struct Section {
    pub(super) file: std::sync::Arc<File>,
    pub(super) offset: u64,
    pub(super) size: u64,
}
