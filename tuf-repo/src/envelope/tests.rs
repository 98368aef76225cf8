#![allow(clippy::unwrap_used, clippy::expect_used)]

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::canonical::canonical;
use crate::example::{key, root, signed, snapshot, targets, timestamp};
use crate::metadata::{Root, Snapshot, Targets, TimestampMetadata};
use crate::verify::verify;
use crate::{LocalKey, Role, Scheme, Signer as _};

fn bytes_of<T: Document>(document: T) -> Vec<u8> {
    signed(document, &[&key(1)]).to_bytes().unwrap()
}

/// The root with a change made to its JSON.
fn changed(change: impl FnOnce(&mut Value)) -> Result<Envelope<Root>, MetadataError> {
    let mut value = serde_json::to_value(signed(root(), &[&key(1)])).unwrap();
    change(&mut value);
    Envelope::parse(&serde_json::to_vec(&value).unwrap())
}

fn read_back<T: Document + PartialEq + std::fmt::Debug>(document: T) {
    let envelope = signed(document, &[&key(1), &key(2)]);
    let bytes = envelope.to_bytes().unwrap();
    let read = Envelope::<T>::parse(&bytes).unwrap();
    assert_eq!(read, envelope);
    assert_eq!(read.payload(), envelope.payload());
    assert_eq!(read.to_bytes().unwrap(), bytes);
    assert_eq!(
        (read.signed.version(), read.signed.expires()),
        (1, crate::example::expires())
    );
}

#[test]
fn documents_are_read_back() {
    read_back(root());
    read_back(targets());
    read_back(snapshot());
    read_back(timestamp());
}

#[test]
fn a_root_of_keys_in_pem_is_json_and_verifies() {
    let p256 = LocalKey::generate(Scheme::EcdsaP256).unwrap();
    let mut document = root();
    let id = p256.public().id();
    document.keys.insert(id, p256.public().clone());
    document
        .roles
        .insert(Role::Root.name(), crate::example::role_keys(&[&p256], 1));
    let envelope = signed(document, &[&p256]);

    let bytes = envelope.to_bytes().unwrap();
    assert!(!bytes.contains(&b'\n'), "a line feed in a text is written as \\n");
    let pem = serde_json::from_slice::<Value>(&bytes).unwrap()["signed"]["keys"][id.to_string()]["keyval"]["public"].clone();
    assert_eq!(pem, p256.public().to_pem());

    let read = Envelope::<Root>::parse(&bytes).unwrap();
    let role = &read.signed.roles[&Role::Root.name()];
    let payload = read.payload().unwrap();
    assert!(payload.contains(&b'\n'), "and signed as it is");
    assert!(verify(&read.signed.keys, role, &payload, &read.signatures).is_ok());
}

#[test]
fn one_kind_is_not_read_as_another() {
    assert!(Envelope::<Root>::parse(&bytes_of(root())).is_ok());
    let malformed = |error| matches!(error, MetadataError::Malformed { .. });
    assert!(Envelope::<Targets>::parse(&bytes_of(root())).is_err_and(malformed));
    assert!(Envelope::<TimestampMetadata>::parse(&bytes_of(snapshot())).is_err_and(malformed));
    assert!(Envelope::<Snapshot>::parse(&bytes_of(timestamp())).is_err_and(malformed));
    // Their fields are the same.
    let mut value = serde_json::to_value(signed(timestamp(), &[&key(1)])).unwrap();
    value["signed"]["_type"] = json!("snapshot");
    assert!(Envelope::<TimestampMetadata>::parse(&serde_json::to_vec(&value).unwrap()).is_err_and(malformed));
}

#[test]
fn what_is_no_metadata_is_refused() {
    let good = bytes_of(root());
    for bytes in [
        &b""[..],
        b"{}",
        b"[]",
        b"null",
        b"{\"signatures\":[],\"signed\":null}",
        &good[..good.len() - 1],
        &[&good[..], b"x"].concat(),
        &[b"\xef\xbb\xbf", &good[..]].concat(),
        "[".repeat(200_000).as_bytes(),
    ] {
        let error = Envelope::<Root>::parse(bytes).unwrap_err();
        assert!(
            matches!(error, MetadataError::Malformed { role: "root", .. }),
            "{error}"
        );
        assert!(error.to_string().len() < 500);
    }
}

#[test]
fn endless_data_is_not_read() {
    let limit = usize::try_from(TimestampMetadata::MAX_BYTES).unwrap();
    let mut bytes = bytes_of(timestamp());
    bytes.resize(limit, b' ');
    assert!(Envelope::<TimestampMetadata>::parse(&bytes).is_ok());
    bytes.push(b' ');
    assert_eq!(
        Envelope::<TimestampMetadata>::parse(&bytes),
        Err(MetadataError::TooLong {
            role: "timestamp",
            bytes: limit + 1,
            limit: limit as u64
        })
    );
}

