#![allow(clippy::unwrap_used, clippy::expect_used)]

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

/// RFC 8032, section 7.1, test 2.
const ED25519_KEY: &str = "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c";
const ED25519_MESSAGE: &[u8] = &[0x72];
const ED25519_SIGNATURE: &str = "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da\
                                 085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00";
/// The order of the group, little-endian (RFC 8032, section 5.1).
const ED25519_ORDER: &str = "edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010";

/// RFC 6979, appendix A.2.5, SHA-256 of "sample".
const P256_POINT: &str = "0460fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6\
                          7903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299";
const P256_R: &str = "efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716";
const P256_S: &str = "f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8";
/// The group's order less the `s` above: the other, lower one of the two that verify.
const P256_LOW_S: &str = "0834e36ad29a83bf2bc9385e491d6099c8fdf9d1ed67aa7ea5f51f93782857a9";
const P256_ORDER: &str = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";

fn bytes(digits: &str) -> Vec<u8> {
    hex::decode(digits).unwrap()
}

fn ed25519() -> PublicKey {
    PublicKey::new(Scheme::Ed25519, &bytes(ED25519_KEY)).unwrap()
}

fn p256() -> PublicKey {
    PublicKey::new(Scheme::EcdsaP256, &bytes(P256_POINT)).unwrap()
}

/// `SEQUENCE { r INTEGER, s INTEGER }` with these contents octets, whatever they are.
fn der(r: &[u8], s: &[u8]) -> Vec<u8> {
    let integer = |value: &[u8]| [&[2, u8::try_from(value.len()).unwrap()], value].concat();
    let body = [integer(r), integer(s)].concat();
    [&[0x30, u8::try_from(body.len()).unwrap()], &body[..]].concat()
}

/// A positive number as DER wants it: a zero in front where it would otherwise be negative, and no other.
fn positive(digits: &str) -> Vec<u8> {
    let value = bytes(digits);
    let value = &value[value.iter().take_while(|byte| **byte == 0).count()..];
    if value.first().is_none_or(|first| first & 0x80 != 0) {
        [&[0], value].concat()
    } else {
        value.to_vec()
    }
}

fn object(key: &PublicKey) -> Value {
    serde_json::to_value(key).unwrap()
}

#[test]
fn key_objects_are_those_of_the_specification() {
    assert_eq!(
        object(&ed25519()),
        json!({"keytype": "ed25519", "scheme": "ed25519", "keyval": {"public": ED25519_KEY}})
    );
    assert_eq!(
        object(&p256()),
        json!({"keytype": "ecdsa", "scheme": "ecdsa-sha2-nistp256", "keyval": {"public": p256().to_pem()}})
    );
    // printf '{"keytype":"ed25519","keyval":{"public":"3d40…660c"},"scheme":"ed25519"}' | sha256sum
    assert_eq!(
        ed25519().id().to_string(),
        "eaf1e23f6c823132f437a2eaa299a7950f7386631deff273db195bbd26209e2b"
    );
    // The same of the P-256 key object, its line feeds as they are.
    assert_eq!(
        p256().id().to_string(),
        "716d622ec609eff48475645919645bb30ef604f59a69c764608fb64272dd5fe5"
    );
}

#[test]
fn pem_is_that_of_openssl() {
    for key in [ed25519(), p256()] {
        assert_eq!(PublicKey::from_pem(&key.to_pem()), Ok(key.clone()));
        assert_eq!(PublicKey::from_spki(&key.to_spki()), Ok(key));
    }
    // openssl pkey -pubout of the key of RFC 8410, section 10.3.
    let text = "-----BEGIN PUBLIC KEY-----\n\
                MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n\
                -----END PUBLIC KEY-----\n";
    assert_eq!(PublicKey::from_pem(text).unwrap().to_pem(), text);
    assert_eq!(
        PublicKey::from_pem(&text.replace('\n', "\r\n")).unwrap().to_pem(),
        text
    );
}

#[test]
fn texts_that_are_no_pem_are_refused() {
    let good = ed25519().to_pem();
    for text in [
        String::new(),
        ED25519_KEY.to_owned(),
        good.replace("PUBLIC", "PRIVATE"),
        good.replace("MCow", "MC*w"),
        good.replace("-----END PUBLIC KEY-----", ""),
        good.repeat(2),
        good.clone() + &good.replace("PUBLIC KEY", "CERTIFICATE"),
        " ".repeat(MAX_PEM_BYTES) + &good,
    ] {
        assert_eq!(PublicKey::from_pem(&text), Err(PublicKeyError::Pem), "{text}");
    }
}

