//! What `ingest` shows while it works and when it is done.

use std::sync::Mutex;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use crate::api::{FileOutcome, FileResult, JobView, Progress};
use crate::cli::context::Context;
use crate::cli::exit::{ExitStatus, Failure};
use crate::cli::output::{bytes, count, note, person_watching, plain};

/// How often a bar moves by itself, so that a long verdict does not look like a hang.
const TICK: Duration = Duration::from_millis(120);

/// Files and bytes on the terminal; nothing when nobody watches.
pub struct Bar {
    bar: ProgressBar,
    files: Mutex<(u64, u64)>,
}

/// Counts bytes from another task.
pub struct Counter(ProgressBar);

impl Counter {
    /// So many bytes more.
    pub fn add(&self, bytes: u64) {
        self.0.inc(bytes);
    }
}

impl Bar {
    /// A bar that says what it is about.
    pub fn new(doing: &'static str) -> Self {
        let bar = if person_watching() {
            ProgressBar::new(0)
        } else {
            ProgressBar::hidden()
        };
        let style = ProgressStyle::with_template(
            "{spinner} {prefix} [{bar:30}] {msg}, {bytes}/{total_bytes} ({bytes_per_sec})",
        );
        // The template is a constant; a wrong one costs the looks and nothing else.
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.set_prefix(doing);
        bar.enable_steady_tick(TICK);
        Self {
            bar,
            files: Mutex::new((0, 0)),
        }
    }

    /// So many files and bytes are to come.
    pub fn expect(&self, files: u64, bytes: u64) {
        self.bar.inc_length(bytes);
        self.show(|done| done.1 += files);
    }

    /// One file is done.
    pub fn file_done(&self) {
        self.show(|done| done.0 += 1);
    }

    /// A job's own counts.
    pub fn progress(&self, progress: Progress) {
        self.bar.set_length(progress.bytes_total.max(progress.bytes_done));
        self.bar.set_position(progress.bytes_done);
        self.show(|done| *done = (progress.files_done, progress.files_total));
    }

    /// A handle to count bytes with.
    pub fn counter(&self) -> Counter {
        Counter(self.bar.clone())
    }

    /// Prints without tearing the bar.
    pub fn aside(&self, print: impl FnOnce()) {
        self.bar.suspend(print);
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }

    fn show(&self, change: impl FnOnce(&mut (u64, u64))) {
        let mut files = self
            .files
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        change(&mut files);
        self.bar.set_message(format!("{}/{} files", files.0, files.1));
    }
}

/// The word for an outcome, at the start of a line.
pub const fn outcome_word(outcome: FileOutcome) -> &'static str {
    match outcome {
        FileOutcome::Admitted => "admitted",
        FileOutcome::Present => "present",
        FileOutcome::Quarantined => "quarantined",
        FileOutcome::Refused => "refused",
        FileOutcome::WouldFetch => "would fetch",
        FileOutcome::NotFound => "not found",
        FileOutcome::UpstreamFailed => "upstream failed",
        FileOutcome::IntegrityFailed => "damaged",
        FileOutcome::Failed => "failed",
    }
}

/// What an outcome means for the process's exit.
pub const fn outcome_status(outcome: FileOutcome) -> ExitStatus {
    match outcome {
        FileOutcome::Admitted | FileOutcome::Present | FileOutcome::WouldFetch => ExitStatus::Done,
        FileOutcome::Quarantined | FileOutcome::Refused | FileOutcome::NotFound => ExitStatus::NotAdmitted,
        FileOutcome::UpstreamFailed => ExitStatus::Upstream,
        FileOutcome::IntegrityFailed => ExitStatus::Integrity,
        FileOutcome::Failed => ExitStatus::Internal,
    }
}

/// A file's line: verdict, name, size, reasons.
pub fn line(file: &FileResult) -> String {
    let mut name = file.filename.clone();
    if name.is_empty() {
        name.clone_from(&file.project);
        if let Some(version) = &file.version {
            name = format!("{name}=={version}");
        }
    }
    let size = file
        .size
        .map(|size| format!("  {}", bytes(size)))
        .unwrap_or_default();
    let why = if file.reasons.is_empty() {
        String::new()
    } else {
        format!("  {}", file.reasons.join("; "))
    };
    // A line per file: a reason with a line feed in it must not forge the next file's line.
    plain(&format!("{:<15} {name}{size}{why}", outcome_word(file.outcome))).replace(['\n', '\t'], " ")
}

/// The counts of a job's report in one line (`checked 12, bytes 1.2 MB, …`).
pub fn report_line(report: &Value) -> String {
    let parts: Vec<String> = report
        .as_object()
        .into_iter()
        .flatten()
        .filter_map(|(name, value)| {
            let value = match value {
                Value::Number(number) if name.contains("bytes") => bytes(number.as_u64()?),
                Value::Number(number) => number.to_string(),
                Value::Array(list) => list.len().to_string(),
                _ => return None,
            };
            Some(format!("{} {value}", name.replace('_', " ")))
        })
        .collect();
    parts.join(", ")
}

/// Every row, and what they come to.
#[derive(Debug, Default)]
pub struct Summary {
    files: Vec<FileResult>,
    jobs: Vec<u64>,
}

impl Summary {
    /// Another row.
    pub fn add(&mut self, file: FileResult) {
        self.files.push(file);
    }

