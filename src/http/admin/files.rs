//! One file: what is known of it, and decisions on it.

use axum::extract::{Path, State};
use axum::response::Response;
use chiron_storage::Digest;
use http::HeaderMap;
use jiff::Timestamp;

use super::super::explain::view_of;
use super::super::files::document;
use super::super::problem::Problem;
use super::Json;
use crate::api::{DecisionRequest, DecisionView, FileView};
use crate::catalog::{Actor, Catalog, Change, FileRow};
use crate::ingest::Again;
use crate::mirror::Mirror;

/// Characters of a reason.
const MAX_REASON: usize = 1_000;

/// What is known of a file.
#[utoipa::path(get, path = "/api/v1/files/{sha256}", tag = "catalogue", params(("sha256" = String, Path)), responses((status = 200, body = FileView), (status = 404, description = "problem+json")))]
pub async fn show(
    State(catalog): State<Catalog>,
    Path(sha256): Path<String>,
) -> Result<axum::Json<FileView>, Problem> {
    Ok(axum::Json(view_of(&row(&catalog, &sha256).await?)))
}

/// A stored document: evidence, a verdict, an attestation, a bill of materials, an attempt at a rebuild.
#[utoipa::path(get, path = "/api/v1/evidence/{digest}", tag = "catalogue", params(("digest" = String, Path)), responses((status = 200, content_type = "application/json"), (status = 404, description = "problem+json")))]
pub async fn evidence(
    State(catalog): State<Catalog>,
    Path(digest): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    stored(&catalog, parse(&digest)?, &headers).await
}

async fn stored(catalog: &Catalog, digest: Digest, headers: &HeaderMap) -> Result<Response, Problem> {
    let bytes = catalog
        .doc(digest)
        .await?
        .ok_or_else(|| Problem::not_found(format!("no document sha256:{digest} is stored")))?;
    // Core metadata and detached signatures are no JSON.
    let media_type = match bytes.trim_ascii_start().first() {
        Some(b'{' | b'[') => "application/json",
        _ => "application/octet-stream",
    };
    Ok(document(bytes, media_type, "no-cache", headers))
}

/// Yank, unyank, revoke or restore.
#[utoipa::path(post, path = "/api/v1/files/{sha256}/{change}", tag = "decisions", request_body = DecisionRequest,
    params(("sha256" = String, Path), ("change" = String, Path, description = "`yank`, `unyank`, `revoke` or `restore`")),
    responses((status = 200, body = DecisionView), (status = 404, description = "problem+json"), (status = 409, description = "not possible in the file's state")))]
pub async fn change(
    State(mirror): State<Mirror>,
    Path((sha256, change)): Path<(String, String)>,
    Json(request): Json<DecisionRequest>,
) -> Result<axum::Json<DecisionView>, Problem> {
    let change = match change.as_str() {
        "yank" => Change::Yank,
        "unyank" => Change::Unyank,
        "revoke" => Change::Revoke,
        "restore" => Change::Restore,
        other => return Err(Problem::not_found(format!("{other:?} is not a decision"))),
    };
    let reason = request.reason.trim();
    if reason.is_empty() || reason.chars().count() > MAX_REASON {
        return Err(Problem::bad_request(format!(
            "a reason has 1 to {MAX_REASON} characters"
        )));
    }
    let catalog = mirror.catalog();
    let row = row(catalog, &sha256).await?;
    let file = row.file();
    let (mut row, event) = if request.dry_run {
        catalog.would_change(file, change).await?;
        (row, None)
    } else {
        catalog
            .change(file, change, reason.to_owned(), Actor::Operator, Timestamp::now())
            .await?
    };
    // What was out of service was not judged again meanwhile: other rules or advisories may stand against it now.
    if !request.dry_run && matches!(change, Change::Restore) && row.is_stored() {
        row = mirror.gate().again(&row, Again::Circumstances).await?.row;
    }
    Ok(axum::Json(DecisionView {
        filename: row.judged.filename.clone(),
        sha256: row.judged.sha256.to_string(),
        state: row.state.as_str().to_owned(),
        event,
    }))
}

fn parse(digest: &str) -> Result<Digest, Problem> {
    digest
        .parse()
        .map_err(|_| Problem::not_found("a SHA-256 has 64 hexadecimal digits"))
}

/// The row that a digest in an address names; with several names, the first.
pub(super) async fn row(catalog: &Catalog, sha256: &str) -> Result<FileRow, Problem> {
    let digest = parse(sha256)?;
    let rows = catalog.by_digest(digest).await?;
    rows.into_iter()
        .next()
        .ok_or_else(|| Problem::not_found(format!("no file with sha256 {digest} was ever judged here")))
}
