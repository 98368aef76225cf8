//! One release as OCI artifacts: an image manifest per file, an image index over them, and the documents beside each
//! file as manifests that refer to it. `docs/oci.md` has the words.
//!
//! The index lists the documents too, since not every registry lists what refers to a manifest. Neither it nor the
//! annotations are signed: what is believed of a file is what the signed statements about its digest say.

mod document;
mod pull;
mod push;
mod words;

pub use document::Beside;
pub use pull::{PulledDocument, PulledFile, PulledRelease, pull_release};
pub use push::{PushedRelease, ReleaseFile, ReleasePush};
pub use words::{FILE, RELEASE, annotation};

pub(super) use words::to_bytes;
