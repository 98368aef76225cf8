//! What the daemon says without signing it: which candidates it has, and whether it would admit one. Nothing of this is
//! believed. At most it names something that the proxy then asks the signed repository for.

use bytes::Bytes;
use http::header::{ACCEPT, RANGE};
use serde::Deserialize;
use url::Url;

use super::file::Wanted;
use super::refusal::Refusal;
use crate::index::file_url;
use crate::package::ProjectName;
use crate::package::simple::{JSON_CONTENT_TYPE, MAX_PAGE_BYTES};
use crate::tuf_client::{FetchError, Http, Patience, TufClientError, folder_url};

/// Bytes of an answer that says no. Threat: endless data.
const MAX_PROBLEM: u64 = 64 << 10;
/// Bytes of a document beside a file: metadata, provenance, bills of materials.
const MAX_DOCUMENT: u64 = 64 << 20;
/// Characters of what the daemon says that are repeated to the installer.
const MAX_SAID: usize = 300;

/// The unsigned side of upstream.
pub struct Daemon {
    base: Url,
    http: Http,
}

/// What the gate said to a file.
#[derive(Debug, PartialEq, Eq)]
pub enum Gate {
    /// Judged and admitted: it is published, or will be within moments.
    Admitted,
    /// Judged, and not to be served.
    Denied { title: String, detail: String },
    /// Nobody offers it.
    Unknown,
    /// No verdict yet; asking again later helps.
    NotYet,
}

/// RFC 9457, as far as it is read.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Said {
    title: String,
    detail: String,
}

impl Daemon {
    pub fn new(base: &Url, patience: Patience) -> Result<Self, TufClientError> {
        let base = folder_url(base);
        let http = Http::new(&base, patience).map_err(TufClientError::Setup)?;
        Ok(Self { base, http })
    }

    fn url(&self, path: &str) -> Result<Url, Refusal> {
        self.base
            .join(path)
            .map_err(|error| Refusal::unavailable("upstream's address cannot be used", error.to_string()))
    }

    /// The page as the daemon shows it; `None` when it knows no such project.
    pub async fn page(&self, project: &ProjectName) -> Result<Option<Bytes>, Refusal> {
        let url = self.url(&format!("simple/{project}/"))?;
        let headers = [(ACCEPT, JSON_CONTENT_TYPE)];
        let answer = self.http.ask(url, MAX_PAGE_BYTES as u64, &headers).await;
        match answer.map_err(|error| unreachable(&format!("the page of {project}"), &error))? {
            (200, body) => Ok(Some(body)),
            (404, _) => Ok(None),
            (status, _) => Err(unreachable(
                &format!("the page of {project}"),
                &FetchError::Status(status),
            )),
        }
    }

    /// Has the daemon judge a file, without taking it: one byte is asked for, and dropped.
    pub async fn gate(&self, wanted: &Wanted) -> Result<Gate, Refusal> {
        let url = self.file_url(wanted, "")?;
        let answer = self.http.ask(url, MAX_PROBLEM, &[(RANGE, "bytes=0-0")]).await;
        let (status, body) = match answer {
            Ok(answer) => answer,
            // A server that does not know ranges sends the whole file: it has judged, and that is all that was asked.
            Err(FetchError::TooLong { .. }) => return Ok(Gate::Admitted),
            // The daemon may judge for longer than a piece of an answer may take.
            Err(FetchError::Stalled(_)) => return Ok(Gate::NotYet),
            Err(error) => return Err(unreachable(&wanted.filename, &error)),
        };
        Ok(match status {
            200 | 206 => Gate::Admitted,
            404 | 410 => Gate::Unknown,
            // 500 with a reason: what is stored is damaged, and that is not mended by asking again.
            401 | 403 | 451 | 500 => {
                let said: Said = serde_json::from_slice(&body).unwrap_or_default();
                if status == 500 && said.title.is_empty() {
                    return Err(unreachable(&wanted.filename, &FetchError::Status(status)));
                }
                let cut = |text: String| text.chars().take(MAX_SAID).collect::<String>();
                Gate::Denied {
                    title: cut(said.title),
                    detail: said.detail.chars().take(4 * MAX_SAID).collect(),
                }
            }
            429 | 503 => Gate::NotYet,
            status => return Err(unreachable(&wanted.filename, &FetchError::Status(status))),
        })
    }

    /// A document that stands beside a file.
    pub async fn beside(&self, wanted: &Wanted, suffix: &str) -> Result<Option<Bytes>, Refusal> {
        let url = self.file_url(wanted, suffix)?;
        let answer = self.http.document(url, MAX_DOCUMENT).await;
        answer.map_err(|error| unreachable(&format!("{}{suffix}", wanted.filename), &error))
    }

    fn file_url(&self, wanted: &Wanted, suffix: &str) -> Result<Url, Refusal> {
        self.url(&format!(
            "{}{suffix}",
            file_url(".", &wanted.sha256, &wanted.filename)
        ))
    }
}

fn unreachable(what: &str, error: &FetchError) -> Refusal {
    Refusal::unavailable(
        format!("upstream could not be asked for {what}: {error}"),
        "nothing was judged; try again",
    )
}
