//! The one place that leaves the async threads for work that may wait on the disk.

use tracing::Span;

/// The closure panicked, or the runtime is shutting down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the storage task did not finish: it panicked, or the process is stopping")]
pub(crate) struct Lost;

/// A task that is already running on a blocking thread.
pub(crate) type Task<T> = tokio::task::JoinHandle<T>;

/// Starts `work` on a blocking thread, inside the caller's tracing span.
///
/// Dropping the handle does not stop the work: whatever it owns is dropped when it ends.
#[expect(
    clippy::disallowed_methods,
    reason = "this is the wrapper that others must use"
)]
pub(crate) fn start<T, F>(work: F) -> Task<T>
where
    T: Send + 'static,
    F: FnOnce() -> T + Send + 'static,
{
    let span = Span::current();
    tokio::task::spawn_blocking(move || span.in_scope(work))
}

/// Blocking threads that one call may use at once (threat: one caller who takes them all).
const PARALLEL: usize = 32;

/// Runs `work` on every item, side by side, and waits for all; results in order, the first error wins.
///
/// For work that mostly waits for the disk: a file system syncs many files in little more time than one.
pub(crate) async fn for_all<I, T, E, F>(items: Vec<I>, work: F) -> Result<Vec<T>, E>
where
    I: Send + 'static,
    T: Send + 'static,
    E: From<Lost> + Send + 'static,
    F: Fn(I) -> Result<T, E> + Clone + Send + 'static,
{
    let mut done = Vec::with_capacity(items.len());
    let mut items = items.into_iter();
    loop {
        let tasks: Vec<_> = items
            .by_ref()
            .take(PARALLEL)
            .map(|item| {
                let work = work.clone();
                start(move || work(item))
            })
            .collect();
        if tasks.is_empty() {
            return Ok(done);
        }
        for task in tasks {
            done.push(task.await.map_err(|_| Lost)??);
        }
    }
}

/// Runs `work` on a blocking thread and waits for it.
pub(crate) async fn run<T, F>(work: F) -> Result<T, Lost>
where
    T: Send + 'static,
    F: FnOnce() -> T + Send + 'static,
{
    start(work).await.map_err(|_| Lost)
}
