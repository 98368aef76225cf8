//! Documents about a file: those that lie beside it by the names that tools give them, and those named on the
//! command line.

use std::path::{Path, PathBuf};

use super::exit::Failure;
use super::output::bytes;
use crate::verify::DocumentKind;

/// Largest document that is read, bytes. Threat: memory. The gate's own bounds are tighter for most kinds.
pub const MAX_DOCUMENT_BYTES: u64 = 64 << 20;

/// What is put behind a file's name, and what that makes of it.
const BESIDE: [(&str, DocumentKind); 13] = [
    (".provenance", DocumentKind::Provenance),
    (".publish.attestation", DocumentKind::Attestation),
    (".slsa.attestation", DocumentKind::Attestation),
    (".attestation", DocumentKind::Attestation),
    (".sigstore.json", DocumentKind::Bundle),
    (".sigstore", DocumentKind::Bundle),
    (".sig", DocumentKind::Signature),
    (".cdx.json", DocumentKind::Sbom),
    (".spdx.json", DocumentKind::Sbom),
    (".sbom.json", DocumentKind::Sbom),
    (".rebuild.dsse.json", DocumentKind::RebuildStatement),
    (".rebuild.intoto.json", DocumentKind::RebuildStatement),
    (".bom.json", DocumentKind::Sbom),
];

/// The documents that lie beside a file, in the order of their suffixes.
pub fn beside(file: &Path) -> Vec<(DocumentKind, PathBuf)> {
    let Some(name) = file.file_name() else {
        return Vec::new();
    };
    BESIDE
        .iter()
        .filter_map(|(suffix, kind)| {
            let mut named = name.to_owned();
            named.push(suffix);
            let path = file.with_file_name(named);
            path.is_file().then_some((*kind, path))
        })
        .collect()
}

/// A document's bytes.
pub fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    use std::io::Read as _;
    let failed = |error: &std::io::Error| Failure::file("read", path, error);
    let file = std::fs::File::open(path).map_err(|error| failed(&error))?;
    let mut content = Vec::new();
    file.take(MAX_DOCUMENT_BYTES + 1)
        .read_to_end(&mut content)
        .map_err(|error| failed(&error))?;
    if content.len() as u64 > MAX_DOCUMENT_BYTES {
        return Err(Failure::not_admitted(format_args!(
            "{} is longer than {}: no document about one file is",
            path.display(),
            bytes(MAX_DOCUMENT_BYTES)
        )));
    }
    Ok(content)
}

/// What an attestation given by hand is: its content says so, since tools disagree about names.
pub fn attestation_kind(path: &Path, content: &[u8]) -> DocumentKind {
    let by_name = || {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
        let name = name.unwrap_or_default();
        BESIDE
            .iter()
            .find(|(suffix, _)| name.ends_with(suffix))
            .map(|(_, kind)| *kind)
    };
    DocumentKind::sniff(content)
        .or_else(by_name)
        .unwrap_or(DocumentKind::Attestation)
}

/// A kind as the admin API spells it.
pub const fn kind_name(kind: DocumentKind) -> &'static str {
    match kind {
        DocumentKind::Provenance => "provenance",
        DocumentKind::Attestation => "attestation",
        DocumentKind::Bundle => "bundle",
        DocumentKind::Signature => "signature",
        DocumentKind::Sbom => "sbom",
        DocumentKind::RebuildStatement => "rebuild-statement",
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_lies_beside_a_file_is_found_by_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let wheel = folder.path().join("a-1-py3-none-any.whl");
        for name in [
            "a-1-py3-none-any.whl",
            "a-1-py3-none-any.whl.provenance",
            "a-1-py3-none-any.whl.cdx.json",
            "a-1-py3-none-any.whl.asc",
            "a-2-py3-none-any.whl.sig",
        ] {
            std::fs::write(folder.path().join(name), b"x").unwrap();
        }
        std::fs::create_dir(folder.path().join("a-1-py3-none-any.whl.sig")).unwrap();
        let found: Vec<DocumentKind> = beside(&wheel).into_iter().map(|(kind, _)| kind).collect();
        assert_eq!(found, [DocumentKind::Provenance, DocumentKind::Sbom]);
    }

    #[test]
    fn kinds_are_spelled_as_serde_spells_them() {
        for (_, kind) in BESIDE {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind_name(kind));
        }
    }
}
