//! `chiron airgap import`: hands a bundle to the one path, follows the job and says what became of it.

use std::path::{Path, PathBuf};

use clap::Args;
use jiff::Timestamp;

use super::super::client::{Client, segment};
use super::super::context::{Context, Open};
use super::super::exit::{ExitStatus, Failure};
use super::super::follow::{Happening, follow};
use super::super::ingest::report::{Bar, line};
use super::super::output::{bytes, count, note};
use super::receipt;
use crate::api::{AirgapFailure, ImportOutcome, ImportReport, ImportRequest, JobState, JobView};

/// Bytes of a root of trust that are read. A root with a dozen keys has some ten thousand. Threat: memory.
const MAX_ROOT_BYTES: u64 = 1 << 20;

/// Missing files that are printed; `--report` and `--format json` have more.
const SHOWN: usize = 20;

/// Arguments of `airgap import`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  chiron airgap import bundle.tar --root head-office-root.json   the first time\n  chiron airgap import /media/disk --receipt receipt.json        all volumes on a disk; the receipt goes back with it\n  chiron airgap import part-0002-of-0003.tar                     one volume at a time, in any order\n  chiron airgap import --discard                                 throw away what is staged"
)]
pub struct ImportArgs {
    /// Folders and tars of one bundle, in any order; volumes that came before need not be named again
    #[arg(value_name = "PLACE", required_unless_present = "discard")]
    places: Vec<PathBuf>,
    /// The sender's TUF root, for a sender that the configuration does not name, the first time
    #[arg(long, value_name = "FILE")]
    root: Option<PathBuf>,
    /// Whose bundle it is, by the name in the configuration; else found by the origin of its log
    #[arg(long, value_name = "NAME")]
    sender: Option<String>,
    /// The time that expiry is judged at (RFC 3339); never earlier than the last one. Default: now
    #[arg(long, value_name = "TIME")]
    reference_time: Option<Timestamp>,
    /// Write a receipt here when the bundle is in force
    #[arg(long, value_name = "OUT")]
    receipt: Option<PathBuf>,
    /// Write the signed report here
    #[arg(long, value_name = "OUT")]
    report: Option<PathBuf>,
    /// Throw away what an import that did not come to its end has staged
    #[arg(long, conflicts_with_all = ["receipt", "report"])]
    discard: bool,
}

impl ImportArgs {
    fn request(&self, dry_run: bool) -> Result<ImportRequest, Failure> {
        let absolute = |place: &PathBuf| {
            std::path::absolute(place).map_err(|error| Failure::file("find", place, &error))
        };
        Ok(ImportRequest {
            places: self.places.iter().map(absolute).collect::<Result<_, _>>()?,
            root: self.root.as_deref().map(read_root).transpose()?,
            sender: self.sender.clone(),
            reference_time: self.reference_time,
            dry_run,
            discard: self.discard,
        })
    }
}

/// Starts the job, follows it and writes down what was asked for.
pub async fn run(context: &Context, args: ImportArgs) -> Result<ExitStatus, Failure> {
    let dry_run = context.global.dry_run;
    let request = args.request(dry_run)?;
    let open = match (args.discard, dry_run) {
        (true, _) => Open::Existing,
        (false, true) => Open::OrScratch,
        (false, false) => Open::OrCreate,
    };
    context
        .with_client(open, async |client| {
            let job: JobView = client.post("/api/v1/airgap/imports", &request).await?;
            if client.server().is_some() && !dry_run {
                note(format_args!(
                    "job {} (it goes on without this terminal; `chiron jobs show {} --follow`)",
                    job.id, job.id
                ));
            }
            let bar = Bar::new(if dry_run { "looking" } else { "importing" });
            let job = follow(client, job.id, |happening| match happening {
                Happening::Progress(progress) => bar.progress(progress),
                Happening::File(file) => bar.aside(|| context.out.line(line(&file))),
            })
            .await?;
            bar.finish();
            let report = ended(&job)?;
            if let Some(path) = &args.report {
                write_report(client, &report, path).await?;
            }
            if let Some(path) = &args.receipt
                && matches!(report.outcome, ImportOutcome::Imported | ImportOutcome::Already)
            {
                receipt::write(client, Some(&report.sender), path).await?;
            }
            tell(context, &job, &report)
        })
        .await
}

