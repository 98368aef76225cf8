//! Keys in the keyring of the desktop (Secret Service over D-Bus) and in that of the kernel. What is kept there is the
//! same PEM as in a file, not encrypted: the keyring does that, or the kernel shows it to nobody else.

use std::collections::HashMap;
use std::time::Duration;

use keyring_core::api::CredentialStoreApi as _;
use keyring_core::{Entry, Error};
use zeroize::Zeroizing;

use super::deadline::{NotDone, within};
use super::error::KeyError;
use super::place::KeyPlace;

/// Reads the PEM. A locked keyring asks its user on the desktop, who has as long as `timeout`.
pub async fn read(place: &KeyPlace, timeout: Duration) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let work = {
        let place = place.clone();
        move || {
            let secret = entry(&place)?.get_secret().map_err(|error| said(&place, error))?;
            Ok(Zeroizing::new(secret))
        }
    };
    within(timeout, work).await.map_err(|why| late(place, why))?
}

/// Keeps a PEM there. What is there under the same name is replaced.
pub async fn write(place: &KeyPlace, pem: Zeroizing<String>, timeout: Duration) -> Result<(), KeyError> {
    let work = {
        let place = place.clone();
        move || {
            let entry = entry(&place)?;
            entry
                .set_secret(pem.as_bytes())
                .map_err(|error| said(&place, error))
        }
    };
    within(timeout, work).await.map_err(|why| late(place, why))?
}

fn entry(place: &KeyPlace) -> Result<Entry, KeyError> {
    let entry = match place {
        KeyPlace::SecretService { service, account } => zbus_secret_service_keyring_store::Store::new()
            .and_then(|store| store.build(service, account, None)),
        KeyPlace::Keyutils { description } => {
            let name = HashMap::from([("description", description.as_str())]);
            linux_keyutils_keyring_store::Store::new().and_then(|store| store.build("", "", Some(&name)))
        }
        _ => return Err(KeyError::not_a_key(place, "is in no keyring of the system")),
    };
    entry.map_err(|error| said(place, error))
}

fn late(place: &KeyPlace, why: NotDone) -> KeyError {
    match why {
        NotDone::Late => KeyError::unavailable(
            place,
            "the keyring did not answer in time; it may be locked and wait for its user",
        ),
        NotDone::Lost => KeyError::Stopping,
    }
}

/// What the keyring said. By variant: some hold the secret's bytes.
fn said(place: &KeyPlace, error: Error) -> KeyError {
    match error {
        Error::NoEntry => KeyError::Missing {
            place: place.to_string(),
            why: match place {
                KeyPlace::Keyutils { .. } => "the kernel's keyring has no such entry; it is emptied by a reboot, and shows what is in the session and the user's own keyring only".to_owned(),
                _ => "the keyring has no such entry".to_owned(),
            },
        },
        Error::NoStorageAccess(source) => {
            let hint = match place {
                KeyPlace::Keyutils { .. } => {
                    "; a process keeps keys there when it has a session keyring of its own, which logins get from \
                     pam_keyinit, systemd units from KeyringMode=private, and a command from `keyctl session - COMMAND`"
                }
                _ => "",
            };
            KeyError::unavailable(place, format!("the keyring gives no access: {source}{hint}"))
        }
        Error::PlatformFailure(source) => KeyError::unavailable(place, format!("the keyring failed: {source}")),
        Error::Ambiguous(entries) => {
            KeyError::not_a_key(place, format!("names {} entries of the keyring", entries.len()))
        }
        Error::TooLong(what, limit) => KeyError::refused(place, format!("its {what} is longer than {limit}")),
        Error::Invalid(what, why) => KeyError::refused(place, format!("its {what} {why}")),
        _ => KeyError::refused(place, "the keyring holds something there that is no secret of its own form"),
    }
}
