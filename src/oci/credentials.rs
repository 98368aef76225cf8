//! Who this machine is to a registry, as docker's configuration says.

use std::path::{Path, PathBuf};

use docker_credential::{CredentialRetrievalError, DockerCredential};
use secrecy::SecretString;

use super::OciError;

/// What a registry is shown. It prints nothing.
#[derive(Debug, Clone, Default)]
pub enum Credentials {
    /// Nothing.
    #[default]
    Anonymous,
    /// User name and password.
    Password {
        /// Not a secret.
        username: String,
        /// The secret.
        password: SecretString,
    },
    /// A refresh token (docker's `identitytoken`), which only the address that gives tokens takes.
    Identity(SecretString),
}

impl Credentials {
    /// What the configuration in `folder` (`DOCKER_CONFIG`, else `~/.docker`) has for a registry: `credHelpers`, then
    /// `auths`, then `credsStore`. No folder, no file or no entry: anonymous. Runs a helper if one is named, so this blocks.
    pub fn of_docker(folder: Option<&Path>, registry: &str) -> Result<Self, OciError> {
        let failed = |why: String| OciError::Credentials {
            registry: registry.to_owned(),
            why,
        };
        let Some(path) = folder.map(|folder| folder.join("config.json")) else {
            return Ok(Self::Anonymous);
        };
        let file = match std::fs::File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Self::Anonymous),
            Err(error) => return Err(failed(format!("{}: {error}", path.display()))),
        };
        match docker_credential::get_credential_from_reader(std::io::BufReader::new(file), registry) {
            Ok(DockerCredential::UsernamePassword(username, password)) => Ok(Self::Password {
                username,
                password: password.into(),
            }),
            Ok(DockerCredential::IdentityToken(token)) => Ok(Self::Identity(token.into())),
            Err(CredentialRetrievalError::NoCredentialConfigured) => Ok(Self::Anonymous),
            // Helpers say on their standard output that they know nothing of a registry; docker goes on without.
            Err(CredentialRetrievalError::HelperFailure { stdout, .. })
                if stdout.contains("credentials not found") =>
            {
                Ok(Self::Anonymous)
            }
            Err(error) => Err(failed(in_words(error, &path))),
        }
    }

    /// The folder of docker's configuration in this environment.
    pub fn docker_folder(variable: impl Fn(&str) -> Option<std::ffi::OsString>) -> Option<PathBuf> {
        let set = |name| variable(name).filter(|value| !value.is_empty());
        set("DOCKER_CONFIG")
            .map(PathBuf::from)
            .or_else(|| set("HOME").map(|home| Path::new(&home).join(".docker")))
    }
}

/// Without the helper's standard output, on which a broken one could print the secret.
fn in_words(error: CredentialRetrievalError, path: &Path) -> String {
    let file = path.display();
    match error {
        CredentialRetrievalError::HelperFailure { helper, .. } => {
            format!("the credential helper {helper} failed; run it by hand to see why")
        }
        CredentialRetrievalError::HelperCommunicationError => {
            format!(
                "the credential helper that {file} names does not start; is docker-credential-NAME on the PATH?"
            )
        }
        CredentialRetrievalError::MalformedHelperResponse => {
            format!("the credential helper that {file} names answers no JSON")
        }
        CredentialRetrievalError::CredentialMismatchError => {
            format!("in {file} `auth` says something other than `username` and `password`")
        }
        CredentialRetrievalError::CredentialDecodingError => {
            format!("`auth` in {file} is not USER:PASSWORD in base64")
        }
        _ => format!("{file} is not docker's configuration"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use secrecy::ExposeSecret;

    use super::*;

    fn of(config: &str) -> Result<Credentials, OciError> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("config.json"), config).unwrap();
        Credentials::of_docker(Some(folder.path()), "mirror.example:5000")
    }

    #[test]
    fn docker_login_writes_what_is_read() {
        // "me:se:cret"
        let found = of(r#"{"auths":{"mirror.example:5000":{"auth":"bWU6c2U6Y3JldA=="}}}"#).unwrap();
        let Credentials::Password { username, password } = &found else {
            panic!("{found:?}");
        };
        assert_eq!((username.as_str(), password.expose_secret()), ("me", "se:cret"));
        assert!(!format!("{found:?}").contains("cret\""), "{found:?}");

        let token = of(r#"{"auths":{"mirror.example:5000":{"identitytoken":"long"}}}"#).unwrap();
        assert!(matches!(token, Credentials::Identity(_)));
    }

    #[test]
    fn another_registrys_password_is_not_ours() {
        let found = of(r#"{"auths":{"mirror.example":{"auth":"bWU6c2U6Y3JldA=="}}}"#).unwrap();
        assert!(matches!(found, Credentials::Anonymous));
        let none = Credentials::of_docker(None, "mirror.example").unwrap();
        assert!(matches!(none, Credentials::Anonymous));
    }

    #[test]
    fn a_broken_configuration_is_said_and_not_repeated() {
        for config in [
            "{",
            r#"{"auths":{"mirror.example:5000":{"auth":"!!secret"}}}"#,
            r#"{"credHelpers":{"mirror.example:5000":"no-such-helper-of-chiron"}}"#,
        ] {
            let error = of(config).unwrap_err().to_string();
            assert!(
                error.contains("mirror.example:5000") && !error.contains("secret"),
                "{error}"
            );
        }
    }

    #[test]
    fn the_folder_is_dockers() {
        let with = |pairs: &'static [(&str, &str)]| {
            Credentials::docker_folder(|name| {
                let found = pairs.iter().find(|(key, _)| *key == name);
                found.map(|(_, value)| (*value).into())
            })
        };
        assert_eq!(with(&[("HOME", "/h")]), Some("/h/.docker".into()));
        assert_eq!(
            with(&[("HOME", "/h"), ("DOCKER_CONFIG", "/c")]),
            Some("/c".into())
        );
        assert_eq!(
            with(&[("HOME", "/h"), ("DOCKER_CONFIG", "")]),
            Some("/h/.docker".into())
        );
        assert_eq!(with(&[]), None);
    }
}
