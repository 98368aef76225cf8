//! One export, from the request to the report.

use std::path::Path;
use std::sync::Arc;

use chiron_storage::Digest;
use tokio_util::sync::CancellationToken;

use super::ask::{Ask, What};
use super::closure::{self, Meant};
use super::digests::Digests;
use super::receipt::Receipt;
use super::spool::{Spool, Spooled};
use super::walk::{self, About, Files, Sinks, Sorting, Touched};
use super::{ExportError, estimate};
use crate::api::{AirgapFailure, ExportForm, ExportReport, ExportRequest};
use crate::blocking;
use crate::bundle::SnapshotId;
use crate::catalog::CatalogError;
use crate::ingest::Gate;
use crate::publish::Publisher;

/// How far an export is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// So many more entries of the log were looked at.
    Looked(u64),
    /// So many files with so many bytes go out.
    Planned(u64, u64),
    /// So many more files with so many bytes are written.
    Wrote(u64, u64),
}

/// What watches an export and may end it.
#[derive(Clone)]
pub struct Watch {
    /// Told of every step, on whichever thread.
    pub step: Arc<dyn Fn(Step) + Send + Sync>,
    /// Ends it between two steps.
    pub cancel: CancellationToken,
}

impl Watch {
    /// Tells of a step, unless the export should end.
    pub(super) fn step(&self, step: Step) -> Result<(), ExportError> {
        if self.cancel.is_cancelled() {
            return Err(ExportError::Cancelled);
        }
        (self.step)(step);
        Ok(())
    }
}

/// What makes exports. Cheap to clone.
#[derive(Clone)]
pub struct Exporter {
    pub(super) gate: Gate,
    pub(super) publisher: Publisher,
    /// What this site calls itself.
    pub(super) site: Arc<str>,
}

/// What goes out, as of one size of the log.
pub(super) struct Found {
    /// Entries of the log.
    pub end: u64,
    pub files: Spooled,
    pub documents: Digests,
    /// Single entries to be proven, in order; `None`: all of them from the base on.
    pub single: Option<Vec<u64>>,
    /// The receiver does not have the advisory database.
    pub advisories: bool,
    pub already_there: u64,
    /// What was named, is not here and is left out.
    pub missing: Vec<String>,
    pub notes: Vec<String>,
}

impl Exporter {
    /// For a site that is called `site` in bundles.
    pub fn new(gate: Gate, publisher: Publisher, site: &str) -> Self {
        Self {
            gate,
            publisher,
            site: site.into(),
        }
    }

    /// Makes the export, or goes on with it.
    ///
    /// # Errors
    /// [`ExportError`]; what was written so far lies in `OUT.partial`.
    pub async fn export(&self, request: &ExportRequest, watch: &Watch) -> Result<ExportReport, ExportError> {
        let ask = Ask::of(request, &self.gate.catalog).await?;
        if request.dry_run {
            return self.look(request, &ask, watch).await;
        }
        match request.form {
            Some(form) => Box::pin(self.plain(request, &ask, form, watch)).await,
            None => self.bundle(request, ask, watch).await,
        }
    }

    /// What a bundle made now would hold; nothing is written, published or signed.
    async fn look(
        &self,
        request: &ExportRequest,
        ask: &Ask,
        watch: &Watch,
    ) -> Result<ExportReport, ExportError> {
        let scratch = tempfile::tempdir().map_err(ExportError::file(&std::env::temp_dir()))?;
        let (end, root) = self.newest().await?;
        let found = self.find(request, ask, end, scratch.path(), watch).await?;
        let mut report = Self::report(ask, &found, &root);
        let entries = self.entry_bytes(ask, &found, watch).await?;
        let (documents, bytes) = self.document_bytes(found, watch).await?;
        report.documents = documents;
        report.bytes = report.file_bytes + bytes + entries;
        report.dry_run = true;
        report.volumes = estimate::volumes(ask, &report);
        Ok(report)
    }

    async fn plain(
        &self,
        request: &ExportRequest,
        ask: &Ask,
        form: ExportForm,
        watch: &Watch,
    ) -> Result<ExportReport, ExportError> {
        let scratch = tempfile::tempdir().map_err(ExportError::file(&std::env::temp_dir()))?;
        let (end, root) = self.newest().await?;
        let found = self.find(request, ask, end, scratch.path(), watch).await?;
        let mut report = Self::report(ask, &found, &root);
        Box::pin(self.write_plain(found, form, &request.out, watch, &mut report)).await?;
        Ok(report)
    }

    async fn newest(&self) -> Result<(u64, Digest), ExportError> {
        let log = self.gate.catalog.log();
        let size = log.size().await.map_err(CatalogError::from)?;
        let root = log.root(size).await.map_err(CatalogError::from)?;
        Ok((size, root))
    }

