//! When to try again, and how long all tries together may take.

use std::time::Duration;

use http::HeaderValue;
use jiff::Timestamp;
use tokio::time::Instant;
use url::Url;

use super::{Limits, UpstreamError};

/// The end of an operation's time. It begins with the first request that is sent, not with waiting for a free place
/// at the host: that wait is bounded by the deadlines of those who hold the places.
pub(super) struct Deadline {
    total: Duration,
    ends: Option<Instant>,
}

impl Deadline {
    pub(super) fn new(total: Duration) -> Self {
        Self { total, ends: None }
    }

    /// Begins the time, if it has not begun.
    pub(super) fn start(&mut self) {
        self.ends.get_or_insert_with(|| Instant::now() + self.total);
    }

    fn left(&self) -> Duration {
        self.ends
            .map_or(self.total, |ends| ends.saturating_duration_since(Instant::now()))
    }

    /// Runs `work`, for `stall` at most and never past the end.
    pub(super) async fn within<F: Future>(
        &self,
        stall: Duration,
        url: &Url,
        work: F,
    ) -> Result<F::Output, UpstreamError> {
        let left = self.left();
        let bound = left.min(stall);
        tokio::time::timeout(bound, work).await.map_err(|_| {
            let (what, limit) = if left < stall {
                ("took too long as a whole", self.total)
            } else {
                ("sent nothing for too long", stall)
            };
            UpstreamError::TimedOut {
                url: url.into(),
                what,
                limit,
            }
        })
    }
}

/// Counts the attempts of one operation.
pub(super) struct Retry {
    attempts: u32,
    resumes: u32,
    base: Duration,
    cap: Duration,
    longest_wish: Duration,
    /// Failures since the last progress.
    failures: u32,
    /// Failures in all.
    total: u32,
}

impl Retry {
    /// With `attempts` in a row; the other bounds are those of `limits`.
    pub(super) fn new(limits: &Limits, attempts: u32) -> Self {
        Self {
            attempts,
            resumes: limits.resumes,
            base: limits.backoff_base,
            cap: limits.backoff_cap,
            longest_wish: limits.retry_after_cap,
            failures: 0,
            total: 0,
        }
    }

    /// Something new arrived: the next failure counts as a first one again.
    pub(super) fn progress(&mut self) {
        self.failures = 0;
    }

    /// Sleeps before the next attempt, or hands `error` back when there is to be none.
    pub(super) async fn pause(
        &mut self,
        error: UpstreamError,
        deadline: &Deadline,
    ) -> Result<(), UpstreamError> {
        let Some(pause) = self.next_pause(&error, deadline.left(), rand::random()) else {
            return Err(error);
        };
        tracing::debug!(%error, pause_ms = pause.as_millis(), failures = self.total, "trying upstream again");
        tokio::time::sleep(pause).await;
        Ok(())
    }

    /// The pause before the next attempt; `None` when there is to be none. `random` is in `0.0..1.0`.
    fn next_pause(&mut self, error: &UpstreamError, left: Duration, random: f64) -> Option<Duration> {
        self.failures += 1;
        self.total += 1;
        let again = error.is_transient()
            && !matches!(error, UpstreamError::Changed { .. })
            && self.failures < self.attempts
            && self.total <= self.resumes.max(self.attempts);
        let jitter = backoff(self.failures, self.base, self.cap).mul_f64(random);
        let pause = match error.retry_after() {
            Some(asked) if asked > self.longest_wish => return None,
            Some(asked) => asked + self.base.mul_f64(random),
            None => jitter,
        };
        (again && pause < left).then_some(pause)
    }
}

/// The bound of the pause after the `failures`-th failure in a row (from 1).
fn backoff(failures: u32, base: Duration, cap: Duration) -> Duration {
    base.saturating_mul(1 << failures.saturating_sub(1).min(16))
        .min(cap)
}

