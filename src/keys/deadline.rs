//! Work that may never end: a driver of a token, a service that waits for a person, a file on a dead network share.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::oneshot;
use tracing::Span;

/// Pieces of such work at most. Threat: one that hangs for ever and is asked again and again, each time with a thread
/// more.
const MOST: usize = 64;

/// How many there are.
static RUNNING: AtomicUsize = AtomicUsize::new(0);

/// What became of the work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotDone {
    /// It did not end in time, or too much before it has not. It goes on by itself, and its result is dropped.
    Late,
    /// It panicked, or no thread could be had.
    Lost,
}

/// Runs `work` on a thread of its own and waits for it, `timeout` at most.
///
/// Not on the runtime's blocking threads: those are waited for when the process ends, and a driver that hangs would
/// keep a stopped daemon alive.
pub async fn within<T, F>(timeout: Duration, work: F) -> Result<T, NotDone>
where
    T: Send + 'static,
    F: FnOnce() -> T + Send + 'static,
{
    let slot = Slot::take().ok_or(NotDone::Late)?;
    let (answer, answered) = oneshot::channel();
    let span = Span::current();
    let thread = std::thread::Builder::new().name("keys".to_owned());
    thread
        .spawn(move || {
            let _slot = slot;
            let _ = answer.send(span.in_scope(work));
        })
        .map_err(|_| NotDone::Lost)?;
    match tokio::time::timeout(timeout, answered).await {
        Ok(done) => done.map_err(|_| NotDone::Lost),
        Err(_) => Err(NotDone::Late),
    }
}

/// One of the pieces of work; given back when dropped.
struct Slot;

impl Slot {
    fn take() -> Option<Self> {
        let taken = RUNNING.fetch_update(Ordering::AcqRel, Ordering::Acquire, |running| {
            (running < MOST).then_some(running + 1)
        });
        taken.is_ok().then_some(Self)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        RUNNING.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_that_hangs_is_cut_off_and_work_that_panics_is_an_answer() {
        let forever = || std::thread::sleep(Duration::from_hours(1));
        assert_eq!(
            within(Duration::from_millis(20), forever).await,
            Err(NotDone::Late)
        );
        let broken = || -> u8 { panic!("on purpose") };
        assert_eq!(within(Duration::from_secs(20), broken).await, Err(NotDone::Lost));
        assert_eq!(within(Duration::from_secs(20), || 7).await, Ok(7));
    }
}
