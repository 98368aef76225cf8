//! One way to the admin API: over the network to a daemon, or in process on the data folder.
//!
//! A verb is written once, against this; it does not know which of the two it talks to.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::time::Duration;

use axum::body::Body;
use axum::extract::ConnectInfo;
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use http::{Method, StatusCode, header};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::de::DeserializeOwned;
use tokio_util::io::ReaderStream;
use tower::ServiceExt;
use url::Url;

use super::exit::Failure;
use crate::app::App;

/// A server that does not even accept a connection in this time is taken for down.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Silence on a connection. A verdict on a large wheel takes seconds, not minutes.
const READ_TIMEOUT: Duration = Duration::from_mins(5);

/// Bytes of one answer kept in memory: the rows of a job of 10,000 items with room to spare,
/// and a bound against a server that never stops.
const MAX_DOCUMENT_BYTES: usize = 512 << 20;

/// Bytes read from a file at a time.
const FILE_CHUNK_BYTES: usize = 256 << 10;

/// What may stand unescaped in one segment of a path.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Text as one segment of a path or one value of a query.
pub fn segment(text: &str) -> String {
    utf8_percent_encode(text, SEGMENT).to_string()
}

/// The admin API, wherever it is.
pub enum Client {
    /// A daemon, over HTTP.
    Remote(Remote),
    /// The data folder, in this process.
    Local(Box<Local>),
}

/// A daemon to talk to.
pub struct Remote {
    http: reqwest::Client,
    base: Url,
    token: Option<String>,
}

/// The data folder, opened by this process.
pub struct Local {
    app: App,
    router: axum::Router,
}

/// What is sent with a request.
pub enum Payload {
    /// Nothing.
    Empty,
    /// A JSON document.
    Json(Vec<u8>),
    /// The bytes of a file, streamed; the function hears of each chunk's length.
    File {
        /// Where it is.
        path: PathBuf,
        /// Called with the number of bytes that have just been read.
        sent: Box<dyn Fn(u64) + Send + Sync>,
    },
}

type Chunks = Pin<Box<dyn Stream<Item = Result<Bytes, ClientError>> + Send>>;

/// An answer whose status said yes.
pub struct Reply {
    /// 2xx.
    pub status: StatusCode,
    body: Chunks,
}

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The server said no (RFC 9457).
    #[error("{detail}")]
    Problem {
        /// HTTP status.
        status: StatusCode,
        /// The problem's `type`, which is stable.
        kind: String,
        /// What the server says.
        detail: String,
    },
    /// No connection, or it broke.
    #[error("cannot talk to {server}: {cause}")]
    Unreachable {
        /// As the user named it.
        server: String,
        /// Every cause, outermost first.
        cause: String,
    },
    /// The answer is not what the admin API sends.
    #[error("{server} answered {what}, which is not what Chiron's admin API sends")]
    Strange {
        /// As the user named it.
        server: String,
        /// What came.
        what: String,
    },
    /// A file to send cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::Problem { status, ref kind, ref detail } => problem(status, kind, detail),
            ClientError::Unreachable { .. } => Self::upstream(error)
                .next("check that the daemon runs and that --server (or CHIRON_SERVER) is right"),
            ClientError::Strange { .. } => {
                Self::upstream(error).next("check that --server names a Chiron daemon, without a path")
            }
            ClientError::File { ref path, ref source } => Self::file("read", path, source),
        }
    }
}

/// What a problem document means for the exit status: its stable `type` first, its status else.
fn problem(status: StatusCode, kind: &str, detail: &str) -> Failure {
    match kind.strip_prefix("urn:chiron:problem:").unwrap_or_default() {
        "not-admitted" => return Failure::not_admitted(detail),
        "damaged" => {
            return Failure::integrity(detail)
                .next("`chiron scrub` says what is damaged, `chiron scrub --repair` fetches it again");
        }
        "read-only" => return Failure::internal(detail).next("restart the daemon once the disk is well again"),
        _ => {}
    }
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Failure::denied(detail)
            .next("give --token (or CHIRON_TOKEN): the daemon keeps it in DATA/admin.token, readable by its user"),
        StatusCode::NOT_FOUND | StatusCode::GONE => Failure::not_admitted(detail),
        StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT => {
            Failure::upstream(detail).next("`chiron status` says which upstream is down; run the command again later")
        }
        StatusCode::INSUFFICIENT_STORAGE => Failure::internal(detail)
            .next("free some space on the data folder's disk; `chiron gc --dry-run` says what Chiron could free"),
        status if status.is_client_error() => Failure::usage(detail),
        StatusCode::SERVICE_UNAVAILABLE => Failure::upstream(detail).next("run the command again"),
        _ => Failure::internal(detail).next("the daemon's log has the cause; `chiron doctor` checks the data folder"),
    }
}

impl Client {
    /// Talks to a daemon at `server`, such as `http://127.0.0.1:8080`.
    pub fn remote(server: &str, token: Option<String>) -> Result<Self, Failure> {
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
        Ok(Self::Remote(Remote { http, base, token }))
    }

