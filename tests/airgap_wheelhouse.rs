//! Promise: a wheelhouse installs with pip and uv where no Chiron and no network is: every wheel is pinned by its digest,
//! summed and stated; what is not admitted is not in it; the same selection gives the same bytes; and nothing that is there
//! already is written over.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;
#[path = "support/traces.rs"]
mod traces;

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use chiron::statement::{Envelope, PublicKey, open};
use chiron_storage::Digest;
use flate2::read::GzDecoder;
use support::clients::{client, isolated};
use support::daemon::{Daemon, DaemonOptions, Output, run};
use support::upstream::FakeUpstream;
use support::wheels::wheel;
use traces::blob_path;

/// A mirror with two releases of `alpha`, one of them older, `beta` that `alpha` needs, and `gamma`, which was revoked.
struct Site {
    daemon: Daemon,
    disk: tempfile::TempDir,
    _upstream: FakeUpstream,
}

impl Site {
    async fn new() -> Self {
        let upstream = FakeUpstream::start().await;
        upstream.add(wheel("alpha", "1.0", &["beta>=1"]));
        upstream.add(wheel("alpha", "1.1", &["beta>=1"]));
        upstream.add(wheel("beta", "1.0", &[]));
        upstream.add(wheel("gamma", "1.0", &[]));
        let daemon = Daemon::start(DaemonOptions::curated(&upstream.index_url()));
        daemon
            .cli(&["ingest", "alpha==1.0", "alpha==1.1", "beta==1.0", "gamma==1.0"])
            .expect(0);
        daemon
            .cli(&["revoke", "gamma==1.0", "--reason", "stolen key", "--yes"])
            .expect(0);
        Self {
            daemon,
            disk: tempfile::tempdir().unwrap(),
            _upstream: upstream,
        }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.disk.path().join(name)
    }

    fn export(&self, name: &str, more: &[&str]) -> Output {
        let out = self.at(name);
        let mut arguments = vec!["airgap", "export", out.to_str().unwrap(), "--as", "wheelhouse"];
        arguments.extend(more);
        self.daemon.cli(&arguments)
    }
}

/// Every file below a folder, by its path in it.
fn tree(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
                found.insert(name, fs::read(&path).unwrap());
            }
        }
    }
    found
}

/// What a `.tar.gz` unpacks to, below its one folder.
fn unpacked(archive: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut tar = tar::Archive::new(GzDecoder::new(fs::File::open(archive).unwrap()));
    let entries = tar.entries().unwrap();
    entries
        .map(|entry| {
            let mut entry = entry.unwrap();
            let path = entry.path().unwrap().to_str().unwrap().to_owned();
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).unwrap();
            (path.strip_prefix("wheelhouse/").unwrap().to_owned(), bytes)
        })
        .collect()
}

fn sums_hold(folder: &Path) -> Output {
    run(Command::new("sha256sum")
        .args(["--check", "--quiet", "--strict", "SHA256SUMS"])
        .current_dir(folder))
}

