//! `test_updater_key_rotations.py`: which roots follow which, and who signs the rest.

use crate::Case;
use crate::tuf_clients::Kind;
use crate::tuf_repo::{Author, Key, address, envelope};
use crate::tuf_server::Reply;

/// A version: the keys that may sign it, how many must, those that do, and whether the client takes it.
struct Version {
    keys: &'static [usize],
    threshold: u64,
    sigs: &'static [usize],
    good: bool,
}

const fn good(keys: &'static [usize], threshold: u64, sigs: &'static [usize]) -> Version {
    Version {
        keys,
        threshold,
        sigs,
        good: true,
    }
}

const fn bad(keys: &'static [usize], threshold: u64, sigs: &'static [usize]) -> Version {
    Version {
        good: false,
        ..good(keys, threshold, sigs)
    }
}

const FIVE: &[usize] = &[0, 1, 2, 3, 4];
/// One of the five exchanged.
const NEXT_FIVE: &[usize] = &[0, 1, 3, 4, 5];
const OTHER_FIVE: &[usize] = &[5, 6, 7, 8, 9];

const ROOTS: [(&str, &[Version]); 15] = [
    (
        "1-of-1-key-rotation",
        &[good(&[1], 1, &[1]), good(&[2], 1, &[2, 1]), good(&[2], 1, &[2])],
    ),
    (
        "1-of-1-key-rotation-unused-signatures",
        &[
            good(&[1], 1, &[3, 1, 4]),
            good(&[2], 1, &[3, 2, 1, 4]),
            good(&[2], 1, &[3, 2, 4]),
        ],
    ),
    (
        "3-of-5-sign-with-different-keycombos",
        &[
            good(FIVE, 3, &[0, 2, 4]),
            good(FIVE, 3, &[0, 4, 1]),
            good(FIVE, 3, &[0, 1, 3]),
            good(FIVE, 3, &[0, 1, 3]),
        ],
    ),
    (
        "3-of-5-one-key-rotated",
        &[good(FIVE, 3, &[0, 2, 4]), good(NEXT_FIVE, 3, &[0, 4, 1])],
    ),
    (
        "3-of-5-one-key-rotated-with-intermediate-step",
        &[
            good(FIVE, 3, &[0, 2, 4]),
            good(NEXT_FIVE, 3, &[0, 2, 4, 5]),
            good(NEXT_FIVE, 3, &[0, 4, 5]),
        ],
    ),
    (
        "3-of-5-all-keys-rotated-with-intermediate-step",
        &[
            good(FIVE, 3, &[0, 2, 4]),
            good(OTHER_FIVE, 3, &[0, 2, 4, 5, 6, 7]),
            good(OTHER_FIVE, 3, &[5, 6, 7]),
        ],
    ),
    (
        "1-of-3-threshold-increase-to-2-of-3",
        &[good(&[1, 2, 3], 1, &[1]), good(&[1, 2, 3], 2, &[1, 2])],
    ),
    (
        "2-of-3-threshold-decrease-to-1-of-3",
        &[
            good(&[1, 2, 3], 2, &[1, 2]),
            good(&[1, 2, 3], 1, &[1, 2]),
            good(&[1, 2, 3], 1, &[1]),
        ],
    ),
    (
        "1-of-2-threshold-increase-to-2-of-2",
        &[good(&[1], 1, &[1]), good(&[1, 2], 2, &[1, 2])],
    ),
    (
        "1-of-1-key-rotation-fail-not-signed-with-old-key",
        &[good(&[1], 1, &[1]), bad(&[2], 1, &[2, 3, 4])],
    ),
    (
        "1-of-1-key-rotation-fail-not-signed-with-new-key",
        &[good(&[1], 1, &[1]), bad(&[2], 1, &[1, 3, 4])],
    ),
    (
        "3-of-5-one-key-rotate-fails-not-signed-with-3-new-keys",
        &[good(FIVE, 3, &[0, 2, 4]), bad(NEXT_FIVE, 3, &[0, 2, 4])],
    ),
    (
        "3-of-5-one-key-rotate-fails-not-signed-with-3-old-keys",
        &[good(FIVE, 3, &[0, 2, 4]), bad(NEXT_FIVE, 3, &[0, 4, 5])],
    ),
    (
        "1-of-3-threshold-bump-to-2-of-3-fails-new-threshold-not-reached",
        &[good(&[1, 2, 3], 1, &[1]), bad(&[1, 2, 3], 2, &[2])],
    ),
    (
        "2-of-3-threshold-decr-to-1-of-3-fails-old-threshold-not-eached",
        &[good(&[1, 2, 3], 2, &[1, 2]), bad(&[1, 2, 3], 1, &[1])],
    ),
];

