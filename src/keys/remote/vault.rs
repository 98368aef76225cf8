//! HashiCorp Vault's and OpenBao's transit engine: Ed25519 and ECDSA on P-256. The private key never leaves it.
//!
//! Asked with a token in `VAULT_TOKEN`, in the file that `VAULT_TOKEN_FILE` names (read at each use, so that an agent
//! may renew it), or in `~/.vault-token`.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chiron_tuf::{PublicKey, Scheme};
use serde::Deserialize;
use serde_json::{Value, json};
use url::Url;
use zeroize::Zeroizing;

use super::error::Fault;
use super::http::{Answer, Ask, Http, origin, passes};
use super::said::said;
use super::uri::{RemotePlace, VaultKey};
use super::vault_sign::TransitSigner;
use super::{Opened, Surroundings, address, read_file, read_file_if_there};

/// A server, and who we are to it.
pub(super) struct Vault {
    http: Http,
    base: Url,
    namespace: Option<String>,
    pub(super) around: Surroundings,
}

/// `GET keys/NAME`: `data`.
#[derive(Deserialize)]
struct Described {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    derived: bool,
    latest_version: u32,
    /// Of a symmetric key these are times, of another objects with a public key.
    keys: BTreeMap<u32, Value>,
}

/// What every answer is wrapped in.
#[derive(Deserialize)]
pub(super) struct Wrapped<T> {
    pub(super) data: T,
}

/// What every refusal says.
#[derive(Default, Deserialize)]
struct Errors {
    #[serde(default)]
    errors: Vec<String>,
}

/// Asks for the key's public half.
pub(super) async fn open(
    place: &VaultKey,
    expected: Option<&PublicKey>,
    around: &Surroundings,
) -> Result<Opened, Fault> {
    let vault = Vault::connect(place, around).await?;
    let described = vault
        .describe(place)
        .await?
        .ok_or_else(|| Fault::Missing(vault.nothing_there(place)))?;
    vault.take(place, &described, expected)
}

/// Makes the key and asks for its public half.
pub(super) async fn create(place: &VaultKey, scheme: Scheme, around: &Surroundings) -> Result<Opened, Fault> {
    let vault = Vault::connect(place, around).await?;
    // To make a key that is there is no error to Vault: it answers as if it had, and keeps the old one.
    if vault.describe(place).await?.is_some() {
        return Err(Fault::Refused(
            "a key of this name is there already; choose another name, or import this one".to_owned(),
        ));
    }
    let body = json!({"type": kind(scheme), "exportable": false, "allow_plaintext_backup": false});
    vault.post(place, "keys", &body, Attempts::One).await?;
    let described = vault
        .describe(place)
        .await?
        .ok_or_else(|| Fault::Refused("the key was made, and is not there".to_owned()))?;
    vault.take(place, &described, None)
}

/// How Vault calls a scheme.
const fn kind(scheme: Scheme) -> &'static str {
    match scheme {
        Scheme::Ed25519 => "ed25519",
        Scheme::EcdsaP256 => "ecdsa-p256",
    }
}

/// How often a request is made.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Attempts {
    One,
    Several,
}

impl Vault {
    async fn connect(place: &VaultKey, around: &Surroundings) -> Result<Self, Fault> {
        let base = if let Some(base) = &place.address {
            base.clone()
        } else {
            let text = around.var("VAULT_ADDR").ok_or_else(|| {
                Fault::Refused(
                    "VAULT_ADDR is not set, and the URI has no ?address=: it is not known which server to ask"
                        .to_owned(),
                )
            })?;
            address::service(&text).map_err(|why| Fault::Refused(format!("VAULT_ADDR: {why}")))?
        };
        if around.is_on("VAULT_SKIP_VERIFY") {
            return Err(Fault::Refused(
                "VAULT_SKIP_VERIFY is set, and Chiron sends no token to a server that it cannot tell from another; unset it, and put the server's certificate authority into VAULT_CACERT".to_owned(),
            ));
        }
        let authorities = match around.var("VAULT_CACERT") {
            None => None,
            Some(path) => Some(read_file(path.to_string()).await?),
        };
        let namespace = match (&place.namespace, around.var("VAULT_NAMESPACE")) {
            (Some(name), _) => Some(name.clone()),
            (None, name) => name.map(|name| name.trim_matches('/').to_owned()),
        };
        Ok(Self {
            http: Http::new(
                &base,
                authorities.as_deref().map(Vec::as_slice),
                "VAULT_CACERT",
                around.timeout,
            )?,
            base,
            namespace,
            around: around.clone(),
        })
    }

