//! Promise: a project whose releases are signed cannot stop being signed unnoticed, and one whose wheels follow from their
//! sources cannot stop doing so.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use serde_json::Value;
use support::daemon::{Daemon, DaemonOptions};
use support::release::Release;
use support::sigstore::{Instance, Signer, github, provenance};
use support::upstream::{FakeFile, FakeUpstream};

fn path_of(file: &FakeFile) -> String {
    format!("/files/{}/{}", file.sha256, file.filename)
}

fn reasons(daemon: &Daemon, file: &FakeFile) -> Value {
    let verdict = daemon.admin("GET", &format!("/api/v1/files/{}/verdict", file.sha256), b"");
    verdict.json()["reasons"].clone()
}

fn publish(upstream: &FakeUpstream, version: &str, signed_by: Option<&Instance>) -> FakeFile {
    let release = Release::new("signed", version);
    let mut wheel = release.wheel();
    if let Some(instance) = signed_by {
        let signer = Signer::github("acme/signed", "release.yml");
        let attestation = instance.attest(&signer, &wheel.filename, &wheel.bytes);
        wheel.provenance = Some(provenance(&github("acme/signed", "release.yml"), &[attestation]).into());
    }
    upstream.add(wheel.clone());
    upstream.add(release.sdist());
    wheel
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_project_that_stops_signing_is_held() {
    let upstream = FakeUpstream::start().await;
    let instance = Instance::new();
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("root.json");
    std::fs::write(&root, instance.trusted_root()).unwrap();
    let earlier = publish(&upstream, "0.9", None);
    let first = publish(&upstream, "1.0", Some(&instance));
    let stopped = publish(&upstream, "1.1", None);
    let next = publish(&upstream, "1.2", Some(&instance));
    let trust = format!(
        "[trust]\npublic_good = false\n[[trust.roots]]\nname = \"ours\"\nfile = {:?}\n",
        root.to_str().unwrap()
    );
    let daemon = Daemon::start(DaemonOptions::on_demand(&upstream.index_url()).config(&trust));

    // Before anything was signed, nothing is a downgrade.
    assert_eq!(daemon.get(&path_of(&earlier)).status, 200);
    let admitted = daemon.get(&path_of(&first));
    assert_eq!(admitted.status, 200, "{admitted}: {:#}", reasons(&daemon, &first));
    let denied = daemon.get(&path_of(&stopped));
    assert_eq!(denied.status, 403, "{denied}");
    let why = reasons(&daemon, &stopped);
    assert_eq!(
        (&why[0]["check"], &why[0]["code"]),
        (&"signature".into(), &"downgrade".into()),
        "{why:#}"
    );
    assert_eq!(daemon.get(&path_of(&next)).status, 200);
    // What the project reached is made again from the log.
    let mut daemon = daemon;
    assert_eq!(daemon.stop(), 0);
    daemon.local_cli(&["rebuild-catalog"]).expect(0);
    daemon.restart();
    let late = publish(&upstream, "1.3", None);
    let fresh = daemon.get(&path_of(&late)).status;
    assert_ne!(
        fresh, 200,
        "an unsigned 1.3 came in after the rebuild of the catalogue"
    );
    assert_eq!(daemon.get(&path_of(&stopped)).status, 403);
}