#[test]
fn other_kinds_of_key_are_refused() {
    let compressed = [&[2], &bytes(P256_POINT)[1..33]].concat();
    let mut off_curve = bytes(P256_POINT);
    off_curve[64] ^= 1;
    let infinity = [0_u8; 65];
    for (scheme, key) in [
        (Scheme::Ed25519, &bytes(ED25519_KEY)[..31]),
        (Scheme::Ed25519, &[&bytes(ED25519_KEY)[..], &[0]].concat()),
        (Scheme::Ed25519, &bytes(P256_POINT)),
        (Scheme::EcdsaP256, &bytes(ED25519_KEY)),
        (Scheme::EcdsaP256, &compressed),
        (Scheme::EcdsaP256, &off_curve),
        (Scheme::EcdsaP256, &infinity),
        (Scheme::EcdsaP256, &[]),
    ] {
        assert_eq!(
            PublicKey::new(scheme, key),
            Err(PublicKeyError::Kind),
            "{key:02x?}"
        );
    }
    // secp384r1 by its name, and Ed448.
    for spki in [
        "3076301006072a8648ce3d020106052b8104002203620004",
        "3043300506032b6571033a00",
    ] {
        assert_eq!(PublicKey::from_spki(&bytes(spki)), Err(PublicKeyError::Kind));
    }
}

/// The key of zeros is a point of order 4: `R` is then one of four points, and `S` is zero. Nobody needs a private key.
#[test]
fn keys_that_anyone_can_sign_with_are_refused() {
    let zeros = [0; 32];
    let forged = |message: &[u8]| {
        let four = [
            zeros,
            bytes("0000000000000000000000000000000000000000000000000000000000000080")
                .try_into()
                .unwrap(),
            bytes("0100000000000000000000000000000000000000000000000000000000000000")
                .try_into()
                .unwrap(),
            bytes("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f")
                .try_into()
                .unwrap(),
        ];
        four.iter().any(|r| {
            let signature = [*r, [0; 32]].concat();
            UnparsedPublicKey::new(&ED25519, zeros)
                .verify(message, &signature)
                .is_ok()
        })
    };
    let messages = (0_u32..64).map(u32::to_be_bytes);
    assert!(
        messages.clone().any(|message| forged(&message)),
        "the threat is real"
    );

    for y in SMALL_ORDER {
        for sign in [0, 0x80] {
            let mut key = y;
            key[31] |= sign;
            assert_eq!(
                PublicKey::new(Scheme::Ed25519, &key),
                Err(PublicKeyError::Weak),
                "{key:02x?}"
            );
        }
    }
    for low in 0xed..=0xff {
        let mut key = [0xff; 32];
        key[0] = low;
        for last in [0x7f, 0xff] {
            key[31] = last;
            assert_eq!(PublicKey::new(Scheme::Ed25519, &key), Err(PublicKeyError::Weak));
        }
    }
}

#[test]
fn a_key_has_one_spelling() {
    let mut objects = Vec::new();
    for (pointer, value) in [
        ("/keyval/public", ED25519_KEY.to_uppercase()),
        ("/keyval/public", format!(" {ED25519_KEY}")),
        ("/keyval/public", format!("0x{ED25519_KEY}")),
        ("/keyval/public", ed25519().to_pem()),
        ("/keytype", "ecdsa".to_owned()),
        ("/keytype", "ED25519".to_owned()),
        ("/scheme", "ed25519ph".to_owned()),
        ("/scheme", "ecdsa-sha2-nistp256".to_owned()),
    ] {
        let mut other = object(&ed25519());
        *other.pointer_mut(pointer).unwrap() = value.into();
        objects.push(other);
    }
    let pem = p256().to_pem();
    for (pointer, value) in [
        ("/keyval/public", pem.replace('\n', "\r\n")),
        ("/keyval/public", pem.trim_end().to_owned()),
        ("/keyval/public", format!("{pem}\n")),
        ("/keyval/public", format!("note\n{pem}")),
        ("/keyval/public", hex::encode(p256().to_spki())),
        ("/keytype", "ecdsa-sha2-nistp256".to_owned()),
        ("/scheme", "ecdsa-sha2-nistp384".to_owned()),
    ] {
        let mut other = object(&p256());
        *other.pointer_mut(pointer).unwrap() = value.into();
        objects.push(other);
    }
    let mut more = object(&ed25519());
    more["keyid_hash_algorithms"] = json!(["sha256"]);
    objects.push(more);
    let mut more = object(&ed25519());
    more["keyval"]["private"] = json!("");
    objects.push(more);
    for object in objects {
        let read: Result<PublicKey, _> = serde_json::from_value(object.clone());
        assert!(read.is_err(), "{object}");
    }
}

