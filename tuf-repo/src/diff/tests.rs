#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::*;
use crate::bins::top_delegations;
use crate::example::{self, id, keys, of};

fn labels() -> KeyLabels {
    [(id(1), "root".to_owned()), (id(7), "alice's token".to_owned())].into()
}

/// The lines after the version and the expiry.
fn changes(lines: Vec<String>) -> Vec<String> {
    lines.into_iter().skip(2).collect()
}

/// `example::targets` with other delegations.
fn delegating(version: Version, delegations: Delegations) -> Targets {
    Targets {
        version,
        targets: BTreeMap::new(),
        delegations: Some(delegations),
        ..example::targets()
    }
}

#[test]
fn a_rotated_key_and_a_new_threshold_are_told() {
    let before = example::root();
    let mut after = before.clone();
    after.version = 2;
    after.expires = "2031-01-01T00:00:00Z".parse().unwrap();
    after.keys.extend(keys(&[7]));
    after.roles.insert(Role::Root.name(), of(&[1, 7], 2));
    assert_eq!(
        describe_root(Some(&before), &after, &labels()),
        [
            "root 2 replaces root 1".to_owned(),
            "it expires at 2031-01-01T00:00:00Z; before, at 2030-01-01T00:00:00Z".to_owned(),
            format!("root: - key {} (ed25519)", id(2)),
            format!("root: + key \"alice's token\" {} (ed25519)", id(7)),
            "root: 2 of 2 keys must sign; before, 1 of 2 keys must sign".to_owned(),
        ]
    );
}

#[test]
fn the_first_root_is_told_in_full() {
    let lines = describe_root(None, &example::root(), &labels());
    assert_eq!(lines[0], "root 1 is the first");
    for role in ["root", "snapshot", "targets", "timestamp"] {
        assert!(
            lines.contains(&format!("{role}: + key \"root\" {} (ed25519)", id(1))),
            "{lines:?}"
        );
        assert!(
            lines.contains(&format!("{role}: + key {} (ed25519)", id(2))),
            "{lines:?}"
        );
        assert!(
            lines.contains(&format!("{role}: 1 of 2 keys must sign")),
            "{lines:?}"
        );
    }
    assert_eq!(lines.len(), 2 + 4 * 3);
}

#[test]
fn a_root_that_only_lives_longer_says_so() {
    let mut after = example::root();
    after.version = 2;
    assert_eq!(
        changes(describe_root(Some(&example::root()), &after, &labels())),
        ["no key and no threshold changes"]
    );
}

/// Threat: a key that is smuggled in for later.
#[test]
fn a_key_that_nobody_uses_is_told() {
    let mut after = example::root();
    after.keys.extend(keys(&[9]));
    let lines = changes(describe_root(Some(&example::root()), &after, &labels()));
    assert_eq!(
        lines,
        [format!(
            "the key {} (ed25519) is listed, and no role uses it",
            id(9)
        )]
    );
}

/// Threat: a label that draws over the terminal of who reads it.
#[test]
fn labels_cannot_speak_to_the_terminal() {
    let hostile = [(id(1), "root\u{1b}[2K\rall is well\n".to_owned())].into();
    let lines = describe_root(None, &example::root(), &hostile);
    assert!(
        lines.iter().all(|line| line.chars().all(|c| !c.is_control())),
        "{lines:?}"
    );
}

#[test]
fn a_change_to_every_bin_is_told_once() {
    let count = BinCount::DEFAULT;
    let before = delegating(1, count.delegations(&keys(&[5]), &of(&[5], 1)));
    let after = delegating(2, count.delegations(&keys(&[6]), &of(&[6], 1)));
    assert_eq!(
        changes(describe_targets(Role::Bins, Some(&before), &after, &labels())),
        [
            format!("bin-00 to bin-ff (256 roles): - key {} (ed25519)", id(5)),
            format!("bin-00 to bin-ff (256 roles): + key {} (ed25519)", id(6)),
        ]
    );
}

#[test]
fn one_bin_with_another_key_is_told_by_itself() {
    let before = delegating(1, BinCount::DEFAULT.delegations(&keys(&[5, 6]), &of(&[5], 1)));
    let mut after = before.clone();
    let delegations = after.delegations.as_mut().unwrap();
    delegations.keys.extend(keys(&[6]));
    delegations.roles[0x2a].keys = of(&[5, 6], 1);
    assert_eq!(
        changes(describe_targets(Role::Bins, Some(&before), &after, &labels())),
        [
            format!("bin-2a: + key {} (ed25519)", id(6)),
            "bin-2a: 1 of 2 keys must sign; before, 1 of 1 keys must sign".to_owned(),
        ]
    );
}

