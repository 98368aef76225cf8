//! One repository of one registry: requests, with what authentication and redirects ask for.

use bytes::Bytes;
use chiron_storage::Digest;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode};
use url::Url;

use super::answer::Answer;
use super::auth::{Auth, Scope, Token};
use super::challenge::{self, Challenge};
use super::error::causes;
use super::limits::{MAX_REDIRECTS, MAX_TOKEN_BYTES};
use super::retry::Retry;
use super::{Limits, OciError, Options, Place};

/// A repository in a registry.
pub struct Registry {
    http: reqwest::Client,
    base: Url,
    place: Place,
    auth: Auth,
    plain_http: bool,
    pub(super) limits: Limits,
}

/// One request to make.
pub(super) struct Ask {
    /// For messages: `blob sha256:…`.
    pub(super) what: String,
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) scope: Scope,
    pub(super) headers: HeaderMap,
}

impl Ask {
    pub(super) fn new(method: Method, url: Url, scope: Scope, what: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            method,
            url,
            scope,
            headers: HeaderMap::new(),
        }
    }

    pub(super) fn with(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(name, value);
        }
        self
    }
}

/// An answer that said yes.
pub(super) struct Reply {
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Reply {
    /// A header as text.
    pub(super) fn header(&self, name: &HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// `Docker-Content-Digest`, when it is a SHA-256.
    pub(super) fn digest(&self) -> Option<Digest> {
        digest_of(&self.headers)
    }
}

/// `Docker-Content-Digest`, when it is a SHA-256.
pub(super) fn digest_of(headers: &HeaderMap) -> Option<Digest> {
    let said = headers.get("docker-content-digest")?.to_str().ok()?;
    said.strip_prefix("sha256:")?.parse().ok()
}

/// What is sent with a request.
pub(super) enum Body {
    /// Can be sent again.
    Bytes(Bytes),
    /// Goes once.
    Stream(reqwest::Body),
}

impl Registry {
    /// Sets the connections up; sends nothing.
    pub fn new(place: &Place, options: Options) -> Result<Self, OciError> {
        let base = options.base(place)?;
        Ok(Self {
            http: options.client(place, &base)?,
            base,
            place: place.clone(),
            auth: Auth::new(options.credentials),
            plain_http: options.plain_http,
            limits: options.limits,
        })
    }

    /// Where it is.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// Whether it was shown any credentials.
    pub fn is_anonymous(&self) -> bool {
        self.auth.is_anonymous()
    }

    pub(super) fn retry(&self) -> Retry {
        Retry::new(&self.limits)
    }

    /// `/v2/REPOSITORY/…`; `rest` is made of what needs no escaping.
    pub(super) fn url(&self, rest: &str) -> Url {
        let mut url = self.base.clone();
        url.set_path(&format!("/v2/{}/{rest}", self.place.repository()));
        url
    }

    /// Asks until there is an answer that says something, and reads up to `limit` bytes of it.
    pub(super) async fn ask(&self, ask: &Ask, body: &Bytes, limit: usize) -> Result<Reply, OciError> {
        let mut retry = self.retry();
        loop {
            match self.once(ask, body, limit).await {
                Ok(reply) => return Ok(reply),
                Err(error) => retry.pause(error).await?,
            }
        }
    }

    async fn once(&self, ask: &Ask, body: &Bytes, limit: usize) -> Result<Reply, OciError> {
        let answer = self.send(ask, Body::Bytes(body.clone())).await?.good().await?;
        let headers = answer.headers.clone();
        let body = answer.body(limit).await?;
        Ok(Reply { headers, body })
    }

    /// Sends one request, shows what the registry asks for, and follows its redirects.
    pub(super) async fn send(&self, ask: &Ask, body: Body) -> Result<Answer, OciError> {
        let (mut stream, bytes) = match body {
            Body::Bytes(bytes) => (None, bytes),
            Body::Stream(stream) => (Some(stream), Bytes::new()),
        };
        let goes_once = stream.is_some();
        let mut url = ask.url.clone();
        self.may_go_to(&url, &ask.what)?;
        let (mut challenged, mut redirects) = (false, 0);
        loop {
            let body = stream.take().unwrap_or_else(|| bytes.clone().into());
            let answer = self.hop(ask, &url, body).await?;
            if answer.status == StatusCode::UNAUTHORIZED && self.is_ours(&url) && !challenged {
                challenged = true;
                if !self.answer_challenge(&answer, ask.scope).await? {
                    return Ok(answer);
                }
                if goes_once {
                    // Some of it has gone; whoever has the bytes begins anew.
                    return Err(OciError::Network {
                        what: answer.what,
                        why: "the token ran out on the way".to_owned(),
                    });
                }
                continue;
            }
            match self.redirect(ask, &answer)? {
                None => return Ok(answer),
                Some(_) if redirects >= MAX_REDIRECTS => {
                    return Err(OciError::Strange {
                        what: answer.what,
                        why: "the registry redirects too often".to_owned(),
                    });
                }
                Some(next) => {
                    redirects += 1;
                    url = next;
                }
            }
        }
    }

    async fn hop(&self, ask: &Ask, url: &Url, body: reqwest::Body) -> Result<Answer, OciError> {
        let mut request = self
            .http
            .request(ask.method.clone(), url.clone())
            .headers(ask.headers.clone());
        if self.is_ours(url)
            && let Some(shown) = self.auth.header(ask.scope).await
        {
            request = request.header(header::AUTHORIZATION, shown);
        }
        let carries = ask.method != Method::GET && ask.method != Method::HEAD;
        if carries {
            request = request.body(body);
        }
        let sending = request.send();
        let network = |why: String| {
            let what = format!("{} at {}", ask.what, url.origin().ascii_serialization());
            // rustls' words; asking again gives the same.
            if why.contains("InvalidContentType") {
                let why =
                    "it does not speak TLS; if plain HTTP is what is wanted, say --plain-http".to_owned();
                return OciError::Strange { what, why };
            }
            if why.contains("invalid peer certificate") {
                let why = format!("{why}; --ca-file names an authority to trust");
                return OciError::Strange { what, why };
            }
            OciError::Network { what, why }
        };
        // An upload is watched by who sends it: how long it may take depends on its bytes.
        let response = if carries {
            sending.await
        } else {
            let stall = self.limits.stall_timeout;
            tokio::time::timeout(stall, sending)
                .await
                .map_err(|_| network(format!("no answer for {} s", stall.as_secs())))?
        };
        let response = response.map_err(|error| network(causes(error)))?;
        Ok(Answer::new(
            ask.what.clone(),
            url.clone(),
            response,
            self.limits.stall_timeout,
        ))
    }

    /// Where an answer leads on to.
    fn redirect(&self, ask: &Ask, answer: &Answer) -> Result<Option<Url>, OciError> {
        if !matches!(answer.status.as_u16(), 301 | 302 | 303 | 307 | 308) {
            return Ok(None);
        }
        let strange = |why: &str| OciError::Strange {
            what: ask.what.clone(),
            why: why.to_owned(),
        };
        if ask.method != Method::GET && ask.method != Method::HEAD {
            return Err(strange("the registry redirects an upload"));
        }
        let next = answer
            .header(&header::LOCATION)
            .and_then(|location| answer.url.join(location).ok())
            .ok_or_else(|| strange("the registry redirects to no address"))?;
        self.may_go_to(&next, &ask.what)?;
        Ok(Some(next))
    }

    /// Never from TLS to plain HTTP, whoever says so.
    pub(super) fn may_go_to(&self, url: &Url, what: &str) -> Result<(), OciError> {
        let why = match url.scheme() {
            "https" => return Ok(()),
            "http" if self.plain_http => return Ok(()),
            "http" => "the registry leads to plain HTTP, which was not asked for (--plain-http)",
            _ => "the registry leads to an address that is neither http nor https",
        };
        Err(OciError::Strange {
            what: what.to_owned(),
            why: why.to_owned(),
        })
    }

    /// True for the registry itself: whatever is secret goes nowhere else.
    fn is_ours(&self, url: &Url) -> bool {
        url.origin() == self.base.origin()
    }

    /// Gets what the registry asks for. False when there is nothing to show that was not shown.
    async fn answer_challenge(&self, answer: &Answer, scope: Scope) -> Result<bool, OciError> {
        match challenge::of(&answer.headers) {
            None => Ok(false),
            Some(Challenge::Basic) => match self.auth.basic() {
                // The same password again would be refused again.
                Some(header) if self.auth.header(scope).await.as_ref() != Some(&header) => {
                    self.auth.keep(scope, header, None).await;
                    Ok(true)
                }
                _ => Ok(false),
            },
            Some(Challenge::Bearer { realm, service }) => {
                let (header, life) = self.token(&realm, service.as_deref(), scope).await?;
                self.auth.keep(scope, header, Some(life)).await;
                Ok(true)
            }
        }
    }

    async fn token(
        &self,
        realm: &str,
        service: Option<&str>,
        scope: Scope,
    ) -> Result<(HeaderValue, std::time::Duration), OciError> {
        let what = "a token for the registry".to_owned();
        let realm = Url::parse(realm).map_err(|_| OciError::Strange {
            what: what.clone(),
            why: "the address where tokens are had is none".to_owned(),
        })?;
        self.may_go_to(&realm, &what)?;
        let request = self.auth.ask(
            &self.http,
            realm.clone(),
            service,
            &scope.of(self.place.repository()),
        );
        let stall = self.limits.stall_timeout;
        let response = tokio::time::timeout(stall, request.send())
            .await
            .map_err(|_| OciError::Network {
                what: what.clone(),
                why: format!("no answer for {} s", stall.as_secs()),
            })?
            .map_err(|error| OciError::Network {
                what: what.clone(),
                why: causes(error),
            })?;
        let strange = |why: &str| OciError::Strange {
            what: what.clone(),
            why: why.to_owned(),
        };
        let answer = Answer::new(what.clone(), realm, response, stall).good().await?;
        let body = answer.body(MAX_TOKEN_BYTES).await?;
        serde_json::from_slice::<Token>(&body)
            .ok()
            .and_then(Token::header)
            .ok_or_else(|| strange("what came is no token"))
    }
}
