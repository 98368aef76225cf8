//! People with offline keys: each with a folder of their own, as if it were a laptop without a network.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chiron_tuf::{KeyId, LocalKey, PublicKey, Scheme, Signer as _};
use serde_json::Value;

use super::daemon::{Daemon, Output, cli};

/// How long a daemon may take to publish what is in its log.
const PATIENCE: Duration = Duration::from_secs(30);

/// Somebody who holds a key.
pub struct Person {
    pub name: String,
    home: tempfile::TempDir,
    pub id: KeyId,
    pub public: PublicKey,
    private: LocalKey,
}

impl Person {
    /// With a new key: `HOME/NAME.pem` and `HOME/NAME.pub.pem`.
    pub fn new(name: &str, scheme: Scheme) -> Self {
        let home = tempfile::tempdir().unwrap();
        let private = LocalKey::generate(scheme).unwrap();
        let public = private.public().clone();
        let pem = format!(
            "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
            STANDARD.encode(private.to_pkcs8().unwrap().as_slice())
        );
        std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(home.path().join(format!("{name}.pem")))
            .unwrap()
            .write_all(pem.as_bytes())
            .unwrap();
        std::fs::write(home.path().join(format!("{name}.pub.pem")), public.to_pem()).unwrap();
        Self {
            name: name.to_owned(),
            id: public.id(),
            public,
            private,
            home,
        }
    }

    /// With an Ed25519 key.
    pub fn ed25519(name: &str) -> Self {
        Self::new(name, Scheme::Ed25519)
    }

    /// With a key on P-256.
    pub fn p256(name: &str) -> Self {
        Self::new(name, Scheme::EcdsaP256)
    }

    /// The file that may leave the laptop.
    pub fn public_file(&self) -> String {
        let file = self.home.path().join(format!("{}.pub.pem", self.name));
        file.to_str().unwrap().to_owned()
    }

    /// The file that may not.
    pub fn private_file(&self) -> PathBuf {
        self.home.path().join(format!("{}.pem", self.name))
    }

    /// A file on the laptop.
    pub fn file(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// `chiron tuf sign`, on the laptop: there is no configuration and no data folder.
    pub fn try_sign(&self, request: &Path, more: &[&str]) -> Output {
        let here = self.file(request.file_name().unwrap().to_str().unwrap());
        std::fs::copy(request, &here).unwrap();
        let key = self.private_file();
        let mut args = vec![
            "tuf",
            "sign",
            here.to_str().unwrap(),
            "--key",
            key.to_str().unwrap(),
            "--format",
            "json",
        ];
        args.extend(more);
        cli(self.home.path(), &args)
    }

    /// Signs, and gives the file that is sent back.
    #[track_caller]
    pub fn sign(&self, request: &Path) -> PathBuf {
        let _ = std::fs::remove_file(self.file("out.json"));
        let out = self.file("out.json");
        self.try_sign(request, &["--yes", "--out", out.to_str().unwrap()])
            .expect(0);
        let kept = self.file(&format!(
            "{}.signature.json",
            chiron_storage::Digest::of(&std::fs::read(&out).unwrap())
        ));
        std::fs::rename(&out, &kept).unwrap();
        kept
    }

    /// A signature over any bytes, for who wants to do wrong.
    pub fn raw_signature(&self, message: &[u8]) -> String {
        let signed = futures_util::FutureExt::now_or_never(self.private.sign(message)).unwrap();
        hex::encode(signed.unwrap())
    }
}

/// The newest request for a role, in a folder of requests.
#[track_caller]
pub fn request_for(folder: &Path, role: &str, version: u64) -> PathBuf {
    let prefix = format!("{role}-{version}-");
    let mut found: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.file_name()
                .and_then(|name| name.to_str())
                .is_some_and(|name| name.starts_with(&prefix) && name.ends_with(".request.json"))
        })
        .collect();
    assert_eq!(
        found.len(),
        1,
        "requests for {role} {version} in {}: {found:?}",
        folder.display()
    );
    found.remove(0)
}

/// `chiron tuf merge` at a daemon.
pub fn merge(daemon: &Daemon, signature: &Path) -> Output {
    daemon.cli(&["tuf", "merge", signature.to_str().unwrap(), "--format", "json"])
}

/// Everything below a folder in one line, for "nothing was changed".
pub fn census(folder: &Path) -> String {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(&next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let digest = chiron_storage::Digest::of(&std::fs::read(&path).unwrap());
                found.push(format!("{} {digest}\n", path.display()));
            }
        }
    }
    found.sort();
    let all = chiron_storage::Digest::of(found.concat().as_bytes());
    format!("{} files, {all}", found.len())
}

/// Waits until everything in the log is published: what changes from then on was changed by the test.
pub fn settle(daemon: &Daemon) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let log = daemon.admin("GET", "/api/v1/status", b"").json()["log_size"].as_u64();
        let signed = status(daemon)["generation"]["log_size"].as_u64();
        if log == signed {
            return;
        }
        assert!(
            Instant::now() < deadline,
            "the log is at {log:?}, and {signed:?} is signed"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// `chiron tuf status` of a daemon, whatever it thinks of it.
pub fn status(daemon: &Daemon) -> Value {
    let answer = daemon.admin("GET", "/api/v1/tuf", b"");
    assert_eq!(answer.status, 200, "{answer}");
    answer.json()
}

/// A role in a status.
#[track_caller]
pub fn role<'a>(status: &'a Value, name: &str) -> &'a Value {
    status["roles"]
        .as_array()
        .unwrap()
        .iter()
        .find(|role| role["name"] == name)
        .unwrap_or_else(|| panic!("no role {name} in {status:#}"))
}

/// The ids of a role's keys.
#[track_caller]
pub fn ids(status: &Value, name: &str) -> Vec<String> {
    let mut ids: Vec<String> = role(status, name)["keys"]
        .as_array()
        .unwrap()
        .iter()
        .map(|key| key["id"].as_str().unwrap().to_owned())
        .collect();
    ids.sort();
    ids
}

/// A client that keeps its state: `chiron tuf verify` with a folder of its own.
pub struct Client {
    home: tempfile::TempDir,
}

impl Client {
    /// Trusts the root that the daemon gives out now.
    pub fn of(daemon: &Daemon) -> Self {
        let home = tempfile::tempdir().unwrap();
        let root = daemon.data_dir().join("tuf/root.json");
        std::fs::copy(root, home.path().join("root.json")).unwrap();
        Self { home }
    }

    /// Refreshes, and verifies the checkpoint of the log as a target.
    pub fn refresh(&self, daemon: &Daemon) -> Output {
        cli(
            self.home.path(),
            &[
                "tuf",
                "verify",
                daemon.base(),
                "--root",
                "root.json",
                "--state",
                "state",
                "--target",
                "log/checkpoint",
            ],
        )
    }
}

/// Ends the test unless a command said all of this, on stdout or stderr.
#[track_caller]
pub fn says(output: &Output, words: &[&str]) {
    let all = format!("{}{}", output.stdout, output.stderr);
    for word in words {
        assert!(all.contains(word), "{word:?} is missing in\n{output}");
    }
}

/// Every `keys-changed` in the log.
pub fn keys_changed(daemon: &Daemon) -> Vec<Value> {
    let page = daemon.admin("GET", "/api/v1/events?limit=1000", b"").json();
    let events = page["items"].as_array().unwrap().iter();
    events
        .map(|item| item["event"].clone())
        .filter(|event| event["type"] == "keys-changed")
        .collect()
}
