//! What is put into `Authorization`, and how tokens are had (distribution's token authentication).

use std::collections::HashMap;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use http::header::CONTENT_TYPE;
use secrecy::ExposeSecret;
use tokio::sync::Mutex;
use url::Url;

use super::Credentials;

/// What a request is for; a token is good for one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Scope {
    /// Reading.
    Pull,
    /// Reading and writing.
    Push,
}

impl Scope {
    /// As the address that gives tokens wants it.
    pub(super) fn of(self, repository: &str) -> String {
        match self {
            Self::Pull => format!("repository:{repository}:pull"),
            Self::Push => format!("repository:{repository}:pull,push"),
        }
    }
}

/// What is shown to the registry, and what it gave for it.
#[derive(Debug, Default)]
pub(super) struct Auth {
    credentials: Credentials,
    held: Mutex<HashMap<Scope, Shown>>,
}

#[derive(Debug, Clone)]
struct Shown {
    header: HeaderValue,
    until: Option<Instant>,
}

/// Taken off a token's life, so that it does not end on the way.
const SPARE: Duration = Duration::from_secs(5);
/// A token's life when nothing is said of it (distribution's token specification), seconds.
const DEFAULT_LIFE: u64 = 60;
/// A token is asked for again after this time, whatever is said of it, seconds.
const MAX_LIFE: u64 = 24 * 60 * 60;

impl Auth {
    pub(super) fn new(credentials: Credentials) -> Self {
        Self {
            credentials,
            held: Mutex::default(),
        }
    }

    /// What to put into a request.
    pub(super) async fn header(&self, scope: Scope) -> Option<HeaderValue> {
        let held = self.held.lock().await;
        let shown = held.get(&scope)?;
        let good = shown.until.is_none_or(|until| Instant::now() < until);
        good.then(|| shown.header.clone())
    }

    /// Keeps what the registry takes.
    pub(super) async fn keep(&self, scope: Scope, header: HeaderValue, life: Option<Duration>) {
        let until = life.map(|life| Instant::now() + life.saturating_sub(SPARE));
        self.held.lock().await.insert(scope, Shown { header, until });
    }

    /// The password in the header itself. `None`: there is none to show.
    pub(super) fn basic(&self) -> Option<HeaderValue> {
        let Credentials::Password { username, password } = &self.credentials else {
            return None;
        };
        secret(&format!(
            "Basic {}",
            STANDARD.encode(format!("{username}:{}", password.expose_secret()))
        ))
    }

    /// The request for a token.
    pub(super) fn ask(
        &self,
        http: &reqwest::Client,
        mut realm: Url,
        service: Option<&str>,
        scope: &str,
    ) -> reqwest::RequestBuilder {
        let mut pairs = vec![("scope", scope)];
        pairs.extend(service.map(|service| ("service", service)));
        match &self.credentials {
            Credentials::Anonymous => {
                realm.query_pairs_mut().extend_pairs(pairs);
                http.get(realm)
            }
            Credentials::Password { username, password } => {
                pairs.push(("account", username));
                realm.query_pairs_mut().extend_pairs(pairs);
                http.get(realm)
                    .basic_auth(username, Some(password.expose_secret()))
            }
            Credentials::Identity(token) => {
                pairs.extend([
                    ("grant_type", "refresh_token"),
                    ("client_id", "chiron"),
                    ("refresh_token", token.expose_secret()),
                ]);
                let form = url::form_urlencoded::Serializer::new(String::new())
                    .extend_pairs(pairs)
                    .finish();
                http.post(realm)
                    .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
                    .body(form)
            }
        }
    }

    /// Whether anything is shown at all, for messages.
    pub(super) fn is_anonymous(&self) -> bool {
        matches!(self.credentials, Credentials::Anonymous)
    }
}

/// What the address that gives tokens answers.
#[derive(serde::Deserialize)]
pub(super) struct Token {
    #[serde(rename = "token")]
    plain: Option<String>,
    /// OAuth 2.0's name for the same.
    #[serde(rename = "access_token")]
    oauth: Option<String>,
    expires_in: Option<u64>,
}

impl Token {
    /// The header, and how long it is good for.
    pub(super) fn header(self) -> Option<(HeaderValue, Duration)> {
        let token = self.plain.or(self.oauth)?;
        let life = self
            .expires_in
            .unwrap_or(DEFAULT_LIFE)
            .clamp(DEFAULT_LIFE, MAX_LIFE);
        // A token that cannot stand in a header is a registry's attempt to write another one.
        Some((secret(&format!("Bearer {token}"))?, Duration::from_secs(life)))
    }
}

fn secret(text: &str) -> Option<HeaderValue> {
    let mut header = HeaderValue::from_str(text).ok()?;
    header.set_sensitive(true);
    Some(header)
}
