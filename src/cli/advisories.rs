//! `chiron advisories`: the database of known vulnerabilities and malware.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use http::Method;
use serde_json::Value;

use super::client::{Client, Payload, segment};
use super::context::{Context, Open};
use super::exit::{ExitStatus, Failure};
use super::follow::{Happening, follow};
use super::ingest::report::{self, Bar};
use super::output::{bytes, count, note};
use super::scrub::failed;
use crate::api::{
    AdvisoriesLoad, AdvisoriesStatus, AdvisoryCheck, AdvisoryDatabase, AdvisoryRecords, FileOutcome,
    FileResult, JobView, Noted,
};

/// Things of one kind that a status prints; `--format json` has more.
const PRINTED: usize = 10;

/// The verbs under `advisories`.
#[derive(Debug, Subcommand)]
#[command(after_help = "Example:\n  chiron advisories load all.zip")]
pub enum AdvisoriesCommand {
    /// Put a database in force and judge everything stored again
    #[command(
        after_help = "Examples:\n  chiron advisories load all.zip                     the dump of the OSV project for PyPI\n  chiron advisories load known_exploited_vulnerabilities.json\n  chiron advisories load epss_scores-current.csv.gz\n  chiron advisories load vex/                        a folder of OpenVEX or CSAF documents\n\nWhat each file is, is seen from its content. Advisories replace those that were loaded before; a list (KEV, EPSS)\nreplaces the list of its kind; a VEX document replaces the one of the same name. What was not brought stays.\nAn empty database, one that does not read to its end, and (without --allow-older) one that is older than the one\nin force are refused, and the one in force stays in force."
    )]
    Load(LoadArgs),
    /// The database in force, what was set aside, and VEX statements that match nothing
    #[command(after_help = "Example:\n  chiron advisories status")]
    Status,
    /// The records of one vulnerability, by any of its names
    #[command(after_help = "Example:\n  chiron advisories show CVE-2024-3651")]
    Show(ShowArgs),
    /// What is known against a release; it need not be stored
    #[command(
        after_help = "Example:\n  chiron advisories check idna==3.6\n\nExit status 1 when something is known against it, or nothing can be said."
    )]
    Check(CheckArgs),
}

/// Arguments of `advisories load`.
#[derive(Debug, Args)]
pub struct LoadArgs {
    /// A zip dump, a folder, a JSON document, JSON lines, or a CSV of scores
    path: PathBuf,
    /// Take a database that is older than the one in force
    #[arg(long)]
    allow_older: bool,
    /// Forget the VEX documents that were loaded before
    #[arg(long)]
    drop_vex: bool,
}

/// Arguments of `advisories show`.
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// `GHSA-…`, `PYSEC-…`, `CVE-…`, `MAL-…`
    id: String,
}

/// Arguments of `advisories check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// PROJECT==VERSION
    release: String,
}

/// Runs one of them.
pub async fn run(context: &Context, command: AdvisoriesCommand) -> Result<ExitStatus, Failure> {
    match command {
        AdvisoriesCommand::Load(args) => load(context, &args).await,
        AdvisoriesCommand::Status => {
            context
                .with_client(Open::Existing, async |client| status(context, client).await)
                .await
        }
        AdvisoriesCommand::Show(args) => {
            context
                .with_client(Open::Existing, async |client| {
                    show(context, client, &args.id).await
                })
                .await
        }
        AdvisoriesCommand::Check(args) => {
            let (project, version) = args.release.split_once("==").ok_or_else(|| {
                Failure::usage(format_args!("`{}` names no version", args.release))
                    .next("write it as PROJECT==VERSION")
            })?;
            context
                .with_client(Open::Existing, async |client| {
                    check(context, client, project, version).await
                })
                .await
        }
    }
}

async fn load(context: &Context, args: &LoadArgs) -> Result<ExitStatus, Failure> {
    let about = std::fs::metadata(&args.path).map_err(|error| Failure::file("read", &args.path, &error))?;
    // A folder travels as one archive, so that a daemon on another machine takes it too.
    let packed = if about.is_dir() {
        Some(pack(&args.path)?)
    } else {
        None
    };
    let (path, size) = match &packed {
        Some(packed) => {
            let size = packed.as_file().metadata().map_or(0, |about| about.len());
            (packed.path().to_owned(), size)
        }
        None => (args.path.clone(), about.len()),
    };
    let name = args
        .path
        .file_name()
        .map_or_else(|| "database".into(), |name| name.to_string_lossy().into_owned());
    let dry_run = context.global.dry_run;
    let open = if dry_run { Open::OrScratch } else { Open::OrCreate };
    let status = context
        .with_client(open, async |client| {
            let bar = Bar::new("loading");
            bar.expect(1, size);
            let counter = bar.counter();
            let payload = Payload::File {
                path: path.clone(),
                sent: Box::new(move |bytes| counter.add(bytes)),
            };
            let url = format!(
                "/api/v1/advisories?name={}&allow_older={}&drop_vex={}&dry_run={dry_run}",
                segment(&name),
                args.allow_older,
                args.drop_vex
            );
            let sent = client.call(Method::POST, &url, "application/json", payload).await;
            bar.finish();
            let loaded: AdvisoriesLoad = client.read(sent?).await?;
            if !context.out.is_json() {
                print_load(context, &loaded, size);
            }
            let job = match &loaded.job {
                Some(job) => Some(wait(context, client, job.id).await?),
                None => None,
            };
            context.out.document(&AdvisoriesLoad { job: job.clone(), ..loaded })?;
            if let Some(job) = job {
                failed(&job)?;
                let out = job.files.iter().filter(|file| is_out(file)).count() as u64;
                context.out.line(format_args!(
                    "judged everything stored again (job {}): the judgment of {} changed, {out} of them {} not served",
                    job.id,
                    count(job.files.len() as u64, "file", "files"),
                    if out == 1 { "is" } else { "are" },
                ));
            }
            Ok(ExitStatus::Done)
        })
        .await;
    drop(packed);
    status
}

