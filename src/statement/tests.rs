#![allow(clippy::unwrap_used, clippy::expect_used)]
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use proptest::prelude::*;
use serde_json::json;

use jiff::Timestamp;

use super::*;

/// RFC 8410, section 10.1: the example of an Ed25519 public key.
const RFC_8410: &str = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n";

fn statement() -> Statement {
    Statement::new(
        Subject::new("demo-1.0-py3-none-any.whl", Digest::of(b"wheel")),
        "urn:example:test",
        json!({ "a": 1, "text": "é\n" }),
    )
}

#[test]
fn the_pae_is_the_specifications() {
    // protocol.md, "Test vectors".
    assert_eq!(
        pae("http://example.com/HelloWorld", b"hello world"),
        b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    );
    assert_eq!(pae("", b""), b"DSSEv1 0  0 ");
    assert_eq!(
        pae("é", "é".as_bytes()),
        "DSSEv1 2 é 2 é".as_bytes(),
        "lengths are bytes"
    );
}

#[test]
fn what_is_signed_opens_and_says_who() {
    let (key, other) = (
        StatementKey::generate().unwrap(),
        StatementKey::generate().unwrap(),
    );
    let bytes = key.sign(&statement()).to_bytes();
    let envelope = Envelope::parse(&bytes).unwrap();
    assert_eq!(envelope.claimed_keys(), [key.key_id()]);
    let keys = [other.public().clone(), key.public().clone(), key.public().clone()];
    let opened = open(&envelope, &keys).unwrap();
    assert_eq!(opened.statement, statement());
    assert_eq!(opened.signed_by, [1], "a key counts once, under its first place");
    assert!(matches!(
        open(&envelope, &keys[..1]),
        Err(EnvelopeError::Untrusted { keyids }) if keyids == [key.key_id()]
    ));
    assert!(matches!(
        open(&envelope, &[]),
        Err(EnvelopeError::Untrusted { .. })
    ));
}

#[test]
fn the_claimed_key_id_decides_nothing() {
    let (key, other) = (
        StatementKey::generate().unwrap(),
        StatementKey::generate().unwrap(),
    );
    let mut wire: Value = serde_json::from_slice(&key.sign(&statement()).to_bytes()).unwrap();
    for claimed in [json!(other.key_id()), json!(""), json!(null)] {
        wire["signatures"][0]["keyid"] = claimed;
        let envelope = Envelope::parse(wire.to_string().as_bytes()).unwrap();
        assert_eq!(open(&envelope, &[key.public().clone()]).unwrap().signed_by, [0]);
        assert!(matches!(
            open(&envelope, &[other.public().clone()]),
            Err(EnvelopeError::Untrusted { .. })
        ));
    }
}

#[test]
fn a_changed_payload_or_type_is_not_signed() {
    let key = StatementKey::generate().unwrap();
    let wire: Value = serde_json::from_slice(&key.sign(&statement()).to_bytes()).unwrap();
    let keys = [key.public().clone()];
    let mut changed = wire.clone();
    let mut other = statement();
    other.subject[0]
        .digest
        .insert("sha256".to_owned(), Digest::of(b"evil").to_string());
    changed["payload"] = STANDARD.encode(other.to_bytes()).into();
    let mut retyped = wire;
    retyped["payloadType"] = "application/json".into();
    for document in [changed, retyped] {
        let envelope = Envelope::parse(document.to_string().as_bytes()).unwrap();
        assert!(
            matches!(open(&envelope, &keys), Err(EnvelopeError::Untrusted { .. })),
            "{document}"
        );
    }
}

#[test]
fn several_signatures_are_several_signers() {
    let keys: Vec<StatementKey> = (0..3).map(|_| StatementKey::generate().unwrap()).collect();
    let mut wire: Value = serde_json::from_slice(&keys[0].sign(&statement()).to_bytes()).unwrap();
    for key in [&keys[2], &keys[2]] {
        let other: Value = serde_json::from_slice(&key.sign(&statement()).to_bytes()).unwrap();
        wire["signatures"]
            .as_array_mut()
            .unwrap()
            .push(other["signatures"][0].clone());
    }
    let envelope = Envelope::parse(wire.to_string().as_bytes()).unwrap();
    let public: Vec<PublicKey> = keys.iter().map(|key| key.public().clone()).collect();
    assert_eq!(open(&envelope, &public).unwrap().signed_by, [0, 2]);
}

