//! All checks on one file, in the order in which they may trust each other. What `chiron serve`,
//! `ingest` and the offline `verify` share.

use std::fs::File;

use chiron_storage::{Digest, Measured};
use jiff::Timestamp;
use serde_json::json;

use super::advisories::advisories;
use super::reproducibility::{self, SourceCommit, reproducibility};
use super::sbom;
use super::signature::{Signed, signature};
use super::{
    ArchiveLimits, CheckName, Document, Evidence, Outcome, ProjectAdvisories, Rebuilders, Report, SbomLimits,
    SourceArchive, Trust, hashes, hashes::HashReport, structure,
};
use crate::package::{DistributionFilename, HashClaim};

/// What is said of a file before anyone has looked at it.
#[derive(Debug, Clone, Default)]
pub struct Published {
    /// All are compared; none at all makes the outcome `absent`.
    pub hashes: Vec<HashClaim>,
    /// Bytes.
    pub size: Option<u64>,
    /// Digests of core metadata that was published, or handed out to installers, for this file.
    pub core_metadata: Vec<Digest>,
    /// Whose word it is, for the evidence.
    pub by: String,
}

/// What came along with the file, still unverified.
#[derive(Debug)]
pub struct Attached {
    /// Attestations, bills of materials, statements.
    pub documents: Vec<Document>,
    /// The source that a wheel is held against.
    pub source: SourceArchive,
    /// What the advisory database in force says of the project; `None` while none was ever loaded.
    pub advisories: Option<ProjectAdvisories>,
    /// Why a document that upstream says exists is not among them: what might have spoken against the file is unknown.
    pub undelivered: Option<String>,
}

impl Default for Attached {
    fn default() -> Self {
        Self {
            documents: Vec::new(),
            source: SourceArchive::NotPublished,
            advisories: None,
            undelivered: None,
        }
    }
}

/// How the checks are set up: the same for every file. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Checks {
    /// Bounds on what an archive may make the checks do.
    pub archive: ArchiveLimits,
    /// Whom signatures may lead back to.
    pub trust: Trust,
    /// Bounds on bills of materials.
    pub sbom: SbomLimits,
    /// Whose rebuilds count.
    pub rebuilders: Rebuilders,
}

/// The outcome of [`examine`].
#[derive(Debug)]
pub struct Examined {
    /// In the order of the gate, one for each check.
    pub evidence: Vec<Evidence>,
    /// The wheel's own METADATA, when its structure passed.
    pub core_metadata: Option<Vec<u8>>,
    /// The bill of materials that is served beside the file.
    pub sbom: Option<Vec<u8>>,
}

/// Runs the checks; what `watch` gives is held while one runs. Blocking and bound by the processor: call it on a
/// blocking thread. What is not the published file, or is no sound archive, is read by no further check.
#[expect(
    clippy::too_many_arguments,
    reason = "what is looked at, what is said of it, how, and when: each comes from another place"
)]
pub fn examine<W>(
    file: &File,
    measured: &Measured,
    name: &DistributionFilename,
    published: &Published,
    attached: &Attached,
    checks: &Checks,
    now: Timestamp,
    watch: impl Fn(CheckName) -> W,
) -> Examined {
    let subject = measured.sha256;
    let mut digests = {
        let _watching = watch(CheckName::Hashes);
        hashes(file, measured, &published.hashes, published.size, &published.by)
    };
    if digests.outcome == Outcome::Fail {
        return unread(
            subject,
            now,
            skipped("not looked at: the bytes are not the published file"),
            digests.into(),
        );
    }
    let found = {
        let _watching = watch(CheckName::Structure);
        structure(file, measured.size, name, &checks.archive)
    };
    if let Some(own) = found.core_metadata.as_deref().map(Digest::of) {
        compare_metadata(&mut digests, own, &published.core_metadata);
    }
    let hashes = Report::from(digests);
    let structure = Report {
        outcome: found.outcome,
        summary: found.summary,
        facts: found.facts,
    };
    if structure.outcome != Outcome::Pass || hashes.outcome == Outcome::Fail {
        return unread(subject, now, structure, hashes);
    }
    let contents = found.contents.as_ref();
    let signature = {
        let _watching = watch(CheckName::Signature);
        let signed = Signed {
            name,
            sha256: subject,
            file,
            size: measured.size,
        };
        signature(&signed, &attached.documents, &checks.trust)
    };
    let signature = match &attached.undelivered {
        Some(why) => unchecked(signature, why),
        None => signature,
    };
    let hashes = if hashes.outcome == Outcome::Absent && signature.outcome == Outcome::Pass {
        stated_by_signature(hashes, subject)
    } else {
        hashes
    };
    let bill = {
        let _watching = watch(CheckName::Sbom);
        let file = sbom::Subject {
            name,
            sha256: subject,
            metadata: found.parsed.as_ref(),
            contents,
        };
        let bills = sbom::attested(&signature.facts, &attached.documents);
        sbom::sbom(&file, &attached.documents, &bills, &checks.sbom)
    };
    let source = {
        let _watching = watch(CheckName::Reproducibility);
        let (documents, rebuilders) = (&attached.documents, &checks.rebuilders);
        let file = reproducibility::Subject {
            name,
            sha256: subject,
            contents,
            attested: SourceCommit::from_signature_facts(&signature.facts),
        };
        reproducibility(&file, &attached.source, documents, rebuilders, &checks.archive)
    };
    let known = {
        let _watching = watch(CheckName::Advisories);
        advisories(name, attached.advisories.as_ref(), now)
    };
    let reports = [structure, hashes, signature, bill.report, source, known];
    Examined {
        evidence: dated(reports, subject, now),
        core_metadata: found.core_metadata,
        sbom: bill.served,
    }
}

