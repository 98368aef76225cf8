//! Where a private key is, as a URI that is printed, typed and kept in the ring.

use std::ffi::OsString;
use std::fmt;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::pkcs11::Pkcs11Uri;
use super::remote::RemotePlace;
use super::uri;

/// Bytes of a place's text (threat: a ring file that was filled up).
const MAX_BYTES: usize = 2048;

/// The text names no place of a key. Its words never repeat a PIN that somebody put into it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no place of a key: {why}")]
pub struct PlaceError {
    /// As given, with what may be a secret left out.
    pub text: String,
    /// What is wrong, and what would be right.
    pub why: &'static str,
}

impl PlaceError {
    /// The text is wrong for this reason. The part after `?` is left out: of a PKCS #11 URI it may hold a PIN.
    pub fn new(text: &str, why: &'static str) -> Self {
        let shown: String = match text.split_once('?') {
            Some((path, _)) => format!("{path}?…"),
            None => text.to_owned(),
        };
        Self {
            text: shown.chars().take(200).collect(),
            why,
        }
    }
}

/// Where a private key is. It tells no secret: it is printed, logged and kept in `ring.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum KeyPlace {
    /// `file:NAME.pem`: PKCS#8 in PEM, encrypted or not; relative to the folder of the ring.
    File {
        /// As given: not yet joined to the folder.
        path: PathBuf,
    },
    /// `env:NAME`: the same PEM in an environment variable.
    Env {
        /// Its name.
        variable: String,
    },
    /// `keyring:secret-service/SERVICE/ACCOUNT`: the desktop's keyring, over D-Bus.
    SecretService {
        /// The attribute `service`.
        service: String,
        /// The attribute `username`.
        account: String,
    },
    /// `keyring:keyutils/DESCRIPTION`: the kernel's keyring of the user; empty after a reboot.
    Keyutils {
        /// Of the kernel's key.
        description: String,
    },
    /// `pkcs11:…` (RFC 7512): a token; the key never leaves it.
    Pkcs11(Pkcs11Uri),
    /// `hashivault://…`, `awskms://…`, `awssecret://…`, `azuresecret://…`: a service.
    Remote(RemotePlace),
    /// `offline:`: not reachable from here; its holder signs requests elsewhere.
    Offline,
}

impl KeyPlace {
    /// What kind of place, in a word for listings.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::File { .. } => "file",
            Self::Env { .. } => "env",
            Self::SecretService { .. } => "secret-service",
            Self::Keyutils { .. } => "keyutils",
            Self::Pkcs11(_) => "pkcs11",
            Self::Remote(place) => place.kind(),
            Self::Offline => "offline",
        }
    }

    /// True when this process can ask the place for a signature by itself.
    pub fn is_online(&self) -> bool {
        !matches!(self, Self::Offline)
    }

    fn keyring(text: &str, rest: &str) -> Result<Self, PlaceError> {
        const WHY: &str = "keyring:secret-service/SERVICE/ACCOUNT or keyring:keyutils/DESCRIPTION, with / inside a name as %2F";
        let wrong = || PlaceError::new(text, WHY);
        let parts: Option<Vec<String>> = rest.split('/').map(uri::text).collect();
        let parts = parts.filter(|parts| parts.iter().all(|part| !part.is_empty()));
        match parts.ok_or_else(wrong)?.as_slice() {
            [store, service, account] if store == "secret-service" => Ok(Self::SecretService {
                service: service.clone(),
                account: account.clone(),
            }),
            [store, description] if store == "keyutils" => Ok(Self::Keyutils {
                description: description.clone(),
            }),
            _ => Err(wrong()),
        }
    }

    fn file(text: &str, rest: &str) -> Result<Self, PlaceError> {
        // `file:///etc/key.pem` is the same file as `file:/etc/key.pem` (RFC 8089).
        let path = rest.strip_prefix("//").unwrap_or(rest);
        let wrong = |why| PlaceError::new(text, why);
        if rest.starts_with("//") && !path.starts_with('/') {
            return Err(wrong(
                "a file on another host is not read; file:/PATH or file:NAME",
            ));
        }
        let bytes =
            uri::bytes(path).ok_or_else(|| wrong("a % begins no pair of hex digits; % itself is %25"))?;
        if bytes.is_empty() || bytes.iter().any(u8::is_ascii_control) {
            return Err(wrong("file:NAME.pem in the folder of the ring, or file:/PATH"));
        }
        Ok(Self::File {
            path: OsString::from_vec(bytes).into(),
        })
    }
}

