//! Wheels as differences from what the receipt shows is there.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io::{BufWriter, Read as _, Write as _};
use std::path::Path;
use std::sync::Arc;

use chiron_storage::{BlobError, BlobStore, Digest, Measure};
use serde::{Deserialize, Serialize};

use super::ExportError;
use super::generation::in_work;
use super::receipt::Receipt;
use super::spool::{Sent, Spooled};
use super::work::Work;
use crate::bundle::delta::{DeltaLimits, Held, choose_base, make};
use crate::catalog::Catalog;
use crate::package::{DistributionFilename, ProjectName};

/// A difference that was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Delta {
    pub base: Digest,
    pub digest: Digest,
    pub size: u64,
}

/// What was tried before a kill.
#[derive(Serialize, Deserialize)]
struct Kept {
    /// The difference and its bytes; `None`: the wheel travels whole.
    made: Option<(Digest, u64)>,
}

/// For each wheel where it is smaller, by the wheel's content.
pub(super) async fn deltas(
    (catalog, blobs): (&Catalog, &BlobStore),
    work: &Arc<Work>,
    files: &Spooled,
    receipt: &Receipt,
    end: u64,
    going_on: &(dyn Fn(u64) -> Result<(), ExportError> + Send + Sync),
) -> Result<HashMap<Digest, Delta>, ExportError> {
    let mut pairs = Vec::new();
    let files = files.clone();
    let mut reading = in_work(work, move |_| files.read()).await?;
    loop {
        let (wheels, rest) = in_work(work, move |_| Ok((reading.project()?, reading))).await?;
        reading = rest;
        let Some(first) = wheels.first() else { break };
        let known = held_wheels(catalog, &first.file.project, receipt, end).await?;
        pairs.extend(wheels.iter().filter_map(|wheel| pair(wheel, &known)));
        going_on(0)?;
    }
    let mut made = HashMap::new();
    // One after the other: each keeps a processor busy and holds up to 150 MB.
    for (target, base) in pairs {
        going_on(0)?;
        // Verified: of a damaged base comes a difference that gives nothing at the other side.
        let old = match blobs.file(&base).await {
            Ok(old) => old,
            Err(BlobError::NotFound { .. } | BlobError::Corrupt { .. }) => continue,
            Err(error) => return Err(error.into()),
        };
        let new = blobs.file(&target).await?;
        let delta = in_work(work, move |work| one(work, (&target, &new), (&base, &old))).await?;
        made.extend(delta.map(|delta| (target, delta)));
    }
    Ok(made)
}

/// The project's wheels that both sides have.
async fn held_wheels(
    catalog: &Catalog,
    project: &ProjectName,
    receipt: &Receipt,
    end: u64,
) -> Result<BTreeMap<Digest, DistributionFilename>, ExportError> {
    let rows = catalog.project(project, Some(end)).await?;
    let rows = rows.map(|snapshot| snapshot.files).unwrap_or_default();
    Ok(rows
        .iter()
        .filter(|row| row.is_stored() && receipt.holds(&row.judged.sha256))
        .filter_map(|row| {
            let name = DistributionFilename::parse_for(&row.judged.filename, project).ok()?;
            name.wheel().is_some().then_some((row.judged.sha256, name))
        })
        .collect())
}

fn pair(wheel: &Sent, known: &BTreeMap<Digest, DistributionFilename>) -> Option<(Digest, Digest)> {
    let name = DistributionFilename::parse_for(&wheel.file.filename, &wheel.file.project).ok()?;
    let held = known.iter().map(|(digest, filename)| Held {
        filename,
        as_known: *digest,
    });
    let base = choose_base(&name, held)?;
    Some((wheel.file.sha256, base))
}

/// One difference, or `None` when the wheel travels whole. Made once: a killed export finds it again. Blocks.
fn one(
    work: &Work,
    (target, new): (&Digest, &File),
    (base, old): (&Digest, &File),
) -> Result<Option<Delta>, ExportError> {
    let path = work.delta(target, base);
    let note = format!("deltas/{target}-{base}.json");
    if let Some(Kept { made }) = work.read(&note)? {
        let Some((digest, size)) = made else {
            return Ok(None);
        };
        // After a power cut the file may be shorter than the note says.
        if fs::metadata(&path).is_ok_and(|found| found.len() == size) && digest_of(&path)? == digest {
            return Ok(Some(Delta {
                base: *base,
                digest,
                size,
            }));
        }
    }
    let file = File::create(&path).map_err(ExportError::file(&path))?;
    let mut out = BufWriter::new(file);
    let made = make(old, new, &mut out, &DeltaLimits::default()).map_err(|error| ExportError::Damaged {
        what: format!("the wheel {target}"),
        why: error.to_string(),
    })?;
    out.flush().map_err(ExportError::file(&path))?;
    drop(out);
    let made = if let Some(made) = made {
        Some((digest_of(&path)?, made.bytes))
    } else {
        fs::remove_file(&path).map_err(ExportError::file(&path))?;
        None
    };
    work.write_json(&note, &Kept { made })?;
    Ok(made.map(|(digest, size)| Delta {
        base: *base,
        digest,
        size,
    }))
}

/// SHA-256 of a file. Blocks.
pub(super) fn digest_of(path: &Path) -> Result<Digest, ExportError> {
    let mut file = File::open(path).map_err(ExportError::file(path))?;
    let mut measure = Measure::new(u64::MAX);
    let mut part = vec![0; 1 << 16];
    loop {
        let read = file.read(&mut part).map_err(ExportError::file(path))?;
        if read == 0 {
            return Ok(measure.finish().sha256);
        }
        measure
            .update(&part[..read])
            .map_err(|error| ExportError::file(path)(std::io::Error::other(error)))?;
    }
}
