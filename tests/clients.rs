//! Unmodified pip (an old and the newest), uv and poetry install from Chiron, with hashes required.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::path::Path;

use support::clients::{client, imported_version, isolated, pip_install, registry_available, uv_install};
use support::daemon::{Daemon, DaemonOptions, Output, run};
use support::upstream::{FakeFile, FakeUpstream};
use support::wheels::{lying_wheel, pin, wheel};

/// `app` needs `lib>=2` and `lib` needs `base`; older releases are there to be passed over.
fn closure() -> Vec<FakeFile> {
    vec![
        wheel("chirontest-app", "1.0", &["chirontest-lib>=2"]),
        wheel("chirontest-lib", "1.0", &[]),
        wheel("chirontest-lib", "2.1", &["chirontest-base<9"]),
        wheel("chirontest-base", "3.0", &[]),
        wheel("chirontest-base", "9.0", &[]),
    ]
}

/// What an installer must choose of it.
fn chosen() -> Vec<FakeFile> {
    let names = ["chirontest_app-1.0", "chirontest_lib-2.1", "chirontest_base-3.0"];
    closure()
        .into_iter()
        .filter(|file| names.iter().any(|name| file.filename.starts_with(name)))
        .collect()
}

async fn mirror() -> (FakeUpstream, Daemon) {
    let upstream = FakeUpstream::start().await;
    for file in closure() {
        upstream.add(file);
    }
    let daemon = Daemon::start(DaemonOptions::on_demand(&upstream.index_url()));
    (upstream, daemon)
}

fn pins(dir: &Path) -> String {
    let path = dir.join("requirements.txt");
    let lines: Vec<String> = chosen().iter().map(pin).collect();
    std::fs::write(&path, lines.join("\n") + "\n").unwrap();
    path.to_str().unwrap().to_owned()
}

#[track_caller]
fn all_installed(target: &Path, output: &Output) {
    assert_eq!(output.status, 0, "{output}");
    assert_eq!(imported_version(target, "chirontest_app"), "1.0");
    assert_eq!(imported_version(target, "chirontest_lib"), "2.1");
    assert_eq!(imported_version(target, "chirontest_base"), "3.0");
}

