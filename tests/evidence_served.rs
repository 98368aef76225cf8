//! Promise: what is known of a file is served beside it: its provenance byte for byte, its bill of materials, its
//! verdict, signed too; and every judgment of it stays to be read.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use chiron::statement::{Envelope, PublicKey, open};
use serde_json::{Value, json};
use support::daemon::{Daemon, DaemonOptions};
use support::raw::PIP_ACCEPT;
use support::release::{Release, cyclonedx, spdx};
use support::upstream::{FakeFile, FakeUpstream, file_path, provenance_path};

/// Spelled as no serialiser would: served as it came, or not as upstream's.
const PROVENANCE: &[u8] = b"{\"version\":1,\n\t\"attestation_bundles\": [ ] }\n";

/// Everything is looked at and nothing but structure and hashes keeps a file out.
const AUDIT: &str = "[policy]\nprofile = \"audit\"";

fn beside(file: &FakeFile, suffix: &str) -> String {
    format!("/files/{}/{}{suffix}", file.sha256, file.filename)
}

fn integrity(file: &FakeFile) -> String {
    format!("/integrity/demo/1.0/{}/provenance", file.filename)
}

fn attested(release: &Release) -> FakeFile {
    let mut file = release.wheel();
    file.provenance = Some(PROVENANCE.into());
    file
}

async fn mirror(files: &[FakeFile]) -> (FakeUpstream, Daemon) {
    let upstream = FakeUpstream::start().await;
    for file in files {
        upstream.add(file.clone());
    }
    let daemon = Daemon::start(DaemonOptions::on_demand(&upstream.index_url()).config(AUDIT));
    (upstream, daemon)
}

