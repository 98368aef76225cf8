//! `chiron tuf keys import`: a key that exists.

use std::path::{Path, PathBuf};

use clap::Args;
use jiff::Timestamp;
use serde_json::json;

use super::{RingArgs, failure, open_ring, show, warn_of_passphrase};
use crate::cli::context::Context;
use crate::cli::exit::{ExitStatus, Failure};
use crate::cli::output::note;
use crate::keys::{HandedIn, KeyPlace, KeyRecord, KeySettings, Keyring, NewPlace, read_handed_in};

/// Arguments of `tuf keys import`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  chiron tuf keys import old-key.pem                  a copy of it, encrypted with the ring's passphrase\n  chiron tuf keys import file:/run/secrets/online.pem it stays where it is\n  chiron tuf keys import root-alice.pub               the public half of an offline key\n  chiron tuf keys import 'awskms:///alias/chiron?region=eu-central-1' --label online"
)]
pub struct ImportArgs {
    /// A file with a private or public key, or the URI of a key that stays where it is
    #[arg(value_name = "FILE|URI")]
    from: String,
    /// What to call it [default: the file's name, or the kind of place]
    #[arg(long)]
    label: Option<String>,
    /// Where a private key from a file is to be kept: file, keyring:secret-service, keyring:keyutils
    #[arg(long = "in", value_name = "PLACE", default_value = "file")]
    store: NewPlace,
    /// File with the passphrase that the file has now, where it is another one than the ring's
    #[arg(long, value_name = "FILE")]
    old_passphrase_file: Option<PathBuf>,
    #[command(flatten)]
    ring: RingArgs,
}

/// Takes the key in.
pub(super) async fn run(context: &Context, args: ImportArgs) -> Result<ExitStatus, Failure> {
    let place = args.from.parse::<KeyPlace>();
    let is_file = Path::new(&args.from).exists() || !args.from.contains(':');
    let label = args.label.clone().unwrap_or_else(|| match &place {
        Ok(place) if !is_file => place.kind().to_owned(),
        _ => label_of(Path::new(&args.from)),
    });
    if context.global.dry_run {
        context
            .out
            .document(&json!({ "dry_run": true, "would_import": args.from, "label": label }))?;
        context
            .out
            .line(format_args!("would take in {} as {label}", args.from));
        context.out.line("nothing was changed");
        return Ok(ExitStatus::Done);
    }
    let RingArgs {
        keys_dir,
        passphrase_file,
    } = &args.ring;
    let ring = open_ring(context, keys_dir.as_deref(), passphrase_file.as_deref())?;
    let now = Timestamp::now();
    let key = if is_file {
        import_file(context, &ring, &args, &label, now).await?
    } else {
        let place = place.map_err(|error| failure(error.into()))?;
        ring.import(&label, place, now).await.map_err(failure)?
    };
    warn_of_passphrase(&ring);
    show(context, &[key], &json!({ "dry_run": false }))?;
    Ok(ExitStatus::Done)
}

async fn import_file(
    context: &Context,
    ring: &Keyring,
    args: &ImportArgs,
    label: &str,
    now: Timestamp,
) -> Result<KeyRecord, Failure> {
    let path = Path::new(&args.from);
    let config = context.config()?;
    let old = args.old_passphrase_file.clone();
    let old = old
        .or_else(|| args.ring.passphrase_file.clone())
        .or(config.tuf.passphrase_file);
    let settings = KeySettings::here(config.tuf.key_timeout.duration(), old, true);
    match read_handed_in(path, &settings).await.map_err(failure)? {
        HandedIn::Public(public) => ring.add_public(label, public, now).await.map_err(failure),
        HandedIn::Private(key) => {
            let key = ring
                .adopt(label, key, args.store.clone(), now)
                .await
                .map_err(failure)?;
            note(format_args!(
                "{} still holds the key: delete it once the new place is backed up",
                path.display()
            ));
            Ok(key)
        }
    }
}

/// A label from a file's name: without its endings, and without what a label may not have.
fn label_of(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let name = name.split('.').next().unwrap_or_default();
    let word = |c: char| {
        if c.is_ascii_alphanumeric() || c == '-' || c == '_' {
            c
        } else {
            '-'
        }
    };
    let label: String = name.chars().map(word).collect();
    let label = label.trim_start_matches(['-', '_']);
    if label.is_empty() {
        "key".to_owned()
    } else {
        label.to_owned()
    }
}
