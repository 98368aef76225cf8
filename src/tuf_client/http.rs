//! One bounded GET. Whoever answers is not trusted: it may send without end, not at all, or elsewhere.

use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{ACCEPT_ENCODING, HeaderName, HeaderValue};
use reqwest::redirect::{Attempt, Policy};
use serde::Deserialize;
use tokio::time::Instant;
use url::{Host, Url};

use super::transport::FetchError;

/// Redirects that are followed, and only on the same scheme, host and port. Threat: a repository that sends its clients
/// round in circles, or to a machine that only they can reach.
const MAX_REDIRECTS: usize = 5;

/// Bytes of a problem document (RFC 9457). Threat: endless data.
const MAX_PROBLEM: u64 = 64 << 10;
/// Characters of its title that are repeated.
const MAX_TITLE: usize = 200;

/// What may take how long. Threat: slow retrieval (section 1.5.10).
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// For a connection, and between any two pieces of an answer.
    pub stall: Duration,
    /// For one metadata file, and for a target before its length is reckoned in.
    pub whole: Duration,
    /// Bytes per second that a target must come at, on average.
    pub least_rate: u64,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            stall: Duration::from_secs(10),
            whole: Duration::from_secs(30),
            least_rate: 32 << 10,
        }
    }
}

impl Patience {
    /// The same bounds around another stall.
    pub fn stalling_after(stall: Duration) -> Self {
        Self {
            stall,
            whole: stall * 3,
            ..Self::default()
        }
    }

    fn for_length(&self, length: u64, least_rate: u64) -> Duration {
        self.whole + Duration::from_secs(length / least_rate.max(1))
    }
}

/// Bytes per second that a document must come at: its limit is many times its usual length, unlike a file's.
const DOCUMENT_RATE: u64 = 1 << 20;

/// Connections to one host.
#[derive(Clone, Debug)]
pub struct Http {
    /// Metadata and pages compress well.
    packed: reqwest::Client,
    /// Files come as they are: their length and digest are those of the bytes on the wire.
    plain: reqwest::Client,
    patience: Patience,
}

/// An answer with a good status, and its body still to be read.
#[derive(Debug)]
pub struct Answer {
    response: reqwest::Response,
    patience: Patience,
    until: Instant,
    left: u64,
    limit: u64,
}

impl Http {
    /// For the host of `base`. Sends nothing.
    pub fn new(base: &Url, patience: Patience) -> Result<Self, String> {
        let builder = |gzip: bool| {
            let builder = reqwest::Client::builder()
                .user_agent(concat!("chiron/", env!("CARGO_PKG_VERSION")))
                .redirect(Policy::custom(same_host))
                .retry(reqwest::retry::never())
                .connect_timeout(patience.stall)
                .referer(false)
                .gzip(gzip);
            // What runs on this machine is not reached through another one.
            let builder = if is_loopback(base) {
                builder.no_proxy()
            } else {
                builder
            };
            // A machine without a certificate store can still use a repository that speaks plain HTTP: TUF needs no TLS.
            if base.scheme() == "http" {
                builder.tls_certs_only([])
            } else {
                builder
            }
        };
        let build = |gzip| builder(gzip).build().map_err(|error| causes(&error));
        Ok(Self {
            packed: build(true)?,
            plain: build(false)?,
            patience,
        })
    }

    /// A document of at most `limit` bytes after unpacking; `None` when the host has none of that name.
    pub async fn document(&self, url: Url, limit: u64) -> Result<Option<Bytes>, FetchError> {
        match self.get((&self.packed, DOCUMENT_RATE), url, limit, &[]).await? {
            None => Ok(None),
            Some(answer) => answer.all().await.map(Some),
        }
    }

    /// As [`Http::document`], with request headers of one's own and the status as it is.
    pub async fn ask(
        &self,
        url: Url,
        limit: u64,
        headers: &[(HeaderName, &str)],
    ) -> Result<(u16, Bytes), FetchError> {
        let answer = self
            .send((&self.packed, DOCUMENT_RATE), url, limit, headers)
            .await?;
        let status = answer.response.status().as_u16();
        Ok((status, answer.all().await?))
    }

