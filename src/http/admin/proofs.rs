//! Proofs that the log holds an entry, and that it only ever grew.

use axum::extract::State;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chiron_storage::Digest;
use serde::Deserialize;

use super::super::problem::Problem;
use super::Ask;
use crate::api::ProofView;
use crate::catalog::{Catalog, CatalogError};

/// Which inclusion.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct Inclusion {
    /// The entry's number.
    n: u64,
    /// The tree's size; the newest when not said.
    #[serde(default)]
    size: Option<u64>,
}

/// An inclusion proof (RFC 6962, section 2.1.1).
#[utoipa::path(get, path = "/api/v1/log/inclusion", tag = "log", params(Inclusion), responses((status = 200, body = ProofView), (status = 404, description = "problem+json")))]
pub async fn inclusion(
    State(catalog): State<Catalog>,
    Ask(ask): Ask<Inclusion>,
) -> Result<axum::Json<ProofView>, Problem> {
    let size = bounded(&catalog, ask.size).await?;
    if ask.n >= size {
        return Err(Problem::not_found(format!(
            "the log's first {size} entries hold no entry {}",
            ask.n
        )));
    }
    let hashes = catalog
        .log()
        .prove_inclusion(ask.n, size)
        .await
        .map_err(CatalogError::from)?;
    proof(&catalog, ask.n, size, &hashes).await
}

/// Which consistency.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct Consistency {
    /// The older size.
    from: u64,
    /// The newer size; the newest when not said.
    #[serde(default)]
    to: Option<u64>,
}

/// A consistency proof (RFC 6962, section 2.1.2).
#[utoipa::path(get, path = "/api/v1/log/consistency", tag = "log", params(Consistency), responses((status = 200, body = ProofView), (status = 404, description = "problem+json")))]
pub async fn consistency(
    State(catalog): State<Catalog>,
    Ask(ask): Ask<Consistency>,
) -> Result<axum::Json<ProofView>, Problem> {
    let to = bounded(&catalog, ask.to).await?;
    if ask.from == 0 || ask.from > to {
        return Err(Problem::bad_request(format!(
            "`from` is a size between 1 and {to}"
        )));
    }
    let hashes = catalog
        .log()
        .prove_consistency(ask.from, to)
        .await
        .map_err(CatalogError::from)?;
    proof(&catalog, ask.from, to, &hashes).await
}

async fn bounded(catalog: &Catalog, wanted: Option<u64>) -> Result<u64, Problem> {
    let size = catalog.log().size().await.map_err(CatalogError::from)?;
    match wanted {
        Some(wanted) if wanted > size => Err(CatalogError::BeyondLog { wanted, size }.into()),
        Some(wanted) => Ok(wanted),
        None => Ok(size),
    }
}

async fn proof(
    catalog: &Catalog,
    n: u64,
    size: u64,
    hashes: &[Digest],
) -> Result<axum::Json<ProofView>, Problem> {
    let note = catalog
        .log()
        .checkpoint_at(size)
        .await
        .map_err(CatalogError::from)?;
    Ok(axum::Json(ProofView {
        size,
        n,
        hashes: hashes
            .iter()
            .map(|hash| STANDARD.encode(hash.as_bytes()))
            .collect(),
        checkpoint: String::from_utf8_lossy(&note).into_owned(),
    }))
}
