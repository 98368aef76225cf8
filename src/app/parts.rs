//! Every part, built from its own piece of the configuration.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::thread::available_parallelism;

use chiron_storage::{BlobOptions, BlobStore, Db, DbError, DbOptions, Log};
use tokio::sync::{RwLock, Semaphore};

use super::{AppError, folder};
use crate::blocking::{self, Lost};
use crate::catalog::{Catalog, FAMILIES};
use crate::config::{self, Config};
use crate::ingest::Gate;
use crate::jobs::{Jobs, Settings};
use crate::mirror::{Mirror, MirrorLimits, Source};
use crate::policy::{Policy, Profile};
use crate::telemetry::Metrics;
use crate::upstream::{IndexSource, Limits, Mode, RedactedUrl, UpstreamConfig};
use crate::verify::{ArchiveLimits, Checks};

/// Files of upstream pages kept in memory; about 600 bytes each. Threat: memory.
const CACHED_FILES: u64 = 250_000;

/// Downloads beside each check of an ingest job, so that the checks never wait for the network.
const FETCHES_PER_CHECK: usize = 6;

/// The parts that others are made of.
pub(super) struct Parts {
    pub db: Db,
    pub mirror: Mirror,
    pub jobs: Jobs,
    pub min_free: u64,
}

impl Parts {
    pub(super) async fn open(config: Config) -> Result<Self, AppError> {
        let path = config.storage.path.clone();
        folder::make(&path)?;
        let min_free = config.storage.min_free.bytes();
        let options = DbOptions {
            cache_bytes: usize::try_from(config.storage.cache.bytes()).unwrap_or(usize::MAX),
            readers: usize::try_from(config.storage.readers).unwrap_or(1),
            min_free_bytes: min_free,
            families: FAMILIES,
        };
        // The tables are opened first: their lock is the data folder's lock.
        let tables = path.join("db");
        let opened = blocking::run(move || Db::open(&tables, options))
            .await
            .map_err(|Lost| AppError::Db(DbError::Closed))?;
        let db = match opened {
            // The folder that a person named, not the one inside that happens to hold the lock.
            Err(DbError::Locked { .. }) => return Err(AppError::Locked { path }),
            other => other?,
        };
        let blobs = BlobStore::open_at(
            &path,
            BlobOptions {
                min_free_bytes: min_free,
                open_files: usize::try_from(config.storage.open_files).unwrap_or(64),
            },
        )?;
        let log = Log::new(db.clone(), folder::log_key(&path, &config.log.origin)?);
        let catalog = Catalog::new(db.clone(), log);
        let cores = available_parallelism().unwrap_or(NonZeroUsize::MIN);
        let checks = config.gate.parallel_on(cores).get();
        let gate = Gate {
            blobs,
            catalog,
            policy: Arc::new(Policy::builtin(profile(config.policy.profile))),
            setup: Checks {
                archive: archive_limits(&config.limits),
                ..Checks::default()
            },
            max_file: config.limits.file.bytes(),
            checks: Arc::new(Semaphore::new(checks)),
            sealing: Arc::new(RwLock::new(())),
            metrics: Metrics::new(),
        };
        let sources = config
            .upstream
            .iter()
            .map(|upstream| Source::new(upstream_settings(upstream, &config.limits)))
            .collect();
        let limits = MirrorLimits {
            fresh: config.index.fresh.duration(),
            stale_max: config.index.stale_max.duration(),
            verdict_wait: config.server.verdict_wait.duration(),
            cached_files: CACHED_FILES,
            ahead: checks,
        };
        let mirror = Mirror::new(sources, config.owned_patterns(), gate, limits);
        let settings = Settings {
            files_at_once: checks * FETCHES_PER_CHECK,
            gc_grace: config.storage.gc_grace.duration(),
        };
        let jobs = Jobs::new(db.clone(), mirror.clone(), settings);
        Ok(Self {
            db,
            mirror,
            jobs,
            min_free,
        })
    }
}

/// The built-in profile that `[policy]` names.
pub fn profile(configured: config::Profile) -> Profile {
    match configured {
        config::Profile::Strict => Profile::Strict,
        config::Profile::Standard => Profile::Standard,
        config::Profile::Audit => Profile::Audit,
    }
}

/// The gate's bounds from `[limits]`.
pub fn archive_limits(limits: &config::Limits) -> ArchiveLimits {
    let size = |size: config::ByteSize| usize::try_from(size.bytes()).unwrap_or(usize::MAX);
    ArchiveLimits {
        total_unpacked: limits.archive_total.bytes(),
        entry_unpacked: limits.archive_entry.bytes(),
        ratio: u64::from(limits.archive_ratio),
        entries: u64::from(limits.archive_entries),
        comment_bytes: size(limits.archive_comment),
        name_bytes: size(limits.archive_name),
        metadata_bytes: limits.metadata.bytes(),
        record_bytes: limits.record.bytes(),
        ..ArchiveLimits::default()
    }
}

fn upstream_settings(upstream: &config::Upstream, limits: &config::Limits) -> UpstreamConfig {
    let index = match &upstream.url {
        Some(url) => IndexSource::Url(RedactedUrl::new(url.expose().clone())),
        None => IndexSource::Pip,
    };
    UpstreamConfig {
        name: upstream.name.clone(),
        mode: match upstream.mode {
            config::Mode::OnDemand => Mode::OnDemand,
            config::Mode::Curated => Mode::Curated,
        },
        index,
        ca_file: None,
        limits: Limits {
            page_bytes: limits.page.bytes(),
            metadata_bytes: limits.metadata.bytes(),
            connect_timeout: upstream.connect_timeout.duration(),
            stall_timeout: upstream.read_timeout.duration(),
            download_timeout: upstream.total_timeout.duration(),
            attempts: upstream.retries.saturating_add(1),
            per_host: usize::try_from(upstream.max_concurrency).unwrap_or(1),
            ..Limits::default()
        },
    }
}
