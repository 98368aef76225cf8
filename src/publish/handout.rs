//! What a bundle carries of the signed repository, and the bundle's own signature.

use std::collections::BTreeMap;

use bytes::Bytes;
use chiron_storage::{Digest, Raw};
use chiron_tuf::{
    ConsistentTarget, KeyId, MetadataName, PublicKey, Role, RoleKeys, Signature, TargetPath, Version, sign,
    verify,
};
use jiff::Timestamp;

use super::authority::Hands;
use super::delta::digest_of;
use super::folder::Folder;
use super::held::{Held, document_in};
use super::tables::{CONTENTS, RoleRow, TARGETS};
use super::{How, PublishError, Publisher, Versions};
use crate::blocking;

/// One generation of the signed repository, as much of it as proves the log's checkpoint and the documents of trust: what a
/// TUF client at the other side needs, and no more.
#[derive(Debug, Clone)]
pub struct Handout {
    /// Its number.
    pub generation: u64,
    /// Entries of the log that it signs.
    pub log_size: u64,
    /// When it was signed.
    pub at: Timestamp,
    /// Of the roles that there is one of.
    pub versions: Versions,
    /// The signed checkpoint at `log_size` (C2SP checkpoint): the very bytes of the target `log/checkpoint`.
    pub checkpoint: String,
    /// Files by their paths in the pack, sorted: every root, and of the other roles what leads to `log/checkpoint` and
    /// `trust/*`, below `metadata/`; the targets below `targets/`, each under its name with its digest.
    pub files: Vec<(String, Bytes)>,
    signers: (BTreeMap<KeyId, PublicKey>, RoleKeys),
}

impl Handout {
    /// Whether these signatures are enough of the keys that this generation's root names for `snapshot`: what the other side
    /// will ask. A root that was exchanged in between would make them worthless there.
    pub fn accepts(&self, message: &[u8], signatures: &[Signature]) -> Result<(), PublishError> {
        let (keys, role) = &self.signers;
        verify(keys, role, message, signatures)
            .map(drop)
            .map_err(|error| PublishError::sign(Role::Snapshot, &error))
    }
}

impl Publisher {
    /// Publishes what is not published yet, and hands out the newest generation. Publications wait meanwhile.
    ///
    /// Errors: there is no signed repository; a metadata file on disk is not the one that was written.
    pub async fn handout(&self, now: Timestamp) -> Result<Handout, PublishError> {
        let log = self.inner.parts.catalog.log().clone();
        loop {
            let size = log.size().await?;
            let signed = self.generation().map(|generation| generation.log_size);
            if signed.is_some_and(|signed| signed >= size) {
                break;
            }
            let published = self.publish(How::default(), now).await?;
            // One publication takes a part of a log that has grown much.
            if signed == Some(published.log_size) {
                return Err(PublishError::Damaged(format!(
                    "the log has {size} entries, and a publication ends at {}",
                    published.log_size
                )));
            }
        }
        let _turn = self.inner.turn().await;
        let held = self.inner.held();
        let generation = held.generation.clone().ok_or(PublishError::NotInitialised)?;
        let (mut files, checkpoint) = self.targets_of(&held).await?;
        files.extend(self.roots_of(&held).await?);
        let folder = self.inner.folder.clone();
        let wanted = metadata_of(&held)?;
        let timestamp = generation.timestamp.clone();
        files.extend(blocking::run(move || read_all(&folder, wanted)).await??);
        files.push((format!("metadata/{}", MetadataName::Timestamp), timestamp));
        files.sort();
        let signers = held.keys_of(Role::Snapshot)?;
        Ok(Handout {
            generation: generation.number,
            log_size: generation.log_size,
            at: generation.at,
            versions: generation.versions,
            checkpoint,
            files,
            signers: (signers.keys, signers.role),
        })
    }

    /// Signs a bundle's manifest with the keys of `snapshot`, as many as that role needs; every signature is verified.
    ///
    /// `pae` is the DSSE encoding of the payload with its type, which begins with `DSSEv1`: it is no metadata of TUF, and a
    /// signature over it can never be one over metadata.
    pub async fn sign_bundle(&self, pae: &[u8]) -> Result<Vec<Signature>, PublishError> {
        if !pae.starts_with(b"DSSEv1 ") {
            return Err(PublishError::sign(
                Role::Snapshot,
                &"what was to be signed is no DSSE envelope",
            ));
        }
        let held = self.inner.held();
        let hands = Hands::find(&self.inner.parts.keyring, &held, Role::Snapshot).await?;
        let needed = usize::from(hands.keys.role.threshold().get());
        let (mut signatures, mut failures) = (Vec::new(), Vec::new());
        for signer in &hands.signers {
            if signatures.len() == needed {
                break;
            }
            match sign(signer.as_ref(), pae).await {
                Ok(signature) => signatures.push(signature),
                Err(error) => {
                    // It is opened again the next time: its token may have been pulled, its service restarted.
                    self.inner.parts.keyring.forget(signer.public().id());
                    failures.push(error.to_string());
                }
            }
        }
        match verify(&hands.keys.keys, &hands.keys.role, pae, &signatures) {
            Ok(_) => Ok(signatures),
            Err(not_met) => {
                failures.insert(0, not_met.to_string());
                Err(PublishError::sign(Role::Snapshot, &failures.join("; ")))
            }
        }
    }

