//! The OCI documents of a release. The same release gives the same bytes: nothing in them is taken from a clock.

use std::collections::BTreeMap;

use bytes::Bytes;
use chiron_storage::Digest;
use oci_client::manifest::{
    ImageIndexEntry, OCI_IMAGE_INDEX_MEDIA_TYPE, OCI_IMAGE_MEDIA_TYPE, OciDescriptor, OciImageIndex,
    OciImageManifest,
};
use serde::Serialize;

use crate::bundle::BundleError;
use crate::oci::OciError;

/// `artifactType` of the image index over a release's files.
pub const RELEASE: &str = "application/vnd.chiron.release.v1";
/// `artifactType` of the image manifest of one file.
pub const FILE: &str = "application/vnd.chiron.release.file.v1";

/// OCI image specification, "Guidance for an empty descriptor".
const EMPTY_TYPE: &str = "application/vnd.oci.empty.v1+json";
/// Its content.
pub(super) const EMPTY: &[u8] = b"{}";

/// Names of annotations. What a tag cannot say stands in them.
pub mod annotation {
    /// The project, normalised (PEP 503).
    pub const PROJECT: &str = "vnd.chiron.project";
    /// The version, as the release is called (PEP 440).
    pub const VERSION: &str = "vnd.chiron.version";
    /// The file's SHA-256, hexadecimal.
    pub const SHA256: &str = "vnd.chiron.sha256";
    /// PEP 592: the reason, may be empty. Absent: not yanked.
    pub const YANKED: &str = "vnd.chiron.yanked";
    /// `Requires-Python`.
    pub const REQUIRES_PYTHON: &str = "vnd.chiron.requires-python";
    /// When upstream received the file (RFC 3339).
    pub const UPLOAD_TIME: &str = "vnd.chiron.upload-time";
    /// The file's name, which other programs save it under (OCI).
    pub const TITLE: &str = "org.opencontainers.image.title";
    /// The version for people (OCI).
    pub const OCI_VERSION: &str = "org.opencontainers.image.version";
}

/// Annotations by name.
pub type Annotations = BTreeMap<String, String>;

fn descriptor(media_type: &str, digest: &Digest, size: u64) -> OciDescriptor {
    OciDescriptor {
        media_type: media_type.to_owned(),
        digest: format!("sha256:{digest}"),
        size: i64::try_from(size).unwrap_or(i64::MAX),
        urls: None,
        annotations: None,
        artifact_type: None,
    }
}

/// A manifest with one layer.
pub(super) fn manifest(
    artifact_type: &str,
    layer: (&str, Digest, u64),
    title: &str,
    annotations: Annotations,
    subject: Option<(Digest, u64)>,
) -> OciImageManifest {
    let (media_type, digest, size) = layer;
    let mut layer = descriptor(media_type, &digest, size);
    layer.annotations = Some(Annotations::from([(
        annotation::TITLE.to_owned(),
        title.to_owned(),
    )]));
    OciImageManifest {
        schema_version: 2,
        media_type: Some(OCI_IMAGE_MEDIA_TYPE.to_owned()),
        config: descriptor(EMPTY_TYPE, &Digest::of(EMPTY), EMPTY.len() as u64),
        layers: vec![layer],
        subject: subject.map(|(digest, size)| descriptor(OCI_IMAGE_MEDIA_TYPE, &digest, size)),
        artifact_type: Some(artifact_type.to_owned()),
        annotations: Some(annotations),
    }
}

/// A manifest's line in an index.
pub(super) fn entry(manifest: &Bytes, artifact_type: &str, annotations: Annotations) -> ImageIndexEntry {
    ImageIndexEntry {
        media_type: OCI_IMAGE_MEDIA_TYPE.to_owned(),
        digest: format!("sha256:{}", Digest::of(manifest)),
        size: i64::try_from(manifest.len()).unwrap_or(i64::MAX),
        platform: None,
        annotations: Some(annotations),
        artifact_type: Some(artifact_type.to_owned()),
    }
}

/// The index over a release.
pub(super) fn index(manifests: Vec<ImageIndexEntry>, annotations: Annotations) -> OciImageIndex {
    OciImageIndex {
        schema_version: 2,
        media_type: Some(OCI_IMAGE_INDEX_MEDIA_TYPE.to_owned()),
        manifests,
        artifact_type: Some(RELEASE.to_owned()),
        annotations: Some(annotations),
    }
}

/// The bytes of a document.
pub(in crate::oci) fn to_bytes(document: &impl Serialize) -> Result<Bytes, OciError> {
    serde_json::to_vec(document).map(Bytes::from).map_err(|error| {
        OciError::Bundle(BundleError::Damaged {
            what: "an OCI document".to_owned(),
            why: error.to_string(),
        })
    })
}

/// `sha256:HEX`.
pub(super) fn digest(text: &str) -> Option<Digest> {
    text.strip_prefix("sha256:")?.parse().ok()
}
