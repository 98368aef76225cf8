//! Loading: a new generation is written beside the one in force and put in force by one small write, last. A load
//! that is cut off at any point leaves rows that no reader looks at; the next load removes them.

use std::collections::HashMap;
use std::fs::File;
use std::path::PathBuf;

use chiron_storage::{DbError, Digest, Key as _, Raw, Tx};
use jiff::Timestamp;
use tokio::sync::mpsc;

use super::assemble::{Assembled, Assembler, OWN_PREFIX};
use super::generations::codec;
use super::parts::{pack, unpack};
use super::source::{Piece, Reader};
use super::store::Advisories;
use super::tables::{
    AFFECTED, CURRENT, GROUPS, META, Manifest, NOTES, Note, NoteKind, PARTS, RECORDS, Row, VEX,
};
use super::{LoadError, Settings};
use crate::blocking::{self, Lost};

/// Bytes of rows that go into one synced write, roughly.
const BATCH_BYTES: usize = 2 << 20;

/// Batches that may wait for the disk while more is parsed. Threat: memory.
const BATCHES_AHEAD: usize = 3;

/// Records of the generation in force that are read at a time.
pub(super) const RECORDS_AT_ONCE: usize = 500;

/// What is loaded.
#[derive(Debug)]
pub enum Input {
    /// A file or folder of this machine.
    Path(PathBuf),
    /// An open file, with the name that people know it by.
    File(File, String),
}

/// How a load is done.
#[derive(Debug, Clone, Copy, Default)]
pub struct LoadOptions {
    /// Put a database in force although it is older than the one that is.
    pub allow_older: bool,
    /// Say what would change, and change nothing.
    pub dry_run: bool,
    /// Forget the VEX documents that were loaded before.
    pub drop_vex: bool,
}

/// What a load did, or would do.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The generation before; `None` when this is the first.
    pub before: Option<Manifest>,
    /// The new one. In a dry run it was not put in force.
    pub after: Manifest,
    /// Records that were not there before.
    pub added: u64,
    /// Records that are there no more.
    pub removed: u64,
    /// Records that say something else.
    pub changed: u64,
    /// It is the very database that is in force already: nothing was done.
    pub unchanged: bool,
}

impl Advisories {
    /// Loads a database. Without advisories in it, lists and VEX documents are added to the one in force.
    ///
    /// # Errors
    /// [`LoadError`]; whatever happened, the database from before is in force, whole.
    pub async fn load(
        &self,
        input: Input,
        options: LoadOptions,
        now: Timestamp,
    ) -> Result<Loaded, LoadError> {
        let _alone = self.loading().try_lock().map_err(|_| LoadError::Busy)?;
        let before = self.manifest_now().await?;
        self.remove_others().await?;
        let generation = self.next_generation().await?;
        let source = match &input {
            Input::Path(path) => path.display().to_string(),
            Input::File(_, name) => name.clone(),
        };
        let reading = move |settings: &Settings, work: &mut Work| read(settings, input, work);
        let written = self
            .write_generation(generation, before.as_ref(), source, options, now, reading)
            .await;
        let done = match written {
            Ok((manifest, digests)) => self.put_in_force(manifest, digests, before, options).await,
            Err(error) => Err(error),
        };
        // Of what is not in force nothing is kept: the old generation after a success, the new one otherwise.
        self.remove_others().await?;
        done
    }

    async fn put_in_force(
        &self,
        manifest: Manifest,
        digests: HashMap<String, Digest>,
        before: Option<Manifest>,
        options: LoadOptions,
    ) -> Result<Loaded, LoadError> {
        let (added, removed, changed) = self.compare(before.as_ref(), digests).await?;
        let same = before
            .as_ref()
            .is_some_and(|before| before.database == manifest.database);
        let older = before
            .as_ref()
            .filter(|before| manifest.database.as_of < before.database.as_of);
        if let Some(before) = older.filter(|_| !options.allow_older) {
            return Err(LoadError::Older {
                source_name: manifest.source,
                offered: manifest.database.as_of,
                in_force: before.database.as_of,
            });
        }
        if !options.dry_run && !same {
            let (expected, new) = (before.as_ref().map(|before| before.generation), manifest.clone());
            self.db()
                .transact(move |tx| {
                    let current = tx
                        .get(&META, &CURRENT.to_owned())?
                        .map(|manifest| manifest.generation);
                    if current != expected {
                        return Err(LoadError::Overtaken);
                    }
                    Ok(tx.put(&META, &CURRENT.to_owned(), &new)?)
                })
                .await?;
            self.forget_cached();
        }
        Ok(Loaded {
            unchanged: same,
            before,
            after: manifest,
            added,
            removed,
            changed,
        })
    }

