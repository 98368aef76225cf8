//! Promise: credentials come from docker's configuration, go to the registry and to where it gives tokens and nowhere else,
//! and are never printed; plain HTTP is spoken when it is asked for (`docs/oci.md`).
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "bundle_format/made.rs"]
mod made;
mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use chiron::bundle::volume::Shape;

use made::{Made, tree};
use support::daemon::{Output, command, run};
use support::oci_registry::{Door, OciRegistry};

const USER: &str = "carrier";
const PASSWORD: &str = "quiet:word";
const IDENTITY: &str = "a-long-lived-token";

struct Scene {
    registry: OciRegistry,
    disk: tempfile::TempDir,
    bundle: PathBuf,
}

impl Scene {
    fn new(door: Door) -> Self {
        let disk = tempfile::tempdir().unwrap();
        let bundle = disk.path().join("bundle");
        Made::new(Shape::Folder, 2, 10_000).write(&bundle);
        fs::create_dir(disk.path().join("docker")).unwrap();
        Self {
            registry: OciRegistry::with(door, true),
            disk,
            bundle,
        }
    }

    fn place(&self) -> String {
        format!("{}/b:x", self.registry.addr())
    }

    /// Docker's configuration, with ADDR for the registry.
    fn config(&self, text: &str) {
        let text = text.replace("ADDR", &self.registry.addr());
        fs::write(self.disk.path().join("docker/config.json"), text).unwrap();
    }

    fn oci(&self, args: &[&str], env: &[(&str, &Path)]) -> Output {
        let mut line = vec!["oci"];
        line.extend(args);
        let mut command = command(line);
        command
            .current_dir(self.disk.path())
            .env("DOCKER_CONFIG", self.disk.path().join("docker"));
        for (name, value) in env {
            command.env(name, value);
        }
        let output = run(&mut command);
        let said = format!("{output}");
        assert!(!said.contains("quiet") && !said.contains(IDENTITY), "{said}");
        output
    }

    fn push(&self, env: &[(&str, &Path)]) -> Output {
        let bundle = self.bundle.to_str().unwrap();
        self.oci(&["push", &self.place(), bundle, "--plain-http"], env)
    }
}

fn token(uses: u32) -> Door {
    Door::Token {
        user: USER.to_owned(),
        password: PASSWORD.to_owned(),
        identity: IDENTITY.to_owned(),
        uses,
    }
}

/// "carrier:quiet:word"
const AUTH: &str = r#"{"auths":{"ADDR":{"auth":"Y2FycmllcjpxdWlldDp3b3Jk"}}}"#;

#[test]
fn a_password_is_exchanged_for_tokens_and_again_when_one_runs_out() {
    let scene = Scene::new(token(4));
    scene.config(AUTH);
    scene.push(&[]).expect(0);
    assert!(scene.registry.tagged("b", "x").is_some());
    let asked = scene.registry.asked_for("GET /token");
    assert!(asked.len() > 1, "a token is good for four requests");
    assert!(
        asked
            .iter()
            .all(|asked| asked.line.contains("pull%2Cpush") || asked.line.contains("pull,push"))
    );
    // The password goes where tokens are had and nowhere else.
    for asked in scene.registry.asked() {
        let shown = asked.header("authorization");
        assert_eq!(
            shown.starts_with("Basic"),
            asked.line.contains("/token"),
            "{asked:?}"
        );
    }
    scene
        .oci(&["pull", &scene.place(), "back", "--plain-http"], &[])
        .expect(0);
    assert_eq!(tree(&scene.disk.path().join("back")), tree(&scene.bundle));
}

#[test]
fn an_identity_token_is_exchanged_too() {
    let scene = Scene::new(token(100));
    scene.config(r#"{"auths":{"ADDR":{"identitytoken":"a-long-lived-token"}}}"#);
    scene.push(&[]).expect(0);
    assert_eq!(scene.registry.asked_for("POST /token").len(), 1);
}

#[test]
fn a_helper_is_asked_and_a_broken_one_is_said() {
    let scene = Scene::new(Door::Basic {
        user: USER.to_owned(),
        password: PASSWORD.to_owned(),
    });
    let bin = scene.disk.path().join("bin");
    fs::create_dir(&bin).unwrap();
    let helper = bin.join("docker-credential-shelf");
    let write = |script: &str| {
        fs::write(&helper, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&helper, fs::Permissions::from_mode(0o755)).unwrap();
    };
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let env = [("PATH", Path::new(&path))];
    scene.config(r#"{"credHelpers":{"ADDR":"shelf"}}"#);
    write(r#"cat >/dev/null; echo '{"Username":"carrier","Secret":"quiet:word"}'"#);
    scene.push(&env).expect(0);

    write("cat >/dev/null; echo 'quiet:word is what I would say'; exit 1");
    let output = scene.push(&env).expect(2);
    assert!(output.stderr.contains("docker-credential-shelf"), "{output}");
    // One that knows nothing of this registry: without credentials, then.
    write("cat >/dev/null; echo 'credentials not found in native keychain'; exit 1");
    scene.push(&env).expect(5);
}

#[test]
fn a_wrong_password_is_refused_once() {
    let scene = Scene::new(Door::Basic {
        user: USER.to_owned(),
        password: "another".to_owned(),
    });
    scene.config(AUTH);
    scene.push(&[]).expect(5);
    assert!(
        scene.registry.asked().len() <= 3,
        "a wrong password locks accounts"
    );
    assert_eq!(scene.registry.blobs(), 0);
    let scene = Scene::new(token(9));
    scene.config(r#"{"auths":{"ADDR":{"auth":"Y2Fycmllcjpub25l"}}}"#);
    scene.push(&[]).expect(5);
    assert_eq!(scene.registry.blobs(), 0);
}

#[test]
fn plain_http_is_spoken_when_asked_for_only() {
    let scene = Scene::new(Door::Open);
    let bundle = scene.bundle.to_str().unwrap();
    let place = scene.place();
    let output = scene.oci(&["push", &place, bundle], &[]).expect(3);
    assert!(output.stderr.contains("--plain-http"), "{output}");
    assert!(scene.registry.asked().is_empty(), "not one request in the clear");
}

#[test]
fn nothing_is_pushed_to_a_place_that_is_none() {
    let scene = Scene::new(Door::Open);
    let bundle = scene.bundle.to_str().unwrap();
    for place in [
        "bundles",
        "team/bundles:x",
        "http://127.0.0.1:1/b",
        "127.0.0.1:1/UPPER",
    ] {
        scene.oci(&["push", place, bundle, "--plain-http"], &[]).expect(2);
    }
    scene
        .oci(&["push", &scene.place(), "--plain-http"], &[])
        .expect(2);
    scene.oci(&["push", bundle, "--plain-http"], &[]).expect(2);
    scene
        .oci(&["push", &scene.place(), "no-such-folder", "--plain-http"], &[])
        .expect(2);
    let docker = scene.disk.path().join("docker");
    scene
        .oci(
            &["push", &scene.place(), docker.to_str().unwrap(), "--plain-http"],
            &[],
        )
        .expect(2);
    assert_eq!(scene.registry.blobs(), 0);
}
