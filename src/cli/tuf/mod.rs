//! `chiron tuf`: the signed repository, its keys and what people do with them.

mod change;
mod init;
pub mod keys;
mod merge;
mod plan;
mod publish;
mod rebin;
mod requests;
mod root;
mod rotate;
mod sign;
mod status;
mod verify;

use clap::Subcommand;

use super::context::Context;
use super::exit::{ExitStatus, Failure};

pub use init::{Keys, ask_who_holds_keys, development, production_by_wizard};

/// The verbs under `tuf`.
#[derive(Debug, Subcommand)]
#[command(
    after_help = "Examples:\n  chiron tuf status                     roles, keys, signatures, expiry\n  chiron tuf init --production          keys that people hold, step by step\n  chiron tuf rotate timestamp --reason 'yearly'\n  chiron tuf sign REQUEST --key FILE    on the machine that has an offline key\n\nA guide for each ceremony is in docs/tuf-ceremonies.md."
)]
pub enum TufCommand {
    /// Roles, versions, thresholds, signatures present and missing, expiry
    Status(status::StatusArgs),
    /// Make the repository: with keys of this machine, or --production with keys that people hold
    Init(Box<init::InitArgs>),
    /// Give roles other keys or another threshold, take a key out at once, recover from an attacker's versions
    Rotate(rotate::RotateArgs),
    /// Sign roles anew with the keys they have, before they expire
    Renew(rotate::RenewArgs),
    /// Sign a request with a key of this machine; needs no data folder and no network
    Sign(sign::SignArgs),
    /// Hand detached signatures in; the last one that is needed puts the change in force
    Merge(merge::MergeArgs),
    /// Changes that wait for signatures: list, show, write out, cancel
    #[command(subcommand)]
    Requests(requests::RequestsCommand),
    /// Keys: make, list, take in, print the public half; needs no daemon and no database
    #[command(subcommand)]
    Keys(keys::KeysCommand),
    /// Publish what is due now
    Publish(publish::PublishArgs),
    /// Spread the targets over another number of hash bins
    Rebin(rebin::RebinArgs),
    /// The root that clients are given: print it, or write it to a file
    Root(root::RootArgs),
    /// Verify a repository as its clients do: metadata, and targets on demand
    Verify(verify::VerifyArgs),
}

/// Runs one of them.
pub async fn run(context: &Context, command: TufCommand) -> Result<ExitStatus, Failure> {
    match command {
        TufCommand::Status(args) => status::run(context, &args).await,
        TufCommand::Init(args) => init::run(context, *args).await,
        TufCommand::Rotate(args) => rotate::rotate(context, args).await,
        TufCommand::Renew(args) => rotate::renew(context, args).await,
        TufCommand::Sign(args) => sign::run(context, &args).await,
        TufCommand::Merge(args) => merge::run(context, &args).await,
        TufCommand::Requests(command) => requests::run(context, command).await,
        TufCommand::Keys(command) => keys::run(context, command).await,
        TufCommand::Publish(args) => publish::run(context, &args).await,
        TufCommand::Rebin(args) => rebin::run(context, args).await,
        TufCommand::Root(args) => root::run(context, &args).await,
        TufCommand::Verify(args) => verify::run(context, args).await,
    }
}
