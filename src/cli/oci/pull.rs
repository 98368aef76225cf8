//! `chiron oci pull`.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use super::RegistryArgs;
use super::bar::watch;
use super::push::say_traffic;
use super::signed::{self, Signed, Standing};
use crate::cli::context::Context;
use crate::cli::exit::{ExitStatus, Failure};
use crate::cli::output::{bytes, count};
use crate::oci::release::{PulledRelease, pull_release};
use crate::oci::{Kind, Place, Pulled, Registry, Resolved, Tally, pull_bundle};

/// Arguments of `oci pull`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  chiron oci pull HOST:PORT/bundles:1234-ab12cd34ef56 incoming/\n  chiron airgap import incoming/ --root root.json\n  chiron oci pull localhost:5000/flask:3.0.3 --plain-http --key statement.pem\n\nWhat was pulled by a run that broke off is gone on with; the folder appears when it is whole. Digests are always\nverified. Who signed a bundle is asked by `chiron airgap verify` and `import`; a release's signed verdicts are\nverified with --key (the site's /keys/statement.pem)."
)]
pub struct PullArgs {
    /// HOST:PORT/REPOSITORY:TAG (or @sha256:HEX), and the folder to make (default: named after what it is)
    #[arg(required = true, num_args = 1..=2, value_name = "REF|OUT")]
    args: Vec<String>,
    /// The key that a release's verdicts must be signed with
    #[arg(long, value_name = "PEM")]
    key: Option<PathBuf>,
    #[command(flatten)]
    registry: RegistryArgs,
}

/// Pulls whatever is there.
pub async fn run(context: &Context, args: PullArgs) -> Result<ExitStatus, Failure> {
    let (place, out) = sort_out(&args.args)?;
    let key = args.key.as_deref().map(signed::read_key).transpose()?;
    let wanted = place.wanted().ok_or_else(|| {
        Failure::usage(format_args!("`{place}` names no tag"))
            .next("add :TAG, for a bundle its snapshot (as `oci push` said), or @sha256:HEX")
    })?;
    let registry = args.registry.open(&place).await?;
    let resolved = registry.resolve(&wanted).await?;
    let (out, dry_run) = (out.as_deref(), context.global.dry_run);
    let tally = Tally::default();
    match resolved.kind {
        Kind::Bundle => {
            let pulled = watch(
                "pull",
                &tally,
                pull_bundle(&registry, &resolved, out, dry_run, &tally),
            )
            .await?;
            say_bundle(context, &pulled, &tally)?;
            Ok(ExitStatus::Done)
        }
        Kind::Release => release(context, &registry, &resolved, out, key.as_ref(), &tally).await,
    }
}

fn say_bundle(context: &Context, pulled: &Pulled, tally: &Tally) -> Result<(), Failure> {
    let dry_run = context.global.dry_run;
    context.out.document(&json!({
        "kind": "bundle", "reference": pulled.reference, "out": pulled.out, "id": pulled.id, "digest": pulled.digest,
        "volumes": pulled.volumes, "bytes": pulled.bytes, "already": pulled.already, "dry_run": dry_run,
        "received": { "blobs": tally.blobs_moved(), "bytes": tally.moved() },
        "there": { "blobs": tally.blobs_had(), "bytes": tally.had() },
    }))?;
    let doing = if pulled.already {
        "is there already, in"
    } else if dry_run {
        "would be pulled into"
    } else {
        "is in"
    };
    context.out.line(format_args!(
        "{} {doing} {} ({}, {})",
        pulled.id,
        pulled.out.display(),
        count(u64::from(pulled.volumes), "volume", "volumes"),
        bytes(pulled.bytes)
    ));
    context
        .out
        .line(format_args!("  digest  sha256:{}", pulled.digest));
    if !pulled.already && !dry_run {
        say_traffic(context, tally, "came");
    }
    context
        .out
        .line("  next    chiron airgap verify, then import: who signed it was not asked here");
    Ok(())
}

