//! Bundles for tests: a site that makes them, who forges them, who looks at them.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use chiron::bundle::check::{Anchor, Floors, Head, check_entries_of, check_head, check_items};
use chiron::bundle::dsse::{SignedManifest, envelope};
use chiron::bundle::layout::{Blob, BundleSource, image_index, image_manifest, index_json};
use chiron::bundle::{BundleError, Held, Listing, Manifest, ReceiptStatement, Seen, TufMemory, media};
use chiron::statement::{PAYLOAD_TYPE, Statement, Subject, pae};
use chiron_storage::Digest;
use chiron_tuf::{LocalKey, Signature};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::daemon::{Daemon, DaemonOptions, Output, cli};
use super::upstream::{FakeFile, FakeUpstream};
use super::wheels::wheel;

/// A site with a network, whose bundles are tried.
pub struct Sender {
    pub daemon: Daemon,
    pub upstream: FakeUpstream,
    pub disk: tempfile::TempDir,
}

impl Sender {
    /// With three small releases.
    pub async fn new() -> Self {
        let upstream = FakeUpstream::start().await;
        let daemon = Daemon::start(
            DaemonOptions::curated(&upstream.index_url())
                // A release that comes later is on a page that was read before.
                .config("[index]\nfresh = \"1ms\"\n[airgap]\nsite = \"head-office\"\n"),
        );
        let sender = Self {
            daemon,
            upstream,
            disk: tempfile::tempdir().unwrap(),
        };
        for project in ["alpha", "beta", "gamma"] {
            sender.release(project, "1.0");
        }
        sender
    }

    /// One more release comes in.
    pub fn release(&self, project: &str, version: &str) -> FakeFile {
        let file = wheel(project, version, &[]);
        self.upstream.add(file.clone());
        self.daemon
            .cli(&["ingest", &format!("{project}=={version}")])
            .expect(0);
        file
    }

    /// Where something lies on the disk that is carried.
    pub fn on_disk(&self, name: &str) -> PathBuf {
        self.disk.path().join(name)
    }

    /// Its root of trust, brought over by another way.
    pub fn root(&self) -> PathBuf {
        self.daemon.data_dir().join("tuf/root.json")
    }

    /// A bundle: the folder or the first part of the volumes' names.
    pub fn export(&self, name: &str, more: &[&str]) -> PathBuf {
        export(&self.daemon, &self.on_disk(name), more)
    }

    /// A bundle as one folder.
    pub fn folder(&self, name: &str) -> PathBuf {
        self.export(name, &[])
    }

    /// A bundle as one tar.
    pub fn tar(&self, name: &str) -> PathBuf {
        let at = self.export(&format!("{name}.tar"), &[]);
        let found = tars(self.disk.path(), name);
        assert_eq!(found.len(), 1, "{}: {found:?}", at.display());
        found[0].clone()
    }
}

/// Has a daemon export.
pub fn export(daemon: &Daemon, out: &Path, more: &[&str]) -> PathBuf {
    let mut line = vec!["airgap", "export", out.to_str().unwrap()];
    line.extend(more);
    daemon.cli(&line).expect(0);
    out.to_owned()
}

/// The volumes whose names begin so, in order.
pub fn tars(folder: &Path, name: &str) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            let file = path.file_name().unwrap().to_string_lossy().into_owned();
            file.starts_with(name) && path.extension().is_some_and(|ending| ending == "tar")
        })
        .collect();
    found.sort();
    found
}

/// `airgap verify` where there is no site.
pub fn verify(places: &[&Path], root: &Path, more: &[&str]) -> Output {
    let nowhere = tempfile::tempdir().unwrap();
    let mut line = vec!["airgap", "verify"];
    line.extend(places.iter().map(|place| place.to_str().unwrap()));
    line.extend(["--root", root.to_str().unwrap()]);
    line.extend(more);
    cli(nowhere.path(), &line)
}

/// All of `airgap verify` in this process: thousands of times a second.
pub async fn believe(places: &[PathBuf], root: &Bytes, floors: &Floors) -> Result<Head, BundleError> {
    let source = Arc::new(BundleSource::open(places)?);
    let anchor = Anchor {
        root: root.clone(),
        memory: TufMemory::default(),
        floors: floors.clone(),
    };
    let scratch = tempfile::tempdir().unwrap();
    let head = check_head(&source, &anchor, Timestamp::now(), scratch.path()).await?;
    check_items(&head, &source, |_| {})?;
    check_entries_of(&head, &source, floors, |_, _| Ok(()))?;
    head.whole()?;
    Ok(head)
}

/// Turns one bit of a file over. Done again, it is as before.
pub fn flip(path: &Path, at: u64, bit: u8) {
    let file = fs::OpenOptions::new().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    byte[0] ^= 1 << bit;
    file.write_all_at(&byte, at).unwrap();
}

