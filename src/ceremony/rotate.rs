//! Other keys, another threshold, the same keys for longer; an emergency; another number of bins.

use std::collections::{BTreeMap, BTreeSet};

use chiron_tuf::{BinCount, KeyId, RoleKeys, Threshold};
use jiff::Timestamp;

use super::carry::Asked;
use super::choose::{Chooser, role_keys};
use super::edit::{EditError, InForce};
use super::{Ceremonies, CeremonyError, reason};
use crate::api::{TufChange, TufRebin, TufRotate};
use crate::catalog::Actor;
use crate::publish::{Duty, Plan};

/// What happens to the keys of the roles that are named.
enum Amendment {
    /// They become exactly these.
    Exactly(BTreeSet<KeyId>),
    /// These come, those go.
    Amended {
        add: BTreeSet<KeyId>,
        remove: BTreeSet<KeyId>,
    },
    /// Each gets a successor where it is.
    Succeeded,
    /// They stay.
    Kept,
}

impl Ceremonies {
    /// Gives roles other keys or another threshold, takes keys away at once, or signs roles anew.
    pub async fn rotate(&self, ask: &TufRotate, now: Timestamp) -> Result<TufChange, CeremonyError> {
        let _turn = self.turn.lock().await;
        let reason = reason(&ask.reason)?;
        let in_force = self.in_force().await?.ok_or(CeremonyError::NotInitialised)?;
        let duties = duties(ask)?;
        let mut chooser = Chooser::new(self, ask.dry_run, now);
        let plan = if ask.renew {
            renewal(ask, &duties)?
        } else {
            plan(ask, &duties, &in_force, &mut chooser).await?
        };
        let asked = Asked {
            what: what(ask, &plan),
            reason,
            by: Actor::Operator,
            plan,
            labels: chooser.labels,
            notes: chooser.notes,
        };
        self.preview_or_carry(asked, ask.dry_run, now).await
    }

    /// Spreads the targets over another number of bins.
    pub async fn rebin(&self, ask: &TufRebin, now: Timestamp) -> Result<TufChange, CeremonyError> {
        let _turn = self.turn.lock().await;
        let reason = reason(&ask.reason)?;
        self.in_force().await?.ok_or(CeremonyError::NotInitialised)?;
        let count = u16::try_from(ask.bins).map_err(|_| {
            CeremonyError::Asked(format!(
                "{} bins are not possible; a power of two from 16 to 16384 is",
                ask.bins
            ))
        })?;
        let targets = self.publisher.target_count();
        let least = BinCount::for_targets(targets);
        if BinCount::new(count).map_err(EditError::from)? < least {
            return Err(CeremonyError::Asked(format!(
                "{count} bins are too few for {targets} targets: {} or more keep the updates of clients small, and the daemon would spread them over so many again",
                least.get()
            )));
        }
        let asked = Asked {
            what: format!("rebin to {count}"),
            reason,
            by: Actor::Operator,
            plan: Plan {
                bins: Some(count),
                ..Plan::default()
            },
            labels: BTreeMap::new(),
            notes: Vec::new(),
        };
        self.preview_or_carry(asked, ask.dry_run, now).await
    }
}

/// The roles that are named.
fn duties(ask: &TufRotate) -> Result<BTreeSet<Duty>, CeremonyError> {
    let mut duties = BTreeSet::new();
    for name in &ask.roles {
        duties.extend(Duty::parse(name)?);
    }
    let refused = |why: &str| Err(CeremonyError::Asked(why.to_owned()));
    let amends = !ask.add.is_empty() || !ask.remove.is_empty();
    if duties.is_empty() && ask.revoke.is_empty() && !ask.recover {
        return refused(
            "name the roles whose keys change (root, targets, trust, bins, bin, snapshot, timestamp, online)",
        );
    }
    if !ask.keys.is_empty() && amends {
        return refused(
            "`keys` are all keys that the roles will have; `add` and `remove` change those they have: give one or the other",
        );
    }
    if ask.renew
        && (amends
            || !ask.keys.is_empty()
            || !ask.revoke.is_empty()
            || ask.threshold.is_some()
            || ask.recover)
    {
        return refused("to renew is to sign anew with the same keys; rotate changes them");
    }
    if duties.is_empty() && (ask.threshold.is_some() || !ask.keys.is_empty() || !ask.remove.is_empty()) {
        return refused("name the roles that get this threshold or these keys");
    }
    Ok(duties)
}

fn renewal(ask: &TufRotate, duties: &BTreeSet<Duty>) -> Result<Plan, CeremonyError> {
    if let Some(duty) = duties.iter().find(|duty| Duty::ONLINE.contains(duty)) {
        return Err(CeremonyError::Asked(format!(
            "{duty} is renewed by the daemon; `chiron tuf publish --resign` does it now. Not renewed: {}",
            ask.roles.join(", ")
        )));
    }
    Ok(Plan {
        renew: duties.clone(),
        ..Plan::default()
    })
}

