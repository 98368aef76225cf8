//! What is stored, and the rules of storing it.

use std::collections::BTreeMap;

use chiron_storage::Digest;
use serde_json::{Value, json};

/// Everything, by digest (`sha256:…`).
#[derive(Default)]
pub(super) struct Store {
    pub(super) blobs: BTreeMap<String, Vec<u8>>,
    pub(super) manifests: BTreeMap<(String, String), Vec<u8>>,
    pub(super) tags: BTreeMap<(String, String), String>,
}

/// `sha256:…` of bytes.
pub(super) fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", Digest::of(bytes))
}

impl Store {
    pub(super) fn put_blob(&mut self, bytes: &[u8]) -> String {
        let digest = digest(bytes);
        self.blobs.insert(digest.clone(), bytes.to_owned());
        digest
    }

    pub(super) fn manifest(&self, repository: &str, reference: &str) -> Option<Vec<u8>> {
        let digest = if reference.starts_with("sha256:") {
            reference.to_owned()
        } else {
            let key = (repository.to_owned(), reference.to_owned());
            self.tags.get(&key)?.clone()
        };
        self.manifests.get(&(repository.to_owned(), digest)).cloned()
    }

    /// Stores a manifest; its digest and its subject's, or the error's code.
    pub(super) fn put_manifest(
        &mut self,
        repository: &str,
        reference: &str,
        bytes: &[u8],
    ) -> Result<(String, Option<String>), &'static str> {
        let digest = digest(bytes);
        let manifest: Value = serde_json::from_slice(bytes).map_err(|_| "MANIFEST_INVALID")?;
        if reference.starts_with("sha256:") && reference != digest {
            return Err("DIGEST_INVALID");
        }
        let named = |value: &Value| value["digest"].as_str().unwrap_or_default().to_owned();
        let blobs = manifest["layers"].as_array().into_iter().flatten();
        let blobs = blobs.chain(manifest.get("config"));
        if blobs.map(named).any(|digest| !self.blobs.contains_key(&digest)) {
            return Err("MANIFEST_BLOB_UNKNOWN");
        }
        let mut manifests = manifest["manifests"].as_array().into_iter().flatten().map(named);
        if manifests.any(|digest| !self.manifests.contains_key(&(repository.to_owned(), digest))) {
            return Err("MANIFEST_UNKNOWN");
        }
        self.manifests
            .insert((repository.to_owned(), digest.clone()), bytes.to_owned());
        if !reference.starts_with("sha256:") {
            self.tags
                .insert((repository.to_owned(), reference.to_owned()), digest.clone());
        }
        // A subject need not be there (distribution specification, "Pushing manifests with subject").
        let subject = manifest.get("subject").map(named);
        Ok((digest, subject))
    }

    /// The image index of what refers to a manifest.
    pub(super) fn referrers(&self, repository: &str, subject: &str, artifact_type: Option<&str>) -> Value {
        let mut entries = Vec::new();
        for ((of, digest), bytes) in &self.manifests {
            let manifest: Value = serde_json::from_slice(bytes).unwrap_or_default();
            let kind = manifest["artifactType"]
                .as_str()
                .or(manifest["config"]["mediaType"].as_str())
                .unwrap_or_default();
            let about = manifest["subject"]["digest"] == subject;
            if of == repository && about && artifact_type.is_none_or(|wanted| wanted == kind) {
                let mut entry = json!({
                    "mediaType": manifest["mediaType"], "digest": digest, "size": bytes.len(), "artifactType": kind,
                });
                if !manifest["annotations"].is_null() {
                    entry["annotations"] = manifest["annotations"].clone();
                }
                entries.push(entry);
            }
        }
        json!({
            "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": entries,
        })
    }
}
