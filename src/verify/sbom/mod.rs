//! The gate's fourth check, `sbom`: bills of materials, found, validated, held against the file, and written when none
//! was published.
//!
//! A bill is looked for in the wheel (`.dist-info/sboms/`, PEP 770), beside it, and in verified attestations. Each one
//! must be valid by the official schema of the version that it declares, and must not contradict the file: a bill that
//! is about the release (role `root`) must name it, one that states a hash must state this file's. What a bill leaves
//! out is a fact, not a fault: of eight real documents none asserts that it is complete **[m]**.
//!
//! Cost: a file without a bill takes some tens of microseconds; validating takes about 1 ms per 100 KB of document.

mod agree;
mod attested;
mod bill;
mod bundled;
mod cyclonedx;
mod facts;
mod find;
mod format;
mod generate;
mod json;
mod licence;
mod ntia;
mod role;
mod schemas;
mod spdx;

#[cfg(test)]
mod tests;

use bytes::Bytes;
use chiron_storage::Digest;
use serde_json::{Map, Value};

use super::archive::shown;
use super::{Contents, Document, Outcome, Report};
use crate::package::DistributionFilename;
use crate::package::metadata::CoreMetadata;
use agree::agreement;
pub use attested::attested;
use bill::{Bill, Component};
use bundled::Bundled;
pub use facts::{
    DocumentFacts, Format, LISTED, LicenceFacts, LicenceFrom, Note, NtiaFacts, Origin, Role, SbomFacts,
};
use find::{Found, Source, find};
use format::{Kind, sniff};
use schemas::SchemaError;

/// Bounds of the check. All of them are compared before anything is parsed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SbomLimits {
    /// Bytes of one document. Threat: memory.
    pub document_bytes: u64,
    /// Objects and lists inside each other. Threat: a stack that overflows. 100 at most: the parser ends at 128.
    pub depth: usize,
    /// Values of one document. Threat: a small document whose parsed form fills the memory (about 100 bytes each).
    pub values: usize,
    /// Documents of one file. Threat: time.
    pub documents: usize,
}

impl Default for SbomLimits {
    /// The largest real document met has 470 KB, 15,000 values and a depth of 9 (polars: 360 crates) **[m]**.
    fn default() -> Self {
        Self {
            document_bytes: 16 << 20,
            depth: 64,
            values: 500_000,
            documents: 64,
        }
    }
}

/// Narrower bounds of SPDX 3.0, whose schema tries some hundred alternatives at each object: 20 µs for each value, and
/// more for each level. Its elements lie side by side in `@graph`; four levels of objects inside each other are unusual.
const SPDX3_DEPTH: usize = 16;
const SPDX3_VALUES: usize = 100_000;

/// The file that is checked.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// Its name.
    pub name: &'a DistributionFilename,
    /// Its digest.
    pub sha256: Digest,
    /// Its own metadata.
    pub metadata: Option<&'a CoreMetadata>,
    /// What is in it; `None` for an sdist.
    pub contents: Option<&'a Contents>,
}

/// The result of the check.
#[derive(Debug)]
pub struct Sbom {
    /// `pass`: published, all valid, no contradiction. `fail`: one is bad or another file's. `absent`: none was
    /// published. `error`: this build cannot validate.
    pub report: Report,
    /// The bill that is served beside the file: the published one that speaks of it, or the one written here. `None`
    /// when what was published is bad.
    pub served: Option<Vec<u8>>,
}

/// A document that was looked at.
struct Judged<'a> {
    facts: DocumentFacts,
    found: Found<'a>,
    bill: Option<Bill>,
}

