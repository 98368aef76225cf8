//! The first root: with keys of this machine, or with keys that people hold.

use std::collections::BTreeSet;

use chiron_tuf::{KeyId, RoleKeys, Scheme, Threshold};
use jiff::Timestamp;

use super::carry::Asked;
use super::choose::{Chooser, role_keys, threshold};
use super::edit::InForce;
use super::{Ceremonies, CeremonyError, reason, view};
use crate::api::{TufChange, TufInit, TufPlan, TufRolePlan};
use crate::catalog::Actor;
use crate::keys::NewPlace;
use crate::publish::{Duty, Pending, Plan};

/// The keys of a development setup, and what they sign.
const DEVELOPMENT: [(&str, &[Duty]); 6] = [
    ("root", &[Duty::Root]),
    ("targets", &[Duty::Targets]),
    ("trust", &[Duty::Trust]),
    ("bins", &[Duty::Bins]),
    ("online", &[Duty::Bin, Duty::Snapshot]),
    ("timestamp", &[Duty::Timestamp]),
];

/// Fewer holders of root keys than this, and one lost key can end the repository.
const FEW_HOLDERS: usize = 3;

impl Ceremonies {
    /// A development setup, if there is no repository and none waits for signatures. Finishes nothing that a crash left;
    /// [`Ceremonies::resume`] does.
    pub async fn init_development(&self, now: Timestamp) -> Result<TufChange, CeremonyError> {
        self.init(&TufInit::default(), now).await
    }

    /// Makes the first root, or moves a repository to keys that people hold.
    pub async fn init(&self, ask: &TufInit, now: Timestamp) -> Result<TufChange, CeremonyError> {
        let _turn = self.turn.lock().await;
        let in_force = self.in_force().await?;
        let first = self.first_that_waits().await?;
        let mut chooser = Chooser::new(self, ask.dry_run, now);
        let plan = match (&ask.production, &in_force, first) {
            (None, Some(_), _) => return Ok(unchanged(ask)),
            (None, None, Some(pending)) => {
                let labels = self.labels()?;
                return Ok(TufChange {
                    waiting: Some(view::waiting(&pending, &labels, None)),
                    ..unchanged(ask)
                });
            }
            (Some(_), None, Some(pending)) => return Err(CeremonyError::FirstWaits { id: pending.id }),
            (None, None, None) => development(&mut chooser).await?,
            (Some(plan), in_force, _) => production(plan, in_force.as_ref(), &mut chooser).await?,
        };
        let plan = match &in_force {
            Some(_) => plan,
            None => Plan {
                trust: Some(self.publisher.trust_targets(now).await?),
                ..plan
            },
        };
        let what = match (&ask.production, &in_force) {
            (None, _) => "the first root, with keys of this machine",
            (Some(_), None) => "the first root, with keys that people hold",
            (Some(_), Some(_)) => "move to keys that people hold",
        };
        let asked = Asked {
            what: what.to_owned(),
            reason: reason(ask.reason.as_deref().unwrap_or("initialised"))?,
            by: if ask.production.is_some() {
                Actor::Operator
            } else {
                Actor::Chiron
            },
            plan,
            labels: chooser.labels,
            notes: chooser.notes,
        };
        self.preview_or_carry(asked, ask.dry_run, now).await
    }

    /// The change that makes the first root, while it waits.
    pub(super) async fn first_that_waits(&self) -> Result<Option<Pending>, CeremonyError> {
        let is_first = |pending: &Pending| {
            let mut documents = pending.documents.iter();
            documents.any(|document| document.request.replaces().is_none())
        };
        Ok(self.publisher.pending().await?.into_iter().find(is_first))
    }
}

fn unchanged(ask: &TufInit) -> TufChange {
    TufChange {
        dry_run: ask.dry_run,
        unchanged: true,
        ..TufChange::default()
    }
}

async fn development(chooser: &mut Chooser<'_>) -> Result<Plan, CeremonyError> {
    let mut plan = Plan::default();
    for (label, duties) in DEVELOPMENT {
        // What an attempt made that was broken off is used.
        let id = match chooser.usable(label) {
            Some(id) => id,
            None => chooser.fresh(label, Scheme::Ed25519, NewPlace::File).await?,
        };
        for duty in duties {
            plan.keys
                .insert(*duty, role_keys(*duty, BTreeSet::from([id]), Threshold::ONE)?);
        }
    }
    plan.public.clone_from(&chooser.public);
    Ok(plan)
}