    /// A job that took part.
    pub fn job(&mut self, job: &JobView) {
        self.jobs.push(job.id);
    }

    /// The status over all rows.
    pub fn status(&self) -> ExitStatus {
        self.files.iter().fold(ExitStatus::Done, |status, file| {
            status.worse(outcome_status(file.outcome))
        })
    }

    /// Files and bytes per outcome, in the order of the enum.
    fn counts(&self) -> Vec<(FileOutcome, u64, u64)> {
        const ALL: [FileOutcome; 9] = [
            FileOutcome::Admitted,
            FileOutcome::Present,
            FileOutcome::WouldFetch,
            FileOutcome::Quarantined,
            FileOutcome::Refused,
            FileOutcome::NotFound,
            FileOutcome::UpstreamFailed,
            FileOutcome::IntegrityFailed,
            FileOutcome::Failed,
        ];
        ALL.into_iter()
            .map(|outcome| {
                let files = self.files.iter().filter(|file| file.outcome == outcome);
                let (n, bytes) =
                    files.fold((0, 0), |(n, bytes), file| (n + 1, bytes + file.size.unwrap_or(0)));
                (outcome, n, bytes)
            })
            .filter(|(_, n, _)| *n > 0)
            .collect()
    }

    /// Prints the counts, what to do next, and the document of JSON mode.
    pub fn print(&self, context: &Context) -> Result<ExitStatus, Failure> {
        let counts = self.counts();
        let status = self.status();
        let dry_run = context.global.dry_run;
        let total: u64 = self.files.iter().filter_map(|file| file.size).sum();
        context.out.document(&json!({
            "dry_run": dry_run,
            "exit": status as u8,
            "jobs": self.jobs,
            "summary": counts
                .iter()
                .map(|(outcome, files, bytes)| json!({ "outcome": outcome, "files": files, "bytes": bytes }))
                .collect::<Vec<_>>(),
            "bytes": total,
            "files": self.files,
        }))?;
        let parts: Vec<String> = counts
            .iter()
            .map(|(outcome, n, size)| format!("{n} {} ({})", outcome_word(*outcome), bytes(*size)))
            .collect();
        let parts = if parts.is_empty() {
            String::new()
        } else {
            format!(": {}", parts.join(", "))
        };
        let after = if dry_run { "; nothing was changed" } else { "" };
        context.out.line(format_args!(
            "{}, {}{parts}{after}",
            count(self.files.len() as u64, "file", "files"),
            bytes(total)
        ));
        if let Some(next) = next_step(status) {
            note(format_args!(" next: {next}"));
        }
        Ok(status)
    }
}

const fn next_step(status: ExitStatus) -> Option<&'static str> {
    match status {
        ExitStatus::NotAdmitted => Some(
            "`chiron explain FILE` shows every check of a file that was not admitted, and what would change it",
        ),
        ExitStatus::Upstream => Some(
            "run the command again: what is present is not fetched twice; `chiron status` says which upstream is down",
        ),
        ExitStatus::Integrity => Some("`chiron scrub --repair` fetches damaged bytes again"),
        ExitStatus::Internal => Some("the log above has the cause; `chiron doctor` checks the data folder"),
        ExitStatus::Done | ExitStatus::Usage | ExitStatus::Denied => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(outcome: FileOutcome, size: u64) -> FileResult {
        FileResult {
            filename: "a-1-py3-none-any.whl".to_owned(),
            project: "a".to_owned(),
            version: Some("1".to_owned()),
            sha256: None,
            size: Some(size),
            outcome,
            reasons: vec!["structure: two\nlines".to_owned()],
        }
    }

    #[test]
    fn a_line_is_one_line() {
        assert_eq!(
            line(&file(FileOutcome::Refused, 1_200)),
            "refused         a-1-py3-none-any.whl  1.2 kB  structure: two lines"
        );
        let missing = FileResult {
            filename: String::new(),
            size: None,
            reasons: vec![],
            ..file(FileOutcome::NotFound, 0)
        };
        assert_eq!(line(&missing), "not found       a==1");
    }

    #[test]
    fn one_refusal_among_many_is_the_status() {
        let mut summary = Summary::default();
        assert_eq!(summary.status(), ExitStatus::Done);
        for outcome in [
            FileOutcome::Admitted,
            FileOutcome::Present,
            FileOutcome::WouldFetch,
        ] {
            summary.add(file(outcome, 10));
        }
        assert_eq!(summary.status(), ExitStatus::Done);
        summary.add(file(FileOutcome::UpstreamFailed, 0));
        assert_eq!(summary.status(), ExitStatus::Upstream);
        summary.add(file(FileOutcome::NotFound, 0));
        assert_eq!(summary.status(), ExitStatus::NotAdmitted);
        summary.add(file(FileOutcome::IntegrityFailed, 0));
        assert_eq!(summary.status(), ExitStatus::Integrity);
        assert_eq!(summary.counts().len(), 6);
    }

    #[test]
    fn a_report_is_readable() {
        let report = json!({ "checked": 12, "bytes": 1_200, "corrupt": ["a"], "missing": [] });
        assert_eq!(
            report_line(&report),
            "bytes 1.2 kB, checked 12, corrupt 1, missing 0"
        );
    }
}
