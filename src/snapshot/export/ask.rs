//! A request made whole: what goes out, over which base, in which shape.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use chiron_storage::Digest;
use jiff::Timestamp;

use super::ExportError;
use super::fill::{self, Named};
use super::receipt::{self, Receipt};
use crate::api::ExportRequest;
use crate::blocking;
use crate::bundle::volume::Shape;
use crate::bundle::{Scope, SnapshotId, limits};
use crate::catalog::Catalog;

/// What of the log goes out.
#[derive(Debug)]
pub(super) enum What {
    /// All of it from the base on.
    Interval,
    /// What requirements mean.
    Selection,
    /// What a receiver named.
    Fill(Vec<Named>),
}

impl What {
    pub fn scope(&self) -> Scope {
        match self {
            Self::Interval => Scope::Interval,
            Self::Selection => Scope::Selection,
            Self::Fill(_) => Scope::Fill,
        }
    }
}

/// The state that the receiver has.
#[derive(Debug)]
pub(super) struct Had {
    /// Entries.
    pub size: u64,
    /// Root hash at that size.
    pub root: Digest,
}

/// A request, checked.
#[derive(Debug)]
pub(super) struct Ask {
    pub what: What,
    /// `None`: nothing.
    pub had: Option<Had>,
    /// What the receipt shows, also when nothing of the log was seen without a gap.
    pub receipt: Option<Receipt>,
    pub shape: Shape,
    /// The folder, or what the volumes' names begin with.
    pub place: PathBuf,
}

impl Ask {
    /// Reads what the request names and holds it against the log.
    pub async fn of(request: &ExportRequest, catalog: &Catalog) -> Result<Self, ExportError> {
        let (place, shape) = place_of(request)?;
        let bases = [
            request.since.is_some(),
            request.against.is_some(),
            request.fill.is_some(),
        ];
        if bases.iter().filter(|given| **given).count() > 1 {
            return Err(asked("only one of since, against and fill can be given"));
        }
        if request.fill.is_some() && !request.items.is_empty() {
            return Err(asked(
                "a fill list names its files itself: no requirements go with it",
            ));
        }
        if request.delta && request.against.is_none() {
            return Err(asked(
                "differences are made from files that are at the other side for sure: name its receipt (against)",
            ));
        }
        let mut ask = Self {
            what: if request.items.is_empty() {
                What::Interval
            } else {
                What::Selection
            },
            had: None,
            receipt: None,
            shape,
            place,
        };
        let mut since = request.since.clone();
        if let Some(path) = request.fill.clone() {
            let list = blocking::run(move || fill::read(&path)).await;
            let list = list.map_err(|_| ExportError::Lost)??;
            since = list.since;
            ask.what = What::Fill(list.named);
        }
        if let Some(path) = request.against.clone() {
            let read = blocking::run(move || receipt::read(&path)).await;
            let receipt = read.map_err(|_| ExportError::Lost)??;
            receipt.check(catalog).await?;
            // A selection only needs to follow from what was seen; an interval must leave no gap.
            let state = match ask.what {
                What::Interval => receipt.statement.complete,
                What::Selection | What::Fill(_) => receipt.statement.seen,
            };
            ask.had = (state.size > 0).then_some(Had {
                size: state.size,
                root: state.root,
            });
            ask.receipt = Some(receipt);
        } else if let Some(text) = since {
            ask.had = had_at(&text, catalog).await?;
        }
        Ok(ask)
    }

    /// Tells this request from another one: with what the files said that it names.
    pub fn fingerprint(&self, request: &ExportRequest) -> Result<Digest, ExportError> {
        let receipt = self.receipt.as_ref().map(|receipt| receipt.digest);
        let named = match &self.what {
            What::Fill(named) => named.iter().map(ToString::to_string).collect(),
            What::Interval | What::Selection => Vec::new(),
        };
        let had = self.had.as_ref().map(|had| had.size);
        let whole = serde_json::to_vec(&(request, receipt, named, had));
        Ok(Digest::of(
            &whole.map_err(|error| ExportError::Asked(error.to_string()))?,
        ))
    }

