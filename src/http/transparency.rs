//! `/log/…`: the checkpoint, the tiles and the entries (C2SP tlog-tiles).

use axum::extract::{Path, State};
use axum::response::Response;
use bytes::Bytes;
use chiron_storage::log::{TileKind, TilePath};
use http::HeaderMap;

use super::files::document;
use super::problem::Problem;
use crate::catalog::{Catalog, CatalogError};

const FOR_EVER: &str = "public, max-age=365000000, immutable";

/// `GET /log/checkpoint`
pub async fn checkpoint(State(catalog): State<Catalog>, headers: HeaderMap) -> Result<Response, Problem> {
    let note = catalog.log().checkpoint().await.map_err(CatalogError::from)?;
    Ok(document(
        Bytes::from(note),
        "text/plain; charset=utf-8",
        "no-cache",
        &headers,
    ))
}

/// `GET /log/tile/{level}/{index}[.p/{width}]` and `GET /log/tile/entries/{index}[.p/{width}]`
pub async fn tile(
    State(catalog): State<Catalog>,
    Path(path): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    send(&catalog, &path, &headers).await
}

/// `GET /log/entries/{index}[.p/{width}]`: the bundles of entries under a shorter name.
pub async fn entries(
    State(catalog): State<Catalog>,
    Path(path): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    send(&catalog, &format!("entries/{path}"), &headers).await
}

async fn send(catalog: &Catalog, path: &str, headers: &HeaderMap) -> Result<Response, Problem> {
    let path = TilePath::parse(path).map_err(|_| no_tile())?;
    let tile = match path.kind {
        TileKind::Hashes(level) => catalog.log().tile(level, path.index, path.width).await,
        TileKind::Entries => catalog.log().entry_bundle(path.index, path.width).await,
    };
    let bytes = tile.map_err(CatalogError::from)?.ok_or_else(no_tile)?;
    Ok(document(bytes, "application/octet-stream", FOR_EVER, headers))
}

fn no_tile() -> Problem {
    Problem::not_found("no such tile; /log/checkpoint says how many entries the log has")
}
