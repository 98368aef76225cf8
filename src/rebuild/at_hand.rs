//! Rebuilding a file at hand, for `chiron verify --rebuild`.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chiron_storage::Digest;
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::stored::upload_time;
use super::{RebuildError, Rebuilder, Sdist, Wheel};
use crate::blocking::{self, Lost};
use crate::catalog::{FileRow, FileState};
use crate::index::Candidate;
use crate::mirror::{Asked, Known};
use crate::package::{DistKind, DistributionFilename};
use crate::verify::reproducibility::Rebuilt;

/// How long an upstream is asked for a time that only helps.
const PATIENCE: Duration = Duration::from_secs(10);

impl Rebuilder {
    /// Rebuilds a wheel at hand. Without a `source` at hand, upstream's page of the project names it; `as_of`: as that page
    /// says, unless given.
    pub async fn at_hand(
        &self,
        wheel: &Path,
        source: Option<&Path>,
        as_of: Option<Timestamp>,
        cancel: &CancellationToken,
    ) -> Result<Rebuilt, RebuildError> {
        self.sandbox().map_err(Clone::clone)?;
        let limits = &self.0.mirror.gate().setup.archive;
        let name = name_of(wheel)?;
        let published = Wheel::read(name.clone(), self.read(wheel).await?, limits).await?;
        let (sdist, uploaded) = match source {
            Some(path) => {
                let sdist = Sdist::read(name_of(path)?, self.read(path).await?, limits).await?;
                let uploaded = match as_of {
                    None => self.uploaded(&name, published.sha256).await,
                    given => given,
                };
                (sdist, uploaded)
            }
            None => self.source_upstream(&name).await?,
        };
        if sdist.name.project() != name.project() || sdist.name.version() != name.version() {
            return Err(RebuildError::AtHand {
                what: sdist.name.raw().to_owned(),
                why: format!("it is not a source of {} {}", name.project(), name.version()),
            });
        }
        self.rebuild(&published, &sdist, as_of.or(uploaded), cancel).await
    }

    /// Rebuilds a wheel that upstream lists: brings it and its source in through the gate first. Gives the
    /// wheel's row too.
    pub async fn listed(
        &self,
        name: &DistributionFilename,
        sha256: Digest,
        cancel: &CancellationToken,
    ) -> Result<(FileRow, Rebuilt), RebuildError> {
        self.sandbox().map_err(Clone::clone)?;
        let at_hand = |why: &str| not_at_hand(name, why);
        let known = self.page_of(name).await?;
        let known = known.ok_or_else(|| at_hand("no upstream has the project"))?;
        let candidate = known
            .candidates
            .find(&sha256, name.raw())
            .ok_or_else(|| at_hand("upstream does not list it with this content"))?;
        let row = self.brought_in(name, &known, candidate, "it").await?;
        let limits = &self.0.mirror.gate().setup.archive;
        let wheel = Wheel::read(name.clone(), self.blob(&row).await?, limits).await?;
        let (sdist, uploaded) = self.source_upstream(name).await?;
        let rebuilt = self.rebuild(&wheel, &sdist, uploaded, cancel).await?;
        Ok(((*row).clone(), rebuilt))
    }

    /// When upstream published this very content, as far as that can be asked in a moment. Without it the build environment
    /// is that of today.
    async fn uploaded(&self, name: &DistributionFilename, sha256: Digest) -> Option<Timestamp> {
        let asking = self.0.mirror.ask_for_ingest(name.project());
        let Ok(Asked::Known(known)) = tokio::time::timeout(PATIENCE, asking).await else {
            return None;
        };
        let candidate = known.candidates.find(&sha256, name.raw())?;
        candidate.file.upload_time.as_deref()?.parse().ok()
    }

