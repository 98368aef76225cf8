//! Where build dependencies come from: Chiron's own index, as it was when the release was published. Each one passes the
//! gate before it is used.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use chiron_storage::Digest;
use jiff::Timestamp;

use super::Python;
use super::choice::{Listing, fitting};
use crate::catalog::{FileRow, FileState};
use crate::index::Candidate;
use crate::mirror::{Asked, Mirror};
use crate::package::metadata::CoreMetadata;
use crate::package::{DistributionFilename, ProjectName, Specifiers};
use crate::upstream::Upstream;

/// Largest wheel of a build environment, bytes. Threat: a "dependency" that fills the sandbox.
const MAX_WHEEL: u64 = 64 << 20;

/// A wheel that could be taken.
#[derive(Debug, Clone)]
struct Offer {
    listing: Listing,
    sha256: Digest,
    from: From,
}

#[derive(Debug, Clone)]
enum From {
    Upstream(Upstream, Box<Candidate>),
    Here(Box<FileRow>),
}

/// A wheel of the environment.
#[derive(Debug, Clone)]
pub(super) struct Taken {
    pub(super) name: DistributionFilename,
    pub(super) sha256: Digest,
    pub(super) bytes: Bytes,
    pub(super) requires: Vec<String>,
}

/// The index as of a time.
pub(super) struct Shelf {
    mirror: Mirror,
    python: Python,
    as_of: Option<Timestamp>,
    offers: HashMap<ProjectName, Arc<Vec<Offer>>>,
    taken: HashMap<Digest, Result<Taken, String>>,
}

impl Shelf {
    pub(super) fn new(mirror: Mirror, python: Python, as_of: Option<Timestamp>) -> Self {
        Self {
            mirror,
            python,
            as_of,
            offers: HashMap::new(),
            taken: HashMap::new(),
        }
    }

    /// The newest release that meets all specifiers, was there at the time, runs here, and passes the gate.
    pub(super) async fn take(
        &mut self,
        project: &ProjectName,
        specifiers: &[Specifiers],
    ) -> Result<Taken, String> {
        let offers = self.offers_of(project).await?;
        let listings: Vec<&Listing> = offers.iter().map(|offer| &offer.listing).collect();
        let fitting = fitting(&listings, specifiers, self.as_of, &self.python);
        if fitting.is_empty() {
            let wanted: Vec<String> = specifiers
                .iter()
                .map(ToString::to_string)
                .filter(|s| !s.is_empty())
                .collect();
            let when = self
                .as_of
                .map_or_else(String::new, |time| format!(" as of {time}"));
            return Err(format!(
                "no wheel of {project} {} runs on Python {}{when}",
                wanted.join(","),
                self.python.version
            ));
        }
        let mut why = String::new();
        // One that the gate holds back is passed over for an older one, but not many: a project that the gate holds back
        // as a whole is no build dependency.
        for at in fitting.into_iter().take(3) {
            match self.bring(project, &offers[at]).await {
                Ok(taken) => return Ok(taken),
                Err(error) => why = error,
            }
        }
        Err(why)
    }

    async fn offers_of(&mut self, project: &ProjectName) -> Result<Arc<Vec<Offer>>, String> {
        if let Some(offers) = self.offers.get(project) {
            return Ok(Arc::clone(offers));
        }
        let offers = match self.mirror.ask_for_ingest(project).await {
            Asked::Known(known) => {
                let upstream = known.source.get().await.map_err(|error| error.to_string())?;
                known
                    .candidates
                    .files()
                    .iter()
                    .filter(|candidate| candidate.is_wheel())
                    .filter_map(|candidate| Offer::of_upstream(project, upstream, candidate))
                    .collect()
            }
            // Owned, or no upstream: what this site has.
            Asked::Nothing | Asked::Down(_) => self.here(project).await?,
            Asked::Lost => return Err(format!("asking for {project} broke off")),
        };
        let offers = Arc::new(offers);
        self.offers.insert(project.clone(), Arc::clone(&offers));
        Ok(offers)
    }

    async fn here(&self, project: &ProjectName) -> Result<Vec<Offer>, String> {
        let snapshot = self
            .mirror
            .catalog()
            .project(project, None)
            .await
            .map_err(|error| error.to_string())?;
        let rows = snapshot.map_or_else(Vec::new, |snapshot| snapshot.files);
        Ok(rows.into_iter().filter_map(Offer::of_row).collect())
    }

