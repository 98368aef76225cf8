//! The one place of this crate that leaves the async threads: for work that keeps a processor busy, or that may
//! wait on the disk. The store has its own.

use tracing::Span;

/// The closure panicked, or the runtime is shutting down. Its result is gone; what it did before stays done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the work did not finish: it panicked, or the process is stopping")]
pub(crate) struct Lost;

/// Runs `work` on a blocking thread, inside the caller's tracing span, and waits for it.
///
/// Whoever stops waiting does not stop the work: what it owns is dropped when it ends.
pub(crate) async fn run<T, F>(work: F) -> Result<T, Lost>
where
    T: Send + 'static,
    F: FnOnce() -> T + Send + 'static,
{
    start(work).await.map_err(|_| Lost)
}

/// Runs `work` on a blocking thread, inside the caller's tracing span, for nobody: that it is lost must do no harm.
pub(crate) fn detach<F>(work: F)
where
    F: FnOnce() + Send + 'static,
{
    drop(start(work));
}

#[expect(
    clippy::disallowed_methods,
    reason = "this is the wrapper that others must use"
)]
fn start<T, F>(work: F) -> tokio::task::JoinHandle<T>
where
    T: Send + 'static,
    F: FnOnce() -> T + Send + 'static,
{
    let span = Span::current();
    tokio::task::spawn_blocking(move || span.in_scope(work))
}

#[cfg(test)]
mod tests {
    use tracing::Instrument as _;

    use super::*;

    #[tokio::test]
    async fn work_runs_inside_the_callers_span() {
        let subscriber = tracing_subscriber::fmt().with_writer(std::io::sink).finish();
        let _default = tracing::subscriber::set_default(subscriber);
        let span = tracing::info_span!("request");
        // The default of this test's thread is not that of the blocking thread.
        let dispatch = tracing::dispatcher::get_default(Clone::clone);
        let work = move || tracing::dispatcher::with_default(&dispatch, || Span::current().id());
        let inside = run(work).instrument(span.clone()).await;
        assert!(span.id().is_some());
        assert_eq!(inside, Ok(span.id()));
    }

    #[tokio::test]
    async fn a_panic_is_an_answer() {
        assert_eq!(run(|| panic!("on purpose")).await, Err::<(), _>(Lost));
    }
}
