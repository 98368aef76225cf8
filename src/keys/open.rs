//! From a place to what signs, and new keys.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use chiron_tuf::{LocalKey, PublicKey, PublicKeyError, Scheme, Signer};
use zeroize::Zeroizing;

use super::deadline::{NotDone, within};
use super::encrypted::{self, Locked};
use super::error::KeyError;
use super::file::{self, Guard};
use super::passphrase::{self, Passphrase};
use super::pem::{self, Block};
use super::pkcs11::{self, Pkcs11Uri};
use super::place::{KeyPlace, PlaceError};
use super::remote::{self, RemotePlace, Surroundings, VaultKey};
use super::ring::KeySettings;
use super::{env, os_keyring};

/// How often a person may mistype a passphrase.
const TRIES: usize = 3;

/// The attribute `service` of new keys in the desktop's keyring.
const SERVICE: &str = "chiron";

/// A key that answered, and its place with everything said that was left open.
pub(super) struct Opened {
    pub(super) signer: Arc<dyn Signer>,
    pub(super) place: KeyPlace,
}

/// Opens a key without a ring: relative files are those in `base`.
pub async fn open_place(
    place: &KeyPlace,
    base: &Path,
    settings: &KeySettings,
) -> Result<Arc<dyn Signer>, KeyError> {
    open(place, None, base, settings)
        .await
        .map(|opened| opened.signer)
}

/// Opens a key. `expected` helps to find it; whoever calls compares.
pub(super) async fn open(
    place: &KeyPlace,
    expected: Option<&PublicKey>,
    base: &Path,
    settings: &KeySettings,
) -> Result<Opened, KeyError> {
    let signer: Arc<dyn Signer> = match place {
        KeyPlace::File { path } => {
            let pem = read_file(place, base.join(path), settings).await?;
            Arc::new(local_key(place, pem, base, settings).await?)
        }
        KeyPlace::Env { variable } => {
            let pem = env::read(place, variable)?;
            Arc::new(local_key(place, pem, base, settings).await?)
        }
        KeyPlace::SecretService { .. } | KeyPlace::Keyutils { .. } => {
            let pem = os_keyring::read(place, settings.timeout).await?;
            Arc::new(local_key(place, pem, base, settings).await?)
        }
        KeyPlace::Pkcs11(uri) => {
            let (signer, uri) = pkcs11::open(uri, settings).await?;
            return Ok(Opened {
                signer,
                place: KeyPlace::Pkcs11(uri),
            });
        }
        KeyPlace::Remote(remote) => {
            let around = Surroundings::of_process(settings.timeout);
            let opened = remote::open(remote, expected, &around).await?;
            return Ok(Opened {
                signer: opened.signer,
                place: KeyPlace::Remote(opened.place),
            });
        }
        KeyPlace::Offline => {
            return Err(KeyError::Missing {
                place: place.to_string(),
                why: "its holder signs elsewhere".to_owned(),
            });
        }
    };
    Ok(Opened {
        signer,
        place: place.clone(),
    })
}

/// Runs what may wait on a disk or a terminal's driver.
pub(super) async fn bounded<T: Send + 'static>(
    place: &KeyPlace,
    timeout: Duration,
    work: impl FnOnce() -> Result<T, KeyError> + Send + 'static,
) -> Result<T, KeyError> {
    match within(timeout, work).await {
        Ok(done) => done,
        Err(NotDone::Late) => Err(KeyError::unavailable(
            place,
            format!("no answer within {timeout:?}"),
        )),
        Err(NotDone::Lost) => Err(KeyError::Stopping),
    }
}

/// The private key in a text of PEM, decrypted with the first passphrase that fits.
async fn local_key(
    place: &KeyPlace,
    pem: Zeroizing<Vec<u8>>,
    base: &Path,
    settings: &KeySettings,
) -> Result<LocalKey, KeyError> {
    let der = private_der(place, pem, base, settings).await?;
    parse(place, &der)
}

/// The same as PKCS#8 in DER.
pub(super) async fn private_der(
    place: &KeyPlace,
    pem: Zeroizing<Vec<u8>>,
    base: &Path,
    settings: &KeySettings,
) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    match pem::read(&pem).map_err(|why| KeyError::not_a_key(place, why))? {
        Block::Public => Err(KeyError::not_a_key(
            place,
            "holds a public key, and a private one is needed",
        )),
        Block::Plain(der) => Ok(der),
        Block::Encrypted(sealed) => unlock(place, Arc::new(sealed), base, settings).await,
    }
}

