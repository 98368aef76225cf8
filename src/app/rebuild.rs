//! Rebuilding, set up from `[reproducibility]`.

use super::App;
use crate::config;
use crate::rebuild::{BuildLimits, Rebuilder, Sandbox, Settings};

/// What `[reproducibility]` says of building.
pub fn rebuild_settings(configured: &config::Reproducibility) -> Settings {
    Settings {
        enabled: configured.enabled,
        parallel: usize::try_from(configured.parallel).unwrap_or(1),
        python: configured.python.clone(),
        bubblewrap: configured.bubblewrap.clone(),
        recipes: configured.recipes.clone(),
        limits: BuildLimits {
            max_sdist: configured.max_sdist.bytes(),
            wall_clock: configured.wall_clock.duration(),
            memory: configured.memory.bytes(),
            disk: configured.disk.bytes(),
            processes: u64::from(configured.processes),
            max_wheel: configured.max_wheel.bytes(),
            max_log: usize::try_from(configured.max_log.bytes()).unwrap_or(usize::MAX),
            ..BuildLimits::default()
        },
    }
}

impl App {
    /// A rebuilder over this folder's mirror, with a sandbox that was tried out now.
    pub async fn rebuilder(&self, settings: Settings) -> Rebuilder {
        let sandbox = Sandbox::open(&settings).await;
        Rebuilder::new(self.parts.mirror.clone(), settings, sandbox)
    }
}
