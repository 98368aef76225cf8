//! `rejudge`: everything stored is judged again, because the rules or the advisory database are others than before.
//!
//! Each file is one transaction, and the pass writes down how far it is: a crash in the middle leaves each file judged
//! one way or the other, and the next start goes on where it stopped, or from the beginning if the rules changed
//! meanwhile. Only a pass that went through is noted, so a start also finds one that was never begun.

use std::sync::Arc;

use chiron_storage::{BlobError, Digest};
use futures_util::{StreamExt, stream};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Jobs, LiveJob, Work, result_of};
use crate::api::{FileOutcome, FileResult, JobView};
use crate::catalog::{Actor, CatalogError, FileRef, FileRow, Mark, Standing};
use crate::ingest::{Again, Gate, IngestError};
use crate::policy::Policy;

/// Files read and judged together before the pass looks at the next ones.
const CHUNK: usize = 200;

/// Files that a job lists; the log names the others. Threat: a job as large as the catalogue.
const LISTED: usize = 1_000;

/// How a pass over everything stored stands.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejudge {
    /// Why, for people.
    pub why: String,
    /// Signatures are checked again too: whom they may lead back to has changed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub signatures: bool,
    /// The last file that is done with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<FileRef>,
    /// What the files up to that one were judged with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub with: Option<Digest>,
}

impl Rejudge {
    /// A pass from the beginning.
    pub fn all(why: impl Into<String>) -> Self {
        Self {
            why: why.into(),
            ..Self::default()
        }
    }
}

impl Jobs {
    /// Puts other rules in force: the event, and a job that judges everything stored again. `None`: they are in force.
    pub async fn policy_changed(
        &self,
        policy: Policy,
        reason: Option<String>,
        by: Actor,
    ) -> Result<Option<JobView>, CatalogError> {
        let standing = standing_of(&policy, reason);
        let gate = self.0.mirror.gate();
        gate.policy.replace(policy);
        let event = gate.catalog.put_in_force(standing, by, Timestamp::now()).await?;
        // The rules themselves are signed too, and a log without a judgment has no event of them.
        self.0.publisher.look_again();
        self.judge_all_again(event.is_some(), "other rules are in force")
            .await
    }

    /// Notes that another advisory database is in force, and begins a job that judges everything stored with it.
    pub async fn advisories_loaded(
        &self,
        as_of: Timestamp,
        digest: Digest,
        records: u64,
        by: Actor,
    ) -> Result<Option<JobView>, CatalogError> {
        let standing = Standing::Advisories {
            as_of,
            digest,
            records,
        };
        let catalog = self.0.mirror.catalog();
        let event = catalog.put_in_force(standing, by, Timestamp::now()).await?;
        self.judge_all_again(event.is_some(), "another advisory database is in force")
            .await
    }

    /// Begins a job that judges everything stored again.
    pub(super) async fn everything_again(&self, why: &str) -> Result<Option<JobView>, CatalogError> {
        self.judge_all_again(true, why).await
    }

    async fn judge_all_again(&self, changed: bool, why: &str) -> Result<Option<JobView>, CatalogError> {
        if !changed && self.0.mirror.catalog().mark(Mark::Judged).await? == Some(self.standing().await) {
            return Ok(None);
        }
        Ok(Some(self.submit(Work::Rejudge(Rejudge::all(why))).await?))
    }

    /// At the start: rules that the log does not know are written down, and what was not judged with what is in force
    /// is judged again. `goes_on`: a job of an earlier process does so already.
    pub(super) async fn catch_up(&self, goes_on: bool) -> Result<(), CatalogError> {
        let gate = self.0.mirror.gate();
        let standing = standing_of(&gate.policy(), None);
        let by = Actor::Chiron;
        gate.catalog.put_in_force(standing, by, Timestamp::now()).await?;
        self.note_database().await?;
        let now = self.standing().await;
        if gate.catalog.mark(Mark::Judged).await? == Some(now) {
            return Ok(());
        }
        if gate.catalog.rows_after(None, 1).await?.is_empty() {
            return gate.catalog.set_mark(Mark::Judged, now).await;
        }
        if !goes_on {
            let why = "the rules or the advisory database changed while Chiron was not running";
            self.submit(Work::Rejudge(Rejudge::all(why))).await?;
        }
        Ok(())
    }

    /// A kill between the switch of a database and its event must not lose the event.
    async fn note_database(&self) -> Result<(), CatalogError> {
        let gate = self.0.mirror.gate();
        let Some(manifest) = gate.advisories.manifest().await? else {
            return Ok(());
        };
        let database = &manifest.database;
        let standing = Standing::Advisories {
            as_of: database.as_of,
            digest: database.digest,
            records: database.records,
        };
        gate.catalog
            .put_in_force(standing, Actor::Chiron, Timestamp::now())
            .await?;
        Ok(())
    }

    /// What everything stored should have been judged with.
    async fn standing(&self) -> Digest {
        let gate = self.0.mirror.gate();
        let mut bytes = gate.policy().digest().as_bytes().to_vec();
        if let Some(reference) = gate.advisories.reference().await {
            bytes.extend_from_slice(reference.digest.as_bytes());
        }
        Digest::of(&bytes)
    }

