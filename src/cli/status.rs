//! `chiron status`: whether Chiron is well.

use clap::Args;

use super::context::{Context, Open};
use super::exit::{ExitStatus, Failure};
use super::output::bytes;
use crate::api::StatusView;

/// Arguments of `status`.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  chiron status --server http://127.0.0.1:8080\n\nThe exit status is 0 when the question was answered; `--format json` has `ready` and `problems`."
)]
pub struct StatusArgs {}

/// Asks and prints.
pub async fn run(context: &Context, _args: &StatusArgs) -> Result<ExitStatus, Failure> {
    context
        .with_client(Open::Existing, async |client| {
            let status: StatusView = client.get("/api/v1/status").await?;
            context.out.document(&status)?;
            let ready = if status.ready { "ready" } else { "not ready" };
            context
                .out
                .line(format_args!("chiron {} is {ready}", status.version));
            for problem in &status.problems {
                context.out.line(format_args!("  problem      {problem}"));
            }
            context.out.line(format_args!(
                "  log          {} events, root {}",
                status.log_size, status.log_root
            ));
            context.out.line(format_args!(
                "  files        {} admitted, {} quarantined, {} refused, {} revoked, in {} projects",
                status.admitted, status.quarantined, status.refused, status.revoked, status.projects
            ));
            context.out.line(format_args!(
                "  policy       {} ({})",
                status.policy_profile, status.policy_digest
            ));
            for upstream in &status.upstreams {
                let error = upstream
                    .last_error
                    .as_deref()
                    .map(|error| format!(": {error}"))
                    .unwrap_or_default();
                context.out.line(format_args!(
                    "  upstream     {} ({}) {}{error}",
                    upstream.name, upstream.mode, upstream.state
                ));
            }
            for sender in status.airgap.iter().flat_map(|airgap| &airgap.senders) {
                let stale = if sender.stale { ", stale" } else { "" };
                context.out.line(format_args!(
                    "  air gap      {}: {}, made {} ago{stale}; imported {}",
                    sender.name,
                    sender.last,
                    age(sender.age_seconds),
                    sender.imported_at
                ));
            }
            context
                .out
                .line(format_args!("  free         {}", bytes(status.free_bytes)));
            context
                .out
                .line(format_args!("  jobs         {} running", status.jobs_running));
            Ok(ExitStatus::Done)
        })
        .await
}

/// In days from three on, in hours from two on, in minutes from two on, else in seconds.
pub(super) fn age(seconds: u64) -> String {
    let hours = seconds / 3_600;
    if hours >= 72 {
        format!("{} days", hours / 24)
    } else if hours >= 2 {
        format!("{hours} hours")
    } else if seconds >= 120 {
        format!("{} minutes", seconds / 60)
    } else {
        format!("{seconds} s")
    }
}
