//! One publication, from the change to the timestamp.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use chiron_storage::Digest;
use chiron_tuf::{Bin, Edition, MetadataName, Role, SignedDocument, Version};
use jiff::Timestamp;

use super::authority::Hands;
use super::bins::BinWriter;
use super::ceiling;
use super::commit::Commit;
use super::condition::Damage;
use super::delta::{Anew, Delta, Planner};
use super::due::{is_due, went_back};
use super::folder::Syncing;
use super::held::{Held, Kept};
use super::install::{Installed, take_in};
use super::publisher::Inner;
use super::tables::RoleRow;
use super::{How, PublishError, Published, SignedRole};
use crate::blocking;

/// What somebody asks for.
#[derive(Debug, Default)]
pub(super) struct Order {
    pub how: How,
    pub install: Vec<SignedRole>,
}

/// A publication on its way.
pub(super) struct Run<'a> {
    pub inner: &'a Inner,
    pub how: How,
    pub now: Timestamp,
    /// The timestamp expires no later.
    pub ceiling: Option<Timestamp>,
    /// As the database has it.
    pub before: Arc<Held>,
    /// As it will have it.
    pub held: Held,
    pub damage: Damage,
    /// Takes what is signed, and says what comes next.
    pub edition: Edition,
    pub syncing: Syncing,
    /// Written aside, to be put in place.
    pub written: Vec<MetadataName>,
    pub commit: Commit,
    pub stats: Published,
}

impl Inner {
    /// Publishes. The caller holds the turn.
    pub(super) async fn run(&self, order: Order, now: Timestamp) -> Result<Published, PublishError> {
        let begun = Instant::now();
        let before = self.held();
        // What an earlier publication could not put on disk.
        self.finish(&before).await?;
        let mut held = (*before).clone();
        let installed = take_in(&mut held, order.install, now)?;
        if installed.has(Role::Trust) {
            self.has_trust_documents(&held).await?;
        }
        let (Some(_), Some(_), Some(_)) = (&held.root, &held.targets, &held.bins) else {
            return Err(PublishError::NotInitialised);
        };
        warn_of_clock(&before, now);
        let planner = Planner {
            db: &self.parts.db,
            catalog: &self.parts.catalog,
            held: &before,
            now,
        };
        let delta = planner.delta().await?;
        if let Some(floor) = order.how.versions_from {
            may_be_floor(floor)?;
        }
        let ceiling = self.ceiling().await?;
        self.condition.set_ceiling(ceiling);
        let run = Run {
            inner: self,
            edition: edition_after(&before, &order.how, now).no_later_than(ceiling),
            how: order.how,
            now,
            ceiling,
            damage: self.condition.damage(),
            commit: Commit::new(&before, now),
            stats: unchanged(&before),
            syncing: Syncing::Each,
            written: Vec::new(),
            before,
            held,
        };
        let mut published = run.publish(installed, delta).await?;
        published.took_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        Ok(published)
    }
}

