//! Signing with keys that are elsewhere: a request that is carried to them, the signatures that are carried back, and when
//! there are enough of them (section 6.1, offline keys).
//!
//! Both files are made to be carried by people and are believed by nobody: who signs reads what the request itself
//! changes, and who merges compares the answer with what was asked for.

mod content;
mod detached;
mod error;
mod file;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

pub use detached::DetachedSignature;
pub use error::RequestError;
pub use file::{Need, Replaced, RequestId};

use crate::diff::KeyLabels;
use crate::editor::{Authority, Draft, SignDocumentError, SignedDocument};
use crate::envelope::Signature;
use crate::key_id::KeyId;
use crate::limits::MAX_REQUEST_BYTES;
use crate::metadata::{Root, Targets, Version};
use crate::public_key::PublicKey;
use crate::role::Role;
use crate::signer::{Signer, sign};
use crate::verify::signers;
use content::Content;
use file::RequestFile;

/// Bytes of what a request calls a key or a document.
const MAX_NAME_BYTES: usize = 128;

/// A document that waits for signatures: a root, or targets metadata of `targets`, `trust` or `bins`.
#[derive(Clone, Debug, PartialEq)]
pub struct SigningRequest {
    file: RequestFile,
    role: Role,
    draft: Draft,
}

/// How far a request is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// One for each of the request's needs, in their order.
    pub needs: Vec<NeedProgress>,
}

/// How far one of a request's needs is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NeedProgress {
    /// Whose keys they are, in words: `root 3`.
    pub whose: String,
    /// How many must sign.
    pub threshold: u8,
    /// Those that did.
    pub have: BTreeSet<KeyId>,
    /// Those that did not.
    pub lacking: BTreeSet<KeyId>,
}

impl Progress {
    /// Whether every need is met.
    pub fn is_complete(&self) -> bool {
        self.needs.iter().all(NeedProgress::is_met)
    }
}

impl NeedProgress {
    /// Whether enough keys signed.
    pub fn is_met(&self) -> bool {
        self.have.len() >= usize::from(self.threshold)
    }
}

impl SigningRequest {
    /// For a root, which the keys of the old root and its own must sign (section 5.3.4); the first is signed by its own alone.
    /// `before` is the root that stands, and its file.
    pub fn of_root(
        before: Option<(&Root, &[u8])>,
        after: &Root,
        labels: &KeyLabels,
        made: Timestamp,
    ) -> Result<Self, RequestError> {
        let content = Content::Root {
            before: before.map(|(root, _)| root.clone()),
            after: after.clone(),
        };
        let mut keys = after.keys.clone();
        keys.extend(before.into_iter().flat_map(|(root, _)| root.keys.clone()));
        let replaces = before.map(|(root, file)| Replaced::of(root.version, file));
        Self::write(Role::Root, &content, replaces, (Vec::new(), keys), labels, made)
    }

    /// For targets metadata of `targets`, `trust` or `bins`, which the keys that `need` names must sign; `keys` has them.
    /// `before` is what stands, and its file.
    pub fn of_targets(
        role: Role,
        before: Option<(&Targets, &[u8])>,
        after: &Targets,
        need: Need,
        keys: &BTreeMap<KeyId, PublicKey>,
        labels: &KeyLabels,
        made: Timestamp,
    ) -> Result<Self, RequestError> {
        let content = Content::Targets {
            before: before.map(|(targets, _)| targets.clone()),
            after: after.clone(),
        };
        let replaces = before.map(|(targets, file)| Replaced::of(targets.version, file));
        Self::write(role, &content, replaces, (vec![need], keys.clone()), labels, made)
    }

    fn write(
        role: Role,
        content: &Content,
        replaces: Option<Replaced>,
        (needs, mut keys): (Vec<Need>, BTreeMap<KeyId, PublicKey>),
        labels: &KeyLabels,
        made: Timestamp,
    ) -> Result<Self, RequestError> {
        let needs = content.root_needs()?.unwrap_or(needs);
        keys.retain(|id, _| needs.iter().any(|need| need.keys.keyids().contains(id)));
        Self::check(RequestFile::of(
            role, content, replaces, needs, keys, labels, made,
        )?)
    }