/// Ends the test unless both addresses serve the provenance as it came.
#[track_caller]
fn assert_provenance(daemon: &Daemon, file: &FakeFile) {
    for path in [beside(file, ".provenance"), integrity(file)] {
        let answer = daemon.get(&path);
        assert_eq!(answer.status, 200, "{path}: {answer}");
        assert_eq!(answer.body, PROVENANCE, "{path}");
        assert_eq!(
            answer.header("content-type"),
            "application/vnd.pypi.integrity.v1+json",
            "{path}"
        );
        let etag = answer.header("etag").to_owned();
        assert!(!etag.is_empty(), "{path}");
        let again = daemon.request("GET", &path, &[("If-None-Match", &etag)]);
        assert_eq!((again.status, again.body.len()), (304, 0), "{path}");
        let head = daemon.request("HEAD", &path, &[]);
        assert_eq!((head.status, head.body.len()), (200, 0), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_candidates_provenance_is_served_before_the_file_is_fetched() {
    let file = attested(&Release::new("demo", "1.0"));
    let (upstream, daemon) = mirror(std::slice::from_ref(&file)).await;
    assert_provenance(&daemon, &file);
    assert_eq!(upstream.count(&file_path(&file.filename)), 0);
    assert!(upstream.count(&provenance_path(&file.filename)) >= 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_kept_with_a_file_is_served_without_asking_upstream() {
    let file = attested(&Release::new("demo", "1.0"));
    let (upstream, daemon) = mirror(std::slice::from_ref(&file)).await;
    assert_eq!(daemon.get(&beside(&file, "")).body, file.bytes);
    upstream.forget_requests();
    assert_provenance(&daemon, &file);
    assert_eq!(upstream.count(&provenance_path(&file.filename)), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_index_names_a_provenance_where_there_is_one() {
    let with = attested(&Release::new("demo", "1.0"));
    let without = Release::new("demo", "2.0").wheel();
    let (_upstream, daemon) = mirror(&[with.clone(), without.clone()]).await;
    let links = |daemon: &Daemon| {
        let json = daemon.page("demo");
        let html = daemon.get("/simple/demo/").text();
        let named: Vec<(String, Value)> = json["files"]
            .as_array()
            .unwrap()
            .iter()
            .map(|file| {
                (
                    file["filename"].as_str().unwrap().to_owned(),
                    file["provenance"].clone(),
                )
            })
            .collect();
        (named, html)
    };
    for fetched in [false, true] {
        if fetched {
            for file in [&with, &without] {
                assert_eq!(daemon.get(&beside(file, "")).status, 200);
            }
        }
        let (named, html) = links(&daemon);
        for (filename, link) in named {
            if filename == with.filename {
                let link = link.as_str().expect("a link");
                assert!(html.contains(&format!("data-provenance=\"{link}\"")), "{html}");
                // As an installer resolves it against the page's own address.
                let page = url::Url::parse(&format!("{}demo/", daemon.index_url())).unwrap();
                let target = page.join(link).unwrap();
                assert_eq!(daemon.get(target.path()).body, PROVENANCE, "{target}");
            } else {
                assert_eq!(link, Value::Null, "{filename}");
            }
        }
        assert_eq!(html.matches("data-provenance").count(), 1, "{html}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_there_is_no_provenance_the_integrity_api_says_so_in_its_own_words() {
    let file = Release::new("demo", "1.0").wheel();
    let (_upstream, daemon) = mirror(std::slice::from_ref(&file)).await;
    for path in [
        integrity(&file),
        // Another project's name, another version, no name at all: nothing to find under any of them.
        format!("/integrity/other/1.0/{}/provenance", file.filename),
        format!("/integrity/demo/2.0/{}/provenance", file.filename),
        "/integrity/demo/1.0/notes.txt/provenance".to_owned(),
    ] {
        let answer = daemon.get(&path);
        assert_eq!(answer.status, 404, "{path}: {answer}");
        let message = answer.json()["message"].as_str().unwrap().to_owned();
        assert!(
            message.starts_with("No provenance available for"),
            "{path}: {message}"
        );
    }
    assert_eq!(daemon.get(&beside(&file, ".provenance")).status, 404);
    assert_eq!(
        daemon
            .get(&integrity(&attested(&Release::new("demo", "9.0"))))
            .status,
        404
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_published_bill_is_served_as_it_came_and_another_is_written() {
    let bill = cyclonedx("demo", "1.0");
    let published = Release::new("demo", "1.0").sbom("demo.cdx.json", &bill).wheel();
    let other_format = Release::new("demo", "2.0")
        .sbom("demo.spdx.json", &spdx("demo", "2.0"))
        .wheel();
    let none = Release::new("demo", "3.0").wheel();
    let (_upstream, daemon) = mirror(&[published.clone(), other_format.clone(), none.clone()]).await;
    let first = daemon.get(&beside(&published, ".sbom.json"));
    assert_eq!(first.status, 200, "{first}");
    assert_eq!(first.body, bill);
    assert_eq!(first.header("content-type"), "application/vnd.cyclonedx+json");
    let second = daemon.get(&beside(&other_format, ".sbom.json"));
    assert_eq!(second.header("content-type"), "application/spdx+json", "{second}");

    let written = daemon.get(&beside(&none, ".sbom.json"));
    assert_eq!(written.status, 200, "{written}");
    assert_eq!(written.header("content-type"), "application/vnd.cyclonedx+json");
    let document = written.json();
    assert_eq!(document["bomFormat"], "CycloneDX");
    assert!(
        written.text().contains(&none.sha256),
        "it names the file's digest: {written}"
    );
    let verdict = daemon.get(&beside(&none, ".verdict.json")).json();
    let sbom = check(&verdict, "sbom");
    assert_eq!(
        sbom["outcome"], "absent",
        "what Chiron writes is no published bill: {sbom}"
    );
    assert_eq!(sbom["facts"]["origin"], "generated", "{sbom}");
}

fn check<'a>(verdict: &'a Value, name: &str) -> &'a Value {
    let checks = verdict["checks"].as_array().unwrap();
    checks.iter().find(|check| check["check"] == name).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_verdict_is_signed_with_the_key_that_is_published() {
    let file = Release::new("demo", "1.0").wheel();
    let (_upstream, daemon) = mirror(std::slice::from_ref(&file)).await;
    assert_eq!(daemon.get(&beside(&file, "")).status, 200);
    let pem = daemon.get("/keys/statement.pem");
    assert_eq!(pem.status, 200, "{pem}");
    let key = PublicKey::from_pem(&pem.text()).unwrap();
    let answer = daemon.get(&beside(&file, ".verdict.dsse.json"));
    assert_eq!(answer.status, 200, "{answer}");
    let envelope = Envelope::parse(&answer.body).unwrap();
    let opened = open(&envelope, std::slice::from_ref(&key)).unwrap();
    let statement = &opened.statement;
    assert_eq!(statement.subject[0].name, file.filename);
    let verdict = daemon.get(&beside(&file, ".verdict.json")).json();
    assert_eq!(statement.predicate, verdict);

    // One byte of the payload, and it is nobody's word.
    let mut forged: Value = answer.json();
    let payload = forged["payload"].as_str().unwrap().replacen('A', "B", 1);
    forged["payload"] = json!(payload);
    let forged = Envelope::parse(forged.to_string().as_bytes()).unwrap();
    assert!(open(&forged, &[key]).is_err());
    // The same verdict is the same document: a cache may keep it.
    assert_eq!(daemon.get(&beside(&file, ".verdict.dsse.json")).body, answer.body);
    assert_eq!(daemon.get(&beside(&file, ".statements.json")).status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_files_evidence_is_served_and_its_documents_are_not() {
    let bad = Release::new("demo", "1.0")
        .slipped_in("../escape.py", b"x")
        .wheel();
    let (_upstream, daemon) = mirror(std::slice::from_ref(&bad)).await;
    assert_eq!(daemon.get(&beside(&bad, "")).status, 403);
    let verdict = daemon.get(&beside(&bad, ".verdict.json"));
    assert_eq!(verdict.json()["decision"], "refuse", "{verdict}");
    for suffix in [".sbom.json", ".metadata", ".provenance"] {
        assert_eq!(daemon.get(&beside(&bad, suffix)).status, 403, "{suffix}");
    }
}

#[test]
fn documents_beside_a_file_come_along_and_are_kept() {
    let daemon = Daemon::start(DaemonOptions::alone());
    let release = Release::new("demo", "1.0");
    let (wheel, sdist) = (release.wheel(), release.sdist());
    let folder = tempfile::tempdir().unwrap();
    let bill = cyclonedx("demo", "1.0");
    for (name, bytes) in [
        (wheel.filename.clone(), wheel.bytes.as_ref()),
        (sdist.filename.clone(), sdist.bytes.as_ref()),
        (format!("{}.cdx.json", wheel.filename), &bill),
    ] {
        std::fs::write(folder.path().join(name), bytes).unwrap();
    }
    let path = folder.path().join(&wheel.filename);
    let said = daemon.cli(&["ingest", path.to_str().unwrap()]).expect(0);
    assert!(
        said.stdout.contains(&sdist.filename),
        "the sdist came along: {said}"
    );
    assert_eq!(daemon.get(&beside(&wheel, ".sbom.json")).body, bill);
    let verdict = daemon.get(&beside(&wheel, ".verdict.json")).json();
    assert_eq!(check(&verdict, "sbom")["outcome"], "pass");
    let source = check(&verdict, "reproducibility");
    assert_eq!(source["outcome"], "pass", "{source}");
    assert_eq!(source["facts"]["source"]["sha256"], sdist.sha256);
}

#[test]
fn an_attached_bill_lets_a_file_pass_and_both_judgments_stay() {
    let asks = "[policy]\nprofile = \"audit\"\n";
    let daemon = Daemon::start(DaemonOptions::alone().config(asks));
    let wheel = Release::new("demo", "1.0").wheel();
    daemon.put_file(&wheel.filename, &wheel.bytes);
    let before = daemon.get(&beside(&wheel, ".sbom.json"));
    assert_eq!(before.status, 200, "{before}");

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bill.json");
    std::fs::write(&path, cyclonedx("demo", "1.0")).unwrap();
    let dry = daemon
        .cli(&[
            "attach",
            &wheel.filename,
            "--sbom",
            path.to_str().unwrap(),
            "--dry-run",
        ])
        .expect(0);
    assert!(dry.stdout.contains("nothing was changed"), "{dry}");
    assert_eq!(daemon.get(&beside(&wheel, ".sbom.json")).body, before.body);

    daemon
        .cli(&["attach", &wheel.filename, "--sbom", path.to_str().unwrap()])
        .expect(0);
    assert_eq!(
        daemon.get(&beside(&wheel, ".sbom.json")).body,
        cyclonedx("demo", "1.0")
    );

    let verdict = daemon
        .admin("GET", &format!("/api/v1/files/{}/verdict", wheel.sha256), b"")
        .json();
    let history = verdict["history"].as_array().unwrap();
    assert_eq!(history.len(), 2, "{verdict:#}");
    assert!(history[0]["event"].as_u64() < history[1]["event"].as_u64());
    for past in history {
        let digest = past["verdict"].as_str().unwrap().strip_prefix("sha256:").unwrap();
        let stored = daemon.admin("GET", &format!("/api/v1/evidence/{digest}"), b"");
        assert_eq!(stored.json()["file"]["sha256"], wheel.sha256, "{stored}");
    }
    let attached = check(&verdict, "sbom")["facts"]["documents"][0]["digest"].clone();
    let digest = attached
        .as_str()
        .unwrap()
        .trim_start_matches("sha256:")
        .to_owned();
    let stored = daemon.admin("GET", &format!("/api/v1/evidence/{digest}"), b"");
    assert_eq!(
        stored.body,
        cyclonedx("demo", "1.0"),
        "any document can be read again"
    );
}

#[test]
fn a_document_that_waits_for_no_file_is_forgotten_and_a_missing_one_is_said() {
    let daemon = Daemon::start(DaemonOptions::alone());
    let wheel = Release::new("demo", "1.0").wheel();
    let nowhere = "0".repeat(64);
    let answer = daemon.admin(
        "PUT",
        &format!("/api/v1/ingest/{}?documents=sbom:{nowhere}", wheel.filename),
        &wheel.bytes,
    );
    assert_eq!(answer.status, 400, "{answer}");
    assert!(
        answer.json()["detail"]
            .as_str()
            .unwrap()
            .contains("/api/v1/documents")
    );
    assert_eq!(daemon.get("/simple/demo/").status, 404, "nothing was taken in");
    let empty = daemon.admin("POST", "/api/v1/documents", b"");
    assert_eq!(empty.status, 400, "{empty}");
    let unknown = daemon.admin(
        "POST",
        &format!("/api/v1/files/{}/documents?kind=novel", wheel.sha256),
        b"x",
    );
    assert_eq!(unknown.status, 400, "{unknown}");
}

#[test]
fn the_page_asks_for_json_as_installers_do() {
    let daemon = Daemon::start(DaemonOptions::alone());
    let wheel = Release::new("demo", "1.0").wheel();
    daemon.put_file(&wheel.filename, &wheel.bytes);
    let page = daemon
        .request("GET", "/simple/demo/", &[("Accept", PIP_ACCEPT)])
        .json();
    assert!(
        page["files"][0].get("provenance").is_none(),
        "absent, never null: {page}"
    );
}
