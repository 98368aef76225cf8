//! Versions, and names that are never dropped.

use super::*;
use crate::bins::BinCount;
use crate::limits::MAX_VERSION;

fn any_role() -> impl Strategy<Value = Role> {
    prop_oneof![
        Just(Role::Root),
        Just(Role::Targets),
        Just(Role::Trust),
        Just(Role::Bins),
        Just(Role::Snapshot),
        Just(Role::Timestamp),
        (4_u8..=14, any::<u16>()).prop_map(|(bits, number)| Role::Bin(Bin::of_bits(number, bits))),
    ]
}

proptest! {
    /// Versions rise from any state and above any floor, and bins never share one.
    #[test]
    fn versions_only_rise(
        rows in prop::collection::btree_map(any_role(), 1_u64..1 << 40, 0..20),
        floor in 0_u64..1 << 41,
    ) {
        let mut ledger: Ledger = rows.iter().map(|(role, version)| (*role, LedgerRow::of(*version, b""))).collect();
        ledger.raise(floor);
        let mut given = BTreeMap::new();
        for role in rows.keys().copied().chain(BinCount::DEFAULT.bins().map(Role::Bin)) {
            let next = ledger.next(role).unwrap();
            prop_assert!(rows.get(&role).is_none_or(|last| next > *last));
            if role == Role::Root {
                prop_assert_eq!(next, rows[&role] + 1);
            } else {
                prop_assert!(next >= floor);
            }
            if let Role::Bin(bin) = role {
                let highest = rows.iter().filter(|(role, _)| matches!(role, Role::Bin(_))).map(|(_, last)| *last).max();
                prop_assert!(highest.is_none_or(|highest| next > highest), "above every bin that was");
                prop_assert_eq!(next % Ledger::BIN_STEP, u64::from(bin.number()));
            }
            given.insert(role, next);
        }
        let mut of_256 = BinCount::DEFAULT.bins().map(|bin| given[&Role::Bin(bin)]).collect::<Vec<_>>();
        of_256.dedup();
        prop_assert_eq!(of_256.len(), 256);
    }
}

#[test]
fn after_the_last_version_there_is_none() {
    for role in [Role::Root, Role::Trust, Role::Timestamp] {
        let exhausted = ledger_of(&[(role, MAX_VERSION)]);
        assert_eq!(
            exhausted.next(role),
            Err(VersionsExhausted {
                role,
                last: MAX_VERSION
            })
        );
        assert_eq!(ledger_of(&[(role, MAX_VERSION - 1)]).next(role), Ok(MAX_VERSION));
    }
    let other = Role::Bin(bin(9, 16));
    let exhausted = ledger_of(&[(Role::Bin(bin(0, 1024)), MAX_VERSION)]);
    assert_eq!(
        exhausted.next(other),
        Err(VersionsExhausted {
            role: other,
            last: MAX_VERSION
        })
    );
    let mut raised = Ledger::default();
    raised.raise(Version::MAX);
    assert!(raised.next(Role::Timestamp).is_err());
    assert!(raised.next(other).is_err());
    assert_eq!(raised.next(Role::Root), Ok(1));
}

#[test]
fn a_restored_backup_goes_on_above_what_clients_saw() {
    let mut restored = ledger_of(&[
        (Role::Root, 3),
        (Role::Snapshot, 90),
        (Role::Timestamp, 120),
        (Role::Bin(bin(5, 256)), 16_389),
    ]);
    restored.raise(1_000_000);
    assert_eq!(restored.next(Role::Snapshot), Ok(1_000_000));
    assert_eq!(restored.next(Role::Timestamp), Ok(1_000_000));
    assert_eq!(restored.next(Role::Root), Ok(4));
    assert_eq!(restored.next(Role::Bin(bin(5, 256))), Ok(62 * 16_384 + 5));
}

/// Found by `history::clients_follow_any_history`.
#[test]
fn a_restored_backup_lifts_bins_that_are_not_in_use() {
    let (used, unused) = (Role::Bin(bin(5, 256)), Role::Bin(bin(5, 1024)));
    let mut restored = ledger_of(&[(Role::Targets, 1), (used, 16_389), (unused, 32_773)]);
    restored.raise(1_000_000);
    let mut edition = Edition::after(restored, now());
    let again = signed(&edition.bin(bin(5, 256), &[] as &[TargetEntry]).unwrap());
    edition.add(&again).unwrap();
    let stage = edition.snapshot().unwrap();
    let named = Envelope::<Snapshot>::parse(signed(stage.draft()).bytes())
        .unwrap()
        .signed
        .meta;
    assert_eq!(named["bin-05.json"].version, again.version());
    assert_eq!(named["bin-005.json"].version, 1_000_000);
}
