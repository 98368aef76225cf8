//! What Chiron knows: the log's events and the rows projected from them, and views of both in time.

mod commit;
mod error;
mod event;
mod heads;
mod imported;
mod interval;
mod journal;
mod keys;
mod prepared;
mod project;
mod reached;
mod rebuild;
mod record;
mod rejudge;
mod sender;
mod standing;
mod switch;
mod view;
mod waive;

use std::sync::Arc;

use chiron_storage::{Db, Log};
use tokio::sync::watch;

pub use commit::{Change, Judgment};
pub use error::CatalogError;
pub use event::{
    Actor, Decided, Entry, Event, FileRef, Found, Judged, KeysChanged, KeysInForce, MAX_DOCUMENTS,
    MAX_REASONS, Origin, Rejudged, Waived,
};
pub use imported::{ImportCounts, Imported};
pub use journal::{StagedKey, imports, judged, staged};
pub use prepared::Prepared;
pub use reached::Reached;
pub use record::{
    CachedPage, FAMILIES, FileRow, FileState, LACKS_PROVENANCE, LACKS_SOURCE, ProjectRow, REBUILD_PENDING,
    STORE_CHECK, TOO_YOUNG, Waits, YankMark,
};
pub use rejudge::Rejudgement;
pub use sender::SenderRow;
pub use standing::{Mark, Standing};
pub use switch::{
    Completes, RelayedChange, RelayedStatus, SWITCH_BYTES, Switch, SwitchError, Switched, relay_applies,
};
pub use view::{Counts, ProjectSnapshot};

use crate::package::ProjectName;
use heads::Heads;

/// The catalogue and the log under it. Cheap to clone.
#[derive(Clone)]
pub struct Catalog {
    db: Db,
    log: Log,
    /// A reader that kept a rendering compares one number to know whether it still holds.
    heads: Heads,
    /// The size of the log after the last event of this process: a bell for those who wait for a verdict.
    changes: Arc<watch::Sender<u64>>,
}

impl Catalog {
    /// Over an open database whose families include [`FAMILIES`].
    pub fn new(db: Db, log: Log) -> Self {
        Self {
            db,
            log,
            heads: Heads::default(),
            changes: Arc::new(watch::Sender::new(0)),
        }
    }

    /// The log itself, for tiles, checkpoints and proofs.
    pub const fn log(&self) -> &Log {
        &self.log
    }

    /// A number that changes whenever something about the project changes; 0 if nothing has since the start. While a switch is
    /// under way it is another one each time.
    pub fn head(&self, project: &str) -> u64 {
        self.heads.of(project)
    }

    /// Rings after every event, with the size of the log.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    fn touched(&self, project: &ProjectName, size: u64) {
        self.heads.touched(project, size);
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
