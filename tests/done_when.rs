//! Promise: a wheel that is signed, that has a bill of materials and that its source gives again bit for bit is admitted
//! under `strict`; the same wheel with one byte changed, with somebody else's attestation, with a `.pth` slipped in, or
//! with a malware advisory that came later, is not, and one screen says why.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::builds::Built;
use support::daemon::{Daemon, DaemonOptions};
use support::release::{Release, cyclonedx};
use support::sigstore::{Instance, Signer, github, provenance};
use support::upstream::{FakeFile, FakeUpstream};

const REPOSITORY: &str = "acme/demo";
const WORKFLOW: &str = "release.yml";
const WHEEL: &str = "demo-1.0-py3-none-any.whl";

/// Longer than a rebuild of a file or two takes on a busy machine.
const PATIENCE: Duration = Duration::from_mins(3);

/// A mirror under `strict` that trusts one Sigstore instance of our own, and an upstream with one release.
struct Site {
    daemon: Daemon,
    folder: tempfile::TempDir,
    wheel: FakeFile,
    _upstream: FakeUpstream,
}

/// What every site of this test has in common.
struct Publisher {
    instance: Instance,
    built: Built,
}

impl Publisher {
    fn new() -> Self {
        Self {
            instance: Instance::new(),
            built: Built::new("demo", "1.0"),
        }
    }

    /// The honest wheel.
    fn wheel(&self) -> FakeFile {
        let (name, bytes) = self.built.wheel();
        assert_eq!(name, WHEEL);
        FakeFile::new(&name, bytes)
    }

    /// What its trusted publisher signs: a name and bytes.
    fn signs(&self, filename: &str, bytes: &[u8]) -> Vec<u8> {
        let signer = Signer::github(REPOSITORY, WORKFLOW);
        let attestation = self.instance.attest(&signer, filename, bytes);
        provenance(&github(REPOSITORY, WORKFLOW), &[attestation])
    }

    /// A site whose upstream publishes this wheel.
    async fn site(&self, wheel: FakeFile) -> Site {
        let upstream = FakeUpstream::start().await;
        let (name, bytes) = self.built.sdist();
        upstream.add(FakeFile::new(&name, bytes));
        upstream.add(wheel.clone());
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("trusted_root.json");
        std::fs::write(&root, self.instance.trusted_root()).unwrap();
        let config = format!(
            "[policy]\nprofile = \"strict\"\n[trust]\npublic_good = false\nroots = [{{ name = \"ours\", file = {:?} }}]\n\
             [[publisher]]\nproject = \"demo\"\nkind = \"github\"\nrepository = \"{REPOSITORY}\"\n",
            root.to_str().unwrap()
        );
        let options = DaemonOptions::on_demand(&upstream.index_url()).config(&config);
        Site {
            daemon: Daemon::start(options),
            folder,
            wheel,
            _upstream: upstream,
        }
    }
}

impl Site {
    fn file(&self) -> Value {
        self.daemon
            .admin("GET", &format!("/api/v1/files/{}", self.wheel.sha256), b"")
            .json()
    }

    fn verdict(&self) -> Value {
        self.daemon
            .admin(
                "GET",
                &format!("/api/v1/files/{}/verdict", self.wheel.sha256),
                b"",
            )
            .json()
    }

