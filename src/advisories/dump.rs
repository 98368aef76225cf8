//! The database in force as one file for another site: everything that its digest covers, in an order of its own, so that
//! the same database gives the same bytes. `adopt.rs` reads it.
//!
//! A tar archive (ustar, fixed headers) under zstd: `database.json` ([`Head`]), then `records-NNNNN.jsonl` (canonical JSON, a
//! record a line, by identifier), `aside-NNNNN.jsonl` (what was set aside), `epss.csv`, `kev.json`, `vex-NNNNN.json`.

use std::io::{self, Write};

use chiron_storage::{Db, DbError, Key as _, Table};
use serde::{Deserialize, Serialize};

use super::LoadError;
use super::assemble::OWN_PREFIX;
use super::generations::codec;
use super::load::RECORDS_AT_ONCE;
use super::parts::unpack;
use super::store::Advisories;
use super::tables::{Manifest, NOTES, NoteKind, PARTS, RECORDS};
use crate::blocking::{self, Lost};
use crate::policy::AdvisoriesRef;

/// Bytes after which a member of records ends and the next begins: what the writer holds at a time.
const MEMBER_BYTES: usize = 4 << 20;

/// zstd's level: one export in a while, and half a minute for a database of 200 MB at the highest.
const LEVEL: i32 = 9;

/// zstd's window, 2 to the power of this many bytes. Threat, for the reader: memory.
pub(super) const WINDOW_LOG: u32 = 23;

/// The value of `schema` in `database.json`.
pub(super) const SCHEMA: &str = "chiron.advisories/v1";

/// What the first member says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Head {
    /// Always [`SCHEMA`].
    pub schema: String,
    /// The database, as verdicts name it.
    #[serde(flatten)]
    pub database: AdvisoriesRef,
    /// Records in it.
    pub records: u64,
}

/// A database that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dumped {
    /// Which.
    pub database: AdvisoriesRef,
    /// How many records it has.
    pub records: u64,
    /// Bytes of the archive before compression.
    pub unpacked: u64,
}

impl Advisories {
    /// Writes the database in force to `out` and gives `out` back; `None` when there is none (`out` is untouched then).
    /// Memory: some megabytes and the largest list.
    ///
    /// # Errors
    /// [`LoadError::Overtaken`] when another came into force meanwhile; the tables, writing. What was written is then to be
    /// thrown away.
    pub async fn dump<W: Write + Send + 'static>(&self, out: W) -> Result<Option<(Dumped, W)>, LoadError> {
        let Some(manifest) = self.manifest_now().await? else {
            return Ok(None);
        };
        let dumped = self.write_dump(&manifest, out).await?;
        // Its rows are removed once another is in force: what was read may then have holes.
        if self.manifest_now().await?.map(|now| now.generation) != Some(manifest.generation) {
            return Err(LoadError::Overtaken);
        }
        Ok(Some(dumped))
    }

    async fn write_dump<W: Write + Send + 'static>(
        &self,
        manifest: &Manifest,
        out: W,
    ) -> Result<(Dumped, W), LoadError> {
        let head = Head {
            schema: SCHEMA.to_owned(),
            database: AdvisoriesRef {
                as_of: manifest.database.as_of,
                digest: manifest.database.digest,
            },
            records: manifest.database.records,
        };
        let mut archive = Archive::new(out).map_err(written)?;
        let first = serde_json::to_vec(&head).map_err(|why| written(why.into()))?;
        archive = archive
            .run(move |archive| archive.member("database.json", &first))
            .await?;
        let generation = manifest.generation;
        let mut pages = Pages::new(self.db(), RECORDS, generation);
        while let Some(rows) = pages.next().await? {
            archive = archive
                .run(move |archive| {
                    let theirs = rows
                        .into_iter()
                        .filter(|((_, id), _)| !id.starts_with(OWN_PREFIX));
                    theirs
                        .into_iter()
                        .try_for_each(|(_, record)| archive.line("records", &record.0))
                })
                .await?;
        }
        archive = archive.run(Archive::end_lines).await?;
        let mut pages = Pages::new(self.db(), NOTES, generation);
        while let Some(rows) = pages.next().await? {
            archive = archive
                .run(move |archive| {
                    let aside = rows
                        .into_iter()
                        .filter(|(_, note)| note.kind == NoteKind::SetAside);
                    aside.into_iter().try_for_each(|(_, note)| {
                        let line = serde_json::to_vec(&note)?;
                        archive.line("aside", &line)
                    })
                })
                .await?;
        }
        archive = archive.run(Archive::end_lines).await?;
        let mut pages = Pages::new(self.db(), PARTS, generation);
        let mut documents = 0_u32;
        while let Some(rows) = pages.next().await? {
            for ((_, name), part) in rows {
                let member = match name.as_str() {
                    "epss" => "epss.csv".to_owned(),
                    "kev" => "kev.json".to_owned(),
                    _ => {
                        documents += 1;
                        format!("vex-{documents:05}.json")
                    }
                };
                archive = archive
                    .run(move |archive| {
                        let bytes = unpack(&part.0);
                        let bytes =
                            bytes.ok_or_else(|| io::Error::other(format!("{name} does not read back")))?;
                        archive.member(&member, &bytes)
                    })
                    .await?;
            }
        }
        let finished = blocking::run(move || archive.finish()).await;
        let (unpacked, out) = finished.map_err(|Lost| LoadError::Lost)?.map_err(written)?;
        let dumped = Dumped {
            database: head.database,
            records: head.records,
            unpacked,
        };
        Ok((dumped, out))
    }
}