#[tokio::test(flavor = "multi_thread")]
async fn pip_and_uv_install_from_it_and_from_nothing_else() {
    let site = Site::new().await;
    site.export("house", &[]).expect(0);
    let house = site.at("house");
    sums_hold(&house).expect(0);
    let names: Vec<String> = tree(&house)
        .into_keys()
        .filter(|name| name.strip_suffix(".whl").is_some())
        .collect();
    assert_eq!(
        names,
        [
            "alpha-1.0-py3-none-any.whl",
            "alpha-1.1-py3-none-any.whl",
            "beta-1.0-py3-none-any.whl"
        ],
        "what was revoked stays out"
    );
    let requirements = fs::read_to_string(house.join("requirements.txt")).unwrap();
    assert!(requirements.contains("\nalpha==1.1 \\\n"), "{requirements}");
    assert!(
        requirements.contains("\n# alpha==1.0 \\\n#     --hash"),
        "{requirements}"
    );

    let arguments = [
        "--no-index",
        "--find-links",
        ".",
        "--require-hashes",
        "-r",
        "requirements.txt",
    ];
    if let Some(pip) = client("pip-new", "pip") {
        let install = |target: &str| {
            let mut command = isolated(&pip, site.disk.path());
            command
                .args(["install", "--no-input", "--target"])
                .arg(site.at(target));
            run(command.args(arguments).current_dir(&house))
        };
        install("by-pip").expect(0);
        assert!(site.at("by-pip/alpha-1.1.dist-info").is_dir());
        assert!(site.at("by-pip/beta-1.0.dist-info").is_dir());
        // One bit of one wheel: neither the sums nor pip let it pass.
        let wheel = house.join("beta-1.0-py3-none-any.whl");
        let good = fs::read(&wheel).unwrap();
        let mut bad = good.clone();
        let middle = bad.len() / 2;
        bad[middle] ^= 1;
        fs::write(&wheel, bad).unwrap();
        assert_ne!(sums_hold(&house).status, 0);
        let refused = install("refused");
        assert_ne!(refused.status, 0, "{refused}");
        assert!(refused.stderr.contains("DO NOT MATCH"), "{refused}");
        fs::write(&wheel, good).unwrap();
    }
    if let Some(uv) = client("uv", "uv") {
        let mut command = isolated(&uv, site.disk.path());
        command
            .args([
                "pip",
                "install",
                "--no-config",
                "--no-cache",
                "--no-python-downloads",
                "--target",
            ])
            .arg(site.at("by-uv"));
        run(command.args(arguments).current_dir(&house)).expect(0);
        assert!(site.at("by-uv/alpha-1.1.dist-info").is_dir());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_stated_signed_and_the_same_each_time() {
    let site = Site::new().await;
    let said = site.export("house", &["--format", "json"]).expect(0).json();
    assert_eq!(said["files"], 3, "{said:#}");
    site.export("again", &[]).expect(0);
    site.export("house.tar.gz", &[]).expect(0);
    site.export("again.tar.gz", &[]).expect(0);
    let house = tree(&site.at("house"));
    assert_eq!(house, tree(&site.at("again")));
    assert_eq!(house, unpacked(&site.at("house.tar.gz")));
    assert_eq!(
        fs::read(site.at("house.tar.gz")).unwrap(),
        fs::read(site.at("again.tar.gz")).unwrap()
    );

    let key =
        PublicKey::from_pem(std::str::from_utf8(&house["provenance/statement.key.pem"]).unwrap()).unwrap();
    let opened = |name: &str| {
        let envelope = Envelope::parse(&house[name]).unwrap();
        open(&envelope, std::slice::from_ref(&key)).unwrap().statement
    };
    let provenance = opened("provenance/wheelhouse.slsa.dsse.json");
    assert_eq!(provenance.predicate_type, "https://slsa.dev/provenance/v1");
    for name in ["SHA256SUMS", "requirements.txt", "alpha-1.1-py3-none-any.whl"] {
        let subject = provenance.subject.iter().find(|subject| subject.name == name);
        assert_eq!(
            subject.unwrap().sha256(),
            Some(Digest::of(&house[name])),
            "{name}"
        );
    }
    let verdict = opened("provenance/alpha-1.1-py3-none-any.whl.verdict.dsse.json");
    assert_eq!(verdict.predicate["decision"], "admit", "{verdict:?}");
    let bill = "sboms/alpha-1.1-py3-none-any.whl.cdx.json";
    assert!(house.contains_key(bill), "{:?}", house.keys());
    let sums = std::str::from_utf8(&house["SHA256SUMS"]).unwrap();
    for name in house.keys() {
        let listed = sums.lines().any(|line| line.ends_with(&format!("  {name}")));
        let last = ["SHA256SUMS", "provenance/wheelhouse.slsa.dsse.json"].contains(&name.as_str());
        assert_eq!(listed, !last, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_written_over_and_what_a_killed_run_left_is_taken_over() {
    let site = Site::new().await;
    fs::create_dir(site.at("taken")).unwrap();
    fs::write(site.at("taken/mine"), "precious").unwrap();
    fs::create_dir(site.at("house.partial")).unwrap();
    fs::write(site.at("house.partial/mine"), "precious").unwrap();
    fs::write(site.at("house.tar.gz.partial"), "precious").unwrap();
    for name in ["taken", "house", "house.tar.gz"] {
        site.export(name, &[]).expect(2);
    }
    assert_eq!(fs::read_to_string(site.at("taken/mine")).unwrap(), "precious");
    assert_eq!(
        fs::read_to_string(site.at("house.partial/mine")).unwrap(),
        "precious"
    );
    assert_eq!(
        fs::read_to_string(site.at("house.tar.gz.partial")).unwrap(),
        "precious"
    );
    assert!(!site.at("house").exists() && !site.at("house.tar.gz").exists());

    // What a run of its own left behind carries its mark.
    fs::create_dir(site.at("next.partial")).unwrap();
    fs::write(site.at("next.partial/.chiron-partial"), "").unwrap();
    fs::write(site.at("next.partial/half-a-wheel"), "PK").unwrap();
    site.export("next", &[]).expect(0);
    assert!(!site.at("next.partial").exists() && !site.at("next/half-a-wheel").exists());
    assert!(!site.at("next/.chiron-partial").exists());
    sums_hold(&site.at("next")).expect(0);
    site.export("whole.tar.gz", &[]).expect(0);
    let whole = fs::read(site.at("whole.tar.gz")).unwrap();
    fs::write(site.at("cut.tar.gz.partial"), &whole[..whole.len() / 2]).unwrap();
    site.export("cut.tar.gz", &[]).expect(0);
    assert_eq!(fs::read(site.at("cut.tar.gz")).unwrap(), whole);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_wheel_never_leaves() {
    let site = Site::new().await;
    let beta = wheel("beta", "1.0", &[]);
    let blob = blob_path(site.daemon.data_dir(), &beta.sha256);
    let mut bytes = fs::read(&blob).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::remove_file(&blob).unwrap();
    fs::write(&blob, bytes).unwrap();
    let refused = site.export("house", &[]).expect(4);
    assert!(refused.stderr.contains("beta-1.0-py3-none-any.whl"), "{refused}");
    assert!(!site.at("house").exists());
}
