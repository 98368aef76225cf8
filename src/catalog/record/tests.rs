#![allow(clippy::unwrap_used)]
use serde_json::{Value, json};

use super::*;

/// A row in quarantine (or another state) for the reasons given as `check/code`.
fn row(state: &str, reasons: &[&str], unavailable: &[&str], revoked_by: Option<&str>) -> FileRow {
    let reasons: Vec<Value> = reasons
        .iter()
        .map(|reason| {
            let (check, code) = reason.split_once('/').unwrap();
            json!({ "check": check, "code": code, "message": "" })
        })
        .collect();
    let zeros = "0".repeat(64);
    serde_json::from_value(json!({
        "judged": {
            "project": "demo", "filename": "demo-1-py3-none-any.whl", "version": "1", "sha256": zeros, "blake3": zeros,
            "size": 1, "origin": "file", "verdict": zeros, "evidence": [], "reasons": reasons,
            "found": { "unavailable": unavailable },
        },
        "state": state, "revoked_by": revoked_by, "at": "2026-01-01T00:00:00Z", "since": 0,
    }))
    .unwrap()
}

#[test]
fn only_what_passes_by_itself_is_waited_for() {
    let pending = "reproducibility/rebuild-pending";
    let waits = |reasons: &[&str], lacks: &[&str]| row("quarantined", reasons, lacks, None).waits();
    assert_eq!(waits(&[pending], &[]), Some(Waits::Rebuild));
    assert_eq!(waits(&["policy/too-young"], &[]), Some(Waits::Age));
    assert_eq!(
        waits(&[pending, "policy/too-young"], &[]),
        Some(Waits::Age),
        "the longest counts"
    );
    assert_eq!(
        waits(&[pending, "signature/downgrade"], &[]),
        None,
        "something stands against it"
    );
    assert_eq!(waits(&["signature/could-not-check"], &[]), None);
    assert_eq!(
        waits(&["signature/could-not-check"], &["provenance"]),
        Some(Waits::Upstream)
    );
    assert_eq!(
        waits(&["signature/could-not-check"], &["source"]),
        None,
        "what is lacking does not explain the reason"
    );
    assert_eq!(waits(&[], &[]), None);
    assert_eq!(
        waits(&[pending; MAX_REASONS], &[]),
        None,
        "the list may have been cut"
    );
}

#[test]
fn a_persons_revocation_is_not_waited_for() {
    let pending = ["reproducibility/rebuild-pending"];
    assert_eq!(
        row("revoked", &pending, &[], Some("chiron")).waits(),
        Some(Waits::Rebuild)
    );
    assert_eq!(row("revoked", &pending, &[], Some("operator")).waits(), None);
    assert_eq!(
        row("revoked", &pending, &[], None).waits(),
        None,
        "an earlier version's row"
    );
    assert_eq!(row("refused", &pending, &[], None).waits(), None);
    assert_eq!(row("admitted", &[], &[], None).waits(), None);
    let codes: Vec<_> = row("revoked", &pending, &[], Some("chiron"))
        .waiting_codes()
        .collect();
    assert_eq!(codes, [REBUILD_PENDING]);
}

#[test]
fn damaged_bytes_are_left_alone() {
    let damaged = row("quarantined", &["store/damaged"], &[], None);
    assert!(damaged.is_damaged() && !damaged.is_stored());
    assert_eq!(damaged.waits(), None);
    assert_eq!(damaged.waiting_codes().count(), 0);
}

#[test]
fn rows_of_earlier_versions_read_as_they_were() {
    let old = row("admitted", &[], &[], None);
    assert!(old.judged.found.checks.is_empty());
    assert_eq!(old.first_seen, None);
    let text = serde_json::to_value(&old).unwrap();
    assert_eq!(
        text.get("revoked_by"),
        None,
        "and are written as they were: {text}"
    );
    assert_eq!(text["judged"].get("found"), None);
}
