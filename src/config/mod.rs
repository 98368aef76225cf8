//! Configuration: one struct per concern, one typed source for file, environment, schema and documentation.
//!
//! The structs here are the only place where a key exists. `schemas/config.schema.json` is generated from them
//! ([`schema`]), the loader refuses what that schema does not know ([`Load::load`]), and `chiron init` and
//! `chiron config show` write the doc comments back out ([`Config::to_toml_commented`]).
//! Every part of the daemon is handed only its own struct.

mod advisories;
mod airgap;
mod check;
mod env;
mod error;
mod gate;
mod index;
mod limits;
mod load;
mod log;
mod owned;
mod policy;
mod redacted;
mod render;
mod reproducibility;
mod sbom;
mod server;
mod storage;
mod telemetry;
mod trust;
mod tuf;
mod upstream;
mod value;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use advisories::Advisories;
pub use airgap::{Airgap, Sender};
pub use check::schema;
pub use error::{ConfigError, Problem};
pub use gate::Gate;
pub use index::Index;
pub use limits::Limits;
pub use load::{Load, Loaded, Source};
pub use log::Log;
pub use owned::{Owned, OwnedPattern, OwnedPatterns, PatternError};
pub use policy::{Clock, Policy, Profile, Publisher, PublisherKind, Rule, Severity};
pub use redacted::{Redacted, RedactedUrl};
pub use reproducibility::{Rebuilder, Reproducibility};
pub use sbom::Sbom;
pub use server::Server;
pub use storage::Storage;
pub use telemetry::{LogFormat, Telemetry};
pub use trust::{Trust, TrustedKey, TrustedRoot};
pub use tuf::Tuf;
pub use upstream::{Mode, PIP, Upstream};
pub use value::{ByteSize, Period, ValueError};

/// The whole of `chiron.toml`. Every key may be left out; every key has an environment override
/// `CHIRON_SECTION__KEY` (for the tables of an array `CHIRON_UPSTREAM__0__MODE`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The HTTP listener.
    pub server: Server,
    /// The data folder: blobs, tables, log.
    pub storage: Storage,
    /// The indexes that Chiron mirrors, asked in this order. None given: one on-demand upstream, the index that
    /// pip on this machine is configured with.
    pub upstream: Vec<Upstream>,
    /// Names that only this site may supply: no upstream is ever asked for them. Threat: dependency confusion.
    pub owned: Vec<Owned>,
    /// What the gate admits.
    pub policy: Policy,
    /// Who may sign which project.
    pub publisher: Vec<Publisher>,
    /// Whom signatures may lead back to.
    pub trust: Trust,
    /// Index pages taken from upstream.
    pub index: Index,
    /// Bounds on everything that comes from outside. Threat: exhaustion of memory, disk or time by hostile input.
    pub limits: Limits,
    /// Bounds on bills of materials.
    pub sbom: Sbom,
    /// The database of known vulnerabilities and malware.
    pub advisories: Advisories,
    /// How much the gate does at once.
    pub gate: Gate,
    /// Rebuilding wheels from their source, and whose rebuilds count.
    pub reproducibility: Reproducibility,
    /// The append-only log of decisions.
    pub log: Log,
    /// The signed repository under `/tuf/`.
    pub tuf: Tuf,
    /// Bundles for sites without a network, and from other sites.
    pub airgap: Airgap,
    /// Logs, metrics and traces. Nothing leaves the machine unless `otlp_endpoint` is set.
    pub telemetry: Telemetry,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            server: Server::default(),
            storage: Storage::default(),
            upstream: vec![Upstream::pip()],
            owned: Vec::new(),
            policy: Policy::default(),
            publisher: Vec::new(),
            trust: Trust::default(),
            index: Index::default(),
            limits: Limits::default(),
            sbom: Sbom::default(),
            advisories: Advisories::default(),
            gate: Gate::default(),
            reproducibility: Reproducibility::default(),
            log: Log::default(),
            tuf: Tuf::default(),
            airgap: Airgap::default(),
            telemetry: Telemetry::default(),
        }
    }
}

impl Config {
    /// The owned names as one matcher.
    pub fn owned_patterns(&self) -> OwnedPatterns {
        OwnedPatterns::new(self.owned.iter().map(|owned| owned.pattern.clone()))
    }
}
