//! Promise: a release goes through a registry with what stands beside its files, whether the registry lists referrers or
//! not; versions that no tag can hold come back as they are; and what is signed is said (`docs/oci.md`).
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::fs;
use std::path::Path;

use chiron_storage::Digest;
use serde_json::{Value, json};

use support::advisories::{days_ago, dump, file as file_at, record};
use support::daemon::{Daemon, DaemonOptions, Output, cli};
use support::docker_registry::DockerRegistry;
use support::oci_registry::{Door, Fault, OciRegistry};
use support::upstream::{FakeFile, FakeUpstream};
use support::wheels::{lying_wheel, wheel};

/// A version with everything that a tag cannot hold.
const ODD: &str = "1!2.0+cpu";
/// It, as a tag.
const ODD_TAG: &str = "1_212.0_2bcpu";

/// A daemon with a release of one sound wheel.
async fn site(version: &str) -> (Daemon, FakeUpstream, FakeFile) {
    let upstream = FakeUpstream::start().await;
    let daemon = Daemon::start(DaemonOptions::curated(&upstream.index_url()));
    let file = wheel("demo-project", version, &[]);
    upstream.add(file.clone());
    daemon
        .cli(&["ingest", &format!("demo-project=={version}")])
        .expect(0);
    (daemon, upstream, file)
}

fn push(daemon: &Daemon, place: &str, version: &str) -> Output {
    let release = format!("demo-project=={version}");
    daemon.cli(&[
        "oci",
        "push",
        place,
        "--release",
        &release,
        "--plain-http",
        "--format",
        "json",
    ])
}

fn pull(folder: &Path, reference: &str, more: &[&str]) -> Output {
    let mut args = vec![
        "oci",
        "pull",
        reference,
        "back",
        "--plain-http",
        "--format",
        "json",
    ];
    args.extend(more);
    cli(folder, &args)
}

/// The site's statement key, as anybody gets it.
fn key(daemon: &Daemon, folder: &Path) -> String {
    let path = folder.join("statement.pem");
    fs::write(&path, daemon.get("/keys/statement.pem").body).unwrap();
    path.to_str().unwrap().to_owned()
}