    /// `OUT.partial`.
    pub fn work_place(&self) -> PathBuf {
        beside(&self.place, ".partial")
    }
}

/// A path whose last part goes on with `end`.
pub(super) fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = path.file_name().map(OsString::from).unwrap_or_default();
    name.push(end);
    path.with_file_name(name)
}

fn asked(why: &str) -> ExportError {
    ExportError::Asked(why.to_owned())
}

fn place_of(request: &ExportRequest) -> Result<(PathBuf, Shape), ExportError> {
    let out = &request.out;
    if !out.is_absolute() || out.file_name().is_none() {
        return Err(ExportError::Asked(format!(
            "{} is no absolute path of something that could be made",
            out.display()
        )));
    }
    let tar = out.extension().is_some_and(|end| end == "tar");
    let place = if tar { out.with_extension("") } else { out.clone() };
    if !tar && request.volume_size.is_none() {
        return Ok((place, Shape::Folder));
    }
    let volume_bytes = request.volume_size.unwrap_or(limits::DEFAULT_VOLUME_BYTES);
    if volume_bytes < limits::MIN_VOLUME_BYTES {
        return Err(ExportError::Asked(format!(
            "a volume has {} bytes at least",
            limits::MIN_VOLUME_BYTES
        )));
    }
    Ok((place, Shape::Tar { volume_bytes }))
}

/// A snapshot's id, a size of the log, or a time. `None`: the empty log.
async fn had_at(text: &str, catalog: &Catalog) -> Result<Option<Had>, ExportError> {
    let log = catalog.log();
    let has = log.size().await.map_err(crate::catalog::CatalogError::from)?;
    let id = text.parse::<SnapshotId>().ok();
    let size = if let Some(id) = id {
        id.size()
    } else if let Ok(size) = text.parse::<u64>() {
        size
    } else if let Ok(time) = text.parse::<Timestamp>() {
        catalog.size_at(time).await?
    } else {
        return Err(ExportError::Asked(format!(
            "{text:?} is neither a snapshot (1234-ab12cd34ef56), a size of the log, nor a time (2026-11-20T12:00:00Z)"
        )));
    };
    let foreign = |why: String| ExportError::Foreign {
        what: format!("the snapshot {text}"),
        why,
    };
    if size > has {
        return Err(foreign(format!("the log has {has} entries")));
    }
    let root = log.root(size).await.map_err(crate::catalog::CatalogError::from)?;
    if id.is_some_and(|id| !id.is_of(&root)) {
        return Err(foreign(format!(
            "here that size is {}",
            SnapshotId::new(size, &root)
        )));
    }
    Ok((size > 0).then_some(Had { size, root }))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn request(out: &str, volume_size: Option<u64>) -> ExportRequest {
        ExportRequest {
            out: out.into(),
            volume_size,
            ..ExportRequest::default()
        }
    }

    #[test]
    fn the_name_says_the_shape() {
        let (place, shape) = place_of(&request("/x/b", None)).unwrap();
        assert_eq!((place, shape), (PathBuf::from("/x/b"), Shape::Folder));
        let (place, shape) = place_of(&request("/x/b.tar", None)).unwrap();
        let volume_bytes = limits::DEFAULT_VOLUME_BYTES;
        assert_eq!(
            (place, shape),
            (PathBuf::from("/x/b"), Shape::Tar { volume_bytes })
        );
        let (place, shape) = place_of(&request("/x/b.v1", Some(1 << 30))).unwrap();
        let volume_bytes = 1 << 30;
        assert_eq!(
            (place, shape),
            (PathBuf::from("/x/b.v1"), Shape::Tar { volume_bytes })
        );
        assert!(place_of(&request("b", None)).is_err());
        assert!(place_of(&request("/x/b", Some(5))).is_err());
        assert_eq!(
            beside(Path::new("/x/b.v1"), ".partial"),
            Path::new("/x/b.v1.partial")
        );
    }
}
