//! A daemon, over HTTP.

use std::time::Duration;

use futures_util::StreamExt;
use http::{Method, StatusCode, header};
use url::Url;

use super::{Chunks, ClientError, Payload, open_file};
use crate::cli::exit::Failure;

/// A server that does not even accept a connection in this time is taken for down.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Silence on a connection. A verdict on a large wheel takes seconds, not minutes.
const READ_TIMEOUT: Duration = Duration::from_mins(5);

/// A daemon to talk to.
pub struct Remote {
    http: reqwest::Client,
    base: Url,
    token: Option<String>,
}

impl Remote {
    /// Talks to a daemon at `server`; the token goes nowhere else.
    pub(super) fn new(server: &str, token: Option<String>) -> Result<Self, Failure> {
        let base = parse_server(server)?;
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("chiron/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(READ_TIMEOUT)
            // A redirect would carry the token to a place that the user did not name.
            .redirect(reqwest::redirect::Policy::none());
        if is_loopback(&base) {
            builder = builder.no_proxy();
        }
        if base.scheme() == "http" {
            // Spares reading the system's certificates, and works where there are none.
            builder = builder.tls_certs_only(std::iter::empty());
        }
        let http = builder
            .build()
            .map_err(|error| Failure::internal(format_args!("cannot set up HTTP: {}", causes(&error))))?;
        Ok(Self { http, base, token })
    }

    /// Where it is.
    pub(super) fn base(&self) -> &Url {
        &self.base
    }

    pub(super) async fn send(
        &self,
        method: Method,
        path: &str,
        accept: &str,
        payload: Payload,
    ) -> Result<(StatusCode, Chunks), ClientError> {
        let unreachable = |server: &Url, error: &reqwest::Error| ClientError::Unreachable {
            server: origin(server),
            cause: causes(error),
        };
        let mut url = self.base.clone();
        let (path, query) = path
            .split_once('?')
            .map_or((path, None), |(path, query)| (path, Some(query)));
        url.set_path(&format!("{}{path}", self.base.path().trim_end_matches('/')));
        url.set_query(query);
        let mut request = self.http.request(method, url).header(header::ACCEPT, accept);
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        request = match payload {
            Payload::Empty => request,
            Payload::Json(json) => request
                .header(header::CONTENT_TYPE, "application/json")
                .body(json),
            Payload::Bytes(bytes) => request
                .header(header::CONTENT_TYPE, "application/octet-stream")
                .body(bytes),
            Payload::File { path, sent } => {
                let (size, chunks) = open_file(path, sent).await?;
                request
                    .header(header::CONTENT_LENGTH, size)
                    .body(reqwest::Body::wrap_stream(chunks))
            }
        };
        let response = request
            .send()
            .await
            .map_err(|error| unreachable(&self.base, &error))?;
        let status = response.status();
        super::tell_note(response.headers());
        let base = self.base.clone();
        let chunks = response
            .bytes_stream()
            .map(move |chunk| chunk.map_err(|error| unreachable(&base, &error)));
        Ok((status, Box::pin(chunks)))
    }
}

/// Reads `--server`.
fn parse_server(server: &str) -> Result<Url, Failure> {
    let wrong = |why: &str| {
        Failure::usage(format_args!("`{server}` is not the address of a daemon: {why}"))
            .next("write it as http://127.0.0.1:8080 (`chiron serve` prints it)")
    };
    let url = Url::parse(server).map_err(|error| wrong(&error.to_string()))?;
    match url.scheme() {
        "http" | "https" if url.host().is_some() => Ok(url),
        "http" | "https" => Err(wrong("it names no host")),
        other => Err(wrong(&format!("`{other}` is neither http nor https"))),
    }
}

/// True when requests to this server do not leave the machine.
pub fn is_loopback(server: &Url) -> bool {
    match server.host() {
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

/// Scheme, host and port: never the user and password of a URL.
pub(super) fn origin(url: &Url) -> String {
    url.origin().ascii_serialization()
}

/// The causes of an error in one line; reqwest's own text hides them.
fn causes(error: &reqwest::Error) -> String {
    let mut text = String::new();
    let mut next: Option<&dyn std::error::Error> = std::error::Error::source(error);
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            if !text.is_empty() {
                text.push_str(": ");
            }
            text.push_str(&cause_text);
        }
        next = cause.source();
    }
    if text.is_empty() { error.to_string() } else { text }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::cli::exit::ExitStatus;

    #[test]
    fn a_server_is_an_http_origin() {
        assert!(parse_server("http://127.0.0.1:8080").is_ok());
        for wrong in [
            "127.0.0.1:8080",
            "localhost:1",
            "ftp://x/",
            "http://",
            "unix:/run/x",
        ] {
            assert_eq!(
                parse_server(wrong).map_err(|failure| failure.status),
                Err(ExitStatus::Usage),
                "{wrong}"
            );
        }
    }

    #[test]
    fn only_loopback_is_loopback() {
        for (url, loopback) in [
            ("http://127.0.0.1:1/", true),
            ("http://[::1]:1/", true),
            ("http://localhost/", true),
            ("http://127.0.0.1.example/", false),
            ("http://10.0.0.1/", false),
        ] {
            assert_eq!(is_loopback(&Url::parse(url).unwrap()), loopback, "{url}");
        }
    }

    #[test]
    fn a_password_in_the_server_is_not_repeated() {
        assert_eq!(
            origin(&Url::parse("http://me:secret@mirror:8080/x").unwrap()),
            "http://mirror:8080"
        );
    }
}
