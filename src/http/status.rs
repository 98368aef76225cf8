//! How the daemon is: what `/readyz`, `/api/v1/status` and `/metrics` have in common.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chiron_storage::Db;
use jiff::{SignedDuration, Timestamp};

use super::problem::Problem;
use crate::api::{AirgapSenderState, AirgapState, StatusView, UpstreamStatus};
use crate::catalog::CatalogError;
use crate::ceremony::Ceremonies;
use crate::jobs::Jobs;
use crate::mirror::Mirror;
use crate::publish::Publisher;
use crate::snapshot::{SenderAge, Settings, Staleness};
use crate::telemetry::{Metrics, SenderGauges};
use crate::upstream::{Mode, State};

/// What is looked at.
#[derive(Clone)]
pub struct Watch {
    /// Asked whether it still takes writes.
    pub db: Db,
    /// With the gate, the catalogue and the upstreams behind it.
    pub mirror: Mirror,
    /// Counted in the status, and what the admin API submits to.
    pub jobs: Jobs,
    /// The reserve below which nothing is written. Bytes.
    pub min_free: u64,
    /// The signed repository.
    pub publisher: Publisher,
    /// Changes of its keys.
    pub ceremonies: Ceremonies,
    /// The staleness budget, and what this site calls itself.
    pub airgap: Settings,
}

/// The outcome of a look.
pub struct Found {
    /// False: a load balancer should send installers elsewhere.
    pub ready: bool,
    /// Sentences for an operator; some are there while ready (a full disk, an upstream that is down).
    pub problems: Vec<String>,
    /// On the disk of the data folder; 0 when it cannot be told.
    pub free_bytes: u64,
}

impl Watch {
    /// The daemon's metrics.
    pub fn metrics(&self) -> &Metrics {
        &self.mirror.gate().metrics
    }

    /// What is wrong.
    pub async fn look(&self) -> Found {
        let mut problems = Vec::new();
        let mut ready = true;
        if let Some(cause) = self.db.poisoned() {
            ready = false;
            problems.push(format!(
                "only reading until a restart: a write could not be made durable ({cause})"
            ));
        }
        if let Err(error) = self.mirror.catalog().counts().await {
            ready = false;
            problems.push(format!("the catalogue cannot be read: {error}"));
        }
        let free_bytes = match self.mirror.gate().blobs.free_bytes() {
            Ok(free) if free < self.min_free => {
                problems.push(format!("disk almost full: {free} bytes free, {} are kept in reserve (storage.min_free); nothing new is taken in", self.min_free));
                free
            }
            Ok(free) => free,
            Err(error) => {
                problems.push(format!("free space is unknown: {error}"));
                0
            }
        };
        for source in self.mirror.sources() {
            if let Some(health) = source.health().filter(|health| health.state == State::Down) {
                let why = health.last_error.unwrap_or_default();
                problems.push(format!(
                    "upstream {} is down, pages may be stale: {why}",
                    source.name()
                ));
            }
        }
        let signed = self.publisher.condition(Timestamp::now()).await;
        // What is expired is refused by every TUF client, however well the rest is.
        ready &= !signed.expired;
        problems.extend(signed.problems);
        problems.extend(self.ceremonies.wanted().await);
        match self.staleness().await {
            // Its timestamp has expired by then, or the next one will not be accepted.
            Ok(staleness) => {
                ready &= !staleness.is_stale();
                problems.extend(staleness.problems());
            }
            Err(error) => problems.push(format!("how old imported bundles are cannot be told: {error}")),
        }
        Found {
            ready,
            problems,
            free_bytes,
        }
    }

    /// How old what was imported is now.
    async fn staleness(&self) -> Result<Staleness, CatalogError> {
        let senders = self.mirror.catalog().senders().await?;
        Ok(Staleness::of(senders, self.airgap.max_age, Timestamp::now()))
    }

