//! Promise: a static tree is an index that nginx serves with no rules of its own: pages, metadata, files and yanks as this
//! daemon serves them, the same bytes each time.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use support::clients::{client, pip_install, program, there, uv_install};
use support::daemon::{Daemon, DaemonOptions, run};
use support::raw;
use support::upstream::FakeUpstream;
use support::wheels::wheel;

/// nginx over a folder, with a root and nothing else.
struct Nginx {
    child: Child,
    address: String,
    _home: tempfile::TempDir,
}

impl Nginx {
    fn serve(folder: &Path) -> Option<Self> {
        let found =
            program("nginx").or_else(|| Some(PathBuf::from("/usr/sbin/nginx")).filter(|path| path.is_file()));
        let nginx = there("nginx", "nginx", found)?;
        // nginx cannot say which port it was given: a free one may be taken before it listens.
        (0..5).find_map(|_| Self::try_serve(&nginx, folder))
    }

    fn try_serve(nginx: &Path, folder: &Path) -> Option<Self> {
        let home = tempfile::tempdir().unwrap();
        let address = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .to_string();
        let user = if rustix::process::geteuid().is_root() {
            "user root;"
        } else {
            ""
        };
        let temp = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|kind| format!("{kind}_temp_path {};", home.path().join(kind).display()))
            .concat();
        let config = format!(
            "{user} daemon off; worker_processes 1; pid {pid}; error_log stderr; events {{}}\n\
             http {{ access_log off; {temp} server {{ listen {address}; root {root}; }} }}\n",
            pid = home.path().join("pid").display(),
            root = folder.display(),
        );
        let file = home.path().join("nginx.conf");
        fs::write(&file, config).unwrap();
        let mut child = Command::new(nginx)
            .arg("-p")
            .arg(home.path())
            .arg("-e")
            .arg("stderr")
            .arg("-c")
            .arg(&file)
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(20) {
            if child.try_wait().unwrap().is_some() {
                return None;
            }
            if TcpStream::connect(&address).is_ok() {
                return Some(Self {
                    child,
                    address,
                    _home: home,
                });
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = child.kill();
        let _ = child.wait();
        None
    }

    fn index(&self) -> String {
        format!("http://{}/simple/", self.address)
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // The master ends its worker; a kill would leave it behind.
        let pid = rustix::process::Pid::from_child(&self.child);
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let _ = self.child.wait();
    }
}

async fn site() -> (Daemon, FakeUpstream) {
    let upstream = FakeUpstream::start().await;
    upstream.add(wheel("alpha", "1.0", &["beta>=1"]));
    upstream.add(wheel("alpha", "1.1", &["beta>=1"]));
    upstream.add(wheel("beta", "1.0+local.1", &[]));
    upstream.add(wheel("gamma", "1.0", &[]));
    let daemon = Daemon::start(DaemonOptions::curated(&upstream.index_url()));
    daemon
        .cli(&[
            "ingest",
            "alpha==1.0",
            "alpha==1.1",
            "beta==1.0+local.1",
            "gamma==1.0",
        ])
        .expect(0);
    daemon
        .cli(&["yank", "alpha==1.1", "--reason", "breaks logins", "--yes"])
        .expect(0);
    daemon
        .cli(&["revoke", "gamma==1.0", "--reason", "stolen key", "--yes"])
        .expect(0);
    (daemon, upstream)
}

fn export(daemon: &Daemon, out: &Path) {
    daemon
        .cli(&["airgap", "export", out.to_str().unwrap(), "--as", "static"])
        .expect(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tree_has_the_daemons_own_pages_and_files() {
    let (daemon, _upstream) = site().await;
    let disk = tempfile::tempdir().unwrap();
    let (one, two) = (disk.path().join("one"), disk.path().join("two"));
    export(&daemon, &one);
    export(&daemon, &two);
    let same = run(Command::new("diff").arg("-r").arg(&one).arg(&two));
    assert_eq!(
        (same.status, same.stdout.as_str()),
        (0, ""),
        "the same bytes each time"
    );
    run(Command::new("sha256sum")
        .args(["--check", "--quiet", "--strict", "SHA256SUMS"])
        .current_dir(&one))
    .expect(0);

    for project in ["alpha", "beta"] {
        let json = daemon.page(project);
        let written: serde_json::Value =
            serde_json::from_slice(&fs::read(one.join("simple").join(project).join("index.json")).unwrap())
                .unwrap();
        assert_eq!(written, json, "{project}");
        let html = daemon.request("GET", &format!("/simple/{project}/"), &[("Accept", "text/html")]);
        assert_eq!(
            fs::read_to_string(one.join("simple").join(project).join("index.html")).unwrap(),
            html.text(),
            "{project}"
        );
        for file in json["files"].as_array().unwrap() {
            let path = file["url"].as_str().unwrap().strip_prefix("../../").unwrap();
            let plain = path.replace("%2B", "+");
            assert_eq!(
                fs::read(one.join(&plain)).unwrap(),
                daemon.get(&format!("/{path}")).body
            );
            assert_eq!(
                fs::read(one.join(format!("{plain}.metadata"))).unwrap(),
                daemon.get(&format!("/{path}.metadata")).body
            );
        }
    }
    let all: Vec<String> = fs::read_dir(one.join("simple"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert!(
        !all.contains(&"gamma".to_owned()),
        "what was revoked stays out: {all:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn pip_and_uv_install_from_nginx() {
    let (daemon, _upstream) = site().await;
    let disk = tempfile::tempdir().unwrap();
    let tree = disk.path().join("tree");
    export(&daemon, &tree);
    let Some(nginx) = Nginx::serve(&tree) else { return };
    let page = raw::request(&nginx.address, "GET", "/simple/alpha/", &[], b"");
    assert_eq!(page.status, 200, "{page}");
    assert!(page.header("content-type").starts_with("text/html"), "{page}");
    let home = disk.path();
    if let Some(pip) = client("pip-new", "pip") {
        pip_install(&pip, home, &nginx.index(), &home.join("by-pip"), &["alpha"]).expect(0);
        // 1.1 is yanked; the plus in beta's version went through the address.
        assert!(home.join("by-pip/alpha-1.0.dist-info").is_dir());
        assert!(home.join("by-pip/beta-1.0+local.1.dist-info").is_dir());
        let refused = pip_install(&pip, home, &nginx.index(), &home.join("none"), &["gamma"]);
        assert_ne!(refused.status, 0, "{refused}");
    }
    if let Some(uv) = client("uv", "uv") {
        uv_install(&uv, home, &nginx.index(), &home.join("by-uv"), &["alpha"]).expect(0);
        assert!(home.join("by-uv/alpha-1.0.dist-info").is_dir());
    }
    // Without any server, over the file system.
    if let Some(pip) = client("pip-new", "pip") {
        let index = format!("file://{}/simple/", tree.display());
        pip_install(&pip, home, &index, &home.join("by-file"), &["alpha"]).expect(0);
        assert!(home.join("by-file/alpha-1.0.dist-info").is_dir());
    }
}
