//! Real installers, each in a virtual environment of its own (`tests/support/setup-clients.sh` makes them).
//!
//! Where they or the index are missing a test says so on stderr and leaves out what it cannot do;
//! with `CHIRON_TESTS_REQUIRE=clients,registry` (as `make test` sets what it has made) it fails instead.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::daemon::{Output, run};

/// Where the virtual environments are.
pub fn clients_dir() -> PathBuf {
    if let Some(dir) = std::env::var_os("CHIRON_CLIENTS_DIR") {
        return PathBuf::from(dir);
    }
    let home = std::env::var_os("HOME").expect("HOME is set");
    Path::new(&home).join(".cache/chiron/clients")
}

/// True when the environment says that this must not be left out.
pub fn required(what: &str) -> bool {
    std::env::var("CHIRON_TESTS_REQUIRE").is_ok_and(|all| all.split(',').any(|one| one.trim() == what))
}

/// What a test needs of the system's packages, or `None` and a word on stderr.
pub fn there(what: &str, require: &str, found: Option<PathBuf>) -> Option<PathBuf> {
    if found.is_none() {
        let message =
            format!("{what} is not installed; tests/support/setup-clients.sh installs it where it may");
        assert!(!required(require), "{message}");
        eprintln!("LEFT OUT: {message}");
    }
    found
}

/// A program on the path.
pub fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|program| program.is_file())
}

/// `bin/{program}` of the virtual environment `venv` (`pip-old`, `pip-new`, `uv`, `poetry`).
pub fn client(venv: &str, program: &str) -> Option<PathBuf> {
    let path = clients_dir().join(venv).join("bin").join(program);
    if path.exists() {
        return Some(path);
    }
    let message = format!(
        "{} is not there; tests/support/setup-clients.sh makes it",
        path.display()
    );
    assert!(!required("clients"), "{message}");
    eprintln!("LEFT OUT: {message}");
    None
}

/// True when the index that pip on this machine is configured with answers.
pub fn registry_available() -> bool {
    let asked = Command::new("python3")
        .args([
            "-m",
            "pip",
            "index",
            "versions",
            "six",
            "--timeout",
            "10",
            "--retries",
            "1",
        ])
        .stdin(Stdio::null())
        .output();
    let available = asked.is_ok_and(|output| output.status.success());
    if !available {
        let message = "pip's own index does not answer: tests with real packages are left out";
        assert!(!required("registry"), "{message}");
        eprintln!("LEFT OUT: {message}");
    }
    available
}

/// A client's command with nothing of this machine's configuration, and its caches in `home`.
pub fn isolated(program: &Path, home: &Path) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if ["PIP_", "UV_", "POETRY_", "VIRTUAL_ENV", "PYTHON"]
            .iter()
            .any(|start| name.starts_with(start))
        {
            command.env_remove(&*name);
        }
    }
    command
        .env("HOME", home)
        .env("XDG_CACHE_HOME", home.join("cache"))
        .env("XDG_CONFIG_HOME", home.join("config"))
        .env("PIP_CONFIG_FILE", "/dev/null")
        .env("PIP_DISABLE_PIP_VERSION_CHECK", "1")
        .env("NO_PROXY", "127.0.0.1")
        .env("no_proxy", "127.0.0.1")
        .current_dir(home)
        .stdin(Stdio::null());
    command
}

/// `pip install --target` from the index and nothing else.
pub fn pip_install(pip: &Path, home: &Path, index: &str, target: &Path, what: &[&str]) -> Output {
    let mut command = isolated(pip, home);
    command
        .args([
            "install",
            "--no-input",
            "--retries",
            "1",
            "--index-url",
            index,
            "--target",
        ])
        .arg(target)
        .args(what);
    run(&mut command)
}

/// `uv pip install --target` from the index and nothing else.
pub fn uv_install(uv: &Path, home: &Path, index: &str, target: &Path, what: &[&str]) -> Output {
    let mut command = isolated(uv, home);
    command
        .args([
            "pip",
            "install",
            "--no-config",
            "--no-python-downloads",
            "--default-index",
            index,
            "--target",
        ])
        .arg(target)
        .args(what);
    run(&mut command)
}

/// What `import project` says of its version in a folder that something was installed to.
pub fn imported_version(target: &Path, project: &str) -> String {
    let code = format!("import {project}; print({project}.__version__)");
    let output = run(Command::new("python3")
        .args(["-c", &code])
        .env("PYTHONPATH", target)
        .stdin(Stdio::null()));
    assert_eq!(output.status, 0, "{output}");
    output.stdout.trim().to_owned()
}
