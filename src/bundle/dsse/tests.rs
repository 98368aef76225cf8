#![allow(clippy::unwrap_used, clippy::expect_used, clippy::cast_possible_truncation)]

use chiron_tuf::{LocalKey, Scheme, Signer as _, Threshold};
use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::bundle::{LogPart, PolicyPart, Scope, Sender, SnapshotId, Totals, TufVersions, VolumePart};

fn manifest() -> Manifest {
    let root = Digest::of(b"root");
    Manifest {
        schema: Manifest::SCHEMA.to_owned(),
        id: SnapshotId::new(3, &root),
        created_at: "2026-01-02T03:04:05Z".parse().unwrap(),
        sender: Sender {
            origin: "site.example/log".to_owned(),
            site: "site".to_owned(),
        },
        recipient: None,
        scope: Scope::Interval,
        base: None,
        log: LogPart {
            size: 3,
            root,
            checkpoint: "site.example/log\n3\n".to_owned(),
            frontier: Vec::new(),
            consistency: Vec::new(),
        },
        tuf: TufVersions {
            root: 1,
            timestamp: 4,
            snapshot: 3,
            targets: 2,
        },
        policy: PolicyPart {
            profile: "strict".to_owned(),
            digest: Digest::of(b"policy"),
        },
        advisories: None,
        contents: Totals {
            bytes: 7,
            ..Totals::default()
        },
        volumes: vec![VolumePart {
            number: 1,
            listing: Digest::of(b"listing"),
            listing_size: 7,
            items: 1,
            bytes: 7,
        }],
    }
}

async fn signed_by(key: &LocalKey, covered: &[u8]) -> Signature {
    Signature::new(key.public().id(), key.sign(covered).await.unwrap())
}

fn role(keys: &[&LocalKey], threshold: u32) -> (BTreeMap<KeyId, PublicKey>, RoleKeys) {
    let all = keys.iter().map(|key| (key.public().id(), key.public().clone()));
    let ids = keys.iter().map(|key| key.public().id());
    (
        all.collect(),
        RoleKeys::new(ids, Threshold::new(threshold).unwrap()).unwrap(),
    )
}

#[tokio::test]
async fn enough_keys_of_the_role_are_believed() {
    let [a, b, foreign] =
        [Scheme::Ed25519, Scheme::EcdsaP256, Scheme::Ed25519].map(|s| LocalKey::generate(s).unwrap());
    let manifest = manifest();
    let (payload, covered) = manifest_pae(&manifest).unwrap();
    let both = [signed_by(&a, &covered).await, signed_by(&b, &covered).await];
    let bytes = envelope(&payload, &both).unwrap();
    let read = SignedManifest::parse_unverified(&bytes).unwrap();
    assert_eq!(read.claimed(), &manifest);
    assert_eq!(
        read.claimed_keys().collect::<Vec<_>>(),
        [a.public().id(), b.public().id()]
    );

    let (keys, two) = role(&[&a, &b], 2);
    let signed = read.clone().verify(&keys, &two).unwrap();
    assert_eq!(signed.manifest, manifest);
    assert_eq!(signed.digest, Digest::of(&bytes));
    assert_eq!(signed.envelope, bytes);

    for (what, known) in [
        ("a key that signed nothing", role(&[&foreign], 1)),
        ("one key too few", role(&[&a, &b, &foreign], 3)),
    ] {
        let refused = read.clone().verify(&known.0, &known.1);
        assert!(matches!(refused, Err(BundleError::NotTrusted { .. })), "{what}");
    }
}

/// The same keys sign TUF's `snapshot` metadata, in canonical JSON, without DSSE's frame.
#[tokio::test]
async fn a_signature_over_the_payload_alone_is_none() {
    let key = LocalKey::generate(Scheme::Ed25519).unwrap();
    let (keys, one) = role(&[&key], 1);
    let (payload, _) = manifest_pae(&manifest()).unwrap();
    let other_type = pae("application/vnd.in-toto+json", &payload);
    for covered in [&payload, &other_type] {
        let bytes = envelope(&payload, &[signed_by(&key, covered).await]).unwrap();
        let read = SignedManifest::parse_unverified(&bytes).unwrap();
        assert!(matches!(
            read.verify(&keys, &one),
            Err(BundleError::NotTrusted { .. })
        ));
    }
}

#[tokio::test]
async fn an_envelope_has_one_spelling() {
    let key = LocalKey::generate(Scheme::Ed25519).unwrap();
    let (payload, covered) = manifest_pae(&manifest()).unwrap();
    let signature = signed_by(&key, &covered).await;
    let bytes = envelope(&payload, std::slice::from_ref(&signature)).unwrap();
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    let wire: Value = serde_json::from_str(&text).unwrap();
    let changed = |change: &dyn Fn(&mut Value)| {
        let mut wire = wire.clone();
        change(&mut wire);
        serde_json::to_vec(&wire).unwrap()
    };
    let other_payload = |payload: &str| STANDARD.encode(payload);
    let plain = String::from_utf8(payload.clone()).unwrap();
    for (what, bytes) in [
        ("blanks", text.replacen(',', ", ", 1).into_bytes()),
        (
            "another type",
            changed(&|w| w["payloadType"] = PAYLOAD_OF_STATEMENTS.into()),
        ),
        ("an unknown field", changed(&|w| w["more"] = 1.into())),
        (
            "no signature",
            changed(&|w| w["signatures"] = Value::Array(vec![])),
        ),
        (
            "a signature without key",
            changed(&|w| w["signatures"][0]["keyid"] = Value::Null),
        ),
        ("not base64", changed(&|w| w["payload"] = "%".into())),
        (
            "an unknown field inside",
            changed(&|w| {
                w["payload"] = other_payload(&plain.replacen('{', "{\"more\":1,", 1)).into();
            }),
        ),
        (
            "blanks inside",
            changed(&|w| w["payload"] = other_payload(&plain.replacen(',', ", ", 1)).into()),
        ),
        (
            "a digest without its kind",
            changed(&|w| {
                w["payload"] = other_payload(&plain.replacen("\"sha256:", "\"", 1)).into();
            }),
        ),
        ("empty", Vec::new()),
    ] {
        let refused = SignedManifest::parse_unverified(&bytes);
        assert!(matches!(refused, Err(BundleError::Damaged { .. })), "{what}");
    }
    let many = vec![signature; MAX_SIGNATURES + 1];
    assert!(SignedManifest::parse_unverified(&envelope(&payload, &many).unwrap()).is_err());
    let long = vec![b' '; MAX_ENVELOPE_BYTES as usize + 1];
    assert!(matches!(
        SignedManifest::parse_unverified(&long),
        Err(BundleError::TooLarge { .. })
    ));
}

const PAYLOAD_OF_STATEMENTS: &str = "application/vnd.in-toto+json";

proptest! {
    #[test]
    fn one_flipped_bit_is_refused_or_not_believed(at: u16, bit in 0..8_u8) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let key = LocalKey::generate(Scheme::Ed25519).unwrap();
        let (keys, one) = role(&[&key], 1);
        let (payload, covered) = manifest_pae(&manifest()).unwrap();
        let signature = runtime.block_on(signed_by(&key, &covered));
        let mut bytes = envelope(&payload, &[signature]).unwrap().to_vec();
        let at = usize::from(at) % bytes.len();
        bytes[at] ^= 1 << bit;
        if let Ok(read) = SignedManifest::parse_unverified(&bytes) {
            prop_assert!(read.verify(&keys, &one).is_err());
        }
    }
}
