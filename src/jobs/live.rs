//! A job while it runs: its state, and a bell that rings when the state changes.

use std::sync::{Mutex, PoisonError};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::api::{FileResult, JobView, Progress};
use crate::catalog::FileRef;

/// A job that runs or waits.
#[derive(Debug)]
pub struct LiveJob {
    view: Mutex<JobView>,
    bell: watch::Sender<u64>,
    /// The file that it rebuilds, if that is what it does.
    pub(super) file: Option<FileRef>,
    /// Asks the job to end.
    pub cancel: CancellationToken,
    /// Tells that the job has ended and is written down.
    pub done: CancellationToken,
}

impl LiveJob {
    pub(super) fn new(view: JobView, file: Option<FileRef>) -> Self {
        Self {
            file,
            view: Mutex::new(view),
            bell: watch::Sender::new(0),
            cancel: CancellationToken::new(),
            done: CancellationToken::new(),
        }
    }

    /// The whole state.
    pub fn view(&self) -> JobView {
        self.lock().clone()
    }

    /// What is new since `seen` files were known: those files, how far the job is, and whether it ended.
    pub fn since(&self, seen: usize) -> (Vec<FileResult>, Progress, bool) {
        let view = self.lock();
        let files = view.files.get(seen..).unwrap_or_default().to_vec();
        (files, view.progress, view.finished_at.is_some())
    }

    /// Rings whenever the state changes.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.bell.subscribe()
    }

    pub(super) fn update(&self, change: impl FnOnce(&mut JobView)) {
        change(&mut self.lock());
        self.bell.send_modify(|n| *n = n.wrapping_add(1));
    }

    // The state is plain data: a panic elsewhere cannot leave it half made.
    fn lock(&self) -> std::sync::MutexGuard<'_, JobView> {
        self.view.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
