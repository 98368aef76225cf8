#![allow(clippy::unwrap_used, clippy::expect_used)]

mod history;
mod ledger;
mod signing;

use std::collections::BTreeMap;

use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::bins::BinCount;
use crate::canonical::canonical;
use crate::envelope::{Document as _, Envelope};
use crate::example::{self, key, role_keys};
use crate::expiry::{expires_at, lifetime};
use crate::metadata::{SPEC_VERSION, Snapshot, TargetFile, Targets, TargetsType, TimestampMetadata, Version};
use crate::role::{Bin, Role};
use crate::signer::Signer as _;
use crate::target_path::TargetPath;

/// Signed by the key 1, which is every role's.
fn signed(draft: &Draft) -> SignedDocument {
    let key = key(1);
    let keys = BTreeMap::from([(key.public().id(), key.public().clone())]);
    let signatures = [example::signature(&key, draft.payload())];
    let role = role_keys(&[&key], 1);
    SignedDocument::seal(
        draft,
        &[Authority {
            keys: &keys,
            role: &role,
        }],
        &signatures,
    )
    .unwrap()
}

fn now() -> Timestamp {
    "2026-11-20T10:00:00.5Z".parse().unwrap()
}

fn bin(number: u16, count: u16) -> Bin {
    Bin::new(number, count).unwrap()
}

fn ledger_of(versions: &[(Role, Version)]) -> Ledger {
    versions
        .iter()
        .map(|(role, version)| (*role, LedgerRow::of(*version, b"a file")))
        .collect()
}

/// With what a publication begins.
fn first() -> Ledger {
    ledger_of(&[
        (Role::Root, 1),
        (Role::Targets, 1),
        (Role::Trust, 1),
        (Role::Bins, 1),
    ])
}

fn entry(path: &str, body: &[u8]) -> TargetEntry {
    TargetEntry::of(&path.parse().unwrap(), &TargetFile::of(body)).unwrap()
}

fn any_file() -> impl Strategy<Value = TargetFile> {
    let custom = prop_oneof![
        Just(None),
        "[ -~\n]{0,20}".prop_map(|text| Some(json!({"chiron": {"note": text, "verdict": [1, true, null]}}))),
    ];
    (0_u64..1 << 53, any::<[u8; 32]>(), custom)
        .prop_map(|(length, sha256, custom)| TargetFile::new(length, &hex::encode(sha256), custom))
}

fn any_path() -> impl Strategy<Value = TargetPath> {
    // Few letters, so that paths are beginnings of each other; "!" sorts before the quotation mark.
    "[ab!~-]{1,4}(/[ab!~-][ab.!~-]{0,3}){0,2}".prop_map(|text| text.parse().unwrap())
}

proptest! {
    /// Joining stored lines gives what building the document anew would.
    #[test]
    fn a_bin_is_the_canonical_form_of_its_targets(
        files in prop::collection::btree_map(any_path(), any_file(), 0..12),
        number in 0_u16..256,
        backwards in any::<bool>(),
    ) {
        let mut entries: Vec<_> = files.iter().map(|(path, file)| TargetEntry::of(path, file).unwrap()).collect();
        if backwards {
            entries.reverse();
        }
        let role = Role::Bin(bin(number, 256));
        let edition = Edition::after(first(), now());
        let draft = edition.bin(bin(number, 256), &entries).unwrap();
        let document = Targets {
            kind: TargetsType::Only,
            spec_version: SPEC_VERSION.to_owned(),
            version: draft.version(),
            expires: expires_at(role, now()).unwrap(),
            targets: files.iter().map(|(path, file)| (path.to_string(), file.clone())).collect(),
            delegations: None,
        };
        let anew = canonical(&document).unwrap();
        prop_assert_eq!(String::from_utf8_lossy(draft.payload()), String::from_utf8_lossy(&anew));
        prop_assert_eq!(&draft, &Draft::of(role, &document).unwrap());
        prop_assert_eq!(&draft, &edition.targets(role, document.targets.clone(), None).unwrap());
        let read = Envelope::<Targets>::parse(signed(&draft).bytes()).unwrap();
        prop_assert_eq!(read.signed, document);
    }

    #[test]
    fn an_entry_is_read_back(path in any_path(), file in any_file()) {
        let entry = TargetEntry::of(&path, &file).unwrap();
        prop_assert_eq!(TargetEntry::read(entry.as_bytes()), Ok((path, file)));
    }

    #[test]
    fn what_is_no_entry_is_refused(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
        if let Ok((path, file)) = TargetEntry::read(&bytes) {
            prop_assert_eq!(TargetEntry::of(&path, &file).map(|_| ()), Ok(()));
        }
    }
}