    /// Reads a request, and believes nothing in it that can be found out from the rest: what it changes is described anew, a
    /// root's needs come from the roots, the id from what it is the id of.
    ///
    /// What stands before the change, and whose keys count for targets metadata, are still claims of whoever made the file;
    /// [`Self::replaces`] lets the reader compare with a copy.
    pub fn parse(bytes: &[u8]) -> Result<Self, RequestError> {
        if bytes.len() as u64 > MAX_REQUEST_BYTES {
            return Err(RequestError::TooLong { bytes: bytes.len() });
        }
        let file = serde_json::from_slice(bytes).map_err(|error| RequestError::Malformed {
            what: "signing request",
            why: error.to_string(),
        })?;
        Self::check(file)
    }

    fn check(file: RequestFile) -> Result<Self, RequestError> {
        let untrue = |what| RequestError::Untrue { what };
        let mut names = file
            .needs
            .iter()
            .map(|need| &need.whose)
            .chain(file.labels.values());
        if let Some(name) = names.find(|name| !is_plain(name)) {
            return Err(RequestError::Name(name.chars().take(MAX_NAME_BYTES).collect()));
        }
        let role = Role::try_from(&file.role).map_err(|_| RequestError::Role(file.role.clone()))?;
        let content = Content::read(role, file.before.as_ref(), &file.signed)?;
        let draft = content.draft(role)?;
        if draft.version() != file.version {
            return Err(untrue("the version"));
        }
        let replaced = file.replaces.as_ref().map(|replaced| replaced.version);
        if replaced != content.version_before() || replaced.is_some_and(|old| old >= file.version) {
            return Err(untrue("which version is replaced"));
        }
        if content.root_needs()?.is_some_and(|needs| needs != file.needs) {
            return Err(untrue("whose signatures are needed"));
        }
        let known = |id: &KeyId| file.keys.get(id).is_some_and(|key| key.id() == *id);
        if file.needs.is_empty() || !file.needs.iter().all(|need| need.keys.keyids().iter().all(known)) {
            return Err(untrue("the keys whose signatures are needed"));
        }
        if file.changes != content.changes(role, &file.labels) {
            return Err(untrue("what changes"));
        }
        if file.id != RequestId::of(role, &draft, &file.needs)? {
            return Err(untrue("the request's id"));
        }
        Ok(Self { file, role, draft })
    }

    /// The file: JSON, indented, with a line feed at the end.
    pub fn to_bytes(&self) -> Result<Vec<u8>, RequestError> {
        let malformed = |error: serde_json::Error| RequestError::Malformed {
            what: "signing request",
            why: error.to_string(),
        };
        let mut bytes = serde_json::to_vec_pretty(&self.file).map_err(malformed)?;
        bytes.push(b'\n');
        Ok(bytes)
    }

    /// What the request is called.
    pub fn id(&self) -> RequestId {
        self.file.id
    }

    /// Whose document it is.
    pub fn role(&self) -> Role {
        self.role
    }

    /// Which version it is.
    pub fn version(&self) -> Version {
        self.draft.version()
    }

    /// When the document expires.
    pub fn expires(&self) -> Timestamp {
        self.draft.expires()
    }

    /// When the request was made.
    pub fn made(&self) -> Timestamp {
        self.file.made
    }

    /// What the document replaces; nothing if it is the first.
    pub fn replaces(&self) -> Option<&Replaced> {
        self.file.replaces.as_ref()
    }

    /// What the document changes, in words, a line for each change.
    pub fn changes(&self) -> &[String] {
        &self.file.changes
    }

    /// Whose signatures it needs. All needs must be met.
    pub fn needs(&self) -> &[Need] {
        &self.file.needs
    }

