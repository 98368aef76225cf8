//! `chiron jobs`: long work, its progress and its end.

use clap::{Args, Subcommand};
use http::Method;

use super::client::{Client, Payload};
use super::context::{Context, Open};
use super::exit::{ExitStatus, Failure};
use super::follow::{Happening, follow, is_over};
use super::ingest::report;
use super::output::{bytes, note};
use crate::api::{JobState, JobView, Page};

/// Jobs asked for at a time.
const PAGE: u32 = 100;

/// The verbs under `jobs`.
#[derive(Debug, Subcommand)]
#[command(after_help = "Example:\n  chiron jobs list")]
pub enum JobsCommand {
    /// Newest first
    #[command(after_help = "Example:\n  chiron jobs list --limit 20")]
    List(ListArgs),
    /// One job, with a row per file
    #[command(after_help = "Example:\n  chiron jobs show 7 --follow")]
    Show(ShowArgs),
    /// Stop a job; what it has admitted stays
    #[command(after_help = "Example:\n  chiron jobs cancel 7")]
    Cancel(CancelArgs),
}

/// Arguments of `jobs list`.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// At most so many
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    limit: u32,
}

/// Arguments of `jobs show`.
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// The job's number
    id: u64,
    /// Wait for its end, telling of each file
    #[arg(long)]
    follow: bool,
}

/// Arguments of `jobs cancel`.
#[derive(Debug, Args)]
pub struct CancelArgs {
    /// The job's number
    id: u64,
}

/// Runs one of them.
pub async fn run(context: &Context, command: JobsCommand) -> Result<ExitStatus, Failure> {
    context
        .with_client(Open::Existing, async |client| match command {
            JobsCommand::List(args) => list(context, client, args.limit).await,
            JobsCommand::Show(args) => show(context, client, &args).await,
            JobsCommand::Cancel(args) => cancel(context, client, args.id).await,
        })
        .await
}

async fn list(context: &Context, client: &Client, limit: u32) -> Result<ExitStatus, Failure> {
    let mut jobs: Vec<JobView> = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let left = limit.saturating_sub(u32::try_from(jobs.len()).unwrap_or(u32::MAX));
        let from = after
            .map(|after| format!("&after={}", super::client::segment(&after)))
            .unwrap_or_default();
        let page: Page<JobView> = client
            .get(&format!("/api/v1/jobs?limit={}{from}", left.min(PAGE)))
            .await?;
        let empty = page.items.is_empty();
        jobs.extend(page.items);
        after = page.next;
        if after.is_none() || empty || jobs.len() >= limit as usize {
            break;
        }
    }
    context.out.document(&serde_json::json!({ "jobs": jobs }))?;
    let rows: Vec<[String; 5]> = jobs.iter().map(row).collect();
    context.out.table(&rows);
    if rows.is_empty() {
        context.out.line("no jobs");
    }
    Ok(ExitStatus::Done)
}

fn row(job: &JobView) -> [String; 5] {
    let progress = job.progress;
    [
        job.id.to_string(),
        job.kind.clone(),
        state_name(job.state).to_owned(),
        job.created_at.strftime("%F %T").to_string(),
        format!(
            "{}/{} files, {}",
            progress.files_done,
            progress.files_total,
            bytes(progress.bytes_done)
        ),
    ]
}

const fn state_name(state: JobState) -> &'static str {
    match state {
        JobState::Queued => "queued",
        JobState::Running => "running",
        JobState::Done => "done",
        JobState::Failed => "failed",
        JobState::Cancelled => "cancelled",
    }
}

async fn show(context: &Context, client: &Client, args: &ShowArgs) -> Result<ExitStatus, Failure> {
    let mut job: JobView = client.get(&format!("/api/v1/jobs/{}", args.id)).await?;
    if args.follow && !is_over(job.state) {
        job = follow(client, args.id, |happening| {
            if let Happening::File(file) = happening {
                note(report::line(&file));
            }
        })
        .await?;
    }
    context.out.document(&job)?;
    context.out.table(&[row(&job)]);
    for file in &job.files {
        context.out.line(report::line(file));
    }
    if let Some(found) = &job.report {
        context.out.line(format_args!("report: {found}"));
    }
    if let Some(error) = &job.error {
        context.out.line(format_args!("failed: {error}"));
    }
    Ok(ExitStatus::Done)
}

async fn cancel(context: &Context, client: &Client, id: u64) -> Result<ExitStatus, Failure> {
    if context.global.dry_run {
        let job: JobView = client.get(&format!("/api/v1/jobs/{id}")).await?;
        let left = job.progress.files_total.saturating_sub(job.progress.files_done);
        let bytes_left = job.progress.bytes_total.saturating_sub(job.progress.bytes_done);
        context
            .out
            .document(&serde_json::json!({ "dry_run": true, "job": job }))?;
        let state = state_name(job.state);
        context.out.line(format_args!(
            "job {id} is {state}; {left} files, {} would not be fetched; nothing was changed",
            bytes(bytes_left)
        ));
        return Ok(ExitStatus::Done);
    }
    let path = format!("/api/v1/jobs/{id}");
    client
        .call(Method::DELETE, &path, "application/json", Payload::Empty)
        .await?;
    // It ends after the file that it is at.
    let job = follow(client, id, |_| ()).await?;
    context.out.document(&job)?;
    context
        .out
        .line(format_args!("job {id} is {}", state_name(job.state)));
    Ok(ExitStatus::Done)
}
