//! `chiron rebuild-catalog`: the catalogue again from the log and the blobs.

use clap::Args;
use serde_json::json;

use super::context::{Context, Open, app_failure, is_initialised};
use super::exit::{ExitStatus, Failure};
use super::ingest::report::report_line;
use crate::api::StatusView;
use crate::app::App;

/// Arguments of `rebuild-catalog`.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  chiron rebuild-catalog --data-dir /var/lib/chiron\n\nThe daemon must be stopped: the log stays as it is, and every row of the catalogue is made again from it."
)]
pub struct RebuildCatalogArgs {}

/// Rebuilds, in this process only.
pub async fn run(context: &Context, _args: &RebuildCatalogArgs) -> Result<ExitStatus, Failure> {
    if context.global.server.is_some() {
        return Err(Failure::usage(
            "the catalogue is rebuilt with the daemon stopped, and --server names a daemon",
        )
        .next("stop the daemon, then run this with --data-dir"));
    }
    if context.global.dry_run {
        return context
            .with_client(Open::Existing, async |client| {
                let status: StatusView = client.get("/api/v1/status").await?;
                context
                    .out
                    .document(&json!({ "dry_run": true, "events": status.log_size }))?;
                let events = status.log_size;
                context.out.line(format_args!(
                    "{events} events would be read again; nothing was changed"
                ));
                Ok(ExitStatus::Done)
            })
            .await;
    }
    let config = context.config()?;
    let path = config.storage.path.clone();
    if !is_initialised(&path) {
        return Err(
            Failure::usage(format_args!("there is no data folder at {}", path.display()))
                .next("--data-dir names another"),
        );
    }
    let report = App::rebuild_catalog(config)
        .await
        .map_err(|error| app_failure(error, &path))?;
    let report = serde_json::to_value(report).map_err(Failure::internal)?;
    context.out.document(&report)?;
    context
        .out
        .line(format_args!("rebuilt: {}", report_line(&report)));
    Ok(ExitStatus::Done)
}
