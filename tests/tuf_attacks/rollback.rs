//! Rollback of each role: what a client has seen, it does not unsee.

use crate::tuf_clients::Kind;
use crate::tuf_repo::{address, bin_of};
use crate::tuf_server::Reply;
use crate::{Known, Scene, TRUST, WHEEL, by_a_mirror, by_a_thief, refused};

/// Targets roles, with a target that needs them.
fn targets_roles() -> [(String, &'static str); 4] {
    [
        ("targets".to_owned(), WHEEL),
        ("bins".to_owned(), WHEEL),
        (bin_of(WHEEL), WHEEL),
        ("trust".to_owned(), TRUST),
    ]
}

/// The role has a second version, and the client has seen it.
fn seen_again(scene: &mut Scene, role: &str) {
    scene.author.edit(role);
    scene.author.release();
    scene.all_is_well();
}

#[test]
fn yesterdays_timestamp() {
    by_a_mirror_that_remembers(&["/tuf/metadata/timestamp.json"]);
}

/// Everything as it was: consistent, signed, and old.
#[test]
fn yesterdays_repository() {
    by_a_mirror_that_remembers(&[]);
}

/// Replays the paths (all of them if none is named) as they were before the client's last look.
#[track_caller]
fn by_a_mirror_that_remembers(paths: &[&str]) {
    crate::each_client(|scene| {
        let yesterday = scene.author.site.record();
        scene.author.edit("trust");
        scene.author.release();
        scene.all_is_well();
        let today = scene.author.site.record();
        let mut mixed = if paths.is_empty() {
            yesterday.clone()
        } else {
            today.clone()
        };
        for path in paths {
            mixed.insert((*path).to_owned(), yesterday[*path].clone());
        }
        scene.author.site.replay(&mixed);
        refused(&[Kind::Version]).judge(scene.holder.client, &scene.fetch(WHEEL))?;
        scene.author.site.replay(&today);
        scene.all_is_well();
        Ok(())
    });
}

/// Whoever has the timestamp key signs a newer timestamp over an older snapshot.
#[test]
fn an_older_snapshot_by_the_timestamp_key() {
    by_a_thief(WHEEL, &refused(&[Kind::Version]), |scene| {
        let old = scene.author.file("snapshot").to_vec();
        let version = scene.author.version("snapshot");
        seen_again(scene, "trust");
        scene.author.publish(&["timestamp"]);
        let pin = &mut scene.author.edit("timestamp")["meta"]["snapshot.json"];
        pin["version"] = version.into();
        pin["length"] = old.len().into();
        pin["hashes"]["sha256"] = crate::tuf_repo::sha256(&old).into();
        scene.author.issue("timestamp");
    });
}

/// Whoever has the online keys signs a newer snapshot that names an older version of a role.
#[test]
fn an_older_version_of_a_role_by_the_online_keys() {
    for (role, target) in targets_roles() {
        by_a_thief(target, &refused(&[Kind::Version]), |scene| {
            let old = scene.author.version(&role);
            seen_again(scene, &role);
            scene.author.publish(&["snapshot"]);
            scene.author.edit("snapshot")["meta"][format!("{role}.json")]["version"] = old.into();
            scene.author.issue("snapshot");
            scene.author.publish(&["timestamp"]);
        });
    }
}

/// A role that the client has seen is no longer named at all (section 5.5.5).
#[test]
fn a_role_taken_out_of_the_snapshot() {
    for (role, target) in targets_roles() {
        let expect = refused(&[Kind::Malformed, Kind::Version, Kind::Integrity]);
        by_a_thief(target, &expect, |scene| {
            scene.author.publish(&["snapshot"]);
            let meta = scene.author.edit("snapshot")["meta"].as_object_mut().unwrap();
            assert!(meta.remove(&format!("{role}.json")).is_some());
            scene.author.issue("snapshot");
            scene.author.publish(&["timestamp"]);
        });
    }
}

/// Without any key: an older file under the newer file's name.
#[test]
fn an_older_file_under_the_newer_name() {
    for (role, target) in targets_roles() {
        by_a_mirror(target, &refused(&[Kind::Version]), |scene| {
            let old = scene.author.file(&role).to_vec();
            scene.author.edit(&role);
            scene.release();
            let at = address(&role, scene.author.version(&role));
            scene.author.site.put(&at, Reply::bytes(old));
        });
    }
}

/// The root that a client has, again, as the next; and one that leaves out a version.
#[test]
fn an_older_root_and_one_too_new() {
    by_a_mirror(WHEEL, &refused(&[Kind::Version]), |scene| {
        let first = scene.author.file("root").to_vec();
        scene.author.site.put(&address("root", 2), Reply::bytes(first));
    });
    let next = refused(&[Kind::Version]);
    by_a_mirror(WHEEL, &next, |scene| {
        scene.author.edit("root")["version"] = 3.into();
        scene.author.issue("root");
        let third = scene.author.file("root").to_vec();
        scene.author.site.put(&address("root", 2), Reply::bytes(third));
    });
}

/// A root that was seen is kept: a mirror that no longer has it changes nothing.
#[test]
fn a_root_taken_away_again() {
    by_a_thief(WHEEL, &gone(), |scene| {
        let before = scene.author.site.record();
        let key = crate::tuf_repo::Key::ed25519();
        scene.author.entrust("timestamp", std::slice::from_ref(&key), 1);
        scene.author.publish(&["root", "timestamp"]);
        scene.all_is_well();
        scene.author.site.replay(&before);
    });
}

/// The old timestamp is signed by a key that root 2 no longer names.
fn gone() -> crate::Expect {
    refused(&[Kind::Signature]).but(
        crate::Client::Tough,
        Known::Takes,
        "tough keeps no roots: it starts from the one that it is given, and the timestamp that it kept is not signed by \
         that one's key, so that nothing holds it",
    )
}