    /// Brings the gauges up to date.
    pub async fn measure(&self) {
        let metrics = self.metrics();
        if let Ok(staleness) = self.staleness().await {
            for SenderAge { row, .. } in &staleness.senders {
                metrics.set_sender(&SenderGauges {
                    name: &row.name,
                    created: row.created_at.as_second(),
                    imported: row.imported_at.as_second(),
                    seen: row.seen.size,
                    complete: row.complete.map_or(0, |complete| complete.size),
                });
            }
            let budget = staleness.max_age.map_or(0, |budget| budget.as_secs());
            metrics.set_stale(budget, staleness.is_stale());
        }
        if let Ok(size) = self.mirror.catalog().log().size().await {
            metrics.set_log_size(size);
        }
        if let Ok(free) = self.mirror.gate().blobs.free_bytes() {
            metrics.set_store_bytes_free(free);
        }
        if let Some(generation) = self.publisher.generation() {
            metrics.set_generation(generation.number, generation.log_size);
        }
        for (role, expires) in self.publisher.expiries() {
            metrics.set_role_expiry(role, expires.as_second());
        }
        for source in self.mirror.sources() {
            let Some(counters) = source.counters() else {
                continue;
            };
            let counted = metrics.upstream(source.name());
            counted.set_up(source.health().is_none_or(|health| health.state != State::Down));
            counted.set_retries(counters.retries);
            counted.set_received_bytes(counters.bytes);
            for requests in counters.requests {
                counted.set_requests(requests.kind.name(), requests.outcome.name(), requests.count);
            }
        }
    }

    /// Everything in one document.
    pub async fn status(&self) -> Result<StatusView, Problem> {
        let found = self.look().await;
        let log = self.mirror.catalog().log();
        let size = log.size().await.map_err(CatalogError::from)?;
        let root = log.root(size).await.map_err(CatalogError::from)?;
        let counts = self.mirror.catalog().counts().await?;
        let upstreams = self.mirror.sources().iter().map(|source| {
            let health = source.health();
            UpstreamStatus {
                name: source.name().to_owned(),
                mode: match source.mode() {
                    Mode::OnDemand => "on-demand",
                    Mode::Curated => "curated",
                }
                .to_owned(),
                state: health
                    .as_ref()
                    .map_or(State::Unknown, |h| h.state)
                    .name()
                    .to_owned(),
                last_error: health.and_then(|h| h.last_error),
            }
        });
        Ok(StatusView {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            ready: found.ready,
            problems: found.problems,
            log_size: size,
            log_root: STANDARD.encode(root.as_bytes()),
            log_key: log.key().verifier().to_owned(),
            projects: counts.projects,
            admitted: counts.admitted,
            quarantined: counts.quarantined,
            refused: counts.refused,
            revoked: counts.revoked,
            policy_profile: self.mirror.gate().policy().profile().as_str().to_owned(),
            policy_digest: self.mirror.gate().policy().digest().to_string(),
            upstreams: upstreams.collect(),
            free_bytes: found.free_bytes,
            jobs_running: self.jobs.running(),
            airgap: state_of(&self.staleness().await?),
        })
    }
}

/// `None` while nothing was ever imported.
fn state_of(staleness: &Staleness) -> Option<AirgapState> {
    let seconds = |length: SignedDuration| u64::try_from(length.as_secs()).unwrap_or(0);
    let senders = staleness
        .senders
        .iter()
        .map(|SenderAge { row, age, stale }| AirgapSenderState {
            name: row.name.clone(),
            last: row.id.to_string(),
            created_at: row.created_at,
            age_seconds: seconds(*age),
            imported_at: row.imported_at,
            seen: row.seen.id().to_string(),
            complete: row.complete.map(|complete| complete.id().to_string()),
            reference_time: row.reference_time,
            stale: *stale,
        });
    (!staleness.senders.is_empty()).then(|| AirgapState {
        max_age_seconds: staleness.max_age.map(seconds),
        fresh_until: staleness.fresh_until(),
        stale: staleness.is_stale(),
        senders: senders.collect(),
    })
}
