//! Promise: who follows README line by line gets what it says, and the log is checked as docs/log.md says.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use support::clients::{client, isolated};
use support::daemon::{CHIRON, Daemon, DaemonOptions, run};
use support::documents::{marked, read};
use support::upstream::FakeUpstream;
use support::wheels::wheel;

/// Where the documents say that the daemon listens.
const ADDRESS: &str = "127.0.0.1:8080";

/// Where the closed site of the tour does.
const CLOSED: &str = "127.0.0.1:8070";

/// Where they say that the proxy does.
const PROXY: &str = "127.0.0.1:8090";

/// A folder to walk the tour in: `chiron`, `pip` and `uv` on the path, and the daemon's data where the tour has them.
struct Tourist {
    daemon: Daemon,
    home: tempfile::TempDir,
    resolver_index: String,
}

impl Tourist {
    /// Nothing when pip or uv is not there.
    fn new(daemon: Daemon, upstream: &FakeUpstream) -> Option<Self> {
        let (pip, uv) = (client("pip-new", "pip")?, client("uv", "uv")?);
        let home = tempfile::tempdir().unwrap();
        let bin = home.path().join("bin");
        fs::create_dir(&bin).unwrap();
        symlink(CHIRON, bin.join("chiron")).unwrap();
        symlink(uv, bin.join("uv")).unwrap();
        // Not a link: a virtual environment is found by the path of its python.
        let script = format!(
            "#!/bin/sh\nexec '{}' --disable-pip-version-check \"$@\"\n",
            pip.display()
        );
        fs::write(bin.join("pip"), script).unwrap();
        assert_eq!(
            run(Command::new("chmod").arg("+x").arg(bin.join("pip"))).status,
            0
        );
        symlink(daemon.data_dir(), home.path().join("chiron-data")).unwrap();
        Some(Self {
            daemon,
            home,
            resolver_index: upstream.index_url(),
        })
    }

    /// Runs the lines as one script that stops at the first failure; what it said.
    #[track_caller]
    fn walk(&self, script: &str) -> String {
        let script = script.replace(ADDRESS, self.daemon.addr());
        let path = format!(
            "{}:{}",
            self.home.path().join("bin").display(),
            std::env::var("PATH").unwrap()
        );
        let mut shell = isolated(Path::new("bash"), self.home.path());
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("CHIRON_") {
                shell.env_remove(&name);
            }
        }
        let output = run(shell
            .args(["-euxo", "pipefail", "-c", &script])
            .env("PATH", path)
            .env("PIP_INDEX_URL", &self.resolver_index)
            .env("UV_NO_CONFIG", "1")
            .env("UV_PYTHON_DOWNLOADS", "never"));
        assert_eq!(output.status, 0, "{output}");
        output.stdout
    }
}

