//! Rendered index pages, kept until something about the project changes. The hot path of an installer:
//! one look-up and one comparison.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use chiron_storage::Digest;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use quick_cache::sync::Cache;
use quick_cache::{Equivalent, Weighter};

use super::negotiate::{Form, none_match, takes_gzip};
use super::problem::Problem;
use crate::blocking;
use crate::index::{Candidates, assemble};
use crate::mirror::{Asked, Mirror};
use crate::package::ProjectName;
use crate::publish::Publisher;

/// Bytes of rendered pages kept in memory, both codings together.
const CACHE_BYTES: u64 = 96 << 20;

/// Pages expected in the cache; only a hint for its tables.
const CACHE_PAGES: usize = 4_096;

/// A page up to this size is compressed before its first answer, a larger one behind its back. Bytes.
const COMPRESS_NOW: usize = 64 << 10;

/// Below this a compressed page is hardly smaller than its headers. Bytes.
const COMPRESS_FROM: usize = 512;

/// How long a page stands when nothing outside the catalogue bears on it: until the catalogue changes.
const UNTIL_CHANGED: Duration = Duration::from_hours(24);

/// How soon upstream is asked again after it could not be.
const WHILE_DOWN: Duration = Duration::from_secs(5);

/// How long a page may hide a promise that upstream broke.
const WHILE_DENIED: Duration = Duration::from_mins(1);

/// A normalised project name, and whether the JSON form is meant.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct PageKey {
    project: Box<str>,
    json: bool,
}

/// The same, borrowed from a request.
#[derive(Hash)]
struct PageRef<'a> {
    project: &'a str,
    json: bool,
}

impl Equivalent<PageKey> for PageRef<'_> {
    fn equivalent(&self, key: &PageKey) -> bool {
        self.json == key.json && *self.project == *key.project
    }
}

#[derive(Clone)]
struct ByBytes;

impl Weighter<PageKey, Arc<Rendered>> for ByBytes {
    fn weight(&self, _: &PageKey, page: &Arc<Rendered>) -> u64 {
        // The compressed form comes later; half the size is more than it ever takes.
        256 + page.content.body.len() as u64 * 3 / 2
    }
}

/// A page and when it must be looked at again.
#[derive(Debug)]
struct Rendered {
    content: Arc<Content>,
    /// Whose number `head` is.
    rests_on: RestsOn,
    /// A number that changes with the page.
    head: u64,
    /// Upstream's list that it was made from.
    from: Option<Arc<Candidates>>,
    good_until: Instant,
}

/// What a page is made from, and thus what changes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RestsOn {
    /// The catalogue as it is now, and what an upstream offers.
    Catalogue,
    /// The newest signed generation: the page is what its timestamp signs.
    Signed,
}

/// The bytes of a page.
#[derive(Debug)]
pub struct Content {
    body: Bytes,
    gzip: OnceLock<Option<Bytes>>,
    /// Whether a large page was asked for in gzip before: most are asked for once by an installer that fills its cache.
    wanted: AtomicBool,
    etag: HeaderValue,
    /// Another coding is another representation and has another strong tag (RFC 9110, section 8.8.3).
    gzip_etag: HeaderValue,
}

impl Content {
    /// With tags from the digest of the bytes.
    pub fn new(body: Vec<u8>) -> Self {
        let digest = Digest::of(&body).to_string();
        let short = digest.get(..32).unwrap_or(&digest);
        let tag = |suffix: &str| {
            HeaderValue::try_from(format!("\"{short}{suffix}\""))
                .unwrap_or_else(|_| HeaderValue::from_static("\"\""))
        };
        let (etag, gzip_etag) = (tag(""), tag("-gz"));
        Self {
            body: Bytes::from(body),
            gzip: OnceLock::new(),
            wanted: AtomicBool::new(false),
            etag,
            gzip_etag,
        }
    }

