//! `export`: a bundle, or something plainer, for a site that no network reaches. A killed one goes on where it stopped.

use std::sync::Arc;

use super::{Jobs, LiveJob};
use crate::api::ExportRequest;
use crate::snapshot::export::{Step, Watch, failed};

impl Jobs {
    pub(super) async fn export(&self, live: &Arc<LiveJob>, request: &ExportRequest) -> Result<(), String> {
        let told = Arc::clone(live);
        let watch = Watch {
            step: Arc::new(move |step| told.update(|view| note(&mut view.progress, step))),
            cancel: live.cancel.clone(),
        };
        let (report, ended) = match Box::pin(self.0.exporter.export(request, &watch)).await {
            Ok(report) => (report, Ok(())),
            Err(error) => (failed(&error), Err(error.to_string())),
        };
        live.update(|view| view.report = serde_json::to_value(&report).ok());
        ended
    }
}

fn note(progress: &mut crate::api::Progress, step: Step) {
    match step {
        Step::Looked(_) => {}
        Step::Planned(files, bytes) => {
            progress.files_total = files;
            progress.bytes_total = bytes;
        }
        Step::Wrote(files, bytes) => {
            progress.files_done += files;
            progress.bytes_done += bytes;
        }
    }
}
