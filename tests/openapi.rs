//! Promise: `openapi.json` describes the admin API completely.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::collections::BTreeSet;

use serde_json::{Value, json};
use support::daemon::{Daemon, DaemonOptions};
use support::jobs::{ended, submit};
use support::wheels::wheel;

const ADMIN_ROUTES: &str = include_str!("../src/http/admin/mod.rs");

/// `(method, path)` of the routes, read from the source that declares them.
fn declared_routes() -> BTreeSet<(String, String)> {
    let mut routes = BTreeSet::new();
    let (_, table) = ADMIN_ROUTES.split_once("Router::new()").unwrap();
    let (table, _) = table.split_once(".with_state(").unwrap();
    for route in table.split(".route(").skip(1) {
        let (path, handlers) = route.trim().strip_prefix('"').unwrap().split_once('"').unwrap();
        for method in ["get", "post", "put", "delete", "patch"] {
            let named = [' ', '.']
                .iter()
                .any(|before| handlers.contains(&format!("{before}{method}(")));
            if named {
                routes.insert((method.to_owned(), format!("/api/v1{path}")));
            }
        }
    }
    routes
}

fn references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
    match value {
        Value::Object(map) => {
            found.extend(map.get("$ref").and_then(Value::as_str));
            map.values().for_each(|inner| references(inner, found));
        }
        Value::Array(items) => items.iter().for_each(|inner| references(inner, found)),
        _ => {}
    }
}

#[test]
fn the_description_has_every_route_and_every_reference_resolves() {
    let daemon = Daemon::start(DaemonOptions::alone());
    let document = daemon.get("/openapi.json").json();
    assert!(
        document["openapi"].as_str().unwrap().starts_with("3.1."),
        "{}",
        document["openapi"]
    );
    let mut described = BTreeSet::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            described.insert((method.clone(), path.clone()));
            assert!(
                operation["responses"].as_object().is_some_and(|r| !r.is_empty()),
                "{method} {path}"
            );
            let named = operation["parameters"]
                .as_array()
                .map_or(0, |list| list.iter().filter(|p| p["in"] == "path").count());
            assert_eq!(
                named,
                path.matches('{').count(),
                "{method} {path}: each part of the path is described"
            );
        }
    }
    let declared = declared_routes();
    assert!(declared.len() >= 18, "{declared:?}");
    assert_eq!(described, declared);
    let mut all = Vec::new();
    references(&document, &mut all);
    assert!(all.len() > 20, "{all:?}");
    for reference in all {
        let pointer = reference
            .strip_prefix('#')
            .expect("references lead into the document");
        assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
    }
    assert!(
        document["components"]["securitySchemes"]["admin"].is_object() && !document["security"].is_null()
    );
}

#[test]
fn every_described_question_is_answered() {
    let daemon = Daemon::start(DaemonOptions::alone());
    let file = wheel("demo", "1.0", &[]);
    daemon.put_file(&file.filename, &file.bytes);
    ended(&daemon, &submit(&daemon, "/api/v1/scrub", &json!({})));
    let verdict = daemon
        .admin("GET", &format!("/api/v1/files/{}/verdict", file.sha256), b"")
        .json();
    let evidence = verdict["checks"][0]["evidence"].as_str().unwrap().to_owned();
    let document = daemon.get("/openapi.json").json();
    let mut asked = 0;
    for (path, methods) in document["paths"].as_object().unwrap() {
        let Some(operation) = methods.get("get") else {
            continue;
        };
        // A signing request is there only while one waits; tests/tuf_production.rs asks for one.
        if path == "/api/v1/tuf/requests/{id}" {
            continue;
        }
        // A receipt is there once a bundle was imported; tests/airgap_import.rs asks for one.
        if path == "/api/v1/airgap/receipt" {
            continue;
        }
        let mut path = path.clone();
        for (name, value) in [
            ("sha256", &*file.sha256),
            ("digest", &evidence),
            ("id", "1"),
            ("name", "demo"),
        ] {
            path = path.replace(&format!("{{{name}}}"), value);
        }
        let needed = operation["parameters"].as_array().into_iter().flatten();
        let needed = needed.filter(|p| p["in"] == "query" && p["required"] == true);
        let query: Vec<_> = needed
            .map(|p| format!("{}={}", p["name"].as_str().unwrap(), u8::from(p["name"] != "n")))
            .collect();
        let answer = daemon.admin("GET", &format!("{path}?{}", query.join("&")), b"");
        assert_eq!(answer.status, 200, "{path}?{query:?}: {answer}");
        asked += 1;
    }
    assert!(asked >= 11, "only {asked} questions are described");
}
