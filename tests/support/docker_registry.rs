//! The real `docker-registry` (Debian's, version 2.8), which keeps no list of referrers, on a port of 127.0.0.1 and a
//! folder of the test's own.
//!
//! Where it is missing a test says so on stderr and does nothing; with `CHIRON_TESTS_REQUIRE=docker-registry` it fails
//! instead.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use super::clients::{program, there};
use super::raw::{self, Answer};

/// How long it may take to listen.
const PATIENCE: Duration = Duration::from_secs(30);

/// The account of [`DockerRegistry::with_password`].
pub const USER: &str = "carrier";
/// Its password.
pub const PASSWORD: &str = "quiet-word";
/// `htpasswd -B`'s line for them.
const HTPASSWD: &str = "carrier:$2y$05$abcdefghijklmnopqrstuuytzZhN0IecMUj5IP34dqlU2j/lYliMe\n";

/// A running registry; ended by its process id when dropped.
pub struct DockerRegistry {
    child: Child,
    folder: tempfile::TempDir,
    addr: String,
    reader: Option<JoinHandle<()>>,
}

impl DockerRegistry {
    /// One that takes everything; `None` where it is not installed.
    pub fn start() -> Option<Self> {
        Self::launch("")
    }

    /// One that asks for [`USER`] and [`PASSWORD`].
    pub fn with_password() -> Option<Self> {
        Self::launch("auth:\n  htpasswd:\n    realm: test\n    path: HTPASSWD\n")
    }

    /// One that speaks TLS, with a certificate that nobody knows; the certificate's file too. `None` also without openssl.
    pub fn with_tls() -> Option<(Self, PathBuf)> {
        let openssl = there("openssl", "docker-registry", program("openssl"))?;
        let folder = tempfile::tempdir().unwrap();
        let (certificate, key) = (folder.path().join("tls.crt"), folder.path().join("tls.key"));
        let made = Command::new(openssl)
            .args([
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:P-256",
                "-nodes",
                "-days",
                "2",
            ])
            .args([
                "-subj",
                "/CN=a registry",
                "-addext",
                "subjectAltName=IP:127.0.0.1",
                "-addext",
                "basicConstraints=critical,CA:FALSE",
            ])
            .arg("-keyout")
            .arg(&key)
            .arg("-out")
            .arg(&certificate)
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let more = format!(
            "  tls:\n    certificate: {}\n    key: {}\n",
            certificate.display(),
            key.display()
        );
        Some((Self::launch_in(folder, &more)?, certificate))
    }

    fn launch(more: &str) -> Option<Self> {
        Self::launch_in(tempfile::tempdir().unwrap(), more)
    }

    fn launch_in(folder: tempfile::TempDir, more: &str) -> Option<Self> {
        let binary = there("docker-registry", "docker-registry", program("docker-registry"))?;
        let htpasswd = folder.path().join("htpasswd");
        std::fs::write(&htpasswd, HTPASSWD).unwrap();
        let more = more.replace("HTPASSWD", htpasswd.to_str().unwrap());
        let config = format!(
            "version: 0.1\nlog:\n  level: info\nstorage:\n  filesystem:\n    rootdirectory: {}\n  delete:\n    enabled: true\nhttp:\n  addr: 127.0.0.1:0\n{more}",
            folder.path().join("data").display()
        );
        let config_file = folder.path().join("config.yml");
        std::fs::write(&config_file, config).unwrap();
        let mut child = Command::new(binary)
            .arg("serve")
            .arg(&config_file)
            .env("OTEL_TRACES_EXPORTER", "none")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (said, hear) = mpsc::channel();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let reader = std::thread::spawn(move || {
            let mut said = Some(said);
            for line in stderr.lines().map_while(Result::ok) {
                let Some((_, rest)) = line.split_once("listening on ") else {
                    continue;
                };
                let addr: String = rest
                    .chars()
                    .take_while(|c| c.is_ascii_digit() || matches!(c, '.' | ':'))
                    .collect();
                if let Some(said) = said.take() {
                    let _ = said.send(addr);
                }
            }
        });
        let addr = hear.recv_timeout(PATIENCE).unwrap_or_else(|_| {
            let _ = child.kill();
            panic!("docker-registry does not listen");
        });
        Some(Self {
            child,
            folder,
            addr,
            reader: Some(reader),
        })
    }

    /// `127.0.0.1:PORT`.
    pub fn addr(&self) -> &str {
        &self.addr
    }

    /// A GET, with the types that registries want to hear of.
    pub fn get(&self, path: &str) -> Answer {
        let accept =
            "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, */*";
        raw::request(&self.addr, "GET", path, &[("Accept", accept)], b"")
    }

    /// Where it keeps a blob's bytes.
    pub fn blob_file(&self, hex: &str) -> PathBuf {
        let blobs = Path::new("data/docker/registry/v2/blobs/sha256");
        self.folder
            .path()
            .join(blobs)
            .join(&hex[..2])
            .join(hex)
            .join("data")
    }

    /// The tags of a repository, sorted.
    pub fn tags(&self, repository: &str) -> Vec<String> {
        let answer = self.get(&format!("/v2/{repository}/tags/list"));
        if answer.status == 404 {
            return Vec::new();
        }
        let json = answer.json();
        let mut tags: Vec<String> = json["tags"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|tag| tag.as_str().unwrap().to_owned())
            .collect();
        tags.sort();
        tags
    }
}

impl Drop for DockerRegistry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }
}
