//! The roles as an operator sees them.

use std::collections::BTreeMap;

use chiron_storage::Digest;
use chiron_tuf::{BinCount, KeyId, Role, lifetime};
use jiff::{SignedDuration, Timestamp};

use super::edit::InForce;
use super::{Ceremonies, CeremonyError};
use crate::api::{
    TUF_STATUS_SCHEMA, TufExpiry, TufGeneration, TufRole, TufRoleKey, TufState, TufStatus, TufTrustedRoot,
};
use crate::catalog::Actor;
use crate::keys::KeyRecord;
use crate::publish::{Duty, Pending, RoleHealth};

impl Ceremonies {
    /// How everything stands.
    pub async fn status(&self, now: Timestamp) -> Result<TufStatus, CeremonyError> {
        let in_force = self.in_force().await?;
        let keys: BTreeMap<KeyId, KeyRecord> = self
            .keyring
            .list()?
            .into_iter()
            .map(|key| (key.id, key))
            .collect();
        let health = match &in_force {
            Some(_) => self.publisher.health(now).await?,
            None => Vec::new(),
        };
        let waiting = self.requests().await?.items;
        let generation = self.publisher.generation().map(|generation| TufGeneration {
            number: generation.number,
            log_size: generation.log_size,
            at: generation.at,
        });
        let roles: Vec<TufRole> = health
            .into_iter()
            .filter_map(|health| self.role(health, &keys, now))
            .collect();
        let state = match (&in_force, self.first_that_waits().await?) {
            (Some(_), _) => TufState::Live,
            (None, Some(_)) => TufState::Waiting,
            (None, None) => TufState::None,
        };
        let bins = in_force.as_ref().and_then(|in_force| in_force.bins().ok());
        let warnings = self.warnings(in_force.as_ref(), bins, &roles);
        Ok(TufStatus {
            schema: TUF_STATUS_SCHEMA.to_owned(),
            state,
            generation,
            root: in_force
                .as_ref()
                .map(|in_force| self.trusted_root(in_force))
                .transpose()?,
            roles,
            bins: bins.map_or(0, BinCount::get),
            waiting,
            warnings,
        })
    }

    /// What people should sign soon, in sentences for an operator: a first root, and what follows from a change of policy
    /// or trusted roots. Other changes were asked for by somebody who looks after them.
    pub async fn wanted(&self) -> Vec<String> {
        let pending = match self.publisher.pending().await {
            Ok(pending) => pending,
            Err(error) => return vec![format!("what waits for signatures cannot be read: {error}")],
        };
        let sentence = |pending: &Pending| {
            let first = pending
                .documents
                .iter()
                .any(|document| document.request.replaces().is_none());
            let what = if first {
                "nothing is signed yet: the first root waits for signatures"
            } else if pending.by == Actor::Chiron {
                "policy or trusted roots changed, and clients see the old ones until people sign"
            } else {
                return None;
            };
            Some(format!(
                "{what} (change {}; `chiron tuf requests list` says whose)",
                pending.id
            ))
        };
        pending.iter().filter_map(sentence).collect()
    }

    /// The root that clients are given, as its file.
    pub async fn root_file(&self) -> Result<Vec<u8>, CeremonyError> {
        let in_force = self.in_force().await?.ok_or(CeremonyError::NotInitialised)?;
        Ok(in_force.root.to_bytes().map_err(super::edit::EditError::from)?)
    }

    fn trusted_root(&self, in_force: &InForce) -> Result<TufTrustedRoot, CeremonyError> {
        let bytes = in_force.root.to_bytes().map_err(super::edit::EditError::from)?;
        Ok(TufTrustedRoot {
            version: in_force.version(Role::Root),
            sha256: Digest::of(&bytes).to_string(),
            path: self.publisher.root_path().display().to_string(),
        })
    }

