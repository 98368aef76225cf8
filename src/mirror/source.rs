//! An upstream that is set up when it is first needed: finding the default index means asking pip, which
//! must neither slow a start nor stop a command that needs no upstream.

use tokio::sync::OnceCell;

use crate::upstream::{Counters, HealthSnapshot, Mode, Upstream, UpstreamConfig, UpstreamError};

/// A configured upstream.
pub struct Source {
    config: UpstreamConfig,
    made: OnceCell<Upstream>,
}

impl Source {
    /// Not set up yet.
    pub fn new(config: UpstreamConfig) -> Self {
        Self {
            config,
            made: OnceCell::new(),
        }
    }

    /// Its name in the configuration.
    pub fn name(&self) -> &str {
        &self.config.name
    }

    /// How it is used.
    pub fn mode(&self) -> Mode {
        self.config.mode
    }

    /// The upstream, set up now if it is not yet. After a failure the next call tries again.
    pub async fn get(&self) -> Result<&Upstream, UpstreamError> {
        self.made
            .get_or_try_init(|| Upstream::new(self.config.clone()))
            .await
    }

    /// What was asked of it; `None` while nobody has needed it.
    pub fn counters(&self) -> Option<Counters> {
        self.made.get().map(Upstream::counters)
    }

    /// Whether it answers; `None` while nobody has needed it.
    pub fn health(&self) -> Option<HealthSnapshot> {
        self.made.get().map(Upstream::health)
    }
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Source").field(&self.config.name).finish()
    }
}
