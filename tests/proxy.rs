//! Promise: behind `chiron proxy` an unmodified pip or uv gets signed bytes and nothing else, from a daemon that has what was
//! ingested and from one that works on demand.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::io::{Read as _, Write as _};
use std::path::Path;

use chiron_storage::Digest;
use serde_json::Value;

use support::clients::{client, imported_version, pip_install, uv_install};
use support::daemon::{CHIRON, Daemon, DaemonOptions, Output, command, run};
use support::man_in_the_middle::{ManInTheMiddle, Meddle};
use support::proxy::{Proxy, arguments, root_of};
use support::upstream::{FakeFile, FakeUpstream};
use support::wheels::{lying_wheel, pin, wheel};

/// `app` needs `lib>=2` and `lib` needs `base`.
fn closure() -> Vec<FakeFile> {
    vec![
        wheel("chirontest-app", "1.0", &["chirontest-lib>=2"]),
        wheel("chirontest-lib", "1.0", &[]),
        wheel("chirontest-lib", "2.1", &["chirontest-base"]),
        wheel("chirontest-base", "3.0", &[]),
    ]
}

async fn index() -> FakeUpstream {
    let upstream = FakeUpstream::start().await;
    for file in closure() {
        upstream.add(file);
    }
    upstream
}

/// A daemon that has the closure and asks nobody for more.
async fn curated() -> Daemon {
    let upstream = index().await;
    let daemon = Daemon::start(DaemonOptions::curated(&upstream.index_url()));
    daemon
        .cli(&["ingest", "chirontest-app", "chirontest-lib", "chirontest-base"])
        .expect(0);
    daemon
}

/// `None` where the installer is not there.
type Install = fn(&Proxy, &Path, &[&str]) -> Option<Output>;

fn pip(proxy: &Proxy, into: &Path, what: &[&str]) -> Option<Output> {
    let pip = client("pip-new", "pip")?;
    Some(pip_install(&pip, proxy.home(), &proxy.index_url(), into, what))
}

fn uv(proxy: &Proxy, into: &Path, what: &[&str]) -> Option<Output> {
    let uv = client("uv", "uv")?;
    Some(uv_install(&uv, proxy.home(), &proxy.index_url(), into, what))
}

#[track_caller]
fn all_installed(into: &Path, output: &Output) {
    assert_eq!(output.status, 0, "{output}");
    assert_eq!(imported_version(into, "chirontest_app"), "1.0");
    assert_eq!(imported_version(into, "chirontest_lib"), "2.1");
    assert_eq!(imported_version(into, "chirontest_base"), "3.0");
}

fn path_of(file: &FakeFile) -> String {
    format!("/files/{}/{}", file.sha256, file.filename)
}

/// What `chiron tuf verify` says of targets of a repository.
fn verified(upstream: &str, root: &Path, targets: &[String]) -> Value {
    let mut verify = command(["tuf", "verify", upstream, "--format", "json", "--root"]);
    verify.arg(root);
    for target in targets {
        verify.args(["--target", target]);
    }
    run(&mut verify).expect(0).json()
}

