//! What must hold of a document beyond the types of its fields, so that every client can use it (section 4).
//!
//! This is about form and not about trust: a document that passes may still be signed by nobody.

use std::collections::{BTreeMap, BTreeSet};

use crate::key_id::KeyId;
use crate::limits::MAX_VERSION;
use crate::metadata::{
    DelegatedRole, Delegations, MetaFile, Root, Snapshot, Targets, TimestampMetadata, Version,
};
use crate::public_key::PublicKey;
use crate::role::{Role, RoleName};
use crate::target_path::TargetPath;
use crate::threshold::RoleKeys;

/// What is wrong with a document.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Defect {
    /// Threat: a version after which there is none, or that JavaScript rounds.
    #[error("the version {0} is not between 1 and {MAX_VERSION}")]
    Version(Version),
    /// Clients refuse another major version (section 5.3.1 and others).
    #[error("it follows version {0:?} of the specification; 1.0 is the one that is read")]
    Specification(String),
    /// Without consistent snapshots a client may read half of one publication and half of the next (section 6.2).
    #[error("it does not say that files are named by version and digest (consistent_snapshot)")]
    NotConsistent,
    /// The root names the keys of root, targets, snapshot and timestamp, and of nobody else.
    #[error(
        "the root must state the keys of root, targets, snapshot and timestamp, and it states those of {0}"
    )]
    TopLevel(String),
    /// A role could not be verified.
    #[error("{role} is to be signed by the key {key}, which is not among the keys of the document")]
    KeyMissing {
        /// Whose.
        role: RoleName,
        /// Which key.
        key: KeyId,
    },
    /// Threat: one key under two names, counted as two.
    #[error("the key {is} is listed under the name {under}")]
    KeyMisnamed {
        /// The name in the document.
        under: KeyId,
        /// The key's own name.
        is: KeyId,
    },
    /// Two delegations to one name: clients differ in which they believe.
    #[error("it delegates to {0} twice")]
    DelegatedTwice(RoleName),
    /// A top-level role has its keys from the root.
    #[error("it delegates to {0}, whose keys only the root states")]
    DelegatedTopLevel(RoleName),
    /// Both or neither: clients differ in what that means.
    #[error("the delegation to {0} must have either paths or path_hash_prefixes, and at least one of them")]
    Scope(RoleName),
    /// Not 1 to 64 lower-case hex digits.
    #[error(
        "the delegation to {role} has the path hash prefix {prefix:?}: 1 to 64 lower-case hex digits are one"
    )]
    Prefix {
        /// To whom.
        role: RoleName,
        /// As stated.
        prefix: String,
    },
    /// A path that clients read differently.
    #[error("it lists the target {0:?}, which cannot be the path of a target")]
    Path(String),
    /// Threat: content that nothing pins.
    #[error("it lists the target {0:?} without a SHA-256 in lower-case hexadecimal")]
    TargetHash(String),
    /// Not `ROLE.json` of a role that a snapshot has, or of the timestamp's one.
    #[error("it lists the file {0:?}, which has no place there")]
    File(String),
    /// The snapshot without targets, or the timestamp without a snapshot.
    #[error("it does not list {0}")]
    FileMissing(&'static str),
    /// The version of a file that it lists.
    #[error("it lists {file} with the version {version}, not between 1 and {MAX_VERSION}")]
    FileVersion {
        /// Which.
        file: String,
        /// As stated.
        version: Version,
    },
    /// Threat: a snapshot of any length, fetched before anything else vouches for it.
    #[error("it does not state the length and the SHA-256 of {0}")]
    NotPinned(String),
}

/// The fields that every document has.
pub(crate) fn common(spec_version: &str, version: Version) -> Result<(), Defect> {
    if !is_version(version) {
        return Err(Defect::Version(version));
    }
    // Patch versions are compatible (section 4.2, "spec_version"), and so would 1.1 be; but nobody wrote one.
    if spec_version.starts_with("1.0.") || spec_version == "1.0" {
        Ok(())
    } else {
        Err(Defect::Specification(spec_version.to_owned()))
    }
}

const fn is_version(version: Version) -> bool {
    version >= 1 && version <= MAX_VERSION
}

pub(crate) fn root(root: &Root) -> Result<(), Defect> {
    common(&root.spec_version, root.version)?;
    if !root.consistent_snapshot {
        return Err(Defect::NotConsistent);
    }
    let top = [Role::Root, Role::Targets, Role::Snapshot, Role::Timestamp].map(Role::name);
    if !root.roles.keys().eq(&BTreeSet::from(top)) {
        let stated: Vec<&str> = root.roles.keys().map(RoleName::as_str).collect();
        return Err(Defect::TopLevel(stated.join(", ")));
    }
    key_names(&root.keys)?;
    root.roles
        .iter()
        .try_for_each(|(role, keys)| known_keys(role, keys, &root.keys))
}

