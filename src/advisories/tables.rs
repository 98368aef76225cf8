//! The tables of the advisory database. Every key begins with the generation that it belongs to; one row says which
//! generation is in force, so that putting a new one in force is one small write.

use chiron_storage::{Raw, Table};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::package::ProjectName;
use crate::policy::AdvisoriesRef;
use crate::verify::advisories::{Database, Entry, Group, Statement};

/// Column families, to be named when the tables are opened.
pub const FAMILIES: &[&str] = &[
    "adv-meta",
    "adv-records",
    "adv-affected",
    "adv-groups",
    "adv-vex",
    "adv-parts",
    "adv-notes",
];

/// The generation in force, under [`CURRENT`].
pub(super) const META: Table<String, Manifest> = Table::new("adv-meta");
pub(super) const CURRENT: &str = "current";
/// The generation that waits to be put in force, under [`WAITING`].
pub(super) const ASIDE: Table<String, WaitingRow> = Table::new("adv-meta");
pub(super) const WAITING: &str = "waiting";
/// The parts of the generation in force that another site sent, under [`ADOPTED`]: they go when that site takes them back.
pub(super) const THEIRS: Table<String, Vec<String>> = Table::new("adv-meta");
pub(super) const ADOPTED: &str = "adopted";
/// Whole records, as canonical JSON.
pub(super) const RECORDS: Table<(u64, String), Raw> = Table::new("adv-records");
/// What records say of a project: generation, project, record.
pub(super) const AFFECTED: Table<(u64, String, String), Entry> = Table::new("adv-affected");
/// The vulnerability that a name belongs to.
pub(super) const GROUPS: Table<(u64, String), Group> = Table::new("adv-groups");
/// VEX statements: generation, project, number.
pub(super) const VEX: Table<(u64, String, u32), Statement> = Table::new("adv-vex");
/// Lists and documents that a later load may not bring again: `kev`, `epss`, `vex/ID`.
pub(super) const PARTS: Table<(u64, String), Raw> = Table::new("adv-parts");
/// What was set aside, and VEX statements that match nothing.
pub(super) const NOTES: Table<(u64, u32), Note> = Table::new("adv-notes");

/// A generation that is, or was, in force.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// The first part of its keys.
    pub generation: u64,
    /// What it is, for verdicts.
    pub database: Database,
    /// When it was put in force.
    pub loaded_at: Timestamp,
    /// What it was loaded from, for people.
    pub source: String,
    /// Packages of the index that some record names.
    pub projects: u64,
    /// Packages of which it is not known which versions are reached.
    pub unknown_projects: u64,
    /// Vulnerabilities that are malware.
    pub malware: u64,
    /// Entries of the list of exploited ones.
    pub kev: u64,
    /// Entries of the list of scores.
    pub epss: u64,
    /// VEX documents that apply.
    pub vex: Vec<VexSummary>,
}

/// A generation that waits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct WaitingRow {
    /// What it is.
    pub manifest: Manifest,
    /// The database that it was made from, as the one who sent it names it.
    pub offered: AdvisoriesRef,
    /// The parts that came with it: keys of [`PARTS`].
    pub theirs: Vec<String>,
    /// The generation that was in force when it was made; it takes the place of no other.
    pub before: Option<u64>,
}

/// A VEX document that applies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VexSummary {
    /// As it calls itself.
    pub id: String,
    /// Its author.
    pub by: String,
    /// Statements about packages of the index.
    pub statements: u64,
    /// Of those, the ones that match no record; and statements that cannot be used.
    pub unmatched: u64,
}

/// Something that an operator should know of a database.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Note {
    /// What it is about.
    pub kind: NoteKind,
    /// The record or document, as it calls itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The file or entry that it came from.
    pub source: String,
    /// Packages concerned.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub projects: Vec<ProjectName>,
    /// What is wrong.
    pub reason: String,
}

/// Kinds of notes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NoteKind {
    /// A record that cannot be used, or not whole: its packages are unknown.
    SetAside,
    /// A listed string that is no version: no file can have it, so the record still decides.
    OddVersion,
    /// A VEX statement that cannot be used, or that matches no record.
    UnmatchedVex,
}

/// A row to be written.
#[derive(Debug)]
pub(super) enum Row {
    Record(String, Vec<u8>),
    Affected(ProjectName, String, Entry),
    /// A newer version of the same record came: what the older one said of the project goes.
    Forget(ProjectName, String),
    Group(String, Group),
    Vex(u32, Statement),
    Part(String, Vec<u8>),
    Note(u32, Note),
}

impl Row {
    /// Bytes that it takes on its way, roughly.
    pub(super) fn weight(&self) -> usize {
        128 + match self {
            Self::Record(_, bytes) | Self::Part(_, bytes) => bytes.len(),
            Self::Affected(.., entry) => entry.weight(),
            Self::Group(_, group) => group.names.iter().map(|name| name.len() + 8).sum(),
            Self::Vex(..) | Self::Note(..) => 256,
            Self::Forget(..) => 0,
        }
    }
}
