//! `/api/v1/…`: what an operator and the command line do.

mod advisories;
mod airgap;
mod auth;
mod events;
mod files;
mod held;
mod ingest;
mod jobs;
mod judgments;
pub mod openapi;
mod policy;
mod projects;
mod proofs;
mod rebuild;
mod settle;
mod tuf;

pub use auth::{AdminToken, require};

use axum::Router;
use axum::extract::{FromRef, FromRequestParts, Query, State};
use axum::routing::{get, post, put};
use http::request::Parts;
use serde::Deserialize;
use serde::de::DeserializeOwned;

pub use held::Held;
pub use judgments::history;

use super::problem::Problem;
use super::status::Watch;
use crate::api::StatusView;
use crate::catalog::Catalog;
use crate::jobs::Jobs;
use crate::mirror::Mirror;

/// What the admin API works on.
#[derive(Clone)]
pub struct Admin {
    /// The open data folder, and what works on it.
    pub watch: Watch,
    /// Bytes taken in by one `PUT`.
    pub max_body: usize,
    /// Documents that wait for their file.
    pub held: Held,
}

impl FromRef<Admin> for Mirror {
    fn from_ref(admin: &Admin) -> Self {
        admin.watch.mirror.clone()
    }
}

impl FromRef<Admin> for Jobs {
    fn from_ref(admin: &Admin) -> Self {
        admin.watch.jobs.clone()
    }
}

impl FromRef<Admin> for Catalog {
    fn from_ref(admin: &Admin) -> Self {
        admin.watch.mirror.catalog().clone()
    }
}

impl FromRef<Admin> for Watch {
    fn from_ref(admin: &Admin) -> Self {
        admin.watch.clone()
    }
}

/// The routes below `/api/v1`.
pub fn routes(admin: Admin) -> Router {
    Router::new()
        .route("/ingest", post(ingest::submit))
        .route(
            "/ingest/{filename}",
            put(ingest::hand_in).layer(axum::extract::DefaultBodyLimit::disable()),
        )
        .route(
            "/documents",
            post(held::hold).layer(axum::extract::DefaultBodyLimit::disable()),
        )
        .route("/scrub", post(ingest::scrub))
        .route("/gc", post(ingest::gc))
        .route("/jobs", get(jobs::list))
        .route("/jobs/{id}", get(jobs::show).delete(jobs::cancel))
        .route("/jobs/{id}/events", get(jobs::events))
        .route("/projects", get(projects::list))
        .route("/projects/{name}", get(projects::show))
        .route("/files/{sha256}", get(files::show))
        .route("/files/{sha256}/verdict", get(judgments::verdict))
        .route("/files/{sha256}/waive", post(judgments::waive))
        .route(
            "/files/{sha256}/documents",
            post(judgments::attach).layer(axum::extract::DefaultBodyLimit::disable()),
        )
        .route("/files/{sha256}/rebuild", post(rebuild::rebuild))
        .route("/files/{sha256}/{change}", post(files::change))
        .route("/evidence/{digest}", get(files::evidence))
        .route("/policy", get(policy::show).put(policy::put))
        .route("/policy/replay", post(policy::replay))
        .route("/events", get(events::list))
        .route("/status", get(status))
        .route(
            "/advisories",
            get(advisories::status)
                .post(advisories::load)
                .layer(axum::extract::DefaultBodyLimit::disable()),
        )
        .route("/advisories/records", get(advisories::records))
        .route("/advisories/check", get(advisories::check))
        .route("/tuf", get(tuf::status))
        .route("/tuf/root", get(tuf::root))
        .route("/tuf/init", post(tuf::init))
        .route("/tuf/rotate", post(tuf::rotate))
        .route("/tuf/rebin", post(tuf::rebin))
        .route("/tuf/publish", post(tuf::publish))
        .route("/tuf/requests", get(tuf::requests))
        .route("/tuf/requests/{id}", get(tuf::request).delete(tuf::cancel))
        .route("/tuf/signatures", post(tuf::merge))
        .route("/airgap/exports", post(airgap::exports::export))
        .route("/airgap/imports", post(airgap::imports::import))
        .route("/airgap", get(airgap::imports::show))
        .route("/airgap/receipt", get(airgap::imports::receipt))
        .route("/log/inclusion", get(proofs::inclusion))
        .route("/log/consistency", get(proofs::consistency))
        .layer(axum::middleware::from_fn_with_state(
            admin.watch.clone(),
            settle::wait_for_publication,
        ))
        .with_state(admin)
}

/// How the daemon is.
#[utoipa::path(get, path = "/api/v1/status", tag = "operations", responses((status = 200, body = StatusView)))]
pub async fn status(State(watch): State<Watch>) -> Result<axum::Json<StatusView>, Problem> {
    Ok(axum::Json(watch.status().await?))
}

/// `?after=…&limit=…` of a list.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct Paging {
    /// `next` of the page before.
    #[serde(default)]
    after: Option<String>,
    /// At most this many items, 1 to 1,000; 100 when not said.
    #[serde(default)]
    limit: Option<usize>,
}

/// Items of a page when the client does not say.
const PAGE: usize = 100;

/// Items of a page at most. Threat: memory.
const MAX_PAGE: usize = 1_000;

impl Paging {
    fn limit(&self) -> usize {
        self.limit.unwrap_or(PAGE).clamp(1, MAX_PAGE)
    }

    fn after_number(&self) -> Result<Option<u64>, Problem> {
        let number = |text: &String| {
            text.parse()
                .map_err(|_| Problem::bad_request("`after` is the `next` of the page before"))
        };
        self.after.as_ref().map(number).transpose()
    }
}

/// A JSON body whose errors are problem documents.
pub struct Json<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> axum::extract::FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: axum::extract::Request, state: &S) -> Result<Self, Problem> {
        let parsed = axum::Json::<T>::from_request(request, state).await;
        parsed
            .map(|axum::Json(value)| Self(value))
            .map_err(|why| Problem::new(why.status(), "bad-request", "Bad request", why.body_text()))
    }
}

/// A query whose errors are problem documents.
pub struct Ask<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Ask<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let parsed = Query::<T>::from_request_parts(parts, state).await;
        parsed
            .map(|Query(value)| Self(value))
            .map_err(|why| Problem::bad_request(why.body_text()))
    }
}
