//! `chiron tuf keys`: the keyring, on the machine that serves or on a laptop that is never online. It opens no database
//! and needs no daemon.

mod failure;
mod import;

use std::path::{Path, PathBuf};

use chiron_tuf::Scheme;
use clap::{Args, Subcommand, ValueEnum};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::cli::context::Context;
use crate::cli::exit::{ExitStatus, Failure};
use crate::cli::output::note;
use crate::keys::{KeyRecord, KeySettings, Keyring, NewPlace};

pub use failure::failure;

/// Hex digits of a key id in a listing: enough to tell keys apart, and to name one.
const SHORT_ID: usize = 16;

/// The verbs under `tuf keys`.
#[derive(Debug, Subcommand)]
#[command(
    after_help = "Examples:\n  chiron tuf keys generate root-alice                make a key in an encrypted file\n  chiron tuf keys list --check                       every key, and whether it signs\n  chiron tuf keys export-public root-alice -o a.pub  what may leave this machine\n\nEvery place of a key is explained in docs/keys.md."
)]
pub enum KeysCommand {
    /// Make new keys: in encrypted files, or in a keyring, token or service
    Generate(GenerateArgs),
    /// The keys of the ring, where they are, and with --check whether they sign
    List(ListArgs),
    /// Take in a key that exists: a file, one in a token or service, or the public half of one that stays offline
    Import(import::ImportArgs),
    /// Print the public half of a key
    ExportPublic(ExportArgs),
    /// Give the key files of the ring another passphrase, one that does not lie beside them
    Passphrase(PassphraseArgs),
}

/// Which ring.
#[derive(Debug, Clone, Args)]
pub struct RingArgs {
    /// The folder of the keyring [default: keys/tuf in the data folder]
    #[arg(long, value_name = "DIR")]
    keys_dir: Option<PathBuf>,
    /// File with the passphrase of the key files [default: `tuf.passphrase_file`, then a question]
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
}

/// How a key signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum SchemeName {
    /// Ed25519
    Ed25519,
    /// ECDSA on P-256 with SHA-256, for tokens and services that know no Ed25519
    P256,
}

impl From<SchemeName> for Scheme {
    fn from(name: SchemeName) -> Self {
        match name {
            SchemeName::Ed25519 => Self::Ed25519,
            SchemeName::P256 => Self::EcdsaP256,
        }
    }
}

/// Arguments of `tuf keys generate`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  chiron tuf keys generate timestamp\n  chiron tuf keys generate root-alice --keys-dir /media/alice/keys\n  chiron tuf keys generate root-bob --scheme p256 --in 'pkcs11:token=bob?module-path=/usr/lib/softhsm/libsofthsm2.so'\n  chiron tuf keys generate online --in hashivault://transit/chiron-online"
)]
pub struct GenerateArgs {
    /// What to call the keys; a label that is taken gets -2
    #[arg(required = true, value_name = "LABEL")]
    labels: Vec<String>,
    /// How they sign
    #[arg(long, value_enum, default_value = "ed25519")]
    scheme: SchemeName,
    /// Where: file, keyring:secret-service, keyring:keyutils, pkcs11:…, `hashivault://MOUNT/KEY`
    #[arg(long = "in", value_name = "PLACE", default_value = "file")]
    store: NewPlace,
    #[command(flatten)]
    ring: RingArgs,
}

/// Arguments of `tuf keys list`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  chiron tuf keys list\n  chiron tuf keys list --check --keys-dir /media/alice/keys"
)]
pub struct ListArgs {
    /// Open every key and have it sign something for trial; exit status 1 when one does not
    #[arg(long)]
    check: bool,
    #[command(flatten)]
    ring: RingArgs,
}

/// Arguments of `tuf keys export-public`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  chiron tuf keys export-public root-alice > root-alice.pub\n  chiron tuf keys export-public 3f9a01c2 --tuf"
)]
pub struct ExportArgs {
    /// The key's label, its id, or 8 digits of its id at least
    key: String,
    /// Write it to this new file instead of stdout
    #[arg(short, long = "out", value_name = "FILE")]
    out: Option<PathBuf>,
    /// As metadata states it (JSON) instead of PEM
    #[arg(long)]
    tuf: bool,
    #[command(flatten)]
    ring: RingArgs,
}

