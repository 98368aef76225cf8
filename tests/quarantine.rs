//! Promise: what waits in quarantine is kept and not served, and no decision but a judgment admits it.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use serde_json::{Value, json};
use support::daemon::{Daemon, DaemonOptions};
use support::upstream::FakeFile;
use support::wheels::wheel;

/// A mirror that asks for everything that can be known of a file, and asks nobody else.
fn strict() -> Daemon {
    Daemon::start(DaemonOptions::alone().config("[policy]\nprofile = \"strict\""))
}

fn path_of(file: &FakeFile) -> String {
    format!("/files/{}/{}", file.sha256, file.filename)
}

fn decide(daemon: &Daemon, sha256: &str, change: &str) -> Value {
    let body = json!({ "reason": "on purpose" }).to_string();
    let answer = daemon.admin(
        "POST",
        &format!("/api/v1/files/{sha256}/{change}"),
        body.as_bytes(),
    );
    assert_eq!(answer.status, 200, "{change}: {answer}");
    answer.json()
}

#[track_caller]
fn assert_not_served(daemon: &Daemon, path: &str) {
    let answer = daemon.get(path);
    assert_eq!(answer.status, 403, "{answer}");
    assert_eq!(answer.header("content-type"), "application/problem+json");
    assert_eq!(daemon.get("/simple/waiting/").status, 404, "it is in the index");
}

#[test]
fn revoking_and_restoring_is_no_way_in() {
    let daemon = strict();
    let file = wheel("waiting", "1.0", &[]);
    let path = path_of(&file);

    let handed_in = daemon.put_file(&file.filename, &file.bytes);
    assert_eq!(handed_in["outcome"], "quarantined", "{handed_in}");
    let reasons = handed_in["reasons"].as_array().unwrap();
    for check in ["hashes", "signature", "sbom"] {
        let said = reasons
            .iter()
            .any(|reason| reason.as_str().unwrap().starts_with(check));
        assert!(said, "{check}: {handed_in}");
    }
    assert_not_served(&daemon, &path);

    assert_eq!(decide(&daemon, &file.sha256, "revoke")["state"], "revoked");
    assert_not_served(&daemon, &path);
    assert_eq!(decide(&daemon, &file.sha256, "restore")["state"], "quarantined");
    assert_not_served(&daemon, &path);

    // The catalogue made again from the log says the same.
    let view = |daemon: &Daemon| {
        daemon
            .admin("GET", &format!("/api/v1/files/{}", file.sha256), b"")
            .json()
    };
    let before = view(&daemon);
    let mut daemon = daemon;
    assert_eq!(daemon.stop(), 0);
    daemon.local_cli(&["rebuild-catalog"]).expect(0);
    daemon.restart();
    assert_eq!(view(&daemon), before);
    assert_eq!(before["state"], "quarantined");
    assert_not_served(&daemon, &path);
}

#[test]
fn a_published_digest_lets_it_out() {
    let daemon = strict();
    let file = wheel("waiting", "1.0", &[]);
    daemon.put_file(&file.filename, &file.bytes);
    // A person answers for everything but the digest, which nobody could.
    for check in ["signature", "sbom", "reproducibility"] {
        let body = json!({ "check": check, "reason": "on purpose", "until": "2100-01-01T00:00:00Z" });
        let path = format!("/api/v1/files/{}/waive", file.sha256);
        let answer = daemon.admin("POST", &path, body.to_string().as_bytes());
        assert_eq!(answer.status, 200, "{check}: {answer}");
        assert_eq!(answer.json()["state"], "quarantined", "{check}: {answer}");
    }
    assert_not_served(&daemon, &path_of(&file));

    let again = format!("/api/v1/ingest/{}?sha256={}", file.filename, file.sha256);
    let judged = daemon.admin("PUT", &again, &file.bytes).json();
    assert_eq!(judged["outcome"], "admitted", "{judged}");
    assert_eq!(daemon.get(&path_of(&file)).body, file.bytes);
    assert_eq!(daemon.get("/simple/waiting/").status, 200);
}

#[test]
fn a_revocation_outlives_a_new_judgment() {
    let daemon = Daemon::start(DaemonOptions::alone());
    let file = wheel("waiting", "1.0", &[]);
    assert_eq!(
        daemon.put_file(&file.filename, &file.bytes)["outcome"],
        "admitted"
    );
    decide(&daemon, &file.sha256, "revoke");

    let again = daemon.put_file(&file.filename, &file.bytes);
    assert_eq!(again["outcome"], "refused", "{again}");
    assert_eq!(daemon.get(&path_of(&file)).status, 403);
    assert_eq!(decide(&daemon, &file.sha256, "restore")["state"], "admitted");
    assert_eq!(daemon.get(&path_of(&file)).body, file.bytes);
}
