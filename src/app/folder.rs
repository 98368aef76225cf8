//! The data folder's own files: the admin token and the log's key.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

use chiron_storage::LogKey;

use super::AppError;
use crate::statement::StatementKey;

/// Random bytes of the admin token.
const TOKEN_BYTES: usize = 32;

/// Makes the folder, readable by its owner only.
pub(super) fn make(path: &Path) -> Result<(), AppError> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|source| AppError::Folder {
            path: path.to_owned(),
            source,
        })
}

/// The token in `DATA/admin.token` (mode 0600), made when it is not there.
pub(super) fn admin_token(data: &Path) -> Result<String, AppError> {
    let path = data.join("admin.token");
    let failed = |source| AppError::Folder {
        path: path.clone(),
        source,
    };
    match fs::read_to_string(&path) {
        Ok(token) if !token.trim().is_empty() => return Ok(token.trim().to_owned()),
        Ok(_) => {
            let why = "it is empty; remove it, and a new token is made at the next start";
            return Err(failed(io::Error::new(io::ErrorKind::InvalidData, why)));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed(error)),
    }
    let mut bytes = [0; TOKEN_BYTES];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| failed(io::Error::other("no randomness to be had")))?;
    let token = hex::encode(bytes);
    // Written aside and renamed, so that a crash leaves no empty token behind.
    let fresh = data.join("admin.token.new");
    let _ = fs::remove_file(&fresh);
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&fresh)
        .and_then(|mut file| {
            file.write_all(format!("{token}\n").as_bytes())?;
            file.sync_all()
        })
        .and_then(|()| fs::rename(&fresh, &path))
        .map_err(failed)?;
    Ok(token)
}

/// The key that signs checkpoints, made when the folder has none.
pub(super) fn log_key(data: &Path, origin: &str) -> Result<LogKey, AppError> {
    let keys = data.join("keys");
    make(&keys)?;
    let path = keys.join("log.key");
    if path.exists() {
        return Ok(LogKey::load(&path)?);
    }
    let key = LogKey::generate(origin)?;
    key.store(&path)?;
    Ok(key)
}

/// The key that signs statements about files, made when the folder has none.
pub(super) fn statement_key(data: &Path) -> Result<StatementKey, AppError> {
    let keys = data.join("keys");
    make(&keys)?;
    let path = keys.join("statement.key");
    if path.exists() {
        return Ok(StatementKey::load(&path)?);
    }
    let key = StatementKey::generate()?;
    key.store(&path)?;
    Ok(key)
}
