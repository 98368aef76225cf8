//! `chiron tuf rebin`: another number of hash bins.

use clap::Args;

use super::change::{self, OutDir};
use crate::api::TufRebin;
use crate::cli::context::{Context, Open};
use crate::cli::exit::{ExitStatus, Failure};

/// Arguments of `tuf rebin`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  chiron tuf rebin 1024 --dry-run\n  chiron tuf rebin 1024 --reason '80,000 files'\n\n256 bins suit up to 60,000 targets, 1,024 up to 1,500,000. The daemon takes more by itself where it has the key of bins;\n`chiron tuf status` says when people should."
)]
pub struct RebinArgs {
    /// A power of two, 16 to 16,384
    bins: u32,
    /// Why; kept in the log for ever
    #[arg(long, default_value = "rebin")]
    reason: String,
    #[command(flatten)]
    out: OutDir,
}

/// Cuts anew.
pub async fn run(context: &Context, args: RebinArgs) -> Result<ExitStatus, Failure> {
    let request = |dry_run| TufRebin {
        bins: args.bins,
        reason: args.reason.clone(),
        dry_run,
    };
    context
        .with_client(Open::Existing, async |client| {
            change::carry_out(context, client, "/api/v1/tuf/rebin", &args.out, request).await
        })
        .await
}