/// Checks what is in the file, what came beside it, and what verified attestations hold (`attested`: the predicates).
pub fn sbom(subject: &Subject<'_>, documents: &[Document], attested: &[Bytes], limits: &SbomLimits) -> Sbom {
    let bundled = subject.contents.map(Bundled::of).unwrap_or_default();
    let (found, left_out) = find(subject.contents, documents, attested, limits);
    let mut notes = Notes::default();
    if left_out > 0 {
        let detail = format!(
            "{left_out} documents more than the {} that are looked at",
            limits.documents
        );
        notes.finding("too-many", detail, None);
    }
    let judged: Vec<Judged<'_>> = found
        .into_iter()
        .map(|found| judge(found, subject, &bundled, limits, &mut notes))
        .collect();

    let components: Vec<&Component> = judged
        .iter()
        .filter_map(|judged| judged.bill.as_ref())
        .flat_map(|bill| &bill.components)
        .collect();
    let unclaimed = bundled.unclaimed(&components);
    let published = !judged.is_empty();
    if published && !unclaimed.is_empty() {
        let detail = format!(
            "no bill names {} of the libraries and projects that it carries",
            unclaimed.len()
        );
        notes.warning("unclaimed", detail, None);
    }
    let speaking = speaking(&judged);
    let licence = licence::facts(
        subject.metadata,
        speaking
            .and_then(|judged| judged.bill.as_ref())
            .and_then(|bill| bill.root.as_ref())
            .and_then(|root| root.licence.as_deref()),
    );
    if licence.agrees == Some(false) {
        let detail = "the licence in the bill is not the one in the file's metadata";
        notes.warning("licence-differs", detail, None);
    }
    let outcome = notes.outcome(published);
    let served = match (outcome, speaking) {
        (Outcome::Pass, Some(judged)) => judged.found.bytes.map(<[u8]>::to_vec),
        (Outcome::Pass | Outcome::Absent, _) => generate::generate(
            &generate::Subject {
                file: subject,
                licence: licence.expression.as_deref(),
            },
            &bundled,
        ),
        _ => None,
    };
    let summary = summary(outcome, &judged, &notes, served.is_some());
    let facts = SbomFacts {
        origin: match (published, &served) {
            (true, _) => Origin::Published,
            (false, Some(_)) => Origin::Generated,
            (false, None) => Origin::None,
        },
        served: match &served {
            Some(_) if outcome == Outcome::Pass && speaking.is_some() => Origin::Published,
            Some(_) => Origin::Generated,
            None => Origin::None,
        },
        documents: judged.into_iter().map(|judged| judged.facts).collect(),
        licence,
        bundled_total: bundled.total(),
        bundled: listed(bundled.shown()),
        unclaimed_total: unclaimed.len() as u64,
        unclaimed: listed(unclaimed.into_iter()),
        findings: notes.findings,
        warnings: notes.warnings,
    };
    Sbom {
        report: Report {
            outcome,
            summary,
            facts: map(&facts),
        },
        served,
    }
}

/// Reads, validates and compares one document.
fn judge<'a>(
    found: Found<'a>,
    subject: &Subject<'_>,
    bundled: &Bundled<'_>,
    limits: &SbomLimits,
    notes: &mut Notes,
) -> Judged<'a> {
    let mut facts = DocumentFacts {
        format: Format::Unknown,
        version: String::new(),
        role: None,
        place: shown(&found.place),
        digest: found.digest,
        valid: false,
        components: 0,
        root: None,
        names_digest: false,
        refs_unique: false,
        graph_closed: false,
        complete: false,
        ntia: NtiaFacts::default(),
    };
    let bill = read(&found, limits, &mut facts, notes);
    if let Some(bill) = &bill {
        let vendored: Vec<_> = bundled.vendored.keys().cloned().collect();
        let role = role::role(bill, subject.name, &vendored);
        let said = agreement(
            bill,
            role,
            found.source,
            subject.name,
            subject.sha256,
            subject.contents,
        );
        facts.role = Some(role);
        facts.valid = true;
        facts.components = bill.components.len() as u64;
        facts.root = bill
            .root
            .as_ref()
            .map(|root| shown(root.purl.as_ref().unwrap_or(&root.name)));
        facts.names_digest = said.names_digest;
        facts.refs_unique = bill.refs.repeated.is_empty();
        facts.graph_closed = bill.refs.dangling().next().is_none();
        facts.complete = bill.complete;
        facts.ntia = ntia::score(bill);
        for (code, detail) in said.findings {
            notes.finding(code, detail, Some(&found.place));
        }
        for (code, detail) in said.warnings {
            notes.warning(code, detail, Some(&found.place));
        }
    }
    Judged { facts, found, bill }
}

