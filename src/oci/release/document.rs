//! The documents beside a file: their names here, their media types there.

use serde::Serialize;

/// One kind of document about one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Beside {
    /// The core metadata, as in the wheel (PEP 658).
    Metadata,
    /// Attestations as upstream published them (PEP 740).
    Provenance,
    /// The bill of materials.
    Sbom,
    /// What is known of vulnerabilities that do or do not concern it (`OpenVEX`).
    Vex,
    /// The verdict of the site that pushed it.
    Verdict,
    /// The verdict as a signed statement.
    SignedVerdict,
    /// Signed statements about rebuilds.
    Statements,
}

impl Beside {
    /// All of them, in the order in which they are pushed: a verdict before what is made from it.
    pub const ALL: [Self; 7] = [
        Self::Metadata,
        Self::Provenance,
        Self::Sbom,
        Self::Verdict,
        Self::Vex,
        Self::SignedVerdict,
        Self::Statements,
    ];

    /// What is put behind the file's name; the same as where Chiron serves files.
    pub const fn suffix(self) -> &'static str {
        match self {
            Self::Metadata => ".metadata",
            Self::Provenance => ".provenance",
            Self::Sbom => ".sbom.json",
            Self::Vex => ".vex.json",
            Self::Verdict => ".verdict.json",
            Self::SignedVerdict => ".verdict.dsse.json",
            Self::Statements => ".statements.json",
        }
    }

    /// `artifactType` of the manifest that refers to the file. Bills have one for each of their formats.
    pub fn artifact_type(self, bytes: &[u8]) -> &'static str {
        match self {
            Self::Metadata => METADATA,
            Self::Provenance => PROVENANCE,
            Self::Sbom => bill_type(bytes),
            Self::Vex => VEX,
            Self::Verdict => VERDICT,
            Self::SignedVerdict => SIGNED_VERDICT,
            Self::Statements => STATEMENTS,
        }
    }

    /// What a manifest of this `artifactType` carries.
    pub fn of_artifact_type(artifact_type: &str) -> Option<Self> {
        match artifact_type {
            METADATA => Some(Self::Metadata),
            PROVENANCE => Some(Self::Provenance),
            CYCLONEDX | SPDX | SPDX3 => Some(Self::Sbom),
            VEX => Some(Self::Vex),
            VERDICT => Some(Self::Verdict),
            SIGNED_VERDICT => Some(Self::SignedVerdict),
            STATEMENTS => Some(Self::Statements),
            _ => None,
        }
    }
}

const METADATA: &str = "application/vnd.pypi.core-metadata.v1";
const PROVENANCE: &str = "application/vnd.pypi.integrity.v1+json";
const CYCLONEDX: &str = "application/vnd.cyclonedx+json";
const SPDX: &str = "application/spdx+json";
/// A parameter may not stand in an artifact type.
const SPDX3: &str = "application/vnd.spdx.v3+json";
const VEX: &str = "application/vnd.openvex+json";
const VERDICT: &str = "application/vnd.chiron.verdict.v1+json";
const SIGNED_VERDICT: &str = "application/vnd.chiron.verdict.v1.dsse+json";
const STATEMENTS: &str = "application/vnd.chiron.statements.v1+json";

/// The type of a bill, by what it says of itself.
fn bill_type(bytes: &[u8]) -> &'static str {
    let says: serde_json::Value = serde_json::from_slice(bytes).unwrap_or_default();
    if says.get("spdxVersion").is_some() {
        SPDX
    } else if says.get("@context").is_some() {
        SPDX3
    } else {
        CYCLONEDX
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_kind_is_found_again_by_its_type() {
        for kind in Beside::ALL {
            for bytes in [
                &b"{}"[..],
                br#"{"spdxVersion":"SPDX-2.3"}"#,
                br#"{"@context":"x"}"#,
            ] {
                assert_eq!(Beside::of_artifact_type(kind.artifact_type(bytes)), Some(kind));
            }
        }
        assert_eq!(Beside::of_artifact_type("application/vnd.other"), None);
    }
}
