//! Documents as they came, parsed at the door: nothing here is believed. The verifier alone makes an
//! [`super::Attestation`] of an [`UnverifiedAttestation`].

use serde::Deserialize;
use serde_json::value::RawValue;

use super::bounds;
use super::finding::{Code, Flaw, shown};
use super::pep740::{self, Attested};
use super::publisher::Publisher;
use super::sigstore::{Bundle, Envelope, detached};
use super::statement::{IN_TOTO, Statement};
use crate::verify::{Document, DocumentKind};

/// A signature that nobody has verified.
#[derive(Debug, Clone)]
pub struct UnverifiedAttestation {
    /// What is signed with what.
    pub(super) sealed: Sealed,
    /// What it says; `None` where the file itself is signed.
    pub(super) statement: Option<Statement>,
    /// Whom the index names as publisher.
    pub(super) publisher: Option<Publisher>,
}

/// The forms that a signature comes in.
#[derive(Debug, Clone)]
pub(super) enum Sealed {
    /// A PEP 740 attestation, as the bundle it was made from.
    Pep740(Bundle),
    /// A Sigstore bundle.
    Bundle(Bundle),
    /// A DSSE envelope by itself.
    Envelope(Envelope),
    /// A signature over the file.
    Detached(Vec<u8>),
}

/// The members by which the JSON documents are told apart.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Members<'a> {
    #[serde(borrow, rename = "attestation_bundles")]
    provenance: Option<&'a RawValue>,
    #[serde(borrow, rename = "verification_material")]
    attestation: Option<&'a RawValue>,
    #[serde(borrow)]
    verification_material: Option<&'a RawValue>,
    #[serde(borrow)]
    payload_type: Option<&'a RawValue>,
    bom_format: Option<String>,
    spdx_version: Option<String>,
    #[serde(borrow, rename = "@context")]
    context: Option<&'a RawValue>,
}

impl DocumentKind {
    /// What a document is by its content; `None` for what is nothing that is known.
    pub fn sniff(bytes: &[u8]) -> Option<Self> {
        let first = bytes.iter().find(|byte| !byte.is_ascii_whitespace())?;
        if *first != b'{' {
            // base64 or DER of a signature; never as long as a document.
            return (bytes.len() <= 4096 && !detached(bytes).is_empty()).then_some(Self::Signature);
        }
        let members: Members<'_> = serde_json::from_slice(bytes).ok()?;
        if members.provenance.is_some() {
            Some(Self::Provenance)
        } else if members.attestation.is_some() {
            Some(Self::Attestation)
        } else if members.verification_material.is_some() {
            Some(Self::Bundle)
        } else if members.payload_type.is_some() {
            Some(Self::of_envelope(bytes))
        } else if members.bom_format.is_some() || members.spdx_version.is_some() || members.context.is_some()
        {
            Some(Self::Sbom)
        } else {
            None
        }
    }

    /// A bare DSSE envelope speaks for the file's origin if its statement is one of the two kinds that do;
    /// everything else in one is a rebuilder's.
    fn of_envelope(bytes: &[u8]) -> Self {
        let statement = std::str::from_utf8(bytes)
            .ok()
            .and_then(|text| Envelope::read(text).ok())
            .and_then(|envelope| Statement::read(envelope.payload().1, false).ok());
        match statement {
            Some(statement) if statement.says_where_from() => Self::Bundle,
            _ => Self::RebuildStatement,
        }
    }
}

/// Reads a document. What is wrong with one attestation is said in its place.
pub fn read(document: &Document) -> Result<Vec<Result<UnverifiedAttestation, Flaw>>, Flaw> {
    let bytes = &document.bytes;
    bounds::size(bytes)?;
    if document.kind == DocumentKind::Signature && bytes.first() != Some(&b'{') {
        return Ok(vec![Ok(UnverifiedAttestation {
            sealed: Sealed::Detached(detached(bytes)),
            statement: None,
            publisher: None,
        })]);
    }
    let text = bounds::json_text(bytes)?;
    let members: Members<'_> = serde_json::from_str(text).map_err(|error| {
        Flaw::new(
            Code::Malformed,
            format!("no JSON object: {}", shown(&error.to_string())),
        )
    })?;
    if members.provenance.is_some() {
        let attestations = pep740::provenance(text)?;
        Ok(attestations
            .into_iter()
            .map(|read| read.and_then(of_pep740))
            .collect())
    } else if members.attestation.is_some() {
        Ok(vec![pep740::attestation(text).and_then(of_pep740)])
    } else if members.verification_material.is_some() {
        Ok(vec![Bundle::read(text).and_then(of_bundle)])
    } else if members.payload_type.is_some() {
        Ok(vec![Envelope::read(text).and_then(of_envelope)])
    } else {
        let detail = "neither a PEP 740 object, nor a Sigstore bundle, nor a DSSE envelope";
        Err(Flaw::new(Code::Malformed, detail))
    }
}

