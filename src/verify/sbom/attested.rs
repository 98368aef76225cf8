//! Bills of materials in attestations: the predicates of those that the signature check has verified.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::verify::{Document, DocumentKind};

/// Predicate types of bills, by how they begin; a version may follow.
const PREDICATES: [&str; 2] = ["https://cyclonedx.org/bom", "https://spdx.dev/Document"];

/// A Sigstore bundle, or the envelope alone.
#[derive(Deserialize)]
struct Signed {
    #[serde(rename = "dsseEnvelope")]
    envelope: Option<Envelope>,
    payload: Option<String>,
}

#[derive(Deserialize)]
struct Envelope {
    payload: String,
}

/// Only what is asked of an in-toto statement here; its subject was the signature check's to compare.
#[derive(Deserialize)]
struct Statement<'p> {
    #[serde(rename = "predicateType")]
    predicate_type: String,
    /// As it stands there: a key that stands in it twice must stay visible.
    #[serde(borrow)]
    predicate: &'p RawValue,
}

/// The bills among verified attestations. `signature`: the facts of the signature check, which names what verified by
/// the digest of its document.
pub fn attested(signature: &Map<String, Value>, documents: &[Document]) -> Vec<Bytes> {
    let verified = signature
        .get("attestations")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    verified
        .filter(|attestation| attestation["verified"] == true)
        .filter(|attestation| attestation["predicate_type"].as_str().is_some_and(is_bill))
        .filter_map(|attestation| {
            let digest = attestation["document"].as_str()?.parse().ok()?;
            documents
                .iter()
                .filter(|document| matches!(document.kind, DocumentKind::Bundle | DocumentKind::Attestation))
                .find(|document| document.reference().digest == digest)
        })
        .filter_map(|document| predicate(&document.bytes))
        .collect()
}

fn is_bill(predicate_type: &str) -> bool {
    PREDICATES.iter().any(|bill| {
        predicate_type
            .strip_prefix(bill)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    })
}

fn predicate(bundle: &[u8]) -> Option<Bytes> {
    let signed: Signed = serde_json::from_slice(bundle).ok()?;
    let payload = signed
        .envelope
        .map(|envelope| envelope.payload)
        .or(signed.payload)?;
    let payload = BASE64_STANDARD.decode(payload).ok()?;
    let statement: Statement<'_> = serde_json::from_slice(&payload).ok()?;
    is_bill(&statement.predicate_type).then(|| Bytes::copy_from_slice(statement.predicate.get().as_bytes()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use serde_json::json;

    use super::*;
    use crate::verify::DocumentOrigin;

    fn bundle(predicate_type: &str) -> Document {
        let statement = format!(r#"{{"predicateType":"{predicate_type}","predicate":{{"a":1,"a":2}}}}"#);
        let bytes = json!({"dsseEnvelope": {"payload": BASE64_STANDARD.encode(statement)}});
        Document {
            kind: DocumentKind::Bundle,
            origin: DocumentOrigin::Beside,
            bytes: serde_json::to_vec(&bytes).unwrap().into(),
        }
    }

    fn facts(document: &Document, predicate_type: &str, verified: bool) -> Map<String, Value> {
        let digest = document.reference().digest.to_string();
        let facts = json!({"attestations": [
            {"verified": verified, "predicate_type": predicate_type, "document": digest}]});
        facts.as_object().unwrap().clone()
    }

    #[test]
    fn only_what_was_verified_is_taken_and_byte_for_byte() {
        let kind = "https://cyclonedx.org/bom/v1.6";
        let document = bundle(kind);
        let found = attested(&facts(&document, kind, true), std::slice::from_ref(&document));
        assert_eq!(found, [Bytes::from_static(b"{\"a\":1,\"a\":2}")]);
        assert!(attested(&facts(&document, kind, false), std::slice::from_ref(&document)).is_empty());
        assert!(attested(&Map::new(), std::slice::from_ref(&document)).is_empty());
        assert!(
            attested(
                &facts(&document, kind, true),
                &[bundle("https://spdx.dev/Document")]
            )
            .is_empty()
        );
    }

    #[test]
    fn other_predicates_are_no_bills() {
        for kind in [
            "https://slsa.dev/provenance/v1",
            "https://cyclonedx.org/bomb",
            "https://spdx.dev/Documents",
        ] {
            let document = bundle(kind);
            assert!(
                attested(&facts(&document, kind, true), std::slice::from_ref(&document)).is_empty(),
                "{kind}"
            );
        }
    }
}
