//! The handle that others hold.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use chiron_storage::Db;
use chiron_tuf::{Document, Envelope, Role, TargetFile, Targets, TargetsType, Version, expires_at};
use jiff::Timestamp;
use papaya::HashMap;
use tokio::sync::{Mutex, MutexGuard, Notify, watch};
use tokio::task::AbortHandle;
use tracing::Instrument as _;

use super::condition::Condition;
use super::folder::Folder;
use super::held::Held;
use super::renew::trust_targets;
use super::run::Order;
use super::{Generation, How, PublishError, Published, Settings, SignedRole, authority};
use crate::blocking;
use crate::catalog::Catalog;
use crate::keys::Keyring;
use crate::package::ProjectName;
use crate::telemetry::Metrics;

/// The documents of role `trust` as they should be now: names below `trust/`, and bytes.
pub type TrustDocuments = Arc<dyn Fn() -> Vec<(String, Bytes)> + Send + Sync>;

/// While publications fail, nobody waits longer than this for one.
const WAIT_IN_TROUBLE: Duration = Duration::from_secs(2);

/// How often those who wait look whether publications fail.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// What a publisher is made of.
#[derive(Clone)]
pub struct Parts {
    /// Whose families include [`super::FAMILIES`].
    pub db: Db,
    /// What is published.
    pub catalog: Catalog,
    /// `DATA/tuf`.
    pub folder: PathBuf,
    /// Who signs.
    pub keyring: Keyring,
    /// `[tuf]`.
    pub settings: Settings,
    /// Policy and trusted roots.
    pub trust_documents: TrustDocuments,
    /// Counts publications.
    pub metrics: Metrics,
}

/// The signed repository. Cheap to clone.
#[derive(Clone)]
pub struct Publisher {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub parts: Parts,
    pub folder: Folder,
    /// What the database has. Replaced as a whole by who has the turn.
    held: RwLock<Arc<Held>>,
    /// One publication at a time. The data folder's lock keeps other processes out.
    turn: Mutex<()>,
    /// The newest generation whose timestamp is on disk.
    generation: watch::Sender<Option<Arc<Generation>>>,
    /// For each project whose signed page changed since the start, the generation that changed it.
    heads: HashMap<Box<str>, u64>,
    /// The generation since which any page may have changed.
    all_heads: AtomicU64,
    pub condition: Condition,
    /// How often somebody said that there is something to publish that the log does not tell.
    wanted: AtomicU64,
    /// What of that a publication has looked at.
    answered: AtomicU64,
    /// Rung when there is more to publish than one publication took.
    pub bell: Notify,
}

impl Inner {
    /// What is in force.
    pub(super) fn held(&self) -> Arc<Held> {
        Arc::clone(&self.held.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// What is in force from now on.
    pub(super) fn put(&self, held: Held) -> Arc<Held> {
        let held = Arc::new(held);
        *self.held.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&held);
        held
    }

    /// Any page may be another since this generation.
    pub(super) fn every_page_changed(&self, generation: u64) {
        self.all_heads.fetch_max(generation, Ordering::AcqRel);
    }

    /// One after the other.
    pub(super) async fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().await
    }

    /// Tells of a generation that is whole on disk, and of the pages that it changed.
    pub(super) fn announce(
        &self,
        generation: &Arc<Generation>,
        pages: impl IntoIterator<Item = ProjectName>,
    ) {
        let heads = self.heads.pin();
        for project in pages {
            heads.insert(project.as_str().into(), generation.number);
        }
        self.generation.send_replace(Some(Arc::clone(generation)));
    }
}