    /// Before a verb of the command line judges anything: in a fresh folder the rules need no event, in an old one they do
    /// if they are others.
    pub(super) async fn note_rules(&self) -> Result<(), CatalogError> {
        let gate = self.0.mirror.gate();
        let fresh = gate.catalog.rows_after(None, 1).await?.is_empty();
        let standing = standing_of(&gate.policy(), None);
        gate.catalog
            .put_in_force(standing, Actor::Chiron, Timestamp::now())
            .await?;
        self.note_database().await?;
        if fresh {
            gate.catalog.set_mark(Mark::Judged, self.standing().await).await?;
        }
        Ok(())
    }

    pub(super) async fn rejudge(&self, live: &Arc<LiveJob>, pass: &Rejudge) -> Result<(), String> {
        let catalog = self.0.mirror.catalog();
        let with = self.standing().await;
        let mut pass = Rejudge {
            after: pass.after.clone().filter(|_| pass.with == Some(with)),
            with: Some(with),
            ..pass.clone()
        };
        let pass_signatures = pass.signatures;
        let counts = catalog.counts().await.map_err(|e| e.to_string())?;
        live.update(|view| {
            view.progress.files_total =
                counts.admitted + counts.quarantined + counts.revoked + counts.refused;
        });
        let (mut changed, mut failed) = (0_u64, 0_u64);
        loop {
            let rows = catalog
                .rows_after(pass.after.clone(), CHUNK)
                .await
                .map_err(|e| e.to_string())?;
            let Some(last) = rows.last().map(FileRow::file) else {
                break;
            };
            let at_once = self.0.settings.checks_at_once.max(1);
            let mut judging = stream::iter(rows)
                .map(|row| async move { self.judge_again(&row, pass_signatures).await })
                .buffer_unordered(at_once);
            while let Some(result) = judging.next().await {
                live.update(|view| {
                    view.progress.files_done += 1;
                    if let Some(result) = result {
                        failed += u64::from(result.outcome == FileOutcome::Failed);
                        changed += u64::from(result.outcome != FileOutcome::Failed);
                        if view.files.len() < LISTED {
                            view.files.push(result);
                        }
                    }
                });
                if live.cancel.is_cancelled() {
                    return Ok(());
                }
            }
            drop(judging);
            pass.after = Some(last);
            self.keep(live, &Work::Rejudge(pass.clone())).await;
        }
        live.update(|view| {
            view.report = Some(serde_json::json!({ "why": pass.why, "changed": changed, "failed": failed }));
        });
        // Anything else, and the next start judges again; what changed the rules meanwhile has begun a pass of its own.
        if failed == 0 && self.standing().await == with {
            catalog
                .set_mark(Mark::Judged, with)
                .await
                .map_err(|e| e.to_string())?;
        }
        Ok(())
    }

    /// Trust roots and keys are files that are read again while the daemon runs: what was signed is checked again.
    pub(super) async fn follow_trust(&self) -> Result<(), CatalogError> {
        let gate = self.0.mirror.gate();
        let mut trusted = String::new();
        for root in gate.setup.trust.roots() {
            trusted = format!("{trusted}{}={}\n", root.name, root.digest);
        }
        let (_, keys) = gate.setup.trust.names();
        let now = Digest::of(format!("{trusted}{}", keys.join("\n")).as_bytes());
        let before = gate.catalog.mark(Mark::Trust).await?;
        if before == Some(now) {
            return Ok(());
        }
        if before.is_some() {
            // Before the mark: a crash in between checks them twice, and never not at all.
            let pass = Rejudge {
                signatures: true,
                ..Rejudge::all("the trust roots or keys changed")
            };
            self.submit(Work::Rejudge(pass)).await?;
        }
        gate.catalog.set_mark(Mark::Trust, now).await
    }

    /// `None`: nothing changed. `signatures`: those are checked again, if the file has any.
    pub(super) async fn judge_again(&self, row: &FileRow, signatures: bool) -> Option<FileResult> {
        if !row.is_stored() {
            return None;
        }
        let failed = |why: String| FileResult {
            outcome: FileOutcome::Failed,
            reasons: vec![format!("{why}; it stays as it was judged")],
            ..result_of(row)
        };
        let mut how = Again::Circumstances;
        if !Gate::has_all_evidence(row) {
            // Judged by an earlier version, before there were such checks: what belongs to it is fetched now.
            match self.0.mirror.attachments_again(row).await {
                Ok(Some(attachments)) => how = Again::Attached(attachments),
                Ok(None) => {}
                Err(error) => return Some(failed(error.to_string())),
            }
        }
        if signatures
            && row
                .judged
                .found
                .documents
                .iter()
                .any(|document| document.kind.signs())
        {
            how = Again::Documents(Vec::new());
        }
        match self.0.mirror.gate().again(row, how).await {
            Ok(again) if again.changed => Some(result_of(&again.row)),
            Ok(_) => None,
            Err(IngestError::Blob(error @ (BlobError::Corrupt { .. } | BlobError::NotFound { .. }))) => {
                let now = Timestamp::now();
                let noted = self
                    .0
                    .mirror
                    .catalog()
                    .damaged(row.file(), error.to_string(), now)
                    .await;
                Some(failed(noted.err().map_or(error.to_string(), |e| e.to_string())))
            }
            Err(error) => Some(failed(error.to_string())),
        }
    }
}

fn standing_of(policy: &Policy, reason: Option<String>) -> Standing {
    Standing::Policy {
        profile: policy.profile().as_str().to_owned(),
        digest: policy.digest(),
        reason,
    }
}