/// The reports of all checks as evidence about one content, in the order of the gate.
fn dated(reports: [Report; CheckName::ALL.len()], subject: Digest, now: Timestamp) -> Vec<Evidence> {
    CheckName::ALL
        .into_iter()
        .zip(reports)
        .map(|(check, report)| report.into_evidence(check, subject, now))
        .collect()
}

/// A file whose digest nobody stated beside it, signed by somebody who is believed: every kind of signature that
/// verifies states the SHA-256 of the file, or covers its very bytes.
fn stated_by_signature(mut hashes: Report, subject: Digest) -> Report {
    hashes.outcome = Outcome::Pass;
    hashes.summary = format!("a verified signature speaks of the sha256 {subject}, which the file has");
    hashes
        .fact("origin", "a verified signature")
        .fact("agreed", vec!["sha256".to_owned()])
}

/// A signature when a document that exists could not be had: whatever the others say, it might have been the bad one.
fn unchecked(mut signature: Report, why: &str) -> Report {
    if signature.outcome != Outcome::Fail {
        signature.outcome = Outcome::Error;
        signature.summary = format!("not everything that was published could be checked: {why}");
    }
    signature.fact("undelivered", why)
}

fn skipped(why: &str) -> Report {
    Report::new(Outcome::Skipped, why)
}

/// The evidence when nothing further may read the file.
fn unread(subject: Digest, now: Timestamp, structure: Report, hashes: Report) -> Examined {
    let why = "not looked at: the file did not get past structure and hashes";
    let reports = [
        structure,
        hashes,
        skipped(why),
        skipped(why),
        skipped(why),
        skipped(why),
    ];
    Examined {
        evidence: dated(reports, subject, now),
        core_metadata: None,
        sbom: None,
    }
}

/// Holds the metadata that was published, or handed out, against the wheel's own.
fn compare_metadata(digests: &mut HashReport, own: Digest, published: &[Digest]) {
    let list = |digests: &[&Digest]| digests.iter().map(ToString::to_string).collect::<Vec<_>>();
    let differing: Vec<_> = published.iter().filter(|digest| **digest != own).collect();
    if !differing.is_empty() {
        digests.outcome = Outcome::Fail;
        digests.summary = format!(
            "the core metadata published for it (sha256 {}) is not the wheel's own (sha256 {own})",
            list(&differing).join(", "),
        );
        digests.facts.insert(
            "findings".to_owned(),
            json!([{ "code": "metadata-differs", "detail": digests.summary }]),
        );
    }
    digests
        .facts
        .insert("core_metadata_sha256".to_owned(), json!(own.to_string()));
    digests.facts.insert(
        "core_metadata_published".to_owned(),
        json!(list(&published.iter().collect::<Vec<_>>())),
    );
}
