//! The Ed25519 key that signs checkpoints, in the text forms of C2SP `signed-note`.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use signed_note::{StandardSigner, is_key_name_valid, key_id};

use super::LogError;

/// Signature type 1 of `signed-note`: Ed25519.
const ED25519: u8 = 1;
/// Bytes of an Ed25519 seed.
const SEED_BYTES: usize = 32;
/// Bytes of a key file that are read (threat: the path of something else).
const KEY_FILE_BYTES: u64 = 4096;

/// A signing key and its name, which is also the log's origin.
pub struct LogKey {
    origin: String,
    verifier: String,
    secret: String,
    signer: StandardSigner,
}

impl LogKey {
    /// Makes a new key. `origin` names the log, like `chiron.example.org/log`: no spaces, no plus sign.
    pub fn generate(origin: &str) -> Result<Self, LogError> {
        let mut seed = [0; SEED_BYTES];
        aws_lc_rs::rand::fill(&mut seed).map_err(|_| invalid("no randomness"))?;
        if !is_key_name_valid(origin) || origin.chars().any(char::is_control) {
            return Err(invalid(
                "its name holds a space, a plus sign or a control character, or is empty",
            ));
        }
        let public = public_key(&seed)?;
        let id = key_id(origin, &public);
        let secret = STANDARD.encode([&[ED25519], seed.as_slice()].concat());
        Self::parse(&format!("PRIVATE+KEY+{origin}+{id:08x}+{secret}"))
    }

    /// Reads the key that [`LogKey::store`] wrote.
    pub fn load(path: &Path) -> Result<Self, LogError> {
        let mut text = String::new();
        File::open(path)
            .and_then(|file| file.take(KEY_FILE_BYTES).read_to_string(&mut text))
            .map_err(|source| key_file(path, source))?;
        Self::parse(text.trim_end())
    }

    /// Writes the key to a new file that only its owner can read, and syncs it. An existing file is
    /// never replaced.
    pub fn store(&self, path: &Path) -> Result<(), LogError> {
        let write = || {
            let mut file = OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(path)?;
            file.write_all(self.secret.as_bytes())?;
            file.write_all(b"\n")?;
            file.sync_all()?;
            match path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
                Some(folder) => File::open(folder)?.sync_all(),
                None => Ok(()),
            }
        };
        write().map_err(|source| key_file(path, source))
    }

    fn parse(secret: &str) -> Result<Self, LogError> {
        let signer = StandardSigner::new(secret).map_err(|error| invalid(&error.to_string()))?;
        let mut fields = secret.splitn(5, '+').skip(2);
        let (Some(origin), Some(_id), Some(key)) = (fields.next(), fields.next(), fields.next()) else {
            return Err(invalid("it has too few fields"));
        };
        let key = STANDARD.decode(key).map_err(|_| invalid("it is not base64"))?;
        let seed = key.get(1..).unwrap_or_default();
        let public = public_key(seed)?;
        Ok(Self {
            origin: origin.to_owned(),
            verifier: format!(
                "{origin}+{:08x}+{}",
                key_id(origin, &public),
                STANDARD.encode(&public)
            ),
            secret: secret.to_owned(),
            signer,
        })
    }

    /// The log's name, the first line of its checkpoints.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The public key in its text form, `origin+hash+base64`: what a verifier is configured with.
    pub fn verifier(&self) -> &str {
        &self.verifier
    }

    pub(super) fn signer(&self) -> &StandardSigner {
        &self.signer
    }
}

impl fmt::Debug for LogKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LogKey").field(&self.verifier).finish()
    }
}

/// The public key after its signature type's byte.
fn public_key(seed: &[u8]) -> Result<Vec<u8>, LogError> {
    let pair = Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| invalid("it is not an Ed25519 seed"))?;
    Ok([&[ED25519], pair.public_key().as_ref()].concat())
}

fn invalid(detail: &str) -> LogError {
    LogError::Key {
        detail: detail.to_owned(),
    }
}

fn key_file(path: &Path, source: std::io::Error) -> LogError {
    LogError::KeyFile {
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn survives_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.key");
        let key = LogKey::generate("example.org/log").unwrap();
        key.store(&path).unwrap();
        let loaded = LogKey::load(&path).unwrap();
        assert_eq!(loaded.verifier(), key.verifier());
        assert_eq!(loaded.origin(), "example.org/log");
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let again = LogKey::generate("example.org/log").unwrap().store(&path);
        assert!(matches!(again, Err(LogError::KeyFile { .. })));
    }

    #[test]
    fn never_shows_its_secret() {
        let key = LogKey::generate("example.org/log").unwrap();
        let secret = key.secret.rsplit('+').next().unwrap();
        assert!(!format!("{key:?}").contains(secret));
    }

    #[test]
    fn refuses_bad_names_and_bad_files() {
        for name in ["", "a b", "a+b", "a\nb"] {
            assert!(
                matches!(LogKey::generate(name), Err(LogError::Key { .. })),
                "{name:?}"
            );
        }
        for text in ["", "PRIVATE+KEY+a+00000000+AQ==", "PRIVATE+KEY+a+b"] {
            assert!(
                matches!(LogKey::parse(text), Err(LogError::Key { .. })),
                "{text:?}"
            );
        }
    }
}
