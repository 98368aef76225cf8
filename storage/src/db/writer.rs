//! Group commit: one thread runs the transactions in turn and syncs many of them with one write.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use tokio::sync::{mpsc, oneshot};
use tracing::Span;

use super::overlay::{Overlay, Tx};
use super::{DbError, Store};
use crate::space;

/// Transactions that may share one synced write.
const GROUP_TRANSACTIONS: usize = 256;
/// Changed bytes after which a group takes no more transactions.
const GROUP_BYTES: usize = 4 << 20;
/// Transactions that may wait; more callers wait for a place (threat: memory).
pub(super) const QUEUE_TRANSACTIONS: usize = 1024;

/// Hears how the group's write went, and answers the caller.
type Reply = Box<dyn FnOnce(Result<(), DbError>) + Send>;
/// Decides on changes, adds them to the group's, and leaves the reply to be made after the write.
type Job = Box<dyn FnOnce(&Store, &mut Overlay) -> Reply + Send>;

/// What the writer is asked to do.
pub(super) enum Request {
    Transact(Job),
    Clear(Vec<&'static str>, oneshot::Sender<Result<(), DbError>>),
}

/// Counters of the writer, since the database was opened.
#[derive(Default)]
pub(super) struct Counters {
    pub(super) transactions: AtomicU64,
    pub(super) commits: AtomicU64,
    pub(super) commit_microseconds: AtomicU64,
}

/// What the writer's thread and the handles share.
pub(super) struct Shared {
    pub(super) store: Store,
    pub(super) min_free_bytes: u64,
    pub(super) poison: OnceLock<String>,
    pub(super) counters: Counters,
}

impl Shared {
    pub(super) fn check_poison(&self) -> Result<(), DbError> {
        match self.poison.get() {
            Some(cause) => Err(DbError::Poisoned { cause: cause.clone() }),
            None => Ok(()),
        }
    }

    fn check_space(&self, bytes: usize) -> Result<(), DbError> {
        let path = self.store.path();
        let free = space::free_bytes(path).map_err(|error| DbError::from_io(path, &error))?;
        let needed = self.min_free_bytes.saturating_add(bytes as u64);
        if free < needed {
            return Err(DbError::NoSpace { needed, free });
        }
        Ok(())
    }

    fn poison_on_error(&self, written: Result<(), DbError>) -> Result<(), DbError> {
        if let Err(error) = &written {
            let _ = self.poison.set(error.to_string());
            tracing::error!(%error, "a synced write failed: no more writes until a restart");
        }
        written
    }

    fn commit(&self, changes: &Overlay) -> Result<(), DbError> {
        if changes.is_empty() {
            return Ok(());
        }
        self.check_space(changes.bytes())?;
        let start = Instant::now();
        self.poison_on_error(self.store.write(changes))?;
        let microseconds = u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.counters.commits.fetch_add(1, Ordering::Relaxed);
        self.counters
            .commit_microseconds
            .fetch_add(microseconds, Ordering::Relaxed);
        Ok(())
    }

    fn clear(&self, families: &[&'static str]) -> Result<(), DbError> {
        self.check_poison()?;
        self.poison_on_error(self.store.clear(families))
    }
}

/// Wraps a caller's closure: it runs over the group's changes, and its result waits for the write.
pub(super) fn job<T, E, F>(work: F, answer: oneshot::Sender<Result<T, E>>) -> Job
where
    T: Send + 'static,
    E: From<DbError> + Send + 'static,
    F: FnOnce(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
{
    let span = Span::current();
    Box::new(move |store, group| {
        let _inside = span.entered();
        let saw_only_committed = group.is_empty();
        let mut tx = Tx::new(store, group);
        // A panic loses the transaction's own changes and nothing else: `group` is only read by it.
        let result = match catch_unwind(AssertUnwindSafe(|| work(&mut tx))) {
            Ok(result) => result,
            Err(_) => Err(DbError::Panicked.into()),
        };
        let changes = tx.into_changes();
        if result.is_ok() {
            group.absorb(changes);
        }
        Box::new(move |written| {
            let result = match written {
                Err(error) if result.is_ok() || !saw_only_committed => Err(error.into()),
                _ => result,
            };
            // A caller that no longer waits is no error: what it asked for is done.
            let _ = answer.send(result);
        })
    })
}

/// The writer's loop; it ends when every handle is gone and the queue is empty.
pub(super) fn run(shared: &Arc<Shared>, mut requests: mpsc::Receiver<Request>) {
    while let Some(request) = requests.blocking_recv() {
        let mut group = Overlay::default();
        let mut replies: Vec<Reply> = Vec::new();
        let mut clear = None;
        let mut next = Some(request);
        while let Some(request) = next.take() {
            match request {
                Request::Transact(job) => replies.push(run_job(shared, job, &mut group)),
                Request::Clear(families, answer) => {
                    clear = Some((families, answer));
                    break;
                }
            }
            if replies.len() < GROUP_TRANSACTIONS && group.bytes() < GROUP_BYTES {
                next = requests.try_recv().ok();
            }
        }
        let count = replies.len() as u64;
        shared.counters.transactions.fetch_add(count, Ordering::Relaxed);
        let written = shared.check_poison().and_then(|()| shared.commit(&group));
        for reply in replies {
            reply(written.clone());
        }
        if let Some((families, answer)) = clear {
            let _ = answer.send(shared.clear(&families));
        }
    }
}

fn run_job(shared: &Shared, job: Job, group: &mut Overlay) -> Reply {
    job(&shared.store, group)
}