async fn production(
    ask: &TufPlan,
    in_force: Option<&InForce>,
    chooser: &mut Chooser<'_>,
) -> Result<Plan, CeremonyError> {
    if ask.root.keys.is_empty() {
        return Err(CeremonyError::Asked(
            "the root needs one key at least: give the public keys of those who will hold it".to_owned(),
        ));
    }
    let root = people(Duty::Root, &ask.root, chooser).await?;
    let targets = people_or(Duty::Targets, &ask.targets, &root, "root", chooser).await?;
    let trust = people_or(Duty::Trust, &ask.trust, &targets, "targets", chooser).await?;
    let bins = people_or(Duty::Bins, &ask.bins, &targets, "targets", chooser).await?;
    let mut plan = Plan::default();
    let online = daemon(Duty::Bin, &ask.online, "online", in_force, chooser).await?;
    let snapshot = match (&ask.online.keys.is_empty(), in_force) {
        (true, Some(in_force)) => in_force.keys(Duty::Snapshot)?.clone(),
        _ => online.clone(),
    };
    let timestamp = daemon(Duty::Timestamp, &ask.timestamp, "timestamp", in_force, chooser).await?;
    for (duty, keys) in [
        (Duty::Root, root),
        (Duty::Targets, targets),
        (Duty::Trust, trust),
        (Duty::Bins, bins),
        (Duty::Bin, online),
        (Duty::Snapshot, snapshot),
        (Duty::Timestamp, timestamp),
    ] {
        let before = in_force.map(|in_force| in_force.keys(duty)).transpose()?;
        if Duty::ONLINE.contains(&duty) {
            chooser.try_out(duty, &keys, before).await?;
        }
        if before != Some(&keys) {
            plan.keys.insert(duty, keys);
        }
    }
    plan.public.clone_from(&chooser.public);
    Ok(plan)
}

/// Keys that people hold, with advice.
async fn people(duty: Duty, ask: &TufRolePlan, chooser: &mut Chooser<'_>) -> Result<RoleKeys, CeremonyError> {
    let ids = chooser.chosen(&ask.keys).await?;
    let threshold = threshold(duty, ask.threshold, ids.len())?;
    if duty == Duty::Root && ids.len() < FEW_HOLDERS {
        chooser.notes.push(format!(
            "the root has {} of {} keys: with 2 of 3 or 3 of 5, one may be lost or stolen",
            threshold.get(),
            ids.len()
        ));
    }
    for label in chooser.on_this_machine(&ids) {
        chooser.notes.push(format!(
            "{duty}: the key {label} can be used by the daemon, so it is not offline"
        ));
    }
    role_keys(duty, ids, threshold)
}

async fn people_or(
    duty: Duty,
    ask: &TufRolePlan,
    otherwise: &RoleKeys,
    whose: &str,
    chooser: &mut Chooser<'_>,
) -> Result<RoleKeys, CeremonyError> {
    if ask.keys.is_empty() {
        chooser.notes.push(format!(
            "{duty}: the keys of {whose}, {} of {}",
            otherwise.threshold().get(),
            otherwise.keyids().len()
        ));
        return Ok(otherwise.clone());
    }
    people(duty, ask, chooser).await
}

/// Keys that the daemon uses: those that are named, those in force, or a new file.
async fn daemon(
    duty: Duty,
    ask: &TufRolePlan,
    label: &str,
    in_force: Option<&InForce>,
    chooser: &mut Chooser<'_>,
) -> Result<RoleKeys, CeremonyError> {
    if let (true, Some(in_force)) = (ask.keys.is_empty(), in_force) {
        return Ok(in_force.keys(duty)?.clone());
    }
    let ids: BTreeSet<KeyId> = if ask.keys.is_empty() {
        let id = match chooser.usable(label) {
            Some(id) => id,
            None => chooser.fresh(label, Scheme::Ed25519, NewPlace::File).await?,
        };
        BTreeSet::from([id])
    } else {
        chooser.chosen(&ask.keys).await?
    };
    let threshold =
        Threshold::new(ask.threshold.max(1)).map_err(|source| CeremonyError::Keys { duty, source })?;
    role_keys(duty, ids, threshold)
}
