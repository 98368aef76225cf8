#![allow(clippy::unwrap_used, clippy::expect_used)]

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::bins::BinCount;
use crate::envelope::Envelope;
use crate::example::{self, key, role_keys};
use crate::local::LocalKey;
use crate::threshold::RoleKeys;
use crate::verify::verify;

const OLD: &[u8] = b"the file of root 1";

fn made() -> Timestamp {
    "2026-11-20T10:00:00Z".parse().unwrap()
}

fn keys(seeds: &[u8]) -> BTreeMap<KeyId, PublicKey> {
    let keys = seeds.iter().map(|seed| key(*seed));
    keys.map(|key| (key.public().id(), key.public().clone()))
        .collect()
}

fn of(seeds: &[u8], threshold: u32) -> RoleKeys {
    let keys: Vec<LocalKey> = seeds.iter().map(|seed| key(*seed)).collect();
    role_keys(&keys.iter().collect::<Vec<_>>(), threshold)
}

fn id(seed: u8) -> KeyId {
    key(seed).public().id()
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

#[test]
fn signatures_that_do_not_count_are_not_taken() {
    let request = rotation();
    assert_eq!(
        sign_with(&request, &[9]),
        Err(RequestError::NotNeeded { key: id(9) })
    );
    assert_eq!(sign_with(&request, &[]), Err(RequestError::NoSignature));
    let good = sign_with(&request, &[1, 3]).unwrap();
    let altered = |edit: fn(&mut Value)| {
        let mut file: Value = serde_json::from_slice(&good.to_bytes().unwrap()).unwrap();
        edit(&mut file);
        DetachedSignature::parse(&serde_json::to_vec(&file).unwrap())
            .and_then(|read| request.merge(&[], &read))
    };
    assert_eq!(altered(|_| ()).unwrap().len(), 2);
    assert_eq!(
        altered(|file| file["signatures"][1]["sig"] = json!("00".repeat(64))),
        Err(RequestError::Invalid { key: id(3) }),
        "one bad signature, and nothing is taken"
    );
    assert_eq!(
        altered(|file| file["signatures"][0]["keyid"] = json!("9".repeat(64))),
        Err(RequestError::NotNeeded {
            key: KeyId::from_bytes([0x99; 32])
        })
    );
    assert_eq!(
        altered(|file| file["signatures"] = json!([])),
        Err(RequestError::NoSignature)
    );
    assert!(matches!(
        altered(|file| file["sha256"] = json!("0")),
        Err(RequestError::OtherDocument { .. })
    ));
    assert!(matches!(
        altered(|file| file["role"] = json!("bins")),
        Err(RequestError::OtherVersion { .. })
    ));
    for field in ["schema", "request", "version", "sha256", "signatures"] {
        let mut file: Value = serde_json::from_slice(&good.to_bytes().unwrap()).unwrap();
        file.as_object_mut().unwrap().remove(field);
        let read = DetachedSignature::parse(&serde_json::to_vec(&file).unwrap());
        assert!(matches!(read, Err(RequestError::Malformed { .. })), "{field}");
    }
}

/// Threats: words that do not fit the document, a document that says more than is shown, keys that have no say.
#[test]
fn a_request_that_contradicts_itself_is_refused() {
    let request = rotation();
    assert_eq!(edited(&request, |_| ()), Ok(request.clone()));
    let refused = |edit: fn(&mut Value), what| assert_eq!(edited(&rotation(), edit), untrue(what), "{what}");
    refused(
        |file| file["changes"] = json!(["nothing of interest"]),
        "what changes",
    );
    refused(|file| file["labels"] = json!({}), "what changes");
    refused(|file| file["version"] = json!(3), "the version");
    refused(
        |file| file["replaces"]["version"] = json!(2),
        "which version is replaced",
    );
    refused(
        |file| drop(file.as_object_mut().unwrap().remove("replaces")),
        "which version is replaced",
    );
    refused(
        |file| drop(file.as_object_mut().unwrap().remove("before")),
        "which version is replaced",
    );
    refused(|file| file["needs"] = json!([]), "whose signatures are needed");
    refused(
        |file| file["needs"][0]["threshold"] = json!(1),
        "whose signatures are needed",
    );
    refused(|file| file["id"] = json!("0123456789abcdef"), "the request's id");
    refused(
        |file| file["signed"]["expires"] = json!("2031-01-01T00:00:00Z"),
        "what changes",
    );
    refused(
        |file| file["signed"]["roles"]["timestamp"]["threshold"] = json!(2),
        "what changes",
    );
    refused(
        |file| file["signed"]["extra"] = json!("signed, and shown to nobody"),
        "the document (it says something that would not be signed as it stands)",
    );
    refused(
        |file| drop(file["keys"].as_object_mut().unwrap().remove(&id(1).to_string())),
        "the keys whose signatures are needed",
    );
    let swapped = edited(&rotation(), |file| {
        let other = file["keys"][id(2).to_string()].clone();
        file["keys"][id(1).to_string()] = other;
    });
    assert_eq!(swapped, untrue("the keys whose signatures are needed"));
}

#[test]
fn who_must_sign_targets_is_part_of_the_id() {
    let fewer = edited(&rebin(), |file| {
        file["needs"][0]["keyids"] = json!([id(4).to_string()]);
        file["keys"].as_object_mut().unwrap().remove(&id(5).to_string());
    });
    assert_eq!(fewer, untrue("the request's id"));
    assert_eq!(
        edited(&rebin(), |file| file["role"] = json!("trust")).map(|_| ()),
        untrue("what changes").map(|_| ())
    );
}

#[test]
fn only_offline_roles_are_asked_for() {
    for role in ["timestamp", "snapshot", "bin-03", "mirror"] {
        let named = edited(&rebin(), |file| file["role"] = json!(role));
        assert_eq!(named, Err(RequestError::Role(role.parse().unwrap())));
    }
    assert!(matches!(
        edited(&rebin(), |file| file["role"] = json!("../root")),
        Err(RequestError::Malformed { .. })
    ));
    assert!(matches!(
        edited(&rebin(), |file| file["role"] = json!("root")),
        Err(RequestError::Malformed { .. })
    ));
}

#[test]
fn documents_that_no_client_would_read_are_not_asked_for() {
    let (before, mut after) = roots();
    after.consistent_snapshot = false;
    let request = SigningRequest::of_root(Some((&before, OLD)), &after, &labels(), made());
    assert!(matches!(request, Err(RequestError::Draft(_))), "{request:?}");
    let (before, mut after) = roots();
    after.version = 1;
    let request = SigningRequest::of_root(Some((&before, OLD)), &after, &labels(), made());
    assert_eq!(request, untrue("which version is replaced"));
}

#[test]
fn the_largest_rebin_can_be_asked_for() {
    let request = rebin_between(8192, 16_384);
    let file = request.to_bytes().unwrap();
    assert!(file.len() > 8_000_000, "{}", file.len());
    assert_eq!(SigningRequest::parse(&file), Ok(request));
}

#[test]
fn files_without_end_are_not_read() {
    let long = vec![b' '; 16_000_001];
    assert_eq!(
        SigningRequest::parse(&long),
        Err(RequestError::TooLong { bytes: long.len() })
    );
    assert_eq!(
        DetachedSignature::parse(&long),
        Err(RequestError::TooLong { bytes: long.len() })
    );
}

#[test]
fn an_id_has_one_spelling() {
    for text in [
        "",
        "0123456789abcde",
        "0123456789ABCDEF",
        "0123456789abcdef0",
        "0123456789abcdeg",
        "é123456789abcde",
    ] {
        assert_eq!(
            text.parse::<RequestId>(),
            Err(RequestError::Id(text.to_owned())),
            "{text}"
        );
    }
}

proptest! {
    #[test]
    fn anything_may_be_read(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = SigningRequest::parse(&bytes);
        let _ = DetachedSignature::parse(&bytes);
    }

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

    /// Flipping any byte of a request is noticed, or changes nothing that is shown or signed.
    #[test]
    fn a_flipped_byte_is_noticed(at in any::<prop::sample::Index>(), bit in 0_u8..7) {
        let request = rotation();
        let mut bytes = request.to_bytes().unwrap();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        if let Ok(read) = SigningRequest::parse(&bytes) {
            prop_assert_eq!(read.draft(), request.draft());
            prop_assert_eq!(read.changes().len(), request.changes().len());
            prop_assert_eq!(read.needs(), request.needs());
        }
    }
}
