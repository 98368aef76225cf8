//! `chiron airgap verify`: a bundle is what its sender signed, all of it. Needs a root of trust and nothing else.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use jiff::Timestamp;
use serde::Serialize;

use super::super::context::Context;
use super::super::exit::{ExitStatus, Failure};
use super::super::output::{bytes, count, note};
use super::given;
use super::overview::Overview;
use crate::blocking;
use crate::bundle::BundleError;
use crate::bundle::check::{Anchor, Checked, Floors, Head, check_entries_of, check_head, check_items};
use crate::bundle::dsse::SignedManifest;
use crate::bundle::layout::BundleSource;

/// Arguments of `airgap verify`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  chiron airgap verify bundle.tar --root root.json\n  chiron airgap verify bundle-0001-of-0002.tar bundle-0002-of-0002.tar --root root.json\n  chiron airgap verify bundle/ --root root.json --against receipt.json   would it fit the site that wrote the receipt?\n\nChecks the sender's TUF chain, the signature, that the log continues what was seen, every log entry and every byte.\n\nExit status: 0 verified, 1 not believed, expired, does not fit or not whole, 2 no bundle there, 4 damaged, or another history of the same log."
)]
pub struct VerifyArgs {
    /// The bundle: a folder, a tar, all volumes in any order, or a folder of volumes
    #[arg(value_name = "PLACE", required = true)]
    places: Vec<PathBuf>,
    /// A TUF root of the sender that you trust, of any version
    #[arg(long, value_name = "FILE")]
    root: Option<PathBuf>,
    /// Take the root of this [[airgap.sender]]
    #[arg(long, value_name = "NAME")]
    sender: Option<String>,
    /// Judge expiry as of this time instead of now (RFC 3339)
    #[arg(long, value_name = "TIME", value_parser = time)]
    reference_time: Option<Timestamp>,
    /// Also hold it against what the site has that wrote this receipt [default: this site, if there is one]
    #[arg(long, value_name = "RECEIPT")]
    against: Option<PathBuf>,
    /// Only these volumes: that others are missing is no failure
    #[arg(long)]
    partial: bool,
}

/// A time on the command line.
pub(super) fn time(text: &str) -> Result<Timestamp, String> {
    text.parse()
        .map_err(|_| "write a time in RFC 3339, such as 2026-11-20T12:00:00Z".to_owned())
}

#[derive(Serialize)]
struct Report<'a> {
    schema: &'static str,
    /// Everything at hand is what the sender signed.
    verified: bool,
    bundle: Overview<'a>,
    /// Volumes that are not at hand.
    missing_volumes: &'a [u32],
    checked: Checked,
    /// Entries of the log that were held against its root; absent while volumes with entries are missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    entries_proven: Option<u64>,
    reference_time: Timestamp,
    /// When the sender's timestamp ceases to be believed.
    expires: Option<Timestamp>,
    /// What else it was held against.
    #[serde(skip_serializing_if = "Option::is_none")]
    held_against: Option<&'a str>,
}

