//! One request: a place at the host, the redirects, the time-outs, the status. Nothing is repeated here.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, StatusCode};
use jiff::Timestamp;
use percent_encoding::percent_decode_str;
use url::Url;

use super::health::{Health, Kind, Outcome};
use super::lanes::{Lanes, Place};
use super::retry::{Deadline, Retry, parse_retry_after};
use super::{Limits, UpstreamError, target};

/// Largest body of a redirect or refusal that is read so that its connection can be used again, in bytes.
const MOST_DISCARDED: u64 = 64 << 10;
/// Idle connections kept per host. More would be dead weight: hosts close them after a minute or so.
const IDLE_PER_HOST: usize = 32;

/// The connections to one upstream and to the hosts that its pages name.
pub(super) struct Client {
    /// Pages compress well, and many small ones share a connection where the server speaks HTTP/2.
    pages: reqwest::Client,
    /// Files come as they are (identity encoding, or their digest would not hold) and each over a connection of its
    /// own, so that one slow file does not hold up the others.
    files: reqwest::Client,
    lanes: Lanes,
    /// The index address, without credentials.
    pub(super) index: Url,
    credentials: Option<Credentials>,
    pub(super) limits: Limits,
    pub(super) health: Health,
}

/// What stood before the `@` of the index address. Sent to the index's own scheme, host and port only.
struct Credentials {
    username: String,
    password: Option<String>,
}

/// One request to make.
pub(super) struct Ask<'a> {
    pub(super) kind: Kind,
    pub(super) method: Method,
    pub(super) url: &'a Url,
    pub(super) headers: HeaderMap,
}

impl<'a> Ask<'a> {
    pub(super) fn get(kind: Kind, url: &'a Url) -> Self {
        Self {
            kind,
            method: Method::GET,
            url,
            headers: HeaderMap::new(),
        }
    }

    pub(super) fn with(mut self, name: header::HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }
}

/// The head of an answer, and its body still to be read. Holds its place at the host until dropped.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    /// Where the redirects ended.
    pub(super) url: Url,
    response: reqwest::Response,
    stall: Duration,
    received: u64,
    _place: Place,
}

impl Client {
    /// Builds the connections; sends nothing.
    pub(super) fn new(mut index: Url, ca_file: Option<&Path>, limits: Limits) -> Result<Self, UpstreamError> {
        let fail = |what: String| UpstreamError::Setup {
            url: (&index).into(),
            what,
            path: ca_file.map(Path::to_owned),
        };
        let authorities = match ca_file {
            None => Vec::new(),
            Some(path) => std::fs::read(path)
                .map_err(|error| fail(error.to_string()))
                .and_then(|pem| {
                    reqwest::Certificate::from_pem_bundle(&pem).map_err(|error| fail(error.to_string()))
                })?,
        };
        // A machine without any certificate store can still use an index that speaks plain http.
        let without_tls = index.scheme() == "http" && authorities.is_empty() && !has_system_authorities();
        if ca_file.is_some() && authorities.is_empty() {
            return Err(fail("the file holds no certificate".to_owned()));
        }
        let builder = || {
            let builder = reqwest::Client::builder()
                .user_agent(concat!("chiron/", env!("CARGO_PKG_VERSION")))
                .redirect(reqwest::redirect::Policy::none())
                .retry(reqwest::retry::never())
                .connect_timeout(limits.connect_timeout)
                .pool_max_idle_per_host(IDLE_PER_HOST)
                .referer(false);
            if without_tls {
                builder.tls_certs_only([])
            } else {
                builder.tls_certs_merge(authorities.clone())
            }
        };
        let pages = builder().gzip(true).http2_adaptive_window(true).build();
        let files = builder().gzip(false).http1_only().build();
        let (pages, files) = match (pages, files) {
            (Ok(pages), Ok(files)) => (pages, files),
            (Err(error), _) | (_, Err(error)) => return Err(fail(causes(&error))),
        };
        let credentials = take_credentials(&mut index);
        Ok(Self {
            pages,
            files,
            lanes: Lanes::new(limits.per_host),
            index,
            credentials,
            limits,
            health: Health::default(),
        })
    }

    /// Attempts for an interactive request: one while upstream is known to be down, since a caller then has a stale
    /// page to serve and should not wait for it through all the pauses.
    pub(super) fn retry(&self) -> Retry {
        let attempts = if self.health.is_down() {
            1
        } else {
            self.limits.attempts
        };
        Retry::new(&self.limits, attempts)
    }

    /// Sends one request, follows its redirects, and takes what answers "not now" or "not you" as an error.
    pub(super) async fn send(&self, ask: &Ask<'_>, deadline: &mut Deadline) -> Result<Answer, UpstreamError> {
        let mut url = ask.url.clone();
        let mut visited: Vec<Url> = Vec::new();
        target::check(&url, &self.index, &self.index)?;
        loop {
            let answer = self.hop(ask, &url, deadline).await?;
            if !is_redirect(answer.status) {
                return judge(answer);
            }
            let refuse = |why| UpstreamError::Refused {
                url: (&url).into(),
                why,
            };
            let location = answer
                .header(header::LOCATION)
                .and_then(|location| url.join(location).ok());
            let next = location.ok_or_else(|| refuse("it redirects to no address"))?;
            target::check(&next, &url, &self.index)?;
            if next == url || visited.contains(&next) {
                return Err(refuse("it redirects in a circle"));
            }
            if visited.len() >= self.limits.redirects {
                return Err(refuse("it redirects too often"));
            }
            answer.discard(deadline).await;
            visited.push(std::mem::replace(&mut url, next));
        }
    }

