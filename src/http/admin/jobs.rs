//! Jobs: list, look, watch, cancel.

use std::convert::Infallible;
use std::time::Duration;

use async_stream::stream;
use axum::extract::{Path, State};
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::Stream;
use http::StatusCode;
use serde::Serialize;

use super::super::problem::Problem;
use super::{Ask, Paging};
use crate::api::{JobView, Page};
use crate::jobs::Jobs;

/// A watched job tells at most this often how far it is.
const PACE: Duration = Duration::from_millis(100);

/// Jobs, newest first, without their files.
#[utoipa::path(get, path = "/api/v1/jobs", tag = "jobs", params(Paging), responses((status = 200, body = Page<JobView>)))]
pub async fn list(
    State(jobs): State<Jobs>,
    Ask(paging): Ask<Paging>,
) -> Result<axum::Json<Page<JobView>>, Problem> {
    let limit = paging.limit();
    let items = jobs.list(paging.after_number()?, limit).await?;
    let next = items
        .last()
        .filter(|_| items.len() == limit)
        .map(|job| job.id.to_string());
    Ok(axum::Json(Page { items, next }))
}

/// One job.
#[utoipa::path(get, path = "/api/v1/jobs/{id}", tag = "jobs", params(("id" = u64, Path)), responses((status = 200, body = JobView), (status = 404, description = "problem+json")))]
pub async fn show(State(jobs): State<Jobs>, Path(id): Path<String>) -> Result<axum::Json<JobView>, Problem> {
    let id = parse(&id)?;
    jobs.get(id).await?.map(axum::Json).ok_or_else(|| unknown(id))
}

/// Ask a job to end.
#[utoipa::path(delete, path = "/api/v1/jobs/{id}", tag = "jobs", params(("id" = u64, Path)), responses((status = 202), (status = 404, description = "problem+json"), (status = 409, description = "it has ended")))]
pub async fn cancel(State(jobs): State<Jobs>, Path(id): Path<String>) -> Result<StatusCode, Problem> {
    let id = parse(&id)?;
    if jobs.cancel(id).await? {
        return Ok(StatusCode::ACCEPTED);
    }
    Err(match jobs.get(id).await? {
        Some(_) => Problem::new(
            StatusCode::CONFLICT,
            "conflict",
            "The job has ended",
            format!("job {id} has ended; there is nothing to cancel"),
        ),
        None => unknown(id),
    })
}

/// Watch a job: `file` for each file, `progress`, and `end`.
#[utoipa::path(get, path = "/api/v1/jobs/{id}/events", tag = "jobs", params(("id" = u64, Path)), responses((status = 200, content_type = "text/event-stream")))]
pub async fn events(
    State(jobs): State<Jobs>,
    Path(id): Path<String>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Problem> {
    let id = parse(&id)?;
    // Taken once: a job that ends from here on is still watched to its end.
    let live = jobs.live(id);
    let ended = match &live {
        Some(_) => None,
        None => Some(jobs.get(id).await?.ok_or_else(|| unknown(id))?),
    };
    let stream = stream! {
        if let Some(job) = ended {
            for file in &job.files {
                yield Ok(event("file", file));
            }
            yield Ok(event("end", &job));
            return;
        }
        let Some(live) = live else { return };
        let mut changes = live.changes();
        let mut seen = 0;
        loop {
            changes.borrow_and_update();
            let (files, progress, ended) = live.since(seen);
            seen += files.len();
            for file in &files {
                yield Ok(event("file", file));
            }
            yield Ok(event("progress", &progress));
            if ended {
                yield Ok(event("end", &live.view()));
                return;
            }
            // The job's owner is gone without an end when the daemon stops: it goes on at the next start.
            if changes.changed().await.is_err() {
                return;
            }
            tokio::select! {
                () = tokio::time::sleep(PACE) => {}
                () = live.done.cancelled() => {}
            }
        }
    };
    Ok(Sse::new(stream).keep_alive(KeepAlive::default()))
}

fn event(name: &str, data: &impl Serialize) -> Event {
    // These documents always have a JSON form; an empty event is the harmless way to say otherwise.
    Event::default().event(name).json_data(data).unwrap_or_default()
}

fn parse(id: &str) -> Result<u64, Problem> {
    id.parse()
        .map_err(|_| Problem::not_found("job numbers are decimal"))
}

fn unknown(id: u64) -> Problem {
    Problem::not_found(format!("no job {id} is known"))
}
