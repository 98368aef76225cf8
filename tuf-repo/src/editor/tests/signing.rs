//! Who is asked to sign, and what comes out.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::envelope::Signature;
use crate::key_id::KeyId;
use crate::local::LocalKey;
use crate::metadata::Root;
use crate::public_key::PublicKey;
use crate::signer::{SignError, Signer, Signing};
use crate::threshold::RoleKeys;
use crate::verify::verify;

/// How a key behaves.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Mood {
    Good,
    Gone,
    Wrong,
}

/// Counts how often it is asked.
struct Moody {
    key: LocalKey,
    mood: Mood,
    asked: AtomicUsize,
}

impl Signer for Moody {
    fn public(&self) -> &PublicKey {
        self.key.public()
    }

    fn sign<'a>(&'a self, message: &'a [u8]) -> Signing<'a> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let key = self.key.public().id();
        match self.mood {
            Mood::Good => self.key.sign(message),
            Mood::Gone => Box::pin(std::future::ready(Err(gone(key)))),
            Mood::Wrong => self.key.sign(b"something else"),
        }
    }
}

fn gone(key: KeyId) -> SignError {
    SignError::Unavailable {
        key,
        why: "unplugged".to_owned(),
    }
}

/// The keys 1, 2, … in these moods.
fn signers(moods: &[Mood]) -> Vec<Arc<Moody>> {
    moods
        .iter()
        .zip(1_u8..)
        .map(|(mood, seed)| {
            Arc::new(Moody {
                key: key(seed),
                mood: *mood,
                asked: AtomicUsize::new(0),
            })
        })
        .collect()
}

fn id(seed: u8) -> KeyId {
    key(seed).public().id()
}

fn keys(seeds: impl IntoIterator<Item = u8>) -> BTreeMap<KeyId, PublicKey> {
    seeds
        .into_iter()
        .map(|seed| (id(seed), key(seed).public().clone()))
        .collect()
}

fn of(seeds: &[u8], threshold: u32) -> RoleKeys {
    let keys: Vec<LocalKey> = seeds.iter().map(|seed| key(*seed)).collect();
    role_keys(&keys.iter().collect::<Vec<_>>(), threshold)
}

fn draft() -> Draft {
    Draft::of(Role::Root, &example::root()).unwrap()
}

/// What comes out, and how often each was asked.
fn sign_by(roles: &[RoleKeys], moods: &[Mood]) -> (Result<SignedDocument, SignDocumentError>, Vec<usize>) {
    let signers = signers(moods);
    let asked: Vec<Arc<dyn Signer>> = signers.iter().map(|signer| Arc::clone(signer) as _).collect();
    let keys = keys(1..=9);
    let authorities: Vec<_> = roles.iter().map(|role| Authority { keys: &keys, role }).collect();
    let signed = example::now(sign_document(&draft(), &authorities, &asked));
    (
        signed,
        signers
            .iter()
            .map(|signer| signer.asked.load(Ordering::Relaxed))
            .collect(),
    )
}

fn who_signed(document: &SignedDocument) -> Vec<KeyId> {
    let read = Envelope::<Root>::parse(document.bytes()).unwrap();
    read.signatures.iter().map(|signature| signature.keyid).collect()
}

proptest! {
    /// It is signed exactly when enough good keys of the role are there, and what comes out always passes the one check.
    #[test]
    fn enough_good_keys_and_nothing_else_decide(
        moods in prop::collection::vec(prop_oneof![Just(Mood::Good), Just(Mood::Gone), Just(Mood::Wrong)], 0..6),
        members in prop::collection::btree_set(1_u8..7, 1..6),
        threshold in 1_u32..6,
    ) {
        prop_assume!(threshold as usize <= members.len());
        let role = of(&members.iter().copied().collect::<Vec<_>>(), threshold);
        let good = moods.iter().zip(1_u8..).filter(|(mood, seed)| **mood == Mood::Good && members.contains(seed)).count();
        let (signed, asked) = sign_by(std::slice::from_ref(&role), &moods);
        prop_assert_eq!(signed.is_ok(), good >= threshold as usize);
        prop_assert!(asked.iter().all(|times| *times <= 1));
        for (times, seed) in asked.iter().zip(1_u8..) {
            prop_assert!(*times == 0 || members.contains(&seed), "a key of another role was asked");
        }
        if let Ok(document) = signed {
            prop_assert_eq!(who_signed(&document).len(), threshold as usize, "no more than are needed");
            let read = Envelope::<Root>::parse(document.bytes()).unwrap();
            prop_assert!(verify(&keys(1..=9), &role, &read.payload().unwrap(), &read.signatures).is_ok());
        }
    }
}

