//! The one function that turns an event into rows. Live commits and `rebuild-catalog` both use it, so
//! the catalogue is by construction a projection of the log.

use chiron_storage::Tx;

use super::error::CatalogError;
use super::event::{Actor, Decided, Entry, Event, FileRef, Judged, Rejudged};
use super::reached::Reached;
use super::record::{
    COUNTS, DIGESTS, FILES, FileRow, FileState, NAMES, PROJECTS, ProjectRow, WAITING, WAIVERS, YankMark,
};
use super::sender;
use crate::package::ProjectName;

/// Applies entry `n`.
pub(super) fn apply(tx: &mut Tx<'_>, n: u64, entry: &Entry) -> Result<(), CatalogError> {
    match &entry.event {
        Event::Admitted(judged) => judge(tx, n, entry, judged, FileState::Admitted)?,
        Event::Quarantined(judged) => judge(tx, n, entry, judged, FileState::Quarantined)?,
        Event::Refused(judged) => judge(tx, n, entry, judged, FileState::Refused)?,
        Event::Yanked(d) => amend(tx, n, entry, d, |row| {
            row.yanked = Some(YankMark {
                reason: d.reason.clone(),
                by: d.by.clone(),
            });
        })?,
        Event::Unyanked(d) => amend(tx, n, entry, d, |row| row.yanked = None)?,
        Event::Revoked(d) => amend(tx, n, entry, d, |row| revoke(row, d))?,
        Event::Restored(d) => amend(tx, n, entry, d, |row| restore(row, d))?,
        Event::ProjectStatus {
            project,
            status,
            reason,
            ..
        } => {
            touch(tx, n, project, |row| {
                row.statuses.push((n, *status, reason.clone()));
            })?;
        }
        Event::Waived(waived) => {
            tx.put(&WAIVERS, &(waived.file.sha256, n), waived)?;
            if current(tx, &waived.file)?.is_some_and(|row| row.state == FileState::Refused) {
                change_row(tx, n, entry, &waived.file, |row| row.reconsider = true)?;
            }
            touch(tx, n, &waived.file.project, |_| {})?;
        }
        // Nothing follows for any row before the files are judged again, one by one.
        Event::PolicyChanged { .. } | Event::AdvisoriesLoaded { .. } | Event::KeysChanged(_) => {}
        Event::Imported(imported) => sender::follow(tx, n, entry.at, imported)?,
    }
    Ok(tx.put(&COUNTS, &APPLIED.to_owned(), &n.saturating_add(1))?)
}

/// A person's revocation stays that person's, whatever Chiron finds afterwards.
fn revoke(row: &mut FileRow, decided: &Decided) {
    let by_a_person = row.state == FileState::Revoked && row.revoked_by != Some(Actor::Chiron);
    if let Some(judgment) = &decided.judgment {
        rejudge(row, judgment);
    }
    if by_a_person && decided.by == Actor::Chiron {
        return;
    }
    row.state = FileState::Revoked;
    row.note = Some(decided.reason.clone());
    row.revoked_by = Some(decided.by.clone());
}

fn restore(row: &mut FileRow, decided: &Decided) {
    if let Some(judgment) = &decided.judgment {
        rejudge(row, judgment);
    }
    // Taking a revocation back admits nothing that was not admitted before it.
    if row.state == FileState::Revoked && !row.judged.reasons.is_empty() {
        row.state = FileState::Quarantined;
    } else {
        row.state = FileState::Admitted;
        row.judged.reasons.clear();
    }
    row.note = Some(decided.reason.clone());
    row.revoked_by = None;
}

fn rejudge(row: &mut FileRow, judgment: &Rejudged) {
    row.judged.verdict = judgment.verdict;
    row.judged.evidence.clone_from(&judgment.evidence);
    row.judged.reasons.clone_from(&judgment.reasons);
    row.judged.found.clone_from(&judgment.found);
}

/// How many entries of the log the rows reflect; less than the log's size only while a rebuild is under way.
pub(super) const APPLIED: &str = "applied";

