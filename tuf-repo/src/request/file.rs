//! A signing request as it is written: `chiron.signing-request/v1`.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::content::Content;
use super::error::RequestError;
use crate::canonical::canonical;
use crate::diff::KeyLabels;
use crate::editor::Draft;
use crate::key_id::KeyId;
use crate::metadata::Version;
use crate::public_key::PublicKey;
use crate::role::{Role, RoleName};
use crate::threshold::RoleKeys;

/// What is written. Not believed before [`super::SigningRequest::parse`] has compared its parts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RequestFile {
    schema: Schema,
    pub(super) id: RequestId,
    pub(super) role: RoleName,
    pub(super) version: Version,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) replaces: Option<Replaced>,
    /// In words, for people who open the file.
    pub(super) changes: Vec<String>,
    pub(super) needs: Vec<Need>,
    pub(super) keys: BTreeMap<KeyId, PublicKey>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) labels: KeyLabels,
    pub(super) made: Timestamp,
    /// The document that is replaced, so that what changes can be found out without the one who asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) before: Option<Value>,
    pub(super) signed: Value,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Schema {
    #[serde(rename = "chiron.signing-request/v1")]
    V1,
}

/// The document that a request replaces.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Replaced {
    /// Its version.
    pub version: Version,
    /// SHA-256 of its file, signatures included, in hexadecimal: `sha256sum` of a copy gives the same.
    pub sha256: String,
}

impl Replaced {
    /// The document at `version` with this file.
    pub fn of(version: Version, file: &[u8]) -> Self {
        Self {
            version,
            sha256: hex::encode(Sha256::digest(file)),
        }
    }
}

/// Keys of which enough must sign.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Need {
    /// Which document says so, in words: `root 3`, `targets 7`.
    pub whose: String,
    /// The keys, and how many of them.
    #[serde(flatten)]
    pub keys: RoleKeys,
}

/// What a request is called: it names the document and who must sign it. The same change asked for twice is one request.
///
/// Text form: 16 lower-case hex digits. It tells requests apart and protects nothing; what is signed is compared in full.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RequestId([u8; 8]);

impl RequestId {
    pub(super) fn of(role: Role, draft: &Draft, needs: &[Need]) -> Result<Self, RequestError> {
        let sha256 = hex::encode(Sha256::digest(draft.payload()));
        let named = canonical(&json!({"needs": needs, "role": role.name(), "sha256": sha256}));
        let digest = Sha256::digest(named.map_err(|error| RequestError::Malformed {
            what: "signing request",
            why: error.to_string(),
        })?);
        let mut id = [0; 8];
        id.copy_from_slice(&digest[..8]);
        Ok(Self(id))
    }
}

impl FromStr for RequestId {
    type Err = RequestError;

    fn from_str(text: &str) -> Result<Self, RequestError> {
        let mut id = [0; 8];
        let plain = text.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f'));
        match hex::decode_to_slice(text, &mut id) {
            Ok(()) if plain => Ok(Self(id)),
            _ => Err(RequestError::Id(text.chars().take(64).collect())),
        }
    }
}

impl TryFrom<String> for RequestId {
    type Error = RequestError;
    fn try_from(text: String) -> Result<Self, RequestError> {
        text.parse()
    }
}

impl From<RequestId> for String {
    fn from(id: RequestId) -> Self {
        id.to_string()
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl RequestFile {
    pub(super) fn of(
        role: Role,
        content: &Content,
        replaces: Option<Replaced>,
        needs: Vec<Need>,
        keys: BTreeMap<KeyId, PublicKey>,
        labels: &KeyLabels,
        made: Timestamp,
    ) -> Result<Self, RequestError> {
        let draft = content.draft(role)?;
        Ok(Self {
            schema: Schema::V1,
            id: RequestId::of(role, &draft, &needs)?,
            role: role.name(),
            version: draft.version(),
            replaces,
            changes: content.changes(role, labels),
            needs,
            keys,
            labels: labels.clone(),
            made,
            before: content.before()?,
            signed: content.after()?,
        })
    }
}
