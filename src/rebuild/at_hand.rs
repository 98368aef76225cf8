//! Rebuilding a file at hand, for `chiron verify --rebuild`.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use chiron_storage::Digest;
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::stored::upload_time;
use super::{RebuildError, Rebuilder, Sdist, Wheel};
use crate::blocking::{self, Lost};
use crate::catalog::{FileRow, FileState};
use crate::mirror::Asked;
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
        let mirror = &self.0.mirror;
        let at_hand = |why: String| RebuildError::AtHand {
            what: name.raw().to_owned(),
            why,
        };
        let known = match mirror.ask_for_ingest(name.project()).await {
            Asked::Known(known) => known,
            Asked::Nothing => return Err(at_hand("no upstream has the project".to_owned())),
            Asked::Down(error) => return Err(at_hand(error.to_string())),
            Asked::Lost => return Err(RebuildError::Lost),
        };
        let candidate = known
            .candidates
            .find(&sha256, name.raw())
            .ok_or_else(|| at_hand("upstream does not list it with this content".to_owned()))?;
        let upstream = known
            .source
            .get()
            .await
            .map_err(|error| at_hand(error.to_string()))?;
        let row = mirror
            .pull(name.project(), upstream.clone(), candidate.clone(), sha256)
            .await
            .map_err(|error| at_hand(error.to_string()))?;
        if row.judged.sha256 != sha256 || matches!(row.state, FileState::Refused | FileState::Revoked) {
            return Err(at_hand(format!("it is {}", row.state.as_str())));
        }
        let limits = &mirror.gate().setup.archive;
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

    /// The source of the same release as upstream lists it, after the gate, and when the wheel was published.
    async fn source_upstream(
        &self,
        wheel: &DistributionFilename,
    ) -> Result<(Sdist, Option<Timestamp>), RebuildError> {
        let at_hand = |why: String| RebuildError::AtHand {
            what: wheel.raw().to_owned(),
            why,
        };
        let mirror = &self.0.mirror;
        let known = match mirror.ask_for_ingest(wheel.project()).await {
            Asked::Known(known) => known,
            Asked::Nothing => {
                return Err(at_hand(
                    "no upstream has the project; give the source by hand".to_owned(),
                ));
            }
            Asked::Down(error) => return Err(at_hand(error.to_string())),
            Asked::Lost => return Err(RebuildError::Lost),
        };
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
        let (name, candidate) = found
            .ok_or_else(|| at_hand("upstream has no source of this release; give it by hand".to_owned()))?;
        let upstream = known
            .source
            .get()
            .await
            .map_err(|error| at_hand(error.to_string()))?;
        let row = mirror
            .pull(
                wheel.project(),
                upstream.clone(),
                candidate.clone(),
                candidate.sha256,
            )
            .await
            .map_err(|error| at_hand(error.to_string()))?;
        if row.judged.sha256 != candidate.sha256
            || matches!(row.state, FileState::Refused | FileState::Revoked)
        {
            let why = format!("its source {name} is {}", row.state.as_str());
            return Err(at_hand(why));
        }
        let limits = &mirror.gate().setup.archive;
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
