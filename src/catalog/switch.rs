//! The one switch of an import: everything that a bundle brings comes into force in one transaction, or nothing does.
//!
//! The rows of a switch are in memory until they are on the disk, so a bundle with more than [`SWITCH_BYTES`] of them comes
//! into force in several switches, each of them whole and each of whole projects; the last one says that the bundle is there.

use bytes::Bytes;
use chiron_storage::{Digest, Log, Raw, Tx};
use jiff::Timestamp;

use super::commit::{append, enforce, name_is_free};
use super::event::{Actor, Decided, Event};
use super::imported::{ImportCounts, Imported};
use super::journal::unsettle;
use super::prepared::Prepared;
use super::project::current;
use super::record::{MARKS, PROJECTS};
use super::sender::{SENDERS, TRUST};
use super::standing::{Mark, Standing, stand};
use super::{Catalog, CatalogError, Change, FileRef, FileRow, FileState};
use crate::package::{ProjectName, Status};

/// [`Prepared::weight`] of the judgments of one switch, together: about 2,000 files. Threat: memory; each row is held three
/// times while it is written (changes, batch, table in memory).
pub const SWITCH_BYTES: usize = 24 << 20;

/// What comes into force together.
#[derive(Debug)]
pub struct Switch {
    /// Of which bundle: its documents count from now on.
    pub bundle: Digest,
    /// The name that the sender has here.
    pub sender: String,
    /// The event of the sender's last bundle when this one was checked ([`super::SenderRow::since`]).
    pub since: Option<u64>,
    /// A newer advisory database, already written and not in force; `then` puts its rows in force. The judgments rest on it.
    pub advisories: Option<Standing>,
    /// In the order in which they are to be logged: source distributions before the wheels of their releases.
    pub judgments: Vec<Prepared>,
    /// What the sender decided on files that are here.
    pub changes: Vec<RelayedChange>,
    /// What the sender says of projects that are here.
    pub statuses: Vec<RelayedStatus>,
    /// With the last switch of a bundle.
    pub completes: Option<Completes>,
}

/// The end of an import.
#[derive(Debug)]
pub struct Completes {
    /// Its counts are those of the switches before; this one's are added.
    pub imported: Imported,
    /// What the sender's signatures are believed by from now on.
    pub trust: Bytes,
}

/// A decision of the sender on a file.
#[derive(Debug, Clone)]
pub struct RelayedChange {
    /// Which file.
    pub file: FileRef,
    /// What was decided.
    pub change: Change,
    /// The sender's words.
    pub reason: String,
}

/// A project's marker (PEP 792), as the sender has it.
#[derive(Debug, Clone)]
pub struct RelayedStatus {
    /// Whose.
    pub project: ProjectName,
    /// The marker.
    pub status: Status,
    /// The sender's words.
    pub reason: Option<String>,
}

/// What a switch did.
#[derive(Debug, Clone, Default)]
pub struct Switched {
    /// The size of the log after it.
    pub size: u64,
    /// What came of it.
    pub counts: ImportCounts,
    /// The state of each judged file now, in the order of the judgments.
    pub states: Vec<FileState>,
    /// Whether each change applied to the file as it is here, in their order.
    pub changed: Vec<bool>,
}

/// Why nothing of a switch came into force.
#[derive(Debug, thiserror::Error)]
pub enum SwitchError {
    /// What judgments rest on changed since they were made: these files must be judged again.
    #[error("what the judgments of {} files rest on changed meanwhile; they must be judged again", .0.len())]
    Judgments(Vec<FileRef>),
    /// The rules or the advisory database are others than those that judged: all files must be judged again.
    #[error(
        "the rules or the advisory database changed while the bundle was judged; it must be judged again"
    )]
    Standing,
    /// Another bundle of the same sender came into force: this one must be checked again.
    #[error("another bundle of {0} came into force meanwhile; this one must be checked again")]
    Sender(String),
    /// The tables or the log.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
}

impl From<chiron_storage::DbError> for SwitchError {
    fn from(error: chiron_storage::DbError) -> Self {
        Self::Catalog(error.into())
    }
}

impl From<chiron_storage::LogError> for SwitchError {
    fn from(error: chiron_storage::LogError) -> Self {
        Self::Catalog(error.into())
    }
}