fn tour_upstream(upstream: &FakeUpstream) {
    upstream.add(wheel("click", "8.1.7", &[]));
    upstream.add(wheel("flask", "3.0.3", &["click>=8"]));
    upstream.add(wheel("flask", "3.1.0", &["click>=8"]));
    upstream.add(wheel("idna", "3.10", &[]));
    upstream.add(wheel("httpx", "0.28.1", &["idna"]));
    upstream.add(wheel("pluggy", "1.5.0", &[]));
    upstream.add(wheel("six", "1.16.0", &[]));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tour_of_the_readme_works() {
    let upstream = FakeUpstream::start().await;
    tour_upstream(&upstream);
    let daemon = Daemon::start(DaemonOptions::on_demand(&upstream.index_url()));
    let Some(tourist) = Tourist::new(daemon, &upstream) else {
        return;
    };
    let readme = read("README.md");
    let said = tourist.walk(&marked(&readme, "sh tour"));
    for promise in [
        "flask-3.0.3-py3-none-any.whl is served",
        "1 would be admitted",
        "event 0 is in the log",
        "and continues the log of",
    ] {
        assert!(said.contains(promise), "`{promise}` is missing in:\n{said}");
    }
    let home = tourist.home.path();
    for there in [
        "try-pip/flask",
        "try-uv/click",
        "then/flask-3.0.3-py3-none-any.whl",
    ] {
        let found = [home.join(there), home.join(format!("{there}.py"))];
        assert!(found.iter().any(|path| path.exists()), "{there} is missing");
    }
    let states: Vec<bool> = tourist.daemon.page("httpx")["files"]
        .as_array()
        .unwrap()
        .iter()
        .map(|file| file["url"].as_str().unwrap().contains("/files/"))
        .collect();
    assert_eq!(states, [true]);
    assert_eq!(
        tourist.daemon.cli(&["show", "httpx==0.28.1"]).status,
        0,
        "it was ingested"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_proxy_of_the_tour_verifies_and_outlives_a_rotation() {
    let upstream = FakeUpstream::start().await;
    tour_upstream(&upstream);
    let daemon = Daemon::start(DaemonOptions::on_demand(&upstream.index_url()));
    let Some(tourist) = Tourist::new(daemon, &upstream) else {
        return;
    };
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap().to_string();
    drop(free);
    let script = marked(&read("README.md"), "sh tour proxy").replace(PROXY, &address);
    let server = format!("export CHIRON_SERVER=http://{ADDRESS}\ntrap 'kill %1' EXIT\n");
    let said = tourist.walk(&(server + &script));
    assert!(
        tourist.home.path().join("try-proxy/flask").exists()
            || tourist.home.path().join("try-proxy/flask.py").exists(),
        "{said}"
    );
    assert!(
        tourist
            .home
            .path()
            .join("after/click-8.1.7-py3-none-any.whl")
            .exists(),
        "{said}"
    );
    let root: serde_json::Value =
        serde_json::from_slice(&fs::read(tourist.home.path().join("chiron-data/tuf/root.json")).unwrap())
            .unwrap();
    assert_eq!(root["signed"]["version"], 3, "two keys were rotated");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_closed_site_of_the_tour_is_fed() {
    let upstream = FakeUpstream::start().await;
    tour_upstream(&upstream);
    let daemon = Daemon::start(DaemonOptions::on_demand(&upstream.index_url()));
    let Some(tourist) = Tourist::new(daemon, &upstream) else {
        return;
    };
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap().to_string();
    drop(free);
    let readme = read("README.md");
    let config = marked(&readme, "toml closed").replace(CLOSED, &address);
    fs::write(tourist.home.path().join("closed.toml"), config).unwrap();
    let script = marked(&readme, "sh tour airgap").replace(CLOSED, &address);
    // The daemon of the closed site says its process id in its folder, and nothing else is ended.
    let before = format!(
        "export CHIRON_SERVER=http://{ADDRESS}\ntrap 'kill \"$(sed -n '\\''s/.*\"pid\":\\([0-9]*\\).*/\\1/p'\\'' closed-data/daemon.json)\"' EXIT\n"
    );
    let said = tourist.walk(&(before + &script));
    let home = tourist.home.path();
    assert!(home.join("try-closed/flask-3.1.0.dist-info").is_dir(), "{said}");
    assert!(
        home.join("try-closed/click-8.1.7.dist-info").is_dir(),
        "it came with the first bundle: {said}"
    );
    let receipt: serde_json::Value =
        serde_json::from_slice(&fs::read(home.join("receipt.json")).unwrap()).unwrap();
    assert_eq!(receipt["held"].as_array().unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_curated_part_of_the_tour_works() {
    let upstream = FakeUpstream::start().await;
    tour_upstream(&upstream);
    upstream.add(wheel("acme-tools", "1.0", &[]));
    let readme = read("README.md");
    let config = marked(&readme, "toml");
    let options = DaemonOptions::default()
        .config(&config)
        .env("CHIRON_UPSTREAM__0__URL", &upstream.index_url());
    let daemon = Daemon::start(options);
    let Some(tourist) = Tourist::new(daemon, &upstream) else {
        return;
    };
    fs::write(tourist.home.path().join("chiron.toml"), &config).unwrap();
    let server = format!("export CHIRON_SERVER=http://{ADDRESS}\n");
    tourist.walk(&(server + &marked(&readme, "sh tour curated")));
    let daemon = &tourist.daemon;
    assert_eq!(daemon.get("/simple/six/").status, 404, "nobody ingested it");
    daemon.cli(&["ingest", "acme-tools"]).expect(1);
    assert_eq!(daemon.get("/simple/acme-tools/").status, 404);
    assert_eq!(upstream.count("/simple/acme-tools/"), 0, "the name is owned");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_is_checked_without_chiron() {
    let upstream = FakeUpstream::start().await;
    let daemon = Daemon::start(DaemonOptions::on_demand(&upstream.index_url()));
    // More than one bundle, the last one partial. The first entry is about the keys.
    for n in 1..300 {
        let file = wheel("demo", &format!("1.{n}"), &[]);
        daemon.put_file(&file.filename, &file.bytes);
    }
    let document = read("docs/log.md");
    let script = daemon.home().join("log-check.py");
    fs::write(&script, marked(&document, "python log-check")).unwrap();
    let check = |log: &str| {
        run(Command::new("python3")
            .arg(&script)
            .arg(log)
            .env("no_proxy", "127.0.0.1"))
    };
    let output = check(&format!("{}/log", daemon.base())).expect(0);
    assert!(output.stdout.contains("300 entries give the root"), "{output}");

    let openssl = Command::new("openssl").arg("version").output();
    if openssl.is_err() {
        eprintln!("LEFT OUT: there is no openssl to check the checkpoint's signature with");
        return;
    }
    let home = daemon.home();
    fs::write(home.join("log.key"), daemon.cli(&["log", "key"]).expect(0).stdout).unwrap();
    let note = daemon.cli(&["log", "checkpoint"]).expect(0).stdout;
    let signature = marked(&document, "sh log-signature");
    let verify = |note: &str| {
        fs::write(home.join("before.txt"), note).unwrap();
        run(Command::new("bash")
            .args(["-euo", "pipefail", "-c", &signature])
            .current_dir(home))
    };
    verify(&note).expect(0);
    assert_ne!(
        verify(&note.replacen("300", "301", 1)).status,
        0,
        "another size was signed"
    );
}