#[test]
fn a_publication_goes_from_the_bins_to_the_timestamp() {
    let mut edition = Edition::after(first(), now());
    let changed = signed(
        &edition
            .bin(bin(3, 256), &[entry("files/demo/demo-1.whl", b"a wheel")])
            .unwrap(),
    );
    assert_eq!(changed.name().to_string(), "16387.bin-03.json");
    edition.add(&changed).unwrap();

    let stage = edition.snapshot().unwrap();
    let snapshot = signed(stage.draft());
    let named = Envelope::<Snapshot>::parse(snapshot.bytes()).unwrap().signed.meta;
    let versions: Vec<_> = named
        .iter()
        .map(|(file, meta)| (file.as_str(), meta.version))
        .collect();
    assert_eq!(
        versions,
        [
            ("bin-03.json", 16_387),
            ("bins.json", 1),
            ("targets.json", 1),
            ("trust.json", 1)
        ]
    );
    let pinned: Vec<_> = named
        .iter()
        .filter(|(_, meta)| meta.hashes.is_some())
        .map(|(file, _)| file.as_str())
        .collect();
    assert_eq!(pinned, ["bins.json", "targets.json", "trust.json"]);

    let stage = stage.signed(&snapshot).unwrap();
    let timestamp = signed(stage.draft());
    let names = Envelope::<TimestampMetadata>::parse(timestamp.bytes())
        .unwrap()
        .signed;
    assert_eq!(
        names.meta["snapshot.json"],
        crate::MetaFile::pinned(1, snapshot.bytes())
    );
    assert_eq!(names.expires().to_string(), "2026-11-21T10:00:00Z");

    let finished = stage.signed(&timestamp).unwrap();
    let files: Vec<String> = finished.files.iter().map(ToString::to_string).collect();
    assert_eq!(files, ["16387.bin-03.json", "1.snapshot.json", "timestamp.json"]);
    assert_eq!(finished.ledger.last(Role::Timestamp), Some(&timestamp.row()));
    assert_eq!(finished.ledger.last(Role::Bin(bin(3, 256))), Some(&changed.row()));
}

#[test]
fn a_timestamp_alone_names_the_snapshot_that_stands() {
    let before = ledger_of(&[(Role::Targets, 1), (Role::Snapshot, 7), (Role::Timestamp, 40)]);
    let stage = Edition::after(before.clone(), now()).timestamp().unwrap();
    let timestamp = signed(stage.draft());
    let names = Envelope::<TimestampMetadata>::parse(timestamp.bytes())
        .unwrap()
        .signed;
    assert_eq!(names.version, 41);
    assert_eq!(names.meta["snapshot.json"], crate::MetaFile::pinned(7, b"a file"));
    let finished = stage.signed(&timestamp).unwrap();
    assert_eq!(finished.ledger.last(Role::Snapshot), before.last(Role::Snapshot));
}

#[test]
fn a_timestamp_lives_no_longer_than_it_may() {
    let before = ledger_of(&[(Role::Targets, 1), (Role::Snapshot, 7), (Role::Timestamp, 40)]);
    let expires = |latest: Option<Timestamp>| {
        let edition = Edition::after(before.clone(), now()).no_later_than(latest);
        let stage = edition.timestamp().unwrap();
        Envelope::<TimestampMetadata>::parse(signed(stage.draft()).bytes())
            .unwrap()
            .signed
            .expires
    };
    let usual = expires_at(Role::Timestamp, now()).unwrap();
    let hour = jiff::SignedDuration::from_hours(1);
    assert_eq!(expires(None), usual);
    assert_eq!(expires(Some(usual + hour)), usual);
    assert_eq!(
        expires(Some(usual - hour + jiff::SignedDuration::from_millis(7))),
        usual - hour
    );
    assert_eq!(
        expires(Some(now() - hour)),
        usual - lifetime(Role::Timestamp) - hour,
        "also when that has passed, in whole seconds"
    );
}

