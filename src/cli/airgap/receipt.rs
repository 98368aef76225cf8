//! `chiron airgap receipt`: what this site has, signed, for the next export.

use std::path::{Path, PathBuf};

use clap::Args;

use super::super::client::{Client, segment};
use super::super::context::{Context, Open};
use super::super::exit::{ExitStatus, Failure};
use super::super::output::note;

/// Arguments of `airgap receipt`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  chiron airgap receipt -o receipt.json\n  chiron airgap receipt --sender head-office -o receipt.json\n\nAt the sender: chiron airgap export next.tar --against receipt.json"
)]
pub struct ReceiptArgs {
    /// Of whose bundles; needed where there are several senders
    #[arg(long, value_name = "NAME")]
    sender: Option<String>,
    /// Write it here; else to stdout
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Writes the receipt down.
pub async fn run(context: &Context, args: ReceiptArgs) -> Result<ExitStatus, Failure> {
    context
        .with_client(Open::Existing, async |client| {
            if let Some(path) = &args.output {
                write(client, args.sender.as_deref(), path).await?;
            } else {
                let receipt = fetch(client, args.sender.as_deref()).await?;
                context.out.raw(&String::from_utf8_lossy(&receipt));
            }
            Ok(ExitStatus::Done)
        })
        .await
}

/// Writes a receipt, whole or not at all.
pub(super) async fn write(client: &Client, sender: Option<&str>, path: &Path) -> Result<(), Failure> {
    let receipt = fetch(client, sender).await?;
    let failed = |error: &std::io::Error| Failure::file("write", path, error);
    let mut beside = path.as_os_str().to_owned();
    beside.push(".partial");
    let beside = PathBuf::from(beside);
    let written = std::fs::write(&beside, receipt)
        .and_then(|()| std::fs::File::open(&beside)?.sync_all())
        .and_then(|()| std::fs::rename(&beside, path));
    if let Err(error) = written {
        // What is half there must not be taken for a receipt.
        let _ = std::fs::remove_file(&beside);
        return Err(failed(&error));
    }
    note(format_args!(
        "the receipt is in {}; carry it back to the sender",
        path.display()
    ));
    Ok(())
}

async fn fetch(client: &Client, sender: Option<&str>) -> Result<Vec<u8>, Failure> {
    let query = sender
        .map(|name| format!("?sender={}", segment(name)))
        .unwrap_or_default();
    Ok(client
        .get_bytes(&format!("/api/v1/airgap/receipt{query}"))
        .await?)
}
