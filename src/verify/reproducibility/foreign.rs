//! What rebuilders state about a file: DSSE envelopes with in-toto statements, believed together or not at all.

use chiron_storage::Digest;
use serde_json::Value;

use super::facts::{AttemptFacts, FindingFacts, StatedBy, StatementFacts};
use super::{Level, Rebuilders};
use crate::package::DistributionFilename;
use crate::statement::{
    EQUIVALENCE, Envelope, EnvelopeError, PublicKey, REBUILD_PROVENANCE, Statement, open,
};
use crate::verify::{Document, DocumentKind};

/// Statements about one file that are read (threat: each costs a verification per key).
const MAX_STATEMENTS: usize = 64;

/// A rebuilder whose statements count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RebuilderKey {
    /// What the operator calls it.
    pub name: String,
    /// Its key. The same key under two names counts once.
    pub key: PublicKey,
}

/// What the statements come to.
#[derive(Debug, Default)]
pub(super) struct Stated {
    /// What enough distinct keys state together; at least [`Level::Traced`].
    pub(super) accepted: Option<Level>,
    /// What this Chiron itself stated before.
    pub(super) own: Option<Level>,
    /// The attempts that it stated it by.
    pub(super) attempts: Vec<AttemptFacts>,
    pub(super) facts: StatementFacts,
    pub(super) findings: Vec<FindingFacts>,
}

/// The file that statements must speak of, and the source it is held against if one is known.
pub(super) struct Spoken<'a> {
    pub(super) name: &'a DistributionFilename,
    pub(super) sha256: Digest,
    pub(super) source: Option<Digest>,
}

/// Reads every statement among the documents. A key counts once, with the highest level that it states; keys that
/// nobody configured are reported and never counted.
pub(super) fn read(of: &Spoken<'_>, documents: &[Document], rebuilders: &Rebuilders) -> Stated {
    // The own key comes first, so that it stands for itself even where it is listed among the others.
    let own = rebuilders.own.iter().cloned();
    let keys: Vec<PublicKey> = own
        .chain(rebuilders.keys.iter().map(|known| known.key.clone()))
        .collect();
    let others_from = usize::from(rebuilders.own.is_some());
    let mut levels: Vec<Option<Level>> = vec![None; keys.len()];
    let mut stated = Stated::default();

    let statements = documents
        .iter()
        .filter(|document| document.kind == DocumentKind::RebuildStatement);
    for (number, document) in statements.enumerate() {
        if number == MAX_STATEMENTS {
            let detail = format!("more than {MAX_STATEMENTS} statements; the rest were not read");
            stated.find("too-many-statements", detail);
            break;
        }
        let opened = match Envelope::parse(&document.bytes).and_then(|envelope| open(&envelope, &keys)) {
            Ok(opened) => opened,
            Err(error @ EnvelopeError::Untrusted { .. }) => {
                stated.find("unknown-rebuilder", error.to_string());
                continue;
            }
            Err(error) => {
                stated.find("malformed-statement", error.to_string());
                continue;
            }
        };
        let is_own = opened.signed_by.iter().any(|at| *at < others_from);
        if is_own {
            stated.remember(&opened.statement);
        }
        match level_stated(&opened.statement, of) {
            Ok(level) => {
                for at in opened.signed_by {
                    levels[at] = levels[at].max(Some(level));
                }
            }
            // How this Chiron built what came out is kept beside every file, also when something else came out.
            Err(("wrong-subject", _)) if is_own && opened.statement.predicate_type == REBUILD_PROVENANCE => {}
            Err((code, detail)) => stated.find(code, detail),
        }
    }

    stated.own = levels[..others_from].first().copied().flatten();
    let mut by: Vec<StatedBy> = Vec::new();
    for (known, level) in rebuilders.keys.iter().zip(&levels[others_from..]) {
        let Some(level) = *level else { continue };
        if level == Level::Differs {
            let detail = format!("{} rebuilt the file and got another one", known.name);
            stated.find("rebuilder-differs", detail);
        }
        by.push(StatedBy {
            name: known.name.clone(),
            key: known.key.key_id(),
            level,
        });
    }
    stated.accepted = together(by.iter().map(|stated| stated.level), rebuilders.needed);
    let counts_from = stated.accepted.unwrap_or(Level::Traced);
    stated.facts = StatementFacts {
        accepted: by.iter().filter(|stated| stated.level >= counts_from).count() as u64,
        needed: rebuilders.needed as u64,
        by,
    };
    stated
}