    async fn token(&self) -> Result<Zeroizing<String>, Fault> {
        if let Some(token) = self.around.var("VAULT_TOKEN") {
            return Ok(token);
        }
        let file = match self.around.var("VAULT_TOKEN_FILE") {
            Some(path) => Some(read_file(path.to_string()).await?),
            None => match self.around.at_home(".vault-token") {
                Some(path) => read_file_if_there(path).await?,
                None => None,
            },
        };
        let none = || {
            Fault::Refused(
                "there is no token: set VAULT_TOKEN, or VAULT_TOKEN_FILE to the file that Vault's agent keeps fresh"
                    .to_owned(),
            )
        };
        let file = file.ok_or_else(none)?;
        let token = std::str::from_utf8(&file).unwrap_or_default().trim();
        if token.is_empty() {
            return Err(none());
        }
        Ok(Zeroizing::new(token.to_owned()))
    }

    fn url(&self, place: &VaultKey, what: &str) -> Url {
        let mount = place.mount.split('/');
        let names = ["v1"].into_iter().chain(mount).chain([what, place.key.as_str()]);
        address::below(&self.base, names)
    }

    async fn ask(&self, ask: Ask<'_>, attempts: Attempts) -> Result<Answer, Fault> {
        let token = self.token().await?;
        let mut ask = ask
            .with("x-vault-token", &token)?
            // An agent that guards against forged requests lets none pass without it.
            .with("x-vault-request", "true")?;
        if let Some(namespace) = &self.namespace {
            ask = ask.with("x-vault-namespace", namespace)?;
        }
        let answer = match attempts {
            Attempts::One => self.http.once(&ask).await?,
            // 412: a replica that has not caught up yet.
            Attempts::Several => {
                let behind = |answer: &Answer| answer.status.as_u16() == 412;
                self.http.repeated(&ask, behind).await?
            }
        };
        if answer.status.is_success() || answer.status.as_u16() == 404 {
            return Ok(answer);
        }
        Err(self.refusal(&answer, &token))
    }

    async fn describe(&self, place: &VaultKey) -> Result<Option<Described>, Fault> {
        let url = self.url(place, "keys");
        let answer = self.ask(Ask::get(&url), Attempts::Several).await?;
        if answer.status.as_u16() == 404 {
            return match self.route(&answer) {
                Some(no_route) => Err(Fault::Missing(no_route)),
                None => Ok(None),
            };
        }
        let described: Wrapped<Described> = answer.json()?;
        Ok(Some(described.data))
    }

    pub(super) async fn post(
        &self,
        place: &VaultKey,
        what: &str,
        body: &Value,
        attempts: Attempts,
    ) -> Result<Answer, Fault> {
        let url = self.url(place, what);
        let ask = Ask::new(http::Method::POST, &url)
            .with("content-type", "application/json")?
            .body(body.to_string());
        let answer = self.ask(ask, attempts).await?;
        if answer.status.as_u16() == 404 {
            let why = self.route(&answer).unwrap_or_else(|| self.nothing_there(place));
            return Err(Fault::Missing(why));
        }
        Ok(answer)
    }

