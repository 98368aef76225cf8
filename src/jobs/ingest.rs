//! `ingest`: upstream's files for a list of requirements, through the gate, some at once.

use std::cmp::Ordering;
use std::collections::{BinaryHeap, HashSet};
use std::sync::Arc;

use futures_util::stream::{self, FuturesUnordered};
use futures_util::{Stream, StreamExt};
use tokio_util::sync::CancellationToken;

use super::{Jobs, LiveJob, Work};
use crate::api::{FileOutcome, FileResult, IngestItem, IngestRequest};
use crate::catalog::{FileRow, FileState, STORE_CHECK, Waits};
use crate::index::{Candidate, Selection, Targets};
use crate::ingest::IngestError;
use crate::mirror::{Asked, MirrorError};
use crate::package::DistributionFilename;
use crate::upstream::Upstream;

/// Projects whose pages are asked for at once.
const PAGES_AT_ONCE: usize = 8;

/// How often a running job writes down where it stands, in files.
const KEEP_EVERY: u64 = 200;

struct Planned {
    name: DistributionFilename,
    upstream: Upstream,
    candidate: Candidate,
}

/// A planned file in the queue: the largest goes first, so that none of them is still being checked
/// alone when everything else is done.
struct Waiting(Planned);

impl Waiting {
    fn size(&self) -> u64 {
        self.0.candidate.file.size.unwrap_or(0)
    }
}

impl PartialEq for Waiting {
    fn eq(&self, other: &Self) -> bool {
        self.size() == other.size()
    }
}

impl Eq for Waiting {}

impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Waiting {
    fn cmp(&self, other: &Self) -> Ordering {
        self.size().cmp(&other.size())
    }
}

impl Jobs {
    pub(super) async fn ingest(
        &self,
        live: &Arc<LiveJob>,
        request: &IngestRequest,
        work: &Work,
    ) -> Result<(), String> {
        let targets = Targets::parse(&request.pythons, &request.platforms)?;
        if !request.dry_run {
            self.note_rules().await.map_err(|e| e.to_string())?;
        }
        let mut plans = std::pin::pin!(self.plans(request, &targets));
        let mut waiting = BinaryHeap::new();
        let mut seen = HashSet::new();
        let mut running = FuturesUnordered::new();
        let (mut planning, mut since_kept) = (true, 0);
        let at_once = self.0.settings.files_at_once.max(1);
        loop {
            while running.len() < at_once
                && let Some(Waiting(planned)) = waiting.pop()
            {
                running.push(self.bring_in(planned, request.dry_run, &live.cancel));
            }
            // Not left to `else` below: waiting for a cancellation is a branch that never ends by itself.
            if !planning && running.is_empty() {
                return Ok(());
            }
            tokio::select! {
                biased;
                () = live.cancel.cancelled() => return Ok(()),
                plan = plans.next(), if planning => match plan {
                    None => planning = false,
                    Some(Err(result)) => live.update(|view| view.files.push(result)),
                    Some(Ok(files)) => {
                        let new = files.into_iter().filter(|planned| {
                            let file = &planned.candidate.file;
                            seen.insert((planned.candidate.sha256, file.filename.clone()))
                        });
                        let new: Vec<_> = new.collect();
                        live.update(|view| {
                            view.progress.files_total += new.len() as u64;
                            view.progress.bytes_total +=
                                new.iter().filter_map(|p| p.candidate.file.size).sum::<u64>();
                        });
                        waiting.extend(new.into_iter().map(Waiting));
                    }
                },
                Some(result) = running.next(), if !running.is_empty() => {
                    live.update(|view| {
                        view.progress.files_done += 1;
                        view.progress.bytes_done += result.size.unwrap_or(0);
                        view.files.push(result);
                    });
                    since_kept += 1;
                    if since_kept >= KEEP_EVERY {
                        since_kept = 0;
                        self.keep(live, work).await;
                    }
                }
                else => return Ok(()),
            }
        }
    }

    /// What upstream has for each item; what it does not have is a result at once.
    fn plans(
        &self,
        request: &IngestRequest,
        targets: &Targets,
    ) -> impl Stream<Item = Result<Vec<Planned>, FileResult>> + use<> {
        let (jobs, targets) = (self.clone(), targets.clone());
        stream::iter(request.items.clone())
            .map(move |item| {
                let (jobs, targets) = (jobs.clone(), targets.clone());
                async move { jobs.plan_item(&item, &targets).await }
            })
            .buffer_unordered(PAGES_AT_ONCE)
    }

