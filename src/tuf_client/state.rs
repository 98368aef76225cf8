//! What the client remembers between runs. Without it every rollback would go unseen, so it is one file that is replaced
//! whole, carries its own digest, and is refused rather than forgotten when it is damaged.
//!
//! ```text
//! STATE/trusted.json       versions, the metadata that stands for them, when it was verified
//! STATE/roots/N.root.json  the chain of roots since the one that was given
//! STATE/lock               held while trusted.json is replaced, and no longer
//! ```
//!
//! sigstore-tuf keeps a cache and takes it for that: a file that cannot be read or written is a warning to it, and the
//! floors of versions are gone. Here the floors are kept beside the files, and a failure to keep them is an error.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chiron_storage::Digest;
use jiff::Timestamp;
use rustix::fs::FlockOperation;
use sigstore_tuf::{MetadataStore, TrustedMetadataSet};

use super::error::{Check, TufClientError};
use super::saved::{Floors, MAX_BYTES, Saved, parse, render, replace};

/// The state of one repository.
#[derive(Clone)]
pub(super) struct State {
    folder: PathBuf,
    kept: Arc<Mutex<Kept>>,
}

#[derive(Default)]
struct Kept {
    saved: Saved,
    /// Roots by their number, as they came.
    roots: BTreeMap<u64, Vec<u8>>,
    /// Whether the updater has been given the lower roles since it was made or since the root changed. It would parse and
    /// verify them again, and drop every delegated role, in each refresh.
    seeded: bool,
    changed: bool,
    /// SHA-256 of `trusted.json` as it was read or written here; another one means another process.
    on_disk: Option<Digest>,
    /// Of the file that `on_disk` is about.
    identity: Option<Identity>,
}

/// What tells a file from any other, and from itself before a change.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Identity {
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

/// What became of an attempt to write.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Written {
    /// On disk, or nothing had changed.
    Done,
    /// Another process has verified something newer; that stands.
    Overtaken,
}