    /// Of a 404: what it says when nothing is mounted there. To a key that is not there it says nothing.
    fn route(&self, answer: &Answer) -> Option<String> {
        let errors: Errors = answer.json().unwrap_or_default();
        let first = errors.errors.first()?;
        Some(format!(
            "{} has no transit engine there{} ({}); the mount and the namespace are part of the URI",
            origin(&self.base),
            self.in_namespace(),
            said(first, &[])
        ))
    }

    fn in_namespace(&self) -> String {
        match &self.namespace {
            None => String::new(),
            Some(name) => format!(" in the namespace {name}"),
        }
    }

    fn nothing_there(&self, place: &VaultKey) -> String {
        format!(
            "the transit engine {} of {}{} has no key called {}",
            place.mount,
            origin(&self.base),
            self.in_namespace(),
            place.key
        )
    }

    fn refusal(&self, answer: &Answer, token: &str) -> Fault {
        let errors: Errors = answer.json().unwrap_or_default();
        let words = said(&errors.errors.join("; "), &[token]);
        let status = answer.status.as_u16();
        let at = origin(&self.base);
        if words.contains("is sealed") {
            return Fault::Unavailable(format!("{at} is sealed; somebody has to unseal it"));
        }
        match status {
            403 => Fault::Refused(format!(
                "{at} refuses{}: {words}. Either the token has expired, or its policy lacks read on keys/NAME and update on sign/NAME of this mount",
                self.in_namespace()
            )),
            // A performance standby, or a replica behind: it says so by these.
            412 | 472 | 473 => Fault::Unavailable(format!("{at} is not ready (status {status}): {words}")),
            _ if passes(answer.status) => {
                Fault::Unavailable(format!("{at} fails (status {status}): {words}"))
            }
            _ => Fault::Refused(format!("{at} refuses (status {status}): {words}")),
        }
    }

    /// The version of the key that is asked for, or that has the public key that is expected, or the newest.
    fn take(
        self,
        place: &VaultKey,
        described: &Described,
        expected: Option<&PublicKey>,
    ) -> Result<Opened, Fault> {
        let scheme = match described.kind.as_str() {
            "ed25519" => Scheme::Ed25519,
            "ecdsa-p256" => Scheme::EcdsaP256,
            other => {
                return Err(Fault::NotAKey(format!(
                    "holds a key of the type {}; ed25519 and ecdsa-p256 are taken",
                    said(other, &[])
                )));
            }
        };
        if described.derived {
            return Err(Fault::NotAKey(
                "holds a derived key, which is another key for each context; make one with derived=false"
                    .to_owned(),
            ));
        }
        let read = |version: u32| {
            let key = described.keys.get(&version)?.get("public_key")?.as_str()?;
            match scheme {
                Scheme::Ed25519 => PublicKey::new(scheme, &STANDARD.decode(key.trim()).ok()?).ok(),
                Scheme::EcdsaP256 => PublicKey::from_pem(key).ok(),
            }
        };
        let wanted = place.version.or_else(|| {
            let same = |version: &u32| read(*version).as_ref() == expected;
            described
                .keys
                .keys()
                .copied()
                .find(|version| expected.is_some() && same(version))
        });
        let version = wanted.unwrap_or(described.latest_version);
        if !described.keys.contains_key(&version) {
            return Err(Fault::Missing(format!(
                "the key has no version {version} (any more: min_available_version and trim remove old ones); its newest is {}",
                described.latest_version
            )));
        }
        let public = read(version).ok_or_else(|| {
            Fault::Refused(format!(
                "it says no public key of version {version} that could be one of {}",
                scheme.name()
            ))
        })?;
        let pinned = VaultKey {
            version: Some(version),
            ..place.clone()
        };
        Ok(Opened {
            place: RemotePlace::Vault(pinned.clone()),
            signer: Arc::new(TransitSigner {
                vault: self,
                place: pinned,
                version,
                public,
            }),
        })
    }
}
