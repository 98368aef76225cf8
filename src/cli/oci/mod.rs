//! `chiron oci`: bundles and releases in an OCI registry.

mod bar;
mod pull;
mod push;
mod release;
mod signed;
mod vex;

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::context::Context;
use super::exit::{ExitStatus, Failure};
use crate::blocking;
use crate::oci::{Credentials, Limits, OciError, Options, Place, Registry};

/// Blobs that may travel at once.
const MAX_JOBS: u8 = 32;

/// The verbs under `oci`.
#[derive(Debug, Subcommand)]
#[command(
    after_help = "Examples:\n  chiron oci push HOST:PORT/bundles bundle/                 a bundle, tagged with its snapshot\n  chiron oci pull HOST:PORT/bundles:1234-ab12cd34ef56 in/   into a folder that `chiron airgap import` takes\n  chiron oci push HOST:PORT/flask --release flask==3.0.3    one release with what stands beside it\n\nThe words that are used in the registry are in docs/oci.md."
)]
pub enum OciCommand {
    /// Put a bundle, or a release with its documents, into a registry
    Push(push::PushArgs),
    /// Get a bundle, or a release with its documents, out of a registry
    Pull(pull::PullArgs),
}

/// How the registry is talked to.
#[derive(Debug, Args)]
pub struct RegistryArgs {
    /// Talk plain HTTP: nothing hides what travels, passwords included
    #[arg(long)]
    plain_http: bool,
    /// Certificate authorities to trust beside the system's (PEM)
    #[arg(long, value_name = "PEM")]
    ca_file: Option<PathBuf>,
    /// Blobs that travel at once
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=i64::from(MAX_JOBS)))]
    jobs: u8,
}

/// Runs one of them.
pub async fn run(context: &Context, command: OciCommand) -> Result<ExitStatus, Failure> {
    match command {
        OciCommand::Push(args) => Box::pin(push::run(context, args)).await,
        OciCommand::Pull(args) => Box::pin(pull::run(context, args)).await,
    }
}

impl RegistryArgs {
    /// Sets the connection up, with the credentials that docker's configuration has.
    async fn open(&self, place: &Place) -> Result<Registry, Failure> {
        let host = place.registry().to_owned();
        // A credential helper is a program, which takes its time.
        let credentials = blocking::run(move || {
            let folder = Credentials::docker_folder(|name| std::env::var_os(name));
            Credentials::of_docker(folder.as_deref(), &host)
        })
        .await
        .map_err(Failure::internal)??;
        let options = Options {
            plain_http: self.plain_http,
            ca_file: self.ca_file.clone(),
            credentials,
            limits: Limits {
                jobs: usize::from(self.jobs),
                ..Limits::default()
            },
        };
        Ok(Registry::new(place, options)?)
    }
}

impl From<OciError> for Failure {
    fn from(error: OciError) -> Self {
        match error {
            OciError::Bundle(error) => error.into(),
            OciError::File {
                doing,
                ref path,
                ref source,
            } => Self::file(doing, path, source),
            OciError::Reference { .. } => {
                Self::usage(&error).next("write it as HOST:PORT/REPOSITORY:TAG, the bundle's path apart from it")
            }
            OciError::Credentials { .. } => {
                Self::usage(&error).next("log in again with your container tool, or set DOCKER_CONFIG to another folder")
            }
            OciError::Setup { .. } | OciError::NotOurs { .. } => Self::usage(&error),
            OciError::InTheWay { .. } => Self::usage(&error).next("name another folder, or move this one away"),
            OciError::Denied { .. } => Self::denied(&error).next(
                "the credentials come from docker's configuration (DOCKER_CONFIG, else ~/.docker): log in there with your container tool, with an account that may do this",
            ),
            OciError::NotFound { .. } => Self::not_admitted(&error).next("check host, repository and tag"),
            OciError::Lied { .. } => Self::integrity(&error)
                .next("nothing of it was kept; ask the registry's operators, or fetch it from another"),
            OciError::Network { .. } => Self::upstream(&error).next(
                "run the command again: it goes on where it stopped; a registry without TLS needs --plain-http",
            ),
            OciError::Busy { .. } => {
                Self::upstream(&error).next("run the command again later: it goes on where it stopped")
            }
            OciError::Refused { .. } => Self::upstream(&error),
            OciError::Strange { .. } => Self::upstream(&error).next(
                "check that it is an OCI registry (plain HTTP needs --plain-http)",
            ),
            OciError::Stopped => Self::internal(&error),
        }
    }
}
