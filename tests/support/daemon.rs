//! The real binary: as a daemon on a free port with its own folder, and as single commands.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::raw::{self, Answer};

/// How long a daemon may take to listen, and to end after a signal.
const PATIENCE: Duration = Duration::from_mins(1);

/// Entries of a log that a daemon has begun before it decides anything: the one that says which TUF keys were made.
pub const KEYS_MADE: u64 = 1;

/// The binary that cargo has built for these tests.
pub const CHIRON: &str = env!("CARGO_BIN_EXE_chiron");

/// How to start a daemon.
#[derive(Clone, Debug, Default)]
pub struct DaemonOptions {
    /// TOML after `[server]` and `[storage]`, which the harness writes.
    pub config: String,
    /// TOML lines inside `[server]`, such as `verdict_wait = "1s"`.
    pub server: String,
    /// TOML lines inside `[storage]`.
    pub storage: String,
    /// The data folder; a fresh one inside the daemon's own temporary folder when absent.
    pub data_dir: Option<PathBuf>,
    /// Environment on top of a clean one.
    pub env: Vec<(String, String)>,
}

impl DaemonOptions {
    /// One upstream at `index_url`, asked on demand.
    pub fn on_demand(index_url: &str) -> Self {
        Self::default().upstream(index_url, "on-demand")
    }

    /// One upstream at `index_url`, from which only `ingest` takes.
    pub fn curated(index_url: &str) -> Self {
        Self::default().upstream(index_url, "curated")
    }

    /// No upstream that could be reached: files come in by hand.
    pub fn alone() -> Self {
        Self::curated("http://127.0.0.1:9/simple/")
    }

    #[must_use]
    pub fn upstream(mut self, index_url: &str, mode: &str) -> Self {
        writeln!(
            self.config,
            "[[upstream]]\nname = \"fake\"\nmode = \"{mode}\"\nurl = \"{index_url}\"\nretries = 1\nread_timeout = \"5s\"\n"
        )
        .unwrap();
        self
    }

    /// More TOML; whole tables.
    #[must_use]
    pub fn config(mut self, toml: &str) -> Self {
        writeln!(self.config, "{toml}").unwrap();
        self
    }

    /// More lines of `[server]`.
    #[must_use]
    pub fn server(mut self, toml: &str) -> Self {
        writeln!(self.server, "{toml}").unwrap();
        self
    }

    /// More lines of `[storage]`.
    #[must_use]
    pub fn storage(mut self, toml: &str) -> Self {
        writeln!(self.storage, "{toml}").unwrap();
        self
    }

    #[must_use]
    pub fn data_dir(mut self, path: &Path) -> Self {
        self.data_dir = Some(path.to_owned());
        self
    }

    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }
}

/// What a finished command said.
#[derive(Clone, Debug)]
pub struct Output {
    /// Exit status; -1 when a signal ended it.
    pub status: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Output {
    /// The one document of `--format json`.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("stdout is not one JSON document ({error}):\n{self}"))
    }

    /// Ends the test unless the status is this one.
    #[track_caller]
    pub fn expect(self, status: i32) -> Self {
        assert_eq!(self.status, status, "{self}");
        self
    }
}

impl std::fmt::Display for Output {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "exit {}\n--- stdout\n{}\n--- stderr\n{}",
            self.status, self.stdout, self.stderr
        )
    }
}

/// A command of the binary, without the caller's own `CHIRON_…` variables.
pub fn command(args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
    let mut command = Command::new(CHIRON);
    command.args(args).stdin(Stdio::null());
    for (name, _) in std::env::vars_os() {
        let ours = name.to_string_lossy();
        if ours.starts_with("CHIRON_") && ours != "CHIRON_CLIENTS_DIR" {
            command.env_remove(&name);
        }
    }
    command
}

