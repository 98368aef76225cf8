//! The four TUF clients that Chiron's repository is made for, behind one shape: python-tuf, tuf-js, tough, and
//! Chiron's own through the real binary. Each keeps its state over its runs, and each run is a run of its own.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used)]

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread::LocalKey;
use std::time::Duration;

use serde_json::{Value, json};

#[path = "tuf_kinds.rs"]
mod kinds;

pub use kinds::Kind;
use kinds::{chiron_kind, js_kind, python_kind, tough_kind};

use crate::support::clients::{client, clients_dir, isolated, required};
use crate::support::daemon;
use crate::tuf_tough;

/// Longest silence that a client waits for.
pub const TIMEOUT: Duration = Duration::from_secs(5);

/// A TUF client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Client {
    /// The reference implementation, from PyPI.
    PythonTuf,
    /// npm's own and Sigstore's, from npm.
    TufJs,
    /// Of another family: it loads every delegated role at once, and names targets `DIGEST.dir/name`.
    Tough,
    /// `chiron tuf verify`, which is what `chiron proxy` uses.
    Chiron,
}

pub const CLIENTS: [Client; 4] = [Client::PythonTuf, Client::TufJs, Client::Tough, Client::Chiron];

/// Why a run ended without the targets.
#[derive(Clone, Debug)]
pub struct Refusal {
    pub kind: Kind,
    /// The client's own words.
    pub text: String,
}

/// What a run brought.
#[derive(Clone, Debug)]
pub struct Run {
    /// The targets' bytes in the order asked for; nothing when anything was refused.
    pub result: Result<Vec<Vec<u8>>, Refusal>,
    /// The versions of the top-level roles that the client trusts now, as far as it keeps them where they can be read.
    pub versions: BTreeMap<String, u64>,
}

impl Run {
    /// Ends the test unless the targets have these bytes.
    #[track_caller]
    pub fn brings(&self, who: &dyn std::fmt::Debug, contents: &[&[u8]]) {
        match &self.result {
            Ok(got) => assert_eq!(got, contents, "{who:?}"),
            Err(refusal) => panic!(
                "{who:?} refused what is sound: {:?}: {}",
                refusal.kind, refusal.text
            ),
        }
    }
}

/// A client with its trusted root and its state.
pub struct Holder {
    pub client: Client,
    home: tempfile::TempDir,
    timeout: Duration,
    /// The moment that Chiron's client takes for the present; the others only know the clock.
    at: Option<String>,
}

impl Holder {
    /// One that trusts `root` and knows nothing else. `None` when the client is not there (said on stderr; a failure
    /// with `CHIRON_TESTS_REQUIRE=clients`).
    pub fn new(client: Client, root: &[u8]) -> Option<Self> {
        client.is_there().then(|| {
            let home = tempfile::tempdir().unwrap();
            std::fs::write(home.path().join("root.json"), root).unwrap();
            std::fs::create_dir(home.path().join("state")).unwrap();
            Self {
                client,
                home,
                timeout: TIMEOUT,
                at: None,
            }
        })
    }

    /// From now on the client waits this long; whole seconds.
    pub fn be_patient_for(&mut self, timeout: Duration) {
        self.timeout = timeout;
    }

    /// Chiron's client at another time.
    pub fn now_is(&mut self, at: &str) {
        assert_eq!(
            self.client,
            Client::Chiron,
            "only Chiron's client can be told the time"
        );
        self.at = Some(at.to_owned());
    }

    /// Where the client keeps what it trusts.
    pub fn state(&self) -> PathBuf {
        self.home.path().join("state")
    }

    /// Refreshes from `base` (above `metadata/` and `targets/`) and downloads targets.
    pub fn fetch(&self, base: &str, targets: &[&str]) -> Run {
        let out = tempfile::tempdir_in(self.home.path()).unwrap();
        let run = match self.client {
            Client::PythonTuf => self.python(base, targets, out.path()),
            Client::TufJs => self.js(base, targets, out.path()),
            Client::Tough => self.tough(base, targets),
            Client::Chiron => self.chiron(base, targets, out.path()),
        };
        if run.result.is_err() {
            let left = targets.iter().enumerate().find(|(number, target)| {
                // What came before the refused one may be there.
                *number + 1 == targets.len()
                    && (out.path().join(number.to_string()).exists() || out.path().join(target).exists())
            });
            assert_eq!(
                left, None,
                "{:?} refused, and left the target behind",
                self.client
            );
        }
        run
    }

    /// Refreshes, and downloads nothing.
    pub fn refresh(&self, base: &str) -> Run {
        self.fetch(base, &[])
    }

    fn ask(&self, base: &str, targets: &[&str], out: &Path) -> String {
        json!({
            "base": base,
            "state": self.state(),
            "root": self.home.path().join("root.json"),
            "targets": targets,
            "out": out,
            "timeout": self.timeout.as_secs(),
        })
        .to_string()
    }

    fn python(&self, base: &str, targets: &[&str], out: &Path) -> Run {
        by_script(
            &PYTHON,
            Script::python,
            &self.ask(base, targets, out),
            targets,
            out,
            python_kind,
        )
    }

    fn js(&self, base: &str, targets: &[&str], out: &Path) -> Run {
        by_script(
            &NODE,
            Script::node,
            &self.ask(base, targets, out),
            targets,
            out,
            js_kind,
        )
    }

    fn tough(&self, base: &str, targets: &[&str]) -> Run {
        let root = std::fs::read(self.home.path().join("root.json")).unwrap();
        let result = tuf_tough::run(&root, base, &self.state(), targets, self.timeout);
        Run {
            result: result.map_err(|text| Refusal {
                kind: tough_kind(&text),
                text,
            }),
            versions: versions_in(&self.state()),
        }
    }

