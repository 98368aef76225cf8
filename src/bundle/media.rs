//! Media types of a bundle's parts (OCI image specification, "descriptor").

/// `artifactType` of every image manifest and of the index.
pub const BUNDLE: &str = "application/vnd.chiron.bundle.v1";
/// A manifest's config: the signed [`super::Manifest`], a DSSE envelope in JSON.
pub const MANIFEST: &str = "application/vnd.chiron.bundle.manifest.v1.dsse+json";
/// `payloadType` inside that envelope.
pub const MANIFEST_PAYLOAD: &str = "application/vnd.chiron.bundle.manifest.v1+json";
/// A volume's first layer: its [`super::Listing`].
pub const LISTING: &str = "application/vnd.chiron.bundle.volume.v1+json";
/// The sender's TUF metadata and the target `log/checkpoint`.
pub const TUF: &str = "application/vnd.chiron.bundle.tuf.v1.tar+zstd";
/// Consecutive log entries, each behind its length in two bytes, big-endian (C2SP tlog-tiles, "log entries").
pub const ENTRIES: &str = "application/vnd.chiron.bundle.log-entries.v1+zstd";
/// Single log entries, each with its proof.
pub const PROVEN_ENTRIES: &str = "application/vnd.chiron.bundle.log-proofs.v1.tar+zstd";
/// Documents by digest.
pub const DOCUMENTS: &str = "application/vnd.chiron.bundle.documents.v1.tar+zstd";
/// The advisory database.
pub const ADVISORIES: &str = "application/vnd.chiron.bundle.advisories.v1.tar+zstd";
/// A wheel.
pub const WHEEL: &str = "application/vnd.pypi.wheel.v1+zip";
/// A source distribution.
pub const SDIST: &str = "application/vnd.pypi.sdist.v1";
/// What makes a wheel out of an older one that the receiver has.
pub const WHEEL_DELTA: &str = "application/vnd.chiron.bundle.wheel-delta.v1";
