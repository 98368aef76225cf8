//! Bundles of made-up contents, for tests of the format alone: no daemon, no log, no TUF repository is behind them.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;
use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use chiron::bundle::dsse::{envelope, manifest_pae};
use chiron::bundle::layout::{BundleSource, FoundVolume};
use chiron::bundle::pack::{DocumentsWriter, EntriesWriter, Packed, write_tuf};
use chiron::bundle::volume::{PlannedVolume, Planner, Shape, Writer};
use chiron::bundle::{
    BundleError, Content, Item, LogPart, Manifest, PolicyPart, Scope, Sender, SnapshotId, TufVersions,
};
use chiron_storage::Digest;
use chiron_tuf::{LocalKey, RoleKeys, Scheme, Signature, Signer as _, Threshold};
use jiff::Timestamp;

/// A bundle that is planned and signed, and may be written.
pub struct Made {
    pub shape: Shape,
    pub key: LocalKey,
    pub items: BTreeMap<Digest, Bytes>,
    pub volumes: Vec<PlannedVolume>,
    pub manifest: Manifest,
    pub envelope: Bytes,
}

pub const SMALL: Shape = Shape::Tar {
    volume_bytes: 16 << 20,
};

/// Bytes that look random, the same for the same seed.
pub fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}

fn packed(pack: &Packed, content: Content) -> (Item, Bytes) {
    let item = Item {
        digest: Digest::of(&pack.bytes),
        size: pack.bytes.len() as u64,
        content,
    };
    (item, pack.bytes.clone())
}

/// An item that is a wheel of these bytes.
pub fn wheel(number: usize, bytes: Vec<u8>) -> (Item, Bytes) {
    let item = Item {
        digest: Digest::of(&bytes),
        size: bytes.len() as u64,
        content: Content::File {
            project: format!("made-{number}"),
            filename: format!("made_{number}-1.0-py3-none-any.whl"),
        },
    };
    (item, bytes.into())
}

/// The pack that comes first in every volume.
pub fn tuf() -> (Item, Bytes) {
    let files = [
        ("metadata/1.root.json", &b"{\"root\":1}"[..]),
        ("metadata/timestamp.json", b"{}"),
        ("targets/log/checkpoint", b"made up\n"),
    ];
    let pack = write_tuf(&files).unwrap();
    let unpacked = pack.unpacked;
    packed(&pack, Content::Tuf { unpacked })
}

impl Made {
    /// So many wheels of so many bytes, some entries, some documents.
    pub fn new(shape: Shape, wheels: usize, wheel_bytes: usize) -> Self {
        let mut entries = EntriesWriter::new();
        for number in 0..20 {
            entries
                .push(format!("{{\"entry\":{number}}}").as_bytes())
                .unwrap();
        }
        let entries = entries.finish().unwrap();
        let mut documents: BTreeMap<Digest, Vec<u8>> = BTreeMap::new();
        for number in 0..10 {
            let bytes = format!("document {number} ").repeat(40).into_bytes();
            documents.insert(Digest::of(&bytes), bytes);
        }
        let mut pack = DocumentsWriter::new();
        for (digest, bytes) in &documents {
            pack.push(*digest, bytes).unwrap();
        }
        let documents = pack.finish().unwrap();
        let mut all = vec![
            packed(
                &entries,
                Content::Entries {
                    first: 0,
                    count: entries.count,
                    unpacked: entries.unpacked,
                },
            ),
            packed(
                &documents,
                Content::Documents {
                    count: documents.count,
                    unpacked: documents.unpacked,
                },
            ),
        ];
        all.extend((0..wheels).map(|number| wheel(number, noise(number as u64 + 1, wheel_bytes))));
        Self::of(shape, all)
    }