/// Runs a command to its end.
pub fn run(command: &mut Command) -> Output {
    let output = command.output().expect("the binary starts");
    Output {
        status: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Runs `chiron args…` in a folder that has no configuration.
pub fn cli(dir: &Path, args: &[&str]) -> Output {
    run(command(args).current_dir(dir))
}

/// A running daemon. Ended by its process id when dropped.
pub struct Daemon {
    options: DaemonOptions,
    home: tempfile::TempDir,
    data: PathBuf,
    running: Option<Running>,
    log: Arc<Mutex<String>>,
}

struct Running {
    child: Child,
    base: String,
    stdout: Arc<Mutex<String>>,
    readers: Vec<JoinHandle<()>>,
}

impl Daemon {
    /// Starts a daemon and waits until it listens.
    #[track_caller]
    pub fn start(options: DaemonOptions) -> Self {
        Self::try_start(options).unwrap_or_else(|output| panic!("the daemon did not start:\n{output}"))
    }

    /// Starts a daemon; one that ends before it listens gives what it said.
    pub fn try_start(options: DaemonOptions) -> Result<Self, Output> {
        let home = tempfile::tempdir().unwrap();
        let data = options
            .data_dir
            .clone()
            .unwrap_or_else(|| home.path().join("data"));
        let mut daemon = Self {
            options,
            home,
            data,
            running: None,
            log: Arc::default(),
        };
        daemon.write_config();
        daemon.launch()?;
        Ok(daemon)
    }

    fn write_config(&self) {
        let DaemonOptions {
            config,
            server,
            storage,
            ..
        } = &self.options;
        // In a curated mirror a change is acknowledged when it is signed: a test of 300 changes has not 300 seconds.
        let tuf = if config.contains("[tuf]") {
            ""
        } else {
            "[tuf]\ninterval = \"20ms\"\n"
        };
        let text = format!(
            "[server]\nlisten = \"127.0.0.1:0\"\n{server}\n[storage]\npath = {:?}\nmin_free = \"1MiB\"\n{storage}\n{tuf}{config}",
            self.data.to_str().unwrap()
        );
        std::fs::write(self.config_file(), text).unwrap();
    }

    fn launch(&mut self) -> Result<(), Output> {
        let mut command = self.command(&["serve"]);
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let stdout = Arc::<Mutex<String>>::default();
        let (said, hear) = mpsc::channel();
        let out = spawn_reader(child.stdout.take().unwrap(), Arc::clone(&stdout), Some(said));
        let err = spawn_reader(child.stderr.take().unwrap(), Arc::clone(&self.log), None);
        let mut running = Running {
            child,
            base: String::new(),
            stdout,
            readers: vec![out, err],
        };
        let deadline = Instant::now() + PATIENCE;
        loop {
            let Ok(line) = hear.recv_timeout(deadline.saturating_duration_since(Instant::now())) else {
                let _ = running.child.kill();
                let status = running.child.wait().unwrap().code().unwrap_or(-1);
                for reader in running.readers {
                    reader.join().unwrap();
                }
                let stdout = running.stdout.lock().unwrap().clone();
                return Err(Output {
                    status,
                    stdout,
                    stderr: self.stderr(),
                });
            };
            if let Some(base) = line.strip_prefix("listening on ") {
                base.trim().clone_into(&mut running.base);
                self.running = Some(running);
                return Ok(());
            }
        }
    }

    fn running(&self) -> &Running {
        self.running.as_ref().expect("the daemon runs")
    }

    /// `http://127.0.0.1:PORT`.
    pub fn base(&self) -> &str {
        &self.running().base
    }

    /// `http://127.0.0.1:PORT/simple/`.
    pub fn index_url(&self) -> String {
        format!("{}/simple/", self.base())
    }

    /// `127.0.0.1:PORT`.
    pub fn addr(&self) -> &str {
        self.base().strip_prefix("http://").unwrap()
    }

    /// Process id.
    pub fn pid(&self) -> u32 {
        self.running().child.id()
    }

    /// The data folder.
    pub fn data_dir(&self) -> &Path {
        &self.data
    }

    /// The configuration file.
    pub fn config_file(&self) -> PathBuf {
        self.home.path().join("chiron.toml")
    }

    /// A folder that lives as long as the daemon.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// The token of the admin API.
    pub fn admin_token(&self) -> String {
        std::fs::read_to_string(self.data.join("admin.token"))
            .unwrap()
            .trim()
            .to_owned()
    }

    /// Everything on stderr so far, over restarts.
    pub fn stderr(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// Everything on stdout of the process that runs.
    pub fn stdout(&self) -> String {
        self.running().stdout.lock().unwrap().clone()
    }

    /// Ends it as `kill -9` does, and waits until it is gone.
    pub fn kill9(&mut self) {
        if let Some(mut running) = self.running.take() {
            let _ = running.child.kill();
            running.child.wait().unwrap();
            for reader in running.readers {
                reader.join().unwrap();
            }
        }
    }

    /// Ends it as an operator does (SIGTERM); the exit status.
    pub fn stop(&mut self) -> i32 {
        let mut running = self.running.take().expect("the daemon runs");
        let pid = rustix::process::Pid::from_child(&running.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = running.child.try_wait().unwrap() {
                break status;
            }
            if Instant::now() > deadline {
                let _ = running.child.kill();
                panic!(
                    "the daemon did not end within {PATIENCE:?} of SIGTERM:\n{}",
                    self.stderr()
                );
            }
            std::thread::sleep(Duration::from_millis(10));
        };
        for reader in running.readers {
            reader.join().unwrap();
        }
        status.code().unwrap_or(-1)
    }

    /// Starts it again on the same folder and configuration; the port is another one.
    #[track_caller]
    pub fn restart(&mut self) {
        if self.running.is_some() {
            self.stop();
        }
        self.launch()
            .unwrap_or_else(|output| panic!("the daemon did not start again:\n{output}"));
    }

    /// As [`Self::restart`] with other options.
    #[track_caller]
    pub fn restart_with(&mut self, change: impl FnOnce(&mut DaemonOptions)) {
        if self.running.is_some() {
            self.stop();
        }
        change(&mut self.options);
        self.write_config();
        self.launch()
            .unwrap_or_else(|output| panic!("the daemon did not start again:\n{output}"));
    }

    /// A command with this daemon's configuration and environment.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = command(args);
        command
            .arg("--config")
            .arg(self.config_file())
            .current_dir(self.home.path())
            .envs(self.options.env.iter().cloned());
        command
    }

    /// `chiron args…` against the running daemon (`--server`); it finds the token in the data folder.
    pub fn cli(&self, args: &[&str]) -> Output {
        run(self.command(args).args(["--server", self.base()]))
    }

    /// As [`Self::cli`] with `--format json`.
    pub fn cli_json(&self, args: &[&str]) -> Value {
        run(self
            .command(args)
            .args(["--server", self.base(), "--format", "json"]))
        .json()
    }

    /// `chiron args…` on the data folder itself, as with no daemon running.
    pub fn local_cli(&self, args: &[&str]) -> Output {
        run(&mut self.command(args))
    }

    /// GET without any header.
    pub fn get(&self, path: &str) -> Answer {
        raw::request(self.addr(), "GET", path, &[], b"")
    }

    /// A request as it is.
    pub fn request(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
        raw::request(self.addr(), method, path, headers, b"")
    }

    /// A request to the admin API with its token.
    pub fn admin(&self, method: &str, path: &str, body: &[u8]) -> Answer {
        let bearer = format!("Bearer {}", self.admin_token());
        let headers = [
            ("Authorization", bearer.as_str()),
            ("Content-Type", "application/json"),
        ];
        raw::request(self.addr(), method, path, &headers, body)
    }

    /// Hands a file in by the admin API; the `FileResult`.
    pub fn put_file(&self, filename: &str, bytes: &[u8]) -> Value {
        let answer = self.admin("PUT", &format!("/api/v1/ingest/{filename}"), bytes);
        assert_eq!(answer.status, 200, "{answer}");
        answer.json()
    }

    /// The page of a project as pip asks for it.
    pub fn page(&self, project: &str) -> Value {
        let answer = self.request(
            "GET",
            &format!("/simple/{project}/"),
            &[("Accept", raw::PIP_ACCEPT)],
        );
        assert_eq!(answer.status, 200, "{answer}");
        answer.json()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.kill9();
        if std::thread::panicking() {
            eprintln!("--- the daemon's stderr\n{}", self.stderr());
        }
    }
}

/// Collects a stream's lines, and says each on the channel.
fn spawn_reader(
    stream: impl Read + Send + 'static,
    all: Arc<Mutex<String>>,
    said: Option<mpsc::Sender<String>>,
) -> JoinHandle<()> {
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines() {
            let Ok(line) = line else { return };
            let mut all = all.lock().unwrap();
            all.push_str(&line);
            all.push('\n');
            drop(all);
            if let Some(said) = &said {
                let _ = said.send(line);
            }
        }
    })
}