fn read_root(path: &Path) -> Result<String, Failure> {
    let failed = |error: &std::io::Error| Failure::file("read", path, error);
    let size = std::fs::metadata(path).map_err(|error| failed(&error))?.len();
    if size > MAX_ROOT_BYTES {
        return Err(Failure::usage(format_args!(
            "{} has {size} bytes; a TUF root has fewer than {MAX_ROOT_BYTES}",
            path.display()
        )));
    }
    std::fs::read_to_string(path).map_err(|error| failed(&error))
}

/// The report of a job that came to its end, or why it did not, as an exit status.
fn ended(job: &JobView) -> Result<ImportReport, Failure> {
    let report: Option<ImportReport> = job
        .report
        .clone()
        .and_then(|report| serde_json::from_value(report).ok());
    match (job.state, report) {
        (JobState::Done, Some(report)) => Ok(report),
        (JobState::Cancelled, _) => Err(Failure::internal(format_args!("job {} was cancelled", job.id))
            .next(
                "run the command again: it goes on where it stopped; --discard throws away what is staged",
            )),
        (_, report) => {
            let why = job.error.as_deref().unwrap_or("no reason was given");
            Err(failure(report.and_then(|report| report.failure), why))
        }
    }
}

fn failure(kind: Option<AirgapFailure>, why: &str) -> Failure {
    match kind.unwrap_or(AirgapFailure::Internal) {
        AirgapFailure::Usage => Failure::usage(why),
        AirgapFailure::NotAdmitted => Failure::not_admitted(why),
        AirgapFailure::Integrity => Failure::integrity(why)
            .next("nothing of it came into force; copy the bundle again from where it was made, and compare"),
        AirgapFailure::Upstream => Failure::upstream(why),
        AirgapFailure::Internal => Failure::internal(why)
            .next("run the command again: it goes on where it stopped; --discard throws away what is staged"),
    }
}

async fn write_report(client: &Client, report: &ImportReport, path: &Path) -> Result<(), Failure> {
    let Some(digest) = &report.report else {
        note(format_args!(
            "no report was written to {}: nothing was judged",
            path.display()
        ));
        return Ok(());
    };
    let document = client
        .get_bytes(&format!("/api/v1/evidence/{}", segment(digest)))
        .await?;
    std::fs::write(path, document).map_err(|error| Failure::file("write", path, &error))
}

/// Says what became of the bundle; the exit status that follows.
fn tell(context: &Context, job: &JobView, report: &ImportReport) -> Result<ExitStatus, Failure> {
    let status = status(report);
    let mut document = serde_json::to_value(report).map_err(Failure::internal)?;
    document["exit"] = (status as u8).into();
    document["job"] = job.id.into();
    document["files"] = serde_json::to_value(&job.files).map_err(Failure::internal)?;
    context.out.document(&document)?;
    for text in sentences(report) {
        context.out.line(text);
    }
    for text in &report.notes {
        note(text);
    }
    for file in report.missing_files.iter().take(SHOWN) {
        note(format_args!("not sent: {file}"));
    }
    if let Some(next) = next_step(report) {
        note(format_args!(" next: {next}"));
    }
    Ok(status)
}

const fn status(report: &ImportReport) -> ExitStatus {
    let counts = &report.counts;
    match report.outcome {
        ImportOutcome::Already | ImportOutcome::Discarded => ExitStatus::Done,
        ImportOutcome::Waiting | ImportOutcome::NotTaken => ExitStatus::NotAdmitted,
        ImportOutcome::Imported | ImportOutcome::WouldImport => {
            if counts.quarantined + counts.refused + counts.missing == 0 {
                ExitStatus::Done
            } else {
                ExitStatus::NotAdmitted
            }
        }
    }
}