#[expect(clippy::needless_pass_by_value, reason = "given to `map_err` as it is")]
fn written(why: io::Error) -> LoadError {
    LoadError::Damaged {
        source_name: "the advisory database for another site".to_owned(),
        why: why.to_string(),
    }
}

/// The rows of one generation, some at a time.
struct Pages<'a, K, V> {
    db: &'a Db,
    table: Table<K, V>,
    generation: u64,
    after: Option<Vec<u8>>,
}

impl<'a, K, V> Pages<'a, K, V>
where
    K: chiron_storage::Key + Send + 'static,
    V: chiron_storage::table::Value + Send + 'static,
{
    fn new(db: &'a Db, table: Table<K, V>, generation: u64) -> Self {
        Self {
            db,
            table,
            generation,
            after: None,
        }
    }

    async fn next(&mut self) -> Result<Option<Vec<(K, V)>>, LoadError> {
        let (table, generation, from) = (self.table, self.generation, self.after.take());
        let page = self
            .db
            .read(move |view| {
                let prefix = generation.to_prefix().map_err(codec(&table))?;
                let scan = view.scan(&table, &prefix, from.as_deref())?;
                scan.take(RECORDS_AT_ONCE).collect::<Result<Vec<_>, DbError>>()
            })
            .await?;
        let Some((last, _)) = page.last() else {
            return Ok(None);
        };
        self.after = Some(last.to_successor().map_err(codec(&self.table))?);
        Ok(Some(page))
    }
}

/// The archive under way; it travels between threads.
struct Archive<W: Write> {
    tar: tar::Builder<Counting<zstd::stream::write::Encoder<'static, W>>>,
    /// Lines of the member that is being gathered, whose they are, and members of that name so far.
    lines: Vec<u8>,
    kind: &'static str,
    number: u32,
}

impl<W: Write> Archive<W> {
    fn new(out: W) -> io::Result<Self> {
        let mut encoder = zstd::stream::write::Encoder::new(out, LEVEL)?;
        encoder.window_log(WINDOW_LOG)?;
        encoder.include_checksum(true)?;
        Ok(Self {
            tar: tar::Builder::new(Counting {
                inner: encoder,
                bytes: 0,
            }),
            lines: Vec::new(),
            kind: "",
            number: 0,
        })
    }

    fn line(&mut self, kind: &'static str, line: &[u8]) -> io::Result<()> {
        if self.kind != kind {
            (self.kind, self.number) = (kind, 0);
        }
        self.lines.extend_from_slice(line);
        self.lines.push(b'\n');
        if self.lines.len() >= MEMBER_BYTES {
            self.end_lines()?;
        }
        Ok(())
    }

    fn end_lines(&mut self) -> io::Result<()> {
        if self.lines.is_empty() {
            return Ok(());
        }
        self.number += 1;
        let name = format!("{}-{:05}.jsonl", self.kind, self.number);
        let lines = std::mem::take(&mut self.lines);
        self.member(&name, &lines)
    }

    fn member(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let mut header = tar::Header::new_ustar();
        header.set_path(name)?;
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_size(bytes.len() as u64);
        header.set_entry_type(tar::EntryType::Regular);
        header.set_cksum();
        self.tar.append(&header, bytes)
    }

    fn finish(self) -> io::Result<(u64, W)> {
        let counting = self.tar.into_inner()?;
        Ok((counting.bytes, counting.inner.finish()?))
    }
}

impl<W: Write + Send + 'static> Archive<W> {
    /// Does a part of the work on a blocking thread.
    async fn run(
        mut self,
        part: impl FnOnce(&mut Self) -> io::Result<()> + Send + 'static,
    ) -> Result<Self, LoadError> {
        let done = blocking::run(move || part(&mut self).map(|()| self));
        done.await.map_err(|Lost| LoadError::Lost)?.map_err(written)
    }
}

struct Counting<W> {
    inner: W,
    bytes: u64,
}

impl<W: Write> Write for Counting<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
