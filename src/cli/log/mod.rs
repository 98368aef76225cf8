//! `chiron log`: the log of decisions, checked without trusting who serves it.

pub mod entries;
pub mod prove;
pub mod verify;

use std::path::PathBuf;

use chiron_storage::log::{Checkpoint, open_checkpoint};
use clap::{Args, Subcommand};
use serde_json::json;

use super::client::Client;
use super::context::{Context, Open};
use super::exit::{ExitStatus, Failure};
use crate::api::StatusView;

/// The verbs under `log`.
#[derive(Debug, Subcommand)]
#[command(after_help = "Example:\n  chiron log verify")]
pub enum LogCommand {
    /// Print the signed checkpoint; keep it, and `log verify --since` proves later that nothing was taken back
    #[command(after_help = "Example:\n  chiron log checkpoint > checkpoint.txt")]
    Checkpoint,
    /// Prove that an event is in the log, or that a later log continues an earlier one
    #[command(after_help = "Examples:\n  chiron log prove 42\n  chiron log prove --from 100 --to 200")]
    Prove(ProveArgs),
    /// Read every event again and compare with the signed checkpoint
    #[command(
        after_help = "Examples:\n  chiron log verify\n  chiron log verify --last 1000 --key 'mirror.example/log+4e1f…+A…'\n  chiron log verify --since checkpoint.txt\n\nExit status 4 when the log is not what the checkpoint says."
    )]
    Verify(VerifyArgs),
    /// Print the log's public key (signed-note verifier key)
    #[command(after_help = "Example:\n  chiron log key > log.key")]
    Key,
}

/// Arguments of `log prove`.
#[derive(Debug, Args)]
pub struct ProveArgs {
    /// The event's number
    #[arg(required_unless_present = "from", conflicts_with = "from")]
    n: Option<u64>,
    /// The log's size that the proof leads to [default: the newest]
    #[arg(long, conflicts_with = "to")]
    size: Option<u64>,
    /// The earlier size
    #[arg(long)]
    from: Option<u64>,
    /// The later size [default: the newest]
    #[arg(long, requires = "from")]
    to: Option<u64>,
}

/// Arguments of `log verify`.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// Only the newest N events, each by an inclusion proof
    #[arg(long, value_name = "N")]
    last: Option<u64>,
    /// The key you trust, as `chiron log key` printed it [default: the one the server states]
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// A checkpoint kept earlier: also prove that the log continues it
    #[arg(long, value_name = "FILE")]
    since: Option<PathBuf>,
}

/// Runs one of them.
pub async fn run(context: &Context, command: LogCommand) -> Result<ExitStatus, Failure> {
    context
        .with_client(Open::Existing, async |client| match command {
            LogCommand::Checkpoint => checkpoint(context, client).await,
            LogCommand::Prove(args) => prove::run(context, client, &args).await,
            LogCommand::Verify(args) => verify::run(context, client, &args).await,
            LogCommand::Key => key(context, client).await,
        })
        .await
}

async fn checkpoint(context: &Context, client: &Client) -> Result<ExitStatus, Failure> {
    let (note, checkpoint) = newest(client, &server_key(client).await?).await?;
    let text = String::from_utf8_lossy(&note);
    context.out.document(&json!({
        "origin": checkpoint.origin, "size": checkpoint.size,
        "root": checkpoint.root.to_string(), "checkpoint": text,
    }))?;
    if !context.out.is_json() {
        context.out.raw(&text);
    }
    Ok(ExitStatus::Done)
}

async fn key(context: &Context, client: &Client) -> Result<ExitStatus, Failure> {
    let key = server_key(client).await?;
    context.out.document(&json!({ "key": key }))?;
    context.out.line(key);
    Ok(ExitStatus::Done)
}

/// The key that the server says is the log's.
pub async fn server_key(client: &Client) -> Result<String, Failure> {
    Ok(client.get::<StatusView>("/api/v1/status").await?.log_key)
}

/// The newest checkpoint, its signature verified.
pub async fn newest(client: &Client, key: &str) -> Result<(Vec<u8>, Checkpoint), Failure> {
    let note = client.get_bytes("/log/checkpoint").await?;
    let checkpoint = open(&note, key)?;
    Ok((note, checkpoint))
}

/// Verifies a checkpoint's signature.
pub fn open(note: &[u8], key: &str) -> Result<Checkpoint, Failure> {
    open_checkpoint(key, note).map_err(|error| {
        Failure::integrity(format_args!("the checkpoint does not verify with the key {key}: {error}"))
            .next("compare the key with `chiron log key` and with the one kept elsewhere; do not trust this server until they agree")
    })
}
