//! Private keys: where they are, and how they are asked to sign.
//!
//! A [`KeyPlace`] says where a key is; a [`Keyring`] is the folder that remembers the places of a repository's keys
//! and their public halves; [`open_place`] turns a place into a [`Signer`]. What may hang (a token, a key service of
//! the desktop, a network) is cut off by [`KeySettings::timeout`].
//!
//! Secrets are wiped when they are dropped, and stand in no log, error, `Debug`, listing or ring file.

mod deadline;
mod encrypted;
mod env;
mod error;
mod file;
mod open;
mod os_keyring;
mod passphrase;
mod pem;
mod pin;
mod pkcs11;
mod place;
pub mod remote;
mod reseal;
mod ring;
mod ring_file;
mod uri;

pub use error::KeyError;
pub use open::{HandedIn, NewPlace, open_place, read_handed_in};
pub use passphrase::{Passphrase, PassphraseSource};
pub use pkcs11::Pkcs11Uri;
pub use place::{KeyPlace, PlaceError};
pub use ring::{KeyRecord, KeySettings, Keyring};
