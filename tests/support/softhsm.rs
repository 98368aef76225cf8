//! SoftHSM 2: a token in software behind a real PKCS #11 module, with its tokens in a folder of the test's own; and a
//! module before it that hangs or lies (`lying_module.c`).
//!
//! Where it is missing a test says so on stderr and does nothing; with `CHIRON_TESTS_REQUIRE=softhsm` it fails instead.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::support::clients::{program, there};

/// Where distributions put the module.
const MODULES: [&str; 6] = [
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
    "/usr/lib64/softhsm/libsofthsm2.so",
    "/usr/local/lib/softhsm/libsofthsm2.so",
];

/// The PIN of every token here.
pub const PIN: &str = "4711-tin";

/// A SoftHSM with a folder of its own.
pub struct SoftHsm {
    folder: tempfile::TempDir,
    /// Its PKCS #11 module.
    pub module: PathBuf,
}

impl SoftHsm {
    /// One without tokens; `None` where SoftHSM is not installed.
    pub fn new() -> Option<Self> {
        let module = MODULES.iter().map(PathBuf::from).find(|path| path.exists());
        let module = module.filter(|_| program("softhsm2-util").is_some());
        let module = there("SoftHSM 2 (softhsm2)", "softhsm", module)?;
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("tokens")).unwrap();
        let configuration = format!(
            "directories.tokendir = {}\n",
            folder.path().join("tokens").display()
        );
        std::fs::write(folder.path().join("softhsm2.conf"), configuration).unwrap();
        Some(Self { folder, module })
    }

    /// What tells the module where its tokens are.
    pub fn env(&self, command: &mut Command) {
        command.env("SOFTHSM2_CONF", self.folder.path().join("softhsm2.conf"));
    }

    /// The folder that its tokens are in.
    pub fn tokens(&self) -> PathBuf {
        self.folder.path().join("tokens")
    }

    /// Makes a token; its URI without a key.
    pub fn token(&self, label: &str) -> String {
        self.util(&[
            "--init-token",
            "--free",
            "--label",
            label,
            "--pin",
            PIN,
            "--so-pin",
            "0815-officer",
        ]);
        self.uri(label)
    }

    /// The URI of a token.
    pub fn uri(&self, label: &str) -> String {
        format!("pkcs11:token={label}?module-path={}", self.module.display())
    }

    /// Puts a key in PKCS#8 PEM into a token.
    pub fn import(&self, token: &str, pem: &Path, label: &str, id: &str) {
        let path = pem.to_str().unwrap();
        self.util(&[
            "--import", path, "--token", token, "--label", label, "--id", id, "--pin", PIN,
        ]);
    }

    /// Runs `softhsm2-util`.
    pub fn util(&self, args: &[&str]) {
        let mut command = Command::new("softhsm2-util");
        self.env(&mut command);
        let output = command.args(args).stdin(Stdio::null()).output().unwrap();
        assert!(output.status.success(), "softhsm2-util {args:?}: {output:?}");
    }

    /// A module that passes everything on to SoftHSM and does what `CHIRON_TEST_MODULE` says on top (see its source).
    pub fn lying_module(&self) -> PathBuf {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/lying_module.c");
        let module = self.folder.path().join("lying_module.so");
        let real = format!("-DREAL_MODULE=\"{}\"", self.module.display());
        let output = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-Wall", "-Werror", &real, "-o"])
            .args([&module, &source])
            .arg("-ldl")
            .output()
            .expect("a C compiler, which building Chiron needs too");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        module
    }
}
