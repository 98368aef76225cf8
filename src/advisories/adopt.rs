//! A database that another site wrote (`dump.rs`): loaded beside the one in force, judged with while it waits, and put in
//! force by one small write that may be part of a larger one.
//!
//! The lists that this site's configuration names, and the VEX documents that were loaded here, apply to it as well: they are
//! this site's own word. So the digest that verdicts name here may be another than the sender's. Documents that the sender
//! sent before, and sends no more, go.

use std::io::{BufReader, Read};
use std::sync::{Arc, OnceLock};

use chiron_storage::{DbError, Tx};
use jiff::{SignedDuration, Timestamp};

use super::dump::{Head, SCHEMA, WINDOW_LOG};
use super::load::{LoadOptions, Work, configured};
use super::source::{Piece, Reader};
use super::store::{Advisories, records};
use super::tables::{ADOPTED, ASIDE, CURRENT, META, Manifest, Note, THEIRS, WAITING, WaitingRow};
use super::{LoadError, Settings};
use crate::package::ProjectName;
use crate::policy::AdvisoriesRef;
use crate::verify::ProjectAdvisories;

/// How far ahead of this site's time a sender's database may be dated: clocks differ.
const AHEAD: SignedDuration = SignedDuration::from_hours(24);

/// Bytes of `database.json`. Threat: memory.
const HEAD_BYTES: u64 = 64 << 10;

/// A database that waits to be put in force. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Waiting {
    advisories: Advisories,
    row: Arc<WaitingRow>,
}

impl Advisories {
    /// Loads what [`Advisories::dump`] wrote, without putting it in force; `None` when it is not newer than the one that is.
    /// `expected` is what the one who sent it says it is. One that waits already is given when it is the same, and removed
    /// otherwise. `now`: this site's time.
    ///
    /// # Errors
    /// [`LoadError`]; then nothing waits, and the database in force is untouched.
    pub async fn prepare(
        &self,
        from: impl Read + Send + 'static,
        name: &str,
        expected: &AdvisoriesRef,
        now: Timestamp,
    ) -> Result<Option<Waiting>, LoadError> {
        if expected.as_of.duration_since(now) > AHEAD {
            return Err(LoadError::Future {
                source_name: name.to_owned(),
            });
        }
        match self.waiting().await? {
            Some(waiting) if waiting.row.offered == *expected => return Ok(Some(waiting)),
            _ => self.drop_waiting().await?,
        }
        let _alone = self.loading().try_lock().map_err(|_| LoadError::Busy)?;
        let before = self.manifest_now().await?;
        let newer = |before: &Manifest| expected.as_of > before.database.as_of;
        if !before.as_ref().is_none_or(newer) {
            return Ok(None);
        }
        self.remove_others().await?;
        let generation = self.next_generation().await?;
        let (wanted, shown) = (expected.clone(), name.to_owned());
        // What that site sent before and does not send again was taken back there: it is no word of this site's.
        let sent_before = self
            .db()
            .get(&THEIRS, &ADOPTED.to_owned())
            .await?
            .unwrap_or_default();
        let parts = Arc::new(OnceLock::new());
        let theirs = Arc::clone(&parts);
        let bring = move |settings: &Settings, work: &mut Work| {
            work.passed_over = sent_before;
            undump(settings, from, &shown, &wanted, work)?;
            // Set once: nobody else has it.
            let _ = theirs.set(work.assembler.part_names());
            configured(settings, work)
        };
        let options = LoadOptions::default();
        let written = self
            .write_generation(generation, before.as_ref(), name.to_owned(), options, now, bring)
            .await;
        let manifest = match written {
            Ok((manifest, _)) => manifest,
            Err(error) => {
                self.remove_others().await?;
                return Err(error);
            }
        };
        let row = WaitingRow {
            manifest,
            offered: expected.clone(),
            theirs: parts.get().cloned().unwrap_or_default(),
            before: before.map(|before| before.generation),
        };
        let kept = row.clone();
        self.db()
            .transact(move |tx| tx.put(&ASIDE, &WAITING.to_owned(), &kept))
            .await?;
        Ok(Some(self.as_waiting(row)))
    }

    /// The database that waits, also after a restart; `None` as well when another came into force since it was made.
    pub async fn waiting(&self) -> Result<Option<Waiting>, LoadError> {
        let Some(row) = self.waiting_row().await? else {
            return Ok(None);
        };
        let in_force = self.manifest_now().await?.map(|manifest| manifest.generation);
        Ok((in_force == row.before).then(|| self.as_waiting(row)))
    }

    /// Removes the one that waits, if any: the import it belonged to was given up.
    pub async fn drop_waiting(&self) -> Result<(), LoadError> {
        let _alone = self.loading().try_lock().map_err(|_| LoadError::Busy)?;
        self.db()
            .transact(|tx| tx.delete(&ASIDE, &WAITING.to_owned()))
            .await?;
        self.remove_others().await
    }

    /// To be called once the transaction with [`Waiting::put_in_force`] is committed, and at a start that finds it was:
    /// lookups see the new database from now on, and the rows of the old one go.
    pub async fn entered(&self) -> Result<(), LoadError> {
        self.forget_cached();
        let _alone = self.loading().try_lock().map_err(|_| LoadError::Busy)?;
        self.remove_others().await
    }

    fn as_waiting(&self, row: WaitingRow) -> Waiting {
        Waiting {
            advisories: self.clone(),
            row: Arc::new(row),
        }
    }
}

impl Waiting {
    /// As the one who sent it names it.
    pub fn offered(&self) -> &AdvisoriesRef {
        &self.row.offered
    }

