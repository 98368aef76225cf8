//! A client that believes nothing: walks a whole signed repository from root 1, over HTTP or in a folder, and verifies every
//! byte of metadata with `chiron-tuf`.

use std::collections::BTreeMap;
use std::path::Path;

use chiron_storage::Digest;
use chiron_tuf::{
    BinCount, Document, Envelope, KeyId, MetaFile, MetadataName, PublicKey, Role, RoleKeys, Root, Snapshot,
    TargetFile, TargetPath, Targets, TimestampMetadata, Version, verify,
};
use jiff::Timestamp;
use serde_json::Value;

use super::daemon::Daemon;

/// What the newest timestamp signs.
#[derive(Clone, Debug, PartialEq)]
pub struct Whole {
    /// By role, as metadata names it.
    pub versions: BTreeMap<String, Version>,
    /// All targets, those of `trust` too.
    pub targets: BTreeMap<String, TargetFile>,
    /// The bytes of the timestamp.
    pub timestamp: Vec<u8>,
    pub expires: Timestamp,
}

impl Whole {
    /// The digest of a target.
    #[track_caller]
    pub fn sha256(&self, path: &str) -> String {
        let target = self.targets.get(path);
        let target = target.unwrap_or_else(|| panic!("{path} is no target: {:?}", self.targets.keys()));
        target.sha256().unwrap().to_owned()
    }

    pub fn version(&self, role: &str) -> Version {
        self.versions.get(role).copied().unwrap_or(0)
    }
}

/// Where metadata comes from.
type Fetch<'a> = dyn Fn(&str) -> Option<Vec<u8>> + 'a;

/// The repository that a daemon serves; an error says what does not verify.
pub fn served(daemon: &Daemon) -> Result<Whole, String> {
    walk(&|name| {
        let answer = daemon.get(&format!("/tuf/metadata/{name}"));
        (answer.status == 200).then_some(answer.body)
    })
}

/// The repository in a data folder.
pub fn on_disk(data: &Path) -> Result<Whole, String> {
    walk(&|name| std::fs::read(data.join("tuf/metadata").join(name)).ok())
}

/// A target's bytes as a client gets them, verified.
#[track_caller]
pub fn target(daemon: &Daemon, whole: &Whole, path: &str) -> Vec<u8> {
    let sha256 = whole.sha256(path);
    let (folder, file) = path.rsplit_once('/').unwrap();
    let beside = daemon.get(&format!("/tuf/targets/{folder}/{sha256}.{file}"));
    let before = daemon.get(&format!("/tuf/targets/{sha256}.{path}"));
    assert_eq!((beside.status, before.status), (200, 200), "{path}: {beside}");
    assert_eq!(beside.body, before.body);
    assert_eq!(Digest::of(&beside.body).to_string(), sha256, "{path}");
    assert_eq!(beside.body.len() as u64, whole.targets[path].length, "{path}");
    beside.body
}

