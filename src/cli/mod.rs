//! The command line: one file per command. Every verb that reads or changes the store goes through
//! the admin API ([`client::Client`]), on a daemon or in process.

pub mod advisories;
pub mod airgap;
pub mod attach;
pub mod checks;
pub mod client;
pub mod completions;
pub mod config;
pub mod context;
pub mod decision;
pub mod doctor;
pub mod documents;
pub mod exit;
pub mod explain;
pub mod follow;
pub mod gc;
pub mod ingest;
pub mod init;
pub mod jobs;
pub mod log;
pub mod oci;
pub mod output;
pub mod policy;
pub mod proxy;
pub mod rebuild_catalog;
pub mod scrub;
pub mod serve;
pub mod show;
pub mod status;
pub mod target;
pub mod tuf;
pub mod verify;
pub mod waive;

use clap::{Parser, Subcommand};

use context::{Context, Global};
use exit::{ExitStatus, Failure};

/// A private mirror for Python packages: every file is checked once, every decision is logged,
/// and pip and uv install from it unchanged.
#[derive(Debug, Parser)]
#[command(
    name = "chiron",
    version,
    arg_required_else_help = true,
    after_help = "Examples:\n  chiron serve                        start with what is needed, print the pip and uv lines\n  chiron ingest flask --with-deps     bring a project and what it needs in\n  chiron explain FILE                 why a file is or is not served\n\nExit status: 0 done, 1 judged and not admitted, 2 usage or configuration, 3 upstream or network,\n4 integrity, 5 refused by access control, 70 internal."
)]
pub struct Cli {
    /// Flags that every verb takes.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Write a configuration file and make the data folder, the log's key and the admin token
    Init(init::InitArgs),
    /// Run the daemon
    Serve(serve::ServeArgs),
    /// Bring releases, files, folders or lock files in through the gate
    Ingest(ingest::IngestArgs),
    /// Run the gate's checks on files at hand; nothing is stored
    Verify(verify::VerifyArgs),
    /// What is known of a project, a release or a file
    Show(show::ShowArgs),
    /// Why a file is or is not served, and what would change that
    Explain(explain::ExplainArgs),
    /// Tell installers to avoid a file or release unless it is pinned (PEP 592)
    Yank(decision::DecisionArgs),
    /// Take a yank back
    Unyank(decision::DecisionArgs),
    /// Stop serving a file or release
    Revoke(decision::DecisionArgs),
    /// Serve a revoked file or release again
    Restore(decision::DecisionArgs),
    /// Let something pass on one file, for one check and a time
    Waive(waive::WaiveArgs),
    /// Give a stored file a document: a bill of materials, an attestation, a rebuilder's statement
    Attach(attach::AttachArgs),
    /// Known vulnerabilities and malware: load, look, ask
    #[command(subcommand)]
    Advisories(advisories::AdvisoriesCommand),
    /// The log of decisions: checkpoint, proofs, verification
    #[command(subcommand)]
    Log(log::LogCommand),
    /// Long work: list, show, cancel
    #[command(subcommand)]
    Jobs(jobs::JobsCommand),
    /// Whether Chiron is well
    Status(status::StatusArgs),
    /// Look for what is wrong with this installation
    Doctor(doctor::DoctorArgs),
    /// Read every stored byte again and compare it with its digest
    Scrub(scrub::ScrubArgs),
    /// Delete blobs that nothing names
    Gc(gc::GcArgs),
    /// Make the catalogue again from the log and the blobs
    RebuildCatalog(rebuild_catalog::RebuildCatalogArgs),
    /// The configuration in force
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// The policy in force
    #[command(subcommand)]
    Policy(policy::PolicyCommand),
    /// The signed repository (TUF): keys, ceremonies, signatures, expiry
    #[command(subcommand)]
    Tuf(tuf::TufCommand),
    /// Sites without a network: export, verify, import signed bundles
    #[command(subcommand)]
    Airgap(airgap::AirgapCommand),
    /// Bundles and releases in an OCI registry: push, pull
    #[command(subcommand)]
    Oci(oci::OciCommand),
    /// Check everything against the signed repository, on localhost, for an unmodified pip or uv
    Proxy(proxy::ProxyArgs),
    /// Completions for a shell
    Completions(completions::CompletionsArgs),
}

/// Runs the verb and says on stderr what went wrong.
pub async fn run(cli: Cli) -> ExitStatus {
    let context = Context::new(cli.global);
    match dispatch(&context, cli.command).await {
        Ok(status) => status,
        Err(failure) => {
            output::note(&failure);
            // In JSON mode stdout still gets its one document.
            let _ = context.out.document(&failure.to_json());
            failure.status
        }
    }
}

async fn dispatch(context: &Context, command: Command) -> Result<ExitStatus, Failure> {
    use decision::Decision;
    match command {
        Command::Init(args) => init::run(context, args).await,
        Command::Serve(args) => serve::run(context, args).await,
        Command::Ingest(args) => ingest::run(context, args).await,
        Command::Verify(args) => verify::run(context, &args).await,
        Command::Show(args) => show::run(context, &args).await,
        Command::Explain(args) => explain::run(context, &args).await,
        Command::Yank(args) => decision::run(context, Decision::Yank, &args).await,
        Command::Unyank(args) => decision::run(context, Decision::Unyank, &args).await,
        Command::Revoke(args) => decision::run(context, Decision::Revoke, &args).await,
        Command::Restore(args) => decision::run(context, Decision::Restore, &args).await,
        Command::Waive(args) => waive::run(context, &args).await,
        Command::Attach(args) => attach::run(context, &args).await,
        Command::Advisories(command) => advisories::run(context, command).await,
        Command::Log(command) => log::run(context, command).await,
        Command::Jobs(command) => jobs::run(context, command).await,
        Command::Status(args) => status::run(context, &args).await,
        Command::Doctor(args) => doctor::run(context, &args).await,
        Command::Scrub(args) => scrub::run(context, &args).await,
        Command::Gc(args) => gc::run(context, &args).await,
        Command::RebuildCatalog(args) => rebuild_catalog::run(context, &args).await,
        Command::Config(command) => config::run(context, &command),
        Command::Policy(command) => policy::run(context, &command).await,
        Command::Tuf(command) => tuf::run(context, command).await,
        Command::Airgap(command) => airgap::run(context, command).await,
        Command::Oci(command) => oci::run(context, command).await,
        Command::Proxy(args) => proxy::run(context, args).await,
        Command::Completions(args) => completions::run(context, &args),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_arguments_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_verb_has_an_example() {
        fn look(command: &clap::Command, path: &str, without: &mut Vec<String>) {
            let path = format!("{path} {}", command.get_name());
            let help = command
                .get_after_help()
                .map(ToString::to_string)
                .unwrap_or_default();
            if command.get_name() != "help" && !help.contains("chiron ") {
                without.push(path.clone());
            }
            for child in command.get_subcommands() {
                look(child, &path, without);
            }
        }
        let mut without = Vec::new();
        look(&Cli::command(), "", &mut without);
        assert!(without.is_empty(), "no example in --help of {without:?}");
    }
}
