//! Every part, built from its own piece of the configuration.

use std::num::NonZeroUsize;
use std::sync::{Arc, LazyLock};
use std::thread::available_parallelism;

use chiron_storage::{BlobOptions, BlobStore, Db, DbError, DbOptions, Log};
use tokio::sync::{RwLock, Semaphore};

use super::rebuilders::rebuilders;
use super::{AppError, OpenMode, folder, tuf};
use crate::advisories::{self, Advisories};
use crate::blocking::{self, Lost};
use crate::catalog::{Catalog, FAMILIES};
use crate::ceremony::Ceremonies;
use crate::config::{self, Config};
use crate::ingest::Gate;
use crate::jobs::{Jobs, Settings};
use crate::mirror::{Mirror, MirrorLimits, Source};
use crate::policy::{InForce, Kept};
use crate::publish::{self, Publisher};
use crate::rebuild::{Rebuilder, Sandbox};
use crate::snapshot;
use crate::statement::builder_id;
use crate::telemetry::Metrics;
use crate::upstream::{IndexSource, Limits, Mode, RedactedUrl, UpstreamConfig};
use crate::verify::{ArchiveLimits, Checks, SbomLimits, Trust};

/// Files of upstream pages kept in memory; about 600 bytes each. Threat: memory.
const CACHED_FILES: u64 = 250_000;

/// Largest document that is fetched with a file, in bytes. The largest provenance objects seen have some 100 KB.
const MAX_DOCUMENT: u64 = 8 << 20;

/// Every column family, whoever declares it.
static ALL_FAMILIES: LazyLock<Vec<&'static str>> =
    LazyLock::new(|| [FAMILIES, advisories::FAMILIES, publish::FAMILIES].concat());

/// Downloads beside each check of an ingest job, so that the checks never wait for the network.
const FETCHES_PER_CHECK: usize = 6;

/// The parts that others are made of.
pub(super) struct Parts {
    pub db: Db,
    pub mirror: Mirror,
    pub jobs: Jobs,
    pub min_free: u64,
    pub trust: Trust,
    pub publisher: Publisher,
    pub ceremonies: Ceremonies,
    pub airgap: snapshot::Settings,
}

impl Parts {
    pub(super) async fn open(config: Config, mode: OpenMode) -> Result<Self, AppError> {
        let path = config.storage.path.clone();
        // Before anything is made: a bad file of [trust] is a mistake in the configuration.
        let trust = super::trust(&config.trust)?;
        let policy = super::policy(&config)?;
        let airgap = super::airgap_settings(&config)?;
        folder::make(&path)?;
        let min_free = config.storage.min_free.bytes();
        let options = DbOptions {
            cache_bytes: usize::try_from(config.storage.cache.bytes()).unwrap_or(usize::MAX),
            readers: usize::try_from(config.storage.readers).unwrap_or(1),
            min_free_bytes: min_free,
            families: &ALL_FAMILIES,
        };
        // The tables are opened first: their lock is the data folder's lock.
        let tables = path.join("db");
        let building = super::rebuild_settings(&config.reproducibility);
        // Trying out the sandbox takes as long as opening the tables.
        let (opened, sandbox) = tokio::join!(
            blocking::run(move || Db::open(&tables, options)),
            Sandbox::open(&building)
        );
        let opened = opened.map_err(|Lost| AppError::Db(DbError::Closed))?;
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
        let statements = folder::statement_key(&path)?;
        let gate = Gate {
            blobs,
            catalog,
            policy: InForce::kept(Kept::new(path.join("policy.json"), &policy), policy)?,
            setup: Checks {
                archive: held(&config.limits, &config.sbom),
                sbom: sbom_limits(&config.sbom),
                trust: trust.clone(),
                rebuilders: rebuilders(&config.reproducibility, &sandbox, &statements)?,
            },
            statements,
            builder: builder_id(&config.log.origin).into(),
            advisories: Advisories::new(db.clone(), super::advisory_settings(&config.advisories)),
            owned: config.owned_patterns(),
            max_file: config.limits.file.bytes(),
            max_document: MAX_DOCUMENT,
            checks: Arc::new(Semaphore::new(checks)),
            sealing: Arc::new(RwLock::new(())),
            metrics: Metrics::new(),
        };
        let (publisher, ceremonies) = tuf::open(
            &path,
            &config,
            mode,
            db.clone(),
            gate.catalog.clone(),
            tuf::trust_documents(gate.policy.clone(), trust.clone()),
            gate.metrics.clone(),
        )
        .await?;
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
            max_sdist: config.reproducibility.max_sdist.bytes(),
        };
        let mirror = Mirror::new(sources, config.owned_patterns(), gate, limits);
        let settings = Settings {
            files_at_once: checks * FETCHES_PER_CHECK,
            checks_at_once: checks,
            rebuilds_at_once: building.parallel,
            gc_grace: config.storage.gc_grace.duration(),
        };
        let rebuilder = Rebuilder::new(mirror.clone(), building, sandbox);
        let exporter =
            snapshot::export::Exporter::new(mirror.gate().clone(), publisher.clone(), &airgap.site);
        let importer = snapshot::import::Importer::new(
            mirror.gate().clone(),
            airgap.clone(),
            path.join("airgap"),
            checks,
        );
        let jobs = Jobs::new(
            db.clone(),
            mirror.clone(),
            rebuilder,
            exporter,
            importer,
            publisher.clone(),
            settings,
        );
        Ok(Self {
            db,
            mirror,
            jobs,
            min_free,
            trust,
            publisher,
            ceremonies,
            airgap,
        })
    }
}

/// The bounds of the `sbom` check from `[sbom]`.
pub fn sbom_limits(limits: &config::Sbom) -> SbomLimits {
    let number = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
    SbomLimits {
        document_bytes: limits.document.bytes(),
        depth: number(limits.depth),
        values: number(limits.values),
        documents: number(limits.documents),
    }
}

/// With room for bills of materials as large as `[sbom]` allows.
fn held(limits: &config::Limits, sbom: &config::Sbom) -> ArchiveLimits {
    let archive = archive_limits(limits);
    let held_bytes = sbom.document.bytes();
    ArchiveLimits {
        held_bytes,
        held_total: archive.held_total.max(held_bytes.saturating_mul(2)),
        ..archive
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
