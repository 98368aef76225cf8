//! `chiron airgap plan`: what an export would write.

use std::path::PathBuf;

use clap::Args;

use super::super::context::Context;
use super::super::exit::{ExitStatus, Failure};
use super::export::{self, WhatArgs};

/// Arguments of `airgap plan`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  chiron airgap plan\n  chiron airgap plan --against receipt.json\n  chiron airgap plan -r requirements.txt --python 3.12 --volume-size 4GiB\n\nThe same as `chiron airgap export OUT --dry-run`. Exit status 1 when something that was named is not admitted here."
)]
pub struct PlanArgs {
    /// Where the export would go
    #[arg(value_name = "OUT", default_value = "bundle")]
    out: PathBuf,
    #[command(flatten)]
    what: WhatArgs,
}

/// Says it.
pub async fn run(context: &Context, args: PlanArgs) -> Result<ExitStatus, Failure> {
    export::export(context, &args.out, args.what, true).await
}
