//! `chiron log`: the log of decisions, checked without trusting who serves it.

pub mod at_hand;
pub mod entries;
mod heads;
mod keys;
mod offline;
pub mod prove;
mod tuf;
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
    #[command(
        after_help = "Examples:\n  chiron log prove 42\n  chiron log prove flask-3.0.3-py3-none-any.whl --out flask.tlog-proof\n  chiron log prove --from 100 --to 200 --out grew.txt\n\nA proof in a file is checked anywhere: chiron log verify --proof FILE --key KEY"
    )]
    Prove(ProveArgs),
    /// Read every event again and compare with the signed checkpoint; or check proofs at hand, offline
    #[command(
        after_help = "Examples:\n  chiron log verify\n  chiron log verify --last 1000 --key 'mirror.example/log+4e1f…+A…'\n  chiron log verify --since checkpoint.txt\n  chiron log verify --tuf http://127.0.0.1:8080/tuf --root root.json\n  chiron log verify --proof flask.tlog-proof --key log.key flask-3.0.3-py3-none-any.whl\n\nExit status 4 when the log is not what the checkpoint says, 1 when a file at hand is not one that a proof admits."
    )]
    Verify(VerifyArgs),
    /// Print the log's public key (signed-note verifier key)
    #[command(after_help = "Example:\n  chiron log key > log.key")]
    Key,
}

/// Arguments of `log prove`.
#[derive(Debug, Args)]
pub struct ProveArgs {
    /// The event's number, or a file (its name, its path, sha256:HEX): the event that made its present state
    #[arg(
        value_name = "N|FILE",
        required_unless_present = "from",
        conflicts_with = "from"
    )]
    what: Option<String>,
    /// The log's size that the proof leads to [default: the newest]
    #[arg(long, conflicts_with = "to")]
    size: Option<u64>,
    /// The earlier size
    #[arg(long)]
    from: Option<u64>,
    /// The later size [default: the newest]
    #[arg(long, requires = "from")]
    to: Option<u64>,
    /// Write the proof to a file that is verified offline (C2SP tlog-proof; with --from the body of a witness request)
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Arguments of `log verify`.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// Only the newest N events, each by an inclusion proof
    #[arg(long, value_name = "N", conflicts_with = "proof")]
    last: Option<u64>,
    /// The key you trust, as `chiron log key` printed it, or the file with it [default: the one the server states]
    #[arg(long, value_name = "KEY|FILE")]
    key: Option<String>,
    /// A checkpoint kept earlier: also prove that the log continues it
    #[arg(long, value_name = "FILE")]
    since: Option<PathBuf>,
    /// Check this proof instead of a log, offline (repeatable; what `log prove --out` wrote)
    #[arg(long, value_name = "FILE", requires = "key")]
    proof: Vec<PathBuf>,
    /// A checkpoint that the proofs must lead to, at once or by a proof made with `log prove --from`
    #[arg(long, value_name = "FILE", requires = "proof")]
    checkpoint: Option<PathBuf>,
    #[command(flatten)]
    tuf: tuf::TufArgs,
    /// Distribution files at hand: each must be one that a proof admits
    #[arg(value_name = "FILE", requires = "proof")]
    files: Vec<PathBuf>,
}

/// Runs one of them.
pub async fn run(context: &Context, command: LogCommand) -> Result<ExitStatus, Failure> {
    if let LogCommand::Verify(args) = &command
        && !args.proof.is_empty()
    {
        // No data folder and no daemon.
        return offline::run(context, args).await;
    }
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
