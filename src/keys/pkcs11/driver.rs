//! What is said to a PKCS #11 module: tokens, sessions, PINs, objects, signatures. Everything here may block.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chiron_tuf::{PublicKey, Scheme};
use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::eddsa::{EddsaParams, EddsaSignatureScheme};
use cryptoki::object::ObjectHandle;
use cryptoki::session::{Session, UserType};
use cryptoki::slot::{Slot, TokenInfo};
use secrecy::SecretString;
use sha2::{Digest as _, Sha256};

use super::super::passphrase::Passphrase;
use super::{Pkcs11Uri, object, signature};

/// Why a module did not do what it was asked.
#[derive(Debug)]
pub enum Fault {
    /// It said so.
    Module(Error),
    /// There is no such token, or several.
    NoToken(String),
    /// There is no such key, or several, or of another kind.
    NoKey(String),
    /// The token wants a PIN and none was given.
    PinNeeded,
    /// The PIN is wrong, by the token's word. It is not tried again: after a few times the token locks itself.
    WrongPin,
    /// Somebody has to do something about the token.
    Refused(&'static str),
    /// It did not answer in this time.
    Late(Duration),
    /// Its thread is gone.
    Lost,
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Module(error)
    }
}

impl Fault {
    /// True when the session or the object is not there any more: the token was taken out and put back, or the
    /// service behind the module was restarted.
    fn is_stale(&self) -> bool {
        let Self::Module(Error::Pkcs11(code, _)) = self else {
            return false;
        };
        matches!(
            code,
            RvError::SessionHandleInvalid
                | RvError::SessionClosed
                | RvError::KeyHandleInvalid
                | RvError::ObjectHandleInvalid
                | RvError::UserNotLoggedIn
                | RvError::DeviceRemoved
                | RvError::DeviceError
                | RvError::TokenNotPresent
                | RvError::CryptokiNotInitialized
                | RvError::OperationActive
        )
    }
}

/// A PIN as it was found for a key, or none.
pub type Pin = Option<Passphrase>;

/// A module, once it is loaded, with what is open in it.
pub struct Driver {
    path: PathBuf,
    context: Option<Pkcs11>,
    /// By the number of the slot.
    sessions: HashMap<u64, Session>,
    /// By the number of the slot: the PIN that the token refused.
    refused: HashMap<u64, Passphrase>,
    /// By the URI as it was asked for.
    keys: HashMap<String, Key>,
}

/// A private key in a token.
#[derive(Clone)]
pub struct Key {
    slot: Slot,
    handle: ObjectHandle,
    /// Each signature wants the PIN again (`CKA_ALWAYS_AUTHENTICATE`).
    pin_each_time: bool,
    /// Its public half.
    pub public: PublicKey,
    /// Its place with everything said that was left open.
    pub uri: Pkcs11Uri,
}

