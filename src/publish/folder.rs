//! The metadata files on disk: written aside, synced, renamed; served as they lie there; never read to be signed.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use chiron_storage::Digest;
use chiron_tuf::{MetadataName, limits::metadata_bytes};

use super::PublishError;
use crate::blocking;

/// From this many files on, one sync of the file system costs less than one of each file.
const SYNC_TOGETHER_FROM: usize = 24;

/// Ending of a file that is being written.
const ASIDE: &str = ".new";

/// `DATA/tuf`. Cheap to clone. Its methods wait for the disk, on blocking threads.
#[derive(Debug, Clone)]
pub(super) struct Folder {
    /// `DATA/tuf/metadata`.
    metadata: PathBuf,
    /// `DATA/tuf/root.json`: what a client is given to begin with.
    root: PathBuf,
}

/// When what is written aside is made durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Syncing {
    /// Each file as it is written.
    Each,
    /// All of them when they are put in place.
    Together,
}

impl Syncing {
    /// What suits so many files.
    pub(super) fn of(files: usize) -> Self {
        if files < SYNC_TOGETHER_FROM {
            Self::Each
        } else {
            Self::Together
        }
    }
}

/// What lies under a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lies {
    /// What was written.
    Same,
    /// Something else.
    Changed,
    /// Nothing.
    Missing,
}

impl Folder {
    /// Makes the folder where it is not, and removes what a crash left half written.
    pub(super) async fn open(tuf: &Path) -> Result<Self, PublishError> {
        let folder = Self {
            metadata: tuf.join("metadata"),
            root: tuf.join("root.json"),
        };
        let own = folder.clone();
        blocking::run(move || {
            let path = &own.metadata;
            DirBuilder::new()
                .recursive(true)
                .mode(0o755)
                .create(path)
                .map_err(|error| failed("make", path, error))?;
            let listed = fs::read_dir(path).map_err(|error| failed("list", path, error))?;
            for entry in listed.flatten() {
                let is_file = entry.file_type().is_ok_and(|kind| kind.is_file());
                if is_file && entry.file_name().to_string_lossy().ends_with(ASIDE) {
                    let path = entry.path();
                    fs::remove_file(&path).map_err(|error| failed("remove", &path, error))?;
                }
            }
            Ok::<_, PublishError>(())
        })
        .await??;
        Ok(folder)
    }

    /// Where a file lies.
    pub(super) fn path(&self, name: MetadataName) -> PathBuf {
        self.metadata.join(name.to_string())
    }

    fn aside(&self, name: MetadataName) -> PathBuf {
        self.metadata.join(format!("{name}{ASIDE}"))
    }

    /// Writes a file aside, where nobody looks. Blocks.
    pub(super) fn write_aside(
        &self,
        name: MetadataName,
        bytes: &[u8],
        syncing: Syncing,
    ) -> Result<(), PublishError> {
        write(&self.aside(name), bytes, syncing)
    }

    /// Puts files that were written aside in their places, durably. Blocks.
    ///
    /// Nothing names them yet: a crash in the middle leaves files that are written over later.
    pub(super) fn settle(&self, names: &[MetadataName], syncing: Syncing) -> Result<(), PublishError> {
        if names.is_empty() {
            return Ok(());
        }
        if syncing == Syncing::Together {
            let folder = File::open(&self.metadata);
            folder
                .and_then(|folder| rustix::fs::syncfs(folder).map_err(io::Error::from))
                .map_err(|error| failed("sync", &self.metadata, error))?;
        }
        for name in names {
            let path = self.path(*name);
            fs::rename(self.aside(*name), &path).map_err(|error| failed("rename", &path, error))?;
        }
        sync(&self.metadata)
    }

    /// Replaces a file at once: clients see the old one or the new one. Blocks.
    pub(super) fn replace(&self, name: MetadataName, bytes: &[u8]) -> Result<(), PublishError> {
        self.write_aside(name, bytes, Syncing::Each)?;
        self.settle(&[name], Syncing::Each)
    }

