//! What belongs to a file and is fetched before it is judged: the source distribution of its release, through a gate of
//! its own, and the provenance document that its entry on the page names.

use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::{Asked, Mirror, MirrorError};
use crate::catalog::{FileRow, Origin};
use crate::index::{Candidate, Candidates};
use crate::ingest::{Attachments, Source};
use crate::package::{DistKind, DistributionFilename, ProjectName};
use crate::upstream::Upstream;
use crate::verify::{Document, DocumentKind, DocumentOrigin};

impl Mirror {
    /// What comes along with a candidate.
    pub(super) async fn attachments(
        &self,
        upstream: &Upstream,
        name: &DistributionFilename,
        candidate: &Candidate,
    ) -> Attachments {
        let (provenance, source) = tokio::join!(
            self.fetch_provenance(upstream, candidate),
            self.source_from(upstream, name)
        );
        let (documents, undelivered) = match provenance {
            Ok(document) => (document.into_iter().collect(), None),
            Err(why) => (Vec::new(), Some(why)),
        };
        Attachments {
            documents,
            source,
            undelivered,
        }
    }

    /// The provenance object that the page names, if it names one. That it cannot be had is upstream's failure.
    async fn fetch_provenance(
        &self,
        upstream: &Upstream,
        candidate: &Candidate,
    ) -> Result<Option<Document>, String> {
        let Some(url) = &candidate.file.provenance else {
            return Ok(None);
        };
        match upstream.document(url, self.gate().max_document).await {
            Ok(Some(bytes)) => Ok(Some(Document {
                kind: DocumentKind::Provenance,
                origin: DocumentOrigin::Upstream,
                bytes,
            })),
            Ok(None) => {
                Err("upstream's page names a provenance document that upstream does not have".to_owned())
            }
            Err(error) => Err(format!("the provenance document could not be fetched: {error}")),
        }
    }

    /// The source distribution of a wheel's release, for a wheel that was handed in: the one that is here, else
    /// upstream's, unless the name is owned.
    pub async fn source_for(&self, wheel: &DistributionFilename) -> Source {
        match self.stored_source(wheel).await {
            Ok(Some(source)) => return source,
            Ok(None) => {}
            Err(why) => return Source::Unavailable(why),
        }
        if !self.may_ask(wheel.project()) {
            return Source::NotPublished;
        }
        match self.ask(wheel.project()).await {
            Asked::Known(known) => match known.source.get().await {
                Ok(upstream) => self.listed_source(upstream, &known.candidates, wheel).await,
                Err(error) => Source::Unavailable(error.to_string()),
            },
            Asked::Nothing => Source::NotPublished,
            Asked::Down(error) => Source::Unavailable(error.to_string()),
            Asked::Lost => Source::Unavailable("the look-up of its release broke off".to_owned()),
        }
    }

    /// What comes along with a file that was judged before, fetched anew. `None`: it was handed in, or upstream does not
    /// list it any more, and nothing but what is here can be had.
    pub async fn attachments_again(&self, row: &FileRow) -> Result<Option<Attachments>, Arc<MirrorError>> {
        let judged = &row.judged;
        let Origin::Upstream(from) = &judged.origin else {
            return Ok(None);
        };
        let known = match self.ask_for_ingest(&judged.project).await {
            Asked::Known(known) if known.source.name() == from => known,
            Asked::Known(_) | Asked::Nothing => return Ok(None),
            Asked::Down(error) => return Err(Arc::new(MirrorError::Down(error))),
            Asked::Lost => return Err(Arc::new(MirrorError::lost(judged.filename.clone()))),
        };
        let offer = Self::offer_on(&known, &judged.sha256, &judged.filename).await?;
        let Some((upstream, candidate)) = offer else {
            return Ok(None);
        };
        let name = candidate
            .name(&judged.project)
            .map_err(|e| Arc::new(MirrorError::from(e)))?;
        Ok(Some(self.attachments(upstream, &name, candidate).await))
    }

    /// The source of a wheel that comes from an upstream: the sdist that the same upstream lists.
    async fn source_from(&self, upstream: &Upstream, wheel: &DistributionFilename) -> Source {
        if wheel.kind() != DistKind::Wheel {
            return Source::NotPublished;
        }
        match self.stored_source(wheel).await {
            Ok(Some(source)) => return source,
            Ok(None) => {}
            Err(why) => return Source::Unavailable(why),
        }
        match self.page_of(wheel.project(), upstream).await {
            Ok(candidates) => self.listed_source(upstream, &candidates, wheel).await,
            Err(why) => Source::Unavailable(why),
        }
    }

    async fn stored_source(&self, wheel: &DistributionFilename) -> Result<Option<Source>, String> {
        let here = self.gate().source_here(wheel).await.map_err(|e| e.to_string())?;
        Ok(here.filter(|source| match source {
            Source::Judged(row) => row.is_stored(),
            Source::NotPublished => true,
            Source::Unavailable(_) | Source::TooLarge(_) | Source::Prepared(_) => false,
        }))
    }

    /// The page that a candidate of this upstream came from.
    async fn page_of(&self, project: &ProjectName, upstream: &Upstream) -> Result<Arc<Candidates>, String> {
        match self.ask_for_ingest(project).await {
            Asked::Known(known) if known.source.name() == upstream.name() => {
                Ok(Arc::clone(&known.candidates))
            }
            Asked::Known(_) | Asked::Nothing => Err(format!("{} no longer lists {project}", upstream.name())),
            Asked::Down(error) => Err(error.to_string()),
            Asked::Lost => Err("the look-up of its release broke off".to_owned()),
        }
    }

    async fn listed_source(
        &self,
        upstream: &Upstream,
        candidates: &Candidates,
        wheel: &DistributionFilename,
    ) -> Source {
        let Some(sdist) = candidates.sdist_of(wheel.version()) else {
            return Source::NotPublished;
        };
        let (filename, limit) = (&sdist.file.filename, self.limits().max_sdist);
        if let Some(size) = sdist.file.size.filter(|size| *size > limit) {
            return Source::TooLarge(format!(
                "{filename} has {size} bytes, and reproducibility.max_sdist is {limit}"
            ));
        }
        let pulled = self.pull_source(wheel.project().clone(), upstream.clone(), sdist.clone());
        match pulled.await {
            Ok(row) if row.judged.sha256 == sdist.sha256 => Source::judged((*row).clone()),
            Ok(row) => Source::Unavailable(format!(
                "upstream sent other bytes for {filename} than it promises (sha256 {})",
                row.judged.sha256
            )),
            Err(error) => Source::Unavailable(format!("{filename}: {error}")),
        }
    }

    /// As [`Mirror::pull`]; a pull of a wheel waits for that of its sdist, which waits for none.
    fn pull_source(
        &self,
        project: ProjectName,
        upstream: Upstream,
        sdist: Candidate,
    ) -> BoxFuture<'static, Result<Arc<FileRow>, Arc<MirrorError>>> {
        let mirror = self.clone();
        Box::pin(async move {
            let sha256 = sdist.sha256;
            mirror.pull(&project, upstream, sdist, sha256).await
        })
    }
}
