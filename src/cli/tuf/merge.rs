//! `chiron tuf merge`: detached signatures come back.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::Args;
use http::Method;

use super::change::{names, need_line, print_waiting, published_line};
use crate::api::TufMerged;
use crate::cli::client::{Client, Payload};
use crate::cli::context::{Context, Open};
use crate::cli::exit::{ExitStatus, Failure};
use crate::cli::output::note;

/// Bytes of a signature file that are read. Threat: the path of something else.
const MAX_BYTES: u64 = 1 << 20;

/// Arguments of `tuf merge`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  chiron tuf merge root-2-*.signature.json\n  chiron tuf merge alice.signature.json --dry-run\n\nEach signature is verified before it is kept. What the last one completes is published at once; until then nothing changes.\nIf a key of the daemon could not be reached then, merge the same file again."
)]
pub struct MergeArgs {
    /// What `chiron tuf sign` wrote
    #[arg(value_name = "SIGNATURE", required = true)]
    files: Vec<PathBuf>,
}

/// Hands them in, one after the other. A bad one does not keep the others out.
pub async fn run(context: &Context, args: &MergeArgs) -> Result<ExitStatus, Failure> {
    context
        .with_client(Open::Existing, async |client| {
            let mut done = Vec::new();
            let mut first_failure = None;
            for file in &args.files {
                match merge(context, client, file).await {
                    Ok(merged) => {
                        print(context, file, &merged);
                        done.push(merged);
                    }
                    Err(failure) => {
                        let failure = Failure {
                            what: format!("{}: {}", file.display(), failure.what),
                            ..failure
                        };
                        if args.files.len() > 1 {
                            note(&failure);
                        }
                        first_failure.get_or_insert(failure);
                    }
                }
            }
            // What is still open, once for all files.
            if let Some(waiting) = done.last().and_then(|merged| merged.waiting.as_ref()) {
                print_waiting(context, waiting);
            }
            if let Some(failure) = first_failure {
                return Err(failure);
            }
            context.out.document(&done)?;
            Ok(ExitStatus::Done)
        })
        .await
}

async fn merge(context: &Context, client: &Client, file: &Path) -> Result<TufMerged, Failure> {
    let bytes = read_bounded(file, MAX_BYTES)?;
    let path = if context.global.dry_run {
        "/api/v1/tuf/signatures?dry-run=true"
    } else {
        "/api/v1/tuf/signatures"
    };
    let reply = client
        .call(Method::POST, path, "application/json", Payload::Json(bytes))
        .await?;
    Ok(client.read(reply).await?)
}

/// A small file's bytes.
pub fn read_bounded(path: &Path, max: u64) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let failed = |error| Failure::file("read", path, &error);
    File::open(path)
        .map_err(failed)?
        .take(max + 1)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    if bytes.len() as u64 > max {
        return Err(Failure::usage(format_args!(
            "{} is longer than {max} bytes, so it is something else",
            path.display()
        )));
    }
    Ok(bytes)
}

fn print(context: &Context, file: &Path, merged: &TufMerged) {
    let request = &merged.request;
    let what = format!("{} {}", request.role, request.version);
    let file = file.display();
    let line = match (merged.added.is_empty(), merged.dry_run) {
        (true, _) => format!("{file}: {what} has this signature already"),
        (false, true) => format!("{file}: good for {what}, signed by {}", names(&merged.added)),
        (false, false) => format!("{file}: {what} is signed by {}", names(&merged.added)),
    };
    context.out.line(line);
    for need in &request.needs {
        context.out.line(format_args!("  {}", need_line(need)));
    }
    if let Some(published) = &merged.published {
        context
            .out
            .line("that was the last signature needed; the change is in force");
        context.out.line(published_line(published));
    }
    if merged.dry_run {
        context.out.line("nothing was changed");
    }
}
