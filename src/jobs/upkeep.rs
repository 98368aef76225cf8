//! `scrub` and `gc`: reading every blob again, and removing what nothing names.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use chiron_storage::{Digest, sweep};
use jiff::Timestamp;
use serde_json::json;

use super::{Jobs, LiveJob};
use crate::api::{FileOutcome, UpkeepRequest};
use crate::catalog::{Actor, Change, FileRow, FileState, Origin};
use crate::index::Candidate;
use crate::mirror::Asked;
use crate::upstream::Upstream;

impl Jobs {
    pub(super) async fn scrub(&self, live: &Arc<LiveJob>, request: UpkeepRequest) -> Result<(), String> {
        let gate = self.0.mirror.gate();
        let expected = gate.catalog.kept_blobs().await.map_err(|e| e.to_string())?;
        live.update(|view| view.progress.files_total = expected.len() as u64);
        let stop = AtomicBool::new(false);
        let report = sweep::scrub(&gate.blobs, &expected, &stop, |progress| {
            stop.store(live.cancel.is_cancelled(), Ordering::Relaxed);
            live.update(|view| {
                view.progress.files_done = progress.checked;
                view.progress.bytes_done = progress.bytes;
            });
        })
        .await
        .map_err(|e| e.to_string())?;
        let mut repaired = 0_u64;
        let damaged: Vec<(Digest, bool)> = report
            .corrupt
            .iter()
            .map(|d| (*d, true))
            .chain(report.missing.iter().map(|d| (*d, false)))
            .collect();
        for (digest, present) in &damaged {
            if request.dry_run {
                continue;
            }
            if *present {
                gate.blobs.set_aside(digest).await.map_err(|e| e.to_string())?;
            }
            let what = if *present {
                "its stored bytes do not hash to its name"
            } else {
                "its stored bytes are missing"
            };
            repaired += u64::from(Box::pin(self.mend(live, digest, what, request.repair)).await?);
        }
        let list = |digests: &[Digest]| digests.iter().map(ToString::to_string).collect::<Vec<_>>();
        live.update(|view| {
            view.report = Some(json!({
                "checked": report.checked, "bytes": report.bytes,
                "corrupt": list(&report.corrupt), "missing": list(&report.missing),
                "repaired": repaired, "unrepaired": damaged.len() as u64 - repaired,
            }));
        });
        Ok(())
    }

    /// Takes the files of a damaged blob out of service and, when asked, brings the bytes in again.
    async fn mend(
        &self,
        live: &Arc<LiveJob>,
        digest: &Digest,
        what: &str,
        repair: bool,
    ) -> Result<bool, String> {
        let catalog = self.0.mirror.catalog();
        let rows = catalog.by_digest(*digest).await.map_err(|e| e.to_string())?;
        let mut whole = false;
        for row in &rows {
            catalog
                .damaged(row.file(), what.to_owned(), Timestamp::now())
                .await
                .map_err(|e| e.to_string())?;
        }
        let rows = catalog.by_digest(*digest).await.map_err(|e| e.to_string())?;
        for row in rows {
            let mut result = super::result_of(&row);
            result.outcome = FileOutcome::IntegrityFailed;
            if repair {
                match self.bring_back(&row, &mut whole).await {
                    Ok(()) => {
                        result.outcome = FileOutcome::Admitted;
                        result.reasons = vec!["repaired: the same bytes were fetched again".to_owned()];
                    }
                    Err(why) => result.reasons.push(format!("not repaired: {why}")),
                }
            }
            live.update(|view| view.files.push(result));
        }
        Ok(whole)
    }

    /// The same bytes, proved by their digest, back in their place; the judgment of them stands.
    async fn bring_back(&self, row: &FileRow, stored: &mut bool) -> Result<(), String> {
        let gate = self.0.mirror.gate();
        if !*stored {
            let (upstream, candidate) = self.source_of(row).await?;
            let staged = gate
                .fetch(&upstream, &candidate.file)
                .await
                .map_err(|e| e.to_string())?;
            if staged.measured().sha256 != row.judged.sha256 {
                return Err(format!(
                    "upstream now has other bytes (sha256 {})",
                    staged.measured().sha256
                ));
            }
            gate.blobs.seal(staged).await.map_err(|e| e.to_string())?;
            *stored = true;
        }
        if row.is_damaged() || row.state == FileState::Admitted {
            let reason = "fetched again from upstream, bytes identical".to_owned();
            let (row, _) = gate
                .catalog
                .change(
                    row.file(),
                    Change::Restore,
                    reason,
                    Actor::Operator,
                    Timestamp::now(),
                )
                .await
                .map_err(|e| e.to_string())?;
            // The rules may have changed while it was damaged.
            if let Some(result) = self.judge_again(&row, false).await
                && result.outcome != FileOutcome::Admitted
            {
                return Err(format!("its bytes are back; {}", result.reasons.join("; ")));
            }
        }
        Ok(())
    }

    async fn source_of(&self, row: &FileRow) -> Result<(Upstream, Candidate), String> {
        let judged = &row.judged;
        if judged.origin == Origin::File {
            return Err(format!(
                "it was handed in by the operator: `chiron ingest {}` again",
                judged.filename
            ));
        }
        let known = match self.0.mirror.ask_for_ingest(&judged.project).await {
            Asked::Known(known) => known,
            Asked::Nothing => {
                return Err(match &judged.origin {
                    Origin::Bundle(sender) => format!(
                        "it came with a bundle of {sender}: `chiron airgap export --fill` there, with sha256 {}, and import it here",
                        judged.sha256
                    ),
                    _ => "no upstream has the project any more".to_owned(),
                });
            }
            Asked::Lost => return Err("the work broke off".to_owned()),
            Asked::Down(error) => return Err(error.to_string()),
        };
        let candidate = known.candidates.find(&judged.sha256, &judged.filename).cloned();
        let candidate = candidate.ok_or("upstream no longer lists this file")?;
        let upstream = known.source.get().await.map_err(|e| e.to_string())?;
        Ok((upstream.clone(), candidate))
    }

    pub(super) async fn gc(&self, live: &Arc<LiveJob>, request: UpkeepRequest) -> Result<(), String> {
        let gate = self.0.mirror.gate();
        // From seal to commit a blob is named by nothing; nothing is sealed while this is held.
        let _alone = gate.sealing.write().await;
        let kept = gate.catalog.kept_blobs().await.map_err(|e| e.to_string())?;
        let mut named: HashSet<Digest> = kept.into_keys().collect();
        // What an import has staged is named by its journal until its bundle is in force.
        named.extend(gate.catalog.staged_blobs(None).await.map_err(|e| e.to_string())?);
        let report = sweep::gc(&gate.blobs, &named, self.0.settings.gc_grace, request.dry_run)
            .await
            .map_err(|e| e.to_string())?;
        live.update(|view| {
            view.progress.files_done = report.kept + report.young + report.removed;
            view.progress.files_total = view.progress.files_done;
            view.report = Some(json!({
                "kept": report.kept, "kept_bytes": report.kept_bytes, "young": report.young,
                "removed": report.removed, "removed_bytes": report.removed_bytes, "dry_run": request.dry_run,
            }));
        });
        Ok(())
    }
}
