//! What `[tuf]` says of publishing.

use std::time::Duration;

/// Times of publication. All of them are lengths of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Shortest time between the beginnings of two publications.
    pub interval: Duration,
    /// How often the timestamp is signed again when nothing changes.
    pub resign: Duration,
    /// How long superseded files are kept; never less than a day.
    pub keep_superseded: Duration,
    /// How long before a role expires it is warned of, when somebody has to sign it by hand.
    pub warn_before: Duration,
    /// At a site that has imported bundles: how old the newest may become. The timestamp never outlives that. `None`: it may.
    pub max_bundle_age: Option<Duration>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(1),
            resign: Duration::from_hours(6),
            keep_superseded: Duration::from_hours(48),
            warn_before: Duration::from_hours(30 * 24),
            max_bundle_age: None,
        }
    }
}