#[test]
fn both_alphabets_of_base64_are_read() {
    let key = StatementKey::generate().unwrap();
    let mut wire: Value = serde_json::from_slice(&key.sign(&statement()).to_bytes()).unwrap();
    for pointer in ["/payload", "/signatures/0/sig"] {
        let text = wire.pointer_mut(pointer).unwrap();
        *text = URL_SAFE
            .encode(STANDARD.decode(text.as_str().unwrap()).unwrap())
            .into();
    }
    let envelope = Envelope::parse(wire.to_string().as_bytes()).unwrap();
    assert_eq!(
        open(&envelope, &[key.public().clone()]).unwrap().statement,
        statement()
    );
}

#[test]
fn what_is_no_envelope_is_refused_by_its_name() {
    let read = |text: &str| Envelope::parse(text.as_bytes()).unwrap_err();
    assert!(matches!(read("{}"), EnvelopeError::Malformed(_)));
    assert!(
        matches!(read(&"[".repeat(100_000)), EnvelopeError::Malformed(_)),
        "deep JSON"
    );
    let none = r#"{"payload":"","payloadType":"x","signatures":[]}"#;
    assert!(matches!(read(none), EnvelopeError::Signatures(0)));
    let many = vec![json!({ "sig": "" }); 33];
    let many = json!({ "payload": "", "payloadType": "x", "signatures": many }).to_string();
    assert!(matches!(read(&many), EnvelopeError::Signatures(33)));
    let odd = r#"{"payload":"?","payloadType":"x","signatures":[{"sig":""}]}"#;
    assert!(matches!(read(odd), EnvelopeError::Base64("payload")));
    let large = vec![b' '; MAX_ENVELOPE_BYTES + 1];
    assert!(matches!(Envelope::parse(&large), Err(EnvelopeError::TooLarge(_))));
}

#[test]
fn a_signed_payload_that_is_no_statement_is_refused() {
    let key = StatementKey::generate().unwrap();
    let keys = [key.public().clone()];
    let mut other = statement();
    other.kind = "https://in-toto.io/Statement/v0.1".to_owned();
    assert!(matches!(
        open(&key.sign(&other), &keys),
        Err(EnvelopeError::Statement(StatementError::Version(_)))
    ));
    let mut nothing = statement();
    nothing.subject.clear();
    assert!(matches!(
        open(&key.sign(&nothing), &keys),
        Err(EnvelopeError::Statement(StatementError::NoSubject))
    ));
    assert!(matches!(
        Statement::parse("text/plain", b"{}"),
        Err(StatementError::PayloadType(_))
    ));
    assert!(matches!(
        Statement::parse(PAYLOAD_TYPE, b"[]"),
        Err(StatementError::Malformed(_))
    ));
}

#[test]
fn keys_are_read_from_pem_and_only_the_three_kinds() {
    let key = PublicKey::from_pem(RFC_8410).unwrap();
    assert_eq!(key.to_pem(), RFC_8410);
    assert_eq!(key.key_id().len(), 64);
    assert_eq!(PublicKey::from_pem(&format!("a comment\n{RFC_8410}")), Ok(key));
    for bad in [
        "",
        "-----BEGIN PUBLIC KEY-----\n",
        &format!("{RFC_8410}{RFC_8410}"),
        &" ".repeat(5_000),
    ] {
        assert_eq!(PublicKey::from_pem(bad), Err(PublicKeyError::Pem), "{bad:?}");
    }
    let short = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA\n-----END PUBLIC KEY-----\n";
    assert_eq!(PublicKey::from_pem(short), Err(PublicKeyError::Kind));
    assert_eq!(PublicKey::from_spki(&[0; 44]), Err(PublicKeyError::Kind));
}

