//! How much a bundle would be, without making it: what a dry run says.

use super::ExportError;
use super::ask::Ask;
use super::run::{Exporter, Found, Step, Watch};
use crate::api::{ExportReport, ExportVolume};
use crate::blocking;
use crate::bundle::limits;
use crate::bundle::volume::Shape;

/// Documents and entries read in one go.
pub(super) const AT_ONCE: usize = 256;

impl Exporter {
    /// Bytes of the log's entries, not compressed.
    pub(super) async fn entry_bytes(
        &self,
        ask: &Ask,
        found: &Found,
        watch: &Watch,
    ) -> Result<u64, ExportError> {
        let catalog = &self.gate.catalog;
        let mut bytes = 0;
        if let Some(single) = &found.single {
            for n in single {
                let entry = catalog.entries_once(*n, 1).await?;
                bytes += entry.iter().map(|(_, entry)| entry.len() as u64).sum::<u64>();
                watch.step(Step::Looked(0))?;
            }
            return Ok(bytes);
        }
        let mut next = ask.had.as_ref().map_or(0, |had| had.size);
        while next < found.end {
            let entries = catalog
                .entries_once(next, (found.end - next).min(AT_ONCE as u64))
                .await?;
            bytes += entries
                .iter()
                .map(|(_, entry)| entry.len() as u64 + 2)
                .sum::<u64>();
            next += (entries.len() as u64).max(1);
            watch.step(Step::Looked(0))?;
        }
        Ok(bytes)
    }

    /// How many documents there are, and their bytes, not compressed.
    pub(super) async fn document_bytes(
        &self,
        found: Found,
        watch: &Watch,
    ) -> Result<(u64, u64), ExportError> {
        let mut sorted = found.documents.sorted()?;
        let (mut count, mut bytes) = (0, 0);
        loop {
            let taken = blocking::run(move || (sorted.take(AT_ONCE), sorted)).await;
            let (digests, rest) = taken.map_err(|_| ExportError::Lost)?;
            sorted = rest;
            let digests = digests?;
            if digests.is_empty() {
                return Ok((count, bytes));
            }
            count += digests.len() as u64;
            let documents = self.gate.catalog.docs(digests).await?;
            bytes += documents
                .iter()
                .flatten()
                .map(|document| document.len() as u64)
                .sum::<u64>();
            watch.step(Step::Looked(0))?;
        }
    }
}

/// The volumes that a bundle of so many bytes comes to at most.
pub(super) fn volumes(ask: &Ask, report: &ExportReport) -> Vec<ExportVolume> {
    let (path, size) = match ask.shape {
        Shape::Folder => (ask.place.clone(), limits::DEFAULT_VOLUME_BYTES),
        Shape::Tar { volume_bytes } => (super::ask::beside(&ask.place, "-….tar"), volume_bytes),
    };
    // Each volume has room that no file fits into, and so many items at most.
    let by_items = report.files.div_ceil(limits::MAX_ITEMS as u64 / 2);
    let by_bytes = report.bytes.div_ceil(size);
    let count = by_items.max(by_bytes).clamp(1, limits::MAX_VOLUMES as u64);
    let count = u32::try_from(count).unwrap_or(u32::MAX);
    (1..=count)
        .map(|number| ExportVolume {
            number,
            path: path.display().to_string(),
            items: 0,
            bytes: 0,
        })
        .collect()
}