    fn compress(&self) -> Option<&Bytes> {
        let make = || {
            let level = libdeflater::CompressionLvl::new(6).ok()?;
            let mut compressor = libdeflater::Compressor::new(level);
            let mut out = vec![0; compressor.gzip_compress_bound(self.body.len())];
            let size = compressor.gzip_compress(&self.body, &mut out).ok()?;
            out.truncate(size);
            out.shrink_to_fit();
            (size < self.body.len()).then(|| Bytes::from(out))
        };
        self.gzip.get_or_init(make).as_ref()
    }

    /// The answer to a request for this page.
    pub fn answer(self: &Arc<Self>, form: Form, headers: &HeaderMap, cache: &'static str) -> Response {
        let gzip = if takes_gzip(headers) && self.body.len() >= COMPRESS_FROM {
            self.gzipped()
        } else {
            None
        };
        let (body, etag) = match gzip {
            Some(gzip) => (gzip, &self.gzip_etag),
            None => (&self.body, &self.etag),
        };
        let fresh = headers.contains_key(header::IF_NONE_MATCH)
            && etag.to_str().is_ok_and(|etag| none_match(headers, etag));
        let mut response = if fresh {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            response
        } else {
            Response::new(Body::from(body.clone()))
        };
        let out = response.headers_mut();
        out.reserve(6);
        out.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static(form.content_type()),
        );
        out.insert(header::VARY, HeaderValue::from_static("Accept, Accept-Encoding"));
        out.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
        out.insert(header::ETAG, etag.clone());
        if gzip.is_some() {
            out.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        response
    }

    /// The compressed body, if it is worth it and there already, or made at once for a small page.
    fn gzipped(self: &Arc<Self>) -> Option<&Bytes> {
        if let Some(made) = self.gzip.get() {
            return made.as_ref();
        }
        if self.body.len() <= COMPRESS_NOW {
            return self.compress();
        }
        if !self.wanted.swap(true, Ordering::Relaxed) {
            return None;
        }
        let content = Arc::clone(self);
        blocking::detach(move || {
            content.compress();
        });
        None
    }
}

/// The pages of all projects.
pub struct Pages {
    mirror: Mirror,
    publisher: Publisher,
    cache: Cache<PageKey, Arc<Rendered>, ByBytes>,
}

impl Pages {
    /// Over a mirror with its catalogue, and what is signed of it.
    pub fn new(mirror: Mirror, publisher: Publisher) -> Self {
        Self {
            mirror,
            publisher,
            cache: Cache::with_weighter(CACHE_PAGES, CACHE_BYTES, ByBytes),
        }
    }

    /// A project's page in a form, from memory where it still holds.
    pub async fn project(&self, project: &ProjectName, form: Form) -> Result<Arc<Content>, Problem> {
        let json = form == Form::Json;
        if let Some(content) = self.hot(project.as_str(), form, Instant::now()) {
            return Ok(content);
        }
        if let Some(content) = self.signed(project, json).await? {
            return Ok(content);
        }
        let head = self.mirror.catalog().head(project.as_str());
        let kept = self.cache.get(&PageRef {
            project: project.as_str(),
            json,
        });
        self.renew(project, json, head, kept).await
    }

    /// The page in memory, if it still holds: nothing is parsed, awaited or allocated.
    pub fn hot(&self, project: &str, form: Form, now: Instant) -> Option<Arc<Content>> {
        let page = self.cache.get(&PageRef {
            project,
            json: form == Form::Json,
        })?;
        let head = match page.rests_on {
            RestsOn::Signed => self.publisher.page_head(project),
            RestsOn::Catalogue => self.mirror.catalog().head(project),
        };
        let holds = page.head == head && page.good_until > now;
        holds.then(|| Arc::clone(&page.content))
    }

    /// The size of the log that is signed, where every page is served signed.
    pub fn signed_size(&self) -> Option<u64> {
        let generation = self.publisher.generation()?;
        self.mirror.is_curated().then_some(generation.log_size)
    }