impl Publisher {
    /// Over an open database. Reads what is in force; makes the folder where there is none, and changes nothing else.
    pub async fn open(parts: Parts) -> Result<Self, PublishError> {
        let folder = Folder::open(&parts.folder).await?;
        let held: Held = parts.db.read(Held::read).await?;
        let generation = held.generation.clone();
        let inner = Inner {
            parts,
            folder,
            held: RwLock::new(Arc::new(held)),
            turn: Mutex::default(),
            generation: watch::Sender::new(generation),
            heads: HashMap::new(),
            all_heads: AtomicU64::new(0),
            condition: Condition::default(),
            wanted: AtomicU64::new(0),
            answered: AtomicU64::new(0),
            bell: Notify::new(),
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// Finishes what a crash left, and looks at what lies in the folder.
    pub async fn recover(&self, now: Timestamp) -> Result<(), PublishError> {
        let _turn = self.inner.turn.lock().await;
        self.inner.recover(now).await
    }

    /// Publishes what changed since the newest generation, and what is due.
    pub async fn publish(&self, how: How, now: Timestamp) -> Result<Published, PublishError> {
        let install = Vec::new();
        self.take_turn(Order { how, install }, now).await
    }

    /// Verifies documents signed by people, puts them in force together, and publishes with what follows from them: what
    /// their keys no longer vouch for is signed again, with the keys that now count, or nothing of it comes into force.
    pub async fn install(&self, install: Vec<SignedRole>, now: Timestamp) -> Result<Published, PublishError> {
        let how = How::default();
        self.take_turn(Order { how, install }, now).await
    }

    /// Who stops waiting does not cut a publication in two: it runs in a task of its own.
    async fn take_turn(&self, order: Order, now: Timestamp) -> Result<Published, PublishError> {
        let inner = Arc::clone(&self.inner);
        let task = async move {
            let _turn = inner.turn.lock().await;
            let repair = order.how.repair;
            if repair {
                inner.inspect().await?;
                inner.put_back(true).await?;
            }
            let wanted = inner.wanted.load(Ordering::Acquire);
            let timer = inner.parts.metrics.publication_timer();
            let result = inner.run(order, now).await;
            drop(timer);
            inner.note(&result);
            if result.is_ok() && inner.answered.swap(wanted, Ordering::AcqRel) != wanted {
                // Who waits for that looks again, also if nothing could be signed here.
                inner.generation.send_modify(|_| {});
            }
            result
        };
        let task = tokio::spawn(task.in_current_span());
        task.await.map_err(|_| PublishError::Stopping)?
    }

    /// Follows the catalogue and the clock until the handle is used or [`Self::stop`] is called.
    pub fn start(&self) -> AbortHandle {
        self.inner.condition.set_following(true);
        tokio::spawn(self.clone().follow()).abort_handle()
    }

    /// Waits for a publication under way; none begins afterwards but those that somebody asks for.
    pub async fn stop(&self, following: &AbortHandle, patience: Duration) {
        self.inner.condition.set_following(false);
        following.abort();
        if tokio::time::timeout(patience, self.inner.turn.lock())
            .await
            .is_err()
        {
            tracing::warn!("a publication is cut off; the next start finishes or forgets it");
        }
    }

    /// The newest generation whose timestamp is on disk.
    pub fn generation(&self) -> Option<Arc<Generation>> {
        self.inner.generation.borrow().clone()
    }

    /// Something is to be published that the log does not tell of: policy or trusted roots are others.
    pub fn look_again(&self) {
        self.inner.wanted.fetch_add(1, Ordering::AcqRel);
        self.inner.bell.notify_one();
    }

    /// Whether this process publishes what changes.
    pub fn is_following(&self) -> bool {
        self.inner.condition.is_following()
    }

    /// Whether anything was ever published.
    pub fn has_published(&self) -> bool {
        self.inner.generation.borrow().is_some()
    }

    /// Tells of each new generation.
    pub fn watch(&self) -> watch::Receiver<Option<Arc<Generation>>> {
        self.inner.generation.subscribe()
    }

    /// Waits until a generation signs the log up to `log_size`; `false` if it took longer than `wait`, or nobody publishes
    /// in this process.
    pub async fn published(&self, log_size: u64, wait: Duration) -> bool {
        let mut watch = self.watch();
        let (inner, wanted) = (&self.inner, self.inner.wanted.load(Ordering::Acquire));
        let reached = |generation: &Option<Arc<Generation>>| {
            let signed = generation.as_ref().map_or(0, |generation| generation.log_size);
            signed >= log_size && inner.answered.load(Ordering::Acquire) >= wanted
        };
        if reached(&watch.borrow()) {
            return true;
        }
        if !self.inner.condition.is_following() || !self.has_published() {
            return false;
        }
        let begun = Instant::now();
        loop {
            let wait = match self.inner.condition.trouble() {
                Some(_) => wait.min(WAIT_IN_TROUBLE),
                None => wait,
            };
            let left = wait.saturating_sub(begun.elapsed());
            // Trouble may begin meanwhile: nothing rings then.
            match tokio::time::timeout(left.min(LOOK_EVERY), watch.wait_for(reached)).await {
                Ok(generation) => return generation.is_ok(),
                Err(_) if left <= LOOK_EVERY => return false,
                Err(_) => {}
            }
        }
    }

    /// A number that changes whenever the project's signed page changes; 0 if it has not since the start.
    pub fn page_head(&self, project: &str) -> u64 {
        let head = self.inner.heads.pin().get(project).copied().unwrap_or(0);
        head.max(self.inner.all_heads.load(Ordering::Acquire))
    }

    /// The document of root, targets, trust or bins that is in force.
    #[expect(
        clippy::unused_async,
        reason = "callers need not know that these few are in memory"
    )]
    pub async fn role<T: Document>(&self, role: Role) -> Result<Option<Envelope<T>>, PublishError> {
        let held = self.inner.held();
        let bytes = match role {
            Role::Root => held.root.as_ref().map(|kept| &kept.bytes),
            Role::Targets => held.targets.as_ref().map(|kept| &kept.bytes),
            Role::Trust => held.trust.as_ref().map(|kept| &kept.bytes),
            Role::Bins => held.bins.as_ref().map(|kept| &kept.bytes),
            Role::Bin(_) | Role::Snapshot | Role::Timestamp => None,
        };
        Ok(bytes.map(|bytes| Envelope::parse(bytes)).transpose()?)
    }