impl Run<'_> {
    async fn publish(mut self, installed: Installed, mut delta: Delta) -> Result<Published, PublishError> {
        let new_roots = !installed.roots.is_empty();
        for root in &installed.roots {
            self.commit.document(root);
            self.note(root);
        }
        for document in &installed.others {
            self.take(document).await?;
        }
        let renewed = self.renew(&installed).await?;
        self.bins(&delta).await?;
        let snapshot = self.snapshot_is_due();
        // How far everything was made anew is written down with a generation, also where nothing came out otherwise.
        let anew = delta.anew != Anew::No;
        if !(snapshot || new_roots || renewed || anew || self.timestamp_is_due()) {
            return Ok(self.stats);
        }
        let timestamp = self.close(snapshot).await?;
        self.settle().await?;
        let Self {
            inner,
            held,
            commit,
            mut stats,
            ..
        } = self;
        stats.targets_changed = delta.changed;
        let pages = std::mem::take(&mut delta.pages);
        let more = delta.more;
        // From the batch to the timestamp, the pages of the generation before are served.
        inner.condition.set_unfinished(true);
        let written = commit.write(inner, held, delta, timestamp).await;
        inner.condition.set_unfinished(written.is_ok());
        let (held, generation) = written?;
        // From here on the database has it: whatever happens to the files, versions go on from there.
        let held = inner.put(held);
        inner.condition.keep_only(|name| match name.version() {
            None => false,
            Some(version) => name.role() == Role::Root || version == held.version(name.role()),
        });
        inner.finish_anew(&held).await?;
        inner.announce(&generation, pages);
        if more {
            inner.bell.notify_one();
        }
        stats.generation = generation.number;
        stats.log_size = generation.log_size;
        Ok(stats)
    }

    /// Takes a signed document of a targets role into the edition and writes its file aside.
    pub(super) async fn take(&mut self, document: &SignedDocument) -> Result<(), PublishError> {
        self.edition
            .add(document)
            .map_err(|error| PublishError::sign(document.role(), &error))?;
        self.commit.document(document);
        self.write(document).await
    }

    async fn write(&mut self, document: &SignedDocument) -> Result<(), PublishError> {
        self.note(document);
        let (folder, name) = (self.inner.folder.clone(), document.name());
        let (bytes, syncing) = (document.bytes().to_vec(), self.syncing);
        self.written.push(name);
        blocking::run(move || folder.write_aside(name, &bytes, syncing)).await?
    }

    /// Notes what becomes of a role.
    pub(super) fn note(&mut self, document: &SignedDocument) {
        let role = document.role();
        let row = RoleRow {
            version: document.version(),
            sha256: Digest::from_bytes(document.row().sha256),
            length: document.row().length,
            expires: document.expires(),
            signed_at: self.now,
            retired: false,
        };
        self.stats.files_written += 1;
        self.stats.bytes_written += row.length;
        self.commit.role(role, self.held.roles.get(&role), &row);
        self.held.roles.insert(role, row);
    }

    /// Signs the bins that changed, are due, are missing on disk, or have other keys.
    async fn bins(&mut self, delta: &Delta) -> Result<(), PublishError> {
        let wanted = self.bins_to_sign(delta)?;
        self.retire()?;
        let Some(first) = wanted.first() else {
            return Ok(());
        };
        let hands = Hands::find(&self.inner.parts.keyring, &self.held, Role::Bin(*first)).await?;
        self.syncing = Syncing::of(wanted.len());
        let writer = BinWriter {
            db: self.inner.parts.db.clone(),
            folder: self.inner.folder.clone(),
            keyring: self.inner.parts.keyring.clone(),
            hands: Arc::new(hands),
            edition: Arc::new(edition_after(&self.before, &self.how, self.now)),
            count: self.held.bin_count()?,
            entries: Arc::clone(&delta.entries),
            syncing: self.syncing,
        };
        let bins = wanted.into_iter().collect();
        writer
            .write(bins, |document| {
                self.stats.bins_signed += 1;
                self.written.push(document.name());
                self.note(document);
                self.edition
                    .add(document)
                    .map_err(|error| PublishError::sign(document.role(), &error))
            })
            .await
    }

    fn bins_to_sign(&self, delta: &Delta) -> Result<BTreeSet<Bin>, PublishError> {
        let count = self.held.bin_count()?;
        let Some(any) = count.bins().next() else {
            return Ok(BTreeSet::new());
        };
        let same_keys = self.before.bins.is_some() && self.has_same_keys(Role::Bin(any));
        // Bins of another cut may have the names of these, and list what they listed under that cut.
        let same_cut = self.before.bin_count().is_ok_and(|before| before == count);
        let all = self.how.versions_from.is_some() || !same_keys || !same_cut;
        let touched: BTreeSet<Bin> = delta
            .entries
            .keys()
            .map(|hash| count.of(hash.as_bytes()))
            .collect();
        let resign = self.inner.parts.settings.resign;
        let wanted = count.bins().filter(|bin| {
            let role = Role::Bin(*bin);
            let due = match self.held.roles.get(&role) {
                None => true,
                Some(row) => {
                    row.retired
                        || is_due(role, row, resign, count, self.now)
                        || self
                            .damage
                            .calls_for(MetadataName::of(role, row.version), self.how.repair)
                }
            };
            all || due || touched.contains(bin)
        });
        Ok(wanted.collect())
    }

    /// Bins that nobody delegates to any more stay in the snapshot, and their files go after the grace.
    fn retire(&mut self) -> Result<(), PublishError> {
        let bins: BTreeSet<Bin> = self.held.bin_count()?.bins().collect();
        for (role, row) in &mut self.held.roles {
            if let Role::Bin(bin) = role
                && !bins.contains(bin)
                && !row.retired
            {
                row.retired = true;
                self.commit.retired(*role, row);
            }
        }
        Ok(())
    }

    fn snapshot_is_due(&self) -> bool {
        !self.edition.is_empty() || self.how.versions_from.is_some() || self.is_due(Role::Snapshot)
    }

    fn timestamp_is_due(&self) -> bool {
        self.how.resign || (self.is_due(Role::Timestamp) && !self.timestamp_is_at_its_ceiling())
    }

    /// Nothing is wrong with the timestamp but its age, and signed anew it would live no longer.
    fn timestamp_is_at_its_ceiling(&self) -> bool {
        self.held.roles.get(&Role::Timestamp).is_some_and(|row| {
            ceiling::is_at(row, self.ceiling)
                && self.has_same_keys(Role::Timestamp)
                && !self
                    .damage
                    .calls_for(MetadataName::of(Role::Timestamp, row.version), self.how.repair)
        })
    }

    /// Whether the keys that count for a role are those of the publication before.
    fn has_same_keys(&self, role: Role) -> bool {
        self.before
            .keys_of(role)
            .is_ok_and(|keys| self.held.keys_of(role).is_ok_and(|now| now.same(&keys)))
    }

    /// Whether a role that the root names is to be signed again although nothing changed.
    fn is_due(&self, role: Role) -> bool {
        let (Some(row), Ok(count)) = (self.held.roles.get(&role), self.held.bin_count()) else {
            return true;
        };
        !self.has_same_keys(role)
            || is_due(role, row, self.inner.parts.settings.resign, count, self.now)
            || self
                .damage
                .calls_for(MetadataName::of(role, row.version), self.how.repair)
    }

    /// Snapshot and timestamp. The timestamp is not written yet.
    async fn close(&mut self, snapshot: bool) -> Result<Bytes, PublishError> {
        let keyring = &self.inner.parts.keyring;
        let failed = |error| PublishError::sign(Role::Timestamp, &error);
        let edition = std::mem::replace(&mut self.edition, Edition::after(self.before.ledger(), self.now));
        let stage = if snapshot {
            let hands = Hands::find(keyring, &self.held, Role::Snapshot).await?;
            let stage = edition
                .snapshot()
                .map_err(|error| PublishError::sign(Role::Snapshot, &error))?;
            let document = hands.sign(keyring, stage.draft(), &[]).await?;
            self.write(&document).await?;
            stage.signed(&document).map_err(failed)?
        } else {
            edition.timestamp().map_err(failed)?
        };
        let hands = Hands::find(keyring, &self.held, Role::Timestamp).await?;
        let document = hands.sign(keyring, stage.draft(), &[]).await?;
        let finished = stage.signed(&document).map_err(failed)?;
        self.note(&document);
        // Names of bins that are none any more were lifted with the rest, above everything clients have seen.
        for (role, listed) in finished.ledger.iter() {
            if let Some(row) = self.held.roles.get_mut(&role)
                && row.retired
                && row.version < listed.version
            {
                row.version = listed.version;
                self.commit.lifted(role, row);
            }
        }
        let bytes = Bytes::from(document.into_bytes());
        Ok(bytes)
    }

    /// Puts every file but roots and the timestamp in its place.
    async fn settle(&mut self) -> Result<(), PublishError> {
        let (folder, names) = (self.inner.folder.clone(), std::mem::take(&mut self.written));
        let syncing = self.syncing;
        blocking::run(move || folder.settle(&names, syncing)).await?
    }

    /// Puts a document of a targets role in force.
    pub(super) fn set(&mut self, document: &SignedDocument) -> Result<(), PublishError> {
        let bytes = Bytes::copy_from_slice(document.bytes());
        match document.role() {
            Role::Root => self.held.root = Some(Kept::parse(bytes)?),
            Role::Targets => self.held.targets = Some(Kept::parse(bytes)?),
            Role::Trust => self.held.trust = Some(Kept::parse(bytes)?),
            Role::Bins => self.held.bins = Some(Kept::parse(bytes)?),
            Role::Bin(_) | Role::Snapshot | Role::Timestamp => {}
        }
        Ok(())
    }
}