async fn plan(
    ask: &TufRotate,
    named: &BTreeSet<Duty>,
    in_force: &InForce,
    chooser: &mut Chooser<'_>,
) -> Result<Plan, CeremonyError> {
    let revoked = known(&ask.revoke, in_force, chooser)?;
    let removed = known(&ask.remove, in_force, chooser)?;
    let keys = chooser.chosen(&ask.keys).await?;
    let added = chooser.chosen(&ask.add).await?;
    if let Some(id) = keys.union(&added).find(|id| revoked.contains(id)) {
        return Err(CeremonyError::Asked(format!(
            "the key {id} is to be revoked and used at once"
        )));
    }
    let touched = touched(ask, named, &revoked, in_force)?;
    named_keys(&removed, &ask.remove, named, in_force)?;
    named_keys(&revoked, &ask.revoke, &touched, in_force)?;
    let mut plan = Plan::default();
    for duty in touched {
        let before = in_force.keys(duty)?;
        let is_named = named.contains(&duty);
        let amendment = if is_named && !keys.is_empty() {
            Amendment::Exactly(keys.clone())
        } else if is_named && (!added.is_empty() || !removed.is_empty()) {
            Amendment::Amended {
                add: added.clone(),
                remove: removed.clone(),
            }
        } else if ask.recover && Duty::ONLINE.contains(&duty) {
            Amendment::Succeeded
        } else if !is_named || ask.threshold.is_some() || !before.keyids().is_disjoint(&revoked) {
            Amendment::Kept
        } else {
            Amendment::Succeeded
        };
        let mut ids = amended(before, amendment, chooser).await?;
        replace_revoked(&mut ids, &revoked, &added, is_named, chooser).await?;
        let threshold = match ask.threshold.filter(|_| is_named) {
            Some(asked) => Threshold::new(asked).map_err(|source| CeremonyError::Keys { duty, source })?,
            None => before.threshold(),
        };
        let after = role_keys(duty, ids, threshold)?;
        if Duty::ONLINE.contains(&duty) {
            chooser.try_out(duty, &after, Some(before)).await?;
        }
        if after != *before {
            plan.keys.insert(duty, after);
        }
    }
    plan.public.clone_from(&chooser.public);
    Ok(plan)
}

fn known(
    names: &[String],
    in_force: &InForce,
    chooser: &Chooser<'_>,
) -> Result<BTreeSet<KeyId>, CeremonyError> {
    names.iter().map(|what| chooser.known(what, in_force)).collect()
}

/// The roles that are named, those that are recovered, and those that name a revoked key.
fn touched(
    ask: &TufRotate,
    named: &BTreeSet<Duty>,
    revoked: &BTreeSet<KeyId>,
    in_force: &InForce,
) -> Result<BTreeSet<Duty>, CeremonyError> {
    let mut touched = named.clone();
    if ask.recover {
        touched.extend(Duty::ONLINE);
    }
    for duty in Duty::ALL {
        if !in_force.keys(duty)?.keyids().is_disjoint(revoked) {
            touched.insert(duty);
        }
    }
    Ok(touched)
}

/// Threat: a slip in a label, after which everybody believes that a key is out.
fn named_keys(
    ids: &BTreeSet<KeyId>,
    names: &[String],
    duties: &BTreeSet<Duty>,
    in_force: &InForce,
) -> Result<(), CeremonyError> {
    for (id, what) in ids.iter().zip(sorted_names(ids, names)) {
        let mut of = false;
        for duty in duties {
            of |= in_force.keys(*duty)?.keyids().contains(id);
        }
        if !of {
            let roles: Vec<&str> = duties.iter().map(|duty| duty.name()).collect();
            return Err(CeremonyError::NotOfRole {
                what,
                roles: if roles.is_empty() {
                    "at all".to_owned()
                } else {
                    roles.join(", ")
                },
            });
        }
    }
    Ok(())
}

/// With one name it is that name; among several, the id says it without a mistake.
fn sorted_names(ids: &BTreeSet<KeyId>, names: &[String]) -> Vec<String> {
    match names {
        [one] => vec![one.clone()],
        _ => ids.iter().map(ToString::to_string).collect(),
    }
}

async fn amended(
    before: &RoleKeys,
    amendment: Amendment,
    chooser: &mut Chooser<'_>,
) -> Result<BTreeSet<KeyId>, CeremonyError> {
    Ok(match amendment {
        Amendment::Exactly(keys) => keys,
        Amendment::Amended { add, remove } => {
            let kept = before.keyids().difference(&remove).copied();
            kept.chain(add).collect()
        }
        Amendment::Kept => before.keyids().clone(),
        Amendment::Succeeded => {
            chooser.can_be_succeeded(before.keyids())?;
            let mut successors = BTreeSet::new();
            for id in before.keyids() {
                successors.insert(chooser.successor(id).await?);
            }
            successors
        }
    })
}

/// Takes revoked keys away. What was handed over takes their places; else a new key where the old one was, if the daemon
/// can make it; else the places stay empty, if enough others are left.
async fn replace_revoked(
    ids: &mut BTreeSet<KeyId>,
    revoked: &BTreeSet<KeyId>,
    added: &BTreeSet<KeyId>,
    amended: bool,
    chooser: &mut Chooser<'_>,
) -> Result<(), CeremonyError> {
    let out: Vec<KeyId> = ids.intersection(revoked).copied().collect();
    for id in out {
        ids.remove(&id);
        if !added.is_empty() {
            if !amended {
                ids.extend(added);
            }
        } else if chooser.has_successor(&id) {
            ids.insert(chooser.successor(&id).await?);
        } else {
            chooser.notes.push(format!(
                "nothing takes the place of the revoked key {id}; give its successor with --add"
            ));
        }
    }
    Ok(())
}

fn what(ask: &TufRotate, plan: &Plan) -> String {
    let names = |duties: &mut dyn Iterator<Item = &Duty>| {
        let names: Vec<&str> = duties.map(|duty| duty.name()).collect();
        names.join(", ")
    };
    if ask.renew {
        format!("renew {}", names(&mut plan.renew.iter()))
    } else if ask.recover {
        format!("recover: new keys of {}", names(&mut plan.keys.keys()))
    } else if ask.revoke.is_empty() {
        format!("rotate {}", names(&mut plan.keys.keys()))
    } else {
        format!("revoke a key of {}", names(&mut plan.keys.keys()))
    }
}
