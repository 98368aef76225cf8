//! The minimum age: how long a file waits before it is served, and by which clock.

use jiff::{SignedDuration, Timestamp};

use super::Settings;
use crate::config::Clock;

/// A site's minimum age.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MinimumAge {
    /// More than nothing.
    pub age: SignedDuration,
    /// What it is measured by.
    pub clock: Clock,
}

impl MinimumAge {
    /// The site's, if it has one.
    pub(super) fn of(settings: &Settings) -> Option<Self> {
        let seconds = i64::try_from(settings.minimum_age_seconds).unwrap_or(i64::MAX);
        (seconds > 0).then(|| Self {
            age: SignedDuration::from_secs(seconds),
            clock: settings.minimum_age_clock,
        })
    }

    /// When a file becomes old enough. `None`: not yet to be told, because the clock has not started.
    pub fn due(&self, upload: Option<Timestamp>, first_seen: Option<Timestamp>) -> Option<Timestamp> {
        let start = match self.clock {
            Clock::Upload => upload.or(first_seen),
            Clock::FirstSight => first_seen,
            Clock::Later => first_seen.map(|seen| upload.map_or(seen, |upload| upload.max(seen))),
        }?;
        Some(start.checked_add(self.age).unwrap_or(Timestamp::MAX))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn due(clock: Clock, upload: Option<i64>, seen: Option<i64>) -> Option<i64> {
        let at = |second: i64| Timestamp::from_second(second).unwrap();
        let settings = Settings {
            minimum_age_seconds: 10,
            minimum_age_clock: clock,
            ..Settings::default()
        };
        let age = MinimumAge::of(&settings).unwrap();
        age.due(upload.map(at), seen.map(at)).map(Timestamp::as_second)
    }

    #[test]
    fn each_clock_starts_where_it_says() {
        assert_eq!(due(Clock::Upload, Some(100), Some(200)), Some(110));
        assert_eq!(
            due(Clock::Upload, None, Some(200)),
            Some(210),
            "falls back to first sight"
        );
        assert_eq!(due(Clock::FirstSight, Some(100), Some(200)), Some(210));
        assert_eq!(due(Clock::Later, Some(100), Some(200)), Some(210));
        assert_eq!(due(Clock::Later, Some(300), Some(200)), Some(310));
        assert_eq!(due(Clock::Later, None, Some(200)), Some(210));
        assert_eq!(due(Clock::Later, Some(300), None), None);
        assert_eq!(MinimumAge::of(&Settings::default()), None);
    }

    #[test]
    fn an_age_beyond_the_calendar_is_never_reached() {
        let settings = Settings {
            minimum_age_seconds: u64::MAX,
            ..Settings::default()
        };
        let age = MinimumAge::of(&settings).unwrap();
        assert_eq!(age.due(None, Some(Timestamp::UNIX_EPOCH)), Some(Timestamp::MAX));
    }
}
