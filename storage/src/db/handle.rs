//! [`Db`]: the async handle that the rest of Chiron holds.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};
use std::thread;

use tokio::sync::{Semaphore, mpsc, oneshot};

use super::writer::{self, Counters, QUEUE_TRANSACTIONS, Request, Shared};
use super::{DbError, META, Store, Tx, View};
use crate::blocking;
use crate::log::{ENTRIES, NODES};
use crate::table::{Key, Table, Value};

/// How the tables are opened.
#[derive(Debug, Clone)]
pub struct DbOptions {
    /// Bytes of the block cache, which also holds index and filter blocks.
    pub cache_bytes: usize,
    /// Read views that may run at once; more callers wait (threat: threads and memory).
    pub readers: usize,
    /// Bytes that a write must leave free on the disk.
    pub min_free_bytes: u64,
    /// Families of the caller's tables. The store's own (`meta`, `entries`, `nodes`) are added.
    pub families: &'static [&'static str],
}

impl Default for DbOptions {
    fn default() -> Self {
        Self {
            cache_bytes: 64 << 20,
            readers: 16,
            min_free_bytes: 256 << 20,
            families: &[],
        }
    }
}

/// Estimates of one family.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FamilyStats {
    /// The family's name.
    pub family: &'static str,
    /// Rows, estimated.
    pub rows: u64,
    /// Bytes of its table files.
    pub disk_bytes: u64,
    /// Bytes of its memtables.
    pub memory_bytes: u64,
}

/// What the tables hold and what the writer has done since they were opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DbStats {
    /// Each family opened.
    pub families: Vec<FamilyStats>,
    /// Bytes in the block cache.
    pub cached_bytes: u64,
    /// Transactions run, failed ones included.
    pub transactions: u64,
    /// Synced writes.
    pub commits: u64,
    /// Microseconds spent in synced writes.
    pub commit_microseconds: u64,
    /// Transactions that wait for the writer now.
    pub queued: usize,
}

/// Typed tables with many readers and one writer. Cheap to clone.
#[derive(Clone)]
pub struct Db {
    inner: Arc<Inner>,
}

struct Inner {
    shared: Arc<Shared>,
    families: Vec<&'static str>,
    readers: Arc<Semaphore>,
    /// Both are `Some` until the last handle is dropped.
    requests: Option<mpsc::Sender<Request>>,
    writer: Option<thread::JoinHandle<()>>,
}

impl Drop for Inner {
    /// Closes the queue and waits for the writer, so that the folder can be opened again at once.
    fn drop(&mut self) {
        drop(self.requests.take());
        if let Some(writer) = self.writer.take()
            && writer.thread().id() != thread::current().id()
        {
            let _ = writer.join();
        }
    }
}

impl Db {
    /// Opens or creates the tables in `path`. Blocks: call it while starting up.
    ///
    /// Errors: [`DbError::Locked`], [`DbError::NewerFormat`], [`DbError::Corrupt`], [`DbError::NoSpace`],
    /// [`DbError::Io`]; none of them changes what is stored.
    #[allow(clippy::needless_pass_by_value)] // options are built in the call
    pub fn open(path: &Path, options: DbOptions) -> Result<Self, DbError> {
        let mut families = vec![META, ENTRIES.family(), NODES.family()];
        families.extend(options.families);
        families.sort_unstable();
        families.dedup();
        let store = Store::open(path, &families, options.cache_bytes)?;
        let shared = Arc::new(Shared {
            store,
            min_free_bytes: options.min_free_bytes,
            poison: OnceLock::new(),
            counters: Counters::default(),
        });
        let (requests, queue) = mpsc::channel(QUEUE_TRANSACTIONS);
        let for_writer = Arc::clone(&shared);
        let writer = thread::Builder::new()
            .name("chiron-writer".to_owned())
            .spawn(move || writer::run(&for_writer, queue))
            .map_err(|error| DbError::from_io(path, &error))?;
        Ok(Self {
            inner: Arc::new(Inner {
                shared,
                families,
                readers: Arc::new(Semaphore::new(options.readers.max(1))),
                requests: Some(requests),
                writer: Some(writer),
            }),
        })
    }

    /// The database's folder.
    pub fn path(&self) -> PathBuf {
        self.inner.shared.store.path().to_owned()
    }

