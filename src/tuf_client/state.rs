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
use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chiron_storage::Digest;
use jiff::Timestamp;
use rustix::fs::FlockOperation;
use serde::{Deserialize, Serialize};
use sigstore_tuf::{MetadataStore, TrustedMetadataSet};

use super::error::{Check, TufClientError};

/// The first word of `trusted.json`: what it is, before its digest.
const FORMAT: &str = "chiron.tuf-state/v1";
/// Bytes of `trusted.json`. Threat: a folder that somebody else fills.
const MAX_BYTES: u64 = 64 << 20;

/// Versions below which nothing is believed any more.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Floors {
    pub root: u64,
    pub timestamp: u64,
    pub snapshot: u64,
    /// As the snapshot names them: `targets.json`, `bin-0f.json`, …
    pub meta: BTreeMap<String, u64>,
    /// The keys of timestamp and snapshot that these versions were signed under. When the root exchanges them, the versions
    /// start anew (section 5.3.11: recovery from a fast-forward attack).
    pub keys: [BTreeSet<String>; 2],
}

/// The content of `trusted.json`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Saved {
    floors: Floors,
    /// Version and SHA-256 of what each root of the chain signs.
    roots: BTreeMap<u64, Digest>,
    /// `timestamp.json`, `snapshot.json`, `targets.json`, as they came.
    metadata: BTreeMap<String, String>,
    /// When a refresh last ended well. A clock that is behind it is not believed.
    verified_at: Option<Timestamp>,
}

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

    fn root_file(&self, version: u64) -> PathBuf {
        self.folder.join("roots").join(format!("{version}.root.json"))
    }

    /// Reads what is on disk, in place of what is in memory.
    pub(super) fn reload(&self) -> Result<(), TufClientError> {
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

    /// Whether another process has written since.
    pub(super) fn is_stale(&self) -> bool {
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
            if Some(digest) != kept.on_disk && is_newer(&theirs.floors, &kept.saved.floors) {
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
        kept.changed = false;
        Ok(Written::Done)
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

fn is_newer(theirs: &Floors, ours: &Floors) -> bool {
    (theirs.root, theirs.timestamp, theirs.snapshot) > (ours.root, ours.timestamp, ours.snapshot)
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

fn render(saved: &Saved) -> serde_json::Result<Vec<u8>> {
    let body = serde_json::to_vec(saved)?;
    let mut text = format!("{FORMAT} {}\n", Digest::of(&body)).into_bytes();
    text.extend_from_slice(&body);
    Ok(text)
}

fn parse(text: &[u8]) -> Result<Saved, &'static str> {
    let end = text
        .iter()
        .position(|&c| c == b'\n')
        .ok_or("trusted.json is cut short")?;
    let head = std::str::from_utf8(&text[..end]).map_err(|_| "trusted.json is damaged")?;
    let (format, digest) = head.split_once(' ').ok_or("trusted.json is damaged")?;
    if format != FORMAT {
        return Err("trusted.json was written by another version of Chiron, or is damaged");
    }
    let body = &text[end + 1..];
    if digest.parse() != Ok(Digest::of(body)) {
        return Err("trusted.json is damaged: its digest is not that of its content");
    }
    serde_json::from_slice(body).map_err(|_| "trusted.json was written by another version of Chiron")
}

/// Writes aside, syncs, renames, syncs the folder: a crash leaves the old file or the new one.
fn replace(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut aside = tempfile::NamedTempFile::new_in(folder)?;
    aside.write_all(bytes)?;
    aside.as_file().sync_all()?;
    aside.persist(path).map_err(|error| error.error)?;
    File::open(folder)?.sync_all()
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn saved() -> Saved {
        Saved {
            floors: Floors {
                root: 2,
                timestamp: 9,
                snapshot: 8,
                meta: BTreeMap::from([("targets.json".to_owned(), 1)]),
                keys: [BTreeSet::from(["a".to_owned()]), BTreeSet::new()],
            },
            metadata: BTreeMap::from([("timestamp.json".to_owned(), "{\"é\": \"\\n\"}".to_owned())]),
            verified_at: Some(Timestamp::UNIX_EPOCH),
            ..Saved::default()
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        assert_eq!(parse(&render(&saved()).unwrap()), Ok(saved()));
    }

    #[test]
    fn any_changed_byte_is_noticed() {
        let text = render(&saved()).unwrap();
        for place in 0..text.len() {
            let mut damaged = text.clone();
            damaged[place] ^= 1;
            assert!(parse(&damaged).is_err(), "byte {place}");
            assert!(parse(&text[..place]).is_err(), "cut at {place}");
        }
    }

    #[test]
    fn newer_is_judged_by_the_root_first() {
        let at = |root, timestamp| Floors {
            root,
            timestamp,
            ..Floors::default()
        };
        assert!(is_newer(&at(1, 5), &at(1, 4)));
        assert!(!is_newer(&at(1, 4), &at(1, 4)));
        // After a recovery versions begin anew under a newer root.
        assert!(!is_newer(&at(1, 900), &at(2, 4)));
    }
}
