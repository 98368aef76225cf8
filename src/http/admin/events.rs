//! The log's entries as JSON.

use axum::extract::State;

use super::super::problem::Problem;
use super::{Ask, Paging};
use crate::api::{EventView, Page};
use crate::catalog::Catalog;

/// Events in order; `after` is the number of the last one seen.
#[utoipa::path(get, path = "/api/v1/events", tag = "log", params(Paging), responses((status = 200, body = Page<EventView>)))]
pub async fn list(
    State(catalog): State<Catalog>,
    Ask(paging): Ask<Paging>,
) -> Result<axum::Json<Page<EventView>>, Problem> {
    let limit = paging.limit();
    let from = paging.after_number()?.map_or(0, |n| n.saturating_add(1));
    let entries = catalog.entries(from, limit as u64).await?;
    let mut items = Vec::with_capacity(entries.len());
    for (n, bytes) in entries {
        let event = serde_json::from_slice(&bytes).unwrap_or(serde_json::Value::Null);
        items.push(EventView { n, event });
    }
    let next = items
        .last()
        .filter(|_| items.len() == limit)
        .map(|event| event.n.to_string());
    Ok(axum::Json(Page { items, next }))
}
