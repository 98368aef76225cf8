//! What Chiron knows: the log's events and the rows projected from them, and views of both in time.

mod commit;
mod error;
mod event;
mod keys;
mod project;
mod reached;
mod rebuild;
mod record;
mod rejudge;
mod standing;
mod view;
mod waive;

use std::sync::Arc;

use chiron_storage::{Db, Log};
use papaya::HashMap;
use tokio::sync::watch;

pub use commit::{Change, Judgment};
pub use error::CatalogError;
pub use event::{
    Actor, Decided, Entry, Event, FileRef, Found, Judged, KeysChanged, KeysInForce, MAX_DOCUMENTS,
    MAX_REASONS, Origin, Rejudged, Waived,
};
pub use reached::Reached;
pub use record::{
    CachedPage, FAMILIES, FileRow, FileState, LACKS_PROVENANCE, LACKS_SOURCE, ProjectRow, REBUILD_PENDING,
    STORE_CHECK, TOO_YOUNG, Waits, YankMark,
};
pub use rejudge::Rejudgement;
pub use standing::{Mark, Standing};
pub use view::{Counts, ProjectSnapshot};

use crate::package::ProjectName;

/// The catalogue and the log under it. Cheap to clone.
#[derive(Clone)]
pub struct Catalog {
    db: Db,
    log: Log,
    /// For each project touched since the start, the size of the log after its last event: a reader
    /// that kept a rendering compares one number to know whether it still holds. Bounded by the
    /// projects that changed in this process.
    heads: Arc<HashMap<Box<str>, u64>>,
    /// The size of the log after the last event of this process: a bell for those who wait for a verdict.
    changes: Arc<watch::Sender<u64>>,
}

impl Catalog {
    /// Over an open database whose families include [`FAMILIES`].
    pub fn new(db: Db, log: Log) -> Self {
        Self {
            db,
            log,
            heads: Arc::new(HashMap::new()),
            changes: Arc::new(watch::Sender::new(0)),
        }
    }

    /// The log itself, for tiles, checkpoints and proofs.
    pub const fn log(&self) -> &Log {
        &self.log
    }

    /// A number that changes whenever something about the project changes; 0 if nothing has since the start.
    pub fn head(&self, project: &str) -> u64 {
        self.heads.pin().get(project).copied().unwrap_or(0)
    }

    /// Rings after every event, with the size of the log.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    fn touched(&self, project: &ProjectName, size: u64) {
        self.heads
            .pin()
            .update_or_insert(project.as_str().into(), |seen| (*seen).max(size), size);
        self.grown(size);
    }

    fn grown(&self, size: u64) {
        self.changes.send_if_modified(|seen| {
            let grown = size > *seen;
            *seen = size.max(*seen);
            grown
        });
    }
}
