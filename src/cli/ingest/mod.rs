//! `chiron ingest`: the one way in, for specs, files, folders, requirements and lock files.

pub mod closure;
pub mod report;
pub mod sources;

use std::path::PathBuf;

use clap::Args;
use futures_util::{StreamExt, stream};
use http::{Method, StatusCode};

use super::client::{Client, ClientError, Payload, segment};
use super::context::{Context, Open};
use super::documents;
use super::exit::{ExitStatus, Failure};
use super::follow::{Happening, follow};
use super::output::{count, note};
use crate::api::{FileOutcome, FileResult, HeldDocument, IngestItem, IngestRequest, JobState, JobView};
use crate::verify::DocumentKind;
use report::{Bar, Summary};
use sources::Sources;

/// Files sent at once. A verdict takes a processor core; more would only queue.
const UPLOADS_AT_ONCE: usize = 4;

/// Items of one request (`IngestRequest::items`).
const ITEMS_PER_REQUEST: usize = 10_000;

/// Arguments of `ingest`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  chiron ingest flask 'django>=5,<6'\n  chiron ingest flask==3.0.3 --with-deps --python 3.12 --platform manylinux_2_28_x86_64\n  chiron ingest -r requirements.txt        pinned with hashes: only files with these hashes\n  chiron ingest --lock uv.lock\n  chiron ingest ./wheelhouse own-1.0-py3-none-any.whl\n  chiron ingest flask --dry-run            what would be fetched, with counts and bytes\n\nWhat lies beside FILE comes along: FILE.provenance, FILE.publish.attestation, FILE.sigstore.json, FILE.sig,\nFILE.cdx.json, FILE.spdx.json, and the sdist of the same release.\n\nExit status: 1 when a file was refused, quarantined or not found, 3 when upstream failed, 4 integrity."
)]
pub struct IngestArgs {
    /// Projects with or without a version (flask, 'flask>=3,<4'), wheels and sdists, folders of them
    #[arg(value_name = "SPEC|FILE|DIR", required_unless_present_any = ["requirements", "lock"])]
    what: Vec<String>,
    /// Requirements file; may be given several times
    #[arg(short = 'r', long = "requirements", value_name = "FILE")]
    requirements: Vec<PathBuf>,
    /// Lock file: pylock.toml (PEP 751) or uv.lock; may be given several times
    #[arg(long, value_name = "FILE")]
    lock: Vec<PathBuf>,
    /// Also what they need: resolved by uv, for each --python and --platform
    #[arg(long)]
    with_deps: bool,
    /// Only wheels that run on this Python (3.12); may be given several times
    #[arg(long, value_name = "V", value_parser = sources::python_version)]
    python: Vec<String>,
    /// Only wheels for this platform tag (`manylinux_2_28_x86_64`); may be given several times
    #[arg(long, value_name = "TAG")]
    platform: Vec<String>,
}

/// Collects what to bring in, brings it in, and says what became of each file.
pub async fn run(context: &Context, args: IngestArgs) -> Result<ExitStatus, Failure> {
    let mut sources = Sources::collect(&args.what, &args.requirements, &args.lock)?;
    if args.with_deps && sources.items.is_empty() {
        return Err(
            Failure::usage("--with-deps resolves specs and requirements, and there are none")
                .next("name a project (chiron ingest flask --with-deps) or a requirements file (-r)"),
        );
    }
    // Before a data folder is made for nothing.
    let uv = if args.with_deps {
        Some(closure::find_uv().await?)
    } else {
        None
    };
    // A dry run promises to change nothing, and making a data folder is a change.
    let open = if context.global.dry_run {
        Open::OrScratch
    } else {
        Open::OrCreate
    };
    context
        .with_client(open, async |client| {
            if let Some(uv) = &uv {
                let index = context.resolver_index(client).await?;
                let wanted = closure::Wanted {
                    pythons: &args.python,
                    platforms: &args.platform,
                    index,
                };
                let pins = closure::resolve(uv, &sources, &args.requirements, &wanted).await?;
                note(format_args!(
                    "uv resolved {}",
                    count(pins.len() as u64, "release", "releases")
                ));
                sources.items = pins;
                if !(args.python.is_empty() && args.platform.is_empty()) {
                    // uv names the digests of all files of a release, and a named digest is taken whatever it runs
                    // on. The gate holds each file against upstream's digests, which are where uv has them from.
                    for item in &mut sources.items {
                        item.hashes.clear();
                    }
                }
            }
            let bar = Bar::new(if context.global.dry_run {
                "looking"
            } else {
                "ingesting"
            });
            let mut summary = Summary::default();
            send_files(context, client, &sources, &bar, &mut summary).await?;
            for items in sources.items.chunks(ITEMS_PER_REQUEST) {
                let request = IngestRequest {
                    items: items.to_vec(),
                    pythons: args.python.clone(),
                    platforms: args.platform.clone(),
                    dry_run: context.global.dry_run,
                };
                run_job(context, client, &request, &bar, &mut summary).await?;
            }
            bar.finish();
            summary.print(context)
        })
        .await
}

