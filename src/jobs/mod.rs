//! Long work: accepted at once, done in the background, watched while it runs, and gone on with after a restart.

mod export;
mod import;
mod ingest;
mod live;
mod published;
mod rebuild;
mod rejudge;
mod ticker;
mod upkeep;

use std::sync::Arc;

use chiron_storage::{Db, DbError, Table};
use jiff::Timestamp;
use papaya::HashMap;
use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;

pub use ingest::result_of;
pub use live::LiveJob;
pub use rejudge::Rejudge;

use crate::api::{ExportRequest, ImportRequest, IngestRequest, JobState, JobView, Progress, UpkeepRequest};
use crate::catalog::{CatalogError, FileRef, FileRow};
use crate::mirror::Mirror;
use crate::publish::Publisher;
use crate::rebuild::Rebuilder;
use crate::snapshot::export::Exporter;
use crate::snapshot::import::Importer;
use crate::upstream::Flights;

/// Jobs that run at once; more wait. Threat: one client's jobs starving installers.
const AT_ONCE: usize = 2;

/// Ended jobs kept for looking up; older ones are forgotten.
const KEPT: u64 = 1_000;

const JOBS: Table<u64, JobRow> = Table::new("jobs");

/// What a job does.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Work {
    /// Brings releases in through the gate.
    Ingest(IngestRequest),
    /// Reads every kept blob again and compares it with its name.
    Scrub(UpkeepRequest),
    /// Removes blobs that nothing names.
    Gc(UpkeepRequest),
    /// Builds a wheel again from its source, and judges it again with what came of that.
    Rebuild(FileRef),
    /// Judges everything stored again.
    Rejudge(Rejudge),
    /// Writes a bundle for a site that no network reaches.
    Export(Box<ExportRequest>),
    /// Takes a bundle of another site in.
    Import(Box<ImportRequest>),
}

impl Work {
    const fn kind(&self) -> &'static str {
        match self {
            Self::Ingest(_) => "ingest",
            Self::Scrub(_) => "scrub",
            Self::Gc(_) => "gc",
            Self::Rebuild(_) => "rebuild",
            Self::Rejudge(_) => "rejudge",
            Self::Export(_) => "export",
            Self::Import(_) => "import",
        }
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct JobRow {
    view: JobView,
    work: Work,
}

/// The queue and the jobs that run. Cheap to clone.
#[derive(Clone)]
pub struct Jobs(Arc<Inner>);

struct Inner {
    db: Db,
    mirror: Mirror,
    rebuilder: Rebuilder,
    exporter: Exporter,
    importer: Importer,
    /// Asked whether what was changed is published.
    publisher: Publisher,
    settings: Settings,
    live: HashMap<u64, Arc<LiveJob>>,
    slots: Semaphore,
    /// Rebuilds take no place from other jobs, and installers do not wait for a long one to end.
    rebuild_slots: Semaphore,
    rebuilding: Flights<FileRef, Result<Arc<FileRow>, String>>,
    pauses: rebuild::Pauses,
    rebuild_ended: Notify,
    stop: CancellationToken,
}

/// How jobs work.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// Files fetched and judged at once by one job.
    pub files_at_once: usize,
    /// Files judged again at once by one job.
    pub checks_at_once: usize,
    /// Rebuilds at once.
    pub rebuilds_at_once: usize,
    /// `gc` leaves blobs younger than this alone.
    pub gc_grace: std::time::Duration,
}

impl Jobs {
    /// Over the database's family `jobs`.
    pub fn new(
        db: Db,
        mirror: Mirror,
        rebuilder: Rebuilder,
        exporter: Exporter,
        importer: Importer,
        publisher: Publisher,
        settings: Settings,
    ) -> Self {
        Self(Arc::new(Inner {
            db,
            mirror,
            rebuilder,
            exporter,
            importer,
            publisher,
            settings,
            live: HashMap::new(),
            slots: Semaphore::new(AT_ONCE),
            rebuild_slots: Semaphore::new(settings.rebuilds_at_once.max(1)),
            rebuilding: Flights::new(),
            pauses: rebuild::Pauses::default(),
            rebuild_ended: Notify::new(),
            stop: CancellationToken::new(),
        }))
    }

