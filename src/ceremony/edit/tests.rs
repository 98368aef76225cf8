#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeSet;

use chiron_tuf::{LocalKey, Scheme, Signature, Signer as _, Threshold};

use super::*;

fn now() -> Timestamp {
    "2026-11-20T10:00:00Z".parse().unwrap()
}

/// Keys by what they are for.
struct Holders(BTreeMap<KeyId, LocalKey>);

impl Holders {
    fn make(&mut self, scheme: Scheme) -> PublicKey {
        let key = LocalKey::generate(scheme).unwrap();
        let public = key.public().clone();
        self.0.insert(public.id(), key);
        public
    }

    /// Signs with every key that is here and counts.
    fn sign<T: chiron_tuf::Document>(&self, document: T, keys: &RoleKeys) -> Envelope<T> {
        let mut envelope = Envelope {
            signatures: Vec::new(),
            signed: document,
        };
        let payload = envelope.payload().unwrap();
        for id in keys.keyids() {
            let signed = futures_util::FutureExt::now_or_never(self.0[id].sign(&payload)).unwrap();
            envelope.signatures.push(Signature::new(*id, signed.unwrap()));
        }
        envelope
    }
}

fn keys(publics: &[&PublicKey], threshold: u32) -> RoleKeys {
    RoleKeys::new(
        publics.iter().map(|key| key.id()),
        Threshold::new(threshold).unwrap(),
    )
    .unwrap()
}

/// A repository with a key for each duty, and the plan that made it.
fn repository(holders: &mut Holders) -> (InForce, BTreeMap<Duty, PublicKey>) {
    let mut plan = Plan::default();
    let mut of = BTreeMap::new();
    for duty in Duty::ALL {
        let public = holders.make(Scheme::Ed25519);
        plan.keys.insert(duty, keys(&[&public], 1));
        plan.public.insert(public.id(), public.clone());
        of.insert(duty, public);
    }
    let drafts = draft(None, &plan, now()).unwrap();
    (applied(None, &drafts, holders), of)
}

/// What is in force once drafts are signed.
fn applied(before: Option<&InForce>, drafts: &[Drafted], holders: &Holders) -> InForce {
    let mut root = before.map(|before| before.root.clone());
    let mut others: BTreeMap<Role, Envelope<Targets>> = BTreeMap::new();
    if let Some(before) = before {
        others.insert(Role::Targets, before.targets.clone());
        others.insert(Role::Trust, before.trust.clone());
        others.insert(Role::Bins, before.bins.clone());
    }
    for drafted in drafts {
        match &drafted.after {
            Content::Root(document) => root = Some(holders.sign(document.clone(), &drafted.keys)),
            Content::Targets(document) => {
                others.insert(drafted.role, holders.sign(document.clone(), &drafted.keys));
            }
        }
    }
    InForce {
        root: root.unwrap(),
        targets: others.remove(&Role::Targets).unwrap(),
        trust: others.remove(&Role::Trust).unwrap(),
        bins: others.remove(&Role::Bins).unwrap(),
    }
}

fn roles(drafts: &[Drafted]) -> Vec<String> {
    drafts.iter().map(|drafted| drafted.role.to_string()).collect()
}

fn change(duty: Duty, new: RoleKeys, public: &[&PublicKey]) -> Plan {
    Plan {
        keys: BTreeMap::from([(duty, new)]),
        public: public.iter().map(|key| (key.id(), (*key).clone())).collect(),
        ..Plan::default()
    }
}

#[test]
fn the_first_documents_are_all_four_at_version_one() {
    let mut holders = Holders(BTreeMap::new());
    let (in_force, of) = repository(&mut holders);
    for role in [Role::Root, Role::Targets, Role::Trust, Role::Bins] {
        assert_eq!(in_force.version(role), 1, "{role}");
    }
    for duty in Duty::ALL {
        assert_eq!(in_force.keys(duty).unwrap(), &keys(&[&of[&duty]], 1), "{duty}");
    }
    assert_eq!(in_force.bins().unwrap(), BinCount::DEFAULT);
    // A client that has the root finds every other key from it.
    assert_eq!(in_force.root.signed.keys.len(), 4);
    assert_eq!(in_force.public().len(), 7);
}

