//! The folder that remembers a repository's keys.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chiron_tuf::{KeyId, LocalKey, PublicKey, Scheme, Signer};
use jiff::Timestamp;
use tokio::sync::OnceCell;

use super::deadline::{NotDone, within};
use super::error::KeyError;
use super::file;
use super::open::{self, NewPlace};
use super::passphrase::{BESIDE, PassphraseSource};
use super::pin::PinSettings;
use super::place::KeyPlace;
use super::ring_file::{self, Locked, is_label};

pub use super::ring_file::KeyRecord;

/// Digits of a key id that name a key, at least.
const MIN_ID_DIGITS: usize = 8;

/// How long another process may keep the ring locked: it may be waiting for a token that hangs.
const LOCK_TIMEOUT: Duration = Duration::from_mins(1);

/// How keys are reached.
#[derive(Clone, Debug)]
pub struct KeySettings {
    /// How long a token, a keyring or a service may take for each answer. Threat: one that hangs.
    pub timeout: Duration,
    /// Who gives the passphrase of key files.
    pub passphrase: PassphraseSource,
    /// Who gives the PIN of a token whose URI does not say.
    pub pin: PinSettings,
}

impl KeySettings {
    /// With what this process's environment gives. With `prompt` a person at the terminal is asked for what is
    /// missing; a daemon asks nobody.
    pub fn here(timeout: Duration, passphrase_file: Option<PathBuf>, prompt: bool) -> Self {
        Self {
            timeout,
            passphrase: PassphraseSource::here(passphrase_file, prompt),
            pin: PinSettings::here(),
        }
    }
}

/// An opened key, or one that is being opened.
type Opened = Arc<OnceCell<Arc<dyn Signer>>>;

/// The keys of one repository: `ring.json` and key files in a folder that only its owner can enter. Cheap to clone.
///
/// Several processes may use one ring: it is read each time, and changed under a lock.
#[derive(Clone)]
pub struct Keyring {
    inner: Arc<Inner>,
}

struct Inner {
    folder: PathBuf,
    settings: KeySettings,
    opened: Mutex<HashMap<KeyId, Opened>>,
}