    /// Finds out what goes out.
    pub(super) async fn find(
        &self,
        request: &ExportRequest,
        ask: &Ask,
        end: u64,
        scratch: &Path,
        watch: &Watch,
    ) -> Result<Found, ExportError> {
        let base = ask.had.as_ref().map_or(0, |had| had.size);
        if base > end {
            return Err(ExportError::Asked(format!(
                "the receiver has {base} entries of the log, and {end} are signed here"
            )));
        }
        let catalog = &self.gate.catalog;
        let receipt = ask.receipt.as_ref();
        let going_on = |entries| watch.step(Step::Looked(entries));
        let meant = match &ask.what {
            What::Interval => Meant::default(),
            What::Selection => closure::of_items(catalog, request, end).await?,
            What::Fill(named) => closure::of_list(catalog, named, end).await?,
        };
        if !meant.missing.is_empty() && !request.leave_out_missing {
            return Err(ExportError::Missing {
                missing: meant.missing,
            });
        }
        let interval = matches!(ask.what, What::Interval);
        // The beginning of an interval is everything; a selection without a base tells of nothing but its own files.
        let touched = if base > 0 {
            walk::touched(catalog, base, end, &going_on).await?
        } else {
            Touched::default()
        };
        let how = Sorting {
            base,
            end,
            receipt,
            insist: matches!(ask.what, What::Fill(_)),
            entries: !interval,
        };
        let mut notes = Vec::new();
        let files = match interval {
            true if base == 0 => Files::All,
            true => Files::These(touched.files.into_iter().collect()),
            false => Files::These(meant.files.into_iter().collect()),
        };
        let folder = scratch.to_owned();
        let sinks = blocking::run(move || {
            Ok::<_, ExportError>(Sinks {
                files: Spool::new(&folder)?,
                documents: Digests::new(&folder),
            })
        });
        let sinks = sinks.await.map_err(|_| ExportError::Lost)??;
        let (mut gathered, sinks) = walk::gather(catalog, files, how, sinks, &going_on).await?;
        let single = if interval {
            None
        } else {
            let told = touched.decisions.into_iter();
            let told = told.filter(|(_, about)| concerns(about, receipt)).map(|(n, _)| n);
            gathered.entries.extend(told);
            for project in &gathered.projects {
                gathered
                    .entries
                    .extend(catalog.status_events(project, end).await?);
            }
            Some(gathered.entries.into_iter().collect())
        };
        let Sinks { files, documents } = sinks;
        let files = blocking::run(move || files.finish()).await;
        let files = files.map_err(|_| ExportError::Lost)??;
        if !meant.missing.is_empty() {
            notes.push(format!("{} left out: not admitted here", meant.missing.len()));
        }
        if receipt.is_some() {
            notes.push(
                "whose key signed the receipt is not known here; what it leaves out wrongly, a fill list brings".to_owned(),
            );
        }
        watch.step(Step::Planned(files.count, files.bytes))?;
        Ok(Found {
            end,
            files,
            documents,
            single,
            advisories: match ask.what {
                What::Fill(_) => touched.advisories,
                _ => base == 0 || touched.advisories,
            },
            already_there: gathered.already_there,
            missing: meant.missing,
            notes,
        })
    }

    /// What is known before anything is written.
    pub(super) fn report(ask: &Ask, found: &Found, root: &Digest) -> ExportReport {
        let base = ask.had.as_ref();
        let entries = found.single.as_ref().map(|single| single.len() as u64);
        ExportReport {
            schema: ExportReport::SCHEMA.to_owned(),
            id: SnapshotId::new(found.end, root).to_string(),
            scope: match ask.what {
                What::Interval => "interval",
                What::Selection => "selection",
                What::Fill(_) => "fill",
            }
            .to_owned(),
            base: base.map(|had| SnapshotId::new(had.size, &had.root).to_string()),
            recipient: ask.receipt.as_ref().map(|receipt| receipt.statement.site.clone()),
            entries: entries.unwrap_or_else(|| found.end - base.map_or(0, |had| had.size)),
            files: found.files.count,
            file_bytes: found.files.bytes,
            already_there: found.already_there,
            missing: found.missing.clone(),
            notes: found.notes.clone(),
            ..ExportReport::default()
        }
    }
}

/// Whether a decision is of interest to the receiver: it has the file, or what it has is not known.
fn concerns(about: &About, receipt: Option<&Receipt>) -> bool {
    match (about, receipt) {
        (About::File(file), Some(receipt)) => receipt.holds(&file.sha256),
        (About::Project(_), _) | (_, None) => true,
    }
}

/// The report of an export that failed.
pub fn failed(error: &ExportError) -> ExportReport {
    let missing = match error {
        ExportError::Missing { missing } => missing.clone(),
        _ => Vec::new(),
    };
    let failure: AirgapFailure = error.failure();
    ExportReport {
        schema: ExportReport::SCHEMA.to_owned(),
        missing,
        failure: Some(failure),
        ..ExportReport::default()
    }
}