/// Arguments of `tuf keys passphrase`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  chiron tuf keys passphrase --passphrase-file /etc/chiron/passphrase\n  chiron tuf keys passphrase --old-passphrase-file old.txt     asks for the new one\n\nGive the daemon the same passphrase (tuf.passphrase_file, CHIRON_TUF_PASSPHRASE or the systemd credential\nchiron-tuf-passphrase) and restart it."
)]
pub struct PassphraseArgs {
    /// File with the passphrase so far, where it does not lie beside the keys [default: a question]
    #[arg(long, value_name = "FILE")]
    old_passphrase_file: Option<PathBuf>,
    #[command(flatten)]
    ring: RingArgs,
}

/// Runs one of them.
pub async fn run(context: &Context, command: KeysCommand) -> Result<ExitStatus, Failure> {
    match command {
        KeysCommand::Generate(args) => generate(context, args).await,
        KeysCommand::List(args) => list(context, &args).await,
        KeysCommand::Import(args) => import::run(context, args).await,
        KeysCommand::ExportPublic(args) => export(context, &args),
        KeysCommand::Passphrase(args) => passphrase(context, args).await,
    }
}

/// The ring in `folder`, or that of the data folder, with a person at the terminal being asked for what is missing.
///
/// It is made when it is not there, unless this is a dry run.
pub fn open_ring(
    context: &Context,
    folder: Option<&Path>,
    passphrase_file: Option<&Path>,
) -> Result<Keyring, Failure> {
    let config = context.config()?;
    let folder = folder.map_or_else(|| config.storage.path.join("keys/tuf"), Path::to_owned);
    let passphrase_file = passphrase_file.map(Path::to_owned).or(config.tuf.passphrase_file);
    let settings = KeySettings::here(config.tuf.key_timeout.duration(), passphrase_file, true);
    if context.global.dry_run && !folder.exists() {
        return Err(
            Failure::usage(format_args!("there is no keyring at {}", folder.display()))
                .next("without --dry-run it is made"),
        );
    }
    Keyring::open(&folder, settings).map_err(failure)
}

/// The ring that the flags name; for what only looks it must be there.
fn existing_ring(context: &Context, args: &RingArgs) -> Result<Keyring, Failure> {
    let folder = match &args.keys_dir {
        Some(folder) => folder.clone(),
        None => context.config()?.storage.path.join("keys/tuf"),
    };
    if !folder.exists() {
        return Err(Failure::not_admitted(format_args!("there is no keyring at {}", folder.display())).next(
            "`chiron tuf keys generate` or `chiron tuf init` makes one; --keys-dir or --data-dir names another",
        ));
    }
    open_ring(context, Some(&folder), args.passphrase_file.as_deref())
}

async fn generate(context: &Context, args: GenerateArgs) -> Result<ExitStatus, Failure> {
    if context.global.dry_run {
        let labels = args.labels.join(", ");
        context
            .out
            .document(&json!({ "dry_run": true, "would_make": args.labels }))?;
        context
            .out
            .line(format_args!("would make {} ({labels})", count(args.labels.len())));
        context.out.line("nothing was changed");
        return Ok(ExitStatus::Done);
    }
    let RingArgs {
        keys_dir,
        passphrase_file,
    } = &args.ring;
    let ring = open_ring(context, keys_dir.as_deref(), passphrase_file.as_deref())?;
    let mut made = Vec::new();
    for label in &args.labels {
        let key = ring.generate(label, args.scheme.into(), args.store.clone(), Timestamp::now());
        made.push(key.await.map_err(failure)?);
    }
    warn_of_passphrase(&ring);
    show(context, &made, &json!({ "dry_run": false }))?;
    Ok(ExitStatus::Done)
}

async fn list(context: &Context, args: &ListArgs) -> Result<ExitStatus, Failure> {
    let ring = existing_ring(context, &args.ring)?;
    let keys = ring.list().map_err(failure)?;
    if !args.check {
        warn_of_passphrase(&ring);
        let beside = ring.passphrase_is_beside_keys();
        show(context, &keys, &json!({ "passphrase_beside_keys": beside }))?;
        return Ok(ExitStatus::Done);
    }
    let mut status = ExitStatus::Done;
    let mut rows = Vec::new();
    let mut documents = Vec::new();
    for key in &keys {
        let says = match trial(&ring, key).await {
            Ok(says) => says.to_owned(),
            Err(why) => {
                status = ExitStatus::NotAdmitted;
                format!("does not sign: {why}")
            }
        };
        let mut document = describe(key);
        document["check"] = says.clone().into();
        documents.push(document);
        rows.push([
            key.label.clone(),
            short(key),
            key.public.scheme().name().to_owned(),
            says,
        ]);
    }
    context.out.document(&json!({ "keys": documents }))?;
    context.out.table(&rows);
    Ok(status)
}

