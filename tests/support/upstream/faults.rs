//! How an answer goes wrong on its way.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;

use super::pages::Plan;
use super::shape::Fault;

/// Large bodies are sent in parts of this many bytes.
const PART_BYTES: usize = 64 << 10;

/// How the body goes out.
enum Way {
    Whole,
    Truncate(usize),
    Stall(usize),
    Drip(usize, Duration),
}

/// Sends the answer as planned, or spoilt by all of `faults`.
pub(super) async fn spoil(mut plan: Plan, faults: Vec<Fault>, path: &str) -> Response {
    let mut way = Way::Whole;
    for fault in faults {
        match fault {
            Fault::Status(status) => plan = Plan::new(StatusCode::from_u16(status).unwrap()),
            Fault::RetryAfter(status, when) => {
                plan = Plan::new(StatusCode::from_u16(status).unwrap());
                plan.set("retry-after", &when);
            }
            Fault::Truncate(after) => way = Way::Truncate(after),
            Fault::Stall(after) => way = Way::Stall(after),
            Fault::Drip(bytes, every) => way = Way::Drip(bytes, every),
            Fault::Hang => std::future::pending().await,
            Fault::Delay(time) => tokio::time::sleep(time).await,
            Fault::Redirect(to) => {
                plan = Plan::new(StatusCode::FOUND);
                plan.set("location", &to);
            }
            Fault::RedirectLoop => {
                plan = Plan::new(StatusCode::FOUND);
                // The fault must hold for both paths: set it for `*`.
                let to = path
                    .strip_suffix("/again")
                    .map_or_else(|| format!("{path}/again"), str::to_owned);
                plan.set("location", &to);
            }
            Fault::RedirectForEver => {
                plan = Plan::new(StatusCode::FOUND);
                plan.set("location", &format!("{path}x"));
            }
            Fault::Body(content_type, body) => plan = Plan::ok(&content_type, body),
            Fault::Header(name, value) => plan.set(name, &value),
        }
    }
    respond(plan, way)
}

fn respond(plan: Plan, way: Way) -> Response {
    let length = plan.body.len();
    let body = send(plan.body, way);
    let mut response = Response::new(body);
    *response.status_mut() = plan.status;
    *response.headers_mut() = plan.headers;
    if !plan.chunked && plan.status != StatusCode::NOT_MODIFIED {
        response
            .headers_mut()
            .entry(header::CONTENT_LENGTH)
            .or_insert(HeaderValue::from(length));
    }
    response
}

fn send(body: Bytes, way: Way) -> Body {
    let parts = async_stream::stream! {
        let (step, pause, most) = match &way {
            Way::Whole => (PART_BYTES, Duration::ZERO, usize::MAX),
            Way::Truncate(after) | Way::Stall(after) => (PART_BYTES, Duration::ZERO, *after),
            Way::Drip(bytes, every) => (*bytes, *every, usize::MAX),
        };
        let mut rest = body.slice(..body.len().min(most));
        while !rest.is_empty() {
            if !pause.is_zero() {
                tokio::time::sleep(pause).await;
            }
            yield Ok::<Bytes, std::io::Error>(rest.split_to(step.min(rest.len())));
        }
        match way {
            Way::Truncate(_) => {
                // Time for what was sent to leave, or the connection would take it along.
                tokio::time::sleep(Duration::from_millis(30)).await;
                yield Err(std::io::Error::other("cut off on purpose"));
            }
            Way::Stall(_) => {
                let never: Infallible = std::future::pending().await;
                match never {}
            }
            Way::Whole | Way::Drip(..) => {}
        }
    };
    Body::from_stream(parts)
}
