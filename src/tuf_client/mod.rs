//! The verifying TUF client: nothing that it hands out is unsigned.
//!
//! The checks are sigstore-tuf's (section 5 of the specification). Around them stands what it leaves to its user:
//!
//! | gap | closed in |
//! |---|---|
//! | a cache that cannot be written or read is a warning, and the floors of versions are gone | `state.rs` |
//! | a crash between two cache files forgets the versions that the snapshot pinned | `state.rs` |
//! | a key that is filed under two ids votes twice | `keys.rs` |
//! | a clock that is set back makes old metadata fresh again | [`TufClient::refresh`] |
//! | targets are held in memory whole | `download.rs` |
//! | redirects to anywhere, names that are joined to a URL unseen | `http.rs`, `transport.rs` |
//! | errors that do not name the file | `error.rs` |

mod authority;
mod download;
mod error;
mod http;
mod keys;
mod listed;
mod saved;
mod source;
mod state;
mod transport;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use chiron_tuf::TargetPath;
use jiff::Timestamp;
use serde::Serialize;
use sigstore_tuf::{Updater, UpdaterConfig};
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::blocking;
use state::{State, Written};
use transport::{Shared, Transport};

pub use authority::RoleAuthority;
pub use download::{Download, Target};
pub use error::{Check, TufClientError};
pub use http::{Http, Patience, is_loopback};
pub use listed::Listed;
pub use source::{Source, folder_url};
pub use transport::FetchError;

/// How long one refresh may take in all, whatever its parts do. Threat: a host that answers everything just in time.
const MAX_REFRESH: Duration = Duration::from_mins(2);

/// A client of one repository. Cheap to clone.
#[derive(Clone)]
pub struct TufClient(Arc<Inner>);

struct Inner {
    root: Vec<u8>,
    /// Judged by instead of any clock.
    reference: Option<Timestamp>,
    transport: Arc<Transport>,
    state: State,
    live: Mutex<Live>,
    newest: RwLock<Option<Verified>>,
}

/// The updater and its last refresh.
struct Live {
    updater: Option<Updater>,
    last: Option<(Instant, Result<Verified, TufClientError>)>,
}

/// What the newest refresh that ended well has verified.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verified {
    /// The root's version.
    pub root: u64,
    /// The timestamp's version.
    pub timestamp: u64,
    /// The snapshot's version.
    pub snapshot: u64,
    /// The version of the top-level targets.
    pub targets: u64,
    /// When the timestamp ceases to be believed.
    pub expires: Timestamp,
    /// When this was verified.
    pub at: Timestamp,
    /// Metadata files that the snapshot names.
    pub files: usize,
}

impl TufClient {
    /// A client that begins from `root` (bytes of a root that is trusted) and remembers in `state`. Fetches nothing. Blocks.
    ///
    /// Errors: the root is none, or is not signed by its own keys; the state is damaged, or another repository's.
    pub fn open(
        source: Source,
        root: &[u8],
        state: &Path,
        patience: Patience,
    ) -> Result<Self, TufClientError> {
        Self::open_at(source, root, state, patience, None)
    }

    /// As [`TufClient::open`]; with a reference time everything is judged as of then, whatever `now` later calls are given.
    pub fn open_at(
        source: Source,
        root: &[u8],
        state: &Path,
        patience: Patience,
        reference: Option<Timestamp>,
    ) -> Result<Self, TufClientError> {
        let transport = Arc::new(Transport::new(source, patience)?);
        read_root(root)?;
        let state = State::open(state, root)?;
        let updater = updater(&transport, &state, root)?;
        Ok(Self(Arc::new(Inner {
            root: root.to_vec(),
            reference,
            transport,
            state,
            live: Mutex::new(Live {
                updater: Some(updater),
                last: None,
            }),
            newest: RwLock::default(),
        })))
    }

    /// Fetches and verifies what is new: roots, timestamp, snapshot, targets (section 5.3 to 5.6).
    ///
    /// Expiry is judged at `now`, or at the last time at which something was verified if `now` is earlier: a clock that is set
    /// back does not make old metadata fresh. Whoever asks while a refresh that began after this call is under way gets its end.
    pub async fn refresh(&self, now: Timestamp) -> Result<Verified, TufClientError> {
        let asked = Instant::now();
        let mut live = self.0.live.lock().await;
        if let Some((began, end)) = &live.last
            && *began >= asked
        {
            return end.clone();
        }
        let began = Instant::now();
        let end = self.refresh_now(&mut live, now).await;
        live.last = Some((began, end.clone()));
        end
    }