    async fn hop(&self, ask: &Ask<'_>, url: &Url, deadline: &mut Deadline) -> Result<Answer, UpstreamError> {
        let bulk = ask.kind == Kind::File;
        let place = self.lanes.enter(url, bulk).await;
        deadline.start();
        let client = match ask.kind {
            Kind::Page | Kind::List | Kind::Json => &self.pages,
            Kind::File | Kind::Metadata | Kind::Range => &self.files,
        };
        let mut request = client
            .request(ask.method.clone(), url.clone())
            .headers(ask.headers.clone());
        if let Some(Credentials { username, password }) = &self.credentials
            && url.origin() == self.index.origin()
        {
            request = request.basic_auth(username, password.as_ref());
        }
        let stall = self.limits.stall_timeout;
        let response = deadline
            .within(stall, url, request.send())
            .await?
            .map_err(|error| {
                let source = Arc::new(error.without_url());
                if source.is_timeout() {
                    let limit = self.limits.connect_timeout;
                    UpstreamError::TimedOut {
                        url: url.into(),
                        what: "could not be connected to in time",
                        limit,
                    }
                } else {
                    UpstreamError::Connect {
                        url: url.into(),
                        source,
                    }
                }
            })?;
        let (status, headers) = (response.status(), response.headers().clone());
        Ok(Answer {
            status,
            headers,
            url: url.clone(),
            response,
            stall,
            received: 0,
            _place: place,
        })
    }

    /// Records an attempt that got an answer of use, or a "no" in good order.
    pub(super) fn answered(&self, kind: Kind, outcome: Outcome) {
        self.health.answered(kind, outcome, Timestamp::now());
    }

    /// Records an attempt that failed.
    pub(super) fn failed(&self, kind: Kind, error: &UpstreamError) {
        self.health.failed(kind, error, Timestamp::now());
    }
}

impl Answer {
    /// A header as text.
    pub(super) fn header(&self, name: header::HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// `Content-Length`, if the body comes as it is.
    pub(super) fn declared_length(&self) -> Option<u64> {
        self.header(header::CONTENT_LENGTH)?.trim().parse().ok()
    }

    /// The next part of the body.
    pub(super) async fn chunk(&mut self, deadline: &Deadline) -> Result<Option<Bytes>, UpstreamError> {
        match deadline
            .within(self.stall, &self.url, self.response.chunk())
            .await?
        {
            Ok(chunk) => {
                self.received += chunk.as_ref().map_or(0, |chunk| chunk.len() as u64);
                Ok(chunk)
            }
            Err(error) => Err(UpstreamError::Truncated {
                url: (&self.url).into(),
                received: self.received,
                source: Some(Arc::new(error.without_url())),
            }),
        }
    }

    /// The whole body, up to `limit` bytes.
    pub(super) async fn body(&mut self, limit: u64, deadline: &Deadline) -> Result<Bytes, UpstreamError> {
        let too_large = || UpstreamError::TooLarge {
            url: (&self.url).into(),
            limit,
        };
        let declared = self.declared_length().unwrap_or(0);
        if declared > limit {
            return Err(too_large());
        }
        // What is declared is a claim: no more than a page's usual size is reserved for it.
        let mut body = Vec::with_capacity(usize::try_from(declared.min(1 << 20)).unwrap_or(0));
        while let Some(chunk) = self.chunk(deadline).await? {
            if self.received > limit {
                return Err(UpstreamError::TooLarge {
                    url: (&self.url).into(),
                    limit,
                });
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body.into())
    }

    /// Reads what is left, if it is little, so that the connection can be used again.
    pub(super) async fn discard(mut self, deadline: &Deadline) {
        if self
            .declared_length()
            .is_some_and(|length| length <= MOST_DISCARDED)
        {
            while let Ok(Some(_)) = self.chunk(deadline).await {}
        }
    }
}

/// The statuses that lead on; 300 and 304 do not.
fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

/// Sorts out the statuses that mean the same for every kind of request.
fn judge(answer: Answer) -> Result<Answer, UpstreamError> {
    let (status, url) = (answer.status, &answer.url);
    match status.as_u16() {
        401 | 403 | 407 => Err(UpstreamError::Denied {
            url: url.into(),
            status,
        }),
        // 501 and 505 say that it never will.
        429 | 500 | 502..=504 | 506..=599 => {
            let now = Timestamp::now();
            let retry_after = answer
                .headers
                .get(header::RETRY_AFTER)
                .and_then(|value| parse_retry_after(value, now));
            Err(UpstreamError::Busy {
                url: url.into(),
                status,
                retry_after,
            })
        }
        _ => Ok(answer),
    }
}

/// Takes the user name and password out of an address.
fn take_credentials(url: &mut Url) -> Option<Credentials> {
    let decode = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let username = decode(url.username());
    let password = url.password().map(decode);
    // Both fail only for addresses without a host, which have no credentials either.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    (!username.is_empty() || password.is_some()).then_some(Credentials { username, password })
}

fn has_system_authorities() -> bool {
    reqwest::Client::builder().build().is_ok()
}

fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}
