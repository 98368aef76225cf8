//! Counts and times every answer.

use std::time::Instant;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http_body::Body as _;

use crate::telemetry::{Metrics, Route};

/// Which counter.
#[derive(Clone)]
pub struct Counted {
    pub metrics: Metrics,
    pub route: Route,
}

/// The layer.
pub async fn count(State(counted): State<Counted>, request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let response = next.run(request).await;
    let bytes = response.body().size_hint().exact().unwrap_or(0);
    counted
        .metrics
        .answered(counted.route, response.status().as_u16(), bytes, begun.elapsed());
    response
}
