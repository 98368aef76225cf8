//! One exchange with a service: bounded, without redirects, tried again only when asked for and only in passing.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode};
use url::Url;
use zeroize::Zeroizing;

use super::address::is_loopback;
use super::error::Fault;

/// Largest answer, in bytes. The largest of use is a Vault key with a thousand versions. Threat: an endless body.
const MAX_BODY_BYTES: usize = 512 << 10;

/// Waits before the second and third attempt.
const PAUSES: [Duration; 2] = [Duration::from_millis(200), Duration::from_millis(800)];

/// Longest time to make a connection to a service.
const CONNECT: Duration = Duration::from_secs(5);

/// Longest time to make one to what gives a machine its credentials: where there is no such thing, nobody answers.
const CONNECT_LINK: Duration = Duration::from_secs(1);

/// The connections to one service.
pub(super) struct Http {
    client: reqwest::Client,
    /// Longest time for everything that is done with a key at once.
    patience: Duration,
    /// Where authorities that are not the system's are set.
    authorities: &'static str,
}

/// One request.
pub(super) struct Ask<'a> {
    pub(super) method: Method,
    pub(super) url: &'a Url,
    pub(super) headers: HeaderMap,
    pub(super) body: Option<Bytes>,
}

/// A whole answer. Its body may be a secret, and is wiped when dropped.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Zeroizing<Vec<u8>>,
}

impl<'a> Ask<'a> {
    pub(super) fn new(method: Method, url: &'a Url) -> Self {
        Self {
            method,
            url,
            headers: HeaderMap::new(),
            body: None,
        }
    }

    pub(super) fn get(url: &'a Url) -> Self {
        Self::new(Method::GET, url)
    }

    /// Adds a header. What it says may be a secret: it shows in no `Debug`.
    pub(super) fn with(mut self, name: &str, value: &str) -> Result<Self, Fault> {
        let name = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| Fault::Refused(format!("{name:?} cannot be a header of a request")))?;
        let mut value = HeaderValue::from_str(value).map_err(|_| {
            Fault::Refused(format!(
                "what is to be sent as {name} holds characters that no header can (a line break at its end?)"
            ))
        })?;
        value.set_sensitive(true);
        self.headers.insert(name, value);
        Ok(self)
    }

    pub(super) fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = Some(body.into());
        self
    }
}

impl Answer {
    /// A header as text.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The body as a JSON document of this form.
    pub(super) fn json<T: serde::de::DeserializeOwned>(&self) -> Result<T, Fault> {
        // The library's error may repeat a piece of the body, so only the place is told.
        serde_json::from_slice(&self.body).map_err(|error| {
            Fault::Refused(format!(
                "its answer is not what its documentation says (status {}, line {}, column {}); is something else answering at this address?",
                self.status.as_u16(),
                error.line(),
                error.column()
            ))
        })
    }
}

impl Http {
    /// Connections to a service at `base`, believing the system's authorities, or else only those in `ca_file`, a
    /// PEM, which `authorities` names.
    pub(super) fn new(
        base: &Url,
        ca_file: Option<&[u8]>,
        authorities: &'static str,
        patience: Duration,
    ) -> Result<Self, Fault> {
        let mut builder = builder(CONNECT);
        if is_loopback(base) {
            builder = builder.no_proxy();
        }
        if let Some(pem) = ca_file {
            let refuse = || Fault::Refused(format!("the file of {authorities} holds no certificates in PEM"));
            let found = reqwest::Certificate::from_pem_bundle(pem).map_err(|_| refuse())?;
            if found.is_empty() {
                return Err(refuse());
            }
            builder = builder.tls_certs_only(found);
        } else if base.scheme() == "http" {
            // Must also work on a machine without any certificate store.
            builder = builder.tls_certs_only([]);
        }
        Self::built(builder, authorities, patience)
    }

    /// Connections to what answers on the link: never through a proxy.
    pub(super) fn on_the_link(base: &Url, patience: Duration) -> Result<Self, Fault> {
        let mut builder = builder(CONNECT_LINK).no_proxy();
        if base.scheme() == "http" {
            builder = builder.tls_certs_only([]);
        }
        Self::built(builder, "the system's certificate store", patience)
    }

    fn built(
        builder: reqwest::ClientBuilder,
        authorities: &'static str,
        patience: Duration,
    ) -> Result<Self, Fault> {
        let client = builder
            .build()
            .map_err(|error| Fault::Refused(format!("TLS cannot be set up: {}", causes(&error))))?;
        Ok(Self {
            client,
            patience,
            authorities,
        })
    }

