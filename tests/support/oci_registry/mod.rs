//! A registry of our own with what Debian's lacks and with what no registry should do: native referrers, tokens, and
//! faults on demand. It follows the distribution specification 1.1 as far as clients see it: uploads are hashed, manifests
//! are only stored when what they name is there, ranges are exact. It is a stand-in: no registry with native referrers
//! could be had from the package indexes that the tests may use.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used)]

mod faults;
mod store;
mod wire;

use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Instant;

pub use faults::{Fault, Rule};
use store::Store;
pub use wire::Asked;

/// What a registry asks for before it does anything.
#[derive(Clone, Debug, Default)]
pub enum Door {
    /// Nothing.
    #[default]
    Open,
    /// User name and password.
    Basic { user: String, password: String },
    /// A token from `/token`, for this user or for this refresh token.
    Token {
        user: String,
        password: String,
        identity: String,
        /// Uses of one token.
        uses: u32,
    },
}

/// What threads share.
struct Shared {
    store: Mutex<Store>,
    rules: Mutex<Vec<Rule>>,
    asked: Mutex<Vec<Asked>>,
    tokens: Mutex<Vec<(String, u32)>>,
    door: Door,
    native: bool,
    addr: SocketAddr,
    began: Instant,
    stopped: AtomicBool,
}

/// A running registry; gone when dropped.
pub struct OciRegistry {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl OciRegistry {
    /// One that takes everything and lists referrers.
    pub fn start() -> Self {
        Self::with(Door::Open, true)
    }

    /// With a door, and perhaps without a list of referrers.
    pub fn with(door: Door, native: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let shared = Arc::new(Shared {
            store: Mutex::default(),
            rules: Mutex::default(),
            asked: Mutex::default(),
            tokens: Mutex::default(),
            door,
            native,
            addr: listener.local_addr().unwrap(),
            began: Instant::now(),
            stopped: AtomicBool::new(false),
        });
        let serving = Arc::clone(&shared);
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if serving.stopped.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                let shared = Arc::clone(&serving);
                std::thread::spawn(move || wire::serve(&shared, stream));
            }
        });
        Self {
            shared,
            thread: Some(thread),
        }
    }

    /// `127.0.0.1:PORT`.
    pub fn addr(&self) -> String {
        self.shared.addr.to_string()
    }

    /// From now on: what happens to so many requests whose `METHOD PATH` has this part. The first rule that fits counts.
    pub fn rule(&self, part: &str, times: u32, fault: Fault) {
        self.shared.rules.lock().unwrap().push(Rule {
            part: part.to_owned(),
            times,
            fault,
        });
    }

    /// No rules any more.
    pub fn behave(&self) {
        self.shared.rules.lock().unwrap().clear();
    }

    /// Everything that was asked so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.shared.asked.lock().unwrap().clone()
    }

    /// The requests whose `METHOD PATH` has this part.
    pub fn asked_for(&self, part: &str) -> Vec<Asked> {
        let all = self.asked();
        all.into_iter()
            .filter(|asked| asked.line.contains(part))
            .collect()
    }

    /// Forgets what was asked.
    pub fn forget(&self) {
        self.shared.asked.lock().unwrap().clear();
    }

    /// Blobs that are stored.
    pub fn blobs(&self) -> usize {
        self.shared.store.lock().unwrap().blobs.len()
    }

    /// The digest under a tag, `sha256:…`.
    pub fn tagged(&self, repository: &str, tag: &str) -> Option<String> {
        let store = self.shared.store.lock().unwrap();
        store.tags.get(&(repository.to_owned(), tag.to_owned())).cloned()
    }

    /// All tags of a repository, sorted.
    pub fn tags(&self, repository: &str) -> Vec<String> {
        let store = self.shared.store.lock().unwrap();
        store
            .tags
            .keys()
            .filter(|(of, _)| of == repository)
            .map(|(_, tag)| tag.clone())
            .collect()
    }

    /// A manifest's bytes by digest or tag.
    pub fn manifest(&self, repository: &str, reference: &str) -> Option<Vec<u8>> {
        self.shared.store.lock().unwrap().manifest(repository, reference)
    }

    /// Puts a manifest there as any client could.
    pub fn put_manifest(&self, repository: &str, reference: &str, bytes: &[u8]) {
        let mut store = self.shared.store.lock().unwrap();
        store.put_manifest(repository, reference, bytes).unwrap();
    }

    /// Puts a blob there as any client could; its digest.
    pub fn put_blob(&self, bytes: &[u8]) -> String {
        self.shared.store.lock().unwrap().put_blob(bytes)
    }
}

impl Drop for OciRegistry {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        // Wakes the thread that accepts.
        let _ = std::net::TcpStream::connect(self.shared.addr);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