fn walk(fetch: &Fetch<'_>) -> Result<Whole, String> {
    let root = newest_root(fetch)?;
    let mut versions = BTreeMap::from([("root".to_owned(), root.version)]);
    let by_root = |role: Role| (&root.keys, &root.roles[&role.name()]);

    let timestamp_bytes = fetch("timestamp.json").ok_or("there is no timestamp")?;
    let timestamp: TimestampMetadata = signed(&timestamp_bytes, by_root(Role::Timestamp), Role::Timestamp)?;
    versions.insert("timestamp".to_owned(), timestamp.version);

    let named = &timestamp.meta["snapshot.json"];
    let snapshot: Snapshot = named_file(fetch, Role::Snapshot, named, by_root(Role::Snapshot))?;
    versions.insert("snapshot".to_owned(), snapshot.version);

    let meta = |role: Role| {
        let name = format!("{role}.json");
        snapshot
            .meta
            .get(&name)
            .ok_or(format!("the snapshot does not name {name}"))
    };
    let targets: Targets = named_file(fetch, Role::Targets, meta(Role::Targets)?, by_root(Role::Targets))?;
    versions.insert("targets".to_owned(), targets.version);
    let by_targets = |role: Role| delegated(&targets, role);

    let trust: Targets = named_file(fetch, Role::Trust, meta(Role::Trust)?, by_targets(Role::Trust)?)?;
    let bins: Targets = named_file(fetch, Role::Bins, meta(Role::Bins)?, by_targets(Role::Bins)?)?;
    versions.insert("trust".to_owned(), trust.version);
    versions.insert("bins".to_owned(), bins.version);
    let mut all = trust.targets;

    let count = BinCount::read(bins.delegations.as_ref().unwrap()).map_err(|error| error.to_string())?;
    for bin in count.bins() {
        let role = Role::Bin(bin);
        let signed: Targets = named_file(fetch, role, meta(role)?, delegated(&bins, role)?)?;
        versions.insert(role.to_string(), signed.version);
        for (path, target) in signed.targets {
            let parsed: TargetPath = path.parse().map_err(|error| format!("{error}"))?;
            if count.of(&parsed.hash()) != bin {
                return Err(format!("{path} is listed by {bin}, which is not asked for it"));
            }
            all.insert(path, target);
        }
    }
    Ok(Whole {
        versions,
        targets: all,
        timestamp: timestamp_bytes,
        expires: timestamp.expires,
    })
}

type Authority<'a> = (&'a BTreeMap<KeyId, PublicKey>, &'a RoleKeys);

fn newest_root(fetch: &Fetch<'_>) -> Result<Root, String> {
    let first = fetch("1.root.json").ok_or("there is no root 1")?;
    let mut root = Envelope::<Root>::parse(&first)
        .map_err(|error| error.to_string())?
        .signed;
    let own = |root: &Root| (root.keys.clone(), root.roles[&Role::Root.name()].clone());
    let (keys, role) = own(&root);
    root = signed(&first, (&keys, &role), Role::Root)?;
    while let Some(next) = fetch(&format!("{}.root.json", root.version + 1)) {
        let (keys, role) = own(&root);
        let new: Root = signed(&next, (&keys, &role), Role::Root)?;
        let (keys, role) = own(&new);
        signed::<Root>(&next, (&keys, &role), Role::Root)?;
        if new.version != root.version + 1 {
            return Err(format!("root {} follows root {}", new.version, root.version));
        }
        root = new;
    }
    Ok(root)
}

fn delegated(by: &Targets, role: Role) -> Result<Authority<'_>, String> {
    let delegations = by.delegations.as_ref().ok_or("no delegations")?;
    let name = role.name();
    let found = delegations.roles.iter().find(|one| one.name == name);
    let found = found.ok_or(format!("nobody delegates to {role}"))?;
    Ok((&delegations.keys, &found.keys))
}

fn named_file<T: Document>(
    fetch: &Fetch<'_>,
    role: Role,
    named: &MetaFile,
    authority: Authority<'_>,
) -> Result<T, String> {
    let name = MetadataName::of(role, named.version).to_string();
    let bytes = fetch(&name).ok_or(format!("{name} is named and not there"))?;
    if named.length.is_some_and(|length| length != bytes.len() as u64) {
        return Err(format!("{name} has another length"));
    }
    if let Some(hashes) = &named.hashes
        && hashes["sha256"] != Digest::of(&bytes).to_string()
    {
        return Err(format!("{name} has another digest"));
    }
    let document: T = signed(&bytes, authority, role)?;
    if document.version() == named.version {
        Ok(document)
    } else {
        Err(format!("{name} says that it is version {}", document.version()))
    }
}

fn signed<T: Document>(bytes: &[u8], (keys, role): Authority<'_>, whose: Role) -> Result<T, String> {
    let envelope = Envelope::<T>::parse(bytes).map_err(|error| format!("{whose}: {error}"))?;
    let payload = envelope.payload().map_err(|error| format!("{whose}: {error}"))?;
    verify(keys, role, &payload, &envelope.signatures).map_err(|error| format!("{whose}: {error}"))?;
    Ok(envelope.signed)
}

/// What `custom` says of a target's documents.
pub fn custom(target: &TargetFile) -> &Value {
    &target.custom.as_ref().unwrap()["chiron"]
}
