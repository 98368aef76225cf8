//! The editor: what has changed becomes signed metadata, in the only right order (section 3.2, "writing consistent
//! snapshots"): targets roles, then the snapshot that names their versions, then the timestamp that names the snapshot.
//!
//! Pure: what was published last comes in as a [`Ledger`], the time as an argument, and nothing is written anywhere. An
//! [`Edition`] lends out [`Draft`]s; [`sign_document`] turns one into a [`SignedDocument`], which is the only thing that an
//! edition takes back.

mod draft;
mod edition;
mod entry;
mod ledger;
mod sign;

pub use draft::{Draft, DraftError};
pub use edition::{Edition, EditionError, Finished, SnapshotStage, TimestampStage};
pub use entry::{EntryError, TargetEntry};
pub use ledger::{Ledger, LedgerRow, VersionsExhausted};
pub use sign::{Authority, SignDocumentError, SignedDocument, sign_document};

#[cfg(test)]
mod tests;
