//! Promise: the documents that a run makes are what `schemas/` says of them.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use serde_json::{Value, json};
use support::daemon::{Daemon, DaemonOptions};
use support::release::Release;
use support::upstream::{FakeFile, FakeUpstream, Fault, page_path};
use support::wheels::lying_wheel;

/// What a document does not keep of its schema. Knows the words that our schemas use and stops at any other.
fn errors(root: &Value, schema: &Value, document: &Value, at: &str) -> Vec<String> {
    let Value::Object(words) = schema else {
        return if *schema == json!(false) {
            vec![format!("{at}: nothing is allowed here")]
        } else {
            Vec::new()
        };
    };
    let mut found = Vec::new();
    for (word, says) in words {
        match word.as_str() {
            "$schema" | "$defs" | "title" | "description" | "default" | "format" => {}
            "$ref" => {
                let target = root
                    .pointer(says.as_str().unwrap().strip_prefix('#').unwrap())
                    .expect("a reference resolves");
                found.extend(errors(root, target, document, at));
            }
            "type" => {
                let allowed = says.as_array().cloned().unwrap_or_else(|| vec![says.clone()]);
                if !allowed.iter().any(|kind| is_a(document, kind.as_str().unwrap())) {
                    found.push(format!("{at}: {document} is not {says}"));
                }
            }
            "const" => {
                if document != says {
                    found.push(format!("{at}: {document} is not {says}"));
                }
            }
            "enum" => {
                if !says.as_array().unwrap().contains(document) {
                    found.push(format!("{at}: {document} is none of {says}"));
                }
            }
            "minimum" => {
                if document.as_f64() < says.as_f64() {
                    found.push(format!("{at}: {document} < {says}"));
                }
            }
            "maximum" => {
                if document.as_f64() > says.as_f64() {
                    found.push(format!("{at}: {document} > {says}"));
                }
            }
            "minLength" | "maxLength" => {
                let (length, bound) = (
                    document.as_str().map_or(0, str::len) as u64,
                    says.as_u64().unwrap(),
                );
                if (word == "minLength" && length < bound) || (word == "maxLength" && length > bound) {
                    found.push(format!("{at}: {length} bytes, {word} is {bound}"));
                }
            }
            "pattern" => {
                let text = document.as_str().unwrap_or_default();
                let hex = |text: &str| {
                    text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
                };
                let name = |text: &str| {
                    !text.is_empty()
                        && text
                            .bytes()
                            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
                };
                let matches = match says.as_str().unwrap() {
                    "^[0-9a-f]{64}$" => hex(text),
                    pattern if pattern.starts_with("^[a-z0-9]") => name(text),
                    other => panic!("teach this test the pattern {other}"),
                };
                if !matches {
                    found.push(format!("{at}: {text:?} does not match {says}"));
                }
            }
            "required" => {
                let missing = says
                    .as_array()
                    .unwrap()
                    .iter()
                    .filter(|key| document.get(key.as_str().unwrap()).is_none());
                found.extend(missing.map(|key| format!("{at}: {key} is missing")));
            }
            "properties" => {
                for (key, inner) in says.as_object().unwrap() {
                    if let Some(value) = document.get(key) {
                        found.extend(errors(root, inner, value, &format!("{at}.{key}")));
                    }
                }
            }
            "additionalProperties" => {
                let known = schema["properties"].as_object();
                for (key, value) in document.as_object().into_iter().flatten() {
                    if !known.is_some_and(|known| known.contains_key(key)) {
                        found.extend(errors(root, says, value, &format!("{at}.{key}")));
                    }
                }
            }
            "items" => {
                for (n, value) in document.as_array().into_iter().flatten().enumerate() {
                    found.extend(errors(root, says, value, &format!("{at}[{n}]")));
                }
            }
            "allOf" => found.extend(
                says.as_array()
                    .unwrap()
                    .iter()
                    .flat_map(|each| errors(root, each, document, at)),
            ),
            "anyOf" | "oneOf" => {
                let tried: Vec<_> = says
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|each| errors(root, each, document, at))
                    .collect();
                let fit = tried.iter().filter(|errors| errors.is_empty()).count();
                if fit == 0 || (word == "oneOf" && fit > 1) {
                    found.push(format!("{at}: {fit} of the forms of {word} fit: {tried:?}"));
                }
            }
            other => panic!("{at}: teach this test the word {other}"),
        }
    }
    found
}

fn is_a(value: &Value, kind: &str) -> bool {
    match kind {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        "integer" => value.is_u64() || value.is_i64(),
        "number" => value.is_number(),
        other => panic!("teach this test the type {other}"),
    }
}

