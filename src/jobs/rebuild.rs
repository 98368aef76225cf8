//! `rebuild`: a wheel is built again from its source and judged again with what came of it; and the watcher that begins
//! such a job for every file that waits for one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::{Jobs, LiveJob, Work, result_of};
use crate::api::JobState;
use crate::catalog::{FileRef, FileRow, FileState, REBUILD_PENDING, Waits};
use crate::ingest::{Again, Replacement};
use crate::rebuild::RebuildError;
use crate::statement::{Equivalence, RebuildProvenance, Resource, equivalence_statement, rebuild_provenance};
use crate::verify::reproducibility::{Attempt, PinnedFile, Rebuilt, after_rebuild};
use crate::verify::{CheckName, Document, DocumentKind, DocumentOrigin};

/// Rebuild jobs that wait or run: more files than these wait in the catalogue. Threat: a table of jobs without end.
const JOBS_AT_ONCE: usize = 32;

/// Waiting files looked at together.
const LOOK: usize = 256;

/// How long a file waits after a rebuild that could not be made, and at most after several. Threat: a machine that
/// is busy with nothing but a rebuild that breaks it.
const PAUSE: Duration = Duration::from_secs(10);
const LONGEST_PAUSE: Duration = Duration::from_hours(1);

/// Files whose rebuild broke off in this process: how often, and when it is tried again.
#[derive(Default)]
pub(super) struct Pauses(Mutex<HashMap<FileRef, (u32, Instant)>>);

impl Pauses {
    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<FileRef, (u32, Instant)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pauses(&self, file: &FileRef) -> bool {
        self.lock()
            .get(file)
            .is_some_and(|(_, until)| *until > Instant::now())
    }

    fn failed(&self, file: FileRef) {
        let mut pauses = self.lock();
        let times = pauses.get(&file).map_or(0, |(times, _)| *times).saturating_add(1);
        let pause = PAUSE.saturating_mul(1 << times.min(10)).min(LONGEST_PAUSE);
        pauses.insert(file, (times, Instant::now() + pause));
    }

    fn done(&self, file: &FileRef) {
        self.lock().remove(file);
    }
}

impl Jobs {
    pub(super) async fn rebuild(&self, live: &Arc<LiveJob>, file: &FileRef) -> Result<(), String> {
        live.update(|view| view.progress.files_total = 1);
        let row = self.rebuilt(file, &live.cancel).await?;
        live.update(|view| {
            view.progress.files_done = 1;
            view.progress.bytes_done = row.judged.size;
            view.files.push(result_of(&row));
        });
        Ok(())
    }

    /// A row that waits for nothing but its rebuild, rebuilt now; any other as it is. For who hands a file in and wants to
    /// know what became of it.
    pub async fn settled(&self, row: FileRow) -> FileRow {
        if row.waits() != Some(Waits::Rebuild) {
            return row;
        }
        match self.rebuilt(&row.file(), &self.0.stop).await {
            Ok(row) => (*row).clone(),
            // Said in the log of the process; the row says what it waits for.
            Err(_) => row,
        }
    }

    /// Rebuilds a file that waits for it and judges it again: once for all who ask. A file that does not wait (any more)
    /// is given back as it is.
    pub(super) async fn rebuilt(
        &self,
        file: &FileRef,
        cancel: &CancellationToken,
    ) -> Result<Arc<FileRow>, String> {
        let (jobs, of, cancel) = (self.clone(), file.clone(), cancel.clone());
        let flight = self.0.rebuilding.join_or_start(file.clone(), || async move {
            let done = jobs.rebuild_now(&of, &cancel).await;
            match &done {
                // Rebuilt, and still waiting for it: once more at once would be for ever.
                Ok(row) if awaits_rebuild(row) => jobs.0.pauses.failed(of),
                Ok(_) => jobs.0.pauses.done(&of),
                Err(why) => {
                    tracing::warn!(
                        filename = of.filename,
                        why,
                        "a rebuild could not be made; it is tried again later"
                    );
                    jobs.0.pauses.failed(of);
                }
            }
            done
        });
        flight
            .wait()
            .await
            .map_err(|_| format!("the rebuild of {} broke off", file.filename))?
    }

