//! What a page lacks, taken from upstream's project JSON.
//!
//! An HTML page has neither sizes nor upload times, and without an upload time installers' cooldowns drop every file.
//! Many indexes serve `{index}/../pypi/{project}/json` as well, which has both. It is a help, never a need: whatever
//! goes wrong with it, the page stands.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use http::header::{self, HeaderValue};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::time::Instant;
use url::Url;

use super::client::{Ask, Client};
use super::health::Kind;
use super::retry::Deadline;
use super::source::join;
use super::{UpstreamError, source};
use crate::package::{PageFile, ProjectName, ProjectPage, Yank};

/// How long an upstream that has no project JSON is not asked for it again.
const ABSENT_FOR: Duration = Duration::from_hours(1);

/// What is remembered of one upstream's pages and its project JSON.
#[derive(Default)]
pub(super) struct Filler {
    /// Whether the last page lacked something.
    lacking: AtomicBool,
    /// Whether a project JSON ever came. Then one that is missing says nothing of the others.
    seen: AtomicBool,
    /// When it was last seen that there is no project JSON at all.
    absent_since: Mutex<Option<Instant>>,
}

/// What came of asking for the project JSON.
pub(super) enum Fill {
    Found(Details),
    /// There is none for this project, or none of use.
    Absent,
    /// It did not come this time.
    Failed,
}

impl Filler {
    /// Whether the next page will most likely need the project JSON.
    pub(super) fn will_be_needed(&self) -> bool {
        self.lacking.load(Relaxed) && !self.is_absent()
    }

    /// Whether `page` lacks something that the project JSON could have. Remembers the answer.
    pub(super) fn lacks(&self, page: &ProjectPage) -> bool {
        let lacking = page
            .files
            .iter()
            .any(|file| file.size.is_none() || file.upload_time.is_none());
        if !page.files.is_empty() {
            self.lacking.store(lacking, Relaxed);
        }
        lacking
    }

    /// Asks for the project JSON, once and briefly.
    pub(super) async fn fetch(&self, client: &Client, index: &Url, project: &ProjectName) -> Fill {
        if self.is_absent() {
            return Fill::Absent;
        }
        match ask(client, index, project).await {
            Ok(details) => {
                self.seen.store(true, Relaxed);
                Fill::Found(details)
            }
            Err(error) => {
                tracing::debug!(%project, %error, "no project JSON");
                if error.is_transient() {
                    Fill::Failed
                } else {
                    Fill::Absent
                }
            }
        }
    }

    /// Remembers that a project with a page has no JSON.
    pub(super) fn remember_absent(&self) {
        if !self.seen.load(Relaxed) && !self.is_absent() {
            let mut since = self.absent_since.lock().unwrap_or_else(PoisonError::into_inner);
            *since = Some(Instant::now());
        }
    }

    fn is_absent(&self) -> bool {
        let since = *self.absent_since.lock().unwrap_or_else(PoisonError::into_inner);
        since.is_some_and(|since| since.elapsed() < ABSENT_FOR)
    }
}

async fn ask(client: &Client, index: &Url, project: &ProjectName) -> Result<Details, UpstreamError> {
    let url = join(index, &format!("../pypi/{project}/json"))?;
    let ask = Ask::get(Kind::Json, &url).with(header::ACCEPT, HeaderValue::from_static("application/json"));
    let mut deadline = Deadline::new(client.limits.fill_timeout);
    let (_, body) = client
        .attempt(&ask, client.limits.page_bytes, &[200], &mut deadline)
        .await?;
    source::parse_apart(body, Details::parse)
        .await
        .map_err(|why| UpstreamError::Malformed {
            url: (&url).into(),
            why,
        })
}

/// What the project JSON says about files, by file name.
#[derive(Debug, Default)]
pub(super) struct Details {
    files: HashMap<String, Entry>,
}

#[derive(Deserialize)]
struct Document<'a> {
    #[serde(borrow, default)]
    releases: Option<HashMap<String, Option<Vec<&'a RawValue>>>>,
    #[serde(borrow, default)]
    urls: Option<Vec<&'a RawValue>>,
}

#[derive(Debug, Deserialize)]
struct Entry {
    filename: String,
    #[serde(default)]
    digests: HashMap<String, String>,
    upload_time_iso_8601: Option<String>,
    size: Option<u64>,
    requires_python: Option<String>,
    yanked: Option<bool>,
    yanked_reason: Option<String>,
}

