//! Promise: statements of rebuilders count together or not at all, each key once, and only about this very file; a
//! rebuild made here changes the report and is not forgotten.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::sync::Arc;

use bytes::Bytes;
use chiron::statement::{
    Equivalence, PublicKey, RebuildProvenance, Resource, Statement, StatementKey, Subject,
    equivalence_statement, rebuild_provenance,
};
use chiron::verify::reproducibility::{
    Attempt, BackendFrom, Level, PinnedFile, RebuildState, RebuilderKey, Rebuilt, ReproducibilityFacts,
    after_rebuild,
};
use chiron::verify::{
    CheckName, Document, DocumentKind, DocumentOrigin, Outcome, Rebuilders, Report, reproducibility as check,
};
use chiron_storage::Digest;
use held::{at, can_rebuild, codes, facts, run, source};
use hostile::{SDIST, WHEEL, good_sdist, good_wheel};

#[path = "support/held.rs"]
mod held;
#[path = "support/hostile.rs"]
mod hostile;

const CODE: &[u8] = b"def run(): return 1\n";
const INIT: (&str, &[u8]) = ("src/demo/__init__.py", b"VALUE = 1\n");

/// A site with a wheel that does not trace, and rebuilders who speak of it.
struct Site {
    wheel: Vec<u8>,
    tar: Vec<u8>,
    keys: Vec<StatementKey>,
}

impl Site {
    fn new() -> Self {
        Self {
            wheel: good_wheel("demo", "1.0", &[("demo/made.py", CODE)]),
            tar: good_sdist("demo", "1.0", &[INIT]),
            keys: (0..3).map(|_| StatementKey::generate().unwrap()).collect(),
        }
    }

    fn rebuilders(&self, needed: usize) -> Rebuilders {
        let known = |(at, key): (usize, &StatementKey)| RebuilderKey {
            name: format!("rebuilder {at}"),
            key: key.public().clone(),
        };
        Rebuilders {
            keys: self.keys.iter().enumerate().map(known).collect::<Arc<[_]>>(),
            needed,
            ..Rebuilders::default()
        }
    }

    fn states(&self, level: &str) -> Statement {
        equivalence_statement(&Equivalence {
            published: Resource {
                name: WHEEL.to_owned(),
                sha256: Digest::of(&self.wheel),
            },
            level: level.to_owned(),
            source: Resource {
                name: SDIST.to_owned(),
                sha256: Digest::of(&self.tar),
            },
            rebuilt: None,
            attempt: None,
            builder: "urn:example:rebuilder".to_owned(),
            at: at(),
        })
    }

    fn judge(&self, documents: &[Document], rebuilders: &Rebuilders) -> (Outcome, ReproducibilityFacts) {
        let report = run(
            WHEEL,
            &self.wheel,
            &source(SDIST, &self.tar),
            documents,
            rebuilders,
        );
        (report.outcome, facts(&report))
    }
}

fn document(bytes: Vec<u8>) -> Document {
    Document {
        kind: DocumentKind::RebuildStatement,
        origin: DocumentOrigin::Operator,
        bytes: Bytes::from(bytes),
    }
}

fn signed(key: &StatementKey, statement: &Statement) -> Document {
    document(key.sign(statement).to_bytes())
}

#[test]
fn enough_rebuilders_together_are_believed_and_fewer_are_not() {
    let site = Site::new();
    let one = [signed(&site.keys[0], &site.states("bit"))];
    let (outcome, facts) = site.judge(&one, &site.rebuilders(2));
    assert_eq!((outcome, facts.level), (Outcome::Error, Level::NotAttempted));
    assert_eq!((facts.statements.accepted, facts.statements.needed), (1, 2));

    let two = [one[0].clone(), signed(&site.keys[1], &site.states("time"))];
    let (outcome, facts) = site.judge(&two, &site.rebuilders(2));
    assert_eq!(
        (outcome, facts.level, facts.rebuild),
        (Outcome::Pass, Level::Time, RebuildState::Foreign)
    );
    assert_eq!(facts.statements.accepted, 2);
    let by: Vec<_> = facts
        .statements
        .by
        .iter()
        .map(|by| (by.name.as_str(), by.level))
        .collect();
    assert_eq!(by, [("rebuilder 0", Level::Bit), ("rebuilder 1", Level::Time)]);

    let (outcome, facts) = site.judge(&two, &site.rebuilders(0));
    assert_eq!(
        (outcome, facts.level),
        (Outcome::Error, Level::NotAttempted),
        "0 needed believes nobody"
    );
}