    /// Replaces the copy of the newest root. Blocks.
    pub(super) fn replace_root(&self, bytes: &[u8]) -> Result<(), PublishError> {
        if fs::read(&self.root).is_ok_and(|found| found == bytes) {
            return Ok(());
        }
        let aside = self.root.with_extension("json.new");
        write(&aside, bytes, Syncing::Each)?;
        fs::rename(&aside, &self.root).map_err(|error| failed("rename", &self.root, error))?;
        sync(self.root.parent().unwrap_or(&self.metadata))
    }

    /// A file as it lies there; `None` if there is none. Blocks.
    ///
    /// Threat: an edited folder with a file without end: more than a client would read is not read.
    pub(super) fn read(&self, name: MetadataName) -> Result<Option<Bytes>, PublishError> {
        let path = self.path(name);
        let most = metadata_bytes(name.role());
        let mut bytes = Vec::new();
        match File::open(&path).and_then(|file| file.take(most + 1).read_to_end(&mut bytes)) {
            Ok(_) => Ok(Some(bytes.into())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed("read", &path, error)),
        }
    }

    /// Compares a file with what was written. Blocks.
    pub(super) fn compare(
        &self,
        name: MetadataName,
        length: u64,
        sha256: &Digest,
    ) -> Result<Lies, PublishError> {
        Ok(match self.read(name)? {
            None => Lies::Missing,
            Some(bytes) if bytes.len() as u64 == length && Digest::of(&bytes) == *sha256 => Lies::Same,
            Some(_) => Lies::Changed,
        })
    }

    /// Removes a file; it need not be there. Blocks.
    pub(super) fn remove(&self, name: MetadataName) -> Result<(), PublishError> {
        let path = self.path(name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("remove", &path, error)),
            _ => Ok(()),
        }
    }
}

fn write(path: &Path, bytes: &[u8], syncing: Syncing) -> Result<(), PublishError> {
    let written = File::create(path).and_then(|mut file| {
        file.write_all(bytes)?;
        match syncing {
            Syncing::Each => file.sync_all(),
            Syncing::Together => Ok(()),
        }
    });
    written.map_err(|error| failed("write", path, error))
}

/// A rename lasts once its folder is synced.
fn sync(folder: &Path) -> Result<(), PublishError> {
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(|error| failed("sync", folder, error))
}

fn failed(doing: &'static str, path: &Path, source: io::Error) -> PublishError {
    PublishError::Folder {
        doing,
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    fn name(text: &str) -> MetadataName {
        text.parse().unwrap()
    }

    #[tokio::test]
    async fn what_is_written_aside_is_not_there_before_it_is_settled() {
        let data = tempfile::tempdir().unwrap();
        let folder = Folder::open(data.path()).await.unwrap();
        for syncing in [Syncing::Each, Syncing::Together] {
            let name = name(if syncing == Syncing::Each {
                "1.bins.json"
            } else {
                "2.bins.json"
            });
            folder.write_aside(name, b"x", syncing).unwrap();
            assert_eq!(folder.read(name).unwrap(), None);
            folder.settle(&[name], syncing).unwrap();
            assert_eq!(folder.compare(name, 1, &Digest::of(b"x")).unwrap(), Lies::Same);
            assert_eq!(folder.compare(name, 1, &Digest::of(b"y")).unwrap(), Lies::Changed);
        }
        assert_eq!(
            folder.compare(name("3.bins.json"), 1, &Digest::of(b"x")).unwrap(),
            Lies::Missing
        );
    }

    #[tokio::test]
    async fn what_a_crash_left_half_written_goes_and_the_rest_stays() {
        let data = tempfile::tempdir().unwrap();
        let folder = Folder::open(data.path()).await.unwrap();
        folder
            .write_aside(name("7.snapshot.json"), b"half", Syncing::Each)
            .unwrap();
        folder.replace(name("timestamp.json"), b"whole").unwrap();
        Folder::open(data.path()).await.unwrap();
        let names: Vec<_> = fs::read_dir(data.path().join("metadata"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(names, ["timestamp.json"]);
    }
}
