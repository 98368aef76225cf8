//! CycloneDX 1.4 to 1.7, read after it passed its schema.

use serde_json::Value;

use super::bill::{Bill, Component, push_sha256};

/// Reads a valid document.
pub(super) fn read(document: &Value) -> Bill {
    let metadata = &document["metadata"];
    let mut bill = Bill {
        dated: metadata["timestamp"].is_string(),
        tools: tools(&metadata["tools"]),
        complete: list(&document["compositions"]).any(|composition| composition["aggregate"] == "complete"),
        ..Bill::default()
    };
    bill.authored = !bill.tools.is_empty()
        || ["authors", "manufacturer", "manufacture", "supplier"]
            .iter()
            .any(|key| !metadata[key].is_null());
    let root = &metadata["component"];
    if root.is_object() {
        define(root, &mut bill);
        for inner in list(&root["components"]) {
            add(inner, &mut bill);
        }
        bill.root = Some(component(root));
    }
    for listed in list(&document["components"]) {
        if same_as_root(listed, root) {
            bill.refs.repeats_root = true;
            continue;
        }
        add(listed, &mut bill);
    }
    for service in list(&document["services"]) {
        services(service, &mut bill);
    }
    for dependency in list(&document["dependencies"]) {
        refer(&dependency["ref"], &mut bill);
        for on in list(&dependency["dependsOn"]).chain(list(&dependency["provides"])) {
            bill.related = true;
            refer(on, &mut bill);
        }
    }
    bill
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text(value: &Value) -> Option<&str> {
    value.as_str().map(str::trim).filter(|text| !text.is_empty())
}

/// Up to 1.4 a list of tools; from 1.5 also an object of components and services.
fn tools(tools: &Value) -> Vec<String> {
    list(tools)
        .chain(list(&tools["components"]))
        .chain(list(&tools["services"]))
        .filter_map(|tool| text(&tool["name"]))
        .map(str::to_owned)
        .collect()
}

fn same_as_root(listed: &Value, root: &Value) -> bool {
    ["bom-ref", "name", "version", "purl"]
        .iter()
        .all(|key| listed[key] == root[key])
        && listed["bom-ref"].is_string()
}

fn define(component: &Value, bill: &mut Bill) {
    if let Some(name) = component["bom-ref"].as_str() {
        bill.refs.define(name);
    }
}

fn refer(name: &Value, bill: &mut Bill) {
    if let Some(name) = name.as_str() {
        bill.refs.refer(name);
    }
}

fn add(value: &Value, bill: &mut Bill) {
    define(value, bill);
    bill.components.push(component(value));
    for inner in list(&value["components"]) {
        add(inner, bill);
    }
}

fn services(service: &Value, bill: &mut Bill) {
    define(service, bill);
    for inner in list(&service["services"]) {
        services(inner, bill);
    }
}

fn component(value: &Value) -> Component {
    let mut sha256 = Vec::new();
    for hash in list(&value["hashes"]).filter(|hash| hash["alg"] == "SHA-256") {
        push_sha256(&mut sha256, hash["content"].as_str());
    }
    let is_file = value["type"] == "file";
    let name = value["name"].as_str().unwrap_or_default().to_owned();
    let mut paths: Vec<String> = list(&value["evidence"]["occurrences"])
        .filter_map(|occurrence| text(&occurrence["location"]))
        .map(str::to_owned)
        .collect();
    if is_file {
        paths.push(name.clone());
    }
    let supplied = ["supplier", "manufacturer", "publisher", "author", "authors"]
        .iter()
        .any(|key| match &value[key] {
            Value::String(text) => !text.trim().is_empty(),
            other => !other.is_null(),
        });
    Component {
        version: text(&value["version"]).map(str::to_owned),
        purl: text(&value["purl"]).map(str::to_owned),
        identified: ["purl", "cpe", "swid", "omniborId", "swhid"]
            .iter()
            .any(|key| !value[key].is_null()),
        supplied,
        sha256,
        paths,
        licence: licence(&value["licenses"]),
        is_file,
        name,
    }
}

/// One expression or one identifier. Of several, nobody says whether they are joined by AND or by OR.
fn licence(licences: &Value) -> Option<String> {
    match licences.as_array().map(Vec::as_slice) {
        Some([one]) => text(&one["expression"])
            .or_else(|| text(&one["license"]["id"]))
            .or_else(|| text(&one["license"]["name"]))
            .map(str::to_owned),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use serde_json::json;

    use super::*;

    #[test]
    fn a_bill_as_auditwheel_writes_it() {
        let root =
            json!({"type": "library", "bom-ref": "r", "name": "p", "version": "1", "purl": "pkg:pypi/p@1"});
        let bill = read(&json!({
            "metadata": {"component": root, "tools": [{"name": "auditwheel", "version": "6"}]},
            "components": [root, {"type": "library", "bom-ref": "x", "name": "libx", "hashes":
                [{"alg": "SHA-1", "content": "00"}, {"alg": "SHA-256", "content": "ab".repeat(32)}]}],
            "dependencies": [{"ref": "r", "dependsOn": ["x", "y"]}],
        }));
        assert_eq!(bill.root.unwrap().purl.as_deref(), Some("pkg:pypi/p@1"));
        assert_eq!(bill.components.len(), 1);
        assert_eq!(bill.components[0].sha256.len(), 1);
        assert!(bill.refs.repeats_root && bill.refs.repeated.is_empty());
        assert_eq!(bill.refs.dangling().collect::<Vec<_>>(), ["y"]);
        assert_eq!(bill.tools, ["auditwheel"]);
        assert!(bill.authored && bill.related && !bill.dated && !bill.complete);
    }

    #[test]
    fn nested_components_and_new_tools_are_seen() {
        let bill = read(&json!({
            "metadata": {"tools": {"components": [{"name": "t"}]}},
            "components": [{"name": "a", "bom-ref": "a", "components": [{"name": "b", "bom-ref": "a"}]}],
            "compositions": [{"aggregate": "complete"}],
        }));
        assert_eq!(bill.components.len(), 2);
        assert_eq!(bill.refs.repeated.iter().collect::<Vec<_>>(), ["a"]);
        assert!(bill.complete && bill.root.is_none());
        assert_eq!(bill.tools, ["t"]);
    }

    #[test]
    fn one_licence_is_a_licence_and_two_are_a_question() {
        assert_eq!(
            licence(&json!([{"expression": "MIT OR X"}])).as_deref(),
            Some("MIT OR X")
        );
        assert_eq!(
            licence(&json!([{"license": {"id": "MIT"}}])).as_deref(),
            Some("MIT")
        );
        assert_eq!(
            licence(&json!([{"license": {"id": "MIT"}}, {"license": {"id": "ISC"}}])),
            None
        );
        assert_eq!(licence(&json!(null)), None);
    }
}
