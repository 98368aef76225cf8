//! Air-gap bundles as bytes: what is in one, how it is written and read, and what makes it believable.
//!
//! Nothing here knows a catalogue, a gate or a daemon: `chiron airgap verify` needs a bundle and a root of trust, no
//! store. `docs/bundle-format.md` says the same for other programs.
//!
//! A bundle is an OCI image layout, as one folder or cut into tar volumes. Each volume is one image manifest: its config
//! is the signed [`Manifest`] (DSSE), its first layer the volume's [`Listing`], the further layers what the listing names.
//! The chain of belief: a TUF root that the reader holds → the sender's metadata → the log's checkpoint, a target → every
//! entry of the log → the digests of files and documents that the entries name.

pub mod check;
pub mod delta;
pub mod dsse;
mod error;
mod id;
pub mod layout;
pub mod limits;
mod listing;
mod log_interval;
mod manifest;
pub mod media;
pub mod pack;
mod receipt;
mod tuf;
mod ustar;
pub mod volume;

pub use dsse::{SignedManifest, UnverifiedManifest};
pub use error::BundleError;
pub use id::{SnapshotId, SnapshotIdError};
pub use listing::{Content, Item, Listing};
pub use manifest::{
    AdvisoriesPart, Base, LogPart, Manifest, PolicyPart, Scope, Sender, Totals, TufVersions, VolumePart,
};
pub use receipt::{Held, ReceiptStatement, Seen};
pub use tuf::TufMemory;
