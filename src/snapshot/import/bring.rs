//! The end of an import: every judgment into force, with the sender's decisions and the event that says so.

use bytes::Bytes;
use jiff::Timestamp;

use super::judge::Judging;
use super::plan::Plan;
use super::{ImportError, Work};
use crate::bundle::Seen;
use crate::bundle::{BundleError, Scope};
use crate::catalog::{
    Actor, Change, Completes, FileRef, FileState, ImportCounts, Imported, Prepared, SWITCH_BYTES, Switch,
    SwitchError, Switched,
};
use crate::package::{DistKind, DistributionFilename, Version};
use crate::snapshot::report::{Checked, LISTED, NotAdmitted, ReportStatement};
use crate::snapshot::sender::Kept;

/// How often judgments are made again because what they rest on changed. Threat: two judges that keep each other busy.
const ATTEMPTS: u32 = 8;
/// Judgments read together.
const AT_ONCE: usize = 256;

/// What came into force.
pub(super) struct Brought {
    /// What came of it.
    pub counts: ImportCounts,
    /// The signed report, by its digest.
    pub report: chiron_storage::Digest,
    /// The event that says so.
    pub event: u64,
}

/// How far the switches are.
#[derive(Default)]
struct Done {
    counts: ImportCounts,
    files: usize,
    size: u64,
    began: bool,
}

