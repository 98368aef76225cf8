//! `/healthz`, `/readyz`, `/metrics`.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;

use super::status::Watch;
use crate::telemetry::CONTENT_TYPE;

/// `GET /healthz`: the process answers.
pub async fn healthz() -> &'static str {
    "ok\n"
}

#[derive(Serialize)]
struct Ready {
    ready: bool,
    /// What stops it, or works less well.
    problems: Vec<String>,
}

/// `GET /readyz`: whether it can do its work, and what is wrong. An upstream that is down does not make
/// it unready: what is here is served on.
pub async fn readyz(State(watch): State<Watch>) -> Response {
    let found = watch.look().await;
    let status = if found.ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let body = Ready {
        ready: found.ready,
        problems: found.problems,
    };
    (status, [(header::CACHE_CONTROL, "no-store")], axum::Json(body)).into_response()
}

/// `GET /metrics`: Prometheus text.
pub async fn metrics(State(watch): State<Watch>) -> Response {
    watch.measure().await;
    let mut response = watch.metrics().encode().into_response();
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
    response
}
