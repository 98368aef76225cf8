//! `/healthz` and `/readyz`: whether the proxy lives, and what it has verified up to which size of the log.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use chiron_storage::Digest;
use chiron_tuf::TargetPath;
use http::StatusCode;
use jiff::Timestamp;
use serde_json::json;
use tokio::sync::Mutex;

use super::Proxy;
use crate::tuf_client::{Check, TufClient, TufClientError};

/// Bytes of a checkpoint. Threat: endless data.
const MAX_CHECKPOINT: u64 = 64 << 10;

/// The size in the newest checkpoint, by the checkpoint's digest.
#[derive(Default)]
pub struct LogSize(Mutex<Option<(Digest, u64)>>);

impl LogSize {
    pub async fn of(&self, client: &TufClient) -> Result<Option<u64>, TufClientError> {
        let path = TargetPath::checkpoint();
        let Some(target) = client.target(&path, Timestamp::now()).await? else {
            return Ok(None);
        };
        let mut kept = self.0.lock().await;
        if let Some((digest, size)) = *kept
            && digest == target.sha256
        {
            return Ok(Some(size));
        }
        let bytes = client.fetch_bytes(&target, MAX_CHECKPOINT).await?;
        // C2SP tlog-checkpoint: origin, size, root hash, each on a line.
        let size = std::str::from_utf8(&bytes)
            .ok()
            .and_then(|text| text.lines().nth(1))
            .and_then(|line| line.parse().ok());
        let size = size.ok_or_else(|| TufClientError::Refused {
            check: Check::Malformed,
            file: path.to_string(),
            why: "it is no checkpoint of a log".to_owned(),
        })?;
        *kept = Some((target.sha256, size));
        Ok(Some(size))
    }
}

/// `GET /healthz`
pub async fn healthz() -> &'static str {
    "ok\n"
}

/// `GET /readyz`
pub async fn readyz(State(proxy): State<Proxy>) -> Response {
    let verified = proxy.verified().await;
    let log_size = match &verified {
        Ok(_) => proxy.log_size().await,
        Err(error) => Err(error.clone()),
    };
    let problem = verified
        .as_ref()
        .err()
        .or(log_size.as_ref().err())
        .map(ToString::to_string);
    let status = if problem.is_none() {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let document = json!({
        "ready": problem.is_none(),
        "problem": problem,
        "verified": verified.ok().or_else(|| proxy.0.client.newest()),
        "log_size": log_size.ok().flatten(),
        "signed_only": proxy.0.settings.signed_only,
    });
    (status, Json(document)).into_response()
}
