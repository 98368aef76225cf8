//! What follows from the sender's entries: where each file and each project stands at their end. Pure.
//!
//! The replay is the catalogue's own (`catalog/project.rs`), on what the bundle shows: for a file that was there before
//! the bundle's base the earlier part is not known, and only what the entries say outright is relayed. What this site has
//! seen in an earlier bundle is not relayed again: an operator here may have decided otherwise since.

use std::collections::BTreeMap;

use crate::catalog::{Change, Entry, Event, FileRef, Judged, Rejudged, RelayedChange, RelayedStatus};
use crate::package::{ProjectName, Status};

/// Where a file stands at the sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum At {
    /// Served.
    Served,
    /// Kept or refused by the sender's own judgment, which this site does not take over.
    Judged,
    /// Taken out of service, which this site follows.
    Revoked,
}

/// What the entries say of one file.
#[derive(Debug, Clone)]
pub(super) struct Stand {
    /// At their end.
    pub at: At,
    /// The newest judgment, with the evidence of a later one in it; absent when none is among the entries.
    pub judged: Option<Box<Judged>>,
    /// The last yank, or the last one taken back, with its reason; `None`: neither is among the entries.
    yank: Option<(Change, String)>,
    /// That last word is not from before [`Followed::new_from`].
    yank_is_new: bool,
    /// The last revocation, or the last one taken back, with its reason; `None`: neither is new.
    decided: Option<(Change, String)>,
}

impl Stand {
    fn new() -> Self {
        Self {
            at: At::Served,
            judged: None,
            yank: None,
            yank_is_new: false,
            decided: None,
        }
    }

    /// The yank that a file which is new here comes with.
    pub(super) fn yanked(&self) -> Option<String> {
        match &self.yank {
            Some((Change::Yank, reason)) => Some(reason.clone()),
            Some(_) => None,
            None => self.judged.as_ref().and_then(|judged| judged.yanked.clone()),
        }
    }

    fn judge(&mut self, judged: &Judged, at: At) {
        let yanked = match self.judged.take() {
            Some(before) => before.yanked,
            None => judged.yanked.clone(),
        };
        self.judged = Some(Box::new(Judged {
            yanked,
            ..judged.clone()
        }));
        self.at = at;
    }

    fn rejudge(&mut self, again: Option<&Rejudged>) {
        if let (Some(judged), Some(again)) = (self.judged.as_mut(), again) {
            judged.verdict = again.verdict;
            judged.evidence.clone_from(&again.evidence);
            judged.reasons.clone_from(&again.reasons);
            judged.found.clone_from(&again.found);
        }
    }
}

/// What the entries say of everything.
#[derive(Debug, Default)]
pub(super) struct Followed {
    /// By file.
    pub files: BTreeMap<FileRef, Stand>,
    /// The last marker of each project (PEP 792).
    pub statuses: BTreeMap<ProjectName, (Status, Option<String>)>,
    /// Entries that were read.
    pub entries: u64,
    /// Decisions before this entry were relayed before.
    new_from: u64,
}

impl Followed {
    /// Decisions of the entries from `new_from` on are relayed; those before were, with an earlier bundle.
    pub(super) fn new(new_from: u64) -> Self {
        Self {
            new_from,
            ..Self::default()
        }
    }

    /// Takes entry `n`; they come in their order.
    pub(super) fn entry(&mut self, n: u64, entry: &Entry) {
        self.entries += 1;
        let is_new = n >= self.new_from;
        match &entry.event {
            Event::Admitted(judged) => self.judged(judged, At::Served),
            Event::Quarantined(judged) | Event::Refused(judged) => self.judged(judged, At::Judged),
            Event::Yanked(decided) => {
                let stand = self.of(&decided.file);
                stand.yank = Some((Change::Yank, decided.reason.clone()));
                stand.yank_is_new = is_new;
            }
            Event::Unyanked(decided) => {
                let stand = self.of(&decided.file);
                stand.yank = Some((Change::Unyank, decided.reason.clone()));
                stand.yank_is_new = is_new;
            }
            Event::Revoked(decided) => {
                let stand = self.of(&decided.file);
                stand.rejudge(decided.judgment.as_ref());
                stand.at = At::Revoked;
                stand.decided = is_new.then(|| (Change::Revoke, decided.reason.clone()));
            }
            Event::Restored(decided) => {
                let stand = self.of(&decided.file);
                stand.rejudge(decided.judgment.as_ref());
                // Taking a revocation back admits nothing that was not admitted before it.
                let objected = stand
                    .judged
                    .as_ref()
                    .is_some_and(|judged| !judged.reasons.is_empty());
                stand.at = if stand.at == At::Revoked && objected {
                    At::Judged
                } else {
                    At::Served
                };
                stand.decided = is_new.then(|| (Change::Restore, decided.reason.clone()));
            }
            Event::ProjectStatus {
                project,
                status,
                reason,
                ..
            } if is_new => {
                self.statuses.insert(project.clone(), (*status, reason.clone()));
            }
            // The sender's own rules, waivers, databases, keys and imports are nobody else's.
            _ => {}
        }
    }

    /// What the sender decided since this site heard of it last.
    pub(super) fn changes(&self) -> Vec<RelayedChange> {
        let mut changes = Vec::new();
        for (file, stand) in &self.files {
            let mut relay = |change, reason: &str| {
                changes.push(RelayedChange {
                    file: file.clone(),
                    change,
                    reason: reason.to_owned(),
                });
            };
            match &stand.decided {
                Some((Change::Restore, _)) if stand.at != At::Served => {}
                Some((change, reason)) => relay(*change, reason),
                None => {}
            }
            if let Some((change, reason)) = stand.yank.as_ref().filter(|_| stand.yank_is_new) {
                relay(*change, reason);
            }
        }
        changes
    }

