//! Bringing a file, or only its core metadata, in on demand. Nothing of a file's body leaves before its verdict.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use chiron_storage::Digest;

use super::{Denied, Mirror, MirrorError};
use crate::catalog::{FileRow, FileState};
use crate::index::Candidate;
use crate::package::{DistributionFilename, ProjectName};
use crate::telemetry::Queue;
use crate::upstream::{Mode, Upstream, UpstreamError};

/// A wheel up to this size is fetched whole when its metadata is asked for: one request to upstream
/// instead of two, and the verdict is there when the installer comes back for the file. Bytes.
const SMALL: u64 = 512 << 10;

/// A file as a client names it.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// The content; nothing else is delivered under it.
    pub sha256: Digest,
    /// As in the address: one content may have been judged under several names.
    pub filename: String,
}

/// How a wish was met.
#[derive(Debug)]
pub enum Delivery<T> {
    /// May be sent.
    Ready(T),
    /// The work goes on; the client should come back.
    Pending,
    /// Nobody offers it.
    Unknown,
    /// Judged, and not to be served; the row says why.
    Denied(Arc<FileRow>),
}

/// A project, who offers the file, and the offer.
type Offer = (ProjectName, Upstream, Candidate);

impl Mirror {
    /// A file that may be served, after the gate.
    pub async fn file(&self, wanted: &Wanted) -> Result<Delivery<Arc<FileRow>>, Arc<MirrorError>> {
        if let Some(row) = self.settled(wanted).await? {
            return Ok(delivered(row));
        }
        let Some((project, upstream, candidate)) = self.offer(wanted).await? else {
            return self.unoffered(wanted).await;
        };
        let _waiting = self.gate().metrics.enqueue(Queue::Verdict);
        let pulled = tokio::time::timeout(
            self.0.limits.verdict_wait,
            self.pull(&project, upstream, candidate, wanted.sha256),
        );
        match pulled.await {
            Err(_) => Ok(Delivery::Pending),
            Ok(row) => Ok(self.met(wanted, row?)),
        }
    }

    /// A wheel's core metadata (PEP 658), if need be before the wheel is judged. The gate for the wheel
    /// begins at the same time: who asks for the metadata will often ask for the file.
    pub async fn metadata(&self, wanted: &Wanted) -> Result<Delivery<Bytes>, Arc<MirrorError>> {
        if let Some(row) = self.settled(wanted).await? {
            return self.own_metadata(delivered(row)).await;
        }
        let Some((project, upstream, candidate)) = self.offer(wanted).await? else {
            return self.unoffered(wanted).await;
        };
        if !candidate.is_wheel() {
            return Ok(Delivery::Unknown);
        }
        if candidate.file.size.is_some_and(|size| size <= SMALL) {
            return self.metadata_by_gate(wanted, &project, upstream, candidate).await;
        }
        if let Some(digest) = self.catalog().seen(wanted.sha256).await.map_err(arc)?
            && let Some(bytes) = self.catalog().doc(digest).await.map_err(arc)?
        {
            return Ok(Delivery::Ready(bytes));
        }
        self.judge_ahead(
            project.clone(),
            upstream.clone(),
            candidate.clone(),
            wanted.sha256,
        );
        let (mirror, source, file) = (self.clone(), upstream.clone(), candidate.clone());
        let whose = project.clone();
        let sha256 = wanted.sha256;
        let reading = self.0.reading.join_or_start(sha256, || async move {
            let name = file.name(&whose).map_err(|e| Arc::new(MirrorError::from(e)))?;
            let bytes = source
                .core_metadata(&file.file, &name)
                .await
                .map_err(|e| Arc::new(MirrorError::from(e)))?;
            let handed_out = mirror
                .catalog()
                .remember_seen(sha256, bytes.clone())
                .await
                .map_err(arc)?;
            Ok(handed_out.then_some(bytes))
        });
        let waiting = self.gate().metrics.enqueue(Queue::Verdict);
        let read = reading.wait_for(self.0.limits.verdict_wait).await;
        drop(waiting);
        match read {
            None => Ok(Delivery::Pending),
            Some(Err(_)) => Err(Arc::new(MirrorError::lost(wanted.filename.clone()))),
            Some(Ok(Ok(Some(bytes)))) => Ok(Delivery::Ready(bytes)),
            Some(Ok(Ok(None))) => self.metadata_by_gate(wanted, &project, upstream, candidate).await,
            // Upstream gives no part of the wheel: take it whole, through the gate.
            Some(Ok(Err(error))) if is_ranges_unsupported(&error) => {
                self.metadata_by_gate(wanted, &project, upstream, candidate).await
            }
            Some(Ok(Err(error))) => Err(error),
        }
    }