    fn role(&self, health: RoleHealth, keys: &BTreeMap<KeyId, KeyRecord>, now: Timestamp) -> Option<TufRole> {
        let shown = |id: &KeyId, signed: bool| {
            let record = keys.get(id);
            TufRoleKey {
                id: id.to_string(),
                label: record.map(|key| key.label.clone()),
                scheme: record.map(|key| key.public.scheme().name().to_owned()),
                place: record.map(|key| key.place.kind().to_owned()),
                signed,
            }
        };
        let signed = health.signed.iter().map(|id| shown(id, true));
        let mut all: Vec<TufRoleKey> = signed
            .chain(health.missing.iter().map(|id| shown(id, false)))
            .collect();
        all.sort_by(|a, b| a.label.cmp(&b.label).then(a.id.cmp(&b.id)));
        let name = if health.role.starts_with("bin-") {
            Duty::Bin.name().to_owned()
        } else {
            health.role
        };
        let expires = health.expires?;
        Some(TufRole {
            version: health.version,
            expiry: self.expiry(&name, expires, health.online, now),
            expires,
            threshold: health.threshold.map_or(1, chiron_tuf::Threshold::get),
            keys: all,
            online: health.online,
            problem: health.problem,
            name,
        })
    }

    /// People need weeks to meet, the daemon an hour.
    fn expiry(&self, role: &str, expires: Timestamp, online: bool, now: Timestamp) -> TufExpiry {
        let left = expires.duration_since(now);
        let early = if online {
            let role = match role {
                "root" => Role::Root,
                "timestamp" => Role::Timestamp,
                "snapshot" => Role::Snapshot,
                "bin" => {
                    chiron_tuf::Bin::new(0, chiron_tuf::Bin::DEFAULT_COUNT).map_or(Role::Bins, Role::Bin)
                }
                _ => Role::Targets,
            };
            lifetime(role) / 4
        } else {
            let days = self.publisher.warn_before();
            SignedDuration::try_from(days).unwrap_or(SignedDuration::MAX)
        };
        if left <= SignedDuration::ZERO {
            TufExpiry::Expired
        } else if left < early {
            TufExpiry::Soon
        } else {
            TufExpiry::Fine
        }
    }

    fn warnings(&self, in_force: Option<&InForce>, bins: Option<BinCount>, roles: &[TufRole]) -> Vec<String> {
        let mut warnings = Vec::new();
        for role in roles {
            let starved = (role.problem.as_deref()).is_some_and(|why| why.contains("airgap.max_age"));
            let by = if starved {
                "it does not outlive the newest imported bundle; `chiron airgap import` a newer one"
            } else if role.online {
                "`chiron tuf publish --resign` signs it now"
            } else {
                "`chiron tuf renew` asks its holders for signatures"
            };
            match role.expiry {
                TufExpiry::Fine => {}
                TufExpiry::Soon => {
                    warnings.push(format!("{} expires at {}: {by}", role.name, role.expires));
                }
                TufExpiry::Expired => warnings.push(format!(
                    "{} expired at {}, clients refuse it: {by}",
                    role.name, role.expires
                )),
            }
        }
        let Some(in_force) = in_force else {
            return warnings;
        };
        if self.keyring.passphrase_is_beside_keys() {
            warnings.push(
                "a development setup: the passphrase of the key files lies beside them, and protects nothing from who can read the data folder (docs/keys.md says how to give another)".to_owned(),
            );
        }
        let by_daemon: Vec<&str> = [Duty::Root, Duty::Targets, Duty::Trust, Duty::Bins]
            .into_iter()
            .filter(|duty| in_force.keys(*duty).is_ok_and(|keys| self.reaches(keys)))
            .map(Duty::name)
            .collect();
        if !by_daemon.is_empty() {
            warnings.push(format!(
                "keys of {} are where the daemon can use them: who breaks into this machine can sign a new root. `chiron tuf init --production` moves them to people",
                by_daemon.join(", ")
            ));
        }
        let targets = self.publisher.target_count();
        let better = BinCount::for_targets(targets);
        if let Some(bins) = bins.filter(|bins| *bins < better) {
            warnings.push(format!(
                "{targets} targets in {} bins: `chiron tuf rebin {}` makes updates of clients smaller",
                bins.get(),
                better.get()
            ));
        }
        warnings
    }

    /// Whether the daemon alone could sign.
    fn reaches(&self, keys: &chiron_tuf::RoleKeys) -> bool {
        let usable = keys.keyids().iter().filter(|id| {
            self.keyring
                .find(&id.to_string())
                .is_ok_and(|key| key.place.is_online())
        });
        usable.count() >= usize::from(keys.threshold().get())
    }
}
