//! The one judgment. The rules' answer is believed when it is one, and whatever is missing, undefined, late or in error
//! does not admit.

use chiron_storage::Digest;
use jiff::Timestamp;

use super::decision::{Objection, ObjectionDecision, RegoDecision, read_objections};
use super::input::{Checked, PolicyInput};
use super::waiver::{self, WaivedReason};
use super::{
    AdvisoriesRef, CheckRow, Decision, History, JudgedFile, Policy, PolicyRef, Reason, VERDICT_SCHEMA,
    Verdict, Waiver,
};
use crate::verify::{CheckName, Evidence, Outcome};

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
    /// The verdict's time; rules see it as `input.now`.
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
    /// Waivers on this very content.
    pub waivers: Vec<Waiver>,
    /// The advisory database that was used.
    pub advisories: Option<AdvisoriesRef>,
}

/// A verdict, and what it was made from.
#[derive(Debug, Clone, PartialEq)]
pub struct Decided {
    /// The judgment.
    pub verdict: Verdict,
    /// The input document that the rules saw, which `verdict.input` names; `None` when none could be made.
    pub input: Option<Vec<u8>>,
}

/// Judges one file.
pub fn decide(policy: &Policy, case: &Case<'_>) -> Verdict {
    decide_with_input(policy, case).verdict
}

/// Judges one file, and hands out the document that the rules saw.
pub fn decide_with_input(policy: &Policy, case: &Case<'_>) -> Decided {
    let checked = PolicyInput::new(case, policy.settings()).checked();
    let (input, digest, answer) = match checked {
        Ok(Checked { bytes, digest, value }) => (Some(bytes), Some(digest), ask(policy, value)),
        Err(why) => (None, None, Err(why)),
    };
    let mut judgment = Judgment::default();
    match answer {
        Ok((decision, site)) => judgment.follow(decision, site, policy, case),
        Err(why) => judgment.undecided(&why),
    }
    judgment.floor(case);
    judgment.sort();
    let verdict = Verdict {
        schema: VERDICT_SCHEMA.to_owned(),
        file: case.file.clone(),
        decision: judgment.decision(),
        checks: case.evidence.iter().map(|(digest, e)| row(*digest, e)).collect(),
        reasons: judgment.reasons.into_iter().map(|(_, reason)| reason).collect(),
        waived: judgment.waived,
        policy: PolicyRef {
            profile: policy.profile().as_str().to_owned(),
            digest: policy.digest(),
        },
        input: digest,
        advisories: case.circumstances.advisories.clone(),
        decided_at: case.now,
        event: None,
    };
    Decided { verdict, input }
}

/// Runs the rules and reads what they answer.
pub(super) fn ask(policy: &Policy, input: regorus::Value) -> Result<(RegoDecision, Vec<Objection>), String> {
    let values = policy
        .values(input, policy.entries())
        .map_err(|error| error.to_string())?;
    let mut values = values.into_iter();
    let decision = values.next().ok_or("the policy gave no answer")?;
    let site = values.next().map(read_objections).transpose()?;
    Ok((RegoDecision::read(decision)?, site.unwrap_or_default()))
}

/// What stands against a file.
#[derive(Debug, Default)]
struct Judgment {
    reasons: Vec<(Decision, Reason)>,
    waived: Vec<WaivedReason>,
}

impl Judgment {
    fn object(&mut self, to: Decision, check: &str, code: &str, message: &str) {
        let reason = Reason {
            check: check.to_owned(),
            code: code.to_owned(),
            message: message.to_owned(),
        };
        self.reasons.push((to, reason));
    }

    fn undecided(&mut self, why: &str) {
        self.object(
            Decision::Quarantine,
            "policy",
            "undecided",
            &format!("the policy gave no decision: {why}. Run chiron policy check and chiron policy test, then judge the file again"),
        );
    }

    /// Takes the objections over, but for those that a waiver covers. Without any left, the file is admitted when the
    /// rules admit it, or when every requirement that does not hold was waived in full.
    fn follow(&mut self, decision: RegoDecision, site: Vec<Objection>, policy: &Policy, case: &Case<'_>) {
        let mut lifted = Vec::new();
        let mut held = Vec::new();
        for objection in decision.objections.into_iter().chain(site) {
            let reason = Reason {
                check: objection.check,
                code: objection.code,
                message: objection.message,
            };
            let waivers = &case.circumstances.waivers;
            if let Some(waived) = waiver::waived(&reason, waivers, policy.settings(), case.now) {
                self.waived.push(waived);
                lifted.extend(objection.requirement);
                continue;
            }
            let to = match objection.decision {
                ObjectionDecision::Quarantine => Decision::Quarantine,
                ObjectionDecision::Refuse => Decision::Refuse,
            };
            self.reasons.push((to, reason));
            held.extend(objection.requirement);
        }
        if decision.admit || !self.reasons.is_empty() {
            return;
        }
        let failing: Vec<_> = decision
            .requirements
            .iter()
            .filter(|(_, holds)| !**holds)
            .collect();
        let open: Vec<&str> = failing
            .iter()
            .map(|(name, _)| name.as_str())
            .filter(|name| !lifted.iter().any(|l| l == name) || held.iter().any(|h| h == name))
            .collect();
        if failing.is_empty() {
            self.undecided(
                "it does not admit the file, although every requirement holds and nothing is objected",
            );
        } else if !open.is_empty() {
            self.undecided(&format!(
                "it does not admit the file and does not say why; these requirements do not hold: {}",
                open.join(", ")
            ));
        }
    }

    /// What no policy can do without, and no waiver covers.
    fn floor(&mut self, case: &Case<'_>) {
        if let Some(other) = case.name_taken_by.filter(|other| *other != case.file.sha256) {
            self.object(
                Decision::Refuse,
                "policy",
                "filename-reuse",
                &format!(
                    "another file of this name is already admitted (sha256 {other}); a published filename never changes its content"
                ),
            );
        }
        let outcome = |check: CheckName| {
            let about = |e: &&(Digest, Evidence)| e.1.check == check && e.1.subject == case.file.sha256;
            case.evidence.iter().find(about).map(|(_, e)| e.outcome)
        };
        let sound = outcome(CheckName::Structure) == Some(Outcome::Pass)
            && matches!(outcome(CheckName::Hashes), Some(Outcome::Pass | Outcome::Absent));
        if !sound && self.reasons.is_empty() {
            self.undecided("it admits a file whose structure and hashes did not pass, which no policy may");
        }
    }

    /// In the order of the gate; within a check the severest first.
    fn sort(&mut self) {
        let place = |check: &str| {
            CheckName::ALL
                .iter()
                .position(|name| name.as_str() == check)
                .unwrap_or(CheckName::ALL.len())
        };
        self.reasons.sort_by(|(a_to, a), (b_to, b)| {
            (place(&a.check), b_to, &a.check, &a.code, &a.message).cmp(&(
                place(&b.check),
                a_to,
                &b.check,
                &b.code,
                &b.message,
            ))
        });
        self.reasons.dedup();
        self.waived.sort_by(|a, b| {
            (place(&a.check), &a.check, &a.code, &a.message).cmp(&(
                place(&b.check),
                &b.check,
                &b.code,
                &b.message,
            ))
        });
    }

    fn decision(&self) -> Decision {
        self.reasons
            .iter()
            .map(|(to, _)| *to)
            .max()
            .unwrap_or(Decision::Admit)
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
