//! Wiring: the data folder opened, every part built from its own piece of the configuration, and taken down in order.

mod advisories;
mod airgap;
mod folder;
mod parts;
mod policy;
mod rebuild;
mod rebuilders;
mod trust;
mod tuf;

use std::path::PathBuf;
use std::time::Duration;

use axum::Router;
use chiron_storage::{BlobError, DbError, LogError};
use serde::Serialize;

use crate::catalog::CatalogError;
use crate::config::Config;
use crate::http::{AdminToken, HotPath, Watch, router, service};
use crate::keys::KeyError;
use crate::policy::PolicyError;
use crate::publish::PublishError;
use crate::statement::StatementKeyError;
use crate::verify::signature::TrustError;

pub use advisories::advisory_settings;
pub use airgap::airgap_settings;
use parts::Parts;
pub use parts::{archive_limits, sbom_limits};
pub use policy::{policy, profile};
pub use rebuild::rebuild_settings;
pub use trust::trust;
pub use tuf::key_settings;

/// What the data folder is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenMode {
    /// To serve: jobs that an earlier process left go on.
    Daemon,
    /// For one verb of the command line: they wait for the daemon.
    Verb,
}

/// Why the data folder could not be opened. Nothing in it was changed.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// A daemon or another verb has the folder open; one process at a time may.
    #[error("{} is in use by another process", path.display())]
    Locked {
        /// The data folder, or the folder of the tables inside it.
        path: PathBuf,
    },
    /// The tables do not open.
    #[error(transparent)]
    Db(DbError),
    /// The blob store does not open.
    #[error(transparent)]
    Blob(BlobError),
    /// The key of the log cannot be read or made.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The key that signs statements cannot be read or made.
    #[error(transparent)]
    Statement(#[from] StatementKeyError),
    /// The catalogue could not be brought up to the log.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The folder of the keys cannot be made or entered.
    #[error(transparent)]
    Keys(#[from] KeyError),
    /// The signed repository cannot be read.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// A file that `[trust]` names cannot be used; nothing was opened.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// A file that `[[airgap.sender]]` names cannot be used; nothing was opened.
    #[error("the root of trust of sender {name}, {}: {why}", path.display())]
    Sender {
        /// Whose.
        name: String,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The policy cannot be used, and there is no other to fall back to.
    #[error("the policy cannot be used: {0}")]
    Policy(#[from] PolicyError),
    /// The data folder, its token or its keys: something there is not as it must be.
    #[error("{}: {source}", path.display())]
    Folder {
        /// What could not be made, read or written.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

impl From<DbError> for AppError {
    fn from(error: DbError) -> Self {
        match error {
            DbError::Locked { path } => Self::Locked { path },
            other => Self::Db(other),
        }
    }
}

impl From<BlobError> for AppError {
    fn from(error: BlobError) -> Self {
        match error {
            BlobError::Locked { path } => Self::Locked { path },
            other => Self::Blob(other),
        }
    }
}

/// An open data folder with everything that works on it.
pub struct App {
    parts: Parts,
    token: String,
    max_body: usize,
    mode: OpenMode,
    following: Option<tokio::task::AbortHandle>,
    publishing: Option<tuf::Publishing>,
}

/// What [`App::rebuild_catalog`] did.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct RebuildReport {
    /// Entries of the log that were applied.
    pub events: u64,
    /// Projects with at least one file ever admitted.
    pub projects: u64,
    /// Files that are served.
    pub admitted: u64,
    /// Files kept, not served.
    pub quarantined: u64,
    /// Files not kept, remembered with their reasons.
    pub refused: u64,
    /// Files taken out of service by a person.
    pub revoked: u64,
}

/// How long jobs may go on while the process ends; what is cut off goes on at the next start.
const DRAIN: Duration = Duration::from_secs(2);

impl App {
    /// Opens the data folder, making what is not there yet.
    pub async fn open(config: Config, mode: OpenMode) -> Result<Self, AppError> {
        let max_body = usize::try_from(config.server.max_body.bytes()).unwrap_or(usize::MAX);
        let path = config.storage.path.clone();
        let settings = config.trust.clone();
        let parts = Parts::open(config, mode).await?;
        let token = folder::admin_token(&path)?;
        let behind = parts.mirror.catalog().catch_up(|done, of| {
            tracing::warn!(
                done,
                of,
                "the catalogue was behind the log and is brought up to it"
            );
        });
        behind.await?;
        // Before jobs go on: what they change is published as it happens.
        let publishing = match mode {
            OpenMode::Daemon => {
                Some(tuf::Publishing::begin(parts.publisher.clone(), &parts.ceremonies).await)
            }
            OpenMode::Verb => None,
        };
        if mode == OpenMode::Daemon {
            let resumed = parts.jobs.begin().await?;
            if resumed > 0 {
                tracing::info!(resumed, "jobs that an earlier process left go on");
            }
        }
        let following = (mode == OpenMode::Daemon)
            .then(|| tokio::spawn(trust::follow(settings, parts.trust.clone())).abort_handle());
        Ok(Self {
            parts,
            token,
            max_body,
            mode,
            following,
            publishing,
        })
    }

    /// All routes over this folder.
    pub fn router(&self) -> Router {
        router(&self.watch(), AdminToken::new(&self.token), self.max_body)
    }

    /// What a listener serves over this folder.
    pub fn service(&self) -> HotPath {
        service(&self.watch(), AdminToken::new(&self.token), self.max_body)
    }

    /// The token of `DATA/admin.token`.
    pub fn admin_token(&self) -> &str {
        &self.token
    }

    fn watch(&self) -> Watch {
        Watch {
            db: self.parts.db.clone(),
            mirror: self.parts.mirror.clone(),
            jobs: self.parts.jobs.clone(),
            min_free: self.parts.min_free,
            publisher: self.parts.publisher.clone(),
            ceremonies: self.parts.ceremonies.clone(),
            airgap: self.parts.airgap.clone(),
        }
    }

    /// Lets jobs come to an end for a moment and writes out what is in memory.
    pub async fn shutdown(self) {
        if let Some(following) = &self.following {
            following.abort();
        }
        self.parts.jobs.stop(DRAIN).await;
        self.parts.mirror.close(DRAIN).await;
        if let Some(publishing) = self.publishing {
            publishing.end().await;
        }
        // What is acknowledged is in the synced write-ahead log already: a verb need not wait for the tables,
        // a daemon does so that its next start reads no log.
        if self.mode == OpenMode::Daemon
            && let Err(error) = self.parts.db.flush().await
        {
            tracing::warn!(%error, "the tables were not flushed; nothing acknowledged is lost, the next start reads the write-ahead log");
        }
    }

    /// Makes the catalogue again from the log.
    pub async fn rebuild_catalog(config: Config) -> Result<RebuildReport, AppError> {
        let parts = Parts::open(config, OpenMode::Verb).await?;
        let catalog = parts.mirror.catalog();
        let events = catalog
            .rebuild(|done, of| tracing::info!(done, of, "rebuilding the catalogue"))
            .await?;
        let counts = catalog.counts().await?;
        parts.db.flush().await?;
        Ok(RebuildReport {
            events,
            projects: counts.projects,
            admitted: counts.admitted,
            quarantined: counts.quarantined,
            refused: counts.refused,
            revoked: counts.revoked,
        })
    }
}
