//! `chiron policy`: the rules in force.

use clap::Subcommand;
use serde_json::json;

use super::context::Context;
use super::exit::{ExitStatus, Failure};
use crate::app::profile;
use crate::config::Config;
use crate::policy::Policy;

/// The verbs under `policy`.
#[derive(Debug, Subcommand)]
#[command(after_help = "Example:\n  chiron policy show")]
pub enum PolicyCommand {
    /// What the configured profile asks of each check
    #[command(after_help = "Example:\n  CHIRON_POLICY__PROFILE=strict chiron policy show")]
    Show,
}

/// Runs one of them.
pub fn run(context: &Context, command: &PolicyCommand) -> Result<ExitStatus, Failure> {
    let PolicyCommand::Show = command;
    let policy = policy_in_force(&context.config()?);
    let rules: Vec<_> = policy
        .rules()
        .iter()
        .map(|(check, requirement)| json!({ "check": check, "requirement": requirement }))
        .collect();
    context.out.document(&json!({
        "profile": policy.profile(),
        "digest": format!("sha256:{}", policy.digest()),
        "rules": rules,
    }))?;
    context.out.line(format_args!(
        "profile {} (sha256:{})",
        policy.profile().as_str(),
        policy.digest()
    ));
    for rule in &rules {
        let text = |key: &str| rule[key].as_str().unwrap_or_default().to_owned();
        context.out.line(format_args!(
            "  {:<12} {}",
            text("check"),
            text("requirement").replace('-', " ")
        ));
    }
    Ok(ExitStatus::Done)
}

/// The policy that a configuration asks for.
pub fn policy_in_force(config: &Config) -> Policy {
    Policy::builtin(profile(config.policy.profile))
}
