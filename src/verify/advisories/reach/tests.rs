#![allow(clippy::unwrap_used, clippy::expect_used)]

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn version(text: &str) -> Version {
    text.parse().unwrap()
}

fn range(events: &Value) -> Reach {
    let (reach, undecided) = Reach::read(&json!({ "ranges": [{ "type": "ECOSYSTEM", "events": events }] }));
    assert_eq!(undecided, Vec::<String>::new());
    reach
}

fn contains(reach: &Reach, text: &str) -> bool {
    reach.contains(&version(text))
}

#[test]
fn a_range_begins_and_ends_where_it_says() {
    let fixed = range(&json!([{ "introduced": "0" }, { "fixed": "2.0" }]));
    for (text, inside) in [
        ("0.0.dev0", true),
        ("1.9", true),
        ("2.0rc1", true),
        ("2.0", false),
        ("1!0.1", false),
    ] {
        assert_eq!(contains(&fixed, text), inside, "{text}");
    }
    let last = range(&json!([{ "introduced": "1.0" }, { "last_affected": "1.5" }]));
    for (text, inside) in [
        ("0.9", false),
        ("1.0", true),
        ("1.5.0", true),
        ("1.5.post1", false),
        ("1.5.1", false),
    ] {
        assert_eq!(contains(&last, text), inside, "{text}");
    }
}

#[test]
fn events_are_sorted_before_they_count() {
    let shuffled = range(&json!([
        { "fixed": "3.5" }, { "introduced": "3.0" }, { "fixed": "1.2" }, { "introduced": "0" }
    ]));
    for (text, inside) in [
        ("1.1", true),
        ("1.2", false),
        ("2.9", false),
        ("3.1", true),
        ("3.5", false),
    ] {
        assert_eq!(contains(&shuffled, text), inside, "{text}");
    }
    // The same version ends one stretch and begins another: affected, whatever stands first.
    let touching = range(&json!([{ "introduced": "2" }, { "introduced": "0" }, { "fixed": "2" }]));
    assert!(contains(&touching, "2"));
    // A single affected version.
    let one = range(&json!([{ "last_affected": "1.0" }, { "introduced": "1.0" }]));
    assert!(contains(&one, "1.0") && !contains(&one, "1.0.1"));
}

#[test]
fn a_limit_ends_every_range_above_it() {
    let limited = range(&json!([{ "introduced": "1.0" }, { "limit": "2.0" }]));
    assert!(contains(&limited, "1.9") && !contains(&limited, "2.0") && !contains(&limited, "0.9"));
    let open = range(&json!([{ "introduced": "1.0" }, { "limit": "*" }]));
    assert!(contains(&open, "99"));
}

#[test]
fn versions_of_zeros_alone_are_versions() {
    let (reach, _) = Reach::read(&json!({ "versions": ["0.0", "0", "0.0.0.dev1"] }));
    assert!(contains(&reach, "0.0.0") && contains(&reach, "0.dev1") && !contains(&reach, "0.1"));
}

#[test]
fn epochs_and_local_versions() {
    let old = range(&json!([{ "introduced": "0" }, { "fixed": "1!1.0" }]));
    assert!(contains(&old, "2023.1") && contains(&old, "1!0.9") && !contains(&old, "1!1.0"));
    let last = range(&json!([{ "introduced": "0" }, { "last_affected": "1.0" }]));
    assert!(contains(&last, "1.0+cu121"), "it is 1.0 with something added");
    let (listed, _) = Reach::read(&json!({ "versions": ["1.0.0", "1!0.9"] }));
    assert!(contains(&listed, "1.0+cu121") && contains(&listed, "1") && contains(&listed, "1!0.9.0"));
    assert!(!contains(&listed, "0.9"));
    let (local, _) = Reach::read(&json!({ "versions": ["1.0+evil"] }));
    assert!(contains(&local, "1.0+evil") && !contains(&local, "1.0") && !contains(&local, "1.0+good"));
}

#[test]
fn listed_or_in_a_range_is_enough() {
    let (reach, undecided) = Reach::read(&json!({
        "versions": ["7.0"],
        "ranges": [
            { "type": "GIT", "repo": "x", "events": [{ "introduced": "0" }] },
            { "type": "ECOSYSTEM", "events": [{ "introduced": "1" }, { "fixed": "2" }] },
            { "type": "ECOSYSTEM", "events": [{ "introduced": "3" }, { "fixed": "4" }] },
        ],
    }));
    assert!(undecided.is_empty());
    for (text, inside) in [("7.0", true), ("1.5", true), ("3.5", true), ("2.5", false)] {
        assert_eq!(contains(&reach, text), inside, "{text}");
    }
    assert_eq!(
        reach.fixes().map(ToString::to_string).collect::<Vec<_>>(),
        ["2", "4"]
    );
}

