//! `chiron tuf requests`: what waits for signatures.

use std::path::PathBuf;

use clap::Subcommand;
use http::Method;

use super::change::{confirm, print_waiting, write_requests};
use crate::api::{TufRequests, TufWaiting};
use crate::cli::client::{Client, Payload, segment};
use crate::cli::context::{Context, Open};
use crate::cli::exit::{ExitStatus, Failure};
use crate::cli::output::note;

/// The verbs under `tuf requests`.
#[derive(Debug, Subcommand)]
#[command(
    after_help = "Examples:\n  chiron tuf requests list\n  chiron tuf requests export --out /media/usb\n  chiron tuf requests cancel 1f2e3d4c5b6a7988"
)]
pub enum RequestsCommand {
    /// Every change that waits, and for whom
    #[command(after_help = "Example:\n  chiron tuf requests list")]
    List,
    /// What a change changes
    #[command(after_help = "Example:\n  chiron tuf requests show 1f2e3d4c5b6a7988")]
    Show {
        /// The change, or one of its requests; its first digits suffice
        id: String,
    },
    /// Write the files that signers are given
    #[command(
        after_help = "Examples:\n  chiron tuf requests export --out /media/usb\n  chiron tuf requests export 1f2e3d4c"
    )]
    Export {
        /// Only this change; all of them when not given
        id: Option<String>,
        /// Folder for the files
        #[arg(long, value_name = "DIR", default_value = "tuf-requests")]
        out: PathBuf,
    },
    /// Forget a change; signatures made for it are good for nothing then
    #[command(after_help = "Example:\n  chiron tuf requests cancel 1f2e3d4c5b6a7988")]
    Cancel {
        /// The change, or one of its requests; its first digits suffice
        id: String,
    },
}

/// Runs one of them.
pub async fn run(context: &Context, command: RequestsCommand) -> Result<ExitStatus, Failure> {
    context
        .with_client(Open::Existing, async |client| {
            let all: TufRequests = client.get("/api/v1/tuf/requests").await?;
            match command {
                RequestsCommand::List => list(context, &all),
                RequestsCommand::Show { id } => show(context, find(&all, &id)?),
                RequestsCommand::Export { id, out } => {
                    let chosen = match &id {
                        Some(id) => vec![find(&all, id)?],
                        None => all.items.iter().collect(),
                    };
                    export(context, client, &chosen, &out).await
                }
                RequestsCommand::Cancel { id } => cancel(context, client, find(&all, &id)?).await,
            }
        })
        .await
}

/// The change that an id, or the beginning of one, names.
fn find<'a>(all: &'a TufRequests, id: &str) -> Result<&'a TufWaiting, Failure> {
    let named = |waiting: &&TufWaiting| {
        waiting.id.starts_with(id) || waiting.requests.iter().any(|request| request.id.starts_with(id))
    };
    let mut found = all.items.iter().filter(named);
    let unknown = |what: &str| {
        Failure::not_admitted(format_args!("{what} `{id}`")).next("`chiron tuf requests list` shows them")
    };
    match (found.next(), found.next()) {
        (Some(one), None) => Ok(one),
        (Some(_), Some(_)) => Err(unknown("several changes begin with")),
        (None, _) => Err(unknown("no change that waits is called")),
    }
}

fn list(context: &Context, all: &TufRequests) -> Result<ExitStatus, Failure> {
    context.out.document(all)?;
    all.items
        .iter()
        .for_each(|waiting| print_waiting(context, waiting));
    if all.items.is_empty() {
        context.out.line("nothing waits for a signature");
    }
    Ok(ExitStatus::Done)
}

fn show(context: &Context, waiting: &TufWaiting) -> Result<ExitStatus, Failure> {
    context.out.document(waiting)?;
    print_waiting(context, waiting);
    for request in &waiting.requests {
        context
            .out
            .line(format_args!("{} {} would change:", request.role, request.version));
        for change in &request.changes {
            context.out.line(format_args!("  {change}"));
        }
    }
    Ok(ExitStatus::Done)
}

async fn export(
    context: &Context,
    client: &Client,
    chosen: &[&TufWaiting],
    out: &std::path::Path,
) -> Result<ExitStatus, Failure> {
    let mut files = Vec::new();
    if !context.global.dry_run {
        for waiting in chosen {
            files.extend(write_requests(client, waiting, out).await?);
        }
    }
    context.out.document(&serde_json::json!({ "files": files }))?;
    for file in &files {
        context.out.line(file.display());
    }
    if files.is_empty() {
        note("no file was written");
    }
    Ok(ExitStatus::Done)
}

async fn cancel(context: &Context, client: &Client, waiting: &TufWaiting) -> Result<ExitStatus, Failure> {
    if context.global.dry_run {
        context.out.document(waiting)?;
        context.out.line(format_args!(
            "would forget the change {}; nothing was changed",
            waiting.id
        ));
        return Ok(ExitStatus::Done);
    }
    if !context.global.yes {
        print_waiting(context, waiting);
        confirm("Forget it?")?;
    }
    let path = format!("/api/v1/tuf/requests/{}", segment(&waiting.id));
    client
        .call(Method::DELETE, &path, "application/json", Payload::Empty)
        .await?;
    context.out.document(waiting)?;
    context
        .out
        .line(format_args!("the change {} is forgotten", waiting.id));
    Ok(ExitStatus::Done)
}
