#![allow(clippy::unwrap_used, clippy::expect_used)]

mod hostile;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::bins::BinCount;
use crate::envelope::Envelope;
use crate::example::{self, id, key, keys, of};
use crate::verify::verify;

const OLD: &[u8] = b"the file of root 1";

fn made() -> Timestamp {
    "2026-11-20T10:00:00Z".parse().unwrap()
}

fn labels() -> KeyLabels {
    [(id(1), "alice".to_owned())].into()
}

/// Root 1 has the keys 1 and 2, root 2 has 2 and 3; both must sign.
fn roots() -> (Root, Root) {
    let mut before = example::root();
    before.roles.insert(Role::Root.name(), of(&[1, 2], 2));
    let mut after = before.clone();
    after.version = 2;
    after.keys.extend(keys(&[3]));
    after.roles.insert(Role::Root.name(), of(&[2, 3], 2));
    (before, after)
}

fn rotation() -> SigningRequest {
    let (before, after) = roots();
    SigningRequest::of_root(Some((&before, OLD)), &after, &labels(), made()).unwrap()
}

/// Bins 2 with 1,024 bins, by one of the keys 4 and 5.
fn rebin() -> SigningRequest {
    rebin_between(256, 1024)
}

fn rebin_between(few: u16, many: u16) -> SigningRequest {
    let bins = |version, count| Targets {
        version,
        targets: BTreeMap::new(),
        delegations: Some(
            BinCount::new(count)
                .unwrap()
                .delegations(&keys(&[6]), &of(&[6], 1)),
        ),
        ..example::targets()
    };
    let need = Need {
        whose: "targets 1".to_owned(),
        keys: of(&[4, 5], 1),
    };
    let before = bins(1, few);
    SigningRequest::of_targets(
        Role::Bins,
        Some((&before, b"the file of bins 1")),
        &bins(2, many),
        need,
        &keys(&[4, 5, 6]),
        &labels(),
        made(),
    )
    .unwrap()
}

fn sign_with(request: &SigningRequest, seeds: &[u8]) -> Result<DetachedSignature, RequestError> {
    let signers: Vec<Arc<dyn Signer>> = seeds.iter().map(|seed| Arc::new(key(*seed)) as _).collect();
    example::now(request.sign(&signers))
}

/// By way of the file, as it is carried.
fn carried(signature: &DetachedSignature) -> DetachedSignature {
    DetachedSignature::parse(&signature.to_bytes().unwrap()).unwrap()
}

fn edited(request: &SigningRequest, edit: impl FnOnce(&mut Value)) -> Result<SigningRequest, RequestError> {
    let mut file: Value = serde_json::from_slice(&request.to_bytes().unwrap()).unwrap();
    edit(&mut file);
    SigningRequest::parse(&serde_json::to_vec(&file).unwrap())
}

fn untrue(what: &'static str) -> Result<SigningRequest, RequestError> {
    Err(RequestError::Untrue { what })
}

#[test]
fn a_request_is_read_back() {
    for request in [rotation(), rebin()] {
        let read = SigningRequest::parse(&request.to_bytes().unwrap()).unwrap();
        assert_eq!(read, request);
    }
    assert_eq!(rotation().replaces(), Some(&Replaced::of(1, OLD)));
    assert_eq!(rotation().keys().len(), 3, "only the keys that may sign");
    assert_eq!(rebin().keys().len(), 2, "only the keys that may sign");
    assert_ne!(rotation().id(), rebin().id());
    assert_eq!(
        rotation().id().to_string().parse::<RequestId>().unwrap(),
        rotation().id()
    );
}

#[test]
fn a_rotation_is_carried_round_until_both_thresholds_are_met() {
    let request = rotation();
    let whose: Vec<&str> = request.needs().iter().map(|need| need.whose.as_str()).collect();
    assert_eq!(whose, ["root 1", "root 2"]);
    let mut have = Vec::new();
    let mut met = Vec::new();
    for seed in [1, 3, 2] {
        let signature = carried(&sign_with(&request, &[seed]).unwrap());
        have = request.merge(&have, &signature).unwrap();
        let progress = request.progress(&have);
        met.push(
            progress
                .needs
                .iter()
                .map(NeedProgress::is_met)
                .collect::<Vec<_>>(),
        );
        assert_eq!(request.finish(&have).is_ok(), progress.is_complete());
    }
    assert_eq!(met, [[false, false], [false, false], [true, true]]);

    let (before, after) = roots();
    let document = request.finish(&have).unwrap();
    let read = Envelope::<Root>::parse(document.bytes()).unwrap();
    assert_eq!(read.signed, after);
    for root in [&before, &after] {
        let role = &root.roles[&Role::Root.name()];
        assert!(verify(&root.keys, role, &read.payload().unwrap(), &read.signatures).is_ok());
    }
}

#[test]
fn signing_again_changes_nothing() {
    let request = rotation();
    let once = request.merge(&[], &sign_with(&request, &[2]).unwrap()).unwrap();
    let twice = request
        .merge(&once, &sign_with(&request, &[2, 2]).unwrap())
        .unwrap();
    assert_eq!(twice.len(), 1);
    let needs = request.progress(&twice).needs;
    assert_eq!(needs[0].have, [id(2)].into());
    assert_eq!(needs[0].lacking, [id(1)].into());
}

#[test]
fn a_signature_over_an_older_version_is_refused() {
    let (before, after) = roots();
    let signature = sign_with(&rotation(), &[1]).unwrap();
    let mut third = after.clone();
    third.version = 3;
    let next = SigningRequest::of_root(Some((&after, b"root 2")), &third, &labels(), made()).unwrap();
    assert_eq!(
        next.merge(&[], &signature),
        Err(RequestError::OtherVersion {
            signed: "root 2".to_owned(),
            wanted: "root 3".to_owned(),
        })
    );
    let mut other = after;
    other.expires = "2031-01-01T00:00:00Z".parse().unwrap();
    let other = SigningRequest::of_root(Some((&before, OLD)), &other, &labels(), made()).unwrap();
    assert!(matches!(
        other.merge(&[], &signature),
        Err(RequestError::OtherDocument { .. })
    ));
}

#[test]
fn a_request_that_was_overtaken_is_refused() {
    let request = rotation();
    assert_eq!(request.follows(Some(1)), Ok(()));
    for published in [None, Some(2), Some(7)] {
        assert_eq!(
            request.follows(published),
            Err(RequestError::Outdated {
                role: Role::Root,
                version: 2,
                replaces: Some(1),
                published,
            })
        );
    }
    let error = request.follows(Some(2)).unwrap_err().to_string();
    assert_eq!(
        error,
        "root 2 was to replace root 1, and root 2 is published by now: make the request anew, and sign that"
    );
    let first = SigningRequest::of_root(None, &example::root(), &labels(), made()).unwrap();
    assert_eq!(first.follows(None), Ok(()));
    assert!(first.follows(Some(1)).is_err());
}

proptest! {
    /// In any order and however often it is carried round: complete exactly when both thresholds are met.
    #[test]
    fn signatures_may_come_in_any_order(order in prop::collection::vec(1_u8..4, 0..8)) {
        let request = rotation();
        let mut have = Vec::new();
        for seed in &order {
            have = request.merge(&have, &sign_with(&request, &[*seed]).unwrap()).unwrap();
        }
        let all = (1..4).all(|seed| order.contains(&seed));
        prop_assert_eq!(request.progress(&have).is_complete(), all);
        prop_assert_eq!(request.finish(&have).is_ok(), all);
        prop_assert!(have.len() <= 3);
    }
}