/// Every file of a folder, sorted.
pub fn files_of(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// A folder with everything in it, as open to others as it was.
pub fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    fs::set_permissions(to, fs::metadata(from).unwrap().permissions()).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let into = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &into);
        } else {
            fs::copy(entry.path(), into).unwrap();
        }
    }
}

/// The manifest of a bundle, whoever signed it.
pub fn manifest(place: &Path) -> Manifest {
    let source = BundleSource::open(&[place.to_owned()]).unwrap();
    let read = SignedManifest::parse_unverified(source.envelope()).unwrap();
    read.claimed().clone()
}

/// What a forger with keys makes of a bundle in a folder: another manifest or other listings, everything below it put
/// right again, and signed.
pub async fn forge(
    folder: &Path,
    keys: &[&LocalKey],
    change: impl FnOnce(&mut Manifest, &mut BTreeMap<u32, Listing>),
) {
    let source = BundleSource::open(&[folder.to_owned()]).unwrap();
    let mut manifest = manifest(folder);
    let mut listings: BTreeMap<u32, Listing> = manifest
        .volumes
        .iter()
        .map(|part| {
            let volume = source.volume(part.number).unwrap();
            (part.number, volume.listing(part).unwrap())
        })
        .collect();
    change(&mut manifest, &mut listings);
    drop(source);
    let blobs = folder.join("blobs/sha256");
    let put = |bytes: &[u8]| {
        fs::write(blobs.join(Digest::of(bytes).to_string()), bytes).unwrap();
        Blob::of(bytes)
    };
    for part in &mut manifest.volumes {
        let listing = put(&serde_json::to_vec(&listings[&part.number]).unwrap());
        (part.listing, part.listing_size) = (listing.digest, listing.size);
    }
    // Not by `manifest_pae`, which signs nothing that makes no sense.
    let payload = serde_json::to_vec(&manifest).unwrap();
    let pae = pae(media::MANIFEST_PAYLOAD, &payload);
    let mut signatures: Vec<Signature> = Vec::new();
    for key in keys {
        signatures.push(chiron_tuf::sign(*key, &pae).await.unwrap());
    }
    let signed = put(&envelope(&payload, &signatures).unwrap());
    let volumes: Vec<Blob> = manifest
        .volumes
        .iter()
        .map(|part| put(&image_manifest(&signed, part, &listings[&part.number]).unwrap()))
        .collect();
    let index = put(&image_index(&manifest.id, &volumes).unwrap());
    fs::write(
        folder.join("index.json"),
        index_json(&index, &manifest.id).unwrap(),
    )
    .unwrap();
}

/// A receipt of a site that has seen this much of a sender's log; signed by nobody.
pub fn receipt(path: &Path, site: &str, origin: &str, seen: Seen, complete: Seen, held: &[Digest]) {
    let mut held = held.to_vec();
    held.sort_unstable();
    let all: Vec<u8> = held.iter().flat_map(Digest::as_bytes).copied().collect();
    let statement = ReceiptStatement {
        schema: ReceiptStatement::SCHEMA.to_owned(),
        site: site.to_owned(),
        sender: origin.to_owned(),
        seen,
        complete,
        reference_time: Timestamp::now(),
        at: Timestamp::now(),
        held: Held {
            count: held.len() as u64,
            bytes: 0,
            digest: Digest::of(&all),
        },
    };
    let statement = Statement::new(
        Subject::new("bundle", Digest::of(b"bundle")),
        ReceiptStatement::PREDICATE,
        serde_json::to_value(statement).unwrap(),
    );
    let document = json!({
        "statement": {
            "payload": STANDARD.encode(statement.to_bytes()),
            "payloadType": PAYLOAD_TYPE,
            "signatures": [{ "keyid": "test", "sig": "AAAA" }],
        },
        "held": held,
    });
    fs::write(path, serde_json::to_vec(&document).unwrap()).unwrap();
}

/// The state of the log that a manifest speaks of.
pub fn seen(manifest: &Manifest) -> Seen {
    Seen {
        size: manifest.log.size,
        root: manifest.log.root,
    }
}

/// Everything of a site that a refused import must leave alone.
#[derive(Debug, PartialEq, Eq)]
pub struct State {
    checkpoint: Vec<u8>,
    blobs: Vec<PathBuf>,
    airgap: Value,
    pages: Vec<u8>,
}

/// As it is now.
pub fn state(site: &Daemon) -> State {
    State {
        checkpoint: site.get("/log/checkpoint").body.clone(),
        blobs: files_of(&site.data_dir().join("blobs")),
        airgap: serde_json::from_slice(&site.admin("GET", "/api/v1/airgap", b"").body).unwrap(),
        pages: site.get("/simple/").body.clone(),
    }
}

/// A site without a network.
pub fn closed_site(name: &str) -> Daemon {
    Daemon::start(DaemonOptions::alone().config(&format!("[airgap]\nsite = \"{name}\"\n")))
}
