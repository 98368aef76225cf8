//! The one judgment. A positive conjunction: whatever is missing, undefined or in error does not admit.

use chiron_storage::Digest;
use jiff::Timestamp;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{AdvisoriesRef, CheckRow, Decision, JudgedFile, Policy, PolicyRef, Reason, VERDICT_SCHEMA, Verdict};
use crate::verify::{Evidence, Outcome};

/// Everything a judgment depends on, besides the policy.
#[derive(Debug)]
pub struct Case<'a> {
    /// The file the verdict will speak of; evidence about any other content counts for nothing.
    pub file: JudgedFile,
    /// Evidence with the digest of its document, in the order of the gate.
    pub evidence: &'a [(Digest, Evidence)],
    /// The operator handed the file in, so nobody else could have stated its digest.
    pub handed_in: bool,
    /// Another content is already admitted under this filename.
    pub name_taken_by: Option<Digest>,
    /// What is known beside the evidence.
    pub circumstances: Circumstances,
    /// The verdict's time; no rule looks at it.
    pub now: Timestamp,
}

/// What a judgment depends on besides evidence and rules.
#[derive(Debug, Clone, Default)]
pub struct Circumstances {
    /// When upstream says the file was published.
    pub upload_time: Option<Timestamp>,
    /// When this site first judged the file; the judgment's own time for a new one.
    pub first_seen: Option<Timestamp>,
    /// Yanked (PEP 592), by upstream or an operator; the reason, maybe empty.
    pub yanked: Option<String>,
    /// The name is one that only this site supplies.
    pub owned: bool,
    /// What earlier files of the project had.
    pub history: History,
    /// Waivers on this very content that stand at the judgment's time.
    pub waivers: Vec<Waiver>,
    /// The advisory database that was used.
    pub advisories: Option<AdvisoriesRef>,
}

/// What files of the project that were admitted before had: the measure of a downgrade and of a regression.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct History {
    /// The lowest version with an admitted file whose signature passed (PEP 440, as text).
    pub signed_since: Option<String>,
    /// For each level of reproducibility that an admitted file reached, the lowest version that did.
    pub levels: Vec<(String, String)>,
}

/// A person's decision to let something pass, for one content and one check, until it ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Waiver {
    /// Which check's objections it covers; `policy` for those the policy adds itself.
    pub check: String,
    /// Only the objection with this code; every one of the check when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Why.
    pub reason: String,
    /// Who asked for it, and who confirmed it where two persons are needed.
    pub by: Vec<String>,
    /// When it stops counting.
    #[schemars(with = "String")]
    pub until: Timestamp,
    /// The log's event that holds it.
    pub event: u64,
}

/// Judges one file.
pub fn decide(policy: &Policy, case: &Case<'_>) -> Verdict {
    let mut decision = Decision::Admit;
    let mut reasons = Vec::new();
    let mut object = |to: Decision, reason: Reason| {
        decision = decision.max(to);
        reasons.push(reason);
    };

    for &(check, requirement) in policy.rules() {
        let found = case
            .evidence
            .iter()
            .map(|(_, evidence)| evidence)
            .find(|e| e.check == check && e.subject == case.file.sha256);
        let Some(evidence) = found else {
            object(
                Decision::Quarantine,
                reason(check.as_str(), "no-evidence", "the check did not run"),
            );
            continue;
        };
        if requirement.accepts(evidence.outcome, case.handed_in) {
            continue;
        }
        let (to, code) = match evidence.outcome {
            Outcome::Fail => (Decision::Refuse, failure_code(evidence)),
            Outcome::Absent => (Decision::Quarantine, "absent".to_owned()),
            Outcome::Error => (Decision::Quarantine, "could-not-check".to_owned()),
            Outcome::Skipped => (Decision::Quarantine, "skipped".to_owned()),
            // Not accepted although it passed: no requirement says that today, and if one ever does it must not admit.
            Outcome::Pass => (Decision::Quarantine, "not-accepted".to_owned()),
        };
        object(to, reason(check.as_str(), &code, &evidence.summary));
    }
    if let Some(other) = case.name_taken_by.filter(|other| *other != case.file.sha256) {
        object(
            Decision::Refuse,
            reason(
                "policy",
                "filename-reuse",
                &format!(
                    "another file of this name is already admitted (sha256 {other}); a published filename never changes its content"
                ),
            ),
        );
    }

    Verdict {
        schema: VERDICT_SCHEMA.to_owned(),
        file: case.file.clone(),
        decision,
        checks: case.evidence.iter().map(|(digest, e)| row(*digest, e)).collect(),
        reasons,
        policy: PolicyRef {
            profile: policy.profile().as_str().to_owned(),
            digest: policy.digest(),
        },
        advisories: case.circumstances.advisories.clone(),
        decided_at: case.now,
        event: None,
    }
}

fn row(digest: Digest, e: &Evidence) -> CheckRow {
    CheckRow {
        check: e.check,
        outcome: e.outcome,
        summary: e.summary.clone(),
        facts: e.facts.clone(),
        evidence: digest,
    }
}

fn reason(check: &str, code: &str, message: &str) -> Reason {
    Reason {
        check: check.to_owned(),
        code: code.to_owned(),
        message: message.to_owned(),
    }
}

