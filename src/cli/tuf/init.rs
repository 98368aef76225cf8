//! `chiron tuf init`: the repository's first root.

use clap::Args;

use super::change::{self, OutDir};
use super::plan::{choice, role};
use crate::api::{TufChange, TufInit, TufKeyChoice, TufPlan, TufRolePlan};
use crate::cli::client::Client;
use crate::cli::context::{Context, Open};
use crate::cli::exit::{ExitStatus, Failure};
use crate::cli::output::{ask, note};

const PATH: &str = "/api/v1/tuf/init";

/// Arguments of `tuf init`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  chiron tuf init                                    every key made and kept here: to try it out, and to develop\n  chiron tuf init --production                       asks for each role's keys, on a terminal\n  chiron tuf init --production --root-key alice.pub.pem --root-key bob.pub.pem --root-key carol.pub.pem --root-threshold 2 \\\n      --targets-key dora.pub.pem --targets-key emil.pub.pem --reason 'first root'\n\nKEY is a file with a public key in PEM, [LABEL=]FILE, or a label of the key ring (`chiron tuf keys list`). A threshold that is\nnot given is more than half of the keys. On a repository that is there already, --production moves it to these keys: clients\nthat trust its root follow."
)]
pub struct InitArgs {
    /// People hold the keys of root, targets, trust and bins; what they must sign is written out as requests
    #[arg(long)]
    production: bool,
    /// Who may sign the root (several times)
    #[arg(long, value_name = "KEY", requires = "production")]
    root_key: Vec<String>,
    /// How many of them must
    #[arg(long, value_name = "N", requires = "root_key")]
    root_threshold: Option<u32>,
    /// Who may sign targets (several times); else the keys of the root
    #[arg(long, value_name = "KEY", requires = "root_key")]
    targets_key: Vec<String>,
    /// How many of them must
    #[arg(long, value_name = "N", requires = "targets_key")]
    targets_threshold: Option<u32>,
    /// Who may sign trust: trusted roots and policy (several times); else the keys of targets
    #[arg(long, value_name = "KEY", requires = "root_key")]
    trust_key: Vec<String>,
    /// How many of them must
    #[arg(long, value_name = "N", requires = "trust_key")]
    trust_threshold: Option<u32>,
    /// Who may sign bins (several times); else the keys of targets
    #[arg(long, value_name = "KEY", requires = "root_key")]
    bins_key: Vec<String>,
    /// How many of them must
    #[arg(long, value_name = "N", requires = "bins_key")]
    bins_threshold: Option<u32>,
    /// The daemon's key for bins and snapshot, in the ring; else one is made as an encrypted file
    #[arg(long, value_name = "KEY", requires = "root_key")]
    online_key: Option<String>,
    /// The daemon's key for the timestamp, in the ring; else one is made as an encrypted file
    #[arg(long, value_name = "KEY", requires = "root_key")]
    timestamp_key: Option<String>,
    /// Why; kept in the log for ever
    #[arg(long)]
    reason: Option<String>,
    #[command(flatten)]
    out: OutDir,
}

/// Makes the repository.
pub async fn run(context: &Context, args: InitArgs) -> Result<ExitStatus, Failure> {
    let open = if context.global.dry_run {
        Open::OrScratch
    } else {
        Open::OrCreate
    };
    if !args.production {
        return context
            .with_client(open, async |client| {
                let change = development(client, args.reason.clone(), context.global.dry_run).await?;
                context.out.document(&change)?;
                print(context, &change);
                Ok(ExitStatus::Done)
            })
            .await;
    }
    let plan = if args.root_key.is_empty() {
        ask_plan()?
    } else {
        plan_of(&args)?
    };
    let request = |dry_run| TufInit {
        production: Some(plan.clone()),
        reason: args.reason.clone(),
        dry_run,
    };
    context
        .with_client(open, async |client| {
            change::carry_out(context, client, PATH, &args.out, request).await
        })
        .await
}

/// Keys of this machine for everything; what is there already is kept.
pub async fn development(
    client: &Client,
    reason: Option<String>,
    dry_run: bool,
) -> Result<TufChange, Failure> {
    let request = TufInit {
        production: None,
        reason,
        dry_run,
    };
    Ok(client.post(PATH, &request).await?)
}

/// Asks for the keys and begins, as part of `chiron init --wizard`; nothing without a root key.
pub async fn production_by_wizard(context: &Context, client: &Client) -> Result<(), Failure> {
    let out = OutDir {
        folder: "tuf-requests".into(),
    };
    let plan = ask_plan()?;
    let request = |dry_run| TufInit {
        production: Some(plan.clone()),
        reason: None,
        dry_run,
    };
    let would: TufChange = client.post(PATH, &request(true)).await?;
    would.diff.iter().for_each(|line| note(format_args!("  {line}")));
    change::confirm("Do this?")?;
    let done: TufChange = client.post(PATH, &request(false)).await?;
    change::finish(context, client, &out, &done).await
}

