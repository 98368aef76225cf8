//! Keys in tokens (smart cards, HSMs), through a PKCS #11 module that the token's maker provides. The private key
//! never leaves the token.

mod driver;
mod module;
mod object;
mod signature;
mod uri;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use chiron_tuf::{KeyId, PublicKey, Scheme, SignError, Signer, Signing};
use cryptoki::error::{Error, RvError};

use super::deadline::{NotDone, within};
use super::error::KeyError;
use super::passphrase::{self, Passphrase};
use super::pin::{self, PinSettings};
use super::ring::KeySettings;
use driver::{Driver, Fault, Key, Pin};

pub use uri::{PinSource, Pkcs11Uri};

/// The variable with the driver's path, for URIs without `module-path`; OpenSSL's engine and `pkcs11-tool` know it too.
const MODULE_VARIABLE: &str = "PKCS11_MODULE_PATH";

/// What is signed when a key comes in, to see that its two halves belong together. No metadata begins so.
const TRIAL: &[u8] = b"Chiron asks whether this key signs. This is no metadata.";

/// A key in a token.
struct TokenKey {
    uri: Pkcs11Uri,
    module: PathBuf,
    public: PublicKey,
    timeout: Duration,
    /// What opened the token: where it has to be opened again nobody is there to be asked.
    pin: Pin,
}

/// Opens the key that `uri` names, signs once with it for trial, and says its place with everything that was left open.
pub async fn open(uri: &Pkcs11Uri, settings: &KeySettings) -> Result<(Arc<dyn Signer>, Pkcs11Uri), KeyError> {
    let (key, pin) = with_pin(uri, settings, Driver::key).await?;
    ready(key, pin, settings).await
}

/// Makes a new key in the token that `uri` names.
pub async fn create(
    uri: &Pkcs11Uri,
    label: &str,
    scheme: Scheme,
    settings: &KeySettings,
) -> Result<(Arc<dyn Signer>, Pkcs11Uri), KeyError> {
    let label = uri.object.clone().unwrap_or_else(|| label.to_owned());
    let make = move |driver: &mut Driver, uri: &Pkcs11Uri, pin: &Pin| driver.create(uri, pin, &label, scheme);
    let (key, pin) = with_pin(uri, settings, make).await?;
    ready(key, pin, settings).await
}

async fn ready(key: Key, pin: Pin, settings: &KeySettings) -> Result<(Arc<dyn Signer>, Pkcs11Uri), KeyError> {
    let uri = key.uri;
    let signer = TokenKey {
        module: module_of(&uri)?,
        public: key.public,
        timeout: settings.timeout,
        pin,
        uri: uri.clone(),
    };
    let signed = signer.ask(TRIAL.to_vec()).await;
    let signed = signed.map_err(|fault| said(&uri, fault, signer.pin.as_ref()))?;
    if signer.public.verifies(TRIAL, &signed) {
        Ok((Arc::new(signer), uri))
    } else {
        Err(KeyError::NotAKey {
            place: uri.to_string(),
            why: "made a signature that does not verify with its public key, so nothing is signed with it"
                .to_owned(),
        })
    }
}

/// Does something for which the token may want its PIN; a person is asked only when it does and nobody else knows it.
async fn with_pin(
    uri: &Pkcs11Uri,
    settings: &KeySettings,
    work: impl Fn(&mut Driver, &Pkcs11Uri, &Pin) -> Result<Key, Fault> + Clone + Send + 'static,
) -> Result<(Key, Pin), KeyError> {
    let module = module_of(uri)?;
    let _turn = settings.passphrase.turn().await;
    let mut pin = known_pin(&settings.pin, uri, settings.timeout).await?;
    loop {
        let job = {
            let (uri, pin, work) = (uri.clone(), pin.clone(), work.clone());
            move |driver: &mut Driver| work(driver, &uri, &pin)
        };
        match module::ask(&module, settings.timeout, job).await {
            Ok(key) => return Ok((key, pin)),
            Err(Fault::PinNeeded) if pin.is_none() && settings.passphrase.may_ask() => {
                let question = format!("PIN of {uri}: ");
                let typed = crate::blocking::run(move || passphrase::ask(&question)).await;
                pin = Some(typed.map_err(|_| KeyError::Stopping)??);
            }
            Err(fault) => return Err(said(uri, fault, pin.as_ref())),
        }
    }
}

