//! The other forms: what was selected, handed to [`plain`].

use std::path::Path;
use std::sync::Arc;

use super::run::{Exporter, Found, Step, Watch};
use super::{ExportError, Selected};
use crate::api::{AirgapFailure, ExportForm, ExportReport, ExportVolume};
use crate::blocking;
use crate::snapshot::plain::{self, Form, PlainError};

impl Exporter {
    /// Writes what was found as something plainer than a bundle.
    pub(super) async fn write_plain(
        &self,
        found: Found,
        form: ExportForm,
        out: &Path,
        watch: &Watch,
        report: &mut ExportReport,
    ) -> Result<(), ExportError> {
        let files = blocking::run(move || {
            let files = found.files.read()?;
            files
                .map(|sent| Ok(sent?.file))
                .collect::<Result<_, ExportError>>()
        });
        let selected = Selected {
            log_size: found.end,
            files: files.await.map_err(|_| ExportError::Lost)??,
        };
        let here = plain::Here {
            catalog: self.gate.catalog.clone(),
            blobs: self.gate.blobs.clone(),
            statements: self.gate.statements.clone(),
            builder: Arc::clone(&self.gate.builder),
        };
        let form = match form {
            ExportForm::Wheelhouse => Form::Wheelhouse,
            ExportForm::Static => Form::Static,
        };
        let step = |step: plain::Step| (watch.step)(Step::Wrote(step.files, step.bytes));
        let written = tokio::select! {
            written = plain::write(&here, &selected, form, out, &step) => written.map_err(|error| failed(&error))?,
            () = watch.cancel.cancelled() => return Err(ExportError::Cancelled),
        };
        report.files = written.files;
        report.file_bytes = written.file_bytes;
        report.bytes = written.bytes;
        report.volumes = vec![ExportVolume {
            number: 1,
            path: written.out.display().to_string(),
            items: u32::try_from(written.files).unwrap_or(u32::MAX),
            bytes: written.bytes,
        }];
        let left_out = written.left_out.iter();
        report
            .notes
            .extend(left_out.map(|left| format!("{} left out: {}", left.filename, left.why)));
        if written.several_releases > 0 {
            report.notes.push(format!(
                "projects with several releases in it: {}; its requirements pin the newest of each",
                written.several_releases
            ));
        }
        Ok(())
    }
}

fn failed(error: &PlainError) -> ExportError {
    let failure = match error {
        PlainError::There { .. } | PlainError::InTheWay { .. } => AirgapFailure::Usage,
        error if error.is_integrity() => AirgapFailure::Integrity,
        _ => AirgapFailure::Internal,
    };
    ExportError::Plain(error.to_string(), failure)
}
