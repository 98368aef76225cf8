//! The sender's TUF metadata: what a bundle carries of it, verified from a root that the reader holds.
//!
//! The pack is laid out in a scratch folder as the repository that it is a part of, and `tuf_client` verifies it as it
//! would any other, from what the reader remembers of the sender: versions never go back.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use chiron_tuf::{ConsistentTarget, Envelope, MetadataName, Root, TargetPath};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::check::Anchor;
use super::limits::MAX_TUF_BYTES;
use super::{BundleError, TufVersions};
use crate::blocking;
use crate::tuf_client::{Check, Patience, Source, TufClient, TufClientError, Verified};

/// The client walks 256 roots at a time and goes on from there; the pack cannot hold more than these rounds would find.
const MAX_ROUNDS: usize = 1 + super::limits::MAX_TUF_FILES / 256;
/// Bytes of all that is remembered of one sender. Threat: a row that fills the memory.
const MAX_MEMORY_BYTES: u64 = 64 << 20;

/// What a reader remembers of a sender's repository between bundles: the files of `tuf_client`'s state folder. All of them are
/// text.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TufMemory {
    /// By their paths in the folder.
    files: BTreeMap<String, String>,
}

impl TufMemory {
    /// Whether nothing is remembered.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Lays it out. Blocks.
    fn write(&self, folder: &Path) -> Result<(), BundleError> {
        for (name, text) in &self.files {
            if is_state_file(name) {
                write(&folder.join(name), text.as_bytes())?;
            }
        }
        Ok(())
    }

    /// Reads what a client left. Blocks.
    fn read(folder: &Path) -> Result<Self, BundleError> {
        let mut files = BTreeMap::new();
        let mut left = MAX_MEMORY_BYTES;
        for below in ["", "roots"] {
            let folder = folder.join(below);
            let listed = std::fs::read_dir(&folder).map_err(|error| unread(&folder, error))?;
            for entry in listed {
                let entry = entry.map_err(|error| unread(&folder, error))?;
                let name = Path::new(below)
                    .join(entry.file_name())
                    .to_string_lossy()
                    .into_owned();
                if !is_state_file(&name) {
                    continue;
                }
                let path = entry.path();
                let text = std::fs::read_to_string(&path).map_err(|error| unread(&path, error))?;
                left = left
                    .checked_sub(text.len() as u64)
                    .ok_or_else(|| BundleError::TooLarge {
                        what: "what is remembered of the sender's repository".to_owned(),
                        found: MAX_MEMORY_BYTES - left + text.len() as u64,
                        limit: MAX_MEMORY_BYTES,
                        unit: "bytes",
                    })?;
                files.insert(name, text);
            }
        }
        Ok(Self { files })
    }
}

/// `trusted.json`, `roots/N.root.json`: nothing else of a state folder is kept.
fn is_state_file(name: &str) -> bool {
    let root = name
        .strip_prefix("roots/")
        .and_then(|name| name.strip_suffix(".root.json"));
    name == "trusted.json"
        || root.is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|c| c.is_ascii_digit()))
}

/// A pack's files, by their paths in it.
pub(super) type Files = Vec<(String, Bytes)>;

/// What the pack turned out to be.
#[derive(Debug, Clone)]
pub(super) struct Believed {
    /// The newest verified root, its file.
    pub root: Bytes,
    /// The same, read.
    pub document: Root,
    /// Of the metadata.
    pub versions: TufVersions,
    /// When the timestamp ceases to be believed.
    pub expires: Timestamp,
    /// The target `log/checkpoint`.
    pub checkpoint: Bytes,
    /// The targets `trust/*`, without that prefix.
    pub trust: Files,
    /// What to remember from now on.
    pub memory: TufMemory,
}

