//! `chiron yank`, `unyank`, `revoke`, `restore`: events on a file or a release.

use clap::Args;

use super::client::Client;
use super::context::{Context, Open};
use super::exit::{ExitStatus, Failure};
use super::output::{ask, bytes, count};
use super::target::Target;
use crate::api::{DecisionRequest, DecisionView, FileView};

/// Arguments of the four.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  chiron yank flask==3.0.3 --reason 'breaks logins, use 3.0.4'\n  chiron revoke flask-3.0.3-py3-none-any.whl --reason 'CVE-2026-0001' --dry-run\n  chiron restore sha256:HEX --reason 'the report was withdrawn'\n\nThe reason is kept in the log for ever and shown to users."
)]
pub struct DecisionArgs {
    /// A file's name, a release (PROJECT==VERSION: all its files) or sha256:HEX
    target: String,
    /// Why; 1 to 1,000 characters
    #[arg(long)]
    reason: String,
}

/// Which of the four.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// PEP 592.
    Yank,
    /// Take a yank back.
    Unyank,
    /// Stop serving.
    Revoke,
    /// Serve again.
    Restore,
}

impl Decision {
    /// The verb, also the last part of the API's path.
    pub const fn verb(self) -> &'static str {
        match self {
            Self::Yank => "yank",
            Self::Unyank => "unyank",
            Self::Revoke => "revoke",
            Self::Restore => "restore",
        }
    }
}

/// Decides on every file of the target.
pub async fn run(context: &Context, decision: Decision, args: &DecisionArgs) -> Result<ExitStatus, Failure> {
    let target = Target::parse(&args.target)?;
    if let Target::Project(project) = &target {
        return Err(Failure::usage(format_args!(
            "`{project}` names a project: say which release or file"
        ))
        .next(format_args!(
            "write {project}==VERSION, or a file that `chiron show {project}` lists"
        )));
    }
    let characters = args.reason.chars().count();
    if args.reason.trim().is_empty() || characters > 1_000 {
        return Err(Failure::usage(format_args!(
            "--reason takes 1 to 1,000 characters, not {characters}"
        )));
    }
    context
        .with_client(Open::Existing, async |client| {
            let files = target.files(client).await?;
            if files.len() > 1 && !context.global.dry_run {
                confirm(context, decision, &target, &files)?;
            }
            decide(context, client, decision, args, &files).await
        })
        .await
}

/// A release is many files: a person at a terminal is asked once.
fn confirm(
    context: &Context,
    decision: Decision,
    target: &Target,
    files: &[FileView],
) -> Result<(), Failure> {
    if context.global.yes {
        return Ok(());
    }
    let verb = decision.verb();
    let question = format!(
        "{verb} {} of {target}? [y/N]",
        count(files.len() as u64, "file", "files")
    );
    match ask(&question) {
        // Not a terminal: a script says what it means.
        None => Ok(()),
        Some(answer) if matches!(answer.to_ascii_lowercase().as_str(), "y" | "yes") => Ok(()),
        Some(_) => Err(Failure::usage("nothing was changed").next("answer y, or give --yes")),
    }
}

async fn decide(
    context: &Context,
    client: &Client,
    decision: Decision,
    args: &DecisionArgs,
    files: &[FileView],
) -> Result<ExitStatus, Failure> {
    let request = DecisionRequest {
        reason: args.reason.clone(),
        dry_run: context.global.dry_run,
    };
    let mut done: Vec<DecisionView> = Vec::with_capacity(files.len());
    for file in files {
        let path = format!("/api/v1/files/{}/{}", file.sha256, decision.verb());
        let view: DecisionView = client.post(&path, &request).await.map_err(|error| {
            let failure = Failure::from(error);
            let so_far = count(done.len() as u64, "file was", "files were");
            Failure {
                what: format!("{}: {} ({so_far} done before it)", file.filename, failure.what),
                ..failure
            }
        })?;
        context.out.line(match (view.event, context.global.dry_run) {
            (Some(event), _) => format!("{}  {}  event {event}", view.filename, view.state),
            (None, true) => format!("{}  would be {}", view.filename, view.state),
            (None, false) => format!("{}  {} already, nothing to do", view.filename, view.state),
        });
        done.push(view);
    }
    let size = files.iter().map(|file| file.size).sum();
    if context.global.dry_run {
        let total = count(files.len() as u64, "file", "files");
        context
            .out
            .line(format_args!("{total}, {}; nothing was changed", bytes(size)));
    }
    context.out.document(&serde_json::json!({
        "decision": decision.verb(), "dry_run": context.global.dry_run, "files": done, "bytes": size,
    }))?;
    Ok(ExitStatus::Done)
}
