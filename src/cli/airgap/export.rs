//! `chiron airgap export`: a bundle, or something plainer, for a site that no network reaches.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use super::super::context::{Context, Open};
use super::super::exit::{ExitStatus, Failure};
use super::super::follow::{Happening, follow};
use super::super::ingest::report::Bar;
use super::super::ingest::sources::{self, Sources};
use super::super::output::{bytes, count, note};
use super::closure;
use crate::api::{AirgapFailure, ExportForm, ExportReport, ExportRequest, JobState, JobView};
use crate::bundle::dsse::SignedManifest;
use crate::bundle::layout::BundleSource;
use crate::config::ByteSize;

/// Arguments of `airgap export`, and of `airgap plan`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  chiron airgap export /media/stick/all                     everything, as a folder (an OCI image layout)\n  chiron airgap export all.tar --volume-size 4GiB           as tar volumes all-0001-of-0003.tar, …\n  chiron airgap export next.tar --against receipt.json --delta\n  chiron airgap export next.tar --since all/                what came after the bundle all/\n  chiron airgap export app.tar -r requirements.txt --python 3.12 --platform manylinux_2_28_x86_64\n  chiron airgap export more.tar --fill wanted.txt\n  chiron airgap export house/ --as wheelhouse -r requirements.txt\n\nKilled, the same command goes on where it stopped (OUT.partial). Exit status 1 when something that was named is not\nadmitted here, or a receipt is of another log."
)]
pub struct ExportArgs {
    /// A folder to make; with the ending .tar or a volume size, the name that the volumes begin with
    #[arg(value_name = "OUT")]
    out: PathBuf,
    #[command(flatten)]
    what: WhatArgs,
}

/// What goes out.
#[derive(Debug, Args)]
pub struct WhatArgs {
    /// Only what came later than this: a snapshot (1234-ab12cd34ef56), a log size, a time, or an earlier bundle
    #[arg(long, value_name = "SNAPSHOT", conflicts_with_all = ["against", "fill"])]
    since: Option<String>,
    /// Only what this receipt's site lacks
    #[arg(long, value_name = "RECEIPT", conflicts_with = "fill")]
    against: Option<PathBuf>,
    /// Exactly the files that this list names: digests or filenames, one a line
    #[arg(long, value_name = "LIST", conflicts_with_all = ["project", "requirements", "lock"])]
    fill: Option<PathBuf>,
    /// Only this release (flask, 'flask>=3,<4'), as it is admitted here; may be given several times
    #[arg(long, value_name = "SPEC")]
    project: Vec<String>,
    /// Only what this requirements file names; may be given several times
    #[arg(short = 'r', long = "requirements", value_name = "FILE")]
    requirements: Vec<PathBuf>,
    /// Only what this lock file names (pylock.toml or uv.lock); may be given several times
    #[arg(long, value_name = "FILE")]
    lock: Vec<PathBuf>,
    /// Also what these need: resolved by uv among what is admitted here, for each --python and --platform
    #[arg(long)]
    with_deps: bool,
    /// Of these, only wheels that run on this Python (3.12); may be given several times
    #[arg(long, value_name = "V", value_parser = sources::python_version)]
    python: Vec<String>,
    /// Of these, only wheels for this platform tag (`manylinux_2_28_x86_64`); may be given several times
    #[arg(long, value_name = "TAG")]
    platform: Vec<String>,
    /// Go on without what is named and not admitted here
    #[arg(long)]
    leave_out_missing: bool,
    /// Write tar volumes of at most this size (4GiB)
    #[arg(long, value_name = "SIZE")]
    volume_size: Option<ByteSize>,
    /// Send wheels as differences from older ones that the receipt shows are there
    #[arg(long, requires = "against")]
    delta: bool,
    /// Something plainer than a bundle, for places where no Chiron runs
    #[arg(long = "as", value_name = "FORM", value_enum)]
    form: Option<Form>,
}

/// Plainer forms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    /// Wheels with hash-pinned requirements, for `pip install --no-index --find-links`
    Wheelhouse,
    /// Pages and files that any web server can serve (PEP 503)
    Static,
}

/// Writes it.
pub async fn run(context: &Context, args: ExportArgs) -> Result<ExitStatus, Failure> {
    export(context, &args.out, args.what, context.global.dry_run).await
}

