//! What every ceremony has in common on the command line: show the difference, ask, do it, write out what must be signed.

use std::fs;
use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;

use crate::api::{TufChange, TufKeyName, TufNeed, TufPublished, TufRequest, TufWaiting};
use crate::cli::client::{Client, segment};
use crate::cli::context::Context;
use crate::cli::exit::{ExitStatus, Failure};
use crate::cli::output::{ask, bytes, count, note};

/// Where requests for signatures are written.
const REQUESTS_FOLDER: &str = "tuf-requests";

/// Where requests for signatures go.
#[derive(Debug, Clone, Args)]
pub struct OutDir {
    /// Write requests for offline signatures to this folder
    #[arg(long = "out", value_name = "DIR", default_value = REQUESTS_FOLDER)]
    pub folder: PathBuf,
}

/// Shows what a ceremony would change, asks a person at a terminal, and does it.
pub async fn carry_out<T: Serialize + Sync>(
    context: &Context,
    client: &Client,
    path: &str,
    out: &OutDir,
    request: impl Fn(bool) -> T,
) -> Result<ExitStatus, Failure> {
    let would: TufChange = client.post(path, &request(true)).await?;
    if context.global.dry_run || would.unchanged {
        context.out.document(&would)?;
        show(context, &would);
        let end = if would.unchanged {
            "everything is so already; nothing was changed"
        } else {
            "nothing was changed"
        };
        context.out.line(end);
        return Ok(ExitStatus::Done);
    }
    let watched = !context.global.yes && std::io::stdin().is_terminal();
    if watched {
        show_on_stderr(&would);
        confirm("Do this?")?;
    }
    let mut done: TufChange = client.post(path, &request(false)).await?;
    context.out.document(&done)?;
    if watched {
        // It was on the screen a moment ago.
        done.diff.clear();
    }
    show(context, &done);
    finish(context, client, out, &done).await?;
    Ok(ExitStatus::Done)
}

/// Says how it ended, and writes the files that signers are given.
pub async fn finish(
    context: &Context,
    client: &Client,
    out: &OutDir,
    done: &TufChange,
) -> Result<(), Failure> {
    if let Some(published) = &done.published {
        context.out.line(published_line(published));
    }
    if let Some(waiting) = &done.waiting {
        let files = write_requests(client, waiting, &out.folder).await?;
        print_waiting(context, waiting);
        print_steps(context, waiting, &files);
    }
    Ok(())
}

/// Asks a person at a terminal; a script says what it means.
pub fn confirm(question: &str) -> Result<(), Failure> {
    match ask(&format!("{question} [y/N]")) {
        None => Ok(()),
        Some(answer) if is_yes(&answer) => Ok(()),
        Some(_) => Err(Failure::usage("nothing was changed").next("answer y, or give --yes")),
    }
}

/// Whether an answer is a yes.
pub fn is_yes(answer: &str) -> bool {
    matches!(answer.to_ascii_lowercase().as_str(), "y" | "yes")
}

fn lines(change: &TufChange) -> impl Iterator<Item = String> + '_ {
    let diff = change.diff.iter().map(|line| format!("  {line}"));
    diff.chain(change.notes.iter().map(|line| format!("  note: {line}")))
}

fn show(context: &Context, change: &TufChange) {
    lines(change).for_each(|line| context.out.line(line));
}

fn show_on_stderr(change: &TufChange) {
    lines(change).for_each(note);
}

/// One line about a publication.
pub fn published_line(published: &TufPublished) -> String {
    format!(
        "published: generation {}, {} written ({}), {} signed, {} ms",
        published.generation,
        count(published.files_written, "metadata file", "metadata files"),
        bytes(published.bytes_written),
        count(published.bins_signed, "bin", "bins"),
        published.took_ms
    )
}

