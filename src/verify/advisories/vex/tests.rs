#![allow(clippy::unwrap_used, clippy::expect_used)]

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn openvex(statements: &Value) -> VexDocument {
    let document = json!({
        "@context": "https://openvex.dev/ns/v0.2.0", "@id": "urn:vex:1", "author": "Acme", "version": 1,
        "timestamp": "2026-01-01T00:00:00Z", "statements": statements,
    });
    parse(&document).expect("it is VEX").expect("it is sound")
}

fn csaf(tree: &Value, status: &Value) -> VexDocument {
    let document = json!({
        "document": {
            "category": "csaf_vex", "csaf_version": "2.0", "publisher": { "name": "Acme" },
            "tracking": { "id": "ACME-1", "current_release_date": "2026-01-01T00:00:00Z" },
        },
        "product_tree": tree,
        "vulnerabilities": [{ "cve": "CVE-1", "ids": [{ "system_name": "x", "text": "GHSA-1" }], "product_status": status }],
    });
    parse(&document).expect("it is VEX").expect("it is sound")
}

fn group() -> Group {
    Group {
        names: vec!["CVE-1".to_owned(), "GHSA-1".to_owned()],
        ..Group::default()
    }
}

fn statement(by: &str, status: VexStatus, at: &str) -> Statement {
    Statement {
        project: ProjectName::parse("demo").unwrap(),
        version: None,
        vulnerabilities: vec!["CVE-1".to_owned()],
        status,
        by: by.to_owned(),
        document: "d".to_owned(),
        at: at.parse().ok(),
    }
}

