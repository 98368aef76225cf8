//! Import: a bundle verified, judged by this site's own rules, and brought into force at once. The one path.
//!
//! | step | file | what is there if the process ends after it |
//! |---|---|---|
//! | whose bundle, is it believed | `sender.rs`, `bundle::check` | nothing |
//! | documents, files | `take.rs`, `stage.rs` | sealed blobs and documents that only the journal names |
//! | what the sender's entries mean here | `follow.rs`, `plan.rs` | the same, with an advisory database that waits |
//! | this site's judgments | `judge.rs` | the same, with the judgments |
//! | the switch | `bring.rs` | everything in force |
//! | tidying up | `discard.rs` | the same, without a journal |
//!
//! Until the switch no page, no file and no event tells of the bundle. Importing it again goes on with what the journal
//! has; a bundle that is to blame for its failure leaves nothing of that run behind.

mod aside;
mod bring;
mod discard;
mod error;
mod follow;
mod journal;
mod judge;
mod open;
mod outcome;
mod plan;
mod stage;
mod take;
mod view;
mod wanted;
mod watch;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;

pub use error::ImportError;
pub use watch::{Step, Watch};

use super::Settings;
use super::sender::Known;
use crate::api::{ImportOutcome, ImportReport, ImportRequest};
use crate::bundle::check::Head;
use crate::bundle::layout::BundleSource;
use crate::ingest::{Beside, Gate};
use aside::Aside;
use bring::Brought;
use journal::{ImportRow, Journal, Staged};
use judge::Judging;
use plan::Plan;
use wanted::Wanted;

/// Imports bundles, one at a time. Cheap to clone.
#[derive(Clone)]
pub struct Importer(Arc<Inner>);

struct Inner {
    gate: Gate,
    settings: Settings,
    /// For what is kept beside the store while an import is under way.
    folder: PathBuf,
    at_once: usize,
    /// Two imports would judge by what the other is about to change.
    alone: tokio::sync::Mutex<()>,
}

/// One run of an import: a bundle that is believed, and what this site knows of its sender.
struct Work<'a> {
    importer: &'a Importer,
    source: Arc<BundleSource>,
    head: Head,
    known: Known,
    journal: Journal,
    aside: Aside,
    run: u64,
    now: Timestamp,
    watch: &'a Watch,
}

/// How a run ended.
enum Ended {
    Waiting,
    Judged(Box<Plan>),
    Brought(Box<Plan>, Brought),
}

impl Importer {
    /// `folder` is the importer's own, inside the data folder; `at_once` files are judged together.
    pub fn new(gate: Gate, settings: Settings, folder: PathBuf, at_once: usize) -> Self {
        Self(Arc::new(Inner {
            gate,
            settings,
            folder,
            at_once: at_once.max(1),
            alone: tokio::sync::Mutex::new(()),
        }))
    }

    /// What it judges with.
    pub fn gate(&self) -> &Gate {
        &self.0.gate
    }

    /// What the configuration says.
    pub fn settings(&self) -> &Settings {
        &self.0.settings
    }

    /// What this site calls itself.
    pub fn site(&self) -> &str {
        &self.0.settings.site
    }

    fn folder(&self) -> &Path {
        &self.0.folder
    }

    fn at_once(&self) -> usize {
        self.0.at_once
    }