    /// What a client is given to begin with: a copy of the newest root.
    pub fn root_path(&self) -> PathBuf {
        self.inner.parts.folder.join("root.json")
    }

    /// How long before its end a role that people sign is warned of.
    pub fn warn_before(&self) -> Duration {
        self.inner.parts.settings.warn_before
    }

    /// The version of a role as it was published last; 0 if it never was.
    pub fn version(&self, role: Role) -> Version {
        self.inner.held().version(role)
    }

    /// How many targets the bins list.
    pub fn target_count(&self) -> u64 {
        self.inner.held().target_count
    }

    /// What `trust` should list now. The bytes are kept, however long its signatures take.
    pub async fn trust_targets(
        &self,
        _now: Timestamp,
    ) -> Result<std::collections::BTreeMap<String, TargetFile>, PublishError> {
        self.inner.keep_trust_documents().await?;
        Ok(trust_targets(&self.inner.trust_documents()?))
    }

    /// The unsigned next version of `trust`, if policy or trusted roots are not the ones that are signed and its keys are
    /// not here: somebody has to sign it.
    pub async fn wants_trust(&self, now: Timestamp) -> Result<Option<Targets>, PublishError> {
        let held = self.inner.held();
        if held.generation.is_none() {
            return Ok(None);
        }
        let wanted = trust_targets(&self.inner.trust_documents()?);
        let signed = held.trust.as_ref().map(|trust| &trust.signed().targets);
        if signed == Some(&wanted) {
            return Ok(None);
        }
        let keyring = self.inner.parts.keyring.clone();
        let keys = held.keys_of(Role::Trust)?;
        let listed = blocking::run(move || keyring.list()).await?;
        let online = listed.is_ok_and(|ring| authority::is_online(&ring, &keys));
        if online {
            return Ok(None);
        }
        let targets = self.trust_targets(now).await?;
        Ok(Some(Targets {
            kind: TargetsType::Only,
            spec_version: chiron_tuf::SPEC_VERSION.to_owned(),
            version: held.version(Role::Trust) + 1,
            expires: expires_at(Role::Trust, now).map_err(|error| PublishError::sign(Role::Trust, &error))?,
            targets,
            delegations: None,
        }))
    }

    /// The database, for what waits for signatures beside this.
    pub fn db(&self) -> &Db {
        &self.inner.parts.db
    }
}
