//! What a verdict says of vulnerabilities, as an `OpenVEX` document (specification v0.2.0), so that scanners read it.

use bytes::Bytes;
use serde_json::{Value, json};

/// The statements that took part in a verdict. `None` when there were none. The same verdict gives the same bytes.
pub fn vex_of(verdict: &[u8]) -> Option<Bytes> {
    let verdict: Value = serde_json::from_slice(verdict).ok()?;
    let check = verdict["checks"]
        .as_array()?
        .iter()
        .find(|check| check["check"] == "advisories")?;
    let facts = &check["facts"];
    let as_of = facts["as_of"].as_str()?;
    let file = &verdict["file"];
    let sha256 = file["sha256"].as_str()?.trim_start_matches("sha256:").to_owned();
    let product = json!({
        "@id": format!("pkg:pypi/{}@{}", file["project"].as_str()?, file["version"].as_str()?),
        "hashes": { "sha-256": sha256 },
    });
    let statements: Vec<Value> = facts["matched"]
        .as_array()?
        .iter()
        .filter_map(|matched| statement(matched, &product))
        .collect();
    if statements.is_empty() {
        return None;
    }
    let document = json!({
        "@context": "https://openvex.dev/ns/v0.2.0",
        "@id": format!("urn:chiron:vex:sha256:{sha256}"),
        "author": "Chiron, repeating the authors named in each statement",
        "timestamp": as_of,
        "version": 1,
        "statements": statements,
    });
    serde_json::to_vec(&document).ok().map(Bytes::from)
}

fn statement(matched: &Value, product: &Value) -> Option<Value> {
    let vex = &matched["vex"];
    let status = vex["status"].as_str()?;
    let said = format!(
        "said by {} in {}",
        vex["by"].as_str().unwrap_or("nobody"),
        vex["document"].as_str().unwrap_or("a document without a name")
    );
    let mut statement = json!({
        "vulnerability": { "name": matched["id"], "aliases": matched["aliases"] },
        "products": [product],
        "status": status,
    });
    // What the specification asks for with each status.
    let field = match status {
        "not_affected" => "impact_statement",
        "affected" => "action_statement",
        _ => "status_notes",
    };
    statement[field] = Value::String(said);
    Some(statement)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn verdict(matched: &Value) -> Vec<u8> {
        serde_json::to_vec(&json!({
            "file": { "project": "demo", "version": "1.0", "sha256": "ab" },
            "checks": [{ "check": "advisories", "facts": { "as_of": "2026-11-20T00:00:00Z", "matched": matched } }],
        }))
        .unwrap()
    }

    #[test]
    fn statements_are_repeated_with_their_authors() {
        let bytes = vex_of(&verdict(&json!([
            { "id": "PYSEC-1", "aliases": ["CVE-1"], "vex": { "status": "not_affected", "by": "us", "document": "d" } },
            { "id": "PYSEC-2", "aliases": [], "vex": null },
        ])))
        .unwrap();
        let document: Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(document["statements"].as_array().unwrap().len(), 1);
        assert_eq!(document["statements"][0]["vulnerability"]["name"], "PYSEC-1");
        assert_eq!(document["statements"][0]["impact_statement"], "said by us in d");
    }

    #[test]
    fn without_a_statement_there_is_no_document() {
        assert!(vex_of(&verdict(&json!([]))).is_none());
        assert!(vex_of(b"[]").is_none());
        assert!(vex_of(b"{").is_none());
    }
}
