//! What the database in force says of one project: looked up once, then held against any number of its files.

use std::collections::HashMap;
use std::sync::Arc;

use chiron_storage::Digest;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::groups::Group;
use super::reach::Reach;
use super::vex::Statement;

/// Which database, and how whole it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Database {
    /// The newest change of any record in it.
    pub as_of: Timestamp,
    /// SHA-256 over its content: the same records have the same digest, however they were packed.
    pub digest: Digest,
    /// Records of the index's packages.
    pub records: u64,
    /// Records that could not be used, or not whole.
    pub set_aside: u64,
    /// Of those, the ones that name no package.
    pub unattributed: u64,
}

/// One record, as far as it concerns one project.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// The record's first line.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub summary: String,
    /// When the record last changed.
    pub modified: Timestamp,
    /// One that contains a version is enough.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reaches: Vec<Reach>,
    /// Why it does not say which versions it reaches; empty when it does.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub undecided: Vec<String>,
}

impl Entry {
    /// Bytes that it takes in memory, roughly.
    pub fn weight(&self) -> usize {
        400 + self.summary.len() + self.reaches.iter().map(Reach::weight).sum::<usize>()
    }
}

/// The records, by identifier, with the vulnerability that each is about.
#[derive(Debug, Default)]
pub struct Records {
    /// In the order of their identifiers.
    pub entries: Vec<(String, Entry)>,
    /// By the identifier of each entry.
    pub groups: HashMap<String, Arc<Group>>,
    /// VEX statements about the project.
    pub statements: Vec<Statement>,
}

/// What the database in force says of one project. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ProjectAdvisories(pub(super) Arc<Known>);

#[derive(Debug)]
pub(super) enum Known {
    Readable {
        database: Database,
        max_age: Option<SignedDuration>,
        records: Records,
    },
    Unreadable(String),
}

impl ProjectAdvisories {
    /// What was found; `max_age` is how old the database may be.
    pub fn new(database: Database, max_age: Option<SignedDuration>, records: Records) -> Self {
        Self(Arc::new(Known::Readable {
            database,
            max_age,
            records,
        }))
    }

    /// A database that is there and could not be read: nothing is known, and that is not the same as clean.
    pub fn unreadable(why: impl Into<String>) -> Self {
        Self(Arc::new(Known::Unreadable(why.into())))
    }

    /// The database that was asked; `None` when it could not be read.
    pub fn database(&self) -> Option<&Database> {
        match &*self.0 {
            Known::Readable { database, .. } => Some(database),
            Known::Unreadable(_) => None,
        }
    }

    /// The records, when the database may be relied on.
    ///
    /// # Errors
    /// Says why it may not: it cannot be read, or it is too old.
    pub fn usable(&self, now: Timestamp) -> Result<&Records, String> {
        match &*self.0 {
            Known::Unreadable(why) => Err(format!("the advisory database cannot be read: {why}")),
            Known::Readable {
                database,
                max_age,
                records,
            } => match stale(database, *max_age, now) {
                Some(why) => Err(why),
                None => Ok(records),
            },
        }
    }

    /// Bytes that it takes in memory, roughly.
    pub fn weight(&self) -> u64 {
        match &*self.0 {
            Known::Unreadable(_) => 64,
            Known::Readable { records, .. } => {
                let entries: usize = records.entries.iter().map(|(_, entry)| entry.weight()).sum();
                (256 + entries + records.statements.len() * 400) as u64
            }
        }
    }
}

/// Why a database is too old to say anything; `None` when it is not.
pub fn stale(database: &Database, max_age: Option<SignedDuration>, now: Timestamp) -> Option<String> {
    let age = now.duration_since(database.as_of);
    let most = max_age.filter(|most| age > *most)?;
    let (days, most) = (age.as_hours() / 24, most.as_hours() / 24);
    Some(format!(
        "the advisory database is of {} and {days} days old; after {most} days (advisories.max_age) it says nothing any more: load a newer one",
        database.as_of
    ))
}
