//! A keyring folder and `chiron tuf keys` on it; keys by the real `openssl`.
#![allow(dead_code)] // each test file uses its part

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::support::daemon::{Output, command, run};

/// What the keys of these tests are encrypted with.
pub const PASSPHRASE: &str = "lamp-quartz-otter-bridge-71";

/// `openssl genpkey` for Ed25519.
pub const ED25519: &[&str] = &["-algorithm", "ed25519"];

/// `openssl genpkey` for P-256.
pub const P256: &[&str] = &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"];

/// A folder with rings in it, which are made when they are first used.
pub struct Ring {
    home: tempfile::TempDir,
}

impl Ring {
    pub fn new() -> Self {
        Self {
            home: tempfile::tempdir().unwrap(),
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// Writes a file that only its owner can read.
    pub fn secret(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        path
    }

    /// `chiron tuf keys …` on the ring `ring`, with the passphrase.
    pub fn keys(&self, args: &[&str]) -> Output {
        run(&mut self.with_passphrase("ring", args))
    }

    /// The same on a ring by name, not yet run.
    pub fn with_passphrase(&self, ring: &str, args: &[&str]) -> Command {
        let mut command = self.prepare(ring, args);
        command.env("CHIRON_TUF_PASSPHRASE", PASSPHRASE);
        command
    }

    /// On the ring `ring`, without a passphrase; not yet run.
    pub fn bare(&self, args: &[&str]) -> Command {
        self.prepare("ring", args)
    }

    fn prepare(&self, ring: &str, args: &[&str]) -> Command {
        let ring = self.path(ring);
        let front = ["--format", "json", "--data-dir", "nowhere", "tuf", "keys"];
        // What follows `--` is no flag.
        let end = args.iter().position(|arg| *arg == "--").unwrap_or(args.len());
        let (flags, rest) = args.split_at(end);
        let flags = front.into_iter().chain(flags.iter().copied());
        let flags = flags.chain(["--keys-dir", ring.to_str().unwrap()]);
        let mut command = command(flags.chain(rest.iter().copied()));
        command
            .current_dir(self.home.path())
            .env_remove("CREDENTIALS_DIRECTORY");
        command
    }

    /// Runs `chiron tuf keys …` on the ring `ring` at a terminal, where a person types one answer to each question.
    /// The exit status, and everything that the terminal showed.
    pub fn at_terminal(&self, args: &[&str], answers: &[&str]) -> (i32, String) {
        let prepared = self.bare(args);
        let mut command = Command::new("python3");
        command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/terminal.py"));
        command
            .arg(answers.join("\n"))
            .arg(prepared.get_program())
            .args(prepared.get_args());
        command.current_dir(self.home.path()).stdin(Stdio::null());
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("CHIRON_"))
        {
            command.env_remove(name);
        }
        let output = run(&mut command);
        (output.status, output.stdout + &output.stderr)
    }
}

/// Makes a private key with `openssl genpkey`, readable by its owner only.
pub fn genpkey(algorithm: &[&str], path: &Path) {
    openssl(&[&["genpkey"], algorithm, &["-out", path.to_str().unwrap()]].concat());
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

/// What `openssl` prints.
#[track_caller]
pub fn openssl(args: &[&str]) -> String {
    let output = Command::new("openssl")
        .args(args)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.success(), "openssl {args:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// True when `openssl` will not.
pub fn openssl_fails(args: &[&str]) -> bool {
    let output = Command::new("openssl")
        .args(args)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    !output.status.success()
}
