//! What makes a file be judged again: a waiver, a document given to it, a rebuild; and its judgments in time.

use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::response::Response;
use chiron_storage::Digest;
use http::HeaderMap;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use super::super::files::document;
use super::super::problem::Problem;
use super::files::row;
use super::held::{parse_kind, whole};
use super::{Ask, Json};
use crate::api::{PastVerdict, RejudgedView, WaiveRequest};
use crate::catalog::{Actor, Catalog, FileRow, FileState, Waived};
use crate::ingest::Again;
use crate::mirror::Mirror;
use crate::policy::Verdict;
use crate::verify::{CheckName, Document, DocumentKind, DocumentOrigin};

/// Characters of a reason.
const MAX_REASON: usize = 1_000;

/// Characters of a person's name.
const MAX_PERSON: usize = 200;

/// Who answers for a waiver when nobody was named: the holder of the admin token.
const OPERATOR: &str = "operator";

/// The newest verdict (`chiron.verdict/v1`), with every judgment of the file in time as `history`.
#[utoipa::path(get, path = "/api/v1/files/{sha256}/verdict", tag = "catalogue", params(("sha256" = String, Path)),
    responses((status = 200, content_type = "application/json", body = PastVerdict, description = "the verdict document, and `history`: a list of these, oldest first"), (status = 404, description = "problem+json")))]
pub async fn verdict(
    State(catalog): State<Catalog>,
    Path(sha256): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let row = row(&catalog, &sha256).await?;
    let bytes = catalog
        .doc(row.judged.verdict)
        .await?
        .ok_or_else(|| missing(row.judged.verdict))?;
    let mut verdict: Value = serde_json::from_slice(&bytes).map_err(|_| missing(row.judged.verdict))?;
    verdict["history"] = serde_json::to_value(history(&catalog, &row).await?).unwrap_or_default();
    let bytes = serde_json::to_vec(&verdict).unwrap_or_default();
    Ok(document(
        Bytes::from(bytes),
        "application/json",
        "no-cache",
        &headers,
    ))
}

/// Every judgment of a file, oldest first.
pub async fn history(catalog: &Catalog, row: &FileRow) -> Result<Vec<PastVerdict>, Problem> {
    let mut all = Vec::new();
    for (event, at, state, digest) in catalog.verdicts_of(&row.file()).await? {
        let bytes = catalog.doc(digest).await?;
        let verdict: Option<Verdict> = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        all.push(PastVerdict {
            event,
            at,
            state: state.as_str().to_owned(),
            decision: verdict
                .as_ref()
                .map(|verdict| verdict.decision.as_str().to_owned()),
            reasons: verdict
                .iter()
                .flat_map(|verdict| &verdict.reasons)
                .map(ToString::to_string)
                .collect(),
            verdict: format!("sha256:{digest}"),
        });
    }
    Ok(all)
}

fn missing(digest: Digest) -> Problem {
    Problem::not_found(format!(
        "no document sha256:{digest} is stored; `chiron scrub` says more"
    ))
}

/// Let something pass on one content, for one check and a time.
#[utoipa::path(post, path = "/api/v1/files/{sha256}/waive", tag = "decisions", request_body = WaiveRequest, params(("sha256" = String, Path)),
    responses((status = 200, body = RejudgedView), (status = 400, description = "problem+json"), (status = 404, description = "problem+json")))]
pub async fn waive(
    State(mirror): State<Mirror>,
    Path(sha256): Path<String>,
    Json(request): Json<WaiveRequest>,
) -> Result<axum::Json<RejudgedView>, Problem> {
    let now = Timestamp::now();
    checked(&request, now)?;
    let catalog = mirror.catalog();
    let before = row(catalog, &sha256).await?;
    if request.dry_run {
        return Ok(axum::Json(view(before.state, &before, None)));
    }
    let person = request.person.as_deref().map(str::trim).unwrap_or_default();
    let waived = Waived {
        file: before.file(),
        check: request.check,
        code: request.code,
        reason: request.reason.trim().to_owned(),
        until: request.until,
        person: if person.is_empty() { OPERATOR } else { person }.to_owned(),
        by: Actor::Operator,
    };
    let (row, event) = catalog.waive(waived, now).await?;
    // Refused bytes are gone: who asks for them next has them fetched and judged with the waiver.
    if !row.is_stored() {
        return Ok(axum::Json(view(before.state, &row, Some(event))));
    }
    let again = mirror.gate().again(&row, Again::Circumstances).await?;
    Ok(axum::Json(view(again.before, &again.row, Some(event))))
}

