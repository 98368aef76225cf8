//! Promise: a registry that drops connections, is busy or redirects is coped with, and so is a pull that was killed
//! (`docs/oci.md`). The registry is ours: the real one has no bad days on demand.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "bundle_format/made.rs"]
mod made;
#[path = "oci_bad_days/scene.rs"]
mod scene;
mod support;

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use made::tree;
use scene::{LARGE, Scene};
use support::daemon::{cli, command};
use support::oci_registry::Fault;

#[test]
fn a_dropped_download_is_gone_on_with_where_it_broke_off() {
    let scene = Scene::pushed();
    scene.registry.rule(&scene.get_large(), 2, Fault::Cut(1 << 20));
    scene.pull().expect(0);
    scene.came_back();
    let ranges: Vec<String> = scene
        .registry
        .asked_for(&scene.get_large())
        .iter()
        .map(|asked| asked.header("range").to_owned())
        .collect();
    assert_eq!(ranges[0], "");
    assert_eq!(ranges.len(), 3, "{ranges:?}");
    for range in &ranges[1..] {
        let from: usize = range["bytes=".len()..range.len() - 1].parse().unwrap();
        assert!(from > 0, "{ranges:?}");
    }
}

#[test]
fn connections_that_end_without_a_word_are_made_again() {
    let scene = Scene::new();
    scene.registry.rule("HEAD /v2/b/blobs", 1, Fault::Drop(0));
    scene.registry.rule("POST /v2/b/blobs/uploads", 1, Fault::Drop(0));
    scene
        .registry
        .rule("PUT /v2/b/blobs/uploads", 1, Fault::Drop(1000));
    scene.registry.rule("PUT /v2/b/manifests", 1, Fault::Drop(10));
    scene.push().expect(0);
    scene.registry.rule("GET /v2/b/manifests", 1, Fault::Drop(0));
    scene.registry.rule("GET /v2/b/manifests", 1, Fault::Cut(20));
    scene.registry.rule("GET /v2/b/blobs", 3, Fault::Drop(0));
    scene.pull().expect(0);
    scene.came_back();
}

#[test]
fn a_busy_registry_is_asked_again_when_it_said() {
    let scene = Scene::new();
    scene
        .registry
        .rule("PUT /v2/b/blobs/uploads", 1, Fault::Status(429, Some(2)));
    scene.push().expect(0);
    let puts = scene.registry.asked_for("POST /v2/b/blobs/uploads");
    let gaps = puts.windows(2).map(|two| two[1].at.saturating_sub(two[0].at));
    assert!(
        gaps.max().unwrap() >= Duration::from_secs(2),
        "Retry-After is a promise"
    );
    scene.registry.forget();
    scene
        .registry
        .rule(&scene.get_large(), 1, Fault::Status(503, Some(1)));
    scene
        .registry
        .rule("GET /v2/b/manifests", 2, Fault::Status(500, None));
    scene.pull().expect(0);
    scene.came_back();
    let asked = scene.registry.asked_for(&scene.get_large());
    assert!(asked[1].at.saturating_sub(asked[0].at) >= Duration::from_secs(1));
}

#[test]
fn a_registry_that_says_no_in_the_middle_of_an_upload_does_not_hang_it() {
    let scene = Scene::new();
    // Answers before it has read anything of the large blob, and reads no more.
    let upload = format!("digest=sha256%3A{}", scene.large);
    scene.registry.rule(&upload, 2, Fault::Status(503, None));
    let began = Instant::now();
    scene.push().expect(0);
    assert!(began.elapsed() < Duration::from_secs(45));
    scene.registry.behave();
    scene.pull().expect(0);
    scene.came_back();
}

#[test]
fn patience_ends() {
    let scene = Scene::pushed();
    scene
        .registry
        .rule("GET /v2/b/manifests", 100, Fault::Status(503, None));
    let output = scene.pull().expect(3);
    assert!(output.stderr.contains("503"), "{output}");
    let asked = scene.registry.asked_for("GET /v2/b/manifests").len();
    assert!((2..=10).contains(&asked), "{asked}");
    scene.registry.behave();
    // Longer than anybody waits.
    scene
        .registry
        .rule("GET /v2/b/manifests", 100, Fault::Status(429, Some(86_400)));
    scene.registry.forget();
    scene.pull().expect(3);
    assert_eq!(scene.registry.asked_for("GET /v2/b/manifests").len(), 1);
    scene.nothing_wrong_is_kept();
}

