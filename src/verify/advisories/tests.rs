#![allow(clippy::unwrap_used, clippy::expect_used)]

use chiron_storage::Digest;
use jiff::SignedDuration;
use serde_json::json;

use super::*;

fn entry(events: &serde_json::Value) -> Entry {
    let affected = json!({ "ranges": [{ "type": "ECOSYSTEM", "events": events }] });
    let (reach, undecided) = Reach::read(&affected);
    Entry {
        summary: "a hole".to_owned(),
        modified: Timestamp::UNIX_EPOCH,
        reaches: vec![reach],
        undecided,
    }
}

fn until(fixed: &str) -> Entry {
    entry(&json!([{ "introduced": "0" }, { "fixed": fixed }]))
}

fn group(names: &[&str], severity: Severity) -> Arc<Group> {
    Arc::new(Group {
        records: names.iter().map(|name| (*name).to_owned()).collect(),
        names: names.iter().map(|name| (*name).to_owned()).collect(),
        severity,
        malware: names.iter().any(|name| name.starts_with("MAL-")),
        ..Group::default()
    })
}

fn known(entries: Vec<(&str, Entry)>, groups: &[Arc<Group>]) -> ProjectAdvisories {
    let database = Database {
        as_of: "2026-11-01T00:00:00Z".parse().unwrap(),
        digest: Digest::of(b"database"),
        records: 7,
        set_aside: 0,
        unattributed: 0,
    };
    let by_id = groups.iter().flat_map(|group| {
        group
            .records
            .iter()
            .map(move |id| (id.clone(), Arc::clone(group)))
    });
    let records = Records {
        entries: entries
            .into_iter()
            .map(|(id, entry)| (id.to_owned(), entry))
            .collect(),
        groups: by_id.collect(),
        statements: Vec::new(),
    };
    ProjectAdvisories::new(database, Some(SignedDuration::from_hours(24 * 30)), records)
}

fn ask(known: Option<&ProjectAdvisories>, version: &str, now: &str) -> Report {
    let name = DistributionFilename::parse(&format!("demo-{version}-py3-none-any.whl")).unwrap();
    advisories(&name, known, now.parse().unwrap())
}

const NOW: &str = "2026-11-20T00:00:00Z";

fn facts(report: &Report) -> AdvisoriesFacts {
    serde_json::from_value(serde_json::Value::Object(report.facts.clone())).unwrap()
}

#[test]
fn no_database_is_absent_and_not_clean() {
    let report = ask(None, "1.0", NOW);
    assert_eq!(report.outcome, Outcome::Absent);
    assert_eq!(facts(&report), AdvisoriesFacts::nothing_known());
}

#[test]
fn a_database_that_cannot_be_read_is_an_error() {
    let report = ask(
        Some(&ProjectAdvisories::unreadable("the disk is gone")),
        "1.0",
        NOW,
    );
    assert_eq!(
        (report.outcome, facts(&report).findings[0].code.as_str()),
        (Outcome::Error, "unreadable")
    );
}

#[test]
fn what_reaches_the_version_fails_and_what_does_not_passes() {
    let known = known(
        vec![("PYSEC-1", until("2.0"))],
        &[group(&["PYSEC-1"], Severity::Unknown)],
    );
    let report = ask(Some(&known), "1.0", NOW);
    assert_eq!(report.outcome, Outcome::Fail);
    assert_eq!(
        report.summary,
        "1 advisory reaches demo 1.0: PYSEC-1 (severity unknown)"
    );
    let found = facts(&report);
    assert_eq!((found.matched.len(), found.records), (1, 7));
    assert_eq!(found.matched[0].fixed_in, ["2.0"]);
    let mends = ask(Some(&known), "2.0", NOW);
    assert_eq!(mends.outcome, Outcome::Pass);
    assert_eq!(
        facts(&mends).fixes,
        [MendedAdvisory {
            id: "PYSEC-1".to_owned(),
            kev: false
        }]
    );
    assert_eq!(facts(&ask(Some(&known), "2.1", NOW)).fixes, []);
}

#[test]
fn a_stale_database_is_an_error_with_what_it_still_shows() {
    let known = known(
        vec![("MAL-1", until("2.0"))],
        &[group(&["MAL-1"], Severity::Unknown)],
    );
    let report = ask(Some(&known), "1.0", "2026-12-24T00:00:00Z");
    let found = facts(&report);
    assert_eq!(
        (report.outcome, found.findings[0].code.as_str()),
        (Outcome::Error, "stale")
    );
    assert!(found.matched[0].malware);
    assert_eq!(
        ask(Some(&known), "2.0", "2026-12-24T00:00:00Z").outcome,
        Outcome::Error
    );
    assert_eq!(
        ask(Some(&known), "2.0", "2026-12-01T00:00:00Z").outcome,
        Outcome::Pass,
        "exactly as old as it may be"
    );
}

#[test]
fn an_undecided_record_leaves_every_version_unknown() {
    let known = known(
        vec![("PYSEC-1", entry(&json!([])))],
        &[group(&["PYSEC-1"], Severity::Low)],
    );
    let report = ask(Some(&known), "1.0", NOW);
    assert_eq!(
        (report.outcome, facts(&report).findings[0].code.as_str()),
        (Outcome::Error, "unknown-package")
    );
    assert!(report.summary.contains("PYSEC-1"), "{}", report.summary);
}

#[test]
fn several_records_of_one_vulnerability_are_one_match_and_malware_comes_first() {
    let known = known(
        vec![
            ("GHSA-1", until("1.5")),
            ("MAL-9", entry(&json!([{ "introduced": "0" }]))),
            ("PYSEC-1", until("2.0")),
        ],
        &[
            group(&["GHSA-1", "PYSEC-1"], Severity::Critical),
            group(&["MAL-9"], Severity::Unknown),
        ],
    );
    let found = facts(&ask(Some(&known), "1.0", NOW));
    let told: Vec<_> = found
        .matched
        .iter()
        .map(|m| (m.id.as_str(), m.severity, m.fixed_in.join(" ")))
        .collect();
    assert_eq!(
        told,
        [
            ("MAL-9", Severity::Unknown, String::new()),
            ("GHSA-1", Severity::Critical, "2.0".to_owned()),
        ]
    );
}
