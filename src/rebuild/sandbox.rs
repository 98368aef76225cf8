//! bubblewrap around a Python program: what it sees is listed here, and nothing else of the machine.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use bytes::Bytes;
use tokio_util::sync::CancellationToken;

use super::cgroup::Cgroup;
use super::watch::{Order, Ran, run};
use super::{BuildLimits, Python, SandboxError, Settings};
use crate::blocking::{self, Lost};

/// The only folder that can be written, in memory and as large as [`BuildLimits::disk`].
const WORK: &str = "/tmp";

/// For semaphores and shared memory of `multiprocessing`, bytes.
const SHARED_MEMORY: u64 = 16 << 20;

/// Enters the control groups named before `--`, sets the limits that every process inherits and cannot raise again, and
/// becomes bubblewrap. `$0` is not used.
const LIMITED: &str = r#"
files=$1 seconds=$2 memory=$3; shift 3
while [ "$1" != -- ]; do echo 0 > "$1" || exit 125; shift; done; shift
ulimit -c 0 && ulimit -n 1024 && ulimit -f "$files" && ulimit -t "$seconds" && ulimit -v "$memory" || exit 125
exec "$@"
"#;

/// Looks from the inside whether the sandbox holds: prints `sealed`, or what it could do.
const PROBE: &str = r#"
import os, socket, sys
found = []
names = [name for _, name in socket.if_nameindex()]
if [name for name in names if name != "lo"]: found.append("it sees the network interfaces " + " ".join(names))
for family, host in ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1")):
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as s:
            s.connect((host, 9))
            found.append("it has a route to " + host)
    except OSError: pass
for path in ("/etc/shadow", "/etc/passwd", "/proc/1", "/root/.ssh", "/home"):
    if os.path.exists(path): found.append("it sees " + path)
for path in ("/", "/usr", "/dev", sys.prefix):
    try:
        os.close(os.open(path + "/chiron-probe", os.O_CREAT | os.O_WRONLY))
        found.append("it can write to " + path)
    except OSError: pass
if os.getuid() == 0: found.append("it runs as root")
sys.stderr.write("\n".join(found))
print("sealed" if not found else "leaky")
"#;

/// A sandbox that was tried out. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Sandbox(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    bubblewrap: PathBuf,
    /// `bubblewrap 0.8.0`
    version: String,
    python: Python,
    limits: BuildLimits,
    /// Whether a build may make user namespaces of its own, and with them reach parts of the kernel that nobody else does.
    /// Forbidden wherever this machine lets us.
    nested: bool,
}

impl Inner {
    /// Tries the sandbox out, at its strictest first.
    fn tried(self) -> Result<Sandbox, SandboxError> {
        let strict = Sandbox(Arc::new(self));
        let Err(error) = strict.probe() else {
            return Ok(strict);
        };
        let Ok(inner) = Arc::try_unwrap(strict.0) else {
            return Err(error);
        };
        let looser = Sandbox(Arc::new(Self {
            nested: true,
            ..inner
        }));
        looser.probe()?;
        Ok(looser)
    }
}

impl Sandbox {
    /// Finds the interpreter and bubblewrap, and tries out that the sandbox holds: a program runs in it, as nobody, and
    /// has neither network nor files. About 150 ms.
    pub async fn open(settings: &Settings) -> Result<Self, SandboxError> {
        let settings = settings.clone();
        blocking::run(move || Self::open_now(&settings))
            .await
            .unwrap_or_else(|Lost| Err(cut_short()))
    }

    fn open_now(settings: &Settings) -> Result<Self, SandboxError> {
        if !settings.enabled {
            return Err(SandboxError::Off);
        }
        let missing = |why: String| SandboxError::NoBubblewrap {
            program: settings.bubblewrap.clone(),
            why,
        };
        let bubblewrap = on_path(&settings.bubblewrap);
        let output = Command::new(&bubblewrap)
            .arg("--version")
            .stdin(Stdio::null())
            .output()
            .map_err(|error| missing(error.to_string()))?;
        if !output.status.success() {
            return Err(missing("--version fails".to_owned()));
        }
        let inner = Inner {
            bubblewrap,
            version: String::from_utf8_lossy(&output.stdout)
                .trim()
                .chars()
                .take(40)
                .collect(),
            python: Python::find(&settings.python)?,
            limits: settings.limits.clone(),
            nested: false,
        };
        inner.tried()
    }