    /// Whether `root` is one, and signed by its own keys. Nobody is asked.
    pub fn check_root(root: &[u8]) -> Result<(), TufClientError> {
        read_root(root)?;
        sigstore_tuf::TrustedMetadataSet::from_root(root)
            .map(drop)
            .map_err(|error| TufClientError::from_library(error, "the root that was given"))
    }

    /// The first root, as the repository has it: for who has no other. That it is the right one is not checked by anything.
    pub async fn first_root(source: &Source, patience: Patience) -> Result<bytes::Bytes, TufClientError> {
        let transport = Transport::new(source.clone(), patience)?;
        transport.first_root().await
    }

    /// Whose keys the newest verified root states, by role: root, targets, snapshot, timestamp. Nothing is asked.
    pub async fn authorities(&self) -> BTreeMap<String, RoleAuthority> {
        let live = self.0.live.lock().await;
        let roles = live
            .updater
            .iter()
            .flat_map(|updater| &updater.trusted().root().roles);
        roles
            .map(|(role, keys)| (role.clone(), RoleAuthority::of(keys)))
            .collect()
    }

    /// What was verified last. Nothing is asked.
    pub fn newest(&self) -> Option<Verified> {
        self.0
            .newest
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn judged_at(&self, now: Timestamp) -> Timestamp {
        self.0.reference.unwrap_or_else(|| self.0.state.not_before(now))
    }

    async fn refresh_now(&self, live: &mut Live, now: Timestamp) -> Result<Verified, TufClientError> {
        let state = self.0.state.clone();
        let stale = blocking::run(move || {
            if state.is_stale() {
                state.reload().map(|()| true)
            } else {
                Ok(false)
            }
        });
        if stale.await.map_err(lost)?? {
            // Another process has verified something since: begin from there.
            live.updater = None;
        }
        if self.0.transport.is_heavy() {
            // What it trusts is in the state; what it needs of the rest is fetched or found again.
            live.updater = None;
        }
        match self.attempt(live, now).await {
            Ok(Some(verified)) => Ok(verified),
            // Once more from what the other process wrote; it cannot be ahead of that again without having refreshed.
            Ok(None) => self
                .attempt(live, now)
                .await?
                .ok_or_else(|| TufClientError::Unreachable {
                    file: "timestamp.json".to_owned(),
                    why: "another process keeps verifying newer metadata in the same state folder; try again"
                        .to_owned(),
                }),
            Err(error) => Err(error),
        }
    }

    /// One refresh; `None` when another process was faster.
    async fn attempt(&self, live: &mut Live, now: Timestamp) -> Result<Option<Verified>, TufClientError> {
        let Inner {
            root,
            transport,
            state,
            newest,
            ..
        } = &*self.0;
        let now = self.judged_at(now);
        let updater = match &mut live.updater {
            Some(updater) => updater,
            none => none.insert(updater(transport, state, root)?),
        };
        let refreshed = match tokio::time::timeout(MAX_REFRESH, updater.refresh(now)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => {
                let last = transport.last();
                transport.forget(&last);
                Err(TufClientError::from_library(error, &last))
            }
            Err(_) => Err(TufClientError::Unreachable {
                file: transport.last(),
                why: format!("the refresh took more than {} s", MAX_REFRESH.as_secs()),
            }),
        };
        if let Err(error) = state.check_floors(updater.trusted())
            && refreshed.is_ok()
        {
            // sigstore-tuf believes it; what it has is not kept.
            live.updater = None;
            let state = state.clone();
            blocking::run(move || state.reload()).await.map_err(lost)??;
            return Err(error);
        }
        // What was accepted before a later step failed is kept too (sections 5.3.8, 5.4.5): it is a floor from now on.
        let by_the_clock = self.0.reference.is_none().then_some(now);
        state.raise(updater.trusted(), refreshed.is_ok(), by_the_clock);
        let verified = verified(updater, now);
        let writing = state.clone();
        match blocking::run(move || writing.write()).await.map_err(lost)?? {
            Written::Done => {}
            Written::Overtaken => {
                live.updater = None;
                let state = state.clone();
                blocking::run(move || state.reload()).await.map_err(lost)??;
                return Ok(None);
            }
        }
        refreshed?;
        let verified =
            verified.ok_or_else(|| TufClientError::from_library(sigstore_tuf::Error::NotRefreshed, ""))?;
        *newest.write().unwrap_or_else(PoisonError::into_inner) = Some(verified.clone());
        Ok(Some(verified))
    }

    /// What the signed repository says of `path`, in the newest metadata that was verified; `None` when no role lists it
    /// (section 5.6.7). Call [`TufClient::refresh`] first. Delegated roles are fetched and verified as they are needed.
    pub async fn target(&self, path: &TargetPath, now: Timestamp) -> Result<Option<Target>, TufClientError> {
        let transport = &self.0.transport;
        let missing = {
            let live = self.0.live.lock().await;
            live.updater.as_ref().and_then(|updater| next_role(updater, path))
        };
        // Outside the lock, so that many pages that need different bins fetch them at the same time.
        if let Some(file) = missing.filter(|file| !transport.has(file)) {
            transport.prefetch(&file).await;
        }
        let mut live = self.0.live.lock().await;
        let now = self.judged_at(now);
        let Some(updater) = &mut live.updater else {
            return Err(TufClientError::from_library(
                sigstore_tuf::Error::NotRefreshed,
                "",
            ));
        };
        match updater.get_target_info(path.as_str(), now).await {
            Ok(None) => Ok(None),
            Ok(Some(info)) => {
                Target::new(path, &info, updater.trusted().root().consistent_snapshot).map(Some)
            }
            Err(error) => {
                let last = transport.last();
                transport.forget(&last);
                Err(TufClientError::from_library(error, &last))
            }
        }
    }

    /// Begins to fetch a target. Nothing of it is to be believed before [`Download::next`] has said that it is whole.
    pub async fn fetch(&self, target: &Target) -> Result<Download, TufClientError> {
        Download::begin(&self.0.transport, target).await
    }

    /// A whole target in memory, of at most `limit` bytes.
    pub async fn fetch_bytes(&self, target: &Target, limit: u64) -> Result<bytes::Bytes, TufClientError> {
        if target.length > limit {
            return Err(TufClientError::refused(
                Check::TooLong,
                target.path.as_str(),
                format!(
                    "it has {} bytes, and {limit} are taken into memory",
                    target.length
                ),
            ));
        }
        let mut download = self.fetch(target).await?;
        let mut bytes = Vec::new();
        while let Some(chunk) = download.next().await? {
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes.into())
    }
}

fn lost(lost: blocking::Lost) -> TufClientError {
    TufClientError::Setup(lost.to_string())
}

fn updater(transport: &Arc<Transport>, state: &State, root: &[u8]) -> Result<Updater, TufClientError> {
    let mut config = UpdaterConfig::default();
    config.root_max_length = chiron_tuf::limits::MAX_ROOT_BYTES;
    config.timestamp_max_length = chiron_tuf::limits::MAX_TIMESTAMP_BYTES;
    config.snapshot_max_length = chiron_tuf::limits::MAX_SNAPSHOT_BYTES;
    config.targets_max_length = chiron_tuf::limits::MAX_TARGETS_BYTES;
    config.max_root_rotations = chiron_tuf::limits::MAX_ROOT_ROTATIONS;
    config.max_delegations = chiron_tuf::limits::MAX_DELEGATIONS;
    state.unseeded();
    transport.begin();
    Ok(Updater::new(Shared(Arc::clone(transport)), root)
        .map_err(|error| TufClientError::from_library(error, "the root that was given"))?
        .with_config(config)
        .with_store(state.store()))
}

/// The root that the user gave.
fn read_root(root: &[u8]) -> Result<sigstore_tuf::Root, TufClientError> {
    let given = "the root that was given";
    let read = sigstore_tuf::Metadata::<sigstore_tuf::Root>::from_slice(root)
        .map_err(|error| TufClientError::from_library(error, given))?;
    keys::each_stands_once(root).map_err(|why| TufClientError::refused(Check::OneKeyTwice, given, why))?;
    Ok(read.into_signed())
}

fn verified(updater: &Updater, at: Timestamp) -> Option<Verified> {
    let trusted = updater.trusted();
    let (timestamp, snapshot) = (trusted.timestamp()?, trusted.snapshot()?);
    Some(Verified {
        root: trusted.root().version,
        timestamp: timestamp.version,
        snapshot: snapshot.version,
        targets: trusted.targets_role("targets")?.version,
        expires: timestamp.expires,
        at,
        files: snapshot.meta.len(),
    })
}

/// The file of the first role on the way to `path` that is not in memory yet: a guess that saves time, and decides nothing.
fn next_role(updater: &Updater, path: &TargetPath) -> Option<String> {
    let trusted = updater.trusted();
    let snapshot = trusted.snapshot()?;
    let mut role = "targets".to_owned();
    for _ in 0..chiron_tuf::limits::MAX_DELEGATIONS {
        let Some(targets) = trusted.targets_role(&role) else {
            let version = snapshot.meta.get(&format!("{role}.json"))?.version;
            return trusted
                .root()
                .consistent_snapshot
                .then(|| format!("{version}.{role}.json"));
        };
        let children = &targets.delegations.as_ref()?.roles;
        let child = children
            .iter()
            .find(|child| child.matches_path(path.as_str()).unwrap_or(false))?;
        role.clone_from(&child.name);
    }
    None
}

#[cfg(test)]
mod tests;
