//! `signature`: PEP 740 attestations, Sigstore bundles and plain keys, verified offline at the time of signing.
//!
//! `unverified` parses documents at the door, `sigstore` is the only place that names the sigstore crates,
//! `judge` makes attestations, and [`signature`] writes down what was found. Who may sign what is policy's to say.

mod bounds;
mod certificate;
mod facts;
mod finding;
mod identity;
mod judge;
mod pep740;
mod publisher;
mod signed;
mod sigstore;
mod slsa;
mod statement;
mod trust;
mod unverified;

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::{Document, DocumentKind, Outcome, Report};

pub use bounds::{MAX_ATTESTATIONS, MAX_DOCUMENT_BYTES, MAX_DOCUMENTS};
pub use facts::{AttestationFact, AttestationKind, IdentityKind, SignatureFacts, TrustRootFact};
pub use finding::{Code, FindingFact};
pub use identity::{IdentityRule, IdentityRuleError, identity_matches};
pub use judge::Attestation;
pub use publisher::Publisher;
pub use signed::Signed;
pub use statement::{PUBLISH_V1, SLSA_V1};
pub use trust::{PUBLIC_GOOD_NAME, Trust, TrustError};

use finding::Flaw;
use trust::Material;

/// Checks every document of a signature's kind against a file.
///
/// `pass`: at least one verified and nothing was wrong with any. `fail`: one is bad. `error`: one could not be judged.
/// `absent`: there is none.
pub fn signature(signed: &Signed<'_>, documents: &[Document], trust: &Trust) -> Report {
    let material = trust.material();
    let mut facts = SignatureFacts {
        trust_roots: material.roots.iter().map(|root| root.fact()).collect(),
        ..SignatureFacts::default()
    };
    let mut seen = BTreeSet::new();
    let mut left = MAX_ATTESTATIONS;
    let signatures = documents.iter().filter(|document| is_signature(document.kind));
    for document in signatures {
        let digest = document.reference().digest;
        // The same document from two sides is one document.
        if !seen.insert(digest) {
            continue;
        }
        let mut find = |flaw: Flaw| {
            facts.findings.push(FindingFact {
                code: flaw.code,
                detail: flaw.detail,
                document: digest,
                origin: document.origin,
            });
        };
        if seen.len() > MAX_DOCUMENTS {
            let detail = format!("more than {MAX_DOCUMENTS} documents; no further one is looked at");
            find(Flaw::new(Code::TooMany, detail));
            break;
        }
        match judge_all(document, signed, &material, &mut left) {
            Ok(judged) => {
                for one in judged {
                    match one {
                        Ok(attestation) => facts.attestations.push(attestation.fact(document.origin, digest)),
                        Err(flaws) => flaws.into_iter().for_each(&mut find),
                    }
                }
            }
            Err(flaw) => find(flaw),
        }
    }
    report(&facts)
}

/// Whether documents of this kind are this check's to read.
fn is_signature(kind: DocumentKind) -> bool {
    match kind {
        DocumentKind::Provenance
        | DocumentKind::Attestation
        | DocumentKind::Bundle
        | DocumentKind::Signature => true,
        DocumentKind::Sbom | DocumentKind::RebuildStatement => false,
    }
}

/// Each attestation of a document, verified or with its flaws.
fn judge_all(
    document: &Document,
    signed: &Signed<'_>,
    material: &Material,
    left: &mut usize,
) -> Result<Vec<Result<Attestation, Vec<Flaw>>>, Flaw> {
    let read = unverified::read(document)?;
    *left = left.checked_sub(read.len()).ok_or_else(|| {
        let detail =
            format!("more than {MAX_ATTESTATIONS} attestations of one file; no further one is looked at");
        Flaw::new(Code::TooMany, detail)
    })?;
    let judged = read.into_iter().map(|one| {
        one.map_err(|flaw| vec![flaw])
            .and_then(|unverified| Attestation::verify(unverified, signed, material))
    });
    Ok(judged.collect())
}

fn report(facts: &SignatureFacts) -> Report {
    let first = |outcome: Outcome| {
        let mut findings = facts.findings.iter();
        findings.find(|finding| finding.code.outcome() == outcome)
    };
    let (outcome, summary) = if let Some(bad) = first(Outcome::Fail) {
        (Outcome::Fail, bad.detail.clone())
    } else if let Some(open) = first(Outcome::Error) {
        (Outcome::Error, open.detail.clone())
    } else if let Some(one) = facts.attestations.first() {
        let more = match facts.attestations.len() {
            1 => String::new(),
            count => format!(" ({count} attestations)"),
        };
        (Outcome::Pass, format!("signed by {}{more}", one.signer()))
    } else {
        (
            Outcome::Absent,
            "nothing was published that signs this file".to_owned(),
        )
    };
    let mut report = Report::new(outcome, summary);
    report.facts = match serde_json::to_value(facts) {
        Ok(Value::Object(facts)) => facts,
        _ => Map::new(),
    };
    report
}
