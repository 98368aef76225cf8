//! What a rebuild may use.

use std::path::PathBuf;
use std::time::Duration;

/// How rebuilding is set up.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Off: nothing is built, whatever the machine could do.
    pub enabled: bool,
    /// Rebuilds at once.
    pub parallel: usize,
    /// The Python that builds: looked up on PATH, or a path.
    pub python: PathBuf,
    /// bubblewrap: looked up on PATH, or a path.
    pub bubblewrap: PathBuf,
    /// The operator's recipes, `PROJECT.toml` each.
    pub recipes: Option<PathBuf>,
    /// What one build may use.
    pub limits: BuildLimits,
}

/// What one build may use. Each bound names the attack that it ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildLimits {
    /// Bytes of the source distribution. Ends sources that are an attack by their size.
    pub max_sdist: u64,
    /// From start to end of one sandbox. Ends builds that never end.
    pub wall_clock: Duration,
    /// Bytes of address space per process, and of anonymous memory of all of them. Ends exhaustion of the memory.
    pub memory: u64,
    /// Bytes of the sandbox's only writable folder, which is in memory. Ends disk fillers.
    pub disk: u64,
    /// Files and folders in it: each costs the kernel memory that no file size shows. Ends inode fillers.
    pub files: u64,
    /// Processes and threads. Ends fork bombs.
    pub processes: u64,
    /// Bytes of the wheel handed out. Ends builds that hand out without end.
    pub max_wheel: u64,
    /// Bytes of the log that are kept. Ends log floods: [`LOG_FLOOD`] times as much kills the build.
    pub max_log: usize,
}

/// How many times [`BuildLimits::max_log`] a build may write before it is killed for it.
pub(super) const LOG_FLOOD: u64 = 64;

impl Default for BuildLimits {
    fn default() -> Self {
        Self {
            max_sdist: 64 << 20,
            wall_clock: Duration::from_mins(2),
            memory: 2 << 30,
            disk: 512 << 20,
            files: 100_000,
            processes: 256,
            max_wheel: 128 << 20,
            max_log: 64 << 10,
        }
    }
}
