//! A disconnected site: everything it does runs in a network namespace that has loopback and nothing else.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used)]

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::clients::{client, isolated, program, required};
use super::daemon::{CHIRON, Output};
use super::upstream::FakeFile;

/// The folder of a site, and what enters the namespace.
pub struct Closed {
    folder: tempfile::TempDir,
    bubblewrap: PathBuf,
    pip: PathBuf,
    uv: PathBuf,
}

impl Closed {
    /// A site that has only been configured: it asks nobody for anything. Nothing when pip, uv or namespaces are not there.
    pub fn new() -> Option<Self> {
        let (pip, uv) = (client("pip-new", "pip")?, client("uv", "uv")?);
        let bubblewrap = namespaces()?;
        let folder = tempfile::tempdir().unwrap();
        let config = format!(
            "upstream = []\n[server]\nlisten = \"127.0.0.1:0\"\n[storage]\npath = \"{}\"\nmin_free = \"1MiB\"\n[tuf]\ninterval = \"20ms\"\n[airgap]\nsite = \"plant-7\"\n",
            folder.path().join("data").display()
        );
        std::fs::write(folder.path().join("chiron.toml"), config).unwrap();
        Some(Self {
            folder,
            bubblewrap,
            pip,
            uv,
        })
    }

    /// Where its files are; what is carried there is a copy on a disk.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Runs steps (bash) beside its daemon; what they said.
    pub fn steps(&self, steps: &str) -> Output {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/closed/site.sh");
        let mut command = isolated(&self.bubblewrap, self.path());
        command
            .args([
                "--unshare-net",
                "--die-with-parent",
                "--dev-bind",
                "/",
                "/",
                "bash",
            ])
            .arg(script)
            .arg(self.path())
            .arg(CHIRON)
            .arg(&self.pip)
            .arg(&self.uv)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("CHIRON_") {
                command.env_remove(&name);
            }
        }
        let mut child = command.spawn().expect("bubblewrap starts");
        child.stdin.take().unwrap().write_all(steps.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        Output {
            status: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// What enters a namespace without a network, where that is allowed.
fn namespaces() -> Option<PathBuf> {
    let found = program("bwrap").filter(|bubblewrap| {
        Command::new(bubblewrap)
            .args(["--unshare-net", "--dev-bind", "/", "/", "true"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    });
    if found.is_none() {
        let message = "no namespace without a network can be made here (bubblewrap): the disconnected round trip is left out";
        assert!(!required("clients"), "{message}");
        eprintln!("LEFT OUT: {message}");
    }
    found
}

/// A wheel whose module is long, and alike from version to version.
pub fn long_wheel(project: &str, version: &str) -> FakeFile {
    let folder = tempfile::tempdir().unwrap();
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/closed/wheel.py");
    let made = Command::new("python3")
        .arg(program)
        .args([project, version])
        .arg(folder.path())
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let name = format!("{project}-{version}-py3-none-any.whl");
    FakeFile::new(&name, std::fs::read(folder.path().join(&name)).unwrap())
}

/// Bytes of a folder with everything in it.
pub fn size_of(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).unwrap().map(Result::unwrap);
    entries
        .map(|entry| {
            let kind = entry.file_type().unwrap();
            if kind.is_dir() {
                size_of(&entry.path())
            } else {
                entry.metadata().unwrap().len()
            }
        })
        .sum()
}
