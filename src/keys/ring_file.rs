//! `ring.json`: what a repository's keys are called, where they are, and their public halves. No secrets.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use chiron_tuf::{KeyId, PublicKey};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::error::KeyError;
use super::file::{self, Guard};
use super::place::KeyPlace;

/// The ring's file inside its folder.
const NAME: &str = "ring.json";

/// What is locked while the ring is changed: not the ring itself, which is replaced by renaming.
const LOCK: &str = "ring.lock";

/// The form of the file.
const SCHEMA: &str = "chiron.keyring/v1";

/// Bytes of the file (threat: a file that was filled up). A key needs about 500.
const MAX_BYTES: usize = 1024 * 1024;

/// Keys of one ring; a root with all its holders needs about twenty.
const MAX_KEYS: usize = 1000;

/// A key of the ring.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyRecord {
    /// What metadata calls it: follows from `public`.
    pub id: KeyId,
    /// What people call it; once in a ring.
    pub label: String,
    /// Where its private half is.
    pub place: KeyPlace,
    /// Its public half.
    pub public: PublicKey,
    /// When the ring got it.
    pub created: Timestamp,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    schema: String,
    keys: Vec<KeyRecord>,
}

/// The keys of a folder. None when there is no ring yet.
pub fn read(folder: &Path) -> Result<Vec<KeyRecord>, KeyError> {
    let path = folder.join(NAME);
    if !path.exists() {
        return Ok(Vec::new());
    }
    let bytes = file::read_guarded(&path, MAX_BYTES, Guard::Owner)?;
    parse(&bytes).map_err(|why| KeyError::Ring { path, why })
}

fn parse(bytes: &[u8]) -> Result<Vec<KeyRecord>, String> {
    let document: Document = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    if document.schema != SCHEMA {
        return Err(format!("its schema is {:?} and not {SCHEMA}", document.schema));
    }
    if document.keys.len() > MAX_KEYS {
        return Err(format!("it has more than {MAX_KEYS} keys"));
    }
    for (at, key) in document.keys.iter().enumerate() {
        if key.id != key.public.id() {
            return Err(format!("the id of {:?} is not that of its public key", key.label));
        }
        if !is_label(&key.label) {
            return Err(format!("{:?} is no label", key.label));
        }
        let before = &document.keys[..at];
        if before
            .iter()
            .any(|other| other.label == key.label || other.id == key.id)
        {
            return Err(format!("{:?} is in it twice", key.label));
        }
    }
    Ok(document.keys)
}

/// True for what may be a key's label: it becomes a file name and a word of a command line, and is no key id.
pub fn is_label(text: &str) -> bool {
    let hexadecimal = text.len() >= 8 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    (1..=64).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && !hexadecimal
}

/// The ring while nobody else can change it. Released when dropped.
pub struct Locked {
    folder: PathBuf,
    keys: Vec<KeyRecord>,
    _lock: File,
}

impl Locked {
    /// Waits for whoever holds it, and reads the ring.
    pub fn wait(folder: &Path) -> Result<Self, KeyError> {
        let path = folder.join(LOCK);
        let lock = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .and_then(|file| file.lock().map(|()| file));
        let lock = lock.map_err(|source| KeyError::file("lock", &path, source))?;
        Ok(Self {
            folder: folder.to_owned(),
            keys: read(folder)?,
            _lock: lock,
        })
    }

    /// The key with this id.
    pub fn with_id(&self, id: KeyId) -> Option<&KeyRecord> {
        self.keys.iter().find(|key| key.id == id)
    }

    /// `label`, or with the first of -2, -3, … that neither a key nor a key file has.
    pub fn free_label(&self, label: &str) -> String {
        let taken = |label: &str| {
            self.keys.iter().any(|key| key.label == label)
                || self.folder.join(format!("{label}.pem")).exists()
        };
        let numbered = (2_u32..).map(|n| format!("{label}-{n}"));
        std::iter::once(label.to_owned())
            .chain(numbered)
            .find(|label| !taken(label))
            .unwrap_or_default()
    }

    /// Adds the key, in the place of a record with the same id, and writes the ring.
    pub fn put(mut self, record: KeyRecord) -> Result<KeyRecord, KeyError> {
        self.keys.retain(|key| key.id != record.id);
        self.keys.push(record.clone());
        let path = self.folder.join(NAME);
        let ring = |why: String| KeyError::Ring {
            path: path.clone(),
            why,
        };
        let document = Document {
            schema: SCHEMA.to_owned(),
            keys: self.keys,
        };
        let mut bytes = serde_json::to_vec_pretty(&document).map_err(|error| ring(error.to_string()))?;
        bytes.push(b'\n');
        // What could not be read again is not written.
        parse(&bytes).map_err(ring)?;
        file::replace(&path, &bytes)?;
        Ok(record)
    }
}