#[test]
fn a_rebin_is_told_in_a_few_lines() {
    let bins = |version, count| {
        let count = BinCount::new(count).unwrap();
        delegating(version, count.delegations(&keys(&[5]), &of(&[5], 1)))
    };
    let lines = changes(describe_targets(
        Role::Bins,
        Some(&bins(1, 256)),
        &bins(2, 1024),
        &labels(),
    ));
    assert_eq!(
        lines,
        [
            "targets are spread over 1024 bins; before, over 256".to_owned(),
            "bin-00 to bin-ff (256 roles): is no longer delegated to".to_owned(),
            "bin-000 to bin-3ff (1024 roles): is delegated to, for its share of the paths".to_owned(),
            format!("bin-000 to bin-3ff (1024 roles): + key {} (ed25519)", id(5)),
            "bin-000 to bin-3ff (1024 roles): 1 of 1 keys must sign".to_owned(),
        ]
    );
}

/// Threat: delegations that look like bins and are not.
#[test]
fn other_prefixes_are_told() {
    let before = delegating(1, BinCount::DEFAULT.delegations(&keys(&[5]), &of(&[5], 1)));
    let mut after = before.clone();
    after.delegations.as_mut().unwrap().roles[3].path_hash_prefixes = Some(vec!["0".to_owned()]);
    let lines = changes(describe_targets(Role::Bins, Some(&before), &after, &labels()));
    assert_eq!(lines[0], "targets are no longer spread over hash bins");
    assert!(
        lines.contains(&"bin-03: is delegated to for paths whose SHA-256 begins with 0; before, for its share of the paths".to_owned()),
        "{lines:?}"
    );
}

#[test]
fn the_delegations_of_targets_are_told() {
    let top = |bins: u8| top_delegations(&keys(&[3, 4, 6]), &of(&[3], 1), &of(&[bins], 1));
    let first = changes(describe_targets(
        Role::Targets,
        None,
        &delegating(1, top(4)),
        &labels(),
    ));
    assert_eq!(first[0], "trust: is delegated to, for the paths trust/*");
    assert_eq!(first[3], "bins: is delegated to, for every path");
    let mut after = delegating(2, top(6));
    let roles = &mut after.delegations.as_mut().unwrap().roles;
    roles.swap(0, 1);
    roles[1].terminating = false;
    let lines = changes(describe_targets(
        Role::Targets,
        Some(&delegating(1, top(4))),
        &after,
        &labels(),
    ));
    assert_eq!(
        lines,
        [
            "trust: is delegated to for the paths trust/*, after which others are asked; before, for the paths trust/*".to_owned(),
            format!("bins: - key {} (ed25519)", id(4)),
            format!("bins: + key {} (ed25519)", id(6)),
            "the delegations are asked in another order".to_owned(),
        ]
    );
}

/// Threat: a pattern that writes lines of its own.
#[test]
fn patterns_stay_on_their_line() {
    let mut after = delegating(2, top_delegations(&keys(&[3, 4]), &of(&[3], 1), &of(&[4], 1)));
    after.delegations.as_mut().unwrap().roles[0].paths = Some(vec!["a\nroot: no change".to_owned()]);
    let lines = describe_targets(Role::Targets, None, &after, &labels());
    assert!(lines.iter().all(|line| !line.contains('\n')), "{lines:?}");
}

#[test]
fn targets_that_come_go_and_change_are_told() {
    let file = |body: &[u8]| TargetFile::of(body);
    let with = |targets: &[(&str, TargetFile)]| Targets {
        targets: targets
            .iter()
            .map(|(path, file)| ((*path).to_owned(), file.clone()))
            .collect(),
        delegations: None,
        ..example::targets()
    };
    let before = with(&[
        ("trust/a", file(b"a")),
        ("trust/b", file(b"b")),
        ("trust/c", file(b"c")),
    ]);
    let after = with(&[
        ("trust/b", file(b"bb")),
        ("trust/c", file(b"c")),
        ("trust/d", file(b"d")),
    ]);
    let sha256 = |body: &[u8]| file(body).sha256().unwrap().to_owned();
    assert_eq!(
        changes(describe_targets(Role::Trust, Some(&before), &after, &labels())),
        [
            format!("- target trust/a: 1 bytes, sha256 {}", sha256(b"a")),
            format!(
                "target trust/b: 2 bytes, sha256 {}; before, 1 bytes, sha256 {}",
                sha256(b"bb"),
                sha256(b"b")
            ),
            format!("+ target trust/d: 1 bytes, sha256 {}", sha256(b"d")),
        ]
    );
    assert_eq!(
        changes(describe_targets(Role::Trust, Some(&after), &after, &labels())),
        ["no target, no delegation, no key and no threshold changes"]
    );
    let many: Vec<(String, TargetFile)> = (0..80).map(|n| (format!("trust/{n}"), file(b""))).collect();
    let many: Vec<(&str, TargetFile)> = many
        .iter()
        .map(|(path, file)| (path.as_str(), file.clone()))
        .collect();
    let lines = changes(describe_targets(
        Role::Trust,
        Some(&with(&[])),
        &with(&many),
        &labels(),
    ));
    assert_eq!((lines.len(), lines[50].as_str()), (51, "and 30 more targets"));
}
