//! What a job says of an import.

use super::Work;
use super::bring::Brought;
use super::plan::Plan;
use crate::api::{ImportCounts, ImportOutcome, ImportReport};
use crate::bundle::SnapshotId;
use crate::catalog::Change;

/// What is known of a bundle before anything of it is read.
pub(super) fn describe(work: &Work<'_>, report: &mut ImportReport) {
    let manifest = work.head.manifest();
    report.sender.clone_from(&work.known.name);
    report.scope = serde_json::to_value(manifest.scope)
        .ok()
        .and_then(|scope| scope.as_str().map(str::to_owned));
    report.base = manifest
        .base
        .as_ref()
        .map(|base| SnapshotId::new(base.size, &base.root).to_string());
    report.reference_time = Some(work.head.reference);
    if work.known.anew {
        report.notes.push(format!(
            "{} is believed by the root that was given now, no more by the one before",
            work.known.name
        ));
    }
}

/// What follows from the plan alone.
pub(super) fn planned(plan: &Plan, report: &mut ImportReport) {
    let counts = &mut report.counts;
    counts.present = plan.present;
    counts.missing = plan.missing.len() as u64;
    counts.not_relayed = plan.followed.kept_back();
    counts.statuses = plan.statuses.len() as u64;
    for change in &plan.changes {
        *match change.change {
            Change::Yank => &mut counts.yanked,
            Change::Unyank => &mut counts.unyanked,
            Change::Revoke => &mut counts.revoked,
            Change::Restore => &mut counts.restored,
        } += 1;
    }
    let missing = plan.missing.iter().take(ImportReport::LISTED);
    report.missing_files = missing.map(|file| file.filename.clone()).collect();
}

/// What came into force.
pub(super) fn brought(plan: &Plan, brought: &Brought, report: &mut ImportReport) {
    planned(plan, report);
    let too_large = report.counts.refused;
    let done = &brought.counts;
    report.counts = ImportCounts {
        admitted: done.admitted,
        present: done.present,
        quarantined: done.quarantined,
        refused: done.refused + too_large,
        yanked: done.yanked,
        unyanked: done.unyanked,
        revoked: done.revoked,
        restored: done.restored,
        statuses: done.statuses,
        ..report.counts
    };
    report.outcome = ImportOutcome::Imported;
    report.report = Some(brought.report.to_string());
    report.event = Some(brought.event);
    report.adopted_advisories = plan.advisories.is_some();
}
