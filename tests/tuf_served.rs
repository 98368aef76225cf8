//! Promise: what the daemon serves under `/tuf/` is a whole signed repository over the admitted state, and in curated mode
//! `/simple/` serves the very bytes that the newest timestamp signs.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::io::Read as _;

use chiron_storage::Digest;
use serde_json::Value;
use support::daemon::{Daemon, DaemonOptions};
use support::raw::{Answer, PIP_ACCEPT};
use support::release::Release;
use support::signed::{custom, on_disk, served, target};
use support::upstream::FakeUpstream;
use support::wheels::{lying_wheel, wheel};

const FOR_EVER: &str = "public, max-age=365000000, immutable";

fn hand_in(daemon: &Daemon, project: &str, version: &str) -> support::upstream::FakeFile {
    let file = wheel(project, version, &[]);
    assert_eq!(
        daemon.put_file(&file.filename, &file.bytes)["outcome"],
        "admitted"
    );
    file
}

fn change(daemon: &Daemon, sha256: &str, change: &str) -> Answer {
    let path = format!("/api/v1/files/{sha256}/{change}");
    let answer = daemon.admin("POST", &path, br#"{"reason":"for the test"}"#);
    assert_eq!(answer.status, 200, "{answer}");
    answer
}

fn json_page(daemon: &Daemon, project: &str) -> Answer {
    daemon.request("GET", &format!("/simple/{project}/"), &[("Accept", PIP_ACCEPT)])
}

#[test]
fn an_empty_data_folder_becomes_a_signed_repository_by_itself() {
    let daemon = Daemon::start(DaemonOptions::alone());
    let whole = served(&daemon).unwrap();
    assert_eq!(
        [
            whole.version("root"),
            whole.version("targets"),
            whole.version("trust")
        ],
        [1, 1, 1]
    );
    assert_eq!(whole.versions.len(), 6 + 256);
    let paths: Vec<&str> = whole.targets.keys().map(String::as_str).collect();
    assert_eq!(
        paths,
        ["log/checkpoint", "trust/policy.json", "trust/trusted_root.json"]
    );
    let checkpoint = target(&daemon, &whole, "log/checkpoint");
    assert_eq!(checkpoint, daemon.get("/log/checkpoint").body);
    let policy: Value = serde_json::from_slice(&target(&daemon, &whole, "trust/policy.json")).unwrap();
    let in_force = daemon.admin("GET", "/api/v1/policy", b"").json();
    assert_eq!(
        policy["digest"],
        format!("sha256:{}", in_force["digest"].as_str().unwrap())
    );
    let root: Value = serde_json::from_slice(&target(&daemon, &whole, "trust/trusted_root.json")).unwrap();
    assert!(root["certificateAuthorities"].is_array());
    assert_eq!(on_disk(daemon.data_dir()).unwrap(), whole);
    let copy = std::fs::read(daemon.data_dir().join("tuf/root.json")).unwrap();
    assert_eq!(copy, daemon.get("/tuf/metadata/1.root.json").body);
}

#[test]
fn a_curated_page_is_the_signed_target() {
    let daemon = Daemon::start(DaemonOptions::alone());
    let file = hand_in(&daemon, "demo", "1.0");
    let whole = served(&daemon).unwrap();
    let page = json_page(&daemon, "demo");
    assert_eq!(page.status, 200, "{page}");
    assert_eq!(page.body, target(&daemon, &whole, "simple/demo/index.json"));
    assert_eq!(
        page.header("etag"),
        format!("\"{}\"", &whole.sha256("simple/demo/index.json")[..32])
    );
    let fresh = daemon.request(
        "GET",
        "/simple/demo/",
        &[("Accept", PIP_ACCEPT), ("If-None-Match", page.header("etag"))],
    );
    assert_eq!(fresh.status, 304);
    assert_eq!(
        target(&daemon, &whole, "files/demo/demo-1.0-py3-none-any.whl"),
        file.bytes
    );
    let listed = &whole.targets["files/demo/demo-1.0-py3-none-any.whl"];
    let verdict = daemon.get(&format!("/files/{}/{}.verdict.json", file.sha256, file.filename));
    assert_eq!(
        custom(listed)["verdict"],
        format!("sha256:{}", Digest::of(&verdict.body))
    );
}

/// Every change shows in the answer to the first request after its acknowledgement: nobody has to wait and see.
#[test]
fn a_change_is_acknowledged_when_it_is_signed() {
    let daemon = Daemon::start(DaemonOptions::alone());
    let file = hand_in(&daemon, "demo", "1.0");
    for (name, yanked, there) in [
        ("yank", true, true),
        ("unyank", false, true),
        ("revoke", false, false),
        ("restore", false, true),
    ] {
        let answer = change(&daemon, &file.sha256, name);
        assert!(!answer.has("chiron-note"), "{name}: {answer}");
        let page = json_page(&daemon, "demo");
        let whole = served(&daemon).unwrap();
        assert_eq!(
            Digest::of(&page.body).to_string(),
            whole.sha256("simple/demo/index.json"),
            "{name}"
        );
        let files = page.json()["files"].as_array().unwrap().clone();
        assert_eq!(files.len(), usize::from(there), "{name}");
        assert_eq!(
            files.iter().any(|file| file.get("yanked").is_some()),
            yanked,
            "{name}"
        );
        let path = "files/demo/demo-1.0-py3-none-any.whl";
        assert_eq!(whole.targets.contains_key(path), there, "{name}");
        let html = daemon.request("GET", "/simple/demo/", &[("Accept", "text/html")]);
        assert_eq!(html.text().contains("demo-1.0"), there, "{name}");
        assert_eq!(html.text().contains("data-yanked"), yanked, "{name}");
    }
}

#[test]
fn what_is_not_admitted_is_no_target() {
    let daemon = Daemon::start(DaemonOptions::alone());
    let lying = lying_wheel("demo", "1.0");
    assert_eq!(
        daemon.put_file(&lying.filename, &lying.bytes)["outcome"],
        "refused"
    );
    let whole = served(&daemon).unwrap();
    assert!(!whole.targets.keys().any(|path| path.contains("demo")));
    assert_eq!(json_page(&daemon, "demo").status, 404);
}

/// Revoked bytes are gone at once and under every name, also under that of a generation that still listed them.
#[test]
fn revoked_bytes_are_served_under_no_name() {
    let daemon = Daemon::start(DaemonOptions::alone());
    let file = hand_in(&daemon, "demo", "1.0");
    let before = served(&daemon).unwrap();
    let old_page = target(&daemon, &before, "simple/demo/index.json");
    change(&daemon, &file.sha256, "revoke");
    for path in [
        format!("/tuf/targets/files/demo/{}.{}", file.sha256, file.filename),
        format!("/tuf/targets/{}.files/demo/{}", file.sha256, file.filename),
        format!("/files/{}/{}", file.sha256, file.filename),
    ] {
        let answer = daemon.get(&path);
        assert!(matches!(answer.status, 403 | 404), "{path}: {answer}");
        assert!(
            !answer.body.windows(4).any(|bytes| bytes == b"PK\x03\x04"),
            "{path}"
        );
    }
    // The superseded page itself is kept for clients in the middle of an update.
    assert_eq!(target(&daemon, &before, "simple/demo/index.json"), old_page);
    assert_ne!(json_page(&daemon, "demo").body, old_page);
}

#[test]
fn metadata_is_cached_for_ever_and_the_timestamp_never() {
    let daemon = Daemon::start(DaemonOptions::alone());
    let whole = served(&daemon).unwrap();
    let timestamp = daemon.get("/tuf/metadata/timestamp.json");
    assert_eq!(timestamp.header("cache-control"), "no-cache");
    assert_eq!(timestamp.header("content-type"), "application/json");
    let again = daemon.request(
        "GET",
        "/tuf/metadata/timestamp.json",
        &[("If-None-Match", timestamp.header("etag"))],
    );
    assert_eq!((again.status, again.body.len()), (304, 0));
    let name = format!("/tuf/metadata/{}.snapshot.json", whole.version("snapshot"));
    let snapshot = daemon.get(&name);
    assert_eq!(snapshot.header("cache-control"), FOR_EVER);
    assert!(!snapshot.has("content-encoding"));
    let packed = daemon.request("GET", &name, &[("Accept-Encoding", "gzip")]);
    assert_eq!(packed.header("content-encoding"), "gzip");
    assert_eq!(packed.header("vary"), "Accept-Encoding");
    assert_ne!(packed.header("etag"), snapshot.header("etag"));
    assert!(packed.body.len() * 2 < snapshot.body.len());
    let mut unpacked = Vec::new();
    flate2::read::GzDecoder::new(&packed.body[..])
        .read_to_end(&mut unpacked)
        .unwrap();
    assert_eq!(unpacked, snapshot.body);
}

#[test]
fn what_does_not_exist_is_a_plain_404() {
    let daemon = Daemon::start(DaemonOptions::alone());
    hand_in(&daemon, "demo", "1.0");
    let whole = served(&daemon).unwrap();
    let next = whole.version("snapshot") + 1;
    let mut paths: Vec<String> = [
        "2.root.json",
        "0.root.json",
        "01.root.json",
        "root.json",
        "1.timestamp.json",
        "1.nobody.json",
        "..%2f..%2fadmin.token",
        "%2e%2e/%2e%2e/admin.token",
        "timestamp.json.new",
        "",
    ]
    .map(|name| format!("/tuf/metadata/{name}"))
    .to_vec();
    let sha256 = whole.sha256("simple/demo/index.json");
    paths.extend(
        [
            "simple/demo/index.json".to_owned(),
            "files/demo/demo-1.0-py3-none-any.whl".to_owned(),
            format!("simple/other/{sha256}.index.json"),
            sha256.clone(),
            format!("{sha256}.simple/../simple/demo/index.json"),
            format!("simple/demo/{}.index.json", "0".repeat(64)),
            format!("simple/demo/{}.index.json", sha256.to_uppercase()),
        ]
        .map(|path| format!("/tuf/targets/{path}")),
    );
    paths.push(format!("/tuf/metadata/{next}.snapshot.json"));
    for path in paths {
        let answer = daemon.get(&path);
        assert_eq!(answer.status, 404, "{path}: {answer}");
    }
}

/// A file that lies in the folder under a name of the future is not served: its name may yet get other bytes.
#[test]
fn a_file_that_nothing_names_is_not_served() {
    let daemon = Daemon::start(DaemonOptions::alone());
    let next = served(&daemon).unwrap().version("snapshot") + 1;
    let folder = daemon.data_dir().join("tuf/metadata");
    for name in [format!("{next}.snapshot.json"), "2.root.json".to_owned()] {
        std::fs::write(folder.join(&name), "{}").unwrap();
        assert_eq!(daemon.get(&format!("/tuf/metadata/{name}")).status, 404, "{name}");
    }
    hand_in(&daemon, "demo", "1.0");
    let whole = served(&daemon).unwrap();
    assert_eq!(whole.version("snapshot"), next, "written over");
    assert_eq!(whole.version("root"), 1);
}

#[test]
fn targets_that_are_files_have_ranges() {
    let daemon = Daemon::start(DaemonOptions::alone());
    let file = hand_in(&daemon, "demo", "1.0");
    let path = format!("/tuf/targets/files/demo/{}.{}", file.sha256, file.filename);
    let part = daemon.request(
        "GET",
        &path,
        &[("Range", "bytes=2-5"), ("Accept-Encoding", "gzip")],
    );
    assert_eq!(part.status, 206, "{part}");
    assert_eq!(part.body, file.bytes[2..6]);
    assert_eq!(
        part.header("content-range"),
        format!("bytes 2-5/{}", file.bytes.len())
    );
    assert!(!part.has("content-encoding"), "wheels are never compressed");
    assert_eq!(part.header("cache-control"), FOR_EVER);
    let head = daemon.request("HEAD", &path, &[]);
    assert_eq!(
        (head.status, head.header("content-length")),
        (200, file.bytes.len().to_string().as_str())
    );
}

/// Only the bins that something changed in are signed again, with the snapshot and the timestamp.
#[test]
fn a_publication_signs_what_it_touches() {
    let daemon = Daemon::start(DaemonOptions::alone());
    hand_in(&daemon, "demo", "1.0");
    let before = served(&daemon).unwrap();
    hand_in(&daemon, "demo", "2.0");
    let after = served(&daemon).unwrap();
    let raised: Vec<&String> = after
        .versions
        .iter()
        .filter(|(role, version)| before.version(role) != **version)
        .map(|(role, _)| role)
        .collect();
    let bins = raised.iter().filter(|role| role.starts_with("bin-")).count();
    // The file, its page, the checkpoint.
    assert!((1..=3).contains(&bins), "{raised:?}");
    assert_eq!(raised.len(), bins + 2, "{raised:?}");
    assert_eq!(after.version("snapshot"), before.version("snapshot") + 1);
    assert_eq!(after.version("timestamp"), before.version("timestamp") + 1);
    assert!(
        raised
            .iter()
            .all(|role| after.version(role) > before.version(role))
    );
}

#[test]
fn the_signed_checkpoint_is_that_of_the_signed_log() {
    let daemon = Daemon::start(DaemonOptions::alone());
    hand_in(&daemon, "demo", "1.0");
    let whole = served(&daemon).unwrap();
    let note = target(&daemon, &whole, "log/checkpoint");
    let note = String::from_utf8(note).unwrap();
    let size: u64 = note.lines().nth(1).unwrap().parse().unwrap();
    let status = daemon.admin("GET", "/api/v1/status", b"").json();
    assert_eq!(status["log_size"], size, "everything acknowledged is signed");
}

/// Another policy is another document of trust.
#[test]
fn a_changed_policy_is_signed_anew() {
    let daemon = Daemon::start(DaemonOptions::alone());
    let before = served(&daemon).unwrap();
    let answer = daemon.admin(
        "PUT",
        "/api/v1/policy",
        br#"{"policy":{"profile":"audit"},"reason":"for the test"}"#,
    );
    assert_eq!(answer.status, 200, "{answer}");
    let after = served(&daemon).unwrap();
    assert_eq!(after.version("trust"), before.version("trust") + 1);
    let policy: Value = serde_json::from_slice(&target(&daemon, &after, "trust/policy.json")).unwrap();
    assert_eq!(policy["profile"], "audit");
    // Clients in the middle of an update still find the one before.
    target(&daemon, &before, "trust/policy.json");
}

#[test]
fn a_restart_signs_a_new_timestamp_and_nothing_else() {
    let mut daemon = Daemon::start(DaemonOptions::alone());
    hand_in(&daemon, "demo", "1.0");
    let before = served(&daemon).unwrap();
    assert_eq!(daemon.stop(), 0);
    daemon.restart();
    let after = served(&daemon).unwrap();
    assert_eq!(after.version("timestamp"), before.version("timestamp") + 1);
    assert_eq!(after.version("snapshot"), before.version("snapshot"));
    assert_eq!(after.targets, before.targets);
}

/// On demand the page also shows candidates, which nobody signed; the signed page shows what was admitted.
#[tokio::test(flavor = "multi_thread")]
async fn on_demand_only_what_was_admitted_is_signed() {
    let upstream = FakeUpstream::start().await;
    for version in ["1.0", "2.0"] {
        upstream.add(wheel("demo", version, &[]));
    }
    let daemon = Daemon::start(DaemonOptions::on_demand(&upstream.index_url()));
    let page = daemon.page("demo");
    assert_eq!(page["files"].as_array().unwrap().len(), 2);
    assert!(
        !served(&daemon)
            .unwrap()
            .targets
            .contains_key("simple/demo/index.json")
    );
    let wanted = wheel("demo", "1.0", &[]);
    let answer = daemon.get(&format!("/files/{}/{}", wanted.sha256, wanted.filename));
    assert_eq!(answer.status, 200, "{answer}");
    let whole = eventually(&daemon, "simple/demo/index.json");
    let signed: Value = serde_json::from_slice(&target(&daemon, &whole, "simple/demo/index.json")).unwrap();
    let files = signed["files"].as_array().unwrap();
    assert_eq!(files.len(), 1);
    assert_eq!(files[0]["filename"], wanted.filename);
    assert_eq!(daemon.page("demo")["files"].as_array().unwrap().len(), 2);
}

/// On demand nobody waits for a publication; it follows within a second or two.
fn eventually(daemon: &Daemon, path: &str) -> support::signed::Whole {
    for _ in 0..100 {
        let whole = served(daemon).unwrap();
        if whole.targets.contains_key(path) {
            return whole;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    panic!("{path} was not signed within ten seconds");
}

/// A client that refreshes in the middle of publications always gets one whole generation.
#[test]
fn every_moment_is_whole() {
    let daemon = Daemon::start(DaemonOptions::alone());
    let file = hand_in(&daemon, "demo", "1.0");
    std::thread::scope(|scope| {
        let changes = scope.spawn(|| {
            for _ in 0..6 {
                change(&daemon, &file.sha256, "yank");
                change(&daemon, &file.sha256, "unyank");
            }
        });
        let mut seen = 0;
        while !changes.is_finished() || seen == 0 {
            served(&daemon).unwrap();
            seen += 1;
        }
    });
}

#[test]
fn a_release_with_its_documents_names_their_digests() {
    let daemon = Daemon::start(DaemonOptions::alone());
    let release =
        Release::new("demo", "1.0").sbom("demo.cdx.json", &support::release::cyclonedx("demo", "1.0"));
    let file = release.wheel();
    assert_eq!(
        daemon.put_file(&file.filename, &file.bytes)["outcome"],
        "admitted"
    );
    let whole = served(&daemon).unwrap();
    let custom = custom(&whole.targets[&format!("files/demo/{}", file.filename)]);
    for (name, ending) in [("verdict", ".verdict.json"), ("sbom", ".sbom.json")] {
        let served = daemon.get(&format!("/files/{}/{}{ending}", file.sha256, file.filename));
        assert_eq!(served.status, 200, "{name}");
        assert_eq!(
            custom[name],
            format!("sha256:{}", Digest::of(&served.body)),
            "{name}"
        );
    }
}