#[test]
fn a_plan_that_is_carried_out_already_makes_nothing() {
    let mut holders = Holders(BTreeMap::new());
    let (in_force, of) = repository(&mut holders);
    let same = change(Duty::Root, keys(&[&of[&Duty::Root]], 1), &[]);
    assert!(draft(Some(&in_force), &same, now()).unwrap().is_empty());
    assert!(
        draft(Some(&in_force), &Plan::default(), now())
            .unwrap()
            .is_empty()
    );
}

#[test]
fn each_duty_touches_who_names_its_keys_and_what_they_signed() {
    let mut holders = Holders(BTreeMap::new());
    let (in_force, _) = repository(&mut holders);
    for (duty, expected) in [
        (Duty::Root, vec!["root"]),
        (Duty::Targets, vec!["root", "targets"]),
        (Duty::Trust, vec!["targets", "trust"]),
        (Duty::Bins, vec!["targets", "bins"]),
        (Duty::Bin, vec!["bins"]),
        (Duty::Snapshot, vec!["root"]),
        (Duty::Timestamp, vec!["root"]),
    ] {
        let new = holders.make(Scheme::EcdsaP256);
        let plan = change(duty, keys(&[&new], 1), &[&new]);
        let drafts = draft(Some(&in_force), &plan, now()).unwrap();
        assert_eq!(roles(&drafts), expected, "{duty}");
        for drafted in &drafts {
            let version = match &drafted.after {
                Content::Root(document) => document.version,
                Content::Targets(document) => document.version,
            };
            assert_eq!(version, 2, "{duty}");
        }
        let after = applied(Some(&in_force), &drafts, &holders);
        assert_eq!(after.keys(duty).unwrap(), &keys(&[&new], 1), "{duty}");
        for other in Duty::ALL.into_iter().filter(|other| *other != duty) {
            assert_eq!(
                after.keys(other).unwrap(),
                in_force.keys(other).unwrap(),
                "{duty} {other}"
            );
        }
    }
}

#[test]
fn a_document_whose_signatures_still_suffice_is_not_signed_again() {
    let mut holders = Holders(BTreeMap::new());
    let (in_force, of) = repository(&mut holders);
    let second = holders.make(Scheme::EcdsaP256);
    let old = &of[&Duty::Bins];
    // 1 of 2, and the one that signed is still among them.
    let plan = change(Duty::Bins, keys(&[old, &second], 1), &[&second]);
    let drafts = draft(Some(&in_force), &plan, now()).unwrap();
    assert_eq!(roles(&drafts), ["targets"]);
    // 2 of 2, and only one signed.
    let plan = change(Duty::Bins, keys(&[old, &second], 2), &[&second]);
    let drafts = draft(Some(&in_force), &plan, now()).unwrap();
    assert_eq!(roles(&drafts), ["targets", "bins"]);
}

#[test]
fn the_root_forgets_keys_that_nobody_uses_any_more() {
    let mut holders = Holders(BTreeMap::new());
    let (in_force, of) = repository(&mut holders);
    let new = holders.make(Scheme::Ed25519);
    let plan = change(Duty::Timestamp, keys(&[&new], 1), &[&new]);
    let drafts = draft(Some(&in_force), &plan, now()).unwrap();
    let after = applied(Some(&in_force), &drafts, &holders);
    let ids: BTreeSet<_> = after.root.signed.keys.keys().copied().collect();
    assert!(ids.contains(&new.id()));
    assert!(!ids.contains(&of[&Duty::Timestamp].id()));
    assert_eq!(ids.len(), 4);
}

