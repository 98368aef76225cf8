//! Writing: the event, its Merkle nodes, its documents and the rows it changes go in one synced batch.

use std::collections::BTreeSet;

use bytes::Bytes;
use chiron_storage::{Blake3, Digest, Log, Raw, Tx};
use jiff::Timestamp;

use super::event::{Decided, Entry, Event, Found, Judged};
use super::prepared::Prepared;
use super::project::{apply, current};
use super::record::{COUNTS, DIGESTS, DOCS, FileRow, FileState, NAMES, PROJECTS, SEEN};
use super::{Actor, Catalog, CatalogError, FileRef, MAX_REASONS, Origin};
use crate::package::{ProjectName, Status};
use crate::policy::{Decision, Reason, Verdict};

/// A verdict with all that must be stored with it.
#[derive(Debug, Clone)]
pub struct Judgment {
    /// Whose file it is; the verdict's own text names the same one.
    pub project: ProjectName,
    /// Its `event` is filled in when it is stored.
    pub verdict: Verdict,
    /// For scrubs, which hash faster with it than with SHA-256.
    pub blake3: Blake3,
    /// Where the bytes came from.
    pub origin: Origin,
    /// The index's word, or else the wheel's own; relayed, never judged.
    pub requires_python: Option<String>,
    /// The publisher's, RFC 3339, unchanged.
    pub upload_time: Option<String>,
    /// Yanked upstream when it came in; the reason, maybe empty.
    pub yanked: Option<String>,
    /// The wheel's METADATA (PEP 658), served beside it.
    pub core_metadata: Option<Bytes>,
    /// The evidence documents that the verdict names.
    pub evidence: Vec<Bytes>,
    /// What rests on them.
    pub found: Found,
    /// Every other document that the judgment names and that may not be stored yet.
    pub documents: Vec<Bytes>,
}

/// A decision on a file that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// PEP 592: installers pass it over unless it is pinned.
    Yank,
    /// Takes a yank back, whoever made it.
    Unyank,
    /// Out of service, until it is restored.
    Revoke,
    /// Takes a revocation or a damage back.
    Restore,
}

impl Change {
    const fn participle(self) -> &'static str {
        match self {
            Self::Yank => "yanked",
            Self::Unyank => "unyanked",
            Self::Revoke => "revoked",
            Self::Restore => "restored",
        }
    }

    pub(super) fn event(self, decided: Decided) -> Event {
        match self {
            Self::Yank => Event::Yanked(decided),
            Self::Unyank => Event::Unyanked(decided),
            Self::Revoke => Event::Revoked(decided),
            Self::Restore => Event::Restored(decided),
        }
    }

    /// Whether the change applies to a file in this state; `Ok(false)`: it is so already.
    fn applies(self, row: &FileRow) -> Result<bool, CatalogError> {
        let wrong = || CatalogError::WrongState {
            filename: row.judged.filename.clone(),
            state: row.state.as_str(),
            wanted: self.participle(),
        };
        match (self, row.state) {
            (Self::Yank, FileState::Admitted) => Ok(row.yanked.is_none()),
            (Self::Unyank, FileState::Admitted) => Ok(row.yanked.is_some()),
            (Self::Revoke, FileState::Admitted | FileState::Quarantined)
            | (Self::Restore, FileState::Revoked) => Ok(true),
            // A person's word makes what Chiron or another site revoked stay so.
            (Self::Revoke, FileState::Revoked) => {
                Ok(row.is_revoked_by_chiron() || matches!(row.revoked_by, Some(Actor::Sender(_))))
            }
            (Self::Restore, FileState::Admitted) => Ok(false),
            (Self::Restore, FileState::Quarantined) if row.is_damaged() => Ok(true),
            _ => Err(wrong()),
        }
    }
}

impl Catalog {
    /// Stores a judgment. Judging a file again with the same result changes nothing and adds no event.
    ///
    /// # Errors
    /// [`CatalogError::NameTaken`] when another content was admitted under the name since the judgment.
    pub async fn commit_judgment(&self, judgment: Judgment, now: Timestamp) -> Result<FileRow, CatalogError> {
        let log = self.log.clone();
        let project = judgment.project.clone();
        let row = self.db.transact(move |tx| judge(tx, &log, judgment, now)).await?;
        self.touched(&project, row.since.saturating_add(1));
        Ok(row)
    }

