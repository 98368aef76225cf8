//! Arbitrary software, and metadata signed by the wrong key: what is not signed by whoever may sign it is not taken.

use serde_json::{Value, json};

use crate::tuf_clients::{Client, Kind};
use crate::tuf_repo::{Key, address, bin_of, envelope, sha256};
use crate::tuf_server::Reply;
use crate::{
    Known, PAGE, PAGE_BYTES, Scene, TRUST, TRUST_BYTES, WHEEL, WHEEL_BYTES, by_a_mirror, by_a_thief, refused,
};

/// Every role on the way to [`WHEEL`] and [`TRUST`] below the root, with a target that needs it.
fn roles() -> [(String, &'static str); 6] {
    [
        ("timestamp".to_owned(), WHEEL),
        ("snapshot".to_owned(), WHEEL),
        ("targets".to_owned(), WHEEL),
        ("bins".to_owned(), WHEEL),
        (bin_of(WHEEL), WHEEL),
        ("trust".to_owned(), TRUST),
    ]
}

/// A new version of the role is due: clients ask for it.
fn next_version(scene: &mut Scene, role: &str) {
    scene.author.edit(role);
    scene.release();
}

#[test]
fn a_file_of_the_same_length_with_other_content() {
    for (path, bytes) in [(WHEEL, WHEEL_BYTES), (PAGE, PAGE_BYTES), (TRUST, TRUST_BYTES)] {
        by_a_mirror(path, &refused(&[Kind::Integrity]), |scene| {
            let evil = vec![b'!'; bytes.len()];
            scene.author.put_target(path, &sha256(bytes), &Reply::bytes(evil));
        });
    }
}

#[test]
fn a_file_that_ends_early() {
    by_a_mirror(WHEEL, &refused(&[Kind::Integrity]), |scene| {
        let cut = &WHEEL_BYTES[..WHEEL_BYTES.len() - 1];
        scene
            .author
            .put_target(WHEEL, &sha256(WHEEL_BYTES), &Reply::bytes(cut));
    });
}

#[test]
fn a_file_with_something_behind_it() {
    by_a_mirror(WHEEL, &refused(&[Kind::TooLong, Kind::Integrity]), |scene| {
        let more = [WHEEL_BYTES, b"and more"].concat();
        scene
            .author
            .put_target(WHEEL, &sha256(WHEEL_BYTES), &Reply::bytes(more));
    });
}

#[test]
fn a_file_that_was_never_signed() {
    by_a_mirror(
        "files/six/six-9.9-py3-none-any.whl",
        &refused(&[Kind::Unlisted]),
        |scene| {
            let evil = b"never judged";
            scene.author.put_target(
                "files/six/six-9.9-py3-none-any.whl",
                &sha256(evil),
                &Reply::bytes(evil),
            );
        },
    );
}

/// A role that may not speak for a path speaks for it.
#[test]
fn a_role_that_signs_what_is_not_its_own() {
    // A file that falls into another bin than the page's.
    let file = (1..100)
        .map(|major| format!("files/six/six-{major}.66-py3-none-any.whl"))
        .find(|file| bin_of(file) != bin_of(PAGE))
        .unwrap();
    for (role, path) in [
        (bin_of("trust/other.json"), "trust/other.json"),
        (bin_of(PAGE), file.as_str()),
        ("trust".to_owned(), file.as_str()),
    ] {
        // tough judges the whole repository when it loads it.
        let expect = refused(&[Kind::Unlisted]).but(
            Client::Tough,
            Known::RefusesAs(&[Kind::Unlisted, Kind::Malformed]),
            "a target outside of its role's paths makes the whole repository invalid to it",
        );
        by_a_thief(path, &expect, |scene| {
            scene.author.add_target_to(&role, path, b"by somebody else");
            scene.author.release();
        });
    }
}

/// Content changed, signatures left as they were.
#[test]
fn metadata_changed_under_its_signature() {
    for (role, target) in roles() {
        let expect = refused(if role == "snapshot" {
            // The timestamp pins its bytes.
            &[Kind::Integrity, Kind::TooLong]
        } else {
            &[Kind::Signature]
        });
        by_a_mirror(target, &expect, |scene| {
            next_version(scene, &role);
            let mut forged: Value = serde_json::from_slice(scene.author.file(&role)).unwrap();
            forged["signed"]["expires"] = json!("2100-01-01T00:00:00Z");
            let at = address(&role, scene.author.version(&role));
            scene
                .author
                .site
                .put(&at, Reply::bytes(serde_json::to_vec(&forged).unwrap()));
        });
    }
}

/// The attacker signs with a key of their own: under its own id, and under the id of the right key.
#[test]
fn metadata_signed_by_a_stranger() {
    for (role, target) in roles() {
        for under_the_right_id in [false, true] {
            badly_signed(&role, target, |_, document| {
                let stranger = Key::ed25519();
                if under_the_right_id {
                    Signed::As(stranger)
                } else {
                    Signed::By(stranger, document.clone())
                }
            });
        }
    }
}

/// Every role's key signs a role that it was not given.
#[test]
fn metadata_signed_by_the_key_of_another_role() {
    for (role, target) in roles() {
        badly_signed(&role, target, |scene, document| {
            let other = if role == "timestamp" {
                "snapshot"
            } else {
                "timestamp"
            };
            Signed::By(scene.author.signers[other][0].clone(), document.clone())
        });
    }
}

/// Nobody signed at all.
#[test]
fn metadata_without_a_signature() {
    for (role, target) in roles() {
        badly_signed(&role, target, |_, document| Signed::ByNobody(document.clone()));
    }
}

enum Signed {
    /// By this key, under the id of the key that should have signed.
    As(Key),
    By(Key, Value),
    ByNobody(Value),
}

/// The next version of `role` is signed as `sign` says; a snapshot is pinned by an honest timestamp, so that the
/// signature is what is left to refuse.
#[track_caller]
fn badly_signed(role: &str, target: &str, sign: impl Fn(&Scene, &Value) -> Signed) {
    by_a_thief(target, &refused(&[Kind::Signature]), |scene| {
        next_version(scene, role);
        let document = scene.author.doc(role).clone();
        let signed = sign(scene, &document);
        let right_id = scene.author.signers[role][0].id();
        scene.author.forge(role, |file| {
            *file = match signed {
                Signed::By(key, document) => envelope(&document, &[key]),
                Signed::ByNobody(document) => envelope(&document, &[]),
                Signed::As(key) => {
                    json!({ "signatures": [{ "keyid": right_id, "sig": key.sign(&document) }], "signed": document })
                }
            };
        });
    });
}

/// A new root: by the new keys without the old, by the old without the new, and by strangers.
#[test]
fn a_new_root_that_the_old_one_did_not_name() {
    by_a_mirror(WHEEL, &refused(&[Kind::Signature]), |scene| {
        let thief = Key::p256();
        scene.author.entrust("root", std::slice::from_ref(&thief), 1);
        scene.author.signers.insert("root".to_owned(), vec![thief]);
        scene.author.publish(&["root"]);
    });
    by_a_mirror(WHEEL, &refused(&[Kind::Signature]), |scene| {
        let old = scene.author.signers["root"].clone();
        scene.author.entrust("root", &[Key::ed25519()], 1);
        scene.author.signers.insert("root".to_owned(), old);
        scene.author.publish(&["root"]);
    });
    by_a_mirror(WHEEL, &refused(&[Kind::Signature]), |scene| {
        scene
            .author
            .signers
            .insert("root".to_owned(), vec![Key::ed25519()]);
        scene.author.edit("root");
        scene.author.publish(&["root"]);
    });
}

/// A document of one role where another's is looked for: their keys may even be the same.
#[test]
fn a_document_of_another_role() {
    by_a_mirror(WHEEL, &refused(&[Kind::Malformed, Kind::Signature]), |scene| {
        let snapshot = scene.author.file("snapshot").to_vec();
        scene
            .author
            .site
            .put("/tuf/metadata/timestamp.json", Reply::bytes(snapshot));
    });
    by_a_mirror(WHEEL, &refused(&[Kind::Malformed, Kind::Signature]), |scene| {
        let targets = scene.author.file("targets").to_vec();
        scene
            .author
            .site
            .put("/tuf/metadata/2.root.json", Reply::bytes(targets));
    });
}