fn chosen(keys: &[Key], numbers: &[usize]) -> Vec<Key> {
    numbers.iter().map(|number| keys[*number].clone()).collect()
}

#[test]
fn test_root_rotation() {
    for (name, roots) in ROOTS {
        // Keys of both kinds, as a repository of people has them.
        let keys: Vec<Key> = (0..10)
            .map(|number| {
                if number % 2 == 0 {
                    Key::ed25519()
                } else {
                    Key::p256()
                }
            })
            .collect();
        let mut author = Author::plain();
        let mut first = Vec::new();
        for (number, root) in (1..).zip(roots) {
            author.entrust("root", &chosen(&keys, root.keys), root.threshold);
            author.edit("root")["version"] = number.into();
            let file = envelope(author.doc("root"), &chosen(&keys, root.sigs));
            let bytes = serde_json::to_vec(&file).unwrap();
            author.site.put(&address("root", number), Reply::bytes(&bytes));
            if number == 1 {
                first = bytes;
            }
        }
        let case = Case::trusting(author, &first);
        let last = roots.len() as u64;
        let kept = if roots[roots.len() - 1].good {
            case.refreshes()["root"]
        } else {
            case.refuses(Kind::Signature)["root"] + 1
        };
        assert_eq!(kept, last, "{name}");
    }
}

const OTHERS: [(&str, Version); 10] = [
    ("1-of-1-key-rotation", good(&[2], 1, &[2])),
    ("1-of-1-key-rotation-unused-signatures", good(&[1], 1, &[3, 1, 4])),
    (
        "1-of-1-key-rotation-fail-not-signed-with-new-key",
        bad(&[2], 1, &[1, 3, 4]),
    ),
    (
        "3-of-5-one-key-signature-wrong-not-signed-with-3-expected-keys",
        bad(NEXT_FIVE, 3, &[0, 2, 4]),
    ),
    (
        "2-of-5-one-key-signature-mising-threshold-not-reached",
        bad(NEXT_FIVE, 3, &[0, 4]),
    ),
    ("3-of-5-sign-first-combo", good(FIVE, 3, &[0, 2, 4])),
    ("3-of-5-sign-second-combo", good(FIVE, 3, &[0, 4, 1])),
    ("3-of-5-sign-third-combo", good(FIVE, 3, &[0, 1, 3])),
    ("3-of-5-sign-fourth-combo", good(FIVE, 3, &[1, 2, 3])),
    ("3-of-5-sign-fifth-combo", good(FIVE, 3, &[2, 3, 4])),
];

#[test]
fn test_non_root_rotations() {
    for (name, version) in OTHERS {
        for role in ["timestamp", "snapshot", "targets"] {
            let keys: Vec<Key> = (0..10)
                .map(|number| {
                    if number % 2 == 0 {
                        Key::p256()
                    } else {
                        Key::ed25519()
                    }
                })
                .collect();
            let mut case = Case::new();
            case.author
                .entrust(role, &chosen(&keys, version.keys), version.threshold);
            case.author
                .signers
                .insert(role.to_owned(), chosen(&keys, version.sigs));
            case.publish(&["root", "targets", "snapshot", "timestamp"]);
            if version.good {
                assert_eq!(case.refreshes()[role], 2, "{name}: {role}");
            } else {
                assert_eq!(case.refuses(Kind::Signature).get(role), None, "{name}: {role}");
            }
        }
    }
}