    /// Asks once.
    pub(super) async fn once(&self, ask: &Ask<'_>) -> Result<Answer, Fault> {
        // A little less than whoever waits for all of it, so that the one who hangs is named.
        match tokio::time::timeout(
            self.patience.saturating_sub(self.patience / 20),
            self.exchange(ask),
        )
        .await
        {
            Ok(done) => done,
            Err(_) => Err(Fault::Unavailable(format!(
                "{} gave no answer within {:?}",
                origin(ask.url),
                self.patience
            ))),
        }
    }

    async fn exchange(&self, ask: &Ask<'_>) -> Result<Answer, Fault> {
        let mut request = self
            .client
            .request(ask.method.clone(), ask.url.clone())
            .headers(ask.headers.clone());
        if let Some(body) = &ask.body {
            request = request.body(body.clone());
        }
        let mut response = request.send().await.map_err(|error| self.broken(ask, error))?;
        let (status, headers) = (response.status(), response.headers().clone());
        if status.is_redirection() {
            let to = headers
                .get(http::header::LOCATION)
                .and_then(|to| ask.url.join(to.to_str().ok()?).ok())
                .and_then(|to| to.host_str().map(str::to_owned))
                .unwrap_or_else(|| "nowhere".to_owned());
            return Err(Fault::Refused(format!(
                "{} redirects to {to}, which is not followed, since the credentials would go along; is it a standby? Set the address to the one that answers",
                origin(ask.url)
            )));
        }
        let too_large = || {
            Fault::Refused(format!(
                "{} answered with more than {MAX_BODY_BYTES} bytes; it is not the service that it should be",
                origin(ask.url)
            ))
        };
        // All at once: a buffer that grows leaves copies behind that nobody wipes.
        let mut body = Zeroizing::new(Vec::with_capacity(match response.content_length() {
            Some(length) if length > MAX_BODY_BYTES as u64 => return Err(too_large()),
            Some(length) => usize::try_from(length).unwrap_or(MAX_BODY_BYTES),
            None => MAX_BODY_BYTES,
        }));
        while let Some(chunk) = response.chunk().await.map_err(|error| self.broken(ask, error))? {
            if body.len() + chunk.len() > MAX_BODY_BYTES {
                return Err(too_large());
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer {
            status,
            headers,
            body,
        })
    }

    /// Asks up to three times, for what does no harm when it is done twice: reading, signing.
    ///
    /// Again after a broken connection, 429 and the 5xx that pass, and what `again` says passes too.
    pub(super) async fn repeated(&self, ask: &Ask<'_>, again: fn(&Answer) -> bool) -> Result<Answer, Fault> {
        let started = Instant::now();
        for pause in PAUSES {
            let done = self.once(ask).await;
            let passing = match &done {
                Ok(answer) => passes(answer.status) || again(answer),
                Err(fault) => fault.is_passing(),
            };
            // What is known is said in time, instead of being cut off in the middle of another attempt.
            if !passing || started.elapsed() + pause > self.patience / 2 {
                return done;
            }
            tokio::time::sleep(pause).await;
        }
        self.once(ask).await
    }

    fn broken(&self, ask: &Ask<'_>, error: reqwest::Error) -> Fault {
        let causes = causes(&error.without_url());
        let certificate = causes.contains("certificate");
        let why = format!("{} does not answer: {causes}", origin(ask.url));
        if certificate {
            Fault::Refused(format!(
                "{why}; the certificate authority that it needs goes into {}",
                self.authorities
            ))
        } else {
            Fault::Unavailable(why)
        }
    }
}

/// The statuses that pass by themselves: a busy, starting, sealed or failing service.
pub(super) fn passes(status: StatusCode) -> bool {
    matches!(status.as_u16(), 429 | 500 | 502..=504)
}

/// Scheme, host and port, which hold no secret.
pub(super) fn origin(url: &Url) -> String {
    url.origin().ascii_serialization()
}

fn builder(connect: Duration) -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .user_agent(concat!("chiron/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .connect_timeout(connect)
        // What is compressed could grow without bound; nobody is asked to compress.
        .gzip(false)
        .referer(false)
        // Signatures are far apart; a connection that died meanwhile would only be found out by failing.
        .pool_idle_timeout(Duration::from_secs(10))
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
