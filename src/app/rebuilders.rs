//! Whose rebuilds count: this machine's, and those of others whose keys the configuration names.

use std::fs;
use std::io;

use super::AppError;
use crate::config;
use crate::rebuild::{Sandbox, SandboxError};
use crate::statement::{PublicKey, StatementKey};
use crate::verify::Rebuilders;
use crate::verify::reproducibility::RebuilderKey;

/// What `[reproducibility]` says of it. `own`: the key of this site's statements.
pub(super) fn rebuilders(
    configured: &config::Reproducibility,
    sandbox: &Result<Sandbox, SandboxError>,
    own: &StatementKey,
) -> Result<Rebuilders, AppError> {
    let mut keys = Vec::new();
    for rebuilder in &configured.rebuilders {
        let failed = |source| AppError::Folder {
            path: rebuilder.key.clone(),
            source,
        };
        let text = fs::read_to_string(&rebuilder.key).map_err(failed)?;
        let key = PublicKey::from_pem(&text)
            .map_err(|error| failed(io::Error::new(io::ErrorKind::InvalidData, error.to_string())))?;
        keys.push(RebuilderKey {
            name: rebuilder.name.clone(),
            key,
        });
    }
    Ok(Rebuilders {
        can_rebuild: sandbox.is_ok(),
        why_not: sandbox.as_ref().err().map(ToString::to_string),
        keys: keys.into(),
        needed: usize::try_from(configured.threshold).unwrap_or(usize::MAX),
        own: Some(own.public().clone()),
    })
}
