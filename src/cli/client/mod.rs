//! One way to the admin API: over the network to a daemon, or in process on the data folder.
//!
//! A verb is written once, against this; it does not know which of the two it talks to.

mod error;
mod local;
mod remote;

use std::path::{Path, PathBuf};
use std::pin::Pin;

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use http::{Method, StatusCode};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::de::DeserializeOwned;
use tokio_util::io::ReaderStream;
use url::Url;

pub use error::ClientError;
pub use local::{Listening, Local};
pub use remote::{Remote, is_loopback};

use super::exit::Failure;
use crate::app::App;

/// Bytes of one answer kept in memory: the rows of a job of 10,000 items with room to spare,
/// and a bound against a server that never stops.
const MAX_DOCUMENT_BYTES: usize = 512 << 20;

/// Bytes read from a file at a time.
const FILE_CHUNK_BYTES: usize = 256 << 10;

/// What may stand unescaped in one segment of a path.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// Text as one segment of a path or one value of a query.
pub fn segment(text: &str) -> String {
    utf8_percent_encode(text, SEGMENT).to_string()
}

/// What the daemon says of a change beside its answer, as a line of advice.
fn tell_note(headers: &http::HeaderMap) {
    if let Some(text) = headers.get("chiron-note").and_then(|text| text.to_str().ok()) {
        super::output::note(text);
    }
}

/// The admin API, wherever it is.
pub enum Client {
    /// A daemon, over HTTP.
    Remote(Remote),
    /// The data folder, in this process.
    Local(Box<Local>),
}

/// What is sent with a request.
pub enum Payload {
    /// Nothing.
    Empty,
    /// A JSON document.
    Json(Vec<u8>),
    /// A document that is at hand.
    Bytes(Vec<u8>),
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

impl Client {
    /// Talks to a daemon at `server`, such as `http://127.0.0.1:8080`.
    pub fn remote(server: &str, token: Option<String>) -> Result<Self, Failure> {
        Remote::new(server, token).map(Self::Remote)
    }

    /// Acts on the data folder that `app` has opened.
    pub fn local(app: App) -> Self {
        Self::Local(Box::new(Local::new(app)))
    }

    /// Ends background work and closes the data folder.
    pub async fn close(self) {
        if let Self::Local(local) = self {
            local.close().await;
        }
    }

    /// The daemon's address when there is one.
    pub fn server(&self) -> Option<&Url> {
        match self {
            Self::Remote(remote) => Some(remote.base()),
            Self::Local(_) => None,
        }
    }

    /// Where installers and resolvers can ask over HTTP: the daemon, or this process for as long as the answer is kept.
    pub async fn listen(&self) -> Result<Listening, Failure> {
        match self {
            Self::Remote(remote) => Ok(Listening::at(remote.base().clone())),
            Self::Local(local) => local.listen().await,
        }
    }

    /// Who is talked to, for messages.
    pub fn whom(&self) -> String {
        match self {
            Self::Remote(remote) => remote::origin(remote.base()),
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
        Err(error::read_problem(status, &text, &whom))
    }

    /// GETs a JSON document.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        let reply = self
            .call(Method::GET, path, "application/json", Payload::Empty)
            .await?;
        self.read(reply).await
    }

    /// GETs bytes.
    pub async fn get_bytes(&self, path: &str) -> Result<Vec<u8>, ClientError> {
        self.call(Method::GET, path, "*/*", Payload::Empty)
            .await?
            .bytes()
            .await
    }

    /// As [`Self::get`], with 404 as `None`.
    pub async fn find<T: DeserializeOwned>(&self, path: &str) -> Result<Option<T>, ClientError> {
        match self.get(path).await {
            Ok(found) => Ok(Some(found)),
            Err(ClientError::Problem {
                status: StatusCode::NOT_FOUND,
                ..
            }) => Ok(None),
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
        let reply = self
            .call(Method::POST, path, "application/json", Payload::Json(json))
            .await?;
        self.read(reply).await
    }

    /// Reads a reply's body as JSON.
    pub async fn read<T: DeserializeOwned>(&self, reply: Reply) -> Result<T, ClientError> {
        let bytes = reply.bytes().await?;
        serde_json::from_slice(&bytes)
            .map_err(|error| self.strange(&format!("a document that does not parse ({error})")))
    }

    fn strange(&self, what: &str) -> ClientError {
        ClientError::Strange {
            server: self.whom(),
            what: what.to_owned(),
        }
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

/// The file's size, and its bytes as they are read.
async fn open_file(
    path: PathBuf,
    sent: Box<dyn Fn(u64) + Send + Sync>,
) -> Result<(u64, impl Stream<Item = std::io::Result<Bytes>> + Send + 'static), ClientError> {
    let failed = |source| ClientError::File {
        path: path.clone(),
        source,
    };
    let file = tokio::fs::File::open(&path).await.map_err(failed)?;
    let size = file.metadata().await.map_err(failed)?.len();
    let chunks = ReaderStream::with_capacity(file, FILE_CHUNK_BYTES).inspect(move |chunk| {
        if let Ok(chunk) = chunk {
            sent(chunk.len() as u64);
        }
    });
    Ok((size, chunks))
}

/// The token beside a local daemon's data, so that nobody needs to copy it on its own machine.
pub fn token_file(data_dir: &Path) -> PathBuf {
    data_dir.join("admin.token")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_cannot_leave_its_place() {
        assert_eq!(
            segment("flask-3.0.3-py3-none-any.whl"),
            "flask-3.0.3-py3-none-any.whl"
        );
        assert_eq!(segment("../x y?z#+"), "..%2Fx%20y%3Fz%23%2B");
    }
}