/// True for a name that a shell can set.
pub fn is_variable(name: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    !name.is_empty()
        && name.len() <= 200
        && name.chars().all(word)
        && !name.starts_with(|c: char| c.is_ascii_digit())
}

impl FromStr for KeyPlace {
    type Err = PlaceError;

    fn from_str(text: &str) -> Result<Self, PlaceError> {
        const KINDS: &str = "it begins with none of file: env: keyring: pkcs11: hashivault: awskms: awssecret: azuresecret: offline:";
        let wrong = |why| PlaceError::new(text, why);
        if text.len() > MAX_BYTES {
            return Err(wrong("it is longer than 2,048 bytes"));
        }
        let (scheme, rest) = text.split_once(':').ok_or_else(|| wrong(KINDS))?;
        match scheme {
            "file" => Self::file(text, rest),
            "env" if is_variable(rest) => Ok(Self::Env {
                variable: rest.to_owned(),
            }),
            "env" => Err(wrong("env:NAME, the name of an environment variable")),
            "keyring" => Self::keyring(text, rest),
            "pkcs11" => text.parse().map(Self::Pkcs11),
            "hashivault" | "awskms" | "awssecret" | "azuresecret" => text.parse().map(Self::Remote),
            "offline" if rest.is_empty() => Ok(Self::Offline),
            "offline" => Err(wrong("offline: stands alone")),
            _ => Err(wrong(KINDS)),
        }
    }
}

impl fmt::Display for KeyPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path } => write!(f, "file:{}", uri::path(path.as_os_str().as_bytes())),
            Self::Env { variable } => write!(f, "env:{variable}"),
            Self::SecretService { service, account } => write!(
                f,
                "keyring:secret-service/{}/{}",
                uri::part(service.as_bytes()),
                uri::part(account.as_bytes())
            ),
            Self::Keyutils { description } => {
                write!(f, "keyring:keyutils/{}", uri::part(description.as_bytes()))
            }
            Self::Pkcs11(uri) => uri.fmt(f),
            Self::Remote(place) => place.fmt(f),
            Self::Offline => f.write_str("offline:"),
        }
    }
}

impl TryFrom<String> for KeyPlace {
    type Error = PlaceError;
    fn try_from(text: String) -> Result<Self, PlaceError> {
        text.parse()
    }
}

impl From<KeyPlace> for String {
    fn from(place: KeyPlace) -> Self {
        place.to_string()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_place_has_its_uri() {
        for text in [
            "file:root.pem",
            "file:/etc/chiron/root%20key.pem",
            "env:CHIRON_ROOT_KEY",
            "keyring:secret-service/chiron/timestamp",
            "keyring:secret-service/a%2Fb/c%40d",
            "keyring:keyutils/chiron-online",
            "pkcs11:token=ci;object=root?module-path=/usr/lib/softhsm/libsofthsm2.so",
            "offline:",
        ] {
            assert_eq!(text.parse::<KeyPlace>().unwrap().to_string(), text);
        }
        assert_eq!(
            "file:///etc/key.pem".parse::<KeyPlace>().unwrap().to_string(),
            "file:/etc/key.pem"
        );
    }

    #[test]
    fn other_texts_are_refused() {
        for text in [
            "",
            "root.pem",
            "file:",
            "file://host/key.pem",
            "file:a%zz",
            "file:a%00b",
            "env:",
            "env:1A",
            "env:A-B",
            "env:A=B",
            "keyring:",
            "keyring:secret-service/one",
            "keyring:secret-service//x",
            "keyring:keyutils/a/b",
            "keyring:macos/a/b",
            "keyring:keyutils/a%0ab",
            "offline:x",
            "https://keys.example/",
            &format!("file:{}", "a".repeat(3000)),
        ] {
            assert!(text.parse::<KeyPlace>().is_err(), "{text}");
        }
    }

    #[test]
    fn an_error_repeats_no_pin() {
        let text = "pkcs11:token=t;object=o?pin-value=31337&module-path=/x.so";
        let error = text.parse::<KeyPlace>().unwrap_err();
        assert!(!format!("{error} {error:?}").contains("31337"), "{error}");
    }

    proptest! {
        #[test]
        fn any_text_is_an_answer(text in any::<String>()) {
            if let Ok(place) = text.parse::<KeyPlace>() {
                prop_assert_eq!(place.to_string().parse::<KeyPlace>(), Ok(place));
            }
        }

        #[test]
        fn names_come_back(service in "[^\\p{Cc}]{1,20}", account in "[^\\p{Cc}]{1,20}") {
            let place = KeyPlace::SecretService { service, account };
            prop_assert_eq!(place.to_string().parse::<KeyPlace>(), Ok(place));
        }
    }
}
