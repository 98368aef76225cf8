//! The task that publishes: soon after the catalogue changes, and when something is due.

use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};

use super::publisher::Inner;
use super::reminder::Reminder;
use super::{How, PublishError, Published, Publisher};

/// How often the wall clock is looked at: it may jump, and machines sleep.
const TICK: Duration = Duration::from_secs(30);

/// How often everything in the folder is compared with what was written. Single files are whenever they are served.
const INSPECT_EVERY: Duration = Duration::from_hours(6);

/// How often superseded files are looked for.
const SWEEP_EVERY: Duration = Duration::from_mins(10);

/// Between attempts that fail, at first and at most. Keys may be behind services that throttle whoever knocks too often.
const RETRY_FIRST: Duration = Duration::from_secs(1);
const RETRY_MOST: Duration = Duration::from_mins(5);

/// Publications that may follow on each other's heels before the interval keeps them apart: a person who makes a few changes
/// in a row does not wait a second for each.
const AT_A_STRETCH: u32 = 5;

/// The clock jumped if it and the time that passed disagree by more.
const JUMP: SignedDuration = SignedDuration::from_mins(5);

impl Publisher {
    pub(super) async fn follow(self) {
        let mut changes = self.inner.parts.catalog.changes();
        let mut upkeep = Upkeep::new(Timestamp::now(), Instant::now());
        let mut reminder = Reminder::default();
        let mut pace = Pace::new(self.inner.parts.settings.interval, Instant::now());
        loop {
            let begun = Instant::now();
            changes.borrow_and_update();
            // What failed is owed: a new timestamp shows that the keys are well again.
            let how = How {
                resign: self.inner.condition.trouble().is_some(),
                ..How::default()
            };
            let result = self.publish(how, Timestamp::now()).await;
            let failed = matches!(&result, Err(error) if error.is_trouble());
            let pause = match result {
                Ok(published) if published.files_written > 0 => pace.after(begun),
                Err(PublishError::Stopping) => return,
                Err(error) if error.is_trouble() => self.retry_after(),
                Ok(_) | Err(_) => Duration::ZERO,
            };
            upkeep.look(&self.inner, Timestamp::now(), Instant::now()).await;
            reminder.look(&self, Timestamp::now(), Instant::now()).await;
            // Whatever changes meanwhile is published together.
            tokio::time::sleep(pause.saturating_sub(begun.elapsed())).await;
            if failed {
                continue;
            }
            tokio::select! {
                changed = changes.changed() => if changed.is_err() { return },
                () = self.inner.bell.notified() => {}
                () = tokio::time::sleep(TICK) => {}
            }
        }
    }

    fn retry_after(&self) -> Duration {
        let times = self.inner.condition.trouble().map_or(0, |trouble| trouble.times);
        let doublings = times.saturating_sub(1).min(16);
        RETRY_FIRST.saturating_mul(1 << doublings).min(RETRY_MOST)
    }
}

impl Inner {
    /// Counts and reports how a publication ended.
    pub(super) fn note(&self, result: &Result<Published, PublishError>) {
        let metrics = &self.parts.metrics;
        match result {
            Ok(published) => {
                // Nothing was signed: that says nothing of a key that failed.
                if published.files_written > 0 {
                    if self.condition.trouble().is_some() {
                        tracing::info!("publishing works again");
                    }
                    self.condition.ended(None);
                    metrics.published(published.bins_signed, published.bytes_written);
                    tracing::info!(
                        generation = published.generation,
                        log_size = published.log_size,
                        targets = published.targets_changed,
                        bins = published.bins_signed,
                        bytes = published.bytes_written,
                        took_ms = published.took_ms,
                        "published"
                    );
                }
            }
            // Nothing is wrong with the repository: there is none yet, or somebody handed in what it does not take.
            Err(error) if !error.is_trouble() => {}
            Err(error) => {
                let times = self.condition.ended(Some(error.to_string()));
                metrics.publication_failed();
                tracing::error!(%error, times, "nothing was published; the generation before is served on, and it is tried again");
            }
        }
    }
}

/// Keeps publications apart: one in each interval on the average, and a few at a stretch.
struct Pace {
    interval: Duration,
    /// Until when the intervals of all publications so far last, were they one after the other.
    until: Instant,
}