/// What a file that only its owner can read holds.
pub(super) async fn read_file(
    place: &KeyPlace,
    path: PathBuf,
    settings: &KeySettings,
) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let read = move || file::read_guarded(&path, pem::MAX_BYTES, Guard::Owner);
    bounded(place, settings.timeout, read).await
}

fn parse(place: &KeyPlace, der: &[u8]) -> Result<LocalKey, KeyError> {
    LocalKey::from_pkcs8(der).map_err(|error| KeyError::not_a_key(place, format!("holds {error}")))
}

/// Tries every passphrase that is known, then those that a person types.
async fn unlock(
    place: &KeyPlace,
    sealed: Arc<Zeroizing<Vec<u8>>>,
    base: &Path,
    settings: &KeySettings,
) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let source = &settings.passphrase;
    let _turn = source.turn().await;
    let first = {
        let (source, place, base, sealed) = (
            source.clone(),
            place.clone(),
            base.to_owned(),
            Arc::clone(&sealed),
        );
        move || try_all(&place, &sealed, &source.known(&base)?)
    };
    let mut failure = match bounded(place, settings.timeout, first).await {
        Err(error @ (KeyError::WrongSecret { .. } | KeyError::NoSecret { .. })) if source.may_ask() => error,
        done => return done,
    };
    for _ in 0..TRIES {
        let question = format!("Passphrase for {place}: ");
        let typed = crate::blocking::run(move || passphrase::ask(&question)).await;
        let typed = typed.map_err(|_| KeyError::Stopping)??;
        let next = {
            let (place, sealed, typed) = (place.clone(), Arc::clone(&sealed), typed.clone());
            move || try_all(&place, &sealed, &[typed])
        };
        match bounded(place, settings.timeout, next).await {
            Ok(der) => {
                source.remember(&typed);
                return Ok(der);
            }
            Err(error @ KeyError::WrongSecret { .. }) => failure = error,
            Err(error) => return Err(error),
        }
    }
    Err(failure)
}

fn try_all(place: &KeyPlace, sealed: &[u8], known: &[Passphrase]) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    for passphrase in known {
        match encrypted::open(sealed, passphrase) {
            Ok(der) => return Ok(der),
            Err(Locked::Wrong) => {}
            Err(Locked::NotAKey(why)) => return Err(KeyError::not_a_key(place, why)),
        }
    }
    if known.is_empty() {
        return Err(KeyError::NoSecret {
            place: place.to_string(),
            secret: "passphrase",
            how: passphrase::HOW,
        });
    }
    let sources: Vec<&str> = known.iter().map(Passphrase::source).collect();
    Err(KeyError::WrongSecret {
        place: place.to_string(),
        secret: "passphrase",
        giver: sources.join(" or "),
        hint: "it is another one, or the key is damaged",
    })
}

/// A key in a file that somebody hands in.
#[derive(Debug)]
pub enum HandedIn {
    /// A private key, decrypted.
    Private(LocalKey),
    /// A public key: its holder keeps the private one elsewhere.
    Public(PublicKey),
}

/// Reads a key from a file that somebody hands in: a private one in PKCS#8 PEM, or a public one in PEM or as metadata
/// states it. For an encrypted one a person is asked where the settings give no passphrase that fits.
pub async fn read_handed_in(path: &Path, settings: &KeySettings) -> Result<HandedIn, KeyError> {
    let place = KeyPlace::File {
        path: path.to_owned(),
    };
    let read = |guard| {
        let path = path.to_owned();
        bounded(&place, settings.timeout, move || {
            file::read_guarded(&path, pem::MAX_BYTES, guard)
        })
    };
    let bytes = read(Guard::None).await?;
    if let Some(public) = public_key(&bytes) {
        return public
            .map(HandedIn::Public)
            .map_err(|error| KeyError::not_a_key(&place, format!("holds no key: {error}")));
    }
    // What is private must have been so all the time.
    let bytes = read(Guard::Owner).await?;
    let beside = path.parent().unwrap_or(Path::new("."));
    local_key(&place, bytes, beside, settings)
        .await
        .map(HandedIn::Private)
}

/// The public key that a text is, if it is one.
fn public_key(bytes: &[u8]) -> Option<Result<PublicKey, PublicKeyError>> {
    if bytes.trim_ascii_start().starts_with(b"{") {
        return Some(serde_json::from_slice(bytes).map_err(|_| PublicKeyError::Kind));
    }
    match pem::read(bytes) {
        Ok(Block::Public) => Some(PublicKey::from_pem(std::str::from_utf8(bytes).ok()?)),
        _ => None,
    }
}

