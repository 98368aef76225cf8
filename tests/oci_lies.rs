//! Promise: a registry that lies is found out, and nothing of what it said is left behind; nor does it get what is not
//! right (`docs/oci.md`).
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "bundle_format/made.rs"]
mod made;
#[path = "oci_bad_days/scene.rs"]
mod scene;
mod support;

use std::fs;

use made::{Made, SMALL, noise};
use scene::{LARGE, Scene};
use support::daemon::cli;
use support::oci_registry::{Fault, OciRegistry};

#[test]
fn a_blob_with_one_flipped_bit_is_a_lie() {
    let scene = Scene::pushed();
    scene.registry.rule(&scene.get_large(), 100, Fault::Flip);
    let output = scene.pull().expect(4);
    assert!(output.stderr.contains(&scene.large.to_string()), "{output}");
    scene.nothing_wrong_is_kept();
    scene.registry.behave();
    scene.pull().expect(0);
    scene.came_back();
}

#[test]
fn every_lie_about_a_blob_is_found_out() {
    for fault in [
        Fault::Swap(noise(7, LARGE)),
        Fault::Swap(noise(7, LARGE + 1)),
        Fault::Swap(noise(7, LARGE - 1)),
        Fault::Endless,
    ] {
        let scene = Scene::pushed();
        let name = format!("{fault:.20?}");
        scene.registry.rule(&scene.get_large(), 100, fault);
        let output = scene.pull();
        assert_eq!(output.status, 4, "{name}: {output}");
        scene.nothing_wrong_is_kept();
    }
    // A part that is not the part.
    let scene = Scene::pushed();
    scene.registry.rule(&scene.get_large(), 1, Fault::Cut(1 << 20));
    scene.registry.rule(&scene.get_large(), 100, Fault::WrongRange);
    scene.pull().expect(4);
    scene.nothing_wrong_is_kept();
}

#[test]
fn what_lay_there_and_was_wrong_is_fetched_anew() {
    let scene = Scene::pushed();
    let incoming = scene.disk.path().join("back.partial/incoming");
    fs::create_dir_all(&incoming).unwrap();
    fs::write(incoming.join(scene.large.to_string()), noise(5, 3 << 20)).unwrap();
    scene.pull().expect(0);
    scene.came_back();
}

#[test]
fn lies_about_documents_are_found_out() {
    let tag = "GET /v2/b/manifests/x";
    for (name, place, fault) in [
        ("another index under the tag", tag, Fault::Flip),
        ("a digest header of another", tag, Fault::WrongDigest),
        (
            "another manifest by digest",
            "GET /v2/b/manifests/VOLUME",
            Fault::Flip,
        ),
        ("another envelope or listing", "GET /v2/b/blobs", Fault::Flip),
        (
            "other bytes for everything",
            "GET /v2/b/blobs",
            Fault::Swap(b"{}".to_vec()),
        ),
    ] {
        let scene = Scene::pushed();
        let index = scene.registry.manifest("b", "x").unwrap();
        let index: serde_json::Value = serde_json::from_slice(&index).unwrap();
        let volume = index["manifests"][0]["digest"].as_str().unwrap();
        scene.registry.rule(&place.replace("VOLUME", volume), 100, fault);
        let output = scene.pull();
        assert_eq!(output.status, 4, "{name}: {output}");
        scene.nothing_wrong_is_kept();
    }
}

#[test]
fn an_index_that_leaves_volumes_out_is_not_the_bundles() {
    let registry = OciRegistry::start();
    let disk = tempfile::tempdir().unwrap();
    let made = Made::new(SMALL, 9, 4_000_000);
    let tars = made.write(&disk.path().join("bundle.tar"));
    let place = format!("{}/b:x", registry.addr());
    let mut args = vec!["oci", "push", &place, "--plain-http"];
    args.extend(tars.iter().map(|tar| tar.to_str().unwrap()));
    cli(disk.path(), &args).expect(0);
    let bytes = registry.manifest("b", "x").unwrap();
    let mut index: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
    index["manifests"].as_array_mut().unwrap().pop();
    registry.put_manifest("b", "x", &serde_json::to_vec(&index).unwrap());
    let output = cli(disk.path(), &["oci", "pull", &place, "back", "--plain-http"]).expect(4);
    assert!(output.stderr.contains("manifest"), "{output}");
    assert!(!disk.path().join("back").exists());
}

#[test]
fn an_endless_manifest_ends() {
    let scene = Scene::pushed();
    scene.registry.rule("GET /v2/b/manifests", 100, Fault::Endless);
    let output = scene.pull().expect(3);
    assert!(output.stderr.contains("more than"), "{output}");
    scene.nothing_wrong_is_kept();
}

#[test]
fn a_push_does_not_believe_a_registry_either() {
    for (part, fault) in [
        ("PUT /v2/b/blobs/uploads", Fault::SaysOther),
        ("PUT /v2/b/manifests", Fault::SaysOther),
        ("HEAD /v2/b/blobs", Fault::SaysLength(1)),
    ] {
        let scene = Scene::new();
        if part.starts_with("HEAD") {
            // It has a blob of that name, it says.
            scene.registry.put_blob(&noise(99, LARGE));
        }
        scene.registry.rule(part, 100, fault);
        let output = scene.push();
        assert_eq!(output.status, 4, "{part}: {output}");
        assert_eq!(scene.registry.tagged("b", "x"), None, "{part}");
    }
    let scene = Scene::new();
    scene
        .registry
        .rule("PUT /v2/b/blobs/uploads", 100, Fault::SaysStored);
    let output = scene.push();
    assert!(
        [3, 4].contains(&output.status),
        "stored before it was sent: {output}"
    );
    assert_eq!(scene.registry.tagged("b", "x"), None);
}

#[test]
fn an_upload_that_leads_nowhere_is_said() {
    let scene = Scene::new();
    scene
        .registry
        .rule("POST /v2/b/blobs/uploads", 100, Fault::NoLocation);
    let output = scene.push().expect(3);
    assert!(output.stderr.contains("where to upload"), "{output}");
}

#[test]
fn a_damaged_bundle_is_not_pushed() {
    let scene = Scene::new();
    let path = scene.bundle.join("blobs/sha256").join(scene.large.to_string());
    let mut bytes = fs::read(&path).unwrap();
    bytes[LARGE / 2] ^= 1;
    fs::write(&path, bytes).unwrap();
    let output = scene.push().expect(4);
    assert!(output.stderr.contains(&scene.large.to_string()), "{output}");
    assert_eq!(scene.registry.tagged("b", "x"), None);
    let store = scene.registry.asked_for("PUT /v2/b/manifests");
    assert!(store.is_empty(), "no manifest names what is not there");
}
