//! Another passphrase for the key files of a ring.

use std::fs;
use std::path::{Path, PathBuf};

use chiron_tuf::{LocalKey, PublicKey, Signer as _};
use zeroize::Zeroizing;

use super::encrypted;
use super::error::KeyError;
use super::file::{self, Guard};
use super::open::{bounded, private_der, read_file};
use super::passphrase::{self, BESIDE, Passphrase};
use super::pem::{self, Block};
use super::place::KeyPlace;
use super::ring::{KeyRecord, Keyring};

impl Keyring {
    /// Encrypts every key file in the ring's folder with the passphrase that is given now, or that a person types, and
    /// then removes the one that lies beside them. Key files elsewhere are left alone. `old` is a file with the
    /// passphrase so far, where no source has it.
    ///
    /// What was interrupted is finished by doing it again: each file is replaced in one step, and the passphrase beside
    /// them goes last.
    pub async fn reseal(&self, old: Option<PathBuf>) -> Result<Vec<KeyRecord>, KeyError> {
        let (folder, settings) = (self.folder(), self.settings());
        let source = settings.passphrase.clone();
        let prepared = crate::blocking::run(move || {
            if let Some(path) = old {
                source.remember(&passphrase::read(&path, Guard::Owner)?);
            }
            source.for_good()
        });
        let new = prepared.await.map_err(|_| KeyError::Stopping)??;
        let _ring = self.lock().await?;
        let mut done = Vec::new();
        for key in self.list()? {
            let KeyPlace::File { path } = &key.place else {
                continue;
            };
            if path.is_absolute() {
                continue;
            }
            let path = folder.join(path);
            let pem = read_file(&key.place, path.clone(), settings).await?;
            let der = private_der(&key.place, pem, folder, settings).await?;
            let replace = {
                let (new, public) = (new.clone(), key.public.clone());
                move || replace(&path, &der, &new, &public)
            };
            bounded(&key.place, settings.timeout, replace).await?;
            done.push(key);
        }
        let beside = folder.join(BESIDE);
        match fs::remove_file(&beside) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(KeyError::file("remove", &beside, error))
            }
            _ => Ok(done),
        }
    }
}

/// Writes the key anew, once it is certain that what is written opens again.
fn replace(
    path: &Path,
    der: &Zeroizing<Vec<u8>>,
    new: &Passphrase,
    public: &PublicKey,
) -> Result<(), KeyError> {
    const WRONG: KeyError =
        KeyError::Crypto("a key that was encrypted anew does not open; its file was not changed");
    let sealed = encrypted::seal(der, new)?;
    let Ok(Block::Encrypted(again)) = pem::read(sealed.as_bytes()) else {
        return Err(WRONG);
    };
    let opened = encrypted::open(&again, new).map_err(|_| WRONG)?;
    match LocalKey::from_pkcs8(&opened) {
        Ok(key) if key.public() == public => file::replace(path, sealed.as_bytes()),
        _ => Err(WRONG),
    }
}
