//! What is signed by whom, until when, and what is wrong.

use std::collections::BTreeSet;

use chiron_tuf::{KeyId, MetadataName, Role, signers};
use jiff::{SignedDuration, Timestamp};

use super::authority::is_online;
use super::ceiling;
use super::folder::Lies;
use super::held::{Held, Keys};
use super::{PublishError, Publisher, RoleHealth};
use crate::blocking;
use crate::keys::KeyRecord;

/// What is signed every day wants attention when it was not for this long before its end.
const ONLINE_WARNING: SignedDuration = SignedDuration::from_hours(12);

/// What `/readyz` needs to know.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Condition {
    /// Clients refuse what is served: the timestamp has expired.
    pub expired: bool,
    /// Sentences for an operator.
    pub problems: Vec<String>,
}

impl Publisher {
    /// How every role stands.
    pub async fn health(&self, now: Timestamp) -> Result<Vec<RoleHealth>, PublishError> {
        let held = self.inner.held();
        let keyring = self.inner.parts.keyring.clone();
        let ring = blocking::run(move || keyring.list()).await?.unwrap_or_default();
        let single = [
            Role::Root,
            Role::Targets,
            Role::Trust,
            Role::Bins,
            Role::Snapshot,
            Role::Timestamp,
        ];
        let mut all: Vec<RoleHealth> = single
            .into_iter()
            .map(|role| self.of_role(&held, role, &ring, now))
            .collect();
        all.insert(4, self.of_bins(&held, &ring, now));
        Ok(all)
    }

    fn of_role(&self, held: &Held, role: Role, ring: &[KeyRecord], now: Timestamp) -> RoleHealth {
        let keys = held.keys_of(role).ok();
        let row = held.roles.get(&role);
        let signed = keys
            .as_ref()
            .map(|keys| signed_by(held, role, keys))
            .unwrap_or_default();
        let missing = keys
            .as_ref()
            .map(|keys| keys.role.keyids().difference(&signed).copied().collect())
            .unwrap_or_default();
        let online = keys.as_ref().is_some_and(|keys| is_online(ring, keys));
        let expires = row.map(|row| row.expires);
        let late = expires.and_then(|expires| {
            let held_back = role == Role::Timestamp
                && row.is_some_and(|row| ceiling::is_at(row, self.inner.condition.ceiling()));
            if held_back {
                starved(expires, now)
            } else {
                self.late(role, expires, online, now)
            }
        });
        let failed = self.inner.condition.why_not_renewed(role);
        RoleHealth {
            role: role.to_string(),
            version: row.map_or(0, |row| row.version),
            expires,
            threshold: keys.as_ref().map(|keys| keys.role.threshold()),
            signed: signed.into_iter().collect(),
            missing,
            online,
            // That a key is offline is no problem before its role nears its end.
            problem: late.or_else(|| failed.filter(|_| online)),
        }
    }

    fn of_bins(&self, held: &Held, ring: &[KeyRecord], now: Timestamp) -> RoleHealth {
        let rows = || {
            held.roles
                .iter()
                .filter(|(role, row)| matches!(role, Role::Bin(_)) && !row.retired)
        };
        let any = held.bin_count().ok().and_then(|count| count.bins().next());
        let keys = any.and_then(|bin| held.keys_of(Role::Bin(bin)).ok());
        let expires = rows().map(|(_, row)| row.expires).min();
        let online = keys.as_ref().is_some_and(|keys| is_online(ring, keys));
        RoleHealth {
            role: "bin-xx".to_owned(),
            version: rows().map(|(_, row)| row.version).min().unwrap_or(0),
            expires,
            threshold: keys.as_ref().map(|keys| keys.role.threshold()),
            // Each was verified before it was written; their signatures are not kept beside them.
            signed: keys
                .as_ref()
                .map(|keys| keys.role.keyids().iter().copied().collect())
                .unwrap_or_default(),
            missing: Vec::new(),
            online,
            problem: any
                .and_then(|bin| expires.and_then(|expires| self.late(Role::Bin(bin), expires, online, now))),
        }
    }

    fn late(&self, role: Role, expires: Timestamp, online: bool, now: Timestamp) -> Option<String> {
        let name = if matches!(role, Role::Bin(_)) {
            "a bin".to_owned()
        } else {
            role.to_string()
        };
        let left = expires.duration_since(now);
        if left <= SignedDuration::ZERO {
            return Some(format!(
                "{name} expired on {expires}: clients refuse the repository"
            ));
        }
        let warn = match role {
            Role::Snapshot | Role::Bin(_) => SignedDuration::from_hours(48),
            Role::Timestamp => ONLINE_WARNING,
            _ => {
                SignedDuration::try_from(self.inner.parts.settings.warn_before).unwrap_or(SignedDuration::MAX)
            }
        };
        let what = if online {
            "it should have been signed again by now"
        } else {
            "somebody has to sign its next version"
        };
        (left < warn).then(|| format!("{name} expires on {expires}: {what}"))
    }