    async fn rebuild_now(&self, file: &FileRef, cancel: &CancellationToken) -> Result<Arc<FileRow>, String> {
        let catalog = self.0.mirror.catalog();
        let row = catalog.file(file).await.map_err(|e| e.to_string())?;
        let row = row.ok_or_else(|| format!("{} is not known here", file.filename))?;
        if !awaits_rebuild(&row) {
            return Ok(Arc::new(row));
        }
        let _permit = self
            .0
            .rebuild_slots
            .acquire()
            .await
            .map_err(|_| "the process is stopping".to_owned())?;
        let rebuilt = match self.0.rebuilder.stored(&row, cancel).await {
            Ok(rebuilt) => rebuilt,
            Err(RebuildError::Cancelled) => return Err("it was cancelled".to_owned()),
            Err(error) => return Err(error.to_string()),
        };
        let gate = self.0.mirror.gate();
        let evidence = gate
            .evidence(&row, CheckName::Reproducibility)
            .await
            .map_err(|e| e.to_string())?;
        let now = Timestamp::now();
        let report = after_rebuild(&evidence, &rebuilt);
        let replacement = Replacement {
            evidence: vec![report.into_evidence(CheckName::Reproducibility, row.judged.sha256, now)],
            documents: self.statements(&row, &rebuilt, now),
            named: rebuilt
                .attempts
                .iter()
                .map(|a| Bytes::from(a.to_bytes()))
                .collect(),
        };
        let again = gate
            .again(&row, Again::Replace(replacement))
            .await
            .map_err(|e| e.to_string())?;
        Ok(Arc::new(again.row))
    }

    /// What this site states of a rebuild, signed: how it was made, and up to where its result is the published file.
    fn statements(&self, row: &FileRow, rebuilt: &Rebuilt, now: Timestamp) -> Vec<Document> {
        let Some(best) = rebuilt.best_attempt() else {
            return Vec::new();
        };
        let Some(output) = best.output else {
            return Vec::new();
        };
        let gate = self.0.mirror.gate();
        let builder = gate.builder.to_string();
        let attempt = Some(best.digest());
        let provenance = rebuild_provenance(&RebuildProvenance {
            output: Resource {
                name: row.judged.filename.clone(),
                sha256: output,
            },
            source: resource(&best.source),
            backend: best.backend.clone(),
            recipe: best.recipe.as_ref().map(resource),
            epoch: best.epoch,
            as_of: best.as_of,
            environment: best.environment.iter().map(resource).collect(),
            tools: tools(best),
            builder: builder.clone(),
            attempt,
            started: best.started,
            finished: best.finished,
        });
        let equivalence = equivalence_statement(&Equivalence {
            published: resource(&best.wheel),
            level: rebuilt.best.as_str().to_owned(),
            source: resource(&best.source),
            rebuilt: Some(output),
            attempt,
            builder,
            at: now,
        });
        let document = |statement| Document {
            kind: DocumentKind::RebuildStatement,
            origin: DocumentOrigin::Chiron,
            bytes: Bytes::from(gate.statements.sign(statement).to_bytes()),
        };
        vec![document(&provenance), document(&equivalence)]
    }

    /// Begins a job for each file that waits for its rebuild, until told to stop. What was waiting when the process began
    /// is found at once.
    pub(super) async fn watch(self, stop: CancellationToken) {
        let mut changes = self.0.mirror.catalog().changes();
        loop {
            changes.borrow_and_update();
            if let Err(error) = self.begin_rebuilds().await {
                tracing::error!(%error, "the files that wait for a rebuild could not be looked up; it is tried again");
            }
            tokio::select! {
                () = stop.cancelled() => return,
                changed = changes.changed() => if changed.is_err() { return },
                () = self.0.rebuild_ended.notified() => {}
                () = tokio::time::sleep(PAUSE) => {}
            }
        }
    }

    async fn begin_rebuilds(&self) -> Result<(), crate::catalog::CatalogError> {
        let mut after = None;
        loop {
            let catalog = self.0.mirror.catalog();
            let files = catalog.waiting(REBUILD_PENDING, after, LOOK).await?;
            for file in &files {
                if self.rebuild_jobs() >= JOBS_AT_ONCE {
                    return Ok(());
                }
                if self.has_rebuild_job(file) || self.0.pauses.pauses(file) {
                    continue;
                }
                self.submit(Work::Rebuild(file.clone())).await?;
            }
            if files.len() < LOOK {
                return Ok(());
            }
            after = files.last().cloned();
        }
    }

    fn rebuild_jobs(&self) -> usize {
        let live = self.0.live.pin();
        live.values().filter(|job| job.file.is_some()).count()
    }

    fn has_rebuild_job(&self, file: &FileRef) -> bool {
        let live = self.0.live.pin();
        let ended = |job: &LiveJob| {
            matches!(
                job.view().state,
                JobState::Done | JobState::Failed | JobState::Cancelled
            )
        };
        live.values()
            .any(|job| job.file.as_ref() == Some(file) && !ended(job))
    }
}

/// Whether a rebuild may change anything about a file.
pub(super) fn awaits_rebuild(row: &FileRow) -> bool {
    let pending = row
        .judged
        .reasons
        .iter()
        .any(|reason| reason.code == REBUILD_PENDING);
    pending && row.is_stored() && row.state != FileState::Admitted
}

fn resource(file: &PinnedFile) -> Resource {
    Resource {
        name: file.filename.clone(),
        sha256: file.sha256,
    }
}

fn tools(attempt: &Attempt) -> Vec<(String, String)> {
    vec![
        ("python".to_owned(), attempt.python.clone()),
        ("sandbox".to_owned(), attempt.sandbox.clone()),
    ]
}