#[test]
fn what_does_not_say_which_versions_is_undecided() {
    for affected in [
        json!({}),
        json!({ "ranges": [] }),
        json!({ "ranges": [{ "type": "ECOSYSTEM", "events": [] }] }),
        json!({ "ranges": [{ "type": "ECOSYSTEM" }] }),
        json!({ "ranges": [{ "type": "GIT", "events": [{ "introduced": "0" }] }] }),
        json!({ "ranges": [{ "type": "MADE-UP", "events": [{ "introduced": "0" }] }] }),
        json!({ "ranges": [{ "type": "ECOSYSTEM", "events": [{ "fixed": "1" }] }] }),
        json!({ "ranges": [{ "type": "ECOSYSTEM", "events": [{ "introduced": "0" }, { "fixed": "0.9-eevee" }] }] }),
        json!({ "ranges": [{ "type": "ECOSYSTEM", "events": [{ "introduced": "2004d" }] }] }),
        json!({ "ranges": [{ "type": "ECOSYSTEM", "events": [{ "introduced": "0", "removed": "1" }] }] }),
        json!({ "ranges": [{ "type": "ECOSYSTEM", "events": ["0"] }] }),
        json!({ "ranges": "all" }),
        json!({ "versions": "all" }),
        json!({ "versions": [1] }),
        json!({ "versions": ["0.9-eevee"] }),
        json!({ "versions": ["2004d"] }),
    ] {
        let (_, undecided) = Reach::read(&affected);
        assert_eq!(undecided.len(), 1, "{affected}: {undecided:?}");
    }
}

#[test]
fn what_is_listed_counts_although_a_range_is_broken() {
    let (reach, undecided) = Reach::read(&json!({
        "versions": ["1.0", "0.9-eevee"], "ranges": [{ "type": "ECOSYSTEM", "events": [] }],
    }));
    assert_eq!(undecided, ["a range without events"]);
    assert!(contains(&reach, "1.0") && !contains(&reach, "0.9"));
    assert!(reach.lists_odd("0.9-eevee") && !reach.lists_odd("1.0"));
}

#[test]
fn a_listed_string_that_is_no_version_leaves_the_rest_decided() {
    // As in the records of paramiko ("0.9-doduo") and joblib ("0.3.2d"): no file can be of such a version.
    let (reach, undecided) = Reach::read(&json!({ "versions": ["1.0", "0.9-eevee"] }));
    assert!(undecided.is_empty() && contains(&reach, "1.0") && !contains(&reach, "0.9"));
    assert_eq!(reach.odd().len(), 1);
}

/// What the schema's pseudo code says, without sorting tricks: walk every turning point in order.
fn by_hand(pairs: &[(u8, u8)], at: u8) -> bool {
    pairs.iter().any(|(from, to)| *from <= at && at < *to)
}

proptest! {
    #[test]
    fn disjoint_stretches_match_what_they_hold(
        cuts in prop::collection::btree_set(1_u8..60, 2..8), at in 0_u8..64, seed in any::<u64>(),
    ) {
        let cuts: Vec<u8> = cuts.into_iter().collect();
        let pairs: Vec<(u8, u8)> = cuts.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect();
        let mut events: Vec<Value> = pairs
            .iter()
            .flat_map(|(from, to)| [json!({ "introduced": from.to_string() }), json!({ "fixed": to.to_string() })])
            .collect();
        let by = usize::try_from(seed % events.len() as u64).unwrap();
        events.rotate_left(by);
        let reach = range(&Value::Array(events));
        prop_assert_eq!(contains(&reach, &at.to_string()), by_hand(&pairs, at));
        // Kept and read back, it says the same.
        let kept: Reach = serde_json::from_str(&serde_json::to_string(&reach).unwrap()).unwrap();
        prop_assert_eq!(kept, reach);
    }

    #[test]
    fn keys_are_equal_exactly_when_versions_are(a in "(1!)?[01](\\.[01]){0,3}(rc1|\\.post0)?(\\+[ab01])?",
                                                b in "(1!)?[01](\\.[01]){0,3}(rc1|\\.post0)?(\\+[ab01])?") {
        let (a, b) = (version(&a), version(&b));
        prop_assert_eq!(key(&a) == key(&b), a == b, "{} {}", key(&a), key(&b));
    }

    #[test]
    fn reading_never_panics(text in "\\PC{0,40}", kind in "[a-z_]{0,12}") {
        let event = json!({ kind: text });
        let (reach, undecided) = Reach::read(&json!({ "ranges": [{ "type": "ECOSYSTEM", "events": [event] }] }));
        // Either it says which versions, or it says that it does not.
        prop_assert_eq!(reach.ranges.is_empty(), !undecided.is_empty());
    }
}
