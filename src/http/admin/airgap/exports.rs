//! Exports.

use axum::extract::State;
use jiff::Timestamp;

use super::super::ingest::{Accepted, accept};
use super::super::{Admin, Json};
use super::confined;
use crate::api::{ExportRequest, JobView};
use crate::http::problem::Problem;
use crate::jobs::Work;

/// Items of one export request. Threat: memory.
const MAX_ITEMS: usize = 100_000;

/// Write a bundle, or something plainer. The job's `report` is an `ExportReport`.
#[utoipa::path(post, path = "/api/v1/airgap/exports", tag = "airgap", request_body = ExportRequest,
    responses((status = 202, body = JobView, description = "accepted; `Location` is the job"), (status = 400, description = "problem+json"), (status = 422, description = "problem+json: a path that is not taken")))]
pub async fn export(
    State(admin): State<Admin>,
    Json(request): Json<ExportRequest>,
) -> Result<Accepted, Problem> {
    if request.items.len() > MAX_ITEMS {
        return Err(Problem::bad_request(format!(
            "{} items; one request takes {MAX_ITEMS}",
            request.items.len()
        )));
    }
    // A dry run does not touch the place.
    let out = (!request.dry_run).then_some(&request.out);
    let paths = [out, request.against.as_ref(), request.fill.as_ref()];
    for path in paths.into_iter().flatten() {
        confined(&admin, path).await?;
    }
    let watch = &admin.watch;
    // A verb on a folder that no daemon has served yet: a bundle is signed with the keys of the repository.
    if !request.dry_run && request.form.is_none() && !watch.publisher.has_published() {
        watch.ceremonies.init_development(Timestamp::now()).await?;
    }
    accept(&watch.jobs, Work::Export(Box::new(request))).await
}