    /// Applies an operator's (or upstream's) change; `None` when nothing had to change.
    pub async fn change(
        &self,
        file: FileRef,
        change: Change,
        reason: String,
        by: Actor,
        now: Timestamp,
    ) -> Result<(FileRow, Option<u64>), CatalogError> {
        let log = self.log.clone();
        let project = file.project.clone();
        let done = self
            .db
            .transact(move |tx| {
                let row = known(tx, &file)?;
                if !change.applies(&row)? {
                    return Ok((row, None));
                }
                let decided = Decided {
                    file: file.clone(),
                    reason,
                    by,
                    judgment: None,
                };
                let n = append(tx, &log, change.event(decided), now)?;
                Ok::<_, CatalogError>((known(tx, &file)?, Some(n)))
            })
            .await?;
        if let (_, Some(n)) = &done {
            self.touched(&project, n.saturating_add(1));
        }
        Ok(done)
    }

    /// What [`Self::change`] would say, without writing.
    pub async fn would_change(&self, file: FileRef, change: Change) -> Result<bool, CatalogError> {
        let row = self
            .file(&file)
            .await?
            .ok_or(CatalogError::NoSuchFile { sha256: file.sha256 })?;
        change.applies(&row)
    }

    /// Takes a file whose stored bytes are damaged out of service. Nothing changes if it is out already.
    pub async fn damaged(
        &self,
        file: FileRef,
        message: String,
        now: Timestamp,
    ) -> Result<bool, CatalogError> {
        let log = self.log.clone();
        let project = file.project.clone();
        let event = self
            .db
            .transact(move |tx| {
                let row = known(tx, &file)?;
                if row.state != FileState::Admitted {
                    return Ok(None);
                }
                let mut judged = row.judged;
                judged.reasons = vec![Reason {
                    check: super::STORE_CHECK.to_owned(),
                    code: "damaged".to_owned(),
                    message,
                }];
                append(tx, &log, Event::Quarantined(judged), now).map(Some)
            })
            .await?;
        if let Some(n) = event {
            self.touched(&project, n.saturating_add(1));
        }
        Ok(event.is_some())
    }

    /// Sets a project's PEP 792 marker; `None` when it stands so already.
    pub async fn set_status(
        &self,
        project: ProjectName,
        status: Status,
        reason: Option<String>,
        by: Actor,
        now: Timestamp,
    ) -> Result<Option<u64>, CatalogError> {
        let log = self.log.clone();
        let name = project.clone();
        let event = self
            .db
            .transact(move |tx| {
                let key = name.as_str().to_owned();
                let stands = tx
                    .get(&PROJECTS, &key)?
                    .map_or((Status::default(), None), |row| row.status_at(u64::MAX));
                if stands == (status, reason.clone()) {
                    return Ok::<_, CatalogError>(None);
                }
                let event = Event::ProjectStatus {
                    project: name,
                    status,
                    reason,
                    by,
                };
                append(tx, &log, event, now).map(Some)
            })
            .await?;
        if let Some(n) = event {
            self.touched(&project, n.saturating_add(1));
        }
        Ok(event)
    }

    /// Remembers the core metadata that is about to be handed out for a file not yet judged; `false`: it was judged
    /// meanwhile, and only its own metadata may be handed out.
    pub async fn remember_seen(&self, file: Digest, metadata: Bytes) -> Result<bool, CatalogError> {
        let digest = Digest::of(&metadata);
        self.db
            .transact(move |tx| {
                if !tx.scan(&DIGESTS, file.as_bytes(), 1)?.is_empty() {
                    return Ok(false);
                }
                tx.put(&DOCS, &digest, &Raw(metadata))?;
                tx.put(&SEEN, &file, &digest)?;
                Ok::<_, CatalogError>(true)
            })
            .await
    }
}

pub(super) fn known(tx: &Tx<'_>, file: &FileRef) -> Result<FileRow, CatalogError> {
    current(tx, file)?.ok_or(CatalogError::NoSuchFile { sha256: file.sha256 })
}

fn judge(tx: &mut Tx<'_>, log: &Log, judgment: Judgment, now: Timestamp) -> Result<FileRow, CatalogError> {
    let (prepared, documents) = Prepared::of(judgment, None)?;
    let (row, written) = enforce(tx, log, prepared, now)?;
    if written {
        put_all(tx, &documents)?;
    }
    Ok(row)
}

/// Brings a judgment into force: the row, and whether an event was written. Its documents are the caller's to keep.
pub(super) fn enforce(
    tx: &mut Tx<'_>,
    log: &Log,
    judgment: Prepared,
    now: Timestamp,
) -> Result<(FileRow, bool), CatalogError> {
    let file = judgment.file_ref();
    let wanted = judgment.state();
    if let Some(row) = current(tx, &file)? {
        // A person's revocation stands until a person takes it back; an admission until a person, damage or a
        // judgment of the same file made again ends it. A later, false claim about the same bytes is its
        // claimant's fault, not the file's.
        if matches!(row.state, FileState::Revoked | FileState::Admitted)
            || same(&row, wanted, &judgment.reasons, &judgment.found)
        {
            return Ok((row, false));
        }
    }
    if wanted == FileState::Admitted {
        name_is_free(tx, &file)?;
    }
    let own = judgment.core_metadata;
    // Of a file in quarantine too: it may be admitted by a later judgment of the same evidence.
    if wanted != FileState::Refused && tx.get(&SEEN, &file.sha256)?.is_some_and(|seen| Some(seen) != own) {
        return Err(CatalogError::OtherMetadata {
            filename: file.filename,
        });
    }
    let mut verdict = judgment.verdict()?;
    verdict.event = Some(Log::size_in_tx(tx)?);
    let document = put(tx, &verdict_document(&verdict)?)?;
    append(tx, log, event_of(wanted, judgment.judged(document)), now)?;
    Ok((known(tx, &file)?, true))
}

