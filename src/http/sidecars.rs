//! What stands beside each file: its provenance, bill of materials, verdict and statements.

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use chiron_storage::Digest;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::files::document;
use super::problem::Problem;
use crate::catalog::{Catalog, FileRow, FileState};
use crate::mirror::{Delivery, Mirror, Wanted};
use crate::package::DistributionFilename;
use crate::statement::{Resource, StatementKey, verdict_statement};
use crate::verify::DocumentKind;

/// A later judgment, or a document that was attached, may replace it.
const MAY_CHANGE: &str = "no-cache";

/// PEP 740's media type of a provenance object.
const INTEGRITY: &str = "application/vnd.pypi.integrity.v1+json";

/// One kind of document beside a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sidecar {
    /// As upstream published it (PEP 740).
    Provenance,
    /// Published, or written here where nobody had.
    Sbom,
    /// The newest verdict.
    Verdict,
    /// The newest verdict as an in-toto statement, signed with this site's key.
    SignedVerdict,
    /// Statements of rebuilds, this site's and others'.
    Statements,
}

impl Sidecar {
    /// The longest suffix first.
    const SUFFIXES: [(&'static str, Self); 5] = [
        (".provenance", Self::Provenance),
        (".sbom.json", Self::Sbom),
        (".verdict.dsse.json", Self::SignedVerdict),
        (".verdict.json", Self::Verdict),
        (".statements.json", Self::Statements),
    ];

    /// The kind of document that an address asks for, and the file's name.
    pub fn split(filename: &str) -> Option<(Self, &str)> {
        Self::SUFFIXES
            .into_iter()
            .find_map(|(suffix, kind)| Some((kind, filename.strip_suffix(suffix)?)))
    }
}

/// `GET|HEAD /files/{sha256}/{filename}{suffix}`
pub async fn serve(
    mirror: &Mirror,
    kind: Sidecar,
    wanted: Wanted,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    match kind {
        Sidecar::Provenance => provenance(mirror, &wanted, headers).await,
        Sidecar::Sbom => sbom(mirror, &wanted, headers).await,
        Sidecar::Verdict => {
            let row = judged(mirror.catalog(), &wanted).await?;
            let bytes = kept(mirror.catalog(), row.judged.verdict).await?;
            Ok(document(bytes, "application/json", MAY_CHANGE, headers))
        }
        Sidecar::SignedVerdict => signed_verdict(mirror, &wanted, headers).await,
        Sidecar::Statements => statements(mirror, &wanted, headers).await,
    }
}

async fn provenance(mirror: &Mirror, wanted: &Wanted, headers: &HeaderMap) -> Result<Response, Problem> {
    match mirror.provenance(wanted).await? {
        Delivery::Ready(bytes) => Ok(document(bytes, INTEGRITY, MAY_CHANGE, headers)),
        Delivery::Pending => Err(Problem::pending(&wanted.filename)),
        Delivery::Denied(row) => Err(Problem::denied(&row)),
        Delivery::Unknown => Err(Problem::not_found(format!(
            "no provenance is known for {}",
            wanted.filename
        ))),
    }
}

/// The bill of a file that is served; the first request for a candidate's runs the gate.
async fn sbom(mirror: &Mirror, wanted: &Wanted, headers: &HeaderMap) -> Result<Response, Problem> {
    let none = || Problem::not_found(format!("no bill of materials is known for {}", wanted.filename));
    let row = match mirror.file(wanted).await? {
        Delivery::Ready(row) => row,
        Delivery::Pending => return Err(Problem::pending(&wanted.filename)),
        Delivery::Denied(row) => return Err(Problem::denied(&row)),
        Delivery::Unknown => return Err(none()),
    };
    let digest = row.judged.found.sbom.ok_or_else(none)?;
    let bytes = kept(mirror.catalog(), digest).await?;
    let media_type = bill_type(&bytes);
    Ok(document(bytes, media_type, MAY_CHANGE, headers))
}

/// The media type of a bill, by what it says of itself.
fn bill_type(bytes: &[u8]) -> &'static str {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Says {
        #[serde(rename = "bomFormat")]
        format: Option<String>,
        #[serde(rename = "spdxVersion")]
        spdx: Option<String>,
        #[serde(rename = "@context")]
        context: Option<Value>,
    }
    let says: Says = serde_json::from_slice(bytes).unwrap_or_default();
    if says.format.is_some() {
        "application/vnd.cyclonedx+json"
    } else if says.spdx.is_some() {
        "application/spdx+json"
    } else if says.context.is_some() {
        "application/spdx+json; version=3.0"
    } else {
        "application/json"
    }
}

/// Signed anew for each request: with Ed25519 the same verdict gives the same bytes.
async fn signed_verdict(mirror: &Mirror, wanted: &Wanted, headers: &HeaderMap) -> Result<Response, Problem> {
    let row = judged(mirror.catalog(), wanted).await?;
    let bytes = kept(mirror.catalog(), row.judged.verdict).await?;
    let verdict: Value = serde_json::from_slice(&bytes).map_err(|_| {
        Problem::not_found("the stored verdict does not parse; `chiron scrub` says more of the store")
    })?;
    let file = Resource {
        name: row.judged.filename.clone(),
        sha256: row.judged.sha256,
    };
    let envelope = mirror
        .gate()
        .statements
        .sign(&verdict_statement(&file, verdict))
        .to_bytes();
    Ok(document(
        Bytes::from(envelope),
        "application/vnd.dsse.envelope.v1+json",
        MAY_CHANGE,
        headers,
    ))
}

