//! One publication: its documents, in order, with the versions that follow from the last one.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::draft::{Draft, DraftError};
use super::ledger::Ledger;
use super::sign::SignedDocument;
use crate::expiry::{expires_at, whole_seconds};
use crate::layout::MetadataName;
use crate::metadata::{
    Delegations, MetaFile, SPEC_VERSION, Snapshot, SnapshotType, TargetFile, Targets, TargetsType,
    TimestampMetadata, TimestampType, Version,
};
use crate::role::{Bin, Role};

/// A publication whose targets roles are being collected.
#[derive(Debug)]
pub struct Edition {
    ledger: Ledger,
    now: Timestamp,
    /// From before this edition: every bin of one edition goes up by the same step.
    highest_bin: Version,
    /// The timestamp lives no longer than this.
    latest: Option<Timestamp>,
    order: Vec<MetadataName>,
    roles: BTreeSet<Role>,
}

/// A publication that lacks a snapshot and a timestamp.
#[derive(Debug)]
pub struct SnapshotStage {
    edition: Edition,
    draft: Draft,
}

/// A publication that lacks its timestamp.
#[derive(Debug)]
pub struct TimestampStage {
    edition: Edition,
    draft: Draft,
}

/// A publication that is complete.
#[derive(Debug)]
pub struct Finished {
    /// Its files, in the order in which they were put in. The timestamp is the last, and is to be written last.
    pub files: Vec<MetadataName>,
    /// What the next edition comes after.
    pub ledger: Ledger,
}

/// Why a document is not part of an edition.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EditionError {
    /// Not at this point.
    #[error("metadata of {found} was put in where {wanted} belongs")]
    Misplaced {
        /// Whose it is.
        found: Role,
        /// Whose it should have been, in words.
        wanted: &'static str,
    },
    /// Two documents of one role.
    #[error("this publication has metadata of {role} already")]
    Again {
        /// Whose.
        role: Role,
    },
    /// Threat: what clients already have would be rolled back; they would refuse the publication.
    #[error("{role} {version} cannot be published: {last} was, and versions only go up")]
    Rollback {
        /// Whose.
        role: Role,
        /// Which version was put in.
        version: Version,
        /// Which version was published last.
        last: Version,
    },
    /// The document is another than the one that was drafted.
    #[error("{role} {found} was put in, and {drafted} was drafted")]
    NotDrafted {
        /// Whose.
        role: Role,
        /// Which version was put in.
        found: Version,
        /// Which version was drafted.
        drafted: Version,
    },
    /// Clients begin there.
    #[error("nothing can be published before targets metadata is signed; start with \"chiron tuf init\"")]
    NoTargets,
    /// The timestamp would name nothing.
    #[error("a timestamp names a snapshot, and there is none yet")]
    NoSnapshot,
    /// A document that the edition makes itself cannot be made.
    #[error(transparent)]
    Draft(#[from] DraftError),
}

impl Edition {
    /// The publication at `now`, after the last.
    pub fn after(ledger: Ledger, now: Timestamp) -> Self {
        Self {
            highest_bin: ledger.highest_bin(),
            ledger,
            now,
            latest: None,
            order: Vec::new(),
            roles: BTreeSet::new(),
        }
    }

    /// Its timestamp expires at `latest` at the latest, which may be in the past. Threat: a repository that is fed from
    /// elsewhere and signs day after day that nothing is new, when nobody feeds it.
    #[must_use]
    pub fn no_later_than(mut self, latest: Option<Timestamp>) -> Self {
        self.latest = latest;
        self
    }

    /// A bin that lists these targets, at its next version. `entries` are what [`super::TargetEntry`] keeps, in any order.
    pub fn bin<E: AsRef<[u8]>>(&self, bin: Bin, entries: &[E]) -> Result<Draft, DraftError> {
        let version = self.ledger.next_of_bin(bin, self.highest_bin)?;
        Draft::of_bin(bin, version, entries, self.now)
    }

    /// Targets metadata of any role, at its next version.
    pub fn targets(
        &self,
        role: Role,
        targets: BTreeMap<String, TargetFile>,
        delegations: Option<Delegations>,
    ) -> Result<Draft, DraftError> {
        let version = match role {
            Role::Bin(bin) => self.ledger.next_of_bin(bin, self.highest_bin)?,
            role => self.ledger.next(role)?,
        };
        let document = Targets {
            kind: TargetsType::Only,
            spec_version: SPEC_VERSION.to_owned(),
            version,
            expires: expires_at(role, self.now)?,
            targets,
            delegations,
        };
        Draft::of(role, &document)
    }

