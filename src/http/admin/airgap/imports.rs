//! Imports, and what this site says it has.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use jiff::Timestamp;
use serde::Deserialize;

use super::super::ingest::{Accepted, accept};
use super::super::{Admin, Ask, Json};
use crate::api::{AirgapView, ImportRequest, JobView};
use crate::http::problem::Problem;
use crate::jobs::Work;
use crate::snapshot::import::ImportError;

/// Places of one import request: a bundle has no more volumes. Threat: memory.
const MAX_PLACES: usize = crate::bundle::limits::MAX_VOLUMES;

/// Bytes of a root of trust in a request. Threat: a job's row that fills the memory.
const MAX_ROOT: usize = 1 << 20;

/// Take a bundle in. The job's `report` is an `ImportReport`.
#[utoipa::path(post, path = "/api/v1/airgap/imports", tag = "airgap", request_body = ImportRequest,
    responses((status = 202, body = JobView, description = "accepted; `Location` is the job"), (status = 400, description = "problem+json")))]
pub async fn import(
    State(admin): State<Admin>,
    Json(request): Json<ImportRequest>,
) -> Result<Accepted, Problem> {
    if request.places.is_empty() && !request.discard {
        return Err(Problem::bad_request(
            "`places` is empty: say where the bundle lies",
        ));
    }
    if request.places.len() > MAX_PLACES {
        return Err(Problem::bad_request(format!(
            "{} places; a bundle has {MAX_PLACES} volumes at most",
            request.places.len()
        )));
    }
    if let Some(path) = request.places.iter().find(|path| !path.is_absolute()) {
        return Err(Problem::bad_request(format!(
            "{} is relative: name it absolutely, on the daemon's machine",
            path.display()
        )));
    }
    if request.root.as_ref().is_some_and(|root| root.len() > MAX_ROOT) {
        return Err(Problem::bad_request(format!(
            "a root of trust has at most {MAX_ROOT} bytes"
        )));
    }
    accept(&admin.watch.jobs, Work::Import(Box::new(request))).await
}

/// Senders, and imports that have not come to their end.
#[utoipa::path(get, path = "/api/v1/airgap", tag = "airgap", responses((status = 200, body = AirgapView)))]
pub async fn show(State(admin): State<Admin>) -> Result<axum::Json<AirgapView>, Problem> {
    Ok(axum::Json(admin.watch.jobs.importer().view().await?))
}

/// Of which sender.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct OfSender {
    /// Its name here; needed where there are several.
    #[serde(default)]
    sender: Option<String>,
}

/// What this site has of a sender, signed: the file for the next export there.
#[utoipa::path(get, path = "/api/v1/airgap/receipt", tag = "airgap", params(OfSender),
    responses((status = 200, content_type = "application/json"), (status = 404, description = "problem+json: nothing was imported")))]
pub async fn receipt(State(admin): State<Admin>, Ask(of): Ask<OfSender>) -> Result<Response, Problem> {
    let importer = admin.watch.jobs.importer();
    let receipt = importer.receipt(of.sender.as_deref(), Timestamp::now()).await?;
    let json = [
        (header::CONTENT_TYPE, "application/json"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    Ok((StatusCode::OK, json, receipt).into_response())
}

impl From<ImportError> for Problem {
    fn from(error: ImportError) -> Self {
        match error {
            ImportError::Unknown(why) => Self::not_found(why),
            ImportError::Usage(why) => Self::bad_request(why),
            ImportError::Catalog(error) => error.into(),
            ImportError::Blob(error) => error.into(),
            ImportError::Ingest(error) => error.into(),
            other => {
                tracing::error!(error = %other, "a request about bundles failed inside Chiron");
                Self::new(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "internal",
                    "Chiron failed",
                    "the daemon's log says why; `chiron doctor` checks the usual causes",
                )
            }
        }
    }
}