/// Every DSSE envelope about a rebuild of the file, in the order in which they came.
async fn statements(mirror: &Mirror, wanted: &Wanted, headers: &HeaderMap) -> Result<Response, Problem> {
    #[derive(serde::Serialize)]
    struct Statements {
        schema: &'static str,
        statements: Vec<Box<RawValue>>,
    }
    let row = judged(mirror.catalog(), wanted).await?;
    let mut statements = Vec::new();
    for kept_document in &row.judged.found.documents {
        if kept_document.kind == DocumentKind::RebuildStatement
            && let Some(bytes) = mirror.catalog().doc(kept_document.digest).await?
            && let Ok(text) = String::from_utf8(bytes.to_vec())
            && let Ok(raw) = RawValue::from_string(text)
        {
            statements.push(raw);
        }
    }
    if statements.is_empty() {
        return Err(Problem::not_found(format!(
            "no statement about a rebuild of {} is known",
            wanted.filename
        )));
    }
    let list = Statements {
        schema: "chiron.statements/v1",
        statements,
    };
    let bytes = serde_json::to_vec(&list).unwrap_or_default();
    Ok(document(
        Bytes::from(bytes),
        "application/json",
        MAY_CHANGE,
        headers,
    ))
}

/// `GET /integrity/{project}/{version}/{filename}/provenance` (PEP 740). Its errors are in the words of that API.
pub async fn integrity(
    State(mirror): State<Mirror>,
    Path((project, version, filename)): Path<(String, String, String)>,
    headers: HeaderMap,
) -> Response {
    match integrity_of(&mirror, &project, &version, &filename, &headers).await {
        Ok(response) => response,
        Err(problem) => message(problem, &filename),
    }
}

async fn integrity_of(
    mirror: &Mirror,
    project: &str,
    version: &str,
    filename: &str,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    let none = || Problem::not_found(format!("No provenance available for {filename}"));
    let name = DistributionFilename::parse(filename).map_err(|_| none())?;
    let agrees = crate::package::ProjectName::parse(project).is_ok_and(|project| project == *name.project())
        && version
            .parse()
            .is_ok_and(|version: crate::package::Version| version == *name.version());
    if !agrees {
        return Err(none());
    }
    let rows = mirror.catalog().by_name(name.project(), filename).await?;
    let sha256 = match rows.iter().find(|row| row.state == FileState::Admitted) {
        Some(row) => row.judged.sha256,
        None => match mirror.named(name.project(), filename).await? {
            Some(sha256) => sha256,
            // Judged, and not served: the row says why.
            None => rows.last().ok_or_else(none)?.judged.sha256,
        },
    };
    let wanted = Wanted {
        sha256,
        filename: filename.to_owned(),
    };
    provenance(mirror, &wanted, headers).await
}

/// The same answer with a `message`, which is what clients of the integrity API read.
fn message(problem: Problem, filename: &str) -> Response {
    let status = problem.status();
    let text = if status == StatusCode::NOT_FOUND {
        format!("No provenance available for {filename}")
    } else {
        problem.detail().to_owned()
    };
    let mut response = problem.into_response();
    let body = serde_json::json!({ "message": text }).to_string();
    *response.body_mut() = axum::body::Body::from(body);
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// `GET /keys/statement.pem`: what this site's statements are verified with.
pub async fn statement_key(State(key): State<StatementKey>, headers: HeaderMap) -> Response {
    document(
        Bytes::from(key.public_pem()),
        "application/x-pem-file",
        MAY_CHANGE,
        &headers,
    )
}

/// The row of exactly this content and name, in whatever state: evidence against a file is shown too.
async fn judged(catalog: &Catalog, wanted: &Wanted) -> Result<FileRow, Problem> {
    let rows = catalog.by_digest(wanted.sha256).await?;
    rows.into_iter()
        .find(|row| row.judged.filename == wanted.filename)
        .ok_or_else(|| {
            Problem::not_found(format!(
                "no file {} with this digest is known to this index",
                wanted.filename
            ))
        })
}

async fn kept(catalog: &Catalog, digest: Digest) -> Result<Bytes, Problem> {
    catalog.doc(digest).await?.ok_or_else(|| {
        Problem::not_found(format!(
            "the document sha256:{digest} is missing from the store; `chiron scrub` says more"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_suffix_says_which_document_is_meant() {
        for (address, kind) in [
            ("a-1-py3-none-any.whl.provenance", Sidecar::Provenance),
            ("a-1-py3-none-any.whl.sbom.json", Sidecar::Sbom),
            ("a-1-py3-none-any.whl.verdict.json", Sidecar::Verdict),
            ("a-1-py3-none-any.whl.verdict.dsse.json", Sidecar::SignedVerdict),
            ("a-1-py3-none-any.whl.statements.json", Sidecar::Statements),
        ] {
            assert_eq!(
                Sidecar::split(address),
                Some((kind, "a-1-py3-none-any.whl")),
                "{address}"
            );
        }
        assert_eq!(Sidecar::split("a-1-py3-none-any.whl"), None);
    }

    #[test]
    fn a_bill_is_labelled_as_what_it_is() {
        for (bill, media_type) in [
            (
                r#"{"bomFormat":"CycloneDX","specVersion":"1.6"}"#,
                "application/vnd.cyclonedx+json",
            ),
            (r#"{"spdxVersion":"SPDX-2.3"}"#, "application/spdx+json"),
            (
                r#"{"@context":"x","@graph":[]}"#,
                "application/spdx+json; version=3.0",
            ),
            ("[]", "application/json"),
        ] {
            assert_eq!(bill_type(bill.as_bytes()), media_type, "{bill}");
        }
    }
}
