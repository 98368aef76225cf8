//! `chiron tuf sign`: a person reads what would change, and signs it with a key of this machine.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use chiron_storage::Digest;
use chiron_tuf::{Envelope, Need, Role, Root, Signer, SigningRequest, limits::MAX_REQUEST_BYTES};
use clap::Args;
use serde_json::json;

use super::change::{confirm, write_new};
use super::keys;
use super::merge::read_bounded;
use crate::cli::context::Context;
use crate::cli::exit::{ExitStatus, Failure};
use crate::cli::output::{note, plain};
use crate::keys::{KeyPlace, KeySettings, open_place};

/// How long a token may take at least: a person may have to touch it.
const PATIENCE: Duration = Duration::from_mins(1);

/// Bytes of a root that is compared with.
const MAX_ROOT_BYTES: u64 = 1 << 20;

/// Arguments of `tuf sign`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  chiron tuf sign root-2-1f2e3d4c5b6a7988.request.json --key alice.pem\n  chiron tuf sign *.request.json --key alice.pem --root root.json\n  chiron tuf sign root-2-1f2e3d4c5b6a7988.request.json --key 'pkcs11:token=alice;object=root?module-path=/usr/lib/softhsm/libsofthsm2.so'\n\nIt needs no network, no configuration and no data folder: take the requests there on a disk, and each .signature.json back.\nRead what changes before you answer: it is worked out here, from the documents, and not believed from the request.\nWith --root, your own copy of the root in force, you also know that this is what is replaced."
)]
pub struct SignArgs {
    /// The requests; of several, those that the key has no say in are passed over
    #[arg(value_name = "REQUEST", required = true)]
    requests: Vec<PathBuf>,
    /// A private key: a file in PEM, a URI, or a label of the key ring (several times)
    #[arg(long = "key", value_name = "KEY", required = true)]
    keys: Vec<String>,
    /// The folder of the key ring [default: keys/tuf in the data folder]
    #[arg(long, value_name = "DIR")]
    keys_dir: Option<PathBuf>,
    /// File with the passphrase of the key [default: the usual sources, then a question]
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
    /// Your own copy of the root in force: the requests must rest on it
    #[arg(long, value_name = "FILE")]
    root: Option<PathBuf>,
    /// Write the signature of the one request to this file; else beside each request, named after it and the key
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Shows, asks, signs, writes; one request after the other.
pub async fn run(context: &Context, args: &SignArgs) -> Result<ExitStatus, Failure> {
    if args.out.is_some() && args.requests.len() > 1 {
        return Err(Failure::usage("--out is for one request")
            .next("leave it away: each signature is written beside its request"));
    }
    let mut requests = Vec::new();
    for path in &args.requests {
        requests.push((path, read(path, args.root.as_deref())?));
    }
    let mut signers: Vec<Arc<dyn Signer>> = Vec::new();
    let mut signed = Vec::new();
    for (path, request) in &requests {
        show(request);
        if context.global.dry_run {
            continue;
        }
        if !context.global.yes {
            asked(args)?;
        }
        // Not before somebody wants to sign: it may ask for a passphrase.
        if signers.is_empty() {
            for key in &args.keys {
                signers.push(signer(context, args, key).await?);
            }
        }
        let needed: Vec<Arc<dyn Signer>> = signers
            .iter()
            .filter(|signer| request.keys().contains_key(&signer.public().id()))
            .cloned()
            .collect();
        if needed.is_empty() && requests.len() > 1 {
            note(format_args!(
                "{}: passed over, the key has no say in it",
                path.display()
            ));
            continue;
        }
        let with = if requests.len() > 1 { &needed } else { &signers };
        let out = args.out.clone().unwrap_or_else(|| beside(path, with));
        sign(request, with, &out).await?;
        context.out.line(format_args!("signed: {}", out.display()));
        signed.push(json!({
            "request": request.id().to_string(),
            "role": request.role().to_string(),
            "version": request.version(),
            "keys": with.iter().map(|signer| signer.public().id().to_string()).collect::<Vec<_>>(),
            "signature": out,
        }));
    }
    context
        .out
        .document(&json!({ "dry_run": context.global.dry_run, "signed": signed }))?;
    match (context.global.dry_run, signed.is_empty()) {
        (true, _) => context.out.line("nothing was signed"),
        (false, false) => context
            .out
            .line("next: send it back; there it is `chiron tuf merge`d"),
        (false, true) => {
            return Err(Failure::not_admitted(
                "the key has a say in none of these requests; nothing was signed",
            ));
        }
    }
    Ok(ExitStatus::Done)
}

fn read(path: &Path, root: Option<&Path>) -> Result<SigningRequest, Failure> {
    let bytes = read_bounded(path, MAX_REQUEST_BYTES)?;
    let request = SigningRequest::parse(&bytes)
        .map_err(|error| Failure::not_admitted(format_args!("{}: {error}", path.display())))?;
    if let Some(root) = root {
        rests_on(&request, root)?;
    }
    Ok(request)
}

async fn sign(request: &SigningRequest, with: &[Arc<dyn Signer>], out: &Path) -> Result<(), Failure> {
    let signature = request.sign(with).await.map_err(|error| {
        Failure::not_admitted(error).next(
            "the keys that may sign are listed above; `chiron tuf keys list` shows those of this machine",
        )
    })?;
    let bytes = signature.to_bytes().map_err(Failure::internal)?;
    write_new(out, &bytes)
}

/// What is signed is on the screen: nobody signs it unseen without having said so.
fn asked(args: &SignArgs) -> Result<(), Failure> {
    use std::io::IsTerminal as _;
    if !std::io::stdin().is_terminal() {
        return Err(
            Failure::usage("stdin is no terminal, so nobody can be asked; nothing was signed")
                .next("read what changes, above; then run it again with --yes"),
        );
    }
    confirm(&format!("Sign this with {}?", args.keys.join(", ")))
        .map_err(|_| Failure::usage("nothing was signed").next("answer y, or give --yes"))
}

/// Compares with the reader's own copy of the root: the request must replace it, or be for the keys that it names.
fn rests_on(request: &SigningRequest, path: &Path) -> Result<(), Failure> {
    let refused = |why: String| {
        Failure::not_admitted(format_args!(
            "the request does not rest on {}: {why}",
            path.display()
        ))
        .next("do not sign it; ask where it comes from, over another way than the one it came")
    };
    let bytes = read_bounded(path, MAX_ROOT_BYTES)?;
    let root: Envelope<Root> = Envelope::parse(&bytes)
        .map_err(|error| Failure::usage(format_args!("{}: {error}", path.display())))?;
    match request.role() {
        Role::Root => match request.replaces() {
            Some(replaced) if replaced.sha256 == Digest::of(&bytes).to_string() => Ok(()),
            Some(replaced) => Err(refused(format!(
                "it replaces the root {} with SHA-256 {}",
                replaced.version, replaced.sha256
            ))),
            None => Err(refused("it is for a first root".to_owned())),
        },
        role @ (Role::Targets | Role::Snapshot | Role::Timestamp) => {
            let named = root.signed.roles.get(&role.name());
            let needs: Vec<_> = request.needs().iter().map(|need| &need.keys).collect();
            if named.is_some_and(|named| needs == [named]) {
                Ok(())
            } else {
                Err(refused(format!("that root names other keys for {role}")))
            }
        }
        Role::Trust | Role::Bins | Role::Bin(_) => {
            note(format_args!(
                "note: whose keys sign {} is said by targets and not by the root; compare the keys below yourself",
                request.role()
            ));
            Ok(())
        }
    }
}

fn show(request: &SigningRequest) {
    note(format_args!(
        "{} {}, request {} of {}",
        request.role(),
        request.version(),
        request.id(),
        request.made()
    ));
    match request.replaces() {
        Some(replaced) => note(format_args!(
            "it replaces {} {} with SHA-256 {}",
            request.role(),
            replaced.version,
            replaced.sha256
        )),
        None => note("it replaces nothing"),
    }
    note("what changes:");
    for change in request.changes() {
        note(format_args!("  {change}"));
    }
    note("whose signatures it needs:");
    for Need { whose, keys } in request.needs() {
        note(format_args!(
            "  {whose}: {} of these {}",
            keys.threshold().get(),
            keys.keyids().len()
        ));
        for id in keys.keyids() {
            let label = request.labels().get(id).map_or("(no label)", String::as_str);
            note(format_args!("    {id}  {}", plain(label)));
        }
    }
}

async fn signer(context: &Context, args: &SignArgs, key: &str) -> Result<Arc<dyn Signer>, Failure> {
    let tuf = context.config().map(|config| config.tuf).unwrap_or_default();
    let passphrase_file = args.passphrase_file.clone().or(tuf.passphrase_file);
    let patience = tuf.key_timeout.duration().max(PATIENCE);
    let settings = KeySettings::here(patience, passphrase_file, true);
    let path = Path::new(key);
    if let (true, Some(name)) = (path.is_file(), path.file_name()) {
        // A passphrase that lies beside the key is looked for there.
        let folder = path.parent().unwrap_or(Path::new(""));
        let place = KeyPlace::File { path: name.into() };
        return open_place(&place, folder, &settings).await.map_err(keys::failure);
    }
    if key.contains(':') {
        let place: KeyPlace = key.parse().map_err(|error| {
            Failure::usage(error).next("name a file in PEM, a URI (docs/keys.md lists them), or a label")
        })?;
        return open_place(&place, Path::new(""), &settings)
            .await
            .map_err(keys::failure);
    }
    let ring = keys::open_ring(context, args.keys_dir.as_deref(), args.passphrase_file.as_deref())?;
    let record = ring.find(key).map_err(keys::failure)?;
    ring.signer(record.id).await.map_err(keys::failure)
}

/// `root-2-1f2e….request.json` → `root-2-1f2e….ab12cd34.signature.json`.
fn beside(request: &Path, signers: &[Arc<dyn Signer>]) -> PathBuf {
    let name = request.file_name().unwrap_or_default().to_string_lossy();
    let stem = name
        .strip_suffix(".request.json")
        .or_else(|| name.strip_suffix(".json"))
        .unwrap_or(&name);
    let id = signers
        .first()
        .map(|signer| signer.public().id().to_string())
        .unwrap_or_default();
    let id: String = id.chars().take(8).collect();
    request.with_file_name(format!("{stem}.{id}.signature.json"))
}