    /// These items after the TUF pack.
    pub fn of(shape: Shape, all: Vec<(Item, Bytes)>) -> Self {
        let (tuf, tuf_bytes) = tuf();
        let mut planner = Planner::new(shape, tuf.clone()).unwrap();
        let mut items = BTreeMap::from([(tuf.digest, tuf_bytes)]);
        let mut volumes = Vec::new();
        for (item, bytes) in all {
            items.insert(item.digest, bytes);
            volumes.extend(planner.push(item).unwrap());
        }
        let totals = planner.totals();
        volumes.push(planner.finish().unwrap());
        let root = Digest::of(b"a root hash");
        let manifest = Manifest {
            schema: Manifest::SCHEMA.to_owned(),
            id: SnapshotId::new(20, &root),
            created_at: "2026-01-02T03:04:05Z".parse::<Timestamp>().unwrap(),
            sender: Sender {
                origin: "made.example/log".to_owned(),
                site: "made".to_owned(),
            },
            recipient: None,
            scope: Scope::Interval,
            base: None,
            log: LogPart {
                size: 20,
                root,
                checkpoint: "made up\n".to_owned(),
                frontier: Vec::new(),
                consistency: Vec::new(),
            },
            tuf: TufVersions {
                root: 1,
                timestamp: 1,
                snapshot: 1,
                targets: 1,
            },
            policy: PolicyPart {
                profile: "made".to_owned(),
                digest: Digest::of(b"rules"),
            },
            advisories: None,
            contents: totals,
            volumes: volumes.iter().map(|volume| volume.part.clone()).collect(),
        };
        let key = LocalKey::generate(Scheme::Ed25519).unwrap();
        let envelope = sign(&manifest, &[&key]);
        Self {
            shape,
            key,
            items,
            volumes,
            manifest,
            envelope,
        }
    }

    /// The role that its key makes.
    pub fn role(&self) -> RoleKeys {
        RoleKeys::new([self.key.public().id()], Threshold::ONE).unwrap()
    }

    pub fn writer(&self, out: &Path) -> Result<Writer, BundleError> {
        match self.shape {
            Shape::Folder => {
                let mut work = out.as_os_str().to_owned();
                work.push(".partial");
                let work = PathBuf::from(work);
                fs::create_dir_all(&work).unwrap();
                Writer::folder(out, &work, self.envelope.clone())
            }
            Shape::Tar { .. } => Writer::tars(out, self.envelope.clone()),
        }
    }

    /// Writes it, and tells each item that was asked for.
    pub fn write_telling(
        &self,
        out: &Path,
        mut asked: impl FnMut(&Item),
    ) -> Result<Vec<PathBuf>, BundleError> {
        let mut writer = self.writer(out)?;
        let mut paths = Vec::new();
        for volume in &self.volumes {
            let written = writer.volume(volume, |item| {
                asked(item);
                Ok::<_, BundleError>(Cursor::new(self.items[&item.digest].clone()))
            })?;
            paths.push(written.path);
        }
        writer.finish()?;
        paths.dedup();
        Ok(paths)
    }

    /// Writes it; the folder, or the tars.
    pub fn write(&self, out: &Path) -> Vec<PathBuf> {
        self.write_telling(out, |_| {}).unwrap()
    }

    /// Everything that a reader can check without knowing keys: every item of every volume.
    pub fn check(&self, places: &[PathBuf]) -> Result<Vec<u32>, BundleError> {
        let source = BundleSource::open(places)?;
        assert_eq!(source.envelope(), &self.envelope);
        read_all(&source, &self.manifest)?;
        Ok(source.volumes().iter().map(FoundVolume::number).collect())
    }
}

/// Reads every item of every volume at hand.
pub fn read_all(source: &BundleSource, manifest: &Manifest) -> Result<(), BundleError> {
    for volume in source.volumes() {
        let part = &manifest.volumes[volume.number() as usize - 1];
        for item in volume.listing(part)?.items {
            let bytes = volume.open(&item)?.read_all(item.size)?;
            assert_eq!(Digest::of(&bytes), item.digest);
            volume.open(&item)?.verify(|_| {})?;
        }
    }
    Ok(())
}

/// An envelope by these keys.
pub fn sign(manifest: &Manifest, keys: &[&LocalKey]) -> Bytes {
    let (payload, covered) = manifest_pae(manifest).unwrap();
    let signatures: Vec<Signature> = keys.iter().map(|key| signature(key, &covered)).collect();
    envelope(&payload, &signatures).unwrap()
}

pub fn signature(key: &LocalKey, covered: &[u8]) -> Signature {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let sig = runtime.block_on(key.sign(covered)).unwrap();
    Signature::new(key.public().id(), sig)
}

/// Every file below a folder: relative name and bytes.
pub fn tree(root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.insert(
                    path.strip_prefix(root).unwrap().to_owned(),
                    fs::read(&path).unwrap(),
                );
            }
        }
    }
    found
}
