//! `chiron oci push`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use serde_json::json;

use super::RegistryArgs;
use super::bar::watch;
use crate::blocking;
use crate::bundle::layout::BundleSource;
use crate::cli::context::Context;
use crate::cli::exit::{ExitStatus, Failure};
use crate::cli::output::{bytes, count};
use crate::oci::{Place, Tally, push_bundle};

/// Arguments of `oci push`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  chiron oci push HOST:PORT/bundles bundle/\n  chiron oci push HOST:PORT/bundles:monday vol-0001-of-0003.tar vol-0002-of-0003.tar vol-0003-of-0003.tar\n  chiron oci push localhost:5000/flask --release flask==3.0.3 --plain-http\n\nWithout a tag a bundle is tagged with its snapshot, a release with its version. What the registry has is not sent\nagain. Credentials come from docker's configuration. Volumes may be pushed in several runs: the tag is set once\nthe registry has all of them."
)]
pub struct PushArgs {
    /// HOST:PORT/REPOSITORY[:TAG], and the bundle: a folder, or its tar volumes
    #[arg(required = true, value_name = "REF|BUNDLE")]
    args: Vec<String>,
    /// Push this release's admitted files, with the documents beside them, instead of a bundle
    #[arg(long, value_name = "PROJECT==VERSION")]
    release: Option<String>,
    #[command(flatten)]
    registry: RegistryArgs,
}

/// Pushes a bundle or a release.
pub async fn run(context: &Context, args: PushArgs) -> Result<ExitStatus, Failure> {
    let (place, paths) = sort_out(&args.args)?;
    let place = Place::parse(&place)?;
    if place.digest().is_some() {
        return Err(
            Failure::usage(format_args!("`{place}` names what is there already"))
                .next("push under a tag, without @sha256:…"),
        );
    }
    if let Some(release) = &args.release {
        if !paths.is_empty() {
            return Err(Failure::usage("a bundle and --release are two things to push")
                .next("push them one after the other"));
        }
        return Box::pin(super::release::push(context, &args.registry, &place, release)).await;
    }
    if paths.is_empty() {
        return Err(Failure::usage("nothing to push is named")
            .next("name the bundle's folder or tar volumes, or --release PROJECT==VERSION"));
    }
    let source = blocking::run(move || BundleSource::open(&paths))
        .await
        .map_err(Failure::internal)??;
    let registry = args.registry.open(&place).await?;
    let tally = Tally::default();
    let dry_run = context.global.dry_run;
    let pushed = watch(
        "push",
        &tally,
        push_bundle(&registry, &Arc::new(source), dry_run, &tally),
    )
    .await?;
    context.out.document(&json!({
        "reference": pushed.reference, "id": pushed.id, "digest": pushed.digest,
        "volumes": pushed.volumes, "volumes_there": pushed.volumes_there, "dry_run": dry_run,
        "sent": { "blobs": tally.blobs_moved(), "bytes": tally.moved() },
        "there": { "blobs": tally.blobs_had(), "bytes": tally.had() },
    }))?;
    let verb = if dry_run { "would be" } else { "is" };
    context.out.line(format_args!(
        "{} {verb} at {} ({})",
        pushed.id,
        pushed.reference,
        count(u64::from(pushed.volumes), "volume", "volumes")
    ));
    context
        .out
        .line(format_args!("  digest  sha256:{}", pushed.digest));
    say_traffic(context, &tally, "sent");
    Ok(ExitStatus::Done)
}

/// What travelled and what did not have to.
pub fn say_traffic(context: &Context, tally: &Tally, what: &str) {
    context.out.line(format_args!(
        "  {what:<6}  {}, {}; there already: {}, {}",
        count(tally.blobs_moved(), "blob", "blobs"),
        bytes(tally.moved()),
        count(tally.blobs_had(), "blob", "blobs"),
        bytes(tally.had())
    ));
}

/// The place in the registry, and the paths. In whatever order: a path that exists is the bundle.
fn sort_out(args: &[String]) -> Result<(String, Vec<PathBuf>), Failure> {
    let (paths, others): (Vec<&String>, Vec<&String>) = args.iter().partition(|arg| Path::new(arg).exists());
    match others.as_slice() {
        [place] => Ok(((*place).clone(), paths.iter().map(PathBuf::from).collect())),
        [] => {
            Err(Failure::usage("no place in a registry is named").next("name it as HOST:PORT/REPOSITORY:TAG"))
        }
        [first, rest @ ..] => {
            // Of several one may be a slip in a path.
            let place = if Place::parse(first).is_ok() {
                rest.first()
            } else {
                Some(first)
            };
            let slip = place.map_or("", |place| place.as_str());
            Err(
                Failure::usage(format_args!("there is no file or folder `{slip}`"))
                    .next("name one place in a registry, and paths that exist"),
            )
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_order_does_not_matter() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_str().unwrap().to_owned();
        let place = "localhost:1/x".to_owned();
        for args in [[path.clone(), place.clone()], [place.clone(), path.clone()]] {
            assert_eq!(
                sort_out(&args).unwrap(),
                (place.clone(), vec![path.clone().into()])
            );
        }
        let slip = format!("{path}/slip");
        let failure = sort_out(&[place.clone(), slip.clone()]).unwrap_err();
        assert!(failure.what.contains(&slip), "{failure}");
        let failure = sort_out(&[slip.clone(), place]).unwrap_err();
        assert!(failure.what.contains(&slip), "{failure}");
        assert_eq!(sort_out(&[path]).unwrap_err().status, ExitStatus::Usage);
    }
}
