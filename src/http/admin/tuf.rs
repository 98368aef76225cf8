//! The signed repository: how it stands, ceremonies, requests and signatures.

use axum::extract::{Path, State};
use axum::response::IntoResponse;
use bytes::Bytes;
use chiron_tuf::{DetachedSignature, RequestError};
use http::{StatusCode, header};
use jiff::Timestamp;
use serde::Deserialize;
use tracing::Instrument as _;

use super::super::problem::Problem;
use super::{Admin, Ask, Json};
use crate::api::{
    TufChange, TufInit, TufMerged, TufPublish, TufPublished, TufRebin, TufRequests, TufRotate, TufStatus,
    TufWaiting,
};
use crate::ceremony::{Ceremonies, CeremonyError, figures};
use crate::publish::{How, PublishError, Published};

/// How the repository stands: roles, keys, signatures, expiry.
#[utoipa::path(get, path = "/api/v1/tuf", tag = "tuf", responses((status = 200, body = TufStatus)))]
pub async fn status(State(admin): State<Admin>) -> Result<axum::Json<TufStatus>, Problem> {
    Ok(axum::Json(of(&admin).status(Timestamp::now()).await?))
}

/// The newest root, as the file that clients are given.
#[utoipa::path(get, path = "/api/v1/tuf/root", tag = "tuf", responses((status = 200, description = "root metadata"), (status = 404, description = "problem+json: there is no repository yet")))]
pub async fn root(State(admin): State<Admin>) -> Result<impl IntoResponse, Problem> {
    let bytes = of(&admin).root_file().await?;
    Ok(([(header::CONTENT_TYPE, "application/json")], bytes))
}

/// Make the first root, or move the repository to keys that people hold.
#[utoipa::path(post, path = "/api/v1/tuf/init", tag = "tuf", request_body = TufInit,
    responses((status = 200, body = TufChange), (status = 409, description = "problem+json: a first root waits for signatures"), (status = 422, description = "problem+json: the keys make no sense; nothing was changed")))]
pub async fn init(
    State(admin): State<Admin>,
    Json(ask): Json<TufInit>,
) -> Result<axum::Json<TufChange>, Problem> {
    let ceremonies = of(&admin);
    whole(async move { ceremonies.init(&ask, Timestamp::now()).await }).await
}

/// Give roles other keys or another threshold, take keys away at once, or sign roles anew.
#[utoipa::path(post, path = "/api/v1/tuf/rotate", tag = "tuf", request_body = TufRotate,
    responses((status = 200, body = TufChange), (status = 422, description = "problem+json: the keys make no sense; nothing was changed"), (status = 503, description = "problem+json: a key cannot be reached; nothing was changed")))]
pub async fn rotate(
    State(admin): State<Admin>,
    Json(ask): Json<TufRotate>,
) -> Result<axum::Json<TufChange>, Problem> {
    let ceremonies = of(&admin);
    whole(async move { ceremonies.rotate(&ask, Timestamp::now()).await }).await
}

/// Spread the targets over another number of hash bins.
#[utoipa::path(post, path = "/api/v1/tuf/rebin", tag = "tuf", request_body = TufRebin,
    responses((status = 200, body = TufChange), (status = 422, description = "problem+json: no such number of bins")))]
pub async fn rebin(
    State(admin): State<Admin>,
    Json(ask): Json<TufRebin>,
) -> Result<axum::Json<TufChange>, Problem> {
    let ceremonies = of(&admin);
    whole(async move { ceremonies.rebin(&ask, Timestamp::now()).await }).await
}

/// Publish what is due now.
#[utoipa::path(post, path = "/api/v1/tuf/publish", tag = "tuf", request_body = TufPublish,
    responses((status = 200, body = TufPublished), (status = 503, description = "problem+json: a key cannot be reached; the old state is served on")))]
pub async fn publish(
    State(admin): State<Admin>,
    Json(ask): Json<TufPublish>,
) -> Result<axum::Json<TufPublished>, Problem> {
    let publisher = of(&admin).publisher().clone();
    if ask.dry_run {
        let generation = publisher.generation().ok_or(PublishError::NotInitialised)?;
        return Ok(axum::Json(figures(&Published {
            generation: generation.number,
            log_size: generation.log_size,
            targets_changed: 0,
            bins_signed: 0,
            bytes_written: 0,
            files_written: 0,
            took_ms: 0,
        })));
    }
    let how = How {
        resign: ask.resign,
        repair: ask.repair,
        versions_from: ask.versions_from,
    };
    whole(async move {
        let published = publisher.publish(how, Timestamp::now()).await;
        Ok(published.map(|published| figures(&published))?)
    })
    .await
}

/// Every change that waits for signatures of people.
#[utoipa::path(get, path = "/api/v1/tuf/requests", tag = "tuf", responses((status = 200, body = TufRequests)))]
pub async fn requests(State(admin): State<Admin>) -> Result<axum::Json<TufRequests>, Problem> {
    Ok(axum::Json(of(&admin).requests().await?))
}

/// The file that signers are given (`chiron.signing-request/v1`).
#[utoipa::path(get, path = "/api/v1/tuf/requests/{id}", tag = "tuf", params(("id" = String, Path, description = "of the request")),
    responses((status = 200, description = "chiron.signing-request/v1"), (status = 404, description = "problem+json")))]
