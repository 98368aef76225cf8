//! Promise: when a trust root comes, what could not be checked without it is checked again by itself.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use support::daemon::{Daemon, DaemonOptions};
use support::jobs::wait_for;
use support::release::Release;
use support::sigstore::{Instance, Signer, github, provenance};
use support::upstream::FakeUpstream;

#[tokio::test(flavor = "multi_thread")]
async fn a_signature_is_checked_again_when_its_root_comes() {
    let upstream = FakeUpstream::start().await;
    let instance = Instance::new();
    let release = Release::new("rooted", "1.0");
    let mut wheel = release.wheel();
    let signer = Signer::github("acme/rooted", "release.yml");
    let attestation = instance.attest(&signer, &wheel.filename, &wheel.bytes);
    wheel.provenance = Some(provenance(&github("acme/rooted", "release.yml"), &[attestation]).into());
    upstream.add(wheel.clone());
    upstream.add(release.sdist());

    let without = "[trust]\npublic_good = false\n";
    let mut daemon = Daemon::start(DaemonOptions::on_demand(&upstream.index_url()).config(without));
    let path = format!("/files/{}/{}", wheel.sha256, wheel.filename);
    let denied = daemon.get(&path);
    assert_eq!(denied.status, 403, "{denied}");
    let view = daemon
        .admin("GET", &format!("/api/v1/files/{}", wheel.sha256), b"")
        .json();
    assert_eq!(view["state"], "quarantined", "{view:#}");

    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("root.json");
    std::fs::write(&root, instance.trusted_root()).unwrap();
    let with = format!(
        "{without}[[trust.roots]]\nname = \"ours\"\nfile = {:?}\n",
        root.to_str().unwrap()
    );
    let index = upstream.index_url();
    daemon.restart_with(|options| *options = DaemonOptions::on_demand(&index).config(&with));
    wait_for("the signature is checked again", || {
        (daemon.get(&path).status == 200).then_some(())
    });
    let again = daemon
        .admin("GET", &format!("/api/v1/files/{}/verdict", wheel.sha256), b"")
        .json();
    let signature = again["checks"]
        .as_array()
        .unwrap()
        .iter()
        .find(|c| c["check"] == "signature")
        .unwrap();
    assert_eq!(signature["outcome"], "pass", "{signature:#}");
}