/// The code of the first finding, where the check lists findings.
fn failure_code(evidence: &Evidence) -> String {
    evidence
        .facts
        .get("findings")
        .and_then(|f| f.get(0))
        .and_then(|f| f.get("code"))
        .and_then(|c| c.as_str())
        .unwrap_or("failed")
        .to_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::policy::Profile;
    use crate::verify::CheckName;
    use proptest::prelude::*;

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    fn evidence(check: CheckName, outcome: Outcome) -> (Digest, Evidence) {
        let subject = Digest::of(b"file");
        let e = Evidence::new(
            check,
            subject,
            outcome,
            "because".to_owned(),
            serde_json::Map::new(),
            NOW,
        );
        (Digest::of(&e.to_bytes()), e)
    }

    fn judged(profile: Profile, evidence: &[(Digest, Evidence)], handed_in: bool) -> Verdict {
        let file = JudgedFile {
            filename: "a-1-py3-none-any.whl".into(),
            project: "a".into(),
            version: "1".into(),
            sha256: Digest::of(b"file"),
            size: 4,
        };
        let case = Case {
            file,
            evidence,
            handed_in,
            name_taken_by: None,
            circumstances: Circumstances::default(),
            now: NOW,
        };
        decide(&Policy::builtin(profile), &case)
    }

    #[test]
    fn both_pass_admits_in_every_profile() {
        let e = [
            evidence(CheckName::Structure, Outcome::Pass),
            evidence(CheckName::Hashes, Outcome::Pass),
        ];
        for profile in [Profile::Strict, Profile::Standard, Profile::Audit] {
            let verdict = judged(profile, &e, false);
            assert_eq!(verdict.decision, Decision::Admit);
            assert!(verdict.reasons.is_empty());
        }
    }

    #[test]
    fn a_failure_refuses_even_when_another_check_could_not_run() {
        let e = [
            evidence(CheckName::Structure, Outcome::Skipped),
            evidence(CheckName::Hashes, Outcome::Fail),
        ];
        assert_eq!(judged(Profile::Audit, &e, false).decision, Decision::Refuse);
    }

    #[test]
    fn an_absent_digest_is_the_operators_word_only_for_a_file_handed_in() {
        let e = [
            evidence(CheckName::Structure, Outcome::Pass),
            evidence(CheckName::Hashes, Outcome::Absent),
        ];
        assert_eq!(judged(Profile::Standard, &e, true).decision, Decision::Admit);
        assert_eq!(
            judged(Profile::Standard, &e, false).decision,
            Decision::Quarantine
        );
        assert_eq!(judged(Profile::Strict, &e, true).decision, Decision::Quarantine);
    }

    #[test]
    fn evidence_about_another_file_is_no_evidence() {
        let mut e = [
            evidence(CheckName::Structure, Outcome::Pass),
            evidence(CheckName::Hashes, Outcome::Pass),
        ];
        e[0].1.subject = Digest::of(b"other");
        assert_eq!(judged(Profile::Audit, &e, true).decision, Decision::Quarantine);
    }

    #[test]
    fn a_name_that_is_taken_is_refused() {
        let e = [
            evidence(CheckName::Structure, Outcome::Pass),
            evidence(CheckName::Hashes, Outcome::Pass),
        ];
        let mut verdict_case = Case {
            file: judged(Profile::Audit, &e, false).file,
            evidence: &e,
            handed_in: false,
            name_taken_by: Some(Digest::of(b"first")),
            now: NOW,
        };
        let policy = Policy::builtin(Profile::Standard);
        assert_eq!(decide(&policy, &verdict_case).decision, Decision::Refuse);
        verdict_case.name_taken_by = Some(Digest::of(b"file"));
        assert_eq!(decide(&policy, &verdict_case).decision, Decision::Admit);
    }

    fn outcomes() -> impl Strategy<Value = Outcome> {
        prop_oneof![
            Just(Outcome::Pass),
            Just(Outcome::Fail),
            Just(Outcome::Absent),
            Just(Outcome::Error),
            Just(Outcome::Skipped)
        ]
    }

    proptest! {
        /// Nothing is admitted unless every check asked for says pass (or the one stated exception), whatever is missing.
        #[test]
        fn fails_closed(s in proptest::option::of(outcomes()), h in proptest::option::of(outcomes()), handed_in: bool, p in 0..3_u8) {
            let profile = [Profile::Strict, Profile::Standard, Profile::Audit][usize::from(p)];
            let mut list = Vec::new();
            if let Some(s) = s { list.push(evidence(CheckName::Structure, s)); }
            if let Some(h) = h { list.push(evidence(CheckName::Hashes, h)); }
            let verdict = judged(profile, &list, handed_in);
            let absent_ok = handed_in && profile != Profile::Strict;
            let should = s == Some(Outcome::Pass)
                && (h == Some(Outcome::Pass) || (h == Some(Outcome::Absent) && absent_ok));
            prop_assert_eq!(verdict.decision == Decision::Admit, should);
            prop_assert_eq!(verdict.reasons.is_empty(), should);
            prop_assert_eq!(&judged(profile, &list, handed_in), &verdict);
        }
    }
}
