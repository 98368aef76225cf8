//! Fast-forward: whoever had a key has pushed versions to the end of all numbers. New keys in the root bring them back,
//! for clients that have seen that too (sections 5.3.11 and 5.5.5).

use crate::tuf_clients::Kind;
use crate::tuf_repo::{Key, bin_of};
use crate::{Scene, WHEEL, each_client, refused};

/// The greatest version that every client reads alike: JavaScript's whole numbers end here.
const LAST: u64 = (1 << 53) - 1;

/// The thief's version of a role, with a snapshot and a timestamp that fit.
fn push(scene: &mut Scene, role: &str) {
    scene.author.publish(&[role]);
    scene.author.edit(role)["version"] = LAST.into();
    scene.author.issue(role);
    match role {
        "timestamp" => {}
        "snapshot" => scene.author.publish(&["timestamp"]),
        _ => scene.author.publish(&["snapshot", "timestamp"]),
    }
}

/// After `push`, `role` is set back, and the roles in `rekeyed` get new keys.
fn recovers(role: &str, rekeyed: &[&str]) {
    each_client(|scene| {
        let honest = scene.author.version(role);
        push(scene, role);
        scene.all_is_well();
        // Without new keys the honest versions are a rollback to whoever saw the thief's.
        scene.author.edit(role)["version"] = honest.into();
        let before = scene.author.site.record();
        set_back(scene, role, honest);
        refused(&[Kind::Version]).judge(scene.holder.client, &scene.fetch(WHEEL))?;

        scene.author.site.replay(&before);
        for one in rekeyed {
            scene.author.entrust(one, &[Key::ed25519()], 1);
        }
        scene.author.publish(&["root"]);
        for one in rekeyed.iter().filter(|one| **one != role) {
            scene.author.edit(one);
        }
        set_back(scene, role, honest);
        let run = scene.fetch(WHEEL);
        match run.result {
            Ok(contents) if contents == [crate::WHEEL_BYTES] => {}
            other => return Err(format!("{role} with new keys for {rekeyed:?}: {other:?}")),
        }
        scene.all_is_well();
        Ok(())
    });
}

/// Honest versions again, from the one after `version` of `role`.
fn set_back(scene: &mut Scene, role: &str, version: u64) {
    scene.author.edit(role)["version"] = version.into();
    match role {
        "timestamp" => scene.author.publish(&["timestamp"]),
        "snapshot" => scene.author.publish(&["snapshot", "timestamp"]),
        _ => scene.author.publish(&[role, "snapshot", "timestamp"]),
    }
}

#[test]
fn a_timestamp_pushed_to_the_end() {
    recovers("timestamp", &["timestamp"]);
}

#[test]
fn a_snapshot_pushed_to_the_end() {
    recovers("snapshot", &["snapshot", "timestamp"]);
}

#[test]
fn targets_pushed_to_the_end() {
    recovers("targets", &["targets", "snapshot", "timestamp"]);
}

/// Below the top level the versions are held by the snapshot that a client has seen: new keys for that are enough.
#[test]
fn a_bin_pushed_to_the_end() {
    recovers(&bin_of(WHEEL), &["snapshot", "timestamp"]);
}

#[test]
fn bins_pushed_to_the_end() {
    recovers("bins", &["snapshot", "timestamp"]);
}
