//! The envelope around a document (section 4.2), and how it is read.

use std::borrow::Cow;
use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::canonical::{CanonicalError, canonical};
use crate::check::Defect;
use crate::key_id::KeyId;
use crate::limits::MAX_SIGNATURES;
use crate::metadata::Version;

/// One signature over the canonical form of `signed`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signature {
    /// Whose.
    pub keyid: KeyId,
    /// Hexadecimal in metadata.
    #[serde(with = "hex")]
    pub sig: Vec<u8>,
}

impl Signature {
    /// A signature by the key with this id.
    pub fn new(keyid: KeyId, sig: Vec<u8>) -> Self {
        Self { keyid, sig }
    }
}

/// A signed document. What is in `signed` is not believed before [`crate::verify`] says so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Envelope<T> {
    /// In the order in which they were made.
    pub signatures: Vec<Signature>,
    /// The document.
    pub signed: T,
}

/// Why bytes are no metadata of the kind that was looked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MetadataError {
    /// Not read at all.
    #[error("{role} metadata has at most {limit} bytes, these are {bytes}")]
    TooLong {
        /// What was looked for.
        role: &'static str,
        /// That there are.
        bytes: usize,
        /// That are read.
        limit: u64,
    },
    /// Not JSON, fields missing, wrong types.
    #[error("not {role} metadata: {why}")]
    Malformed {
        /// What was looked for.
        role: &'static str,
        /// What is wrong.
        why: String,
    },
    /// A field that is not known, a time that is not in whole seconds of UTC, keys out of order. What would be verified is
    /// not what was signed, so no signature would be good; this says why.
    #[error(
        "{role} metadata says something that is not read here, and its signatures could not be verified: {what}"
    )]
    NotRead {
        /// What was looked for.
        role: &'static str,
        /// Where in the document, as a JSON pointer (RFC 6901).
        what: String,
    },
    /// Read, and no client could use it.
    #[error("{role} metadata is not well formed: {defect}")]
    Defect {
        /// What was looked for.
        role: &'static str,
        /// What is wrong.
        #[source]
        defect: Defect,
    },
    /// Threat: work without end.
    #[error("{role} metadata has {count} signatures; {MAX_SIGNATURES} are read")]
    Signatures {
        /// What was looked for.
        role: &'static str,
        /// That there are.
        count: usize,
    },
    /// python-tuf refuses such a file; one key is one signer anyway.
    #[error("{role} metadata has two signatures by the key {key}")]
    SignedTwice {
        /// What was looked for.
        role: &'static str,
        /// Whose.
        key: KeyId,
    },
    /// No canonical form.
    #[error(transparent)]
    Canonical(#[from] CanonicalError),
}

/// A kind of document.
pub trait Document: Serialize + DeserializeOwned {
    /// Its `_type`.
    const TYPE: &'static str;
    /// Bytes of its file, signatures included, that are read.
    const MAX_BYTES: u64;
    /// Counted from 1.
    fn version(&self) -> Version;
    /// Not to be believed from then on.
    fn expires(&self) -> Timestamp;
    /// Whether it is well formed: what every client asks of it beyond the types of its fields.
    fn check(&self) -> Result<(), Defect>;
}

impl<T: Document> Envelope<T> {
    /// Reads metadata: of bounded length, well formed, each key's signature once, and nothing in it that is passed over.
    /// The signatures themselves are not looked at.
    pub fn parse(bytes: &[u8]) -> Result<Self, MetadataError> {
        let role = T::TYPE;
        if bytes.len() as u64 > T::MAX_BYTES {
            return Err(MetadataError::TooLong {
                role,
                bytes: bytes.len(),
                limit: T::MAX_BYTES,
            });
        }
        let malformed = |error: serde_json::Error| MetadataError::Malformed {
            role,
            why: error.to_string(),
        };
        let read: Self = serde_json::from_slice(bytes).map_err(malformed)?;
        let given: Value = serde_json::from_slice(bytes).map_err(malformed)?;
        let kept = serde_json::to_value(&read.signed).map_err(malformed)?;
        if let Some(what) = difference(&given["signed"], &kept) {
            return Err(MetadataError::NotRead { role, what });
        }
        read.signed
            .check()
            .map_err(|defect| MetadataError::Defect { role, defect })?;
        signatures(role, &read.signatures)?;
        Ok(read)
    }

    /// The bytes of the file: one spelling, so that two writers write the same.
    pub fn to_bytes(&self) -> Result<Vec<u8>, MetadataError> {
        Ok(as_json(&canonical(self)?).into_owned())
    }

    /// The bytes that signatures cover.
    pub fn payload(&self) -> Result<Vec<u8>, MetadataError> {
        Ok(canonical(&self.signed)?)
    }
}

fn signatures(role: &'static str, signatures: &[Signature]) -> Result<(), MetadataError> {
    if signatures.len() > MAX_SIGNATURES {
        return Err(MetadataError::Signatures {
            role,
            count: signatures.len(),
        });
    }
    let mut keys = BTreeSet::new();
    match signatures.iter().find(|signature| !keys.insert(signature.keyid)) {
        None => Ok(()),
        Some(again) => Err(MetadataError::SignedTwice {
            role,
            key: again.keyid,
        }),
    }
}

/// Where two values first differ, as a JSON pointer; `None` if they are equal.
fn difference(given: &Value, kept: &Value) -> Option<String> {
    if given == kept {
        return None;
    }
    let below = match (given, kept) {
        (Value::Object(given), Value::Object(kept)) => given.keys().chain(kept.keys()).find_map(|name| {
            let step = |rest| format!("/{}{rest}", name.replace('~', "~0").replace('/', "~1"));
            match (given.get(name), kept.get(name)) {
                (Some(given), Some(kept)) => difference(given, kept).map(step),
                _ => Some(step(String::new())),
            }
        }),
        (Value::Array(given), Value::Array(kept)) if given.len() == kept.len() => given
            .iter()
            .zip(kept)
            .enumerate()
            .find_map(|(index, (given, kept))| Some(format!("/{index}{}", difference(given, kept)?))),
        _ => None,
    };
    Some(below.unwrap_or_default())
}

/// Canonical bytes as JSON that every parser reads: a line feed in a text (keys in PEM have them) stands for itself in
/// the canonical form, and JSON wants it escaped. There are no others, since the canonical form has no white space.
pub(crate) fn as_json(canonical: &[u8]) -> Cow<'_, [u8]> {
    if !canonical.contains(&b'\n') {
        return Cow::Borrowed(canonical);
    }
    let lines: Vec<&[u8]> = canonical.split(|&byte| byte == b'\n').collect();
    Cow::Owned(lines.join(&b"\\n"[..]))
}

#[cfg(test)]
mod tests;