    /// What upstream lists of the project of a wheel; `None`: no upstream has it.
    async fn page_of(&self, wheel: &DistributionFilename) -> Result<Option<Arc<Known>>, RebuildError> {
        match self.0.mirror.ask_for_ingest(wheel.project()).await {
            Asked::Known(known) => Ok(Some(known)),
            Asked::Nothing => Ok(None),
            Asked::Down(error) => Err(not_at_hand(wheel, &error.to_string())),
            Asked::Lost => Err(RebuildError::Lost),
        }
    }

    /// Brings a listed file of the wheel's project in through the gate; `what` it is, should the gate say no.
    async fn brought_in(
        &self,
        wheel: &DistributionFilename,
        known: &Known,
        candidate: &Candidate,
        what: &str,
    ) -> Result<Arc<FileRow>, RebuildError> {
        let upstream = known
            .source
            .get()
            .await
            .map_err(|error| not_at_hand(wheel, &error.to_string()))?;
        let sha256 = candidate.sha256;
        let row = self
            .0
            .mirror
            .pull(wheel.project(), upstream.clone(), candidate.clone(), sha256)
            .await
            .map_err(|error| not_at_hand(wheel, &error.to_string()))?;
        if row.judged.sha256 != sha256 || matches!(row.state, FileState::Refused | FileState::Revoked) {
            return Err(not_at_hand(wheel, &format!("{what} is {}", row.state.as_str())));
        }
        Ok(row)
    }

    /// The source of the same release as upstream lists it, after the gate, and when the wheel was published.
    async fn source_upstream(
        &self,
        wheel: &DistributionFilename,
    ) -> Result<(Sdist, Option<Timestamp>), RebuildError> {
        let at_hand = |why: &str| not_at_hand(wheel, why);
        let known = self.page_of(wheel).await?;
        let known = known.ok_or_else(|| at_hand("no upstream has the project; give the source by hand"))?;
        let mut uploaded = None;
        let mut found = None;
        for candidate in known.candidates.files() {
            if candidate.file.filename == wheel.raw() {
                uploaded = candidate
                    .file
                    .upload_time
                    .as_deref()
                    .and_then(|time| time.parse().ok());
            }
            if found.is_none()
                && !candidate.is_wheel()
                && let Ok(name) = candidate.name(wheel.project())
                && name.kind() == DistKind::Sdist
                && name.version() == wheel.version()
            {
                found = Some((name, candidate));
            }
        }
        let (name, candidate) =
            found.ok_or_else(|| at_hand("upstream has no source of this release; give it by hand"))?;
        let row = self
            .brought_in(wheel, &known, candidate, &format!("its source {name}"))
            .await?;
        let limits = &self.0.mirror.gate().setup.archive;
        let sdist = Sdist::read(name, self.blob(&row).await?, limits).await?;
        Ok((sdist, uploaded.or_else(|| upload_time(&row))))
    }

    async fn read(&self, path: &Path) -> Result<Bytes, RebuildError> {
        let (path, limit) = (path.to_owned(), self.0.mirror.gate().max_file);
        let what = path.display().to_string();
        let read = blocking::run(move || {
            if std::fs::metadata(&path)?.len() > limit {
                return Err(std::io::Error::other(format!(
                    "it has more than {limit} bytes (limits.file)"
                )));
            }
            std::fs::read(&path).map(Bytes::from)
        });
        read.await
            .map_err(|Lost| RebuildError::Lost)?
            .map_err(|error| RebuildError::AtHand {
                what,
                why: error.to_string(),
            })
    }
}

/// Why a wheel, or what belongs to it, could not be brought in.
fn not_at_hand(wheel: &DistributionFilename, why: &str) -> RebuildError {
    RebuildError::AtHand {
        what: wheel.raw().to_owned(),
        why: why.to_owned(),
    }
}

fn name_of(path: &Path) -> Result<DistributionFilename, RebuildError> {
    let text = path
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default();
    DistributionFilename::parse(text).map_err(|error| RebuildError::AtHand {
        what: path.display().to_string(),
        why: error.to_string(),
    })
}
