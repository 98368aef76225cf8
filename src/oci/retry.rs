//! When to ask a registry again.

use std::time::Duration;

use super::{Limits, OciError};

/// Counts the attempts of one piece of work.
pub(super) struct Retry {
    limits: Limits,
    /// Failures since the last progress.
    in_a_row: u32,
    /// Failures in all.
    total: u32,
}

impl Retry {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            limits: limits.clone(),
            in_a_row: 0,
            total: 0,
        }
    }

    /// Something new arrived: the next failure counts as a first one again.
    pub(super) fn progress(&mut self) {
        self.in_a_row = 0;
    }

    /// Sleeps before the next attempt, or hands `error` back when there is to be none.
    pub(super) async fn pause(&mut self, error: OciError) -> Result<(), OciError> {
        let Some(pause) = self.next_pause(&error, rand::random()) else {
            return Err(error);
        };
        tracing::debug!(%error, pause_ms = pause.as_millis(), failures = self.total, "asking the registry again");
        tokio::time::sleep(pause).await;
        Ok(())
    }

    /// The pause before the next attempt; `None` when there is to be none. `random` is in `0.0..1.0`.
    fn next_pause(&mut self, error: &OciError, random: f64) -> Option<Duration> {
        self.in_a_row += 1;
        self.total += 1;
        if !error.is_transient()
            || self.in_a_row >= self.limits.attempts
            || self.total >= self.limits.failures
        {
            return None;
        }
        match error.retry_after() {
            Some(asked) if asked > self.limits.retry_after_cap => None,
            // Never before the time, and not all clients at the same moment.
            Some(asked) => Some(asked + self.limits.backoff_base.mul_f64(random)),
            None => {
                let doubled = self
                    .limits
                    .backoff_base
                    .saturating_mul(1 << self.in_a_row.saturating_sub(1).min(16));
                Some(doubled.min(self.limits.backoff_cap).mul_f64(0.5 + random / 2.0))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use http::{HeaderValue, StatusCode};
    use jiff::Timestamp;

    use super::*;
    use crate::upstream::parse_retry_after;

    fn broken() -> OciError {
        OciError::Network {
            what: "GET".to_owned(),
            why: "reset".to_owned(),
        }
    }

    fn busy(seconds: u64) -> OciError {
        OciError::Busy {
            what: "GET".to_owned(),
            status: StatusCode::TOO_MANY_REQUESTS,
            retry_after: Some(Duration::from_secs(seconds)),
            message: String::new(),
        }
    }

    #[test]
    fn pauses_double_and_end() {
        let mut retry = Retry::new(&Limits::default());
        let pauses: Vec<_> = (0..5).map(|_| retry.next_pause(&broken(), 1.0)).collect();
        let ms = |n| Some(Duration::from_millis(n));
        assert_eq!(pauses, [ms(500), ms(1000), ms(2000), ms(4000), None]);
    }

    #[test]
    fn progress_begins_anew_but_not_for_ever() {
        let limits = Limits::default();
        let mut retry = Retry::new(&limits);
        let mut tries = 0;
        while retry.next_pause(&broken(), 0.0).is_some() {
            retry.progress();
            tries += 1;
        }
        assert_eq!(tries, limits.failures - 1);
    }

    #[test]
    fn a_registry_is_not_asked_before_it_said_and_not_waited_for_without_end() {
        let mut retry = Retry::new(&Limits::default());
        assert!(retry.next_pause(&busy(7), 0.0).unwrap() >= Duration::from_secs(7));
        assert_eq!(retry.next_pause(&busy(100_000), 0.0), None);
    }

    #[test]
    fn a_lie_is_not_asked_for_again() {
        let lie = OciError::Lied {
            what: "x".to_owned(),
            why: "y".to_owned(),
        };
        assert_eq!(Retry::new(&Limits::default()).next_pause(&lie, 0.0), None);
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now: Timestamp = "2026-11-20T12:00:00Z".parse().unwrap();
        for (text, seconds) in [
            ("3", Some(3)),
            (" 0 ", Some(0)),
            ("Fri, 20 Nov 2026 12:00:30 GMT", Some(30)),
            ("Fri, 20 Nov 2026 11:00:00 GMT", Some(0)),
            ("soon", None),
        ] {
            let value = HeaderValue::from_str(text).unwrap();
            assert_eq!(
                parse_retry_after(&value, now),
                seconds.map(Duration::from_secs),
                "{text}"
            );
        }
    }
}
