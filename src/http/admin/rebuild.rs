//! Asking for a rebuild.

use axum::extract::{Path, State};

use super::super::problem::Problem;
use super::files::row;
use super::ingest::{Accepted, accept};
use super::judgments::not_kept;
use crate::jobs::{Jobs, Work};
use crate::mirror::Mirror;

/// Rebuild a wheel from its source, and judge it again with what comes of it.
#[utoipa::path(post, path = "/api/v1/files/{sha256}/rebuild", tag = "operations", params(("sha256" = String, Path)),
    responses((status = 202, body = crate::api::JobView, description = "accepted; `Location` is the job"), (status = 404, description = "problem+json"), (status = 409, description = "the file's bytes are not kept")))]
pub async fn rebuild(
    State(mirror): State<Mirror>,
    State(jobs): State<Jobs>,
    Path(sha256): Path<String>,
) -> Result<Accepted, Problem> {
    let row = row(mirror.catalog(), &sha256).await?;
    if !row.is_stored() {
        return Err(not_kept(&row));
    }
    accept(&jobs, Work::Rebuild(row.file())).await
}
