//! The proxy on localhost that gives unmodified installers what TUF promises (PEP 458).
//!
//! pip and uv ask it for pages and files as they ask any index. Each page is the content of a signed target, each file is
//! fetched whole, compared with what is signed and only then handed on. What is not signed yet (a candidate of a daemon that
//! works on demand) is named on pages, and handed out only after the daemon has judged and published it.

mod candidates;
mod daemon;
mod file;
mod kept;
mod list;
mod page;
mod ready;
mod refusal;
mod sidecar;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use http::{StatusCode, header};
use jiff::Timestamp;
use quick_cache::sync::Cache;
use url::Url;

use crate::http::Problem;
use crate::tuf_client::{Patience, Source, TufClient, TufClientError, Verified, is_loopback};
use crate::upstream::Flights;
use daemon::Daemon;
use file::Wanted;
use kept::Kept;
use page::{ByBytes, SignedPage};
use refusal::Refusal;

pub use kept::KeptError;

/// Bytes of pages kept in memory.
const PAGE_BYTES: u64 = 64 << 20;
/// Pages expected there; only a hint for the tables.
const PAGES: usize = 1_024;

/// How a proxy is set up. The address may hold a password, so nothing here is printed.
#[derive(Clone)]
pub struct Settings {
    /// The daemon's address.
    pub upstream: Url,
    /// Leave out what is not signed.
    pub signed_only: bool,
    /// For how long what was verified stands without asking again. Zero: every request asks, and a revocation is seen at once.
    pub fresh_for: Duration,
    /// Bytes of verified files that are kept.
    pub keep: u64,
    /// What upstream may take.
    pub patience: Patience,
    /// Whether it listens for this machine only.
    pub loopback: bool,
}

/// Why a proxy cannot start.
#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    /// The client's state, or the root that was given.
    #[error(transparent)]
    Client(#[from] TufClientError),
    /// The folder of kept files.
    #[error(transparent)]
    Kept(#[from] KeptError),
}

/// A proxy in front of one daemon. Cheap to clone.
#[derive(Clone)]
pub struct Proxy(Arc<Inner>);

struct Inner {
    client: TufClient,
    daemon: Daemon,
    settings: Settings,
    kept: Kept,
    flights: Flights<Wanted, Result<(), Refusal>>,
    pages: Cache<chiron_storage::Digest, Arc<SignedPage>, ByBytes>,
    lists: list::Lists,
    log_size: ready::LogSize,
}

impl Proxy {
    /// Opens the state and the kept files below `state`. Fetches nothing.
    pub async fn open(settings: Settings, root: &[u8], state: &Path) -> Result<Self, ProxyError> {
        let source = Source::daemon(&settings.upstream)?;
        let client = TufClient::open(source, root, &state.join("tuf"), settings.patience)?;
        let daemon = Daemon::new(&settings.upstream, settings.patience)?;
        let kept = Kept::open(&state.join("files"), settings.keep).await?;
        Ok(Self(Arc::new(Inner {
            client,
            daemon,
            settings,
            kept,
            flights: Flights::new(),
            pages: Cache::with_weighter(PAGES, PAGE_BYTES, ByBytes),
            lists: list::Lists::default(),
            log_size: ready::LogSize::default(),
        })))
    }

    /// What it serves.
    pub fn router(&self) -> Router {
        Router::new()
            .route("/simple", get(page::list_without_slash))
            .route("/simple/", get(list::list))
            .route("/simple/{project}", get(page::without_slash))
            .route("/simple/{project}/", get(page::project))
            .route("/files/{sha256}/{filename}", get(file::file))
            .route(
                "/integrity/{project}/{version}/{filename}/provenance",
                get(sidecar::integrity),
            )
            .route("/healthz", get(ready::healthz))
            .route("/readyz", get(ready::readyz))
            .fallback(refusal::nothing_here)
            .method_not_allowed_fallback(refusal::wrong_method)
            .layer(from_fn_with_state(
                self.0.settings.loopback,
                only_for_this_machine,
            ))
            .with_state(self.clone())
    }

    /// Verified metadata that is new enough to answer by.
    pub async fn verified(&self) -> Result<Verified, TufClientError> {
        let now = Timestamp::now();
        let fresh_for = self.0.settings.fresh_for;
        if !fresh_for.is_zero()
            && let Some(newest) = self.0.client.newest()
            && now.duration_since(newest.at).unsigned_abs() < fresh_for
            && newest.expires > now
        {
            return Ok(newest);
        }
        self.0.client.refresh(now).await
    }

    /// The log's size that the newest verified checkpoint states.
    pub async fn log_size(&self) -> Result<Option<u64>, TufClientError> {
        self.0.log_size.of(&self.0.client).await
    }
}

/// Who listens for this machine only is addressed by this machine's name. Threat: a web page whose name is made to lead to
/// 127.0.0.1 (DNS rebinding) reads a site's private packages through the browser of somebody who runs a proxy.
async fn only_for_this_machine(State(loopback): State<bool>, request: Request, next: Next) -> Response {
    let host = request
        .headers()
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    if loopback && !host.is_some_and(names_this_machine) {
        let detail =
            "the Host header names another machine; the proxy is reached as 127.0.0.1, [::1] or localhost";
        return Problem::new(
            StatusCode::MISDIRECTED_REQUEST,
            "other-host",
            "Not this host",
            detail,
        )
        .into_response();
    }
    next.run(request).await
}

fn names_this_machine(host: &str) -> bool {
    Url::parse(&format!("http://{host}/")).is_ok_and(|url| {
        let is_name = url.host_str().is_some_and(|name| name.ends_with(".localhost"));
        url.username().is_empty() && url.path() == "/" && (is_loopback(&url) || is_name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_this_machine_are_answered() {
        for ours in [
            "127.0.0.1:8090",
            "localhost",
            "LOCALHOST:1",
            "[::1]:8090",
            "127.9.9.9",
            "chiron.localhost:80",
        ] {
            assert!(names_this_machine(ours), "{ours}");
        }
        for other in [
            "evil.example:8090",
            "127.0.0.1.evil.example",
            "10.0.0.1",
            "",
            "localhost@evil.example",
            "evil.example/localhost",
        ] {
            assert!(!names_this_machine(other), "{other}");
        }
    }
}
