//! The folder that something is pulled into: a work folder beside it until everything is there.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use chiron_storage::Digest;

use super::OciError;
use crate::bundle::layout::blob_path;

/// A folder in the making.
#[derive(Debug, Clone)]
pub(super) struct Work {
    out: PathBuf,
    work: PathBuf,
}

/// What is where the folder is to be.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum There {
    /// Nothing, or an empty folder.
    Nothing,
    /// What is to be pulled.
    Same,
}

impl Work {
    /// Works in `OUT.partial`.
    pub(super) fn beside(out: &Path) -> Result<Self, OciError> {
        let name = out.file_name().ok_or_else(|| OciError::InTheWay {
            path: out.to_owned(),
            why: "it is no name for a new folder".to_owned(),
        })?;
        let mut partial = name.to_owned();
        partial.push(".partial");
        Ok(Self {
            out: out.to_owned(),
            work: out.with_file_name(partial),
        })
    }

    /// What is where the folder is to be; another thing is an error. The file `marker` says what a folder holds.
    pub(super) fn look(&self, marker: &str, bytes: &[u8]) -> Result<There, OciError> {
        let in_the_way = |why: &str| OciError::InTheWay {
            path: self.out.clone(),
            why: why.to_owned(),
        };
        let about = match fs::symlink_metadata(&self.out) {
            Ok(about) => about,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(There::Nothing),
            Err(source) => return Err(file("read", &self.out, source)),
        };
        if !about.is_dir() {
            return Err(in_the_way("it is no folder"));
        }
        let mut entries = fs::read_dir(&self.out).map_err(|source| file("read", &self.out, source))?;
        if entries.next().is_none() {
            return Ok(There::Nothing);
        }
        match fs::read(self.out.join(marker)) {
            Ok(found) if found == bytes => Ok(There::Same),
            Ok(_) => Err(in_the_way("it holds something else that was pulled")),
            Err(_) => Err(in_the_way("it is not empty")),
        }
    }

    /// Makes the work folder, or goes on in it; `inside` is where its files lie.
    pub(super) fn make(&self, inside: &str) -> Result<(), OciError> {
        for folder in [self.work.join(inside), self.incoming()] {
            fs::create_dir_all(&folder).map_err(|source| file("write", &folder, source))?;
        }
        Ok(())
    }

    /// A file in it.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.work.join(name)
    }

    /// Where a blob grows.
    pub(super) fn partial(&self, digest: &Digest) -> PathBuf {
        self.partial_of(&digest.to_string())
    }

    /// Where what is called so grows.
    pub(super) fn partial_of(&self, name: &str) -> PathBuf {
        self.incoming().join(name)
    }

    /// Where a blob lies.
    pub(super) fn blob(&self, digest: &Digest) -> PathBuf {
        blob_path(&self.work, digest)
    }

    /// Stores a small document.
    pub(super) fn put(&self, bytes: &[u8]) -> Result<(), OciError> {
        write_whole(&self.blob(&Digest::of(bytes)), bytes)
    }

    /// Writes the `last` files, makes everything permanent, and gives the folder its name.
    pub(super) fn finish(&self, last: &[(&str, &[u8])]) -> Result<(), OciError> {
        let incoming = self.incoming();
        match fs::remove_dir_all(&incoming) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                return Err(file("write", &incoming, source));
            }
            _ => {}
        }
        for (name, bytes) in last {
            write_whole(&self.work.join(name), bytes)?;
        }
        // One flush for thousands of blobs; without it a power cut could leave names without bytes.
        let root = File::open(&self.work).map_err(|source| file("read", &self.work, source))?;
        rustix::fs::syncfs(&root).map_err(|error| file("write", &self.work, error.into()))?;
        fs::rename(&self.work, &self.out).map_err(|source| file("write", &self.out, source))?;
        let parent = match self.out.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        File::open(parent)
            .and_then(|parent| parent.sync_all())
            .map_err(|source| file("write", parent, source))
    }

    /// Inside the work folder, and gone at the end.
    fn incoming(&self) -> PathBuf {
        self.work.join("incoming")
    }
}

/// Writes a file whole or not at all.
pub(super) fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), OciError> {
    let failed = |source| file("write", path, source);
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let fresh = PathBuf::from(name);
    File::create(&fresh)
        .and_then(|mut file| file.write_all(bytes))
        .map_err(failed)?;
    fs::rename(&fresh, path).map_err(failed)
}

pub(super) fn file(doing: &'static str, path: &Path, source: io::Error) -> OciError {
    OciError::File {
        doing,
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_folder_has_its_name_once_it_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("bundle");
        let work = Work::beside(&out).unwrap();
        assert_eq!(work.look("index.json", b"{}").unwrap(), There::Nothing);
        work.make("blobs/sha256").unwrap();
        work.put(b"x").unwrap();
        assert!(!out.exists());
        work.finish(&[("oci-layout", b"{}"), ("index.json", b"{}")])
            .unwrap();
        assert_eq!(fs::read(blob_path(&out, &Digest::of(b"x"))).unwrap(), b"x");
        assert!(!folder.path().join("bundle.partial").exists());
        let mut names: Vec<_> = fs::read_dir(&out)
            .unwrap()
            .map(|e| e.unwrap().file_name())
            .collect();
        names.sort();
        assert_eq!(names, ["blobs", "index.json", "oci-layout"]);
        assert_eq!(work.look("index.json", b"{}").unwrap(), There::Same);
        assert!(matches!(
            work.look("index.json", b"[]"),
            Err(OciError::InTheWay { .. })
        ));
    }

    #[test]
    fn nothing_of_anybody_elses_is_touched() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("mine"), "x").unwrap();
        let work = Work::beside(folder.path()).unwrap();
        assert!(matches!(
            work.look("index.json", b"{}"),
            Err(OciError::InTheWay { .. })
        ));
        let work = Work::beside(&folder.path().join("mine")).unwrap();
        assert!(matches!(
            work.look("index.json", b"{}"),
            Err(OciError::InTheWay { .. })
        ));
        assert!(Work::beside(Path::new("/")).is_err());
        assert!(Work::beside(Path::new("..")).is_err());
    }
}