/// Asks for the export and follows it to its end.
pub(super) async fn export(
    context: &Context,
    out: &Path,
    what: WhatArgs,
    dry_run: bool,
) -> Result<ExitStatus, Failure> {
    let sources = Sources::collect(&what.project, &what.requirements, &what.lock)?;
    if let Some(file) = sources.files.first() {
        return Err(Failure::usage(format_args!(
            "{} is a file; only what is admitted here goes out",
            file.path.display()
        ))
        .next(format_args!("`chiron ingest {}` first", file.path.display())));
    }
    if what.with_deps && sources.items.is_empty() {
        return Err(
            Failure::usage("--with-deps resolves projects and requirements, and there are none")
                .next("name some with --project or -r"),
        );
    }
    if sources.items.is_empty() && !(what.python.is_empty() && what.platform.is_empty()) {
        return Err(Failure::usage(
            "--python and --platform choose among the wheels of what is named, and nothing is",
        )
        .next("name something with --project, -r or --lock"));
    }
    let mut request = ExportRequest {
        out: absolute(out)?,
        since: what.since.as_deref().map(since).transpose()?,
        against: what.against.as_deref().map(absolute).transpose()?,
        fill: what.fill.as_deref().map(absolute).transpose()?,
        items: sources.items.clone(),
        pythons: what.python.clone(),
        platforms: what.platform.clone(),
        leave_out_missing: what.leave_out_missing,
        volume_size: what.volume_size.map(ByteSize::bytes),
        delta: what.delta,
        form: what.form.map(|form| match form {
            Form::Wheelhouse => ExportForm::Wheelhouse,
            Form::Static => ExportForm::Static,
        }),
        dry_run,
    };
    context
        .with_client(Open::Existing, async |client| {
            if what.with_deps {
                request.items = closure::resolve(client, &sources, &what).await?;
            }
            let job: JobView = client.post("/api/v1/airgap/exports", &request).await?;
            if client.server().is_some() && !dry_run {
                note(format_args!(
                    "job {} (it goes on without this terminal; `chiron jobs show {} --follow`)",
                    job.id, job.id
                ));
            }
            let bar = Bar::new(if dry_run { "looking" } else { "exporting" });
            let job = follow(client, job.id, |happening| {
                if let Happening::Progress(progress) = happening {
                    bar.progress(progress);
                }
            })
            .await?;
            bar.finish();
            finish(context, &job, &request)
        })
        .await
}

impl WhatArgs {
    pub(super) fn requirements(&self) -> &[PathBuf] {
        &self.requirements
    }

    pub(super) fn pythons(&self) -> &[String] {
        &self.python
    }

    pub(super) fn platforms(&self) -> &[String] {
        &self.platform
    }
}

/// As a daemon finds it, which is in another folder: without `..`, as far as the folder is there.
fn absolute(path: &Path) -> Result<PathBuf, Failure> {
    let path = std::path::absolute(path).map_err(|error| Failure::file("find", path, &error))?;
    let folder = path.parent().and_then(|folder| folder.canonicalize().ok());
    Ok(match (folder, path.file_name()) {
        (Some(folder), Some(name)) => folder.join(name),
        _ => path,
    })
}

/// A bundle that is at hand stands for the snapshot that it says it is. Its signature is not looked at: what is wrong in
/// there makes a bundle that does not fit, and nothing worse.
fn since(text: &str) -> Result<String, Failure> {
    let path = Path::new(text);
    if !path.exists() {
        return Ok(text.to_owned());
    }
    let source = BundleSource::open(&[path.to_owned()])?;
    let manifest = SignedManifest::parse_unverified(source.envelope())?;
    Ok(manifest.claimed().id.to_string())
}

fn finish(context: &Context, job: &JobView, request: &ExportRequest) -> Result<ExitStatus, Failure> {
    let report: ExportReport = job
        .report
        .clone()
        .and_then(|report| serde_json::from_value(report).ok())
        .unwrap_or_default();
    match job.state {
        JobState::Failed => {
            let why = job.error.as_deref().unwrap_or("no reason was given");
            return Err(failure(report.failure, why, request));
        }
        JobState::Cancelled => {
            return Err(Failure::internal(format_args!("job {} was cancelled", job.id))
                .next("run the command again; it goes on where it stopped"));
        }
        JobState::Queued | JobState::Running | JobState::Done => {}
    }
    context.out.document(&report)?;
    for text in &report.notes {
        note(format_args!("note: {text}"));
    }
    let what = if report.dry_run { "would hold" } else { "holds" };
    context.out.line(format_args!(
        "{} ({}{}) {what} {}, {} in {}",
        report.id,
        report.scope,
        report
            .base
            .as_ref()
            .map(|base| format!(" since {base}"))
            .unwrap_or_default(),
        count(report.entries, "log entry", "log entries"),
        bytes(report.file_bytes),
        count(report.files, "file", "files"),
    ));
    if report.deltas > 0 {
        let travels = count(report.deltas, "file travels", "files travel");
        context
            .out
            .line(format_args!("{travels} as the difference from an older one"));
    }
    if report.already_there > 0 {
        let there = count(report.already_there, "file is", "files are");
        context
            .out
            .line(format_args!("{there} there already, by the receipt"));
    }
    let most = if report.dry_run { "at most " } else { "" };
    context.out.line(format_args!(
        "{most}{} in {}",
        bytes(report.bytes),
        count(report.volumes.len() as u64, "volume", "volumes"),
    ));
    if !report.dry_run {
        let mut shown = "";
        for volume in &report.volumes {
            if volume.path != shown {
                context.out.line(&volume.path);
            }
            shown = &volume.path;
        }
    }
    Ok(ExitStatus::Done)
}

fn failure(kind: Option<AirgapFailure>, why: &str, request: &ExportRequest) -> Failure {
    match kind {
        Some(AirgapFailure::Usage) => Failure::usage(why),
        Some(AirgapFailure::NotAdmitted) if request.items.is_empty() && request.fill.is_none() => {
            Failure::not_admitted(why)
        }
        Some(AirgapFailure::NotAdmitted) => Failure::not_admitted(why)
            .next("`chiron ingest` brings in what is missing, --leave-out-missing goes on without it"),
        Some(AirgapFailure::Integrity) => Failure::integrity(why),
        Some(AirgapFailure::Upstream) => Failure::upstream(why),
        Some(AirgapFailure::Internal) | None => {
            Failure::internal(why).next("run the command again; it goes on where it stopped")
        }
    }
}
