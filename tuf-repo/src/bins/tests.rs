#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeSet;

use proptest::prelude::*;
use sigstore_tuf::metadata::DelegatedRole as ClientsDelegatedRole;

use super::*;
use crate::example::{key, role_keys};
use crate::signer::Signer as _;
use crate::target_path::TargetPath;

fn any_count() -> impl Strategy<Value = BinCount> {
    (4_u8..=14).prop_map(|bits| BinCount { bits })
}

fn any_hash() -> impl Strategy<Value = PathHash> {
    // Also the edges of bins, which chance would not find.
    let edge = (any::<u16>(), prop_oneof![Just(0x00), Just(0xff)]).prop_map(|(leading, rest)| {
        let mut hash = [rest; 32];
        hash[..2].copy_from_slice(&leading.to_be_bytes());
        hash
    });
    prop_oneof![any::<PathHash>(), edge]
}

fn any_path() -> impl Strategy<Value = TargetPath> {
    "[A-Za-z0-9_+!~-][A-Za-z0-9._+!~-]{0,12}(/[A-Za-z0-9_+!~-][A-Za-z0-9._+!~-]{0,12}){0,4}"
        .prop_map(|text| text.parse().unwrap())
}

proptest! {
    /// The bins partition the space of hashes: a range, a prefix and `of` all say the same one bin.
    #[test]
    fn every_hash_is_in_exactly_one_bin(count in any_count(), hash in any_hash()) {
        let bin = count.of(&hash);
        let digits = hex::encode(hash);
        for other in count.bins() {
            let (first, last) = count.range(other).unwrap();
            prop_assert_eq!((first..=last).contains(&hash), other == bin, "range of {}", other);
            let prefixes = count.prefixes(other);
            let begins = prefixes.iter().filter(|prefix| digits.starts_with(prefix.as_str())).count();
            prop_assert_eq!(begins, usize::from(other == bin), "prefixes of {}", other);
        }
    }

    /// In a store that is sorted by hash, a rebin keeps each target once and its neighbours its neighbours.
    #[test]
    fn a_rebin_keeps_every_target_in_exactly_one_bin(
        before in any_count(),
        after in any_count(),
        hashes in prop::collection::btree_set(any_hash(), 0..40),
    ) {
        for count in [before, after] {
            let mut cut = Vec::new();
            for bin in count.bins() {
                let (first, last) = count.range(bin).unwrap();
                let inside: Vec<_> = hashes.range(first..=last).copied().collect();
                prop_assert!(inside.iter().all(|hash| count.of(hash) == bin));
                cut.extend(inside);
            }
            prop_assert_eq!(&cut, &hashes.iter().copied().collect::<Vec<_>>());
        }
        for bin in after.bins() {
            let (first, last) = after.range(bin).unwrap();
            if before <= after {
                prop_assert_eq!(before.of(&first), before.of(&last), "a bin lies within one of fewer bins");
            }
        }
    }

    /// By a client's own reading of the delegations, not ours.
    #[test]
    fn a_client_finds_the_same_bin(bits in 4_u8..=10, path in any_path()) {
        let count = BinCount { bits };
        let online = key(5);
        let keys = BTreeMap::from([(online.public().id(), online.public().clone())]);
        let delegations = count.delegations(&keys, &role_keys(&[&online], 1));
        let found: Vec<String> = as_client(&delegations)
            .into_iter()
            .filter(|role| role.matches_path(path.as_str()).unwrap())
            .map(|role| role.name)
            .collect();
        prop_assert_eq!(found, [count.of(&path.hash()).to_string()]);
    }

    /// `trust/*` goes to `trust` first; every path goes to `bins`, however many segments it has.
    #[test]
    fn a_client_asks_trust_and_then_bins(path in any_path()) {
        let found: Vec<String> = as_client(&top())
            .into_iter()
            .filter(|role| role.matches_path(path.as_str()).unwrap())
            .map(|role| role.name)
            .collect();
        let expected: &[&str] = if path.is_trust() { &["trust", "bins"] } else { &["bins"] };
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn only_powers_of_two_are_counts(number in any::<u16>()) {
        let good = number.is_power_of_two() && (16..=16_384).contains(&number);
        prop_assert_eq!(BinCount::new(number).map(BinCount::get), if good { Ok(number) } else { Err(BinCountError(number)) });
    }

    #[test]
    fn more_targets_never_want_fewer_bins(one in any::<u64>(), more in any::<u64>()) {
        prop_assert!(BinCount::for_targets(one.min(more)) <= BinCount::for_targets(one.max(more)));
    }
}

fn as_client(delegations: &Delegations) -> Vec<ClientsDelegatedRole> {
    serde_json::from_value(serde_json::to_value(&delegations.roles).unwrap()).unwrap()
}

fn top() -> Delegations {
    let (trust, bins, other) = (key(3), key(4), key(9));
    let keys = [&trust, &bins, &other].map(|key| (key.public().id(), key.public().clone()));
    top_delegations(&keys.into(), &role_keys(&[&trust], 1), &role_keys(&[&bins], 1))
}

fn bins(count: u16) -> Delegations {
    let (online, other) = (key(5), key(9));
    let keys = [&online, &other].map(|key| (key.public().id(), key.public().clone()));
    BinCount::new(count)
        .unwrap()
        .delegations(&keys.into(), &role_keys(&[&online], 1))
}

#[test]
fn prefixes_have_as_few_digits_as_the_count_allows() {
    let prefixes = |count, number| {
        let count = BinCount::new(count).unwrap();
        count.prefixes(Bin::of_bits(number, count.bits))
    };
    assert_eq!(prefixes(16, 10), ["a"]);
    assert_eq!(prefixes(32, 1), ["08", "09", "0a", "0b", "0c", "0d", "0e", "0f"]);
    assert_eq!(prefixes(256, 15), ["0f"]);
    assert_eq!(prefixes(1024, 1), ["004", "005", "006", "007"]);
    assert_eq!(prefixes(16_384, 16_383), ["fffc", "fffd", "fffe", "ffff"]);
}

#[test]
fn ranges_meet_and_cover_everything() {
    for bits in 4..=14 {
        let count = BinCount { bits };
        let ranges: Vec<_> = count.bins().map(|bin| count.range(bin).unwrap()).collect();
        assert_eq!(ranges.len(), usize::from(count.get()));
        assert_eq!(ranges[0].0, [0; 32]);
        assert_eq!(ranges[ranges.len() - 1].1, [0xff; 32]);
        for pair in ranges.windows(2) {
            let end = u16::from_be_bytes([pair[0].1[0], pair[0].1[1]]);
            let start = u16::from_be_bytes([pair[1].0[0], pair[1].0[1]]);
            assert_eq!(end + 1, start, "{count:?}");
        }
    }
}

#[test]
fn a_bin_of_another_count_has_no_range() {
    let few = BinCount::DEFAULT;
    let many = BinCount::new(1024).unwrap();
    let bin = Bin::new(5, 1024).unwrap();
    assert_eq!((few.range(bin), few.prefixes(bin)), (None, Vec::new()));
    assert!(many.range(bin).is_some());
    // Both are called with two digits, and 16 bins have no number 20.
    assert_eq!(BinCount::new(16).unwrap().range(Bin::new(20, 256).unwrap()), None);
}

#[test]
fn bins_grow_with_the_targets() {
    let bins = |targets| BinCount::for_targets(targets).get();
    assert_eq!([0, 60_000, 60_001, 1_000_000].map(bins), [256, 256, 1024, 1024]);
    assert_eq!([1_500_001, 6_000_001, u64::MAX].map(bins), [4096, 16_384, 16_384]);
    assert_eq!(BinCount::for_targets(0), BinCount::DEFAULT);
}

#[test]
fn delegations_state_only_the_keys_that_they_need() {
    assert_eq!(bins(256).keys.len(), 1);
    assert_eq!(top().keys.len(), 2);
    for delegations in [bins(256), top()] {
        let targets = crate::Targets {
            delegations: Some(delegations),
            ..crate::example::targets()
        };
        assert_eq!(crate::Document::check(&targets), Ok(()));
    }
}

#[test]
fn the_count_is_read_from_the_delegations() {
    for count in [16, 256, 1024] {
        assert_eq!(
            BinCount::read(&bins(count)),
            BinCount::new(count).map_err(|_| BinsError::Count(0))
        );
    }
}

#[test]
fn delegations_that_are_not_to_all_bins_are_noticed() {
    let other = |index, count| {
        Err(BinsError::Other {
            index,
            expected: Bin::new(u16::try_from(index).unwrap(), count).unwrap(),
            count,
        })
    };
    let changed = |change: fn(&mut Vec<DelegatedRole>)| {
        let mut delegations = bins(256);
        change(&mut delegations.roles);
        BinCount::read(&delegations)
    };
    assert_eq!(changed(|roles| drop(roles.pop())), Err(BinsError::Count(255)));
    assert_eq!(changed(Vec::clear), Err(BinsError::Count(0)));
    assert_eq!(changed(|roles| roles.swap(3, 4)), other(3, 256));
    assert_eq!(changed(|roles| roles[7] = roles[6].clone()), other(7, 256));
    assert_eq!(changed(|roles| roles[9].terminating = false), other(9, 256));
    assert_eq!(
        changed(|roles| roles[9].path_hash_prefixes = Some(vec!["0a".to_owned()])),
        other(9, 256)
    );
    assert_eq!(
        changed(|roles| roles[1].paths = Some(vec!["*".to_owned()])),
        other(1, 256)
    );
    assert_eq!(BinCount::read(&top()), Err(BinsError::Count(2)));
}

#[test]
fn names_of_bins_are_different_and_in_order() {
    for bits in 4..=14 {
        let count = BinCount { bits };
        let names: Vec<String> = count.bins().map(|bin| bin.to_string()).collect();
        let sorted: BTreeSet<&String> = names.iter().collect();
        assert!(names.iter().eq(sorted));
        assert!(
            count
                .bins()
                .eq((0..count.get()).filter_map(|number| Bin::new(number, count.get())))
        );
    }
}