/// What becomes of a signature that is asked for: one that says nothing.
async fn trial(ring: &Keyring, key: &KeyRecord) -> Result<&'static str, String> {
    if !key.place.is_online() {
        return Ok("offline");
    }
    let signer = ring.signer(key.id).await.map_err(|error| error.to_string())?;
    let message = b"chiron tuf keys list --check: this is no metadata";
    let signed = chiron_tuf::sign(signer.as_ref(), message).await;
    signed.map(|_| "signs").map_err(|error| error.to_string())
}

fn export(context: &Context, args: &ExportArgs) -> Result<ExitStatus, Failure> {
    let ring = existing_ring(context, &args.ring)?;
    let key = ring.find(&args.key).map_err(failure)?;
    let text = if args.tuf {
        let object = serde_json::to_string_pretty(&key.public);
        object.map_err(|error| Failure::internal(format_args!("cannot write the key as JSON: {error}")))?
            + "\n"
    } else {
        key.public.to_pem()
    };
    match &args.out {
        None if context.out.is_json() => context.out.document(&describe(&key))?,
        None => context.out.raw(&text),
        Some(path) if context.global.dry_run => {
            context.out.document(&describe(&key))?;
            context.out.line(format_args!(
                "would write {}; nothing was changed",
                path.display()
            ));
        }
        Some(path) => {
            write_new(path, &text)?;
            context.out.document(&describe(&key))?;
            context
                .out
                .line(format_args!("{}  {}  {}", key.label, key.id, path.display()));
        }
    }
    Ok(ExitStatus::Done)
}

async fn passphrase(context: &Context, args: PassphraseArgs) -> Result<ExitStatus, Failure> {
    let ring = existing_ring(context, &args.ring)?;
    if context.global.dry_run {
        context.out.document(&json!({ "dry_run": true }))?;
        context
            .out
            .line("would encrypt the key files of the ring anew; nothing was changed");
        return Ok(ExitStatus::Done);
    }
    let keys = ring.reseal(args.old_passphrase_file).await.map_err(failure)?;
    show(context, &keys, &json!({ "dry_run": false }))?;
    note(format_args!(
        "{} encrypted anew; backups made before still open with the passphrase so far",
        count(keys.len())
    ));
    Ok(ExitStatus::Done)
}

/// Writes a file that must not exist yet: nobody's key is replaced by a slip.
fn write_new(path: &Path, text: &str) -> Result<(), Failure> {
    use std::io::Write as _;
    std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()))
        .map_err(|error| Failure::file("write", path, &error))
}

fn show(context: &Context, keys: &[KeyRecord], with: &Value) -> Result<(), Failure> {
    let mut document = with.clone();
    document["keys"] = keys.iter().map(describe).collect();
    context.out.document(&document)?;
    let row = |key: &KeyRecord| {
        let scheme = key.public.scheme().name().to_owned();
        [key.label.clone(), short(key), scheme, key.place.to_string()]
    };
    context.out.table(&keys.iter().map(row).collect::<Vec<_>>());
    Ok(())
}

fn describe(key: &KeyRecord) -> Value {
    json!({
        "id": key.id, "label": key.label, "scheme": key.public.scheme(), "kind": key.place.kind(),
        "place": key.place, "online": key.place.is_online(), "public": key.public.to_pem(), "created": key.created,
    })
}

fn short(key: &KeyRecord) -> String {
    key.id.to_string()[..SHORT_ID].to_owned()
}

fn count(keys: usize) -> String {
    crate::cli::output::count(keys as u64, "key", "keys")
}

fn warn_of_passphrase(ring: &Keyring) {
    if ring.passphrase_is_beside_keys() {
        note(format_args!(
            "note: nobody gave a passphrase, so one was made and lies in {}: whoever can read that folder has the keys. Good for trying out; docs/keys.md has what to do for more",
            ring.folder().join("passphrase").display()
        ));
    }
}