impl Catalog {
    /// Puts everything in force in one transaction; `then` writes in the same one. Readers see the state before or the state
    /// after, on every page.
    ///
    /// # Errors
    /// [`SwitchError`]; nothing of the switch is in force then.
    pub async fn switch(
        &self,
        switch: Switch,
        then: impl FnOnce(&mut Tx<'_>) -> Result<(), SwitchError> + Send + 'static,
        now: Timestamp,
    ) -> Result<Switched, SwitchError> {
        let switch = self.without_operators_own(switch).await?;
        let log = self.log.clone();
        let unsettled = self.heads.unsettle();
        let done = self
            .db
            .transact(move |tx| {
                check(tx, &switch)?;
                let switched = apply(tx, &log, switch, now)?;
                then(tx)?;
                Ok::<_, SwitchError>(switched)
            })
            .await;
        let size = done.as_ref().map_or(0, |switched| switched.size);
        unsettled.settle(size);
        if size > 0 {
            self.grown(size);
        }
        done
    }

    /// Leaves out the status of projects whose own was set by the operator: it stands, whatever a sender says.
    async fn without_operators_own(&self, mut switch: Switch) -> Result<Switch, CatalogError> {
        let mut statuses = Vec::new();
        for status in switch.statuses {
            let row = self
                .db
                .get(&PROJECTS, &status.project.as_str().to_owned())
                .await?;
            let last = row.and_then(|row| row.statuses.last().map(|(n, ..)| *n));
            let by = match last {
                Some(n) => match self.entry(n).await?.event {
                    Event::ProjectStatus { by, .. } => Some(by),
                    _ => None,
                },
                None => None,
            };
            if by != Some(Actor::Operator) {
                statuses.push(status);
            }
        }
        switch.statuses = statuses;
        Ok(switch)
    }
}

/// Whether everything is still as it was when the judgments were made.
fn check(tx: &Tx<'_>, switch: &Switch) -> Result<(), SwitchError> {
    let last = tx.get(&SENDERS, &switch.sender)?.map(|row| row.since);
    if last != switch.since {
        return Err(SwitchError::Sender(switch.sender.clone()));
    }
    let policy = tx.get(&MARKS, &Mark::Policy.key())?;
    let advisories = match &switch.advisories {
        Some(Standing::Advisories { digest, .. }) => Some(*digest),
        Some(Standing::Policy { .. }) | None => tx.get(&MARKS, &Mark::Advisories.key())?,
    };
    let mut overtaken = Vec::new();
    for judgment in &switch.judgments {
        let found = &judgment.found;
        if policy.is_some_and(|policy| found.policy != Some(policy)) || found.advisories != advisories {
            return Err(SwitchError::Standing);
        }
        let file = judgment.file_ref();
        let known = current(tx, &file)?.map(|row| row.since);
        let taken = match judgment.state() {
            FileState::Admitted => name_is_free(tx, &file),
            _ => Ok(()),
        };
        match taken {
            Ok(()) if known == judgment.since => {}
            Ok(()) | Err(CatalogError::NameTaken { .. }) => overtaken.push(file),
            Err(error) => return Err(error.into()),
        }
    }
    if overtaken.is_empty() {
        Ok(())
    } else {
        Err(SwitchError::Judgments(overtaken))
    }
}

fn apply(tx: &mut Tx<'_>, log: &Log, switch: Switch, now: Timestamp) -> Result<Switched, SwitchError> {
    let by = Actor::Sender(switch.sender.clone());
    let bundle = switch.bundle;
    let mut switched = Switched::default();
    let counts = &mut switched.counts;
    if let Some(standing) = switch.advisories {
        stand(tx, log, standing, by.clone(), None, now)?;
    }
    for judgment in switch.judgments {
        let file = judgment.file_ref();
        let (row, written) = match enforce(tx, log, judgment, now) {
            Err(CatalogError::NameTaken { .. } | CatalogError::OtherMetadata { .. }) => {
                return Err(SwitchError::Judgments(vec![file]));
            }
            other => other?,
        };
        let count = match row.state {
            _ if !written => &mut counts.present,
            FileState::Admitted => &mut counts.admitted,
            FileState::Quarantined | FileState::Revoked => &mut counts.quarantined,
            FileState::Refused => &mut counts.refused,
        };
        *count += 1;
        switched.states.push(row.state);
    }
    for relayed in switch.changes {
        let applies = current(tx, &relayed.file)?.is_some_and(|row| relay_applies(&row, relayed.change, &by));
        if applies {
            let count = match relayed.change {
                Change::Yank => &mut counts.yanked,
                Change::Unyank => &mut counts.unyanked,
                Change::Revoke => &mut counts.revoked,
                Change::Restore => &mut counts.restored,
            };
            *count += 1;
            let decided = Decided {
                file: relayed.file,
                reason: relayed.reason,
                by: by.clone(),
                judgment: None,
            };
            append(tx, log, relayed.change.event(decided), now)?;
        }
        switched.changed.push(applies);
    }
    for status in switch.statuses {
        counts.statuses += u64::from(set_status(tx, log, status, &by, now)?);
    }
    if let Some(Completes { mut imported, trust }) = switch.completes {
        imported.counts.add(counts);
        tx.put(&TRUST, &imported.sender, &Raw(trust))?;
        append(tx, log, Event::Imported(Box::new(imported)), now)?;
    }
    switched.size = Log::size_in_tx(tx)?;
    unsettle(tx, &bundle, switched.size)?;
    Ok(switched)
}

/// Whether what the sender decided changes anything about the file as it stands here. What others decided stands.
pub fn relay_applies(row: &FileRow, change: Change, by: &Actor) -> bool {
    let kept = row.state.keeps_bytes();
    match change {
        Change::Yank => kept && row.yanked.is_none(),
        Change::Unyank => kept && row.yanked.as_ref().is_some_and(|mark| mark.by == *by),
        Change::Revoke => kept && (row.state != FileState::Revoked || row.is_revoked_by_chiron()),
        Change::Restore => row.state == FileState::Revoked && row.revoked_by.as_ref() == Some(by),
    }
}

/// Sets a project's marker, if the project is here and has another one; whether it had.
fn set_status(
    tx: &mut Tx<'_>,
    log: &Log,
    new: RelayedStatus,
    by: &Actor,
    now: Timestamp,
) -> Result<bool, CatalogError> {
    let Some(row) = tx.get(&PROJECTS, &new.project.as_str().to_owned())? else {
        return Ok(false);
    };
    if row.status_at(u64::MAX) == (new.status, new.reason.clone()) {
        return Ok(false);
    }
    let event = Event::ProjectStatus {
        project: new.project,
        status: new.status,
        reason: new.reason,
        by: by.clone(),
    };
    append(tx, log, event, now)?;
    Ok(true)
}

#[cfg(test)]
mod tests;
