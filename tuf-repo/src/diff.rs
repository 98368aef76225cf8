//! What a new document changes, in words: what somebody reads before signing it.
//!
//! Only what the documents themselves say. Labels of keys are the reader's own, or claims of whoever made the request.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::bins::BinCount;
use crate::key_id::KeyId;
use crate::metadata::{DelegatedRole, Delegations, Root, TargetFile, Targets, Version};
use crate::public_key::PublicKey;
use crate::role::{Role, RoleName};
use crate::threshold::RoleKeys;

/// What people call keys.
pub type KeyLabels = BTreeMap<KeyId, String>;

/// Lines about targets before the rest is only counted.
const MAX_TARGET_LINES: usize = 50;

/// What `after` changes about the root, a line for each change.
pub fn describe_root(before: Option<&Root>, after: &Root, labels: &KeyLabels) -> Vec<String> {
    let mut lines = head(
        Role::Root,
        before.map(|root| (root.version, root.expires)),
        (after.version, after.expires),
    );
    let names = Names::of([before.map(|root| &root.keys), Some(&after.keys)], labels);
    let roles: BTreeSet<&RoleName> = before
        .iter()
        .flat_map(|root| root.roles.keys())
        .chain(after.roles.keys())
        .collect();
    let first = lines.len();
    for role in roles {
        let was = before.and_then(|root| root.roles.get(role));
        let changes = keys_changed(was, after.roles.get(role), &names);
        lines.extend(changes.into_iter().map(|change| format!("{role}: {change}")));
    }
    let used: BTreeSet<&KeyId> = after.roles.values().flat_map(RoleKeys::keyids).collect();
    for id in after.keys.keys().filter(|id| !used.contains(id)) {
        lines.push(format!(
            "the key {} is listed, and no role uses it",
            names.of_key(*id)
        ));
    }
    if before.is_some_and(|root| root.consistent_snapshot != after.consistent_snapshot) {
        lines.push(format!("consistent snapshots: {}", after.consistent_snapshot));
    }
    if lines.len() == first {
        lines.push("no key and no threshold changes".to_owned());
    }
    lines
}

/// What `after` changes about targets metadata of `role`, a line for each change.
pub fn describe_targets(
    role: Role,
    before: Option<&Targets>,
    after: &Targets,
    labels: &KeyLabels,
) -> Vec<String> {
    let mut lines = head(
        role,
        before.map(|targets| (targets.version, targets.expires)),
        (after.version, after.expires),
    );
    let first = lines.len();
    let nothing = BTreeMap::new();
    lines.extend(targets_changed(
        before.map_or(&nothing, |targets| &targets.targets),
        &after.targets,
    ));
    lines.extend(delegations_changed(
        before.and_then(|targets| targets.delegations.as_ref()),
        after.delegations.as_ref(),
        labels,
    ));
    if lines.len() == first {
        lines.push("no target, no delegation, no key and no threshold changes".to_owned());
    }
    lines
}

fn head(role: Role, before: Option<(Version, Timestamp)>, after: (Version, Timestamp)) -> Vec<String> {
    let (version, expires) = after;
    match before {
        None => vec![
            format!("{role} {version} is the first"),
            format!("it expires at {expires}"),
        ],
        Some((old, until)) => vec![
            format!("{role} {version} replaces {role} {old}"),
            if until == expires {
                format!("it expires at {expires}, as before")
            } else {
                format!("it expires at {expires}; before, at {until}")
            },
        ],
    }
}

/// How keys are written: label, id in full, kind.
struct Names<'a> {
    keys: BTreeMap<KeyId, &'a PublicKey>,
    labels: &'a KeyLabels,
}

impl<'a> Names<'a> {
    fn of(
        documents: impl IntoIterator<Item = Option<&'a BTreeMap<KeyId, PublicKey>>>,
        labels: &'a KeyLabels,
    ) -> Self {
        let keys = documents.into_iter().flatten().flatten();
        Self {
            keys: keys.map(|(id, key)| (*id, key)).collect(),
            labels,
        }
    }

    /// Threat: an id whose first digits somebody has searched for. All of them are written.
    fn of_key(&self, id: KeyId) -> String {
        // Debug form: a label comes from outside and could hold control characters of a terminal.
        let label = self
            .labels
            .get(&id)
            .map(|label| format!("{label:?} "))
            .unwrap_or_default();
        match self.keys.get(&id) {
            Some(key) => format!("{label}{id} ({})", key.scheme().name()),
            None => format!("{label}{id} (which the document does not state)"),
        }
    }
}

fn keys_changed(before: Option<&RoleKeys>, after: Option<&RoleKeys>, names: &Names<'_>) -> Vec<String> {
    let none = BTreeSet::new();
    let old = before.map_or(&none, RoleKeys::keyids);
    let new = after.map_or(&none, RoleKeys::keyids);
    let removed = old
        .difference(new)
        .map(|id| format!("- key {}", names.of_key(*id)));
    let added = new
        .difference(old)
        .map(|id| format!("+ key {}", names.of_key(*id)));
    let mut lines: Vec<String> = removed.chain(added).collect();
    let needed = |keys: &RoleKeys| {
        format!(
            "{} of {} keys must sign",
            keys.threshold().get(),
            keys.keyids().len()
        )
    };
    match (before.map(needed), after.map(needed)) {
        (Some(old), Some(new)) if old != new => lines.push(format!("{new}; before, {old}")),
        (None, Some(new)) => lines.push(new),
        (Some(_), None) => lines.push("is no longer stated".to_owned()),
        _ => {}
    }
    lines
}

