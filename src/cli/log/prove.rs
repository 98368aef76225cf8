//! `chiron log prove`: a proof that anyone can check with the log's key, checked here first.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use chiron_storage::Digest;
use chiron_storage::log::{Checkpoint, leaf_hash, verify_inclusion};
use serde_json::json;

use super::{ProveArgs, entries, newest, open, server_key};
use crate::api::ProofView;
use crate::cli::client::Client;
use crate::cli::context::Context;
use crate::cli::exit::{ExitStatus, Failure};

/// Fetches the proof, checks it, prints it.
pub async fn run(context: &Context, client: &Client, args: &ProveArgs) -> Result<ExitStatus, Failure> {
    match (args.n, args.from) {
        (Some(n), _) => inclusion(context, client, n, args.size).await,
        (None, Some(from)) => consistency(context, client, from, args.to).await,
        (None, None) => {
            Err(Failure::usage("say which event, or --from an earlier size").next("chiron log prove 42"))
        }
    }
}

async fn inclusion(
    context: &Context,
    client: &Client,
    n: u64,
    size: Option<u64>,
) -> Result<ExitStatus, Failure> {
    let key = server_key(client).await?;
    let size = match size {
        Some(size) => size,
        None => newest(client, &key).await?.1.size,
    };
    if n >= size {
        return Err(
            Failure::usage(format_args!("there is no event {n} in a log of {size}"))
                .next("events are numbered from 0"),
        );
    }
    let proof: ProofView = client
        .get(&format!("/api/v1/log/inclusion?n={n}&size={size}"))
        .await?;
    let checkpoint = open(proof.checkpoint.as_bytes(), &key)?;
    let hashes = decode(&proof.hashes)?;
    let leaf = entry_hash(client, n, size).await?;
    verify_inclusion(&hashes, n, leaf, size, root_for(&checkpoint, size)?).map_err(|error| wrong(&error))?;
    context.out.document(
        &json!({ "verified": true, "leaf_hash": BASE64_STANDARD.encode(leaf.as_bytes()), "proof": proof }),
    )?;
    context.out.line(format_args!(
        "event {n} is in the log of {size} (verified with the key {key})"
    ));
    print(context, &proof);
    Ok(ExitStatus::Done)
}

async fn consistency(
    context: &Context,
    client: &Client,
    from: u64,
    to: Option<u64>,
) -> Result<ExitStatus, Failure> {
    let key = server_key(client).await?;
    let to = match to {
        Some(to) => to,
        None => newest(client, &key).await?.1.size,
    };
    let proof = fetch_consistency(client, from, to).await?;
    let checkpoint = open(proof.checkpoint.as_bytes(), &key)?;
    root_for(&checkpoint, to)?;
    context.out.document(&json!({ "proof": proof }))?;
    context.out.line(format_args!(
        "proof that the log of {to} continues the log of {from}; check it against the checkpoint you kept: chiron log verify --since FILE"
    ));
    print(context, &proof);
    Ok(ExitStatus::Done)
}

/// Asks for the proof between two sizes.
pub async fn fetch_consistency(client: &Client, from: u64, to: u64) -> Result<ProofView, Failure> {
    if from > to {
        return Err(Failure::usage(format_args!(
            "the log of {to} cannot continue the longer log of {from}"
        )));
    }
    Ok(client
        .get(&format!("/api/v1/log/consistency?from={from}&to={to}"))
        .await?)
}

/// The leaf hash of entry `n`.
pub async fn entry_hash(client: &Client, n: u64, size: u64) -> Result<Digest, Failure> {
    let mut leaf = None;
    // Only the bundle that holds it.
    let end = size.min((n / 256 + 1) * 256);
    entries::fetch(client, n, end.max(n + 1), |number, entry| {
        if number == n {
            leaf = Some(leaf_hash(entry));
        }
    })
    .await?;
    leaf.ok_or_else(|| Failure::integrity(format_args!("event {n} is not in its bundle")))
}

/// The checkpoint's root, when it is about the size that was asked for.
pub fn root_for(checkpoint: &Checkpoint, size: u64) -> Result<Digest, Failure> {
    if checkpoint.size == size {
        return Ok(checkpoint.root);
    }
    Err(Failure::integrity(format_args!(
        "the proof was asked for size {size} and comes with a checkpoint of size {}",
        checkpoint.size
    )))
}

/// The hashes of a proof.
pub fn decode(hashes: &[String]) -> Result<Vec<Digest>, Failure> {
    let one = |text: &String| -> Option<Digest> {
        Some(Digest::from_bytes(
            BASE64_STANDARD.decode(text).ok()?.try_into().ok()?,
        ))
    };
    hashes
        .iter()
        .map(|text| one(text).ok_or_else(|| wrong(&"a hash in it is not 32 bytes of base64")))
        .collect()
}

/// A proof that does not prove.
pub fn wrong(why: &dyn std::fmt::Display) -> Failure {
    Failure::integrity(format_args!("the proof does not verify: {why}"))
        .next("the log was changed, or the answer was; `chiron log verify` reads all of it")
}

fn print(context: &Context, proof: &ProofView) {
    for hash in &proof.hashes {
        context.out.line(format_args!("  {hash}"));
    }
    context
        .out
        .line(format_args!("\n{}", proof.checkpoint.trim_end()));
}
