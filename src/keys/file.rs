//! Key files: read with a look at who else can, written so that nobody else can.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use zeroize::Zeroizing;

use super::error::KeyError;

/// Who must be the only reader of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guard {
    /// Its owner, who is the user of this process or root.
    Owner,
    /// Nobody in particular: it is public, or somebody else guards it.
    None,
}

/// The permissions of files with keys.
const FILE_MODE: u32 = 0o600;

/// The permissions of folders with keys.
const FOLDER_MODE: u32 = 0o700;

/// Reads a file of `max` bytes at most; larger ones are an error. What was read is wiped when dropped.
///
/// The permissions are those of the file that was opened, so that it cannot be exchanged between look and read.
pub fn read_guarded(path: &Path, max: usize, guard: Guard) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let failed = |source| KeyError::file("read", path, source);
    let mut file = File::open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    if guard == Guard::Owner {
        let mode = metadata.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(KeyError::Exposed {
                path: path.to_owned(),
                mode,
            });
        }
        let owner = metadata.uid();
        if owner != 0 && owner != rustix::process::geteuid().as_raw() {
            return Err(KeyError::Foreign {
                path: path.to_owned(),
                owner,
            });
        }
    }
    // All at once: a buffer that grows leaves copies behind that nobody wipes.
    let mut bytes = Zeroizing::new(vec![0; max + 1]);
    let mut length = 0;
    while length < bytes.len() {
        match file.read(&mut bytes[length..]) {
            Ok(0) => break,
            Ok(more) => length += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(failed(error)),
        }
    }
    if length > max {
        return Err(KeyError::NotAKey {
            place: path.display().to_string(),
            why: format!("is longer than {max} bytes, so it is something else"),
        });
    }
    bytes.truncate(length);
    Ok(bytes)
}

/// Writes a new file that only its owner can read, and syncs it and its folder. What is there is never replaced.
pub fn write_new(path: &Path, bytes: &[u8]) -> Result<(), KeyError> {
    let write = || {
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(FILE_MODE)
            .open(path)?;
        if let Err(error) = file.write_all(bytes).and_then(|()| file.sync_all()) {
            // Half a key is none, and would be in the way of the next attempt.
            let _ = fs::remove_file(path);
            return Err(error);
        }
        sync_folder(path)
    };
    write().map_err(|source| KeyError::file("write", path, source))
}

/// Puts a file in the place of another in one step, readable by its owner only.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<(), KeyError> {
    let write = || {
        let folder = path.parent().unwrap_or(Path::new("."));
        let mut file = tempfile::Builder::new()
            .prefix(".new-")
            .permissions(fs::Permissions::from_mode(FILE_MODE))
            .tempfile_in(folder)?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        file.persist(path).map_err(|error| error.error)?;
        sync_folder(path)
    };
    write().map_err(|source| KeyError::file("write", path, source))
}

/// Makes a folder (and those above it) that only its owner can enter; one that is there must be so.
///
/// It is not narrowed silently: it may be a folder of something else, and who could write to it may have.
pub fn make_folder(path: &Path) -> Result<(), KeyError> {
    let failed = |source| KeyError::file("make the folder", path, source);
    fs::DirBuilder::new()
        .recursive(true)
        .mode(FOLDER_MODE)
        .create(path)
        .map_err(failed)?;
    let mode = fs::metadata(path).map_err(failed)?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(KeyError::OpenFolder {
            path: path.to_owned(),
            mode,
        });
    }
    Ok(())
}

fn sync_folder(path: &Path) -> io::Result<()> {
    match path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        Some(folder) => File::open(folder)?.sync_all(),
        None => File::open(".")?.sync_all(),
    }
}
