//! What is in force for the whole catalogue, and up to where everything stored was judged with it.

use chiron_storage::{Digest, Key, Log, Tx};
use jiff::Timestamp;

use super::commit::append;
use super::event::{Actor, Event};
use super::record::{DIGESTS, FILES, MARKS};
use super::view::{TORN, bad_key};
use super::{Catalog, CatalogError, FileRef, FileRow, Reached};
use crate::package::ProjectName;

/// Something whose change means that everything stored is judged again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// The digest of the rules that the last event names.
    Policy,
    /// The digest of the advisory database that the last event names.
    Advisories,
    /// Over the trust roots and keys that signatures were last checked with. They are files, and no event says so.
    Trust,
    /// The digest of the rules and the database that everything stored was last judged with.
    Judged,
}

impl Mark {
    pub(super) fn key(self) -> String {
        match self {
            Self::Policy => "policy",
            Self::Advisories => "advisories",
            Self::Trust => "trust",
            Self::Judged => "judged",
        }
        .to_owned()
    }
}

/// Rules, or an advisory database, that come into force.
#[derive(Debug, Clone)]
pub enum Standing {
    /// Rules.
    Policy {
        /// `strict`, `standard` or `audit`.
        profile: String,
        /// Over the rules and their data.
        digest: Digest,
        /// Why.
        reason: Option<String>,
    },
    /// An advisory database.
    Advisories {
        /// The newest change of any record in it.
        as_of: Timestamp,
        /// Over its content.
        digest: Digest,
        /// How many it holds.
        records: u64,
    },
}

/// Notes what is in force, in the caller's transaction. `unjudged`: the size of a log in which nothing was judged.
pub(super) fn stand(
    tx: &mut Tx<'_>,
    log: &Log,
    standing: Standing,
    by: Actor,
    unjudged: Option<u64>,
    now: Timestamp,
) -> Result<Option<u64>, CatalogError> {
    let (mark, digest, event) = match standing {
        Standing::Policy {
            profile,
            digest,
            reason,
        } => {
            let event = Event::PolicyChanged {
                profile,
                digest,
                reason,
                by,
            };
            (Mark::Policy, digest, event)
        }
        Standing::Advisories {
            as_of,
            digest,
            records,
        } => {
            let event = Event::AdvisoriesLoaded {
                as_of,
                digest,
                records,
                by,
            };
            (Mark::Advisories, digest, event)
        }
    };
    if tx.get(&MARKS, &mark.key())? == Some(digest) {
        return Ok(None);
    }
    tx.put(&MARKS, &mark.key(), &digest)?;
    tx.delete(&MARKS, &Mark::Judged.key())?;
    if mark == Mark::Policy && unjudged == Some(Log::size_in_tx(tx)?) {
        return Ok(None);
    }
    append(tx, log, event, now).map(Some)
}

impl Catalog {
    /// Notes what is in force, with an event if it is something else than before; the event's number. Rules that were
    /// there before the first judgment in a log need no event: no verdict was ever made with others.
    pub async fn put_in_force(
        &self,
        standing: Standing,
        by: Actor,
        now: Timestamp,
    ) -> Result<Option<u64>, CatalogError> {
        let log = self.log.clone();
        let unjudged = self.unjudged_at().await?;
        let event = self
            .db
            .transact(move |tx| stand(tx, &log, standing, by, unjudged, now))
            .await?;
        if let Some(n) = event {
            self.grown(n.saturating_add(1));
        }
        Ok(event)
    }

    /// The size of the log, if nothing was ever judged in it: it may have entries about keys.
    async fn unjudged_at(&self) -> Result<Option<u64>, CatalogError> {
        self.db
            .read(|view| {
                let judged = view.scan(&DIGESTS, b"", None)?.next().transpose()?;
                Ok(match judged {
                    None => Some(Log::size_in_view(view)?),
                    Some(_) => None,
                })
            })
            .await
    }

    /// What a mark says.
    pub async fn mark(&self, mark: Mark) -> Result<Option<Digest>, CatalogError> {
        Ok(self.db.get(&MARKS, &mark.key()).await?)
    }

    /// Sets a mark without an event.
    pub async fn set_mark(&self, mark: Mark, digest: Digest) -> Result<(), CatalogError> {
        self.db
            .transact(move |tx| Ok::<_, CatalogError>(tx.put(&MARKS, &mark.key(), &digest)?))
            .await
    }

    /// The present rows of all files in the order of their contents, after `after`, at most `limit`.
    pub async fn rows_after(
        &self,
        after: Option<FileRef>,
        limit: usize,
    ) -> Result<Vec<FileRow>, CatalogError> {
        self.db
            .read(move |view| {
                let from = after
                    .map(|file| file.digest_key().to_successor())
                    .transpose()
                    .map_err(bad_key)?;
                let mut rows = Vec::new();
                for item in view.scan(&DIGESTS, b"", from.as_deref())?.take(limit) {
                    let ((sha256, project, filename), since) = item?;
                    let key = (project, filename, sha256, since);
                    rows.push(view.get(&FILES, &key)?.ok_or(TORN)?);
                }
                Ok(rows)
            })
            .await
    }

    /// What admitted files of a project had.
    pub async fn reached(&self, project: &ProjectName) -> Result<Reached, CatalogError> {
        let row = self
            .db
            .get(&super::record::PROJECTS, &project.as_str().to_owned())
            .await?;
        Ok(row.map(|row| row.reached).unwrap_or_default())
    }

    /// The judgments of a file in time, oldest first: event, time, state, verdict document. An event that left the
    /// judgment as it was (a yank, a person's decision) repeats its document.
    pub async fn verdicts_of(
        &self,
        file: &FileRef,
    ) -> Result<Vec<(u64, Timestamp, super::FileState, Digest)>, CatalogError> {
        let prefix = (file.project.to_string(), file.filename.clone(), file.sha256)
            .to_prefix()
            .map_err(bad_key)?;
        self.db
            .read(move |view| {
                let mut verdicts = Vec::new();
                for item in view.scan(&FILES, &prefix, None)? {
                    let (_, row) = item?;
                    verdicts.push((row.since, row.at, row.state, row.judged.verdict));
                }
                Ok(verdicts)
            })
            .await
    }
}
