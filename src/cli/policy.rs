//! `chiron policy`: the rules in force, their mistakes, their tests, and what others would change.

mod replay;

use std::path::Path;

use clap::Subcommand;
use serde_json::json;

use super::context::{Context, Open};
use super::exit::{ExitStatus, Failure};
use super::output::count;
use crate::api::PolicyView;
use crate::config::Config;
use crate::policy::{Policy, PolicyError, Profile, Settings, SiteRules, lint, test};

/// The verbs under `policy`.
#[derive(Debug, Subcommand)]
#[command(
    after_help = "Examples:\n  chiron policy show\n  chiron policy check ./policy && chiron policy test ./policy\n  chiron policy replay --policy strict"
)]
pub enum PolicyCommand {
    /// The rules and data of the configured policy, or with --server of the one in force there
    #[command(
        after_help = "Examples:\n  chiron policy show\n  CHIRON_POLICY__PROFILE=strict chiron policy show\n  chiron --server http://127.0.0.1:8080 policy show"
    )]
    Show {
        /// A profile or a folder of rules instead of the configured policy
        policy: Option<String>,
    },
    /// Compile rules, and look for what is likely to be a mistake
    #[command(
        after_help = "Examples:\n  chiron policy check\n  chiron policy check ./policy\n\nExit status 0 when the rules can be used and nothing was found, 1 when there are warnings, 2 when they cannot be used."
    )]
    Check {
        /// A profile or a folder of rules instead of the configured policy
        policy: Option<String>,
    },
    /// Run the policy's own tests: every rule whose name begins with test_
    #[command(
        after_help = "Example:\n  chiron policy test ./policy\n\nExit status 0 when all pass, 1 when one fails."
    )]
    Test {
        /// A profile or a folder of rules instead of the configured policy
        policy: Option<String>,
    },
    /// Judge everything stored again; print what is not admitted and what differs, and store nothing
    #[command(
        after_help = "Examples:\n  chiron policy replay\n  chiron policy replay --policy strict\n  chiron policy replay --policy ./policy --format json\n\nLines with * are judged otherwise than the stored verdict says. Exit status 0 when nothing differs, 1 when something does."
    )]
    Replay {
        /// A profile or a folder of rules instead of the policy in force
        #[arg(long, value_name = "POLICY")]
        policy: Option<String>,
    },
    /// Put a policy in force after its check and its tests; everything stored is judged again
    #[command(
        after_help = "Examples:\n  chiron policy use ./policy --reason 'no start-up code' --dry-run\n  chiron policy use strict --reason 'audit of 2026'\n\nIt stands until the configured policy is changed in chiron.toml."
    )]
    Use {
        /// A profile or a folder of rules
        policy: String,
        /// Why; kept in the log for ever, 1 to 1,000 characters
        #[arg(long)]
        reason: String,
    },
}

/// Runs one of them.
pub async fn run(context: &Context, command: &PolicyCommand) -> Result<ExitStatus, Failure> {
    match command {
        PolicyCommand::Show { policy } if policy.is_none() && context.global.server.is_some() => {
            in_force_there(context).await
        }
        PolicyCommand::Show { policy } => show(context, &asked(context, policy.as_deref())?),
        PolicyCommand::Check { policy } => check(context, &asked(context, policy.as_deref())?),
        PolicyCommand::Test { policy } => run_tests(context, &asked(context, policy.as_deref())?),
        PolicyCommand::Replay { policy } => replay::run(context, policy.as_deref()).await,
        PolicyCommand::Use { policy, reason } => replay::put(context, policy, reason).await,
    }
}

fn asked(context: &Context, policy: Option<&str>) -> Result<Policy, Failure> {
    let config = context.config()?;
    match policy {
        Some(name) => policy_named(&config, name),
        None => policy_in_force(&config),
    }
}

fn show(context: &Context, policy: &Policy) -> Result<ExitStatus, Failure> {
    print(
        context,
        &PolicyView {
            profile: policy.profile().as_str().to_owned(),
            digest: policy.digest().to_string(),
            replaces_profile: policy.replaces_profile(),
            from: "configuration".to_owned(),
            files: policy.sources().clone(),
            data: policy.data().clone(),
        },
    )
}

