//! `chiron proxy` as a process of its own. Ended by its process id when dropped.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used)]

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::daemon::{Daemon, command};
use super::raw::{self, Answer};

/// How long a proxy may take to listen.
const PATIENCE: Duration = Duration::from_mins(1);

/// A proxy that runs, and its state.
pub struct Proxy {
    child: Child,
    base: String,
    /// The folder that was given with `--state`.
    pub state: PathBuf,
    home: tempfile::TempDir,
    log: Arc<Mutex<String>>,
}

/// The root that a daemon's operator would hand over.
pub fn root_of(daemon: &Daemon) -> PathBuf {
    daemon.data_dir().join("tuf/root.json")
}

impl Proxy {
    /// In front of a daemon, with a fresh state and short patience.
    #[track_caller]
    pub fn before(daemon: &Daemon, more: &[&str]) -> Self {
        Self::start(&root_of(daemon), daemon.base(), None, more)
    }

    /// With what is given. The root is copied first, so that what the daemon does to its own later is no news to the proxy.
    #[track_caller]
    pub fn start(root: &Path, upstream: &str, state: Option<&Path>, more: &[&str]) -> Self {
        let home = tempfile::tempdir().unwrap();
        let state = state.map_or_else(|| home.path().join("state"), Path::to_owned);
        let copy = home.path().join("root.json");
        std::fs::copy(root, &copy).unwrap();
        let mut child = arguments(&copy, upstream, &state, more)
            .current_dir(home.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let log = Arc::<Mutex<String>>::default();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let collected = Arc::clone(&log);
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                let mut log = collected.lock().unwrap();
                log.push_str(&line);
                log.push('\n');
            }
        });
        let (said, hear) = std::sync::mpsc::channel();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                let _ = said.send(line);
            }
        });
        let until = Instant::now() + PATIENCE;
        let base = loop {
            let Ok(line) = hear.recv_timeout(until.saturating_duration_since(Instant::now())) else {
                let _ = child.kill();
                let _ = child.wait();
                panic!("the proxy did not start:\n{}", log.lock().unwrap());
            };
            if let Some(base) = line.strip_prefix("listening on ") {
                break base.trim().to_owned();
            }
        };
        Self {
            child,
            base,
            state,
            home,
            log,
        }
    }

    /// `http://127.0.0.1:PORT/simple/`.
    pub fn index_url(&self) -> String {
        format!("{}/simple/", self.base)
    }

    /// `127.0.0.1:PORT`.
    pub fn addr(&self) -> &str {
        self.base.strip_prefix("http://").unwrap()
    }

    /// A folder that lives as long as the proxy.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// Everything on stderr so far.
    pub fn stderr(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// GET with these headers.
    pub fn get(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        raw::request(self.addr(), "GET", path, headers, b"")
    }

    /// A project's page in JSON, as some program asks for it that is neither pip nor uv.
    pub fn page(&self, project: &str) -> Answer {
        self.get(&format!("/simple/{project}/"), &[("Accept", raw::PIP_ACCEPT)])
    }

    /// What `/readyz` says.
    pub fn readyz(&self) -> Value {
        self.get("/readyz", &[]).json()
    }

    /// Ends it as `kill -9` does; its state stays as it was.
    pub fn kill9(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The command that starts a proxy on a free port.
pub fn arguments(root: &Path, upstream: &str, state: &Path, more: &[&str]) -> Command {
    let mut command = command([
        "proxy",
        "--listen",
        "127.0.0.1:0",
        "--timeout",
        "2s",
        "--upstream",
        upstream,
    ]);
    command
        .arg("--root")
        .arg(root)
        .arg("--state")
        .arg(state)
        .args(more);
    command
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.kill9();
        if std::thread::panicking() {
            eprintln!("--- the proxy's stderr\n{}", self.stderr());
        }
    }
}