async fn release(
    context: &Context,
    registry: &Registry,
    resolved: &Resolved,
    out: Option<&Path>,
    key: Option<&crate::statement::PublicKey>,
    tally: &Tally,
) -> Result<ExitStatus, Failure> {
    let dry_run = context.global.dry_run;
    let pulled = watch(
        "pull",
        tally,
        pull_release(registry, resolved, out, dry_run, tally),
    )
    .await?;
    let signed = if dry_run {
        Vec::new()
    } else {
        signed::look(&pulled, key)?
    };
    context.out.document(&json!({
        "kind": "release", "reference": pulled.reference, "out": pulled.out, "project": pulled.project,
        "version": pulled.version, "digest": pulled.digest, "files": pulled.files, "signed": signed,
        "already": pulled.already, "dry_run": dry_run,
        "received": { "blobs": tally.blobs_moved(), "bytes": tally.moved() },
        "there": { "blobs": tally.blobs_had(), "bytes": tally.had() },
    }))?;
    say_release(context, &pulled, &signed);
    let refused = signed.iter().any(|file| file.verdict == Standing::Refused);
    // With a key, silence is no consent.
    let silent = key.is_some() && signed.iter().any(|file| file.verdict == Standing::Absent);
    if refused || silent {
        return Ok(ExitStatus::NotAdmitted);
    }
    Ok(ExitStatus::Done)
}

fn say_release(context: &Context, pulled: &PulledRelease, signed: &[Signed]) {
    let doing = if context.global.dry_run {
        "would be pulled into"
    } else {
        "is in"
    };
    context.out.line(format_args!(
        "{}=={} {doing} {}",
        pulled.project,
        pulled.version,
        pulled.out.display()
    ));
    for file in &pulled.files {
        context
            .out
            .line(format_args!("  {}  {}", file.filename, bytes(file.size)));
        if let Some(why) = &file.yanked {
            context.out.line(format_args!("    yanked      {why}"));
        }
        if let Some(signed) = signed.iter().find(|signed| signed.filename == file.filename) {
            for line in in_words(signed) {
                context.out.line(format_args!("    {line}"));
            }
        }
        for other in &file.others {
            context.out.line(format_args!("    left there  {other}"));
        }
    }
}

fn in_words(signed: &Signed) -> Vec<String> {
    let keys = signed.claimed_keys.join(", ");
    let mut lines = vec![match signed.verdict {
        Standing::Verified => format!("signed      verdict, verified with the key given ({keys})"),
        Standing::NotVerified => {
            format!("signed      verdict, not verified: it names the key {keys}; --key verifies it")
        }
        Standing::Absent => "not signed  no signed verdict came along".to_owned(),
        Standing::Refused => format!(
            "NOT BELIEVED  the signed verdict: {}",
            signed.why.as_deref().unwrap_or("it does not hold")
        ),
    }];
    if signed.provenance {
        lines.push(
            "signed      attestations of the publisher, not verified: `chiron verify FILE` does".to_owned(),
        );
    }
    if !signed.unsigned.is_empty() {
        let names: Vec<&str> = signed.unsigned.iter().map(|kind| kind.suffix()).collect();
        lines.push(format!("not signed  {}", names.join(" ")));
    }
    lines
}

/// The place in the registry, and the folder. In either order.
fn sort_out(args: &[String]) -> Result<(Place, Option<PathBuf>), Failure> {
    match args {
        [place] => Ok((Place::parse(place)?, None)),
        [first, second] if Place::parse(first).is_err() || Path::new(first).exists() => {
            match Place::parse(second) {
                Ok(place) => Ok((place, Some(first.into()))),
                // The first is where one looks for the mistake.
                Err(_) => Ok((Place::parse(first)?, Some(second.into()))),
            }
        }
        [first, second] => Ok((Place::parse(first)?, Some(second.into()))),
        _ => Err(Failure::usage(
            "one place in a registry and one folder are pulled into",
        )),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_order_does_not_matter() {
        let args = |all: [&str; 2]| all.map(ToOwned::to_owned);
        for all in [["localhost:1/x:t", "/tmp/out"], ["/tmp/out", "localhost:1/x:t"]] {
            let (place, out) = sort_out(&args(all)).unwrap();
            assert_eq!(place.to_string(), "localhost:1/x:t");
            assert_eq!(out, Some("/tmp/out".into()));
        }
        assert_eq!(sort_out(&args(["x", "y"])).unwrap_err().status, ExitStatus::Usage);
    }
}
