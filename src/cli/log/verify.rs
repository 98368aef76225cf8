//! `chiron log verify`: the log is what its signed checkpoint says.

use chiron_storage::log::{Checkpoint, TreeBuilder, leaf_hash, verify_consistency, verify_inclusion};
use serde::Serialize;

use super::keys::KeyHistory;
use super::{VerifyArgs, at_hand, entries, newest, open, prove, server_key, tuf};
use crate::api::ProofView;
use crate::cli::client::Client;
use crate::cli::context::Context;
use crate::cli::exit::{ExitStatus, Failure};
use crate::cli::output::count;

/// What was checked.
#[derive(Debug, Serialize)]
pub struct LogReport {
    origin: String,
    size: u64,
    root: String,
    /// Events read: all of them, or the newest.
    checked: u64,
    key: String,
    /// Size of the checkpoint that it was proved to continue.
    #[serde(skip_serializing_if = "Option::is_none")]
    continues: Option<u64>,
    /// Size of the checkpoint that the TUF repository signs, which it continues too.
    #[serde(skip_serializing_if = "Option::is_none")]
    tuf: Option<u64>,
    /// What the entries that were read say of the TUF repository's keys.
    #[serde(skip)]
    keys: KeyHistory,
}

impl LogReport {
    /// In one line.
    pub fn line(&self) -> String {
        let continues = self
            .continues
            .map(|size| format!(", and continues the log of {size}"))
            .unwrap_or_default();
        let tuf = self
            .tuf
            .map(|size| format!(", and the log of {size} that TUF signs"))
            .unwrap_or_default();
        format!(
            "{} of {} verified, signed by {}{continues}{tuf}",
            count(self.checked, "event", "events"),
            self.size,
            self.origin
        )
    }
}

/// Verifies and reports.
pub async fn run(context: &Context, client: &Client, args: &VerifyArgs) -> Result<ExitStatus, Failure> {
    let since = match &args.since {
        Some(path) => Some(at_hand::read(
            path,
            at_hand::MAX_CHECKPOINT_BYTES,
            "a checkpoint",
        )?),
        None => None,
    };
    let key = args.key.as_deref().map(at_hand::key).transpose()?;
    // Before the log is asked: what TUF signs is then not newer than what the log says of itself.
    let signed = match &args.tuf.tuf {
        Some(place) => Some(tuf::vouched(place, &args.tuf, since.as_slice()).await?),
        None => None,
    };
    let mut report = verify_log(client, args.last, key.as_deref()).await?;
    if let Some(note) = since {
        let old = open(&note, &report.key)?;
        continues(client, &old, &report).await?;
        report.continues = Some(old.size);
    }
    if let Some(vouched) = signed {
        let old = open(&vouched.checkpoint, &report.key)?;
        continues(client, &old, &report).await?;
        // Of the newest entries alone the keys of before do not follow.
        if report.checked == report.size {
            report.keys.vouches(&vouched.keys, old.size)?;
        }
        report.tuf = Some(old.size);
    }
    context.out.document(&report)?;
    context.out.line(report.line());
    if args.key.is_none() {
        context.out.line(format_args!(
            "  key {} (stated by {}; give the one you keep with --key)",
            report.key,
            client.whom()
        ));
    }
    Ok(ExitStatus::Done)
}

/// Checks the signature, then all entries against the root, or the newest `last` by inclusion proofs.
pub async fn verify_log(client: &Client, last: Option<u64>, key: Option<&str>) -> Result<LogReport, Failure> {
    let key = match key {
        Some(key) => key.trim().to_owned(),
        None => server_key(client).await?,
    };
    let (_, checkpoint) = newest(client, &key).await?;
    let (checked, keys) = match last {
        Some(last) if last < checkpoint.size => {
            let checked = newest_entries(client, &checkpoint, last).await?;
            (checked, KeyHistory::default())
        }
        _ => every_entry(client, &checkpoint).await?,
    };
    Ok(LogReport {
        origin: checkpoint.origin,
        size: checkpoint.size,
        root: checkpoint.root.to_string(),
        checked,
        key,
        continues: None,
        tuf: None,
        keys,
    })
}

async fn every_entry(client: &Client, checkpoint: &Checkpoint) -> Result<(u64, KeyHistory), Failure> {
    let (mut tree, mut keys) = (TreeBuilder::new(), KeyHistory::default());
    entries::fetch(client, 0, checkpoint.size, |n, entry| {
        tree.push(entry);
        keys.push(n, entry);
    })
    .await?;
    if tree.root() == checkpoint.root {
        return Ok((tree.size(), keys));
    }
    Err(Failure::integrity(format_args!(
        "the log's {} make the root {}, but the signed checkpoint says {}: an entry was changed",
        count(tree.size(), "event", "events"),
        tree.root(),
        checkpoint.root
    ))
    .next("stop the daemon, keep the data folder as it is, and restore from a backup; a checkpoint kept elsewhere tells which is right"))
}

async fn newest_entries(client: &Client, checkpoint: &Checkpoint, last: u64) -> Result<u64, Failure> {
    let size = checkpoint.size;
    let mut leaves = Vec::new();
    entries::fetch(client, size - last, size, |n, entry| {
        leaves.push((n, leaf_hash(entry)));
    })
    .await?;
    for (n, leaf) in leaves {
        let proof: ProofView = client
            .get(&format!("/api/v1/log/inclusion?n={n}&size={size}"))
            .await?;
        let hashes = prove::decode(&proof.hashes)?;
        verify_inclusion(&hashes, n, leaf, size, checkpoint.root)
            .map_err(|error| prove::wrong(&format!("event {n}: {error}")))?;
    }
    Ok(last)
}

/// Proves that the log just verified begins with the one of an older checkpoint.
async fn continues(client: &Client, old: &Checkpoint, report: &LogReport) -> Result<(), Failure> {
    if old.size > report.size {
        return Err(Failure::integrity(format_args!(
            "the log has {} events, but its checkpoint of earlier had {}: it was rolled back",
            report.size, old.size
        ))
        .next("find out who restored an old copy of the data folder"));
    }
    if old.size == 0 {
        // Every log continues the empty one.
        return Ok(());
    }
    let proof = prove::fetch_consistency(client, old.size, report.size).await?;
    let new = open(proof.checkpoint.as_bytes(), &report.key)?;
    let hashes = prove::decode(&proof.hashes)?;
    let root = prove::root_for(&new, report.size)?;
    if root.to_string() != report.root {
        // Two roots for one size, both signed: the server shows different histories to different people.
        return Err(Failure::integrity(format_args!(
            "the key signed two different logs of {} events: {} and {root}",
            report.size, report.root
        ))
        .next("keep both checkpoints; do not trust this server"));
    }
    verify_consistency(&hashes, old.size, old.root, report.size, root).map_err(|error| prove::wrong(&error))
}
