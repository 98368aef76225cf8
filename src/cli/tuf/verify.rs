//! `chiron tuf verify`: a repository, looked at as its clients do. For scripts, and for who wants to see it for himself.

use std::path::{Path, PathBuf};

use chiron_tuf::TargetPath;
use clap::Args;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;

use super::super::context::Context;
use super::super::exit::{ExitStatus, Failure};
use super::super::output::{bytes, count, note};
use super::super::proxy::{client_failure, web_address};
use crate::config::Period;
use crate::tuf_client::{Listed, Patience, Source, Target, TufClient, TufClientError, Verified};

/// Arguments of `tuf verify`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  chiron tuf verify http://127.0.0.1:8080 --root root.json\n  chiron tuf verify http://127.0.0.1:8080 --root root.json --target simple/flask/index.json --download out\n  chiron tuf verify chiron-data --root root.json       the metadata in a data folder\n\nExit status: 0 verified, 1 a check failed (it says which, of which file), 3 the repository could not be asked."
)]
pub struct VerifyArgs {
    /// Address or folder: a daemon's, or the one above `metadata/` and `targets/`
    #[arg(value_name = "URL|DIR")]
    place: String,
    /// The trusted root. Without it the repository's own first root is taken, which shows that the repository is sound and
    /// not whose it is
    #[arg(long, value_name = "FILE")]
    root: Option<PathBuf>,
    /// Verify this target and what it needs; may be repeated
    #[arg(long, value_name = "PATH", value_parser = target_path)]
    target: Vec<TargetPath>,
    /// Verify the content of every target too
    #[arg(long, conflicts_with_all = ["target", "refresh_only"])]
    all: bool,
    /// Verify root, timestamp, snapshot and targets, and no delegated role
    #[arg(long, conflicts_with = "target")]
    refresh_only: bool,
    /// Judge expiry as of this time instead of now (RFC 3339)
    #[arg(long, value_name = "TIME", value_parser = time)]
    at: Option<Timestamp>,
    /// Remember here what was verified, so that the next run notices a rollback
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// Write verified targets here, each under its path
    #[arg(long, value_name = "DIR", alias = "out")]
    download: Option<PathBuf>,
    /// How long the repository may be silent
    #[arg(long, value_name = "TIME", default_value = "10s")]
    timeout: Period,
}

fn target_path(text: &str) -> Result<TargetPath, String> {
    text.parse()
        .map_err(|error: chiron_tuf::TargetPathError| error.to_string())
}

fn time(text: &str) -> Result<Timestamp, String> {
    text.parse()
        .map_err(|_| "write a time in RFC 3339, such as 2026-11-20T12:00:00Z".to_owned())
}

/// What was found.
struct Report {
    verified: Verified,
    listed: Option<Listed>,
    targets: Vec<Target>,
    bytes: u64,
}

/// Verifies, and says what.
pub async fn run(context: &Context, args: VerifyArgs) -> Result<ExitStatus, Failure> {
    let given = match &args.root {
        Some(path) => {
            Some(std::fs::read(path).map_err(|error| Failure::file("read the root", path, &error))?)
        }
        None => None,
    };
    let scratch;
    let state = if let Some(state) = &args.state {
        state.as_path()
    } else {
        scratch = tempfile::tempdir()
            .map_err(|error| Failure::file("make a folder in", &std::env::temp_dir(), &error))?;
        note(
            "note: without --state nothing is remembered, so a rollback since an earlier run is not noticed",
        );
        scratch.path()
    };
    let patience = Patience::stalling_after(args.timeout.duration());
    match verify(&args, given, state, patience).await {
        Ok(report) => {
            print(context, &args, &report)?;
            Ok(ExitStatus::Done)
        }
        Err(Stopped::Client(error)) => {
            let failure = client_failure(&error);
            note(&failure);
            let mut document = failure.to_json();
            if let Some(fields) = document.get_mut("error").and_then(Value::as_object_mut) {
                let check = match &error {
                    TufClientError::Refused { check, .. } => check.to_string(),
                    TufClientError::Unreachable { .. } => "transport".to_owned(),
                    TufClientError::State { .. } => "state".to_owned(),
                    TufClientError::Setup(_) => "usage".to_owned(),
                };
                fields.insert("check".to_owned(), Value::from(check));
                fields.insert("file".to_owned(), error.file().map_or(Value::Null, Value::from));
            }
            context.out.document(&document)?;
            Ok(failure.status)
        }
        Err(Stopped::Here(failure)) => Err(failure),
    }
}

enum Stopped {
    Client(TufClientError),
    Here(Failure),
}

impl From<TufClientError> for Stopped {
    fn from(error: TufClientError) -> Self {
        Self::Client(error)
    }
}

