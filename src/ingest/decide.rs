//! Judgment: the case put together from the evidence and what the catalogue knows, and handed to the policy.

use bytes::Bytes;
use chiron_storage::Digest;
use jiff::Timestamp;

use super::{Beside, Gate, IngestError};
use crate::blocking::{self, Lost};
use crate::catalog::{FileRef, Found};
use crate::policy::{AdvisoriesRef, Case, Circumstances, JudgedFile, Policy, Verdict, decide_with_input};
use crate::verify::{CheckName, Evidence};

/// A file under judgment, as far as its bytes do not say it.
pub(super) struct Subject {
    /// Which file.
    pub file: FileRef,
    /// PEP 440, as the filename states it.
    pub version: String,
    /// Bytes.
    pub size: u64,
    /// The operator handed it in.
    pub handed_in: bool,
    /// The publisher's, RFC 3339.
    pub upload_time: Option<String>,
    /// When this site first judged it.
    pub first_seen: Option<Timestamp>,
    /// PEP 592.
    pub yanked: Option<String>,
    /// The database that the evidence was made with.
    pub advisories: Option<AdvisoriesRef>,
}

/// A verdict with the document that the policy was given.
pub(super) struct Decided {
    pub verdict: Verdict,
    pub input: Option<Bytes>,
}

impl Gate {
    /// Judges evidence by rules. `beside`: what counts as if it were in the catalogue.
    pub(super) async fn decide(
        &self,
        policy: &Policy,
        subject: &Subject,
        evidence: &[(Digest, Evidence)],
        beside: Option<&Beside>,
        now: Timestamp,
    ) -> Result<Decided, IngestError> {
        let file = &subject.file;
        let waivers = self.catalog.waivers(file.sha256).await?;
        let judged = JudgedFile {
            filename: file.filename.clone(),
            project: file.project.to_string(),
            version: subject.version.clone(),
            sha256: file.sha256,
            size: subject.size,
        };
        let handed_in = subject.handed_in;
        let mut name_taken_by = self.catalog.name_taken_by(file).await?;
        let mut reached = self.catalog.reached(&file.project).await?;
        if let Some(beside) = beside {
            name_taken_by = name_taken_by.or(beside.name_taken_by(file));
            reached = beside.reached(&file.project, reached);
        }
        let circumstances = Circumstances {
            upload_time: subject.upload_time.as_deref().and_then(|text| text.parse().ok()),
            first_seen: Some(subject.first_seen.unwrap_or(now)),
            yanked: subject.yanked.clone(),
            owned: self.owned.matches(file.project.as_str()),
            history: reached.history(),
            waivers: waivers
                .into_iter()
                .filter(|waiver| waiver.until > now && waiver.by.len() >= policy.waiver_persons())
                .collect(),
            advisories: subject.advisories.clone(),
        };
        let timer = self.metrics.decide_timer();
        // A site's rules may take as long as their budget lets them, which is too long for an async thread.
        let (policy, evidence) = (policy.clone(), evidence.to_vec());
        let decided = blocking::run(move || {
            let case = Case {
                file: judged,
                evidence: &evidence,
                handed_in,
                name_taken_by,
                circumstances,
                now,
            };
            decide_with_input(&policy, &case)
        })
        .await
        .map_err(|Lost| IngestError::Checks {
            filename: file.filename.clone(),
        })?;
        drop(timer);
        Ok(Decided {
            verdict: decided.verdict,
            input: decided.input.map(Bytes::from),
        })
    }
}

/// What a judgment found, in short.
pub(super) fn found(decided: &Decided, evidence: &[(Digest, Evidence)], rest: Found) -> Found {
    let verdict = &decided.verdict;
    let source = evidence
        .iter()
        .find(|(_, e)| e.check == CheckName::Reproducibility);
    let fact = |name: &str| source.and_then(|(_, e)| e.facts.get(name));
    Found {
        checks: evidence.iter().map(|(_, e)| (e.check, e.outcome)).collect(),
        level: fact("level").and_then(|level| level.as_str()).map(str::to_owned),
        pure: fact("pure").and_then(serde_json::Value::as_bool).unwrap_or(false),
        input: decided.input.as_ref().map(|bytes| Digest::of(bytes)),
        policy: Some(verdict.policy.digest),
        advisories: verdict.advisories.as_ref().map(|reference| reference.digest),
        ..rest
    }
}

/// The bytes of evidence, to be kept.
pub(super) fn bytes_of(evidence: &[(Digest, Evidence)]) -> Vec<Bytes> {
    evidence.iter().map(|(_, e)| Bytes::from(e.to_bytes())).collect()
}
