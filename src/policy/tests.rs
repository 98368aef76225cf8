//! The judgment: what each profile makes of evidence, and that nothing is admitted by mistake.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod circumstances;
mod closed;
mod profiles;
mod site;

use chiron_storage::Digest;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::*;
use crate::verify::{CheckName, Evidence, Outcome};

/// The judgment's time.
fn now() -> Timestamp {
    "2026-11-20T12:00:00Z".parse().unwrap()
}

/// A file under judgment, put together piece by piece. Sound and unremarkable to begin with: a pure wheel with a
/// digest, no signature, an SBOM of our own, traced to its source, no advisory.
#[derive(Debug, Clone)]
struct Given {
    filename: &'static str,
    evidence: Vec<Evidence>,
    handed_in: bool,
    taken_by: Option<Digest>,
    around: Circumstances,
}

fn content() -> Digest {
    Digest::of(b"file")
}

fn facts(value: &Value) -> Map<String, Value> {
    value.as_object().cloned().unwrap_or_default()
}

fn given() -> Given {
    use CheckName::{Advisories, Hashes, Reproducibility, Sbom, Signature, Structure};
    let traced = json!({ "level": "traced", "pure": true, "rebuild": "wanted", "source": { "axis": "S2" } });
    Given {
        filename: "demo-1.0-py3-none-any.whl",
        evidence: Vec::new(),
        handed_in: false,
        taken_by: None,
        around: Circumstances {
            first_seen: Some(now()),
            ..Circumstances::default()
        },
    }
    .with(Structure, Outcome::Pass, &json!({}))
    .with(Hashes, Outcome::Pass, &json!({}))
    .with(Signature, Outcome::Absent, &json!({ "attestations": [] }))
    .with(Sbom, Outcome::Absent, &json!({ "origin": "generated" }))
    .with(Reproducibility, Outcome::Pass, &traced)
    .with(Advisories, Outcome::Absent, &json!({}))
}

/// As [`given`], with everything that `strict` asks for.
fn exemplary() -> Given {
    given()
        .with(
            CheckName::Signature,
            Outcome::Pass,
            &json!({ "attestations": [attestation()] }),
        )
        .with(CheckName::Sbom, Outcome::Pass, &json!({ "origin": "published" }))
        .level("bit", "done")
}

fn attestation() -> Value {
    json!({
        "kind": "pep740-publish", "verified": true, "issuer": "https://token.actions.githubusercontent.com",
        "repository": "https://github.com/acme/demo", "repository_id": "1", "owner_id": "2",
        "workflow": ".github/workflows/release.yml",
    })
}

impl Given {
    fn with(mut self, check: CheckName, outcome: Outcome, facts: &Value) -> Self {
        let made = Evidence::new(check, content(), outcome, "because", self::facts(facts), now());
        match self.evidence.iter_mut().find(|e| e.check == check) {
            Some(there) => *there = made,
            None => self.evidence.push(made),
        }
        self
    }

    fn outcome(self, check: CheckName, outcome: Outcome) -> Self {
        self.with(check, outcome, &json!({}))
    }

    fn failing(self, check: CheckName, code: &str) -> Self {
        self.with(
            check,
            Outcome::Fail,
            &json!({ "findings": [{ "code": code, "detail": "d" }] }),
        )
    }

    fn level(self, level: &str, rebuild: &str) -> Self {
        let outcome = match level {
            "bit" | "time" | "container" | "generator" | "traced" => Outcome::Pass,
            "differs" => Outcome::Fail,
            _ => Outcome::Error,
        };
        let facts = json!({ "level": level, "pure": true, "rebuild": rebuild });
        self.with(CheckName::Reproducibility, outcome, &facts)
    }

    fn advisory(self, change: impl Fn(&mut Value)) -> Self {
        let mut record = json!({
            "id": "OSV-1", "aliases": [], "severity": "high", "cvss": 7.5, "malware": false, "kev": false, "epss": null,
            "fixed_in": ["2.0"], "summary": "s", "vex": null,
        });
        change(&mut record);
        self.with(
            CheckName::Advisories,
            Outcome::Fail,
            &json!({ "matched": [record] }),
        )
    }

    fn without(mut self, check: CheckName) -> Self {
        self.evidence.retain(|e| e.check != check);
        self
    }

    fn around(mut self, change: impl Fn(&mut Circumstances)) -> Self {
        change(&mut self.around);
        self
    }

    fn handed_in(mut self) -> Self {
        self.handed_in = true;
        self
    }

    fn named(mut self, filename: &'static str) -> Self {
        self.filename = filename;
        self
    }

    fn judge(&self, policy: &Policy) -> Verdict {
        let evidence: Vec<_> = self
            .evidence
            .iter()
            .map(|e| (Digest::of(&e.to_bytes()), e.clone()))
            .collect();
        let case = Case {
            file: JudgedFile {
                filename: self.filename.to_owned(),
                project: "demo".to_owned(),
                version: "1.0".to_owned(),
                sha256: content(),
                size: 4,
            },
            evidence: &evidence,
            handed_in: self.handed_in,
            name_taken_by: self.taken_by,
            circumstances: self.around.clone(),
            now: now(),
        };
        let decided = decide_with_input(policy, &case);
        assert_eq!(
            decide_with_input(policy, &case),
            decided,
            "the same inputs give the same verdict"
        );
        assert_eq!(decided.input.as_deref().map(Digest::of), decided.verdict.input);
        decided.verdict
    }

    /// The decision, and the reasons as `check/code`.
    fn codes(&self, policy: &Policy) -> (Decision, Vec<String>) {
        let verdict = self.judge(policy);
        let codes = verdict
            .reasons
            .iter()
            .map(|r| format!("{}/{}", r.check, r.code))
            .collect();
        (verdict.decision, codes)
    }
}

/// The decision is `decision`, for exactly these reasons.
#[track_caller]
fn expect(policy: &Policy, given: &Given, decision: Decision, codes: &[&str]) {
    let codes: Vec<String> = codes.iter().map(|code| (*code).to_owned()).collect();
    assert_eq!(
        given.codes(policy),
        (decision, codes),
        "{:#?}",
        given.judge(policy).reasons
    );
}

fn standard() -> Policy {
    Policy::builtin(Profile::Standard)
}

/// `standard` with settings of the site.
fn with_settings(change: impl Fn(&mut Settings)) -> Policy {
    let mut settings = Settings::default();
    change(&mut settings);
    Policy::new(Profile::Standard, settings, &SiteRules::default()).unwrap()
}