    /// Imports a bundle, or goes on with it. `report` is filled in as far as the import comes, also when it fails.
    ///
    /// # Errors
    /// [`ImportError`]; nothing of the bundle is in force then, and [`ImportError::failure`] says whose fault it is.
    pub async fn import(
        &self,
        request: &ImportRequest,
        watch: &Watch,
        now: Timestamp,
        report: &mut ImportReport,
    ) -> Result<(), ImportError> {
        ImportReport::SCHEMA.clone_into(&mut report.schema);
        let _alone = self.0.alone.lock().await;
        if request.discard && request.places.is_empty() {
            let discarded = self.discard_all().await?;
            report.outcome = ImportOutcome::Discarded;
            report
                .notes
                .push(format!("imports that were given up: {discarded}"));
            return Ok(());
        }
        let opened = self.open(request).await?;
        report.id = opened.claimed().id.to_string();
        report.volumes = u32::try_from(opened.claimed().volumes.len()).unwrap_or(u32::MAX);
        report.bundle = Some(opened.digest.to_string());
        if request.discard {
            self.discard(opened.digest).await?;
            report.outcome = ImportOutcome::Discarded;
            return Ok(());
        }
        let mut work = self.believe(opened, request, watch, now).await?;
        outcome::describe(&work, report);
        if work.head.already {
            report.outcome = ImportOutcome::Already;
            // A process that ended right after the switch left its journal.
            if work.journal.row().await?.is_some() {
                self.gate().advisories.entered().await?;
                self.settle(work.journal.bundle).await?;
            }
            return Ok(());
        }
        let before = work.begin().await?;
        let ended = work.run(before, request.dry_run, report).await;
        let (bundle, run) = (work.journal.bundle, work.run);
        match ended {
            Ok(Ended::Brought(plan, brought)) => {
                outcome::brought(&plan, &brought, report);
                if let Err(error) = self.settle(bundle).await {
                    tracing::warn!(%error, "the bundle is in force, and its journal could not be removed; importing it again does");
                }
                Ok(())
            }
            Ok(Ended::Judged(plan)) => {
                outcome::planned(&plan, report);
                report.outcome = ImportOutcome::WouldImport;
                self.discard_run(bundle, run).await
            }
            Ok(Ended::Waiting) => {
                report.outcome = ImportOutcome::Waiting;
                report.missing_volumes.clone_from(&work.head.missing);
                if request.dry_run {
                    self.discard_run(bundle, run).await?;
                }
                Ok(())
            }
            Err(error) => {
                if (error.is_refusal() || request.dry_run)
                    && let Err(left) = self.discard_run(bundle, run).await
                {
                    tracing::error!(%left, "what a refused bundle has staged could not be removed; `chiron airgap import --discard` does");
                }
                Err(error)
            }
        }
    }
}

