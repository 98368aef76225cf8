//! On demand: what an installer asks for is looked up at the upstreams, offered as a candidate, and
//! brought in through the gate the first time somebody wants it.

mod files;
mod pages;
mod provenance;
mod release;
mod source;

use std::sync::Arc;
use std::time::Duration;

use chiron_storage::{BlobError, Digest};
use quick_cache::sync::Cache;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use files::{Delivery, Wanted};
pub use pages::{Asked, Known};
pub use source::Source;

use crate::catalog::{Catalog, CatalogError};
use crate::config::OwnedPatterns;
use crate::index::Candidate;
use crate::ingest::{Gate, IngestError};
use crate::package::{FilenameError, ProjectName};
use crate::upstream::{FlightLost, Flights, Mode, Upstream, UpstreamError};

/// How the mirror behaves towards upstreams and clients.
#[derive(Debug, Clone)]
pub struct MirrorLimits {
    /// How long an upstream page is taken as it is before it is asked for again (conditionally).
    pub fresh: Duration,
    /// How long a page is served when upstream cannot be asked.
    pub stale_max: Duration,
    /// How long a request waits for a verdict before it is told to come back.
    pub verdict_wait: Duration,
    /// Upstream pages kept in memory, by their number of files. Threat: memory.
    pub cached_files: u64,
    /// Wheels judged ahead of their download at once.
    pub ahead: usize,
    /// Largest source distribution that is fetched only to hold a wheel against it, bytes. Threat: traffic.
    pub max_sdist: u64,
}

/// The mirror. Cheap to clone.
#[derive(Clone)]
pub struct Mirror(Arc<Inner>);

struct Inner {
    sources: Vec<Arc<Source>>,
    owned: OwnedPatterns,
    gate: Gate,
    limits: MirrorLimits,
    pages: Cache<ProjectName, Arc<Known>, ByFiles>,
    refreshing: Flights<ProjectName, Asked>,
    pulling: Flights<(Digest, String), Result<Arc<crate::catalog::FileRow>, Arc<MirrorError>>>,
    /// `None`: the wheel was judged before upstream's word for its metadata came.
    reading: Flights<Digest, Result<Option<bytes::Bytes>, Arc<MirrorError>>>,
    /// Contents that upstream promised and did not deliver (its bytes have another digest), for a while.
    denied: Cache<Digest, Denied>,
    ahead: Arc<Semaphore>,
    /// The process is ending: what was to be written down later is written now.
    closing: CancellationToken,
    /// What is still to be written down.
    writing: TaskTracker,
}

/// A promise that upstream broke.
#[derive(Debug, Clone)]
pub struct Denied {
    /// The row of what came instead.
    pub row: Arc<crate::catalog::FileRow>,
    since: std::time::Instant,
}

/// How long a broken promise is remembered before upstream is tried again.
const DENIED_FOR: Duration = Duration::from_mins(10);

#[derive(Clone)]
struct ByFiles;

impl quick_cache::Weighter<ProjectName, Arc<Known>> for ByFiles {
    fn weight(&self, _: &ProjectName, known: &Arc<Known>) -> u64 {
        1 + known.candidates.files().len() as u64
    }
}