    /// A file of at most `limit` bytes, to be read piece by piece.
    pub async fn file(&self, url: Url, limit: u64) -> Result<Option<Answer>, FetchError> {
        self.get(
            (&self.plain, self.patience.least_rate),
            url,
            limit,
            &[(ACCEPT_ENCODING, "identity")],
        )
        .await
    }

    async fn get(
        &self,
        client: (&reqwest::Client, u64),
        url: Url,
        limit: u64,
        headers: &[(HeaderName, &str)],
    ) -> Result<Option<Answer>, FetchError> {
        let answer = self.send(client, url, limit, headers).await?;
        match answer.response.status().as_u16() {
            200 => Ok(Some(answer)),
            // Object stores answer 403 for what they do not have; every client takes both for "there is none".
            403 | 404 | 410 => Ok(None),
            status => Err(said(answer, status).await),
        }
    }

    async fn send(
        &self,
        (client, least_rate): (&reqwest::Client, u64),
        url: Url,
        limit: u64,
        headers: &[(HeaderName, &str)],
    ) -> Result<Answer, FetchError> {
        let until = Instant::now() + self.patience.for_length(limit, least_rate);
        let mut request = client.get(url);
        for (name, value) in headers {
            if let Ok(value) = HeaderValue::try_from(*value) {
                request = request.header(name, value);
            }
        }
        let stall = self.patience.stall;
        let response = tokio::time::timeout(stall, request.send())
            .await
            .map_err(|_| FetchError::Stalled(stall))?
            .map_err(|error| failed(error, stall))?;
        if response.content_length().is_some_and(|length| length > limit) {
            return Err(FetchError::TooLong { limit });
        }
        Ok(Answer {
            response,
            patience: self.patience,
            until,
            left: limit,
            limit,
        })
    }
}

impl Answer {
    /// The next piece; `None` at the end.
    pub async fn next(&mut self) -> Result<Option<Bytes>, FetchError> {
        let stall = self.patience.stall;
        let pause = Instant::now() + stall;
        let until = pause.min(self.until);
        let chunk = match tokio::time::timeout_at(until, self.response.chunk()).await {
            Err(_) if until == pause => return Err(FetchError::Stalled(stall)),
            Err(_) => return Err(FetchError::TooSlow),
            Ok(chunk) => chunk.map_err(|error| failed(error, stall))?,
        };
        if let Some(chunk) = &chunk {
            self.left = self
                .left
                .checked_sub(chunk.len() as u64)
                .ok_or(FetchError::TooLong { limit: self.limit })?;
        }
        Ok(chunk)
    }

    async fn all(mut self) -> Result<Bytes, FetchError> {
        let mut body = Vec::new();
        while let Some(chunk) = self.next().await? {
            body.extend_from_slice(&chunk);
        }
        Ok(body.into())
    }
}

/// A status that says no, with its reason where the answer is a problem document.
async fn said(mut answer: Answer, status: u16) -> FetchError {
    #[derive(Deserialize)]
    struct Problem {
        title: String,
    }
    answer.left = answer.left.min(MAX_PROBLEM);
    let body = answer.all().await.unwrap_or_default();
    match serde_json::from_slice::<Problem>(&body) {
        Ok(problem) => FetchError::Said {
            status,
            title: problem.title.chars().take(MAX_TITLE).collect(),
        },
        Err(_) => FetchError::Status(status),
    }
}

fn same_host(attempt: Attempt<'_>) -> reqwest::redirect::Action {
    let at_home = attempt
        .previous()
        .first()
        .is_some_and(|first| first.origin() == attempt.url().origin());
    if !at_home {
        attempt.error("it redirects to another host, which is not followed")
    } else if attempt.previous().len() > MAX_REDIRECTS {
        attempt.error("it redirects too often")
    } else {
        attempt.follow()
    }
}

fn failed(error: reqwest::Error, stall: Duration) -> FetchError {
    if error.is_timeout() {
        return FetchError::Stalled(stall);
    }
    // The address may hold a password.
    FetchError::Failed(causes(&error.without_url()))
}

fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let said = inner.to_string();
        if !text.ends_with(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        cause = inner.source();
    }
    text
}

/// Whether an address is of this machine.
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name.eq_ignore_ascii_case("localhost"),
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}
