//! A wheel held against its source by the gate's own readers, without a daemon around them.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used)]

use std::fs::File;
use std::io::Write as _;

use chiron::package::DistributionFilename;
use chiron::verify::reproducibility::{ReproducibilityFacts, reproducibility};
use chiron::verify::{
    ArchiveLimits, Document, Outcome, Rebuilders, Report, SourceArchive, reproducibility as check, structure,
};
use chiron_storage::Digest;
use jiff::Timestamp;

pub fn file(bytes: &[u8]) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file
}

pub fn source(name: &str, bytes: &[u8]) -> SourceArchive {
    SourceArchive::Sdist {
        name: DistributionFilename::parse(name).unwrap(),
        file: file(bytes),
        size: bytes.len() as u64,
        sha256: Digest::of(bytes),
        commit: None,
    }
}

/// Runs the check as the gate does: on what `structure` found in the wheel.
pub fn run(
    name: &str,
    wheel: &[u8],
    source: &SourceArchive,
    documents: &[Document],
    rebuilders: &Rebuilders,
) -> Report {
    let (limits, filename) = (
        ArchiveLimits::default(),
        DistributionFilename::parse(name).unwrap(),
    );
    let found = structure(&file(wheel), wheel.len() as u64, &filename, &limits);
    assert_eq!(found.outcome, Outcome::Pass, "{}", found.summary);
    let subject = check::Subject {
        name: &filename,
        sha256: Digest::of(wheel),
        contents: found.contents.as_ref(),
        attested: None,
    };
    reproducibility(&subject, source, documents, rebuilders, &limits)
}

pub fn can_rebuild() -> Rebuilders {
    Rebuilders {
        can_rebuild: true,
        ..Rebuilders::default()
    }
}

/// The facts, which are what the published schema says of them.
pub fn facts(report: &Report) -> ReproducibilityFacts {
    let schema = include_str!("../../schemas/evidence-reproducibility.schema.json");
    let schema = jsonschema::validator_for(&serde_json::from_str(schema).unwrap()).unwrap();
    let document = serde_json::Value::Object(report.facts.clone());
    let errors: Vec<String> = schema
        .iter_errors(&document)
        .map(|error| error.to_string())
        .collect();
    assert!(errors.is_empty(), "{errors:?} in {document}");
    ReproducibilityFacts::read(&report.facts).expect("facts read back as what they were written from")
}

pub fn codes(facts: &ReproducibilityFacts) -> Vec<&str> {
    facts
        .findings
        .iter()
        .map(|finding| finding.code.as_str())
        .collect()
}

/// When everything in these tests happens.
pub fn at() -> Timestamp {
    "2026-11-20T10:00:00Z".parse().unwrap()
}