/// Waits for the job that judges everything again; each file that is not served now is a line.
async fn wait(context: &Context, client: &Client, id: u64) -> Result<JobView, Failure> {
    let bar = Bar::new("judging again");
    let job = follow(client, id, |happening| match happening {
        Happening::Progress(progress) => bar.progress(progress),
        Happening::File(file) if is_out(&file) => bar.aside(|| context.out.line(report::line(&file))),
        Happening::File(_) => {}
    })
    .await;
    bar.finish();
    Ok(job?)
}

/// Whether a file that was judged again is not served.
fn is_out(file: &FileResult) -> bool {
    !matches!(file.outcome, FileOutcome::Admitted | FileOutcome::Present)
}

fn print_load(context: &Context, loaded: &AdvisoriesLoad, size: u64) {
    let out = context.out;
    let after = &loaded.after;
    let done = match (loaded.dry_run, loaded.unchanged) {
        (_, true) => "is in force already",
        (true, false) => "would be put in force; nothing was changed",
        (false, false) => "is in force",
    };
    out.line(format_args!("{} ({}) {done}", after.source, bytes(size)));
    print_database(context, after);
    if let Some(before) = &loaded.before {
        out.line(format_args!(
            "  before       of {}, {} records; {} new, {} gone, {} changed",
            before.as_of, before.records, loaded.added, loaded.removed, loaded.changed
        ));
    }
}

fn print_database(context: &Context, database: &AdvisoryDatabase) {
    let out = context.out;
    out.line(format_args!("  as of        {}", database.as_of));
    out.line(format_args!("  digest       {}", database.digest));
    out.line(format_args!(
        "  records      {} about {} packages, {} of them malware; {} scored (EPSS), {} exploited (KEV)",
        database.records, database.projects, database.malware, database.epss, database.kev
    ));
    if database.set_aside > 0 {
        out.line(format_args!(
            "  set aside    {}, which leave {} unknown{}",
            count(database.set_aside, "record", "records"),
            count(database.unknown_projects, "package", "packages"),
            match database.unattributed {
                0 => String::new(),
                n => format!("; {n} name no package"),
            }
        ));
    }
    for document in &database.vex {
        out.line(format_args!(
            "  vex          {} by {}: {}, {} unmatched",
            document.id,
            document.by,
            count(document.statements, "statement", "statements"),
            document.unmatched
        ));
    }
}

async fn status(context: &Context, client: &Client) -> Result<ExitStatus, Failure> {
    let status: AdvisoriesStatus = client.get("/api/v1/advisories").await?;
    context.out.document(&status)?;
    let Some(database) = &status.database else {
        context
            .out
            .line("no advisory database is loaded; the check advisories ends as `absent`");
        note("next: `chiron advisories load PATH` loads one");
        return Ok(ExitStatus::Done);
    };
    context
        .out
        .line(format_args!("{}, loaded {}", database.source, database.loaded_at));
    print_database(context, database);
    if let Some(why) = &status.stale {
        context.out.line(format_args!("  STALE        {why}"));
    }
    print_noted(context, "set aside", &status.set_aside);
    print_noted(context, "odd version", &status.odd_versions);
    print_noted(context, "unmatched vex", &status.unmatched_vex);
    Ok(ExitStatus::Done)
}

fn print_noted(context: &Context, what: &str, noted: &Noted) {
    for one in noted.first.iter().take(PRINTED) {
        context.out.line(format_args!(
            "{what}: {} [{}] {} ({})",
            one.id.as_deref().unwrap_or("?"),
            one.projects.join(", "),
            one.reason,
            one.source
        ));
    }
    let more = noted.total.saturating_sub(noted.first.len().min(PRINTED) as u64);
    if more > 0 {
        context.out.line(format_args!(
            "{what}: and {more} more (--format json has the first 100)"
        ));
    }
}