#[test]
fn a_key_that_is_gone_costs_nothing_if_the_others_suffice() {
    let (signed, asked) = sign_by(&[of(&[1, 2, 3], 2)], &[Mood::Gone, Mood::Good, Mood::Good]);
    assert_eq!(who_signed(&signed.unwrap()), [id(2), id(3)]);
    assert_eq!(asked, [1, 1, 1]);
    let (signed, asked) = sign_by(&[of(&[1, 2, 3], 2)], &[Mood::Good, Mood::Good, Mood::Good]);
    assert_eq!(who_signed(&signed.unwrap()), [id(1), id(2)]);
    assert_eq!(asked, [1, 1, 0]);
}

#[test]
fn a_wrong_signature_does_not_leave() {
    let (signed, _) = sign_by(&[of(&[1, 2], 1)], &[Mood::Wrong, Mood::Good]);
    assert_eq!(who_signed(&signed.unwrap()), [id(2)]);
    let (signed, _) = sign_by(&[of(&[1, 2], 2)], &[Mood::Wrong, Mood::Gone]);
    let SignDocumentError::Threshold {
        not_met, failures, ..
    } = signed.unwrap_err()
    else {
        panic!("another error");
    };
    assert_eq!(not_met.lacking.len(), 2);
    assert_eq!(failures, [gone(id(2)), SignError::Wrong { key: id(1) }]);
}

#[test]
fn a_root_needs_the_old_keys_and_the_new() {
    let (old, new) = (of(&[1, 2], 2), of(&[2, 3], 1));
    let good = [Mood::Good; 3];
    let (signed, asked) = sign_by(&[old.clone(), new.clone()], &good);
    assert_eq!(
        who_signed(&signed.unwrap()),
        [id(1), id(2)],
        "the key 2 counts in both"
    );
    assert_eq!(asked, [1, 1, 0]);
    let (signed, _) = sign_by(&[old.clone(), of(&[3], 1)], &good);
    assert_eq!(who_signed(&signed.unwrap()), [id(1), id(2), id(3)]);
    for lacking in [
        [Mood::Good, Mood::Good, Mood::Gone],
        [Mood::Gone, Mood::Good, Mood::Good],
    ] {
        let (signed, _) = sign_by(&[old.clone(), of(&[3], 1)], &lacking);
        assert!(
            matches!(signed, Err(SignDocumentError::Threshold { .. })),
            "{lacking:?}"
        );
    }
}

#[test]
fn what_nobody_needs_to_sign_is_not_signed() {
    let (signed, _) = sign_by(&[], &[Mood::Good]);
    assert_eq!(
        signed,
        Err(SignDocumentError::Nobody {
            role: Role::Root,
            version: 1
        })
    );
}

#[test]
fn one_key_that_signed_twice_is_one_signer() {
    let draft = draft();
    let one = example::signature(&key(1), draft.payload());
    let (keys, role) = (keys(1..=3), of(&[1, 2, 3], 2));
    let authority = [Authority {
        keys: &keys,
        role: &role,
    }];
    let sealed = SignedDocument::seal(&draft, &authority, &[one.clone(), one.clone()]);
    let Err(SignDocumentError::Threshold { not_met, .. }) = sealed else {
        panic!("one key counted as two");
    };
    assert_eq!(not_met.signed, [id(1)].into());
}

#[test]
fn what_is_no_signature_is_left_out() {
    let draft = draft();
    let (keys, role) = (keys(1..=3), of(&[1, 2, 3], 2));
    let authority = [Authority {
        keys: &keys,
        role: &role,
    }];
    let good = |seed| example::signature(&key(seed), draft.payload());
    let bad = Signature::new(id(1), vec![0; 64]);
    let foreign = example::signature(&key(9), draft.payload());
    let sealed =
        SignedDocument::seal(&draft, &authority, &[bad, foreign, good(1), good(2), good(1)]).unwrap();
    let signed: BTreeSet<KeyId> = who_signed(&sealed).into_iter().collect();
    assert_eq!(signed, [id(1), id(2)].into());
    assert_eq!(who_signed(&sealed).len(), 2);
}

#[test]
fn what_clients_would_not_read_is_not_signed() {
    let edition = Edition::after(first(), now());
    let entries: Vec<_> = (0..50_000)
        .map(|number| entry(&format!("files/demo/{number}"), b""))
        .collect();
    let draft = edition.bin(bin(0, 16), &entries).unwrap();
    let (keys, role) = (keys([1]), of(&[1], 1));
    let authority = [Authority {
        keys: &keys,
        role: &role,
    }];
    let sealed = SignedDocument::seal(
        &draft,
        &authority,
        &[example::signature(&key(1), draft.payload())],
    );
    let error = sealed.unwrap_err();
    assert!(
        matches!(error, SignDocumentError::TooLong { most: 5_000_000, .. }),
        "{error}"
    );
    assert!(error.to_string().contains("chiron tuf rebin"), "{error}");
}