    async fn metadata_by_gate(
        &self,
        wanted: &Wanted,
        project: &ProjectName,
        upstream: Upstream,
        candidate: Candidate,
    ) -> Result<Delivery<Bytes>, Arc<MirrorError>> {
        let pulled = self.pull(project, upstream, candidate, wanted.sha256);
        let _waiting = self.gate().metrics.enqueue(Queue::Verdict);
        match tokio::time::timeout(self.0.limits.verdict_wait, pulled).await {
            Err(_) => Ok(Delivery::Pending),
            Ok(row) => self.own_metadata(self.met(wanted, row?)).await,
        }
    }

    async fn own_metadata(
        &self,
        delivery: Delivery<Arc<FileRow>>,
    ) -> Result<Delivery<Bytes>, Arc<MirrorError>> {
        let row = match delivery {
            Delivery::Ready(row) => row,
            Delivery::Pending => return Ok(Delivery::Pending),
            Delivery::Unknown => return Ok(Delivery::Unknown),
            Delivery::Denied(row) => return Ok(Delivery::Denied(row)),
        };
        let Some(digest) = row.judged.core_metadata else {
            return Ok(Delivery::Unknown);
        };
        Ok(self
            .catalog()
            .doc(digest)
            .await
            .map_err(arc)?
            .map_or(Delivery::Unknown, Delivery::Ready))
    }

    /// The present row for exactly this content and name.
    async fn settled(&self, wanted: &Wanted) -> Result<Option<Arc<FileRow>>, Arc<MirrorError>> {
        if let Some(denied) = self.denied(&wanted.sha256) {
            return Ok(Some(denied.row));
        }
        Ok(self.row(wanted).await?.filter(|row| !row.is_only_misnamed()))
    }

    async fn row(&self, wanted: &Wanted) -> Result<Option<Arc<FileRow>>, Arc<MirrorError>> {
        let rows = self.catalog().by_digest(wanted.sha256).await.map_err(arc)?;
        let row = rows
            .into_iter()
            .find(|row| row.judged.filename == wanted.filename);
        Ok(row.map(Arc::new))
    }

    /// What is said when nobody offers the file: what was judged of it, if anything was.
    async fn unoffered<T>(&self, wanted: &Wanted) -> Result<Delivery<T>, Arc<MirrorError>> {
        Ok(self
            .row(wanted)
            .await?
            .map_or(Delivery::Unknown, Delivery::Denied))
    }

    /// Who offers the file now.
    async fn offer(&self, wanted: &Wanted) -> Result<Option<Offer>, Arc<MirrorError>> {
        if !self.0.sources.iter().any(|s| s.mode() == Mode::OnDemand) {
            return Ok(None);
        }
        for project in projects_of(&wanted.filename) {
            let found = self.candidate(&project, &wanted.sha256, &wanted.filename).await?;
            if let Some((upstream, candidate)) = found {
                return Ok(Some((project, upstream, candidate)));
            }
        }
        Ok(None)
    }