    /// What a daemon does beside its requests: goes on with the jobs that an earlier process left, judges again what the
    /// rules in force have not judged yet, rebuilds what waits for it, and follows what becomes due. How many jobs go on.
    pub async fn begin(&self) -> Result<usize, CatalogError> {
        if let Err(error) = self.0.importer.recover().await {
            tracing::warn!(%error, "what an import has left could not be tidied up; it is in force all the same");
        }
        let resumed = self.resume().await?;
        let rejudges = self.0.live.pin().values().any(|job| job.view().kind == "rejudge");
        self.catch_up(rejudges).await?;
        tokio::spawn(self.clone().watch(self.0.stop.clone()));
        tokio::spawn(self.clone().tick(self.0.stop.clone()));
        Ok(resumed)
    }

    /// What builds here, or why nothing does.
    pub fn rebuilder(&self) -> &Rebuilder {
        &self.0.rebuilder
    }

    /// Goes on with what was queued or running when the process ended. What was done before is not done
    /// again: a file that was admitted is found present.
    async fn resume(&self) -> Result<usize, DbError> {
        let rows = self
            .0
            .db
            .read(|view| {
                view.scan(&JOBS, b"", None)?
                    .map(|item| item.map(|(_, row)| row))
                    .collect::<Result<Vec<_>, DbError>>()
            })
            .await?;
        let mut resumed = 0;
        for mut row in rows {
            if matches!(row.view.state, JobState::Queued | JobState::Running) {
                row.view.state = JobState::Queued;
                row.view.files.clear();
                row.view.progress = Progress::default();
                self.start(row);
                resumed += 1;
            }
        }
        Ok(resumed)
    }

    /// Accepts work: once this returns, it will be done, restart or not.
    pub async fn submit(&self, work: Work) -> Result<JobView, DbError> {
        let now = Timestamp::now();
        let row = self
            .0
            .db
            .transact(move |tx| {
                let id = tx.get(&JOBS_NEXT, &NEXT.to_owned())?.unwrap_or(1);
                tx.put(&JOBS_NEXT, &NEXT.to_owned(), &(id + 1))?;
                let view = JobView {
                    id,
                    kind: work.kind().to_owned(),
                    state: JobState::Queued,
                    created_at: now,
                    finished_at: None,
                    progress: Progress::default(),
                    files: Vec::new(),
                    report: None,
                    error: None,
                    note: None,
                };
                let row = JobRow { view, work };
                tx.put(&JOBS, &id, &row)?;
                if let Some(old) = id.checked_sub(KEPT)
                    && tx
                        .get(&JOBS, &old)?
                        .is_some_and(|old| old.view.finished_at.is_some())
                {
                    tx.delete(&JOBS, &old)?;
                }
                Ok::<_, DbError>(row)
            })
            .await?;
        let view = row.view.clone();
        self.start(row);
        Ok(view)
    }

    /// A job that runs or waits, to be watched.
    pub fn live(&self, id: u64) -> Option<Arc<LiveJob>> {
        self.0.live.pin().get(&id).cloned()
    }

    /// A job, running or ended.
    pub async fn get(&self, id: u64) -> Result<Option<JobView>, DbError> {
        if let Some(live) = self.live(id) {
            return Ok(Some(live.view()));
        }
        Ok(self.0.db.get(&JOBS, &id).await?.map(|row| row.view))
    }

    /// Jobs newest first, without their files; those before `before`.
    pub async fn list(&self, before: Option<u64>, limit: usize) -> Result<Vec<JobView>, DbError> {
        let rows = self
            .0
            .db
            .read(move |view| {
                let mut rows = Vec::new();
                for item in view.scan(&JOBS, b"", None)? {
                    let (id, row) = item?;
                    if before.is_none_or(|before| id < before) {
                        rows.push(row.view);
                    }
                }
                Ok::<_, DbError>(rows)
            })
            .await?;
        let newest = rows.into_iter().rev().take(limit).map(|view| {
            let mut view = self.live(view.id).map_or(view, |live| live.view());
            view.files.clear();
            view
        });
        Ok(newest.collect())
    }

