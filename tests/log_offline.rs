//! Promise: what the log says is proved by files alone, far from the daemon; and the log and the TUF repository vouch for each
//! other.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod rfc6962;
mod support;

use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rfc6962::{Hash, consistency_of, leaf, open, path_of, root_of};
use serde_json::Value;
use support::daemon::{Daemon, DaemonOptions, Output, cli};
use support::wheels::wheel;

/// A daemon with a wheel admitted, the wheel beside it, and the log's key in a file.
struct Site {
    daemon: Daemon,
    /// Carried away: nothing here is the daemon's.
    stick: tempfile::TempDir,
    wheel: PathBuf,
    sha256: String,
}

impl Site {
    fn start() -> Self {
        let daemon = Daemon::start(DaemonOptions::alone());
        let file = wheel("demo", "1.0", &[]);
        assert_eq!(
            daemon.put_file(&file.filename, &file.bytes)["outcome"],
            "admitted"
        );
        let stick = tempfile::tempdir().unwrap();
        let wheel = stick.path().join(&file.filename);
        fs::write(&wheel, &file.bytes).unwrap();
        let key = daemon.cli(&["log", "key"]).expect(0).stdout;
        fs::write(stick.path().join("log.key"), key).unwrap();
        Self {
            daemon,
            stick,
            wheel,
            sha256: file.sha256,
        }
    }

    fn path(&self, name: &str) -> String {
        self.stick.path().join(name).to_str().unwrap().to_owned()
    }

    fn wheel(&self) -> &str {
        self.wheel.to_str().unwrap()
    }

    fn size(&self) -> u64 {
        self.daemon.admin("GET", "/api/v1/status", b"").json()["log_size"]
            .as_u64()
            .unwrap()
    }

    /// Changes the file's state; the number of the event.
    fn decide(&self, change: &str) -> u64 {
        let path = format!("/api/v1/files/{}/{change}", self.sha256);
        self.daemon
            .admin("POST", &path, b"{\"reason\":\"for the test\"}")
            .json()["event"]
            .as_u64()
            .unwrap()
    }

    fn prove(&self, args: &[&str], name: &str) -> String {
        let out = self.path(name);
        self.daemon
            .cli(&[&["log", "prove"], args, &["--out", &out]].concat())
            .expect(0);
        out
    }

    fn keep_checkpoint(&self, name: &str) -> String {
        let path = self.path(name);
        fs::write(&path, self.daemon.cli(&["log", "checkpoint"]).expect(0).stdout).unwrap();
        path
    }

    /// `log verify` on a machine that has the stick and nothing else: no daemon, no data folder, an empty home.
    fn verify(&self, args: &[&str]) -> Output {
        verify(self.stick.path(), args)
    }
}

fn verify(stick: &Path, args: &[&str]) -> Output {
    let key = stick.join("log.key");
    let away = tempfile::tempdir().unwrap();
    let all = [&["log", "verify", "--key", key.to_str().unwrap()], args].concat();
    let output = cli(away.path(), &all);
    let left: Vec<_> = fs::read_dir(away.path()).unwrap().collect();
    assert!(left.is_empty(), "verifying leaves nothing behind: {left:?}");
    output
}

