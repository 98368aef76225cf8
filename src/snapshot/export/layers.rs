//! Entries, proofs, documents and the advisory database become layers. One pack at a time is in memory.

use std::fs::File;
use std::io::BufWriter;
use std::sync::Arc;

use chiron_storage::Digest;
use serde::{Deserialize, Serialize};

use super::ExportError;
use super::ask::Ask;
use super::deltas::digest_of;
use super::digests::Digests;
use super::estimate::AT_ONCE;
use super::generation::in_work;
use super::run::{Exporter, Found, Step, Watch};
use super::volumes::Cutting;
use super::work::{Begun, Database, Work};
use crate::advisories::LoadError;
use crate::blocking;
use crate::bundle::pack::{DocumentsWriter, EntriesWriter, Packed, ProvenWriter};
use crate::bundle::{AdvisoriesPart, BundleError, Content, Item};
use crate::catalog::CatalogError;

/// How often the database is read again when another comes into force meanwhile.
const ATTEMPTS: u32 = 3;

/// The dump that lies in `OUT.partial/advisories`.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Dump {
    database: Database,
    unpacked: u64,
    digest: Digest,
    size: u64,
}

/// Compresses a pack, keeps it and gives it its place.
async fn keep(
    work: &Arc<Work>,
    mut cutting: Cutting,
    finish: impl FnOnce() -> Result<Packed, BundleError> + Send + 'static,
    content: impl FnOnce(&Packed) -> Content + Send + 'static,
) -> Result<Cutting, ExportError> {
    in_work(work, move |work| {
        let packed = finish()?;
        let item = Item {
            digest: work.put_layer(&packed.bytes)?,
            size: packed.bytes.len() as u64,
            content: content(&packed),
        };
        cutting.push(item)?;
        Ok(cutting)
    })
    .await
}

impl Exporter {
    /// All entries from the base on, or single ones with their proofs.
    pub(super) async fn entries(
        &self,
        ask: &Ask,
        found: &Found,
        work: &Arc<Work>,
        cutting: Cutting,
        watch: &Watch,
    ) -> Result<Cutting, ExportError> {
        if let Some(single) = &found.single {
            return self.proven(single, found.end, work, cutting, watch).await;
        }
        let base = ask.had.as_ref().map_or(0, |had| had.size);
        self.consecutive(base, found.end, work, cutting, watch).await
    }

    async fn consecutive(
        &self,
        base: u64,
        end: u64,
        work: &Arc<Work>,
        mut cutting: Cutting,
        watch: &Watch,
    ) -> Result<Cutting, ExportError> {
        let mut writer = EntriesWriter::new();
        let (mut first, mut next) = (base, base);
        let content = |first: u64| {
            move |packed: &Packed| Content::Entries {
                first,
                count: packed.count,
                unpacked: packed.unpacked,
            }
        };
        while next < end {
            watch.step(Step::Looked(0))?;
            let count = (end - next).min(AT_ONCE as u64);
            let entries = self.gate.catalog.entries_once(next, count).await?;
            if entries.is_empty() {
                return Err(ExportError::no_entry(next));
            }
            for (n, entry) in entries {
                if n != next {
                    return Err(ExportError::no_entry(next));
                }
                if !writer.has_room(entry.len()) {
                    let full = std::mem::take(&mut writer);
                    cutting = keep(work, cutting, || full.finish(), content(first)).await?;
                    first = n;
                }
                writer.push(&entry)?;
                next = n + 1;
            }
        }
        if !writer.is_empty() {
            cutting = keep(work, cutting, || writer.finish(), content(first)).await?;
        }
        Ok(cutting)
    }

    async fn proven(
        &self,
        single: &[u64],
        end: u64,
        work: &Arc<Work>,
        mut cutting: Cutting,
        watch: &Watch,
    ) -> Result<Cutting, ExportError> {
        let log = self.gate.catalog.log();
        let mut writer = ProvenWriter::new();
        let content = |packed: &Packed| Content::ProvenEntries {
            count: packed.count,
            unpacked: packed.unpacked,
        };
        for n in single {
            watch.step(Step::Looked(0))?;
            let entry = log.entry(*n).await.map_err(CatalogError::from)?;
            let entry = entry.ok_or_else(|| ExportError::no_entry(*n))?;
            let proof = log.prove_inclusion(*n, end).await.map_err(CatalogError::from)?;
            if !writer.has_room(entry.len()) {
                let full = std::mem::take(&mut writer);
                cutting = keep(work, cutting, || full.finish(), content).await?;
            }
            writer.push(*n, &entry, &proof)?;
        }
        if !writer.is_empty() {
            cutting = keep(work, cutting, || writer.finish(), content).await?;
        }
        Ok(cutting)
    }

