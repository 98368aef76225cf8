//! Promise: the admin API does what an operator asks, for who holds the token and for nobody else.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use support::daemon::{Daemon, DaemonOptions, KEYS_MADE};
use support::jobs::{ended, submit};
use support::raw::{self, Answer};
use support::upstream::{FakeFile, FakeUpstream, file_path, page_path};
use support::wheels::{lying_wheel, wheel};

fn put(daemon: &Daemon, file: &FakeFile) -> Value {
    daemon.put_file(&file.filename, &file.bytes)
}

fn assert_problem(answer: &Answer, status: u16) {
    assert_eq!(answer.status, status, "{answer}");
    assert_eq!(
        answer.header("content-type"),
        "application/problem+json",
        "{answer}"
    );
    let problem = answer.json();
    assert_eq!(problem["status"], status, "{answer}");
    assert!(
        problem["type"]
            .as_str()
            .unwrap()
            .starts_with("urn:chiron:problem:"),
        "{answer}"
    );
    assert!(
        ["title", "detail"]
            .iter()
            .all(|key| problem[key].as_str().is_some_and(|t| !t.is_empty())),
        "{answer}"
    );
}

#[test]
fn only_the_token_opens_it() {
    let daemon = Daemon::start(DaemonOptions::alone());
    let token = daemon.admin_token();
    let ask = |authorization: Option<&str>| {
        let headers: Vec<_> = authorization
            .map(|value| ("Authorization", value))
            .into_iter()
            .collect();
        raw::request(daemon.addr(), "GET", "/api/v1/status", &headers, b"")
    };
    let basic = |user: &str, password: &str| {
        format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{password}")))
    };
    for bad in [
        None,
        Some("Bearer wrong".to_owned()),
        Some(format!("Bearer {token}x")),
        Some("Bearer".to_owned()),
        Some(basic("__token__", "wrong")),
        Some(basic("root", &token)),
        Some(token.clone()),
    ] {
        let answer = ask(bad.as_deref());
        assert_problem(&answer, 401);
        assert!(answer.header("www-authenticate").starts_with("Basic"), "{answer}");
        assert!(!answer.text().contains(&token));
    }
    for good in [
        format!("Bearer {token}"),
        format!("bearer {token}"),
        basic("__token__", &token),
    ] {
        assert_eq!(ask(Some(&good)).status, 200, "{good}");
    }
    // Writing is closed in the same way, and before the body is looked at.
    let file = wheel("demo", "1.0", &[]);
    let path = format!("/api/v1/ingest/{}", file.filename);
    assert_problem(&raw::request(daemon.addr(), "PUT", &path, &[], &file.bytes), 401);
    assert_eq!(
        daemon.admin("GET", "/api/v1/status", b"").json()["log_size"],
        KEYS_MADE
    );
    // The description and the index are open.
    assert_eq!(
        (daemon.get("/openapi.json").status, daemon.get("/simple/").status),
        (200, 200)
    );
}

#[tokio::test]
async fn from_another_machine_even_the_token_opens_nothing() {
    use axum::extract::ConnectInfo;
    use axum::middleware::from_fn_with_state;
    use chiron::http::{AdminToken, admin};
    use tower::ServiceExt as _;
    let guard = from_fn_with_state(AdminToken::new("s3cret"), admin::require);
    let app = axum::Router::new()
        .route("/", axum::routing::get(|| async { "open" }))
        .layer(guard);
    for (from, status) in [
        ("127.0.0.1", 200),
        ("127.8.9.1", 200),
        ("[::1]", 200),
        ("[::ffff:127.0.0.1]", 200),
        ("10.0.0.7", 403),
        ("[2001:db8::1]", 403),
        ("[::ffff:10.0.0.7]", 403),
    ] {
        let from: std::net::SocketAddr = format!("{from}:5000").parse().unwrap();
        let request = http::Request::get("/")
            .header("Authorization", "Bearer s3cret")
            .extension(ConnectInfo(from));
        let answer = app
            .clone()
            .oneshot(request.body(axum::body::Body::empty()).unwrap())
            .await
            .unwrap();
        assert_eq!(answer.status().as_u16(), status, "{from}");
    }
}

/// All items of a list, read in pages of `limit`.
fn paged(daemon: &Daemon, list: &str, limit: usize) -> Vec<Value> {
    let (mut items, mut after) = (Vec::new(), String::new());
    loop {
        let page = daemon
            .admin("GET", &format!("{list}?limit={limit}{after}"), b"")
            .json();
        let got = page["items"].as_array().unwrap();
        assert!(got.len() <= limit, "{page:#}");
        items.extend(got.iter().cloned());
        match page.get("next") {
            Some(next) => after = format!("&after={}", next.as_str().unwrap()),
            None => return items,
        }
    }
}