async fn verify(
    args: &VerifyArgs,
    given: Option<Vec<u8>>,
    state: &Path,
    patience: Patience,
) -> Result<Report, Stopped> {
    // Before anybody is asked anything: with a root that is none there is nothing to ask for.
    if let Some(root) = &given {
        TufClient::check_root(root)?;
    }
    let source = source(&args.place, patience).await?;
    let root = if let Some(root) = given {
        root
    } else {
        note(
            "note: without --root the repository's own first root is believed: this shows that it is sound, not whose it is",
        );
        TufClient::first_root(&source, patience).await?.to_vec()
    };
    let has_targets = source.has_targets();
    let client = TufClient::open_at(source, &root, state, patience, args.at)?;
    let now = Timestamp::now();
    let verified = client.refresh(now).await?;
    let mut report = Report {
        verified,
        listed: None,
        targets: Vec::new(),
        bytes: 0,
    };
    let mut wanted = args.target.clone();
    if args.target.is_empty() && !args.refresh_only {
        let mut odd = None;
        let each = |_: &str, path: &str| match path.parse() {
            Ok(path) if args.all => wanted.push(path),
            Ok(_) => {}
            Err(_) => odd = Some(path.to_owned()),
        };
        report.listed = Some(client.listed(now, each).await?);
        if let Some(odd) = odd.filter(|_| args.all) {
            note(format_args!(
                "note: the target {odd:?} has a path that Chiron does not ask for; its content is not looked at"
            ));
        }
        wanted.sort_unstable();
        wanted.dedup();
    }
    if args.all && !has_targets {
        note(
            "note: this folder has no targets/, so no content is looked at; `chiron tuf verify URL --all` asks the daemon for it",
        );
        wanted.clear();
    }
    for path in wanted {
        let target = client.target(&path, now).await?;
        let target = target.ok_or_else(|| TufClientError::Refused {
            check: crate::tuf_client::Check::Unsigned,
            file: path.to_string(),
            why: "no role of the signed repository lists it".to_owned(),
        })?;
        report.bytes += content(&client, &target, args.download.as_deref()).await?;
        report.targets.push(target);
    }
    Ok(report)
}

async fn source(place: &str, patience: Patience) -> Result<Source, Stopped> {
    let folder = Path::new(place);
    if folder.is_dir() {
        return Ok(Source::folder(folder)?);
    }
    // Not repeated in the error: an address may hold a password.
    let url = web_address(place).map_err(|why| {
        Stopped::Here(Failure::usage(format_args!(
            "the repository is neither a folder that is there nor an address: {why}"
        )))
    })?;
    Ok(Source::find(url.expose(), patience).await?)
}

/// Reads a target to its end, and writes it when told to: aside, and under its name when it has been verified.
async fn content(client: &TufClient, target: &Target, into: Option<&Path>) -> Result<u64, Stopped> {
    let mut download = client.fetch(target).await?;
    let Some(into) = into else {
        while download.next().await?.is_some() {}
        return Ok(target.length);
    };
    let path = into.join(target.path.as_str());
    let failed = |error: std::io::Error| Stopped::Here(Failure::file("write", &path, &error));
    let folder = path.parent().unwrap_or(into);
    tokio::fs::create_dir_all(folder).await.map_err(failed)?;
    let aside = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
    let mut file = tokio::fs::File::from_std(aside.reopen().map_err(failed)?);
    while let Some(chunk) = download.next().await? {
        file.write_all(&chunk).await.map_err(failed)?;
    }
    file.sync_all().await.map_err(failed)?;
    aside.persist(&path).map_err(|error| failed(error.error))?;
    Ok(target.length)
}

fn print(context: &Context, args: &VerifyArgs, report: &Report) -> Result<(), Failure> {
    let Report {
        verified,
        listed,
        targets,
        bytes: read,
    } = report;
    let rows: Vec<Value> = targets
        .iter()
        .map(|target| {
            json!({ "path": target.path, "length": target.length, "sha256": target.sha256, "custom": target.custom })
        })
        .collect();
    context.out.document(&json!({
        "verified": verified, "listed": listed, "targets": rows, "bytes": read,
        "root_given": args.root.is_some(), "remembered": args.state.is_some(),
    }))?;
    context.out.line(format_args!(
        "verified: root {}, timestamp {} (until {}), snapshot {}, targets {}",
        verified.root, verified.timestamp, verified.expires, verified.snapshot, verified.targets
    ));
    if let Some(listed) = listed {
        context.out.line(format_args!(
            "{} list {}",
            count(listed.roles as u64, "role", "roles"),
            count(listed.targets as u64, "target", "targets")
        ));
    }
    for target in targets.iter().filter(|_| !args.all) {
        context.out.line(format_args!(
            "  {}  sha256:{}  {}",
            target.path,
            target.sha256,
            bytes(target.length)
        ));
    }
    if args.all && !targets.is_empty() {
        context.out.line(format_args!(
            "the content of {} ({}) is what is signed",
            count(targets.len() as u64, "target", "targets"),
            bytes(*read)
        ));
    }
    Ok(())
}