    /// The page that the newest generation signs, byte for byte, where no upstream may be asked for the project: what is
    /// served is what was signed, and nothing that was not. `None` where pages are not served so.
    async fn signed(&self, project: &ProjectName, json: bool) -> Result<Option<Arc<Content>>, Problem> {
        if self.mirror.may_ask(project) || !self.publisher.has_published() {
            return Ok(None);
        }
        // Read before the page: one that changes in between is looked at again.
        let head = self.publisher.page_head(project.as_str());
        let Some(signed) = self.publisher.page(project).await? else {
            return Err(unknown(project));
        };
        let body = if json {
            Vec::from(signed.bytes)
        } else {
            // The HTML form is not signed: it says what the signed page says, of the same view.
            let known = self
                .mirror
                .catalog()
                .project(project, Some(signed.log_size))
                .await?;
            let page = assemble(project, known.as_ref(), None, |_| false, "../..");
            page.ok_or_else(|| unknown(project))?.render_html()
        };
        self.mirror.gate().metrics.page_rendered();
        let content = Arc::new(Content::new(body));
        let rendered = Rendered {
            content: Arc::clone(&content),
            rests_on: RestsOn::Signed,
            head,
            from: None,
            good_until: Instant::now() + UNTIL_CHANGED,
        };
        let key = PageKey {
            project: project.as_str().into(),
            json,
        };
        self.cache.insert(key, Arc::new(rendered));
        Ok(Some(content))
    }

    /// How long a page stands for which no upstream has anything to say.
    fn unlisted_for(&self, project: &ProjectName) -> Duration {
        if !self.publisher.has_published() {
            // Soon there is a signed page in its place.
            WHILE_DOWN
        } else if self.mirror.may_ask(project) {
            self.mirror.limits().fresh
        } else {
            UNTIL_CHANGED
        }
    }

    async fn renew(
        &self,
        project: &ProjectName,
        json: bool,
        head: u64,
        kept: Option<Arc<Rendered>>,
    ) -> Result<Arc<Content>, Problem> {
        let (from, mut good_until, down) = match self.mirror.ask(project).await {
            Asked::Known(known) => (Some(Arc::clone(&known.candidates)), known.fresh_until, None),
            Asked::Nothing => (None, Instant::now() + self.unlisted_for(project), None),
            Asked::Down(error) => (None, Instant::now() + WHILE_DOWN, Some(Problem::from(&*error))),
            Asked::Lost => (None, Instant::now(), Some(Problem::broke_off(project.as_str()))),
        };
        // What upstream's page said may itself have become events (yanks, status).
        let head = head.max(self.mirror.catalog().head(project.as_str()));
        if let Some(page) = kept.filter(|page| page.head == head && same(page.from.as_ref(), from.as_ref())) {
            let again = Rendered {
                content: Arc::clone(&page.content),
                rests_on: RestsOn::Catalogue,
                head,
                from,
                good_until,
            };
            self.cache.insert(
                PageKey {
                    project: project.as_str().into(),
                    json,
                },
                Arc::new(again),
            );
            return Ok(Arc::clone(&page.content));
        }
        let known = self.mirror.catalog().project(project, None).await?;
        let hidden = Cell::new(false);
        let denied = |sha256: &Digest| {
            let is = self.mirror.denied(sha256).is_some();
            hidden.set(hidden.get() || is);
            is
        };
        let page = assemble(project, known.as_ref(), from.as_deref(), denied, "../..");
        let hidden = hidden.get();
        let Some(page) = page else {
            return Err(match down {
                Some(problem) => problem,
                None => unknown(project),
            });
        };
        if hidden {
            good_until = good_until.min(Instant::now() + WHILE_DENIED);
        }
        let body = if json {
            page.render_json()
        } else {
            page.render_html()
        };
        self.mirror.gate().metrics.page_rendered();
        let content = Arc::new(Content::new(body));
        let rendered = Rendered {
            content: Arc::clone(&content),
            rests_on: RestsOn::Catalogue,
            head,
            from,
            good_until,
        };
        self.cache.insert(
            PageKey {
                project: project.as_str().into(),
                json,
            },
            Arc::new(rendered),
        );
        Ok(content)
    }
}

fn unknown(project: &ProjectName) -> Problem {
    Problem::not_found(format!("no project {project} is known to this index"))
}

fn same(a: Option<&Arc<Candidates>>, b: Option<&Arc<Candidates>>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => Arc::ptr_eq(a, b),
        (None, None) => true,
        _ => false,
    }
}
