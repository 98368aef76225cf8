//! Everything that names the sigstore crates, whose API changes monthly: the rest of the check sees these types only.

mod bundle;
mod key;
mod root;
mod verdict;

pub use bundle::{Bundle, Envelope, detached};
pub use key::Key;
pub use root::Root;
pub use verdict::Verified;

/// The public-good instance's trusted root, as the pinned crate `sigstore-trust-root` carries it.
pub const PUBLIC_GOOD: &str = sigstore_verify::trust_root::SIGSTORE_PRODUCTION_TRUSTED_ROOT;

/// The staging instance's, to tell its signatures from unknown ones. Never trusted by itself.
pub const STAGING: &str = sigstore_verify::trust_root::SIGSTORE_STAGING_TRUSTED_ROOT;