/// Sends files at hand, several at once; a row for each.
async fn send_files(
    context: &Context,
    client: &Client,
    sources: &Sources,
    bar: &Bar,
    summary: &mut Summary,
) -> Result<(), Failure> {
    let total = sources.files.iter().map(|file| file.size).sum();
    bar.expect(sources.files.len() as u64, total);
    // Sources before the wheels that are held against them.
    let wheels = sources.files.partition_point(|file| !file.is_wheel());
    for part in [&sources.files[..wheels], &sources.files[wheels..]] {
        let mut sends = stream::iter(part)
            .map(|file| send_file(client, file, context.global.dry_run, bar))
            .buffer_unordered(UPLOADS_AT_ONCE);
        while let Some(result) = sends.next().await {
            let result = result?;
            bar.file_done();
            bar.aside(|| context.out.line(report::line(&result)));
            summary.add(result);
        }
    }
    Ok(())
}

/// Sends one file. Only what stops all the others is an error.
async fn send_file(
    client: &Client,
    file: &sources::LocalFile,
    dry_run: bool,
    bar: &Bar,
) -> Result<FileResult, Failure> {
    let query = if dry_run { "?dry_run=true" } else { "" };
    let documents = documents::beside(&file.path);
    let counter = bar.counter();
    let payload = Payload::File {
        path: file.path.clone(),
        sent: Box::new(move |bytes| counter.add(bytes)),
    };
    let sent = async {
        let mut path = format!("/api/v1/ingest/{}{query}", segment(&file.name));
        if !documents.is_empty() {
            path += if dry_run { "&documents=" } else { "?documents=" };
            path += &hold(client, &documents).await?;
        }
        let reply = client
            .call(Method::PUT, &path, "application/json", payload)
            .await?;
        client.read::<FileResult>(reply).await
    };
    let error = match sent.await {
        Ok(result) => return Ok(result),
        Err(error) => error,
    };
    let outcome = match &error {
        ClientError::Problem { status, .. } => match *status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::INSUFFICIENT_STORAGE => {
                return Err(error.into());
            }
            StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT | StatusCode::SERVICE_UNAVAILABLE => {
                FileOutcome::UpstreamFailed
            }
            // A name that does not parse, a file past the limit: judged, not broken.
            status if status.is_client_error() => FileOutcome::Refused,
            _ => FileOutcome::Failed,
        },
        ClientError::File { .. } => FileOutcome::Failed,
        ClientError::Unreachable { .. } | ClientError::Strange { .. } => return Err(error.into()),
    };
    Ok(FileResult {
        filename: file.name.clone(),
        project: String::new(),
        version: None,
        sha256: None,
        size: Some(file.size),
        outcome,
        reasons: vec![error.to_string()],
    })
}

/// Sends what lies beside a file ahead of it; how the file's own request names it.
async fn hold(client: &Client, documents: &[(DocumentKind, PathBuf)]) -> Result<String, ClientError> {
    let mut named = Vec::with_capacity(documents.len());
    for (kind, path) in documents {
        let failed = |source| ClientError::File {
            path: path.clone(),
            source,
        };
        let payload = Payload::File {
            path: path.clone(),
            sent: Box::new(|_| ()),
        };
        if tokio::fs::metadata(path).await.map_err(failed)?.len() > documents::MAX_DOCUMENT_BYTES {
            return Err(failed(std::io::Error::other(
                "it is longer than any document about one file is",
            )));
        }
        let reply = client
            .call(Method::POST, "/api/v1/documents", "application/json", payload)
            .await?;
        let held: HeldDocument = client.read(reply).await?;
        named.push(format!("{}:{}", documents::kind_name(*kind), held.digest));
    }
    Ok(named.join(","))
}

/// Starts a job for what upstream has and follows it to its end.
async fn run_job(
    context: &Context,
    client: &Client,
    request: &IngestRequest,
    bar: &Bar,
    summary: &mut Summary,
) -> Result<(), Failure> {
    let job: JobView = client.post("/api/v1/ingest", request).await?;
    if client.server().is_some() && !context.global.dry_run {
        note(format_args!(
            "job {} (it goes on without this terminal; `chiron jobs show {} --follow`)",
            job.id, job.id
        ));
    }
    let job = follow(client, job.id, |happening| match happening {
        Happening::Progress(progress) => bar.progress(progress),
        Happening::File(file) => {
            bar.aside(|| context.out.line(report::line(&file)));
            summary.add(*file);
        }
    })
    .await?;
    summary.job(&job);
    match job.state {
        JobState::Cancelled => Err(Failure::internal(format_args!("job {} was cancelled", job.id))
            .next("run the command again; what was admitted stays admitted")),
        JobState::Failed => Err(Failure::internal(format_args!(
            "job {} failed: {}",
            job.id,
            job.error.as_deref().unwrap_or("no reason was given")
        ))
        .next("run the command again; what was admitted stays admitted")),
        JobState::Queued | JobState::Running | JobState::Done => Ok(()),
    }
}

/// The items of a list of pins, one for each.
pub fn item(project: &str, specifier: Option<String>, hashes: Vec<String>) -> IngestItem {
    IngestItem {
        project: project.to_owned(),
        specifier,
        hashes,
    }
}