/// Verifies, and says what.
pub async fn run(context: &Context, args: VerifyArgs) -> Result<ExitStatus, Failure> {
    let source = open(args.places).await?;
    let (root, origin) = given::root(context, args.root.as_ref(), args.sender.as_deref())?;
    let site = given::site(context, args.against.as_deref(), args.sender.as_deref()).await?;
    let site = of_this_log(site, &source, args.against.is_some())?;
    let floors = site.as_ref().map(given::Site::floors).unwrap_or_default();
    let whence = site.map(|site| site.whence);
    let reference = floors.reference(args.reference_time, Timestamp::now())?;
    let anchor = Anchor {
        root,
        memory: crate::bundle::TufMemory::default(),
        floors,
    };
    let head = check_head(&source, &anchor, reference, &std::env::temp_dir()).await?;
    let manifest = head.manifest();
    if let Some(origin) = origin.filter(|origin| *origin != manifest.sender.origin) {
        return Err(Failure::not_admitted(format_args!(
            "the bundle is of the log {:?}, and the configuration expects {origin:?} of that sender",
            manifest.sender.origin
        )));
    }
    let (head, checked, proven) = all(head, source, anchor.floors).await?;
    let whole = head.missing.is_empty();
    let report = Report {
        schema: "chiron.airgap-verify/v1",
        verified: true,
        bundle: Overview::new(head.manifest(), &head.signed.digest),
        missing_volumes: &head.missing,
        checked,
        entries_proven: proven,
        reference_time: reference,
        expires: head.expires,
        held_against: whence.as_deref(),
    };
    context.out.document(&report)?;
    print(context, &report);
    if whole || args.partial {
        return Ok(ExitStatus::Done);
    }
    if let Err(missing) = head.whole() {
        note(format_args!(
            "{missing}; name them too, or say --partial. What is here is good"
        ));
    }
    Ok(ExitStatus::NotAdmitted)
}

/// What a site has seen of another log says nothing about this one.
fn of_this_log(
    site: Option<given::Site>,
    source: &BundleSource,
    asked: bool,
) -> Result<Option<given::Site>, Failure> {
    let Some(site) = site else {
        return Ok(None);
    };
    let claimed = SignedManifest::parse_unverified(source.envelope())?;
    let origin = &claimed.claimed().sender.origin;
    if site.statement.sender == *origin {
        return Ok(Some(site));
    }
    let why = format!(
        "{} has seen the log {:?}, and the bundle is of {origin:?}",
        site.whence, site.statement.sender
    );
    if asked {
        return Err(Failure::usage(why)
            .next("give the receipt for this sender: `chiron airgap receipt --sender NAME`"));
    }
    note(format_args!("note: {why}: it is not held against that"));
    Ok(None)
}

/// Finds the volumes.
pub(super) async fn open(places: Vec<PathBuf>) -> Result<Arc<BundleSource>, Failure> {
    let opened = blocking::run(move || BundleSource::open(&places)).await;
    Ok(Arc::new(opened.map_err(Failure::internal)??))
}

/// Every byte, then every entry: damage is told apart from distrust.
async fn all(
    head: Head,
    source: Arc<BundleSource>,
    floors: Floors,
) -> Result<(Head, Checked, Option<u64>), Failure> {
    let checking = blocking::run(move || {
        let checked = check_items(&head, &source, |_| {})?;
        let mut proven = 0;
        let entries = check_entries_of(&head, &source, &floors, |_, _| {
            proven += 1;
            Ok(())
        });
        match entries {
            Ok(()) => Ok((head, checked, Some(proven))),
            Err(BundleError::MissingVolumes { .. }) => Ok((head, checked, None)),
            Err(error) => Err(error),
        }
    });
    Ok(checking.await.map_err(Failure::internal)??)
}

fn print(context: &Context, report: &Report<'_>) {
    let out = context.out;
    report.bundle.print(out);
    let Checked {
        volumes,
        items,
        totals,
    } = report.checked;
    let entries = match report.entries_proven {
        Some(proven) => format!("{}, each proven", count(proven, "log entry", "log entries")),
        None => "log entries not proven: some are in volumes that are not here".to_owned(),
    };
    out.line(format_args!(
        "verified          {} with {}, {}; {entries}",
        count(volumes, "volume", "volumes"),
        count(items, "item", "items"),
        bytes(totals.bytes),
    ));
    let expires = report.expires.map_or_else(String::new, |expires| {
        format!("; the sender's timestamp is believed until {expires}")
    });
    out.line(format_args!(
        "  judged as of    {}{expires}",
        report.reference_time
    ));
    out.line(match report.held_against {
        Some(whence) => format!("  continues       what {whence} has seen of the sender"),
        None => "  on its own      not held against what a site has seen (--against RECEIPT)".to_owned(),
    });
}
