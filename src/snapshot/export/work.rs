//! `OUT.partial`: what a killed export goes on from.
//!
//! ```text
//! OUT.partial/export.json   the generation that the export is over; written when `tuf.pack` is there
//! OUT.partial/tuf.pack      the TUF pack of that generation
//! OUT.partial/envelope      the signed manifest, as soon as it is signed
//! OUT.partial/advisories    the advisory database, with advisories.json
//! OUT.partial/layers/       packs by digest: made again when the export goes on, with the same bytes
//! OUT.partial/deltas/       differences by what they make of what: costly, so kept
//! OUT.partial/scratch/      emptied when the export goes on
//! ```

use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use chiron_storage::Digest;
use jiff::Timestamp;
use rustix::fs::FlockOperation;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::ExportError;
use crate::bundle::{PolicyPart, TufVersions};

const BEGUN: &str = "export.json";
const TUF: &str = "tuf.pack";
const LOCK: &str = "lock";
const FOLDERS: [&str; 3] = ["layers", "deltas", "scratch"];

/// The generation that an export is over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Begun {
    /// Of the request: another one does not go on with this.
    pub request: Digest,
    /// Entries of the log.
    pub log_size: u64,
    /// Root hash at that size.
    pub root: Digest,
    /// When the generation was signed.
    pub at: Timestamp,
    /// Of the roles that there is one of.
    pub tuf: TufVersions,
    /// The signed checkpoint.
    pub checkpoint: String,
    /// The rules that the generation's documents of trust name.
    pub policy: PolicyPart,
    /// The advisory database then in force.
    pub database: Option<Database>,
    /// Bytes of the TUF pack once unpacked.
    pub tuf_unpacked: u64,
    /// SHA-256 of the TUF pack.
    pub tuf_digest: Digest,
}

/// An advisory database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Database {
    /// The newest change of any record in it.
    pub as_of: Timestamp,
    /// Over its content.
    pub digest: Digest,
    /// How many it holds.
    pub records: u64,
}

/// The folder, locked. All of it blocks.
#[derive(Debug)]
pub(super) struct Work {
    folder: PathBuf,
    _lock: File,
}

impl Work {
    /// Makes or takes up the folder.
    pub fn open(folder: &Path) -> Result<Self, ExportError> {
        let in_the_way = |why: &str| ExportError::InTheWay {
            path: folder.to_owned(),
            why: why.to_owned(),
        };
        match fs::create_dir(folder) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                if !folder.join(LOCK).is_file() {
                    return Err(in_the_way("it is not the work of an export"));
                }
            }
            Err(error) => return Err(ExportError::file(folder)(error)),
        }
        let path = folder.join(LOCK);
        let lock = File::create(&path).map_err(ExportError::file(&path))?;
        rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive)
            .map_err(|_| in_the_way("another export is writing it"))?;
        let scratch = folder.join("scratch");
        match fs::remove_dir_all(&scratch) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(ExportError::file(&scratch)(error));
            }
            _ => {}
        }
        for name in FOLDERS {
            let path = folder.join(name);
            fs::create_dir_all(&path).map_err(ExportError::file(&path))?;
        }
        Ok(Self {
            folder: folder.to_owned(),
            _lock: lock,
        })
    }

    /// What an export before this one fixed, with its TUF pack.
    pub fn begun(&self) -> Result<Option<(Begun, Bytes)>, ExportError> {
        let Some(begun) = self.read::<Begun>(BEGUN)? else {
            return Ok(None);
        };
        let path = self.folder.join(TUF);
        let pack = Bytes::from(fs::read(&path).map_err(ExportError::file(&path))?);
        // After a power cut one of them may not have reached the disk: as if nothing had been begun.
        Ok((Digest::of(&pack) == begun.tuf_digest).then_some((begun, pack)))
    }

    /// Fixes the generation.
    pub fn begin(&self, begun: &Begun, tuf: &[u8]) -> Result<(), ExportError> {
        self.write(TUF, tuf)?;
        self.write_json(BEGUN, begun)
    }

    /// Forgets what was begun.
    pub fn begin_anew(&self) -> Result<(), ExportError> {
        for name in [BEGUN, TUF, "envelope", "advisories", "advisories.json"] {
            let path = self.folder.join(name);
            match fs::remove_file(&path) {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    return Err(ExportError::file(&path)(error));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// A place for what may be thrown away.
    pub fn scratch(&self) -> PathBuf {
        self.folder.join("scratch")
    }

    /// Where a pack lies.
    pub fn layer(&self, digest: &Digest) -> PathBuf {
        self.folder.join("layers").join(digest.to_string())
    }

    /// Where the difference that makes `target` of `base` lies.
    pub fn delta(&self, target: &Digest, base: &Digest) -> PathBuf {
        self.folder.join("deltas").join(format!("{target}-{base}"))
    }

    /// Any file of the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Keeps a pack; its digest.
    pub fn put_layer(&self, bytes: &[u8]) -> Result<Digest, ExportError> {
        let digest = Digest::of(bytes);
        self.write(&format!("layers/{digest}"), bytes)?;
        Ok(digest)
    }

    /// Writes a file whole or not at all.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<(), ExportError> {
        let path = self.folder.join(name);
        let fresh = self.folder.join("scratch").join("fresh");
        let write = || {
            let mut file = File::create(&fresh)?;
            file.write_all(bytes)?;
            fs::rename(&fresh, &path)
        };
        write().map_err(ExportError::file(&path))
    }

    pub fn write_json(&self, name: &str, value: &impl Serialize) -> Result<(), ExportError> {
        let bytes = serde_json::to_vec(value)
            .map_err(|error| ExportError::file(&self.folder.join(name))(error.into()))?;
        self.write(name, &bytes)
    }

    /// A file's content; `None` if it is not there or does not parse, as after a power cut.
    pub fn read<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, ExportError> {
        Ok(self
            .bytes(name)?
            .and_then(|bytes| serde_json::from_slice(&bytes).ok()))
    }

    /// A file's bytes; `None` if it is not there.
    pub fn bytes(&self, name: &str) -> Result<Option<Bytes>, ExportError> {
        let path = self.folder.join(name);
        match fs::read(&path) {
            Ok(bytes) => Ok(Some(bytes.into())),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(ExportError::file(&path)(error)),
        }
    }

    /// The bundle is whole.
    pub fn remove(self) -> Result<(), ExportError> {
        fs::remove_dir_all(&self.folder).map_err(ExportError::file(&self.folder))
    }
}