/// The highest version that others may be told to begin from. Threat: one digit too many, and a repository without versions
/// left; above this there are still 2^38 publications of every bin.
const HIGHEST_FLOOR: Version = 1 << 52;

fn may_be_floor(floor: Version) -> Result<(), PublishError> {
    if floor <= HIGHEST_FLOOR {
        return Ok(());
    }
    Err(PublishError::NotAccepted {
        role: Role::Timestamp,
        version: floor,
        why: format!(
            "versions that begin above {HIGHEST_FLOOR} would soon come to an end; give one a little above what clients have seen"
        ),
    })
}

/// The edition after what was published last, its versions lifted where somebody asks for that.
fn edition_after(before: &Held, how: &How, now: Timestamp) -> Edition {
    let mut ledger = before.ledger();
    if let Some(floor) = how.versions_from {
        ledger.raise(floor);
    }
    Edition::after(ledger, now)
}

/// What is said when there is nothing to do.
fn unchanged(held: &Held) -> Published {
    Published {
        generation: held.generation.as_ref().map_or(0, |generation| generation.number),
        log_size: held.log_size(),
        targets_changed: 0,
        bins_signed: 0,
        bytes_written: 0,
        files_written: 0,
        took_ms: 0,
    }
}

/// Versions go on whatever the clock says; clients whose clock is right may refuse what a wrong one signs.
fn warn_of_clock(held: &Held, now: Timestamp) {
    if let Some(generation) = &held.generation
        && went_back(generation.at, now)
    {
        tracing::warn!(
            last = %generation.at, %now,
            "the clock is behind the newest publication: versions go on, but what is signed now expires by this clock; check the machine's time"
        );
    }
}