impl State {
    /// Opens or makes the folder. `root` is what the user gave; a state of another repository is refused.
    pub(super) fn open(folder: &Path, root: &[u8]) -> Result<Self, TufClientError> {
        let state = Self {
            folder: folder.to_owned(),
            kept: Arc::default(),
        };
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder.join("roots"))
            .map_err(|error| state.io("cannot be made", &error))?;
        state.reload()?;
        state.belongs_to(root)?;
        Ok(state)
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        // Each change below is complete between two statements.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn error(&self, why: impl Into<String>) -> TufClientError {
        TufClientError::State {
            path: self.folder.clone(),
            why: why.into(),
        }
    }

    fn io(&self, doing: &str, error: &std::io::Error) -> TufClientError {
        self.error(format!(
            "{doing} ({error}); without it a rollback would not be seen, so nothing is handed out"
        ))
    }

    fn file(&self) -> PathBuf {
        self.folder.join("trusted.json")
    }

    /// Tells `trusted.json` from any other file of that name: it is replaced, never written to.
    fn identity(&self) -> Option<Identity> {
        let metadata = fs::metadata(self.file()).ok()?;
        Some(Identity {
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        })
    }

    fn root_file(&self, version: u64) -> PathBuf {
        self.folder.join("roots").join(format!("{version}.root.json"))
    }

    /// Reads what is on disk, in place of what is in memory.
    pub(super) fn reload(&self) -> Result<(), TufClientError> {
        let identity = self.identity();
        let Some((saved, digest)) = self.read()? else {
            *self.kept() = Kept::default();
            return Ok(());
        };
        let mut roots = BTreeMap::new();
        for (version, expected) in &saved.roots {
            // A root that is damaged or gone is fetched again: its chain is signed, and the floor of its version stands.
            match fs::read(self.root_file(*version)) {
                Ok(bytes) if signed_digest(&bytes) == Some(*expected) => {
                    roots.insert(*version, bytes);
                }
                Ok(_) => {
                    tracing::warn!(version, folder = %self.folder.display(), "a kept root is damaged; it is fetched again");
                }
                Err(error) => {
                    tracing::warn!(version, %error, "a kept root cannot be read; it is fetched again");
                }
            }
        }
        *self.kept() = Kept {
            saved,
            roots,
            seeded: false,
            changed: false,
            on_disk: Some(digest),
            identity,
        };
        Ok(())
    }

    fn read(&self) -> Result<Option<(Saved, Digest)>, TufClientError> {
        let path = self.file();
        let size = match fs::metadata(&path) {
            Ok(metadata) => metadata.len(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.io("cannot be read", &error)),
        };
        if size > MAX_BYTES {
            return Err(self.damaged("trusted.json is too long"));
        }
        let text = fs::read(&path).map_err(|error| self.io("cannot be read", &error))?;
        let parsed = parse(&text).map_err(|why| self.damaged(why))?;
        Ok(Some((parsed, Digest::of(&text))))
    }

    fn damaged(&self, why: &str) -> TufClientError {
        self.error(format!(
            "{why}. It holds the versions below which nothing is believed, and they are not forgotten silently: put the file back from a backup, or delete the folder to begin again from the root that you give (an attacker who replays an old state is then not noticed)"
        ))
    }

    /// Whether another process has written since, or somebody else has.
    pub(super) fn is_stale(&self) -> bool {
        let identity = self.identity();
        if identity.is_some() && identity == self.kept().identity {
            return false;
        }
        let on_disk = fs::read(self.file()).ok().map(|text| Digest::of(&text));
        on_disk.is_some() && on_disk != self.kept().on_disk
    }

    fn belongs_to(&self, root: &[u8]) -> Result<(), TufClientError> {
        let given = super::read_root(root)?;
        let digest = signed_digest(root);
        let mut kept = self.kept();
        match kept.saved.roots.get(&given.version) {
            Some(known) if Some(*known) != digest => {
                let version = given.version;
                drop(kept);
                Err(self.error(format!(
                    "it belongs to another repository: its root {version} is not the root {version} that was given; name another folder with --state"
                )))
            }
            Some(_) => Ok(()),
            None => {
                if let Some(digest) = digest {
                    kept.saved.roots.insert(given.version, digest);
                    kept.roots.insert(given.version, root.to_vec());
                    kept.changed = true;
                }
                Ok(())
            }
        }
    }

    /// The time to judge by: not before the last time at which something was verified, whatever the clock says.
    pub(super) fn not_before(&self, now: Timestamp) -> Timestamp {
        self.kept().saved.verified_at.map_or(now, |at| at.max(now))
    }

    /// After a refresh: nothing trusted may be below what was trusted before, here or in another process.
    pub(super) fn check_floors(&self, trusted: &TrustedMetadataSet) -> Result<(), TufClientError> {
        let kept = self.kept();
        let floors = &kept.saved.floors;
        let below = |file: &str, new: u64, floor: u64| {
            if new >= floor {
                return Ok(());
            }
            Err(TufClientError::refused(
                Check::Rollback,
                file,
                format!("it is at version {new}, and version {floor} was trusted before: this is a rollback"),
            ))
        };
        below("root.json", trusted.root().version, floors.root)?;
        if floors.keys != online_keys(trusted) {
            return Ok(());
        }
        let version = trusted.timestamp().map_or(0, |timestamp| timestamp.version);
        below("timestamp.json", version, floors.timestamp)?;
        let Some(snapshot) = trusted.snapshot() else {
            return Ok(());
        };
        below("snapshot.json", snapshot.version, floors.snapshot)?;
        for (file, floor) in &floors.meta {
            below(file, snapshot.meta.get(file).map_or(0, |pin| pin.version), *floor)?;
        }
        Ok(())
    }

    /// Raises the floors to what is trusted now. `whole` when a refresh ended well, and `at` when it was judged by the clock.
    pub(super) fn raise(&self, trusted: &TrustedMetadataSet, whole: bool, at: Option<Timestamp>) {
        let mut kept = self.kept();
        let keys = online_keys(trusted);
        let mut floors = kept.saved.floors.clone();
        floors.root = floors.root.max(trusted.root().version);
        if floors.keys != keys {
            floors = Floors {
                root: floors.root,
                keys,
                ..Floors::default()
            };
        }
        if let Some(timestamp) = trusted.timestamp() {
            floors.timestamp = floors.timestamp.max(timestamp.version);
        }
        if let Some(snapshot) = trusted.snapshot() {
            floors.snapshot = floors.snapshot.max(snapshot.version);
            for (file, pin) in &snapshot.meta {
                let floor = floors.meta.entry(file.clone()).or_default();
                *floor = (*floor).max(pin.version);
            }
        }
        if floors != kept.saved.floors {
            kept.saved.floors = floors;
            kept.changed = true;
        }
        kept.seeded |= whole;
        if let Some(at) = at.filter(|_| whole) {
            // Written with the next change, or when it is old enough to matter to a clock that is set back.
            let behind = kept
                .saved
                .verified_at
                .map_or(i64::MAX, |before| at.as_second() - before.as_second());
            if behind > 600 || kept.changed {
                kept.saved.verified_at = Some(at);
                kept.changed = true;
            }
        }
    }

    /// Makes it durable. Blocks.
    pub(super) fn write(&self) -> Result<Written, TufClientError> {
        let mut kept = self.kept();
        if !kept.changed {
            return Ok(Written::Done);
        }
        let lock = fs::OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(self.folder.join("lock"))
            .map_err(|error| self.io("cannot be locked", &error))?;
        rustix::fs::flock(&lock, FlockOperation::LockExclusive)
            .map_err(|error| self.io("cannot be locked", &error.into()))?;
        if let Some((theirs, digest)) = self.read()? {
            if Some(digest) != kept.on_disk && kept.saved.floors.is_behind(&theirs.floors) {
                return Ok(Written::Overtaken);
            }
            for (version, digest) in theirs.roots {
                kept.saved.roots.entry(version).or_insert(digest);
            }
        }
        for (version, bytes) in &kept.roots {
            let path = self.root_file(*version);
            if fs::read(&path).ok().as_deref() != Some(bytes) {
                replace(&path, bytes).map_err(|error| self.io("cannot be written", &error))?;
            }
        }
        let text = render(&kept.saved).map_err(|error| self.error(error.to_string()))?;
        replace(&self.file(), &text).map_err(|error| self.io("cannot be written", &error))?;
        kept.on_disk = Some(Digest::of(&text));
        kept.identity = self.identity();
        kept.changed = false;
        Ok(Written::Done)
    }

    /// A root of the chain, as it came.
    pub(super) fn root(&self, version: u64) -> Option<Vec<u8>> {
        self.kept().roots.get(&version).cloned()
    }

    /// The updater's view of it.
    pub(super) fn store(&self) -> StateStore {
        StateStore(self.clone())
    }

    /// The lower roles are to be read again: the updater was made anew.
    pub(super) fn unseeded(&self) {
        self.kept().seeded = false;
    }
}

