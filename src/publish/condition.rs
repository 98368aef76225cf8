//! What goes wrong beside a publication: files that somebody changed, keys that fail, files that could not be replaced.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use chiron_tuf::{MetadataName, Role};
use jiff::Timestamp;

use super::folder::Lies;

/// How long a renewal that can wait is left alone after its key failed. Threat: every publication waiting for a token that
/// hangs.
const LEFT_ALONE: Duration = Duration::from_mins(1);

/// Files of the folder that are not what was written there.
#[derive(Debug, Clone, Default)]
pub(super) struct Damage(pub BTreeMap<MetadataName, Lies>);

impl Damage {
    /// Whether a file must be made again: one that is missing always, one that was changed when somebody asks for it. An
    /// edited folder is evidence, and nobody's work is undone behind their back.
    pub(super) fn calls_for(&self, name: MetadataName, repair: bool) -> bool {
        match self.0.get(&name) {
            Some(Lies::Missing) => true,
            Some(Lies::Changed) => repair,
            Some(Lies::Same) | None => false,
        }
    }
}

/// The last failure.
#[derive(Debug, Clone)]
pub(super) struct Trouble {
    /// In words.
    pub why: String,
    /// Failures in a row.
    pub times: u32,
}

/// What is wrong at present.
#[derive(Debug, Default)]
pub(super) struct Condition {
    damage: Mutex<Damage>,
    trouble: Mutex<Option<Trouble>>,
    failed: Mutex<BTreeMap<Role, (Instant, String)>>,
    unfinished: AtomicBool,
    following: AtomicBool,
    ceiling: Mutex<Option<Timestamp>>,
}

impl Condition {
    /// Files that are not what was written.
    pub(super) fn damage(&self) -> Damage {
        lock(&self.damage).clone()
    }

    /// A file was looked at. `true` when this is news.
    pub(super) fn saw(&self, name: MetadataName, lies: Lies) -> bool {
        let mut damage = lock(&self.damage);
        match lies {
            Lies::Same => damage.0.remove(&name).is_some(),
            other => damage.0.insert(name, other) != Some(other),
        }
    }

    /// Files that nothing in force names any more.
    pub(super) fn keep_only(&self, names: impl Fn(MetadataName) -> bool) {
        lock(&self.damage).0.retain(|name, _| names(*name));
    }

    /// The last publication's failure, until one succeeds.
    pub(super) fn trouble(&self) -> Option<Trouble> {
        lock(&self.trouble).clone()
    }

    /// A publication ended. Says how many have failed in a row.
    pub(super) fn ended(&self, failure: Option<String>) -> u32 {
        let mut trouble = lock(&self.trouble);
        *trouble = failure.map(|why| Trouble {
            why,
            times: trouble
                .as_ref()
                .map_or(0, |before| before.times)
                .saturating_add(1),
        });
        trouble.as_ref().map_or(0, |trouble| trouble.times)
    }

    /// A renewal that can wait failed.
    pub(super) fn renewal_failed(&self, role: Role, why: String) {
        lock(&self.failed).insert(role, (Instant::now(), why));
    }

    /// A renewal succeeded.
    pub(super) fn renewed(&self, role: Role) {
        lock(&self.failed).remove(&role);
    }

    /// Why the last renewal of a role failed.
    pub(super) fn why_not_renewed(&self, role: Role) -> Option<String> {
        lock(&self.failed).get(&role).map(|(_, why)| why.clone())
    }

    /// Whether a renewal that can wait should be tried.
    pub(super) fn may_renew(&self, role: Role) -> bool {
        lock(&self.failed)
            .get(&role)
            .is_none_or(|(when, _)| when.elapsed() > LEFT_ALONE)
    }

    /// Whether the newest generation is not wholly on disk.
    pub(super) fn is_unfinished(&self) -> bool {
        self.unfinished.load(Ordering::Acquire)
    }

    pub(super) fn set_unfinished(&self, unfinished: bool) {
        self.unfinished.store(unfinished, Ordering::Release);
    }

    /// Whether this process follows the catalogue.
    pub(super) fn is_following(&self) -> bool {
        self.following.load(Ordering::Acquire)
    }

    pub(super) fn set_following(&self, following: bool) {
        self.following.store(following, Ordering::Release);
    }

    /// The latest time that the timestamp may expire at, as the last publication found it.
    pub(super) fn ceiling(&self) -> Option<Timestamp> {
        *lock(&self.ceiling)
    }

    pub(super) fn set_ceiling(&self, ceiling: Option<Timestamp>) {
        *lock(&self.ceiling) = ceiling;
    }
}

/// What is in there is whole after every statement: a panic elsewhere takes nothing from it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