    /// The markers of projects, likewise.
    pub(super) fn statuses(&self) -> Vec<RelayedStatus> {
        let relayed =
            |(project, (status, reason)): (&ProjectName, &(Status, Option<String>))| RelayedStatus {
                project: project.clone(),
                status: *status,
                reason: reason.clone(),
            };
        self.statuses.iter().map(relayed).collect()
    }

    /// Files that the sender serves at the end, in order.
    pub(super) fn served(&self) -> impl Iterator<Item = (&FileRef, &Stand)> {
        self.files.iter().filter(|(_, stand)| stand.at == At::Served)
    }

    /// Files that the sender keeps back by its own judgment.
    pub(super) fn kept_back(&self) -> u64 {
        self.files.values().filter(|stand| stand.at == At::Judged).count() as u64
    }

    fn judged(&mut self, judged: &Judged, at: At) {
        let file = FileRef {
            project: judged.project.clone(),
            filename: judged.filename.clone(),
            sha256: judged.sha256,
        };
        self.of(&file).judge(judged, at);
    }

    fn of(&mut self, file: &FileRef) -> &mut Stand {
        self.files.entry(file.clone()).or_insert_with(Stand::new)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use chiron_storage::Digest;
    use serde_json::{Value, json};

    use super::*;

    fn entry(event: &Value) -> Entry {
        let mut whole = json!({ "schema": "chiron.event/v1", "at": "2026-01-01T00:00:00Z" });
        for (name, value) in event.as_object().unwrap() {
            whole[name] = value.clone();
        }
        serde_json::from_value(whole).unwrap()
    }

    fn judged(kind: &str, yanked: Option<&str>) -> Entry {
        let digest = Digest::of(b"wheel").to_string();
        let mut event = json!({
            "type": kind, "project": "demo", "filename": "demo-1-py3-none-any.whl", "version": "1", "sha256": digest,
            "blake3": digest, "size": 5, "origin": "file", "verdict": digest, "evidence": [],
        });
        if let Some(reason) = yanked {
            event["yanked"] = json!(reason);
        }
        if kind != "admitted" {
            event["reasons"] = json!([{ "check": "signature", "code": "absent", "message": "no signature" }]);
        }
        entry(&event)
    }

    fn decided(kind: &str, reason: &str) -> Entry {
        entry(&json!({
            "type": kind, "project": "demo", "filename": "demo-1-py3-none-any.whl",
            "sha256": Digest::of(b"wheel").to_string(), "reason": reason, "by": "operator",
        }))
    }

    fn after(entries: &[Entry]) -> Stand {
        let mut followed = Followed::default();
        for (n, entry) in (0..).zip(entries) {
            followed.entry(n, entry);
        }
        assert_eq!(followed.entries, entries.len() as u64);
        let [stand] = followed
            .files
            .into_values()
            .collect::<Vec<_>>()
            .try_into()
            .unwrap();
        stand
    }

    #[test]
    fn the_end_counts() {
        assert_eq!(after(&[judged("admitted", None)]).at, At::Served);
        assert_eq!(after(&[judged("quarantined", None)]).at, At::Judged);
        let taken_back = [
            judged("admitted", None),
            decided("revoked", "bad"),
            decided("restored", "good"),
        ];
        assert_eq!(after(&taken_back[..2]).at, At::Revoked);
        assert_eq!(
            after(&taken_back[..2]).decided,
            Some((Change::Revoke, "bad".to_owned()))
        );
        assert_eq!(after(&taken_back).at, At::Served);
        assert_eq!(
            after(&taken_back).decided,
            Some((Change::Restore, "good".to_owned()))
        );
    }

    #[test]
    fn what_was_kept_back_before_its_revocation_is_kept_back_after_it() {
        let entries = [
            judged("quarantined", None),
            decided("revoked", "bad"),
            decided("restored", "good"),
        ];
        assert_eq!(after(&entries).at, At::Judged);
    }

    #[test]
    fn a_yank_is_relayed_only_when_the_entries_say_so() {
        let stand = after(&[judged("admitted", Some("broken"))]);
        assert_eq!(stand.yank, None);
        assert_eq!(stand.yanked().as_deref(), Some("broken"));
        let stand = after(&[judged("admitted", Some("broken")), decided("unyanked", "")]);
        assert_eq!(stand.yank, Some((Change::Unyank, String::new())));
        assert_eq!(stand.yanked(), None);
        let stand = after(&[decided("yanked", "why")]);
        assert_eq!(stand.yank, Some((Change::Yank, "why".to_owned())));
        assert_eq!(stand.yanked().as_deref(), Some("why"));
    }

    #[test]
    fn what_was_seen_before_is_not_relayed_again() {
        let entries = [
            judged("admitted", None),
            decided("revoked", "bad"),
            decided("yanked", "why"),
        ];
        for (new_from, relayed) in [(0, 2), (1, 2), (2, 1), (3, 0)] {
            let mut followed = Followed::new(new_from);
            for (n, entry) in (0..).zip(&entries) {
                followed.entry(n, entry);
            }
            assert_eq!(followed.changes().len(), relayed, "{new_from}");
        }
    }

    #[test]
    fn a_revocation_of_a_file_from_before_the_base_is_known_without_its_judgment() {
        let stand = after(&[decided("revoked", "bad")]);
        assert!(stand.judged.is_none());
        assert_eq!(stand.at, At::Revoked);
    }
}