#[test]
fn a_registry_without_ranges_sends_the_whole_again() {
    let scene = Scene::pushed();
    scene.registry.rule(&scene.get_large(), 1, Fault::Cut(1 << 20));
    scene.registry.rule(&scene.get_large(), 1, Fault::NoRanges);
    scene.pull().expect(0);
    scene.came_back();
}

#[test]
fn a_redirect_is_followed_without_the_password() {
    let other = Scene::pushed();
    let scene = Scene::pushed();
    scene.registry.rule(
        &scene.get_large(),
        1,
        Fault::Redirect(format!("http://{}", other.registry.addr())),
    );
    let docker = scene.disk.path().join("docker");
    fs::create_dir(&docker).unwrap();
    // "me:secret"
    let config = format!(
        r#"{{"auths":{{"{}":{{"auth":"bWU6c2VjcmV0"}}}}}}"#,
        scene.registry.addr()
    );
    fs::write(docker.join("config.json"), config).unwrap();
    let args = ["oci", "pull", &scene.place, "back", "--plain-http"];
    let output = support::daemon::run(
        command(args)
            .env("DOCKER_CONFIG", docker)
            .current_dir(scene.disk.path()),
    );
    output.expect(0);
    scene.came_back();
    let elsewhere = other.registry.asked_for("GET /v2/b/blobs");
    assert_eq!(elsewhere.len(), 1);
    assert_eq!(elsewhere[0].header("authorization"), "");
    // In a circle: it ends.
    let round = format!("http://{}", scene.registry.addr());
    fs::remove_dir_all(scene.back()).unwrap();
    scene
        .registry
        .rule("GET /v2/b/blobs", 1_000, Fault::Redirect(round));
    let output = scene.pull().expect(3);
    assert!(output.stderr.contains("redirects too often"), "{output}");
}

#[test]
fn a_pull_that_was_killed_is_gone_on_with() {
    let scene = Scene::pushed();
    // Nearly all of the large wheel, and then silence: the pull is waiting when it is killed.
    scene
        .registry
        .rule(&scene.get_large(), 1, Fault::Cut(LARGE - 1000));
    scene
        .registry
        .rule(&scene.get_large(), 1, Fault::Status(503, Some(60)));
    let mut child = command(["oci", "pull", &scene.place, "back", "--plain-http"])
        .current_dir(scene.disk.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let partial = scene
        .disk
        .path()
        .join("back.partial/incoming")
        .join(scene.large.to_string());
    let enough = |path: &Path| fs::metadata(path).is_ok_and(|about| about.len() > (LARGE / 2) as u64);
    let deadline = Instant::now() + Duration::from_secs(30);
    while !enough(&partial) && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(20));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(enough(&partial));
    scene.nothing_wrong_is_kept();
    scene.registry.behave();
    scene.registry.forget();
    scene.pull().expect(0);
    scene.came_back();
    let asked = scene.registry.asked_for(&scene.get_large());
    assert!(asked[0].header("range").starts_with("bytes="), "{asked:?}");
}

#[test]
fn nothing_of_anybody_elses_is_overwritten() {
    let scene = Scene::pushed();
    fs::create_dir(scene.back()).unwrap();
    fs::write(scene.back().join("notes"), "mine").unwrap();
    let output = scene.pull().expect(2);
    assert!(output.stderr.contains("in the way"), "{output}");
    assert_eq!(tree(&scene.back()).len(), 1);
    let bundle = scene.bundle.to_str().unwrap();
    let twice = ["oci", "push", &scene.place, bundle, "--plain-http", "--dry-run"];
    cli(scene.disk.path(), &twice).expect(0);
}

#[test]
fn a_push_that_broke_off_sends_what_is_missing() {
    let scene = Scene::new();
    scene
        .registry
        .rule("PUT /v2/b/manifests", 1_000, Fault::Status(503, None));
    scene.push().expect(3);
    assert_eq!(scene.registry.tagged("b", "x"), None, "nothing is tagged");
    scene.registry.behave();
    scene.registry.forget();
    scene.push().expect(0);
    assert_eq!(scene.registry.asked_for("POST").len(), 0, "every blob was there");
    scene.pull().expect(0);
    scene.came_back();
}