/// Where a new key is to be.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum NewPlace {
    /// An encrypted file in the ring's folder.
    #[default]
    File,
    /// The desktop's keyring.
    SecretService {
        /// The attribute `service`.
        service: String,
    },
    /// The kernel's keyring of the user.
    Keyutils,
    /// A token, which makes the key itself and never gives it away.
    Pkcs11(Pkcs11Uri),
    /// Vault's transit engine, which does so too.
    Vault(VaultKey),
}

impl FromStr for NewPlace {
    type Err = PlaceError;

    fn from_str(text: &str) -> Result<Self, PlaceError> {
        const WHERE: &str = "a new key can be in file, keyring:secret-service, keyring:keyutils, pkcs11:token=…?module-path=… or hashivault://MOUNT/KEY";
        match text {
            "file" | "file:" => Ok(Self::File),
            "keyring:secret-service" => Ok(Self::SecretService {
                service: SERVICE.to_owned(),
            }),
            "keyring:keyutils" => Ok(Self::Keyutils),
            _ if text.starts_with("pkcs11:") => text.parse().map(Self::Pkcs11),
            _ if text.starts_with("hashivault:") => match text.parse()? {
                RemotePlace::Vault(key) => Ok(Self::Vault(key)),
                _ => Err(PlaceError::new(text, WHERE)),
            },
            _ => Err(PlaceError::new(text, WHERE)),
        }
    }
}

/// What makes a new key, once everything that a person may be asked for has been.
pub(super) struct Maker {
    store: NewPlace,
    passphrase: Option<Passphrase>,
    folder: PathBuf,
    settings: KeySettings,
}

impl Maker {
    /// Asks for what is needed.
    pub(super) async fn prepare(
        store: NewPlace,
        folder: &Path,
        settings: &KeySettings,
    ) -> Result<Self, KeyError> {
        let passphrase = if store == NewPlace::File {
            let (source, folder) = (settings.passphrase.clone(), folder.to_owned());
            let given = crate::blocking::run(move || source.for_new(&folder)).await;
            Some(given.map_err(|_| KeyError::Stopping)??)
        } else {
            None
        };
        Ok(Self {
            store,
            passphrase,
            folder: folder.to_owned(),
            settings: settings.clone(),
        })
    }

    /// Makes the key.
    pub(super) async fn make(self, label: &str, scheme: Scheme) -> Result<(KeyPlace, PublicKey), KeyError> {
        match &self.store {
            NewPlace::File | NewPlace::SecretService { .. } | NewPlace::Keyutils => {
                let key = LocalKey::generate(scheme)
                    .map_err(|_| KeyError::Crypto("the machine gives no randomness"))?;
                self.keep(label, key).await
            }
            NewPlace::Pkcs11(uri) => {
                let (signer, uri) = pkcs11::create(uri, label, scheme, &self.settings).await?;
                Ok((KeyPlace::Pkcs11(uri), signer.public().clone()))
            }
            NewPlace::Vault(key) => {
                let around = Surroundings::of_process(self.settings.timeout);
                let opened = remote::create(key, scheme, &around).await?;
                Ok((KeyPlace::Remote(opened.place), opened.signer.public().clone()))
            }
        }
    }

    /// Keeps a key that is in this process's memory.
    pub(super) async fn keep(self, label: &str, key: LocalKey) -> Result<(KeyPlace, PublicKey), KeyError> {
        let public = key.public().clone();
        // Two repositories on one desktop may use the same labels.
        let name = format!("{label}-{}", &public.id().to_string()[..8]);
        let place = match &self.store {
            NewPlace::File => KeyPlace::File {
                path: format!("{label}.pem").into(),
            },
            NewPlace::SecretService { service } => KeyPlace::SecretService {
                service: service.clone(),
                account: name,
            },
            NewPlace::Keyutils => KeyPlace::Keyutils {
                description: format!("{SERVICE}-{name}"),
            },
            NewPlace::Pkcs11(_) | NewPlace::Vault(_) => {
                return Err(KeyError::CannotHold {
                    place: "a token or service".to_owned(),
                    why: "makes its keys itself, and takes none that were outside".to_owned(),
                });
            }
        };
        let der = key
            .to_pkcs8()
            .map_err(|_| KeyError::Crypto("the key cannot be written"))?;
        let timeout = self.settings.timeout;
        if let (KeyPlace::File { path }, Some(passphrase)) = (&place, self.passphrase) {
            let path = self.folder.join(path);
            let write = move || file::write_new(&path, encrypted::seal(&der, &passphrase)?.as_bytes());
            bounded(&place, timeout, write).await?;
        } else {
            os_keyring::write(&place, pem::write("PRIVATE KEY", &der), timeout).await?;
        }
        Ok((place, public))
    }
}