async fn in_force_there(context: &Context) -> Result<ExitStatus, Failure> {
    let view = context
        .with_client(Open::Existing, async |client| {
            let view: PolicyView = client.get("/api/v1/policy").await?;
            Ok(view)
        })
        .await?;
    print(context, &view)
}

fn print(context: &Context, view: &PolicyView) -> Result<ExitStatus, Failure> {
    context.out.document(view)?;
    // What decides comes first, what it uses last.
    let mut files: Vec<_> = view.files.iter().collect();
    files.sort_by_key(|(file, text)| {
        (
            !text.contains("\npackage chiron.profile\n"),
            !file.starts_with("site/"),
        )
    });
    for (file, text) in files {
        context.out.line(format_args!("# ---- {file}\n{text}"));
    }
    let data = serde_json::to_string_pretty(&view.data).unwrap_or_default();
    context.out.line(format_args!("# ---- data\n{data}"));
    let replaced = if view.replaces_profile {
        ", replaced by the site's own rules"
    } else {
        ""
    };
    context.out.line(format_args!(
        "profile {}{replaced}, from {} (sha256:{})",
        view.profile, view.from, view.digest
    ));
    Ok(ExitStatus::Done)
}

fn check(context: &Context, policy: &Policy) -> Result<ExitStatus, Failure> {
    let warnings = lint(policy);
    let tests = test(policy).len() as u64;
    context.out.document(&json!({
        "profile": policy.profile(),
        "digest": policy.digest().to_string(),
        "replaces_profile": policy.replaces_profile(),
        "files": policy.sources().len(),
        "tests": tests,
        "warnings": warnings,
    }))?;
    for warning in &warnings {
        context.out.line(format_args!(
            "{}: {}: {}",
            warning.place, warning.code, warning.message
        ));
    }
    let own = policy
        .sources()
        .keys()
        .filter(|file| file.starts_with("site/"))
        .count() as u64;
    context.out.line(format_args!(
        "profile {} with {} of the site and {}: it can be used; {}",
        policy.profile().as_str(),
        count(own, "file", "files"),
        count(tests, "test", "tests"),
        count(warnings.len() as u64, "warning", "warnings")
    ));
    Ok(if warnings.is_empty() {
        ExitStatus::Done
    } else {
        ExitStatus::NotAdmitted
    })
}

fn run_tests(context: &Context, policy: &Policy) -> Result<ExitStatus, Failure> {
    let results = test(policy);
    context.out.document(&results)?;
    for result in &results {
        let word = if result.passed { "pass" } else { "FAIL" };
        context
            .out
            .line(format_args!("{word}  {}  ({})", result.name, result.place));
        if let Some(why) = &result.why {
            context.out.line(format_args!("      {why}"));
        }
    }
    let failed = results.iter().filter(|result| !result.passed).count() as u64;
    let total = count(results.len() as u64, "test", "tests");
    context.out.line(format_args!("{total}, {failed} failed"));
    Ok(if failed == 0 {
        ExitStatus::Done
    } else {
        ExitStatus::NotAdmitted
    })
}

/// The policy that a configuration asks for.
pub fn policy_in_force(config: &Config) -> Result<Policy, Failure> {
    crate::app::policy(config).map_err(|error| unusable(&error))
}

/// The policy that `--policy` names: a built-in profile, or a folder of rules over the configured profile. Settings
/// and publishers are the configuration's.
pub fn policy_named(config: &Config, name: &str) -> Result<Policy, Failure> {
    let settings = Settings::new(&config.policy, &config.publisher).map_err(|error| unusable(&error))?;
    let made = match Profile::named(name) {
        Some(profile) => Policy::new(profile, settings, &SiteRules::default()),
        None if Path::new(name).is_dir() => Policy::load(
            Path::new(name),
            crate::app::profile(config.policy.profile),
            settings,
        ),
        None => {
            return Err(Failure::usage(format_args!(
                "`{name}` is neither a profile nor a folder of rules"
            ))
            .next("name strict, standard, audit, or a folder with *.rego files"));
        }
    };
    made.map_err(|error| unusable(&error))
}

fn unusable(error: &PolicyError) -> Failure {
    Failure::usage(format_args!("the policy cannot be used: {error}")).next(
        "set [policy], [[publisher]] and the rules in policy.folder right, then run `chiron policy check`",
    )
}
