//! One thread per PKCS #11 module. Modules are C code that may block for ever (a card reader, a network HSM): whoever
//! asks stops waiting after a time, and what hangs keeps only its own thread.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::driver::{Driver, Fault};

/// What is asked of a module's thread.
type Job = Box<dyn FnOnce(&mut Driver) + Send>;

/// Jobs that wait for a module; who comes then waits to be let in. Threat: a module that hangs, and messages that pile
/// up before it until the memory is full.
const QUEUE: usize = 16;

/// The modules that this process has loaded. A module is initialised once per process, whoever uses it.
static MODULES: LazyLock<Mutex<HashMap<PathBuf, Module>>> = LazyLock::new(Mutex::default);

/// The thread of a module.
#[derive(Clone)]
struct Module {
    jobs: mpsc::Sender<Job>,
    /// Jobs that have ended.
    ended: Arc<AtomicU64>,
}

/// Runs `work` on the thread of the module at `path` and waits for it, until the module has ended no job at all for
/// `timeout`: a slow token with a long queue before it is not one that hangs.
///
/// Work that nobody waits for any more when its turn comes is left out.
pub async fn ask<T, F>(path: &Path, timeout: Duration, work: F) -> Result<T, Fault>
where
    T: Send + 'static,
    F: FnOnce(&mut Driver) -> Result<T, Fault> + Send + 'static,
{
    let module = module(path)?;
    let (answer, answered) = oneshot::channel();
    let job: Job = Box::new(move |driver| {
        if !answer.is_closed() {
            let _ = answer.send(work(driver));
        }
    });
    let asked = async {
        module.jobs.send(job).await.map_err(|_| Fault::Lost)?;
        answered.await.map_err(|_| Fault::Lost)?
    };
    let mut asked = pin!(asked);
    let mut ended = module.ended.load(Ordering::Relaxed);
    loop {
        if let Ok(done) = tokio::time::timeout(timeout, &mut asked).await {
            return done;
        }
        let now = module.ended.load(Ordering::Relaxed);
        if now == ended {
            return Err(Fault::Late(timeout));
        }
        ended = now;
    }
}

/// The thread of the module at `path`; a new one where there is none, or the last one panicked.
fn module(path: &Path) -> Result<Module, Fault> {
    let mut modules = MODULES.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(module) = modules.get(path).filter(|module| !module.jobs.is_closed()) {
        return Ok(module.clone());
    }
    let (jobs, queue) = mpsc::channel(QUEUE);
    let module = Module {
        jobs,
        ended: Arc::default(),
    };
    let (owned, ended) = (path.to_owned(), Arc::clone(&module.ended));
    std::thread::Builder::new()
        .name("pkcs11".to_owned())
        .spawn(move || serve(&owned, queue, &ended))
        .map_err(|_| Fault::Lost)?;
    modules.insert(path.to_owned(), module.clone());
    Ok(module)
}

fn serve(path: &Path, mut queue: mpsc::Receiver<Job>, ended: &AtomicU64) {
    let mut driver = Driver::new(path);
    while let Some(job) = queue.blocking_recv() {
        job(&mut driver);
        ended.fetch_add(1, Ordering::Relaxed);
    }
}