#[test]
fn ed25519_takes_the_one_signature_and_no_other() {
    let (key, good) = (ed25519(), bytes(ED25519_SIGNATURE));
    assert!(key.verifies(ED25519_MESSAGE, &good));
    assert!(!key.verifies(b"", &good));
    assert!(!key.verifies(b"rr", &good));

    // The same S with the group's order added: another spelling of the same number (RFC 8032, 5.1.7).
    let mut carry = 0;
    let mut malleated = good.clone();
    for (byte, add) in malleated[32..].iter_mut().zip(bytes(ED25519_ORDER)) {
        let sum = u16::from(*byte) + u16::from(add) + carry;
        *byte = u8::try_from(sum & 0xff).unwrap();
        carry = sum >> 8;
    }
    assert_eq!(carry, 0);
    for bad in [
        vec![],
        vec![0; 64],
        good[..63].to_vec(),
        [&good[..], &[0]].concat(),
        [&good[32..], &good[..32]].concat(),
        hex::encode(&good).into_bytes(),
        malleated,
    ] {
        assert!(!key.verifies(ED25519_MESSAGE, &bad), "{bad:02x?}");
    }
}

/// ECDSA has two signatures for each that was made. Both are taken: tokens and services give either, and one key is one
/// signer whichever it is.
#[test]
fn p256_takes_high_and_low_s() {
    let key = p256();
    for s in [P256_S, P256_LOW_S] {
        assert!(key.verifies(b"sample", &der(&positive(P256_R), &positive(s))));
        assert!(!key.verifies(b"simple", &der(&positive(P256_R), &positive(s))));
    }
}

#[test]
fn p256_takes_der_only() {
    let (key, r, s) = (p256(), positive(P256_R), positive(P256_S));
    let good = der(&r, &s);
    let long_form = [&[0x30, 0x81], &good[1..]].concat();
    let mut indefinite = [&[0x30, 0x80], &good[2..], &[0, 0]].concat();
    for (what, bad) in [
        ("nothing", vec![]),
        (
            "r and s as tokens give them",
            [bytes(P256_R), bytes(P256_S)].concat(),
        ),
        ("a byte after it", [&good[..], &[0]].concat()),
        ("a byte less", good[..good.len() - 1].to_vec()),
        ("a length in long form", long_form),
        ("an indefinite length", std::mem::take(&mut indefinite)),
        ("a zero too many", der(&[&[0], &r[..]].concat(), &s)),
        ("negative numbers", der(&r[1..], &s[1..])),
        ("r of zero", der(&[0], &s)),
        ("s of zero", der(&r, &[0])),
        ("no numbers", der(&[], &[])),
        ("s of the order", der(&r, &positive(P256_ORDER))),
        ("r of the order", der(&positive(P256_ORDER), &s)),
        ("r and s swapped", der(&s, &r)),
        ("a set", [&[0x31], &good[1..]].concat()),
        ("hexadecimal", hex::encode(&good).into_bytes()),
    ] {
        assert!(!key.verifies(b"sample", &bad), "{what}");
    }
}

proptest! {
    /// Whatever is read is written the same, so that no key has two ids.
    #[test]
    fn what_is_read_is_written_the_same(value in any::<[u8; 32]>(), flip in 0_usize..200) {
        if let Ok(key) = PublicKey::new(Scheme::Ed25519, &value) {
            let back: PublicKey = serde_json::from_value(object(&key)).unwrap();
            prop_assert_eq!(&back, &key);
            prop_assert_eq!(back.id(), key.id());
        }
        let mut text = p256().to_pem().into_bytes();
        let at = flip % text.len();
        text[at] ^= 1 << (flip % 7);
        let mut changed = object(&p256());
        changed["keyval"]["public"] = String::from_utf8(text).unwrap().into();
        if let Ok(read) = serde_json::from_value::<PublicKey>(changed.clone()) {
            prop_assert_eq!(object(&read), changed);
        }
    }

    /// No one bit of a signature can be changed.
    #[test]
    fn a_flipped_bit_is_another_signature(bit in 0_usize..512) {
        let mut signature = bytes(ED25519_SIGNATURE);
        signature[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(!ed25519().verifies(ED25519_MESSAGE, &signature));
        let mut signature = der(&positive(P256_R), &positive(P256_S));
        let bit = bit % (signature.len() * 8);
        signature[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(!p256().verifies(b"sample", &signature));
    }
}
