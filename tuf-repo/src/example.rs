//! Keys and documents that tests begin with.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use jiff::Timestamp;

use crate::metadata::{
    DelegatedRole, Delegations, MetaFile, Root, RootType, SPEC_VERSION, Snapshot, SnapshotType, TargetFile,
    Targets, TargetsType, TimestampMetadata, TimestampType,
};
use crate::{
    Document, Envelope, KeyId, LocalKey, PublicKey, Role, RoleKeys, Signature, Signer, Threshold, sign,
};

/// The Ed25519 key whose seed is this byte 32 times: the same in every run.
pub(crate) fn key(seed: u8) -> LocalKey {
    let prefix = b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20";
    LocalKey::from_pkcs8(&[&prefix[..], &[seed; 32]].concat()).unwrap()
}

/// What a future gives that never waits, as keys in memory do not.
pub(crate) fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("it waits"),
    }
}

pub(crate) fn signature(key: &LocalKey, payload: &[u8]) -> Signature {
    now(sign(key, payload)).unwrap()
}

/// `threshold` of these keys.
pub(crate) fn role_keys(keys: &[&LocalKey], threshold: u32) -> RoleKeys {
    let ids = keys.iter().map(|key| key.public().id());
    RoleKeys::new(ids, Threshold::new(threshold).unwrap()).unwrap()
}

/// The public keys of these seeds, by id.
pub(crate) fn keys(seeds: &[u8]) -> BTreeMap<KeyId, PublicKey> {
    let keys = seeds.iter().map(|seed| key(*seed));
    keys.map(|key| (key.public().id(), key.public().clone()))
        .collect()
}

/// `threshold` of the keys of these seeds.
pub(crate) fn of(seeds: &[u8], threshold: u32) -> RoleKeys {
    let keys: Vec<LocalKey> = seeds.iter().map(|seed| key(*seed)).collect();
    role_keys(&keys.iter().collect::<Vec<_>>(), threshold)
}

/// What the key of this seed is called.
pub(crate) fn id(seed: u8) -> KeyId {
    key(seed).public().id()
}

pub(crate) fn expires() -> Timestamp {
    "2030-01-01T00:00:00Z".parse().unwrap()
}

/// Version 1; all four roles by the keys 1 and 2, one of which is enough.
pub(crate) fn root() -> Root {
    let keys = [key(1), key(2)];
    let role = role_keys(&[&keys[0], &keys[1]], 1);
    Root {
        kind: RootType::Only,
        spec_version: SPEC_VERSION.to_owned(),
        version: 1,
        expires: expires(),
        consistent_snapshot: true,
        keys: keys
            .iter()
            .map(|key| (key.public().id(), key.public().clone()))
            .collect(),
        roles: [Role::Root, Role::Targets, Role::Snapshot, Role::Timestamp]
            .map(|name| (name.name(), role.clone()))
            .into(),
    }
}

/// Version 1; one target, and `trust/*` delegated to the key 3.
pub(crate) fn targets() -> Targets {
    let trust = key(3);
    Targets {
        kind: TargetsType::Only,
        spec_version: SPEC_VERSION.to_owned(),
        version: 1,
        expires: expires(),
        targets: BTreeMap::from([("log/checkpoint".to_owned(), TargetFile::of(b"a checkpoint"))]),
        delegations: Some(Delegations {
            keys: BTreeMap::from([(trust.public().id(), trust.public().clone())]),
            roles: vec![DelegatedRole {
                name: Role::Trust.name(),
                keys: role_keys(&[&trust], 1),
                terminating: true,
                paths: Some(vec!["trust/*".to_owned()]),
                path_hash_prefixes: None,
            }],
        }),
    }
}

/// Version 1 of version 1 of targets and trust.
pub(crate) fn snapshot() -> Snapshot {
    Snapshot {
        kind: SnapshotType::Only,
        spec_version: SPEC_VERSION.to_owned(),
        version: 1,
        expires: expires(),
        meta: ["targets.json", "trust.json"]
            .map(|file| (file.to_owned(), MetaFile::version(1)))
            .into(),
    }
}

/// Version 1 of the snapshot's version 1.
pub(crate) fn timestamp() -> TimestampMetadata {
    TimestampMetadata {
        kind: TimestampType::Only,
        spec_version: SPEC_VERSION.to_owned(),
        version: 1,
        expires: expires(),
        meta: BTreeMap::from([("snapshot.json".to_owned(), MetaFile::pinned(1, b"a snapshot"))]),
    }
}

/// The document, signed by these keys.
pub(crate) fn signed<T: Document>(signed: T, keys: &[&LocalKey]) -> Envelope<T> {
    let mut envelope = Envelope {
        signatures: Vec::new(),
        signed,
    };
    let payload = envelope.payload().unwrap();
    envelope.signatures = keys.iter().map(|key| signature(key, &payload)).collect();
    envelope
}
