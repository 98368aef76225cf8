//! Writes a signed repository into a folder: `cargo run --release -p chiron-tuf --example repository -- FOLDER [BINS] [TARGETS]`.
//!
//! It has what Chiron publishes: six keys, `targets` → `trust` and `bins` → the bins, a snapshot and a timestamp. Any TUF
//! client can be pointed at `FOLDER/metadata` and `FOLDER/targets`, and begins with `FOLDER/metadata/1.root.json`.
#![allow(clippy::print_stdout, reason = "an example tells what it did")]

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::future::Future;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;
use std::{env, fs};

use chiron_tuf::{
    Authority, BinCount, ConsistentTarget, Draft, Edition, Ledger, LedgerRow, LocalKey, PublicKey, Role,
    RoleKeys, Root, RootType, SPEC_VERSION, Scheme, SignedDocument, Signer, TargetEntry, TargetFile,
    TargetPath, Threshold, expires_at, sign_document, top_delegations,
};
use jiff::Timestamp;
use serde_json::json;
use sha2::{Digest as _, Sha256};

type Keys = BTreeMap<chiron_tuf::KeyId, PublicKey>;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let folder = arguments
        .next()
        .ok_or("usage: repository FOLDER [BINS] [TARGETS]")?;
    let bins = BinCount::new(arguments.next().map_or(Ok(256), |bins| bins.parse())?)?;
    let targets: u64 = arguments.next().map_or(Ok(1_000), |targets| targets.parse())?;
    let (metadata, content) = (
        Path::new(&folder).join("metadata"),
        Path::new(&folder).join("targets"),
    );
    fs::create_dir_all(&metadata)?;
    let write =
        |document: &SignedDocument| fs::write(metadata.join(document.name().to_string()), document.bytes());

    let now = Timestamp::now();
    let root_key = key(Scheme::EcdsaP256)?;
    let [top, trust, bins_key, online, last] = [(); 5].map(|()| key(Scheme::Ed25519));
    let (top, trust, bins_key, online, last) = (top?, trust?, bins_key?, online?, last?);
    let keys: Keys = [&root_key, &top, &trust, &bins_key, &online, &last]
        .map(|key| (key.public().id(), key.public().clone()))
        .into();

    // The root, which everything else follows from.
    let of = |key: &Arc<dyn Signer>| RoleKeys::new([key.public().id()], Threshold::ONE);
    let roles = BTreeMap::from([
        (Role::Root.name(), of(&root_key)?),
        (Role::Targets.name(), of(&top)?),
        (Role::Snapshot.name(), of(&online)?),
        (Role::Timestamp.name(), of(&last)?),
    ]);
    let named: BTreeSet<_> = roles.values().flat_map(RoleKeys::keyids).copied().collect();
    let root = Root {
        kind: RootType::Only,
        spec_version: SPEC_VERSION.to_owned(),
        version: 1,
        expires: expires_at(Role::Root, now)?,
        consistent_snapshot: true,
        keys: keys
            .clone()
            .into_iter()
            .filter(|(id, _)| named.contains(id))
            .collect(),
        roles,
    };
    let root = signed(&Draft::of(Role::Root, &root)?, &keys, &root_key)?;
    write(&root)?;

    // The delegations, each signed by the keys of its role.
    let ledger = Ledger::from_iter([(Role::Root, LedgerRow::of(1, root.bytes()))]);
    let mut edition = Edition::after(ledger, now);
    let policy = b"{\"profile\":\"standard\"}\n";
    put(&content, &TargetPath::trust("policy.json")?, policy)?;
    let trusted = BTreeMap::from([("trust/policy.json".to_owned(), TargetFile::of(policy))]);
    let delegated = top_delegations(&keys, &of(&trust)?, &of(&bins_key)?);
    for (role, targets, delegations, signer) in [
        (Role::Targets, BTreeMap::new(), Some(delegated), &top),
        (Role::Trust, trusted, None, &trust),
        (
            Role::Bins,
            BTreeMap::new(),
            Some(bins.delegations(&keys, &of(&online)?)),
            &bins_key,
        ),
    ] {
        let document = signed(&edition.targets(role, targets, delegations)?, &keys, signer)?;
        edition.add(&document)?;
        write(&document)?;
    }

    // The targets, each in the bin of its path.
    let mut entries: BTreeMap<_, Vec<TargetEntry>> = bins.bins().map(|bin| (bin, Vec::new())).collect();
    for number in 0..targets {
        let project = format!("project-{}", number / 10);
        let body = format!("file {number} of the example\n").into_bytes();
        let path = TargetPath::file(
            &project,
            &format!("project_{}-1.{}-py3-none-any.whl", number / 10, number % 10),
        )?;
        let mut file = TargetFile::of(&body);
        file.custom =
            Some(json!({"chiron": {"verdict": format!("sha256:{}", file.sha256().unwrap_or_default())}}));
        if number < 10 {
            put(&content, &path, &body)?;
        }
        entries
            .entry(bins.of(&path.hash()))
            .or_default()
            .push(TargetEntry::of(&path, &file)?);
    }
    let started = Instant::now();
    for (bin, entries) in &entries {
        let document = signed(&edition.bin(*bin, entries)?, &keys, &online)?;
        edition.add(&document)?;
        write(&document)?;
    }
    println!(
        "{} bins of {targets} targets signed and written in {:?}",
        bins.get(),
        started.elapsed()
    );

    // What binds them together, the timestamp last.
    let stage = edition.snapshot()?;
    let snapshot = signed(stage.draft(), &keys, &online)?;
    write(&snapshot)?;
    let stage = stage.signed(&snapshot)?;
    let timestamp = signed(stage.draft(), &keys, &last)?;
    write(&timestamp)?;
    let finished = stage.signed(&timestamp)?;
    println!(
        "{} files, the last of them {}",
        finished.files.len(),
        timestamp.name()
    );
    Ok(())
}

fn key(scheme: Scheme) -> Result<Arc<dyn Signer>, Box<dyn Error>> {
    Ok(Arc::new(LocalKey::generate(scheme)?))
}

fn signed(draft: &Draft, keys: &Keys, signer: &Arc<dyn Signer>) -> Result<SignedDocument, Box<dyn Error>> {
    let role = RoleKeys::new([signer.public().id()], Threshold::ONE)?;
    let authority = [Authority { keys, role: &role }];
    // Keys in memory never wait.
    let signing = pin!(sign_document(draft, &authority, std::slice::from_ref(signer)));
    match signing.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(document) => Ok(document?),
        Poll::Pending => Err("a key in memory waits".into()),
    }
}

/// Under both names that clients ask for.
fn put(content: &Path, path: &TargetPath, body: &[u8]) -> Result<(), Box<dyn Error>> {
    let target = ConsistentTarget {
        path: path.clone(),
        sha256: Sha256::digest(body).into(),
    };
    for name in [target.beside_file(), target.before_path()] {
        let place = content.join(name);
        fs::create_dir_all(place.parent().unwrap_or(content))?;
        fs::write(place, body)?;
    }
    println!("target {path}");
    Ok(())
}
