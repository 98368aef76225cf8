//! The OCI documents around a bundle (OCI image specification 1.1: `image-layout.md`, `image-index.md`, `manifest.md`).
//!
//! Every byte of them follows from the manifest's envelope and the listings, so a reader makes them again and compares:
//! nothing in them is believed, and nothing in them can be changed unseen.

use std::collections::BTreeMap;

use bytes::Bytes;
use chiron_storage::Digest;
use chiron_storage::digest::prefixed;
use serde::{Deserialize, Serialize};

use crate::bundle::{BundleError, Content, Listing, SnapshotId, VolumePart, media};

/// The file `oci-layout`.
pub const OCI_LAYOUT: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;
/// Media type of an image manifest.
pub const IMAGE_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// Media type of an image index.
pub const IMAGE_INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// Annotation of the image index in `index.json`: the snapshot's name.
pub const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// Annotation of a layer: the file name, which other programs save it under.
pub const TITLE: &str = "org.opencontainers.image.title";

/// Bytes by their digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Blob {
    /// SHA-256.
    pub digest: Digest,
    /// How many.
    pub size: u64,
}

impl Blob {
    /// What `bytes` are called.
    pub fn of(bytes: &[u8]) -> Self {
        Self {
            digest: Digest::of(bytes),
            size: bytes.len() as u64,
        }
    }
}

/// OCI's `descriptor.md`, as far as bundles use it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Descriptor {
    media_type: String,
    #[serde(with = "prefixed")]
    digest: Digest,
    size: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    artifact_type: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<String, String>,
}

impl Descriptor {
    fn new(media_type: &str, blob: Blob) -> Self {
        Self {
            media_type: media_type.to_owned(),
            digest: blob.digest,
            size: blob.size,
            artifact_type: None,
            annotations: BTreeMap::new(),
        }
    }

    fn artifact(mut self) -> Self {
        self.artifact_type = Some(media::BUNDLE.to_owned());
        self
    }

    fn annotated(mut self, key: &str, value: &str) -> Self {
        self.annotations.insert(key.to_owned(), value.to_owned());
        self
    }

    pub(crate) fn blob(&self) -> Blob {
        Blob {
            digest: self.digest,
            size: self.size,
        }
    }
}

/// An image index, and `index.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Index {
    schema_version: u32,
    media_type: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    artifact_type: Option<String>,
    pub(crate) manifests: Vec<Descriptor>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<String, String>,
}

/// An image manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct ImageManifest {
    schema_version: u32,
    media_type: String,
    artifact_type: String,
    pub(crate) config: Descriptor,
    pub(crate) layers: Vec<Descriptor>,
}

impl Content {
    /// The layer's media type.
    pub fn media_type(&self) -> &'static str {
        match self {
            Self::Tuf { .. } => media::TUF,
            Self::Entries { .. } => media::ENTRIES,
            Self::ProvenEntries { .. } => media::PROVEN_ENTRIES,
            Self::Documents { .. } => media::DOCUMENTS,
            Self::Advisories { .. } => media::ADVISORIES,
            Self::File { filename, .. } if has_extension(filename, "whl") => media::WHEEL,
            Self::File { .. } => media::SDIST,
            Self::WheelDelta { .. } => media::WHEEL_DELTA,
        }
    }

    /// The filename of a wheel or a source distribution, whole or as a delta.
    pub fn filename(&self) -> Option<&str> {
        match self {
            Self::File { filename, .. } | Self::WheelDelta { filename, .. } => Some(filename),
            _ => None,
        }
    }
}

fn has_extension(filename: &str, extension: &str) -> bool {
    filename
        .rsplit_once('.')
        .is_some_and(|(_, found)| found == extension)
}

/// The image manifest of one volume. `envelope` is the signed manifest's, `part` what it says of this volume.
///
/// Errors: [`BundleError::TooLarge`] beyond what registries accept.
pub fn image_manifest(envelope: &Blob, part: &VolumePart, listing: &Listing) -> Result<Bytes, BundleError> {
    let first = Blob {
        digest: part.listing,
        size: part.listing_size,
    };
    let mut layers = vec![Descriptor::new(media::LISTING, first)];
    layers.extend(listing.items.iter().map(|item| {
        let blob = Blob {
            digest: item.digest,
            size: item.size,
        };
        let layer = Descriptor::new(item.content.media_type(), blob);
        match &item.content {
            // Only what is the file itself is called by its name.
            Content::File { filename, .. } => layer.annotated(TITLE, filename),
            _ => layer,
        }
    }));
    to_bytes(
        "an image manifest",
        &ImageManifest {
            schema_version: 2,
            media_type: IMAGE_MANIFEST.to_owned(),
            artifact_type: media::BUNDLE.to_owned(),
            config: Descriptor::new(media::MANIFEST, *envelope),
            layers,
        },
    )
}

/// The image index over `volumes`: the image manifests of all volumes in order, or, in a tar volume, of that one.
///
/// Errors: [`BundleError::TooLarge`] beyond what registries accept.
pub fn image_index(id: &SnapshotId, volumes: &[Blob]) -> Result<Bytes, BundleError> {
    let manifests = volumes
        .iter()
        .map(|volume| Descriptor::new(IMAGE_MANIFEST, *volume).artifact());
    to_bytes(
        "the image index",
        &Index {
            schema_version: 2,
            media_type: IMAGE_INDEX.to_owned(),
            artifact_type: Some(media::BUNDLE.to_owned()),
            manifests: manifests.collect(),
            annotations: BTreeMap::from([(REF_NAME.to_owned(), id.to_string())]),
        },
    )
}

/// The file `index.json` of a layout whose one image index this is.
pub fn index_json(image_index: &Blob, id: &SnapshotId) -> Result<Bytes, BundleError> {
    let name = id.to_string();
    let one = Descriptor::new(IMAGE_INDEX, *image_index)
        .artifact()
        .annotated(REF_NAME, &name);
    to_bytes(
        "index.json",
        &Index {
            schema_version: 2,
            media_type: IMAGE_INDEX.to_owned(),
            artifact_type: None,
            manifests: vec![one],
            annotations: BTreeMap::new(),
        },
    )
}

fn to_bytes(what: &str, document: &impl Serialize) -> Result<Bytes, BundleError> {
    let limit = crate::bundle::limits::MAX_OCI_DOCUMENT_BYTES;
    let bytes = serde_json::to_vec(document).map_err(|error| BundleError::Damaged {
        what: what.to_owned(),
        why: error.to_string(),
    })?;
    if bytes.len() as u64 > limit {
        return Err(BundleError::TooLarge {
            what: what.to_owned(),
            found: bytes.len() as u64,
            limit,
            unit: "bytes",
        });
    }
    Ok(bytes.into())
}

impl Index {
    /// Reads `index.json` or an image index.
    pub(crate) fn read(what: &str, bytes: &[u8]) -> Result<Self, BundleError> {
        serde_json::from_slice(bytes).map_err(|error| not_read(what, &error))
    }
}

impl ImageManifest {
    /// Reads an image manifest.
    pub(crate) fn read(what: &str, bytes: &[u8]) -> Result<Self, BundleError> {
        serde_json::from_slice(bytes).map_err(|error| not_read(what, &error))
    }
}

fn not_read(what: &str, error: &serde_json::Error) -> BundleError {
    BundleError::damaged(what, error)
}