fn schema(name: &str) -> Value {
    let path = format!("{}/schemas/{name}.schema.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn assert_fits(name: &str, document: &Value) {
    let schema = schema(name);
    let errors = errors(&schema, &schema, document, name);
    assert!(errors.is_empty(), "{}\n{document:#}", errors.join("\n"));
}

/// A run in which every kind of event happens.
async fn run() -> (FakeUpstream, Daemon, Vec<FakeFile>) {
    let upstream = FakeUpstream::start().await;
    let mut release = Release::new("demo", "1.0");
    release.license = Some("MIT".to_owned());
    release.requires.push("six".to_owned());
    let mut good = release.wheel();
    good.requires_python = Some(">=3.8".to_owned());
    good.yanked = Some("broken".to_owned());
    let mut other = Release::new("other", "1.0");
    other.license = Some("GPL-3.0-only".to_owned());
    let (bad, waiting) = (lying_wheel("bad", "1.0"), other.wheel());
    for file in [&good, &bad] {
        upstream.add(file.clone());
    }
    let config = "[index]\nfresh = \"20ms\"\n[policy]\nlicences_deny = [\"GPL-3.0-only\"]";
    let daemon = Daemon::start(DaemonOptions::on_demand(&upstream.index_url()).config(config));
    daemon.get(&format!("/files/{}/{}", good.sha256, good.filename));
    daemon.get(&format!("/files/{}/{}", bad.sha256, bad.filename));
    assert_eq!(
        daemon.put_file(&waiting.filename, &waiting.bytes)["outcome"],
        "quarantined"
    );
    for change in ["unyank", "yank", "revoke", "restore"] {
        let path = format!("/api/v1/files/{}/{change}", good.sha256);
        assert_eq!(
            daemon
                .admin("POST", &path, br#"{"reason":"for the test"}"#)
                .status,
            200
        );
    }
    let page = json!({
        "meta": { "api-version": "1.4" }, "name": "demo", "versions": [], "files": [],
        "project-status": { "status": "archived", "reason": "done" },
    });
    let body = Fault::Body(
        "application/vnd.pypi.simple.v1+json".to_owned(),
        page.to_string().into(),
    );
    upstream.fault(&page_path("demo"), body);
    for _ in 0..200 {
        if daemon.page("demo")["project-status"]["status"] == "archived" {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    (upstream, daemon, vec![good, bad, waiting])
}

#[tokio::test(flavor = "multi_thread")]
async fn events_verdicts_and_evidence_fit_their_schemas() {
    let (_upstream, daemon, files) = run().await;
    let events = daemon.admin("GET", "/api/v1/events?limit=1000", b"").json();
    let mut kinds = Vec::new();
    for item in events["items"].as_array().unwrap() {
        assert_fits("event", &item["event"]);
        kinds.push(item["event"]["type"].as_str().unwrap().to_owned());
    }
    let expected = [
        "keys-changed",
        "admitted",
        "refused",
        "quarantined",
        "unyanked",
        "yanked",
        "revoked",
        "restored",
        "project-status",
    ];
    assert_eq!(kinds, expected);
    for file in &files {
        let verdict = daemon
            .admin("GET", &format!("/api/v1/files/{}/verdict", file.sha256), b"")
            .json();
        assert_fits("verdict", &verdict);
        for row in verdict["checks"].as_array().unwrap() {
            let path = format!("/api/v1/evidence/{}", row["evidence"].as_str().unwrap());
            assert_fits("evidence", &daemon.admin("GET", &path, b"").json());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_schemas_refuse_what_is_no_such_document() {
    let (_upstream, daemon, files) = run().await;
    let verdict = daemon
        .admin("GET", &format!("/api/v1/files/{}/verdict", files[0].sha256), b"")
        .json();
    let event = daemon.admin("GET", "/api/v1/events", b"").json()["items"][1]["event"].clone();
    let spoil = |document: &Value, pointer: &str, value: Value| {
        let mut spoilt = document.clone();
        *spoilt
            .pointer_mut(pointer)
            .unwrap_or_else(|| panic!("no {pointer} in {document:#}")) = value;
        spoilt
    };
    for (name, document) in [
        ("verdict", spoil(&verdict, "/decision", json!("maybe"))),
        ("verdict", spoil(&verdict, "/schema", json!("chiron.verdict/v2"))),
        ("verdict", spoil(&verdict, "/file/sha256", json!("ABC"))),
        ("verdict", spoil(&verdict, "/checks/0/outcome", json!("ok"))),
        ("verdict", spoil(&verdict, "/file", json!({}))),
        ("event", spoil(&event, "/type", json!("exploded"))),
        ("event", spoil(&event, "/size", json!("878"))),
        ("event", json!({ "schema": "chiron.event/v1" })),
        ("evidence", json!({ "schema": "chiron.evidence/v1" })),
    ] {
        let schema = schema(name);
        assert!(
            !errors(&schema, &schema, &document, name).is_empty(),
            "{name} takes {document:#}"
        );
    }
}
