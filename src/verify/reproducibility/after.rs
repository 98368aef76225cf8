//! The report after a rebuild was made here.

use super::check::{outcome, trace_summary};
use super::facts::{AttemptFacts, Axis, RebuildState, ReproducibilityFacts, SourceFacts, TraceFacts};
use super::{Attempt, Level, Rebuilt};
use crate::verify::{Evidence, Report};

/// Attempts on one file that stay in its facts, the newest; their documents stay in any case.
const KEPT_ATTEMPTS: usize = 32;

/// The check's report once a rebuild was made: what the earlier evidence found stays, and the attempts come to it. Give
/// it the newest evidence of this check on the same file. A level that was reached is not lost to a later attempt that
/// comes to less: that this machine cannot build it today is no fact about the file.
pub fn after_rebuild(previous: &Evidence, rebuilt: &Rebuilt) -> Report {
    let mut facts =
        ReproducibilityFacts::read(&previous.facts).unwrap_or_else(|| unknown(rebuilt.attempts.first()));
    facts.level = facts.level.max(rebuilt.best);
    facts.rebuild = match rebuilt.best {
        Level::NotAttempted | Level::Inapplicable => RebuildState::Unavailable,
        _ => RebuildState::Done,
    };
    for attempt in &rebuilt.attempts {
        let digest = attempt.digest();
        if facts.attempts.iter().all(|known| known.digest != digest) {
            facts.attempts.push(AttemptFacts {
                digest,
                level: attempt.level,
                backend: attempt.backend.clone(),
                epoch: attempt.epoch,
                problem: attempt.problem.clone(),
            });
        }
    }
    let surplus = facts.attempts.len().saturating_sub(KEPT_ATTEMPTS);
    facts.attempts.drain(..surplus);
    let summary = summary(&facts, rebuilt);
    let outcome = outcome(facts.level);
    facts.into_report(outcome, summary)
}

/// Where the earlier evidence cannot be read: as if nothing had been known, and as the stricter kind of wheel.
fn unknown(attempt: Option<&Attempt>) -> ReproducibilityFacts {
    let source = SourceFacts {
        axis: if attempt.is_some() { Axis::S2 } else { Axis::S3 },
        filename: attempt.map(|attempt| attempt.source.filename.clone()),
        sha256: attempt.map(|attempt| attempt.source.sha256),
        commit: None,
        problem: None,
    };
    ReproducibilityFacts::bare(source, Level::NotAttempted)
}

fn summary(facts: &ReproducibilityFacts, rebuilt: &Rebuilt) -> String {
    let source = facts.source.filename.as_deref().unwrap_or("its source");
    let by = rebuilt
        .best_attempt()
        .filter(|attempt| !attempt.backend.is_empty())
        .map(|attempt| format!(" with {}", attempt.backend))
        .unwrap_or_default();
    let why = || {
        let problems = rebuilt
            .attempts
            .iter()
            .rev()
            .find_map(|attempt| attempt.problem.as_deref());
        problems.map(|problem| format!(": {problem}")).unwrap_or_default()
    };
    let rebuild = match rebuilt.best {
        Level::Bit => format!("rebuilt from {source}{by}, identical to the bit"),
        Level::Time => format!("rebuilt from {source}{by}, identical but for time stamps"),
        Level::Container => format!("rebuilt from {source}{by}, the same files packed otherwise"),
        Level::Generator => {
            format!("rebuilt from {source}{by}, the same but for the Generator line and RECORD")
        }
        Level::Traced | Level::Differs => format!("rebuilt from {source}{by}, and another wheel came out"),
        Level::Failed => format!(
            "{} rebuilds from {source} gave no wheel{}",
            rebuilt.attempts.len(),
            why()
        ),
        Level::NotAttempted | Level::Inapplicable => format!("not rebuilt{}", why()),
    };
    match &facts.trace {
        Some(trace) if rebuilt.best < Level::Generator => {
            format!("{}; {rebuild}", trace_summary(trace as &TraceFacts, source))
        }
        _ => rebuild,
    }
}