impl Details {
    /// Reads `releases[*][]` and `urls[]`; an entry that cannot be read is left out.
    fn parse(body: &[u8]) -> Result<Self, serde_json::Error> {
        let document: Document<'_> = serde_json::from_slice(body)?;
        let releases = document
            .releases
            .unwrap_or_default()
            .into_values()
            .flatten()
            .flatten();
        let entries = releases.chain(document.urls.unwrap_or_default());
        let entries = entries.filter_map(|raw| serde_json::from_str::<Entry>(raw.get()).ok());
        Ok(Self {
            files: entries.map(|entry| (entry.filename.clone(), entry)).collect(),
        })
    }

    /// Adds to the files of `page` what they lack. Nothing that the page says is changed, and a file counts as the
    /// same only when its name and its SHA-256 are.
    pub(super) fn fill(&self, page: &mut ProjectPage) {
        for file in &mut page.files {
            if let Some(entry) = self.files.get(&file.filename)
                && entry.is_same(file)
            {
                entry.fill(file);
            }
        }
    }
}

impl Entry {
    fn is_same(&self, file: &PageFile) -> bool {
        let claimed = self.digests.get("sha256").and_then(|hex| hex.parse().ok());
        claimed.is_some() && claimed == file.sha256()
    }

    fn fill(&self, file: &mut PageFile) {
        if file.size.is_none() {
            file.size = self.size;
        }
        if file.upload_time.is_none() {
            file.upload_time = self.upload_time_iso_8601.clone().filter(|time| is_instant(time));
        }
        if file.requires_python.is_none() {
            file.requires_python = self.requires_python.clone().filter(|text| !text.is_empty());
        }
        if file.yanked.is_none() && self.yanked == Some(true) {
            file.yanked = Some(self.yanked_reason.as_deref().map(Yank::new).unwrap_or_default());
        }
    }
}

/// RFC 3339 with an offset: installers refuse a whole page for any other upload time.
fn is_instant(text: &str) -> bool {
    text.parse::<jiff::Timestamp>().is_ok() && text.as_bytes().get(10) == Some(&b'T')
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::package::simple;

    const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    const B: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

    fn page(files: &str) -> ProjectPage {
        let base = Url::parse("http://index.test/simple/demo/").unwrap();
        let body = format!("<!DOCTYPE html><html><body>{files}</body></html>");
        simple::parse(
            Some("text/html"),
            body.as_bytes(),
            &base,
            &ProjectName::parse("demo").unwrap(),
        )
        .unwrap()
    }

    #[test]
    fn only_what_is_missing_is_taken_and_only_for_the_same_file() {
        let mut page = page(&format!(
            "<a href=\"demo-1.tar.gz#sha256={A}\" data-requires-python=\"&gt;=3.9\">demo-1.tar.gz</a>\
             <a href=\"demo-2.tar.gz#sha256={A}\">demo-2.tar.gz</a><a href=\"demo-3.tar.gz\">demo-3.tar.gz</a>"
        ));
        let json = format!(
            r#"{{"info": {{}}, "releases": {{
                "1": [{{"filename": "demo-1.tar.gz", "digests": {{"sha256": "{A}", "md5": "x"}}, "size": 7,
                        "upload_time_iso_8601": "2024-01-02T03:04:05.6789Z", "requires_python": ">=3.1",
                        "yanked": true, "yanked_reason": "broken"}},
                       {{"filename": 5}}, null],
                "2": [{{"filename": "demo-2.tar.gz", "digests": {{"sha256": "{B}"}}, "size": 8}}],
                "3": [{{"filename": "demo-3.tar.gz", "digests": {{"sha256": "{B}"}}, "size": 9}}],
                "4": null }}, "urls": null }}"#
        );
        Details::parse(json.as_bytes()).unwrap().fill(&mut page);
        let [one, two, three] = &page.files[..] else {
            panic!("{page:?}")
        };
        assert_eq!(one.size, Some(7));
        assert_eq!(one.upload_time.as_deref(), Some("2024-01-02T03:04:05.6789Z"));
        assert_eq!(
            one.requires_python.as_deref(),
            Some(">=3.9"),
            "the page's own word stands"
        );
        assert_eq!(one.yanked, Some(Yank::new("broken")));
        assert_eq!(
            (two.size, three.size),
            (None, None),
            "another or no digest: another file"
        );
    }

    #[test]
    fn times_without_an_offset_are_not_taken() {
        for (text, good) in [
            ("2024-01-02T03:04:05Z", true),
            ("2024-01-02T03:04:05+02:00", true),
            ("2024-01-02T03:04:05", false),
            ("2024-01-02 03:04:05Z", false),
            ("yesterday", false),
            ("", false),
        ] {
            assert_eq!(is_instant(text), good, "{text}");
        }
    }

    #[test]
    fn what_is_no_project_json_is_an_error() {
        assert!(Details::parse(b"<html></html>").is_err());
        assert!(Details::parse(b"[1]").is_err());
        assert!(Details::parse(b"{}").unwrap().files.is_empty());
    }
}