/// The names in a folder, sorted.
fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// Files and documents as the daemon itself serves them.
#[track_caller]
fn as_served(daemon: &Daemon, file: &FakeFile, folder: &Path) {
    assert_eq!(fs::read(folder.join(&file.filename)).unwrap(), file.bytes);
    for suffix in [".metadata", ".sbom.json", ".verdict.json", ".verdict.dsse.json"] {
        let name = format!("{}{suffix}", file.filename);
        let served = daemon.get(&format!("/files/{}/{name}", file.sha256));
        assert_eq!(served.status, 200, "{name}");
        assert_eq!(fs::read(folder.join(&name)).unwrap(), served.body, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_goes_through_a_registry_without_referrers() {
    let Some(registry) = DockerRegistry::start() else {
        return;
    };
    let (daemon, _upstream, file) = site(ODD).await;
    let place = format!("{}/python/demo-project", registry.addr());
    let pushed = push(&daemon, &place, ODD).expect(0).json();
    assert_eq!(pushed["reference"], format!("{place}:{ODD_TAG}"));
    assert_eq!((&pushed["files"], &pushed["documents"]), (&json!(1), &json!(4)));
    assert_eq!(pushed["referrers"], "tag");

    // The tag that stands in for the list names every document (distribution specification, "Referrers tag schema").
    let index = registry
        .get(&format!("/v2/python/demo-project/manifests/{ODD_TAG}"))
        .json();
    let manifest = index["manifests"][0]["digest"].as_str().unwrap();
    assert_eq!(index["annotations"]["vnd.chiron.version"], ODD);
    assert_eq!(
        registry.tags("python/demo-project"),
        [ODD_TAG.to_owned(), manifest.replace(':', "-")]
    );
    let stand_in = registry
        .get(&format!(
            "/v2/python/demo-project/manifests/{}",
            manifest.replace(':', "-")
        ))
        .json();
    assert_eq!(stand_in["manifests"].as_array().unwrap().len(), 4);
    for entry in stand_in["manifests"].as_array().unwrap() {
        let digest = entry["digest"].as_str().unwrap();
        let document = registry
            .get(&format!("/v2/python/demo-project/manifests/{digest}"))
            .json();
        assert_eq!(document["subject"]["digest"], manifest);
        assert_eq!(document["artifactType"], entry["artifactType"]);
    }

    let disk = tempfile::tempdir().unwrap();
    let pulled = pull(disk.path(), &format!("{place}:{ODD_TAG}"), &[])
        .expect(0)
        .json();
    assert_eq!(
        (&pulled["project"], &pulled["version"]),
        (&json!("demo-project"), &json!(ODD))
    );
    as_served(&daemon, &file, &disk.path().join("back"));
    assert_eq!(
        names(&disk.path().join("back")).len(),
        6,
        "the file, four documents, the index"
    );

    // The same again is nothing new.
    let again = push(&daemon, &place, ODD).expect(0).json();
    assert_eq!(again["digest"], pushed["digest"]);
    assert_eq!(again["sent"]["blobs"], 0);
    assert_eq!(registry.tags("python/demo-project").len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_lists_referrers_is_left_to_do_so() {
    let registry = OciRegistry::start();
    let (daemon, _upstream, file) = site("1.0").await;
    let place = format!("{}/demo", registry.addr());
    let pushed = push(&daemon, &place, "1.0").expect(0).json();
    assert_eq!(pushed["referrers"], "api");
    assert_eq!(registry.tags("demo"), ["1.0"], "no tag stands in for anything");
    let disk = tempfile::tempdir().unwrap();
    pull(disk.path(), &format!("{place}:1.0"), &[]).expect(0);
    as_served(&daemon, &file, &disk.path().join("back"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_attach_is_found_and_does_not_replace_what_the_index_names() {
    for native in [true, false] {
        let registry = OciRegistry::with(Door::Open, native);
        let (daemon, _upstream, file) = site("1.0").await;
        let place = format!("{}/demo", registry.addr());
        push(&daemon, &place, "1.0").expect(0);
        let index: Value = serde_json::from_slice(&registry.manifest("demo", "1.0").unwrap()).unwrap();
        let manifest = index["manifests"][0]["digest"].as_str().unwrap().to_owned();

        // Somebody else's bill of materials, provenance, and something that nobody knows.
        registry.put_blob(b"{}");
        let attach = |artifact_type: &str, bytes: &[u8]| {
            let layer = registry.put_blob(bytes);
            let empty = json!({ "mediaType": "application/vnd.oci.empty.v1+json", "size": 2,
                "digest": format!("sha256:{}", Digest::of(b"{}")) });
            let document = json!({
                "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
                "artifactType": artifact_type, "config": empty,
                "layers": [{ "mediaType": artifact_type, "digest": layer, "size": bytes.len() }],
                "subject": { "mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": manifest, "size": 1 },
            });
            let bytes = serde_json::to_vec(&document).unwrap();
            let digest = format!("sha256:{}", Digest::of(&bytes));
            registry.put_manifest("demo", &digest, &bytes);
            json!({ "mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": digest, "size": bytes.len(),
                "artifactType": artifact_type })
        };
        let others = [
            attach("application/vnd.cyclonedx+json", br#"{"bomFormat":"other"}"#),
            attach("application/vnd.pypi.integrity.v1+json", br#"{"version":1}"#),
            attach("application/vnd.example.unknown", b"?"),
        ];
        if !native {
            let tag = manifest.replace(':', "-");
            let mut list: Value = serde_json::from_slice(&registry.manifest("demo", &tag).unwrap()).unwrap();
            list["manifests"].as_array_mut().unwrap().extend(others);
            registry.put_manifest("demo", &tag, &serde_json::to_vec(&list).unwrap());
        }

        let disk = tempfile::tempdir().unwrap();
        let pulled = pull(disk.path(), &format!("{place}:1.0"), &[]).expect(0).json();
        as_served(&daemon, &file, &disk.path().join("back"));
        let provenance = disk
            .path()
            .join("back")
            .join(format!("{}.provenance", file.filename));
        assert_eq!(
            fs::read(provenance).unwrap(),
            br#"{"version":1}"#,
            "native: {native}"
        );
        let documents = pulled["files"][0]["documents"].as_array().unwrap();
        let found = documents
            .iter()
            .find(|document| document["kind"] == "provenance")
            .unwrap();
        assert_eq!(found["in_index"], false);
        let left = pulled["files"][0]["others"].as_array().unwrap();
        assert_eq!(left.len(), 1, "{left:?}");
        assert!(
            left[0]
                .as_str()
                .unwrap()
                .starts_with("application/vnd.example.unknown")
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_signed_is_said_and_verified_with_a_key() {
    let registry = OciRegistry::start();
    let (daemon, _upstream, file) = site("1.0").await;
    let place = format!("{}/demo:1.0", registry.addr());
    push(&daemon, &place, "1.0").expect(0);
    let disk = tempfile::tempdir().unwrap();

    let without = pull(disk.path(), &place, &[]).expect(0).json();
    assert_eq!(without["signed"][0]["verdict"], "not-verified");
    assert_eq!(
        without["signed"][0]["unsigned"],
        json!(["metadata", "sbom", "verdict"])
    );

    let right = key(&daemon, disk.path());
    let with = pull(disk.path(), &place, &["--key", &right]).expect(0).json();
    assert_eq!(with["signed"][0]["verdict"], "verified");

    let stranger = Daemon::start(DaemonOptions::alone());
    let other = tempfile::tempdir().unwrap();
    let wrong = key(&stranger, other.path());
    let refused = pull(disk.path(), &place, &["--key", &wrong]).expect(1).json();
    assert_eq!(refused["signed"][0]["verdict"], "refused");

    // What lies in the folder is what is looked at.
    let folder = disk.path().join("back");
    let dsse = format!("{}.verdict.dsse.json", file.filename);
    fs::write(folder.join(&dsse), b"{}").unwrap();
    pull(disk.path(), &place, &["--key", &right]).expect(1);
    // With a key silence is no consent: the index says nothing of a signed verdict any more.
    let mut index: Value = serde_json::from_slice(&registry.manifest("demo", "1.0").unwrap()).unwrap();
    let only_file = index["manifests"][0].clone();
    index["manifests"] = json!([only_file]);
    registry.put_manifest("demo", "bare", &serde_json::to_vec(&index).unwrap());
    registry.rule("GET /v2/demo/referrers", 1_000, Fault::Status(404, None));
    fs::remove_dir_all(&folder).unwrap();
    let bare = format!("{}/demo:bare", registry.addr());
    let silent = pull(disk.path(), &bare, &["--key", &right]).expect(1).json();
    assert_eq!(silent["signed"][0]["verdict"], "absent");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_vex_said_of_a_file_travels_as_openvex() {
    let registry = OciRegistry::start();
    let (daemon, _upstream, file) = site("1.0").await;
    let disk = tempfile::tempdir().unwrap();
    let vex = json!({
        "@context": "https://openvex.dev/ns/v0.2.0", "@id": "urn:test:vex", "author": "the product's people",
        "timestamp": days_ago(1), "version": 1,
        "statements": [{
            "vulnerability": { "name": "PYSEC-2026-7" }, "products": [{ "@id": "pkg:pypi/demo-project@1.0" }],
            "status": "not_affected", "justification": "vulnerable_code_not_present",
        }],
    });
    let records = dump(&[record("PYSEC-2026-7", "demo-project", "9.0")]);
    for (name, bytes) in [("all.zip", records), ("a.vex.json", vex.to_string().into_bytes())] {
        let path = file_at(disk.path(), name, &bytes);
        daemon
            .cli(&["advisories", "load", path.to_str().unwrap()])
            .expect(0);
    }
    let place = format!("{}/demo:1.0", registry.addr());
    push(&daemon, &place, "1.0").expect(0);
    pull(disk.path(), &place, &[]).expect(0);
    let path = disk
        .path()
        .join("back")
        .join(format!("{}.vex.json", file.filename));
    let said: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    assert_eq!(said["statements"][0]["vulnerability"]["name"], "PYSEC-2026-7");
    assert_eq!(said["statements"][0]["status"], "not_affected");
    assert_eq!(
        said["statements"][0]["products"][0]["@id"],
        "pkg:pypi/demo-project@1.0"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_is_admitted_is_pushed() {
    let registry = OciRegistry::start();
    let (daemon, upstream, file) = site("1.0").await;
    let mut bad = lying_wheel("demo-project", "1.0");
    bad.filename = bad.filename.replace("py3-none", "py2.py3-none");
    upstream.add(bad);
    daemon.cli(&["ingest", "demo-project==1.0"]);
    let place = format!("{}/demo", registry.addr());
    let pushed = push(&daemon, &place, "1.0").expect(0).json();
    assert_eq!(pushed["files"], 1, "{pushed}");
    daemon
        .cli(&["revoke", &file.filename, "--reason", "test", "--yes"])
        .expect(0);
    let output = push(&daemon, &format!("{place}:again"), "1.0").expect(1);
    assert!(output.stderr.contains("admitted"), "{output}");
    assert_eq!(registry.tagged("demo", "again"), None);
    push(&daemon, &place, "7.7").expect(1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_cannot_name_a_file_out_of_its_folder() {
    let registry = OciRegistry::start();
    let (daemon, _upstream, _file) = site("1.0").await;
    let place = format!("{}/demo", registry.addr());
    push(&daemon, &place, "1.0").expect(0);
    let index: Value = serde_json::from_slice(&registry.manifest("demo", "1.0").unwrap()).unwrap();
    let digest = index["manifests"][0]["digest"].as_str().unwrap();
    let image: Value = serde_json::from_slice(&registry.manifest("demo", digest).unwrap()).unwrap();
    for title in [
        "../demo_project-1.0-py3-none-any.whl",
        "/tmp/demo_project-1.0-py3-none-any.whl",
        "other-1.0-py3-none-any.whl",
        "demo_project-2.0-py3-none-any.whl",
        "oci-index.json",
        "",
    ] {
        let mut evil = image.clone();
        evil["layers"][0]["annotations"]["org.opencontainers.image.title"] = title.into();
        let bytes = serde_json::to_vec(&evil).unwrap();
        let digest = format!("sha256:{}", Digest::of(&bytes));
        registry.put_manifest("demo", &digest, &bytes);
        let mut forged = index.clone();
        forged["manifests"] = json!([{
            "mediaType": image["mediaType"], "artifactType": image["artifactType"], "digest": digest, "size": bytes.len(),
        }]);
        registry.put_manifest("demo", "evil", &serde_json::to_vec(&forged).unwrap());
        let disk = tempfile::tempdir().unwrap();
        let output = pull(disk.path(), &format!("{place}:evil"), &[]);
        assert_eq!(output.status, 2, "{title}: {output}");
        assert_eq!(names(disk.path()), Vec::<String>::new(), "{title}");
    }
    // A version that is a path.
    let mut forged = index.clone();
    forged["annotations"]["vnd.chiron.version"] = "../../1.0".into();
    registry.put_manifest("demo", "evil", &serde_json::to_vec(&forged).unwrap());
    let disk = tempfile::tempdir().unwrap();
    let reference = format!("{place}:evil");
    cli(disk.path(), &["oci", "pull", &reference, "--plain-http"]).expect(2);
    assert_eq!(names(disk.path()), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_is_neither_a_bundle_nor_a_release() {
    let registry = OciRegistry::start();
    registry.put_manifest(
        "app",
        "latest",
        br#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#,
    );
    let disk = tempfile::tempdir().unwrap();
    let output = pull(disk.path(), &format!("{}/app:latest", registry.addr()), &[]).expect(2);
    assert!(
        output.stderr.contains("neither a bundle nor a release"),
        "{output}"
    );
    pull(disk.path(), &format!("{}/app:other", registry.addr()), &[]).expect(1);
    assert_eq!(names(disk.path()), Vec::<String>::new());
}