    async fn plan_item(&self, item: &IngestItem, targets: &Targets) -> Result<Vec<Planned>, FileResult> {
        let missing = |what: String, outcome, why: String| FileResult {
            filename: what,
            project: item.project.clone(),
            version: None,
            sha256: None,
            size: None,
            outcome,
            reasons: vec![why],
        };
        let selection = Selection::parse(&item.project, item.specifier.as_deref(), &item.hashes)
            .map_err(|why| missing(item.project.clone(), FileOutcome::NotFound, why))?;
        let what = selection.describe();
        let known = match self.0.mirror.ask_for_ingest(&selection.project).await {
            Asked::Known(known) => known,
            Asked::Nothing if self.0.mirror.is_owned(&selection.project) => {
                let why = "the name is owned by this site: upstream is never asked for it; ingest its files by hand";
                return Err(missing(what, FileOutcome::NotFound, why.to_owned()));
            }
            Asked::Nothing => {
                let why = "no upstream has this project".to_owned();
                return Err(missing(what, FileOutcome::NotFound, why));
            }
            Asked::Lost => {
                let why = "the work broke off; ingest it again".to_owned();
                return Err(missing(what, FileOutcome::Failed, why));
            }
            Asked::Down(error) => {
                return Err(missing(what, FileOutcome::UpstreamFailed, error.to_string()));
            }
        };
        let upstream = match known.source.get().await {
            Ok(upstream) => upstream,
            Err(error) => {
                return Err(missing(what, FileOutcome::UpstreamFailed, error.to_string()));
            }
        };
        let chosen = selection.choose(&known.candidates, targets);
        if chosen.is_empty() {
            let why = format!(
                "upstream lists {} files of {}, none of which matches",
                known.candidates.files().len(),
                selection.project
            );
            return Err(missing(what, FileOutcome::NotFound, why));
        }
        let planned = |(name, candidate): (DistributionFilename, &Candidate)| Planned {
            name,
            upstream: upstream.clone(),
            candidate: candidate.clone(),
        };
        Ok(chosen.into_iter().map(planned).collect())
    }

    async fn bring_in(&self, planned: Planned, dry_run: bool, cancel: &CancellationToken) -> FileResult {
        let Planned {
            name,
            upstream,
            candidate,
        } = planned;
        let file = crate::catalog::FileRef {
            project: name.project().clone(),
            filename: candidate.file.filename.clone(),
            sha256: candidate.sha256,
        };
        let unsettled = |outcome, reasons| FileResult {
            filename: file.filename.clone(),
            project: file.project.to_string(),
            version: Some(name.version().to_string()),
            sha256: Some(candidate.sha256.to_string()),
            size: candidate.file.size,
            outcome,
            reasons,
        };
        match self.0.mirror.catalog().file(&file).await {
            Ok(Some(row)) if row.state == FileState::Admitted => {
                return FileResult {
                    outcome: FileOutcome::Present,
                    ..result_of(&row)
                };
            }
            Ok(_) => {}
            Err(error) => return unsettled(FileOutcome::Failed, vec![error.to_string()]),
        }
        if dry_run {
            return unsettled(FileOutcome::WouldFetch, Vec::new());
        }
        match self
            .0
            .mirror
            .pull(&file.project, upstream, candidate.clone(), candidate.sha256)
            .await
        {
            // What came instead may well be admitted, under its own digest.
            Ok(row) if row.judged.sha256 != candidate.sha256 && row.state == FileState::Admitted => {
                let came = format!(
                    "upstream sent other bytes than it promises: sha256 {}",
                    row.judged.sha256
                );
                unsettled(FileOutcome::Refused, vec![came])
            }
            // Who ingests wants to know what became of the file, not that it waits.
            Ok(row) if row.waits() == Some(Waits::Rebuild) => match self.rebuilt(&row.file(), cancel).await {
                Ok(row) => result_of(&row),
                Err(why) => {
                    let mut result = result_of(&row);
                    result
                        .reasons
                        .push(format!("its rebuild could not be made: {why}"));
                    result
                }
            },
            Ok(row) => result_of(&row),
            Err(error) => {
                let outcome = match &*error {
                    MirrorError::Upstream(_)
                    | MirrorError::Down(_)
                    | MirrorError::Ingest(IngestError::Upstream(_)) => FileOutcome::UpstreamFailed,
                    _ => FileOutcome::Failed,
                };
                unsettled(outcome, vec![error.to_string()])
            }
        }
    }
}

/// A judged file as a result.
pub fn result_of(row: &FileRow) -> FileResult {
    let judged = &row.judged;
    let damaged = judged.reasons.iter().any(|r| r.check == STORE_CHECK);
    FileResult {
        filename: judged.filename.clone(),
        project: judged.project.to_string(),
        version: Some(judged.version.clone()),
        sha256: Some(judged.sha256.to_string()),
        size: Some(judged.size),
        outcome: match row.state {
            FileState::Admitted => FileOutcome::Admitted,
            FileState::Quarantined if damaged => FileOutcome::IntegrityFailed,
            FileState::Quarantined => FileOutcome::Quarantined,
            FileState::Refused | FileState::Revoked => FileOutcome::Refused,
        },
        reasons: row
            .note
            .iter()
            .cloned()
            .chain(judged.reasons.iter().map(ToString::to_string))
            .collect(),
    }
}