    fn chiron(&self, base: &str, targets: &[&str], out: &Path) -> Run {
        let mut command = daemon::command(["tuf", "verify", base, "--format", "json", "--root"]);
        command.arg(self.home.path().join("root.json"));
        command.arg("--state").arg(self.state());
        command
            .arg("--timeout")
            .arg(format!("{}s", self.timeout.as_secs()));
        if let Some(at) = &self.at {
            command.args(["--at", at]);
        }
        for target in targets {
            command.args(["--target", target]);
        }
        if targets.is_empty() {
            command.arg("--refresh-only");
        } else {
            command.arg("--download").arg(out);
        }
        let output = daemon::run(command.current_dir(self.home.path()));
        let result = if output.status == 0 {
            let read = |target: &&str| {
                std::fs::read(out.join(target)).unwrap_or_else(|error| panic!("{target}: {error}: {output}"))
            };
            Ok(targets.iter().map(read).collect())
        } else {
            assert!([1, 3].contains(&output.status), "{output}");
            assert!(!output.stderr.contains("panicked"), "{output}");
            Err(Refusal {
                kind: chiron_kind(&output.json()["error"]),
                text: output.to_string(),
            })
        };
        Run {
            result,
            versions: chiron_versions(&self.state()),
        }
    }
}

impl Client {
    /// Whether the client can be run here.
    fn is_there(self) -> bool {
        match self {
            Self::PythonTuf => client("tuf", "python").is_some(),
            Self::TufJs => tuf_js_is_there(),
            Self::Tough | Self::Chiron => true,
        }
    }
}

fn tuf_js_is_there() -> bool {
    let installed = clients_dir().join("tuf-js/node_modules/tuf-js/package.json");
    let node = Command::new("node")
        .arg("--version")
        .stdin(Stdio::null())
        .output();
    if installed.exists() && node.is_ok_and(|output| output.status.success()) {
        return true;
    }
    let message = "tuf-js is not there (Node.js, or its folder); tests/support/setup-clients.sh installs it";
    assert!(!required("clients"), "{message}");
    eprintln!("LEFT OUT: {message}");
    false
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/support")
        .join(name)
}

thread_local! {
    static PYTHON: RefCell<Option<Script>> = const { RefCell::new(None) };
    static NODE: RefCell<Option<Script>> = const { RefCell::new(None) };
}

/// An interpreter that answers a line with a line, started once for each test and ended with it: to start one takes
/// longer than most of what it is asked.
struct Script {
    child: Child,
    asks: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Script {
    fn start(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Self {
            asks: child.stdin.take().unwrap(),
            answers: BufReader::new(child.stdout.take().unwrap()),
            child,
        }
    }

    fn python() -> Self {
        let python = client("tuf", "python").expect("looked for already");
        let home = std::env::temp_dir();
        Self::start(isolated(&python, &home).arg(script("tuf_client.py")))
    }

    fn node() -> Self {
        let mut command = Command::new("node");
        command
            .arg(script("tuf_client.mjs"))
            .arg(clients_dir().join("tuf-js"));
        Self::start(command.env_remove("NODE_OPTIONS"))
    }

    fn answer(&mut self, ask: &str) -> Value {
        writeln!(self.asks, "{ask}").unwrap();
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        serde_json::from_str(&line)
            .unwrap_or_else(|error| panic!("the script answers, whatever the client says: {error}: {line:?}"))
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn by_script(
    script: &'static LocalKey<RefCell<Option<Script>>>,
    start: fn() -> Script,
    ask: &str,
    targets: &[&str],
    out: &Path,
    kind: fn(&str, &str) -> Kind,
) -> Run {
    let answer = script.with_borrow_mut(|running| running.get_or_insert_with(start).answer(ask));
    let result = match answer["error"].as_str() {
        None => Ok((0..targets.len())
            .map(|number| std::fs::read(out.join(number.to_string())).unwrap())
            .collect()),
        Some(error) => {
            let message = answer["message"].as_str().unwrap();
            Err(Refusal {
                kind: kind(error, message),
                text: format!("{error}: {message}"),
            })
        }
    };
    Run {
        result,
        versions: serde_json::from_value(answer["versions"].clone()).unwrap(),
    }
}

/// What `root.json`, `timestamp.json`, … in a folder say of their versions.
fn versions_in(folder: &Path) -> BTreeMap<String, u64> {
    ["root", "timestamp", "snapshot", "targets"]
        .into_iter()
        .filter_map(|role| {
            let bytes = std::fs::read(folder.join(format!("{role}.json"))).ok()?;
            let version = serde_json::from_slice::<Value>(&bytes).ok()?["signed"]["version"].as_u64()?;
            Some((role.to_owned(), version))
        })
        .collect()
}

/// `STATE/trusted.json`: a line with its own digest, then the document.
pub fn chiron_state(state: &Path) -> Option<Value> {
    let text = std::fs::read_to_string(state.join("trusted.json")).ok()?;
    let (_, document) = text.split_once('\n').expect("a line before the document");
    Some(serde_json::from_str(document).unwrap())
}

fn chiron_versions(state: &Path) -> BTreeMap<String, u64> {
    let Some(saved) = chiron_state(state) else {
        return BTreeMap::new();
    };
    let mut versions = BTreeMap::new();
    versions.extend(
        saved["floors"]["root"]
            .as_u64()
            .map(|version| ("root".to_owned(), version)),
    );
    for role in ["timestamp", "snapshot", "targets"] {
        let Some(text) = saved["metadata"][format!("{role}.json")].as_str() else {
            continue;
        };
        let document: Value = serde_json::from_str(text).unwrap();
        versions.insert(role.to_owned(), document["signed"]["version"].as_u64().unwrap());
    }
    versions
}
