//! `chiron airgap inspect`: what a bundle holds, and what of it a site lacks. Believes nothing: `verify` does that.

use std::path::PathBuf;

use chiron_storage::Digest;
use clap::Args;
use serde::Serialize;

use super::super::context::Context;
use super::super::exit::{ExitStatus, Failure};
use super::super::output::{bytes, count, note};
use super::overview::Overview;
use super::{given, verify};
use crate::blocking;
use crate::bundle::dsse::SignedManifest;
use crate::bundle::{Content, Item, Manifest};

/// Arguments of `airgap inspect`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  chiron airgap inspect bundle.tar\n  chiron airgap inspect bundle.tar --files --format json\n  chiron airgap inspect bundle.tar --receipt receipt.json   what of it the site that wrote the receipt lacks\n\nReads what the bundle says of itself and verifies none of it; `chiron airgap verify` does."
)]
pub struct InspectArgs {
    /// The bundle: a folder, a tar, or all volumes in any order
    #[arg(value_name = "PLACE", required = true)]
    places: Vec<PathBuf>,
    /// Compare with the site that wrote this receipt [default: this site, if there is one]
    #[arg(long, value_name = "RECEIPT")]
    receipt: Option<PathBuf>,
    /// The sender's name at this site, where there are several
    #[arg(long, value_name = "NAME")]
    sender: Option<String>,
    /// Name every file
    #[arg(long)]
    files: bool,
}

#[derive(Serialize)]
struct Report<'a> {
    schema: &'static str,
    /// Always false: this is what the bundle says of itself.
    verified: bool,
    bundle: Overview<'a>,
    volumes: Vec<Volume>,
    /// Volumes that are not at hand: what they hold is not counted below.
    missing_volumes: Vec<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    compared: Option<Compared>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    files: Vec<File>,
}

#[derive(Serialize)]
struct Volume {
    number: u32,
    items: u32,
    bytes: u64,
    here: bool,
}

/// What a site lacks of it.
#[derive(Serialize)]
struct Compared {
    with: String,
    site: String,
    /// The newest state of the log that the site has seen.
    seen: String,
    new_files: u64,
    new_bytes: u64,
    present_files: u64,
    /// Deltas whose base is not there: the site could not make these files.
    without_base: u64,
    /// Whether an import would take it, by the states of the log alone.
    fits: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
}

#[derive(Serialize)]
struct File {
    project: String,
    filename: String,
    sha256: String,
    size: u64,
    volume: u32,
    delta: bool,
    /// Whether the site has it; absent where no site was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    present: Option<bool>,
}

/// Reads and shows it.
pub async fn run(context: &Context, args: InspectArgs) -> Result<ExitStatus, Failure> {
    let source = verify::open(args.places).await?;
    let site = given::site(context, args.receipt.as_deref(), args.sender.as_deref()).await?;
    let envelope = SignedManifest::parse_unverified(source.envelope())?;
    let digest = envelope.digest();
    let manifest = envelope.claimed().clone();
    let reading = {
        let manifest = manifest.clone();
        blocking::run(move || listed(&source, &manifest))
    };
    let listed = reading.await.map_err(Failure::internal)??;
    let (files, compared) = compare(&manifest, &listed, site.as_ref());
    let here = |number: u32| listed.iter().any(|(there, _)| *there == number);
    let volumes = manifest.volumes.iter().map(|part| Volume {
        number: part.number,
        items: part.items,
        bytes: part.bytes,
        here: here(part.number),
    });
    let volumes: Vec<Volume> = volumes.collect();
    let missing = volumes.iter().filter(|volume| !volume.here);
    let report = Report {
        schema: "chiron.airgap-inspect/v1",
        verified: false,
        bundle: Overview::new(&manifest, &digest),
        missing_volumes: missing.map(|volume| volume.number).collect(),
        volumes,
        compared,
        files: if args.files { files } else { Vec::new() },
    };
    context.out.document(&report)?;
    print(context, &report);
    note("note: this is what the bundle says of itself; `chiron airgap verify` checks it");
    Ok(ExitStatus::Done)
}

