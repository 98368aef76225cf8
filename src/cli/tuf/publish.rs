//! `chiron tuf publish`: what is due is signed and published now.

use clap::Args;

use super::change::published_line;
use crate::api::{TufPublish, TufPublished};
use crate::cli::context::{Context, Open};
use crate::cli::exit::{ExitStatus, Failure};

/// Arguments of `tuf publish`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  chiron tuf publish\n  chiron tuf publish --repair                 after somebody edited DATA/tuf\n  chiron tuf publish --versions-from 5000     after a backup was restored: above every version that clients have seen\n\nA running daemon publishes by itself; this is for when it should do so now."
)]
pub struct PublishArgs {
    /// Sign a new timestamp even if nothing changed
    #[arg(long)]
    resign: bool,
    /// Sign again, with new versions, what somebody changed in DATA/tuf
    #[arg(long)]
    repair: bool,
    /// Give what Chiron signs no version below this
    #[arg(long, value_name = "VERSION")]
    versions_from: Option<u64>,
}

/// Publishes.
pub async fn run(context: &Context, args: &PublishArgs) -> Result<ExitStatus, Failure> {
    let request = TufPublish {
        resign: args.resign,
        repair: args.repair,
        versions_from: args.versions_from,
        dry_run: context.global.dry_run,
    };
    context
        .with_client(Open::Existing, async |client| {
            let done: TufPublished = client.post("/api/v1/tuf/publish", &request).await?;
            context.out.document(&done)?;
            if context.global.dry_run {
                context.out.line(format_args!(
                    "generation {} covers the log up to {}; nothing was changed",
                    done.generation, done.log_size
                ));
            } else {
                context.out.line(published_line(&done));
            }
            Ok(ExitStatus::Done)
        })
        .await
}
