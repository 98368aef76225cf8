//! `/files/{sha256}/{filename}`: signed targets, whole and verified before their first byte goes out.

use std::time::Duration;

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use chiron_storage::Digest;
use chiron_tuf::TargetPath;
use http::{HeaderMap, Method};
use jiff::Timestamp;
use tokio::time::Instant;

use super::Proxy;
use super::daemon::Gate;
use super::refusal::Refusal;
use super::sidecar;
use crate::http::Problem;
use crate::http::files::part_of;
use crate::package::DistributionFilename;
use crate::tuf_client::Target;

/// How long an installer is kept waiting at a time: pip gives up a silent connection after 15 s and comes back.
const HOLD: Duration = Duration::from_secs(12);
/// How long a candidate may take to be judged and published. A rebuild from source takes minutes.
const MAX_VERDICT: Duration = Duration::from_mins(15);
/// How long what was admitted may take to appear among the signed targets. The daemon publishes about once a second.
/// Threat: a mirror that replays an older state, in which what it admits never appears.
const MAX_PUBLICATION: Duration = Duration::from_secs(20);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(150);

/// A file as an installer names it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Wanted {
    pub sha256: Digest,
    pub filename: String,
}

/// `GET|HEAD /files/{sha256}/{filename}`
pub async fn file(
    State(proxy): State<Proxy>,
    Path((sha256, filename)): Path<(String, String)>,
    method: Method,
    headers: HeaderMap,
) -> Response {
    let Ok(sha256) = sha256.parse::<Digest>() else {
        let detail = "after /files/ comes a SHA-256 in 64 hexadecimal digits";
        return Refusal::not_found(detail).of_file();
    };
    if let Some((kind, name)) = sidecar::Kind::split(&filename) {
        let wanted = Wanted {
            sha256,
            filename: name.to_owned(),
        };
        return sidecar::serve(&proxy, kind, &wanted, &headers).await;
    }
    let wanted = Wanted { sha256, filename };
    match proxy.deliver(&wanted, &method, &headers).await {
        Ok(response) => response,
        Err(refusal) => refusal.of_file(),
    }
}

impl Proxy {
    async fn deliver(
        &self,
        wanted: &Wanted,
        method: &Method,
        headers: &HeaderMap,
    ) -> Result<Response, Refusal> {
        let path = path_of(wanted)?;
        // Looked up anew for every request, also of what is kept: a revoked file is refused from then on.
        let is_signed = self.signed_now(&path, wanted).await?.is_some();
        if is_signed && let Some(blob) = self.0.kept.get(&wanted.sha256).await? {
            return Ok(part_of(&blob, method, headers));
        }
        let (proxy, for_task) = (self.clone(), wanted.clone());
        let flight =
            self.0.flights.join_or_start(
                wanted.clone(),
                move || async move { proxy.bring(&for_task).await },
            );
        match flight.wait_for(HOLD).await {
            None => return Ok(Problem::pending(&wanted.filename).into_response()),
            Some(Err(_)) => return Ok(Problem::broke_off(&wanted.filename).into_response()),
            Some(Ok(brought)) => brought?,
        }
        match self.0.kept.get(&wanted.sha256).await? {
            Some(blob) => Ok(part_of(&blob, method, headers)),
            // Others were brought in so fast that it was dropped again, or the disk changed it.
            None => Ok(Problem::broke_off(&wanted.filename).into_response()),
        }
    }

    /// Has the file judged and published where that is still to be done, and fetches it.
    async fn bring(&self, wanted: &Wanted) -> Result<(), Refusal> {
        let target = self.signed(wanted).await?;
        // Another flight may have brought the same content under another name.
        if self.0.kept.get(&wanted.sha256).await?.is_some() {
            return Ok(());
        }
        self.0.kept.bring(&self.0.client, &target).await
    }

    /// The signed target of exactly this name and content. If there is none yet, the daemon is asked to judge the file; its word is not taken, only waited for.
    pub(super) async fn signed(&self, wanted: &Wanted) -> Result<Target, Refusal> {
        let path = path_of(wanted)?;
        if let Some(target) = self.signed_now(&path, wanted).await? {
            return Ok(target);
        }
        if self.0.settings.signed_only {
            return Err(Refusal::unsigned(wanted));
        }
        self.judged(wanted).await?;
        let until = Instant::now() + MAX_PUBLICATION;
        loop {
            if let Some(target) = self.signed_now(&path, wanted).await? {
                return Ok(target);
            }
            if Instant::now() >= until {
                return Err(Refusal::denied(
                    "unsigned",
                    format!(
                        "{} was admitted upstream, but what upstream signs does not list it",
                        wanted.filename
                    ),
                    "somebody replays an older signed state, or upstream cannot sign: its operator looks with `chiron tuf status`. Nothing unsigned is handed out",
                ));
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Waits for the daemon's verdict.
    async fn judged(&self, wanted: &Wanted) -> Result<(), Refusal> {
        let until = Instant::now() + MAX_VERDICT;
        loop {
            match self.0.daemon.gate(wanted).await? {
                Gate::Admitted => return Ok(()),
                Gate::Denied { title, detail } if title.is_empty() => {
                    return Err(Refusal::denied(
                        "not-admitted",
                        format!("{} is refused by upstream", wanted.filename),
                        detail,
                    ));
                }
                Gate::Denied { title, detail } => return Err(Refusal::denied("not-admitted", title, detail)),
                Gate::Unknown => return Err(Refusal::unsigned(wanted)),
                Gate::NotYet if Instant::now() >= until => {
                    return Err(Refusal::unavailable(
                        format!("upstream has no verdict on {} yet", wanted.filename),
                        "its checks may include a rebuild from source; try again later",
                    ));
                }
                Gate::NotYet => tokio::time::sleep(PAUSE * 4).await,
            }
        }
    }

    /// The signed target in the newest metadata; `None` when no role lists the name.
    async fn signed_now(&self, path: &TargetPath, wanted: &Wanted) -> Result<Option<Target>, Refusal> {
        self.verified().await?;
        let Some(target) = self.0.client.target(path, Timestamp::now()).await? else {
            return Ok(None);
        };
        if target.sha256 == wanted.sha256 {
            return Ok(Some(target));
        }
        Err(Refusal::denied(
            "other-content",
            format!(
                "{} is signed with other content: sha256 {}, and {} was asked for",
                wanted.filename, target.sha256, wanted.sha256
            ),
            "the name stays with the content that was admitted first; the page or lock file that names the other one is not of this index",
        ))
    }
}

fn path_of(wanted: &Wanted) -> Result<TargetPath, Refusal> {
    let none = |why: String| Refusal::not_found(format!("not the name of a distribution file: {why}"));
    let name = DistributionFilename::parse(&wanted.filename).map_err(|error| none(error.to_string()))?;
    TargetPath::file(name.project().as_str(), &wanted.filename).map_err(|error| none(error.to_string()))
}