fn online_keys(trusted: &TrustedMetadataSet) -> [BTreeSet<String>; 2] {
    ["timestamp", "snapshot"].map(|role| {
        let role = trusted.root().role(role);
        role.map_or_else(BTreeSet::new, |role| role.keyids.iter().cloned().collect())
    })
}

/// SHA-256 of what a root's signatures cover: another order of signatures is the same root.
fn signed_digest(bytes: &[u8]) -> Option<Digest> {
    let root = sigstore_tuf::Metadata::<sigstore_tuf::Root>::from_slice(bytes).ok()?;
    Some(Digest::of(root.signed_canonical()))
}

/// What sigstore-tuf takes for its cache. It is in memory: [`State::write`] makes it durable, and says when it cannot.
pub(super) struct StateStore(State);

impl MetadataStore for StateStore {
    fn load(&self, name: &str) -> sigstore_tuf::Result<Option<Vec<u8>>> {
        let kept = self.0.kept();
        if let Some(version) = root_version(name) {
            return Ok(kept.roots.get(&version).cloned());
        }
        if kept.seeded {
            return Ok(None);
        }
        Ok(kept
            .saved
            .metadata
            .get(name)
            .map(|text| text.clone().into_bytes()))
    }

    fn store(&self, name: &str, bytes: &[u8]) -> sigstore_tuf::Result<()> {
        let mut kept = self.0.kept();
        if let Some(version) = root_version(name) {
            let Some(digest) = signed_digest(bytes) else {
                return Ok(());
            };
            let is_new = kept.saved.roots.insert(version, digest) != Some(digest);
            if is_new || !kept.roots.contains_key(&version) {
                kept.roots.insert(version, bytes.to_vec());
                kept.changed = true;
            }
            if is_new {
                // The updater has dropped what the older root vouched for, and reads it again.
                kept.seeded = false;
            }
        } else if matches!(name, "timestamp.json" | "snapshot.json" | "targets.json") {
            // What sigstore-tuf has parsed is UTF-8.
            let text = String::from_utf8_lossy(bytes).into_owned();
            if kept.saved.metadata.get(name) != Some(&text) {
                kept.saved.metadata.insert(name.to_owned(), text);
                kept.changed = true;
            }
        }
        Ok(())
    }
}

fn root_version(name: &str) -> Option<u64> {
    let digits = name.strip_prefix("root_history/")?.strip_suffix(".root.json")?;
    digits.parse().ok()
}
