#![allow(clippy::unwrap_used, clippy::expect_used)]

use serde_json::json;

use super::*;
use crate::envelope::Document;
use crate::example;
use crate::metadata::TargetFile;
use crate::signer::Signer as _;

fn name(text: &str) -> RoleName {
    text.parse().unwrap()
}

/// What is wrong with the document once it is changed.
fn after<T: Document>(mut document: T, change: impl FnOnce(&mut T)) -> Defect {
    assert_eq!(document.check(), Ok(()));
    change(&mut document);
    document.check().unwrap_err()
}

fn delegation(targets: &mut Targets) -> &mut DelegatedRole {
    &mut targets.delegations.as_mut().unwrap().roles[0]
}

#[test]
fn versions_are_those_that_every_client_counts() {
    for version in [0, MAX_VERSION + 1, u64::MAX] {
        let defect = Defect::Version(version);
        assert_eq!(after(example::root(), |root| root.version = version), defect);
        assert_eq!(
            after(example::targets(), |targets| targets.version = version),
            defect
        );
        assert_eq!(
            after(example::snapshot(), |snapshot| snapshot.version = version),
            defect
        );
        assert_eq!(
            after(example::timestamp(), |timestamp| timestamp.version = version),
            defect
        );
        let meta = |file: &str| Defect::FileVersion {
            file: file.to_owned(),
            version,
        };
        assert_eq!(
            after(example::snapshot(), |snapshot| {
                snapshot
                    .meta
                    .insert("trust.json".to_owned(), MetaFile::version(version));
            }),
            meta("trust.json")
        );
        assert_eq!(
            after(example::timestamp(), |timestamp| {
                timestamp
                    .meta
                    .insert("snapshot.json".to_owned(), MetaFile::version(version));
            }),
            meta("snapshot.json")
        );
    }
    let mut last = example::root();
    last.version = MAX_VERSION;
    assert_eq!(last.check(), Ok(()));
}

#[test]
fn another_specification_is_not_read() {
    for text in ["", "1", "2.0.0", "1.1.0", "10.0.0", "0.9", " 1.0.31"] {
        let defect = Defect::Specification(text.to_owned());
        assert_eq!(
            after(example::root(), |root| root.spec_version = text.to_owned()),
            defect
        );
    }
    for text in ["1.0.0", "1.0", "1.0.34"] {
        let mut root = example::root();
        root.spec_version = text.to_owned();
        assert_eq!(root.check(), Ok(()), "{text}");
    }
}

#[test]
fn a_root_states_the_keys_of_four_roles() {
    assert_eq!(
        after(example::root(), |root| {
            root.roles.remove(&name("snapshot"));
        }),
        Defect::TopLevel("root, targets, timestamp".to_owned())
    );
    assert_eq!(
        after(example::root(), |root| {
            let keys = root.roles[&name("root")].clone();
            root.roles.insert(name("mirrors"), keys);
        }),
        Defect::TopLevel("mirrors, root, snapshot, targets, timestamp".to_owned())
    );
    assert_eq!(
        after(example::root(), |root| root.consistent_snapshot = false),
        Defect::NotConsistent
    );
}

#[test]
fn every_key_that_is_asked_for_is_there_under_its_own_name() {
    let (one, two) = (example::key(1).public().clone(), example::key(2).public().clone());
    assert_eq!(
        after(example::root(), |root| {
            root.keys.remove(&one.id());
        }),
        Defect::KeyMissing {
            role: name("root"),
            key: one.id()
        }
    );
    assert_eq!(
        after(example::root(), |root| {
            root.keys.insert(one.id(), two.clone());
        }),
        Defect::KeyMisnamed {
            under: one.id(),
            is: two.id()
        }
    );
    let three = example::key(3).public().id();
    assert_eq!(
        after(example::targets(), |targets| {
            targets.delegations.as_mut().unwrap().keys.clear();
        }),
        Defect::KeyMissing {
            role: name("trust"),
            key: three
        }
    );
    assert_eq!(
        after(example::targets(), |targets| {
            targets
                .delegations
                .as_mut()
                .unwrap()
                .keys
                .insert(three, two.clone());
        }),
        Defect::KeyMisnamed {
            under: three,
            is: two.id()
        }
    );
}