    /// Acts on the data folder that `app` has opened.
    pub fn local(app: App) -> Self {
        let router = app.router();
        Self::Local(Box::new(Local { app, router }))
    }

    /// Ends background work and closes the data folder.
    pub async fn close(self) {
        if let Self::Local(local) = self {
            local.app.shutdown().await;
        }
    }

    /// The daemon's address when there is one.
    pub fn server(&self) -> Option<&Url> {
        match self {
            Self::Remote(remote) => Some(&remote.base),
            Self::Local(_) => None,
        }
    }

    /// Who is talked to, for messages.
    pub fn whom(&self) -> String {
        match self {
            Self::Remote(remote) => origin(&remote.base),
            Self::Local(_) => "the data folder".to_owned(),
        }
    }

    /// Sends a request; an answer that is not 2xx is an error.
    pub async fn call(
        &self,
        method: Method,
        path: &str,
        accept: &str,
        payload: Payload,
    ) -> Result<Reply, ClientError> {
        let (status, body) = match self {
            Self::Remote(remote) => remote.send(method, path, accept, payload).await?,
            Self::Local(local) => local.send(method, path, accept, payload).await?,
        };
        let reply = Reply { status, body };
        if status.is_success() {
            return Ok(reply);
        }
        let whom = self.whom();
        let text = reply.bytes().await.unwrap_or_default();
        Err(read_problem(status, &text, &whom))
    }

    /// GETs a JSON document.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        let reply = self.call(Method::GET, path, "application/json", Payload::Empty).await?;
        self.read(reply).await
    }

    /// GETs bytes.
    pub async fn get_bytes(&self, path: &str) -> Result<Vec<u8>, ClientError> {
        self.call(Method::GET, path, "*/*", Payload::Empty).await?.bytes().await
    }

    /// As [`Self::get`], with 404 as `None`.
    pub async fn find<T: DeserializeOwned>(&self, path: &str) -> Result<Option<T>, ClientError> {
        match self.get(path).await {
            Ok(found) => Ok(Some(found)),
            Err(ClientError::Problem { status: StatusCode::NOT_FOUND, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// POSTs a JSON document and reads the one that comes back.
    pub async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        document: &(impl serde::Serialize + Sync),
    ) -> Result<T, ClientError> {
        let json = serde_json::to_vec(document).map_err(|error| self.strange(&error.to_string()))?;
        let reply = self.call(Method::POST, path, "application/json", Payload::Json(json)).await?;
        self.read(reply).await
    }

    /// Reads a reply's body as JSON.
    pub async fn read<T: DeserializeOwned>(&self, reply: Reply) -> Result<T, ClientError> {
        let bytes = reply.bytes().await?;
        serde_json::from_slice(&bytes).map_err(|error| self.strange(&format!("a document that does not parse ({error})")))
    }

    fn strange(&self, what: &str) -> ClientError {
        ClientError::Strange { server: self.whom(), what: what.to_owned() }
    }
}

impl Reply {
    /// The body as it arrives.
    pub fn chunks(self) -> Chunks {
        self.body
    }

    /// The whole body, up to [`MAX_DOCUMENT_BYTES`].
    pub async fn bytes(mut self) -> Result<Vec<u8>, ClientError> {
        let mut all = Vec::new();
        while let Some(chunk) = self.body.next().await {
            let chunk = chunk?;
            if all.len() + chunk.len() > MAX_DOCUMENT_BYTES {
                return Err(ClientError::Strange {
                    server: "the server".to_owned(),
                    what: format!("more than {MAX_DOCUMENT_BYTES} bytes"),
                });
            }
            all.extend_from_slice(&chunk);
        }
        Ok(all)
    }
}

impl Remote {
    async fn send(
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
        let (path, query) = path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
        url.set_path(&format!("{}{path}", self.base.path().trim_end_matches('/')));
        url.set_query(query);
        let mut request = self.http.request(method, url).header(header::ACCEPT, accept);
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        request = match payload {
            Payload::Empty => request,
            Payload::Json(json) => request.header(header::CONTENT_TYPE, "application/json").body(json),
            Payload::File { path, sent } => {
                let (size, chunks) = open_file(path, sent).await?;
                request.header(header::CONTENT_LENGTH, size).body(reqwest::Body::wrap_stream(chunks))
            }
        };
        let response = request.send().await.map_err(|error| unreachable(&self.base, &error))?;
        let status = response.status();
        let base = self.base.clone();
        let chunks = response.bytes_stream().map(move |chunk| chunk.map_err(|error| unreachable(&base, &error)));
        Ok((status, Box::pin(chunks)))
    }
}

impl Local {
    async fn send(
        &self,
        method: Method,
        path: &str,
        accept: &str,
        payload: Payload,
    ) -> Result<(StatusCode, Chunks), ClientError> {
        let failed = |cause: String| ClientError::Unreachable { server: "the data folder".to_owned(), cause };
        let mut request = http::Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, "127.0.0.1")
            .header(header::ACCEPT, accept)
            .header(header::AUTHORIZATION, format!("Bearer {}", self.app.admin_token()))
            .extension(ConnectInfo(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))));
        let body = match payload {
            Payload::Empty => Body::empty(),
            Payload::Json(json) => {
                request = request.header(header::CONTENT_TYPE, "application/json");
                Body::from(json)
            }
            Payload::File { path, sent } => {
                let (size, chunks) = open_file(path, sent).await?;
                request = request.header(header::CONTENT_LENGTH, size);
                Body::from_stream(chunks)
            }
        };
        let request = request.body(body).map_err(|error| failed(error.to_string()))?;
        let Ok(response) = self.router.clone().oneshot(request).await;
        let status = response.status();
        let chunks =
            response.into_body().into_data_stream().map(move |chunk| chunk.map_err(|error| failed(error.to_string())));
        Ok((status, Box::pin(chunks)))
    }
}