impl Work<'_> {
    /// Puts everything in force: at once, unless it is more than one switch takes.
    pub(super) async fn bring(
        &self,
        plan: &Plan,
        mut files: Vec<FileRef>,
        judging: &Judging<'_>,
    ) -> Result<Brought, ImportError> {
        files.sort_by_cached_key(order);
        let mut done = Done::default();
        done.counts.present = plan.present;
        for _ in 0..ATTEMPTS {
            let report = self.report(plan, &files).await?;
            let digest = chiron_storage::Digest::of(&report);
            self.journal.put_documents(vec![report]).await?;
            match self.switches(plan, &files, digest, &mut done).await {
                Ok(()) => {
                    return Ok(Brought {
                        counts: done.counts,
                        report: digest,
                        event: done.size.saturating_sub(1),
                    });
                }
                Err(SwitchError::Judgments(again)) => self.judge_again(judging, again).await?,
                Err(SwitchError::Standing) => {
                    self.judge_again(judging, files[done.files..].to_vec()).await?;
                }
                Err(SwitchError::Sender(name)) => {
                    return Err(BundleError::DoesNotFit {
                        id: self.head.manifest().id.to_string(),
                        why: format!("another bundle of {name} came into force meanwhile; import it again"),
                    }
                    .into());
                }
                Err(SwitchError::Catalog(error)) => return Err(error.into()),
            }
        }
        Err(ImportError::Overtaken(ATTEMPTS))
    }

    async fn judge_again(&self, judging: &Judging<'_>, files: Vec<FileRef>) -> Result<(), ImportError> {
        let staged = self.journal.staged().await?;
        let files = files
            .into_iter()
            .filter_map(|file| staged.get(&file).map(|it| (file, *it)));
        judging.staged(files.collect()).await
    }

    /// The switches that are still to be made. Each takes whole projects.
    async fn switches(
        &self,
        plan: &Plan,
        files: &[FileRef],
        report: chiron_storage::Digest,
        done: &mut Done,
    ) -> Result<(), SwitchError> {
        loop {
            let judgments = self.next(&files[done.files..]).await?;
            let many = judgments.len();
            let last = done.files + many >= files.len();
            let first = !done.began;
            let completes = if last {
                Some(self.completes(done, report)?)
            } else {
                None
            };
            let switch = Switch {
                bundle: self.journal.bundle,
                sender: self.known.name.clone(),
                since: self.known.row.as_ref().map(|row| row.since),
                advisories: plan.standing().filter(|_| first),
                judgments,
                changes: if first { plan.changes.clone() } else { Vec::new() },
                statuses: if last { plan.statuses.clone() } else { Vec::new() },
                completes,
            };
            let waiting = plan.advisories.clone().filter(|_| first);
            let then = move |tx: &mut chiron_storage::Tx<'_>| match waiting {
                Some(waiting) if !waiting.put_in_force(tx)? => Err(SwitchError::Standing),
                _ => Ok(()),
            };
            let catalog = &self.importer.gate().catalog;
            // Not the time when the import began: views of times until now have been handed out as final.
            let Switched { size, counts, .. } = catalog.switch(switch, then, Timestamp::now()).await?;
            done.counts.add(&counts);
            done.files += many;
            done.size = size;
            done.began = true;
            if first && plan.advisories.is_some() {
                // It is in force, whatever becomes of the rows of the one before.
                if let Err(error) = self.importer.gate().advisories.entered().await {
                    tracing::warn!(%error, "the advisory database before the imported one was not removed");
                }
            }
            if last {
                return Ok(());
            }
        }
    }

    /// The judgments of one switch: whole projects, as many as are not too heavy together.
    async fn next(&self, files: &[FileRef]) -> Result<Vec<Prepared>, SwitchError> {
        let (mut judgments, mut weight) = (Vec::<Prepared>::new(), 0);
        for some in files.chunks(AT_ONCE) {
            for (file, prepared) in some.iter().zip(self.journal.judged(some).await?) {
                let Some(prepared) = prepared else {
                    return Err(SwitchError::Judgments(vec![file.clone()]));
                };
                let same = judgments
                    .last()
                    .is_some_and(|last| last.project == prepared.project);
                if weight >= SWITCH_BYTES && !same {
                    return Ok(judgments);
                }
                weight += prepared.weight();
                judgments.push(prepared);
            }
        }
        Ok(judgments)
    }

    fn completes(&self, done: &Done, report: chiron_storage::Digest) -> Result<Completes, SwitchError> {
        let manifest = self.head.manifest();
        let floors = &self.known.anchor.floors;
        let kept = Kept {
            pinned: self.known.pinned.clone(),
            root: String::from_utf8_lossy(&self.head.root).into_owned(),
            memory: self.head.memory.clone(),
        };
        let torn = |_| crate::catalog::CatalogError::Torn {
            what: "what a sender is believed by cannot be written as JSON",
        };
        Ok(Completes {
            imported: Imported {
                sender: self.known.name.clone(),
                origin: manifest.sender.origin.clone(),
                id: manifest.id,
                bundle: self.journal.bundle,
                scope: manifest.scope,
                base: manifest.base.as_ref().map(|base| Seen {
                    size: base.size,
                    root: base.root,
                }),
                log: self.head.log(),
                complete: match manifest.scope {
                    Scope::Interval => Some(self.head.log()),
                    Scope::Selection | Scope::Fill => floors.complete,
                },
                created_at: manifest.created_at,
                reference_time: self.head.reference,
                tuf: manifest.tuf,
                counts: done.counts,
                report: Some(report),
                by: Actor::Operator,
            },
            trust: Bytes::from(serde_json::to_vec(&kept).map_err(torn)?),
        })
    }

    /// The signed report of what was checked and judged; what the switch will make of it is counted before it.
    async fn report(&self, plan: &Plan, files: &[FileRef]) -> Result<Bytes, ImportError> {
        let manifest = self.head.manifest();
        let mut counts = ImportCounts {
            present: plan.present,
            statuses: plan.statuses.len() as u64,
            ..ImportCounts::default()
        };
        for change in &plan.changes {
            *match change.change {
                Change::Yank => &mut counts.yanked,
                Change::Unyank => &mut counts.unyanked,
                Change::Revoke => &mut counts.revoked,
                Change::Restore => &mut counts.restored,
            } += 1;
        }
        let mut not_admitted = Vec::new();
        for some in files.chunks(AT_ONCE) {
            for prepared in self.journal.judged(some).await?.into_iter().flatten() {
                *match prepared.state() {
                    FileState::Admitted => &mut counts.admitted,
                    FileState::Quarantined => &mut counts.quarantined,
                    FileState::Refused | FileState::Revoked => &mut counts.refused,
                } += 1;
                if prepared.state() != FileState::Admitted && not_admitted.len() < LISTED {
                    not_admitted.push(NotAdmitted {
                        filename: prepared.file.filename.clone(),
                        sha256: prepared.file.sha256,
                        state: prepared.state().as_str().to_owned(),
                        reasons: prepared.reasons.iter().map(ToString::to_string).collect(),
                    });
                }
            }
        }
        let missing = plan.missing.iter().take(LISTED);
        let statement = ReportStatement {
            schema: ReportStatement::SCHEMA.to_owned(),
            site: self.importer.site().to_owned(),
            sender: self.known.name.clone(),
            origin: manifest.sender.origin.clone(),
            id: manifest.id,
            scope: manifest.scope,
            log: self.head.log(),
            tuf: manifest.tuf,
            reference_time: self.head.reference,
            at: self.now,
            policy: self.importer.gate().policy().digest(),
            checked: Checked::all_of(manifest, plan.followed.entries),
            counts,
            not_admitted,
            missing: missing.map(|file| file.filename.clone()).collect(),
            not_relayed: plan.followed.kept_back(),
        };
        statement
            .sign(self.journal.bundle, &self.importer.gate().statements)
            .map_err(|_| ImportError::BrokeOff)
    }
}

/// The order in which files are logged: by project and version, source distributions before the wheels made of them.
pub(super) fn order(file: &FileRef) -> (String, Option<Version>, bool, String) {
    let name = DistributionFilename::parse_for(&file.filename, &file.project).ok();
    (
        file.project.to_string(),
        name.as_ref().map(|name| name.version().clone()),
        name.is_some_and(|name| name.kind() == DistKind::Wheel),
        file.filename.clone(),
    )
}