    /// The same with another Python: `3.9` is `python3.9` on PATH, anything with a slash is a path.
    pub(super) async fn with_python(&self, python: &str) -> Result<Self, SandboxError> {
        let program = if python.contains('/') {
            PathBuf::from(python)
        } else {
            PathBuf::from(format!("python{python}"))
        };
        let this = self.clone();
        let opened = blocking::run(move || {
            let inner = Inner {
                bubblewrap: this.0.bubblewrap.clone(),
                version: this.0.version.clone(),
                python: Python::find(&program)?,
                limits: this.0.limits.clone(),
                nested: false,
            };
            inner.tried()
        });
        opened.await.unwrap_or_else(|Lost| Err(cut_short()))
    }

    fn probe(&self) -> Result<(), SandboxError> {
        let leaky = |why: String| SandboxError::Leaky { why };
        let ran = self
            .run(PROBE, Vec::new(), &CancellationToken::new())
            .map_err(|error| leaky(error.to_string()))?;
        if ran.killed.is_none() && ran.status == Some(0) && ran.head == b"sealed" {
            return Ok(());
        }
        let said: Vec<&str> = ran
            .log
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
            .collect();
        let why = if said.is_empty() {
            format!("a program in it ended with {:?}", ran.status)
        } else {
            said.join("; ")
        };
        Err(leaky(why.chars().take(400).collect()))
    }

    /// One line for people: what builds here.
    pub fn about(&self) -> String {
        format!(
            "{} with Python {} ({})",
            self.0.version,
            self.0.python.version(),
            self.0.python.executable().display()
        )
    }

    /// `bubblewrap 0.8.0`.
    pub fn version(&self) -> &str {
        &self.0.version
    }

    /// The interpreter inside.
    pub fn python(&self) -> &Python {
        &self.0.python
    }

    /// What one build may use.
    pub fn limits(&self) -> &BuildLimits {
        &self.0.limits
    }

    /// Runs a Python program in a fresh sandbox and waits until nothing of it is left. Blocking.
    pub(super) fn run(
        &self,
        program: &str,
        input: Vec<Bytes>,
        cancel: &CancellationToken,
    ) -> std::io::Result<Ran> {
        let group = Cgroup::make(&self.0.limits);
        let command = self.command(program, &group);
        run(Order {
            command,
            input,
            limits: &self.0.limits,
            work: Path::new(WORK),
            cancel,
        })
    }

    fn command(&self, program: &str, group: &Cgroup) -> Command {
        let limits = &self.0.limits;
        let mut command = Command::new("/bin/sh");
        command.env_clear().arg("-c").arg(LIMITED).arg("sh");
        command.arg((limits.disk / 512).to_string()); // blocks
        command.arg((limits.wall_clock.as_secs() * 2 + 1).to_string()); // of processor time, by each process
        command.arg((limits.memory / 1024).to_string()); // KiB
        command.args(group.doors()).arg("--");
        command.arg(&self.0.bubblewrap).args(self.walls());
        command.arg("--").arg(&self.0.python.executable);
        command.args(["-I", "-S", "-c", program]);
        command
    }

