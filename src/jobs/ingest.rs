//! `ingest`: upstream's files for a list of requirements, through the gate, some at once.

use std::collections::HashSet;
use std::sync::Arc;

use futures_util::{StreamExt, stream};

use super::selection::{Selection, Targets};
use super::{Jobs, LiveJob, Work};
use crate::api::{FileOutcome, FileResult, IngestItem, IngestRequest};
use crate::catalog::{FileRow, FileState, STORE_CHECK};
use crate::index::Candidate;
use crate::ingest::IngestError;
use crate::mirror::{Asked, MirrorError};
use crate::upstream::Upstream;

/// Projects whose pages are asked for at once.
const PAGES_AT_ONCE: usize = 8;

/// How often a running job writes down where it stands, in files.
const KEEP_EVERY: u64 = 200;

struct Planned {
    upstream: Upstream,
    candidate: Candidate,
}

impl Jobs {
    pub(super) async fn ingest(
        &self,
        live: &Arc<LiveJob>,
        request: &IngestRequest,
        work: &Work,
    ) -> Result<(), String> {
        let targets = Targets::parse(request)?;
        let planned = self.plan(live, &request.items, &targets).await;
        let bytes = planned.iter().filter_map(|p| p.candidate.file.size).sum();
        live.update(|view| {
            view.progress.files_total = planned.len() as u64;
            view.progress.bytes_total = bytes;
        });
        let results = stream::iter(planned)
            .take_until(live.cancel.cancelled())
            .map(|planned| {
                let (jobs, dry_run) = (self.clone(), request.dry_run);
                async move { jobs.bring_in(planned, dry_run).await }
            })
            .buffer_unordered(self.0.settings.files_at_once.max(1));
        let mut results = std::pin::pin!(results);
        let mut since_kept = 0;
        while let Some(result) = results.next().await {
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
        Ok(())
    }

    /// What upstream has for each item; what it does not have becomes a result at once.
    async fn plan(
        &self,
        live: &Arc<LiveJob>,
        items: &[IngestItem],
        targets: &Targets,
    ) -> Vec<Planned> {
        let plans = stream::iter(items.to_vec())
            .map(|item| {
                let (jobs, targets) = (self.clone(), targets.clone());
                async move { jobs.plan_item(&item, &targets).await }
            })
            .buffered(PAGES_AT_ONCE);
        let mut plans = std::pin::pin!(plans.take_until(live.cancel.cancelled()));
        let mut planned = Vec::new();
        let mut seen = HashSet::new();
        while let Some(plan) = plans.next().await {
            match plan {
                Ok(files) => planned.extend(files.into_iter().filter(|p| {
                    seen.insert((p.candidate.sha256, p.candidate.file.filename.clone()))
                })),
                Err(result) => live.update(|view| view.files.push(result)),
            }
        }
        planned
    }

    async fn plan_item(
        &self,
        item: &IngestItem,
        targets: &Targets,
    ) -> Result<Vec<Planned>, FileResult> {
        let missing = |what: String, outcome, why: String| FileResult {
            filename: what,
            project: item.project.clone(),
            version: None,
            sha256: None,
            size: None,
            outcome,
            reasons: vec![why],
        };
        let selection = Selection::parse(item)
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
        let planned = |candidate: &Candidate| Planned {
            upstream: upstream.clone(),
            candidate: candidate.clone(),
        };
        Ok(chosen.into_iter().map(planned).collect())
    }

    async fn bring_in(&self, planned: Planned, dry_run: bool) -> FileResult {
        let Planned { upstream, candidate } = planned;
        let file = crate::catalog::FileRef {
            project: candidate.name.project().clone(),
            filename: candidate.file.filename.clone(),
            sha256: candidate.sha256,
        };
        let unsettled = |outcome, reasons| FileResult {
            filename: file.filename.clone(),
            project: file.project.to_string(),
            version: Some(candidate.name.version().to_string()),
            sha256: Some(candidate.sha256.to_string()),
            size: candidate.file.size,
            outcome,
            reasons,
        };
        match self.0.mirror.catalog().file(&file).await {
            Ok(Some(row)) if row.state == FileState::Admitted => {
                return FileResult { outcome: FileOutcome::Present, ..result_of(&row) };
            }
            Ok(_) => {}
            Err(error) => return unsettled(FileOutcome::Failed, vec![error.to_string()]),
        }
        if dry_run {
            return unsettled(FileOutcome::WouldFetch, Vec::new());
        }
        match self.0.mirror.pull(upstream, candidate.clone(), candidate.sha256).await {
            Ok(row) => result_of(&row),
            Err(error) => {
                let outcome = match &*error {
                    MirrorError::Upstream(_) | MirrorError::Down(_) | MirrorError::Ingest(IngestError::Upstream(_)) => {
                        FileOutcome::UpstreamFailed
                    }
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
        reasons: row.note.iter().cloned().chain(judged.reasons.iter().map(ToString::to_string)).collect(),
    }
}