fn targets_changed(
    before: &BTreeMap<String, TargetFile>,
    after: &BTreeMap<String, TargetFile>,
) -> Vec<String> {
    let paths: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let mut lines: Vec<String> = paths
        .into_iter()
        .filter_map(|path| match (before.get(path), after.get(path)) {
            (None, Some(file)) => Some(format!("+ target {path}: {}", said(file))),
            (Some(file), None) => Some(format!("- target {path}: {}", said(file))),
            (Some(old), Some(new)) if old != new => {
                Some(format!("target {path}: {}; before, {}", said(new), said(old)))
            }
            _ => None,
        })
        .collect();
    if let Some(more) = lines.len().checked_sub(MAX_TARGET_LINES).filter(|more| *more > 0) {
        lines.truncate(MAX_TARGET_LINES);
        lines.push(format!("and {more} more targets"));
    }
    lines
}

fn said(file: &TargetFile) -> String {
    let custom = match &file.custom {
        Some(custom) => format!(", custom {custom}"),
        None => String::new(),
    };
    format!(
        "{} bytes, sha256 {}{custom}",
        file.length,
        file.sha256().unwrap_or("not stated")
    )
}

fn delegations_changed(
    before: Option<&Delegations>,
    after: Option<&Delegations>,
    labels: &KeyLabels,
) -> Vec<String> {
    let bins = |delegations: Option<&Delegations>| delegations.and_then(|all| BinCount::read(all).ok());
    let (old, new) = (bins(before), bins(after));
    let mut lines = Vec::new();
    match (old, new) {
        (Some(old), Some(new)) if old != new => {
            lines.push(format!(
                "targets are spread over {} bins; before, over {}",
                new.get(),
                old.get()
            ));
        }
        (None, Some(new)) => lines.push(format!("targets are spread over {} bins", new.get())),
        (Some(_), None) => lines.push("targets are no longer spread over hash bins".to_owned()),
        _ => {}
    }
    let names = Names::of([before.map(|all| &all.keys), after.map(|all| &all.keys)], labels);
    let find = |all: Option<&'_ Delegations>, name: &RoleName| {
        all.and_then(|all| all.roles.iter().find(|role| role.name == *name).cloned())
    };
    let mut order: Vec<&RoleName> = Vec::new();
    let mut seen = BTreeSet::new();
    for role in before.into_iter().chain(after).flat_map(|all| &all.roles) {
        if seen.insert(&role.name) {
            order.push(&role.name);
        }
    }
    // The same happens to hundreds of bins: it is said once.
    let mut said: Vec<(Vec<String>, Vec<&RoleName>)> = Vec::new();
    for name in order {
        let (was, is) = (find(before, name), find(after, name));
        let changes = delegation_changed(was.as_ref(), is.as_ref(), (old.is_some(), new.is_some()), &names);
        if changes.is_empty() {
            continue;
        }
        match said.iter_mut().find(|(same, _)| *same == changes) {
            Some((_, roles)) => roles.push(name),
            None => said.push((changes, vec![name])),
        }
    }
    for (changes, roles) in said {
        let roles = together(&roles);
        lines.extend(changes.into_iter().map(|change| format!("{roles}: {change}")));
    }
    let order = |all: Option<&Delegations>| -> Vec<RoleName> {
        all.into_iter()
            .flat_map(|all| all.roles.iter().map(|role| role.name.clone()))
            .collect()
    };
    let (was, is) = (order(before), order(after));
    if was != is && was.iter().collect::<BTreeSet<_>>() == is.iter().collect() {
        lines.push("the delegations are asked in another order".to_owned());
    }
    lines
}

fn delegation_changed(
    before: Option<&DelegatedRole>,
    after: Option<&DelegatedRole>,
    in_bins: (bool, bool),
    names: &Names<'_>,
) -> Vec<String> {
    let old = before.map(|role| scope(role, in_bins.0));
    let new = after.map(|role| scope(role, in_bins.1));
    let mut lines = Vec::new();
    match (&old, &new) {
        (None, Some(new)) => lines.push(format!("is delegated to, for {new}")),
        (Some(_), None) => return vec!["is no longer delegated to".to_owned()],
        (Some(old), Some(new)) if old != new => {
            lines.push(format!("is delegated to for {new}; before, for {old}"));
        }
        _ => {}
    }
    lines.extend(keys_changed(
        before.map(|role| &role.keys),
        after.map(|role| &role.keys),
        names,
    ));
    lines
}

/// What a role is asked for. What a bin answers for is known from how many there are.
fn scope(role: &DelegatedRole, is_bin: bool) -> String {
    let end = if role.terminating {
        ""
    } else {
        ", after which others are asked"
    };
    let which = match (&role.paths, &role.path_hash_prefixes) {
        _ if is_bin => "its share of the paths".to_owned(),
        // A pattern may be any text: a line feed in it must not begin a line of its own.
        (Some(paths), _) => format!("the paths {}", paths.join(" ").escape_debug()),
        (None, Some(prefixes)) if all_digits(prefixes) => "every path".to_owned(),
        (None, Some(prefixes)) => format!("paths whose SHA-256 begins with {}", prefixes.join(" ")),
        (None, None) => "no path".to_owned(),
    };
    which + end
}

fn all_digits(prefixes: &[String]) -> bool {
    let digits: BTreeSet<&str> = prefixes.iter().map(String::as_str).collect();
    (0..16).all(|digit| digits.contains(format!("{digit:x}").as_str()))
}

fn together(roles: &[&RoleName]) -> String {
    match roles {
        [] => String::new(),
        [one] => one.to_string(),
        [first, .., last] => format!("{first} to {last} ({} roles)", roles.len()),
    }
}

#[cfg(test)]
mod tests;
