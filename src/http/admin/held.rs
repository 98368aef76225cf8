//! Documents that wait in memory for the file they are about: what lies beside a file that is handed in comes before
//! it, so that the one judgment sees everything. Nothing of it is written before a verdict is.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use bytes::Bytes;
use chiron_storage::Digest;
use http::StatusCode;
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use super::super::problem::Problem;
use super::Admin;
use crate::api::HeldDocument;
use crate::verify::{Document, DocumentKind, DocumentOrigin};

/// Bytes of all documents that wait. Threat: memory; the oldest give way.
const HELD_BYTES: u64 = 256 << 20;

/// Documents that one file may be handed in with.
const MAX_DOCUMENTS: usize = 32;

/// Largest document, bytes. The checks' own bounds are tighter for most kinds; what is over them is a finding.
pub const MAX_DOCUMENT_BYTES: usize = 64 << 20;

#[derive(Clone)]
struct ByBytes;

impl Weighter<Digest, Bytes> for ByBytes {
    fn weight(&self, _: &Digest, bytes: &Bytes) -> u64 {
        256 + bytes.len() as u64
    }
}

/// What waits. Cheap to clone.
#[derive(Clone)]
pub struct Held(Arc<Cache<Digest, Bytes, ByBytes>>);

impl Default for Held {
    fn default() -> Self {
        Self(Arc::new(Cache::with_weighter(64, HELD_BYTES, ByBytes)))
    }
}

impl Held {
    /// The documents that `documents=KIND:DIGEST,…` names.
    pub fn take(&self, named: &str) -> Result<Vec<Document>, Problem> {
        let parts: Vec<&str> = named.split(',').filter(|part| !part.is_empty()).collect();
        if parts.len() > MAX_DOCUMENTS {
            return Err(Problem::bad_request(format!(
                "{} documents; one file takes {MAX_DOCUMENTS}",
                parts.len()
            )));
        }
        parts.into_iter().map(|part| self.one(part)).collect()
    }

    fn one(&self, part: &str) -> Result<Document, Problem> {
        let wrong = || Problem::bad_request("`documents` is a list of KIND:SHA256, separated by commas");
        let (kind, digest) = part.split_once(':').ok_or_else(wrong)?;
        let kind = parse_kind(kind)?;
        let digest: Digest = digest.parse().map_err(|_| wrong())?;
        let bytes = self.0.get(&digest).ok_or_else(|| {
            Problem::bad_request(format!(
                "no document sha256:{digest} waits here: send it with POST /api/v1/documents right before the file"
            ))
        })?;
        Ok(Document {
            kind,
            origin: DocumentOrigin::Beside,
            bytes,
        })
    }
}

/// A document as the body of a request.
pub async fn whole(body: Body) -> Result<Bytes, Problem> {
    let bytes = axum::body::to_bytes(body, MAX_DOCUMENT_BYTES)
        .await
        .map_err(|_| {
            Problem::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "too-large",
                "The document is too large, or its body broke off",
                format!("documents about a file are taken in up to {MAX_DOCUMENT_BYTES} bytes"),
            )
        })?;
    if bytes.is_empty() {
        return Err(Problem::bad_request("the body is empty: it is the document"));
    }
    Ok(bytes)
}

/// A kind as the API spells it.
pub fn parse_kind(kind: &str) -> Result<DocumentKind, Problem> {
    serde_json::from_value(serde_json::Value::String(kind.to_owned())).map_err(|_| {
        Problem::bad_request(format!(
            "{kind:?} is no kind of document: provenance, attestation, bundle, signature, sbom or rebuild-statement"
        ))
    })
}

/// Hold a document for a file that is about to be handed in.
#[utoipa::path(post, path = "/api/v1/documents", tag = "ingest",
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses((status = 200, body = HeldDocument, description = "held in memory for a while; nothing is stored yet"), (status = 413, description = "problem+json")))]
pub async fn hold(State(admin): State<Admin>, body: Body) -> Result<axum::Json<HeldDocument>, Problem> {
    let bytes = whole(body).await?;
    let digest = Digest::of(&bytes);
    let size = bytes.len() as u64;
    admin.held.0.insert(digest, bytes);
    Ok(axum::Json(HeldDocument {
        digest: digest.to_string(),
        size,
    }))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn only_what_waits_can_be_taken_along() {
        let held = Held::default();
        let bytes = Bytes::from_static(b"{}");
        let digest = Digest::of(&bytes);
        assert!(held.take(&format!("sbom:{digest}")).is_err());
        held.0.insert(digest, bytes.clone());
        let taken = held.take(&format!("sbom:{digest},attestation:{digest}")).unwrap();
        assert_eq!(taken.len(), 2);
        assert_eq!((taken[0].kind, &taken[0].bytes), (DocumentKind::Sbom, &bytes));
        assert!(held.take("").unwrap().is_empty());
        for wrong in ["sbom", "sbom:zz", &format!("novel:{digest}")] {
            assert!(held.take(wrong).is_err(), "{wrong}");
        }
        assert!(held.take(&format!("sbom:{digest},").repeat(33)).is_err());
    }
}