    /// Pulls a candidate through the gate: one download and one judgment for everybody who waits.
    pub async fn pull(
        &self,
        project: &ProjectName,
        upstream: Upstream,
        candidate: Candidate,
        sha256: Digest,
    ) -> Result<Arc<FileRow>, Arc<MirrorError>> {
        let key = (sha256, candidate.file.filename.clone());
        let what = candidate.file.filename.clone();
        let (mirror, project) = (self.clone(), project.clone());
        let flight = self.0.pulling.join_or_start(key, || async move {
            let gate = mirror.gate();
            // Somebody may have finished between the look-up and the take-off.
            let wanted = Wanted {
                sha256,
                filename: candidate.file.filename.clone(),
            };
            if let Some(row) = mirror.settled(&wanted).await?.filter(|row| is_final(row)) {
                return Ok(row);
            }
            let name = candidate
                .name(&project)
                .map_err(|e| Arc::new(MirrorError::from(e)))?;
            gate.pull(&upstream, &name, &candidate.file)
                .await
                .map(Arc::new)
                .map_err(|e| Arc::new(MirrorError::from(e)))
        });
        flight
            .wait()
            .await
            .map_err(|_| Arc::new(MirrorError::lost(what)))?
    }

    /// Begins the gate for a wheel that will probably be asked for; a few at a time, so that those that
    /// are asked for come first.
    fn judge_ahead(&self, project: ProjectName, upstream: Upstream, candidate: Candidate, sha256: Digest) {
        let mirror = self.clone();
        tokio::spawn(async move {
            let Ok(_permit) = mirror.0.ahead.clone().acquire_owned().await else {
                return;
            };
            let filename = candidate.file.filename.clone();
            if let Err(error) = mirror.pull(&project, upstream, candidate, sha256).await {
                tracing::debug!(%filename, %error, "judging ahead failed; the download will try again");
            }
        });
    }

    /// What came for a wish: upstream may have delivered other bytes than it promised.
    fn met(&self, wanted: &Wanted, row: Arc<FileRow>) -> Delivery<Arc<FileRow>> {
        if row.judged.sha256 == wanted.sha256 && !row.is_only_misnamed() {
            return delivered(row);
        }
        let denied = Denied {
            row: Arc::clone(&row),
            since: Instant::now(),
        };
        self.0.denied.insert(wanted.sha256, denied);
        Delivery::Denied(row)
    }
}

fn delivered(row: Arc<FileRow>) -> Delivery<Arc<FileRow>> {
    match row.state {
        FileState::Admitted => Delivery::Ready(row),
        FileState::Quarantined | FileState::Refused | FileState::Revoked => Delivery::Denied(row),
    }
}

/// Whether judging again could not come to another end, or is not ours to do: a person revoked it, or the
/// bytes themselves are bad. What waits in quarantine may have become good.
fn is_final(row: &FileRow) -> bool {
    row.state != FileState::Quarantined
}

/// The projects a filename may belong to: a wheel's is certain, an sdist of old may have dashes in both
/// its name and its version.
fn projects_of(filename: &str) -> Vec<ProjectName> {
    let certain = DistributionFilename::parse(filename).ok();
    if let Some(name) = certain.as_ref().filter(|name| name.wheel().is_some()) {
        return vec![name.project().clone()];
    }
    let mut projects: Vec<_> = certain.iter().map(|name| name.project().clone()).collect();
    for (at, _) in filename.match_indices('-').take(8) {
        if let Some(Ok(project)) = filename.get(..at).map(ProjectName::parse)
            && !projects.contains(&project)
            && DistributionFilename::parse_for(filename, &project).is_ok()
        {
            projects.push(project);
        }
    }
    projects
}

fn arc(error: impl Into<MirrorError>) -> Arc<MirrorError> {
    Arc::new(error.into())
}

fn is_ranges_unsupported(error: &MirrorError) -> bool {
    matches!(
        error,
        MirrorError::Upstream(UpstreamError::RangesUnsupported { .. })
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_old_sdist_may_belong_to_several_projects() {
        let names: Vec<_> = projects_of("zope-interface-4.0-dev.tar.gz")
            .iter()
            .map(ToString::to_string)
            .collect();
        assert!(names.contains(&"zope-interface".to_owned()), "{names:?}");
    }

    #[test]
    fn a_wheel_belongs_to_one() {
        let names = projects_of("Foo_Bar-1.0-py3-none-any.whl");
        assert_eq!(names, [ProjectName::parse("foo-bar").unwrap()]);
    }
}