impl Driver {
    /// A module that is loaded at its first use.
    pub fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            context: None,
            sessions: HashMap::new(),
            refused: HashMap::new(),
            keys: HashMap::new(),
        }
    }

    /// Finds the key that `uri` names.
    pub fn key(&mut self, uri: &Pkcs11Uri, pin: &Pin) -> Result<Key, Fault> {
        self.fresh_after_stale(|driver| driver.find(uri, pin))
    }

    /// A signature over `message` by the key that `uri` names, in the form that metadata wants.
    pub fn sign(&mut self, uri: &Pkcs11Uri, pin: &Pin, message: &[u8]) -> Result<Vec<u8>, Fault> {
        self.fresh_after_stale(|driver| {
            let key = driver.find(uri, pin)?;
            driver.sign_with(&key, pin, message)
        })
    }

    /// Makes a new key with this label. It cannot be read out of the token.
    pub fn create(&mut self, uri: &Pkcs11Uri, pin: &Pin, label: &str, scheme: Scheme) -> Result<Key, Fault> {
        let slot = self.token(uri)?;
        self.log_in(slot, pin)?;
        let session = self.context()?.open_rw_session(slot)?;
        let mut id = [0; 8];
        aws_lc_rs::rand::fill(&mut id).map_err(|_| Fault::Refused("the machine gives no randomness"))?;
        object::generate(&session, label, &id, scheme)?;
        drop(session);
        let uri = Pkcs11Uri {
            object: Some(label.to_owned()),
            id: Some(id.to_vec()),
            ..uri.clone()
        };
        self.find(&uri, pin)
    }

    /// Tries once more, from the beginning, where the token has changed since it was opened.
    fn fresh_after_stale<T>(&mut self, work: impl Fn(&mut Self) -> Result<T, Fault>) -> Result<T, Fault> {
        let was_open = !self.sessions.is_empty();
        match work(self) {
            Err(fault) if was_open && fault.is_stale() => {
                self.keys.clear();
                self.sessions.clear();
                work(self)
            }
            done => done,
        }
    }

    fn context(&mut self) -> Result<Pkcs11, Fault> {
        if let Some(context) = &self.context {
            return Ok(context.clone());
        }
        let context = Pkcs11::new(&self.path)?;
        match context.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
            // Another thread of ours panicked after this; the module is as good as new.
            Ok(()) | Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => {}
            Err(error) => return Err(error.into()),
        }
        self.context = Some(context.clone());
        Ok(context)
    }

    /// The slot of the one token that `uri` names.
    fn token(&mut self, uri: &Pkcs11Uri) -> Result<Slot, Fault> {
        let context = self.context()?;
        let mut found = Vec::new();
        let mut others = Vec::new();
        for slot in context.get_slots_with_token()? {
            // A slot with something that is no token of this module is nothing to us.
            let Ok(token) = context.get_token_info(slot) else {
                continue;
            };
            if !token.token_initialized() {
                continue;
            }
            if names(uri, slot, &token) {
                found.push(slot);
            } else {
                others.push(token.label().to_owned());
            }
        }
        match found.as_slice() {
            [slot] => Ok(*slot),
            [] if others.is_empty() => Err(Fault::NoToken(
                "the module shows no token; is it plugged in?".to_owned(),
            )),
            [] => Err(Fault::NoToken(format!(
                "the module shows other tokens: {others:?}"
            ))),
            _ => Err(Fault::NoToken(format!(
                "the module shows {} such tokens; add serial=…",
                found.len()
            ))),
        }
    }

    /// Opens a session that may use private keys.
    fn log_in(&mut self, slot: Slot, pin: &Pin) -> Result<(), Fault> {
        if self.sessions.contains_key(&slot.id()) {
            return Ok(());
        }
        let context = self.context()?;
        let token = context.get_token_info(slot)?;
        let session = context.open_ro_session(slot)?;
        if token.login_required() {
            self.try_pin(slot, &token, &session, pin)?;
        }
        self.sessions.insert(slot.id(), session);
        Ok(())
    }

    fn try_pin(&mut self, slot: Slot, token: &TokenInfo, session: &Session, pin: &Pin) -> Result<(), Fault> {
        if token.user_pin_locked() {
            return Err(Fault::Refused(
                "its PIN is locked after too many wrong ones; its security officer unlocks it",
            ));
        }
        let secret: Option<SecretString> = match pin {
            // The token has a keypad of its own.
            _ if token.protected_authentication_path() => None,
            None => return Err(Fault::PinNeeded),
            Some(pin)
                if self
                    .refused
                    .get(&slot.id())
                    .is_some_and(|refused| refused.is_same(pin)) =>
            {
                return Err(Fault::WrongPin);
            }
            Some(pin) if token.user_pin_final_try() && !pin.is_typed() => {
                return Err(Fault::Refused(
                    "it takes one more wrong PIN and then locks itself; use the key once at a terminal, where the PIN is typed",
                ));
            }
            Some(pin) => Some(pin.secret().clone()),
        };
        match session.login(UserType::User, secret.as_ref()) {
            Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => {
                self.refused.remove(&slot.id());
                Ok(())
            }
            Err(Error::Pkcs11(RvError::PinIncorrect | RvError::PinInvalid | RvError::PinLenRange, _)) => {
                if let Some(pin) = pin {
                    self.refused.insert(slot.id(), pin.clone());
                }
                Err(Fault::WrongPin)
            }
            Err(Error::Pkcs11(RvError::PinLocked, _)) => Err(Fault::Refused(
                "its PIN is locked after too many wrong ones; its security officer unlocks it",
            )),
            Err(Error::Pkcs11(RvError::PinExpired, _)) => Err(Fault::Refused(
                "its PIN has expired; set a new one with the token's own program",
            )),
            Err(error) => Err(error.into()),
        }
    }

    fn find(&mut self, uri: &Pkcs11Uri, pin: &Pin) -> Result<Key, Fault> {
        let name = uri.to_string();
        if let Some(key) = self.keys.get(&name) {
            return Ok(key.clone());
        }
        let slot = self.token(uri)?;
        self.log_in(slot, pin)?;
        let token = self.context()?.get_token_info(slot)?;
        let session = self.session(slot)?;
        let found = object::find(session, uri)?;
        let key = Key {
            slot,
            handle: found.handle,
            pin_each_time: found.pin_each_time,
            public: found.public,
            uri: Pkcs11Uri {
                token: Some(token.label().to_owned()).filter(|label| !label.is_empty()),
                serial: Some(token.serial_number().to_owned()).filter(|serial| !serial.is_empty()),
                object: found.label.or_else(|| uri.object.clone()),
                id: found.id.or_else(|| uri.id.clone()),
                module: Some(self.path.clone()),
                ..uri.clone()
            },
        };
        self.keys.insert(name, key.clone());
        Ok(key)
    }

    fn session(&self, slot: Slot) -> Result<&Session, Fault> {
        self.sessions.get(&slot.id()).ok_or(Fault::PinNeeded)
    }

    fn sign_with(&self, key: &Key, pin: &Pin, message: &[u8]) -> Result<Vec<u8>, Fault> {
        let session = self.session(key.slot)?;
        let raw = match key.public.scheme() {
            _ if key.pin_each_time => sign_with_pin(session, key, pin, message)?,
            Scheme::Ed25519 => session.sign(&ed25519(), key.handle, message)?,
            Scheme::EcdsaP256 => session.sign(&Mechanism::Ecdsa, key.handle, &Sha256::digest(message))?,
        };
        match key.public.scheme() {
            Scheme::Ed25519 => Ok(raw),
            Scheme::EcdsaP256 => signature::der(&raw).ok_or(Fault::Refused(
                "it gave something that is no ECDSA signature on P-256 (64 bytes)",
            )),
        }
    }
}

