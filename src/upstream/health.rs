//! What is known of an upstream's state, and what was asked of it.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;

use super::UpstreamError;

/// What a request was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A project's page.
    Page,
    /// The list of projects.
    List,
    /// A project's JSON, for what its page lacks.
    Json,
    /// A distribution file.
    File,
    /// A file's `.metadata`.
    Metadata,
    /// Part of a wheel, for its metadata.
    Range,
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// With what was asked for.
    Ok,
    /// 304.
    NotModified,
    /// 404 or 410.
    NotFound,
    /// 401, 403 or 407.
    Denied,
    /// 429 or 5xx.
    Busy,
    /// No connection, or it broke.
    Broken,
    /// A time-out.
    TimedOut,
    /// The answer was of no use: a lie, too large, not understood, a forbidden redirect.
    Bad,
}

const KINDS: [Kind; 6] = [
    Kind::Page,
    Kind::List,
    Kind::Json,
    Kind::File,
    Kind::Metadata,
    Kind::Range,
];
const OUTCOMES: [Outcome; 8] = [
    Outcome::Ok,
    Outcome::NotModified,
    Outcome::NotFound,
    Outcome::Denied,
    Outcome::Busy,
    Outcome::Broken,
    Outcome::TimedOut,
    Outcome::Bad,
];

impl Kind {
    /// Stable name, for metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Page => "page",
            Self::List => "list",
            Self::Json => "json",
            Self::File => "file",
            Self::Metadata => "metadata",
            Self::Range => "range",
        }
    }

    /// Whether its failure says that the index itself is in trouble, and not only one file.
    fn is_index(self) -> bool {
        matches!(self, Self::Page | Self::List)
    }
}

impl Outcome {
    /// Stable name, for metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::NotModified => "not_modified",
            Self::NotFound => "not_found",
            Self::Denied => "denied",
            Self::Busy => "busy",
            Self::Broken => "broken",
            Self::TimedOut => "timed_out",
            Self::Bad => "bad",
        }
    }

    fn of(error: &UpstreamError) -> Self {
        match error {
            UpstreamError::Connect { .. } | UpstreamError::Truncated { .. } => Self::Broken,
            UpstreamError::TimedOut { .. } => Self::TimedOut,
            UpstreamError::Busy { .. } => Self::Busy,
            UpstreamError::Denied { .. } => Self::Denied,
            UpstreamError::NotFound { .. } => Self::NotFound,
            _ => Self::Bad,
        }
    }
}

/// Whether an upstream answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum State {
    /// It has not been asked yet.
    #[default]
    Unknown,
    /// It answers.
    Up,
    /// No connection could be made, or the last request for a page was not answered.
    Down,
}

impl State {
    /// Stable name, for `/readyz`, status and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Up => "up",
            Self::Down => "down",
        }
    }
}

/// An upstream's state at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HealthSnapshot {
    /// Whether it answers.
    pub state: State,
    /// Since when; `None` while unknown.
    pub since: Option<Timestamp>,
    /// The last failure that made it, or kept it, down. Kept after it is up again.
    pub last_error: Option<String>,
    /// When that was.
    pub last_error_at: Option<Timestamp>,
}

/// Requests of one kind that ended one way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestCount {
    /// What they were for.
    pub kind: Kind,
    /// How they ended.
    pub outcome: Outcome,
    /// How many, every attempt counted.
    pub count: u64,
}

/// What was asked of an upstream since the start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Every pair of kind and outcome that occurred.
    pub requests: Vec<RequestCount>,
    /// Bytes of bodies received, after decompression.
    pub bytes: u64,
    /// Attempts that were repetitions.
    pub retries: u64,
}

/// The one place that records what happens with an upstream.
#[derive(Default)]
pub(super) struct Health {
    now: Mutex<HealthSnapshot>,
    requests: [[AtomicU64; OUTCOMES.len()]; KINDS.len()],
    bytes: AtomicU64,
    retries: AtomicU64,
}

impl Health {
    /// A request got an answer that is of use, or one that says "no" in good order.
    pub(super) fn answered(&self, kind: Kind, outcome: Outcome, now: Timestamp) {
        self.count(kind, outcome);
        if kind.is_index() {
            self.change(State::Up, None, now);
        }
    }