    /// What is wrong with publishing.
    pub async fn condition(&self, now: Timestamp) -> Condition {
        let held = self.inner.held();
        if held.generation.is_none() {
            return Condition {
                expired: false,
                problems: self.why_nothing_is_signed().await.into_iter().collect(),
            };
        }
        let mut problems = Vec::new();
        if let Some(trouble) = self.inner.condition.trouble() {
            problems.push(format!(
                "nothing new is published, {} attempts failed: {}",
                trouble.times, trouble.why
            ));
        }
        let damage = self.inner.condition.damage();
        let changed: Vec<MetadataName> = (damage.0.iter())
            .filter(|(_, lies)| **lies == Lies::Changed)
            .map(|(name, _)| *name)
            .collect();
        if let Some(first) = changed.first() {
            problems.push(format!(
                "{} metadata files ({first} …) were changed by somebody else in the folder; clients refuse them. Look into who did it, then `chiron tuf publish --repair`",
                changed.len()
            ));
        }
        match self.health(now).await {
            Ok(health) => problems.extend(health.into_iter().filter_map(|role| role.problem)),
            Err(error) => problems.push(format!("the signed repository cannot be looked at: {error}")),
        }
        let timestamp = held.roles.get(&Role::Timestamp);
        Condition {
            expired: timestamp.is_some_and(|row| row.expires <= now),
            problems,
        }
    }

    /// In a daemon, which makes a repository where there is none: what keeps it from doing so.
    async fn why_nothing_is_signed(&self) -> Option<String> {
        if !self.is_following() {
            return None;
        }
        let waits = self.pending().await.is_ok_and(|pending| !pending.is_empty());
        Some(if waits {
            "nothing is signed yet, and pages are served unsigned: the first root waits for signatures, see `chiron tuf requests`".to_owned()
        } else {
            "nothing is signed, and pages are served unsigned: no repository could be made; the log says why"
                .to_owned()
        })
    }

    /// Until when each role holds, in the order of the specification; for metrics.
    pub fn expiries(&self) -> Vec<(&'static str, Timestamp)> {
        let held = self.inner.held();
        let one = |name: &'static str, role: Role| held.roles.get(&role).map(|row| (name, row.expires));
        let bins = held
            .roles
            .iter()
            .filter(|(role, row)| matches!(role, Role::Bin(_)) && !row.retired);
        let first = bins.map(|(_, row)| row.expires).min();
        [
            one("root", Role::Root),
            one("targets", Role::Targets),
            one("trust", Role::Trust),
            one("bins", Role::Bins),
            first.map(|expires| ("bin", expires)),
            one("snapshot", Role::Snapshot),
            one("timestamp", Role::Timestamp),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

/// What is wrong with a timestamp that lives as long as the newest imported bundle allows.
fn starved(expires: Timestamp, now: Timestamp) -> Option<String> {
    let left = expires.duration_since(now);
    let why = "the newest imported bundle is then as old as airgap.max_age allows, and the timestamp is not signed to live longer: import a newer one";
    if left <= SignedDuration::ZERO {
        Some(format!(
            "timestamp expired on {expires}: clients refuse the repository; {why}"
        ))
    } else {
        (left < ONLINE_WARNING).then(|| format!("timestamp expires on {expires}: {why}"))
    }
}

/// Keys of the role whose signature stands under the document in force.
fn signed_by(held: &Held, role: Role, keys: &Keys) -> BTreeSet<KeyId> {
    let verified = |payload: Option<Vec<u8>>, signatures: &[chiron_tuf::Signature]| {
        payload
            .map(|payload| signers(&keys.keys, &keys.role, &payload, signatures))
            .unwrap_or_default()
    };
    match role {
        Role::Root => held
            .root
            .as_ref()
            .map(|kept| &kept.envelope)
            .map_or_else(BTreeSet::new, |root| {
                verified(root.payload().ok(), &root.signatures)
            }),
        Role::Targets | Role::Trust | Role::Bins => {
            let kept = match role {
                Role::Targets => &held.targets,
                Role::Trust => &held.trust,
                _ => &held.bins,
            };
            kept.as_ref()
                .map(|kept| &kept.envelope)
                .map_or_else(BTreeSet::new, |targets| {
                    verified(targets.payload().ok(), &targets.signatures)
                })
        }
        Role::Timestamp => held.generation.as_ref().map_or_else(BTreeSet::new, |generation| {
            chiron_tuf::Envelope::<chiron_tuf::TimestampMetadata>::parse(&generation.timestamp).map_or_else(
                |_| BTreeSet::new(),
                |timestamp| verified(timestamp.payload().ok(), &timestamp.signatures),
            )
        }),
        // Verified before it was written, and not kept in the database.
        Role::Snapshot | Role::Bin(_) => keys.role.keyids().clone(),
    }
}