impl Work<'_> {
    /// Begins the journal, or goes on with it; how it stood.
    async fn begin(&mut self) -> Result<Option<ImportRow>, ImportError> {
        let before = self.journal.row().await?;
        let row = match before.clone() {
            Some(row) => ImportRow {
                run: row.run + 1,
                ..row
            },
            None => ImportRow {
                sender: self.known.name.clone(),
                id: self.head.manifest().id,
                began_at: self.now,
                volumes: u32::try_from(self.head.manifest().volumes.len()).unwrap_or(u32::MAX),
                taken: BTreeSet::new(),
                run: 1,
            },
        };
        self.run = row.run;
        self.journal.put_row(row).await?;
        Ok(before)
    }

    async fn run(
        &self,
        before: Option<ImportRow>,
        dry_run: bool,
        report: &mut ImportReport,
    ) -> Result<Ended, ImportError> {
        let taken = before.map(|row| row.taken).unwrap_or_default();
        let wanted = self.wanted()?;
        // A volume that came earlier is here in part only: its files are staged, or it has to come again.
        let at_hand = |number: &u32| !self.is_aside(*number);
        let new: Vec<u32> = self.head.listings.keys().copied().filter(at_hand).collect();
        let old: Vec<u32> = taken
            .iter()
            .copied()
            .filter(|number| !new.contains(number))
            .collect();
        self.documents(&old).await?;
        let staged = self.journal.staged().await?;
        if !self.head.missing.is_empty() {
            let here = wanted
                .into_iter()
                .filter(|wanted| new.contains(&wanted.volume))
                .collect();
            self.files(self.to_do(here, &staged, &new).await?, None).await?;
            if !dry_run {
                self.keep_aside(&new).await?;
            }
            return Ok(Ended::Waiting);
        }
        let plan = self.plan(&wanted).await?;
        report.counts.entries = plan.followed.entries;
        let beside = Beside::new(plan.advisories.clone());
        let judging = Judging::new(self, &plan.followed, beside);
        let brought: Vec<_> = wanted.iter().map(|wanted| wanted.file.clone()).collect();
        self.too_large(&wanted, report);
        let to_do = self.to_do(wanted, &staged, &new).await?;
        // What waits from earlier runs comes first in its project, or everything would depend on the order of the volumes.
        let waits = staged.values().any(|it| !it.judged);
        self.files(to_do, (!waits).then_some(&judging)).await?;
        self.twins(&plan).await?;
        let staged = self.journal.staged().await?;
        let mut unjudged: Vec<_> = staged
            .iter()
            .filter(|(_, it)| !it.judged)
            .map(|(file, it)| (file.clone(), *it))
            .collect();
        unjudged.sort_by_cached_key(|(file, _)| bring::order(file));
        judging.staged(unjudged).await?;
        let mut files = Vec::new();
        for file in brought.into_iter().chain(plan.twins.iter().cloned()) {
            if staged.contains_key(&file) && !self.is_settled(&file).await? {
                files.push(file);
            }
        }
        let sizes = files.iter().filter_map(|file| staged.get(file));
        report.counts.bytes = sizes.map(|it| it.size).sum();
        if dry_run {
            self.count(&files, report).await?;
            return Ok(Ended::Judged(Box::new(plan)));
        }
        self.watch.go_on()?;
        let brought = self.bring(&plan, files, &judging).await?;
        drop(judging);
        Ok(Ended::Brought(Box::new(plan), brought))
    }

    /// Files whose bytes are here as another file are staged under their own names too.
    async fn twins(&self, plan: &Plan) -> Result<(), ImportError> {
        let staged = self.journal.staged().await?;
        let contents: BTreeMap<_, _> = staged.iter().map(|(file, it)| (file.sha256, *it)).collect();
        let mut rows = Vec::new();
        for file in plan.twins.iter().filter(|file| !staged.contains_key(file)) {
            let known = match contents.get(&file.sha256) {
                Some(it) => Some(*it),
                None => self.under_another_name(file).await?,
            };
            rows.extend(known.map(|it| {
                let it = Staged {
                    run: self.run,
                    judged: false,
                    ..it
                };
                (file.clone(), it)
            }));
        }
        Ok(self.journal.put_staged(rows).await?)
    }

    fn is_aside(&self, number: u32) -> bool {
        let place = self.source.volume(number).map(|volume| volume.place().to_owned());
        place.is_some() && place.as_deref() == self.aside.place()
    }

    /// Keeps what is small of the volumes at hand, and notes that the rest of them is staged.
    async fn keep_aside(&self, new: &[u32]) -> Result<(), ImportError> {
        let (aside, source, head) = (self.aside.clone(), Arc::clone(&self.source), self.head.clone());
        crate::blocking::run(move || aside.keep(&source, &head.signed, &head.listings)).await??;
        let row = self.journal.row().await?;
        if let Some(mut row) = row {
            row.taken.extend(new);
            self.journal.put_row(row).await?;
        }
        Ok(())
    }

    /// Files that are larger than this site takes in are named, not taken.
    fn too_large(&self, wanted: &[Wanted], report: &mut ImportReport) {
        let limit = self.importer.gate().max_file;
        for wanted in wanted.iter().filter(|wanted| wanted.size > limit) {
            report.counts.refused += 1;
            report.notes.push(format!(
                "{} has {} bytes, and {limit} are taken in (limits.file)",
                wanted.file.filename, wanted.size
            ));
        }
    }

    async fn count(
        &self,
        files: &[crate::catalog::FileRef],
        report: &mut ImportReport,
    ) -> Result<(), ImportError> {
        use crate::catalog::FileState;
        for prepared in self.journal.judged(files).await?.into_iter().flatten() {
            *match prepared.state() {
                FileState::Admitted => &mut report.counts.admitted,
                FileState::Quarantined => &mut report.counts.quarantined,
                FileState::Refused | FileState::Revoked => &mut report.counts.refused,
            } += 1;
        }
        Ok(())
    }
}