async fn pip_installs(venv: &str) {
    let Some(pip) = client(venv, "pip") else { return };
    let (upstream, daemon) = mirror().await;
    let home = tempfile::tempdir().unwrap();
    let resolved = home.path().join("resolved");
    all_installed(
        &resolved,
        &pip_install(
            &pip,
            home.path(),
            &daemon.index_url(),
            &resolved,
            &["chirontest-app"],
        ),
    );

    // The closure is here now: upstream may go.
    drop(upstream);
    let pinned = home.path().join("pinned");
    let what = ["--no-cache-dir", "--require-hashes", "-r", &pins(home.path())];
    all_installed(
        &pinned,
        &pip_install(&pip, home.path(), &daemon.index_url(), &pinned, &what),
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_pip_installs_and_requires_hashes() {
    pip_installs("pip-old").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_newest_pip_installs_and_requires_hashes() {
    pip_installs("pip-new").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn uv_installs_and_requires_hashes() {
    let Some(uv) = client("uv", "uv") else { return };
    let (upstream, daemon) = mirror().await;
    let home = tempfile::tempdir().unwrap();
    let resolved = home.path().join("resolved");
    all_installed(
        &resolved,
        &uv_install(
            &uv,
            home.path(),
            &daemon.index_url(),
            &resolved,
            &["chirontest-app"],
        ),
    );
    drop(upstream);
    let pinned = home.path().join("pinned");
    let what = ["--no-cache", "--require-hashes", "-r", &pins(home.path())];
    all_installed(
        &pinned,
        &uv_install(&uv, home.path(), &daemon.index_url(), &pinned, &what),
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn uv_locks_with_chirons_hashes() {
    let Some(uv) = client("uv", "uv") else { return };
    let (_upstream, daemon) = mirror().await;
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("in.txt"), "chirontest-app\n").unwrap();
    let output = run(isolated(&uv, home.path())
        .args([
            "pip",
            "compile",
            "--no-config",
            "--no-header",
            "--generate-hashes",
            "--default-index",
        ])
        .args([daemon.index_url().as_str(), "in.txt"]));
    assert_eq!(output.status, 0, "{output}");
    for file in chosen() {
        assert!(
            output.stdout.contains(&format!("sha256:{}", file.sha256)),
            "{}: {output}",
            file.filename
        );
    }
    assert!(!output.stdout.contains("sha512"), "{output}");
}

/// uv's cooldown drops files without an upload time.
#[tokio::test(flavor = "multi_thread")]
async fn uvs_cooldown_sees_upstreams_upload_time() {
    let Some(uv) = client("uv", "uv") else { return };
    let (_upstream, daemon) = mirror().await;
    let home = tempfile::tempdir().unwrap();
    let install = |before: &str, name: &str| {
        let target = home.path().join(name);
        uv_install(
            &uv,
            home.path(),
            &daemon.index_url(),
            &target,
            &["--exclude-newer", before, "chirontest-base<9"],
        )
    };
    // The fake upstream uploaded everything on 2024-01-02.
    assert_eq!(install("2024-06-01", "after").status, 0);
    assert_ne!(install("2023-06-01", "before").status, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn poetry_installs() {
    let Some(poetry) = client("poetry", "poetry") else {
        return;
    };
    let (_upstream, daemon) = mirror().await;
    let home = tempfile::tempdir().unwrap();
    let project = format!(
        "[project]\nname = \"consumer\"\nversion = \"1.0\"\nrequires-python = \">=3.9\"\ndependencies = [\"chirontest-app\"]\n\
         [tool.poetry]\npackage-mode = false\n\
         [[tool.poetry.source]]\nname = \"chiron\"\nurl = \"{}\"\npriority = \"primary\"\n",
        daemon.index_url()
    );
    std::fs::write(home.path().join("pyproject.toml"), project).unwrap();
    let poetry = |args: &[&str]| {
        let mut command = isolated(&poetry, home.path());
        command.args(["--no-interaction", "--no-ansi"]).args(args);
        for (name, value) in [
            ("VIRTUALENVS_IN_PROJECT", "true"),
            ("VIRTUALENVS_CREATE", "true"),
            ("KEYRING_ENABLED", "false"),
        ] {
            command.env(format!("POETRY_{name}"), value);
        }
        run(&mut command)
    };
    let locked = poetry(&["lock"]);
    assert_eq!(locked.status, 0, "{locked}");
    let lock = std::fs::read_to_string(home.path().join("poetry.lock")).unwrap();
    for file in chosen() {
        assert!(
            lock.contains(&format!("sha256:{}", file.sha256)),
            "{}:\n{lock}",
            file.filename
        );
    }
    let installed = poetry(&["install", "--no-root"]);
    assert_eq!(installed.status, 0, "{installed}");
    let python = home.path().join(".venv/bin/python");
    let version = run(isolated(&python, home.path())
        .args(["-c", "import chirontest_lib; print(chirontest_lib.__version__)"]));
    assert_eq!(version.stdout.trim(), "2.1", "{version}");
}

/// pip prints the reason phrase, uv the title and detail: the user learns why.
#[tokio::test(flavor = "multi_thread")]
async fn clients_print_why_a_file_was_refused() {
    let upstream = FakeUpstream::start().await;
    let liar = lying_wheel("chirontest-liar", "1.0");
    upstream.add(liar.clone());
    let daemon = Daemon::start(DaemonOptions::on_demand(&upstream.index_url()));
    let home = tempfile::tempdir().unwrap();
    let list = home.path().join("requirements.txt");
    // By its address: the file is gone from the index as soon as it was judged.
    let url = format!("{}/files/{}/{}", daemon.base(), liar.sha256, liar.filename);
    std::fs::write(&list, format!("chirontest-liar @ {url}\n")).unwrap();
    let what = ["--no-deps", "-r", list.to_str().unwrap()];
    assert_eq!(daemon.request("GET", "/simple/chirontest-liar/", &[]).status, 200);
    if let Some(pip) = client("pip-new", "pip") {
        let output = pip_install(
            &pip,
            home.path(),
            &daemon.index_url(),
            &home.path().join("t1"),
            &what,
        );
        assert_ne!(output.status, 0);
        assert!(
            output.stderr.contains("403") && output.stderr.contains("refused"),
            "{output}"
        );
    }
    if let Some(uv) = client("uv", "uv") {
        let output = uv_install(
            &uv,
            home.path(),
            &daemon.index_url(),
            &home.path().join("t2"),
            &what,
        );
        assert_ne!(output.status, 0);
        assert!(output.stderr.contains("refused"), "{output}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn curated_mode_serves_the_closure_that_was_ingested_with_its_dependencies() {
    let Some(uv) = client("uv", "uv") else { return };
    let upstream = FakeUpstream::start().await;
    for file in closure() {
        upstream.add(file);
    }
    let mut daemon =
        Daemon::start(DaemonOptions::curated(&upstream.index_url()).env("UV", uv.to_str().unwrap()));
    assert_eq!(daemon.get("/simple/chirontest-app/").status, 404);
    daemon.stop();
    // What runs elsewhere is not brought in when the user says where it must run.
    upstream.add(FakeFile::new(
        "chirontest_base-3.0-cp27-cp27m-win32.whl",
        &b"for another machine"[..],
    ));
    let elsewhere = [
        "--dry-run",
        "--python",
        "3.12",
        "--platform",
        "manylinux_2_28_x86_64",
        "--format",
        "json",
    ];
    let dry = daemon
        .local_cli(&[&["ingest", "chirontest-app", "--with-deps"][..], &elsewhere].concat())
        .expect(0)
        .json();
    let mut names: Vec<_> = dry["files"]
        .as_array()
        .unwrap()
        .iter()
        .map(|file| file["filename"].clone())
        .collect();
    names.sort_by_key(ToString::to_string);
    let mut expected: Vec<_> = chosen().into_iter().map(|file| file.filename).collect();
    expected.sort();
    assert_eq!(names, expected);
    upstream.remove_project("chirontest-base");
    upstream.add(closure().remove(3));
    // In local mode the resolver asks the configured upstream.
    daemon
        .local_cli(&["ingest", "chirontest-app", "--with-deps"])
        .expect(0);
    drop(upstream);
    daemon.restart();
    let home = tempfile::tempdir().unwrap();
    let target = home.path().join("t");
    all_installed(
        &target,
        &uv_install(
            &uv,
            home.path(),
            &daemon.index_url(),
            &target,
            &["chirontest-app"],
        ),
    );
}

/// A mirror of the index that pip is configured with: no `url` at all.
fn registry_mirror() -> Option<Daemon> {
    registry_available().then(|| Daemon::start(DaemonOptions::default()))
}

#[test]
fn registry_pip_installs_flask() {
    let (Some(pip), Some(daemon)) = (client("pip-new", "pip"), registry_mirror()) else {
        return;
    };
    let home = tempfile::tempdir().unwrap();
    let target = home.path().join("t");
    let output = pip_install(&pip, home.path(), &daemon.index_url(), &target, &["flask"]);
    assert_eq!(output.status, 0, "{output}");
    let page = daemon.page("flask");
    let name = page["files"].as_array().unwrap().iter().rev().find_map(|file| {
        let name = file["filename"].as_str().unwrap();
        name.contains("-none-any.").then(|| name.to_owned())
    });
    let explained = daemon.cli(&["explain", &name.unwrap()]).expect(0);
    assert!(
        explained.stdout.contains("structure") || explained.stdout.contains("not served"),
        "{explained}"
    );
}

#[test]
fn registry_uv_installs_flask() {
    let (Some(uv), Some(daemon)) = (client("uv", "uv"), registry_mirror()) else {
        return;
    };
    let home = tempfile::tempdir().unwrap();
    let target = home.path().join("t");
    let output = uv_install(&uv, home.path(), &daemon.index_url(), &target, &["flask"]);
    assert_eq!(output.status, 0, "{output}");
    let status = daemon.cli_json(&["status"]);
    assert!(status["admitted"].as_u64().unwrap() >= 5, "{status:#}");
    daemon.cli(&["log", "verify"]).expect(0);
}

#[test]
fn registry_an_old_pip_installs_with_hashes() {
    let (Some(pip), Some(daemon)) = (client("pip-old", "pip"), registry_mirror()) else {
        return;
    };
    let page = daemon.page("six");
    let file = page["files"]
        .as_array()
        .unwrap()
        .iter()
        .find(|file| file["filename"] == "six-1.16.0-py2.py3-none-any.whl")
        .unwrap();
    let home = tempfile::tempdir().unwrap();
    let list = home.path().join("requirements.txt");
    std::fs::write(
        &list,
        format!(
            "six==1.16.0 --hash=sha256:{}\n",
            file["hashes"]["sha256"].as_str().unwrap()
        ),
    )
    .unwrap();
    let target = home.path().join("t");
    let what = [
        "--require-hashes",
        "--only-binary",
        ":all:",
        "-r",
        list.to_str().unwrap(),
    ];
    let output = pip_install(&pip, home.path(), &daemon.index_url(), &target, &what);
    assert_eq!(output.status, 0, "{output}");
    assert_eq!(imported_version(&target, "six"), "1.16.0");
}
