//! Bringing files in, and the other long work.

use axum::body::Body;
use axum::extract::{Path, State};
use futures_util::StreamExt;
use http::{HeaderValue, StatusCode, header};
use serde::Deserialize;

use super::super::problem::Problem;
use super::{Admin, Ask, Json};
use crate::api::{FileOutcome, FileResult, IngestRequest, JobView, UpkeepRequest};
use crate::catalog::{FileRef, FileState};
use crate::ingest::{Again, Attachments, Claims};
use crate::jobs::{Jobs, Work, result_of};
use crate::package::{DistributionFilename, HashClaim};

/// Items of one ingest request. Threat: memory.
const MAX_ITEMS: usize = 10_000;

/// 202, with the job.
pub(super) type Accepted = (
    StatusCode,
    [(header::HeaderName, HeaderValue); 1],
    axum::Json<JobView>,
);

/// Submits work; the answer says where to follow it.
pub(super) async fn accept(jobs: &Jobs, work: Work) -> Result<Accepted, Problem> {
    let view = jobs.submit(work).await?;
    let location = HeaderValue::try_from(format!("/api/v1/jobs/{}", view.id))
        .unwrap_or(HeaderValue::from_static("/api/v1/jobs"));
    Ok((
        StatusCode::ACCEPTED,
        [(header::LOCATION, location)],
        axum::Json(view),
    ))
}

/// Bring releases in from upstream.
#[utoipa::path(post, path = "/api/v1/ingest", tag = "ingest", request_body = IngestRequest,
    responses((status = 202, body = JobView, description = "accepted; `Location` is the job"), (status = 400, description = "problem+json")))]
pub async fn submit(
    State(jobs): State<Jobs>,
    Json(request): Json<IngestRequest>,
) -> Result<Accepted, Problem> {
    match request.items.len() {
        0 => Err(Problem::bad_request("`items` is empty: say what to bring in")),
        n if n > MAX_ITEMS => Err(Problem::bad_request(format!(
            "{n} items; one request takes {MAX_ITEMS}"
        ))),
        _ => accept(&jobs, Work::Ingest(request)).await,
    }
}

/// Read every stored blob again.
#[utoipa::path(post, path = "/api/v1/scrub", tag = "operations", request_body = UpkeepRequest, responses((status = 202, body = JobView)))]
pub async fn scrub(
    State(jobs): State<Jobs>,
    Json(request): Json<UpkeepRequest>,
) -> Result<Accepted, Problem> {
    accept(&jobs, Work::Scrub(request)).await
}

/// Remove blobs that nothing names.
#[utoipa::path(post, path = "/api/v1/gc", tag = "operations", request_body = UpkeepRequest, responses((status = 202, body = JobView)))]
pub async fn gc(State(jobs): State<Jobs>, Json(request): Json<UpkeepRequest>) -> Result<Accepted, Problem> {
    accept(&jobs, Work::Gc(request)).await
}

/// What comes along with a file.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct HandedIn {
    /// The digest its publisher states, in hexadecimal.
    #[serde(default)]
    sha256: Option<String>,
    /// `KIND:SHA256,…`: documents that were sent with `POST /api/v1/documents` right before, and that lie beside the file.
    #[serde(default)]
    documents: Option<String>,
    /// Look and say, change nothing.
    #[serde(default)]
    dry_run: bool,
}

/// Hand a file in; the body is its bytes.
#[utoipa::path(put, path = "/api/v1/ingest/{filename}", tag = "ingest", params(("filename" = String, Path), HandedIn),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses((status = 200, body = FileResult, description = "judged, one way or the other"), (status = 400, description = "problem+json")))]
pub async fn hand_in(
    State(admin): State<Admin>,
    Path(filename): Path<String>,
    Ask(ask): Ask<HandedIn>,
    body: Body,
) -> Result<axum::Json<FileResult>, Problem> {
    let name = DistributionFilename::parse(&filename)
        .map_err(|why| Problem::bad_request(format!("{filename}: {why}")))?;
    let claims = match ask.sha256 {
        None => Vec::new(),
        Some(hex) => vec![
            HashClaim::parse(&format!("sha256:{hex}"))
                .ok_or_else(|| Problem::bad_request("`sha256` has 64 hexadecimal digits"))?,
        ],
    };
    let documents = admin.held.take(ask.documents.as_deref().unwrap_or_default())?;
    let mirror = &admin.watch.mirror;
    let gate = mirror.gate();
    let limit = gate.max_file.min(admin.max_body as u64);
    let mut stage = gate.blobs.stage(limit).await?;
    let mut body = body.into_data_stream();
    while let Some(chunk) = body.next().await {
        let chunk = chunk.map_err(|why| Problem::bad_request(format!("the body broke off: {why}")))?;
        stage.write(chunk).await?;
    }
    let staged = stage.finish().await?;
    let file = FileRef {
        project: name.project().clone(),
        filename: name.raw().to_owned(),
        sha256: staged.measured().sha256,
    };
    let known = mirror.catalog().file(&file).await?;
    if let Some(row) = known.filter(|row| row.state == FileState::Admitted) {
        // Documents that come along are a reason to look again.
        if !documents.is_empty() && !ask.dry_run {
            let again = gate.again(&row, Again::Documents(documents)).await?;
            return Ok(axum::Json(result_of(&again.row)));
        }
        return Ok(axum::Json(FileResult {
            outcome: FileOutcome::Present,
            ..result_of(&row)
        }));
    }
    let claims = Claims::handed_in(claims);
    let attachments = Attachments {
        documents,
        // A dry run takes nothing in, a source neither.
        source: if ask.dry_run {
            gate.source_here(&name).await?.unwrap_or_default()
        } else {
            mirror.source_for(&name).await
        },
        ..Attachments::default()
    };
    if ask.dry_run {
        let verdict = gate.look(&staged, &name, &claims, attachments).await?;
        return Ok(axum::Json(super::super::explain::result_of_verdict(&verdict)));
    }
    let row = gate.judge(staged, &name, &claims, attachments).await?;
    // Who hands a file in wants to know what became of it, not that it waits for its rebuild.
    let row = admin.watch.jobs.settled(row).await;
    Ok(axum::Json(result_of(&row)))
}
