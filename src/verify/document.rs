//! Documents about a file that came beside it: attestations, bills of materials, statements of rebuilders.
//! Nothing in them is believed before a check has verified it.

use bytes::Bytes;
use chiron_storage::Digest;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a document claims to be. The bytes decide; this says which reader is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DocumentKind {
    /// A PEP 740 provenance object: bundles of attestations with the index's word for the publisher.
    Provenance,
    /// One PEP 740 attestation object.
    Attestation,
    /// A Sigstore bundle (v0.1 to v0.3).
    Bundle,
    /// A detached signature over the file's bytes, to be checked with a plain public key.
    Signature,
    /// A bill of materials, CycloneDX or SPDX.
    Sbom,
    /// A DSSE envelope with a rebuilder's in-toto statement.
    RebuildStatement,
}

impl DocumentKind {
    /// Whether it signs the file that it came with.
    pub const fn signs(self) -> bool {
        match self {
            Self::Provenance | Self::Attestation | Self::Bundle | Self::Signature => true,
            Self::Sbom | Self::RebuildStatement => false,
        }
    }
}

/// Where a document came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DocumentOrigin {
    /// Published by the upstream index.
    Upstream,
    /// A file beside the wheel when it was handed in.
    Beside,
    /// Given by the operator for this file.
    Operator,
    /// Made here: the statements of this site's own rebuilds.
    Chiron,
}

/// A document as it came, byte for byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// Which reader is tried.
    pub kind: DocumentKind,
    /// Who brought it.
    pub origin: DocumentOrigin,
    /// Unchanged.
    pub bytes: Bytes,
}

/// A document that is kept: the bytes are in the catalogue under the digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DocumentRef {
    /// Which reader is tried.
    pub kind: DocumentKind,
    /// Who brought it.
    pub origin: DocumentOrigin,
    /// SHA-256 of its bytes.
    pub digest: Digest,
}

impl Document {
    /// How it is kept.
    pub fn reference(&self) -> DocumentRef {
        DocumentRef {
            kind: self.kind,
            origin: self.origin,
            digest: Digest::of(&self.bytes),
        }
    }
}