fn judge(
    tx: &mut Tx<'_>,
    n: u64,
    entry: &Entry,
    judged: &Judged,
    state: FileState,
) -> Result<(), CatalogError> {
    let file = FileRef {
        project: judged.project.clone(),
        filename: judged.filename.clone(),
        sha256: judged.sha256,
    };
    let before = current(tx, &file)?;
    let yanked = match &before {
        Some(row) => row.yanked.clone(),
        None => judged.yanked.clone().map(|reason| YankMark {
            reason,
            by: match &judged.origin {
                super::Origin::Upstream(name) => Actor::Upstream(name.clone()),
                super::Origin::File => Actor::Operator,
                super::Origin::Bundle(sender) => Actor::Sender(sender.clone()),
            },
        }),
    };
    let first_seen = before
        .as_ref()
        .map_or(entry.at, |row| row.first_seen.unwrap_or(row.at));
    let row = FileRow {
        judged: judged.clone(),
        state,
        note: None,
        yanked,
        revoked_by: None,
        first_seen: Some(first_seen),
        reconsider: false,
        at: entry.at,
        since: n,
        until: None,
    };
    replace(tx, &file, before, &row)?;
    touch(tx, n, &judged.project, |row| {
        if state == FileState::Admitted {
            row.admitted_since.get_or_insert(n);
            row.reached.admit(judged);
        }
    })
}

fn amend(
    tx: &mut Tx<'_>,
    n: u64,
    entry: &Entry,
    decided: &Decided,
    change: impl FnOnce(&mut FileRow),
) -> Result<(), CatalogError> {
    let row = change_row(tx, n, entry, &decided.file, change)?;
    touch(tx, n, &decided.file.project, |project| {
        if row.state == FileState::Admitted {
            project.admitted_since.get_or_insert(n);
            project.reached.admit(&row.judged);
        }
    })
}

fn change_row(
    tx: &mut Tx<'_>,
    n: u64,
    entry: &Entry,
    file: &FileRef,
    change: impl FnOnce(&mut FileRow),
) -> Result<FileRow, CatalogError> {
    let Some(before) = current(tx, file)? else {
        return Err(CatalogError::NoSuchFile { sha256: file.sha256 });
    };
    let mut row = before.clone();
    change(&mut row);
    row.at = entry.at;
    row.since = n;
    replace(tx, file, Some(before), &row)?;
    Ok(row)
}

/// Ends the state before and begins the next one.
fn replace(
    tx: &mut Tx<'_>,
    file: &FileRef,
    before: Option<FileRow>,
    row: &FileRow,
) -> Result<(), CatalogError> {
    let n = row.since;
    if let Some(mut old) = before {
        count(tx, old.state, false)?;
        for code in old.waiting_codes() {
            tx.delete(&WAITING, &file.waiting_key(code))?;
        }
        old.until = Some(n);
        tx.put(&FILES, &file.row_key(old.since), &old)?;
    }
    count(tx, row.state, true)?;
    for code in row.waiting_codes() {
        tx.put(&WAITING, &file.waiting_key(code), &n)?;
    }
    if row.state == FileState::Admitted {
        tx.put(&NAMES, &file.name_key(), &file.sha256)?;
    }
    tx.put(&FILES, &file.row_key(n), row)?;
    tx.put(&DIGESTS, &file.digest_key(), &n)?;
    Ok(())
}

fn touch(
    tx: &mut Tx<'_>,
    n: u64,
    project: &ProjectName,
    change: impl FnOnce(&mut ProjectRow),
) -> Result<(), CatalogError> {
    let key = project.as_str().to_owned();
    let mut row = match tx.get(&PROJECTS, &key)? {
        Some(row) => row,
        None => ProjectRow {
            admitted_since: None,
            changed: n,
            statuses: Vec::new(),
            reached: Reached::default(),
        },
    };
    let listed = row.admitted_since.is_some();
    row.changed = n;
    change(&mut row);
    if row.admitted_since.is_some() && !listed {
        bump(tx, "projects", true)?;
    }
    Ok(tx.put(&PROJECTS, &key, &row)?)
}

fn count(tx: &mut Tx<'_>, state: FileState, up: bool) -> Result<(), CatalogError> {
    bump(tx, state.as_str(), up)
}

fn bump(tx: &mut Tx<'_>, name: &str, up: bool) -> Result<(), CatalogError> {
    let key = name.to_owned();
    let value = tx.get(&COUNTS, &key)?.unwrap_or(0);
    let value = if up {
        value.saturating_add(1)
    } else {
        value.saturating_sub(1)
    };
    Ok(tx.put(&COUNTS, &key, &value)?)
}

/// The state of a file in this transaction, if it has one.
pub(super) fn current(tx: &Tx<'_>, file: &FileRef) -> Result<Option<FileRow>, CatalogError> {
    let Some(since) = tx.get(&DIGESTS, &file.digest_key())? else {
        return Ok(None);
    };
    tx.get(&FILES, &file.row_key(since))?
        .ok_or(CatalogError::Torn {
            what: "a file's head names a row that is not there",
        })
        .map(Some)
}
