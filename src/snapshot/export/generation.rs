//! The signed generation that a bundle is over: fixed once, for as long as the export takes.

use std::sync::Arc;

use bytes::Bytes;
use chiron_storage::Digest;
use chiron_storage::digest::ParseDigestError;
use jiff::Timestamp;

use super::ExportError;
use super::run::Exporter;
use super::work::{Begun, Database, Work};
use crate::blocking;
use crate::bundle::{PolicyPart, TufVersions, pack};
use crate::catalog::CatalogError;
use crate::publish::Handout;

impl Exporter {
    /// What an earlier run of the same request fixed, or the newest generation, which is published first if the log has
    /// grown since.
    pub(super) async fn generation(
        &self,
        work: &Arc<Work>,
        request: Digest,
    ) -> Result<(Begun, Bytes), ExportError> {
        if let Some((begun, tuf)) = in_work(work, Work::begun).await? {
            if begun.request != request {
                return Err(ExportError::InTheWay {
                    path: work.path(""),
                    why: "it is what another export has done so far; end that one with its own command, or remove it"
                        .to_owned(),
                });
            }
            // Without a signature the bundle is signed by the keys of now, which its root must name.
            let root = self
                .publisher
                .generation()
                .map(|generation| generation.versions.root);
            let signed = in_work(work, |work| work.bytes("envelope")).await?.is_some();
            if signed || root == Some(begun.tuf.root) {
                return Ok((begun, tuf));
            }
        }
        in_work(work, Work::begin_anew).await?;
        let handout = self.publisher.handout(Timestamp::now()).await?;
        self.begin(work, request, handout).await
    }

    async fn begin(
        &self,
        work: &Arc<Work>,
        request: Digest,
        handout: Handout,
    ) -> Result<(Begun, Bytes), ExportError> {
        let root = self.gate.catalog.log().root(handout.log_size).await;
        let policy = policy_of(&handout).unwrap_or_else(|| {
            let policy = self.gate.policy();
            PolicyPart {
                profile: policy.profile().as_str().to_owned(),
                digest: policy.digest(),
            }
        });
        let manifest = self
            .gate
            .advisories
            .manifest()
            .await
            .map_err(CatalogError::from)?;
        let database = manifest.map(|manifest| Database {
            as_of: manifest.database.as_of,
            digest: manifest.database.digest,
            records: manifest.database.records,
        });
        let files = handout.files;
        let packed = blocking::run(move || pack::write_tuf(&files)).await;
        let packed = packed.map_err(|_| ExportError::Lost)??;
        let begun = Begun {
            request,
            log_size: handout.log_size,
            root: root.map_err(CatalogError::from)?,
            at: handout.at,
            tuf: TufVersions {
                root: handout.versions.root,
                timestamp: handout.versions.timestamp,
                snapshot: handout.versions.snapshot,
                targets: handout.versions.targets,
            },
            checkpoint: handout.checkpoint,
            policy,
            database,
            tuf_unpacked: packed.unpacked,
            tuf_digest: Digest::of(&packed.bytes),
        };
        let (kept, bytes) = (begun.clone(), packed.bytes.clone());
        in_work(work, move |work| work.begin(&kept, &bytes)).await?;
        Ok((begun, packed.bytes))
    }
}

/// Works on the folder, on a thread that may wait for the disk.
pub(super) async fn in_work<T: Send + 'static>(
    work: &Arc<Work>,
    then: impl FnOnce(&Work) -> Result<T, ExportError> + Send + 'static,
) -> Result<T, ExportError> {
    let work = Arc::clone(work);
    blocking::run(move || then(&work))
        .await
        .map_err(|_| ExportError::Lost)?
}

/// The rules that the generation's own documents of trust name.
fn policy_of(handout: &Handout) -> Option<PolicyPart> {
    #[derive(serde::Deserialize)]
    struct Document {
        profile: String,
        digest: String,
    }
    let (_, bytes) = handout
        .files
        .iter()
        .find(|(name, _)| name.starts_with("targets/trust/") && name.ends_with(".policy.json"))?;
    let document: Document = serde_json::from_slice(bytes).ok()?;
    let digest: Result<Digest, ParseDigestError> = document.digest.strip_prefix("sha256:")?.parse();
    Some(PolicyPart {
        profile: document.profile,
        digest: digest.ok()?,
    })
}