fn print(context: &Context, change: &TufChange) {
    for line in change.diff.iter().chain(&change.notes) {
        context.out.line(format_args!("  {line}"));
    }
    match (&change.published, change.unchanged, change.dry_run) {
        (_, true, _) => context
            .out
            .line("there is a repository already; it is kept (`chiron tuf status` shows it)"),
        (_, _, true) => context.out.line("nothing was changed"),
        (Some(published), ..) => context.out.line(change::published_line(published)),
        (None, ..) => {}
    }
}

fn plan_of(args: &InitArgs) -> Result<TufPlan, Failure> {
    let one = |key: &Option<String>| {
        let keys: Vec<String> = key.iter().cloned().collect();
        role(&keys, None)
    };
    Ok(TufPlan {
        root: role(&args.root_key, args.root_threshold)?,
        targets: role(&args.targets_key, args.targets_threshold)?,
        trust: role(&args.trust_key, args.trust_threshold)?,
        bins: role(&args.bins_key, args.bins_threshold)?,
        online: one(&args.online_key)?,
        timestamp: one(&args.timestamp_key)?,
    })
}

fn no_terminal() -> Failure {
    Failure::usage("--production asks on a terminal for the keys, and stdin is none").next(
        "give them: --root-key FILE (several times) --root-threshold N …; `chiron tuf init --help` shows all",
    )
}

/// Asks for each role's keys.
fn ask_plan() -> Result<TufPlan, Failure> {
    note(
        "Keys that people hold, one role after the other. For each key give the file with its public half (PEM), or the label of\na key in the ring. Each holder makes a pair on their own machine:  chiron tuf keys generate, or openssl genpkey -algorithm ed25519",
    );
    note(
        "\nroot: names the keys of everything else. Best 3 to 5 people, of whom 2 or 3 must sign; used once a year.",
    );
    let root = loop {
        let root = ask_role("root")?;
        if !root.keys.is_empty() {
            break root;
        }
        note("the root needs one key at least");
    };
    note("\ntargets: says who signs trust and bins. Enter alone takes the keys of the root.");
    let targets = ask_role("targets")?;
    note(
        "\ntrust: signs trusted roots and policy, with each change of them. Enter alone takes the keys of targets.",
    );
    let trust = ask_role("trust")?;
    note(
        "\nbins: says with which key the daemon signs files and index pages. Enter alone takes the keys of targets.",
    );
    let bins = ask_role("bins")?;
    note(
        "\nThe daemon signs files, pages and the timestamp by itself, with keys that it can use at any time.\nEnter alone makes an encrypted key file; a label takes a key of the ring (an HSM, a vault).",
    );
    Ok(TufPlan {
        root,
        targets,
        trust,
        bins,
        online: ask_one("key for bins and snapshot")?,
        timestamp: ask_one("key for the timestamp")?,
    })
}

fn ask_role(name: &str) -> Result<TufRolePlan, Failure> {
    let mut keys: Vec<TufKeyChoice> = Vec::new();
    loop {
        let question = format!("  {name}, key {} (Enter: no more):", keys.len() + 1);
        let answer = ask(&question).ok_or_else(no_terminal)?;
        if answer.is_empty() {
            break;
        }
        match choice(&answer) {
            Ok(key) if keys.contains(&key) => note("  that one is there already"),
            Ok(key) => keys.push(key),
            Err(failure) => note(&failure),
        }
    }
    let threshold = if keys.len() > 1 {
        ask_threshold(keys.len())?
    } else {
        0
    };
    Ok(TufRolePlan { keys, threshold })
}

fn ask_threshold(keys: usize) -> Result<u32, Failure> {
    let majority = keys / 2 + 1;
    loop {
        let answer =
            ask(&format!("  how many of the {keys} must sign? [{majority}]")).ok_or_else(no_terminal)?;
        if answer.is_empty() {
            return Ok(0);
        }
        match answer.parse::<u32>() {
            Ok(threshold) if (1..=keys as u64).contains(&u64::from(threshold)) => return Ok(threshold),
            _ => note(format_args!("  a number from 1 to {keys}")),
        }
    }
}

fn ask_one(what: &str) -> Result<TufRolePlan, Failure> {
    loop {
        let answer = ask(&format!("  {what} (Enter: make a file):")).ok_or_else(no_terminal)?;
        if answer.is_empty() {
            return Ok(TufRolePlan::default());
        }
        match choice(&answer) {
            Ok(key) if key.pem.is_none() => {
                return Ok(TufRolePlan {
                    keys: vec![key],
                    threshold: 1,
                });
            }
            Ok(_) => note("  the daemon must be able to use it: give the label of a key in the ring"),
            Err(failure) => note(&failure),
        }
    }
}

/// Who holds the keys of root, targets, trust and bins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keys {
    /// This machine: to try it out, and to develop.
    Here,
    /// People, each on their own.
    People,
}

/// A question of `chiron init --wizard`; `None` when stdin is no terminal.
pub fn ask_who_holds_keys() -> Option<Keys> {
    let question = "Who holds the keys of the signed repository: this machine (it can be changed later), or people who sign offline? [here]/people:";
    loop {
        match ask(question)?.as_str() {
            "" | "here" => return Some(Keys::Here),
            "people" => return Some(Keys::People),
            _ => note("answer here or people"),
        }
    }
}
