//! Promise: the gate verifies what upstream publishes beside a file against the roots of the configuration, and a bad
//! file of `[trust]` stops it at the start, by name.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::path::{Path, PathBuf};

use serde_json::Value;
use support::daemon::{Daemon, DaemonOptions, cli};
use support::release::Release;
use support::sigstore::{Instance, Key, Signer, github, provenance};
use support::upstream::{FakeFile, FakeUpstream};

/// Everything is looked at and recorded.
const AUDIT: &str = "[policy]\nprofile = \"audit\"\n";

fn root_in(folder: &Path, instance: &Instance) -> PathBuf {
    let path = folder.join("trusted_root.json");
    std::fs::write(&path, instance.trusted_root()).unwrap();
    path
}

fn trusting(root: &Path) -> String {
    format!(
        "{AUDIT}[[trust.roots]]\nname = \"ours\"\nfile = \"{}\"\n",
        root.display()
    )
}

fn signed(release: &Release, instance: &Instance) -> FakeFile {
    let mut file = release.wheel();
    let attestation = instance.attest(
        &Signer::github("acme/demo", "release.yml"),
        &file.filename,
        &file.bytes,
    );
    file.provenance = Some(provenance(&github("acme/demo", "release.yml"), &[attestation]).into());
    file
}

/// The signature check in the verdict of a file that was asked for.
fn signature_check(daemon: &Daemon, file: &FakeFile) -> Value {
    daemon.get(&format!("/files/{}/{}", file.sha256, file.filename));
    let verdict = daemon
        .admin("GET", &format!("/api/v1/files/{}/verdict", file.sha256), b"")
        .json();
    let checks = verdict["checks"].as_array().expect("checks").clone();
    checks
        .into_iter()
        .find(|check| check["check"] == "signature")
        .expect("the check")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_upstream_publishes_is_verified_under_the_configured_root() {
    let folder = tempfile::tempdir().unwrap();
    let instance = Instance::new();
    let good = signed(&Release::new("demo", "1.0"), &instance);
    let mut other = signed(&Release::new("demo", "2.0"), &instance);
    other.provenance = good.provenance.clone();
    let foreign = signed(&Release::new("demo", "3.0"), &Instance::new());
    let bare = Release::new("demo", "4.0").wheel();
    let upstream = FakeUpstream::start().await;
    for file in [&good, &other, &foreign, &bare] {
        upstream.add(file.clone());
    }
    let options = DaemonOptions::on_demand(&upstream.index_url());
    let daemon = Daemon::start(options.config(&trusting(&root_in(folder.path(), &instance))));
    let check = signature_check(&daemon, &good);
    assert_eq!(check["outcome"], "pass", "{check:#}");
    assert_eq!(
        check["facts"]["attestations"][0]["repository"],
        "https://github.com/acme/demo"
    );
    assert_eq!(check["facts"]["attestations"][0]["root"], "ours");
    assert_eq!(check["facts"]["attestations"][0]["origin"], "upstream");
    let check = signature_check(&daemon, &other);
    assert_eq!(check["outcome"], "fail", "{check:#}");
    let check = signature_check(&daemon, &foreign);
    assert_eq!(check["outcome"], "error", "{check:#}");
    assert_eq!(check["facts"]["findings"][0]["code"], "unknown-root");
    assert_eq!(signature_check(&daemon, &bare)["outcome"], "absent");
}

#[test]
fn a_bad_file_of_trust_stops_the_start_and_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("root.json");
    for (bytes, says) in [
        (None, "cannot be read"),
        (Some(&b"{\"mediaType\":\"x\"}"[..]), "certificate authority"),
        (Some(Key::generate().pem().as_bytes()), "cannot be used"),
    ] {
        match bytes {
            Some(bytes) => std::fs::write(&path, bytes).unwrap(),
            None => assert!(!path.exists()),
        }
        let options = DaemonOptions::alone().config(&trusting(&path));
        let Err(output) = Daemon::try_start(options) else {
            panic!("it started with {says}");
        };
        assert_eq!(output.status, 2, "{output}");
        let text = output.to_string();
        assert!(
            text.contains(path.to_str().unwrap()) && text.contains(says),
            "{text}"
        );
    }
}

#[test]
fn config_check_reads_the_files_of_trust() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("chiron.toml");
    let path = root_in(folder.path(), &Instance::new());
    std::fs::write(&config, trusting(&path)).unwrap();
    let check = ["config", "check", "--config", config.to_str().unwrap()];
    cli(folder.path(), &check).expect(0);
    std::fs::write(&path, "{}").unwrap();
    let refused = cli(folder.path(), &check).expect(2);
    assert!(refused.to_string().contains(path.to_str().unwrap()), "{refused}");
}

#[test]
fn stagings_root_cannot_stand_beside_one_that_counts() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("staging.json");
    std::fs::write(&path, sigstore_verify::trust_root::SIGSTORE_STAGING_TRUSTED_ROOT).unwrap();
    let config = folder.path().join("chiron.toml");
    std::fs::write(&config, trusting(&path)).unwrap();
    let check = ["config", "check", "--config", config.to_str().unwrap()];
    let refused = cli(folder.path(), &check).expect(2);
    assert!(refused.to_string().contains("staging"), "{refused}");
    std::fs::write(
        &config,
        format!("{}[trust]\npublic_good = false\n", trusting(&path)),
    )
    .unwrap();
    cli(folder.path(), &check).expect(0);
}