/// Why the mirror has no answer.
#[derive(Debug, thiserror::Error)]
pub enum MirrorError {
    /// The file came to no judgment.
    #[error(transparent)]
    Ingest(#[from] IngestError),
    /// An upstream failed on this request.
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
    /// The catalogue could not be read or written.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The store could not be read or written.
    #[error(transparent)]
    Blob(#[from] BlobError),
    /// An entry of a kept page does not parse any more: it was written by another version.
    #[error(transparent)]
    Filename(#[from] FilenameError),
    /// The upstream that would be asked first cannot be asked.
    #[error(transparent)]
    Down(Arc<UpstreamError>),
    /// The task that did the work for everybody who waits was lost.
    #[error("the work on {what} broke off: {why}")]
    BrokeOff {
        /// The project or the file it was about.
        what: String,
        /// What the waiters were told.
        why: FlightLost,
    },
}

impl MirrorError {
    fn lost(what: String) -> Self {
        Self::BrokeOff {
            what,
            why: FlightLost,
        }
    }
}

impl Mirror {
    /// Over the given sources, asked in this order.
    pub fn new(sources: Vec<Source>, owned: OwnedPatterns, gate: Gate, limits: MirrorLimits) -> Self {
        Self(Arc::new(Inner {
            sources: sources.into_iter().map(Arc::new).collect(),
            owned,
            pages: Cache::with_weighter(4_096, limits.cached_files, ByFiles),
            refreshing: Flights::new(),
            pulling: Flights::new(),
            reading: Flights::new(),
            denied: Cache::new(4_096),
            ahead: Arc::new(Semaphore::new(limits.ahead)),
            closing: CancellationToken::new(),
            writing: TaskTracker::new(),
            gate,
            limits,
        }))
    }

    /// Writes down what was to be written down later.
    pub async fn close(&self, patience: Duration) {
        self.0.closing.cancel();
        self.0.writing.close();
        if tokio::time::timeout(patience, self.0.writing.wait())
            .await
            .is_err()
        {
            tracing::warn!("some upstream pages were not kept; they are fetched again when they are needed");
        }
    }

    /// The gate behind the mirror.
    pub fn gate(&self) -> &Gate {
        &self.0.gate
    }

    /// The catalogue behind the mirror.
    pub fn catalog(&self) -> &Catalog {
        &self.0.gate.catalog
    }

    /// The upstreams, in the order in which they are asked.
    pub fn sources(&self) -> &[Arc<Source>] {
        &self.0.sources
    }

    /// Whether only this site may supply the name.
    pub fn is_owned(&self, project: &ProjectName) -> bool {
        self.0.owned.matches(project.as_str())
    }

    /// How it behaves.
    pub fn limits(&self) -> &MirrorLimits {
        &self.0.limits
    }

    /// Whether an upstream may be asked for the project while an installer waits.
    pub fn may_ask(&self, project: &ProjectName) -> bool {
        !self.is_owned(project) && self.0.sources.iter().any(|s| s.mode() == Mode::OnDemand)
    }

    /// Whether there may be projects for which no upstream is asked while an installer waits: their pages are served signed.
    pub fn serves_signed(&self) -> bool {
        !self.0.owned.is_empty() || self.is_curated()
    }

    /// Whether no upstream is ever asked while an installer waits.
    pub fn is_curated(&self) -> bool {
        self.0
            .sources
            .iter()
            .all(|source| source.mode() != Mode::OnDemand)
    }

    /// What a promise of upstream turned out to be, if it was broken lately.
    pub fn denied(&self, sha256: &Digest) -> Option<Denied> {
        self.0
            .denied
            .get(sha256)
            .filter(|denied| denied.since.elapsed() < DENIED_FOR)
    }

    /// The present offer of a file, and the upstream that makes it.
    pub async fn candidate(
        &self,
        project: &ProjectName,
        sha256: &Digest,
        filename: &str,
    ) -> Result<Option<(Upstream, Candidate)>, Arc<MirrorError>> {
        let known = match self.ask(project).await {
            Asked::Known(known) => known,
            Asked::Nothing => return Ok(None),
            Asked::Down(error) => return Err(Arc::new(MirrorError::Down(error))),
            Asked::Lost => return Err(Arc::new(MirrorError::lost(project.to_string()))),
        };
        let offer = Self::offer_on(&known, sha256, filename).await?;
        Ok(offer.map(|(upstream, candidate)| (upstream.clone(), candidate.clone())))
    }

    /// What a page says of a file, and the upstream whose page it is.
    async fn offer_on<'k>(
        known: &'k Known,
        sha256: &Digest,
        filename: &str,
    ) -> Result<Option<(&'k Upstream, &'k Candidate)>, Arc<MirrorError>> {
        let Some(candidate) = known.candidates.find(sha256, filename) else {
            return Ok(None);
        };
        let upstream = known
            .source
            .get()
            .await
            .map_err(|e| Arc::new(MirrorError::from(e)))?;
        Ok(Some((upstream, candidate)))
    }
}
