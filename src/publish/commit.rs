//! The one batch that makes a publication: rows, documents, what is superseded, and the new generation.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use chiron_storage::Raw;
use chiron_tuf::{MetadataName, Role, SignedDocument, Version};
use jiff::Timestamp;

use super::delta::{Anew, Delta, millis};
use super::held::Held;
use super::publisher::Inner;
use super::tables::{
    ANEW, ANEW_AFTER, DOCUMENTS, GENERATION, GenerationRow, MADE_IN_FORM, NEWEST, NUMBERS, ROLES, RoleRow,
    SUPERSEDED, Superseded, TARGET_COUNT, TARGETS,
};
use super::targets::FORM;
use super::{Generation, PublishError, Versions};

/// What goes into the batch. All of it was verified and, but for roots and the timestamp, lies on disk already.
pub(super) struct Commit {
    now: Timestamp,
    /// Of the new generation.
    number: u64,
    roles: BTreeMap<Role, RoleRow>,
    documents: Vec<(Role, Version, Bytes)>,
    /// Documents that are no longer in force.
    dropped: Vec<(Role, Version)>,
    superseded: Vec<Superseded>,
}

impl Commit {
    pub(super) fn new(before: &Held, now: Timestamp) -> Self {
        Self {
            now,
            number: before
                .generation
                .as_ref()
                .map_or(0, |generation| generation.number)
                + 1,
            roles: BTreeMap::new(),
            documents: Vec::new(),
            dropped: Vec::new(),
            superseded: Vec::new(),
        }
    }

    /// A role's new version, after the one before.
    pub(super) fn role(&mut self, role: Role, before: Option<&RoleRow>, row: &RoleRow) {
        if let Some(before) = before {
            match role {
                // Roots stay for ever, and the timestamp's file is replaced.
                Role::Root => {}
                Role::Timestamp => self.dropped.push((role, before.version)),
                _ => {
                    if !before.retired {
                        self.supersede(role, before.version);
                    }
                    if matches!(role, Role::Targets | Role::Trust | Role::Bins) {
                        self.dropped.push((role, before.version));
                    }
                }
            }
        }
        self.roles.insert(role, row.clone());
    }

    /// A role that nobody delegates to any more.
    pub(super) fn retired(&mut self, role: Role, row: &RoleRow) {
        self.supersede(role, row.version);
        self.roles.insert(role, row.clone());
    }

    /// A role that nobody delegates to any more, and that the snapshot names at a higher version. There is no such file.
    pub(super) fn lifted(&mut self, role: Role, row: &RoleRow) {
        self.roles.insert(role, row.clone());
    }

    fn supersede(&mut self, role: Role, version: Version) {
        let name = MetadataName::of(role, version).to_string();
        self.superseded.push(Superseded::File { name });
    }

    /// A document that cannot be made again without people.
    pub(super) fn document(&mut self, document: &SignedDocument) {
        if matches!(
            document.role(),
            Role::Root | Role::Targets | Role::Trust | Role::Bins
        ) {
            let bytes = Bytes::copy_from_slice(document.bytes());
            self.documents.push((document.role(), document.version(), bytes));
        }
    }

    /// Writes the batch, and says what is in force from now on.
    pub(super) async fn write(
        mut self,
        inner: &Inner,
        mut held: Held,
        delta: Delta,
        timestamp: Bytes,
    ) -> Result<(Held, Arc<Generation>), PublishError> {
        let version = |role| held.version(role);
        let row = GenerationRow {
            number: self.number,
            log_size: delta.log_size,
            at: self.now,
            versions: Versions {
                root: version(Role::Root),
                targets: version(Role::Targets),
                trust: version(Role::Trust),
                bins: version(Role::Bins),
                snapshot: version(Role::Snapshot),
                timestamp: version(Role::Timestamp),
            },
        };
        self.documents
            .push((Role::Timestamp, row.versions.timestamp, timestamp.clone()));
        let contents = delta.superseded.iter().map(|(path, sha256)| Superseded::Content {
            path: *path,
            sha256: *sha256,
        });
        self.superseded.extend(contents);
        held.target_count = delta
            .counted
            .unwrap_or_else(|| held.target_count.saturating_add_signed(delta.added));
        // The first publication takes the log from its beginning: all of it is made in this form.
        if held.generation.is_none() || delta.anew == Anew::Done {
            held.form = FORM;
        }
        let numbers = [(TARGET_COUNT, held.target_count), (MADE_IN_FORM, held.form)];
        let (written, commit) = (row.clone(), self);
        inner
            .parts
            .db
            .transact(move |tx| {
                for (hash, entry) in delta.entries.iter() {
                    match entry {
                        Some(entry) => {
                            tx.put(&TARGETS, hash, &Raw(Bytes::copy_from_slice(entry.as_bytes())))?;
                        }
                        None => tx.delete(&TARGETS, hash)?,
                    }
                }
                for (role, version) in &commit.dropped {
                    tx.delete(&DOCUMENTS, &(role.to_string(), *version))?;
                }
                for (role, version, bytes) in commit.documents {
                    tx.put(&DOCUMENTS, &(role.to_string(), version), &Raw(bytes))?;
                }
                for (role, row) in &commit.roles {
                    tx.put(&ROLES, &role.to_string(), row)?;
                }
                let at = millis(commit.now);
                for (n, superseded) in (commit.number << 24..).zip(&commit.superseded) {
                    tx.put(&SUPERSEDED, &(at, n), superseded)?;
                }
                for (name, number) in numbers {
                    tx.put(&NUMBERS, &name.to_owned(), &number)?;
                }
                match &delta.anew {
                    Anew::No => {}
                    Anew::After(project) => tx.put(&ANEW, &ANEW_AFTER.to_owned(), project)?,
                    Anew::Done => tx.delete(&ANEW, &ANEW_AFTER.to_owned())?,
                }
                tx.put(&GENERATION, &NEWEST.to_owned(), &written)
            })
            .await?;
        let generation = Arc::new(row.with(timestamp));
        held.generation = Some(Arc::clone(&generation));
        Ok((held, generation))
    }
}
