//! `chiron completions`: what a shell needs to complete our verbs and flags.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::context::Context;
use super::exit::{ExitStatus, Failure};

/// Arguments of `completions`.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  chiron completions bash > ~/.local/share/bash-completion/completions/chiron"
)]
pub struct CompletionsArgs {
    /// For which shell
    shell: Shell,
}

/// Writes the script to stdout.
pub fn run(context: &Context, args: &CompletionsArgs) -> Result<ExitStatus, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut super::Cli::command(), "chiron", &mut script);
    let script = String::from_utf8(script).map_err(Failure::internal)?;
    if context.out.is_json() {
        context
            .out
            .document(&serde_json::json!({ "shell": args.shell.to_string(), "script": script }))?;
    } else {
        context.out.raw(&script);
    }
    Ok(ExitStatus::Done)
}
