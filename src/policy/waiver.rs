//! Waivers: a person's decision to let something pass, applied after the rules have spoken.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Reason, Settings};

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

/// An objection that a waiver covers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WaivedReason {
    /// Which check it came from.
    pub check: String,
    /// Its code.
    pub code: String,
    /// What is wrong with the file all the same.
    pub message: String,
    /// Why it was let pass.
    pub waiver: String,
    /// Who let it pass.
    pub by: Vec<String>,
    /// When that ends.
    #[schemars(with = "String")]
    pub until: Timestamp,
    /// The log's event that holds the waiver.
    pub event: u64,
}

impl Waiver {
    /// Whether it stands at `now` with as many persons as the site asks for.
    fn stands(&self, settings: &Settings, now: Timestamp) -> bool {
        let mut persons: Vec<&str> = self
            .by
            .iter()
            .map(|name| name.trim())
            .filter(|name| !name.is_empty())
            .collect();
        persons.sort_unstable();
        persons.dedup();
        now < self.until
            && persons.len()
                >= usize::try_from(settings.waiver_persons)
                    .unwrap_or(usize::MAX)
                    .max(1)
    }

    fn covers(&self, reason: &Reason) -> bool {
        self.check == reason.check && self.code.as_ref().is_none_or(|code| *code == reason.code)
    }
}

/// Whether no waiver may cover an objection.
pub fn is_never_waived(check: &str, code: &str, settings: &Settings) -> bool {
    settings.never_waived.iter().any(|listed| {
        listed.split_once('/').is_some_and(|(listed_check, listed_code)| {
            listed_check == check && (listed_code == "*" || listed_code == code)
        })
    })
}

/// The waiver that covers an objection, if one does.
pub(super) fn waived(
    reason: &Reason,
    waivers: &[Waiver],
    settings: &Settings,
    now: Timestamp,
) -> Option<WaivedReason> {
    if is_never_waived(&reason.check, &reason.code, settings) {
        return None;
    }
    let waiver = waivers
        .iter()
        .find(|waiver| waiver.covers(reason) && waiver.stands(settings, now))?;
    Some(WaivedReason {
        check: reason.check.clone(),
        code: reason.code.clone(),
        message: reason.message.clone(),
        waiver: waiver.reason.clone(),
        by: waiver.by.clone(),
        until: waiver.until,
        event: waiver.event,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn waiver(check: &str, code: Option<&str>, by: &[&str]) -> Waiver {
        Waiver {
            check: check.to_owned(),
            code: code.map(str::to_owned),
            reason: "the signature server was down".to_owned(),
            by: by.iter().map(|s| (*s).to_owned()).collect(),
            until: Timestamp::from_second(100).unwrap(),
            event: 7,
        }
    }

    fn counts(waiver: Waiver, check: &str, code: &str, persons: u32, at: i64) -> bool {
        let reason = Reason {
            check: check.to_owned(),
            code: code.to_owned(),
            message: "m".to_owned(),
        };
        let settings = Settings {
            waiver_persons: persons,
            ..Settings::default()
        };
        waived(&reason, &[waiver], &settings, Timestamp::from_second(at).unwrap()).is_some()
    }

    #[test]
    fn a_waiver_covers_its_check_its_code_and_its_time() {
        let ann = || waiver("signature", Some("absent"), &["ann"]);
        assert!(counts(ann(), "signature", "absent", 1, 99));
        assert!(!counts(ann(), "signature", "absent", 1, 100), "it has ended");
        assert!(!counts(ann(), "signature", "bad-signature", 1, 99));
        assert!(!counts(ann(), "sbom", "absent", 1, 99));
        assert!(counts(waiver("sbom", None, &["ann"]), "sbom", "anything", 1, 0));
    }

    #[test]
    fn two_persons_are_two_different_ones() {
        assert!(!counts(waiver("sbom", None, &["ann"]), "sbom", "x", 2, 0));
        assert!(!counts(waiver("sbom", None, &["ann", " ann"]), "sbom", "x", 2, 0));
        assert!(!counts(waiver("sbom", None, &[""]), "sbom", "x", 1, 0));
        assert!(counts(waiver("sbom", None, &["ann", "bob"]), "sbom", "x", 2, 0));
    }

    #[test]
    fn some_objections_are_never_waived() {
        for (check, code) in [
            ("structure", "record-hash"),
            ("hashes", "failed"),
            ("advisories", "malware"),
            ("policy", "filename-reuse"),
            ("policy", "undecided"),
        ] {
            assert!(
                !counts(waiver(check, None, &["ann"]), check, code, 1, 0),
                "{check}/{code}"
            );
        }
        assert!(counts(
            waiver("advisories", None, &["ann"]),
            "advisories",
            "critical",
            1,
            0
        ));
    }
}