#[tokio::test(flavor = "multi_thread")]
async fn pip_and_uv_install_what_was_ingested() {
    let daemon = curated().await;
    let proxy = Proxy::before(&daemon, &[]);
    let installers: [Install; 2] = [pip, uv];
    for (n, install) in installers.into_iter().enumerate() {
        let into = proxy.home().join(format!("into-{n}"));
        if let Some(output) = install(&proxy, &into, &["chirontest-app"]) {
            all_installed(&into, &output);
        }
        let pins = proxy.home().join("requirements.txt");
        let lines: Vec<String> = closure()
            .iter()
            .filter(|f| !f.filename.contains("lib-1.0"))
            .map(pin)
            .collect();
        std::fs::write(&pins, lines.join("\n") + "\n").unwrap();
        let into = proxy.home().join(format!("pinned-{n}"));
        let what = ["--require-hashes", "-r", pins.to_str().unwrap()];
        if let Some(output) = install(&proxy, &into, &what) {
            all_installed(&into, &output);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_is_the_signed_target_byte_for_byte() {
    let daemon = curated().await;
    let proxy = Proxy::before(&daemon, &[]);
    let page = proxy.page("chirontest-lib");
    assert_eq!(page.status, 200, "{page}");
    assert_eq!(page.header("content-type"), "application/vnd.pypi.simple.v1+json");
    assert_eq!(page.header("cache-control"), "no-cache");
    let signed = verified(
        daemon.base(),
        &root_of(&daemon),
        &["simple/chirontest-lib/index.json".to_owned()],
    );
    assert_eq!(signed["targets"][0]["sha256"], Digest::of(&page.body).to_string());

    let etag = page.header("etag").to_owned();
    let json = ("Accept", "application/vnd.pypi.simple.v1+json");
    let again = proxy.get("/simple/chirontest-lib/", &[json, ("If-None-Match", &etag)]);
    assert_eq!(again.status, 304, "{again}");
    let html = proxy.get("/simple/chirontest-lib/", &[("Accept", "text/html")]);
    assert!(html.header("content-type").starts_with("text/html"), "{html}");
    assert!(
        html.text().contains("chirontest_lib-2.1-py3-none-any.whl"),
        "{html}"
    );

    assert_eq!(proxy.page("chirontest-nothing").status, 404);
    let moved = proxy.get("/simple/ChironTest.Lib/", &[]);
    assert_eq!(
        (moved.status, moved.header("location")),
        (301, "/simple/chirontest-lib/")
    );
    let list = proxy.get("/simple/", &[json]).json();
    let names: Vec<&str> = list["projects"]
        .as_array()
        .unwrap()
        .iter()
        .map(|p| p["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["chirontest-app", "chirontest-base", "chirontest-lib"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn files_come_in_ranges_with_their_metadata() {
    let daemon = curated().await;
    let proxy = Proxy::before(&daemon, &[]);
    let file = wheel("chirontest-lib", "2.1", &["chirontest-base"]);
    let whole = proxy.get(&path_of(&file), &[]);
    assert_eq!(
        (whole.status, whole.body.as_slice()),
        (200, &file.bytes[..]),
        "{whole}"
    );
    assert_eq!(
        whole.header("cache-control"),
        "public, max-age=365000000, immutable"
    );
    let part = proxy.get(
        &path_of(&file),
        &[("Range", "bytes=10-19"), ("If-Range", whole.header("etag"))],
    );
    assert_eq!(
        (part.status, part.body.as_slice()),
        (206, &file.bytes[10..20]),
        "{part}"
    );
    let beyond = proxy.get(&path_of(&file), &[("Range", "bytes=99999999-")]);
    assert_eq!(beyond.status, 416, "{beyond}");
    let metadata = proxy.get(&format!("{}.metadata", path_of(&file)), &[]);
    assert_eq!(
        (metadata.status, metadata.body.as_slice()),
        (200, &file.metadata.unwrap()[..]),
        "{metadata}"
    );
    let verdict = proxy.get(
        &format!("{}.verdict.json", path_of(&wheel("chirontest-base", "3.0", &[]))),
        &[],
    );
    assert_eq!(verdict.json()["decision"], "admit", "{verdict}");
    let other = proxy.get(&format!("/files/{}/{}", "0".repeat(64), file.filename), &[]);
    assert_eq!(other.status, 403, "{other}");
    assert!(other.reason.contains("signed with other content"), "{other}");
    for nothing in [
        "/files/xyz/a-1.0.tar.gz",
        "/files/x",
        "/tuf/metadata/timestamp.json",
        "/api/v1/status",
    ] {
        assert_eq!(proxy.get(nothing, &[]).status, 404, "{nothing}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_says_what_it_has_verified() {
    let daemon = curated().await;
    let proxy = Proxy::before(&daemon, &[]);
    assert_eq!(proxy.get("/healthz", &[]).status, 200);
    let ready = proxy.readyz();
    assert_eq!(ready["ready"], true, "{ready}");
    assert_eq!(ready["verified"]["root"], 1, "{ready}");
    assert!(ready["log_size"].as_u64().unwrap() > 0, "{ready}");
    assert!(proxy.stderr().contains("verified: root 1"), "{}", proxy.stderr());

    drop(daemon);
    let unready = proxy.get("/readyz", &[]);
    assert_eq!(
        (unready.status, &unready.json()["ready"]),
        (503, &Value::from(false)),
        "{unready}"
    );
    assert_eq!(
        unready.json()["verified"]["root"],
        1,
        "what was verified last is still shown"
    );
    assert_eq!(proxy.get("/healthz", &[]).status, 200);
    let page = proxy.page("chirontest-lib");
    assert_eq!(page.status, 503, "{page}");
    assert!(page.reason.contains("upstream could not be asked"), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_candidate_is_judged_and_published_before_it_is_handed_out() {
    let upstream = index().await;
    let daemon = Daemon::start(DaemonOptions::on_demand(&upstream.index_url()));
    let proxy = Proxy::before(&daemon, &[]);
    let before = proxy.page("chirontest-lib").json();
    for row in before["files"].as_array().unwrap() {
        assert_eq!(row["_chiron"], "candidate", "{row}");
        assert!(
            row.get("core-metadata").is_none(),
            "unverified metadata is not offered: {row}"
        );
        assert!(row["url"].as_str().unwrap().starts_with("../../files/"), "{row}");
    }
    let installers: [Install; 2] = [pip, uv];
    let mut installed = false;
    for (n, install) in installers.into_iter().enumerate() {
        let into = proxy.home().join(format!("into-{n}"));
        if let Some(output) = install(&proxy, &into, &["chirontest-app"]) {
            all_installed(&into, &output);
            installed = true;
        }
    }
    if !installed {
        return;
    }
    let after = proxy.page("chirontest-lib").json();
    let row = |version: &str| {
        let files = after["files"].as_array().unwrap();
        let name = format!("chirontest_lib-{version}-");
        files
            .iter()
            .find(|row| row["filename"].as_str().unwrap().starts_with(&name))
            .unwrap()
            .clone()
    };
    assert!(row("2.1").get("_chiron").is_none(), "{after}");
    assert!(row("2.1").get("core-metadata").is_some(), "{after}");
    assert_eq!(row("1.0")["_chiron"], "candidate", "nobody asked for it: {after}");
    verified(
        daemon.base(),
        &root_of(&daemon),
        &["files/chirontest-lib/chirontest_lib-2.1-py3-none-any.whl".to_owned()],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_candidate_that_is_refused_is_refused_with_the_daemons_reason() {
    let upstream = FakeUpstream::start().await;
    let bad = lying_wheel("chirontest-bad", "1.0");
    upstream.add(bad.clone());
    let daemon = Daemon::start(DaemonOptions::on_demand(&upstream.index_url()));
    let proxy = Proxy::before(&daemon, &[]);
    let refused = proxy.get(&path_of(&bad), &[]);
    assert_eq!(refused.status, 403, "{refused}");
    assert!(refused.reason.contains("was refused by this index"), "{refused}");
    assert_eq!(refused.header("content-type"), "application/problem+json");
    let into = proxy.home().join("into");
    if let Some(output) = pip(&proxy, &into, &["chirontest-bad==1.0"]) {
        assert_ne!(output.status, 0, "{output}");
        assert!(!into.join("chirontest_bad").exists());
    }
    let unknown = proxy.get(
        &format!("/files/{}/chirontest_none-1.0.tar.gz", "a".repeat(64)),
        &[],
    );
    assert_eq!(unknown.status, 403, "{unknown}");
    assert!(unknown.reason.contains("not signed"), "{unknown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn signed_only_leaves_candidates_out_and_asks_for_none() {
    let upstream = index().await;
    let daemon = Daemon::start(DaemonOptions::on_demand(&upstream.index_url()));
    daemon.cli(&["ingest", "chirontest-lib==2.1"]).expect(0);
    daemon.cli(&["tuf", "publish"]).expect(0);
    let middle = ManInTheMiddle::before(daemon.base()).await;
    let proxy = Proxy::start(&root_of(&daemon), &middle.base(), None, &["--signed-only"]);
    let page = proxy.page("chirontest-lib").json();
    assert_eq!(page["files"].as_array().unwrap().len(), 1, "{page}");
    assert_eq!(proxy.page("chirontest-app").status, 404);
    let refused = proxy.get(&path_of(&closure()[0]), &[]);
    assert_eq!(refused.status, 403, "{refused}");
    let asked = middle.asked();
    assert!(asked.iter().all(|path| path.starts_with("/tuf/")), "{asked:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_file_is_refused_at_once_although_it_is_kept() {
    let daemon = curated().await;
    let proxy = Proxy::before(&daemon, &[]);
    let file = wheel("chirontest-base", "3.0", &[]);
    assert_eq!(proxy.get(&path_of(&file), &[]).status, 200);
    daemon
        .cli(&["revoke", &file.filename, "--reason", "malware after all", "--yes"])
        .expect(0);
    let refused = proxy.get(&path_of(&file), &[]);
    assert_eq!(refused.status, 403, "{refused}");
    let page = proxy.page("chirontest-base");
    assert!(!page.text().contains(&file.filename), "{page}");
    daemon
        .cli(&["restore", &file.filename, "--reason", "an error", "--yes"])
        .expect(0);
    assert_eq!(proxy.get(&path_of(&file), &[]).status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_unsigned_routes_send_reaches_nobody() {
    let upstream = index().await;
    let daemon = Daemon::start(DaemonOptions::on_demand(&upstream.index_url()));
    let middle = ManInTheMiddle::before(daemon.base()).await;
    let proxy = Proxy::start(&root_of(&daemon), &middle.base(), None, &[]);
    let evil = wheel("chirontest-base", "6.6", &[]);
    middle.meddle("/files/", Meddle::Swap(evil.bytes.to_vec()));
    let good = wheel("chirontest-base", "3.0", &[]);
    let file = proxy.get(&path_of(&good), &[]);
    // He answered for the gate, so the daemon never judged it: it is not published, and not handed out.
    assert_ne!(file.status, 200, "{file}");
    middle.relent();
    let file = proxy.get(&path_of(&good), &[]);
    assert_eq!(
        (file.status, file.body.as_slice()),
        (200, &good.bytes[..]),
        "{file}"
    );
    middle.meddle(
        ".metadata",
        Meddle::Swap(b"Metadata-Version: 2.1\nName: evil\nVersion: 1\n".to_vec()),
    );
    let metadata = proxy.get(&format!("{}.metadata", path_of(&good)), &[]);
    assert_eq!(metadata.status, 403, "{metadata}");
    assert!(metadata.reason.contains("was changed"), "{metadata}");
    assert!(metadata.text().contains("is signed"), "{metadata}");
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_who_want_one_file_cost_one_fetch() {
    let daemon = curated().await;
    let middle = ManInTheMiddle::before(daemon.base()).await;
    let proxy = Proxy::start(&root_of(&daemon), &middle.base(), None, &[]);
    let file = wheel("chirontest-app", "1.0", &["chirontest-lib>=2"]);
    middle.asked();
    let (addr, path) = (proxy.addr().to_owned(), path_of(&file));
    let clients: Vec<_> = (0..50)
        .map(|_| {
            let (addr, path) = (addr.clone(), path.clone());
            std::thread::spawn(move || support::raw::request(&addr, "GET", &path, &[], b""))
        })
        .collect();
    for client in clients {
        let answer = client.join().unwrap();
        assert_eq!(
            (answer.status, answer.body.as_slice()),
            (200, &file.bytes[..]),
            "{answer}"
        );
    }
    let fetched = middle
        .asked()
        .iter()
        .filter(|path| path.contains("/tuf/targets/files/"))
        .count();
    assert_eq!(fetched, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_another_host_cannot_read_through_it() {
    let daemon = Daemon::start(DaemonOptions::alone());
    let proxy = Proxy::before(&daemon, &[]);
    let mut stream = std::net::TcpStream::connect(proxy.addr()).unwrap();
    stream
        .write_all(b"GET /simple/ HTTP/1.1\r\nHost: rebound.example:8090\r\nConnection: close\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 421 "), "{answer}");
    assert_eq!(proxy.get("/simple/", &[]).status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_it_cannot_start_with_is_said() {
    let daemon = Daemon::start(DaemonOptions::alone());
    let home = tempfile::tempdir().unwrap();
    let state = home.path().join("state");
    let missing = run(&mut arguments(
        &home.path().join("none.json"),
        daemon.base(),
        &state,
        &[],
    ))
    .expect(2);
    assert!(missing.stderr.contains("cannot read the root"), "{missing}");
    let no_root = home.path().join("no-root.json");
    std::fs::write(&no_root, "{}").unwrap();
    let wrong = run(&mut arguments(&no_root, daemon.base(), &state, &[])).expect(1);
    assert!(
        wrong.stderr.contains("the root that was given is refused"),
        "{wrong}"
    );
    let forged = home.path().join("forged.json");
    let text = std::fs::read_to_string(root_of(&daemon)).unwrap();
    std::fs::write(&forged, text.replace("\"version\":1", "\"version\":2")).unwrap();
    let wrong = run(&mut arguments(&forged, daemon.base(), &state, &[])).expect(1);
    assert!(wrong.stderr.contains("0 of the 1 signatures"), "{wrong}");
    let help = run(std::process::Command::new(CHIRON).args(["proxy", "--help"])).expect(0);
    assert!(
        help.stdout.contains("--root") && help.stdout.contains("--signed-only"),
        "{help}"
    );
}
