//! The repository as the database has it, in memory: small, replaced as a whole, read without waiting.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use chiron_storage::{DbError, Raw, View};
use chiron_tuf::{
    BinCount, Document, Envelope, KeyId, Ledger, PublicKey, Role, RoleKeys, Root, Targets, Version,
};

use super::tables::{
    DOCUMENTS, GENERATION, MADE_IN_FORM, NEWEST, NUMBERS, ROLES, RoleRow, TARGET_COUNT, role_of,
};
use super::{Generation, PublishError};

/// A document that people may have signed, with its file's bytes.
#[derive(Debug, Clone)]
pub(super) struct Kept<T> {
    pub bytes: Bytes,
    pub envelope: Arc<Envelope<T>>,
}

impl<T: Document> Kept<T> {
    pub(super) fn parse(bytes: Bytes) -> Result<Self, PublishError> {
        let envelope = Arc::new(Envelope::parse(&bytes)?);
        Ok(Self { bytes, envelope })
    }

    pub(super) fn signed(&self) -> &T {
        &self.envelope.signed
    }
}

/// What is in force. All of it comes from the database.
#[derive(Debug, Clone, Default)]
pub(super) struct Held {
    /// `None` before the first publication.
    pub generation: Option<Arc<Generation>>,
    /// Every role that was ever published.
    pub roles: BTreeMap<Role, RoleRow>,
    /// `None` before anything was installed.
    pub root: Option<Kept<Root>>,
    pub targets: Option<Kept<Targets>>,
    pub trust: Option<Kept<Targets>>,
    pub bins: Option<Kept<Targets>>,
    /// How many targets the bins list.
    pub target_count: u64,
    /// With which form all targets were made; 0 before the first.
    pub form: u64,
}

/// Keys that a delegating document states for a role.
#[derive(Debug, Clone)]
pub(super) struct Keys {
    pub keys: BTreeMap<KeyId, PublicKey>,
    pub role: RoleKeys,
}

impl Held {
    /// Reads everything.
    pub(super) fn read(view: &View<'_>) -> Result<Self, PublishError> {
        let mut roles = BTreeMap::new();
        for item in view.scan(&ROLES, b"", None)? {
            let (name, row) = item?;
            roles.insert(role_of(&name)?, row);
        }
        let version = |role: Role| roles.get(&role).map(|row: &RoleRow| row.version);
        let document = |role: Role| -> Result<Option<Bytes>, PublishError> {
            let Some(version) = version(role) else {
                return Ok(None);
            };
            let bytes = document_in(view, role, version)?;
            bytes.map(Some).ok_or_else(|| {
                PublishError::Damaged(format!("{version}.{role}.json is in force and is not kept"))
            })
        };
        let generation = match view.get(&GENERATION, &NEWEST.to_owned())? {
            None => None,
            Some(row) => {
                let timestamp = document(Role::Timestamp)?.unwrap_or_default();
                Some(Arc::new(row.with(timestamp)))
            }
        };
        let number = |name: &str| view.get(&NUMBERS, &name.to_owned());
        Ok(Self {
            generation,
            root: document(Role::Root)?.map(Kept::parse).transpose()?,
            targets: document(Role::Targets)?.map(Kept::parse).transpose()?,
            trust: document(Role::Trust)?.map(Kept::parse).transpose()?,
            bins: document(Role::Bins)?.map(Kept::parse).transpose()?,
            target_count: number(TARGET_COUNT)?.unwrap_or(0),
            form: number(MADE_IN_FORM)?.unwrap_or(0),
            roles,
        })
    }

    /// For the editor: versions of all roles, retired bins too.
    pub(super) fn ledger(&self) -> Ledger {
        self.roles
            .iter()
            .map(|(role, row)| (*role, row.ledger()))
            .collect()
    }

    /// The version of a role; 0 if there is none.
    pub(super) fn version(&self, role: Role) -> Version {
        self.roles.get(&role).map_or(0, |row| row.version)
    }

    /// The size of the log that is signed.
    pub(super) fn log_size(&self) -> u64 {
        self.generation
            .as_ref()
            .map_or(0, |generation| generation.log_size)
    }

    /// How many bins there are.
    pub(super) fn bin_count(&self) -> Result<BinCount, PublishError> {
        let bins = self.bins.as_ref().ok_or(PublishError::NotInitialised)?;
        bin_count(bins.signed())
    }

    /// Who may sign for a role, by the document that delegates to it.
    pub(super) fn keys_of(&self, role: Role) -> Result<Keys, PublishError> {
        let by_root = |root: &Root| {
            let role = root.roles.get(&role.name())?;
            Some(Keys {
                keys: root.keys.clone(),
                role: role.clone(),
            })
        };
        let by_targets = |targets: &Targets| {
            let delegations = targets.delegations.as_ref()?;
            let name = role.name();
            let delegated = delegations.roles.iter().find(|one| one.name == name)?;
            Some(Keys {
                keys: delegations.keys.clone(),
                role: delegated.keys.clone(),
            })
        };
        let found = match role {
            Role::Root | Role::Targets | Role::Snapshot | Role::Timestamp => {
                self.root.as_ref().map(Kept::signed).and_then(by_root)
            }
            Role::Trust | Role::Bins => self.targets.as_ref().map(Kept::signed).and_then(by_targets),
            Role::Bin(_) => self.bins.as_ref().map(Kept::signed).and_then(by_targets),
        };
        found.ok_or(PublishError::NotInitialised)
    }
}

/// How many bins a `bins` document delegates to.
pub(super) fn bin_count(bins: &Targets) -> Result<BinCount, PublishError> {
    let delegations = bins.delegations.as_ref();
    let damaged = |why: String| PublishError::Damaged(format!("bins: {why}"));
    let delegations = delegations.ok_or_else(|| damaged("it delegates to nobody".to_owned()))?;
    BinCount::read(delegations).map_err(|error| damaged(error.to_string()))
}

/// The bytes of a kept document.
pub(super) fn document_in(view: &View<'_>, role: Role, version: Version) -> Result<Option<Bytes>, DbError> {
    let document = view.get(&DOCUMENTS, &(role.to_string(), version))?;
    Ok(document.map(|Raw(bytes)| bytes))
}
