//! The check itself: the source, the trace, the statements, and what they come to.

use std::fs::File;
use std::sync::Arc;

use chiron_storage::Digest;

use super::facts::{
    Axis, FindingFacts, Missing, RebuildState, ReproducibilityFacts, SourceCommit, SourceFacts, TraceFacts,
};
use super::foreign::{self, RebuilderKey, Spoken};
use super::{Level, trace};
use crate::package::DistributionFilename;
use crate::statement::PublicKey;
use crate::verify::archive::source_files;
use crate::verify::{ArchiveLimits, Contents, Document, Outcome, Report};

/// The source that a wheel is held against.
#[derive(Debug)]
pub enum SourceArchive {
    /// The release has no sdist, or the file is one itself.
    NotPublished,
    /// There is one, and it could not be had: says nothing about the wheel.
    Unavailable(String),
    /// There is one, and the gate refused it.
    Refused(String),
    /// An sdist that passed the gate's structure and hashes.
    Sdist {
        /// Its name.
        name: DistributionFilename,
        /// Its bytes, for reading by position.
        file: File,
        /// Bytes.
        size: u64,
        /// Its content.
        sha256: Digest,
        /// What a verified attestation *of the sdist* names as its source: [`SourceCommit::from_signature_facts`] over
        /// the facts of the sdist's own `signature` evidence.
        commit: Option<SourceCommit>,
    },
}

/// Whose rebuild statements count, and whether this machine can rebuild. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Rebuilders {
    /// A sandbox is there, and rebuilding is not switched off: a wheel that needs a rebuild may wait for one.
    pub can_rebuild: bool,
    /// Why not, for people.
    pub why_not: Option<String>,
    /// The rebuilders that are believed, together.
    pub keys: Arc<[RebuilderKey]>,
    /// How many of [`Self::keys`] must state a level for it to count; 0: none is believed, whatever they state.
    pub needed: usize,
    /// This Chiron's own statement key: its own statements count alone, as rebuilds made here.
    pub own: Option<PublicKey>,
}

/// The file that is checked.
#[derive(Debug)]
pub struct Subject<'a> {
    /// What it is called.
    pub name: &'a DistributionFilename,
    /// Its content.
    pub sha256: Digest,
    /// What is in it; `None` for an sdist, which is its own source.
    pub contents: Option<&'a Contents>,
    /// The commit that a verified attestation of this very file names.
    pub attested: Option<SourceCommit>,
}

/// Checks a wheel against its source. Busy while it reads the source archive: call it on a blocking thread.
pub fn reproducibility(
    subject: &Subject<'_>,
    source: &SourceArchive,
    documents: &[Document],
    rebuilders: &Rebuilders,
    limits: &ArchiveLimits,
) -> Report {
    let Subject {
        name,
        sha256,
        contents,
        attested,
    } = subject;
    let (name, sha256) = (*name, *sha256);
    let Some(contents) = contents else {
        return own_source(name, sha256, attested.clone());
    };
    let held = hold(name, contents, source, limits);
    let of = Spoken {
        name,
        sha256,
        source: held.facts.sha256,
    };
    let stated = foreign::read(&of, documents, rebuilders);
    let traced = held.trace.as_ref().is_some_and(TraceFacts::is_complete);
    let base = match (&held.trace, &held.facts.problem) {
        (Some(_), _) if traced => Level::Traced,
        (None, None) => Level::Inapplicable,
        _ => Level::NotAttempted,
    };
    let level = base
        .max(stated.own.unwrap_or(base))
        .max(stated.accepted.unwrap_or(base));
    let mut findings = stated.findings;
    if let Some(trace) = &held.trace {
        findings.extend(
            trace
                .missing
                .iter()
                .filter(|missing| missing.why == Missing::StartUp)
                .map(|missing| FindingFacts {
                    code: "start-up-not-in-source".to_owned(),
                    detail: format!(
                        "Python runs {} at start-up, and it is not in the source",
                        missing.path
                    ),
                }),
        );
    }
    if let (Some(own), Some(source)) = (attested, &held.facts.commit)
        && own != source
    {
        findings.push(FindingFacts {
            code: "other-commit".to_owned(),
            detail: format!(
                "attestations name {}@{} for this file and {}@{} for its source",
                own.repository, own.commit, source.repository, source.commit
            ),
        });
    }
    let facts = ReproducibilityFacts {
        rebuild: rebuild_state(
            level,
            stated.own,
            stated.accepted,
            held.trace.is_some(),
            contents.pure,
            rebuilders,
        ),
        source: held.facts,
        level,
        pure: contents.pure,
        trace: held.trace,
        attempts: stated.attempts,
        statements: stated.facts,
        findings,
    };
    let summary = summary(&facts, rebuilders);
    facts.into_report(outcome(level), summary)
}

/// How the check ends at a level. Only what was compared fails: what could not be compared is an error, and an error is
/// never a pass.
pub(super) fn outcome(level: Level) -> Outcome {
    match level {
        Level::Inapplicable => Outcome::Absent,
        Level::NotAttempted | Level::Failed => Outcome::Error,
        Level::Differs => Outcome::Fail,
        Level::Traced | Level::Generator | Level::Container | Level::Time | Level::Bit => Outcome::Pass,
    }
}