/// Verifies a pack from the anchor's root and memory. Everything is judged as of `reference`. `scratch` is an empty folder.
pub(super) async fn believe(
    pack: Files,
    anchor: &Anchor,
    reference: Timestamp,
    scratch: &Path,
) -> Result<Believed, BundleError> {
    let state = scratch.join("state");
    let client = {
        let (scratch, state) = (scratch.to_owned(), state.clone());
        let (root, memory) = (anchor.root.clone(), anchor.memory.clone());
        let opening = blocking::run(move || open(&pack, &root, &memory, &scratch, &state, reference));
        opening.await.map_err(lost_work)??
    };
    let (client, listed) = client;
    let refused = |error: TufClientError| from_client(&error, reference);
    let verified = refresh(&client, reference).await.map_err(refused)?;
    let checkpoint = target(&client, &TargetPath::checkpoint(), reference).await?;
    let mut trust = Vec::new();
    for path in listed {
        let bytes = target(&client, &path, reference).await?;
        let name = path.as_str().trim_start_matches("trust/").to_owned();
        trust.push((name, bytes));
    }
    let root = client
        .newest_root()
        .await
        .ok_or_else(|| BundleError::NotTrusted {
            what: format!("{}.root.json", verified.root),
            why: "the client that verified it does not have it".to_owned(),
        })?;
    // The client wrote its memory before it said that all is well.
    drop(client);
    let reading = blocking::run(move || TufMemory::read(&state));
    let memory = reading.await.map_err(lost_work)??;
    Ok(Believed {
        document: read_root(&root)?,
        root,
        versions: TufVersions {
            root: verified.root,
            timestamp: verified.timestamp,
            snapshot: verified.snapshot,
            targets: verified.targets,
        },
        expires: verified.expires,
        checkpoint,
        trust,
        memory,
    })
}

/// Lays everything out and opens the client. Also gives the documents of trust that the pack has. Blocks.
fn open(
    pack: &[(String, Bytes)],
    root: &[u8],
    memory: &TufMemory,
    scratch: &Path,
    state: &Path,
    reference: Timestamp,
) -> Result<(TufClient, Vec<TargetPath>), BundleError> {
    let mut trust = Vec::new();
    for (name, bytes) in pack {
        let place = Place::of(name).ok_or_else(|| BundleError::Damaged {
            what: "the pack with TUF metadata".to_owned(),
            why: format!("it has {name:?}, which has no place in it"),
        })?;
        if let Place::Target(target) = place
            && target.path.is_trust()
        {
            trust.push(target.path);
        }
        write(&scratch.join("repository").join(name), bytes)?;
    }
    memory.write(state)?;
    let source = Source::Folder {
        metadata: scratch.join("repository/metadata"),
        targets: scratch.join("repository/targets"),
    };
    let client = TufClient::open_at(source, root, state, Patience::default(), Some(reference))
        .map_err(|error| from_client(&error, reference))?;
    Ok((client, trust))
}

/// Where a file of the pack belongs.
enum Place {
    Metadata,
    Target(ConsistentTarget),
}

impl Place {
    /// Only names of metadata files, and of the targets that a bundle needs: none of them leaves the folder.
    fn of(name: &str) -> Option<Self> {
        if let Some(name) = name.strip_prefix("metadata/") {
            return name.parse::<MetadataName>().ok().map(|_| Self::Metadata);
        }
        let target = ConsistentTarget::candidates(name.strip_prefix("targets/")?).next()?;
        let wanted = target.path == TargetPath::checkpoint() || target.path.is_trust();
        // One spelling: what is asked for is what was looked at.
        (wanted && name == format!("targets/{}", target.beside_file())).then_some(Self::Target(target))
    }
}

/// Refreshes until the newest root is reached.
async fn refresh(client: &TufClient, reference: Timestamp) -> Result<Verified, TufClientError> {
    let mut last = client.refresh(reference).await;
    for _ in 1..MAX_ROUNDS {
        match &last {
            Err(error) if error.check() == Some(Check::RootChain) => {}
            _ => break,
        }
        last = client.refresh(reference).await;
    }
    last
}

/// A target's bytes, verified.
async fn target(client: &TufClient, path: &TargetPath, reference: Timestamp) -> Result<Bytes, BundleError> {
    let refused = |error: TufClientError| from_client(&error, reference);
    let target = client.target(path, reference).await.map_err(refused)?;
    let target = target.ok_or_else(|| BundleError::NotTrusted {
        what: path.to_string(),
        why: "no role of the sender's repository lists it".to_owned(),
    })?;
    client.fetch_bytes(&target, MAX_TUF_BYTES).await.map_err(refused)
}