/// The state that a decision asks for.
pub(super) const fn state_of(decision: Decision) -> FileState {
    match decision {
        Decision::Admit => FileState::Admitted,
        Decision::Quarantine => FileState::Quarantined,
        Decision::Refuse => FileState::Refused,
    }
}

pub(super) fn event_of(wanted: FileState, judged: Judged) -> Event {
    match wanted {
        FileState::Admitted => Event::Admitted(judged),
        FileState::Quarantined => Event::Quarantined(judged),
        FileState::Refused | FileState::Revoked => Event::Refused(judged),
    }
}

/// Whether a judgment ends as the one that a row holds: the same state, objections, outcomes and documents.
pub(super) fn same(row: &FileRow, wanted: FileState, reasons: &[Reason], found: &Found) -> bool {
    let before = &row.judged.found;
    let documents = |found: &Found| found.documents.iter().map(|d| d.digest).collect::<BTreeSet<_>>();
    // What was refused is asked for again under other rules: the row must say that it was, or each request fetches it anew.
    let known = row.state != FileState::Refused
        || (!row.reconsider && before.policy == found.policy && before.advisories == found.advisories);
    row.state == wanted
        && known
        && codes(&row.judged.reasons) == codes(reasons)
        && before.checks == found.checks
        && before.level == found.level
        && before.unavailable == found.unavailable
        && documents(before) == documents(found)
}

/// A published filename never changes its content.
pub(super) fn name_is_free(tx: &Tx<'_>, file: &FileRef) -> Result<(), CatalogError> {
    match tx.get(&NAMES, &file.name_key())? {
        Some(taken_by) if taken_by != file.sha256 => Err(CatalogError::NameTaken {
            filename: file.filename.clone(),
            taken_by,
        }),
        _ => Ok(()),
    }
}

pub(super) fn verdict_document(verdict: &Verdict) -> Result<Bytes, CatalogError> {
    let bytes = serde_json::to_vec(verdict).map_err(|_| CatalogError::Torn {
        what: "a verdict cannot be written as JSON",
    })?;
    Ok(Bytes::from(bytes))
}

/// Keeps a document under its digest.
pub(super) fn put(tx: &mut Tx<'_>, bytes: &Bytes) -> Result<Digest, CatalogError> {
    let digest = Digest::of(bytes);
    tx.put(&DOCS, &digest, &Raw(bytes.clone()))?;
    Ok(digest)
}

pub(super) fn put_all(tx: &mut Tx<'_>, documents: &[Bytes]) -> Result<Vec<Digest>, CatalogError> {
    documents.iter().map(|bytes| put(tx, bytes)).collect()
}

fn codes(reasons: &[Reason]) -> Vec<(&str, &str)> {
    reasons
        .iter()
        .take(MAX_REASONS)
        .map(|r| (r.check.as_str(), r.code.as_str()))
        .collect()
}

/// Appends an entry and applies it, in the caller's transaction.
pub(super) fn append(tx: &mut Tx<'_>, log: &Log, event: Event, now: Timestamp) -> Result<u64, CatalogError> {
    let last = tx.get(&COUNTS, &LAST_AT.to_owned())?.unwrap_or(0);
    // A clock that jumps back must not make the log's times run backwards: views by time rely on it.
    let millis = u64::try_from(now.as_millisecond()).unwrap_or(0).max(last);
    let at = i64::try_from(millis)
        .ok()
        .and_then(|ms| Timestamp::from_millisecond(ms).ok())
        .unwrap_or(now);
    tx.put(&COUNTS, &LAST_AT.to_owned(), &millis)?;
    let entry = Entry::new(at, event);
    let bytes = serde_json::to_vec(&entry).map_err(|_| CatalogError::Torn {
        what: "an event cannot be written as JSON",
    })?;
    let n = log.append(tx, &bytes)?;
    apply(tx, n, &entry)?;
    Ok(n)
}

/// Milliseconds since the epoch of the newest entry.
pub(super) const LAST_AT: &str = "last-at";