fn own_source(name: &DistributionFilename, sha256: Digest, attested: Option<SourceCommit>) -> Report {
    let source = SourceFacts {
        axis: if attested.is_some() { Axis::S0 } else { Axis::S2 },
        filename: Some(name.raw().to_owned()),
        sha256: Some(sha256),
        commit: attested,
        problem: None,
    };
    let facts = ReproducibilityFacts::bare(source, Level::Inapplicable);
    let summary = match &facts.source.commit {
        None => "a source distribution is its own source".to_owned(),
        Some(commit) => format!(
            "a source distribution is its own source; an attestation names {}@{} for it",
            commit.repository, commit.commit
        ),
    };
    facts.into_report(Outcome::Absent, summary)
}

/// The source, and the wheel's files held against it.
struct Held {
    facts: SourceFacts,
    trace: Option<TraceFacts>,
}

fn hold(
    name: &DistributionFilename,
    contents: &Contents,
    source: &SourceArchive,
    limits: &ArchiveLimits,
) -> Held {
    let mut facts = SourceFacts {
        axis: Axis::S3,
        filename: None,
        sha256: None,
        commit: None,
        problem: None,
    };
    let trace = match source {
        SourceArchive::NotPublished => None,
        SourceArchive::Unavailable(why) => {
            facts.axis = Axis::S2;
            facts.problem = Some(format!("the source could not be had: {why}"));
            None
        }
        SourceArchive::Refused(why) => {
            facts.axis = Axis::S2;
            facts.problem = Some(format!("the source itself was refused: {why}"));
            None
        }
        SourceArchive::Sdist {
            name: sdist,
            file,
            size,
            sha256,
            commit,
        } => {
            facts.axis = if commit.is_some() { Axis::S0 } else { Axis::S2 };
            facts.filename = Some(sdist.raw().to_owned());
            facts.sha256 = Some(*sha256);
            facts.commit.clone_from(commit);
            if sdist.project() != name.project() || sdist.version() != name.version() {
                facts.problem = Some(format!("{} is the source of another release", sdist.raw()));
                None
            } else {
                match source_files(file, *size, sdist, limits, &trace::wanted(contents)) {
                    Ok(files) => Some(trace::trace(contents, &files)),
                    Err(error) => {
                        facts.problem = Some(error.to_string());
                        None
                    }
                }
            }
        }
    };
    Held { facts, trace }
}

/// A rebuild is wanted wherever it could tell more: which level is enough is policy's to say.
fn rebuild_state(
    level: Level,
    own: Option<Level>,
    accepted: Option<Level>,
    has_source: bool,
    pure: bool,
    rebuilders: &Rebuilders,
) -> RebuildState {
    let more = level < Level::Generator && has_source && pure;
    match (own, accepted) {
        (Some(_), _) => RebuildState::Done,
        (None, _) if more && rebuilders.can_rebuild => RebuildState::Wanted,
        (None, Some(_)) => RebuildState::Foreign,
        (None, None) if more => RebuildState::Unavailable,
        (None, None) => RebuildState::NotAsked,
    }
}

fn summary(facts: &ReproducibilityFacts, rebuilders: &Rebuilders) -> String {
    let mut text = match (&facts.trace, &facts.source.problem) {
        (Some(trace), _) => trace_summary(trace, facts.source.filename.as_deref().unwrap_or("its source")),
        (None, Some(problem)) => problem.clone(),
        (None, None) => "no source was published to hold this file against".to_owned(),
    };
    let next = match facts.rebuild {
        RebuildState::Done => Some(format!("rebuilt here before, level {}", facts.level)),
        RebuildState::Foreign => Some(format!("other rebuilders state the level {}", facts.level)),
        RebuildState::NotAsked if !facts.pure && !facts.level.is_pass() && facts.trace.is_some() => {
            Some("compiled wheels are not rebuilt unless somebody asks".to_owned())
        }
        RebuildState::Wanted if !facts.level.is_pass() => Some("a rebuild is to tell more".to_owned()),
        RebuildState::Unavailable if !facts.level.is_pass() => Some(format!(
            "it cannot be rebuilt here: {}",
            rebuilders.why_not.as_deref().unwrap_or("no sandbox")
        )),
        _ => None,
    };
    if let Some(next) = next {
        text.push_str("; ");
        text.push_str(&next);
    }
    text
}

/// What the trace found, in a sentence.
pub(super) fn trace_summary(trace: &TraceFacts, source: &str) -> String {
    if trace.is_complete() {
        return match trace.files {
            0 => format!("no file outside .dist-info; nothing to look for in {source}"),
            1 => format!("its one file outside .dist-info is byte for byte in {source}"),
            files => format!("all {files} files outside .dist-info are byte for byte in {source}"),
        };
    }
    let count = trace.files - trace.in_source;
    let listed: Vec<&str> = trace
        .missing
        .iter()
        .take(3)
        .map(|missing| missing.path.as_str())
        .collect();
    let more = if count > listed.len() as u64 { ", …" } else { "" };
    format!(
        "{count} of {} files outside .dist-info {} not in {source}: {}{more}",
        trace.files,
        if count == 1 { "is" } else { "are" },
        listed.join(", ")
    )
}
