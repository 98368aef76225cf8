//! One trusted root: certificate authorities, transparency logs and timestamp authorities of one Sigstore instance.

use std::collections::BTreeSet;

use bytes::Bytes;
use chiron_storage::Digest;
use jiff::Timestamp;
use sigstore_verify::Verifier;
use sigstore_verify::trust_root::TrustedRoot;

use super::super::facts::TrustRootFact;

/// A trusted root, read and ready.
pub struct Root {
    name: String,
    digest: Digest,
    bytes: Bytes,
    dated: Option<Timestamp>,
    pub(super) verifier: Verifier,
    /// Key ids of its transparency logs.
    pub(super) logs: BTreeSet<Vec<u8>>,
    /// Its authorities' certificates and its logs' keys, by which an instance is told from another.
    material: BTreeSet<Vec<u8>>,
    /// Whether its certificates carry the promises of certificate transparency logs.
    pub(super) has_ct_logs: bool,
}

impl Root {
    /// Reads a `trusted_root.json`. The error says what is wrong with it.
    pub fn read(name: &str, bytes: &[u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(bytes).map_err(|_| "not a text, so no trusted root".to_owned())?;
        let root = TrustedRoot::from_json(text).map_err(|error| error.to_string())?;
        if root.certificate_authorities.is_empty() {
            return Err("a trusted root without a certificate authority verifies nothing".to_owned());
        }
        if root.tlogs.is_empty() && root.timestamp_authorities.is_empty() {
            return Err(
                "a trusted root with neither a transparency log nor a timestamp authority cannot tell when anything \
                 was signed"
                    .to_owned(),
            );
        }
        let verifier = Verifier::new(&root).map_err(|error| error.to_string())?;
        let logs: BTreeSet<Vec<u8>> = root
            .tlogs
            .iter()
            .map(|log| log.log_id.key_id.as_bytes().to_vec())
            .collect();
        let authorities = root.certificate_authorities.iter();
        let certificates = authorities.flat_map(|authority| &authority.cert_chain.certificates);
        let material = certificates
            .map(|certificate| certificate.raw_bytes.as_bytes().to_vec())
            .chain(logs.iter().cloned())
            .collect();
        let starts = (root.tlogs.iter().map(|log| log.public_key.valid_for))
            .chain(root.ctlogs.iter().map(|log| log.public_key.valid_for))
            .chain(root.certificate_authorities.iter().map(|it| it.valid_for))
            .chain(root.timestamp_authorities.iter().map(|it| it.valid_for));
        Ok(Self {
            name: name.to_owned(),
            digest: Digest::of(bytes),
            bytes: Bytes::copy_from_slice(bytes),
            dated: starts.flatten().map(|window| window.start).max(),
            has_ct_logs: !root.ctlogs.is_empty(),
            verifier,
            logs,
            material,
        })
    }

    /// The name it is configured under.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// As it was read.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// For the evidence.
    pub fn fact(&self) -> TrustRootFact {
        TrustRootFact {
            name: self.name.clone(),
            digest: self.digest,
            dated: self.dated,
        }
    }

    /// Whether both are of the same instance: any key or authority in common, as roots of one instance grow.
    pub fn same_instance(&self, other: &Self) -> bool {
        !self.material.is_disjoint(&other.material)
    }
}
