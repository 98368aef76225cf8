//! Single flight: one piece of work per key, any number of waiters.
//!
//! The work is a task of its own: it goes on when the one who asked first leaves, and whoever asks for the same key
//! before it ends gets the same answer. Its end is a drop guard's business, so that a task that panics or is
//! cancelled gives every waiter an error instead of leaving them waiting.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tracing::Instrument;

/// The work ended without an answer. Asking again starts it anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the work ended without an answer (it panicked or was cancelled); asking again starts it anew")]
pub struct FlightLost;

type Answer<T> = Result<T, FlightLost>;
type Board<K, T> = Arc<Mutex<HashMap<K, Flight<T>>>>;

/// The work under way, by key. `T` is what each waiter gets; a shared failure is a `Result` with a `Clone` error.
pub struct Flights<K, T> {
    board: Board<K, T>,
}

impl<K, T> Clone for Flights<K, T> {
    fn clone(&self) -> Self {
        Self {
            board: Arc::clone(&self.board),
        }
    }
}

impl<K, T> Default for Flights<K, T> {
    fn default() -> Self {
        Self {
            board: Arc::default(),
        }
    }
}

impl<K, T> Flights<K, T>
where
    K: Clone + Eq + Hash + Send + 'static,
    T: Clone + Send + Sync + 'static,
{
    /// None under way.
    pub fn new() -> Self {
        Self::default()
    }

    /// Joins the work for `key`, or starts it with `work` as a task of the current runtime.
    ///
    /// Dropping the [`Flight`] does not stop the work.
    pub fn join_or_start<W>(&self, key: K, work: impl FnOnce() -> W) -> Flight<T>
    where
        W: Future<Output = T> + Send + 'static,
    {
        let (sender, flight) = {
            let mut board = lock(&self.board);
            if let Some(flight) = board.get(&key) {
                return flight.clone();
            }
            let (sender, answer) = watch::channel(None);
            let flight = Flight { answer };
            board.insert(key.clone(), flight.clone());
            (sender, flight)
        };
        // From here on the guard answers for the key, whatever becomes of `work` or of the task.
        let landing = Landing {
            board: Arc::clone(&self.board),
            key: Some(key),
            sender,
        };
        let work = work();
        let task = async move {
            let answer = work.await;
            landing.land(answer);
        };
        drop(tokio::spawn(task.in_current_span()));
        flight
    }

    /// The work for `key`, if it is under way.
    pub fn get(&self, key: &K) -> Option<Flight<T>> {
        lock(&self.board).get(key).cloned()
    }

    /// How many are under way.
    pub fn len(&self) -> usize {
        lock(&self.board).len()
    }

    /// Whether none is under way.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Work under way: a handle to wait for its answer, as often and for as long as one likes.
pub struct Flight<T> {
    answer: watch::Receiver<Option<Answer<T>>>,
}

impl<T> Clone for Flight<T> {
    fn clone(&self) -> Self {
        Self {
            answer: self.answer.clone(),
        }
    }
}

impl<T: Clone> Flight<T> {
    /// Waits for the answer.
    pub async fn wait(&self) -> Result<T, FlightLost> {
        let mut answer = self.answer.clone();
        match answer.wait_for(Option::is_some).await {
            Ok(answer) => answer.clone().unwrap_or(Err(FlightLost)),
            Err(_) => Err(FlightLost),
        }
    }

    /// Waits for the answer, for `bound` at most; `None` when the work still goes on then.
    pub async fn wait_for(&self, bound: Duration) -> Option<Result<T, FlightLost>> {
        tokio::time::timeout(bound, self.wait()).await.ok()
    }
}

/// Takes the key off the board and answers every waiter, once, however the task ends.
struct Landing<K: Eq + Hash, T> {
    board: Board<K, T>,
    key: Option<K>,
    sender: watch::Sender<Option<Answer<T>>>,
}

impl<K: Eq + Hash, T> Landing<K, T> {
    fn land(mut self, answer: T) {
        self.finish(Ok(answer));
    }

    fn finish(&mut self, answer: Answer<T>) {
        if let Some(key) = self.key.take() {
            // Both under the lock: nobody can find the key free while its answer is not yet out.
            let mut board = lock(&self.board);
            self.sender.send_replace(Some(answer));
            board.remove(&key);
        }
    }
}

impl<K: Eq + Hash, T> Drop for Landing<K, T> {
    fn drop(&mut self) {
        self.finish(Err(FlightLost));
    }
}

/// A panic elsewhere cannot leave the map half changed, so a poisoned lock is still good.
fn lock<K, T>(board: &Board<K, T>) -> std::sync::MutexGuard<'_, HashMap<K, Flight<T>>> {
    board.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
    use tokio::sync::{Barrier, oneshot};

    /// Work that ends when told, and counts how often it was started.
    fn gated(
        started: &Arc<AtomicUsize>,
        gate: oneshot::Receiver<u32>,
    ) -> impl Future<Output = u32> + Send + 'static {
        started.fetch_add(1, SeqCst);
        async move { gate.await.unwrap() }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn fifty_waiters_share_one_run() {
        let flights = Flights::<&str, u32>::new();
        let started = Arc::new(AtomicUsize::new(0));
        let (open, gate) = oneshot::channel();
        let gate = Arc::new(Mutex::new(Some(gate)));
        let barrier = Arc::new(Barrier::new(51));
        let waiters: Vec<_> = (0..50)
            .map(|_| {
                let (flights, started, gate, barrier) =
                    (flights.clone(), started.clone(), gate.clone(), barrier.clone());
                tokio::spawn(async move {
                    let flight = flights.join_or_start("a", || {
                        let gate = gate.lock().unwrap().take().unwrap();
                        gated(&started, gate)
                    });
                    barrier.wait().await;
                    flight.wait().await
                })
            })
            .collect();
        barrier.wait().await;
        assert_eq!(flights.len(), 1);
        open.send(7).unwrap();
        for waiter in waiters {
            assert_eq!(waiter.await.unwrap(), Ok(7));
        }
        assert_eq!(started.load(SeqCst), 1);
        assert!(flights.is_empty());
    }

    #[tokio::test]
    async fn the_work_goes_on_when_the_first_leaves() {
        let flights = Flights::<u8, u32>::new();
        let started = Arc::new(AtomicUsize::new(0));
        let (open, gate) = oneshot::channel();
        let first = flights.join_or_start(1, || gated(&started, gate));
        let waiting = tokio::spawn(async move { first.wait().await });
        tokio::task::yield_now().await;
        waiting.abort();
        assert!(waiting.await.unwrap_err().is_cancelled());
        let second = flights.get(&1).unwrap();
        open.send(9).unwrap();
        assert_eq!(second.wait().await, Ok(9));
        assert_eq!(started.load(SeqCst), 1);
    }

    #[tokio::test]
    async fn a_panic_answers_every_waiter_and_the_next_starts_anew() {
        let flights = Flights::<u8, u32>::new();
        let (open, gate) = oneshot::channel::<()>();
        let flight = flights.join_or_start(1, || async move {
            gate.await.unwrap();
            panic!("on purpose")
        });
        let waiters: Vec<_> = (0..8).map(|_| flight.clone()).collect();
        open.send(()).unwrap();
        for waiter in waiters {
            assert_eq!(waiter.wait().await, Err(FlightLost));
        }
        assert!(flights.get(&1).is_none());
        assert_eq!(flights.join_or_start(1, || async { 5 }).wait().await, Ok(5));
    }

    #[tokio::test]
    async fn a_panic_before_the_task_leaves_nothing_behind() {
        let flights = Flights::<u8, u32>::new();
        let other = flights.clone();
        let started = tokio::spawn(async move {
            other.join_or_start(1, || -> std::future::Ready<u32> { panic!("on purpose") });
        });
        assert!(started.await.unwrap_err().is_panic());
        assert!(flights.is_empty());
    }

    #[test]
    fn a_runtime_that_ends_answers_its_waiters() {
        let flights = Flights::<u8, u32>::new();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let flight = {
            let _inside = runtime.enter();
            flights.join_or_start(1, std::future::pending::<u32>)
        };
        drop(runtime);
        let other = tokio::runtime::Builder::new_current_thread().build().unwrap();
        assert_eq!(other.block_on(flight.wait()), Err(FlightLost));
        assert!(flights.is_empty());
    }

    #[tokio::test]
    async fn an_error_is_shared() {
        let flights = Flights::<u8, Result<u32, Arc<str>>>::new();
        let (open, gate) = oneshot::channel::<()>();
        let flight = flights.join_or_start(1, || async move {
            gate.await.unwrap();
            Err("no".into())
        });
        let again = flights.join_or_start(1, || async { Ok(1) });
        open.send(()).unwrap();
        assert_eq!(flight.wait().await, Ok(Err("no".into())));
        assert_eq!(again.wait().await, Ok(Err("no".into())));
    }

    #[tokio::test]
    async fn a_waiter_may_leave_and_come_back() {
        let flights = Flights::<u8, u32>::new();
        let started = Arc::new(AtomicUsize::new(0));
        let (open, gate) = oneshot::channel();
        let flight = flights.join_or_start(1, || gated(&started, gate));
        assert_eq!(flight.wait_for(Duration::from_millis(20)).await, None);
        drop(flight);
        let back = flights.join_or_start(1, || gated(&started, oneshot::channel().1));
        open.send(3).unwrap();
        assert_eq!(back.wait_for(Duration::from_secs(15)).await, Some(Ok(3)));
        assert_eq!(back.wait().await, Ok(3), "an answer can be had again");
        assert_eq!(started.load(SeqCst), 1);
    }

    #[tokio::test]
    async fn keys_do_not_share() {
        let flights = Flights::<u8, u8>::new();
        let all: Vec<_> = (0..20)
            .map(|key| flights.join_or_start(key, move || async move { key }))
            .collect();
        for (key, flight) in (0..20).zip(all) {
            assert_eq!(flight.wait().await, Ok(key));
        }
        assert!(flights.is_empty());
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn runs_of_one_key_never_overlap() {
        let flights = Flights::<u8, usize>::new();
        let running = Arc::new(AtomicUsize::new(0));
        let callers: Vec<_> = (0..8)
            .map(|_| {
                let (flights, running) = (flights.clone(), running.clone());
                tokio::spawn(async move {
                    for _ in 0..200 {
                        let running = running.clone();
                        let alone = flights.join_or_start(1, || async move {
                            let before = running.fetch_add(1, SeqCst);
                            tokio::task::yield_now().await;
                            running.fetch_sub(1, SeqCst);
                            before
                        });
                        assert_eq!(alone.wait().await, Ok(0));
                    }
                })
            })
            .collect();
        for caller in callers {
            caller.await.unwrap();
        }
    }
}