#[test]
fn a_timestamp_alone_leaves_nothing_out() {
    let mut edition = Edition::after(first(), now());
    edition
        .add(&signed(&edition.bin(bin(3, 256), &[] as &[TargetEntry]).unwrap()))
        .unwrap();
    assert!(matches!(
        edition.timestamp().unwrap_err(),
        EditionError::Misplaced {
            found: Role::Bin(_),
            ..
        }
    ));
    assert_eq!(
        Edition::after(first(), now()).timestamp().unwrap_err(),
        EditionError::NoSnapshot
    );
    assert_eq!(
        Edition::after(Ledger::default(), now()).snapshot().unwrap_err(),
        EditionError::NoTargets
    );
}

#[test]
fn versions_never_go_back() {
    let old = signed(
        &Edition::after(first(), now())
            .targets(Role::Trust, BTreeMap::new(), None)
            .unwrap(),
    );
    assert_eq!(old.version(), 2);
    for last in [2, 3] {
        let mut edition = Edition::after(ledger_of(&[(Role::Trust, last)]), now());
        assert_eq!(
            edition.add(&old),
            Err(EditionError::Rollback {
                role: Role::Trust,
                version: 2,
                last
            })
        );
    }
}

#[test]
fn each_role_comes_once_and_in_its_place() {
    let mut edition = Edition::after(first(), now());
    let trust = signed(&edition.targets(Role::Trust, BTreeMap::new(), None).unwrap());
    edition.add(&trust).unwrap();
    assert_eq!(
        edition.add(&trust),
        Err(EditionError::Again { role: Role::Trust })
    );
    let stage = Edition::after(first(), now()).snapshot().unwrap();
    let snapshot = signed(stage.draft());
    assert!(matches!(
        edition.add(&snapshot),
        Err(EditionError::Misplaced {
            found: Role::Snapshot,
            ..
        })
    ));
    assert!(matches!(
        stage.signed(&trust).unwrap_err(),
        EditionError::Misplaced {
            found: Role::Trust,
            ..
        }
    ));
    let root = signed(&Draft::of(Role::Root, &example::root()).unwrap());
    assert!(matches!(edition.add(&root), Err(EditionError::Misplaced { .. })));
}

#[test]
fn a_snapshot_is_the_one_that_was_drafted() {
    let stage = Edition::after(first(), now()).snapshot().unwrap();
    let other = Edition::after(ledger_of(&[(Role::Targets, 1), (Role::Snapshot, 4)]), now())
        .snapshot()
        .unwrap();
    assert_eq!(
        stage.signed(&signed(other.draft())).unwrap_err(),
        EditionError::NotDrafted {
            role: Role::Snapshot,
            found: 5,
            drafted: 1
        }
    );
}

#[test]
fn a_target_is_listed_once() {
    let edition = Edition::after(first(), now());
    let twice = [entry("a", b"1"), entry("a-b", b"1"), entry("a", b"2")];
    assert_eq!(
        edition.bin(bin(0, 16), &twice),
        Err(DraftError::Twice {
            bin: bin(0, 16),
            path: "a".to_owned()
        })
    );
}

#[test]
fn damaged_rows_are_not_signed() {
    let edition = Edition::after(first(), now());
    let rows: [&[u8]; 7] = [b"", b"\"", b"\"a\"", b"\"a\":", b"\"a\":{", b"a:{}", b"\"\":{}"];
    for row in rows {
        assert_eq!(
            edition.bin(bin(0, 16), &[row]),
            Err(DraftError::NoEntry { bin: bin(0, 16) })
        );
        assert_eq!(TargetEntry::read(row), Err(EntryError));
    }
}

#[test]
fn metadata_of_another_kind_is_not_signed() {
    assert_eq!(
        Draft::of(Role::Targets, &example::root()),
        Err(DraftError::Type {
            role: Role::Targets,
            expected: "targets",
            found: "root"
        })
    );
    let mut zero = example::targets();
    zero.version = 0;
    assert!(matches!(
        Draft::of(Role::Trust, &zero),
        Err(DraftError::Defect { .. })
    ));
}
