//! `chiron scrub`: read every stored byte again.

use clap::Args;

use super::context::{Context, Open};
use super::exit::{ExitStatus, Failure};
use super::follow::{Happening, follow};
use super::ingest::report::{self, Bar};
use super::output::{count, note};
use crate::api::{JobState, JobView, UpkeepRequest};

/// Arguments of `scrub`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  chiron scrub\n  chiron scrub --repair\n\nExit status 4 when bytes are damaged or missing and were not repaired."
)]
pub struct ScrubArgs {
    /// Fetch what is damaged or missing from upstream again
    #[arg(long)]
    repair: bool,
}

/// Starts the job, follows it, judges its report.
pub async fn run(context: &Context, args: &ScrubArgs) -> Result<ExitStatus, Failure> {
    context
        .with_client(Open::Existing, async |client| {
            let request = UpkeepRequest {
                repair: args.repair,
                dry_run: context.global.dry_run,
            };
            let job: JobView = client.post("/api/v1/scrub", &request).await?;
            let bar = Bar::new("reading");
            let job = follow(client, job.id, |happening| match happening {
                Happening::Progress(progress) => bar.progress(progress),
                Happening::File(file) => bar.aside(|| context.out.line(report::line(&file))),
            })
            .await?;
            bar.finish();
            finish(context, &job)
        })
        .await
}

/// Prints what an upkeep job found.
fn finish(context: &Context, job: &JobView) -> Result<ExitStatus, Failure> {
    failed(job)?;
    let found = job.report.clone().unwrap_or_default();
    let listed = |key: &str| -> Vec<String> {
        let entries = found[key].as_array().map(Vec::as_slice).unwrap_or_default();
        entries
            .iter()
            .map(|entry| {
                entry
                    .as_str()
                    .map_or_else(|| entry.to_string(), ToOwned::to_owned)
            })
            .collect()
    };
    let damaged: Vec<(&str, String)> = ["corrupt", "missing"]
        .into_iter()
        .flat_map(|kind| listed(kind).into_iter().map(move |what| (kind, what)))
        .collect();
    let repaired = found["repaired"].as_u64().unwrap_or(0);
    // What the report does not say is not taken for repaired.
    let unrepaired = found["unrepaired"]
        .as_u64()
        .unwrap_or((damaged.len() as u64).saturating_sub(repaired));
    context.out.document(&found)?;
    context.out.line(report::report_line(&found));
    for (kind, what) in &damaged {
        context.out.line(format_args!("{kind:<8} {what}"));
    }
    if unrepaired == 0 {
        return Ok(ExitStatus::Done);
    }
    note(format_args!(
        "error: {} damaged or missing; they are not served\n next: `chiron scrub --repair` fetches them from upstream again; a file that was handed in comes back with `chiron ingest FILE`",
        count(unrepaired, "blob is", "blobs are")
    ));
    Ok(ExitStatus::Integrity)
}

/// A job that did not reach its end is a failure of the verb.
pub fn failed(job: &JobView) -> Result<(), Failure> {
    match job.state {
        JobState::Failed => {
            let why = job.error.as_deref().unwrap_or("no reason was given");
            Err(Failure::internal(format_args!("job {} failed: {why}", job.id))
                .next("run the command again; what was done stays done"))
        }
        JobState::Cancelled => Err(Failure::internal(format_args!("job {} was cancelled", job.id))
            .next("run the command again; what was done stays done")),
        JobState::Queued | JobState::Running | JobState::Done => Ok(()),
    }
}
