//! The files that a bundle's listings name.

use chiron_storage::Digest;

use super::{ImportError, Work};
use crate::bundle::{BundleError, Content, Item};
use crate::catalog::FileRef;
use crate::package::{DistributionFilename, ProjectName};

/// One of them.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    /// In which volume.
    pub volume: u32,
    /// As it travels.
    pub item: Item,
    /// What it is in the end.
    pub file: FileRef,
    /// Its bytes then.
    pub size: u64,
    /// The wheel that it is made from.
    pub base: Option<Digest>,
}

impl Work<'_> {
    /// The files of the volumes at hand, in the bundle's order.
    pub(super) fn wanted(&self) -> Result<Vec<Wanted>, ImportError> {
        let mut wanted = Vec::new();
        for (volume, listing) in &self.head.listings {
            for item in &listing.items {
                wanted.extend(of(*volume, item)?);
            }
        }
        Ok(wanted)
    }
}

fn of(volume: u32, item: &Item) -> Result<Option<Wanted>, ImportError> {
    let (project, filename, sha256, size, base) = match &item.content {
        Content::File { project, filename } => (project, filename, item.digest, item.size, None),
        Content::WheelDelta {
            project,
            filename,
            sha256,
            file_size,
            base,
        } => (project, filename, *sha256, *file_size, Some(*base)),
        _ => return Ok(None),
    };
    let broken = |why: String| BundleError::Damaged {
        what: format!("the listing of volume {volume}"),
        why,
    };
    let name = project
        .parse::<ProjectName>()
        .map_err(|error| broken(error.to_string()))?;
    if name.as_str() != project {
        return Err(broken(format!("{project:?} is not the normalised name of a project")).into());
    }
    // What is no distribution of the project could not be judged as one.
    DistributionFilename::parse_for(filename, &name)
        .map_err(|error| broken(format!("{filename}: {error}")))?;
    Ok(Some(Wanted {
        volume,
        item: item.clone(),
        file: FileRef {
            project: name,
            filename: filename.clone(),
            sha256,
        },
        size,
        base,
    }))
}
