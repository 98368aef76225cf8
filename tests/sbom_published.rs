//! Promise: a bill of materials that is broken, or that is about another file, keeps its wheel out and says why; an
//! honest one is served as it came.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use support::daemon::{Daemon, DaemonOptions, Output, cli};
use support::release::{Release, cyclonedx, spdx};
use support::upstream::{FakeFile, FakeUpstream};

/// `chiron verify` on the wheel with this document given for it.
fn verify(folder: &Path, wheel: &FakeFile, bill: &[u8]) -> Output {
    fs::write(folder.join(&wheel.filename), &wheel.bytes).unwrap();
    fs::write(folder.join("given.json"), bill).unwrap();
    cli(
        folder,
        &[
            "verify",
            &wheel.filename,
            "--sha256",
            &wheel.sha256,
            "--sbom",
            "given.json",
        ],
    )
}

fn stating(sha256: &str) -> Vec<u8> {
    let mut bill: serde_json::Value = serde_json::from_slice(&cyclonedx("demo", "1.0")).unwrap();
    bill["metadata"]["component"]["hashes"] = serde_json::json!([{ "alg": "SHA-256", "content": sha256 }]);
    serde_json::to_vec(&bill).unwrap()
}

#[test]
fn a_bill_that_is_given_for_a_wheel_must_be_about_it() {
    let folder = tempfile::tempdir().unwrap();
    let wheel = Release::new("demo", "1.0").wheel();
    for bill in [
        cyclonedx("demo", "1.0"),
        spdx("demo", "1.0"),
        stating(&wheel.sha256),
    ] {
        let output = verify(folder.path(), &wheel, &bill);
        assert_eq!(output.status, 0, "{output}");
    }
    for (bill, code) in [
        (cyclonedx("requests", "1.0"), "another-project"),
        (spdx("requests", "1.0"), "another-project"),
        (cyclonedx("demo", "2.0"), "another-version"),
        (stating(&"ab".repeat(32)), "another-file"),
    ] {
        let output = verify(folder.path(), &wheel, &bill);
        assert_eq!(output.status, 1, "{code}: {output}");
        assert!(output.stdout.contains(code), "{code}: {output}");
    }
}

#[test]
fn broken_bills_are_refused_by_name_and_soon() {
    let folder = tempfile::tempdir().unwrap();
    let wheel = Release::new("demo", "1.0").wheel();
    let good = String::from_utf8(cyclonedx("demo", "1.0")).unwrap();
    for (bill, code) in [
        (b"{".to_vec(), "malformed"),
        (vec![b' '; 50 << 20], "too-large"),
        ("[".repeat(1 << 20).into_bytes(), "too-deep"),
        (
            good.replacen('{', "{\"bomFormat\": \"CycloneDX\",", 1)
                .into_bytes(),
            "duplicate-key",
        ),
        (good.replace("\"1.6\"", "\"0.1\"").into_bytes(), "unknown-version"),
        (
            good.replace("\"library\"", "\"nonsense\"").into_bytes(),
            "invalid",
        ),
    ] {
        let begun = Instant::now();
        let output = verify(folder.path(), &wheel, &bill);
        assert_eq!(output.status, 1, "{code}: {output}");
        assert!(output.stdout.contains(code), "{code}: {output}");
        assert!(begun.elapsed() < Duration::from_secs(10), "{code}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wheel_with_another_projects_bill_inside_is_not_served() {
    let honest = Release::new("demo", "1.0").sbom("demo.cdx.json", &cyclonedx("demo", "1.0"));
    let lying = Release::new("demo", "2.0").sbom("demo.cdx.json", &cyclonedx("requests", "2.0"));
    let upstream = FakeUpstream::start().await;
    for release in [&honest, &lying] {
        upstream.add(release.wheel());
        upstream.add(release.sdist());
    }
    let daemon = Daemon::start(DaemonOptions::on_demand(&upstream.index_url()));
    let file = |release: &Release| {
        let wheel = release.wheel();
        format!("/files/{}/{}", wheel.sha256, wheel.filename)
    };
    assert_eq!(daemon.get(&file(&honest)).body, honest.wheel().bytes);
    let bill = daemon.get(&format!("{}.sbom.json", file(&honest)));
    assert_eq!((bill.status, bill.body), (200, cyclonedx("demo", "1.0")));
    let refused = daemon.get(&file(&lying));
    assert_eq!(refused.status, 403, "{refused}");
    assert!(refused.text().contains("sbom"), "{refused}");
    assert_eq!(daemon.get(&format!("{}.sbom.json", file(&lying))).status, 403);
}