/// The verified root as our own types read it, and signed by its own keys as they see it: the two readers agree.
fn read_root(bytes: &[u8]) -> Result<Root, BundleError> {
    let not_trusted = |why: String| BundleError::NotTrusted {
        what: "the sender's newest root".to_owned(),
        why,
    };
    let envelope = Envelope::<Root>::parse(bytes).map_err(|error| not_trusted(error.to_string()))?;
    let payload = envelope
        .payload()
        .map_err(|error| not_trusted(error.to_string()))?;
    let root = envelope.signed;
    let role = root.roles.get(&chiron_tuf::Role::Root.name());
    let role = role.ok_or_else(|| not_trusted("it names no keys for root".to_owned()))?;
    chiron_tuf::verify(&root.keys, role, &payload, &envelope.signatures)
        .map_err(|error| not_trusted(error.to_string()))?;
    Ok(root)
}

/// The metadata file of a role, by the name that a pack has for it: the sender's chain, to be kept beside.
pub(super) fn metadata_name(path: &str) -> Option<MetadataName> {
    path.strip_prefix("metadata/")?.parse().ok()
}

fn from_client(error: &TufClientError, reference: Timestamp) -> BundleError {
    match error {
        TufClientError::Refused {
            check: Check::Expired,
            file,
            why,
        } => BundleError::NotTrusted {
            what: file.clone(),
            why: format!(
                "{why} (judged as of {reference}; a bundle that is newer, or an honest earlier --reference-time, helps)"
            ),
        },
        TufClientError::Refused { file, why, .. } => BundleError::NotTrusted {
            what: file.clone(),
            why: why.clone(),
        },
        TufClientError::Unreachable { file, why } => BundleError::Read {
            path: PathBuf::from(file),
            source: std::io::Error::other(why.clone()),
        },
        TufClientError::State { path, why } => BundleError::NotTrusted {
            what: "the root of trust".to_owned(),
            why: format!("{why} ({})", path.display()),
        },
        TufClientError::Setup(why) => BundleError::NotTrusted {
            what: "the root of trust".to_owned(),
            why: why.clone(),
        },
    }
}

/// Work on another thread did not end.
pub(super) fn lost_work(lost: blocking::Lost) -> BundleError {
    BundleError::Read {
        path: PathBuf::from("the bundle"),
        source: std::io::Error::other(lost.to_string()),
    }
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), BundleError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)
        .and_then(|()| std::fs::write(path, bytes))
        .map_err(|source| BundleError::Write {
            path: path.to_owned(),
            source,
        })
}

fn unread(path: &Path, source: std::io::Error) -> BundleError {
    BundleError::Read {
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn only_what_belongs_there_is_laid_out() {
        let digest = "ab".repeat(32);
        for name in [
            "metadata/timestamp.json".to_owned(),
            "metadata/3.bin-0f.json".to_owned(),
            format!("targets/log/{digest}.checkpoint"),
            format!("targets/trust/{digest}.policy.json"),
        ] {
            assert!(Place::of(&name).is_some(), "{name}");
        }
        for name in [
            String::new(),
            "timestamp.json".to_owned(),
            "metadata/../x.json".to_owned(),
            "metadata/03.root.json".to_owned(),
            "metadata/a/timestamp.json".to_owned(),
            "targets/log/checkpoint".to_owned(),
            format!("targets/{digest}.log/checkpoint"),
            format!("targets/simple/flask/{digest}.index.json"),
            format!("targets/trust/../log/{digest}.checkpoint"),
            format!("/targets/log/{digest}.checkpoint"),
            format!("targets//log/{digest}.checkpoint"),
        ] {
            assert!(Place::of(&name).is_none(), "{name}");
        }
    }

    #[test]
    fn a_memory_is_laid_out_and_read_again_and_nothing_else_is() {
        let folder = tempfile::tempdir().unwrap();
        let mut memory = TufMemory::default();
        assert!(memory.is_empty());
        for name in ["trusted.json", "roots/1.root.json", "roots/12.root.json"] {
            memory
                .files
                .insert(name.to_owned(), format!("the text of {name}"));
        }
        memory.write(folder.path()).unwrap();
        std::fs::write(folder.path().join("lock"), "").unwrap();
        std::fs::write(folder.path().join("roots/x.root.json"), "").unwrap();
        assert_eq!(TufMemory::read(folder.path()).unwrap(), memory);
        let row = serde_json::to_vec(&memory).unwrap();
        assert_eq!(serde_json::from_slice::<TufMemory>(&row).unwrap(), memory);
        memory.files.insert("../escaped".to_owned(), "x".to_owned());
        let inner = folder.path().join("inner");
        memory.write(&inner).unwrap();
        assert!(!folder.path().join("escaped").exists());
    }
}
