//! `[reproducibility]`: rebuilding wheels from their source, and whose rebuilds count beside this site's own.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::value::{ByteSize, Period};

/// Rebuilding wheels from their source in a sandbox, and whose rebuilds count beside this site's own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Reproducibility {
    /// Rebuild wheels that the policy asks a rebuild of. Builds run only in a bubblewrap sandbox; without one on this
    /// machine nothing is built, and such a wheel stays in quarantine.
    pub enabled: bool,
    /// Rebuilds at once; each takes a processor core, and up to `memory` and `disk`.
    #[schemars(range(min = 1, max = 256))]
    pub parallel: u32,
    /// The Python that builds: a name looked up on PATH, or a path.
    #[schemars(length(min = 1))]
    pub python: PathBuf,
    /// The bubblewrap program: a name looked up on PATH, or a path.
    #[schemars(length(min = 1))]
    pub bubblewrap: PathBuf,
    /// Folder of the operator's recipes, one `PROJECT.toml` each; see docs/reproducibility.md.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = ["/etc/chiron/recipes"]))]
    pub recipes: Option<PathBuf>,
    /// Largest source distribution that is built, in bytes. Threat: a build that takes the machine.
    pub max_sdist: ByteSize,
    /// How long one build may take before everything in its sandbox is killed. Threat: a build that never ends.
    pub wall_clock: Period,
    /// Memory of one build, in bytes: of each of its processes, and of all of them together. Threat: exhaustion.
    pub memory: ByteSize,
    /// What one build may write, in bytes. It is kept in memory and gone with the sandbox. Threat: a full disk.
    pub disk: ByteSize,
    /// Processes and threads of one build. Threat: a fork bomb.
    #[schemars(range(min = 8, max = 100_000))]
    pub processes: u32,
    /// Largest wheel that a build may hand out, in bytes. Threat: a build that hands out without end.
    pub max_wheel: ByteSize,
    /// How much of a build's log is kept, in bytes; a build that writes 64 times as much is killed. Threat: log floods.
    pub max_log: ByteSize,
    /// Rebuilders outside this site whose signed statements count.
    pub rebuilders: Vec<Rebuilder>,
    /// How many of them must agree before their statements count as a rebuild.
    #[schemars(range(min = 1, max = 256))]
    pub threshold: u32,
}

/// A rebuilder outside this site.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rebuilder {
    /// A short name for evidence and messages.
    #[schemars(length(min = 1))]
    pub name: String,
    /// A file with its public key (PEM, a `SubjectPublicKeyInfo`).
    #[schemars(length(min = 1))]
    pub key: PathBuf,
}

impl Default for Reproducibility {
    fn default() -> Self {
        Self {
            enabled: true,
            parallel: 2,
            python: PathBuf::from("python3"),
            bubblewrap: PathBuf::from("bwrap"),
            recipes: None,
            max_sdist: ByteSize::mib(64),
            wall_clock: Period::secs(120),
            memory: ByteSize::gib(2),
            disk: ByteSize::mib(512),
            processes: 256,
            max_wheel: ByteSize::mib(128),
            max_log: ByteSize::bytes_of(64 << 10),
            rebuilders: Vec::new(),
            threshold: 1,
        }
    }
}