    /// As verdicts made with it name it.
    pub fn reference(&self) -> AdvisoriesRef {
        AdvisoriesRef {
            as_of: self.row.manifest.database.as_of,
            digest: self.row.manifest.database.digest,
        }
    }

    /// What it is.
    pub fn manifest(&self) -> &Manifest {
        &self.row.manifest
    }

    /// What it says of a project, as [`Advisories::project`] does of the one in force. One that is there no more says that it
    /// cannot be read, never that nothing is known against the project.
    pub async fn project(&self, project: &ProjectName) -> ProjectAdvisories {
        let (wanted, name) = (self.row.manifest.generation, project.clone());
        let read = self.advisories.db().read(move |view| {
            let waits = view.get(&ASIDE, &WAITING.to_owned())?;
            let current = view.get(&META, &CURRENT.to_owned())?;
            let there = waits.map(|row| row.manifest.generation) == Some(wanted)
                || current.map(|manifest| manifest.generation) == Some(wanted);
            there.then(|| records(view, wanted, &name)).transpose()
        });
        match read.await {
            Ok(Some(records)) => ProjectAdvisories::new(
                self.row.manifest.database.clone(),
                self.advisories.settings().max_age,
                records,
            ),
            Ok(None) => ProjectAdvisories::unreadable("the database that was judged with is gone".to_owned()),
            Err(error) => {
                tracing::error!(%project, %error, "the advisory database cannot be read; the project counts as unknown");
                ProjectAdvisories::unreadable(error.to_string())
            }
        }
    }

    /// Puts it in force inside a larger transaction; [`Advisories::entered`] follows once that is committed.
    ///
    /// # Errors
    /// `Ok(false)`: another database came into force, or this one was removed, since it was prepared; nothing was written.
    pub fn put_in_force(&self, tx: &mut Tx<'_>) -> Result<bool, DbError> {
        let current = tx.get(&META, &CURRENT.to_owned())?;
        let waits = tx.get(&ASIDE, &WAITING.to_owned())?;
        let waits = waits.map(|row| row.manifest.generation);
        if current.map(|manifest| manifest.generation) != self.row.before
            || waits != Some(self.row.manifest.generation)
        {
            return Ok(false);
        }
        tx.put(&META, &CURRENT.to_owned(), &self.row.manifest)?;
        tx.put(&THEIRS, &ADOPTED.to_owned(), &self.row.theirs)?;
        tx.delete(&ASIDE, &WAITING.to_owned())?;
        Ok(true)
    }
}

/// Takes a dump in, and holds it against what it is said to be.
fn undump(
    settings: &Settings,
    from: impl Read,
    name: &str,
    expected: &AdvisoriesRef,
    work: &mut Work,
) -> Result<(), LoadError> {
    let damaged = |why: String| LoadError::Damaged {
        source_name: name.to_owned(),
        why,
    };
    let io = |why: std::io::Error| damaged(why.to_string());
    let mut decoder = zstd::stream::read::Decoder::new(from).map_err(io)?;
    decoder.window_log_max(WINDOW_LOG).map_err(io)?;
    // The archive's own records and padding count too.
    let mut archive = tar::Archive::new(decoder.take(settings.total_bytes));
    let mut aside: Vec<Note> = Vec::new();
    let mut head = None;
    {
        let mut each = |name: &str, piece: Piece| work.take(name, piece);
        let mut reader = Reader::new(settings, &mut each);
        for member in archive.entries().map_err(io)?.raw(true) {
            let member = member.map_err(io)?;
            if member.header().entry_type() != tar::EntryType::Regular {
                return Err(damaged("it holds something else than files".to_owned()));
            }
            let bytes = member.path_bytes().into_owned();
            let inner =
                String::from_utf8(bytes).map_err(|_| damaged("a member's name is no text".to_owned()))?;
            match (&head, inner.as_str()) {
                (None, "database.json") => head = Some(read_head(member, expected).map_err(damaged)?),
                (None, _) => return Err(damaged("it does not begin with database.json".to_owned())),
                (Some(_), "database.json") => return Err(damaged("database.json is in it twice".to_owned())),
                (Some(_), inner) if inner.starts_with("aside-") => {
                    let most = settings.list_bytes;
                    let mut lines = String::new();
                    member.take(most).read_to_string(&mut lines).map_err(io)?;
                    for line in lines.lines() {
                        aside.push(serde_json::from_str(line).map_err(|why| damaged(why.to_string()))?);
                    }
                }
                (Some(_), inner) => reader.stream(BufReader::new(member), inner)?,
            }
        }
    }
    if head.is_none() {
        return Err(damaged("it is empty".to_owned()));
    }
    work.assembler.set_aside_are(aside)?;
    let found = work.assembler.digest();
    if found != expected.digest {
        return Err(damaged(format!(
            "its content is {found}, and {} was announced",
            expected.digest
        )));
    }
    work.assembler.newest = Some(expected.as_of);
    Ok(())
}

fn read_head(member: impl Read, expected: &AdvisoriesRef) -> Result<Head, String> {
    let head: Head = serde_json::from_reader(member.take(HEAD_BYTES)).map_err(|why| why.to_string())?;
    if head.schema != SCHEMA {
        return Err(format!("{:?} is not {SCHEMA}", head.schema));
    }
    if head.database != *expected {
        let (found, wanted) = (head.database.digest, expected.digest);
        return Err(format!("it says that it is {found}, and {wanted} was announced"));
    }
    Ok(head)
}