/// The items of the volumes at hand. Blocks.
fn listed(
    source: &crate::bundle::layout::BundleSource,
    manifest: &Manifest,
) -> Result<Vec<(u32, Vec<Item>)>, crate::bundle::BundleError> {
    let volumes = source.volumes().iter().filter_map(|volume| {
        let part = manifest
            .volumes
            .iter()
            .find(|part| part.number == volume.number())?;
        Some(volume.listing(part).map(|listing| (part.number, listing.items)))
    });
    volumes.collect()
}

/// The files, and what of them the site has.
fn compare(
    manifest: &Manifest,
    listed: &[(u32, Vec<Item>)],
    site: Option<&given::Site>,
) -> (Vec<File>, Option<Compared>) {
    let mut files = Vec::new();
    let mut without_base = 0;
    let has = |digest: &Digest| site.map(|site| site.held.contains(digest));
    for (volume, item) in listed
        .iter()
        .flat_map(|(number, items)| items.iter().map(|item| (*number, item)))
    {
        let (project, filename, sha256, size, delta) = match &item.content {
            Content::File { project, filename } => (project, filename, item.digest, item.size, false),
            Content::WheelDelta {
                project,
                filename,
                sha256,
                file_size,
                base,
            } => {
                without_base += u64::from(has(base) == Some(false) && has(sha256) == Some(false));
                (project, filename, *sha256, *file_size, true)
            }
            _ => continue,
        };
        files.push(File {
            project: project.clone(),
            filename: filename.clone(),
            present: has(&sha256),
            sha256: sha256.to_string(),
            size,
            volume,
            delta,
        });
    }
    let compared = site.map(|site| {
        let new = || files.iter().filter(|file| file.present == Some(false));
        // Of another sender's log nothing follows from these floors.
        let fits = if site.statement.sender == manifest.sender.origin {
            site.floors().fits(manifest).map_err(|error| error.to_string())
        } else {
            Err(format!(
                "the site has seen the log {:?}, and this is of {:?}",
                site.statement.sender, manifest.sender.origin
            ))
        };
        Compared {
            with: site.whence.clone(),
            site: site.statement.site.clone(),
            seen: site.statement.seen.id().to_string(),
            new_files: new().count() as u64,
            new_bytes: new().map(|file| file.size).sum(),
            present_files: files.iter().filter(|file| file.present == Some(true)).count() as u64,
            without_base,
            fits: fits.is_ok(),
            why: fits.err(),
        }
    });
    (files, compared)
}

fn print(context: &Context, report: &Report<'_>) {
    let out = context.out;
    report.bundle.print(out);
    for volume in &report.volumes {
        out.line(format_args!(
            "  volume {:<9}{}, {}{}",
            volume.number,
            count(volume.items.into(), "item", "items"),
            bytes(volume.bytes),
            if volume.here { "" } else { " (not here)" }
        ));
    }
    if let Some(compared) = &report.compared {
        out.line(format_args!(
            "  {} lacks {} of {}, has {}; it has seen {}",
            compared.site,
            count(compared.new_files, "file", "files"),
            bytes(compared.new_bytes),
            compared.present_files,
            compared.seen
        ));
        if compared.without_base > 0 {
            out.line(format_args!(
                "  {} cannot be made there: the older wheel is not there",
                count(compared.without_base, "difference", "differences")
            ));
        }
        match &compared.why {
            None => out.line("  fits there"),
            Some(why) => out.line(format_args!("  does not fit there: {why}")),
        }
    }
    for file in &report.files {
        let mark = match file.present {
            Some(true) => "=",
            Some(false) => "+",
            None => " ",
        };
        let delta = if file.delta { ", as a difference" } else { "" };
        out.line(format_args!(
            "  {mark} {} ({}{delta}) sha256:{}",
            file.filename,
            bytes(file.size),
            file.sha256
        ));
    }
}