/// A waiver that is no waiver of anything is a mistake.
fn checked(request: &WaiveRequest, now: Timestamp) -> Result<(), Problem> {
    let known = request.check == "policy" || CheckName::ALL.iter().any(|c| c.as_str() == request.check);
    if !known {
        return Err(Problem::bad_request(format!(
            "{:?} is no check: structure, hashes, signature, sbom, reproducibility, advisories or policy",
            request.check
        )));
    }
    let characters = request.reason.trim().chars().count();
    if characters == 0 || characters > MAX_REASON {
        return Err(Problem::bad_request(format!(
            "a reason has 1 to {MAX_REASON} characters"
        )));
    }
    if request.until <= now {
        return Err(Problem::bad_request(format!(
            "`until` is {}, which is past: a waiver ends in the future",
            request.until
        )));
    }
    if request
        .person
        .as_ref()
        .is_some_and(|p| p.chars().count() > MAX_PERSON)
    {
        return Err(Problem::bad_request(format!(
            "a person's name has at most {MAX_PERSON} characters"
        )));
    }
    Ok(())
}

/// What a document is.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct Attached {
    /// `provenance`, `attestation`, `bundle`, `signature`, `sbom` or `rebuild-statement`.
    kind: String,
    /// Look at the document only, change nothing.
    #[serde(default)]
    dry_run: bool,
}

/// Give a stored file a document; the body is its bytes. The file is judged again with it.
#[utoipa::path(post, path = "/api/v1/files/{sha256}/documents", tag = "decisions", params(("sha256" = String, Path), Attached),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses((status = 200, body = RejudgedView), (status = 400, description = "problem+json"), (status = 404, description = "problem+json"), (status = 409, description = "the file's bytes are not kept")))]
pub async fn attach(
    State(mirror): State<Mirror>,
    Path(sha256): Path<String>,
    Ask(ask): Ask<Attached>,
    body: Body,
) -> Result<axum::Json<RejudgedView>, Problem> {
    let kind: DocumentKind = parse_kind(&ask.kind)?;
    let bytes = whole(body).await?;
    let row = row(mirror.catalog(), &sha256).await?;
    if !row.is_stored() {
        return Err(not_kept(&row));
    }
    if ask.dry_run {
        return Ok(axum::Json(view(row.state, &row, None)));
    }
    let document = Document {
        kind,
        origin: DocumentOrigin::Operator,
        bytes,
    };
    let again = mirror
        .gate()
        .again(&row, Again::Documents(vec![document]))
        .await?;
    Ok(axum::Json(view(again.before, &again.row, None)))
}

/// A file whose bytes are gone cannot be looked at again.
pub(super) fn not_kept(row: &FileRow) -> Problem {
    Problem::new(
        http::StatusCode::CONFLICT,
        "conflict",
        "Not possible in this state",
        format!(
            "the bytes of {} are not kept ({}): hand the file in again, with its documents",
            row.judged.filename,
            row.state.as_str()
        ),
    )
}

fn view(before: FileState, row: &FileRow, event: Option<u64>) -> RejudgedView {
    RejudgedView {
        filename: row.judged.filename.clone(),
        sha256: row.judged.sha256.to_string(),
        before: before.as_str().to_owned(),
        state: row.state.as_str().to_owned(),
        reasons: if row.state == FileState::Admitted {
            Vec::new()
        } else {
            row.judged.reasons.iter().map(ToString::to_string).collect()
        },
        event,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_waiver_is_of_a_check_with_a_reason_and_an_end() {
        let now: Timestamp = "2026-11-20T12:00:00Z".parse().unwrap();
        let good = WaiveRequest {
            check: "sbom".to_owned(),
            code: None,
            reason: "theirs comes with 1.1".to_owned(),
            until: "2026-12-31T00:00:00Z".parse().unwrap(),
            person: None,
            dry_run: false,
        };
        assert!(checked(&good, now).is_ok());
        let changes: [fn(&mut WaiveRequest); 5] = [
            |r| r.check = "everything".to_owned(),
            |r| r.reason = "  ".to_owned(),
            |r| r.reason = "x".repeat(1_001),
            |r| r.until = "2026-11-20T12:00:00Z".parse().unwrap(),
            |r| r.person = Some("x".repeat(201)),
        ];
        for change in changes {
            let mut bad = good.clone();
            change(&mut bad);
            assert!(checked(&bad, now).is_err(), "{bad:?}");
        }
    }
}