impl Pace {
    fn new(interval: Duration, now: Instant) -> Self {
        Self { interval, until: now }
    }

    /// How long after its beginning a publication is to be followed by another.
    fn after(&mut self, begun: Instant) -> Duration {
        self.until = self.until.max(begun) + self.interval;
        let ahead = self.until.duration_since(begun);
        ahead.saturating_sub(self.interval * (AT_A_STRETCH - 1))
    }
}

/// What is done now and then beside publishing.
struct Upkeep {
    inspected: Option<Instant>,
    swept: Option<Instant>,
    /// When the clock last made sense: what it said, and when that was.
    sense: (Timestamp, Instant),
    /// Nothing is swept before.
    hold_until: Option<Instant>,
}

impl Upkeep {
    fn new(now: Timestamp, instant: Instant) -> Self {
        Self {
            inspected: None,
            swept: None,
            sense: (now, instant),
            hold_until: None,
        }
    }

    async fn look(&mut self, inner: &Inner, now: Timestamp, instant: Instant) {
        self.watch_clock(inner.keep_superseded(), now, instant);
        if due(self.inspected, INSPECT_EVERY, instant) {
            self.inspected = Some(instant);
            if let Err(error) = inner.inspect().await {
                tracing::warn!(%error, "the metadata folder could not be compared with what was written");
            }
        }
        let may_sweep = self.hold_until.is_none_or(|until| instant >= until);
        if may_sweep && due(self.swept, SWEEP_EVERY, instant) {
            self.swept = Some(instant);
            if let Err(error) = inner.sweep(now).await {
                tracing::warn!(%error, "superseded metadata was not swept; it is tried again");
            }
        }
    }

    /// A clock that jumps forward makes young files look old: nothing is swept until the grace has really passed.
    fn watch_clock(&mut self, grace: Duration, now: Timestamp, instant: Instant) {
        let (then, began) = self.sense;
        let passed = SignedDuration::try_from(instant.duration_since(began)).unwrap_or(SignedDuration::MAX);
        let said = now.duration_since(then);
        let off = said.saturating_sub(passed);
        if off.abs() > JUMP {
            tracing::warn!(
                seconds = off.as_secs(),
                "the clock jumped; metadata is signed by it, versions go on, and superseded files are kept longer"
            );
            self.sense = (now, instant);
            self.hold_until = instant.checked_add(grace);
        }
    }
}

fn due(last: Option<Instant>, every: Duration, now: Instant) -> bool {
    last.is_none_or(|last| now.duration_since(last) >= every)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    #[test]
    fn publications_keep_apart_after_a_few() {
        let (second, mut now) = (Duration::from_secs(1), Instant::now());
        let mut pace = Pace::new(second, now);
        for _ in 1..AT_A_STRETCH {
            assert_eq!(pace.after(now), Duration::ZERO);
        }
        // 10,000 changes, one after the other as fast as they are acknowledged.
        for _ in 0..20 {
            let pause = pace.after(now);
            assert_eq!(pause, second);
            now += pause;
        }
        now += Duration::from_mins(1);
        assert_eq!(pace.after(now), Duration::ZERO, "rested");
    }

    #[test]
    fn a_clock_that_jumps_forward_lets_nothing_be_swept() {
        let (now, instant) = (
            "2026-11-20T12:00:00Z".parse::<Timestamp>().unwrap(),
            Instant::now(),
        );
        let day = Duration::from_hours(24);
        let mut upkeep = Upkeep::new(now, instant);
        let later = instant + Duration::from_mins(10);
        upkeep.watch_clock(day, now + SignedDuration::from_mins(11), later);
        assert_eq!(upkeep.hold_until, None);
        upkeep.watch_clock(day, now + SignedDuration::from_hours(72), later);
        assert_eq!(upkeep.hold_until, Some(later + day));
        let (jumped, later) = (later, later + Duration::from_mins(1));
        upkeep.watch_clock(day, now + SignedDuration::from_hours(72), later);
        assert_eq!(upkeep.hold_until, Some(jumped + day), "no new jump");
        upkeep.watch_clock(day, now, later);
        assert_eq!(upkeep.hold_until, Some(later + day), "back is a jump too");
    }
}