    /// The keys that may sign.
    pub fn keys(&self) -> &BTreeMap<KeyId, PublicKey> {
        &self.file.keys
    }

    /// What whoever made the request calls the keys.
    pub fn labels(&self) -> &KeyLabels {
        &self.file.labels
    }

    /// The document.
    pub fn draft(&self) -> &Draft {
        &self.draft
    }

    /// Whether the document still follows the one that was published last, whose version is `published`.
    ///
    /// Threat: a request that was signed and left lying, and later undoes what was published meanwhile.
    pub fn follows(&self, published: Option<Version>) -> Result<(), RequestError> {
        let replaces = self.file.replaces.as_ref().map(|replaced| replaced.version);
        if replaces == published {
            return Ok(());
        }
        Err(RequestError::Outdated {
            role: self.role,
            version: self.version(),
            replaces,
            published,
        })
    }

    /// Signs with these keys, which must be among those that are needed. Every signature is verified.
    pub async fn sign(&self, with: &[Arc<dyn Signer>]) -> Result<DetachedSignature, RequestError> {
        let mut signatures = Vec::new();
        for signer in with {
            let key = signer.public().id();
            if !self.file.keys.contains_key(&key) {
                return Err(RequestError::NotNeeded { key });
            }
            signatures.push(sign(signer.as_ref(), self.draft.payload()).await?);
        }
        self.detached(signatures)
    }

    fn detached(&self, signatures: Vec<Signature>) -> Result<DetachedSignature, RequestError> {
        if signatures.is_empty() {
            return Err(RequestError::NoSignature);
        }
        Ok(DetachedSignature::new(
            self.id(),
            self.role,
            self.version(),
            self.payload_sha256(),
            signatures,
        ))
    }

    fn payload_sha256(&self) -> String {
        hex::encode(Sha256::digest(self.draft.payload()))
    }

    /// Adds what was signed elsewhere to the signatures that are there, each key's once.
    ///
    /// All of `detached` or nothing: it must be for this very document, and every signature in it must be by a key that is
    /// needed, and verify.
    pub fn merge(
        &self,
        have: &[Signature],
        detached: &DetachedSignature,
    ) -> Result<Vec<Signature>, RequestError> {
        detached.is_for(self.id(), self.role, self.version(), &self.payload_sha256())?;
        let mut merged = have.to_vec();
        for signature in detached.signatures() {
            let key = signature.keyid;
            let public = self.file.keys.get(&key).ok_or(RequestError::NotNeeded { key })?;
            if !public.verifies(self.draft.payload(), &signature.sig) {
                return Err(RequestError::Invalid { key });
            }
            merged.retain(|other| other.keyid != key);
            merged.push(signature.clone());
        }
        Ok(merged)
    }

    /// How far the request is with these signatures. Those that do not verify count for nothing.
    pub fn progress(&self, signatures: &[Signature]) -> Progress {
        let of_need = |need: &Need| {
            let have = signers(&self.file.keys, &need.keys, self.draft.payload(), signatures);
            NeedProgress {
                whose: need.whose.clone(),
                threshold: need.keys.threshold().get(),
                lacking: need.keys.keyids().difference(&have).copied().collect(),
                have,
            }
        };
        Progress {
            needs: self.file.needs.iter().map(of_need).collect(),
        }
    }

    /// The signed document, if the signatures are enough for every need.
    pub fn finish(&self, signatures: &[Signature]) -> Result<SignedDocument, SignDocumentError> {
        let authorities: Vec<Authority<'_>> = self
            .file
            .needs
            .iter()
            .map(|need| Authority {
                keys: &self.file.keys,
                role: &need.keys,
            })
            .collect();
        SignedDocument::seal(&self.draft, &authorities, signatures)
    }
}

/// Threat: a name from a file that draws over the terminal of who reads it.
fn is_plain(name: &str) -> bool {
    (1..=MAX_NAME_BYTES).contains(&name.len()) && name.bytes().all(|c| matches!(c, b' '..=b'~'))
}

#[cfg(test)]
mod tests;
