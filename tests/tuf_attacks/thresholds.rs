//! Thresholds: too few signatures, and one key that tries to be two.

use serde_json::{Value, json};

use crate::tuf_clients::{Client, Kind};
use crate::tuf_repo::{Author, Key, bin_of, sha256};
use crate::{Expect, Known, Scene, TRUST, WHEEL, by_a_thief, each_client, refused};

/// Roles that can have a threshold, with a target that needs them.
fn roles() -> [(String, &'static str); 7] {
    [
        ("root".to_owned(), WHEEL),
        ("timestamp".to_owned(), WHEEL),
        ("snapshot".to_owned(), WHEEL),
        ("targets".to_owned(), WHEEL),
        ("bins".to_owned(), WHEEL),
        (bin_of(WHEEL), WHEEL),
        ("trust".to_owned(), TRUST),
    ]
}

/// Entrusts `role` to two of three keys of both kinds, which all sign; clients see that.
fn two_of_three(author: &mut Author, role: &str) -> [Key; 3] {
    let keys = [Key::ed25519(), Key::p256(), Key::ed25519()];
    author.entrust(role, &keys, 2);
    author.edit(role);
    author.release();
    author.signers.insert(role.to_owned(), keys.to_vec());
    keys
}

/// The role's next version, with signatures that the thief of one key can make.
#[track_caller]
fn with_one_key(expect: &Expect, signatures: impl Fn(&[Key; 3], &Value) -> Vec<Value>) {
    for (role, target) in roles() {
        by_a_thief(target, expect, |scene| {
            let keys = two_of_three(&mut scene.author, &role);
            scene.all_is_well();
            scene.author.edit(&role);
            if role == "root" {
                scene.author.publish(&["root"]);
            } else {
                scene.author.release();
            }
            scene.author.forge(&role, |file| {
                file["signatures"] = signatures(&keys, &file["signed"]).into();
            });
        });
    }
}

#[test]
fn two_of_three_keys_are_enough_in_every_role() {
    for (role, _) in roles() {
        each_client(|scene: &mut Scene| {
            let keys = two_of_three(&mut scene.author, &role);
            scene.all_is_well();
            for pair in [[0, 1], [1, 2], [0, 2]] {
                scene
                    .author
                    .signers
                    .insert(role.clone(), pair.map(|key| keys[key].clone()).to_vec());
                scene.author.edit(&role);
                scene.author.release();
                scene.all_is_well();
            }
            Ok(())
        });
    }
}

#[test]
fn one_signature_of_two() {
    with_one_key(&refused(&[Kind::Signature]), |keys, signed| {
        vec![keys[0].signature(signed)]
    });
}

/// Some refuse the file for having two signatures under one id (section 4.2.1), some count them as one.
#[test]
fn one_signature_twice() {
    with_one_key(&refused(&[Kind::Signature, Kind::Malformed]), |keys, signed| {
        vec![keys[0].signature(signed), keys[0].signature(signed)]
    });
}

/// P-256 signatures are not the same twice, which must not make them two.
#[test]
fn two_different_signatures_of_one_key() {
    with_one_key(&refused(&[Kind::Signature, Kind::Malformed]), |keys, signed| {
        let (first, second) = (keys[1].signature(signed), keys[1].signature(signed));
        assert_ne!(first, second);
        vec![first, second]
    });
}

#[test]
fn one_key_under_the_name_of_another() {
    with_one_key(&refused(&[Kind::Signature]), |keys, signed| {
        vec![
            keys[0].signature(signed),
            json!({ "keyid": keys[2].id(), "sig": keys[0].sign(signed) }),
        ]
    });
}

#[test]
fn one_key_under_its_id_in_capitals() {
    with_one_key(&refused(&[Kind::Signature, Kind::Malformed]), |keys, signed| {
        vec![
            keys[0].signature(signed),
            json!({ "keyid": keys[0].id().to_uppercase(), "sig": keys[0].sign(signed) }),
        ]
    });
}

#[test]
fn a_signature_that_is_right_and_one_that_is_not() {
    with_one_key(&refused(&[Kind::Signature]), |keys, signed| {
        let other = json!({ "_type": "something else" });
        vec![keys[0].signature(signed), keys[1].signature(&other)]
    });
}

/// A delegation that lists one key twice and asks for two: its author's mistake must not become a threshold of one.
#[test]
fn a_role_that_lists_one_key_twice() {
    for (role, target) in roles() {
        if role == "root" {
            // A root that its own key cannot sign would not be written, and is refused like any other: `one_signature_twice`.
            continue;
        }
        let expect = refused(&[Kind::Signature, Kind::Malformed]);
        by_a_thief(target, &expect, |scene| {
            let key = Key::ed25519();
            scene.author.entrust(&role, &[key.clone(), key.clone()], 2);
            scene.author.signers.insert(role.clone(), vec![key]);
            scene.author.edit(&role);
            scene.author.release();
            scene.author.forge(&role, |file| {
                let signature = file["signatures"][0].clone();
                file["signatures"] = json!([signature, signature]);
            });
        });
    }
}

/// One key under two ids, because its object is written in two ways. The delegator signs that, so it is the delegator's
/// mistake; a client that counts ids takes it for two people.
#[test]
fn a_role_that_lists_one_key_under_two_ids() {
    let with_a_note = |mut object: Value| {
        object["note"] = json!("the same key again");
        object
    };
    let in_capitals = |mut object: Value| {
        object["keyval"]["public"] = json!(object["keyval"]["public"].as_str().unwrap().to_uppercase());
        object
    };
    let otherwise_wrapped = |mut object: Value| {
        object["keyval"]["public"] = json!(object["keyval"]["public"].as_str().unwrap().trim_end());
        object
    };
    lists_twice(&Key::ed25519(), with_a_note, None);
    lists_twice(&Key::ed25519(), in_capitals, None);
    lists_twice(&Key::p256(), with_a_note, None);
    lists_twice(&Key::p256(), otherwise_wrapped, None);
    // A key of a kind that nobody knows stands beside them, and must not keep anyone from looking.
    let odd =
        json!({ "keytype": "of the future", "scheme": "of the future", "keyval": { "certificate": "none" } });
    lists_twice(&Key::ed25519(), with_a_note, Some(&odd));
}

/// `trust` needs two of its keys and lists `key` twice, the second time with its object changed.
#[track_caller]
fn lists_twice(key: &Key, change: impl Fn(Value) -> Value, beside: Option<&Value>) {
    let why = "ids are taken as they are declared, and counted; the specification leaves it to the delegator (section 4.2.1)";
    let mut expect = refused(&[Kind::Signature, Kind::Malformed]);
    for client in [Client::PythonTuf, Client::TufJs, Client::Tough] {
        expect = expect.but(client, Known::TakesOrRefuses, why);
    }
    by_a_thief(TRUST, &expect, |scene| {
        let twin = change(key.object());
        let twin_id = sha256(&chiron_tuf::canonical(&twin).unwrap());
        assert_ne!(twin_id, key.id());
        scene.author.entrust("trust", &[key.clone(), Key::ed25519()], 2);
        let delegations = &mut scene.author.edit("targets")["delegations"];
        delegations["keys"][&twin_id] = twin;
        delegations["roles"][0]["keyids"] = json!([key.id(), twin_id]);
        if let Some(odd) = beside {
            delegations["keys"]["f".repeat(64)] = odd.clone();
        }
        scene.author.signers.insert("trust".to_owned(), vec![key.clone()]);
        scene.author.edit("trust");
        scene.author.release();
        scene.author.forge("trust", |file| {
            let sig = key.sign(&file["signed"]);
            file["signatures"] = json!([
                { "keyid": key.id(), "sig": sig },
                { "keyid": twin_id, "sig": sig },
            ]);
        });
    });
}
