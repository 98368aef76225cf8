//! `chiron config`: the configuration in force, and its schema.

use clap::Subcommand;
use serde_json::json;

use super::context::Context;
use super::exit::{ExitStatus, Failure};

/// The verbs under `config`.
#[derive(Debug, Subcommand)]
#[command(after_help = "Example:\n  chiron config check --config /etc/chiron/chiron.toml")]
pub enum ConfigCommand {
    /// Read it and say whether it is sound; nothing is started
    #[command(after_help = "Example:\n  chiron config check && systemctl restart chiron")]
    Check,
    /// Print it whole, environment and flags applied, passwords masked
    #[command(after_help = "Example:\n  chiron config show > chiron.toml")]
    Show,
    /// Print its JSON schema
    #[command(after_help = "Example:\n  chiron config schema > config.schema.json")]
    Schema,
}

/// Runs one of them.
pub fn run(context: &Context, command: &ConfigCommand) -> Result<ExitStatus, Failure> {
    match command {
        ConfigCommand::Schema => {
            let schema = crate::config::schema();
            context.out.document(&schema)?;
            let text = serde_json::to_string_pretty(&schema).map_err(Failure::internal)?;
            context.out.line(text);
        }
        ConfigCommand::Check => {
            let loaded = context.load()?;
            crate::app::trust(&loaded.config.trust).map_err(Failure::usage)?;
            crate::app::airgap_settings(&loaded.config).map_err(Failure::usage)?;
            let source = loaded.source.to_string();
            context
                .out
                .document(&json!({ "ok": true, "source": source, "set_by_env": loaded.set_by_env }))?;
            context.out.line(format_args!("ok: {source}"));
            for (key, variable) in &loaded.set_by_env {
                context.out.line(format_args!("  {key} is set by {variable}"));
            }
        }
        ConfigCommand::Show => {
            let loaded = context.load()?;
            context.out.document(&loaded.config)?;
            context.out.line(format_args!("# from {}", loaded.source));
            context.out.line(loaded.config.to_toml_commented().trim_end());
        }
    }
    Ok(ExitStatus::Done)
}