    /// Reads and writes everything but the row that puts it in force.
    pub(super) async fn write_generation(
        &self,
        generation: u64,
        before: Option<&Manifest>,
        source: String,
        options: LoadOptions,
        now: Timestamp,
        bring: impl FnOnce(&Settings, &mut Work) -> Result<(), LoadError> + Send + 'static,
    ) -> Result<(Manifest, HashMap<String, Digest>), LoadError> {
        let (rows, batches) = mpsc::channel::<Vec<Row>>(BATCHES_AHEAD);
        let writing = async move {
            // A local, so that it is gone when a write fails: the reader then stops instead of waiting for ever.
            let mut batches = batches;
            while let Some(batch) = batches.recv().await {
                if !options.dry_run {
                    self.db().transact(move |tx| write(tx, generation, batch)).await?;
                }
            }
            Ok::<_, LoadError>(())
        };
        let reading = async {
            let settings = self.settings().clone();
            let mut work = Work {
                assembler: Assembler::default(),
                passed_over: Vec::new(),
                rows: Rows::new(rows),
            };
            work = work.run(move |work| bring(&settings, work)).await?;
            if let Some(before) = before {
                work = self.carry_over(before, work, options).await?;
            }
            let Work {
                assembler, mut rows, ..
            } = work;
            let name = source.clone();
            blocking::run(move || {
                let done = assembler.finish(&name, now, &mut |row| rows.push(row))?;
                rows.flush()?;
                Ok::<_, LoadError>(done)
            })
            .await
            .map_err(|Lost| LoadError::Lost)?
        };
        let (written, assembled) = tokio::join!(writing, reading);
        written?;
        let Assembled {
            database,
            digests,
            projects,
            unknown_projects,
            malware,
            kev,
            epss,
            vex,
        } = assembled?;
        let manifest = Manifest {
            generation,
            database,
            loaded_at: now,
            source,
            projects,
            unknown_projects,
            malware,
            kev,
            epss,
            vex,
        };
        Ok((manifest, digests))
    }

    /// Takes over from the generation in force what was not brought: records when none came, each list, VEX documents.
    async fn carry_over(
        &self,
        before: &Manifest,
        mut work: Work,
        options: LoadOptions,
    ) -> Result<Work, LoadError> {
        let generation = before.generation;
        let parts = self
            .db()
            .read(move |view| {
                let prefix = generation.to_prefix().map_err(codec(&PARTS))?;
                view.scan(&PARTS, &prefix, None)?
                    .collect::<Result<Vec<_>, DbError>>()
            })
            .await?;
        work = work
            .run(move |work| {
                parts.into_iter().try_for_each(|((_, name), part)| {
                    let wanted = match name.as_str() {
                        "epss" => !work.assembler.has_epss,
                        "kev" => !work.assembler.has_kev,
                        _ => !options.drop_vex && !work.passed_over.contains(&name),
                    };
                    if !wanted {
                        return Ok(());
                    }
                    let bytes = unpack(&part.0).ok_or_else(|| damaged(&name))?;
                    let piece = if name == "epss" {
                        Piece::Csv(bytes)
                    } else {
                        Piece::Json(json(&name, &bytes)?)
                    };
                    work.take(&name, piece)
                })
            })
            .await?;
        if work.assembler.has_records {
            return Ok(work);
        }
        let mut after: Option<Vec<u8>> = None;
        loop {
            let from = after.take();
            let page = self
                .db()
                .read(move |view| {
                    let prefix = generation.to_prefix().map_err(codec(&RECORDS))?;
                    let scan = view.scan(&RECORDS, &prefix, from.as_deref())?;
                    scan.take(RECORDS_AT_ONCE).collect::<Result<Vec<_>, DbError>>()
                })
                .await?;
            let Some((last, _)) = page.last() else { break };
            after = Some(last.to_successor().map_err(codec(&RECORDS))?);
            work = work
                .run(move |work| {
                    let theirs = page.iter().filter(|((_, id), _)| !id.starts_with(OWN_PREFIX));
                    theirs
                        .into_iter()
                        .try_for_each(|((_, id), record)| work.take(id, Piece::Json(json(id, &record.0)?)))
                })
                .await?;
        }
        let notes = self
            .db()
            .read(move |view| {
                let prefix = generation.to_prefix().map_err(codec(&NOTES))?;
                let notes = view
                    .scan(&NOTES, &prefix, None)?
                    .map(|row| row.map(|(_, note)| note));
                notes.collect::<Result<Vec<Note>, DbError>>()
            })
            .await?;
        for note in notes.into_iter().filter(|note| note.kind == NoteKind::SetAside) {
            work.assembler.note(note)?;
        }
        Ok(work)
    }
}

