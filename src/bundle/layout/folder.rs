//! A bundle in one folder.

use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::documents::{Blob, OCI_LAYOUT};
use super::file::{INDEX_JSON, LAYOUT_FILE, blob_path, read_small};
use super::head::{self, Head, Small, check_blob, damaged};
use crate::bundle::BundleError;
use crate::bundle::dsse::SignedManifest;
use crate::bundle::limits::{MAX_OCI_DOCUMENT_BYTES, MAX_VOLUMES};

struct Blobs<'a>(&'a Path);

impl Small for Blobs<'_> {
    fn blob(&mut self, what: &str, blob: Blob) -> Result<Option<Bytes>, BundleError> {
        let path = blob_path(self.0, &blob.digest);
        match read_small(&path, blob.size) {
            Ok(bytes) => check_blob(what, blob, &bytes).map(|()| Some(bytes)),
            Err(BundleError::Read { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
                Ok(None)
            }
            Err(BundleError::TooLarge { found, .. }) => Err(damaged(
                what,
                format!("it has {found} bytes instead of {}", blob.size),
            )),
            Err(other) => Err(other),
        }
    }
}

/// The volumes of a folder layout that are there. Some may be missing, as after a pull that was broken off.
pub(super) fn open(root: &Path) -> Result<Vec<Head>, BundleError> {
    let place = root.display().to_string();
    let layout = read_small(&root.join(LAYOUT_FILE), MAX_OCI_DOCUMENT_BYTES)?;
    if layout != OCI_LAYOUT {
        return Err(damaged(
            &format!("{LAYOUT_FILE} of {place}"),
            "it is not the one of an OCI image layout 1.0.0",
        ));
    }
    let index = match read_small(&root.join(INDEX_JSON), MAX_OCI_DOCUMENT_BYTES) {
        Err(BundleError::Read { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
            return Err(BundleError::NotABundle {
                path: root.to_owned(),
                why: format!("{INDEX_JSON} is missing: it was not written to the end"),
            });
        }
        other => other?,
    };
    let mut blobs = Blobs(root);
    let at = head::named_by_index_json(&place, &index)?;
    let what = format!("the image index of {place}");
    let image_index = blobs
        .blob(&what, at)?
        .ok_or_else(|| damaged(&what, format!("{} is not there", at.digest)))?;
    let manifests = head::named_by_image_index(&place, &image_index)?;
    if manifests.len() > MAX_VOLUMES {
        return Err(damaged(&what, format!("it names {} volumes", manifests.len())));
    }
    let mut found: Vec<Head> = Vec::new();
    for (number, manifest) in (1..).zip(&manifests) {
        let Some(mut head) = head::read(&place, *manifest, &mut blobs)? else {
            continue;
        };
        if head.number != number {
            return Err(damaged(
                &what,
                format!("volume {} stands where {number} does", head.number),
            ));
        }
        // One copy of what all share, and no items, for the memory that many volumes would take.
        head.items = Vec::new();
        if let Some(first) = found.first() {
            if first.envelope != head.envelope {
                return Err(damaged(&what, "its volumes belong to several bundles"));
            }
            head.envelope = first.envelope.clone();
        }
        found.push(head);
    }
    let Some(first) = found.first() else {
        return Err(BundleError::NotABundle {
            path: PathBuf::from(root),
            why: "none of its volumes is there".to_owned(),
        });
    };
    let signed = SignedManifest::parse_unverified(&first.envelope)?;
    if signed.claimed().volumes.len() != manifests.len() {
        return Err(damaged(
            &what,
            format!(
                "it names {} volumes, and the bundle has {}",
                manifests.len(),
                signed.claimed().volumes.len()
            ),
        ));
    }
    head::check_indexes(&place, &signed, &manifests, &image_index, &index)?;
    Ok(found)
}