async fn show(context: &Context, client: &Client, id: &str) -> Result<ExitStatus, Failure> {
    let found: AdvisoryRecords = client
        .get(&format!("/api/v1/advisories/records?name={}", segment(id)))
        .await?;
    context.out.document(&found)?;
    if found.items.is_empty() {
        return Err(
            Failure::not_admitted(format_args!("no record of {id} is in the advisory database"))
                .next("`chiron advisories status` says which database is in force"),
        );
    }
    for record in &found.items {
        print_record(context, record);
    }
    Ok(ExitStatus::Done)
}

fn print_record(context: &Context, record: &Value) {
    let out = context.out;
    let text = |key: &str| record[key].as_str().unwrap_or_default();
    out.line(format_args!("{}  {}", text("id"), text("summary")));
    let aliases: Vec<&str> = record["aliases"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    out.line(format_args!("  aliases      {}", aliases.join(", ")));
    out.line(format_args!("  modified     {}", text("modified")));
    for severity in record["severity"].as_array().into_iter().flatten() {
        out.line(format_args!(
            "  severity     {}",
            severity["score"].as_str().unwrap_or_default()
        ));
    }
    for affected in record["affected"].as_array().into_iter().flatten() {
        let name = affected["package"]["name"].as_str().unwrap_or_default();
        let versions = affected["versions"].as_array().map_or(0, Vec::len);
        let ranges = affected["ranges"].as_array().into_iter().flatten();
        let ranges: Vec<String> = ranges
            .filter(|range| range["type"] != "GIT")
            .map(|range| range["events"].to_string())
            .collect();
        out.line(format_args!(
            "  affected     {name}: {versions} versions listed; {}",
            ranges.join(" ")
        ));
    }
}

async fn check(
    context: &Context,
    client: &Client,
    project: &str,
    version: &str,
) -> Result<ExitStatus, Failure> {
    let url = format!(
        "/api/v1/advisories/check?project={}&version={}",
        segment(project),
        segment(version)
    );
    let found: AdvisoryCheck = client.get(&url).await?;
    context.out.document(&found)?;
    context
        .out
        .line(format_args!("{}: {}", found.outcome, found.summary));
    for matched in found.facts["matched"].as_array().into_iter().flatten() {
        let text = |key: &str| matched[key].as_str().unwrap_or_default();
        let list = |key: &str| {
            let items = matched[key]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(Value::as_str);
            items.collect::<Vec<_>>().join(", ")
        };
        let vex = match &matched["vex"] {
            Value::Null => String::new(),
            vex => format!(
                "; {} says {}",
                vex["by"].as_str().unwrap_or_default(),
                vex["status"].as_str().unwrap_or_default()
            ),
        };
        out_line(
            context,
            &[
                text("id"),
                text("severity"),
                &list("fixed_in"),
                &list("aliases"),
                text("summary"),
                &vex,
            ],
        );
    }
    for finding in found.facts["findings"].as_array().into_iter().flatten() {
        context.out.line(format_args!(
            "  {}",
            finding["detail"].as_str().unwrap_or_default()
        ));
    }
    Ok(if found.outcome == "pass" {
        ExitStatus::Done
    } else {
        ExitStatus::NotAdmitted
    })
}

fn out_line(context: &Context, [id, severity, fixed, aliases, summary, vex]: &[&str; 6]) {
    let fixed = if fixed.is_empty() {
        "no fix is known".to_owned()
    } else {
        format!("fixed in {fixed}")
    };
    context.out.line(format_args!(
        "  {id} ({severity}) {fixed}; {summary} [{aliases}]{vex}"
    ));
}

/// Packs a folder into an archive beside the other temporary files; links are not followed.
fn pack(folder: &Path) -> Result<tempfile::NamedTempFile, Failure> {
    let file = tempfile::NamedTempFile::new()
        .map_err(|error| Failure::file("make a file in", &std::env::temp_dir(), &error))?;
    let mut archive = zip::ZipWriter::new(io::BufWriter::new(file.as_file()));
    let options = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    let mut folders = vec![folder.to_owned()];
    while let Some(inside) = folders.pop() {
        let failed = |error: &io::Error| Failure::file("read", &inside, error);
        for entry in std::fs::read_dir(&inside).map_err(|error| failed(&error))? {
            let path = entry.map_err(|error| failed(&error))?.path();
            let about =
                std::fs::symlink_metadata(&path).map_err(|error| Failure::file("read", &path, &error))?;
            if about.is_dir() {
                folders.push(path);
                continue;
            }
            if !about.is_file() {
                continue;
            }
            let name = path
                .strip_prefix(folder)
                .unwrap_or(&path)
                .to_string_lossy()
                .into_owned();
            let copied = archive
                .start_file(name, options)
                .map_err(io::Error::other)
                .and_then(|()| {
                    let mut from = File::open(&path)?;
                    io::copy(&mut from, &mut archive)
                });
            copied.map_err(|error| Failure::file("pack", &path, &error))?;
        }
    }
    let done = archive
        .finish()
        .map_err(io::Error::other)
        .and_then(|mut out| io::Write::flush(&mut out));
    done.map_err(|error| Failure::file("pack", folder, &error))?;
    Ok(file)
}