pub(crate) fn targets(targets: &Targets) -> Result<(), Defect> {
    common(&targets.spec_version, targets.version)?;
    for (path, file) in &targets.targets {
        if path.parse::<TargetPath>().is_err() {
            return Err(Defect::Path(path.clone()));
        }
        if !file.sha256().is_some_and(is_sha256) {
            return Err(Defect::TargetHash(path.clone()));
        }
    }
    targets.delegations.as_ref().map_or(Ok(()), delegations)
}

fn delegations(delegations: &Delegations) -> Result<(), Defect> {
    key_names(&delegations.keys)?;
    let mut names = BTreeSet::new();
    for role in &delegations.roles {
        if !names.insert(&role.name) {
            return Err(Defect::DelegatedTwice(role.name.clone()));
        }
        if Role::try_from(&role.name).is_ok_and(Role::is_top_level) {
            return Err(Defect::DelegatedTopLevel(role.name.clone()));
        }
        known_keys(&role.name, &role.keys, &delegations.keys)?;
        scope(role)?;
    }
    Ok(())
}

fn scope(role: &DelegatedRole) -> Result<(), Defect> {
    let hex = |prefix: &String| {
        (1..=64).contains(&prefix.len()) && prefix.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f'))
    };
    match (&role.paths, &role.path_hash_prefixes) {
        (Some(paths), None) if !paths.is_empty() => Ok(()),
        (None, Some(prefixes)) if !prefixes.is_empty() => match prefixes.iter().find(|prefix| !hex(prefix)) {
            None => Ok(()),
            Some(prefix) => Err(Defect::Prefix {
                role: role.name.clone(),
                prefix: prefix.clone(),
            }),
        },
        _ => Err(Defect::Scope(role.name.clone())),
    }
}

pub(crate) fn snapshot(snapshot: &Snapshot) -> Result<(), Defect> {
    common(&snapshot.spec_version, snapshot.version)?;
    for (file, meta) in &snapshot.meta {
        let role = file
            .strip_suffix(".json")
            .and_then(|name| name.parse().ok())
            .and_then(|name: RoleName| Role::try_from(&name).ok());
        if !role.is_some_and(|role| role == Role::Targets || !role.is_top_level()) {
            return Err(Defect::File(file.clone()));
        }
        meta_file(file, meta)?;
    }
    if snapshot.meta.contains_key("targets.json") {
        Ok(())
    } else {
        Err(Defect::FileMissing("targets.json"))
    }
}

pub(crate) fn timestamp(timestamp: &TimestampMetadata) -> Result<(), Defect> {
    const FILE: &str = "snapshot.json";
    common(&timestamp.spec_version, timestamp.version)?;
    if let Some(other) = timestamp.meta.keys().find(|file| *file != FILE) {
        return Err(Defect::File(other.clone()));
    }
    let meta = timestamp.meta.get(FILE).ok_or(Defect::FileMissing(FILE))?;
    meta_file(FILE, meta)?;
    if meta.length.is_some() && meta.hashes.is_some() {
        Ok(())
    } else {
        Err(Defect::NotPinned(FILE.to_owned()))
    }
}

/// The version of a listed file, and its digest where there is one.
fn meta_file(file: &str, meta: &MetaFile) -> Result<(), Defect> {
    if !is_version(meta.version) {
        return Err(Defect::FileVersion {
            file: file.to_owned(),
            version: meta.version,
        });
    }
    let good = |hashes: &BTreeMap<String, String>| hashes.get("sha256").is_some_and(|hash| is_sha256(hash));
    if meta.hashes.as_ref().is_none_or(good) {
        Ok(())
    } else {
        Err(Defect::NotPinned(file.to_owned()))
    }
}

fn key_names(keys: &BTreeMap<KeyId, PublicKey>) -> Result<(), Defect> {
    match keys.iter().find(|(under, key)| **under != key.id()) {
        None => Ok(()),
        Some((under, key)) => Err(Defect::KeyMisnamed {
            under: *under,
            is: key.id(),
        }),
    }
}

fn known_keys(role: &RoleName, needed: &RoleKeys, keys: &BTreeMap<KeyId, PublicKey>) -> Result<(), Defect> {
    match needed.keyids().iter().find(|id| !keys.contains_key(id)) {
        None => Ok(()),
        Some(key) => Err(Defect::KeyMissing {
            role: role.clone(),
            key: *key,
        }),
    }
}

fn is_sha256(digits: &str) -> bool {
    digits.len() == 64 && digits.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests;
