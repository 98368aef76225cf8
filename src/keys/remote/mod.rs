//! Keys in services on a network: HashiCorp Vault (and OpenBao), AWS KMS, AWS Secrets Manager, Azure Key Vault.
//!
//! In a transit engine or KMS the private key stays where it is and signs there. Of a secret store the key is fetched
//! once and signs in this process's memory.
//!
//! What a service says is not believed: bodies are bounded, redirects are not followed (credentials would go along),
//! credentials travel over TLS or not off the machine, and a signature counts when [`chiron_tuf::sign`] has verified
//! it. Each use of a key ends within [`Surroundings::timeout`]. Only what changes nothing is tried again.

mod address;
mod aws;
mod aws_credentials;
mod aws_kms;
mod aws_metadata;
mod aws_profile;
mod aws_secret;
mod azure_secret;
mod azure_token;
mod error;
mod http;
mod said;
mod secret_text;
mod stored_key;
mod uri;
mod uri_text;
mod vault;
mod vault_sign;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use chiron_tuf::{KeyId, PublicKey, Scheme, SignError, Signer};
use zeroize::Zeroizing;

pub use address::Authority;
use error::Fault;
pub use error::RemoteError;
pub use uri::{AwsKey, AwsSecret, AzureSecret, RemotePlace, VaultKey};

/// Bytes of a token or credentials file that are read. Threat: the path of something else.
const MAX_FILE_BYTES: usize = 64 << 10;

/// What a variable says.
type Environment = dyn Fn(&str) -> Option<String> + Send + Sync;

/// What a key in a service depends on beside its place.
#[derive(Clone)]
pub struct Surroundings {
    /// Longest time for opening a key, and for each signature, all attempts together.
    pub timeout: Duration,
    env: Arc<Environment>,
    now: fn() -> SystemTime,
}

impl Surroundings {
    /// This process's environment, asked again at each use, and the machine's clock.
    pub fn of_process(timeout: Duration) -> Self {
        Self::new(timeout, |name| std::env::var(name).ok(), SystemTime::now)
    }

    /// Others, for tests.
    pub fn new(
        timeout: Duration,
        env: impl Fn(&str) -> Option<String> + Send + Sync + 'static,
        now: fn() -> SystemTime,
    ) -> Self {
        Self {
            timeout,
            env: Arc::new(env),
            now,
        }
    }

    /// A variable that is set and not empty.
    fn var(&self, name: &str) -> Option<Zeroizing<String>> {
        (self.env)(name)
            .map(Zeroizing::new)
            .filter(|text| !text.is_empty())
    }

    /// A variable that is a switch: "true" or "1".
    fn is_on(&self, name: &str) -> bool {
        self.var(name)
            .is_some_and(|text| text.as_str() == "1" || text.eq_ignore_ascii_case("true"))
    }

    /// A file below the user's home.
    fn at_home(&self, path: &str) -> Option<String> {
        self.var("HOME")
            .map(|home| format!("{}/{path}", home.trim_end_matches('/')))
    }

    /// Ends what takes too long.
    async fn within<T>(&self, work: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
        match tokio::time::timeout(self.timeout, work).await {
            Ok(done) => done,
            Err(_) => Err(Fault::Unavailable(format!(
                "it gave no answer within {:?}",
                self.timeout
            ))),
        }
    }
}

impl fmt::Debug for Surroundings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Surroundings")
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

/// A key that answered.
pub struct Opened {
    /// Signs with it.
    pub signer: Arc<dyn Signer>,
    /// Its place with everything said that was left open and may not move: the version of a Vault key, the ARN that
    /// an alias stands for. This is what is to be remembered.
    pub place: RemotePlace,
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opened")
            .field("key", &self.signer.public().id())
            .field("place", &self.place.to_string())
            .finish()
    }
}

/// Asks a service for its key.
///
/// With `expected`, another key is an error; of a Vault key the version with this public key is taken.
pub async fn open(
    place: &RemotePlace,
    expected: Option<&PublicKey>,
    around: &Surroundings,
) -> Result<Opened, RemoteError> {
    let opening = async {
        let opened = match place {
            RemotePlace::Vault(key) => vault::open(key, expected, around).await,
            RemotePlace::AwsKms(key) => aws_kms::open(key, around).await,
            RemotePlace::AwsSecret(secret) => aws_secret::open(secret, around).await,
            RemotePlace::AzureSecret(secret) => azure_secret::open(secret, around).await,
        }?;
        let found = opened.signer.public();
        match expected {
            Some(expected) if expected != found => Err(Fault::OtherKey {
                expected: expected.id(),
                found: found.id(),
            }),
            _ => Ok(opened),
        }
    };
    around.within(opening).await.map_err(|fault| fault.at(place))
}

/// Makes a new key in a transit engine; it cannot be exported from there. A name that is taken is an error.
pub async fn create(key: &VaultKey, scheme: Scheme, around: &Surroundings) -> Result<Opened, RemoteError> {
    around
        .within(vault::create(key, scheme, around))
        .await
        .map_err(|fault| fault.at(&RemotePlace::Vault(key.clone())))
}

/// What a signer says of a fault.
fn sign_error(fault: Fault, place: &RemotePlace, key: KeyId) -> SignError {
    let passing = fault.is_passing();
    let why = fault.of_signer(place);
    if passing {
        SignError::Unavailable { key, why }
    } else {
        SignError::Refused { key, why }
    }
}

/// Reads a small file on a blocking thread. What was read is wiped when dropped.
async fn read_file(path: String) -> Result<Zeroizing<Vec<u8>>, Fault> {
    use super::file::{Guard, read_guarded};
    let read =
        move || read_guarded(path.as_ref(), MAX_FILE_BYTES, Guard::None).map_err(|error| error.to_string());
    match crate::blocking::run(read).await {
        Ok(read) => read.map_err(Fault::Refused),
        Err(lost) => Err(Fault::Unavailable(lost.to_string())),
    }
}

/// As [`read_file`]; `None` when there is none.
async fn read_file_if_there(path: String) -> Result<Option<Zeroizing<Vec<u8>>>, Fault> {
    match tokio::fs::try_exists(&path).await {
        Ok(false) => Ok(None),
        _ => read_file(path).await.map(Some),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_can_be_opened_in_a_task() {
        fn is_send<T: Send>(_: &T) {}
        let around = Surroundings::new(Duration::from_secs(1), |_| None, SystemTime::now);
        for text in [
            "hashivault://a/b",
            "awskms:///a",
            "awssecret:///a",
            "azuresecret://a.example/b",
        ] {
            if let Ok(place) = text.parse() {
                is_send(&open(&place, None, &around));
            }
        }
    }
}
