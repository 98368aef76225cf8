//! The key that signs Chiron's own statements.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use thiserror::Error;

use super::public_key::{pem_body, to_pem};
use super::{Envelope, PAYLOAD_TYPE, PublicKey, Statement, pae};

/// Bytes of a key file that are read (threat: the path of something else).
const KEY_FILE_BYTES: u64 = 4096;

/// Why there is no key to sign statements with.
#[derive(Debug, Error)]
pub enum StatementKeyError {
    /// The machine gave no randomness, or the library refused what it made itself.
    #[error("a new Ed25519 key cannot be made")]
    Generate,
    /// The file is there and holds something else.
    #[error(
        "{path} is not an Ed25519 key in PKCS#8 PEM; restore it, or move it away and a new key is made at the next start"
    )]
    NotAKey {
        /// Where.
        path: PathBuf,
    },
    /// The file cannot be read or written.
    #[error("the statement key {path}: {source}")]
    File {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// An Ed25519 key that signs statements. Cheap to clone; never shows its secret.
#[derive(Clone)]
pub struct StatementKey {
    pair: Arc<Ed25519KeyPair>,
    public: PublicKey,
}

impl StatementKey {
    /// Makes a new key.
    pub fn generate() -> Result<Self, StatementKeyError> {
        Self::from_pair(Ed25519KeyPair::generate().map_err(|_| StatementKeyError::Generate)?)
    }

    fn from_pair(pair: Ed25519KeyPair) -> Result<Self, StatementKeyError> {
        let public =
            PublicKey::ed25519(pair.public_key().as_ref()).map_err(|_| StatementKeyError::Generate)?;
        Ok(Self {
            pair: Arc::new(pair),
            public,
        })
    }

    /// Reads a key in PKCS#8 PEM: what [`Self::store`] wrote, or `openssl genpkey -algorithm ed25519`.
    pub fn load(path: &Path) -> Result<Self, StatementKeyError> {
        let mut text = String::new();
        File::open(path)
            .and_then(|file| file.take(KEY_FILE_BYTES).read_to_string(&mut text))
            .map_err(|source| match source.kind() {
                io::ErrorKind::InvalidData => StatementKeyError::NotAKey {
                    path: path.to_owned(),
                },
                _ => file_error(path, source),
            })?;
        let not_a_key = || StatementKeyError::NotAKey {
            path: path.to_owned(),
        };
        let der = pem_body(&text, "PRIVATE KEY").ok_or_else(not_a_key)?;
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der).map_err(|_| not_a_key())?;
        Self::from_pair(pair)
    }

    /// Writes the key to a new file that only its owner can read, and syncs it. An existing file is never replaced.
    pub fn store(&self, path: &Path) -> Result<(), StatementKeyError> {
        let der: Pkcs8V1Der<'_> = self.pair.as_der().map_err(|_| StatementKeyError::Generate)?;
        let pem = to_pem("PRIVATE KEY", der.as_ref());
        let write = || {
            let mut file = OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(path)?;
            file.write_all(pem.as_bytes())?;
            file.sync_all()?;
            match path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
                Some(folder) => File::open(folder)?.sync_all(),
                None => Ok(()),
            }
        };
        write().map_err(|source| file_error(path, source))
    }

    /// What others verify with.
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// The public key in PEM.
    pub fn public_pem(&self) -> String {
        self.public.to_pem()
    }

    /// SHA-256 over the public key's DER, hexadecimal; stands in every envelope as `keyid`.
    pub fn key_id(&self) -> String {
        self.public.key_id()
    }

    /// Signs a statement.
    pub fn sign(&self, statement: &Statement) -> Envelope {
        let payload = statement.to_bytes();
        let signature = self.pair.sign(&pae(PAYLOAD_TYPE, &payload));
        Envelope::new(PAYLOAD_TYPE, payload, &self.key_id(), signature.as_ref().to_vec())
    }
}

impl fmt::Debug for StatementKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("StatementKey").field(&self.key_id()).finish()
    }
}

fn file_error(path: &Path, source: io::Error) -> StatementKeyError {
    StatementKeyError::File {
        path: path.to_owned(),
        source,
    }
}
