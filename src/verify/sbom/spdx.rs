//! SPDX 2.2 and 2.3, and what can be said of 3.0, read after the document passed its schema.

use std::collections::HashSet;

use serde_json::Value;

use super::bill::{Bill, Component, push_sha256};

/// The two words by which SPDX says that it says nothing.
const NOTHING: [&str; 2] = ["NOASSERTION", "NONE"];

/// Reads a valid document of version 2.
pub(super) fn read2(document: &Value) -> Bill {
    let creation = &document["creationInfo"];
    let creators: Vec<&str> = list(&creation["creators"]).filter_map(Value::as_str).collect();
    let mut bill = Bill {
        dated: creation["created"].is_string(),
        authored: !creators.is_empty(),
        tools: creators
            .iter()
            .filter_map(|creator| creator.strip_prefix("Tool:"))
            .map(|tool| tool.trim().to_owned())
            .collect(),
        ..Bill::default()
    };
    let own = document["SPDXID"].as_str().unwrap_or("SPDXRef-DOCUMENT");
    bill.refs.define(own);
    let mut described: HashSet<&str> = list(&document["documentDescribes"])
        .filter_map(Value::as_str)
        .collect();
    for relation in list(&document["relationships"]) {
        let (from, to) = (
            text(&relation["spdxElementId"]).unwrap_or_default(),
            text(&relation["relatedSpdxElement"]).unwrap_or_default(),
        );
        match relation["relationshipType"].as_str().unwrap_or_default() {
            "DESCRIBES" if from == own => {
                described.insert(to);
            }
            "DESCRIBED_BY" if to == own => {
                described.insert(from);
            }
            _ => bill.related = true,
        }
        for name in [from, to] {
            // What lies in another document cannot be looked up here.
            if !NOTHING.contains(&name) && !name.starts_with("DocumentRef-") {
                bill.refs.refer(name);
            }
        }
    }
    for package in list(&document["packages"]) {
        let id = package["SPDXID"].as_str().unwrap_or_default();
        bill.refs.define(id);
        let component = package2(package);
        if bill.root.is_none() && described.contains(id) {
            bill.root = Some(component);
        } else {
            bill.components.push(component);
        }
    }
    for file in list(&document["files"]) {
        bill.refs.define(file["SPDXID"].as_str().unwrap_or_default());
        bill.components.push(file2(file));
    }
    for snippet in list(&document["snippets"]) {
        bill.refs.define(snippet["SPDXID"].as_str().unwrap_or_default());
    }
    bill
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// A text that says something.
fn text(value: &Value) -> Option<&str> {
    value.as_str().map(str::trim).filter(|text| !text.is_empty())
}

fn said(value: &Value) -> Option<&str> {
    text(value).filter(|text| !NOTHING.contains(text))
}

fn checksums(value: &Value) -> Vec<chiron_storage::Digest> {
    let mut found = Vec::new();
    for checksum in list(&value["checksums"]).filter(|checksum| checksum["algorithm"] == "SHA256") {
        push_sha256(&mut found, checksum["checksumValue"].as_str());
    }
    found
}

fn package2(package: &Value) -> Component {
    let references = || list(&package["externalRefs"]);
    let purl = references()
        .find(|reference| reference["referenceType"] == "purl")
        .and_then(|reference| text(&reference["referenceLocator"]));
    let identified = references().any(|reference| {
        matches!(
            reference["referenceType"].as_str(),
            Some("purl" | "cpe22Type" | "cpe23Type" | "swid" | "gitoid" | "swh")
        )
    });
    Component {
        name: package["name"].as_str().unwrap_or_default().to_owned(),
        version: said(&package["versionInfo"]).map(str::to_owned),
        purl: purl.map(str::to_owned),
        identified,
        supplied: said(&package["supplier"]).is_some() || said(&package["originator"]).is_some(),
        sha256: checksums(package),
        paths: said(&package["packageFileName"])
            .map(|path| path.trim_start_matches("./").to_owned())
            .into_iter()
            .collect(),
        licence: said(&package["licenseDeclared"])
            .or_else(|| said(&package["licenseConcluded"]))
            .map(str::to_owned),
        is_file: false,
    }
}

fn file2(file: &Value) -> Component {
    let name = file["fileName"].as_str().unwrap_or_default();
    let path = name.trim_start_matches("./").to_owned();
    Component {
        name: path.clone(),
        sha256: checksums(file),
        paths: vec![path],
        is_file: true,
        ..Component::default()
    }
}

/// Reads a valid document of version 3: packages, files, hashes, and what the document says it is about. What 3.0 can
/// say beyond that is stored with the document and not looked at.
pub(super) fn read3(document: &Value) -> Bill {
    let alone = std::slice::from_ref(document);
    let elements = || document["@graph"].as_array().map_or(alone, Vec::as_slice).iter();
    let mut bill = Bill::default();
    let mut roots: HashSet<&str> = HashSet::new();
    for element in elements() {
        let kind = element["type"].as_str().unwrap_or_default();
        bill.dated |= element["created"].is_string() || element["creationInfo"]["created"].is_string();
        bill.authored |= list(&element["createdBy"]).next().is_some()
            || list(&element["creationInfo"]["createdBy"]).next().is_some();
        match kind {
            "SpdxDocument" | "software_Sbom" | "Bom" => {
                roots.extend(list(&element["rootElement"]).filter_map(Value::as_str));
            }
            "Tool" => bill.tools.extend(text(&element["name"]).map(str::to_owned)),
            "Relationship" | "LifecycleScopedRelationship" => {
                bill.related = true;
                bill.complete |= element["completeness"] == "complete";
            }
            _ => {}
        }
    }
    for element in elements() {
        let Some(component) = element3(element) else {
            continue;
        };
        let id = element["spdxId"].as_str().unwrap_or_default();
        bill.refs.define(id);
        if bill.root.is_none() && !component.is_file && roots.contains(id) {
            bill.root = Some(component);
        } else {
            bill.components.push(component);
        }
    }
    bill
}

fn element3(element: &Value) -> Option<Component> {
    let is_file = match element["type"].as_str()? {
        "software_Package" => false,
        "software_File" => true,
        _ => return None,
    };
    let mut sha256 = Vec::new();
    for hash in list(&element["verifiedUsing"]).filter(|hash| hash["algorithm"] == "sha256") {
        push_sha256(&mut sha256, hash["hashValue"].as_str());
    }
    let name = text(&element["name"]).unwrap_or_default();
    let purl = text(&element["software_packageUrl"]);
    Some(Component {
        name: name.to_owned(),
        version: text(&element["software_packageVersion"]).map(str::to_owned),
        purl: purl.map(str::to_owned),
        identified: purl.is_some() || list(&element["externalIdentifier"]).next().is_some(),
        supplied: !element["suppliedBy"].is_null() || list(&element["originatedBy"]).next().is_some(),
        sha256,
        paths: is_file
            .then(|| name.trim_start_matches("./").to_owned())
            .into_iter()
            .collect(),
        licence: None,
        is_file,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use serde_json::json;

    use super::*;

    #[test]
    fn version_2() {
        let bill = read2(&json!({
            "SPDXID": "SPDXRef-DOCUMENT",
            "creationInfo": {"created": "2026-01-01T00:00:00Z", "creators": ["Tool: maker-1"]},
            "packages": [
                {"SPDXID": "SPDXRef-a", "name": "lib", "supplier": "NOASSERTION"},
                {"SPDXID": "SPDXRef-p", "name": "demo", "versionInfo": "1.0", "licenseDeclared": "MIT",
                 "packageFileName": "./demo-1.0-py3-none-any.whl",
                 "externalRefs": [{"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": "pkg:pypi/demo@1.0"}],
                 "checksums": [{"algorithm": "SHA256", "checksumValue": "ab".repeat(32)}]},
            ],
            "files": [{"SPDXID": "SPDXRef-f", "fileName": "./demo/a.py", "checksums": []}],
            "relationships": [
                {"spdxElementId": "SPDXRef-DOCUMENT", "relationshipType": "DESCRIBES", "relatedSpdxElement": "SPDXRef-p"},
                {"spdxElementId": "SPDXRef-p", "relationshipType": "DEPENDS_ON", "relatedSpdxElement": "SPDXRef-gone"},
            ],
        }));
        let root = bill.root.unwrap();
        assert_eq!(
            (
                root.name.as_str(),
                root.version.as_deref(),
                root.licence.as_deref()
            ),
            ("demo", Some("1.0"), Some("MIT"))
        );
        assert_eq!(root.sha256.len(), 1);
        assert_eq!(bill.components.len(), 2);
        assert!(!bill.components[0].supplied && bill.components[1].is_file);
        assert_eq!(bill.components[1].paths, ["demo/a.py"]);
        assert_eq!(bill.refs.dangling().collect::<Vec<_>>(), ["SPDXRef-gone"]);
        assert_eq!(bill.tools, ["maker-1"]);
        assert!(bill.dated && bill.authored && bill.related);
    }

    #[test]
    fn version_3() {
        let bill = read3(&json!({"@graph": [
            {"type": "CreationInfo", "created": "2026-01-01T00:00:00Z", "createdBy": ["x"]},
            {"type": "SpdxDocument", "rootElement": ["urn:sbom"]},
            {"type": "software_Sbom", "spdxId": "urn:sbom", "rootElement": ["urn:p"]},
            {"type": "software_Package", "spdxId": "urn:p", "name": "demo", "software_packageVersion": "1.0",
             "software_packageUrl": "pkg:pypi/demo@1.0",
             "verifiedUsing": [{"type": "Hash", "algorithm": "sha256", "hashValue": "ab".repeat(32)}]},
            {"type": "software_File", "spdxId": "urn:f", "name": "./demo/a.py"},
        ]}));
        assert_eq!(bill.root.unwrap().sha256.len(), 1);
        assert_eq!(bill.components[0].paths, ["demo/a.py"]);
        assert!(bill.dated && bill.authored);
    }
}
