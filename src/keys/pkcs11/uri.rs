//! PKCS #11 URIs (RFC 7512): which module, which token, which key, and where its PIN is.

use std::ffi::OsString;
use std::fmt;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::PathBuf;
use std::str::FromStr;

use super::super::place::{PlaceError, is_variable};
use super::super::uri;

/// Where a token's PIN is. Never the PIN.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PinSource {
    /// `pin-source=file:/PATH`: a file that only its owner can read.
    File(PathBuf),
    /// `pin-source=env:NAME`: an environment variable.
    Env(String),
}

/// A key in a token, by what it is called. All attributes that are given must agree with the token and the key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pkcs11Uri {
    /// Label of the token.
    pub token: Option<String>,
    /// Manufacturer of the token.
    pub manufacturer: Option<String>,
    /// Serial number of the token.
    pub serial: Option<String>,
    /// Model of the token.
    pub model: Option<String>,
    /// Number of the slot that the token is in.
    pub slot: Option<u64>,
    /// `CKA_LABEL` of the key.
    pub object: Option<String>,
    /// `CKA_ID` of the key.
    pub id: Option<Vec<u8>>,
    /// The driver, a shared library; not given: `PKCS11_MODULE_PATH`.
    pub module: Option<PathBuf>,
    /// Where the PIN is; not given: `CHIRON_TUF_PIN`, the systemd credential `chiron-tuf-pin`, a person.
    pub pin: Option<PinSource>,
}

impl Pkcs11Uri {
    /// True when it says which token.
    fn names_token(&self) -> bool {
        self.token.is_some() || self.serial.is_some() || self.slot.is_some()
    }

    /// True when it says which key of the token.
    pub fn names_key(&self) -> bool {
        self.object.is_some() || self.id.is_some()
    }

    /// Takes one attribute of the path; `Err` says why not.
    fn take(&mut self, name: &str, value: &str) -> Result<(), &'static str> {
        const TEXT: &str = "a % in it begins no pair of hex digits, or it is no text";
        let field = match name {
            "token" => &mut self.token,
            "manufacturer" => &mut self.manufacturer,
            "serial" => &mut self.serial,
            "model" => &mut self.model,
            "object" => &mut self.object,
            "id" => {
                self.id = Some(uri::bytes(value).filter(|id| !id.is_empty()).ok_or(TEXT)?);
                return Ok(());
            }
            "slot-id" => {
                self.slot = Some(value.parse().map_err(|_| "slot-id is a number")?);
                return Ok(());
            }
            // What is signed with is a private key, whether the URI says so or not.
            "type" if value == "private" => return Ok(()),
            "type" => return Err("type is private, or is left out"),
            // Threat: a key is found by less than what was asked for.
            _ => {
                return Err(
                    "it has an attribute that is not known; token, manufacturer, serial, model, slot-id, object and id are",
                );
            }
        };
        *field = Some(uri::text(value).filter(|text| !text.is_empty()).ok_or(TEXT)?);
        Ok(())
    }

    /// Takes one attribute of the query; `Err` says why not.
    fn take_query(&mut self, name: &str, value: &str) -> Result<(), &'static str> {
        const PATH: &str = "module-path and pin-source=file: are absolute paths";
        let path = |text: &str| {
            let bytes = uri::bytes(text)
                .filter(|bytes| bytes.starts_with(b"/") && !bytes.iter().any(u8::is_ascii_control));
            Some(PathBuf::from(OsString::from_vec(bytes?)))
        };
        match name {
            "module-path" => self.module = Some(path(value).ok_or(PATH)?),
            "pin-source" => {
                let value = uri::text(value).ok_or(PATH)?;
                self.pin = Some(match value.split_once(':') {
                    Some(("env", name)) if is_variable(name) => PinSource::Env(name.to_owned()),
                    Some(("file", file)) => {
                        let file = file.strip_prefix("//").unwrap_or(file);
                        if !file.starts_with('/') {
                            return Err(PATH);
                        }
                        PinSource::File(file.into())
                    }
                    _ => return Err("pin-source is file:/PATH or env:NAME; no program is run for it"),
                });
            }
            // It would stand in ring.json, in listings and in the list of processes.
            "pin-value" => {
                return Err(
                    "a PIN is no part of the name of a key; put it into a file and give pin-source=file:/PATH",
                );
            }
            _ => return Err("after the ? are module-path and pin-source"),
        }
        Ok(())
    }
}

impl FromStr for Pkcs11Uri {
    type Err = PlaceError;

