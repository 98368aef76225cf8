//! Writing the judgment of a file that was judged before: what follows depends on who decided what until then.

use bytes::Bytes;
use chiron_storage::{Digest, Log, Tx};
use jiff::Timestamp;

use super::commit::{append, event_of, known, name_is_free, put, put_all, same, state_of, verdict_document};
use super::event::{Actor, Decided, Event, Found, Judged, Rejudged};
use super::{Catalog, CatalogError, FileRef, FileRow, FileState, MAX_REASONS};
use crate::policy::Verdict;

/// A verdict on a file that is known, with all that must be stored with it.
#[derive(Debug, Clone)]
pub struct Rejudgement {
    /// Which file.
    pub file: FileRef,
    /// The event that made the row which was judged: another one meanwhile, and nothing is written.
    pub since: u64,
    /// Its `event` is filled in when it is stored.
    pub verdict: Verdict,
    /// The evidence documents that the verdict names.
    pub evidence: Vec<Bytes>,
    /// What rests on them.
    pub found: Found,
    /// Every other document that the judgment names and that may not be stored yet.
    pub documents: Vec<Bytes>,
}

impl Catalog {
    /// Stores a judgment made again; the row, and whether anything changed. One that ends as before adds no event. What
    /// a person revoked stays revoked, damaged bytes stay out of service, and refused ones are gone.
    ///
    /// # Errors
    /// [`CatalogError::Overtaken`] when the row changed since it was read: judge it again.
    pub async fn commit_rejudgement(
        &self,
        rejudgement: Rejudgement,
        now: Timestamp,
    ) -> Result<(FileRow, bool), CatalogError> {
        let log = self.log.clone();
        let project = rejudgement.file.project.clone();
        let (row, changed) = self
            .db
            .transact(move |tx| rejudge(tx, &log, rejudgement, now))
            .await?;
        if changed {
            self.touched(&project, row.since.saturating_add(1));
        }
        Ok((row, changed))
    }
}

fn rejudge(
    tx: &mut Tx<'_>,
    log: &Log,
    new: Rejudgement,
    now: Timestamp,
) -> Result<(FileRow, bool), CatalogError> {
    let row = known(tx, &new.file)?;
    if row.since != new.since {
        return Err(CatalogError::Overtaken {
            filename: new.file.filename,
        });
    }
    let wanted = state_of(new.verdict.decision);
    // A revocation keeps the state, whatever the judgment under it says.
    let stays = if row.state == FileState::Revoked {
        FileState::Revoked
    } else {
        wanted
    };
    let judged_so = same(&row, stays, &new.verdict.reasons, &new.found);
    let restores = row.is_revoked_by_chiron() && wanted == FileState::Admitted;
    if !row.is_stored() || (judged_so && !restores) {
        return Ok((row, false));
    }
    let serves = wanted == FileState::Admitted;
    if serves && (row.state == FileState::Quarantined || restores) {
        name_is_free(tx, &new.file)?;
    }
    let mut verdict = new.verdict;
    verdict.event = Some(Log::size_in_tx(tx)?);
    let document = put(tx, &verdict_document(&verdict)?)?;
    let evidence = put_all(tx, &new.evidence)?;
    put_all(tx, &new.documents)?;
    let event = event_after(&row, wanted, verdict, document, evidence, new.found);
    append(tx, log, event, now)?;
    Ok((known(tx, &new.file)?, true))
}

/// What is written down: admitted → out of service is a revocation, and only what Chiron revoked Chiron restores.
fn event_after(
    row: &FileRow,
    wanted: FileState,
    verdict: Verdict,
    document: Digest,
    evidence: Vec<Digest>,
    found: Found,
) -> Event {
    let reasons: Vec<_> = verdict.reasons.into_iter().take(MAX_REASONS).collect();
    let decided = |reason: String, judgment: Rejudged| Decided {
        file: row.file(),
        reason,
        by: Actor::Chiron,
        judgment: Some(judgment),
    };
    let rejudged = Rejudged {
        verdict: document,
        evidence,
        reasons,
        found,
    };
    match (row.state, wanted) {
        (FileState::Admitted, FileState::Admitted) | (FileState::Quarantined | FileState::Refused, _) => {
            event_of(
                wanted,
                Judged {
                    verdict: rejudged.verdict,
                    evidence: rejudged.evidence,
                    reasons: rejudged.reasons,
                    found: rejudged.found,
                    ..row.judged.clone()
                },
            )
        }
        (FileState::Revoked, FileState::Admitted) if row.is_revoked_by_chiron() => Event::Restored(decided(
            "judged again: what stood against it has passed".to_owned(),
            rejudged,
        )),
        (FileState::Admitted | FileState::Revoked, _) => {
            let why = rejudged.reasons.first().map_or_else(
                || "nothing stands against it any more".to_owned(),
                ToString::to_string,
            );
            Event::Revoked(decided(format!("judged again: {why}"), rejudged))
        }
    }
}
