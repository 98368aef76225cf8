//! `chiron tuf root`: the root that clients are given.

use std::path::PathBuf;

use chiron_storage::Digest;
use clap::Args;

use super::change::write_new;
use crate::cli::context::{Context, Open};
use crate::cli::exit::{ExitStatus, Failure};
use crate::cli::output::note;

/// Arguments of `tuf root`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  chiron tuf root > root.json\n  chiron tuf root --out root.json\n  chiron proxy --root root.json --upstream http://127.0.0.1:8080\n\nstderr says its SHA-256: compare it over another way than the one that the file takes (a call, a ticket, paper)."
)]
pub struct RootArgs {
    /// Write it to this file, which must not exist
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Prints or writes it.
pub async fn run(context: &Context, args: &RootArgs) -> Result<ExitStatus, Failure> {
    let bytes = context
        .with_client(Open::Existing, async |client| {
            Ok(client.get_bytes("/api/v1/tuf/root").await?)
        })
        .await?;
    note(format_args!("sha256 {}", Digest::of(&bytes)));
    match &args.out {
        Some(path) => {
            if !context.global.dry_run {
                write_new(path, &bytes)?;
            }
            context.out.line(path.display());
            context
                .out
                .document(&serde_json::json!({ "path": path, "sha256": Digest::of(&bytes).to_string() }))?;
        }
        None => context.out.raw(&String::from_utf8_lossy(&bytes)),
    }
    Ok(ExitStatus::Done)
}