    fn from_str(text: &str) -> Result<Self, PlaceError> {
        let wrong = |why| PlaceError::new(text, why);
        let rest = text
            .strip_prefix("pkcs11:")
            .ok_or_else(|| wrong("it does not begin with pkcs11:"))?;
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let mut found = Self::default();
        let mut seen = Vec::new();
        let attributes = path.split(';').map(|one| (one, true));
        let attributes = attributes.chain(query.split('&').map(|one| (one, false)));
        for (attribute, in_path) in attributes.filter(|(one, _)| !one.is_empty()) {
            let (name, value) = attribute
                .split_once('=')
                .ok_or_else(|| wrong("an attribute is NAME=VALUE"))?;
            if seen.contains(&name) {
                return Err(wrong("an attribute is there twice"));
            }
            seen.push(name);
            let taken = if in_path {
                found.take(name, value)
            } else {
                found.take_query(name, value)
            };
            taken.map_err(wrong)?;
        }
        if !found.names_token() {
            return Err(wrong(
                "it does not say which token: token=LABEL, serial=NUMBER or slot-id=NUMBER",
            ));
        }
        Ok(found)
    }
}

impl fmt::Display for Pkcs11Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("pkcs11:")?;
        let mut between = "";
        let texts = [
            ("token", &self.token),
            ("manufacturer", &self.manufacturer),
            ("serial", &self.serial),
            ("model", &self.model),
            ("object", &self.object),
        ];
        for (name, value) in texts {
            if let Some(value) = value {
                write!(f, "{between}{name}={}", uri::part(value.as_bytes()))?;
                between = ";";
            }
        }
        if let Some(slot) = self.slot {
            write!(f, "{between}slot-id={slot}")?;
            between = ";";
        }
        if let Some(id) = &self.id {
            write!(f, "{between}id=")?;
            id.iter().try_for_each(|byte| write!(f, "%{byte:02X}"))?;
        }
        let mut between = '?';
        if let Some(module) = &self.module {
            write!(
                f,
                "{between}module-path={}",
                uri::path(module.as_os_str().as_bytes())
            )?;
            between = '&';
        }
        match &self.pin {
            Some(PinSource::File(path)) => {
                write!(
                    f,
                    "{between}pin-source=file:{}",
                    uri::path(path.as_os_str().as_bytes())
                )
            }
            Some(PinSource::Env(name)) => write!(f, "{between}pin-source=env:{name}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    #[test]
    fn a_uri_is_read_and_printed() {
        let text = "pkcs11:token=My%20token;serial=a1b2;object=root%20key;id=%01%A0?module-path=/usr/lib/x.so&pin-source=file:/run/pin";
        let uri: Pkcs11Uri = text.parse().unwrap();
        assert_eq!(uri.token.as_deref(), Some("My token"));
        assert_eq!(uri.object.as_deref(), Some("root key"));
        assert_eq!(uri.id.as_deref(), Some(&[1, 0xa0][..]));
        assert_eq!(uri.module.as_deref(), Some("/usr/lib/x.so".as_ref()));
        assert_eq!(uri.pin, Some(PinSource::File("/run/pin".into())));
        assert_eq!(uri.to_string(), text);
        // As p11tool prints it.
        let printed = "pkcs11:model=SoftHSM%20v2;manufacturer=SoftHSM%20project;serial=5f2;token=ci;id=%01;object=root;type=private";
        let uri: Pkcs11Uri = printed.parse().unwrap();
        assert_eq!(uri.model.as_deref(), Some("SoftHSM v2"));
        assert_eq!(uri.to_string().parse::<Pkcs11Uri>().unwrap(), uri);
    }

    #[test]
    fn what_would_find_another_key_or_show_a_pin_is_refused() {
        for text in [
            "pkcs11:",
            "pkcs11:object=root",
            "pkcs11:token=a;token=b;object=c",
            "pkcs11:token=a;object=c;object-class=private",
            "pkcs11:token=a;object=%zz",
            "pkcs11:token=a;object=x%0Ay",
            "pkcs11:token=a;object=",
            "pkcs11:token=a;type=public;object=c",
            "pkcs11:token=a;slot-id=first",
            "pkcs11:token=a;object=c?module-path=relative.so",
            "pkcs11:token=a;object=c?pin-value=1234",
            "pkcs11:token=a;object=c?pin-source=|cat%20/etc/pin",
            "pkcs11:token=a;object=c?pin-source=file:pin",
            "pkcs11:token=a;object=c?module-name=softhsm2",
            "pkcs11:token",
        ] {
            assert!(text.parse::<Pkcs11Uri>().is_err(), "{text}");
        }
    }
}
