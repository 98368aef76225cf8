//! A file's core metadata, without the file.
//!
//! Installers ask for the metadata of several candidates before they download one. Upstream's own `.metadata` (PEP
//! 658) is one small request; where there is none, the end of a wheel holds its table of contents and usually its
//! `METADATA` too, and ranges of the file are enough.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use chiron_storage::digest::Digest;
use http::Method;
use http::header::{self, HeaderValue};
use tokio::time::Instant;
use url::Url;

use super::UpstreamError;
use super::client::{Ask, Client};
use super::health::{Kind, Outcome};
use super::ranges::{ContentRange, validator};
use super::retry::Deadline;
use super::source::Upstream;
use crate::package::simple::CoreMetadata;
use crate::package::wheel_tail::{FIRST_TAIL_BYTES, Locate, WheelTail};
use crate::package::{DistKind, DistributionFilename, PageFile};

/// How often a wheel's tail may turn out too short. Threat: a file made so that each read asks for one more.
const MOST_READS: u32 = 6;
/// How long a host that does not serve ranges is not asked for them again.
const NO_RANGES_FOR: Duration = Duration::from_hours(1);
/// Hosts remembered for that. Threat: a page that names a new host for each of its files.
const MOST_HOSTS: usize = 256;

/// The hosts that were seen not to serve ranges.
#[derive(Default)]
pub(super) struct NoRanges {
    hosts: Mutex<HashMap<String, Instant>>,
}

impl NoRanges {
    fn contains(&self, url: &Url) -> bool {
        let hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        hosts
            .get(&host_of(url))
            .is_some_and(|since| since.elapsed() < NO_RANGES_FOR)
    }

    fn remember(&self, url: &Url) {
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        if hosts.len() >= MOST_HOSTS {
            hosts.clear();
        }
        hosts.insert(host_of(url), Instant::now());
    }
}

fn host_of(url: &Url) -> String {
    format!(
        "{}:{}",
        url.host_str().unwrap_or_default(),
        url.port_or_known_default().unwrap_or_default()
    )
}

impl Upstream {
    /// The core metadata of a file that is not here: upstream's `.metadata` where the page offers it (held against
    /// its digest where the page gives one), else read from the wheel by ranges.
    ///
    /// What comes back is upstream's word until the file itself has been read.
    pub async fn core_metadata(
        &self,
        file: &PageFile,
        name: &DistributionFilename,
    ) -> Result<Bytes, UpstreamError> {
        let client = &*self.inner.client;
        if !file.core_metadata.is_none() {
            match offered(client, file).await {
                Err(error @ (UpstreamError::NotFound { .. } | UpstreamError::Denied { .. })) => {
                    tracing::warn!(file = file.filename, %error, "upstream lists metadata that it does not serve");
                }
                result => return result,
            }
        }
        if name.kind() != DistKind::Wheel {
            return Err(UpstreamError::NoMetadata {
                url: (&file.url).into(),
            });
        }
        if self.inner.no_ranges.contains(&file.url) {
            return Err(UpstreamError::RangesUnsupported {
                url: (&file.url).into(),
            });
        }
        let result = Reader::new(client, file).metadata(name).await;
        if matches!(result, Err(UpstreamError::RangesUnsupported { .. })) {
            self.inner.no_ranges.remember(&file.url);
        }
        result
    }
}