fn sentences(report: &ImportReport) -> Vec<String> {
    let counts = &report.counts;
    let what = format!("bundle {} of {}", report.id, report.sender);
    let first = match report.outcome {
        ImportOutcome::Imported => format!("{what} is in force"),
        ImportOutcome::WouldImport => format!("{what} would come into force; nothing was changed"),
        ImportOutcome::Already => return vec![format!("{what} was already imported; nothing was changed")],
        ImportOutcome::Discarded => return vec!["what was staged is gone".to_owned()],
        ImportOutcome::NotTaken => return vec![format!("{what} was not taken; nothing was changed")],
        ImportOutcome::Waiting => {
            let missing: Vec<_> = report.missing_volumes.iter().map(ToString::to_string).collect();
            return vec![format!(
                "{what}: volumes {} of {} are missing; the others are staged, nothing is in force",
                missing.join(", "),
                report.volumes
            )];
        }
    };
    let mut parts = vec![format!(
        "{} admitted ({})",
        count(counts.admitted, "file", "files"),
        bytes(counts.bytes)
    )];
    let rest = [
        (counts.present, "present before"),
        (counts.quarantined, "quarantined"),
        (counts.refused, "refused"),
        (counts.missing, "not sent"),
        (counts.yanked, "yanked"),
        (counts.unyanked, "unyanked"),
        (counts.revoked, "revoked"),
        (counts.restored, "restored"),
        (counts.statuses, "project markers"),
    ];
    parts.extend(
        rest.into_iter()
            .filter(|(n, _)| *n > 0)
            .map(|(n, word)| format!("{n} {word}")),
    );
    vec![format!("{first}: {}", parts.join(", "))]
}

fn next_step(report: &ImportReport) -> Option<&'static str> {
    let counts = &report.counts;
    match report.outcome {
        ImportOutcome::Waiting => {
            Some("`chiron airgap import` with the missing volumes; --discard throws away what is staged")
        }
        ImportOutcome::Imported | ImportOutcome::WouldImport if counts.missing > 0 => Some(
            "write the names of what was not sent into a fill list and have it exported: `chiron airgap export OUT --fill LIST`",
        ),
        ImportOutcome::Imported if counts.quarantined + counts.refused > 0 => Some(
            "`chiron explain FILE` shows every check of a file that was not admitted, and what would change it",
        ),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(outcome: ImportOutcome) -> ImportReport {
        ImportReport {
            outcome,
            id: "7-000000000000".to_owned(),
            sender: "head-office".to_owned(),
            volumes: 3,
            ..ImportReport::default()
        }
    }

    #[test]
    fn what_is_not_in_force_is_not_done() {
        assert_eq!(status(&report(ImportOutcome::Imported)), ExitStatus::Done);
        assert_eq!(status(&report(ImportOutcome::Already)), ExitStatus::Done);
        assert_eq!(status(&report(ImportOutcome::Waiting)), ExitStatus::NotAdmitted);
        let mut refused = report(ImportOutcome::Imported);
        refused.counts.refused = 1;
        assert_eq!(status(&refused), ExitStatus::NotAdmitted);
    }

    #[test]
    fn a_bundle_that_waits_says_for_which_volumes() {
        let mut waits = report(ImportOutcome::Waiting);
        waits.missing_volumes = vec![1, 3];
        assert!(sentences(&waits)[0].contains("volumes 1, 3 of 3 are missing"));
        assert!(next_step(&waits).is_some());
    }

    #[test]
    fn kinds_of_failure_are_exit_statuses() {
        for (kind, status) in [
            (AirgapFailure::Usage, ExitStatus::Usage),
            (AirgapFailure::NotAdmitted, ExitStatus::NotAdmitted),
            (AirgapFailure::Integrity, ExitStatus::Integrity),
            (AirgapFailure::Internal, ExitStatus::Internal),
        ] {
            assert_eq!(failure(Some(kind), "x").status, status);
        }
        assert_eq!(failure(None, "x").status, ExitStatus::Internal);
    }
}