impl Stated {
    /// Notes the attempt that an own statement is about: the equivalence says what it reached, the provenance how.
    fn remember(&mut self, statement: &Statement) {
        let predicate = &statement.predicate;
        let digest_at =
            |pointer: &str| -> Option<Digest> { predicate.pointer(pointer)?.as_str()?.parse().ok() };
        let (digest, level) = match statement.predicate_type.as_str() {
            EQUIVALENCE => (
                digest_at("/attempt/digest/sha256"),
                predicate
                    .get("level")
                    .and_then(Value::as_str)
                    .and_then(Level::parse),
            ),
            REBUILD_PROVENANCE => (digest_at("/runDetails/metadata/invocationId"), None),
            _ => return,
        };
        let Some(digest) = digest else { return };
        let known = self.attempts.iter().position(|attempt| attempt.digest == digest);
        let at = known.unwrap_or(self.attempts.len());
        if known.is_none() {
            self.attempts.push(AttemptFacts {
                digest,
                level: Level::NotAttempted,
                backend: String::new(),
                epoch: None,
                problem: None,
            });
        }
        let attempt = &mut self.attempts[at];
        if let Some(level) = level {
            attempt.level = level;
        } else {
            let parameters = predicate.pointer("/buildDefinition/externalParameters");
            let parameter = |name: &str| parameters.and_then(|parameters| parameters.get(name));
            if let Some(backend) = parameter("backend").and_then(Value::as_str) {
                backend.clone_into(&mut attempt.backend);
            }
            attempt.epoch = parameter("sourceDateEpoch").and_then(Value::as_i64);
        }
    }

    fn find(&mut self, code: &str, detail: String) {
        self.findings.push(FindingFacts {
            code: code.to_owned(),
            detail,
        });
    }
}

/// The highest level that at least `needed` of the levels reach; none below [`Level::Traced`], none when nobody is
/// needed (that is how believing is switched off).
fn together(levels: impl Iterator<Item = Level>, needed: usize) -> Option<Level> {
    let mut levels: Vec<Level> = levels.collect();
    levels.sort_unstable_by(|a, b| b.cmp(a));
    let level = *levels.get(needed.checked_sub(1)?)?;
    level.is_pass().then_some(level)
}

type Refused = (&'static str, String);

/// The level that a verified statement states about this very file.
fn level_stated(statement: &Statement, of: &Spoken<'_>) -> Result<Level, Refused> {
    let [subject] = statement.subject.as_slice() else {
        let detail = format!(
            "the statement has {} subjects; one is read",
            statement.subject.len()
        );
        return Err(("several-subjects", detail));
    };
    if subject.sha256() != Some(of.sha256) {
        return Err((
            "wrong-subject",
            "the statement speaks of another content".to_owned(),
        ));
    }
    if !subject.name.is_empty() && subject.name != of.name.raw() {
        let named: String = subject
            .name
            .chars()
            .filter(|c| !c.is_control())
            .take(200)
            .collect();
        return Err(("wrong-filename", format!("the statement speaks of {named:?}")));
    }
    let predicate = &statement.predicate;
    match statement.predicate_type.as_str() {
        // Provenance of a rebuild names as its subject what came out: this content came out.
        REBUILD_PROVENANCE => {
            let text = |pointer: &str| predicate.pointer(pointer).is_some_and(Value::is_string);
            if text("/buildDefinition/buildType") && text("/runDetails/builder/id") {
                Ok(Level::Bit)
            } else {
                let detail = "SLSA provenance without buildType or builder.id, which it requires";
                Err(("malformed-statement", detail.to_owned()))
            }
        }
        EQUIVALENCE => {
            let source = predicate.pointer("/source/digest/sha256").and_then(Value::as_str);
            let source: Option<Digest> = source.and_then(|text| text.parse().ok());
            if source.is_none() || of.source.is_some_and(|own| source != Some(own)) {
                let detail = "the file was rebuilt from another source than the one it is held against";
                return Err(("other-source", detail.to_owned()));
            }
            let level = predicate
                .get("level")
                .and_then(Value::as_str)
                .and_then(Level::parse);
            level.filter(|level| *level >= Level::Differs).ok_or_else(|| {
                let detail = "the statement has no level that a comparison can give";
                ("malformed-statement", detail.to_owned())
            })
        }
        other => {
            let other: String = other.chars().filter(|c| !c.is_control()).take(200).collect();
            Err(("unknown-predicate", format!("a statement of type {other:?}")))
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_level_needs_enough_who_reach_it() {
        use Level::{Bit, Differs, Time, Traced};
        let of = |levels: &[Level], needed| together(levels.iter().copied(), needed);
        assert_eq!(of(&[Bit, Time, Traced], 1), Some(Bit));
        assert_eq!(of(&[Traced, Time, Bit], 2), Some(Time));
        assert_eq!(of(&[Bit, Time, Traced], 3), Some(Traced));
        assert_eq!(of(&[Bit, Time, Traced], 4), None);
        assert_eq!(of(&[Bit, Differs], 2), None);
        assert_eq!(of(&[Bit], 0), None, "nobody needed is nobody believed");
        assert_eq!(of(&[], 1), None);
    }

    proptest! {
        #[test]
        fn more_needed_is_never_more_believed(levels in proptest::collection::vec(0..9_usize, 0..8), needed in 1..8_usize) {
            let levels: Vec<Level> = levels.into_iter().map(|at| Level::ALL[at]).collect();
            let less = together(levels.iter().copied(), needed);
            prop_assert!(together(levels.iter().copied(), needed + 1) <= less);
            if let Some(level) = less {
                prop_assert!(levels.iter().filter(|other| **other >= level).count() >= needed);
            }
        }
    }
}
