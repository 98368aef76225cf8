//! OCI registries: bundles and single releases pushed and pulled (OCI distribution specification 1.1).
//!
//! A registry is a shelf, not a witness: whatever comes from one is held against a digest before anything is made of it,
//! and what a bundle is worth is said by its signed manifest alone. What `oci-client` has is used for the words —
//! references, documents, the registry's error envelope — and the transfers are ours: `docs/dependencies.md` says why.

mod answer;
mod auth;
mod blobs;
mod bundle_pull;
mod bundle_push;
mod challenge;
mod connect;
mod credentials;
mod download;
mod error;
mod folder;
mod limits;
mod manifests;
mod partial;
mod place;
mod referrers;
mod registry;
pub mod release;
mod retry;
mod tally;
mod upload;

pub use bundle_pull::{Pulled, pull_bundle};
pub use bundle_push::{Pushed, push_bundle};
pub use connect::Options;
pub use credentials::Credentials;
pub use error::OciError;
pub use limits::Limits;
pub use manifests::{Kind, Resolved};
pub use place::{Place, Wanted, tag_of};
pub use registry::Registry;
pub use tally::Tally;