/// Signs with a key that wants the PIN between beginning and end of each signature.
fn sign_with_pin(session: &Session, key: &Key, pin: &Pin, message: &[u8]) -> Result<Vec<u8>, Fault> {
    let mechanism = match key.public.scheme() {
        Scheme::Ed25519 => ed25519(),
        Scheme::EcdsaP256 => Mechanism::EcdsaSha256,
    };
    session.sign_init(&mechanism, key.handle)?;
    let pin = pin.as_ref().ok_or(Fault::PinNeeded)?;
    match session.login(UserType::ContextSpecific, Some(pin.secret())) {
        Ok(()) => {}
        Err(Error::Pkcs11(RvError::PinIncorrect, _)) => return Err(Fault::WrongPin),
        Err(error) => return Err(error.into()),
    }
    session.sign_update(message)?;
    Ok(session.sign_final()?)
}

fn ed25519() -> Mechanism<'static> {
    Mechanism::Eddsa(EddsaParams::new(EddsaSignatureScheme::Ed25519))
}

/// True when every attribute of the URI that is about the token agrees with it.
fn names(uri: &Pkcs11Uri, slot: Slot, token: &TokenInfo) -> bool {
    let agrees = |asked: &Option<String>, has: &str| asked.as_deref().is_none_or(|asked| asked == has);
    agrees(&uri.token, token.label())
        && agrees(&uri.serial, token.serial_number())
        && agrees(&uri.manufacturer, token.manufacturer_id())
        && agrees(&uri.model, token.model())
        && uri.slot.is_none_or(|asked| asked == slot.id())
}