#[test]
fn openvex_products_are_packages_in_one_version_or_all() {
    let read = openvex(&json!([
        { "vulnerability": { "name": "CVE-1", "aliases": ["GHSA-1"] }, "status": "not_affected",
          "justification": "vulnerable_code_not_present",
          "products": [{ "@id": "pkg:pypi/Demo_X@1.0%2Bcu121" }, { "@id": "urn:x", "identifiers": { "purl": "pkg:pypi/other" } }] },
        { "vulnerability": "CVE-2", "status": "affected", "products": ["pkg:pypi/demo@2.0"] },
    ]));
    assert_eq!(read.unusable, Vec::<String>::new());
    let told: Vec<_> = read
        .statements
        .iter()
        .map(|s| {
            (
                s.project.as_str(),
                s.version.as_ref().map(ToString::to_string),
                s.status,
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            ("demo-x", Some("1.0+cu121".to_owned()), VexStatus::NotAffected),
            ("other", None, VexStatus::NotAffected),
            ("demo", Some("2.0".to_owned()), VexStatus::Affected),
        ]
    );
    assert!(read.statements[0].speaks_of(&group()) && !read.statements[2].speaks_of(&group()));
}

#[test]
fn what_openvex_does_not_say_takes_nothing_out() {
    let read = openvex(&json!([
        { "vulnerability": "CVE-1", "status": "not_affected", "products": ["pkg:pypi/demo@1.0"] },
        { "vulnerability": "CVE-1", "status": "harmless", "products": ["pkg:pypi/demo@1.0"] },
        { "vulnerability": "CVE-1", "status": "fixed", "products": [] },
        { "vulnerability": "", "status": "fixed", "products": ["pkg:pypi/demo@1.0"] },
        { "vulnerability": "CVE-1", "status": "fixed", "products": ["pkg:npm/demo@1.0"] },
        { "vulnerability": "CVE-1", "status": "fixed", "products": ["pkg:pypi/demo@0.9-eevee"] },
        { "vulnerability": "CVE-1", "status": "fixed", "products": [{ "@id": "pkg:pypi/demo@1.0", "subcomponents": [{ "@id": "pkg:pypi/x" }] }] },
    ]));
    assert_eq!((read.statements.len(), read.unusable.len()), (0, 7), "{read:?}");
}

#[test]
fn csaf_products_are_found_by_purl_or_by_name_and_version() {
    let tree = json!({
        "full_product_names": [
            { "product_id": "P1", "name": "x", "product_identification_helper": { "purl": "pkg:pypi/demo@1.0" } },
            { "product_id": "P2", "name": "x", "product_identification_helper": { "purl": "pkg:rpm/demo@1.0" } },
        ],
        "branches": [{ "category": "vendor", "name": "Acme", "branches": [{ "category": "product_name", "name": "Demo", "branches": [
            { "category": "product_version", "name": "2.0", "product": { "product_id": "P3", "name": "Demo 2.0" } },
            { "category": "product_version", "name": "3.0", "product": { "product_id": "P4", "name": "x", "product_identification_helper": { "cpe": "cpe:/a:x" } } },
        ] }] }],
        "relationships": [{ "category": "default_component_of", "full_product_name": { "product_id": "P5", "name": "x" } }],
    });
    let status =
        json!({ "known_not_affected": ["P1", "P2", "P5"], "fixed": ["P3"], "known_affected": ["P4", "P9"] });
    let read = csaf(&tree, &status);
    let told: Vec<_> = read
        .statements
        .iter()
        .map(|s| (s.version.as_ref().map(ToString::to_string).unwrap(), s.status))
        .collect();
    assert_eq!(
        told,
        [
            ("1.0".to_owned(), VexStatus::NotAffected),
            ("2.0".to_owned(), VexStatus::Fixed)
        ]
    );
    assert_eq!(read.unusable.len(), 4, "{:?}", read.unusable);
    assert_eq!(read.statements[0].vulnerabilities, ["CVE-1", "GHSA-1"]);
}

#[test]
fn the_latest_word_of_each_author_stands_and_a_doubt_outweighs() {
    let version: Version = "1.0".parse().unwrap();
    let early = statement("a", VexStatus::Affected, "2026-01-01T00:00:00Z");
    let late = statement("a", VexStatus::NotAffected, "2026-02-01T00:00:00Z");
    let other = statement("b", VexStatus::UnderInvestigation, "2025-01-01T00:00:00Z");
    let status = |list: &[&Statement]| standing(list.iter().copied(), &group(), &version).map(|s| s.status);
    assert_eq!(status(&[&early, &late]), Some(VexStatus::NotAffected));
    assert_eq!(status(&[&late, &early]), Some(VexStatus::NotAffected));
    assert_eq!(status(&[&late, &other]), Some(VexStatus::UnderInvestigation));
    let same_time = Statement {
        status: VexStatus::Affected,
        ..late.clone()
    };
    assert_eq!(status(&[&late, &same_time]), Some(VexStatus::Affected));
    assert_eq!(status(&[]), None);
}

#[test]
fn a_statement_is_about_its_version_only() {
    let fixed = Statement {
        version: "1.0".parse().ok(),
        ..statement("a", VexStatus::Fixed, "")
    };
    let status = |version: &str| standing([&fixed], &group(), &version.parse().unwrap()).map(|s| s.status);
    assert_eq!(status("1.0.0"), Some(VexStatus::Fixed));
    assert_eq!(status("1.1"), None);
    assert_eq!(
        status("1.0+local"),
        None,
        "a rebuild with something added is not what was spoken of"
    );
}

#[test]
fn documents_without_an_author_or_a_name_are_refused() {
    let context = "https://openvex.dev/ns";
    for document in [
        json!({ "@context": context, "@id": "x", "statements": [] }),
        json!({ "@context": context, "author": "x", "statements": [] }),
        json!({ "document": { "category": "csaf_vex", "csaf_version": "2.0" } }),
    ] {
        assert!(parse(&document).expect("it is VEX").is_err(), "{document}");
    }
    assert!(
        parse(&json!({ "document": { "category": "csaf_security_advisory", "csaf_version": "2.0" } }))
            .is_none()
    );
}

proptest! {
    #[test]
    fn any_statement_is_read(text in "\\PC{0,30}") {
        let read = openvex(&json!([{ "vulnerability": text, "status": "fixed", "products": [text] }]));
        prop_assert!(read.statements.len() + read.unusable.len() == 1);
    }
}