/// `Retry-After` (RFC 9110, 10.2.3): seconds, or an HTTP date, which is taken relative to `now`.
pub(crate) fn parse_retry_after(value: &HeaderValue, now: Timestamp) -> Option<Duration> {
    let text = value.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let at = jiff::fmt::rfc2822::DateTimeParser::new()
        .parse_timestamp(text)
        .ok()?;
    Some(Duration::try_from(at.duration_since(now)).unwrap_or(Duration::ZERO))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use http::StatusCode;
    use proptest::prelude::*;

    fn shown() -> super::super::ShownUrl {
        (&Url::parse("http://index.test/").unwrap()).into()
    }

    fn truncated() -> UpstreamError {
        UpstreamError::Truncated {
            url: shown(),
            received: 1,
            source: None,
        }
    }

    fn busy(seconds: u64) -> UpstreamError {
        let retry_after = Some(Duration::from_secs(seconds));
        UpstreamError::Busy {
            url: shown(),
            status: StatusCode::TOO_MANY_REQUESTS,
            retry_after,
        }
    }

    const HOUR: Duration = Duration::from_hours(1);

    #[test]
    fn pauses_double_up_to_the_cap_and_end_with_the_attempts() {
        let limits = Limits {
            attempts: 5,
            ..Limits::default()
        };
        let mut retry = Retry::new(&limits, limits.attempts);
        let pauses: Vec<_> = (0..5)
            .map(|_| retry.next_pause(&truncated(), HOUR, 1.0))
            .collect();
        let ms = |n| Some(Duration::from_millis(n));
        assert_eq!(pauses, [ms(200), ms(400), ms(800), ms(1600), None]);
        assert_eq!(
            backoff(40, limits.backoff_base, limits.backoff_cap),
            limits.backoff_cap
        );
    }

    #[test]
    fn progress_starts_anew_but_not_for_ever() {
        let limits = Limits {
            attempts: 2,
            resumes: 7,
            ..Limits::default()
        };
        let mut retry = Retry::new(&limits, limits.attempts);
        let mut tries = 0;
        while retry.next_pause(&truncated(), HOUR, 0.5).is_some() {
            retry.progress();
            tries += 1;
        }
        assert_eq!(tries, 7);
    }

    #[test]
    fn what_cannot_help_is_not_repeated() {
        let limits = Limits::default();
        let pause = |error: &UpstreamError, left| Retry::new(&limits, 4).next_pause(error, left, 0.5);
        assert_eq!(pause(&UpstreamError::NotFound { url: shown() }, HOUR), None);
        assert_eq!(
            pause(&UpstreamError::Changed { url: shown() }, HOUR),
            None,
            "what was handed out is of no use"
        );
        assert_eq!(
            pause(&truncated(), Duration::from_millis(1)),
            None,
            "no time is left"
        );
    }

    #[test]
    fn a_wish_is_granted_up_to_a_bound() {
        let limits = Limits::default();
        let pause = |seconds| Retry::new(&limits, 4).next_pause(&busy(seconds), HOUR, 0.0);
        assert_eq!(pause(3), Some(Duration::from_secs(3)));
        assert_eq!(pause(3600), None);
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now: Timestamp = "2026-01-02T03:04:05Z".parse().unwrap();
        let parse = |text: &'static str| parse_retry_after(&HeaderValue::from_static(text), now);
        assert_eq!(parse("120"), Some(Duration::from_mins(2)));
        assert_eq!(
            parse("Fri, 02 Jan 2026 03:04:15 GMT"),
            Some(Duration::from_secs(10))
        );
        assert_eq!(
            parse("Fri, 02 Jan 2026 03:00:00 GMT"),
            Some(Duration::ZERO),
            "a date that has passed"
        );
        assert_eq!(parse("soon"), None);
        assert_eq!(parse("-1"), None);
    }

    proptest! {
        #[test]
        fn a_pause_never_passes_its_bounds(failures in 1u32..100, random in 0.0f64..1.0) {
            let limits = Limits { attempts: 200, resumes: 200, ..Limits::default() };
            let mut retry = Retry::new(&limits, 200);
            retry.failures = failures - 1;
            let pause = retry.next_pause(&truncated(), HOUR, random).unwrap();
            prop_assert!(pause <= limits.backoff_cap);
        }
    }
}
