//! The documents that can wait for signatures, before and after.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::error::RequestError;
use super::file::Need;
use crate::diff::{KeyLabels, describe_root, describe_targets};
use crate::editor::Draft;
use crate::envelope::Document;
use crate::metadata::{Root, Targets, Version};
use crate::role::Role;
use crate::threshold::RoleKeys;

/// What is to be signed, and what it replaces.
pub(super) enum Content {
    Root { before: Option<Root>, after: Root },
    Targets { before: Option<Targets>, after: Targets },
}

impl Content {
    /// Reads both documents, which must say nothing that is passed over.
    pub(super) fn read(role: Role, before: Option<&Value>, signed: &Value) -> Result<Self, RequestError> {
        match role {
            Role::Root => Ok(Self::Root {
                before: before.map(document).transpose()?,
                after: document(signed)?,
            }),
            Role::Targets | Role::Trust | Role::Bins => Ok(Self::Targets {
                before: before.map(document).transpose()?,
                after: document(signed)?,
            }),
            Role::Bin(_) | Role::Snapshot | Role::Timestamp => Err(RequestError::Role(role.name())),
        }
    }

    pub(super) fn before(&self) -> Result<Option<Value>, RequestError> {
        match self {
            Self::Root { before, .. } => before.as_ref().map(value).transpose(),
            Self::Targets { before, .. } => before.as_ref().map(value).transpose(),
        }
    }

    pub(super) fn after(&self) -> Result<Value, RequestError> {
        match self {
            Self::Root { after, .. } => value(after),
            Self::Targets { after, .. } => value(after),
        }
    }

    pub(super) fn version_before(&self) -> Option<Version> {
        match self {
            Self::Root { before, .. } => before.as_ref().map(|root| root.version),
            Self::Targets { before, .. } => before.as_ref().map(|targets| targets.version),
        }
    }

    pub(super) fn draft(&self, role: Role) -> Result<Draft, RequestError> {
        Ok(match self {
            Self::Root { after, .. } => Draft::of(role, after)?,
            Self::Targets { after, .. } => Draft::of(role, after)?,
        })
    }

    pub(super) fn changes(&self, role: Role, labels: &KeyLabels) -> Vec<String> {
        match self {
            Self::Root { before, after } => describe_root(before.as_ref(), after, labels),
            Self::Targets { before, after } => describe_targets(role, before.as_ref(), after, labels),
        }
    }

    /// Who must sign a root; `None` of targets metadata, which does not say so itself.
    pub(super) fn root_needs(&self) -> Result<Option<Vec<Need>>, RequestError> {
        let Self::Root { before, after } = self else {
            return Ok(None);
        };
        before
            .iter()
            .chain([after])
            .map(need_of)
            .collect::<Result<_, _>>()
            .map(Some)
    }
}

fn need_of(root: &Root) -> Result<Need, RequestError> {
    let keys: Option<&RoleKeys> = root.roles.get(&Role::Root.name());
    Ok(Need {
        whose: format!("root {}", root.version),
        keys: keys.cloned().ok_or(RequestError::Untrue {
            what: "the keys of the root",
        })?,
    })
}

fn value(document: &impl Serialize) -> Result<Value, RequestError> {
    serde_json::to_value(document).map_err(|error| RequestError::Malformed {
        what: "document",
        why: error.to_string(),
    })
}

fn document<T: Document + DeserializeOwned>(given: &Value) -> Result<T, RequestError> {
    let read: T = serde_json::from_value(given.clone()).map_err(|error| RequestError::Malformed {
        what: T::TYPE,
        why: error.to_string(),
    })?;
    // Threat: a field that the reader is not shown and that is signed all the same.
    if value(&read)? != *given {
        return Err(RequestError::Untrue {
            what: "the document (it says something that would not be signed as it stands)",
        });
    }
    Ok(read)
}