#[test]
fn every_list_is_paged() {
    let daemon = Daemon::start(DaemonOptions::alone());
    for n in 0..5 {
        put(&daemon, &wheel(&format!("demo{n}"), "1.0", &[]));
        let job = submit(&daemon, "/api/v1/gc", &json!({ "dry_run": true }));
        ended(&daemon, &job);
    }
    let events = 5 + usize::try_from(KEYS_MADE).unwrap();
    for (list, key, count) in [
        ("projects", "name", 5),
        ("events", "n", events),
        ("jobs", "id", 5),
    ] {
        let list = format!("/api/v1/{list}");
        let whole = paged(&daemon, &list, 1000);
        assert_eq!(whole.len(), count, "{list}");
        let keys: BTreeSet<String> = whole.iter().map(|item| item[key].to_string()).collect();
        assert_eq!(keys.len(), count, "{list}: no item twice");
        for limit in [1, 2, 5] {
            assert_eq!(paged(&daemon, &list, limit), whole, "{list} in pages of {limit}");
        }
        for bad in ["limit=x", "limit=-1", "unknown=1"] {
            assert_problem(&daemon.admin("GET", &format!("{list}?{bad}"), b""), 400);
        }
    }
    for numbered in ["events", "jobs"] {
        assert_problem(
            &daemon.admin("GET", &format!("/api/v1/{numbered}?after=x"), b""),
            400,
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_changes_nothing() {
    let upstream = FakeUpstream::start().await;
    let (here, there) = (wheel("demo", "1.0", &[]), wheel("demo", "2.0", &[]));
    upstream.add(there.clone());
    let daemon = Daemon::start(DaemonOptions::curated(&upstream.index_url()));
    put(&daemon, &here);
    let before = daemon.admin("GET", "/api/v1/events", b"").body;

    let job = submit(
        &daemon,
        "/api/v1/ingest",
        &json!({ "items": [{ "project": "demo" }], "dry_run": true }),
    );
    let view = ended(&daemon, &job);
    assert_eq!(view["files"][0]["outcome"], "would-fetch", "{view:#}");
    assert_eq!(view["files"][0]["size"], there.bytes.len(), "{view:#}");
    assert_eq!(
        (
            upstream.count(&page_path("demo")),
            upstream.count(&file_path(&there.filename))
        ),
        (1, 0)
    );
    for (file, outcome) in [
        (&there, "would-fetch"),
        (&lying_wheel("liar", "1.0"), "refused"),
        (&here, "present"),
    ] {
        let path = format!("/api/v1/ingest/{}?dry_run=true", file.filename);
        let answer = daemon.admin("PUT", &path, &file.bytes);
        assert_eq!(
            (answer.status, &answer.json()["outcome"]),
            (200, &json!(outcome)),
            "{answer}"
        );
    }
    for change in ["yank", "revoke"] {
        let path = format!("/api/v1/files/{}/{change}", here.sha256);
        let view = daemon
            .admin("POST", &path, br#"{"reason":"would I?","dry_run":true}"#)
            .json();
        assert_eq!(
            (&view["state"], view.get("event")),
            (&json!("admitted"), None),
            "{view:#}"
        );
    }
    for work in ["gc", "scrub"] {
        let job = submit(
            &daemon,
            &format!("/api/v1/{work}"),
            &json!({ "dry_run": true, "repair": true }),
        );
        assert_eq!(ended(&daemon, &job)["state"], "done");
    }
    assert_eq!(daemon.admin("GET", "/api/v1/events", b"").body, before);
    let page = daemon.page("demo");
    assert_eq!(
        (page["versions"].clone(), page["files"][0].get("yanked")),
        (json!(["1.0"]), None)
    );
}

#[test]
fn a_file_is_handed_in_by_put() {
    let daemon = Daemon::start(DaemonOptions::alone());
    let file = wheel("demo", "1.0", &[]);
    let path = |query: &str| format!("/api/v1/ingest/{}{query}", file.filename);
    let wrong = daemon
        .admin("PUT", &path(&format!("?sha256={}", "1".repeat(64))), &file.bytes)
        .json();
    assert_eq!(wrong["outcome"], "refused", "{wrong:#}");
    assert!(wrong["reasons"].to_string().contains("sha256"), "{wrong:#}");
    assert_eq!(daemon.get("/simple/demo/").status, 404);
    let right = daemon
        .admin("PUT", &path(&format!("?sha256={}", file.sha256)), &file.bytes)
        .json();
    assert_eq!(
        (&right["outcome"], &right["sha256"]),
        (&json!("admitted"), &json!(file.sha256)),
        "{right:#}"
    );
    assert_eq!(put(&daemon, &file)["outcome"], "present");
    let view = daemon
        .admin("GET", &format!("/api/v1/files/{}", file.sha256), b"")
        .json();
    assert_eq!(
        (&view["state"], &view["origin"]),
        (&json!("admitted"), &json!("file"))
    );
    // Another content under the name is refused; the first stays.
    let other = FakeFile::wheel("demo", "1.0", 100);
    let taken = daemon.put_file(&file.filename, &other.bytes);
    assert_eq!(taken["outcome"], "refused", "{taken:#}");
    assert_eq!(daemon.page("demo")["files"][0]["hashes"]["sha256"], *file.sha256);
    for (name, query) in [
        ("demo-1.0.whl", ""),
        ("demo.txt", ""),
        ("a%2F..%2Fb-1.0.tar.gz", ""),
        ("demo-2.0.tar.gz", "?sha256=12"),
    ] {
        assert_problem(
            &daemon.admin("PUT", &format!("/api/v1/ingest/{name}{query}"), b"x"),
            400,
        );
    }
}

#[test]
fn a_body_over_the_limit_is_refused_and_leaves_nothing() {
    let daemon = Daemon::start(DaemonOptions::alone().server("max_body = \"4KiB\""));
    let (small, large) = (wheel("demo", "1.0", &[]), FakeFile::wheel("demo", "2.0", 5_000));
    let answer = daemon.admin("PUT", &format!("/api/v1/ingest/{}", large.filename), &large.bytes);
    assert_problem(&answer, 413);
    let staged = std::fs::read_dir(daemon.data_dir().join("staging")).unwrap();
    assert_eq!(staged.count(), 0, "nothing of it is left");
    assert_eq!(put(&daemon, &small)["outcome"], "admitted");
    assert_eq!(
        daemon.admin("GET", "/api/v1/status", b"").json()["log_size"],
        KEYS_MADE + 1
    );
}

#[test]
fn errors_are_problem_documents() {
    let daemon = Daemon::start(DaemonOptions::alone());
    let file = wheel("demo", "1.0", &[]);
    put(&daemon, &file);
    let (zeros, sha) = ("0".repeat(64), file.sha256.clone());
    let long = json!({ "reason": "x".repeat(1001) }).to_string();
    let reason = br#"{"reason":"x"}"#;
    for (method, path, body, status) in [
        ("GET", "/api/v1/nothing".to_owned(), &b""[..], 404),
        ("DELETE", "/api/v1/status".to_owned(), b"", 405),
        ("GET", "/api/v1/jobs/x".to_owned(), b"", 404),
        ("GET", "/api/v1/projects/unknown".to_owned(), b"", 404),
        ("GET", "/api/v1/projects/-".to_owned(), b"", 404),
        ("GET", format!("/api/v1/files/{zeros}"), b"", 404),
        ("GET", "/api/v1/files/xyz/verdict".to_owned(), b"", 404),
        ("GET", format!("/api/v1/evidence/{zeros}"), b"", 404),
        ("POST", format!("/api/v1/files/{sha}/burn"), reason, 404),
        ("POST", format!("/api/v1/files/{zeros}/yank"), reason, 404),
        (
            "POST",
            format!("/api/v1/files/{sha}/restore"),
            br#"{"reason":" "}"#,
            400,
        ),
        ("POST", format!("/api/v1/files/{sha}/yank"), long.as_bytes(), 400),
        ("POST", format!("/api/v1/files/{sha}/yank"), b"not json", 400),
        (
            "POST",
            format!("/api/v1/files/{sha}/yank"),
            br#"{"reason":"x","force":true}"#,
            422,
        ),
        ("POST", "/api/v1/ingest".to_owned(), br#"{"items":[]}"#, 400),
        (
            "POST",
            "/api/v1/ingest".to_owned(),
            br#"{"items":[{"project":"a"}],"surprise":1}"#,
            422,
        ),
    ] {
        let answer = daemon.admin(method, &path, body);
        assert_problem(&answer, status);
    }
    let revoked = daemon.admin("POST", &format!("/api/v1/files/{sha}/revoke"), reason);
    assert_eq!(revoked.json()["state"], "revoked");
    assert_problem(
        &daemon.admin("POST", &format!("/api/v1/files/{sha}/yank"), reason),
        409,
    );
}