fn of_pep740(attested: Attested) -> Result<UnverifiedAttestation, Flaw> {
    let statement = match attested.bundle.payload() {
        Some((_, payload)) => Statement::read(payload, true)?,
        None => return Err(Flaw::new(Code::Malformed, "an attestation without a statement")),
    };
    Ok(UnverifiedAttestation {
        sealed: Sealed::Pep740(attested.bundle),
        statement: Some(statement),
        publisher: attested.publisher,
    })
}

fn of_bundle(bundle: Bundle) -> Result<UnverifiedAttestation, Flaw> {
    let statement = bundle.payload().map(statement).transpose()?;
    Ok(UnverifiedAttestation {
        sealed: Sealed::Bundle(bundle),
        statement,
        publisher: None,
    })
}

fn of_envelope(envelope: Envelope) -> Result<UnverifiedAttestation, Flaw> {
    let statement = statement(envelope.payload())?;
    Ok(UnverifiedAttestation {
        sealed: Sealed::Envelope(envelope),
        statement: Some(statement),
        publisher: None,
    })
}

fn statement((kind, payload): (&str, &[u8])) -> Result<Statement, Flaw> {
    if kind == IN_TOTO {
        return Statement::read(payload, false);
    }
    let detail = format!(
        "a payload of the type \"{}\", which is no in-toto statement",
        shown(kind)
    );
    Err(Flaw::new(Code::Malformed, detail))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use bytes::Bytes;
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::verify::DocumentOrigin;

    fn code(kind: DocumentKind, bytes: impl Into<Bytes>) -> Code {
        let document = Document {
            kind,
            origin: DocumentOrigin::Beside,
            bytes: bytes.into(),
        };
        match read(&document) {
            Err(flaw) => flaw.code,
            Ok(several) => several.into_iter().find_map(Result::err).unwrap().code,
        }
    }

    #[test]
    fn kinds_are_told_by_content() {
        let sniffed = |value: serde_json::Value| DocumentKind::sniff(value.to_string().as_bytes());
        assert_eq!(
            sniffed(json!({"attestation_bundles": []})),
            Some(DocumentKind::Provenance)
        );
        assert_eq!(
            sniffed(json!({"version": 1, "verification_material": {}})),
            Some(DocumentKind::Attestation)
        );
        assert_eq!(
            sniffed(json!({"verificationMaterial": {}})),
            Some(DocumentKind::Bundle)
        );
        assert_eq!(
            sniffed(json!({"bomFormat": "CycloneDX"})),
            Some(DocumentKind::Sbom)
        );
        assert_eq!(
            sniffed(json!({"spdxVersion": "SPDX-2.3"})),
            Some(DocumentKind::Sbom)
        );
        assert_eq!(
            sniffed(json!({"payloadType": "x"})),
            Some(DocumentKind::RebuildStatement)
        );
        assert_eq!(sniffed(json!({"what": "ever"})), None);
        assert_eq!(DocumentKind::sniff(b"MEUCIQ==\n"), Some(DocumentKind::Signature));
        assert_eq!(DocumentKind::sniff(b"  "), None);
    }

    #[test]
    fn what_is_no_document_is_malformed() {
        for bytes in [
            &b""[..],
            b"{",
            b"null",
            b"[1]",
            b"{}",
            b"\xff\xfe",
            b"{\"attestation_bundles\":1}",
        ] {
            assert_eq!(
                code(DocumentKind::Provenance, bytes.to_vec()),
                Code::Malformed,
                "{bytes:?}"
            );
        }
        let empty = json!({"version": 1, "attestation_bundles": []}).to_string();
        assert_eq!(code(DocumentKind::Provenance, empty), Code::Malformed);
    }

    #[test]
    fn deep_and_large_documents_are_not_read() {
        let deep = format!("{{\"attestation_bundles\":{}", "[".repeat(500_000));
        assert_eq!(code(DocumentKind::Provenance, deep), Code::Malformed);
        let large = vec![b' '; 50 << 20];
        assert_eq!(code(DocumentKind::Provenance, large.clone()), Code::TooLarge);
        assert_eq!(code(DocumentKind::Signature, large), Code::TooLarge);
        let many =
            json!({"version": 1, "attestation_bundles": [{"publisher": {}, "attestations": vec![1; 65]}]});
        assert_eq!(code(DocumentKind::Provenance, many.to_string()), Code::TooMany);
    }

    #[test]
    fn another_version_is_named() {
        let second = json!({"version": 2, "attestation_bundles": []}).to_string();
        assert_eq!(code(DocumentKind::Provenance, second), Code::UnsupportedVersion);
    }

    proptest! {
        #[test]
        fn reading_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let document = |kind| Document { kind, origin: DocumentOrigin::Beside, bytes: bytes.clone().into() };
            for kind in [DocumentKind::Provenance, DocumentKind::Signature] {
                drop(read(&document(kind)));
            }
            DocumentKind::sniff(&bytes);
        }
    }
}