    /// Why writing has stopped, when it has.
    pub fn poisoned(&self) -> Option<&str> {
        self.inner.shared.poison.get().map(String::as_str)
    }

    /// Runs `work` on a read view of this moment, on a blocking thread.
    ///
    /// A view is consistent: nothing that is written meanwhile shows. Keep it short; it holds old
    /// rows on disk and one of [`DbOptions::readers`].
    pub async fn read<T, E, F>(&self, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<DbError> + Send + 'static,
        F: FnOnce(&View<'_>) -> Result<T, E> + Send + 'static,
    {
        let readers = Arc::clone(&self.inner.readers);
        let permit = readers.acquire_owned().await.map_err(|_| DbError::Closed)?;
        let shared = Arc::clone(&self.inner.shared);
        let result = blocking::run(move || {
            // Both live as long as the work, also when the caller no longer waits.
            let _permit = permit;
            let result = work(&View::new(&shared.store));
            drop(shared);
            result
        });
        result.await.map_err(|_| DbError::Panicked)?
    }

    /// One value, as it is now.
    pub async fn get<K, V>(&self, table: &Table<K, V>, key: &K) -> Result<Option<V>, DbError>
    where
        K: Key + Clone + Send + 'static,
        V: Value + Send + 'static,
    {
        let (table, key) = (*table, key.clone());
        self.read(move |view| view.get(&table, &key)).await
    }

    /// Runs `work` on the writer's thread and returns its result once the disk has its changes.
    ///
    /// Transactions run one after the other, each as if alone; those that wait share one synced
    /// write. `Err` (or a panic) discards the transaction's own changes only. A caller that stops
    /// waiting does not undo it. `work` must be quick: everyone who writes waits for it.
    pub async fn transact<T, E, F>(&self, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<DbError> + Send + 'static,
        F: FnOnce(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
    {
        self.inner.shared.check_poison()?;
        let (answer, result) = oneshot::channel();
        self.send(Request::Transact(writer::job(work, answer))).await?;
        result.await.map_err(|_| DbError::Closed)?
    }

    /// Empties the families in one atomic write, after everything that was asked for before.
    pub async fn clear(&self, families: &[&'static str]) -> Result<(), DbError> {
        let (answer, result) = oneshot::channel();
        self.send(Request::Clear(families.to_vec(), answer)).await?;
        result.await.map_err(|_| DbError::Closed)?
    }

    async fn send(&self, request: Request) -> Result<(), DbError> {
        let requests = self.inner.requests.as_ref().ok_or(DbError::Closed)?;
        requests.send(request).await.map_err(|_| DbError::Closed)
    }

    /// Writes all memtables to table files: the next start replays nothing.
    pub async fn flush(&self) -> Result<(), DbError> {
        let inner = Arc::clone(&self.inner);
        let flushed = blocking::run(move || inner.shared.store.flush(&inner.families));
        flushed.await.map_err(|_| DbError::Panicked)?
    }

    /// Makes a consistent copy of the tables in `target`, which must not exist (hard links on one disk).
    pub async fn copy_to(&self, target: &Path) -> Result<(), DbError> {
        let (shared, target) = (Arc::clone(&self.inner.shared), target.to_owned());
        let copied = blocking::run(move || shared.store.copy_to(&target));
        copied.await.map_err(|_| DbError::Panicked)?
    }

    /// Counts and sizes, from memory.
    pub fn stats(&self) -> Result<DbStats, DbError> {
        let shared = &self.inner.shared;
        let families = self
            .inner
            .families
            .iter()
            .map(|family| shared.store.family_stats(family))
            .collect::<Result<_, _>>()?;
        let queued = self
            .inner
            .requests
            .as_ref()
            .map_or(0, |requests| requests.max_capacity() - requests.capacity());
        Ok(DbStats {
            families,
            cached_bytes: shared.store.cached_bytes(),
            transactions: shared.counters.transactions.load(Ordering::Relaxed),
            commits: shared.counters.commits.load(Ordering::Relaxed),
            commit_microseconds: shared.counters.commit_microseconds.load(Ordering::Relaxed),
            queued,
        })
    }
}

impl fmt::Debug for Db {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Db").field(&self.path()).finish()
    }
}