    /// Asks a job to end; false when it does not run any more.
    pub async fn cancel(&self, id: u64) -> Result<bool, DbError> {
        if let Some(live) = self.live(id) {
            live.cancel.cancel();
            return Ok(true);
        }
        // One that an earlier process left, seen by a verb that does not go on with it.
        self.0
            .db
            .transact(move |tx| {
                let Some(mut row) = tx.get(&JOBS, &id)?.filter(|row| row.view.finished_at.is_none()) else {
                    return Ok(false);
                };
                row.view.state = JobState::Cancelled;
                row.view.finished_at = Some(Timestamp::now());
                tx.put(&JOBS, &id, &row)?;
                Ok::<_, DbError>(true)
            })
            .await
    }

    /// Jobs that run or wait.
    pub fn running(&self) -> u64 {
        self.0.live.len() as u64
    }

    /// Stops taking jobs on and waits a while for those that run; what is cut off goes on at the next start.
    pub async fn stop(&self, patience: std::time::Duration) {
        self.0.stop.cancel();
        self.0.slots.close();
        self.0.rebuild_slots.close();
        let until = tokio::time::Instant::now() + patience;
        while self.running() > 0 && tokio::time::Instant::now() < until {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }

    fn start(&self, row: JobRow) {
        let id = row.view.id;
        let file = match &row.work {
            Work::Rebuild(file) => Some(file.clone()),
            _ => None,
        };
        let live = Arc::new(LiveJob::new(row.view, file));
        self.0.live.pin().insert(id, Arc::clone(&live));
        let jobs = self.clone();
        let guard = jobs.clone();
        let work = row.work;
        let task = tokio::spawn(async move { Box::pin(jobs.run(&live, work)).await });
        tokio::spawn(async move {
            if let Err(lost) = task.await
                && lost.is_panic()
            {
                tracing::error!(
                    job = id,
                    "a job broke off; it is taken up again at the next start"
                );
            }
            guard.0.live.pin().remove(&id);
            guard.0.rebuild_ended.notify_one();
        });
    }

    async fn run(&self, live: &Arc<LiveJob>, work: Work) {
        // A rebuild takes its place where the building begins.
        let _slot = match &work {
            Work::Rebuild(_) => None,
            _ => match self.0.slots.acquire().await {
                Ok(slot) => Some(slot),
                Err(_) => return,
            },
        };
        let _queued = self
            .0
            .mirror
            .gate()
            .metrics
            .enqueue(crate::telemetry::Queue::Jobs);
        live.update(|view| view.state = JobState::Running);
        self.keep(live, &work).await;
        let ended = match &work {
            Work::Ingest(request) => Box::pin(self.ingest(live, request, &work)).await,
            Work::Scrub(request) => Box::pin(self.scrub(live, *request)).await,
            Work::Gc(request) => self.gc(live, *request).await,
            Work::Rebuild(file) => self.rebuild(live, file).await,
            Work::Rejudge(pass) => self.rejudge(live, pass).await,
            Work::Export(request) => Box::pin(self.export(live, request)).await,
            Work::Import(request) => Box::pin(self.import(live, request)).await,
        };
        let note = self.unpublished().await;
        live.update(|view| {
            view.note = note.map(str::to_owned);
            view.finished_at = Some(Timestamp::now());
            view.state = match &ended {
                _ if live.cancel.is_cancelled() => JobState::Cancelled,
                Ok(()) => JobState::Done,
                Err(_) => JobState::Failed,
            };
            view.error = ended.err();
        });
        self.keep(live, &work).await;
        live.done.cancel();
    }

    /// Writes down where a job stands.
    async fn keep(&self, live: &LiveJob, work: &Work) {
        let row = JobRow {
            view: live.view(),
            work: work.clone(),
        };
        let id = row.view.id;
        let kept = self.0.db.transact(move |tx| tx.put(&JOBS, &id, &row)).await;
        if let Err(error) = kept {
            tracing::error!(job = id, %error, "a job's state could not be written down; it runs again after a restart");
        }
    }
}

const JOBS_NEXT: Table<String, u64> = Table::new("counters");
const NEXT: &str = "next-job";