    /// The targets `log/checkpoint` and `trust/*` with their paths, and the checkpoint.
    async fn targets_of(&self, held: &Held) -> Result<(Vec<(String, Bytes)>, String), PublishError> {
        let mut wanted = Vec::new();
        for (path, file) in held.trust.iter().flat_map(|trust| &trust.signed().targets) {
            let damaged = |why: &str| PublishError::Damaged(format!("trust lists {path}: {why}"));
            let sha256 = file.sha256().and_then(|digest| digest.parse::<Digest>().ok());
            let path: TargetPath = path.parse().map_err(|_| damaged("a bad path"))?;
            wanted.push((path, sha256.ok_or_else(|| damaged("without a SHA-256"))?));
        }
        self.db()
            .read(move |view| {
                let path = TargetPath::checkpoint();
                let hash = Digest::from_bytes(path.hash());
                let Some(Raw(entry)) = view.get(&TARGETS, &hash)? else {
                    return Err(PublishError::Damaged("log/checkpoint is no target".to_owned()));
                };
                let mut checkpoint = String::new();
                wanted.push((path, digest_of(&entry)?));
                let mut files = Vec::new();
                for (path, sha256) in wanted {
                    let key = (Digest::from_bytes(path.hash()), sha256);
                    let Some(Raw(bytes)) = view.get(&CONTENTS, &key)? else {
                        return Err(PublishError::Damaged(format!("the bytes of {path} are not kept")));
                    };
                    if path == TargetPath::checkpoint() {
                        checkpoint = String::from_utf8_lossy(&bytes).into_owned();
                    }
                    let name = ConsistentTarget {
                        path,
                        sha256: *sha256.as_bytes(),
                    };
                    files.push((format!("targets/{}", name.beside_file()), bytes));
                }
                Ok((files, checkpoint))
            })
            .await
    }

    /// Every root there ever was.
    async fn roots_of(&self, held: &Held) -> Result<Vec<(String, Bytes)>, PublishError> {
        let newest = held.version(Role::Root);
        self.db()
            .read(move |view| {
                (1..=newest)
                    .map(|version| {
                        let bytes = document_in(view, Role::Root, version)?.ok_or_else(|| {
                            PublishError::Damaged(format!("{version}.root.json is not kept"))
                        })?;
                        Ok((in_pack(Role::Root, version), bytes))
                    })
                    .collect()
            })
            .await
    }
}

/// The metadata files in force that lead to the checkpoint and to the documents of trust.
fn metadata_of(held: &Held) -> Result<Vec<(Role, RoleRow)>, PublishError> {
    let checkpoint = held.bin_count()?.of(&TargetPath::checkpoint().hash());
    let mut roles = vec![Role::Snapshot, Role::Targets, Role::Bins, Role::Bin(checkpoint)];
    if held.trust.is_some() {
        roles.push(Role::Trust);
    }
    roles
        .into_iter()
        .map(|role| {
            let row = held.roles.get(&role).cloned();
            Ok((role, row.ok_or(PublishError::NotInitialised)?))
        })
        .collect()
}

/// Reads them from where they are served, and takes nothing that was changed there. Blocks.
fn read_all(folder: &Folder, wanted: Vec<(Role, RoleRow)>) -> Result<Vec<(String, Bytes)>, PublishError> {
    wanted
        .into_iter()
        .map(|(role, row)| {
            let name = MetadataName::of(role, row.version);
            let bytes = folder.read(name)?.filter(|bytes| {
                bytes.len() as u64 == row.length && Digest::of(bytes) == row.sha256
            });
            let bytes = bytes.ok_or_else(|| {
                PublishError::Damaged(format!(
                    "{name} on disk is not what was written there; `chiron tuf publish --repair` puts it right"
                ))
            })?;
            Ok((in_pack(role, row.version), bytes))
        })
        .collect()
}

fn in_pack(role: Role, version: Version) -> String {
    format!("metadata/{}", MetadataName::of(role, version))
}
