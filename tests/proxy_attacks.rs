//! Promise: whatever somebody between the signer and the proxy does, on the way or in the daemon's folder, is refused, and the
//! person in front of pip reads why.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use support::clients::{client, pip_install, uv_install};
use support::daemon::{Daemon, DaemonOptions, command, run};
use support::man_in_the_middle::{ManInTheMiddle, Meddle};
use support::proxy::{Proxy, arguments, root_of};
use support::raw::Answer;
use support::upstream::{FakeFile, FakeUpstream};
use support::wheels::wheel;

fn demo() -> FakeFile {
    wheel("chirontest-demo", "1.0", &[])
}

fn other() -> FakeFile {
    wheel("chirontest-other", "1.0", &[])
}

/// A daemon with two projects, somebody in the middle, and a proxy behind him.
struct Scene {
    daemon: Daemon,
    middle: ManInTheMiddle,
    proxy: Proxy,
    upstream: FakeUpstream,
}

impl Scene {
    async fn set() -> Self {
        let upstream = FakeUpstream::start().await;
        upstream.add(demo());
        upstream.add(other());
        let daemon = Daemon::start(DaemonOptions::curated(&upstream.index_url()));
        daemon
            .cli(&["ingest", "chirontest-demo", "chirontest-other"])
            .expect(0);
        let middle = ManInTheMiddle::before(daemon.base()).await;
        let proxy = Proxy::start(&root_of(&daemon), &middle.base(), None, &[]);
        Self {
            daemon,
            middle,
            proxy,
            upstream,
        }
    }

    fn file(&self, file: &FakeFile) -> Answer {
        self.proxy
            .get(&format!("/files/{}/{}", file.sha256, file.filename), &[])
    }

    /// Something new is published, so that versions grow.
    fn publish_more(&self) {
        self.upstream.add(wheel("chirontest-more", "1.0", &[]));
        self.daemon.cli(&["ingest", "chirontest-more"]).expect(0);
    }

    /// pip and uv install nothing, and say why.
    #[track_caller]
    fn installers_say(&self, words: &[&str]) {
        if let Some(pip) = client("pip-new", "pip") {
            let into = self.proxy.home().join("by-pip");
            let what = ["--no-cache-dir", "chirontest-demo"];
            let output = pip_install(&pip, self.proxy.home(), &self.proxy.index_url(), &into, &what);
            let said = format!("{}{}", output.stdout, output.stderr);
            assert_ne!(output.status, 0, "{output}");
            assert!(
                words.iter().all(|word| said.contains(word)),
                "pip does not say {words:?}:\n{output}"
            );
            assert!(!into.join("chirontest_demo").exists(), "{output}");
        }
        if let Some(uv) = client("uv", "uv") {
            let into = self.proxy.home().join("by-uv");
            let what = ["--no-cache", "chirontest-demo"];
            let output = uv_install(&uv, self.proxy.home(), &self.proxy.index_url(), &into, &what);
            assert_ne!(output.status, 0, "{output}");
            // uv breaks long lines; words are looked for without them.
            let said = output.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(
                words.iter().all(|word| said.contains(word)),
                "uv does not say {words:?}:\n{output}"
            );
            assert!(!into.join("chirontest_demo").exists(), "{output}");
        }
    }

    #[track_caller]
    fn all_is_well(&self) {
        let page = self.proxy.page("chirontest-demo");
        assert_eq!(page.status, 200, "{page}");
        let file = self.file(&demo());
        assert_eq!(
            (file.status, file.body.as_slice()),
            (200, &demo().bytes[..]),
            "{file}"
        );
    }

    fn metadata(&self, name: &str) -> PathBuf {
        self.daemon.data_dir().join("tuf/metadata").join(name)
    }
}

fn flip(path: &std::path::Path) {
    let mut bytes = std::fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    // Blobs are read-only; whoever attacks a folder does not mind.
    let aside = path.with_extension("aside");
    std::fs::write(&aside, bytes).unwrap();
    std::fs::rename(aside, path).unwrap();
}