#[test]
fn a_key_counts_once_however_often_it_speaks() {
    let site = Site::new();
    let mut twice = site.rebuilders(2);
    let mut keys = twice.keys.to_vec();
    keys.push(RebuilderKey {
        name: "the same under another name".to_owned(),
        key: site.keys[0].public().clone(),
    });
    twice.keys = keys.into();
    let speeches = ["bit", "bit", "time"].map(|level| signed(&site.keys[0], &site.states(level)));
    for rebuilders in [site.rebuilders(2), twice] {
        let (outcome, facts) = site.judge(&speeches, &rebuilders);
        assert_eq!((outcome, facts.statements.accepted), (Outcome::Error, 1));
    }
}

#[test]
fn statements_that_do_not_count_are_reported_by_their_defect() {
    let site = Site::new();
    let key = &site.keys[0];
    let change = |change: &dyn Fn(&mut Statement)| {
        let mut statement = site.states("bit");
        change(&mut statement);
        signed(key, &statement)
    };
    let stranger = StatementKey::generate().unwrap();
    let mut broken = String::from_utf8(key.sign(&site.states("bit")).to_bytes()).unwrap();
    broken.truncate(broken.len() - 10);
    let cases: [(&str, Document); 10] = [
        ("unknown-rebuilder", signed(&stranger, &site.states("bit"))),
        (
            "wrong-subject",
            change(&|s| s.subject = vec![Subject::new(WHEEL, Digest::of(b"another wheel"))]),
        ),
        (
            "wrong-filename",
            change(&|s| s.subject[0].name = "other-1.0-py3-none-any.whl".to_owned()),
        ),
        (
            "several-subjects",
            change(&|s| s.subject.push(s.subject[0].clone())),
        ),
        (
            "other-source",
            change(&|s| s.predicate["source"]["digest"]["sha256"] = "00".repeat(32).into()),
        ),
        (
            "malformed-statement",
            change(&|s| s.predicate["level"] = "perfect".into()),
        ),
        (
            "malformed-statement",
            change(&|s| s.predicate["level"] = "not-attempted".into()),
        ),
        (
            "unknown-predicate",
            change(&|s| s.predicate_type = "urn:chiron:verdict:v1".to_owned()),
        ),
        ("malformed-statement", document(broken.into_bytes())),
        (
            "malformed-statement",
            change(&|s| {
                s.predicate_type = "https://slsa.dev/provenance/v1".to_owned();
                s.predicate = serde_json::json!({});
            }),
        ),
    ];
    for (code, document) in cases {
        let (outcome, facts) = site.judge(&[document], &site.rebuilders(1));
        assert_eq!(
            (outcome, facts.statements.accepted),
            (Outcome::Error, 0),
            "{code}"
        );
        assert_eq!(codes(&facts), [code]);
    }
    // A good statement is not spoilt by a bad one beside it: anybody can attach a bad one.
    let both = [
        signed(&stranger, &site.states("bit")),
        signed(key, &site.states("bit")),
    ];
    let (outcome, facts) = site.judge(&both, &site.rebuilders(1));
    assert_eq!((outcome, facts.level), (Outcome::Pass, Level::Bit));
    assert_eq!(codes(&facts), ["unknown-rebuilder"]);
}

