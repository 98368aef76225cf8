//! `chiron gc`: delete blobs that neither the catalogue nor the log names.

use clap::Args;

use super::context::{Context, Open};
use super::exit::{ExitStatus, Failure};
use super::follow::{Happening, follow};
use super::ingest::report::{Bar, report_line};
use super::scrub::failed;
use crate::api::{JobView, UpkeepRequest};

/// Arguments of `gc`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  chiron gc --dry-run")]
pub struct GcArgs {}

/// Starts the job and follows it.
pub async fn run(context: &Context, _args: &GcArgs) -> Result<ExitStatus, Failure> {
    context
        .with_client(Open::Existing, async |client| {
            let request = UpkeepRequest {
                repair: false,
                dry_run: context.global.dry_run,
            };
            let job: JobView = client.post("/api/v1/gc", &request).await?;
            let bar = Bar::new("sweeping");
            let job = follow(client, job.id, |happening| {
                if let Happening::Progress(progress) = happening {
                    bar.progress(progress);
                }
            })
            .await?;
            bar.finish();
            failed(&job)?;
            let found = job.report.clone().unwrap_or_default();
            context.out.document(&found)?;
            context.out.line(report_line(&found));
            if context.global.dry_run {
                context.out.line("nothing was changed");
            }
            Ok(ExitStatus::Done)
        })
        .await
}