/// Reads one document and holds it against its schema.
fn read(
    found: &Found<'_>,
    limits: &SbomLimits,
    facts: &mut DocumentFacts,
    notes: &mut Notes,
) -> Option<Bill> {
    let place = Some(found.place.as_ref());
    let Some(bytes) = found.bytes else {
        let error = json::JsonError::TooLarge {
            bytes: found.size,
            limit: limits.document_bytes,
        };
        notes.finding(error.code(), error.to_string(), place);
        return None;
    };
    let document = match json::read(bytes, limits) {
        Ok(document) => document,
        Err(error) => {
            notes.finding(error.code(), error.to_string(), place);
            return None;
        }
    };
    let kind = match sniff(&document) {
        Ok(kind) => kind,
        Err(error) => {
            notes.finding(error.code(), error.to_string(), place);
            return None;
        }
    };
    if kind == Kind::Spdx30
        && let Err(error) = json::within(
            bytes,
            limits.depth.min(SPDX3_DEPTH),
            limits.values.min(SPDX3_VALUES),
        )
    {
        notes.finding(error.code(), error.to_string(), place);
        return None;
    }
    facts.format = kind.format();
    kind.version().clone_into(&mut facts.version);
    match schemas::validate(kind, &document) {
        Ok(()) => {}
        Err(error @ SchemaError::Invalid { .. }) => {
            notes.finding("invalid", error.to_string(), place);
            return None;
        }
        Err(error @ SchemaError::Unusable(_)) => {
            notes.unusable = true;
            notes.finding("schema-unusable", error.to_string(), place);
            return None;
        }
    }
    Some(match kind {
        Kind::CycloneDx14 | Kind::CycloneDx15 | Kind::CycloneDx16 | Kind::CycloneDx17 => {
            cyclonedx::read(&document)
        }
        Kind::Spdx22 | Kind::Spdx23 => spdx::read2(&document),
        Kind::Spdx30 => spdx::read3(&document),
    })
}

/// The document that speaks of the release as a whole: the one that names its digest before others, one from outside
/// the file before one from inside, the longest of those.
fn speaking<'j, 'a>(judged: &'j [Judged<'a>]) -> Option<&'j Judged<'a>> {
    judged
        .iter()
        .filter(|judged| judged.facts.role == Some(Role::Root))
        .max_by_key(|judged| {
            (
                judged.facts.names_digest,
                judged.found.source != Source::Inside,
                judged.facts.components,
            )
        })
}

fn summary(outcome: Outcome, judged: &[Judged<'_>], notes: &Notes, served: bool) -> String {
    match outcome {
        Outcome::Pass => {
            let roots = judged
                .iter()
                .filter(|judged| judged.facts.role == Some(Role::Root))
                .count();
            format!(
                "{} published, all valid; {roots} about the release itself",
                if judged.len() == 1 {
                    "1 bill of materials".to_owned()
                } else {
                    format!("{} bills of materials", judged.len())
                },
            )
        }
        Outcome::Absent if served => "no bill of materials was published; one was written here".to_owned(),
        Outcome::Absent => "no bill of materials was published".to_owned(),
        _ => notes.findings.first().map_or_else(String::new, |first| {
            let place = first
                .place
                .as_ref()
                .map(|place| format!("{place}: "))
                .unwrap_or_default();
            format!("{}: {place}{}", first.code, first.detail)
        }),
    }
}

fn listed(all: impl Iterator<Item = String>) -> Vec<String> {
    all.take(LISTED).map(|text| shown(&text)).collect()
}

fn map(facts: &SbomFacts) -> Map<String, Value> {
    match serde_json::to_value(facts) {
        Ok(Value::Object(map)) => map,
        // Cannot be: the facts are a struct of strings, numbers and lists.
        _ => Map::new(),
    }
}

/// Findings and warnings as they are gathered.
#[derive(Default)]
struct Notes {
    findings: Vec<Note>,
    warnings: Vec<Note>,
    /// A schema of this build could not be used: nothing is known about a document.
    unusable: bool,
}

impl Notes {
    fn finding(&mut self, code: &str, detail: impl AsRef<str>, place: Option<&str>) {
        note(&mut self.findings, code, detail.as_ref(), place);
    }

    fn warning(&mut self, code: &str, detail: impl AsRef<str>, place: Option<&str>) {
        note(&mut self.warnings, code, detail.as_ref(), place);
    }

    fn outcome(&self, published: bool) -> Outcome {
        let bad = self
            .findings
            .iter()
            .any(|finding| finding.code != "schema-unusable");
        match (bad, self.unusable, published) {
            (true, _, _) => Outcome::Fail,
            (false, true, _) => Outcome::Error,
            (false, false, true) => Outcome::Pass,
            (false, false, false) => Outcome::Absent,
        }
    }
}

fn note(list: &mut Vec<Note>, code: &str, detail: &str, place: Option<&str>) {
    if list.len() < LISTED {
        list.push(Note {
            code: code.to_owned(),
            detail: shown(detail),
            place: place.map(shown),
        });
    }
}