async fn known_pin(settings: &PinSettings, uri: &Pkcs11Uri, timeout: Duration) -> Result<Pin, KeyError> {
    let find = {
        let (settings, uri) = (settings.clone(), uri.clone());
        move || settings.find(&uri)
    };
    match within(timeout, find).await {
        Ok(found) => found,
        Err(NotDone::Late) => Err(KeyError::Unavailable {
            place: uri.to_string(),
            why: format!("its PIN could not be read within {timeout:?}"),
        }),
        Err(NotDone::Lost) => Err(KeyError::Stopping),
    }
}

fn module_of(uri: &Pkcs11Uri) -> Result<PathBuf, KeyError> {
    let from_environment = || std::env::var_os(MODULE_VARIABLE).map(PathBuf::from);
    let module = uri.module.clone().or_else(from_environment);
    module.filter(|path| path.is_absolute()).ok_or_else(|| KeyError::Missing {
        place: uri.to_string(),
        why: "it does not say which module drives the token: add ?module-path=/PATH/OF/module.so, or set PKCS11_MODULE_PATH to it".to_owned(),
    })
}

/// What happened, in words.
fn said(uri: &Pkcs11Uri, fault: Fault, pin: Option<&Passphrase>) -> KeyError {
    let place = uri.to_string();
    match fault {
        Fault::NoToken(why) | Fault::NoKey(why) => KeyError::Missing { place, why },
        Fault::PinNeeded => KeyError::NoSecret {
            place,
            secret: "PIN",
            how: pin::HOW,
        },
        Fault::WrongPin => KeyError::WrongSecret {
            place,
            secret: "PIN",
            giver: pin.map_or("keypad", Passphrase::source).to_owned(),
            hint: "it is another one; it is not tried again by this process, since tokens lock themselves after a few wrong ones",
        },
        Fault::Refused(why) => KeyError::Refused {
            place,
            why: why.to_owned(),
        },
        Fault::Late(after) => KeyError::Unavailable {
            place,
            why: format!("its module did not answer within {after:?}"),
        },
        Fault::Lost => KeyError::Unavailable {
            place,
            why: "its module's thread ended".to_owned(),
        },
        Fault::Module(Error::LibraryLoading(why)) => KeyError::Missing {
            place,
            why: format!("the module cannot be loaded: {why}"),
        },
        Fault::Module(error) if may_pass(&error) => KeyError::Unavailable {
            place,
            why: format!("its module says: {error}"),
        },
        Fault::Module(error) => KeyError::Refused {
            place,
            why: format!("its module says: {error}"),
        },
    }
}

/// True for what may be over at the next attempt.
fn may_pass(error: &Error) -> bool {
    let Error::Pkcs11(code, _) = error else {
        return false;
    };
    matches!(
        code,
        RvError::DeviceError
            | RvError::DeviceRemoved
            | RvError::TokenNotPresent
            | RvError::SessionClosed
            | RvError::SessionHandleInvalid
            | RvError::SessionCount
            | RvError::FunctionCanceled
            | RvError::HostMemory
            | RvError::DeviceMemory
            | RvError::GeneralError
            | RvError::FunctionFailed
    )
}

impl TokenKey {
    async fn ask(&self, message: Vec<u8>) -> Result<Vec<u8>, Fault> {
        let (uri, pin) = (self.uri.clone(), self.pin.clone());
        let job = move |driver: &mut Driver| driver.sign(&uri, &pin, &message);
        module::ask(&self.module, self.timeout, job).await
    }

    fn sign_error(&self, key: KeyId, fault: Fault) -> SignError {
        let error = said(&self.uri, fault, self.pin.as_ref());
        let why = error.to_string();
        if error.may_pass() {
            SignError::Unavailable { key, why }
        } else {
            SignError::Refused { key, why }
        }
    }
}

impl Signer for TokenKey {
    fn public(&self) -> &PublicKey {
        &self.public
    }

    fn sign<'a>(&'a self, message: &'a [u8]) -> Signing<'a> {
        Box::pin(async move {
            let signed = self.ask(message.to_vec()).await;
            signed.map_err(|fault| self.sign_error(self.public.id(), fault))
        })
    }
}