#[test]
fn a_name_is_delegated_to_once_and_never_one_of_the_roots() {
    assert_eq!(
        after(example::targets(), |targets| {
            let again = delegation(targets).clone();
            targets.delegations.as_mut().unwrap().roles.push(again);
        }),
        Defect::DelegatedTwice(name("trust"))
    );
    for top in ["root", "targets", "snapshot", "timestamp"] {
        let defect = after(example::targets(), |targets| delegation(targets).name = name(top));
        assert_eq!(defect, Defect::DelegatedTopLevel(name(top)));
    }
}

#[test]
fn a_delegation_is_by_paths_or_by_prefixes() {
    let some = || Some(vec!["0f".to_owned()]);
    for (paths, prefixes) in [
        (None, None),
        (some(), some()),
        (Some(vec![]), None),
        (None, Some(vec![])),
        (Some(vec![]), some()),
    ] {
        let defect = after(example::targets(), |targets| {
            let role = delegation(targets);
            (role.paths, role.path_hash_prefixes) = (paths, prefixes);
        });
        assert_eq!(defect, Defect::Scope(name("trust")));
    }
    for prefix in ["", "0F", "xy", "0f*", &"0".repeat(65)] {
        let defect = after(example::targets(), |targets| {
            let role = delegation(targets);
            role.paths = None;
            role.path_hash_prefixes = Some(vec!["00".to_owned(), prefix.to_owned()]);
        });
        let prefix = prefix.to_owned();
        assert_eq!(
            defect,
            Defect::Prefix {
                role: name("trust"),
                prefix
            }
        );
    }
}

#[test]
fn targets_have_paths_and_digests() {
    for path in ["", "../a", "/a", "a//b", "a b", "a%2e", "é"] {
        let defect = after(example::targets(), |targets| {
            targets.targets.insert(path.to_owned(), TargetFile::of(b""));
        });
        assert_eq!(defect, Defect::Path(path.to_owned()));
    }
    let good = "a".repeat(64);
    for (algorithm, digits) in [
        ("sha512", good.as_str()),
        ("sha256", ""),
        ("sha256", &good[1..]),
        ("sha256", &good.to_uppercase()),
    ] {
        let defect = after(example::targets(), |targets| {
            let file: TargetFile =
                serde_json::from_value(json!({"length": 0, "hashes": {algorithm: digits}})).unwrap();
            targets.targets.insert("a".to_owned(), file);
        });
        assert_eq!(defect, Defect::TargetHash("a".to_owned()), "{algorithm} {digits}");
    }
}

#[test]
fn a_snapshot_lists_targets_and_below() {
    assert_eq!(
        after(example::snapshot(), |snapshot| {
            snapshot.meta.remove("targets.json");
        }),
        Defect::FileMissing("targets.json")
    );
    for file in [
        "root.json",
        "snapshot.json",
        "timestamp.json",
        "trust",
        "../trust.json",
        "1.trust.json",
        "mirror.json",
        ".json",
    ] {
        let defect = after(example::snapshot(), |snapshot| {
            snapshot.meta.insert(file.to_owned(), MetaFile::version(1));
        });
        assert_eq!(defect, Defect::File(file.to_owned()));
    }
    let mut bins = example::snapshot();
    bins.meta.insert("bin-0f.json".to_owned(), MetaFile::version(7));
    bins.meta
        .insert("bins.json".to_owned(), MetaFile::pinned(7, b"bins"));
    assert_eq!(bins.check(), Ok(()));
    let defect = after(bins, |snapshot| {
        let meta = snapshot.meta.get_mut("bins.json").unwrap();
        meta.hashes
            .as_mut()
            .unwrap()
            .insert("sha256".to_owned(), "short".to_owned());
    });
    assert_eq!(defect, Defect::NotPinned("bins.json".to_owned()));
}

#[test]
fn a_timestamp_pins_its_snapshot() {
    let pinned = |change: fn(&mut MetaFile)| {
        after(example::timestamp(), |timestamp| {
            change(timestamp.meta.get_mut("snapshot.json").unwrap());
        })
    };
    let defect = Defect::NotPinned("snapshot.json".to_owned());
    assert_eq!(pinned(|meta| meta.length = None), defect);
    assert_eq!(pinned(|meta| meta.hashes = None), defect);
    assert_eq!(pinned(|meta| meta.hashes.as_mut().unwrap().clear()), defect);
    assert_eq!(
        after(example::timestamp(), |timestamp| timestamp.meta.clear()),
        Defect::FileMissing("snapshot.json")
    );
    assert_eq!(
        after(example::timestamp(), |timestamp| {
            timestamp
                .meta
                .insert("targets.json".to_owned(), MetaFile::version(1));
        }),
        Defect::File("targets.json".to_owned())
    );
}
