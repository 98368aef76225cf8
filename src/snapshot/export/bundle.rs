//! A bundle: its generation, its layers, its manifest and its volumes.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use chiron_storage::Digest;

use super::ExportError;
use super::ask::Ask;
use super::deltas::{Delta, deltas};
use super::generation::in_work;
use super::run::{Exporter, Step, Watch};
use super::spool::{Sent, Spooled};
use super::volumes::{Cutting, Writing, envelope_there};
use super::work::{Begun, Work};
use crate::api::{ExportReport, ExportRequest};
use crate::blocking;
use crate::bundle::dsse::{SignedManifest, envelope, manifest_pae};
use crate::bundle::{
    AdvisoriesPart, Base, Content, Item, LogPart, Manifest, Scope, Sender, SnapshotId, Totals, VolumePart,
};
use crate::catalog::CatalogError;

impl Exporter {
    pub(super) async fn bundle(
        &self,
        request: &ExportRequest,
        ask: Ask,
        watch: &Watch,
    ) -> Result<ExportReport, ExportError> {
        let folder = ask.work_place();
        let work = blocking::run(move || Work::open(&folder)).await;
        let work = Arc::new(work.map_err(|_| ExportError::Lost)??);
        let goes_on = in_work(&work, Work::begun).await?.is_some();
        let written = self.write_bundle(request, &ask, &work, watch).await;
        // What an earlier run did is left to its own command; of what was begun now, nothing is of use to the next try.
        let done_with = match &written {
            Ok(_) => true,
            Err(error) => !goes_on && error.is_final(),
        };
        if done_with && let Ok(work) = Arc::try_unwrap(work) {
            let removed = blocking::run(move || work.remove()).await;
            removed.map_err(|_| ExportError::Lost)??;
        }
        written
    }

    async fn write_bundle(
        &self,
        request: &ExportRequest,
        ask: &Ask,
        work: &Arc<Work>,
        watch: &Watch,
    ) -> Result<ExportReport, ExportError> {
        let (begun, tuf) = self.generation(work, ask.fingerprint(request)?).await?;
        let mut found = self
            .find(request, ask, begun.log_size, &work.scratch(), watch)
            .await?;
        let mut report = Self::report(ask, &found, &begun.root);
        let made = match &ask.receipt {
            Some(receipt) if request.delta => {
                let here = (&self.gate.catalog, &self.gate.blobs);
                let going_on = |_| watch.step(Step::Looked(0));
                deltas(here, work, &found.files, receipt, begun.log_size, &going_on).await?
            }
            _ => HashMap::new(),
        };
        let tuf = in_work(work, {
            let (unpacked, digest) = (begun.tuf_unpacked, begun.tuf_digest);
            move |work| {
                work.put_layer(&tuf)?;
                Ok(Item {
                    digest,
                    size: tuf.len() as u64,
                    content: Content::Tuf { unpacked },
                })
            }
        })
        .await?;
        let cutting = Cutting::new(ask.shape, tuf, work)?;
        let cutting = self.entries(ask, &found, work, cutting, watch).await?;
        let cutting = self.documents(&mut found, work, cutting, watch).await?;
        let (cutting, advisories) = self.advisories(&begun, &found, work, cutting).await?;
        let files = found.files;
        let cut = blocking::run(move || cut(&files, &made, cutting)).await;
        let (parts, totals) = cut.map_err(|_| ExportError::Lost)??;
        let manifest = self
            .manifest(ask, &begun, advisories, totals, parts.clone())
            .await?;
        let envelope = self.sign(ask, work, &manifest).await?;
        report.digest = Some(Digest::of(&envelope).to_string());
        report.documents = totals.documents;
        report.deltas = totals.deltas;
        report.bytes = totals.bytes;
        let writing = Writing {
            work: Arc::clone(work),
            blobs: self.gate.blobs.clone(),
            shape: ask.shape,
            place: ask.place.clone(),
            envelope,
            parts,
            watch: watch.clone(),
        };
        let written = blocking::run(move || writing.run()).await;
        report.volumes = written.map_err(|_| ExportError::Lost)??;
        Ok(report)
    }

    async fn manifest(
        &self,
        ask: &Ask,
        begun: &Begun,
        advisories: Option<AdvisoriesPart>,
        contents: Totals,
        volumes: Vec<VolumePart>,
    ) -> Result<Manifest, ExportError> {
        let log = self.gate.catalog.log();
        let (mut frontier, mut consistency) = (Vec::new(), Vec::new());
        if let Some(had) = &ask.had {
            let proof = log.prove_consistency(had.size, begun.log_size).await;
            consistency = proof.map_err(CatalogError::from)?;
            if ask.what.scope() == Scope::Interval {
                frontier = log.frontier(had.size).await.map_err(CatalogError::from)?;
            }
        }
        let receipt = ask.receipt.as_ref();
        Ok(Manifest {
            schema: Manifest::SCHEMA.to_owned(),
            id: SnapshotId::new(begun.log_size, &begun.root),
            created_at: begun.at,
            sender: Sender {
                origin: log.key().origin().to_owned(),
                site: self.site.to_string(),
            },
            recipient: receipt.map(|receipt| receipt.statement.site.clone()),
            scope: ask.what.scope(),
            base: ask.had.as_ref().map(|had| Base {
                size: had.size,
                root: had.root,
                receipt: receipt.map(|receipt| receipt.digest),
            }),
            log: LogPart {
                size: begun.log_size,
                root: begun.root,
                checkpoint: begun.checkpoint.clone(),
                frontier,
                consistency,
            },
            tuf: begun.tuf,
            policy: begun.policy.clone(),
            advisories,
            contents,
            volumes,
        })
    }

    /// The signed manifest: that of an earlier run, or of the same bundle where it is there already, or a new one.
    async fn sign(&self, ask: &Ask, work: &Arc<Work>, manifest: &Manifest) -> Result<Bytes, ExportError> {
        let kept = in_work(work, |work| work.bytes("envelope")).await?;
        let is_this = |bytes: &Bytes| {
            SignedManifest::parse_unverified(bytes).is_ok_and(|kept| kept.claimed() == manifest)
        };
        if let Some(kept) = kept.filter(is_this) {
            return Ok(kept);
        }
        let (of, place) = (manifest.clone(), (ask.shape, ask.place.clone()));
        let there = in_work(work, move |_| Ok(envelope_there(place, &of))).await?;
        let signed = if let Some(there) = there {
            there
        } else {
            let (payload, pae) = manifest_pae(manifest)?;
            let signatures = self.publisher.sign_bundle(&pae).await?;
            envelope(&payload, &signatures)?
        };
        let bytes = signed.clone();
        in_work(work, move |work| work.write("envelope", &bytes)).await?;
        Ok(signed)
    }
}

/// Files into volumes, in their order. Blocks.
fn cut(
    files: &Spooled,
    made: &HashMap<Digest, Delta>,
    mut cutting: Cutting,
) -> Result<(Vec<VolumePart>, Totals), ExportError> {
    for sent in files.read()? {
        let Sent { file, size } = sent?;
        let (project, filename, sha256) = (file.project.to_string(), file.filename, file.sha256);
        cutting.push(match made.get(&sha256) {
            Some(delta) => Item {
                digest: delta.digest,
                size: delta.size,
                content: Content::WheelDelta {
                    project,
                    filename,
                    sha256,
                    file_size: size,
                    base: delta.base,
                },
            },
            None => Item {
                digest: sha256,
                size,
                content: Content::File { project, filename },
            },
        })?;
    }
    cutting.finish()
}