impl Keyring {
    /// The ring in `folder`, which is made when it is not there.
    pub fn open(folder: &Path, settings: KeySettings) -> Result<Self, KeyError> {
        file::make_folder(folder)?;
        let inner = Inner {
            folder: folder.to_owned(),
            settings,
            opened: Mutex::default(),
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// Where it is.
    pub fn folder(&self) -> &Path {
        &self.inner.folder
    }

    /// How keys are reached.
    pub(super) fn settings(&self) -> &KeySettings {
        &self.inner.settings
    }

    /// Every key, in the order in which they came.
    pub fn list(&self) -> Result<Vec<KeyRecord>, KeyError> {
        ring_file::read(&self.inner.folder)
    }

    /// The key with this label, this id, or the id that begins so (8 digits at least).
    pub fn find(&self, what: &str) -> Result<KeyRecord, KeyError> {
        let keys = self.list()?;
        if let Some(key) = keys.iter().find(|key| key.label == what) {
            return Ok(key.clone());
        }
        let begins = |key: &&KeyRecord| what.len() >= MIN_ID_DIGITS && key.id.to_string().starts_with(what);
        let mut found = keys.iter().filter(begins);
        match (found.next(), found.next()) {
            (Some(key), None) => Ok(key.clone()),
            (Some(_), Some(_)) => Err(KeyError::Ambiguous {
                what: what.to_owned(),
            }),
            (None, _) => Err(KeyError::Unknown {
                what: what.to_owned(),
                folder: self.inner.folder.clone(),
            }),
        }
    }

    /// Makes a new key. `label` gets -2, -3, … where it is taken.
    pub async fn generate(
        &self,
        label: &str,
        scheme: Scheme,
        store: NewPlace,
        now: Timestamp,
    ) -> Result<KeyRecord, KeyError> {
        checked(label)?;
        let maker = open::Maker::prepare(store, &self.inner.folder, &self.inner.settings).await?;
        let ring = self.lock().await?;
        let label = ring.free_label(label);
        let (place, public) = maker.make(&label, scheme).await?;
        self.put(ring, label, place, public, now).await
    }

    /// Takes in a key that exists elsewhere: it is opened once to learn its public half, and stays where it is. A key
    /// that was known as an offline one can be reached here from now on.
    pub async fn import(&self, label: &str, place: KeyPlace, now: Timestamp) -> Result<KeyRecord, KeyError> {
        checked(label)?;
        if !place.is_online() {
            return Err(KeyError::CannotHold {
                place: place.to_string(),
                why: "is nowhere to be opened; give the public key's file instead".to_owned(),
            });
        }
        let opened = open::open(&place, None, &self.inner.folder, &self.inner.settings).await?;
        let public = opened.signer.public().clone();
        let ring = self.lock().await?;
        let label = match ring.with_id(public.id()) {
            Some(known) if known.place.is_online() => {
                return Err(KeyError::Known {
                    label: known.label.clone(),
                });
            }
            Some(offline) => offline.label.clone(),
            None => ring.free_label(label),
        };
        self.forget(public.id());
        self.put(ring, label, opened.place, public, now).await
    }

    /// Takes in the public half of an offline key. A key that is there already stays as it is.
    pub async fn add_public(
        &self,
        label: &str,
        public: PublicKey,
        now: Timestamp,
    ) -> Result<KeyRecord, KeyError> {
        checked(label)?;
        let ring = self.lock().await?;
        if let Some(known) = ring.with_id(public.id()) {
            return Ok(known.clone());
        }
        let label = ring.free_label(label);
        self.put(ring, label, KeyPlace::Offline, public, now).await
    }

    /// Takes a private key that is in this process's memory into the ring, as a new key is: for one that came in a
    /// file and is to be kept here.
    pub async fn adopt(
        &self,
        label: &str,
        key: LocalKey,
        store: NewPlace,
        now: Timestamp,
    ) -> Result<KeyRecord, KeyError> {
        checked(label)?;
        let maker = open::Maker::prepare(store, &self.inner.folder, &self.inner.settings).await?;
        let ring = self.lock().await?;
        let label = match ring.with_id(key.public().id()) {
            Some(known) if known.place.is_online() => {
                return Err(KeyError::Known {
                    label: known.label.clone(),
                });
            }
            Some(offline) => offline.label.clone(),
            None => ring.free_label(label),
        };
        let (place, public) = maker.keep(&label, key).await?;
        self.forget(public.id());
        self.put(ring, label, place, public, now).await
    }

    /// What signs with the key. It is opened once per process and kept; a failure is not kept.
    pub async fn signer(&self, id: KeyId) -> Result<Arc<dyn Signer>, KeyError> {
        let cell = {
            let mut opened = self.inner.opened.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(opened.entry(id).or_default())
        };
        cell.get_or_try_init(|| self.open_key(id)).await.cloned()
    }

    async fn open_key(&self, id: KeyId) -> Result<Arc<dyn Signer>, KeyError> {
        let record = self.find(&id.to_string())?;
        if !record.place.is_online() {
            return Err(KeyError::Offline { label: record.label });
        }
        let expected = Some(&record.public);
        let opened = open::open(&record.place, expected, &self.inner.folder, &self.inner.settings).await?;
        let found = opened.signer.public().id();
        if found != id {
            return Err(KeyError::OtherKey {
                place: record.place.to_string(),
                expected: id,
                found,
            });
        }
        Ok(opened.signer)
    }

    /// Opens the key again when it is asked for next: its device was replaced, or its passphrase was corrected.
    pub fn forget(&self, id: KeyId) {
        let mut opened = self.inner.opened.lock().unwrap_or_else(PoisonError::into_inner);
        opened.remove(&id);
    }

    /// True when whoever can read the folder can also decrypt its key files: nobody gave a passphrase, and Chiron made
    /// one and keeps it there.
    pub fn passphrase_is_beside_keys(&self) -> bool {
        self.inner.folder.join(BESIDE).exists()
    }

    pub(super) async fn lock(&self) -> Result<Locked, KeyError> {
        let folder = self.inner.folder.clone();
        match within(LOCK_TIMEOUT, move || Locked::wait(&folder)).await {
            Ok(ring) => ring,
            Err(NotDone::Late) => Err(KeyError::Unavailable {
                place: self.inner.folder.display().to_string(),
                why: "another process holds its lock; look for a `chiron tuf keys` that waits".to_owned(),
            }),
            Err(NotDone::Lost) => Err(KeyError::Stopping),
        }
    }

    async fn put(
        &self,
        ring: Locked,
        label: String,
        place: KeyPlace,
        public: PublicKey,
        now: Timestamp,
    ) -> Result<KeyRecord, KeyError> {
        let record = KeyRecord {
            id: public.id(),
            label,
            place,
            public,
            created: now,
        };
        let written = crate::blocking::run(move || ring.put(record)).await;
        written.map_err(|_| KeyError::Stopping)?
    }
}

fn checked(label: &str) -> Result<(), KeyError> {
    if is_label(label) {
        Ok(())
    } else {
        Err(KeyError::Label {
            label: label.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    fn ring(folder: &Path) -> Keyring {
        let settings = KeySettings {
            timeout: Duration::from_secs(30),
            passphrase: PassphraseSource::default(),
            pin: PinSettings::default(),
        };
        Keyring::open(&folder.join("ring"), settings).unwrap()
    }

    async fn generate(ring: &Keyring, label: &str) -> KeyRecord {
        let made = ring.generate(label, Scheme::Ed25519, NewPlace::File, Timestamp::UNIX_EPOCH);
        made.await.unwrap()
    }

    #[tokio::test]
    async fn a_key_is_opened_once_and_a_failure_is_not_kept() {
        let folder = tempfile::tempdir().unwrap();
        let ring = ring(folder.path());
        let key = generate(&ring, "root").await;
        let file = ring.folder().join("root.pem");
        let aside = folder.path().join("aside.pem");

        std::fs::rename(&file, &aside).unwrap();
        assert!(matches!(ring.signer(key.id).await, Err(KeyError::File { .. })));
        std::fs::rename(&aside, &file).unwrap();
        let signer = ring.signer(key.id).await.unwrap();
        assert_eq!(signer.public(), &key.public);

        std::fs::rename(&file, &aside).unwrap();
        let again = ring.clone().signer(key.id).await.unwrap();
        assert!(Arc::ptr_eq(&signer, &again), "it was opened a second time");
        ring.forget(key.id);
        assert!(matches!(ring.signer(key.id).await, Err(KeyError::File { .. })));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn who_asks_at_once_gets_the_same_signer() {
        let folder = tempfile::tempdir().unwrap();
        let ring = ring(folder.path());
        let key = generate(&ring, "timestamp").await;
        let asked: Vec<_> = (0..8)
            .map(|_| {
                let ring = ring.clone();
                tokio::spawn(async move { ring.signer(key.id).await.unwrap() })
            })
            .collect();
        let first = ring.signer(key.id).await.unwrap();
        for signer in asked {
            assert!(Arc::ptr_eq(&first, &signer.await.unwrap()));
        }
        let signed = chiron_tuf::sign(first.as_ref(), b"metadata").await;
        assert!(signed.is_ok());
    }

    #[tokio::test]
    async fn what_is_not_here_does_not_sign() {
        let folder = tempfile::tempdir().unwrap();
        let ring = ring(folder.path());
        let elsewhere = LocalKey::generate(Scheme::EcdsaP256).unwrap();
        let public = elsewhere.public().clone();
        let added = ring
            .add_public("alice", public.clone(), Timestamp::UNIX_EPOCH)
            .await
            .unwrap();
        assert!(matches!(ring.signer(added.id).await, Err(KeyError::Offline { label }) if label == "alice"));
        let unknown = KeyId::from_bytes([7; 32]);
        assert!(matches!(
            ring.signer(unknown).await,
            Err(KeyError::Unknown { .. })
        ));
        assert!(!ring.passphrase_is_beside_keys());
        // It comes: the label stays, and the private half is in the ring from now on.
        let here = ring
            .adopt("other", elsewhere, NewPlace::File, Timestamp::UNIX_EPOCH)
            .await
            .unwrap();
        assert_eq!((here.label.as_str(), here.id), ("alice", public.id()));
        assert_eq!(ring.signer(here.id).await.unwrap().public(), &public);
        assert!(ring.passphrase_is_beside_keys());
        let again = ring
            .add_public("bob", public, Timestamp::UNIX_EPOCH)
            .await
            .unwrap();
        assert_eq!(again, here);
    }
}
