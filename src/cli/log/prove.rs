//! `chiron log prove`: a proof that anyone can check with the log's key, checked here first.

use std::io::Write as _;
use std::path::Path;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use chiron_storage::Digest;
use chiron_storage::log::{
    Checkpoint, ConsistencyProof, InclusionProof, ProofFile, leaf_hash, verify_inclusion,
};
use serde_json::json;

use super::{ProveArgs, at_hand, entries, newest, open, server_key};
use crate::api::{FileView, ProofView};
use crate::cli::client::Client;
use crate::cli::context::Context;
use crate::cli::exit::{ExitStatus, Failure};
use crate::cli::target::Target;

/// Fetches the proof, checks it, prints it or writes it.
pub async fn run(context: &Context, client: &Client, args: &ProveArgs) -> Result<ExitStatus, Failure> {
    match (&args.what, args.from) {
        (Some(what), _) => inclusion(context, client, what, args).await,
        (None, Some(from)) => consistency(context, client, from, args).await,
        (None, None) => Err(
            Failure::usage("say which event or file, or --from an earlier size").next("chiron log prove 42"),
        ),
    }
}

async fn inclusion(
    context: &Context,
    client: &Client,
    what: &str,
    args: &ProveArgs,
) -> Result<ExitStatus, Failure> {
    let n = match what.parse() {
        Ok(n) => n,
        Err(_) => event_of(client, what).await?,
    };
    let key = server_key(client).await?;
    let size = match args.size {
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
    let entry = entry(client, n, size).await?;
    let leaf = leaf_hash(&entry);
    verify_inclusion(&hashes, n, leaf, size, root_for(&checkpoint, size)?).map_err(|error| wrong(&error))?;
    context.out.document(
        &json!({ "verified": true, "leaf_hash": BASE64_STANDARD.encode(leaf.as_bytes()), "proof": proof }),
    )?;
    context.out.line(format_args!(
        "event {n} is in the log of {size} (verified with the key {key})"
    ));
    let file = InclusionProof {
        entry: Some(entry),
        number: n,
        hashes,
        checkpoint: proof.checkpoint.clone().into_bytes(),
    };
    finish(context, args, &proof, &ProofFile::Inclusion(file))
}

/// The event that made the present state of a file, which is named by its name, its digest or its path. A file that is at hand
/// is known by its content.
async fn event_of(client: &Client, what: &str) -> Result<u64, Failure> {
    let path = Path::new(what);
    let target = match Target::parse(what)? {
        Target::File(_) if path.is_file() => Target::Digest(at_hand::sha256(path)?),
        target => target,
    };
    let files = target.files(client).await?;
    match files.as_slice() {
        [file] => Ok(file.event),
        // One name with several contents: one at most is served.
        many => match many.iter().find(|file| file.state == "admitted") {
            Some(file) if many.iter().all(|other| other.filename == file.filename) => Ok(file.event),
            _ => Err(several(&target, many)),
        },
    }
}

fn several(target: &Target, files: &[FileView]) -> Failure {
    let named: Vec<String> = files
        .iter()
        .take(3)
        .map(|file| format!("sha256:{} ({})", file.sha256, file.filename))
        .collect();
    Failure::usage(format_args!("{target} names {} files", files.len())).next(format_args!(
        "name one of them: {}{}",
        named.join(", "),
        if files.len() > named.len() { ", …" } else { "" }
    ))
}

async fn consistency(
    context: &Context,
    client: &Client,
    from: u64,
    args: &ProveArgs,
) -> Result<ExitStatus, Failure> {
    let key = server_key(client).await?;
    let to = match args.to {
        Some(to) => to,
        None => newest(client, &key).await?.1.size,
    };
    let proof = fetch_consistency(client, from, to).await?;
    let checkpoint = open(proof.checkpoint.as_bytes(), &key)?;
    root_for(&checkpoint, to)?;
    context.out.document(&json!({ "proof": proof }))?;
    context.out.line(format_args!(
        "proof that the log of {to} continues the log of {from}; check it against the checkpoint you kept: {}",
        if args.out.is_some() {
            "chiron log verify --proof FILE --since CHECKPOINT --key KEY"
        } else {
            "chiron log verify --since FILE"
        }
    ));
    let file = ConsistencyProof {
        old: from,
        hashes: decode(&proof.hashes)?,
        checkpoint: proof.checkpoint.clone().into_bytes(),
    };
    finish(context, args, &proof, &ProofFile::Consistency(file))
}

/// Writes the proof to a file, whole or not at all; or prints it.
fn finish(
    context: &Context,
    args: &ProveArgs,
    proof: &ProofView,
    file: &ProofFile,
) -> Result<ExitStatus, Failure> {
    let Some(path) = &args.out else {
        print(context, proof);
        return Ok(ExitStatus::Done);
    };
    let bytes = file.to_bytes();
    if context.global.dry_run {
        context.out.line(format_args!(
            "would write {} bytes to {}",
            bytes.len(),
            path.display()
        ));
        return Ok(ExitStatus::Done);
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let written = tempfile::NamedTempFile::new_in(folder.unwrap_or(Path::new("."))).and_then(|mut fresh| {
        fresh.write_all(&bytes)?;
        // A proof is there to be handed on; temporary files are for their owner alone.
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o644);
        fresh.as_file().set_permissions(mode)?;
        fresh.as_file().sync_all()?;
        fresh.persist(path).map_err(|error| error.error)
    });
    written.map_err(|error| Failure::file("write", path, &error))?;
    context.out.line(format_args!("written to {}", path.display()));
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

/// The bytes of entry `n`.
async fn entry(client: &Client, n: u64, size: u64) -> Result<Vec<u8>, Failure> {
    let mut found = None;
    // Only the bundle that holds it.
    let end = size.min((n / 256 + 1) * 256);
    entries::fetch(client, n, end.max(n + 1), |number, entry| {
        if number == n {
            found = Some(entry.to_vec());
        }
    })
    .await?;
    found.ok_or_else(|| Failure::integrity(format_args!("event {n} is not in its bundle")))
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