#[test]
fn a_key_survives_its_file_and_never_shows_its_secret() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("statement.key");
    let key = StatementKey::generate().unwrap();
    key.store(&path).unwrap();
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let loaded = StatementKey::load(&path).unwrap();
    assert_eq!(loaded.key_id(), key.key_id());
    assert!(open(&loaded.sign(&statement()), &[key.public().clone()]).is_ok());
    assert!(
        matches!(key.store(&path), Err(StatementKeyError::File { .. })),
        "never replaced"
    );
    let secret = std::fs::read_to_string(&path).unwrap();
    let body = secret.lines().nth(1).unwrap();
    assert!(!format!("{key:?}").contains(&body[20..]));
    for (name, text) in [
        ("public", key.public_pem()),
        ("nothing", String::new()),
        ("binary", "\u{1}".repeat(10)),
    ] {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        assert!(
            matches!(StatementKey::load(&path), Err(StatementKeyError::NotAKey { .. })),
            "{name}"
        );
    }
    let nowhere = StatementKey::load(&folder.path().join("nowhere"));
    assert!(matches!(nowhere, Err(StatementKeyError::File { .. })));
}

#[test]
fn provenance_has_what_slsa_requires() {
    let file = |name: &str| Resource {
        name: name.to_owned(),
        sha256: Digest::of(name.as_bytes()),
    };
    let at: Timestamp = "2026-11-20T10:00:00Z".parse().unwrap();
    let rebuild = RebuildProvenance {
        output: file("demo-1.0-py3-none-any.whl"),
        source: file("demo-1.0.tar.gz"),
        backend: "hatchling==1.25.0".to_owned(),
        recipe: Some(file("demo.toml")),
        epoch: Some(1_700_000_000),
        as_of: Some(at),
        environment: vec![file("hatchling-1.25.0-py3-none-any.whl")],
        tools: vec![("python".to_owned(), "CPython 3.11.9".to_owned())],
        builder: builder_id("chiron.example.org/log"),
        attempt: Some(Digest::of(b"attempt")),
        started: at,
        finished: at,
    };
    let statement = rebuild_provenance(&rebuild);
    assert_eq!(statement.subject[0].sha256(), Some(rebuild.output.sha256));
    let at = |pointer: &str| {
        statement
            .predicate
            .pointer(pointer)
            .unwrap_or(&Value::Null)
            .clone()
    };
    assert_eq!(at("/buildDefinition/buildType"), BUILD_TYPE);
    assert_eq!(
        at("/buildDefinition/externalParameters/source/digest/sha256"),
        rebuild.source.sha256.to_string()
    );
    assert_eq!(
        at("/buildDefinition/externalParameters/sourceDateEpoch"),
        1_700_000_000
    );
    assert_eq!(
        at("/buildDefinition/resolvedDependencies")
            .as_array()
            .unwrap()
            .len(),
        3
    );
    assert_eq!(
        at("/runDetails/builder/id"),
        "urn:chiron:builder:chiron.example.org/log"
    );
    assert_eq!(at("/runDetails/metadata/startedOn"), "2026-11-20T10:00:00Z");
}

proptest! {
    /// The encoding is injective: no other pair of type and payload has the same signed bytes.
    #[test]
    fn two_messages_are_two_encodings(
        one in ("[ 0-9a]{0,6}", proptest::collection::vec(prop_oneof![Just(b' '), Just(b'1'), Just(b'a')], 0..8)),
        two in ("[ 0-9a]{0,6}", proptest::collection::vec(prop_oneof![Just(b' '), Just(b'1'), Just(b'a')], 0..8)),
    ) {
        prop_assert_eq!(pae(&one.0, &one.1) == pae(&two.0, &two.1), one == two);
    }

    #[test]
    fn our_encoding_is_the_other_implementations(kind in "\\PC{0,20}", body in proptest::collection::vec(any::<u8>(), 0..100)) {
        prop_assert_eq!(pae(&kind, &body), sigstore_types::pae(&kind, &body));
    }

    #[test]
    fn any_bytes_are_an_envelope_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        if let Ok(envelope) = Envelope::parse(&bytes) {
            prop_assert!(open(&envelope, &[]).is_err());
        }
    }

    #[test]
    fn envelopes_read_back_as_written(name in "[a-z.-]{0,20}", text in "\\PC{0,40}") {
        let key = StatementKey::generate().unwrap();
        let statement = Statement::new(Subject::new(name, Digest::of(b"x")), "urn:x", json!({ "text": text }));
        let envelope = key.sign(&statement);
        prop_assert_eq!(&Envelope::parse(&envelope.to_bytes()).unwrap(), &envelope);
        prop_assert_eq!(open(&envelope, &[key.public().clone()]).unwrap().statement, statement);
    }
}