#[test]
fn renewing_changes_nothing_but_version_and_expiry() {
    let mut holders = Holders(BTreeMap::new());
    let (in_force, _) = repository(&mut holders);
    let plan = Plan {
        renew: BTreeSet::from([Duty::Root, Duty::Trust]),
        ..Plan::default()
    };
    let later: Timestamp = "2027-10-20T10:00:00Z".parse().unwrap();
    let drafts = draft(Some(&in_force), &plan, later).unwrap();
    assert_eq!(roles(&drafts), ["root", "trust"]);
    let Content::Root(root) = &drafts[0].after else {
        panic!("{drafts:?}")
    };
    assert_eq!(root.roles, in_force.root.signed.roles);
    assert_eq!(root.keys, in_force.root.signed.keys);
    assert_eq!(root.version, 2);
    assert!(root.expires > in_force.root.signed.expires);
}

#[test]
fn another_number_of_bins_is_a_new_bins_document() {
    let mut holders = Holders(BTreeMap::new());
    let (in_force, _) = repository(&mut holders);
    let plan = |bins| Plan {
        bins: Some(bins),
        ..Plan::default()
    };
    let drafts = draft(Some(&in_force), &plan(1024), now()).unwrap();
    assert_eq!(roles(&drafts), ["bins"]);
    let after = applied(Some(&in_force), &drafts, &holders);
    assert_eq!(after.bins().unwrap().get(), 1024);
    assert_eq!(after.keys(Duty::Bin).unwrap(), in_force.keys(Duty::Bin).unwrap());
    assert!(draft(Some(&in_force), &plan(256), now()).unwrap().is_empty());
    assert!(matches!(
        draft(Some(&in_force), &plan(300), now()),
        Err(EditError::Count(_))
    ));
}

#[test]
fn trust_keeps_what_it_lists_unless_it_shall_list_something_else() {
    let mut holders = Holders(BTreeMap::new());
    let (in_force, _) = repository(&mut holders);
    let listed = BTreeMap::from([("trust/policy.json".to_owned(), TargetFile::of(b"{}"))]);
    let plan = Plan {
        trust: Some(listed.clone()),
        ..Plan::default()
    };
    let drafts = draft(Some(&in_force), &plan, now()).unwrap();
    assert_eq!(roles(&drafts), ["trust"]);
    let after = applied(Some(&in_force), &drafts, &holders);
    assert!(draft(Some(&after), &plan, now()).unwrap().is_empty());
    let new = holders.make(Scheme::Ed25519);
    let plan = change(Duty::Trust, keys(&[&new], 1), &[&new]);
    let drafts = draft(Some(&after), &plan, now()).unwrap();
    let after = applied(Some(&after), &drafts, &holders);
    assert_eq!(after.trust.signed.targets, listed);
}

#[test]
fn a_key_whose_public_half_is_not_known_is_refused() {
    let mut holders = Holders(BTreeMap::new());
    let (in_force, _) = repository(&mut holders);
    let new = holders.make(Scheme::Ed25519);
    let plan = change(Duty::Root, keys(&[&new], 1), &[]);
    assert_eq!(
        draft(Some(&in_force), &plan, now()).unwrap_err(),
        EditError::NoPublicKey(new.id())
    );
    let first = change(Duty::Root, keys(&[&new], 1), &[&new]);
    assert_eq!(
        draft(None, &first, now()).unwrap_err(),
        EditError::NoKeys(Duty::Targets)
    );
}

#[test]
fn the_last_version_that_clients_can_count_to_is_the_last() {
    let mut holders = Holders(BTreeMap::new());
    let (mut in_force, _) = repository(&mut holders);
    in_force.targets.signed.version = MAX_VERSION;
    let plan = Plan {
        renew: BTreeSet::from([Duty::Targets]),
        ..Plan::default()
    };
    assert_eq!(
        draft(Some(&in_force), &plan, now()).unwrap_err(),
        EditError::Worn(Role::Targets)
    );
}