impl Upstream {
    /// A small document at an address that an index page names (a provenance object, PEP 740), byte for byte; `None` when
    /// upstream says that there is none. `limit` in bytes. Threat: a page that names a document without end.
    pub async fn document(&self, url: &Url, limit: u64) -> Result<Option<Bytes>, UpstreamError> {
        let ask = Ask::get(Kind::Metadata, url);
        match self.inner.client.fetch(&ask, limit, &[200]).await {
            Ok((_, body)) => Ok(Some(body)),
            Err(UpstreamError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Upstream's own `.metadata`.
async fn offered(client: &Client, file: &PageFile) -> Result<Bytes, UpstreamError> {
    let mut url = file.url.clone();
    url.set_path(&format!("{}.metadata", file.url.path()));
    let ask = Ask::get(Kind::Metadata, &url);
    let (_, body) = client.fetch(&ask, client.limits.metadata_bytes, &[200]).await?;
    if let CoreMetadata::Sha256(claimed) = file.core_metadata {
        let got = Digest::of(&body);
        if got != claimed {
            let (claimed, got) = (claimed.to_string(), got.to_string());
            return Err(UpstreamError::Lied {
                url: (&url).into(),
                what: "sha256",
                claimed,
                got,
            });
        }
    }
    Ok(body)
}

/// Reads parts of one wheel.
struct Reader<'a> {
    client: &'a Client,
    file: &'a PageFile,
    /// Its size, once the page or the server has said it.
    total: Option<u64>,
    /// What identifies the version that was read first.
    version: Option<HeaderValue>,
}

/// Bytes of the file, and where they begin in it.
struct Part {
    start: u64,
    bytes: Bytes,
}

impl<'a> Reader<'a> {
    fn new(client: &'a Client, file: &'a PageFile) -> Self {
        Self {
            client,
            file,
            total: file.size,
            version: None,
        }
    }

    async fn metadata(mut self, name: &DistributionFilename) -> Result<Bytes, UpstreamError> {
        let mut tail = self.tail().await?;
        for _ in 0..MOST_READS {
            let total = tail.start + tail.bytes.len() as u64;
            let found = WheelTail::locate(&tail.bytes, tail.start, total, name)
                .map_err(|error| self.malformed(&error))?;
            let entry = match found {
                Locate::Entry(entry) => entry,
                Locate::NeedMore { from } => {
                    tail = self.extend(tail, from).await?;
                    continue;
                }
            };
            // The directory is upstream's word: its sizes are bounded before anything is fetched for them.
            let limit = self.client.limits.metadata_bytes;
            if entry.end.saturating_sub(entry.header_offset) > limit || entry.size > limit {
                return Err(UpstreamError::TooLarge {
                    url: self.url(),
                    limit,
                });
            }
            let (start, end) = (entry.header_offset, entry.end);
            let part = if start >= tail.start {
                tail
            } else {
                self.read(start, end).await?
            };
            let bytes = part
                .cut(start, end)
                .ok_or_else(|| self.malformed(&"its METADATA is cut off"))?;
            return WheelTail::read_entry(&bytes, &entry)
                .map(Bytes::from)
                .map_err(|error| self.malformed(&error));
        }
        Err(self.malformed(&"its table of contents cannot be found"))
    }

    /// The end of the file. With a known size as an absolute range, which every server understands; else as a suffix
    /// range; else with a size that `HEAD` tells.
    async fn tail(&mut self) -> Result<Part, UpstreamError> {
        if let Some(total) = self.total {
            return self.read(total.saturating_sub(FIRST_TAIL_BYTES), total).await;
        }
        match self.fetch(&format!("bytes=-{FIRST_TAIL_BYTES}")).await {
            Ok(part) if self.total == Some(part.start + part.bytes.len() as u64) => return Ok(part),
            // Some servers take the last N bytes for the first N.
            Ok(_) => {}
            Err(UpstreamError::Unexpected { status, .. })
                if matches!(status.as_u16(), 400 | 405 | 416 | 501) => {}
            Err(error) => return Err(error),
        }
        if let Some(total) = self.total {
            return self.read(total.saturating_sub(FIRST_TAIL_BYTES), total).await;
        }
        let ask = self.ask(Method::HEAD);
        let (answer, _) = self.client.fetch(&ask, 0, &[200]).await?;
        let refuses = answer
            .header(header::ACCEPT_RANGES)
            .is_some_and(|units| units.eq_ignore_ascii_case("none"));
        let Some(total) = answer.declared_length().filter(|_| !refuses) else {
            return Err(UpstreamError::RangesUnsupported { url: self.url() });
        };
        self.total = Some(total);
        self.read(total.saturating_sub(FIRST_TAIL_BYTES), total).await
    }

    /// The same end of the file, beginning at `from`.
    async fn extend(&mut self, tail: Part, from: u64) -> Result<Part, UpstreamError> {
        let end = tail.start + tail.bytes.len() as u64;
        if from >= tail.start {
            return Err(self.malformed(&"its table of contents is damaged"));
        }
        if end - from > self.client.limits.tail_bytes {
            return Err(UpstreamError::TooLarge {
                url: self.url(),
                limit: self.client.limits.tail_bytes,
            });
        }
        let before = self.read(from, tail.start).await?;
        let mut bytes = BytesMut::with_capacity(before.bytes.len() + tail.bytes.len());
        bytes.extend_from_slice(&before.bytes);
        bytes.extend_from_slice(&tail.bytes);
        Ok(Part {
            start: from,
            bytes: bytes.freeze(),
        })
    }

    /// The bytes from `start` up to, but not with, `end`.
    async fn read(&mut self, start: u64, end: u64) -> Result<Part, UpstreamError> {
        let Some(last) = end.checked_sub(1).filter(|last| *last >= start) else {
            return Err(self.malformed(&"it is empty"));
        };
        let part = self.fetch(&format!("bytes={start}-{last}")).await?;
        if part.start != start || part.bytes.len() as u64 != end - start {
            return Err(self.malformed(&"the server answers another range than was asked for"));
        }
        Ok(part)
    }

    /// One range request, tried as often as the limits allow.
    async fn fetch(&mut self, range: &str) -> Result<Part, UpstreamError> {
        let mut deadline = Deadline::new(self.client.limits.page_timeout);
        let mut retry = self.client.retry();
        loop {
            match self.attempt(range, &mut deadline).await {
                Ok(part) => {
                    self.client.health.received(part.bytes.len());
                    self.client.answered(Kind::Range, Outcome::Ok);
                    return Ok(part);
                }
                Err(error) => {
                    self.client.failed(Kind::Range, &error);
                    retry.pause(error, &deadline).await?;
                }
            }
            self.client.health.retried();
        }
    }

    async fn attempt(&mut self, range: &str, deadline: &mut Deadline) -> Result<Part, UpstreamError> {
        let mut ask = self.ask(Method::GET);
        if let Ok(range) = HeaderValue::try_from(range) {
            ask = ask.with(header::RANGE, range);
        }
        let mut answer = self.client.send(&ask, deadline).await?;
        let limit = self.client.limits.tail_bytes.max(FIRST_TAIL_BYTES);
        let (start, bytes) = match answer.status.as_u16() {
            206 => {
                let Some(range) = ContentRange::of(&answer.headers) else {
                    return Err(self.malformed(&"206 without a Content-Range that makes sense"));
                };
                if let Some(total) = range.total {
                    self.learn_size(total)?;
                }
                let length = range.last - range.first + 1;
                let bytes = answer.body(length.min(limit), deadline).await?;
                if bytes.len() as u64 != length {
                    let received = bytes.len() as u64;
                    return Err(UpstreamError::Truncated {
                        url: self.url(),
                        received,
                        source: None,
                    });
                }
                (range.first, bytes)
            }
            // The whole file, but no more than was asked for: some servers answer a range that covers all so.
            200 if answer
                .declared_length()
                .is_some_and(|length| length <= FIRST_TAIL_BYTES) =>
            {
                let bytes = answer.body(FIRST_TAIL_BYTES, deadline).await?;
                self.learn_size(bytes.len() as u64)?;
                (0, bytes)
            }
            200 => return Err(UpstreamError::RangesUnsupported { url: self.url() }),
            404 | 410 => return Err(UpstreamError::NotFound { url: self.url() }),
            _ => {
                return Err(UpstreamError::Unexpected {
                    url: self.url(),
                    status: answer.status,
                });
            }
        };
        let version = validator(&answer.headers);
        if self.version.is_some() && version.is_some() && version != self.version {
            return Err(UpstreamError::Changed { url: self.url() });
        }
        self.version = version.or(self.version.take());
        Ok(Part { start, bytes })
    }

    fn learn_size(&mut self, size: u64) -> Result<(), UpstreamError> {
        match self.total.replace(size) {
            Some(known) if known != size => {
                let (claimed, got) = (format!("{known} bytes"), format!("{size} bytes"));
                Err(UpstreamError::Lied {
                    url: self.url(),
                    what: "size",
                    claimed,
                    got,
                })
            }
            _ => Ok(()),
        }
    }

    fn ask(&self, method: Method) -> Ask<'a> {
        let mut ask = Ask::get(Kind::Range, &self.file.url);
        ask.method = method;
        ask.with(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"))
    }

    fn url(&self) -> super::ShownUrl {
        (&self.file.url).into()
    }

    fn malformed(&self, why: &dyn std::fmt::Display) -> UpstreamError {
        UpstreamError::Malformed {
            url: self.url(),
            why: why.to_string(),
        }
    }
}

impl Part {
    /// The bytes from `start` to `end` of the file, if they are here.
    fn cut(&self, start: u64, end: u64) -> Option<Bytes> {
        let from = usize::try_from(start.checked_sub(self.start)?).ok()?;
        let to = usize::try_from(end.checked_sub(self.start)?).ok()?;
        (from <= to && to <= self.bytes.len()).then(|| self.bytes.slice(from..to))
    }
}
