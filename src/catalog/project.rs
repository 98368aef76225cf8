//! The one function that turns an event into rows. Live commits and `rebuild-catalog` both use it, so
//! the catalogue is by construction a projection of the log.

use chiron_storage::Tx;

use super::error::CatalogError;
use super::event::{Decided, Entry, Event, FileRef, Judged};
use super::record::{COUNTS, DIGESTS, FILES, FileRow, FileState, NAMES, PROJECTS, ProjectRow, YankMark};
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
        Event::Revoked(d) => amend(tx, n, entry, d, |row| {
            row.state = FileState::Revoked;
            row.note = Some(d.reason.clone());
        })?,
        Event::Restored(d) => amend(tx, n, entry, d, |row| {
            // Taking a revocation back admits nothing that was not admitted before it.
            if row.state == FileState::Revoked && !row.judged.reasons.is_empty() {
                row.state = FileState::Quarantined;
            } else {
                row.state = FileState::Admitted;
                row.judged.reasons.clear();
            }
            row.note = Some(d.reason.clone());
        })?,
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
    }
    Ok(tx.put(&COUNTS, &APPLIED.to_owned(), &n.saturating_add(1))?)
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
                super::Origin::Upstream(name) => super::Actor::Upstream(name.clone()),
                super::Origin::File => super::Actor::Operator,
            },
        }),
    };
    let row = FileRow {
        judged: judged.clone(),
        state,
        note: None,
        yanked,
        at: entry.at,
        since: n,
        until: None,
    };
    replace(tx, &file, before, &row)?;
    touch(tx, n, &judged.project, |row| {
        if state == FileState::Admitted && row.admitted_since.is_none() {
            row.admitted_since = Some(n);
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
    let Some(before) = current(tx, &decided.file)? else {
        return Err(CatalogError::NoSuchFile {
            sha256: decided.file.sha256,
        });
    };
    let mut row = before.clone();
    change(&mut row);
    row.at = entry.at;
    row.since = n;
    replace(tx, &decided.file, Some(before), &row)?;
    touch(tx, n, &decided.file.project, |_| {})
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
        old.until = Some(n);
        tx.put(&FILES, &file.row_key(old.since), &old)?;
    }
    count(tx, row.state, true)?;
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