    /// A request failed.
    pub(super) fn failed(&self, kind: Kind, error: &UpstreamError, now: Timestamp) {
        self.count(kind, Outcome::of(error));
        let down = match error {
            UpstreamError::Connect { .. } => true,
            // A page that cannot be understood is that project's trouble.
            _ => kind.is_index() && !matches!(Outcome::of(error), Outcome::Bad | Outcome::NotFound),
        };
        if down {
            self.change(State::Down, Some(describe(error)), now);
        }
    }

    pub(super) fn received(&self, bytes: usize) {
        self.bytes.fetch_add(bytes as u64, Relaxed);
    }

    pub(super) fn retried(&self) {
        self.retries.fetch_add(1, Relaxed);
    }

    pub(super) fn is_down(&self) -> bool {
        self.lock().state == State::Down
    }

    pub(super) fn snapshot(&self) -> HealthSnapshot {
        self.lock().clone()
    }

    pub(super) fn counters(&self) -> Counters {
        let requests = KINDS
            .iter()
            .zip(&self.requests)
            .flat_map(|(kind, row)| {
                OUTCOMES
                    .iter()
                    .zip(row)
                    .map(move |(outcome, cell)| (*kind, *outcome, cell))
            })
            .map(|(kind, outcome, cell)| RequestCount {
                kind,
                outcome,
                count: cell.load(Relaxed),
            })
            .filter(|entry| entry.count > 0)
            .collect();
        Counters {
            requests,
            bytes: self.bytes.load(Relaxed),
            retries: self.retries.load(Relaxed),
        }
    }

    fn count(&self, kind: Kind, outcome: Outcome) {
        self.requests[kind as usize][outcome as usize].fetch_add(1, Relaxed);
    }

    fn change(&self, state: State, error: Option<String>, at: Timestamp) {
        let mut now = self.lock();
        if now.state != state {
            now.state = state;
            now.since = Some(at);
        }
        if error.is_some() {
            now.last_error = error;
            now.last_error_at = Some(at);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HealthSnapshot> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An error with its causes, on one line.
fn describe(error: &UpstreamError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use url::Url;

    fn timed_out() -> UpstreamError {
        let url = (&Url::parse("http://u:secret@index.test/").unwrap()).into();
        UpstreamError::TimedOut {
            url,
            what: "sent nothing for too long",
            limit: std::time::Duration::from_secs(1),
        }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn since_is_when_the_state_changed() {
        let health = Health::default();
        assert_eq!(health.snapshot().state, State::Unknown);
        health.answered(Kind::Page, Outcome::Ok, at(1));
        health.answered(Kind::Page, Outcome::NotFound, at(2));
        assert_eq!(
            (health.snapshot().state, health.snapshot().since),
            (State::Up, Some(at(1)))
        );
        health.failed(Kind::Page, &timed_out(), at(3));
        health.failed(Kind::List, &timed_out(), at(4));
        let down = health.snapshot();
        assert_eq!(
            (down.state, down.since, down.last_error_at),
            (State::Down, Some(at(3)), Some(at(4)))
        );
        let error = down.last_error.unwrap();
        assert!(
            error.contains("sent nothing for too long") && !error.contains("secret"),
            "{error}"
        );
        health.answered(Kind::Page, Outcome::NotModified, at(5));
        assert_eq!(
            (health.snapshot().state, health.snapshot().since),
            (State::Up, Some(at(5)))
        );
    }

    #[test]
    fn a_single_file_says_nothing_of_the_index() {
        let health = Health::default();
        health.answered(Kind::Page, Outcome::Ok, at(1));
        health.failed(Kind::File, &timed_out(), at(2));
        assert_eq!(health.snapshot().state, State::Up);
        let requests = health.counters().requests;
        assert_eq!(
            requests,
            [
                RequestCount {
                    kind: Kind::Page,
                    outcome: Outcome::Ok,
                    count: 1
                },
                RequestCount {
                    kind: Kind::File,
                    outcome: Outcome::TimedOut,
                    count: 1
                }
            ]
        );
    }

    #[test]
    fn the_tables_are_in_the_order_of_the_enums() {
        for (n, kind) in KINDS.iter().enumerate() {
            assert_eq!(*kind as usize, n);
        }
        for (n, outcome) in OUTCOMES.iter().enumerate() {
            assert_eq!(*outcome as usize, n);
        }
    }
}