    fn written(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    /// Brings the release in, and gives the wheel the operator's bill.
    fn brought_in(&self) {
        self.daemon.cli(&["ingest", "demo==1.0"]);
        let bill = self.written("demo.cdx.json", &cyclonedx("demo", "1.0"));
        self.daemon
            .cli(&["attach", WHEEL, "--sbom", bill.to_str().unwrap()]);
    }

    /// Looks until the file's state is settled: nothing about it waits.
    #[track_caller]
    fn settled(&self) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let verdict = self.verdict();
            let reasons = verdict["reasons"].as_array().cloned().unwrap_or_default();
            if !reasons.iter().any(|reason| reason["code"] == "rebuild-pending") {
                return self.file();
            }
            assert!(Instant::now() < deadline, "its rebuild never ended: {verdict:#}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// What is not served, is not served by any way.
    #[track_caller]
    fn assert_denied(&self) {
        let answer = self.daemon.get(&format!("/files/{}/{WHEEL}", self.wheel.sha256));
        assert_eq!(answer.status, 403, "{answer}");
        assert!(answer.reason.contains(WHEEL), "{}", answer.reason);
        assert!(answer.reason.contains("to do: "), "{}", answer.reason);
        assert_eq!(answer.header("content-type"), "application/problem+json");
        let page = self.daemon.get("/simple/demo/");
        assert!(!page.text().contains(&self.wheel.sha256), "{page}");
    }

    /// One screen, with the check, the fact and what to do.
    #[track_caller]
    fn assert_explained(&self, words: &[&str]) {
        let said = self.daemon.cli(&["explain", WHEEL]).expect(0).stdout;
        assert!(
            said.lines().count() <= 40,
            "{} lines:\n{said}",
            said.lines().count()
        );
        for line in said.lines() {
            assert!(line.chars().count() <= 100, "{line}");
        }
        for word in words {
            assert!(said.contains(word), "`{word}` is missing in:\n{said}");
        }
    }

    /// The wheels that a replay does not admit.
    fn replayed(&self) -> Vec<String> {
        let replay = self.daemon.cli_json(&["policy", "replay"]);
        let files = replay["files"].as_array().unwrap();
        files
            .iter()
            .filter(|file| file["now"] != "admit")
            .map(|file| file["filename"].as_str().unwrap().to_owned())
            .filter(|name| name == WHEEL)
            .collect()
    }
}

fn outcomes(verdict: &Value) -> Vec<(String, String)> {
    let checks = verdict["checks"].as_array().unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    checks
        .iter()
        .map(|check| (text(&check["check"]), text(&check["outcome"])))
        .collect()
}

fn outcome(verdict: &Value, check: &str) -> String {
    let all = outcomes(verdict);
    all.into_iter().find(|(name, _)| name == check).unwrap().1
}

#[tokio::test(flavor = "multi_thread")]
async fn an_honest_wheel_is_admitted_with_four_passes_and_falls_when_it_turns_out_to_be_malware() {
    let publisher = Publisher::new();
    let mut wheel = publisher.wheel();
    wheel.provenance = Some(publisher.signs(WHEEL, &wheel.bytes).into());
    let site = publisher.site(wheel).await;
    site.brought_in();
    let file = site.settled();
    let verdict = site.verdict();
    assert_eq!(file["state"], "admitted", "{verdict:#}");
    for check in ["signature", "sbom", "hashes", "reproducibility", "structure"] {
        assert_eq!(outcome(&verdict, check), "pass", "{check}: {verdict:#}");
    }
    let level = verdict["checks"]
        .as_array()
        .unwrap()
        .iter()
        .find(|check| check["check"] == "reproducibility")
        .unwrap()["facts"]["level"]
        .clone();
    assert_eq!(level, "bit");
    let served = site.daemon.get(&format!("/files/{}/{WHEEL}", site.wheel.sha256));
    assert_eq!(served.body, site.wheel.bytes);
    site.assert_explained(&[
        "is served",
        "signature",
        "https://github.com/acme/demo",
        "level bit",
    ]);
    assert_eq!(site.replayed(), Vec::<String>::new());

    let record = json!({
        "schema_version": "1.6.0", "id": "MAL-2026-4711", "modified": "2026-11-20T10:00:00Z",
        "published": "2026-11-20T10:00:00Z", "summary": "demo sends tokens to a stranger",
        "affected": [{ "package": { "ecosystem": "PyPI", "name": "demo" }, "versions": ["1.0"] }],
    });
    let database = site.folder.path().join("osv");
    std::fs::create_dir(&database).unwrap();
    std::fs::write(database.join("MAL-2026-4711.json"), record.to_string()).unwrap();
    let loaded = site
        .daemon
        .cli(&["advisories", "load", database.to_str().unwrap()]);
    let deadline = Instant::now() + PATIENCE;
    while site.file()["state"] == "admitted" {
        assert!(Instant::now() < deadline, "it is still served: {loaded}");
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(site.file()["state"], "revoked");
    site.assert_denied();
    site.assert_explained(&[
        "is not served",
        "MAL-2026-4711",
        "demo sends tokens to a stranger",
        "MALWARE",
        "admitted",
    ]);
    let history = site.verdict()["history"].as_array().unwrap().clone();
    let decisions: Vec<&str> = history
        .iter()
        .filter_map(|past| past["decision"].as_str())
        .collect();
    assert!(
        decisions.contains(&"admit") && decisions.last() == Some(&"refuse"),
        "{history:#?}"
    );
    assert_eq!(site.replayed(), [WHEEL]);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_byte_changed_is_refused() {
    let publisher = Publisher::new();
    let honest = publisher.wheel();
    // In the text of the module: the archive opens, and its records do not agree any more.
    let mut bytes = honest.bytes.to_vec();
    let at = bytes
        .windows(11)
        .position(|part| part == b"__version__")
        .expect("the module is stored as it is");
    bytes[at + 15] ^= 1;
    // Whoever changed it changed the index with it.
    let mut changed = FakeFile::new(WHEEL, bytes);
    changed.provenance = Some(publisher.signs(WHEEL, &honest.bytes).into());
    let site = publisher.site(changed).await;
    site.daemon.cli(&["ingest", "demo==1.0"]);
    assert_eq!(site.file()["state"], "refused");
    site.assert_denied();
    site.assert_explained(&["is not served", "structure", "fail"]);

    // Whoever could not change the index.
    let promised = FakeFile {
        sha256: honest.sha256.clone(),
        ..site.wheel.clone()
    };
    let lied_to = publisher.site(promised).await;
    let answer = lied_to.daemon.get(&format!("/files/{}/{WHEEL}", honest.sha256));
    assert_eq!(answer.status, 403, "{answer}");
    let offline = lied_to.written(WHEEL, &site.wheel.bytes);
    let said = lied_to
        .daemon
        .local_cli(&["verify", offline.to_str().unwrap()])
        .expect(1);
    assert!(said.stdout.contains("structure       fail"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_projects_attestation_is_refused() {
    let publisher = Publisher::new();
    let mut wheel = publisher.wheel();
    let other = Release::new("other", "1.0").wheel();
    wheel.provenance = Some(publisher.signs(&other.filename, &other.bytes).into());
    let site = publisher.site(wheel).await;
    site.daemon.cli(&["ingest", "demo==1.0"]);
    assert_eq!(site.file()["state"], "refused");
    assert_eq!(outcome(&site.verdict(), "signature"), "fail");
    site.assert_denied();
    site.assert_explained(&["is not served", "signature", "wrong-", &other.filename]);
}

#[tokio::test(flavor = "multi_thread")]
async fn start_up_code_that_is_not_in_the_source_is_kept_out() {
    let publisher = Publisher::new();
    // Signed by the right publisher: a stolen workflow signs what it is given.
    let mut wheel = Release::new("demo", "1.0")
        .slipped_in("demo.pth", b"import os; os.getcwd()\n")
        .wheel();
    wheel.provenance = Some(publisher.signs(WHEEL, &wheel.bytes).into());
    let site = publisher.site(wheel).await;
    site.brought_in();
    let state = site.settled()["state"].clone();
    assert!(
        state == "quarantined" || state == "refused",
        "{state}: {:#}",
        site.verdict()
    );
    assert_eq!(outcome(&site.verdict(), "signature"), "pass");
    site.assert_denied();
    site.assert_explained(&["is not served", "demo.pth", "reproducibility"]);
    assert_eq!(site.replayed(), [WHEEL]);
}
