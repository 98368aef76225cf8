//! The two files of a rebuild: the wheel that was published and the source that it claims to come from.

use std::io::Write as _;

use bytes::Bytes;
use chiron_storage::Digest;

use super::RebuildError;
use super::driver::Modes;
use crate::blocking::{self, Lost};
use crate::package::DistributionFilename;
use crate::verify::{ArchiveLimits, ContentEntry, Contents, Outcome, structure};

/// A published wheel that passed the structure check.
#[derive(Debug, Clone)]
pub struct Wheel {
    pub(super) name: DistributionFilename,
    pub(super) sha256: Digest,
    pub(super) bytes: Bytes,
    pub(super) contents: Contents,
}

/// A source distribution that passed the structure check.
#[derive(Debug, Clone)]
pub struct Sdist {
    pub(super) name: DistributionFilename,
    pub(super) sha256: Digest,
    pub(super) bytes: Bytes,
}

impl Wheel {
    /// Checks the structure of a wheel's bytes and keeps what a rebuild needs to know of it.
    pub async fn read(
        name: DistributionFilename,
        bytes: Bytes,
        limits: &ArchiveLimits,
    ) -> Result<Self, RebuildError> {
        let contents = check(&name, &bytes, limits).await?;
        let contents = contents.ok_or_else(|| RebuildError::AtHand {
            what: name.raw().to_owned(),
            why: "it is not a wheel".to_owned(),
        })?;
        Ok(Self {
            sha256: Digest::of(&bytes),
            name,
            bytes,
            contents,
        })
    }

    /// Its name.
    pub fn name(&self) -> &DistributionFilename {
        &self.name
    }

    /// How the publisher's files were permitted: whoever unpacks a source keeps or drops the group's right to write.
    pub(super) fn modes(&self) -> Modes {
        // RECORD is written by the tool, with a mode of its own (0664 by `wheel`), whatever the files have.
        let writable = |entry: &ContentEntry| entry.mode & 0o020 != 0 && !entry.name.ends_with("/RECORD");
        if self.contents.entries.iter().any(writable) {
            Modes::Kept
        } else {
            Modes::Usual
        }
    }
}

impl Sdist {
    /// Checks the structure of a source's bytes.
    pub async fn read(
        name: DistributionFilename,
        bytes: Bytes,
        limits: &ArchiveLimits,
    ) -> Result<Self, RebuildError> {
        check(&name, &bytes, limits).await?;
        Ok(Self {
            sha256: Digest::of(&bytes),
            name,
            bytes,
        })
    }

    /// Its name.
    pub fn name(&self) -> &DistributionFilename {
        &self.name
    }
}

async fn check(
    name: &DistributionFilename,
    bytes: &Bytes,
    limits: &ArchiveLimits,
) -> Result<Option<Contents>, RebuildError> {
    let (checked, bytes, limits) = (name.clone(), bytes.clone(), limits.clone());
    let found = blocking::run(move || {
        let mut file = tempfile::tempfile()?;
        file.write_all(&bytes)?;
        Ok::<_, std::io::Error>(structure(&file, bytes.len() as u64, &checked, &limits))
    })
    .await
    .map_err(|Lost| RebuildError::Lost)??;
    if found.outcome == Outcome::Pass {
        Ok(found.contents)
    } else {
        Err(RebuildError::AtHand {
            what: name.raw().to_owned(),
            why: found.summary,
        })
    }
}