    /// Brings a wheel in through the gate and reads it.
    async fn bring(&mut self, project: &ProjectName, offer: &Offer) -> Result<Taken, String> {
        if let Some(known) = self.taken.get(&offer.sha256) {
            return known.clone();
        }
        let taken = self.bring_now(project, offer).await;
        self.taken.insert(offer.sha256, taken.clone());
        taken
    }

    async fn bring_now(&self, project: &ProjectName, offer: &Offer) -> Result<Taken, String> {
        let failed = |why: String| format!("{}: {why}", offer.listing.name);
        let row = match &offer.from {
            From::Here(row) => (**row).clone(),
            From::Upstream(upstream, candidate) => {
                let pulled = self
                    .mirror
                    .pull(project, upstream.clone(), (**candidate).clone(), offer.sha256)
                    .await
                    .map_err(|error| failed(error.to_string()))?;
                (*pulled).clone()
            }
        };
        if row.judged.sha256 != offer.sha256 {
            return Err(failed("upstream sent other bytes than it promises".to_owned()));
        }
        may_build(&row).map_err(failed)?;
        let gate = self.mirror.gate();
        let bytes = gate
            .blobs
            .read(&offer.sha256, MAX_WHEEL)
            .await
            .map_err(|error| failed(error.to_string()))?;
        let requires = match row.judged.core_metadata {
            Some(digest) => {
                let document = self
                    .mirror
                    .catalog()
                    .doc(digest)
                    .await
                    .map_err(|error| failed(error.to_string()))?;
                let document =
                    document.ok_or_else(|| failed("its metadata is not in the catalogue".to_owned()))?;
                CoreMetadata::parse(&document)
                    .map_err(|error| failed(error.to_string()))?
                    .requires_dist
            }
            None => return Err(failed("it has no metadata".to_owned())),
        };
        Ok(Taken {
            name: offer.listing.name.clone(),
            sha256: offer.sha256,
            bytes,
            requires,
        })
    }
}

/// Whether a judged wheel may be part of a build environment. What is built with it stays in the sandbox and is thrown
/// away, so one that only waits may (hatchling is built with hatchling), and one that somebody should not deploy (an old
/// setuptools with a known hole built half of the wheels there are). One that may not be what its publisher made may not.
fn may_build(row: &FileRow) -> Result<(), String> {
    let held_back = || {
        let reasons: Vec<String> = row.judged.reasons.iter().map(ToString::to_string).collect();
        format!("it is {} ({})", row.state.as_str(), reasons.join("; "))
    };
    let harmless = match row.state {
        FileState::Admitted => true,
        FileState::Quarantined => row.judged.reasons.iter().all(|reason| {
            let code = reason.code.as_str();
            match reason.check.as_str() {
                "reproducibility" => true,
                "advisories" => code != "malware",
                "signature" | "sbom" => ["absent", "could-not-check"].contains(&code),
                "policy" => ["too-young", "yanked", "licence-denied", "licence-unknown"].contains(&code),
                _ => false,
            }
        }),
        FileState::Refused | FileState::Revoked => false,
    };
    if harmless { Ok(()) } else { Err(held_back()) }
}

impl Offer {
    fn of_upstream(project: &ProjectName, upstream: &Upstream, candidate: &Candidate) -> Option<Self> {
        Some(Self {
            listing: Listing {
                name: candidate.name(project).ok()?,
                uploaded: time_of(candidate.file.upload_time.as_deref()),
                requires_python: candidate.file.requires_python.clone(),
                yanked: candidate.file.yanked.is_some(),
            },
            sha256: candidate.sha256,
            from: From::Upstream(upstream.clone(), Box::new(candidate.clone())),
        })
    }

    fn of_row(row: FileRow) -> Option<Self> {
        if matches!(row.state, FileState::Refused | FileState::Revoked) {
            return None;
        }
        let name = DistributionFilename::parse_for(&row.judged.filename, &row.judged.project).ok()?;
        name.wheel()?;
        Some(Self {
            listing: Listing {
                name,
                uploaded: time_of(row.judged.upload_time.as_deref()),
                requires_python: row.judged.requires_python.clone(),
                yanked: row.yanked.is_some(),
            },
            sha256: row.judged.sha256,
            from: From::Here(Box::new(row)),
        })
    }
}

fn time_of(text: Option<&str>) -> Option<Timestamp> {
    text?.parse().ok()
}