#[test]
fn slsa_provenance_of_a_rebuild_says_that_this_very_content_came_out() {
    let site = Site::new();
    let provenance = |sha256: Digest| {
        let predicate = serde_json::json!({
            "buildDefinition": { "buildType": "urn:example:build", "externalParameters": {} },
            "runDetails": { "builder": { "id": "urn:example:rebuilder" } },
        });
        let subject = Subject::new(WHEEL, sha256);
        signed(
            &site.keys[0],
            &Statement::new(subject, "https://slsa.dev/provenance/v1", predicate),
        )
    };
    let (outcome, facts) = site.judge(&[provenance(Digest::of(&site.wheel))], &site.rebuilders(1));
    assert_eq!((outcome, facts.level), (Outcome::Pass, Level::Bit));
    let (outcome, facts) = site.judge(&[provenance(Digest::of(b"theirs"))], &site.rebuilders(1));
    assert_eq!((outcome, codes(&facts)), (Outcome::Error, vec!["wrong-subject"]));
}

#[test]
fn a_rebuilder_who_got_another_file_is_reported() {
    let site = Site::new();
    let statements = [
        signed(&site.keys[0], &site.states("bit")),
        signed(&site.keys[1], &site.states("differs")),
    ];
    let (outcome, facts) = site.judge(&statements, &site.rebuilders(2));
    assert_eq!(
        (outcome, codes(&facts)),
        (Outcome::Error, vec!["rebuilder-differs"])
    );
    let (outcome, facts) = site.judge(&statements, &site.rebuilders(1));
    assert_eq!((outcome, facts.level), (Outcome::Pass, Level::Bit));
}

#[test]
fn what_this_site_stated_before_counts_alone() {
    let site = Site::new();
    let own = StatementKey::generate().unwrap();
    let mut rebuilders = site.rebuilders(2);
    rebuilders.own = Some(own.public().clone());
    for (level, outcome) in [("bit", Outcome::Pass), ("differs", Outcome::Fail)] {
        let (found, facts) = site.judge(&[signed(&own, &site.states(level))], &rebuilders);
        assert_eq!(
            (found, facts.level.as_str(), facts.rebuild),
            (outcome, level, RebuildState::Done)
        );
        assert_eq!(facts.statements.accepted, 0);
    }
}

#[test]
fn a_rebuild_is_remembered_by_what_this_site_signed_of_it() {
    let site = Site::new();
    let own = StatementKey::generate().unwrap();
    let mut rebuilders = site.rebuilders(2);
    rebuilders.own = Some(own.public().clone());
    let attempt = attempt(&site, Level::Time);
    let file = |file: &PinnedFile| Resource {
        name: file.filename.clone(),
        sha256: file.sha256,
    };
    let provenance = rebuild_provenance(&RebuildProvenance {
        // Another content: the time stamps differ.
        output: Resource {
            name: WHEEL.to_owned(),
            sha256: Digest::of(b"what came out"),
        },
        source: file(&attempt.source),
        backend: attempt.backend.clone(),
        recipe: None,
        epoch: attempt.epoch,
        as_of: None,
        environment: Vec::new(),
        tools: Vec::new(),
        builder: "urn:example:own".to_owned(),
        attempt: Some(attempt.digest()),
        started: at(),
        finished: at(),
    });
    let equivalence = equivalence_statement(&Equivalence {
        published: file(&attempt.wheel),
        level: attempt.level.to_string(),
        source: file(&attempt.source),
        rebuilt: Some(Digest::of(b"what came out")),
        attempt: Some(attempt.digest()),
        builder: "urn:example:own".to_owned(),
        at: at(),
    });
    let documents = [signed(&own, &provenance), signed(&own, &equivalence)];
    let (outcome, facts) = site.judge(&documents, &rebuilders);
    assert_eq!(
        (outcome, facts.level, facts.rebuild),
        (Outcome::Pass, Level::Time, RebuildState::Done)
    );
    assert_eq!(
        codes(&facts),
        Vec::<&str>::new(),
        "its own record of another content is no defect"
    );
    assert_eq!(facts.attempts.len(), 1);
    let known = &facts.attempts[0];
    assert_eq!(
        (known.digest, known.level, known.epoch),
        (attempt.digest(), Level::Time, attempt.epoch)
    );
    assert_eq!(known.backend, attempt.backend);
    // From anybody else the same provenance is about another file, and says so.
    let (_, facts) = site.judge(&[signed(&site.keys[0], &provenance)], &rebuilders);
    assert_eq!(codes(&facts), ["wrong-subject"]);
    assert!(facts.attempts.is_empty());
}