/// What a change still waits for.
pub fn print_waiting(context: &Context, waiting: &TufWaiting) {
    context.out.line(format_args!(
        "change {} waits: {} ({})",
        waiting.id, waiting.what, waiting.reason
    ));
    for request in &waiting.requests {
        context.out.line(format_args!(
            "  request {}  {} {}{}",
            request.id,
            request.role,
            request.version,
            if request.complete { "  complete" } else { "" }
        ));
        for need in &request.needs {
            context.out.line(format_args!("    {}", need_line(need)));
        }
    }
    if let Some(why) = &waiting.stale {
        context.out.line(format_args!(
            "  STALE: {why}; take it away with `chiron tuf requests cancel {}`",
            waiting.id
        ));
    }
}

/// `root 3: 1 of 2 (signed: alice; may sign: bob, carol)`.
pub fn need_line(need: &TufNeed) -> String {
    let have = need.signed.len();
    let mut parts = Vec::new();
    if have > 0 {
        parts.push(format!("signed: {}", names(&need.signed)));
    }
    if !need.missing.is_empty() {
        parts.push(format!("may sign: {}", names(&need.missing)));
    }
    format!(
        "{}: {have} of {} ({})",
        need.whose,
        need.threshold,
        parts.join("; ")
    )
}

/// Keys by label, or by the first digits of their ids.
pub fn names(keys: &[TufKeyName]) -> String {
    let names: Vec<String> = keys.iter().map(name).collect();
    names.join(", ")
}

/// A key by its label, or by the first digits of its id.
pub fn name(key: &TufKeyName) -> String {
    key.label
        .clone()
        .unwrap_or_else(|| key.id.chars().take(8).collect())
}

/// What a request's file is called.
pub fn file_name(request: &TufRequest) -> String {
    format!("{}-{}-{}.request.json", request.role, request.version, request.id)
}

/// Writes the requests that still lack signatures.
pub async fn write_requests(
    client: &Client,
    waiting: &TufWaiting,
    folder: &Path,
) -> Result<Vec<PathBuf>, Failure> {
    let mut files = Vec::new();
    for request in waiting.requests.iter().filter(|request| !request.complete) {
        let path = format!("/api/v1/tuf/requests/{}", segment(&request.id));
        let bytes = client.get_bytes(&path).await?;
        fs::create_dir_all(folder).map_err(|error| Failure::file("make the folder", folder, &error))?;
        let file = folder.join(file_name(request));
        // The same request is the same bytes but for the signatures that came meanwhile.
        fs::write(&file, bytes).map_err(|error| Failure::file("write", &file, &error))?;
        files.push(file);
    }
    Ok(files)
}

fn print_steps(context: &Context, waiting: &TufWaiting, files: &[PathBuf]) {
    let out = context.out;
    out.line("next:");
    out.line("  1. give these files to who signs:");
    let open = waiting.requests.iter().filter(|request| !request.complete);
    for (request, file) in open.zip(files) {
        out.line(format_args!("       {}", file.display()));
        for need in &request.needs {
            let lacking = usize::from(need.threshold).saturating_sub(need.signed.len());
            if lacking > 0 {
                out.line(format_args!(
                    "         {}: {} of {}",
                    need.whose,
                    count(lacking as u64, "signature is needed", "signatures are needed"),
                    names(&need.missing)
                ));
            }
        }
    }
    out.line("  2. each of them, on the machine with the key:    chiron tuf sign FILE... --key KEY");
    out.line("  3. here, with the files that they send back:     chiron tuf merge *.signature.json");
}

/// Writes a file that must not be there yet.
pub fn write_new(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(path)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
        .map_err(|error| match error.kind() {
            std::io::ErrorKind::AlreadyExists => {
                Failure::usage(format_args!("{} is there already, and is kept", path.display()))
                    .next("move it away, or name another file with --out")
            }
            _ => Failure::file("write", path, &error),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_need_says_who_signed_and_who_may() {
        let key = |label: &str| TufKeyName {
            id: "ab".repeat(32),
            label: Some(label.to_owned()).filter(|label| !label.is_empty()),
        };
        let need = TufNeed {
            whose: "root 3".to_owned(),
            threshold: 2,
            signed: vec![key("alice")],
            missing: vec![key("bob"), key("")],
        };
        assert_eq!(
            need_line(&need),
            "root 3: 1 of 2 (signed: alice; may sign: bob, abababab)"
        );
    }
}
