//! `chiron airgap`: bundles for sites that no network reaches, and from them.

mod closure;
mod export;
mod given;
mod import;
mod inspect;
mod overview;
mod plan;
mod receipt;
mod verify;

use clap::Subcommand;

use super::context::Context;
use super::exit::{ExitStatus, Failure};
use crate::bundle::BundleError;

/// The verbs under `airgap`.
#[derive(Debug, Subcommand)]
#[command(
    after_help = "Examples:\n  chiron airgap export bundle.tar                        everything, for a first visit\n  chiron airgap import bundle.tar --root root.json       at the closed site\n  chiron airgap receipt -o receipt.json                  carried back: what the closed site now has\n  chiron airgap export next.tar --against receipt.json   what is new for it\n\nBoth sides in docs/airgap.md; the format in docs/bundle-format.md."
)]
pub enum AirgapCommand {
    /// Write a signed bundle: everything, what is new since a snapshot, or what some requirements need
    Export(Box<export::ExportArgs>),
    /// What an export would write: files, bytes, volumes, what is new
    Plan(Box<plan::PlanArgs>),
    /// Check a bundle: signatures, TUF chain, log, every byte; needs a root of trust and no data folder
    Verify(verify::VerifyArgs),
    /// What a bundle holds, over which interval, and what of it this site lacks
    Inspect(inspect::InspectArgs),
    /// Judge a bundle by this site's rules, and bring what passes into force at once
    Import(Box<import::ImportArgs>),
    /// Write down, signed, what this site has of a sender's files
    Receipt(receipt::ReceiptArgs),
}

/// Runs one of them.
pub async fn run(context: &Context, command: AirgapCommand) -> Result<ExitStatus, Failure> {
    match command {
        AirgapCommand::Export(args) => export::run(context, *args).await,
        AirgapCommand::Plan(args) => plan::run(context, *args).await,
        AirgapCommand::Verify(args) => verify::run(context, args).await,
        AirgapCommand::Inspect(args) => inspect::run(context, args).await,
        AirgapCommand::Import(args) => import::run(context, *args).await,
        AirgapCommand::Receipt(args) => receipt::run(context, args).await,
    }
}

impl From<BundleError> for Failure {
    fn from(error: BundleError) -> Self {
        match &error {
            // Bytes are not what they should be, or two histories go by one name.
            BundleError::Damaged { .. } => {
                Self::integrity(&error).next("copy the bundle again from where it was made, and compare")
            }
            BundleError::Fork { .. } => Self::integrity(&error).next(
                "import nothing from this sender before its operators have explained it: `chiron log verify` there, and compare checkpoints",
            ),
            BundleError::TooLarge { .. } => Self::integrity(&error),
            BundleError::NotTrusted { .. } => Self::not_admitted(&error)
                .next("is the root of trust that of the site that made the bundle? docs/airgap.md, \"Bad days\", has more"),
            BundleError::MissingVolumes { .. } => {
                Self::not_admitted(&error).next("name them too, in any order")
            }
            BundleError::DoesNotFit { .. } => Self::not_admitted(&error),
            BundleError::NotABundle { .. } => Self::usage(&error),
            BundleError::Read { path, source } => Self::file("read", path, source),
            BundleError::Write { path, source } => Self::file("write", path, source),
        }
    }
}
