//! Bringing a file, or only its core metadata, in on demand. Nothing of a file's body leaves before its verdict.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use chiron_storage::Digest;
use jiff::Timestamp;

use super::{Denied, Mirror, MirrorError};
use crate::catalog::{FileRow, FileState, Origin, Waits};
use crate::index::Candidate;
use crate::ingest::{Again, Attachments, Claims};
use crate::package::{DistributionFilename, ProjectName};
use crate::telemetry::Queue;
use crate::upstream::{Mode, Upstream, UpstreamError};
use crate::verify::{CheckName, Outcome};

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
    /// A file that may be served, after the gate. What is missing for its verdict (a rebuild, something of upstream's)
    /// is waited for, within bounds.
    pub async fn file(&self, wanted: &Wanted) -> Result<Delivery<Arc<FileRow>>, Arc<MirrorError>> {
        let until = tokio::time::Instant::now() + self.0.limits.verdict_wait;
        // Before the first look: whatever happens after it rings.
        let mut changes = self.catalog().changes();
        let mut asked_again = false;
        loop {
            changes.borrow_and_update();
            let delivery = self.file_now(wanted, until, &mut asked_again).await?;
            if !matches!(delivery, Delivery::Pending) {
                return Ok(delivery);
            }
            let settled = self.settled(wanted).await?;
            if settled.is_some_and(|row| row.waits() == Some(Waits::Upstream)) {
                // Upstream was asked just now, and nothing that happens here will make it answer.
                return Ok(Delivery::Pending);
            }
            let _waiting = self.gate().metrics.enqueue(Queue::Verdict);
            match tokio::time::timeout_at(until, changes.changed()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) | Err(_) => return Ok(Delivery::Pending),
            }
        }
    }

    /// `asked_again`: upstream and the policy were asked anew for this wish already.
    async fn file_now(
        &self,
        wanted: &Wanted,
        until: tokio::time::Instant,
        asked_again: &mut bool,
    ) -> Result<Delivery<Arc<FileRow>>, Arc<MirrorError>> {
        let settled = self.settled(wanted).await?;
        if let Some(row) = &settled
            && (*asked_again || self.is_settled(row).await)
        {
            return Ok(delivered(Arc::clone(row)));
        }
        *asked_again = true;
        let Some((project, upstream, candidate)) = self.offer(wanted).await? else {
            return match settled {
                Some(row) => Ok(delivered(self.once_more(row).await?)),
                None => self.unoffered(wanted).await,
            };
        };
        let _waiting = self.gate().metrics.enqueue(Queue::Verdict);
        let pulled = tokio::time::timeout_at(until, self.pull(&project, upstream, candidate, wanted.sha256));
        match pulled.await {
            Err(_) => Ok(Delivery::Pending),
            Ok(row) => Ok(self.met(wanted, row?)),
        }
    }

    /// Whether asking again now could not come to another end.
    async fn is_settled(&self, row: &FileRow) -> bool {
        match row.waits() {
            Some(Waits::Rebuild) => true,
            Some(Waits::Upstream) => false,
            Some(Waits::Age) => !self.is_old_enough(row),
            None => row.state == FileState::Quarantined || self.is_final(row).await,
        }
    }

    fn is_old_enough(&self, row: &FileRow) -> bool {
        let Some(age) = self.gate().policy().minimum_age() else {
            return true;
        };
        let uploaded = row
            .judged
            .upload_time
            .as_deref()
            .and_then(|text| text.parse().ok());
        let due = age.due(uploaded, Some(row.first_seen.unwrap_or(row.at)));
        due.is_some_and(|due| due <= Timestamp::now())
    }

    /// A row that nobody offers any more, judged again by what is here.
    async fn once_more(&self, row: Arc<FileRow>) -> Result<Arc<FileRow>, Arc<MirrorError>> {
        let name = DistributionFilename::parse_for(&row.judged.filename, &row.judged.project);
        let how = match name {
            // Handed in while upstream could not be asked for its source.
            Ok(name) if row.waits() == Some(Waits::Upstream) && row.judged.origin == Origin::File => {
                let source = self.source_for(&name).await;
                Again::Attached(Attachments {
                    source,
                    ..Attachments::default()
                })
            }
            _ => Again::Circumstances,
        };
        let again = self.gate().again(&row, how).await;
        Ok(Arc::new(again.map_err(arc)?.row))
    }

    /// A wheel's core metadata (PEP 658), if need be before the wheel is judged. The gate for the wheel
    /// begins at the same time: who asks for the metadata will often ask for the file.
    pub async fn metadata(&self, wanted: &Wanted) -> Result<Delivery<Bytes>, Arc<MirrorError>> {
        if let Some(row) = self.settled(wanted).await? {
            return self.own_metadata(with_metadata(row)).await;
        }
        let Some((project, upstream, candidate)) = self.offer(wanted).await? else {
            return self.own_metadata(self.unoffered(wanted).await?).await;
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
            Ok(row) => {
                let row = row?;
                let met = match self.met(wanted, Arc::clone(&row)) {
                    Delivery::Pending => with_metadata(row),
                    met => met,
                };
                self.own_metadata(met).await
            }
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
    pub(super) async fn settled(&self, wanted: &Wanted) -> Result<Option<Arc<FileRow>>, Arc<MirrorError>> {
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

    /// What is said when nobody offers the file: what was judged of it, if anything was. It may have come in another way
    /// since it was first looked for: a bundle, a person.
    pub(super) async fn unoffered(
        &self,
        wanted: &Wanted,
    ) -> Result<Delivery<Arc<FileRow>>, Arc<MirrorError>> {
        Ok(self.row(wanted).await?.map_or(Delivery::Unknown, delivered))
    }

    /// Who offers the file now.
    pub(super) async fn offer(&self, wanted: &Wanted) -> Result<Option<Offer>, Arc<MirrorError>> {
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

    /// Pulls a candidate through the gate: one download and one judgment for everybody who waits. What belongs to it
    /// comes along: the sdist of its release, and its provenance.
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
            let settled = mirror.settled(&wanted).await?;
            if let Some(row) = &settled
                && mirror.is_final(row).await
            {
                return Ok(Arc::clone(row));
            }
            let name = candidate
                .name(&project)
                .map_err(|e| Arc::new(MirrorError::from(e)))?;
            // The bytes are here: only what was missing, and what may have changed, is asked for.
            if let Some(row) = settled.filter(|row| is_good_to_judge(row)) {
                let attachments = mirror.attachments(&upstream, &name, &candidate).await;
                let again = gate.again(&row, Again::Attached(attachments)).await;
                return Ok(Arc::new(again.map_err(arc)?.row));
            }
            let (staged, attachments) = tokio::join!(
                gate.fetch(&upstream, &candidate.file),
                mirror.attachments(&upstream, &name, &candidate)
            );
            let claims = Claims::of_page(&candidate.file, upstream.name());
            let judged = gate.judge(staged.map_err(arc)?, &name, &claims, attachments);
            judged.await.map(Arc::new).map_err(arc)
        });
        flight
            .wait()
            .await
            .map_err(|_| Arc::new(MirrorError::lost(what)))?
    }

    /// Whether judging again could not come to another end, or is not ours to do: a person revoked it, or the bytes
    /// themselves are bad. What waits in quarantine may have become good; what was refused, under other rules, with
    /// another advisory database or with a waiver, too.
    async fn is_final(&self, row: &FileRow) -> bool {
        match row.state {
            FileState::Admitted => true,
            FileState::Revoked => row.waits() != Some(Waits::Upstream),
            FileState::Quarantined => row.waits() == Some(Waits::Rebuild),
            FileState::Refused => {
                let found = &row.judged.found;
                let database = self.gate().advisories.reference().await.map(|known| known.digest);
                !row.reconsider
                    && found.policy == Some(self.gate().policy().digest())
                    && found.advisories == database
            }
        }
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
        _ if passes_soon(&row) => Delivery::Pending,
        FileState::Quarantined | FileState::Refused | FileState::Revoked => Delivery::Denied(row),
    }
}

/// An installer may read the metadata of a wheel whose verdict is not out yet: it is the wheel's own, and the wheel
/// itself is not sent before the verdict.
fn with_metadata(row: Arc<FileRow>) -> Delivery<Arc<FileRow>> {
    if passes_soon(&row) {
        Delivery::Ready(row)
    } else {
        delivered(row)
    }
}

/// Not a denial: the verdict waits for work of ours, or for upstream.
fn passes_soon(row: &FileRow) -> bool {
    matches!(row.waits(), Some(Waits::Rebuild | Waits::Upstream))
}

/// Whether the stored bytes will do: they were compared with what upstream promises, and are what they should be.
fn is_good_to_judge(row: &FileRow) -> bool {
    let passed = |check| row.judged.found.outcome(check) == Some(Outcome::Pass);
    row.is_stored() && passed(CheckName::Structure) && passed(CheckName::Hashes)
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
