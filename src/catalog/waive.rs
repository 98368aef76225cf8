//! Waivers: what a person lets pass, on one content and until a day.

use chiron_storage::{Digest, Key};
use jiff::Timestamp;

use super::commit::{append, known};
use super::event::{Event, Waived};
use super::record::WAIVERS;
use super::view::bad_key;
use super::{Catalog, CatalogError, FileRef, FileRow};
use crate::policy::Waiver;

impl Catalog {
    /// Writes a waiver down; the file's row and the event's number. Nothing follows for the file before it is judged
    /// again.
    pub async fn waive(&self, waived: Waived, now: Timestamp) -> Result<(FileRow, u64), CatalogError> {
        let log = self.log.clone();
        let file = waived.file.clone();
        let done = self
            .db
            .transact(move |tx| {
                let file = waived.file.clone();
                known(tx, &file)?;
                let n = append(tx, &log, Event::Waived(waived), now)?;
                Ok::<_, CatalogError>((known(tx, &file)?, n))
            })
            .await?;
        self.touched(&file.project, done.1.saturating_add(1));
        Ok(done)
    }

    /// The waivers on a content, those of several persons for the same objection as one. Expired ones are among them.
    pub async fn waivers(&self, sha256: Digest) -> Result<Vec<Waiver>, CatalogError> {
        let found = self
            .db
            .read(move |view| {
                let mut found = Vec::new();
                for item in view.scan(&WAIVERS, sha256.as_bytes(), None)? {
                    let ((_, n), waived) = item?;
                    found.push((n, waived));
                }
                Ok::<_, CatalogError>(found)
            })
            .await?;
        Ok(together(found))
    }

    /// The files with a waiver that ended after `after` and not after `until`.
    pub async fn waivers_ended(
        &self,
        after: Timestamp,
        until: Timestamp,
    ) -> Result<Vec<FileRef>, CatalogError> {
        self.db
            .read(move |view| {
                let mut files = Vec::new();
                for item in view.scan(&WAIVERS, b"", None)? {
                    let (_, waived) = item?;
                    if waived.until > after && waived.until <= until {
                        files.push(waived.file);
                    }
                }
                files.sort();
                files.dedup();
                Ok(files)
            })
            .await
    }

    /// The files that wait for something by the code of a reason, in the order of their projects, at most `limit`,
    /// after `after`.
    pub async fn waiting(
        &self,
        code: &'static str,
        after: Option<FileRef>,
        limit: usize,
    ) -> Result<Vec<FileRef>, CatalogError> {
        use super::record::WAITING;
        let prefix = code.to_owned().to_prefix().map_err(bad_key)?;
        self.db
            .read(move |view| {
                let mut files = Vec::new();
                let from = after
                    .map(|file| file.waiting_key(code).to_successor())
                    .transpose()
                    .map_err(bad_key)?;
                for item in view.scan(&WAITING, &prefix, from.as_deref())?.take(limit) {
                    let ((_, project, filename, sha256), since) = item?;
                    let key = (project, filename, sha256, since);
                    let row = view.get(&super::record::FILES, &key)?;
                    files.push(row.ok_or(super::view::TORN)?.file());
                }
                Ok(files)
            })
            .await
    }
}

/// One waiver for each objection: it holds as long as the shortest word given for it, and names everybody who gave one.
/// A person's newer word replaces the older.
fn together(found: Vec<(u64, Waived)>) -> Vec<Waiver> {
    let mut latest: Vec<(u64, Waived)> = Vec::new();
    for (n, waived) in found {
        let repeats = |other: &Waived| {
            other.check == waived.check && other.code == waived.code && other.person == waived.person
        };
        latest.retain(|(_, other)| !repeats(other));
        latest.push((n, waived));
    }
    let mut waivers: Vec<Waiver> = Vec::new();
    for (event, waived) in latest {
        let same = waivers
            .iter_mut()
            .find(|waiver| waiver.check == waived.check && waiver.code == waived.code);
        match same {
            Some(waiver) => {
                waiver.until = waiver.until.min(waived.until);
                waiver.by.push(waived.person);
                waiver.event = event;
            }
            None => waivers.push(Waiver {
                check: waived.check,
                code: waived.code,
                reason: waived.reason,
                by: vec![waived.person],
                until: waived.until,
                event,
            }),
        }
    }
    waivers
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn waived(code: Option<&str>, person: &str, until: &str) -> Waived {
        serde_json::from_value(serde_json::json!({
            "project": "demo", "filename": "demo-1.tar.gz", "sha256": "0".repeat(64),
            "check": "signature", "code": code, "reason": "r", "until": until, "person": person, "by": "operator",
        }))
        .unwrap()
    }

    #[test]
    fn persons_are_counted_for_the_same_objection_only() {
        let waivers = together(vec![
            (1, waived(None, "ann", "2026-02-01T00:00:00Z")),
            (2, waived(Some("downgrade"), "bob", "2026-03-01T00:00:00Z")),
            (3, waived(None, "bob", "2026-01-01T00:00:00Z")),
        ]);
        assert_eq!(waivers.len(), 2);
        assert_eq!(waivers[0].by, ["ann", "bob"]);
        assert_eq!(
            waivers[0].until,
            "2026-01-01T00:00:00Z".parse().unwrap(),
            "the shortest word"
        );
        assert_eq!(waivers[1].by, ["bob"]);
    }

    #[test]
    fn a_newer_word_of_the_same_person_replaces_the_older() {
        let waivers = together(vec![
            (1, waived(None, "ann", "2026-01-01T00:00:00Z")),
            (2, waived(None, "ann", "2026-05-01T00:00:00Z")),
        ]);
        assert_eq!(waivers.len(), 1);
        assert_eq!(waivers[0].by, ["ann"]);
        assert_eq!(waivers[0].until, "2026-05-01T00:00:00Z".parse().unwrap());
        assert_eq!(waivers[0].event, 2);
    }
}