fn copy_files(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

fn lines(path: &str) -> Vec<String> {
    fs::read_to_string(path)
        .unwrap()
        .lines()
        .map(str::to_owned)
        .collect()
}

/// The log's entries, from the tiles.
fn leaves(daemon: &Daemon, size: u64) -> Vec<Hash> {
    let answer = daemon.get(&format!("/log/entries/000.p/{size}"));
    assert_eq!(answer.status, 200, "{answer}");
    let (mut bundle, mut leaves) = (&answer.body[..], Vec::new());
    while let Some((length, rest)) = bundle.split_first_chunk::<2>() {
        let (entry, rest) = rest.split_at(usize::from(u16::from_be_bytes(*length)));
        leaves.push(leaf(entry));
        bundle = rest;
    }
    leaves
}

#[test]
fn a_file_is_proved_and_verified_with_the_daemon_gone() {
    let mut site = Site::start();
    let by_path = site.prove(&[site.wheel()], "path.tlog-proof");
    let name = site.wheel.file_name().unwrap().to_str().unwrap().to_owned();
    let by_name = site.prove(&[&name], "name.tlog-proof");
    let by_digest = site.prove(&[&format!("sha256:{}", site.sha256)], "digest.tlog-proof");
    for other in [by_name, by_digest] {
        assert_eq!(fs::read(&other).unwrap(), fs::read(&by_path).unwrap());
    }
    assert_eq!(site.daemon.stop(), 0);

    let said = site.verify(&["--proof", &by_path, site.wheel()]).expect(0);
    assert!(
        said.stdout.contains("admitted at") && said.stdout.contains(&site.sha256),
        "{said}"
    );
    let report = site
        .verify(&["--proof", &by_path, site.wheel(), "--format", "json"])
        .expect(0)
        .json();
    assert_eq!(report["verified"], true, "{report:#}");
    assert_eq!(report["origin"], "localhost/chiron");
    assert_eq!(report["events"][0]["event"]["sha256"], site.sha256.as_str());
    assert_eq!(report["files"][0]["sha256"], site.sha256.as_str());
}

#[test]
fn the_proof_is_a_c2sp_tlog_proof() {
    let site = Site::start();
    site.decide("yank");
    let event = site.decide("unyank");
    let size = site.size();
    let number = usize::try_from(event - 1).unwrap();
    let proof = site.prove(&[&number.to_string()], "yank.tlog-proof");
    let lines = lines(&proof);
    let leaves = leaves(&site.daemon, size);

    assert_eq!(lines[0], "c2sp.org/tlog-proof@v1");
    let entry = BASE64_STANDARD
        .decode(lines[1].strip_prefix("extra ").unwrap())
        .unwrap();
    assert_eq!(leaf(&entry), leaves[number]);
    let said: Value = serde_json::from_slice(&entry).unwrap();
    assert_eq!(
        (&said["type"], &said["reason"]),
        (&"yanked".into(), &"for the test".into())
    );
    assert_eq!(lines[2], format!("index {number}"));
    let blank = lines.iter().position(String::is_empty).unwrap();
    let hashes: Vec<Vec<u8>> = lines[3..blank]
        .iter()
        .map(|line| BASE64_STANDARD.decode(line).unwrap())
        .collect();
    assert_eq!(hashes, path_of(number, &leaves));
    let key = fs::read_to_string(site.path("log.key")).unwrap();
    let head = open(&(lines[blank + 1..].join("\n") + "\n"), key.trim()).expect("the checkpoint verifies");
    assert_eq!((head.size as u64, head.root), (size, root_of(&leaves)));
}

#[test]
fn what_the_log_refused_is_proved_and_is_no_admission() {
    let site = Site::start();
    let admitted = site.prove(&[site.wheel()], "admitted.tlog-proof");
    site.decide("revoke");
    let revoked = site.prove(&[site.wheel()], "revoked.tlog-proof");

    let said = site.verify(&["--proof", &revoked]).expect(0);
    assert!(
        said.stdout.contains("revoked at"),
        "the proof is a good one: {said}"
    );
    let said = site.verify(&["--proof", &revoked, site.wheel()]).expect(1);
    assert!(said.stderr.contains("is a file that was revoked"), "{said}");
    site.verify(&["--proof", &admitted, site.wheel()]).expect(0);
    // Both at hand: the newer counts, once it is shown that they are one log.
    let apart = site
        .verify(&["--proof", &admitted, "--proof", &revoked, site.wheel()])
        .expect(1);
    assert!(apart.stderr.contains("nothing shows that the log of"), "{apart}");
    let (old, new) = (site.size() - 1, site.size());
    let grew = site.prove(
        &["--from", &old.to_string(), "--to", &new.to_string()],
        "grew.txt",
    );
    let both = [
        "--proof",
        &admitted,
        "--proof",
        &revoked,
        "--proof",
        &grew,
        site.wheel(),
    ];
    let said = site.verify(&both).expect(1);
    assert!(said.stderr.contains("is a file that was revoked"), "{said}");
}

#[test]
fn a_changed_proof_file_key_or_wheel_is_refused() {
    let site = Site::start();
    site.decide("yank");
    let proof = site.prove(&[site.wheel()], "demo.tlog-proof");
    let good = fs::read_to_string(&proof).unwrap();
    let lines: Vec<&str> = good.lines().collect();
    let entry = BASE64_STANDARD
        .decode(lines[1].strip_prefix("extra ").unwrap())
        .unwrap();
    let forged = String::from_utf8(entry)
        .unwrap()
        .replace("for the test", "not a test");
    let forged = format!("extra {}", BASE64_STANDARD.encode(forged));
    let size = lines[lines.len() - 4];
    for (what, changed) in [
        ("the entry", good.replace(lines[1], &forged)),
        ("the index", good.replace(lines[2], "index 0")),
        ("a hash", good.replace(lines[3], &BASE64_STANDARD.encode([7; 32]))),
        ("a hash less", good.replace(&format!("{}\n", lines[3]), "")),
        (
            "a size",
            good.replace(&format!("\n{size}\n"), &format!("\n{size}0\n")),
        ),
        ("the header", good.replace("@v1", "@v2")),
        ("the end", good[..good.len() - 10].to_owned()),
    ] {
        assert_ne!(changed, good, "{what}");
        fs::write(&proof, &changed).unwrap();
        let said = site.verify(&["--proof", &proof]).expect(4);
        assert!(said.stderr.contains(" next: "), "{what}: {said}");
        assert!(said.stdout.is_empty(), "{what}: {said}");
    }
    fs::write(&proof, &good).unwrap();

    let another = Site::start();
    let key = another.path("log.key");
    let away = tempfile::tempdir().unwrap();
    let said = cli(away.path(), &["log", "verify", "--key", &key, "--proof", &proof]).expect(4);
    assert!(said.stderr.contains("does not verify with the key"), "{said}");

    let mut bytes = fs::read(&site.wheel).unwrap();
    bytes[40] ^= 1;
    fs::write(&site.wheel, bytes).unwrap();
    let said = site.verify(&["--proof", &proof, site.wheel()]).expect(1);
    assert!(
        said.stderr.contains("no proof is about a file with that content"),
        "{said}"
    );
    // And the daemon is not asked for a file that it does not have.
    let out = site.path("none.tlog-proof");
    site.daemon
        .cli(&["log", "prove", site.wheel(), "--out", &out])
        .expect(1);
    assert!(!Path::new(&out).exists());
}

#[test]
fn growth_is_proved_by_files_alone() {
    let mut site = Site::start();
    let before = site.keep_checkpoint("before.txt");
    let old = site.size();
    site.decide("yank");
    site.decide("unyank");
    let new = site.size();
    let after = site.keep_checkpoint("after.txt");
    let grew = site.prove(&["--from", &old.to_string()], "grew.txt");
    let proof = site.prove(&[site.wheel(), "--size", &new.to_string()], "demo.tlog-proof");

    let lines = lines(&grew);
    let leaves = leaves(&site.daemon, new);
    assert_eq!(
        lines[0],
        format!("old {old}"),
        "the body of C2SP tlog-witness's add-checkpoint"
    );
    let blank = lines.iter().position(String::is_empty).unwrap();
    let hashes: Vec<Vec<u8>> = lines[1..blank]
        .iter()
        .map(|line| BASE64_STANDARD.decode(line).unwrap())
        .collect();
    assert_eq!(
        hashes,
        consistency_of(usize::try_from(old).unwrap(), &leaves, true)
    );
    assert_eq!(site.daemon.stop(), 0);

    let said = site.verify(&["--proof", &grew, "--since", &before]).expect(0);
    assert!(
        said.stdout
            .contains(&format!("the log of {new} continues the log of {old}")),
        "{said}"
    );
    site.verify(&["--proof", &grew]).expect(2);
    site.verify(&["--proof", &proof, "--checkpoint", &after])
        .expect(0);
    let apart = site
        .verify(&["--proof", &proof, "--checkpoint", &before])
        .expect(1);
    assert!(
        apart
            .stderr
            .contains(&format!("chiron log prove --from {old} --to {new}")),
        "{apart}"
    );
    site.verify(&["--proof", &proof, "--proof", &grew, "--checkpoint", &before])
        .expect(0);
    // Another root of the same size is another history.
    let other = Site::start();
    assert_eq!(other.size(), old);
    let foreign = other.keep_checkpoint("before.txt");
    site.verify(&["--proof", &grew, "--since", &foreign]).expect(4);
}

#[test]
fn usage_is_explained_and_nothing_is_asked() {
    let site = Site::start();
    let proof = site.prove(&[site.wheel()], "demo.tlog-proof");
    let away = tempfile::tempdir().unwrap();
    cli(away.path(), &["log", "verify", "--proof", &proof]).expect(2);
    cli(
        away.path(),
        &["log", "verify", "--key", &proof, "--proof", &proof],
    )
    .expect(2);
    site.verify(&["--proof", &site.path("absent")]).expect(2);
    site.verify(&["--proof", site.wheel()]).expect(4);
    site.daemon
        .cli(&["log", "prove", "demo-9.9-py3-none-any.whl"])
        .expect(1);
    site.daemon.cli(&["log", "prove", "99999"]).expect(2);

    let out = site.path("dry.tlog-proof");
    let said = site
        .daemon
        .cli(&["log", "prove", site.wheel(), "--out", &out, "--dry-run"])
        .expect(0);
    assert!(said.stdout.contains("would write"), "{said}");
    assert!(!Path::new(&out).exists());
}

/// A proof is also made from the data folder itself, when no daemon holds it.
#[test]
fn the_data_folder_proves_without_a_daemon() {
    let mut site = Site::start();
    let served = site.prove(&[site.wheel()], "served.tlog-proof");
    assert_eq!(site.daemon.stop(), 0);
    let local = site.path("local.tlog-proof");
    site.daemon
        .local_cli(&["log", "prove", site.wheel(), "--out", &local])
        .expect(0);
    assert_eq!(fs::read(local).unwrap(), fs::read(served).unwrap());
}

#[test]
fn the_log_and_the_tuf_repository_vouch_for_each_other() {
    let site = Site::start();
    let root = site.path("root.json");
    fs::copy(site.daemon.data_dir().join("tuf/root.json"), &root).unwrap();
    let place = format!("{}/tuf", site.daemon.base());
    let report = site
        .daemon
        .cli_json(&["log", "verify", "--tuf", &place, "--root", &root]);
    assert!(
        report["tuf"].as_u64().unwrap() <= report["size"].as_u64().unwrap(),
        "{report:#}"
    );
    assert!(report["tuf"].as_u64().unwrap() > 0);

    // After a change of keys too: the log has it, and the keys in the root are those that the log says.
    let timestamp = |site: &Site| {
        let root = fs::read(site.daemon.data_dir().join("tuf/root.json")).unwrap();
        let root: Value = serde_json::from_slice(&root).unwrap();
        root["signed"]["roles"]["timestamp"]["keyids"][0]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let before = timestamp(&site);
    site.daemon
        .cli(&["tuf", "rotate", "timestamp", "--reason", "for the test", "--yes"])
        .expect(0);
    assert_ne!(timestamp(&site), before);
    let report = site
        .daemon
        .cli_json(&["log", "verify", "--tuf", &place, "--root", &root]);

    // What was proved is in the log that TUF signs.
    let size = report["tuf"].to_string();
    let proof = site.prove(&[site.wheel(), "--size", &size], "demo.tlog-proof");
    let said = site
        .verify(&["--proof", &proof, "--tuf", &place, "--root", &root, site.wheel()])
        .expect(0);
    assert!(said.stdout.contains("admitted at"), "{said}");

    // The metadata alone is enough where the checkpoint is at hand: nothing is fetched from anywhere.
    let folder = site.path("repository");
    copy_files(
        &site.daemon.data_dir().join("tuf/metadata"),
        &Path::new(&folder).join("metadata"),
    );
    let offline = ["--proof", &proof, "--tuf", &folder, "--root", &root, site.wheel()];
    site.verify(&offline).expect(0);
    let timestamp = Path::new(&folder).join("metadata/timestamp.json");
    let good = fs::read_to_string(&timestamp).unwrap();
    fs::write(&timestamp, good.replacen("\"version\":", "\"version\":1", 1)).unwrap();
    let said = site.verify(&offline).expect(1);
    assert!(said.stderr.contains("timestamp.json is refused"), "{said}");

    // Another repository does not vouch for this log, nor is it believed by this root.
    let other = Site::start();
    let place = format!("{}/tuf", other.daemon.base());
    let said = site
        .verify(&["--proof", &proof, "--tuf", &place, "--root", &root])
        .expect(1);
    assert!(said.stderr.contains("is refused"), "{said}");
    let foreign = site.path("other-root.json");
    fs::copy(other.daemon.data_dir().join("tuf/root.json"), &foreign).unwrap();
    let said = site
        .verify(&["--proof", &proof, "--tuf", &place, "--root", &foreign])
        .expect(4);
    assert!(said.stderr.contains("does not verify with the key"), "{said}");
    site.daemon
        .cli(&["log", "verify", "--tuf", &place, "--root", &foreign])
        .expect(4);
}
