//! `chiron tuf rotate` and `renew`: other keys, another threshold, or the same ones for longer.

use clap::Args;

use super::change::{self, OutDir};
use super::plan::choices;
use crate::api::TufRotate;
use crate::cli::context::{Context, Open};
use crate::cli::exit::{ExitStatus, Failure};

/// Arguments of `tuf rotate`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  chiron tuf rotate timestamp --reason 'yearly'                 a new key, made where the old one is\n  chiron tuf rotate online timestamp --reason 'yearly' --dry-run\n  chiron tuf rotate timestamp --key hsm-2 --reason 'into the HSM'\n  chiron tuf rotate root --remove carol --add dave.pem --reason 'carol lost her token'\n  chiron tuf rotate root --threshold 2 --reason 'two of three from now on'\n  chiron tuf rotate --revoke timestamp --reason 'the server was broken into'\n  chiron tuf rotate --recover --reason 'an attacker drove versions up'\n\nROLE is root, targets, trust, bins, bin (every hash bin), snapshot, timestamp, or online (bin and snapshot).\nKEY is a label or id in the key ring (`chiron tuf keys list`), or a file with a public key in PEM: an offline key, named after\nthe file. What offline keys must sign is written out as requests; nothing is in force before all of it is signed."
)]
pub struct RotateArgs {
    /// Whose keys
    #[arg(value_name = "ROLE", required_unless_present_any = ["revoke", "recover"])]
    roles: Vec<String>,
    /// The roles' keys become exactly these; else new ones are made, as many and where the old ones are
    #[arg(long = "key", value_name = "KEY", conflicts_with_all = ["add", "remove"])]
    keys: Vec<String>,
    /// Give the roles this key too
    #[arg(long, value_name = "KEY")]
    add: Vec<String>,
    /// Take this key from the roles: a label or id
    #[arg(long, value_name = "KEY")]
    remove: Vec<String>,
    /// Take this key from every role, with new keys in its places: it is lost or in the wrong hands
    #[arg(long, value_name = "KEY")]
    revoke: Vec<String>,
    /// How many keys must sign from now on
    #[arg(long, value_name = "N")]
    threshold: Option<u32>,
    /// New keys for snapshot, timestamp and bins at once, so that clients forget versions that an attacker drove up
    #[arg(long)]
    recover: bool,
    /// Why; kept in the log for ever
    #[arg(long)]
    reason: String,
    #[command(flatten)]
    out: OutDir,
}

/// Gives roles other keys.
pub async fn rotate(context: &Context, args: RotateArgs) -> Result<ExitStatus, Failure> {
    let request = TufRotate {
        roles: args.roles,
        keys: choices(&args.keys)?,
        add: choices(&args.add)?,
        remove: args.remove,
        revoke: args.revoke,
        threshold: args.threshold,
        renew: false,
        recover: args.recover,
        reason: args.reason,
        dry_run: false,
    };
    send(context, &args.out, request).await
}

/// Arguments of `tuf renew`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  chiron tuf renew root --reason 'yearly'\n  chiron tuf renew targets trust bins --reason 'yearly'\n\nROLE is root, targets, trust or bins, which hold for a year. Bins, snapshot and timestamp are renewed by the daemon."
)]
pub struct RenewArgs {
    /// Which
    #[arg(value_name = "ROLE", required = true)]
    roles: Vec<String>,
    /// Why; kept in the log for ever
    #[arg(long, default_value = "renewed before it expires")]
    reason: String,
    #[command(flatten)]
    out: OutDir,
}

/// Signs roles anew with the keys they have.
pub async fn renew(context: &Context, args: RenewArgs) -> Result<ExitStatus, Failure> {
    let request = TufRotate {
        roles: args.roles,
        renew: true,
        reason: args.reason,
        ..TufRotate::default()
    };
    send(context, &args.out, request).await
}

async fn send(context: &Context, out: &OutDir, request: TufRotate) -> Result<ExitStatus, Failure> {
    let request = |dry_run| TufRotate {
        dry_run,
        ..request.clone()
    };
    context
        .with_client(Open::Existing, async |client| {
            change::carry_out(context, client, "/api/v1/tuf/rotate", out, request).await
        })
        .await
}
