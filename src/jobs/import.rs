//! `import`: a bundle of another site. A killed one goes on where it stopped.

use std::sync::Arc;

use jiff::Timestamp;

use super::{Jobs, LiveJob};
use crate::api::{ImportOutcome, ImportReport, ImportRequest, JobView};
use crate::snapshot::import::{Importer, Step, Watch};

/// Files that a job lists; the log and the signed report name the others. Threat: a job as large as the catalogue.
const LISTED: usize = 1_000;

impl Jobs {
    /// What imports, and knows what was imported.
    pub fn importer(&self) -> &Importer {
        &self.0.importer
    }

    pub(super) async fn import(&self, live: &Arc<LiveJob>, request: &ImportRequest) -> Result<(), String> {
        if !request.dry_run && !request.discard {
            self.note_rules().await.map_err(|error| error.to_string())?;
        }
        let told = Arc::clone(live);
        let watch = Watch {
            step: Box::new(move |step| told.update(|view| note(view, step))),
            cancel: live.cancel.clone(),
        };
        let mut report = ImportReport::default();
        let importer = self.importer();
        let ended = Box::pin(importer.import(request, &watch, Timestamp::now(), &mut report)).await;
        let adopted = report.adopted_advisories && report.outcome == ImportOutcome::Imported;
        if let Err(error) = &ended {
            report.outcome = ImportOutcome::NotTaken;
            report.failure = Some(error.failure());
        }
        live.update(|view| view.report = serde_json::to_value(&report).ok());
        if adopted
            && let Err(error) = self
                .everything_again("the advisory database of a bundle is in force")
                .await
        {
            tracing::error!(%error, "what is stored is not judged with the imported advisory database before the next start");
        }
        ended.map_err(|error| error.to_string())
    }
}

fn note(view: &mut JobView, step: Step) {
    let progress = &mut view.progress;
    match step {
        Step::Expect { files, bytes } => {
            progress.files_total = files;
            progress.bytes_total = bytes;
        }
        Step::Bytes(bytes) => progress.bytes_done += bytes,
        Step::Done => progress.files_done += 1,
        Step::Judged(file) if view.files.len() < LISTED => view.files.push(*file),
        Step::Judged(_) => {}
    }
}
