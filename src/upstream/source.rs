//! An upstream: what can be asked of it.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::{Either, select};
use http::header::{self, HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};
use url::Url;

use super::client::{Answer, Ask, Client};
use super::download::Download;
use super::fill::{Fill, Filler};
use super::health::{Counters, HealthSnapshot, Kind};
use super::metadata::NoRanges;
use super::pip_default::Lookup;
use super::{IndexSource, Mode, RedactedUrl, UpstreamConfig, UpstreamError, list};
use crate::blocking::{self, Lost};
use crate::package::simple;
use crate::package::{PageFile, ProjectName, ProjectPage};

/// What is asked for, best first. JSON alone carries sizes, upload times and project status (PEP 691).
const ACCEPT: &str = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html; q=0.2, text/html; q=0.1, */*; q=0.01";
/// From this size on, in bytes, a page is parsed on another thread: it takes longer than a task may hold its own.
const PARSE_APART: usize = 64 << 10;

/// One index, and the hosts it names. Cheap to clone.
#[derive(Clone)]
pub struct Upstream {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    name: String,
    mode: Mode,
    found_in: String,
    /// With its slash at the end, without credentials.
    index: Url,
    pub(super) client: Arc<Client>,
    filler: Filler,
    pub(super) no_ranges: NoRanges,
}

/// What identifies a version of a page, to be sent back for "has it changed?" (RFC 9110, 8.8).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Validators {
    /// `ETag`, with its quotes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// `Last-Modified`, as it came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_modified: Option<String>,
}

impl Validators {
    /// Whether there is nothing to ask with.
    pub fn is_empty(&self) -> bool {
        self.etag.is_none() && self.last_modified.is_none()
    }
}

/// What came of asking for a project's page.
#[derive(Clone, Debug)]
pub enum PageFetch {
    /// It is the page whose validators were sent.
    NotModified,
    /// The page.
    Found {
        /// Its entries, with what it lacks filled in as far as upstream knows it.
        page: Box<ProjectPage>,
        /// To ask with next time. Empty when upstream gives none, and when filling in failed, so that the next
        /// request tries that again.
        validators: Validators,
        /// Bytes of the page after decompression.
        body_len: usize,
    },
    /// There is no such project.
    NotFound,
}

impl Upstream {
    /// Finds the index (which may mean asking pip) and sets up its connections. Sends nothing.
    pub async fn new(config: UpstreamConfig) -> Result<Self, UpstreamError> {
        let UpstreamConfig {
            name,
            mode,
            index,
            ca_file,
            limits,
        } = config;
        let (url, found_in, ca_file) = match index {
            IndexSource::Url(url) => (url, "the configuration".to_owned(), ca_file),
            IndexSource::Pip => {
                let pip = Lookup::of_this_machine(limits.pip_timeout).find().await?;
                (pip.url, pip.found_in, ca_file.or(pip.cert))
            }
        };
        let index = with_slash(url.expose())?;
        let client = Arc::new(Client::new(index, ca_file.as_deref(), limits)?);
        let index = client.index.clone();
        tracing::info!(upstream = name, index = %RedactedUrl::new(index.clone()), found_in, "upstream is set up");
        let filler = Filler::default();
        Ok(Self {
            inner: Arc::new(Inner {
                name,
                mode,
                found_in,
                index,
                client,
                filler,
                no_ranges: NoRanges::default(),
            }),
        })
    }

    /// Its name in the configuration.
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// How it is used.
    pub fn mode(&self) -> Mode {
        self.inner.mode
    }

    /// The address of its index.
    pub fn index(&self) -> RedactedUrl {
        RedactedUrl::new(self.inner.index.clone())
    }

    /// Where that address was found, for status and `doctor`.
    pub fn found_in(&self) -> &str {
        &self.inner.found_in
    }

    /// Whether it answers.
    pub fn health(&self) -> HealthSnapshot {
        self.inner.client.health.snapshot()
    }

    /// What was asked of it since the start.
    pub fn counters(&self) -> Counters {
        self.inner.client.health.counters()
    }

    /// A project's page; with `known`, only if it has changed.
    pub async fn project_page(
        &self,
        project: &ProjectName,
        known: Option<&Validators>,
    ) -> Result<PageFetch, UpstreamError> {
        let inner = &*self.inner;
        let known = known.filter(|known| !known.is_empty());
        // Both at once when the JSON will be needed; not for a page that has most likely not changed.
        let ahead = known.is_none() && inner.filler.will_be_needed();
        let json = async {
            if ahead {
                Some(inner.filler.fetch(&inner.client, &inner.index, project).await)
            } else {
                None
            }
        };
        let (json, page) = (
            std::pin::pin!(json),
            std::pin::pin!(self.page_alone(project, known)),
        );
        let (mut fetch, json) = match select(page, json).await {
            Either::Left((page, json)) => {
                let fetch = page?;
                let needed =
                    ahead && matches!(&fetch, PageFetch::Found { page, .. } if inner.filler.lacks(page));
                let json = if needed { json.await } else { None };
                (fetch, json)
            }
            Either::Right((json, page)) => (page.await?, json),
        };
        if let PageFetch::Found { page, validators, .. } = &mut fetch
            && inner.filler.lacks(page)
        {
            let fill = match json {
                Some(fill) => fill,
                None => inner.filler.fetch(&inner.client, &inner.index, project).await,
            };
            match fill {
                Fill::Found(details) => details.fill(page),
                Fill::Absent => inner.filler.remember_absent(),
                Fill::Failed => *validators = Validators::default(),
            }
        }
        Ok(fetch)
    }

    /// The names of all projects, sorted, each once.
    pub async fn project_list(&self) -> Result<Vec<ProjectName>, UpstreamError> {
        let inner = &*self.inner;
        let ask = Ask::get(Kind::List, &inner.index).with(header::ACCEPT, HeaderValue::from_static(ACCEPT));
        let limit = inner.client.limits.list_bytes;
        let (answer, body) = inner.client.fetch(&ask, limit, &[200]).await?;
        let content_type = answer.header(header::CONTENT_TYPE).map(str::to_owned);
        parse_apart(body, move |body| list::parse(content_type.as_deref(), body))
            .await
            .map_err(|why| UpstreamError::Malformed {
                url: (&answer.url).into(),
                why,
            })
    }

    /// Begins to download a file, of `limit` bytes at most. Nothing is sent before the first part is asked for.
    pub fn download(&self, file: &PageFile, limit: u64) -> Download {
        Download::new(Arc::clone(&self.inner.client), file, limit)
    }

    async fn page_alone(
        &self,
        project: &ProjectName,
        known: Option<&Validators>,
    ) -> Result<PageFetch, UpstreamError> {
        let inner = &*self.inner;
        let url = join(&inner.index, &format!("{project}/"))?;
        let mut ask = Ask::get(Kind::Page, &url).with(header::ACCEPT, HeaderValue::from_static(ACCEPT));
        let conditions = known.map_or([None, None], |known| {
            [
                (header::IF_NONE_MATCH, &known.etag),
                (header::IF_MODIFIED_SINCE, &known.last_modified),
            ]
            .map(condition)
        });
        let conditional = conditions.iter().any(Option::is_some);
        for (name, value) in conditions.into_iter().flatten() {
            ask = ask.with(name, value);
        }
        let expected: &[u16] = if conditional {
            &[200, 304, 404, 410]
        } else {
            &[200, 404, 410]
        };
        let (answer, body) = inner
            .client
            .fetch(&ask, inner.client.limits.page_bytes, expected)
            .await?;
        match answer.status.as_u16() {
            304 => return Ok(PageFetch::NotModified),
            404 | 410 => return Ok(PageFetch::NotFound),
            _ => {}
        }
        let validators = validators_of(&answer);
        let body_len = body.len();
        let content_type = answer.header(header::CONTENT_TYPE).map(str::to_owned);
        let (base, name) = (answer.url.clone(), project.clone());
        let page = parse_apart(body, move |body| {
            simple::parse(content_type.as_deref(), body, &base, &name)
        })
        .await
        .map_err(|why| UpstreamError::Malformed {
            url: (&answer.url).into(),
            why,
        })?;
        Ok(PageFetch::Found {
            page: Box::new(page),
            validators,
            body_len,
        })
    }
}

impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upstream")
            .field("name", &self.inner.name)
            .field("index", &self.index())
            .finish_non_exhaustive()
    }
}

fn validators_of(answer: &Answer) -> Validators {
    let text = |name| answer.header(name).map(str::to_owned);
    Validators {
        etag: text(header::ETAG),
        last_modified: text(header::LAST_MODIFIED),
    }
}

fn condition((name, value): (HeaderName, &Option<String>)) -> Option<(HeaderName, HeaderValue)> {
    Some((name, HeaderValue::try_from(value.as_deref()?).ok()?))
}

/// Parses a large body on another thread, a small one here.
pub(super) async fn parse_apart<T: Send + 'static, E: fmt::Display + Send + 'static>(
    body: Bytes,
    parse: impl FnOnce(&[u8]) -> Result<T, E> + Send + 'static,
) -> Result<T, String> {
    let small = body.len() < PARSE_APART;
    let parse = move || parse(&body).map_err(|error| error.to_string());
    if small {
        return parse();
    }
    blocking::run(parse)
        .await
        .unwrap_or_else(|Lost| Err("the parser gave up".to_owned()))
}

/// The index address with a slash at its end: addresses of projects are relative to it.
fn with_slash(url: &Url) -> Result<Url, UpstreamError> {
    let mut url = url.clone();
    url.set_query(None);
    url.set_fragment(None);
    if !url.path().ends_with('/') {
        let path = format!("{}/", url.path());
        url.set_path(&path);
    }
    if matches!(url.scheme(), "http" | "https") && url.has_host() {
        return Ok(url);
    }
    let what = "an index is asked over http or https".to_owned();
    Err(UpstreamError::Setup {
        url: (&url).into(),
        what,
        path: None,
    })
}

/// An address below the index.
pub(super) fn join(index: &Url, below: &str) -> Result<Url, UpstreamError> {
    index.join(below).map_err(|error| UpstreamError::Malformed {
        url: index.into(),
        why: error.to_string(),
    })
}