pub async fn request(
    State(admin): State<Admin>,
    Path(id): Path<String>,
) -> Result<impl IntoResponse, Problem> {
    let bytes = of(&admin).request_file(&id).await?;
    Ok(([(header::CONTENT_TYPE, "application/json")], bytes))
}

/// Forget a change that waits. Signatures made for it are good for nothing then.
#[utoipa::path(delete, path = "/api/v1/tuf/requests/{id}", tag = "tuf", params(("id" = String, Path, description = "of the change, or of one of its requests")),
    responses((status = 200, body = TufWaiting), (status = 404, description = "problem+json")))]
pub async fn cancel(
    State(admin): State<Admin>,
    Path(id): Path<String>,
) -> Result<axum::Json<TufWaiting>, Problem> {
    let ceremonies = of(&admin);
    whole(async move { ceremonies.cancel(&id).await }).await
}

/// Whether to change anything.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct Merging {
    /// Verify the signatures, and keep nothing.
    #[serde(rename = "dry-run", default)]
    dry_run: bool,
}

/// Hand detached signatures in (`chiron.signature/v1`). What the last one completes comes into force at once.
#[utoipa::path(post, path = "/api/v1/tuf/signatures", tag = "tuf", params(Merging), request_body(content = Object, description = "chiron.signature/v1"),
    responses((status = 200, body = TufMerged), (status = 404, description = "problem+json: nothing waits for it"), (status = 409, description = "problem+json: it is for an older version"), (status = 422, description = "problem+json: it does not verify, or the key has no say; nothing was kept")))]
pub async fn merge(
    State(admin): State<Admin>,
    Ask(how): Ask<Merging>,
    body: Bytes,
) -> Result<axum::Json<TufMerged>, Problem> {
    let signature = DetachedSignature::parse(&body).map_err(CeremonyError::from)?;
    let ceremonies = of(&admin);
    whole(async move { ceremonies.merge(&signature, how.dry_run, Timestamp::now()).await }).await
}

fn of(admin: &Admin) -> Ceremonies {
    admin.watch.ceremonies.clone()
}

/// A ceremony goes on to its end when the client that asked for it goes away.
async fn whole<T: Send + 'static>(
    work: impl Future<Output = Result<T, CeremonyError>> + Send + 'static,
) -> Result<axum::Json<T>, Problem> {
    let done = tokio::spawn(work.in_current_span()).await;
    let done = done.map_err(|_| Problem::broke_off("the signed repository"))?;
    Ok(axum::Json(done?))
}

impl From<CeremonyError> for Problem {
    fn from(error: CeremonyError) -> Self {
        let said = error.to_string();
        let refused = |status, kind, title| Self::new(status, kind, title, said.clone());
        match error {
            CeremonyError::NotInitialised | CeremonyError::NoSuchRequest(_) => Self::not_found(said),
            CeremonyError::FirstWaits { .. } | CeremonyError::Stale(_) => {
                refused(StatusCode::CONFLICT, "conflict", "Not possible in this state")
            }
            CeremonyError::Request(
                RequestError::OtherVersion { .. }
                | RequestError::OtherDocument { .. }
                | RequestError::Outdated { .. },
            ) => refused(
                StatusCode::CONFLICT,
                "other-document",
                "Another document was signed",
            ),
            CeremonyError::Request(_) => refused(
                StatusCode::UNPROCESSABLE_ENTITY,
                "signature-refused",
                "The signature is not taken",
            ),
            CeremonyError::Asked(_)
            | CeremonyError::Duty(_)
            | CeremonyError::Keys { .. }
            | CeremonyError::OutOfReach { .. }
            | CeremonyError::NoSuccessor { .. }
            | CeremonyError::NotOfRole { .. }
            | CeremonyError::Edit(_)
            | CeremonyError::Document(_) => refused(
                StatusCode::UNPROCESSABLE_ENTITY,
                "ceremony-refused",
                "The change makes no sense",
            ),
            CeremonyError::Ring(ref key) if !key.may_pass() => refused(
                StatusCode::UNPROCESSABLE_ENTITY,
                "key-refused",
                "A key cannot be used",
            ),
            CeremonyError::Unsigned { .. } | CeremonyError::Untried { .. } | CeremonyError::Ring(_) => {
                refused(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "key-unavailable",
                    "A key cannot be used now",
                )
            }
            CeremonyError::Publish(error) => error.into(),
            CeremonyError::Catalog(error) => error.into(),
        }
    }
}

impl From<PublishError> for Problem {
    fn from(error: PublishError) -> Self {
        let said = error.to_string();
        match error {
            PublishError::NotInitialised => Self::not_found(said),
            PublishError::Db(error) => error.into(),
            PublishError::Catalog(error) => error.into(),
            PublishError::NotAccepted { .. } => Self::new(
                StatusCode::CONFLICT,
                "not-accepted",
                "The metadata is not accepted",
                said,
            ),
            PublishError::Key { .. } | PublishError::Sign { .. } => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "key-unavailable",
                "A key cannot be used now",
                said,
            ),
            PublishError::Stopping => Self::broke_off("the signed repository"),
            PublishError::Folder { .. } | PublishError::Damaged(_) => {
                tracing::error!(%error, "the signed repository cannot be published");
                Self::new(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "internal",
                    "Chiron failed",
                    said,
                )
            }
        }
    }
}
