//! Where index pages are served signed, a change is acknowledged when it is published: who yanks a file and asks for its page
//! sees the yank.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::{HeaderName, HeaderValue, Method, StatusCode};

use super::super::status::Watch;

/// Says what an operator should know of a change that is in force already.
const NOTE: HeaderName = HeaderName::from_static("chiron-note");

/// Waits for the publication of what a request changed, within bounds: it is in force, and must not look as if it had failed.
pub async fn wait_for_publication(State(watch): State<Watch>, request: Request, next: Next) -> Response {
    let changes = !matches!(*request.method(), Method::GET | Method::HEAD);
    let mut response = next.run(request).await;
    // Of a job only the beginning is acknowledged here.
    if !changes || !response.status().is_success() || response.status() == StatusCode::ACCEPTED {
        return response;
    }
    if let Some(note) = watch.jobs.unpublished().await
        && let Ok(note) = HeaderValue::from_str(note)
    {
        response.headers_mut().insert(NOTE, note);
    }
    response
}