/// The file's size, and its bytes as they are read.
async fn open_file(
    path: PathBuf,
    sent: Box<dyn Fn(u64) + Send + Sync>,
) -> Result<(u64, impl Stream<Item = std::io::Result<Bytes>> + Send + 'static), ClientError> {
    let failed = |source| ClientError::File { path: path.clone(), source };
    let file = tokio::fs::File::open(&path).await.map_err(failed)?;
    let size = file.metadata().await.map_err(failed)?.len();
    let chunks = ReaderStream::with_capacity(file, FILE_CHUNK_BYTES).inspect(move |chunk| {
        if let Ok(chunk) = chunk {
            sent(chunk.len() as u64);
        }
    });
    Ok((size, chunks))
}

/// What an answer that is not 2xx says.
fn read_problem(status: StatusCode, body: &[u8], whom: &str) -> ClientError {
    #[derive(serde::Deserialize)]
    struct Problem {
        #[serde(default, rename = "type")]
        kind: String,
        title: String,
        #[serde(default)]
        detail: Option<String>,
    }
    match serde_json::from_slice::<Problem>(body) {
        Ok(problem) => {
            ClientError::Problem { status, kind: problem.kind, detail: problem.detail.unwrap_or(problem.title) }
        }
        Err(_) => ClientError::Strange { server: whom.to_owned(), what: format!("HTTP {status} without a problem document") },
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
fn origin(url: &Url) -> String {
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

/// The token beside a local daemon's data, so that nobody needs to copy it on its own machine.
pub fn token_file(data_dir: &Path) -> PathBuf {
    data_dir.join("admin.token")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::cli::exit::ExitStatus;

    #[test]
    fn a_segment_cannot_leave_its_place() {
        assert_eq!(segment("flask-3.0.3-py3-none-any.whl"), "flask-3.0.3-py3-none-any.whl");
        assert_eq!(segment("../x y?z#+"), "..%2Fx%20y%3Fz%23%2B");
    }

    #[test]
    fn a_server_is_an_http_origin() {
        assert!(parse_server("http://127.0.0.1:8080").is_ok());
        for wrong in ["127.0.0.1:8080", "localhost:1", "ftp://x/", "http://", "unix:/run/x"] {
            assert_eq!(parse_server(wrong).map_err(|failure| failure.status), Err(ExitStatus::Usage), "{wrong}");
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
        assert_eq!(origin(&Url::parse("http://me:secret@mirror:8080/x").unwrap()), "http://mirror:8080");
    }

    #[test]
    fn problems_become_exit_statuses() {
        let status = |code: u16, kind: &str| problem(StatusCode::from_u16(code).unwrap(), kind, "d").status;
        assert_eq!(status(401, ""), ExitStatus::Denied);
        assert_eq!(status(403, ""), ExitStatus::Denied);
        assert_eq!(status(404, ""), ExitStatus::NotAdmitted);
        assert_eq!(status(422, ""), ExitStatus::Usage);
        assert_eq!(status(502, ""), ExitStatus::Upstream);
        assert_eq!(status(507, ""), ExitStatus::Internal);
        assert_eq!(status(500, "urn:chiron:problem:damaged"), ExitStatus::Integrity);
        assert_eq!(status(403, "urn:chiron:problem:not-admitted"), ExitStatus::NotAdmitted);
        assert_eq!(status(503, "urn:chiron:problem:read-only"), ExitStatus::Internal);
        assert_eq!(status(500, ""), ExitStatus::Internal);
    }

    #[test]
    fn an_answer_that_is_no_problem_document_is_strange() {
        let strange = read_problem(StatusCode::BAD_GATEWAY, b"<html>", "http://x");
        assert!(matches!(strange, ClientError::Strange { .. }), "{strange}");
        let problem = read_problem(StatusCode::CONFLICT, br#"{"type":"t","title":"T","status":409}"#, "x");
        assert!(matches!(problem, ClientError::Problem { detail, .. } if detail == "T"));
    }
}