    /// Everything that is there inside. Later arguments cover earlier ones.
    fn walls(&self) -> Vec<OsString> {
        let python = &self.0.python;
        let mut walls = Walls::default();
        // No network, no other process, no capability; nobody; dead when we are; no terminal to type into.
        walls.add([
            "--unshare-all",
            "--unshare-user",
            "--uid",
            "65534",
            "--gid",
            "65534",
        ]);
        walls.add([
            "--die-with-parent",
            "--new-session",
            "--cap-drop",
            "ALL",
            "--clearenv",
        ]);
        if !self.0.nested {
            walls.add(["--disable-userns"]);
        }
        walls.add(["--hostname", "sandbox", "--ro-bind", "/usr", "/usr"]);
        // What an operator installs by hand is not what a build needs.
        for hidden in ["/usr/local", "/usr/src"].map(Path::new) {
            if hidden.is_dir() && !python.prefix.starts_with(hidden) {
                walls.cover(hidden);
            }
        }
        for folder in ["/bin", "/sbin", "/lib", "/lib32", "/lib64"] {
            walls.system(Path::new(folder));
        }
        walls.add(["--ro-bind-try", "/etc/ld.so.cache", "/etc/ld.so.cache"]);
        if !python.prefix.starts_with("/usr") {
            walls.expose(&python.prefix);
        }
        if !python.executable.starts_with(&python.prefix) && !python.executable.starts_with("/usr") {
            walls.expose(&python.executable);
        }
        for hidden in &python.hidden {
            walls.cover(hidden);
        }
        // /dev is bubblewrap's own: null, zero, full, random, urandom, tty, and a pts of its own. No /proc.
        let (shared, disk) = (SHARED_MEMORY.to_string(), self.0.limits.disk.to_string());
        walls.add([
            "--dev",
            "/dev",
            "--size",
            &shared,
            "--tmpfs",
            "/dev/shm",
            "--remount-ro",
            "/dev",
        ]);
        walls.add([
            "--size",
            &disk,
            "--tmpfs",
            WORK,
            "--remount-ro",
            "/",
            "--chdir",
            WORK,
        ]);
        for (name, value) in [
            ("HOME", "/tmp/home"),
            ("TMPDIR", WORK),
            ("PATH", "/usr/bin:/bin"),
            ("LANG", "C.UTF-8"),
            ("TZ", "UTC"),
            ("PYTHONHASHSEED", "0"),
            ("PYTHONNOUSERSITE", "1"),
            // Beside the source: a backend must not pack what only we compiled.
            ("PYTHONPYCACHEPREFIX", "/tmp/pycache"),
        ] {
            walls.add(["--setenv", name, value]);
        }
        walls.0
    }
}

/// Where a bare name is, for the shell that starts it has no PATH of ours.
fn on_path(program: &Path) -> PathBuf {
    let bare = program.components().count() == 1 && !program.is_absolute();
    let folders = std::env::var_os("PATH").filter(|_| bare);
    folders
        .iter()
        .flat_map(std::env::split_paths)
        .map(|folder| folder.join(program))
        .find(|path| path.is_file())
        .unwrap_or_else(|| program.to_owned())
}

fn cut_short() -> SandboxError {
    SandboxError::Leaky {
        why: "the probe was cut short".to_owned(),
    }
}

#[derive(Default)]
struct Walls(Vec<OsString>);

impl Walls {
    fn add<S: AsRef<OsStr>>(&mut self, arguments: impl IntoIterator<Item = S>) {
        self.0
            .extend(arguments.into_iter().map(|a| a.as_ref().to_owned()));
    }

    /// Visible where it is, read-only.
    fn expose(&mut self, path: &Path) {
        self.add([OsStr::new("--ro-bind"), path.as_os_str(), path.as_os_str()]);
    }

    /// Empty and read-only.
    fn cover(&mut self, path: &Path) {
        self.add([
            OsStr::new("--size"),
            OsStr::new("4096"),
            OsStr::new("--tmpfs"),
            path.as_os_str(),
        ]);
        self.add([OsStr::new("--remount-ro"), path.as_os_str()]);
    }

    /// A system folder, as link or as folder, as it is on this machine.
    fn system(&mut self, path: &Path) {
        if let Ok(target) = path.read_link() {
            self.add([OsStr::new("--symlink"), target.as_os_str(), path.as_os_str()]);
        } else if path.is_dir() {
            self.expose(path);
        }
    }
}