    /// Takes note of signed metadata of a targets role. The bytes stay with the caller: of a large publication they are many.
    pub fn add(&mut self, document: &SignedDocument) -> Result<(), EditionError> {
        match document.role() {
            Role::Targets | Role::Trust | Role::Bins | Role::Bin(_) => self.take(document),
            found @ (Role::Root | Role::Snapshot | Role::Timestamp) => Err(EditionError::Misplaced {
                found,
                wanted: "a targets role",
            }),
        }
    }

    fn take(&mut self, document: &SignedDocument) -> Result<(), EditionError> {
        let (role, version) = (document.role(), document.version());
        if !self.roles.insert(role) {
            return Err(EditionError::Again { role });
        }
        if !self.ledger.note(role, document.row()) {
            let last = self.ledger.last(role).map_or(0, |row| row.version);
            return Err(EditionError::Rollback { role, version, last });
        }
        self.order.push(document.name());
        Ok(())
    }

    /// Whether nothing was added.
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// Goes on to the snapshot, which names the newest version of every targets role that ever was.
    ///
    /// Also of bins that are none any more after a rebin: clients refuse a snapshot that no longer names what an earlier one
    /// named (section 5.5.5). Which `targets`, `trust` and `bins` are meant is stated by their digests too, since one keyset may
    /// sign several of them; bins cannot be mistaken for each other, see [`Ledger::next`].
    pub fn snapshot(mut self) -> Result<SnapshotStage, EditionError> {
        self.ledger.lift_unused_bins();
        if self.ledger.last(Role::Targets).is_none() {
            return Err(EditionError::NoTargets);
        }
        let named = self.ledger.iter().filter_map(|(role, row)| {
            let file = match role {
                Role::Targets | Role::Trust | Role::Bins => row.pinned(),
                Role::Bin(_) => MetaFile::version(row.version),
                Role::Root | Role::Snapshot | Role::Timestamp => return None,
            };
            Some((format!("{role}.json"), file))
        });
        let document = Snapshot {
            kind: SnapshotType::Only,
            spec_version: SPEC_VERSION.to_owned(),
            version: self.ledger.next(Role::Snapshot).map_err(DraftError::from)?,
            expires: expires_at(Role::Snapshot, self.now).map_err(DraftError::from)?,
            meta: named.collect(),
        };
        Ok(SnapshotStage {
            draft: Draft::of(Role::Snapshot, &document)?,
            edition: self,
        })
    }

    /// Goes on to the timestamp at once: nothing below it has changed, and it names the snapshot that stands.
    pub fn timestamp(self) -> Result<TimestampStage, EditionError> {
        if let Some(file) = self.order.first() {
            return Err(EditionError::Misplaced {
                found: file.role(),
                wanted: "nothing (a timestamp alone says that nothing else is new)",
            });
        }
        TimestampStage::of(self)
    }
}

impl SnapshotStage {
    /// The snapshot, to be signed.
    pub fn draft(&self) -> &Draft {
        &self.draft
    }

    /// Goes on to the timestamp.
    pub fn signed(mut self, snapshot: &SignedDocument) -> Result<TimestampStage, EditionError> {
        as_drafted(&self.draft, snapshot, "the snapshot")?;
        self.edition.take(snapshot)?;
        TimestampStage::of(self.edition)
    }
}

impl TimestampStage {
    fn of(edition: Edition) -> Result<Self, EditionError> {
        let snapshot = edition
            .ledger
            .last(Role::Snapshot)
            .ok_or(EditionError::NoSnapshot)?;
        let expires = expires_at(Role::Timestamp, edition.now).map_err(DraftError::from)?;
        let document = TimestampMetadata {
            kind: TimestampType::Only,
            spec_version: SPEC_VERSION.to_owned(),
            version: edition.ledger.next(Role::Timestamp).map_err(DraftError::from)?,
            expires: edition
                .latest
                .map_or(expires, |latest| expires.min(whole_seconds(latest))),
            meta: BTreeMap::from([("snapshot.json".to_owned(), snapshot.pinned())]),
        };
        Ok(Self {
            draft: Draft::of(Role::Timestamp, &document)?,
            edition,
        })
    }

    /// The timestamp, to be signed.
    pub fn draft(&self) -> &Draft {
        &self.draft
    }

    /// The whole publication.
    pub fn signed(mut self, timestamp: &SignedDocument) -> Result<Finished, EditionError> {
        as_drafted(&self.draft, timestamp, "the timestamp")?;
        self.edition.take(timestamp)?;
        Ok(Finished {
            files: self.edition.order,
            ledger: self.edition.ledger,
        })
    }
}

fn as_drafted(draft: &Draft, document: &SignedDocument, wanted: &'static str) -> Result<(), EditionError> {
    let found = document.role();
    if found != draft.role() {
        return Err(EditionError::Misplaced { found, wanted });
    }
    if document.version() != draft.version() {
        return Err(EditionError::NotDrafted {
            role: found,
            found: document.version(),
            drafted: draft.version(),
        });
    }
    Ok(())
}