    /// Every document that the entries name, by digest.
    pub(super) async fn documents(
        &self,
        found: &mut Found,
        work: &Arc<Work>,
        mut cutting: Cutting,
        watch: &Watch,
    ) -> Result<Cutting, ExportError> {
        let documents = std::mem::replace(&mut found.documents, Digests::new(&work.scratch()));
        let sorted = blocking::run(move || documents.sorted()).await;
        let mut sorted = sorted.map_err(|_| ExportError::Lost)??;
        let mut writer = DocumentsWriter::new();
        let content = |packed: &Packed| Content::Documents {
            count: packed.count,
            unpacked: packed.unpacked,
        };
        loop {
            watch.step(Step::Looked(0))?;
            let taken = blocking::run(move || (sorted.take(AT_ONCE), sorted)).await;
            let (digests, rest) = taken.map_err(|_| ExportError::Lost)?;
            sorted = rest;
            let digests = digests?;
            if digests.is_empty() {
                break;
            }
            let documents = self.gate.catalog.docs(digests.clone()).await?;
            for (digest, document) in digests.into_iter().zip(documents) {
                let document = document.ok_or_else(|| ExportError::no_document(&digest))?;
                if !writer.has_room(document.len()) {
                    let full = std::mem::take(&mut writer);
                    cutting = keep(work, cutting, || full.finish(), content).await?;
                }
                writer.push(digest, &document)?;
            }
        }
        if !writer.is_empty() {
            cutting = keep(work, cutting, || writer.finish(), content).await?;
        }
        Ok(cutting)
    }

    /// The advisory database of the generation, unless the receiver has it.
    pub(super) async fn advisories(
        &self,
        begun: &Begun,
        found: &Found,
        work: &Arc<Work>,
        mut cutting: Cutting,
    ) -> Result<(Cutting, Option<AdvisoriesPart>), ExportError> {
        let Some(database) = begun.database else {
            return Ok((cutting, None));
        };
        let mut part = AdvisoriesPart {
            as_of: database.as_of,
            digest: database.digest,
            records: database.records,
            included: false,
        };
        if !found.advisories {
            return Ok((cutting, Some(part)));
        }
        let dump = self.dump(work).await?;
        if dump.database.digest != database.digest {
            // What is begun cannot be ended as it was begun; the next run begins anew.
            in_work(work, Work::begin_anew).await?;
            return Err(ExportError::Overtaken);
        }
        part.included = true;
        let item = Item {
            digest: dump.digest,
            size: dump.size,
            content: Content::Advisories {
                as_of: database.as_of,
                unpacked: dump.unpacked,
            },
        };
        cutting = in_work(work, move |_| cutting.push(item).map(|()| cutting)).await?;
        Ok((cutting, Some(part)))
    }

    /// Writes the database in force into the work folder, once.
    async fn dump(&self, work: &Arc<Work>) -> Result<Dump, ExportError> {
        let path = work.path("advisories");
        let kept = in_work(work, |work| {
            let Some(dump) = work.read::<Dump>("advisories.json")? else {
                return Ok(None);
            };
            let whole = digest_of(&work.path("advisories")).is_ok_and(|digest| digest == dump.digest);
            Ok(whole.then_some(dump))
        });
        if let Some(dump) = kept.await? {
            return Ok(dump);
        }
        for _ in 0..ATTEMPTS {
            let place = path.clone();
            let file = in_work(work, move |_| {
                File::create(&place).map_err(ExportError::file(&place))
            })
            .await?;
            let (dumped, out) = match self.gate.advisories.dump(BufWriter::new(file)).await {
                Ok(Some(dumped)) => dumped,
                Ok(None) | Err(LoadError::Overtaken) => continue,
                Err(error) => return Err(ExportError::Advisories(error)),
            };
            return in_work(work, move |work| {
                let path = work.path("advisories");
                let failed = |error: std::io::Error| ExportError::file(&path)(error);
                let file = out.into_inner().map_err(|error| failed(error.into_error()))?;
                let size = file.metadata().map_err(failed)?.len();
                let dump = Dump {
                    database: Database {
                        as_of: dumped.database.as_of,
                        digest: dumped.database.digest,
                        records: dumped.records,
                    },
                    unpacked: dumped.unpacked,
                    digest: digest_of(&path)?,
                    size,
                };
                work.write_json("advisories.json", &dump)?;
                Ok(dump)
            })
            .await;
        }
        Err(ExportError::Overtaken)
    }
}