/// A field that is passed over would be signed by others and not verified here, or the other way round.
#[test]
fn nothing_is_passed_over() {
    let unread = |what: &str| {
        Err(MetadataError::NotRead {
            role: "root",
            what: what.to_owned(),
        })
    };
    assert_eq!(
        changed(|root| root["signed"]["note"] = json!("hello")),
        unread("/note")
    );
    assert_eq!(
        changed(|root| root["signed"]["roles"]["root"]["note"] = json!(1)),
        unread("/roles/root/note")
    );
    for time in [
        "2030-01-01T00:00:00.000Z",
        "2030-01-01T01:00:00+01:00",
        "2030-01-01 00:00:00Z",
    ] {
        assert_eq!(
            changed(|root| root["signed"]["expires"] = json!(time)),
            unread("/expires"),
            "{time}"
        );
    }
    assert_eq!(
        changed(|root| root["signed"]["roles"]["root"]["keyids"]
            .as_array_mut()
            .unwrap()
            .reverse()),
        unread("/roles/root/keyids/0")
    );
    for (pointer, field) in [("", "unsigned"), ("/signatures/0", "keyid_hint")] {
        let error = changed(|root| root.pointer_mut(pointer).unwrap()[field] = json!(1)).unwrap_err();
        assert!(error.to_string().contains(field), "{error}");
    }
}

#[test]
fn a_key_signs_a_document_once() {
    let id = key(1).public().id();
    assert_eq!(
        changed(|root| {
            let again = root["signatures"][0].clone();
            root["signatures"].as_array_mut().unwrap().push(again);
        }),
        Err(MetadataError::SignedTwice {
            role: "root",
            key: id
        })
    );
    let many: Vec<Value> = (0..=MAX_SIGNATURES)
        .map(|n| json!({"keyid": format!("{n:064x}"), "sig": ""}))
        .collect();
    assert_eq!(
        changed(|root| root["signatures"] = many[1..].into()).map(|root| root.signatures.len()),
        Ok(MAX_SIGNATURES)
    );
    assert_eq!(
        changed(|root| root["signatures"] = many.into()),
        Err(MetadataError::Signatures {
            role: "root",
            count: MAX_SIGNATURES + 1
        })
    );
}

#[test]
fn fields_of_other_types_are_refused() {
    for (pointer, value) in [
        ("/signed/version", json!("1")),
        ("/signed/version", json!(-1)),
        ("/signed/version", json!(1.0)),
        ("/signed/expires", json!("soon")),
        ("/signed/expires", json!(1_900_000_000)),
        ("/signed/consistent_snapshot", json!("true")),
        ("/signed/roles/root/threshold", json!(0)),
        ("/signed/roles/root/threshold", json!(3)),
        ("/signed/roles/root/threshold", json!(4_294_967_297_u64)),
        ("/signed/roles/root/keyids", json!([])),
        ("/signed/keys", json!([])),
        ("/signatures/0/sig", json!("abc")),
        ("/signatures/0/sig", json!("zz")),
        ("/signatures/0/keyid", json!("AB")),
    ] {
        let error = changed(|root| *root.pointer_mut(pointer).unwrap() = value.clone()).unwrap_err();
        assert!(
            matches!(error, MetadataError::Malformed { .. }),
            "{pointer} {value}: {error}"
        );
    }
    // The same key twice in one role.
    let error = changed(|root| {
        let ids = root["signed"]["roles"]["root"]["keyids"].as_array_mut().unwrap();
        let first = ids[0].clone();
        ids.push(first);
    });
    assert!(error.unwrap_err().to_string().contains("listed twice"));
}

#[test]
fn a_field_given_twice_is_refused() {
    let text = String::from_utf8(bytes_of(root())).unwrap();
    let twice = text.replacen("\"version\":1}", "\"version\":1,\"version\":2}", 1);
    assert_ne!(twice, text);
    let error = Envelope::<Root>::parse(twice.as_bytes()).unwrap_err();
    assert!(error.to_string().contains("duplicate field"), "{error}");
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = Envelope::<Root>::parse(&bytes);
        let _ = Envelope::<Targets>::parse(&bytes);
    }

    /// One byte of a file is changed: it is refused, or it says the same (a digit of hexadecimal in another case), or
    /// its signature does not verify any more.
    #[test]
    fn a_changed_file_is_not_believed(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let envelope = signed(root(), &[&key(1)]);
        let mut bytes = envelope.to_bytes().unwrap();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(read) = Envelope::<Root>::parse(&bytes) {
            let role = &root().roles[&Role::Root.name()];
            let believed = verify(&root().keys, role, &read.payload().unwrap(), &read.signatures).is_ok();
            prop_assert_eq!(believed, read == envelope);
        }
    }

    /// What is verified is what was read: the payload depends on the document and on nothing else in the file.
    #[test]
    fn white_space_and_order_do_not_matter(spaces in 0_usize..8) {
        let envelope = signed(targets(), &[&key(1)]);
        let value: Value = serde_json::from_slice(&envelope.to_bytes().unwrap()).unwrap();
        let indent = " ".repeat(spaces);
        let mut text = Vec::new();
        let format = serde_json::ser::PrettyFormatter::with_indent(indent.as_bytes());
        value.serialize(&mut serde_json::Serializer::with_formatter(&mut text, format)).unwrap();
        let read = Envelope::<Targets>::parse(&text).unwrap();
        prop_assert_eq!(read.payload().unwrap(), canonical(&envelope.signed).unwrap());
    }
}
