//! Bundles: exports and imports as jobs, and what is known of senders. Paths are of the machine that the daemon runs on.

pub mod exports;
pub mod imports;

use std::path::{Component, Path};

use http::StatusCode;

use super::super::problem::Problem;
use super::Admin;
use crate::blocking;

/// Whether a path may be written or read for a client of the API (`airgap.folders`). Threat: a holder of the token who
/// reaches further than the operator meant.
pub(super) async fn confined(admin: &Admin, path: &Path) -> Result<(), Problem> {
    let refused = |why: &str| {
        Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "path-refused",
            "The path is not taken",
            format!("{}: {why}", path.display()),
        )
    };
    if !path.is_absolute() || path.components().any(|part| part == Component::ParentDir) {
        return Err(refused("name it absolutely and without `..`"));
    }
    let (settings, wanted) = (admin.watch.airgap.clone(), path.to_owned());
    let allowed = blocking::run(move || settings.allows(&wanted)).await;
    if allowed.is_ok_and(|allowed| allowed) {
        return Ok(());
    }
    Err(refused(
        "it is in none of the folders that `airgap.folders` allows",
    ))
}