fn damaged(name: &str) -> LoadError {
    LoadError::Damaged {
        source_name: format!("the database in force ({name})"),
        why: "a stored document does not read back".to_owned(),
    }
}

fn json(name: &str, bytes: &[u8]) -> Result<serde_json::Value, LoadError> {
    serde_json::from_slice(bytes).map_err(|_| damaged(name))
}

fn read(settings: &Settings, input: Input, work: &mut Work) -> Result<(), LoadError> {
    // What is configured first: what is handed in by name takes its place.
    configured(settings, work)?;
    let (before, documents) = (work.assembler.beside, work.assembler.documents);
    let mut each = |name: &str, piece: Piece| work.take(name, piece);
    let mut reader = Reader::new(settings, &mut each);
    let source_name = match input {
        Input::Path(path) => {
            reader.path(&path)?;
            path.display().to_string()
        }
        Input::File(file, name) => {
            reader.file(file, &name, false)?;
            name
        }
    };
    // Otherwise what is in force would be put in force once more, in the name of a file that held nothing.
    if !work.assembler.has_records && work.assembler.beside == before {
        let documents = work.assembler.documents - documents;
        return Err(LoadError::Empty {
            source_name,
            documents,
        });
    }
    Ok(())
}

/// Reads the lists and VEX documents that the configuration names.
pub(super) fn configured(settings: &Settings, work: &mut Work) -> Result<(), LoadError> {
    let mut each = |name: &str, piece: Piece| work.take(name, piece);
    let mut reader = Reader::new(settings, &mut each);
    let mut lists = settings.kev.iter().chain(&settings.epss).chain(&settings.vex);
    lists.try_for_each(|path| reader.path(path))
}

/// What a load has in its hands; it travels between the threads that read and the one that waits.
pub(super) struct Work {
    pub assembler: Assembler,
    /// Parts of the generation in force that are not taken over.
    pub passed_over: Vec<String>,
    rows: Rows,
}

impl Work {
    /// Does a part of the work on a blocking thread.
    async fn run(
        mut self,
        part: impl FnOnce(&mut Self) -> Result<(), LoadError> + Send + 'static,
    ) -> Result<Self, LoadError> {
        let done = blocking::run(move || part(&mut self).map(|()| self));
        done.await.map_err(|Lost| LoadError::Lost)?
    }

    pub(super) fn take(&mut self, name: &str, piece: Piece) -> Result<(), LoadError> {
        let rows = &mut self.rows;
        self.assembler.take(name, piece, &mut |row| rows.push(row))
    }
}

fn write(tx: &mut Tx<'_>, generation: u64, batch: Vec<Row>) -> Result<(), DbError> {
    for row in batch {
        match row {
            Row::Record(id, bytes) => tx.put(&RECORDS, &(generation, id), &Raw::from(bytes))?,
            Row::Affected(project, id, entry) => {
                tx.put(&AFFECTED, &(generation, project.to_string(), id), &entry)?;
            }
            Row::Forget(project, id) => tx.delete(&AFFECTED, &(generation, project.to_string(), id))?,
            Row::Group(name, group) => tx.put(&GROUPS, &(generation, name), &group)?,
            Row::Vex(n, statement) => {
                tx.put(&VEX, &(generation, statement.project.to_string(), n), &statement)?;
            }
            Row::Part(name, bytes) => tx.put(&PARTS, &(generation, name), &Raw::from(pack(&bytes)))?,
            Row::Note(n, note) => tx.put(&NOTES, &(generation, n), &note)?,
        }
    }
    Ok(())
}

/// Rows on their way to the disk, gathered into batches.
struct Rows {
    to: mpsc::Sender<Vec<Row>>,
    held: Vec<Row>,
    bytes: usize,
}

impl Rows {
    fn new(to: mpsc::Sender<Vec<Row>>) -> Self {
        Self {
            to,
            held: Vec::new(),
            bytes: 0,
        }
    }

    fn hold(&mut self, row: Row) {
        self.bytes += row.weight();
        self.held.push(row);
    }

    /// From a blocking thread: waits for the disk when too much is ahead of it.
    fn push(&mut self, row: Row) -> Result<(), LoadError> {
        self.hold(row);
        if self.bytes >= BATCH_BYTES {
            self.flush()
        } else {
            Ok(())
        }
    }

    fn flush(&mut self) -> Result<(), LoadError> {
        self.bytes = 0;
        let batch = std::mem::take(&mut self.held);
        // The writer is gone when a write failed; its error is the one that is told.
        self.to.blocking_send(batch).map_err(|_| LoadError::Lost)
    }
}