/// The newest file of a role in a daemon's folder.
fn newest(scene: &Scene, role: &str) -> Vec<PathBuf> {
    let ending = format!(".{role}");
    std::fs::read_dir(scene.metadata(""))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.to_str()
                .unwrap()
                .strip_suffix(".json")
                .is_some_and(|stem| stem.contains(&ending))
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_byte_flipped_in_the_stored_wheel() {
    let scene = Scene::set().await;
    let sha256 = demo().sha256;
    flip(
        &scene
            .daemon
            .data_dir()
            .join("blobs")
            .join(&sha256[..2])
            .join(&sha256[2..]),
    );
    let refused = scene.file(&demo());
    assert_eq!(refused.status, 403, "{refused}");
    assert!(refused.reason.contains("damaged"), "{refused}");
    assert_eq!(scene.file(&other()).status, 200, "others are not concerned");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_byte_flipped_on_the_way() {
    let scene = Scene::set().await;
    scene.middle.meddle("/tuf/targets/files/", Meddle::Flip);
    let refused = scene.file(&demo());
    assert_eq!(refused.status, 403, "{refused}");
    assert!(
        refused
            .reason
            .contains("files/chirontest-demo/chirontest_demo-1.0-py3-none-any.whl is refused"),
        "{refused}"
    );
    scene.installers_say(&["its bytes were changed"]);
    scene.middle.relent();
    scene.all_is_well();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_byte_flipped_in_a_bin_file() {
    let scene = Scene::set().await;
    let bins = newest(&scene, "bin-");
    assert!(bins.len() >= 16, "{bins:?}");
    for bin in &bins {
        flip(bin);
    }
    scene.installers_say(&[".bin-", "is refused"]);
    let page = scene.proxy.page("chirontest-demo");
    assert_eq!(page.status, 409, "{page}");
    assert!(page.reason.contains("is refused"), "{page}");
    assert_eq!(scene.file(&demo()).status, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_byte_flipped_in_the_timestamp() {
    let scene = Scene::set().await;
    scene.all_is_well();
    flip(&scene.metadata("timestamp.json"));
    scene.installers_say(&["timestamp.json is refused"]);
    assert_eq!(scene.file(&demo()).status, 403, "also what is kept");
    assert_eq!(scene.proxy.get("/readyz", &[]).status, 503);
}

#[tokio::test(flavor = "multi_thread")]
async fn yesterdays_timestamp_replayed() {
    let scene = Scene::set().await;
    let yesterday = std::fs::read(scene.metadata("timestamp.json")).unwrap();
    scene.publish_more();
    scene.all_is_well();
    scene
        .middle
        .meddle("timestamp.json", Meddle::Swap(yesterday.clone()));
    scene.installers_say(&["timestamp.json is refused", "rollback"]);

    // A restart forgets nothing.
    let mut scene = scene;
    scene.proxy.kill9();
    let state = scene.proxy.state.clone();
    let again = Proxy::start(&root_of(&scene.daemon), &scene.middle.base(), Some(&state), &[]);
    let page = again.page("chirontest-demo");
    assert_eq!(page.status, 409, "{page}");
    assert!(
        page.reason.contains("was trusted before: this is a rollback"),
        "{page}"
    );
    // Replayed from the folder itself, it is no better.
    scene.middle.relent();
    std::fs::write(scene.metadata("timestamp.json"), yesterday).unwrap();
    assert_eq!(again.page("chirontest-demo").status, 409);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_timestamp_is_refused_when_it_has_expired() {
    let scene = Scene::set().await;
    let later = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(24 * 3);
    let mut verify = command([
        "tuf",
        "verify",
        &scene.middle.base(),
        "--at",
        &later.to_string(),
        "--root",
    ]);
    let refused = run(verify.arg(root_of(&scene.daemon))).expect(1);
    assert!(
        refused
            .stderr
            .contains("timestamp.json is refused: it expired at"),
        "{refused}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn one_file_in_place_of_another() {
    let scene = Scene::set().await;
    let evil = wheel("chirontest-demo", "6.6", &[]);
    for (how, words) in [
        (Meddle::Swap(evil.bytes.to_vec()), "is refused"),
        (Meddle::Swap(b"x".to_vec()), "1 bytes came, and"),
        (Meddle::Cut, "bytes came, and"),
        (Meddle::Status(404), "does not have it"),
    ] {
        scene.middle.meddle("/tuf/targets/files/", how.clone());
        let refused = scene.file(&demo());
        assert_eq!(refused.status, 403, "{how:?}: {refused}");
        assert!(refused.reason.contains(words), "{how:?}: {refused}");
        scene.middle.relent();
    }
    scene.all_is_well();
}

#[tokio::test(flavor = "multi_thread")]
async fn one_page_in_place_of_another() {
    let scene = Scene::set().await;
    let theirs = scene.proxy.page("chirontest-other").body;
    scene
        .middle
        .meddle("/tuf/targets/simple/chirontest-demo/", Meddle::Swap(theirs));
    scene.installers_say(&["simple/chirontest-demo/index.json is refused"]);
    scene.middle.relent();
    scene.all_is_well();
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata_of_different_times_together() {
    let scene = Scene::set().await;
    let old = newest(&scene, "snapshot")
        .into_iter()
        .max_by_key(|path| version_of(path))
        .unwrap();
    let old = std::fs::read(old).unwrap();
    scene.publish_more();
    scene.middle.meddle(".snapshot.json", Meddle::Swap(old));
    scene.installers_say(&[".snapshot.json is refused"]);
    scene.middle.relent();
    scene.all_is_well();
}

fn version_of(path: &std::path::Path) -> u64 {
    path.file_name()
        .unwrap()
        .to_str()
        .unwrap()
        .split('.')
        .next()
        .unwrap()
        .parse()
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn data_without_end() {
    let scene = Scene::set().await;
    for part in ["timestamp.json", "/tuf/targets/simple/", "/tuf/targets/files/"] {
        scene.middle.meddle(part, Meddle::Endless);
        let began = Instant::now();
        // Only what the attack is about: what is fetched meanwhile would be kept.
        let refused = if part.ends_with("files/") {
            scene.file(&demo())
        } else {
            scene.proxy.page("chirontest-demo")
        };
        assert!([403, 409].contains(&refused.status), "{part}: {refused}");
        assert!(refused.reason.contains("is longer than the"), "{part}: {refused}");
        assert!(began.elapsed() < Duration::from_secs(30), "{part}");
        scene.middle.relent();
    }
    scene.all_is_well();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_that_hangs() {
    let scene = Scene::set().await;
    for part in ["timestamp.json", "/tuf/targets/files/"] {
        scene.middle.meddle(part, Meddle::Hang);
        let began = Instant::now();
        let waiting = scene.file(&demo());
        assert_eq!(waiting.status, 503, "{part}: {waiting}");
        assert!(
            waiting.reason.contains("nothing came for 2 s"),
            "{part}: {waiting}"
        );
        assert!(began.elapsed() < Duration::from_secs(20), "{part}");
        scene.middle.relent();
    }
    scene.all_is_well();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_to_another_host() {
    let scene = Scene::set().await;
    let elsewhere = format!("http://{}/x", scene.upstream.addr());
    scene.upstream.requests();
    scene
        .middle
        .meddle("/tuf/targets/files/", Meddle::Redirect(elsewhere));
    let refused = scene.file(&demo());
    assert_eq!(refused.status, 503, "{refused}");
    assert!(refused.reason.contains("another host"), "{refused}");
    let asked: Vec<String> = scene.upstream.requests().iter().map(|r| r.path.clone()).collect();
    assert!(!asked.iter().any(|path| path == "/x"), "{asked:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_state_is_refused_and_not_forgotten() {
    let mut scene = Scene::set().await;
    scene.all_is_well();
    scene.proxy.kill9();
    let state = scene.proxy.state.clone();
    let trusted = state.join("tuf/trusted.json");
    let sound = std::fs::read(&trusted).unwrap();
    flip(&trusted);
    let root = root_of(&scene.daemon);
    let refused = run(&mut arguments(&root, &scene.middle.base(), &state, &[])).expect(4);
    assert!(refused.stderr.contains("trusted.json is damaged"), "{refused}");
    assert!(refused.stderr.contains("delete the folder"), "{refused}");
    std::fs::write(&trusted, &sound[..sound.len() / 3]).unwrap();
    run(&mut arguments(&root, &scene.middle.base(), &state, &[])).expect(4);

    // A kept root is fetched again, and a kept file too: both are checked by what they are.
    std::fs::write(&trusted, sound).unwrap();
    std::fs::write(state.join("tuf/roots/1.root.json"), "{}").unwrap();
    let sha256 = demo().sha256;
    flip(&state.join("files/blobs").join(&sha256[..2]).join(&sha256[2..]));
    let again = Proxy::start(&root, &scene.middle.base(), Some(&state), &[]);
    // The state lies in the old one's folder.
    let _old = std::mem::replace(&mut scene.proxy, again);
    scene.all_is_well();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_state_of_another_repository_is_not_mixed_in() {
    let mut scene = Scene::set().await;
    scene.proxy.kill9();
    let stranger = Daemon::start(DaemonOptions::alone());
    let refused = run(&mut arguments(
        &root_of(&stranger),
        stranger.base(),
        &scene.proxy.state,
        &[],
    ))
    .expect(4);
    assert!(
        refused.stderr.contains("belongs to another repository"),
        "{refused}"
    );
    // The right state with another repository behind it: other keys.
    let proxy = Proxy::start(
        &root_of(&scene.daemon),
        stranger.base(),
        Some(&scene.proxy.state),
        &[],
    );
    let page = proxy.page("chirontest-demo");
    assert_eq!(page.status, 409, "{page}");
    assert!(page.reason.contains("0 of the 1 signatures"), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_root_is_rotated_while_the_proxy_runs() {
    let mut scene = Scene::set().await;
    let first_root = scene.proxy.home().join("root.json");
    scene.all_is_well();
    scene
        .daemon
        .cli(&["tuf", "rotate", "root", "--reason", "a test", "--yes"])
        .expect(0);
    scene
        .daemon
        .cli(&["tuf", "rotate", "timestamp", "--reason", "a test", "--yes"])
        .expect(0);
    scene.publish_more();
    scene.all_is_well();
    assert_eq!(
        scene.proxy.readyz()["verified"]["root"],
        3,
        "{}",
        scene.proxy.readyz()
    );
    assert_eq!(scene.proxy.page("chirontest-more").status, 200);

    // A proxy that was off meanwhile follows the chain from its old root; one that knows the new root cannot be led back.
    let late = Proxy::start(&first_root, &scene.middle.base(), None, &[]);
    assert_eq!(late.page("chirontest-demo").status, 200);
    scene.proxy.kill9();
    let state = scene.proxy.state.clone();
    std::fs::remove_dir_all(state.join("tuf/roots")).unwrap();
    std::fs::create_dir(state.join("tuf/roots")).unwrap();
    for hidden in ["/2.root.json", "/3.root.json"] {
        scene.middle.meddle(hidden, Meddle::Status(404));
    }
    let again = Proxy::start(&first_root, &scene.middle.base(), Some(&state), &[]);
    let page = again.page("chirontest-demo");
    assert_eq!(page.status, 409, "{page}");
    scene.middle.relent();
    assert_eq!(again.page("chirontest-demo").status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_share_what_they_remember() {
    let scene = Scene::set().await;
    scene.all_is_well();
    let state = scene.proxy.state.join("tuf");
    let verify = |count: usize| {
        let children: Vec<_> = (0..count)
            .map(|_| {
                let mut verify = command(["tuf", "verify", &scene.middle.base(), "--refresh-only", "--root"]);
                verify.arg(root_of(&scene.daemon)).arg("--state").arg(&state);
                std::thread::spawn(move || run(&mut verify))
            })
            .collect();
        for child in children {
            child.join().unwrap().expect(0);
        }
    };
    let old = std::fs::read(scene.metadata("timestamp.json")).unwrap();
    scene.publish_more();
    verify(8);
    // What the others have verified is a floor for the proxy, which has not asked since.
    scene.middle.meddle("timestamp.json", Meddle::Swap(old));
    let page = scene.proxy.page("chirontest-demo");
    assert_eq!(page.status, 409, "{page}");
    assert!(page.reason.contains("rollback"), "{page}");
    scene.middle.relent();
    scene.all_is_well();

    let second = run(&mut arguments(
        &root_of(&scene.daemon),
        &scene.middle.base(),
        &scene.proxy.state,
        &[],
    ))
    .expect(2);
    assert!(second.stderr.contains("in use by another proxy"), "{second}");
}