fn attempt(site: &Site, level: Level) -> Attempt {
    Attempt {
        schema: check::ATTEMPT_SCHEMA.to_owned(),
        wheel: PinnedFile {
            filename: WHEEL.to_owned(),
            sha256: Digest::of(&site.wheel),
        },
        source: PinnedFile {
            filename: SDIST.to_owned(),
            sha256: Digest::of(&site.tar),
        },
        level,
        problem: (level < Level::Differs).then(|| "the backend stopped with status 1".to_owned()),
        backend: "hatchling==1.25.0".to_owned(),
        backend_from: BackendFrom::Generator,
        recipe: None,
        epoch: Some(1_700_000_000),
        as_of: None,
        environment: Vec::new(),
        python: String::new(),
        sandbox: String::new(),
        started: at(),
        finished: at(),
        output: None,
        log: String::new(),
        log_cut: false,
        diff: String::new(),
        diff_cut: false,
    }
}

#[test]
fn a_rebuild_made_here_changes_the_report_and_keeps_the_trace() {
    let site = Site::new();
    let traced = good_wheel("demo", "1.0", &[]);
    for (wheel, is_traced) in [(&site.wheel, false), (&traced, true)] {
        let before = run(WHEEL, wheel, &source(SDIST, &site.tar), &[], &can_rebuild());
        let evidence = before
            .clone()
            .into_evidence(CheckName::Reproducibility, Digest::of(wheel), at());
        for (level, otherwise) in [
            (Level::Bit, Outcome::Pass),
            (Level::Generator, Outcome::Pass),
            (Level::Differs, Outcome::Fail),
            (Level::Failed, Outcome::Error),
            (Level::NotAttempted, Outcome::Error),
        ] {
            let attempts = vec![attempt(&site, Level::Failed), attempt(&site, level)];
            let rebuilt = match level {
                Level::NotAttempted => Rebuilt::new(attempts[1..].to_vec()),
                _ => Rebuilt::new(attempts),
            };
            assert_eq!(rebuilt.best, level);
            let after = after_rebuild(&evidence, &rebuilt);
            let expected = if is_traced { Outcome::Pass } else { otherwise };
            assert_eq!(
                after.outcome, expected,
                "{level}, traced {is_traced}: {}",
                after.summary
            );
            let now = facts(&after);
            assert_eq!(now.level, level.max(facts(&before).level));
            assert_eq!(now.trace, facts(&before).trace);
            let state = if level == Level::NotAttempted {
                RebuildState::Unavailable
            } else {
                RebuildState::Done
            };
            assert_eq!(now.rebuild, state);
            assert_eq!(
                now.attempts.last().unwrap().digest,
                rebuilt.attempts.last().unwrap().digest()
            );
            // A later try that comes to nothing does not take back what was reached.
            let evidence = after.into_evidence(CheckName::Reproducibility, Digest::of(wheel), at());
            let again = after_rebuild(&evidence, &Rebuilt::new(vec![attempt(&site, Level::Failed)]));
            assert!(facts(&again).level >= now.level);
        }
    }
}

#[test]
fn a_rebuild_over_evidence_of_another_version_starts_from_nothing_known() {
    let site = Site::new();
    let old = Report::new(Outcome::Pass, "written by another version").fact("level", "bit");
    let evidence = old.into_evidence(CheckName::Reproducibility, Digest::of(&site.wheel), at());
    let after = after_rebuild(&evidence, &Rebuilt::new(vec![attempt(&site, Level::Differs)]));
    assert_eq!(
        (after.outcome, facts(&after).level),
        (Outcome::Fail, Level::Differs)
    );
}

#[test]
fn equal_keys_are_one_key_whatever_they_are_called() {
    let key = StatementKey::generate().unwrap();
    assert_eq!(PublicKey::from_pem(&key.public_pem()).as_ref(), Ok(key.public()));
}
