//! The PIN of a token: who gives it.

use std::fmt;
use std::path::{Path, PathBuf};

use secrecy::SecretString;

use super::error::KeyError;
use super::file::Guard;
use super::passphrase::{self, Passphrase};
use super::pkcs11::{PinSource, Pkcs11Uri};

/// The environment variable with the PIN itself.
const VARIABLE: &str = "CHIRON_TUF_PIN";

/// The name of the systemd credential.
const CREDENTIAL: &str = "chiron-tuf-pin";

/// How to give one.
pub const HOW: &str = "add ?pin-source=file:/PATH or pin-source=env:NAME to its URI, set CHIRON_TUF_PIN or the systemd credential chiron-tuf-pin, or run the command on a terminal";

/// Who may give a PIN where the URI of the key does not say.
#[derive(Clone, Default)]
pub struct PinSettings {
    variable: Option<SecretString>,
    credential: Option<PathBuf>,
}

impl PinSettings {
    /// What this process's environment gives.
    pub fn here() -> Self {
        let credentials = std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from);
        Self {
            variable: std::env::var(VARIABLE)
                .ok()
                .filter(|text| !text.is_empty())
                .map(SecretString::from),
            credential: credentials
                .map(|folder| folder.join(CREDENTIAL))
                .filter(|path| path.exists()),
        }
    }

    /// The PIN, if anybody but a person gives it. Reads files: may wait.
    pub fn find(&self, uri: &Pkcs11Uri) -> Result<Option<Passphrase>, KeyError> {
        match &uri.pin {
            Some(PinSource::File(path)) => return passphrase::read(path, Guard::Owner).map(Some),
            Some(PinSource::Env(name)) => {
                let text = std::env::var(name).ok().filter(|text| !text.is_empty());
                let text = text.ok_or_else(|| KeyError::NoSecret {
                    place: uri.to_string(),
                    secret: "PIN",
                    how: "its pin-source names a variable that is not set in the environment of this process",
                })?;
                return Ok(Some(Passphrase::new(
                    SecretString::from(text),
                    format!("${name}"),
                )));
            }
            None => {}
        }
        if let Some(secret) = &self.variable {
            return Ok(Some(Passphrase::new(secret.clone(), format!("${VARIABLE}"))));
        }
        let credential = self.credential.as_deref();
        // systemd gives a unit's user access by an ACL, whose mask shows as the group's permission.
        credential
            .map(|path: &Path| passphrase::read(path, Guard::None))
            .transpose()
    }
}

impl fmt::Debug for PinSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PinSettings")
            .field("variable", &self.variable.is_some())
            .field("credential", &self.credential)
            .finish()
    }
}
